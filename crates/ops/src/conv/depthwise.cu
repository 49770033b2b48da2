// Depthwise convolutions. Values lie with their channels last, weights as [element][channel].
//
// What a thread computes, it computes for V channels. Kernels of 3 x 3 elements, side by side, have
// ways of their own: a thread has several results in a row, and reads what these share only once.

#include "pack.cuh"

// The sizes of a depthwise convolution.
struct Sizes {
    int channels, height, width, out_height, out_width;
    int kernel_y, kernel_x, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x;
};

// What is done with a sum before it is written: each may be missing. Where an activation's result
// is given, the gradient `sum + added` passes it; else the bounds are those of the result itself.
template <typename T> struct After {
    const float *shift;
    const T *added, *passed;
    float low, high;
};

template <int V, typename T>
static __device__ __forceinline__ void finish(T *to, size_t at, int channel, float (&sum)[V],
                                              const After<T> &after) {
    float more[V];
    if (after.shift) {
        load_some(after.shift, channel, more);
        for (int q = 0; q < V; q++) sum[q] += more[q];
    }
    if (after.added) {
        load_some(after.added, at, more);
        for (int q = 0; q < V; q++) sum[q] += more[q];
    }
    if (after.passed) {
        load_some(after.passed, at, more);
        for (int q = 0; q < V; q++) sum[q] = pass(more[q], sum[q], after.low, after.high);
    } else {
        for (int q = 0; q < V; q++) sum[q] = clip(sum[q], after.low, after.high);
    }
    store_some(to, at, sum);
}

// [channels][elements] to [elements][channels], each channel times its scale; the elements in
// the reverse of their order where they are `flipped`.
extern "C" __global__ void pack(const float *w, const float *scale, float *packed, size_t channels,
                                size_t elements, unsigned flipped) {
    size_t i = thread();
    if (i >= channels * elements) return;
    size_t channel = i % channels, element = i / channels;
    if (flipped) element = elements - 1 - element;
    float value = w[channel * elements + element];
    packed[i] = scale ? value * scale[channel] : value;
}

// y[n, i, j, c] = sum_k w[k][c] x[...]; a thread for each pixel of the result.
template <int V, typename T>
static __device__ void forward(const T *x, const float *w, T *y, After<T> after, Sizes s,
                               unsigned count) {
    size_t i = thread();
    if (i >= count) return;
    unsigned groups = s.channels / V, pixel = (unsigned)i / groups;
    int c = (int)((unsigned)i % groups) * V;
    int column = (int)(pixel % s.out_width);
    int row = (int)(pixel / s.out_width % s.out_height);
    size_t image = pixel / s.out_width / s.out_height;
    const T *from = x + image * s.height * s.width * s.channels + c;
    float sum[V] = {}, value[V], factor[V];
    for (int k = 0; k < s.kernel_y; k++) {
        int yy = row * s.stride_y + k * s.dilation_y - s.padding_y;
        if (yy < 0 || yy >= s.height) continue;
        for (int l = 0; l < s.kernel_x; l++) {
            int xx = column * s.stride_x + l * s.dilation_x - s.padding_x;
            if (xx < 0 || xx >= s.width) continue;
            load_some(from, ((size_t)yy * s.width + xx) * s.channels, value);
            load_some(w, (size_t)(k * s.kernel_x + l) * s.channels + c, factor);
            for (int q = 0; q < V; q++) sum[q] += value[q] * factor[q];
        }
    }
    finish(y, (size_t)pixel * s.channels + c, c, sum, after);
}

// dx[n, y, x, c] = sum_k w[k][c] dy[...]; a thread for each pixel of the input.
template <int V, typename T>
static __device__ void data(const T *dy, const float *w, T *dx, After<T> after, Sizes s,
                            unsigned count) {
    size_t i = thread();
    if (i >= count) return;
    unsigned groups = s.channels / V, pixel = (unsigned)i / groups;
    int c = (int)((unsigned)i % groups) * V;
    int xx = (int)(pixel % s.width);
    int yy = (int)(pixel / s.width % s.height);
    size_t image = pixel / s.width / s.height;
    const T *from = dy + image * s.out_height * s.out_width * s.channels + c;
    float sum[V] = {}, value[V], factor[V];
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
            load_some(from, ((size_t)row * s.out_width + column) * s.channels, value);
            load_some(w, (size_t)(k * s.kernel_x + l) * s.channels + c, factor);
            for (int q = 0; q < V; q++) sum[q] += value[q] * factor[q];
        }
    }
    finish(dx, (size_t)pixel * s.channels + c, c, sum, after);
}

// The elements of a kernel whose sums a thread keeps at a time.
constexpr int ELEMENTS = 9;

