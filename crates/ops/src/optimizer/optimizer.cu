// One step with all parameters. Each block takes a chunk of one of them.

#include "kernel.cuh"

#define CHUNK ((size_t)1 << 15)

// What the table says of a parameter.
struct Row {
    float *parameter;
    const float *gradient;
    float *moments[2];
    size_t length;
    size_t first; // its first chunk
};

// Rounded after each operation, as on the CPU: no product is fused with a sum.
struct Adam {
    float size, root, take, keep, add, epsilon, decay;

    __device__ __forceinline__ void operator()(float &p, float g, float &m, float &v) const {
        g = __fadd_rn(g, __fmul_rn(decay, p));
        m = __fadd_rn(m, __fmul_rn(take, __fsub_rn(g, m)));
        v = __fadd_rn(__fmul_rn(v, keep), __fmul_rn(__fmul_rn(add, g), g));
        float deviation = __fadd_rn(__fdiv_rn(__fsqrt_rn(v), root), epsilon);
        p = __fsub_rn(p, __fmul_rn(size, __fdiv_rn(m, deviation)));
    }
};

struct Sgd {
    float rate, decay;

    __device__ __forceinline__ void operator()(float &p, float g, float &, float &) const {
        p = __fsub_rn(p, __fmul_rn(rate, __fadd_rn(g, __fmul_rn(decay, p))));
    }
};

struct Momentum {
    float rate, momentum, decay;

    __device__ __forceinline__ void operator()(float &p, float g, float &b, float &) const {
        b = __fadd_rn(__fmul_rn(momentum, b), __fadd_rn(g, __fmul_rn(decay, p)));
        p = __fsub_rn(p, __fmul_rn(rate, b));
    }
};

static __device__ __forceinline__ bool is_aligned(const void *address) {
    return ((size_t)address & 15) == 0;
}

// flags[i] becomes 1 if parameter i did not stay finite.
template <int MOMENTS, typename Rule>
static __device__ void step(const Row *rows, unsigned count, float *flags, Rule rule) {
    // the last parameter whose first chunk is not behind this one
    unsigned row = 0, end = count;
    while (end - row > 1) {
        unsigned middle = (row + end) / 2;
        if (rows[middle].first <= blockIdx.x)
            row = middle;
        else
            end = middle;
    }
    Row of = rows[row];
    size_t from = (blockIdx.x - of.first) * CHUNK;
    size_t to = from + CHUNK < of.length ? from + CHUNK : of.length;
    bool aligned = is_aligned(of.parameter) && is_aligned(of.gradient);
    for (int k = 0; k < MOMENTS; k++) aligned = aligned && is_aligned(of.moments[k]);
    // by fours up to here
    size_t fours = aligned ? to & ~(size_t)3 : from;

    bool finite = true;
    for (size_t i = from / 4 + threadIdx.x; i < fours / 4; i += blockDim.x) {
        float4 p = ((const float4 *)of.parameter)[i];
        float4 g = ((const float4 *)of.gradient)[i];
        float4 m[2] = {};
        for (int k = 0; k < MOMENTS; k++) m[k] = ((const float4 *)of.moments[k])[i];
        rule(p.x, g.x, m[0].x, m[1].x);
        rule(p.y, g.y, m[0].y, m[1].y);
        rule(p.z, g.z, m[0].z, m[1].z);
        rule(p.w, g.w, m[0].w, m[1].w);
        ((float4 *)of.parameter)[i] = p;
        for (int k = 0; k < MOMENTS; k++) ((float4 *)of.moments[k])[i] = m[k];
        finite = finite && isfinite(p.x) && isfinite(p.y) && isfinite(p.z) && isfinite(p.w);
    }
    for (size_t i = fours + threadIdx.x; i < to; i += blockDim.x) {
        float p = of.parameter[i], m[2] = {};
        for (int k = 0; k < MOMENTS; k++) m[k] = of.moments[k][i];
        rule(p, of.gradient[i], m[0], m[1]);
        of.parameter[i] = p;
        for (int k = 0; k < MOMENTS; k++) of.moments[k][i] = m[k];
        finite = finite && isfinite(p);
    }
    // whoever finds one writes the same
    if (!finite) flags[row] = 1.0f;
}

extern "C" __global__ void adam(const Row *rows, unsigned count, float *flags, float size,
                                float root, float take, float keep, float add, float epsilon,
                                float decay) {
    step<2>(rows, count, flags, Adam{size, root, take, keep, add, epsilon, decay});
}

extern "C" __global__ void sgd(const Row *rows, unsigned count, float *flags, float rate,
                               float decay) {
    step<0>(rows, count, flags, Sgd{rate, decay});
}

extern "C" __global__ void momentum(const Row *rows, unsigned count, float *flags, float rate,
                                    float momentum, float decay) {
    step<1>(rows, count, flags, Momentum{rate, momentum, decay});
}
