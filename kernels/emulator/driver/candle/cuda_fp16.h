// In the place of CUDA's header of float16.
#pragma once

#include "narrow.h"

typedef candle::Narrow<float16> __half;
typedef candle::NarrowPair<float16> __half2;
typedef __half half;

inline float __half2float(__half value) { return value; }
inline __half __float2half(float value) { return value; }
inline unsigned short __half_as_ushort(__half value) { return value.stored.bits; }

inline __half __ushort_as_half(unsigned short bits) {
    __half value;
    value.stored.bits = bits;
    return value;
}
