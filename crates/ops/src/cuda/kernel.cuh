// What the kernels share: values of f32 or bf16, computed in f32.
#pragma once

#include <cuda_bf16.h>

typedef __nv_bfloat16 bf16;

static __device__ __forceinline__ float load(const float *values, size_t i) { return values[i]; }
static __device__ __forceinline__ float load(const bf16 *values, size_t i) {
    return __bfloat162float(values[i]);
}

static __device__ __forceinline__ void store(float *values, size_t i, float value) {
    values[i] = value;
}
static __device__ __forceinline__ void store(bf16 *values, size_t i, float value) {
    values[i] = __float2bfloat16(value);
}

// The activation of a value; comparisons that are false let NaN pass, as on the CPU.
static __device__ __forceinline__ float clip(float x, float low, float high) {
    x = x <= low ? low : x;
    return x >= high ? high : x;
}

// The gradient d of the result y as one of the argument: an infinite bound cuts nothing.
static __device__ __forceinline__ float pass(float y, float d, float low, float high) {
    d = y <= low && low > -INFINITY ? 0.0f : d;
    return y >= high && high < INFINITY ? 0.0f : d;
}

static __device__ __forceinline__ size_t thread() {
    return blockIdx.x * (size_t)blockDim.x + threadIdx.x;
}
