// float8 of four exponent and three mantissa bits (e4m3, without infinities) to a wider type, which holds every value exactly.
//
// x: `count` bytes, y: as many values, both 16-byte aligned. A thread takes 16 values at a time; grid: 1-D, as many blocks as the plan says, which stride
// over the values. No shared memory. Bound by bytes. Every architecture.
#include "common/number.cuh"

struct Float8Parameters {
    const void* x;
    void* y;
    int64_t count;
};

DEVICE float widen(unsigned char value) {
    unsigned sign = (value & 0x80u) << 24, rest = value & 0x7Fu;
    if (rest == 0x7F) return float_of(sign | 0x7FC00000);
    // The exponent's bias is 7 here and 127 there; the product makes subnormal numbers normal.
    return float_of(sign | bits_of(float_of(rest << 20) * 1.329227995784916e36f));
}

template <typename T>
DEVICE void widen_all(const Float8Parameters& parameters) {
    const unsigned char* x = static_cast<const unsigned char*>(parameters.x);
    T* y = static_cast<T*>(parameters.y);
    constexpr int LENGTH = Vector<unsigned char>::LENGTH, PART = Vector<T>::LENGTH;
    int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x * LENGTH;
    int64_t start = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * LENGTH;
    for (; start + LENGTH <= parameters.count; start += step) {
        Vector<unsigned char> values = load_vector(x + start);
#pragma unroll
        for (int first = 0; first < LENGTH; first += PART) {
            Vector<T> result;
#pragma unroll
            for (int index = 0; index < PART; index++) {
                result.values[index] = narrow<T>(widen(values.values[first + index]));
            }
            store_vector(y + start + first, result);
        }
    }
    // The last values, too few for a vector, are one thread's.
    for (; start < parameters.count; start++) y[start] = narrow<T>(widen(x[start]));
}

KERNEL(float8_f32, Float8Parameters, 256, 0) { widen_all<float>(parameters); }
KERNEL(float8_bf16, Float8Parameters, 256, 0) { widen_all<bfloat16>(parameters); }
KERNEL(float8_f16, Float8Parameters, 256, 0) { widen_all<float16>(parameters); }
