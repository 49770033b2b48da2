// Convolutions of single channels, and what surrounds the others.
//
// Values lie with their channels last; weights of single channels as [element][channel].

#include "kernel.cuh"

// [outputs][inputs][elements] to [outputs][elements][inputs], each output times its scale.
template <typename T>
static __device__ void pack(const float *w, const float *scale, T *packed, size_t inputs,
                            size_t elements, size_t n) {
    size_t i = thread();
    if (i >= n) return;
    size_t input = i % inputs, element = i / inputs % elements, output = i / inputs / elements;
    float value = w[(output * inputs + input) * elements + element];
    store(packed, i, scale ? value * scale[output] : value);
}

// The way back: [outputs][elements][inputs] to [outputs][inputs][elements].
template <typename T>
static __device__ void unpack(const T *packed, float *w, size_t inputs, size_t elements, size_t n) {
    size_t i = thread();
    if (i >= n) return;
    size_t element = i % elements, input = i / elements % inputs, output = i / elements / inputs;
    w[i] = load(packed, (output * elements + element) * inputs + input);
}

// [channels][elements] to [elements][channels], each channel times its scale.
extern "C" __global__ void pack_depthwise(const float *w, const float *scale, float *packed,
                                          size_t channels, size_t elements) {
    size_t i = thread();
    if (i >= channels * elements) return;
    size_t channel = i % channels, element = i / channels;
    float value = w[channel * elements + element];
    packed[i] = scale ? value * scale[channel] : value;
}

// The sizes of a depthwise convolution.
struct Sizes {
    int channels, height, width, out_height, out_width;
    int kernel_y, kernel_x, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x;
};

// Four neighbouring channels.
struct Four {
    float v[4];
};

static __device__ __forceinline__ Four load4(const float *values, size_t i) {
    float4 v = *reinterpret_cast<const float4 *>(values + i);
    return {{v.x, v.y, v.z, v.w}};
}
static __device__ __forceinline__ Four load4(const bf16 *values, size_t i) {
    uint2 v = *reinterpret_cast<const uint2 *>(values + i);
    float2 a = __bfloat1622float2(*reinterpret_cast<__nv_bfloat162 *>(&v.x));
    float2 b = __bfloat1622float2(*reinterpret_cast<__nv_bfloat162 *>(&v.y));
    return {{a.x, a.y, b.x, b.y}};
}
static __device__ __forceinline__ void store4(float *values, size_t i, Four f) {
    *reinterpret_cast<float4 *>(values + i) = make_float4(f.v[0], f.v[1], f.v[2], f.v[3]);
}
static __device__ __forceinline__ void store4(bf16 *values, size_t i, Four f) {
    __nv_bfloat162 a = __floats2bfloat162_rn(f.v[0], f.v[1]);
    __nv_bfloat162 b = __floats2bfloat162_rn(f.v[2], f.v[3]);
    uint2 v;
    v.x = *reinterpret_cast<unsigned *>(&a);
    v.y = *reinterpret_cast<unsigned *>(&b);
    *reinterpret_cast<uint2 *>(values + i) = v;
}

// L = 4 channels a thread, where their number allows it, or one.
template <int L, typename T>
static __device__ __forceinline__ Four load_some(const T *values, size_t i) {
    if (L == 4) return load4(values, i);
    return {{load(values, i), 0, 0, 0}};
}
template <int L, typename T>
static __device__ __forceinline__ void store_some(T *values, size_t i, Four f) {
    if (L == 4)
        store4(values, i, f);
    else
        store(values, i, f.v[0]);
}

// y <- clip(y + shift[channel] + added, low, high); shift and added may be missing. A thread for L
// channels of a pixel, of `count` in all.
template <int L, typename T>
static __device__ void epilogue(T *y, const float *shift, const T *added, float low, float high,
                                unsigned channels, unsigned count) {
    size_t i = thread();
    if (i >= count) return;
    Four value = load_some<L>(y, i * L);
    if (shift) {
        Four f = load_some<L>(shift, (unsigned)i % (channels / L) * L);
        for (int q = 0; q < L; q++) value.v[q] += f.v[q];
    }
    if (added) {
        Four f = load_some<L>(added, i * L);
        for (int q = 0; q < L; q++) value.v[q] += f.v[q];
    }
    for (int q = 0; q < L; q++) value.v[q] = clip(value.v[q], low, high);
    store_some<L>(y, i * L, value);
}

