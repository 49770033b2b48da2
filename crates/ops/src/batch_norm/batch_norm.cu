// Batch normalisation of pixels of `channels` values.
//
// A block is of blockDim.x groups of V channels by blockDim.y pixels, at most THREADS threads in
// all: neighbours read neighbours, whatever the number of channels. blockIdx.x counts pieces of
// the pixels, blockIdx.y tiles of the channels.

#include "pack.cuh"
#include "rows.cuh"

// Pixels that a thread of a pass over memory has.
#define PIXELS 4
// Values whose sum is taken in f32, which would lose digits over more.
#define SHORT 8

template <int V> static __device__ __forceinline__ unsigned first_channel() {
    return (blockIdx.y * blockDim.x + threadIdx.x) * V;
}

// One rounding, and the same one on the way back.
static __device__ __forceinline__ float normalized(float x, float mean, float scale, float shift) {
    return __fmaf_rn(x - mean, scale, shift);
}

// Writes both sums of what `add(pixel, u, v)` adds for each of a block's `piece` pixels, as row
// blockIdx.x of partial[gridDim.x][2][channels].
template <int V, typename F>
static __device__ __forceinline__ void sum_pixels(F add, double *partial, size_t piece,
                                                  size_t pixels, unsigned channels) {
    unsigned channel = first_channel<V>();
    size_t step = blockDim.y, first = blockIdx.x * piece, end = min(first + piece, pixels);
    double sums[2 * V] = {};
    // all threads of a block come to its barriers
    if (channel < channels) {
        for (size_t pixel = first + threadIdx.y; pixel < end; pixel += SHORT * step) {
            float u[V] = {}, v[V] = {};
            if (pixel + (SHORT - 1) * step < end) {
#pragma unroll
                for (int i = 0; i < SHORT; i++) add(pixel + i * step, u, v);
            } else {
                for (size_t p = pixel; p < end; p += step) add(p, u, v);
            }
#pragma unroll
            for (int k = 0; k < V; k++) {
                sums[k] += u[k];
                sums[V + k] += v[k];
            }
        }
    }
    sum_rows(sums);
    if (threadIdx.y > 0 || channel >= channels) return;
    double *row = partial + (size_t)blockIdx.x * 2 * channels + channel;
#pragma unroll
    for (int k = 0; k < V; k++) {
        row[k] = sums[k];
        row[channels + k] = sums[V + k];
    }
}

// The differences of the values to the first of their channel, and the squares of these.
template <int V, typename T>
static __device__ void moments(const T *__restrict__ x, double *partial, size_t piece,
                               size_t pixels, unsigned channels) {
    unsigned channel = first_channel<V>();
    float origin[V] = {};
    if (channel < channels) load_some(x, channel, origin);
    auto add = [&](size_t pixel, float(&u)[V], float(&v)[V]) {
        float value[V];
        load_some(x, pixel * channels + channel, value);
#pragma unroll
        for (int k = 0; k < V; k++) {
            float d = value[k] - origin[k];
            u[k] += d;
            v[k] += d * d;
        }
    };
    sum_pixels<V>(add, partial, piece, pixels, channels);
}

// The gradients d of results, and d (x - mean). With a shift, d has passed an activation first.
template <int V, typename T>
static __device__ void products(const T *__restrict__ dy, const T *__restrict__ x,
                                const float *mean, const float *scale, const float *shift,
                                double *partial, float low, float high, size_t piece,
                                size_t pixels, unsigned channels) {
    unsigned channel = first_channel<V>();
    float m[V] = {}, s[V] = {}, b[V] = {};
    if (channel < channels) {
        load_some(mean, channel, m);
        load_some(scale, channel, s);
        load_or(shift, channel, 0.0f, b);
    }
    bool recompute = shift != nullptr;
    auto add = [&](size_t pixel, float(&u)[V], float(&v)[V]) {
        float d[V], value[V];
        load_some(dy, pixel * channels + channel, d);
        load_some(x, pixel * channels + channel, value);
#pragma unroll
        for (int k = 0; k < V; k++) {
            if (recompute) d[k] = pass(normalized(value[k], m[k], s[k], b[k]), d[k], low, high);
            u[k] += d[k];
            v[k] += d[k] * (value[k] - m[k]);
        }
    };
    sum_pixels<V>(add, partial, piece, pixels, channels);
}

