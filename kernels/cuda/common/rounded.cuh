// float32 of which every operation is rounded by itself, so that results have the CPU's bits: nvcc fuses plain products with sums.
#pragma once

#include "number.cuh"

struct Rounded {
    float value;

    Rounded() = default;
    DEVICE Rounded(float value) : value(value) {}
};

#if defined(__CUDACC__)
#define ROUNDED_OPERATION(symbol, instruction)                                                     \
    DEVICE Rounded operator symbol(Rounded a, Rounded b) {                                         \
        float result;                                                                              \
        asm(instruction ".rn.f32 %0, %1, %2;" : "=f"(result) : "f"(a.value), "f"(b.value));        \
        return result;                                                                             \
    }
#else
#define ROUNDED_OPERATION(symbol, instruction)                                                     \
    DEVICE Rounded operator symbol(Rounded a, Rounded b) {                                         \
        /* Stored, so that no compiler fuses it. */                                                \
        volatile float result = a.value symbol b.value;                                            \
        return result;                                                                             \
    }
#endif

ROUNDED_OPERATION(+, "add")
ROUNDED_OPERATION(-, "sub")
ROUNDED_OPERATION(*, "mul")
ROUNDED_OPERATION(/, "div")
