// Pooling over windows of images with their channels last.
//
// A thread has V channels of a pixel that it writes: blockIdx.x counts the rows of all images,
// and the threads along y the channels of a row.

#include "pack.cuh"

// The windows along one axis, as in `window.rs`.
struct Axis {
    unsigned size, kernel, stride, padding, outputs;

    // The inputs that an output covers, without padding.
    __device__ unsigned first_input(unsigned output) const {
        unsigned start = output * stride;
        return start > padding ? start - padding : 0;
    }
    // An end of a window is not inside of it.
    __device__ unsigned end_input(unsigned output) const {
        unsigned end = output * stride + kernel;
        return end > padding ? min(end - padding, size) : 0;
    }
    // The outputs whose window covers an input.
    __device__ unsigned first_output(unsigned input) const {
        unsigned place = input + padding + 1;
        return place > kernel ? (place - kernel + stride - 1) / stride : 0;
    }
    __device__ unsigned end_output(unsigned input) const {
        return min((input + padding) / stride + 1, outputs);
    }
};

// The windows of adaptive pooling: the same rule gives the outputs of an input.
static __device__ unsigned first_of(unsigned i, unsigned inputs, unsigned outputs) {
    return i * inputs / outputs;
}
static __device__ unsigned end_of(unsigned i, unsigned inputs, unsigned outputs) {
    return ((i + 1) * inputs + outputs - 1) / outputs;
}

// The values of a thread, in an image of this size.
struct Place {
    unsigned image, row, column, channel;
    // Where the first of them lies.
    size_t at;
    bool inside;
};

template <int V>
static __device__ __forceinline__ Place place(unsigned height, unsigned width, unsigned channels) {
    unsigned groups = channels / V, i = blockIdx.y * blockDim.x + threadIdx.x;
    Place place;
    place.image = blockIdx.x / height;
    place.row = blockIdx.x % height;
    place.column = i / groups;
    place.channel = i % groups * V;
    place.at = ((size_t)blockIdx.x * width + place.column) * channels + place.channel;
    place.inside = place.column < width;
    return place;
}

// Where the first value of a row of an image lies.
static __device__ __forceinline__ size_t row_of(unsigned image, unsigned row, unsigned height,
                                                unsigned width, unsigned channels) {
    return ((size_t)image * height + row) * width * channels;
}

// The maxima, and of each the pixel of its image that it is from.
template <int V, typename T>
static __device__ void max_forward(const T *__restrict__ x, T *__restrict__ y,
                                   unsigned *__restrict__ at, Axis rows, Axis columns,
                                   unsigned channels) {
    Place here = place<V>(rows.outputs, columns.outputs, channels);
    if (!here.inside) return;
    unsigned top = rows.first_input(here.row), bottom = rows.end_input(here.row);
    unsigned left = columns.first_input(here.column), right = columns.end_input(here.column);
    float highest[V], value[V];
    Pack<V, unsigned> pixels;
    size_t line = row_of(here.image, top, rows.size, columns.size, channels) + here.channel;
    load_some(x, line + (size_t)left * channels, highest);
#pragma unroll
    for (int k = 0; k < V; k++) pixels.values[k] = top * columns.size + left;
    for (unsigned row = top; row < bottom; row++, line += (size_t)columns.size * channels)
        for (unsigned column = left; column < right; column++) {
            load_some(x, line + (size_t)column * channels, value);
#pragma unroll
            for (int k = 0; k < V; k++) {
                // only the first NaN exceeds
                bool higher = value[k] > highest[k] || (isnan(value[k]) && !isnan(highest[k]));
                highest[k] = higher ? value[k] : highest[k];
                pixels.values[k] = higher ? row * columns.size + column : pixels.values[k];
            }
        }
    store_some(y, here.at, highest);
    *reinterpret_cast<Pack<V, unsigned> *>(at + here.at) = pixels;
}