// y[n, i, j, c] = clip(sum_k w[k][c] x[...] + shift[c] + added); a thread for L channels of a pixel.
template <int L, typename T>
static __device__ void depthwise(const T *x, const float *w, T *y, const float *shift,
                                 const T *added, float low, float high, Sizes s, unsigned count) {
    size_t i = thread();
    if (i >= count) return;
    unsigned groups = s.channels / L, pixel = (unsigned)i / groups;
    int c = (int)((unsigned)i % groups) * L;
    int column = (int)(pixel % s.out_width);
    int row = (int)(pixel / s.out_width % s.out_height);
    size_t image = pixel / s.out_width / s.out_height;
    const T *from = x + image * s.height * s.width * s.channels + c;
    Four sum = {{0, 0, 0, 0}};
    for (int k = 0; k < s.kernel_y; k++) {
        int yy = row * s.stride_y + k * s.dilation_y - s.padding_y;
        if (yy < 0 || yy >= s.height) continue;
        for (int l = 0; l < s.kernel_x; l++) {
            int xx = column * s.stride_x + l * s.dilation_x - s.padding_x;
            if (xx < 0 || xx >= s.width) continue;
            Four v = load_some<L>(from, ((size_t)yy * s.width + xx) * s.channels);
            Four f = load_some<L>(w, (size_t)(k * s.kernel_x + l) * s.channels + c);
            for (int q = 0; q < L; q++) sum.v[q] += v.v[q] * f.v[q];
        }
    }
    size_t at = (size_t)pixel * s.channels + c;
    if (shift) {
        Four f = load_some<L>(shift, c);
        for (int q = 0; q < L; q++) sum.v[q] += f.v[q];
    }
    if (added) {
        Four f = load_some<L>(added, at);
        for (int q = 0; q < L; q++) sum.v[q] += f.v[q];
    }
    for (int q = 0; q < L; q++) sum.v[q] = clip(sum.v[q], low, high);
    store_some<L>(y, at, sum);
}

// dx[n, y, x, c] = pass(y, sum_k w[k][c] dy[...] + added); a thread for L channels of an input pixel.
template <int L, typename T>
static __device__ void depthwise_data(const T *dy, const float *w, T *dx, const T *added,
                                      const T *passed, float low, float high, Sizes s,
                                      unsigned count) {
    size_t i = thread();
    if (i >= count) return;
    unsigned groups = s.channels / L, pixel = (unsigned)i / groups;
    int c = (int)((unsigned)i % groups) * L;
    int xx = (int)(pixel % s.width);
    int yy = (int)(pixel / s.width % s.height);
    size_t image = pixel / s.width / s.height;
    const T *from = dy + image * s.out_height * s.out_width * s.channels + c;
    Four sum = {{0, 0, 0, 0}};
    for (int k = 0; k < s.kernel_y; k++) {
        int row = yy + s.padding_y - k * s.dilation_y;
        if (row < 0 || row % s.stride_y != 0) continue;
        row /= s.stride_y;
        if (row >= s.out_height) continue;
        for (int l = 0; l < s.kernel_x; l++) {
            int column = xx + s.padding_x - l * s.dilation_x;
            if (column < 0 || column % s.stride_x != 0) continue;
            column /= s.stride_x;
            if (column >= s.out_width) continue;
            Four v = load_some<L>(from, ((size_t)row * s.out_width + column) * s.channels);
            Four f = load_some<L>(w, (size_t)(k * s.kernel_x + l) * s.channels + c);
            for (int q = 0; q < L; q++) sum.v[q] += v.v[q] * f.v[q];
        }
    }
    size_t at = (size_t)pixel * s.channels + c;
    if (added) {
        Four f = load_some<L>(added, at);
        for (int q = 0; q < L; q++) sum.v[q] += f.v[q];
    }
    if (passed) {
        Four f = load_some<L>(passed, at);
        for (int q = 0; q < L; q++) sum.v[q] = pass(f.v[q], sum.v[q], low, high);
    }
    store_some<L>(dx, at, sum);
}

// The elements of a kernel whose sums a thread keeps at a time.
constexpr int ELEMENTS = 9;

