// Some neighbouring values at a time.
#pragma once

#include "kernel.cuh"

// V values that are loaded and stored as one: they lie at a multiple of their size.
template <int V, typename T> struct alignas(V * sizeof(T)) Pack {
    T values[V];
};

template <int V, typename T>
static __device__ __forceinline__ void load_some(const T *from, size_t i, float (&values)[V]) {
    Pack<V, T> pack = *reinterpret_cast<const Pack<V, T> *>(from + i);
#pragma unroll
    for (int k = 0; k < V; k++) values[k] = load(pack.values, k);
}

template <int V, typename T>
static __device__ __forceinline__ void store_some(T *to, size_t i, const float (&values)[V]) {
    Pack<V, T> pack;
#pragma unroll
    for (int k = 0; k < V; k++) store(pack.values, k, values[k]);
    *reinterpret_cast<Pack<V, T> *>(to + i) = pack;
}

// The same of channels' parameters, `nothing` where there are none.
template <int V>
static __device__ __forceinline__ void load_or(const float *from, size_t i, float nothing,
                                               float (&values)[V]) {
    if (from) {
        load_some(from, i, values);
    } else {
#pragma unroll
        for (int k = 0; k < V; k++) values[k] = nothing;
    }
}
