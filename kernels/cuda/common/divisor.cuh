// Division by numbers that are known at the launch: a product and a shift, where the processor's own division takes twenty instructions.
#pragma once

#include "kernel.cuh"

// Made by `Divisor::new` of `divisor.rs`, which says why it is exact.
struct Divisor {
    uint32_t divisor, multiplier, shift;
};

// `number / divisor`, for numbers below 2^31.
DEVICE uint32_t quotient(uint32_t number, const Divisor& by) {
    return static_cast<uint32_t>(static_cast<uint64_t>(number) * by.multiplier >> by.shift);
}

struct Division {
    uint32_t quotient, rest;
};

DEVICE Division divide(uint32_t number, const Divisor& by) {
    uint32_t whole = quotient(number, by);
    return {whole, number - whole * by.divisor};
}
