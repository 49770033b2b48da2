// Normalisation of the three channels of pixels.

#include "pack.cuh"

struct Three {
    float values[3];
};

// A thread has V pixels. They come as planes of `plane` pixels, a multiple of V, or with their
// channels last if that is 0; they leave with their channels last.
template <int V, typename T>
static __device__ void normalize(const float *__restrict__ x, T *__restrict__ y, size_t plane,
                                 Three mean, Three std, size_t pixels) {
    size_t pixel = thread() * V;
    if (pixel >= pixels) return;
    float from[3][V], to[3][V];
#pragma unroll
    for (int c = 0; c < 3; c++) {
        size_t place = plane ? (pixel / plane * 3 + c) * plane + pixel % plane : pixel * 3 + c * V;
        load_some(x, place, from[c]);
    }
#pragma unroll
    for (int i = 0; i < 3 * V; i++) {
        float value = plane ? from[i % 3][i / 3] : from[i / V][i % V];
        to[i / V][i % V] = (value - mean.values[i % 3]) / std.values[i % 3];
    }
#pragma unroll
    for (int c = 0; c < 3; c++) store_some(y, pixel * 3 + c * V, to[c]);
}

// The gradient of pixels with their channels last.
template <int V, typename T>
static __device__ void back(const T *__restrict__ dy, float *__restrict__ dx, Three std,
                            size_t pixels) {
    size_t pixel = thread() * V;
    if (pixel >= pixels) return;
    float d[3][V];
#pragma unroll
    for (int c = 0; c < 3; c++) load_some(dy, pixel * 3 + c * V, d[c]);
#pragma unroll
    for (int i = 0; i < 3 * V; i++) d[i / V][i % V] /= std.values[i % 3];
#pragma unroll
    for (int c = 0; c < 3; c++) store_some(dx, pixel * 3 + c * V, d[c]);
}

#define KERNELS(T, V)                                                                              \
    extern "C" __global__ void normalize_##T##_##V(const float *x, T *y, size_t plane, float a,    \
                                                   float b, float c, float d, float e, float f,    \
                                                   size_t pixels) {                                \
        normalize<V>(x, y, plane, {a, b, c}, {d, e, f}, pixels);                                   \
    }                                                                                              \
    extern "C" __global__ void back_##T##_##V(const T *dy, float *dx, float a, float b, float c,   \
                                              size_t pixels) {                                     \
        back<V>(dy, dx, {a, b, c}, pixels);                                                        \
    }

KERNELS(float, 1)
KERNELS(float, 4)
KERNELS(bf16, 1)
KERNELS(bf16, 4)
