// Loops over values, and over matrices.

#include "kernel.cuh"

template <typename T>
static __device__ void add(const T *a, const T *b, T *sum, size_t n) {
    size_t i = thread();
    if (i < n) store(sum, i, load(a, i) + load(b, i));
}

// The activation of x.
template <typename T>
static __device__ void clip_all(const T *x, T *y, float low, float high, size_t n) {
    size_t i = thread();
    if (i < n) store(y, i, clip(load(x, i), low, high));
}

// The gradient of what an activation was given, from its result y.
template <typename T>
static __device__ void pass_all(const T *y, const T *dy, T *dx, float low, float high, size_t n) {
    size_t i = thread();
    if (i < n) store(dx, i, pass(load(y, i), load(dy, i), low, high));
}

// dx <- pass(y, dx + added); y and added may be missing.
template <typename T>
static __device__ void end(T *dx, const T *added, const T *y, float low, float high, size_t n) {
    size_t i = thread();
    if (i >= n) return;
    float d = load(dx, i);
    if (added) d += load(added, i);
    if (y) d = pass(load(y, i), d, low, high);
    store(dx, i, d);
}

// some[i] = values[rows[i]], rows of `row` values each.
template <typename T>
static __device__ void take_rows(const T *values, const unsigned *rows, T *some, size_t row, size_t n) {
    size_t i = thread();
    if (i < n) some[i] = values[rows[i / row] * row + i % row];
}

// Each of gridDim.z matrices [rows, columns] turned to [columns, rows], by tiles of 32 x 32;
// blocks of 32 x 8 threads.
template <typename T>
static __device__ void turn(const T *from, T *to, unsigned rows, unsigned columns) {
    __shared__ float tile[32][33];
    size_t matrix = (size_t)blockIdx.z * rows * columns;
    unsigned column = blockIdx.x * 32 + threadIdx.x, row = blockIdx.y * 32 + threadIdx.y;
    for (unsigned i = 0; i < 32; i += 8)
        if (row + i < rows && column < columns)
            tile[threadIdx.y + i][threadIdx.x] = load(from, matrix + (size_t)(row + i) * columns + column);
    __syncthreads();
    column = blockIdx.y * 32 + threadIdx.x;
    row = blockIdx.x * 32 + threadIdx.y;
    for (unsigned i = 0; i < 32; i += 8)
        if (row + i < columns && column < rows)
            store(to, matrix + (size_t)(row + i) * rows + column, tile[threadIdx.x][threadIdx.y + i]);
}

template <typename From, typename To>
static __device__ void cast(const From *from, To *to, size_t n) {
    size_t i = thread();
    if (i < n) store(to, i, load(from, i));
}

#define KERNELS(T)                                                                                 \
    extern "C" __global__ void add_##T(const T *a, const T *b, T *sum, size_t n) {                 \
        add(a, b, sum, n);                                                                         \
    }                                                                                              \
    extern "C" __global__ void clip_##T(const T *x, T *y, float low, float high, size_t n) {       \
        clip_all(x, y, low, high, n);                                                              \
    }                                                                                              \
    extern "C" __global__ void pass_##T(const T *y, const T *dy, T *dx, float low, float high,     \
                                        size_t n) {                                                \
        pass_all(y, dy, dx, low, high, n);                                                         \
    }                                                                                              \
    extern "C" __global__ void end_##T(T *dx, const T *added, const T *y, float low, float high,   \
                                       size_t n) {                                                 \
        end(dx, added, y, low, high, n);                                                           \
    }                                                                                              \
    extern "C" __global__ void rows_##T(const T *values, const unsigned *rows, T *some,            \
                                        size_t row, size_t n) {                                    \
        take_rows(values, rows, some, row, n);                                                     \
    }                                                                                              \
    extern "C" __global__ void turn_##T(const T *from, T *to, unsigned rows, unsigned columns) {   \
        turn(from, to, rows, columns);                                                             \
    }

KERNELS(float)
KERNELS(bf16)

extern "C" __global__ void cast_float_bf16(const float *from, bf16 *to, size_t n) {
    cast(from, to, n);
}
extern "C" __global__ void cast_bf16_float(const bf16 *from, float *to, size_t n) {
    cast(from, to, n);
}