// parts[block][element][channel] = sum over the block's pixels of dy x; blocks of 32 channels by
// 8 pixels at a time; gridDim.x stretches of pixels, gridDim.y groups of channels, gridDim.z
// groups of elements.
template <typename T>
static __device__ void depthwise_weight(const T *x, const T *dy, float *parts, Sizes s,
                                        unsigned pixels) {
    int c = blockIdx.y * 32 + threadIdx.x;
    int elements = s.kernel_y * s.kernel_x, first = blockIdx.z * ELEMENTS;
    unsigned stretch = (pixels + gridDim.x - 1) / gridDim.x;
    unsigned begin = blockIdx.x * stretch, end = min(begin + stretch, pixels);
    float sums[ELEMENTS] = {};
    if (c < s.channels)
        for (unsigned pixel = begin + threadIdx.y; pixel < end; pixel += 8) {
            int column = (int)(pixel % s.out_width);
            int row = (int)(pixel / s.out_width % s.out_height);
            size_t image = pixel / s.out_width / s.out_height;
            const T *from = x + image * s.height * s.width * s.channels + c;
            float d = load(dy, (size_t)pixel * s.channels + c);
#pragma unroll
            for (int e = 0; e < ELEMENTS; e++) {
                int element = first + e;
                if (element >= elements) break;
                int yy = row * s.stride_y + element / s.kernel_x * s.dilation_y - s.padding_y;
                int xx = column * s.stride_x + element % s.kernel_x * s.dilation_x - s.padding_x;
                if (yy < 0 || yy >= s.height || xx < 0 || xx >= s.width) continue;
                sums[e] += d * load(from, ((size_t)yy * s.width + xx) * s.channels);
            }
        }
    __shared__ float shared[8][32];
#pragma unroll
    for (int e = 0; e < ELEMENTS; e++) {
        if (first + e >= elements) break;
        shared[threadIdx.y][threadIdx.x] = sums[e];
        __syncthreads();
        if (threadIdx.y == 0 && c < s.channels) {
            float sum = 0;
            for (int q = 0; q < 8; q++) sum += shared[q][threadIdx.x];
            parts[((size_t)blockIdx.x * elements + first + e) * s.channels + c] = sum;
        }
        __syncthreads();
    }
}

// dw[channel][element] = sum over the parts, in f64.
extern "C" __global__ void join_depthwise(const float *parts, float *dw, size_t count,
                                          size_t channels, size_t elements) {
    size_t i = thread();
    if (i >= channels * elements) return;
    double sum = 0;
    for (size_t part = 0; part < count; part++) sum += parts[part * channels * elements + i];
    dw[i % channels * elements + i / channels] = (float)sum;
}

// parts[block][channel] = sum over the block's pixels of dy; blocks of 32 channels by 8 pixels.
template <typename T>
static __device__ void bias(const T *dy, float *parts, size_t channels, size_t pixels) {
    size_t c = blockIdx.y * 32 + threadIdx.x;
    size_t stretch = (pixels + gridDim.x - 1) / gridDim.x;
    size_t begin = blockIdx.x * stretch, end = begin + stretch < pixels ? begin + stretch : pixels;
    float sum = 0;
    if (c < channels)
        for (size_t pixel = begin + threadIdx.y; pixel < end; pixel += 8)
            sum += load(dy, pixel * channels + c);
    __shared__ float shared[8][32];
    shared[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && c < channels) {
        sum = 0;
        for (int q = 0; q < 8; q++) sum += shared[q][threadIdx.x];
        parts[blockIdx.x * channels + c] = sum;
    }
}

#define KERNELS(T)                                                                                 \
    extern "C" __global__ void pack_##T(const float *w, const float *scale, T *packed,             \
                                        size_t inputs, size_t elements, size_t n) {                \
        pack(w, scale, packed, inputs, elements, n);                                               \
    }                                                                                              \
    extern "C" __global__ void unpack_##T(const T *packed, float *w, size_t inputs,                \
                                          size_t elements, size_t n) {                             \
        unpack(packed, w, inputs, elements, n);                                                    \
    }                                                                                              \
    extern "C" __global__ void depthwise_weight_##T(const T *x, const T *dy, float *parts,         \
                                                    Sizes s, unsigned pixels) {                      \
        depthwise_weight(x, dy, parts, s, pixels);                                                 \
    }                                                                                              \
    extern "C" __global__ void bias_##T(const T *dy, float *parts, size_t channels,                \
                                        size_t pixels) {                                           \
        bias(dy, parts, channels, pixels);                                                         \
    }

#define LANES(T, L)                                                                                \
    extern "C" __global__ void epilogue_##L##_##T(T *y, const float *shift, const T *added,        \
                                                  float low, float high, unsigned channels,        \
                                                  unsigned count) {                                \
        epilogue<L>(y, shift, added, low, high, channels, count);                                  \
    }                                                                                              \
    extern "C" __global__ void depthwise_##L##_##T(const T *x, const float *w, T *y,               \
                                                   const float *shift, const T *added, float low,  \
                                                   float high, Sizes s, unsigned count) {            \
        depthwise<L>(x, w, y, shift, added, low, high, s, count);                                  \
    }                                                                                              \
    extern "C" __global__ void depthwise_data_##L##_##T(                                           \
        const T *dy, const float *w, T *dx, const T *added, const T *passed, float low,            \
        float high, Sizes s, unsigned count) {                                                     \
        depthwise_data<L>(dy, w, dx, added, passed, low, high, s, count);                          \
    }

KERNELS(float)
KERNELS(bf16)
LANES(float, 1)
LANES(float, 4)
LANES(bf16, 1)
LANES(bf16, 4)
