// Signs as bits, and pixels that are pushed by them; images are planes. Rounded after each
// operation, as on the CPU: no product is fused with a sum.

#include "kernel.cuh"

// As on the CPU: added to a map's range.
#define EPSILON 1e-7f

static __device__ __forceinline__ float clamp(float x, float low, float high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

static __device__ __forceinline__ float sign(const unsigned char *bits, size_t i) {
    return bits[i / 8] >> (i % 8) & 1 ? 1.0f : -1.0f;
}

// A thread has a byte: eight values of an image, whose pixels lie with their channels last.
// flags[image] becomes 1 if one of its values is not finite.
extern "C" __global__ void signs(const float *values, unsigned char *bits, float *flags,
                                 unsigned channels, unsigned plane, unsigned bytes, size_t n) {
    size_t at = thread();
    if (at >= n) return;
    size_t image = at / bytes;
    unsigned length = channels * plane, from = at % bytes * 8;
    const float *of = values + image * length;
    unsigned byte = 0;
    bool finite = true;
    for (unsigned k = 0; k < 8 && from + k < length; k++) {
        unsigned channel = (from + k) / plane, pixel = (from + k) % plane;
        float value = of[(size_t)pixel * channels + channel];
        byte |= (unsigned)!(value < 0.0f) << k;
        finite = finite && isfinite(value);
    }
    bits[at] = byte;
    // whoever finds one writes the same
    if (!finite) flags[image] = 1.0f;
}

struct Point {
    unsigned below, above;
    float weight; // of `above`
};

static __device__ __forceinline__ Point point(unsigned i, unsigned from, float scale) {
    float at = fmaxf(__fsub_rn(__fmul_rn(scale, i + 0.5f), 0.5f), 0.0f);
    unsigned below = min((unsigned)at, from - 1);
    return {below, min(below + 1, from - 1), __fsub_rn(at, below)};
}

static __device__ __forceinline__ float mix(float a, float b, float weight) {
    return __fadd_rn(__fmul_rn(__fsub_rn(1.0f, weight), a), __fmul_rn(weight, b));
}

// How maps of h x w are brought to images of height x width.
struct Resize {
    unsigned h, w, height, width;

    // The map at a pixel, between four of its own.
    __device__ __forceinline__ float operator()(const float *map, unsigned pixel) const {
        Point row = point(pixel / width, h, __fdiv_rn(h, height));
        Point column = point(pixel % width, w, __fdiv_rn(w, width));
        const float *first = map + row.below * w, *second = map + row.above * w;
        return mix(mix(first[column.below], first[column.above], column.weight),
                   mix(second[column.below], second[column.above], column.weight), row.weight);
    }
};

// The least and the greatest value of each map at the size of its image; a block for each.
extern "C" __global__ void range(const float *maps, float *ranges, unsigned h, unsigned w,
                                 unsigned height, unsigned width) {
    const float *map = maps + (size_t)blockIdx.x * h * w;
    Resize resize = {h, w, height, width};
    float low = INFINITY, high = -INFINITY;
    for (unsigned pixel = threadIdx.x; pixel < height * width; pixel += blockDim.x) {
        float value = resize(map, pixel);
        low = fminf(low, value);
        high = fmaxf(high, value);
    }
    __shared__ float lows[32], highs[32];
    for (unsigned reach = 16; reach; reach /= 2) {
        low = fminf(low, __shfl_xor_sync(~0u, low, reach));
        high = fmaxf(high, __shfl_xor_sync(~0u, high, reach));
    }
    if (threadIdx.x % 32 == 0) {
        lows[threadIdx.x / 32] = low;
        highs[threadIdx.x / 32] = high;
    }
    __syncthreads();
    if (threadIdx.x) return;
    for (unsigned warp = 1; warp < blockDim.x / 32; warp++) {
        low = fminf(low, lows[warp]);
        high = fmaxf(high, highs[warp]);
    }
    ranges[2 * blockIdx.x] = low;
    ranges[2 * blockIdx.x + 1] = high;
}

// A thread has a pixel: `pushed` of an image, from the row of `images` that is its own.
extern "C" __global__ void push(const float *images, const unsigned *rows, const unsigned char *bits,
                                const float *maps, const float *ranges, const float *epsilon,
                                float *pushed, unsigned h, unsigned w, unsigned height, unsigned width,
                                unsigned channels, unsigned bytes, size_t n) {
    size_t at = thread();
    if (at >= n) return;
    unsigned plane = height * width;
    size_t image = at / plane;
    unsigned pixel = at % plane;
    float low = ranges[2 * image], high = ranges[2 * image + 1];
    float value = Resize{h, w, height, width}(maps + image * h * w, pixel);
    float g = __fdiv_rn(__fsub_rn(value, low), __fadd_rn(EPSILON, __fsub_rn(high, low)));
    const float *x = images + (size_t)rows[image] * channels * plane;
    float *to = pushed + image * channels * plane;
    for (unsigned c = 0; c < channels; c++) {
        size_t i = (size_t)c * plane + pixel;
        float step = __fmul_rn(epsilon[c], __fsub_rn(1.0f, g));
        to[i] = clamp(__fadd_rn(x[i], __fmul_rn(step, sign(bits + image * bytes, i))), 0.0f, 1.0f);
    }
}

// A thread has a value.
extern "C" __global__ void pgd_step(const float *images, const float *perturbed,
                                    const unsigned char *bits, float *next, float epsilon,
                                    size_t length, size_t bytes, size_t n) {
    size_t at = thread();
    if (at >= n) return;
    float x = images[at], step = epsilon / 4.0f;
    float low = fmaxf(__fsub_rn(x, epsilon), 0.0f), high = fminf(__fadd_rn(x, epsilon), 1.0f);
    float pushed = __fmul_rn(step, sign(bits + at / length * bytes, at % length));
    next[at] = clamp(__fadd_rn(perturbed[at], pushed), low, high);
}
