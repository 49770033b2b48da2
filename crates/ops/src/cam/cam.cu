// Class activation maps. Activations and gradients lie with their channels last.

#include "kernel.cuh"

// As on the CPU: what keeps divisions from being by 0.
#define ACTIVE 1e-7
#define STEEP 1e-6

enum Weighing { GRAD_CAM, XGRAD_CAM, GRAD_CAM_PLUS_PLUS };

// The weight of a channel of an image; a thread for each.
template <Weighing W>
static __device__ void weigh(const float *activation, const float *gradient, float *weights,
                             unsigned channels, unsigned area, size_t n) {
    size_t at = thread();
    if (at >= n) return;
    size_t first = at / channels * area * channels + at % channels;
    double active = 0, sum = 0;
    for (unsigned place = 0; place < area; place++) {
        size_t i = first + (size_t)place * channels;
        if (W != GRAD_CAM) active += activation[i];
        if (W == GRAD_CAM) sum += gradient[i];
        if (W == XGRAD_CAM) sum += activation[i] * gradient[i];
    }
    if (W == GRAD_CAM_PLUS_PLUS)
        for (unsigned place = 0; place < area; place++) {
            double g = gradient[first + (size_t)place * channels];
            // what is no number is kept, and stays visible
            if (!(g <= 0)) sum += g * g / (2 * g * g + active * g * g * g + STEEP) * g;
        }
    if (W == GRAD_CAM) sum /= area;
    if (W == XGRAD_CAM) sum /= active + ACTIVE;
    weights[at] = (float)sum;
}

enum Factor { BY_CHANNEL, BY_PLACE, BY_PLACE_IF_POSITIVE };

// The map at a place: the sum of its weighed channels, by a warp. `factors` has one for each
// channel of an image, or is the gradient.
template <Factor F>
static __device__ void join(const float *activation, const float *factors, float *maps,
                            unsigned channels, unsigned area, size_t places) {
    size_t place = blockIdx.x * (size_t)blockDim.y + threadIdx.y;
    if (place >= places) return;
    const float *a = activation + place * channels;
    const float *f = factors + (F == BY_CHANNEL ? place / area : place) * channels;
    double sum = 0;
    for (unsigned c = threadIdx.x; c < channels; c += 32) {
        float factor = f[c];
        if (F == BY_PLACE_IF_POSITIVE && factor <= 0.0f) factor = 0.0f;
        sum += a[c] * factor;
    }
    for (unsigned reach = 16; reach; reach /= 2) sum += __shfl_xor_sync(~0u, sum, reach);
    if (threadIdx.x == 0) maps[place] = (float)sum;
}

#define WEIGH(name, W)                                                                             \
    extern "C" __global__ void name(const float *activation, const float *gradient,                \
                                    float *weights, unsigned channels, unsigned area, size_t n) {  \
        weigh<W>(activation, gradient, weights, channels, area, n);                                \
    }

#define JOIN(name, F)                                                                              \
    extern "C" __global__ void name(const float *activation, const float *factors, float *maps,    \
                                    unsigned channels, unsigned area, size_t places) {             \
        join<F>(activation, factors, maps, channels, area, places);                                \
    }

WEIGH(grad_cam, GRAD_CAM)
WEIGH(xgrad_cam, XGRAD_CAM)
WEIGH(grad_cam_plus_plus, GRAD_CAM_PLUS_PLUS)
JOIN(by_channel, BY_CHANNEL)
JOIN(by_place, BY_PLACE)
JOIN(by_place_if_positive, BY_PLACE_IF_POSITIVE)