// What each input gets of the gradients of the maxima that are from it, in the order of these.
// Image i of dy is image some[i] of the maxima, or image i if there is no `some`. To the sums is
// added what came before, and they pass the activation that made `y`, where there are such.
template <int V, typename T>
static __device__ void max_back(const T *__restrict__ dy, const unsigned *__restrict__ at,
                                const unsigned *some, const T *__restrict__ added,
                                const T *__restrict__ y, T *__restrict__ dx, float low, float high,
                                Axis rows, Axis columns, unsigned channels) {
    Place here = place<V>(rows.size, columns.size, channels);
    if (!here.inside) return;
    unsigned pixel = here.row * columns.size + here.column;
    unsigned kept = some ? some[here.image] : here.image;
    float sums[V] = {}, d[V];
    for (unsigned row = rows.first_output(here.row); row < rows.end_output(here.row); row++) {
        size_t line = row_of(here.image, row, rows.outputs, columns.outputs, channels);
        size_t marks = row_of(kept, row, rows.outputs, columns.outputs, channels);
        unsigned column = columns.first_output(here.column);
        for (; column < columns.end_output(here.column); column++) {
            size_t output = (size_t)column * channels + here.channel;
            Pack<V, unsigned> pixels =
                *reinterpret_cast<const Pack<V, unsigned> *>(at + marks + output);
            load_some(dy, line + output, d);
#pragma unroll
            for (int k = 0; k < V; k++)
                if (pixels.values[k] == pixel) sums[k] += d[k];
        }
    }
    if (added) {
        load_some(added, here.at, d);
#pragma unroll
        for (int k = 0; k < V; k++) sums[k] += d[k];
    }
    if (y) {
        load_some(y, here.at, d);
#pragma unroll
        for (int k = 0; k < V; k++) sums[k] = pass(d[k], sums[k], low, high);
    }
    store_some(dx, here.at, sums);
}

// The averages; padding counts as zeros.
template <int V, typename T>
static __device__ void avg_forward(const T *__restrict__ x, T *__restrict__ y, Axis rows,
                                   Axis columns, unsigned channels) {
    Place here = place<V>(rows.outputs, columns.outputs, channels);
    if (!here.inside) return;
    unsigned bottom = rows.end_input(here.row), right = columns.end_input(here.column);
    float sums[V] = {}, value[V];
    for (unsigned row = rows.first_input(here.row); row < bottom; row++) {
        size_t line = row_of(here.image, row, rows.size, columns.size, channels) + here.channel;
        for (unsigned column = columns.first_input(here.column); column < right; column++) {
            load_some(x, line + (size_t)column * channels, value);
#pragma unroll
            for (int k = 0; k < V; k++) sums[k] += value[k];
        }
    }
    float area = (float)(rows.kernel * columns.kernel);
#pragma unroll
    for (int k = 0; k < V; k++) sums[k] /= area;
    store_some(y, here.at, sums);
}

// What each input gets of the gradients of the averages.
template <int V, typename T>
static __device__ void avg_back(const T *__restrict__ dy, T *__restrict__ dx, Axis rows,
                                Axis columns, unsigned channels) {
    Place here = place<V>(rows.size, columns.size, channels);
    if (!here.inside) return;
    unsigned bottom = rows.end_output(here.row), right = columns.end_output(here.column);
    float sums[V] = {}, d[V];
    for (unsigned row = rows.first_output(here.row); row < bottom; row++) {
        size_t line =
            row_of(here.image, row, rows.outputs, columns.outputs, channels) + here.channel;
        for (unsigned column = columns.first_output(here.column); column < right; column++) {
            load_some(dy, line + (size_t)column * channels, d);
#pragma unroll
            for (int k = 0; k < V; k++) sums[k] += d[k];
        }
    }
    float area = (float)(rows.kernel * columns.kernel);
#pragma unroll
    for (int k = 0; k < V; k++) sums[k] /= area;
    store_some(dx, here.at, sums);
}

