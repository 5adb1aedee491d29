// Numbers of 16 bits: computed with in float32 and rounded after each operation, as a device does.
#pragma once

#include "language.h"

namespace candle {

// `Format` is bfloat16 or float16 as kernels/cuda/common/number.cuh has them.
template <typename Format>
struct Narrow {
    Format stored;

    Narrow() = default;

    template <typename Number, typename = std::enable_if_t<std::is_arithmetic_v<Number>>>
    Narrow(Number number) : stored(narrow<Format>(static_cast<float>(number))) {}

    operator float() const { return widen(stored); }

    Narrow& operator+=(Narrow other) { return *this = *this + other; }
    Narrow& operator*=(Narrow other) { return *this = *this * other; }

    friend Narrow operator+(Narrow left, Narrow right) { return float(left) + float(right); }
    friend Narrow operator-(Narrow left, Narrow right) { return float(left) - float(right); }
    friend Narrow operator*(Narrow left, Narrow right) { return float(left) * float(right); }
    friend Narrow operator/(Narrow left, Narrow right) { return float(left) / float(right); }
    friend Narrow operator-(Narrow value) { return -float(value); }
    friend bool operator<(Narrow left, Narrow right) { return float(left) < float(right); }
    friend bool operator>(Narrow left, Narrow right) { return float(left) > float(right); }
    friend bool operator<=(Narrow left, Narrow right) { return float(left) <= float(right); }
    friend bool operator>=(Narrow left, Narrow right) { return float(left) >= float(right); }
    friend bool operator==(Narrow left, Narrow right) { return float(left) == float(right); }

    friend bool __hisnan(Narrow value) { return isnan(float(value)); }
    friend Narrow hsqrt(Narrow value) { return sqrtf(value); }
    friend Narrow hcos(Narrow value) { return cosf(value); }
    friend Narrow hsin(Narrow value) { return sinf(value); }
    friend Narrow hlog(Narrow value) { return logf(value); }
    friend Narrow hexp(Narrow value) { return expf(value); }
    friend Narrow __habs(Narrow value) { return fabsf(value); }
    friend Narrow __hmax_nan(Narrow left, Narrow right) { return isnan(float(left)) || float(left) > float(right) ? left : right; }
    friend Narrow __hmin_nan(Narrow left, Narrow right) { return isnan(float(left)) || float(left) < float(right) ? left : right; }
};

// Two of them, computed with side by side.
template <typename Format>
struct alignas(4) NarrowPair {
    Narrow<Format> x, y;

    friend NarrowPair __hadd2(NarrowPair left, NarrowPair right) { return {left.x + right.x, left.y + right.y}; }
    friend NarrowPair __hsub2(NarrowPair left, NarrowPair right) { return {left.x - right.x, left.y - right.y}; }
    friend NarrowPair __hmul2(NarrowPair left, NarrowPair right) { return {left.x * right.x, left.y * right.y}; }
    friend NarrowPair __h2div(NarrowPair left, NarrowPair right) { return {left.x / right.x, left.y / right.y}; }
    friend NarrowPair operator+(NarrowPair left, NarrowPair right) { return __hadd2(left, right); }
    friend NarrowPair operator-(NarrowPair left, NarrowPair right) { return __hsub2(left, right); }
    friend NarrowPair operator*(NarrowPair left, NarrowPair right) { return __hmul2(left, right); }
    friend NarrowPair operator/(NarrowPair left, NarrowPair right) { return __h2div(left, right); }
};

}  // namespace candle
