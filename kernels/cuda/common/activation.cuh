// What networks do to single values.
#pragma once

#include "number.cuh"

// GELU in its tanh form: x / (1 + exp(-2 sqrt(2 / pi) (x + 0.044715 x^3))).
DEVICE float gelu_of(float x) {
    constexpr float FACTOR = -1.5957691216f;
    return x / (1.0f + exponential(FACTOR * multiply_add(0.044715f * x * x, x, x)));
}

// x / (1 + exp(-x)).
DEVICE float silu_of(float x) {
    constexpr float LOG2_E = 1.44269502f;
    return x * reciprocal(1.0f + power_of_two(-LOG2_E * x));
}
