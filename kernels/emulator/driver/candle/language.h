// What candle's kernels use of CUDA's language, for a C++ compiler: its words, and functions that every thread may call.
#pragma once

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "../../../cuda/common/number.cuh"
#include "threads.h"

// Those of kernels/cuda/common/kernel.cuh know rows of threads alone.
#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim
#define threadIdx (candle::thread_index())
#define blockIdx (candle::block_index())
#define blockDim (candle::block_size())
#define gridDim (candle::grid_size())

#define __device__
#define __global__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)
// Blocks run one after the other, so one piece of memory serves them all.
#define __shared__ static
#define __CUDA_ARCH__ 900
#define __CUDACC_VER_MAJOR__ 13
#define __CUDACC_VER_MINOR__ 0
#define CUDART_INF_F INFINITY

using std::isnan;

inline void __syncthreads() { candle::barrier(); }

template <typename Value>
Value __shfl_xor_sync(unsigned, Value value, int mask, int = 32) {
    static_assert(sizeof(Value) <= sizeof(uint64_t), "what a shuffle takes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = emulator::exchange(bits, emulator::thread_index().x % WARP_LANES ^ static_cast<unsigned>(mask));
    memcpy(&value, &bits, sizeof value);
    return value;
}

template <typename First, typename Second>
typename std::common_type<First, Second>::type max(First first, Second second) {
    return first > second ? first : second;
}

template <typename First, typename Second>
typename std::common_type<First, Second>::type min(First first, Second second) {
    return first < second ? first : second;
}

// Threads take turns only where they wait, so nothing comes between a reading and a writing.
template <typename Value, typename Other>
Value atomicAdd(Value* target, Other other) {
    const Value old = *target;
    *target = old + other;
    return old;
}

template <typename Value, typename Other>
Value atomicMax(Value* target, Other other) {
    const Value old = *target;
    if (old < static_cast<Value>(other)) *target = other;
    return old;
}

template <typename Value, typename Other>
Value atomicMin(Value* target, Other other) {
    const Value old = *target;
    if (old > static_cast<Value>(other)) *target = other;
    return old;
}

template <typename Value, typename Expected, typename Other>
Value atomicCAS(Value* target, Expected expected, Other other) {
    const Value old = *target;
    if (old == static_cast<Value>(expected)) *target = other;
    return old;
}

namespace candle {

template <typename Target, typename Source>
Target same_bits(Source source) {
    static_assert(sizeof(Target) == sizeof(Source), "values of one size");
    Target target;
    memcpy(&target, &source, sizeof target);
    return target;
}

}  // namespace candle

inline float __uint_as_float(unsigned bits) { return candle::same_bits<float>(bits); }
inline float __int_as_float(int bits) { return candle::same_bits<float>(bits); }
inline unsigned __float_as_uint(float value) { return candle::same_bits<unsigned>(value); }
inline int __float_as_int(float value) { return candle::same_bits<int>(value); }
inline double __longlong_as_double(long long bits) { return candle::same_bits<double>(bits); }
inline long long __double_as_longlong(double value) { return candle::same_bits<long long>(value); }
inline float rsqrtf(float value) { return 1.0f / sqrtf(value); }
inline float normcdff(float value) { return 0.5f * erfcf(-value * 0.70710678f); }
inline double normcdf(double value) { return 0.5 * erfc(-value * 0.7071067811865476); }

struct float2 {
    float x, y;
};

struct alignas(16) float4 {
    float x, y, z, w;
};

inline float2 make_float2(float x, float y) { return {x, y}; }