// parts[block][element][channel] = sum over the block's pixels of dy x; blocks of 32 channels by
// 8 pixels at a time; gridDim.x stretches of pixels, gridDim.y groups of channels, gridDim.z
// groups of elements.
template <typename T>
static __device__ void weight(const T *x, const T *dy, float *parts, Sizes s, unsigned pixels) {
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

// Results that a thread has in a row.
constexpr int ROW = 4;

// As `forward`, of 3 x 3 elements and stride S; a thread for ROW pixels of a row of the result.
template <int S, typename T>
static __device__ void forward_3(const T *x, const float *w, T *y, After<T> after, Sizes s,
                                 unsigned count) {
    constexpr int V = 4;
    size_t i = thread();
    if (i >= count) return;
    unsigned groups = s.channels / V, tiles = (s.out_width + ROW - 1) / ROW;
    unsigned tile = (unsigned)i / groups;
    int c = (int)((unsigned)i % groups) * V;
    int column = (int)(tile % tiles) * ROW;
    int row = (int)(tile / tiles % s.out_height);
    size_t image = tile / tiles / s.out_height;
    const T *from = x + image * s.height * s.width * s.channels + c;
    float sums[ROW][V] = {};
#pragma unroll
    for (int k = 0; k < 3; k++) {
        int yy = row * S + k - s.padding_y;
        if (yy < 0 || yy >= s.height) continue;
        float factors[3][V];
#pragma unroll
        for (int l = 0; l < 3; l++) load_some(w, (size_t)(3 * k + l) * s.channels + c, factors[l]);
#pragma unroll
        for (int j = 0; j < (ROW - 1) * S + 3; j++) {
            int xx = column * S + j - s.padding_x;
            if (xx < 0 || xx >= s.width) continue;
            float value[V];
            load_some(from, ((size_t)yy * s.width + xx) * s.channels, value);
#pragma unroll
            for (int t = 0; t < ROW; t++) {
                int l = j - t * S;
                if (l < 0 || l > 2) continue;
#pragma unroll
                for (int q = 0; q < V; q++) sums[t][q] += value[q] * factors[l][q];
            }
        }
    }
    size_t first = ((image * s.out_height + row) * s.out_width + column) * s.channels + c;
#pragma unroll
    for (int t = 0; t < ROW; t++)
        if (column + t < s.out_width)
            finish(y, first + (size_t)t * s.channels, c, sums[t], after);
}

// As `data`, of 3 x 3 elements, stride 2 and padding 1; a thread for ROW pixels of a row of the
// input, from an even one on.
template <typename T>
static __device__ void data_3_2(const T *dy, const float *w, T *dx, After<T> after, Sizes s,
                                unsigned count) {
    constexpr int V = 4;
    size_t i = thread();
    if (i >= count) return;
    unsigned groups = s.channels / V, tiles = (s.width + ROW - 1) / ROW;
    unsigned tile = (unsigned)i / groups;
    int c = (int)((unsigned)i % groups) * V;
    int column = (int)(tile % tiles) * ROW;
    int yy = (int)(tile / tiles % s.height);
    size_t image = tile / tiles / s.height;
    const T *from = dy + image * s.out_height * s.out_width * s.channels + c;
    float sums[ROW][V] = {};
#pragma unroll
    for (int k = 0; k < 3; k++) {
        int twice = yy + 1 - k;
        if (twice < 0 || twice % 2 != 0 || twice / 2 >= s.out_height) continue;
        float factors[3][V];
#pragma unroll
        for (int l = 0; l < 3; l++) load_some(w, (size_t)(3 * k + l) * s.channels + c, factors[l]);
#pragma unroll
        for (int j = 0; j <= ROW / 2; j++) {
            int result = column / 2 + j;
            if (result >= s.out_width) continue;
            float value[V];
            load_some(from, ((size_t)(twice / 2) * s.out_width + result) * s.channels, value);
#pragma unroll
            for (int t = 0; t < ROW; t++) {
                int l = t + 1 - 2 * j;
                if (l < 0 || l > 2) continue;
#pragma unroll
                for (int q = 0; q < V; q++) sums[t][q] += value[q] * factors[l][q];
            }
        }
    }
    size_t first = ((image * s.height + yy) * s.width + column) * s.channels + c;
#pragma unroll
    for (int t = 0; t < ROW; t++)
        if (column + t < s.width) finish(dx, first + (size_t)t * s.channels, c, sums[t], after);
}

// As `weight`, of 3 x 3 elements and stride S: blocks of 8 x 4 channels by 32 rows of results, of
// `lines` in all. A thread goes along a row and keeps what the next result reads again.
template <int S, typename T>
static __device__ void weight_3(const T *x, const T *dy, float *parts, Sizes s, unsigned lines) {
    constexpr int V = 4;
    int c = (blockIdx.y * 8 + threadIdx.x) * V;
    float sums[9][V] = {};
    if (c < s.channels)
        for (unsigned line = blockIdx.x * 32 + threadIdx.y; line < lines; line += gridDim.x * 32) {
            int row = (int)(line % s.out_height);
            size_t image = line / s.out_height;
            const T *from = x + image * s.height * s.width * s.channels + c;
            const T *d = dy + (size_t)line * s.out_width * s.channels + c;
            float seen[3][3][V] = {};
            for (int column = 0; column < s.out_width; column++) {
                // the last 3 - S columns are read again; before the first there is nothing
                int fresh = column == 0 ? 0 : 3 - S;
#pragma unroll
                for (int k = 0; k < 3; k++) {
                    int yy = row * S + k - s.padding_y;
#pragma unroll
                    for (int l = 0; l < 3; l++) {
                        if (l < fresh) {
#pragma unroll
                            for (int q = 0; q < V; q++) seen[k][l][q] = seen[k][(l + S) % 3][q];
                            continue;
                        }
                        int xx = column * S + l - s.padding_x;
                        if (yy < 0 || yy >= s.height || xx < 0 || xx >= s.width) {
#pragma unroll
                            for (int q = 0; q < V; q++) seen[k][l][q] = 0;
                        } else {
                            load_some(from, ((size_t)yy * s.width + xx) * s.channels, seen[k][l]);
                        }
                    }
                }
                float value[V];
                load_some(d, (size_t)column * s.channels, value);
#pragma unroll
                for (int k = 0; k < 3; k++)
#pragma unroll
                    for (int l = 0; l < 3; l++)
#pragma unroll
                        for (int q = 0; q < V; q++) sums[3 * k + l][q] += value[q] * seen[k][l][q];
            }
        }
    __shared__ float shared[32][33];
    int channel = blockIdx.y * 32 + threadIdx.y;
#pragma unroll
    for (int e = 0; e < 9; e++) {
#pragma unroll
        for (int q = 0; q < V; q++) shared[threadIdx.y][threadIdx.x * V + q] = sums[e][q];
        __syncthreads();
        if (threadIdx.x == 0 && channel < s.channels) {
            float sum = 0;
            for (int q = 0; q < 32; q++) sum += shared[q][threadIdx.y];
            parts[((size_t)blockIdx.x * 9 + e) * s.channels + channel] = sum;
        }
        __syncthreads();
    }
}

// dw[channel][element] = sum over the parts, in f64; blocks of 32 sums by 8 parts at a time.
extern "C" __global__ void join(const float *parts, float *dw, size_t count, size_t channels,
                                size_t elements) {
    size_t i = blockIdx.x * 32 + threadIdx.x, n = channels * elements;
    double sum = 0;
    if (i < n)
        for (size_t part = threadIdx.y; part < count; part += 8) sum += parts[part * n + i];
    __shared__ double shared[8][32];
    shared[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && i < n) {
        sum = 0;
        for (int q = 0; q < 8; q++) sum += shared[q][threadIdx.x];
        dw[i % channels * elements + i / channels] = (float)sum;
    }
}

#define KERNELS(T)                                                                                 \
    extern "C" __global__ void weight_##T(const T *x, const T *dy, float *parts, Sizes s,          \
                                          unsigned pixels) {                                       \
        weight(x, dy, parts, s, pixels);                                                           \
    }                                                                                              \
    extern "C" __global__ void data_3_2_##T(const T *dy, const float *w, T *dx,                    \
                                            const float *shift, const T *added, const T *passed,   \
                                            float low, float high, Sizes s, unsigned count) {      \
        data_3_2(dy, w, dx, After<T>{shift, added, passed, low, high}, s, count);                  \
    }

