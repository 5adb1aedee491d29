// GELU in its tanh form, alone or as a gate: y = x / (1 + exp(-2 sqrt(2 / pi) (x + 0.044715 x^3))), times `factors` where there are any.
//
// x, factors, y: `count` values of one type, 16-byte aligned. A thread takes 16 bytes at a time; grid: 1-D, as many blocks as the plan says, which stride
// over the values. No shared memory. Computed in float32, rounded once. Bound by bytes. Every architecture.
#include "common/activation.cuh"

struct GeluParameters {
    const void* x;
    const void* factors;
    void* y;
    int64_t count;
};

template <typename T>
DEVICE void gelu(const GeluParameters& parameters) {
    const T* x = static_cast<const T*>(parameters.x);
    const T* factors = static_cast<const T*>(parameters.factors);
    T* y = static_cast<T*>(parameters.y);
    constexpr int LENGTH = Vector<T>::LENGTH;
    int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x * LENGTH;
    int64_t start = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * LENGTH;
    for (; start + LENGTH <= parameters.count; start += step) {
        Vector<T> values = load_vector(x + start), result;
        if (factors) {
            Vector<T> other = load_vector(factors + start);
#pragma unroll
            for (int index = 0; index < LENGTH; index++) {
                result.values[index] = narrow<T>(gelu_of(widen(values.values[index])) * widen(other.values[index]));
            }
        } else {
#pragma unroll
            for (int index = 0; index < LENGTH; index++) result.values[index] = narrow<T>(gelu_of(widen(values.values[index])));
        }
        store_vector(y + start, result);
    }
    // The last values, too few for a vector, are one thread's.
    for (; start < parameters.count; start++) {
        float factor = factors ? widen(factors[start]) : 1.0f;
        y[start] = narrow<T>(gelu_of(widen(x[start])) * factor);
    }
}

KERNEL(gelu_f32, GeluParameters, 256, 0) { gelu<float>(parameters); }
KERNEL(gelu_bf16, GeluParameters, 256, 0) { gelu<bfloat16>(parameters); }
KERNEL(gelu_f16, GeluParameters, 256, 0) { gelu<float16>(parameters); }