// The averages of adaptive windows.
template <int V, typename T>
static __device__ void adaptive_forward(const T *__restrict__ x, T *__restrict__ y,
                                        unsigned height, unsigned width, unsigned out_height,
                                        unsigned out_width, unsigned channels) {
    Place here = place<V>(out_height, out_width, channels);
    if (!here.inside) return;
    unsigned top = first_of(here.row, height, out_height);
    unsigned bottom = end_of(here.row, height, out_height);
    unsigned left = first_of(here.column, width, out_width);
    unsigned right = end_of(here.column, width, out_width);
    double sums[V] = {};
    for (unsigned row = top; row < bottom; row++) {
        size_t line = row_of(here.image, row, height, width, channels) + here.channel;
#pragma unroll 4
        for (unsigned column = left; column < right; column++) {
            float value[V];
            load_some(x, line + (size_t)column * channels, value);
#pragma unroll
            for (int k = 0; k < V; k++) sums[k] += value[k];
        }
    }
    double area = (double)((bottom - top) * (right - left));
    float averages[V];
#pragma unroll
    for (int k = 0; k < V; k++) averages[k] = (float)(sums[k] / area);
    store_some(y, here.at, averages);
}

// An equal share of the gradient of each adaptive window that an input lies in.
template <int V, typename T>
static __device__ void adaptive_back(const T *__restrict__ dy, T *__restrict__ dx,
                                     unsigned height, unsigned width, unsigned out_height,
                                     unsigned out_width, unsigned channels) {
    Place here = place<V>(height, width, channels);
    if (!here.inside) return;
    unsigned bottom = end_of(here.row, out_height, height);
    unsigned right = end_of(here.column, out_width, width);
    float sums[V] = {}, d[V];
    for (unsigned row = first_of(here.row, out_height, height); row < bottom; row++) {
        size_t line = row_of(here.image, row, out_height, out_width, channels) + here.channel;
        unsigned rows = end_of(row, height, out_height) - first_of(row, height, out_height);
        unsigned column = first_of(here.column, out_width, width);
        for (; column < right; column++) {
            load_some(dy, line + (size_t)column * channels, d);
            unsigned columns = end_of(column, width, out_width) - first_of(column, width, out_width);
            float area = (float)(rows * columns);
#pragma unroll
            for (int k = 0; k < V; k++) sums[k] += d[k] / area;
        }
    }
    store_some(dx, here.at, sums);
}

#define AXIS(of)                                                                                   \
    unsigned of##_size, unsigned of##_kernel, unsigned of##_stride, unsigned of##_padding,         \
        unsigned of##_outputs
#define OF(of) {of##_size, of##_kernel, of##_stride, of##_padding, of##_outputs}

#define KERNELS(T, V)                                                                              \
    extern "C" __global__ void max_##T##_##V(const T *x, T *y, unsigned *at, AXIS(rows),           \
                                             AXIS(columns), unsigned channels) {                   \
        max_forward<V>(x, y, at, OF(rows), OF(columns), channels);                                 \
    }                                                                                              \
    extern "C" __global__ void max_back_##T##_##V(                                                 \
        const T *dy, const unsigned *at, const unsigned *some, const T *added, const T *y, T *dx,  \
        float low, float high, AXIS(rows), AXIS(columns), unsigned channels) {                     \
        max_back<V>(dy, at, some, added, y, dx, low, high, OF(rows), OF(columns), channels);       \
    }                                                                                              \
    extern "C" __global__ void avg_##T##_##V(const T *x, T *y, AXIS(rows), AXIS(columns),          \
                                             unsigned channels) {                                  \
        avg_forward<V>(x, y, OF(rows), OF(columns), channels);                                     \
    }                                                                                              \
    extern "C" __global__ void avg_back_##T##_##V(const T *dy, T *dx, AXIS(rows), AXIS(columns),   \
                                                  unsigned channels) {                             \
        avg_back<V>(dy, dx, OF(rows), OF(columns), channels);                                      \
    }                                                                                              \
    extern "C" __global__ void adaptive_##T##_##V(const T *x, T *y, unsigned height,               \
                                                  unsigned width, unsigned out_height,             \
                                                  unsigned out_width, unsigned channels) {         \
        adaptive_forward<V>(x, y, height, width, out_height, out_width, channels);                 \
    }                                                                                              \
    extern "C" __global__ void adaptive_back_##T##_##V(const T *dy, T *dx, unsigned height,        \
                                                       unsigned width, unsigned out_height,        \
                                                       unsigned out_width, unsigned channels) {    \
        adaptive_back<V>(dy, dx, height, width, out_height, out_width, channels);                  \
    }

KERNELS(float, 1)
KERNELS(float, 4)
KERNELS(bf16, 1)
KERNELS(bf16, 4)