#define PACKED(T, V)                                                                               \
    extern "C" __global__ void forward_##V##_##T(const T *x, const float *w, T *y,                 \
                                                 const float *shift, const T *added,               \
                                                 const T *passed, float low, float high, Sizes s,  \
                                                 unsigned count) {                                 \
        forward<V>(x, w, y, After<T>{shift, added, passed, low, high}, s, count);                  \
    }                                                                                              \
    extern "C" __global__ void data_##V##_##T(const T *dy, const float *w, T *dx,                  \
                                              const float *shift, const T *added, const T *passed, \
                                              float low, float high, Sizes s, unsigned count) {    \
        data<V>(dy, w, dx, After<T>{shift, added, passed, low, high}, s, count);                   \
    }

#define STRIDED(T, S)                                                                              \
    extern "C" __global__ void forward_3_##S##_##T(                                                \
        const T *x, const float *w, T *y, const float *shift, const T *added, const T *passed,     \
        float low, float high, Sizes s, unsigned count) {                                          \
        forward_3<S>(x, w, y, After<T>{shift, added, passed, low, high}, s, count);                \
    }                                                                                              \
    extern "C" __global__ void weight_3_##S##_##T(const T *x, const T *dy, float *parts, Sizes s,  \
                                                  unsigned lines) {                                \
        weight_3<S>(x, dy, parts, s, lines);                                                       \
    }

KERNELS(float)
KERNELS(bf16)
PACKED(float, 1)
PACKED(float, 4)
PACKED(bf16, 1)
PACKED(bf16, 4)
STRIDED(float, 1)
STRIDED(float, 2)
STRIDED(bf16, 1)
STRIDED(bf16, 2)