// clip((x - mean) scale + shift + added), of each channel; mean, shift and added may be missing.
template <int V, typename T>
static __device__ void apply(const T *__restrict__ x, const T *__restrict__ added,
                             const float *mean, const float *scale, const float *shift,
                             T *__restrict__ y, float low, float high, size_t pixels,
                             unsigned channels) {
    unsigned channel = first_channel<V>();
    if (channel >= channels) return;
    float m[V], s[V], b[V];
    load_or(mean, channel, 0.0f, m);
    load_some(scale, channel, s);
    // which leaves even a negative zero as it is
    load_or(shift, channel, -0.0f, b);
    size_t first = blockIdx.x * (size_t)blockDim.y * PIXELS + threadIdx.y;
    float value[PIXELS][V], more[PIXELS][V] = {};
#pragma unroll
    for (int i = 0; i < PIXELS; i++) {
        size_t pixel = first + i * blockDim.y;
        if (pixel >= pixels) continue;
        load_some(x, pixel * channels + channel, value[i]);
        if (added) load_some(added, pixel * channels + channel, more[i]);
    }
#pragma unroll
    for (int i = 0; i < PIXELS; i++) {
        size_t pixel = first + i * blockDim.y;
        if (pixel >= pixels) continue;
#pragma unroll
        for (int k = 0; k < V; k++) {
            float of = normalized(value[i][k], m[k], s[k], b[k]);
            if (added) of += more[i][k];
            value[i][k] = clip(of, low, high);
        }
        store_some(y, pixel * channels + channel, value[i]);
    }
}

// scale (d - less - (x - mean) slope); with a shift, d has passed an activation first.
template <int V, typename T>
static __device__ void back(const T *__restrict__ dy, const T *__restrict__ x, const float *mean,
                            const float *scale, const float *shift, const float *less,
                            const float *slope, T *__restrict__ dx, float low, float high,
                            size_t pixels, unsigned channels) {
    unsigned channel = first_channel<V>();
    if (channel >= channels) return;
    float m[V], s[V], b[V], l[V], o[V];
    load_some(mean, channel, m);
    load_some(scale, channel, s);
    load_or(shift, channel, 0.0f, b);
    load_some(less, channel, l);
    load_some(slope, channel, o);
    size_t first = blockIdx.x * (size_t)blockDim.y * PIXELS + threadIdx.y;
    float d[PIXELS][V], value[PIXELS][V];
#pragma unroll
    for (int i = 0; i < PIXELS; i++) {
        size_t pixel = first + i * blockDim.y;
        if (pixel >= pixels) continue;
        load_some(dy, pixel * channels + channel, d[i]);
        load_some(x, pixel * channels + channel, value[i]);
    }
#pragma unroll
    for (int i = 0; i < PIXELS; i++) {
        size_t pixel = first + i * blockDim.y;
        if (pixel >= pixels) continue;
#pragma unroll
        for (int k = 0; k < V; k++) {
            float x = value[i][k], of = d[i][k];
            if (shift) of = pass(normalized(x, m[k], s[k], b[k]), of, low, high);
            d[i][k] = s[k] * (of - l[k] - (x - m[k]) * o[k]);
        }
        store_some(dx, pixel * channels + channel, d[i]);
    }
}

// The sums of the rows of partial[rows][2][channels], in the first row of a block; the channel is
// that of the thread.
static __device__ void total(const double *partial, size_t rows, unsigned channels,
                             unsigned channel, double (&sums)[2]) {
    sums[0] = sums[1] = 0.0;
    if (channel < channels)
        for (size_t row = threadIdx.y; row < rows; row += blockDim.y) {
            sums[0] += partial[row * 2 * channels + channel];
            sums[1] += partial[(row * 2 + 1) * channels + channel];
        }
    sum_rows(sums);
}

