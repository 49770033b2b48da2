// Sums over the rows of a block.
#pragma once

// Threads of a block, at most.
#define THREADS 256

// Adds N values of each thread over the rows of its block, threadIdx.y: the sums are in the first
// row. All threads of a block come here.
template <int N> static __device__ void sum_rows(double (&sums)[N]) {
    __shared__ double tile[N][THREADS];
    unsigned at = threadIdx.y * blockDim.x + threadIdx.x;
#pragma unroll
    for (int k = 0; k < N; k++) tile[k][at] = sums[k];
    __syncthreads();
    for (unsigned rows = blockDim.y; rows > 1;) {
        unsigned half = (rows + 1) / 2;
        if (threadIdx.y + half < rows)
#pragma unroll
            for (int k = 0; k < N; k++) tile[k][at] += tile[k][at + half * blockDim.x];
        __syncthreads();
        rows = half;
    }
#pragma unroll
    for (int k = 0; k < N; k++) sums[k] = tile[k][at];
}
