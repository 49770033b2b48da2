// Dropout, with the mask of the CPU: ChaCha8, a stream for each 4096 values.

#include "kernel.cuh"

#define CHUNK 4096
#define WORDS 16

static __device__ __forceinline__ unsigned turned(unsigned word, int bits) {
    return word << bits | word >> (32 - bits);
}

static __device__ __forceinline__ void quarter(unsigned &a, unsigned &b, unsigned &c, unsigned &d) {
    a += b;
    d = turned(d ^ a, 16);
    c += d;
    b = turned(b ^ c, 12);
    a += b;
    d = turned(d ^ a, 8);
    c += d;
    b = turned(b ^ c, 7);
}

struct Key {
    unsigned words[8];
};

// Block `block` of a stream.
static __device__ __forceinline__ void chacha8(const Key &key, size_t block, size_t stream,
                                               unsigned (&words)[WORDS]) {
    const unsigned start[WORDS] = {
        0x61707865,
        0x3320646e,
        0x79622d32,
        0x6b206574,
        key.words[0],
        key.words[1],
        key.words[2],
        key.words[3],
        key.words[4],
        key.words[5],
        key.words[6],
        key.words[7],
        (unsigned)block,
        (unsigned)(block >> 32),
        (unsigned)stream,
        (unsigned)(stream >> 32),
    };
    unsigned w[WORDS];
#pragma unroll
    for (int i = 0; i < WORDS; i++) w[i] = start[i];
#pragma unroll
    for (int i = 0; i < 8; i += 2) {
        quarter(w[0], w[4], w[8], w[12]);
        quarter(w[1], w[5], w[9], w[13]);
        quarter(w[2], w[6], w[10], w[14]);
        quarter(w[3], w[7], w[11], w[15]);
        quarter(w[0], w[5], w[10], w[15]);
        quarter(w[1], w[6], w[11], w[12]);
        quarter(w[2], w[7], w[8], w[13]);
        quarter(w[3], w[4], w[9], w[14]);
    }
#pragma unroll
    for (int i = 0; i < WORDS; i++) words[i] = w[i] + start[i];
}

// A thread has as many values as a block of its stream has words.
template <typename T>
static __device__ void dropout(const T *x, T *y, unsigned dropped, float scale, Key key, size_t n) {
    size_t first = thread() * WORDS;
    if (first >= n) return;
    unsigned words[WORDS];
    chacha8(key, first % CHUNK / WORDS, first / CHUNK, words);
#pragma unroll
    for (int i = 0; i < WORDS; i++) {
        float keep = words[i] >= dropped ? 1.0f : 0.0f;
        // a product: NaN is not dropped
        if (first + i < n) store(y, first + i, load(x, first + i) * (scale * keep));
    }
}

#define KERNELS(T)                                                                                 \
    extern "C" __global__ void dropout_##T(const T *x, T *y, unsigned dropped, float scale,        \
                                           unsigned a, unsigned b, unsigned c, unsigned d,         \
                                           unsigned e, unsigned f, unsigned g, unsigned h,         \
                                           size_t n) {                                             \
        dropout(x, y, dropped, scale, {a, b, c, d, e, f, g, h}, n);                                \
    }

KERNELS(float)
KERNELS(bf16)