// What becomes of the sums of `moments`: see `Channel`. exact[2][channels] is what the mean lost
// when it was rounded, and 1 / sqrt(variance + eps).
template <typename T>
static __device__ void statistics(const double *partial, size_t rows, const T *x,
                                  const float *gamma, float *mean, float *variance, float *scale,
                                  double *exact, double count, double eps, unsigned channels) {
    unsigned channel = first_channel<1>();
    double sums[2];
    total(partial, rows, channels, channel, sums);
    if (threadIdx.y > 0 || channel >= channels) return;
    double away = sums[0] / count;
    double squared = sums[1] / count - away * away;
    // fmax() would make a zero of NaN
    squared = squared < 0.0 ? 0.0 : squared;
    double middle = load(x, channel) + away, inverse = 1.0 / sqrt(squared + eps);
    float rounded = (float)middle;
    mean[channel] = rounded;
    variance[channel] = (float)(squared * (count / (count - 1.0)));
    scale[channel] = (float)(gamma[channel] * inverse);
    exact[channel] = middle - rounded;
    exact[channels + channel] = inverse;
}

// What becomes of the sums of `products`: see `Channel`.
extern "C" __global__ void gradients(const double *partial, size_t rows, const double *exact,
                                     float *dgamma, float *dbeta, float *less, float *slope,
                                     double count, unsigned channels) {
    unsigned channel = first_channel<1>();
    double sums[2];
    total(partial, rows, channels, channel, sums);
    if (threadIdx.y > 0 || channel >= channels) return;
    double lost = exact[channel], inverse = exact[channels + channel];
    double product = (sums[1] - lost * sums[0]) * inverse;
    dbeta[channel] = (float)sums[0];
    dgamma[channel] = (float)product;
    less[channel] = (float)(sums[0] / count);
    slope[channel] = (float)(product * inverse / count);
}

// As on the CPU, operation by operation.
extern "C" __global__ void fold(const float *gamma, const float *beta, const float *mean,
                                const float *variance, float *scale, float *shift, double eps,
                                size_t channels) {
    size_t c = thread();
    if (c >= channels) return;
    double factor = gamma[c] / sqrt(__dadd_rn(variance[c], eps));
    scale[c] = (float)factor;
    shift[c] = (float)__dsub_rn(beta[c], __dmul_rn(mean[c], factor));
}

// As on the CPU, operation by operation.
extern "C" __global__ void blend(const float *old, const float *now, float *mixed, double share,
                                 size_t n) {
    size_t i = thread();
    if (i >= n) return;
    double kept = __dmul_rn(1.0 - share, old[i]);
    mixed[i] = (float)__dadd_rn(kept, __dmul_rn(share, now[i]));
}

#define TILED(T, V)                                                                                \
    extern "C" __global__ void __launch_bounds__(THREADS, 4) moments_##T##_##V(                    \
        const T *x, double *partial, size_t piece, size_t pixels, unsigned channels) {             \
        moments<V>(x, partial, piece, pixels, channels);                                           \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(THREADS, 4) products_##T##_##V(                   \
        const T *dy, const T *x, const float *mean, const float *scale, const float *shift,        \
        double *partial, float low, float high, size_t piece, size_t pixels, unsigned channels) {  \
        products<V>(dy, x, mean, scale, shift, partial, low, high, piece, pixels, channels);       \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(THREADS) apply_##T##_##V(                         \
        const T *x, const T *added, const float *mean, const float *scale, const float *shift,     \
        T *y, float low, float high, size_t pixels, unsigned channels) {                           \
        apply<V>(x, added, mean, scale, shift, y, low, high, pixels, channels);                    \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(THREADS) back_##T##_##V(                          \
        const T *dy, const T *x, const float *mean, const float *scale, const float *shift,        \
        const float *less, const float *slope, T *dx, float low, float high, size_t pixels,        \
        unsigned channels) {                                                                       \
        back<V>(dy, x, mean, scale, shift, less, slope, dx, low, high, pixels, channels);          \
    }

#define KERNELS(T)                                                                                 \
    TILED(T, 1)                                                                                    \
    TILED(T, 4)                                                                                    \
    extern "C" __global__ void statistics_##T(const double *partial, size_t rows, const T *x,      \
                                              const float *gamma, float *mean, float *variance,    \
                                              float *scale, double *exact, double count,           \
                                              double eps, unsigned channels) {                     \
        statistics(partial, rows, x, gamma, mean, variance, scale, exact, count, eps, channels);   \
    }

KERNELS(float)
KERNELS(bf16)
