// Numbers: bfloat16 and float16 as they are stored, float32 as they are computed with, and the functions that a multiprocessor has instructions for.
#pragma once

#include "kernel.cuh"

#if !defined(__CUDACC__)
#include <math.h>
#endif

struct bfloat16 {
    unsigned short bits;
};

struct float16 {
    unsigned short bits;
};

// Bits of a float32 and back.
DEVICE unsigned bits_of(float value) {
#if defined(__CUDACC__)
    return __float_as_uint(value);
#else
    unsigned bits;
    memcpy(&bits, &value, 4);
    return bits;
#endif
}

DEVICE float float_of(unsigned bits) {
#if defined(__CUDACC__)
    return __uint_as_float(bits);
#else
    float value;
    memcpy(&value, &bits, 4);
    return value;
#endif
}

// The same value in float32.
DEVICE float widen(float value) { return value; }

DEVICE float widen(bfloat16 value) { return float_of(static_cast<unsigned>(value.bits) << 16); }

DEVICE float widen(float16 value) {
#if defined(__CUDACC__)
    float wide;
    asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(value.bits));
    return wide;
#else
    unsigned sign = (value.bits & 0x8000u) << 16, rest = value.bits & 0x7FFFu;
    if (rest >= 0x7C00) return float_of(sign | 0x7F800000 | (rest & 0x3FF) << 13);
    // The exponent's bias is 15 here and 127 there; the product makes subnormal numbers normal.
    return float_of(sign | bits_of(float_of(rest << 13) * 5.192296858534828e33f));
#endif
}

// The nearest value of another type, of two as near the one whose last bit is even.
template <typename T>
DEVICE T narrow(float value);

template <>
DEVICE float narrow<float>(float value) {
    return value;
}

template <>
DEVICE bfloat16 narrow<bfloat16>(float value) {
    bfloat16 result;
#if defined(__CUDACC__)
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
#else
    unsigned bits = bits_of(value);
    result.bits = value != value ? 0x7FFF : static_cast<unsigned short>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
#endif
    return result;
}

template <>
DEVICE float16 narrow<float16>(float value) {
    float16 result;
#if defined(__CUDACC__)
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
#else
    unsigned sign = bits_of(value) >> 16 & 0x8000, bits = bits_of(value) & 0x7FFFFFFF;
    if (bits > 0x7F800000) {
        result.bits = 0x7FFF;
    } else if (bits < 0x38800000) {
        // Subnormal: adding 0.5 leaves multiples of 2^-24, rounded, in the last bits.
        result.bits = static_cast<unsigned short>(sign | (bits_of(float_of(bits) + 0.5f) - 0x3F000000));
    } else {
        unsigned rounded = (bits + 0xFFF + (bits >> 13 & 1)) >> 13;
        unsigned value = rounded - (112u << 10);
        result.bits = static_cast<unsigned short>(sign | (value < 0x7C00 ? value : 0x7C00));
    }
#endif
    return result;
}

// Two rounded values in a register, the first in its lower half.
template <typename T>
DEVICE unsigned pack(float low, float high);

template <>
DEVICE unsigned pack<bfloat16>(float low, float high) {
#if defined(__CUDACC__)
    unsigned packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
#else
    return narrow<bfloat16>(low).bits | static_cast<unsigned>(narrow<bfloat16>(high).bits) << 16;
#endif
}

template <>
DEVICE unsigned pack<float16>(float low, float high) {
#if defined(__CUDACC__)
    unsigned packed;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
#else
    return narrow<float16>(low).bits | static_cast<unsigned>(narrow<float16>(high).bits) << 16;
#endif
}

// The two values of a register.
template <typename T>
DEVICE float low_half(unsigned packed) {
    return widen(T{static_cast<unsigned short>(packed)});
}

template <typename T>
DEVICE float high_half(unsigned packed) {
    return widen(T{static_cast<unsigned short>(packed >> 16)});
}

#if !defined(__CUDACC__)
namespace emulator {
inline float flush(float value) { return fabsf(value) < 1.17549435e-38f ? copysignf(0.0f, value) : value; }
}  // namespace emulator
#endif

// 2^x, off by at most 2^-22 of it; what is not a normal number is zero.
DEVICE float power_of_two(float x) {
#if defined(__CUDACC__)
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#else
    return emulator::flush(exp2f(emulator::flush(x)));
#endif
}

// 1 / sqrt(x), off by at most 2^-22.9 of it.
DEVICE float reciprocal_root(float x) {
#if defined(__CUDACC__)
    float y;
    asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#else
    return static_cast<float>(1.0 / sqrt(static_cast<double>(emulator::flush(x))));
#endif
}

// The root of x, rounded once.
DEVICE float square_root(float x) {
#if defined(__CUDACC__)
    float y;
    asm("sqrt.rn.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#else
    return sqrtf(x);
#endif
}

// 1 / x, off by at most 2^-23 of it; what is not a normal number is zero.
DEVICE float reciprocal(float x) {
#if defined(__CUDACC__)
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#else
    return emulator::flush(1.0f / emulator::flush(x));
#endif
}

// tanh(x), off by at most 2^-10.9 of it: enough for what is rounded to bfloat16, and for nothing finer.
DEVICE float hyperbolic_tangent(float x) {
#if defined(__CUDACC__)
    float y;
    asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#else
    return tanhf(x);
#endif
}

// x y + z, rounded once.
DEVICE float multiply_add(float x, float y, float z) {
#if defined(__CUDACC__)
    return __fmaf_rn(x, y, z);
#else
    return fmaf(x, y, z);
#endif
}

// The larger of both, NaN if one of them is.
DEVICE float larger_or_nan(float x, float y) {
#if defined(__CUDACC__)
    float larger;
    asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(x), "f"(y));
    return larger;
#else
    return x != x || y != y ? NAN : fmaxf(x, y);
#endif
}

// The nearest whole number, of two as near the even one.
DEVICE float nearest_whole(float x) {
#if defined(__CUDACC__)
    float y;
    asm("cvt.rni.f32.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#else
    return rintf(x);
#endif
}

// exp(x), off by at most 2^-21 of it. The part of the exponent that is not whole is exact to float32's precision however large the exponent is.
DEVICE float exponential(float x) {
    constexpr float LOG2_E = 1.44269502f, LOG2_E_REST = 1.92596303e-8f;
    float whole = nearest_whole(x * LOG2_E);
    // Powers that are normal numbers; the rest takes on what is beyond.
    whole = whole < -126.0f ? -126.0f : whole;
    whole = whole > 127.0f ? 127.0f : whole;
    float rest = multiply_add(x, LOG2_E_REST, multiply_add(x, LOG2_E, -whole));
    return power_of_two(rest) * power_of_two(whole);
}

// 16 bytes of values, which a thread moves at once. Their address is a multiple of 16.
template <typename T>
struct alignas(16) Vector {
    static constexpr int LENGTH = 16 / sizeof(T);
    T values[LENGTH];
};

template <typename T>
DEVICE Vector<T> load_vector(const T* source) {
#if !defined(__CUDACC__)
    emulator::check_aligned(source, 16, "a load of 16 bytes");
#endif
    return *reinterpret_cast<const Vector<T>*>(source);
}

template <typename T>
DEVICE void store_vector(T* target, const Vector<T>& vector) {
#if !defined(__CUDACC__)
    emulator::check_aligned(target, 16, "a store of 16 bytes");
#endif
    *reinterpret_cast<Vector<T>*>(target) = vector;
}
