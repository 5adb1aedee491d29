// Kernels that a program may launch, by name. candle's are entered by what `scripts/cuda-emulate` writes for each of its files; stir's are found as the
// functions that `KERNEL` of kernels/cuda/common/kernel.cuh makes.
#pragma once

#include <stdint.h>

#include <functional>
#include <string>

namespace driver {

struct Shape {
    uint32_t grid[3];
    uint32_t block[3];
    uint32_t shared_bytes;
};

// A launch that has its parameters and waits for its turn.
typedef std::function<void(const Shape&)> Start;

// Makes a launch of the parameters as the driver gets them: an address for each. It copies them.
typedef Start (*Bind)(void** parameters);

struct Kernel {
    std::string name;
    Bind bind;
    // The most dynamic shared memory that its blocks may ask for.
    uint32_t shared_bytes;
};

// A kernel of candle's; called before `main`.
void enter(const char* name, Bind bind);

// Reports a parameter that points at memory that has been given back.
void check_parameter(const char* kernel, uint64_t value);

}  // namespace driver
