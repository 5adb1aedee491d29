// In the place of CUDA's header of float8. It is read, never rounded to.
#pragma once

#include "cuda_fp16.h"

enum __nv_fp8_interpretation_t { __NV_E4M3 };

struct __nv_fp8_e4m3 {
    uint8_t __x;

    __nv_fp8_e4m3() = default;

    template <typename Number>
    explicit __nv_fp8_e4m3(Number) : __x(0) {
        emulator::fail("rounding to float8 is not emulated");
    }

    operator float() const {
        constexpr int BIAS = 7, MANTISSA = 8, SMALLEST_EXPONENT = -6, NOT_A_NUMBER = 0x7F;
        const int exponent = __x >> 3 & 0xF, mantissa = __x % MANTISSA;
        const float fraction = static_cast<float>(mantissa) / MANTISSA;
        float magnitude = exponent == 0 ? ldexpf(fraction, SMALLEST_EXPONENT) : ldexpf(1.0f + fraction, exponent - BIAS);
        if ((__x & NOT_A_NUMBER) == NOT_A_NUMBER) magnitude = NAN;
        return __x & 0x80 ? -magnitude : magnitude;
    }
};

typedef __half __half_raw;

inline __half_raw __nv_cvt_fp8_to_halfraw(uint8_t bits, __nv_fp8_interpretation_t) {
    __nv_fp8_e4m3 value;
    value.__x = bits;
    return __half(static_cast<float>(value));
}
