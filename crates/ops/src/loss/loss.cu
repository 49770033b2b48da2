// Losses of logits, in f64 inside: the formulas of `softmax.rs` and `loss.rs`.
//
// Where a sum is taken, a warp has a sample: blocks of 32 x SAMPLES threads.

#include "kernel.cuh"

static __device__ __forceinline__ size_t sample() {
    return blockIdx.x * (size_t)blockDim.y + threadIdx.y;
}

// The sum over the warp, in all of its threads.
static __device__ __forceinline__ double sum(double value) {
#pragma unroll
    for (int lanes = 16; lanes > 0; lanes /= 2) value += __shfl_xor_sync(~0u, value, lanes);
    return value;
}

struct Split {
    // The highest logit; NaN if one is.
    double top;
    // The sum of exp(z - top) over all others than the first of the highest.
    double others;
};

static __device__ Split split(const float *z, unsigned classes) {
    float top = -INFINITY;
    // beyond all classes: the first one is taken even if it is -inf
    unsigned highest = ~0u;
    for (unsigned k = threadIdx.x; k < classes; k += 32)
        if (highest == ~0u || z[k] > top || isnan(z[k])) {
            top = z[k];
            highest = k;
        }
#pragma unroll
    for (int lanes = 16; lanes > 0; lanes /= 2) {
        float value = __shfl_xor_sync(~0u, top, lanes);
        unsigned k = __shfl_xor_sync(~0u, highest, lanes);
        // the first of equal ones, and NaN before all others: both sides of an exchange agree
        bool nan = isnan(value), mine = isnan(top);
        bool higher = nan != mine ? nan : nan || value == top ? k < highest : value > top;
        if (k != ~0u && (highest == ~0u || higher)) {
            top = value;
            highest = k;
        }
    }
    double others = 0.0;
    for (unsigned k = threadIdx.x; k < classes; k += 32)
        if (k != highest) others += exp((double)z[k] - (double)top);
    return {(double)top, sum(others)};
}

extern "C" __global__ void cross_entropy(const float *z, const unsigned *labels, float *losses,
                                         size_t samples, unsigned classes) {
    size_t i = sample();
    if (i >= samples) return;
    z += i * classes;
    Split s = split(z, classes);
    if (threadIdx.x == 0) losses[i] = (float)(s.top - (double)z[labels[i]] + log1p(s.others));
}

extern "C" __global__ void cross_entropy_back(const float *z, const unsigned *labels,
                                              const float *dy, float *dz, size_t samples,
                                              unsigned classes) {
    size_t i = sample();
    if (i >= samples) return;
    z += i * classes;
    dz += i * classes;
    Split s = split(z, classes);
    unsigned label = labels[i];
    double d = dy[i], all = 0.0;
    for (unsigned k = threadIdx.x; k < classes; k += 32)
        if (k != label) {
            double p = exp((double)z[k] - s.top) / (1.0 + s.others);
            all += p;
            dz[k] = (float)(p * d);
        }
    // p - 1 would lose its digits as p approaches 1
    all = sum(all);
    if (threadIdx.x == 0) dz[label] = (float)(-all * d);
}

// max(z, 0) - z t + ln(1 + exp(-|z|)), the cross entropy of one logit.
static __device__ double binary(double z, double t) {
    double hinge = z < 0.0 ? 0.0 : z;
    return hinge - z * t + log1p(exp(-fabs(z)));
}

static __device__ double logistic(double z) { return 1.0 / (1.0 + exp(-z)); }

extern "C" __global__ void bce(const float *z, const float *targets, float *losses,
                               size_t samples, unsigned classes) {
    size_t i = sample();
    if (i >= samples) return;
    z += i * classes;
    targets += i * classes;
    double loss = 0.0;
    for (unsigned k = threadIdx.x; k < classes; k += 32) loss += binary(z[k], targets[k]);
    loss = sum(loss);
    if (threadIdx.x == 0) losses[i] = (float)(loss / classes);
}

extern "C" __global__ void bce_back(const float *z, const float *targets, const float *dy,
                                    float *dz, size_t samples, unsigned classes) {
    size_t i = thread();
    if (i >= samples * classes) return;
    double t = targets[i], value = z[i], scale = (double)dy[i / classes] / classes;
    // sigmoid(z) - t, without taking 1 from what is nearly 1
    double difference = t == 1.0 ? -logistic(-value) : logistic(value) - t;
    dz[i] = (float)(difference * scale);
}
