// What surrounds the convolutions of cuDNN. Values lie with their channels last.

#include "pack.cuh"

// y <- clip(y + shift[channel] + added, low, high); shift and added may be missing. A thread for V
// channels of a pixel, `count` of them.
template <int V, typename T>
static __device__ void epilogue(T *y, const float *shift, const T *added, float low, float high,
                                unsigned channels, unsigned count) {
    size_t i = thread();
    if (i >= count) return;
    float values[V], more[V];
    load_some(y, i * V, values);
    load_or(shift, (unsigned)i % (channels / V) * V, 0.0f, more);
    for (int k = 0; k < V; k++) values[k] += more[k];
    if (added) {
        load_some(added, i * V, more);
        for (int k = 0; k < V; k++) values[k] += more[k];
    }
    for (int k = 0; k < V; k++) values[k] = clip(values[k], low, high);
    store_some(y, i * V, values);
}

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

// parts[block][channel] = sum over the block's pixels of dy; blocks of 32 channels by 8 pixels at
// a time, gridDim.x stretches of pixels.
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
    extern "C" __global__ void bias_##T(const T *dy, float *parts, size_t channels,                \
                                        size_t pixels) {                                           \
        bias(dy, parts, channels, pixels);                                                         \
    }

#define PACKED(T, V)                                                                               \
    extern "C" __global__ void epilogue_##V##_##T(T *y, const float *shift, const T *added,        \
                                                  float low, float high, unsigned channels,        \
                                                  unsigned count) {                                \
        epilogue<V>(y, shift, added, low, high, channels, count);                                  \
    }

KERNELS(float)
KERNELS(bf16)
PACKED(float, 1)
PACKED(float, 4)
PACKED(bf16, 1)
PACKED(bf16, 4)
