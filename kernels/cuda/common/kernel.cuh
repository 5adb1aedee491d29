// What a kernel is, and how its threads meet. Kernels include nothing of CUDA's but these headers, which also compile for the host's emulator.
//
//   KERNEL(name, Parameters, most threads of a block, least blocks of a multiprocessor or 0) { ... parameters.x ... }
//
// Blocks are rows of threads, a multiple of 32; grids have up to three axes. `threadIdx.x`, `blockIdx` and `gridDim` are as in CUDA.
#pragma once

#include <stdint.h>

constexpr uint32_t WARP_LANES = 32;

#if defined(__CUDACC__)

#define DEVICE __device__ __forceinline__

#define KERNEL(name, Parameters, threads, blocks) \
    extern "C" __global__ void __launch_bounds__(threads, blocks) name(const __grid_constant__ Parameters parameters)

// Dynamic shared memory, 1024-byte aligned.
DEVICE char* shared_memory() {
    extern __shared__ __align__(1024) char memory[];
    return memory;
}

// The 32-bit address that instructions take, of something in shared memory.
DEVICE unsigned shared_address(const void* pointer) { return static_cast<unsigned>(__cvta_generic_to_shared(pointer)); }

// Waits for all threads of the block.
DEVICE void barrier() { __syncthreads(); }

// Waits at barrier `id` (1 to 15) until so many threads (a multiple of 32) have come.
DEVICE void barrier(unsigned id, unsigned threads) { asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory"); }

// Counts as one of the threads that came to barrier `id`, without waiting.
DEVICE void arrive_at_barrier(unsigned id, unsigned threads) {
    asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// Waits for the lanes of the warp: what they wrote is seen.
DEVICE void synchronise_warp() { __syncwarp(); }

// The value that lane `lane ^ mask` of the warp passes.
template <typename T>
DEVICE T shuffle_xor(T value, int mask) {
    return __shfl_xor_sync(0xFFFFFFFFu, value, mask);
}

// The value that lane `lane` passes.
template <typename T>
DEVICE T shuffle(T value, int lane) {
    return __shfl_sync(0xFFFFFFFFu, value, lane);
}

// Whether any lane of the warp passes true.
DEVICE bool warp_any(bool value) { return __any_sync(0xFFFFFFFFu, value) != 0; }

#else

#include <string.h>

#include "../../emulator/emulator.h"

#define DEVICE inline
#define __restrict__ __restrict
#define threadIdx (emulator::thread_index())
#define blockIdx (emulator::block_index())
#define blockDim (emulator::block_size())
#define gridDim (emulator::grid_size())

#define KERNEL(name, Parameters, threads, blocks)                                                                                    \
    static void name##_body(const Parameters& parameters);                                                                           \
    static void name##_entry(const void* parameters) { name##_body(*static_cast<const Parameters*>(parameters)); }                   \
    extern "C" uint64_t name##_parameter_bytes() { return sizeof(Parameters); }                                                      \
    extern "C" int name(const void* parameters, const uint32_t grid[3], uint32_t block, uint32_t shared_bytes) {                     \
        return emulator::run(#name, threads, name##_entry, parameters, grid, block, shared_bytes);                                   \
    }                                                                                                                                \
    static void name##_body(const Parameters& parameters)

DEVICE char* shared_memory() { return emulator::shared_memory(); }

// An offset from the start of the block's shared memory.
DEVICE unsigned shared_address(const void* pointer) {
    emulator::check_shared(pointer, 0, 1, "an address in shared memory");
    return static_cast<unsigned>(static_cast<const char*>(pointer) - emulator::shared_memory());
}

DEVICE void barrier() { emulator::barrier(0, emulator::block_size().x, true); }
DEVICE void barrier(unsigned id, unsigned threads) { emulator::barrier(id, threads, true); }
DEVICE void arrive_at_barrier(unsigned id, unsigned threads) { emulator::barrier(id, threads, false); }
DEVICE void synchronise_warp() { emulator::together(WARP_LANES, [](void* const*) {}, nullptr, "the warp's lanes"); }

namespace emulator {

// What a lane brings to a shuffle: its own value, and whose it wants.
template <typename T>
struct Shuffled {
    T own;
    unsigned source;
    T received;
};

template <typename T>
T exchange(T value, unsigned source) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "what a shuffle takes");
    Shuffled<T> lane{value, source % WARP_LANES, value};
    together(
        WARP_LANES,
        [](void* const* brought) {
            for (uint32_t lane = 0; lane < WARP_LANES; lane++) {
                Shuffled<T>& own = *static_cast<Shuffled<T>*>(brought[lane]);
                own.received = static_cast<Shuffled<T>*>(brought[own.source])->own;
            }
        },
        &lane, "a shuffle");
    return lane.received;
}

// What a lane brings to a vote, and what it is told.
struct Vote {
    bool own;
    bool any;
};

inline void gather_votes(void* const* brought) {
    bool any = false;
    for (uint32_t lane = 0; lane < WARP_LANES; lane++) any |= static_cast<Vote*>(brought[lane])->own;
    for (uint32_t lane = 0; lane < WARP_LANES; lane++) static_cast<Vote*>(brought[lane])->any = any;
}

}  // namespace emulator

template <typename T>
DEVICE T shuffle_xor(T value, int mask) {
    return emulator::exchange(value, threadIdx.x % WARP_LANES ^ static_cast<unsigned>(mask));
}

template <typename T>
DEVICE T shuffle(T value, int lane) {
    return emulator::exchange(value, static_cast<unsigned>(lane));
}

DEVICE bool warp_any(bool value) {
    emulator::Vote lane{value, false};
    emulator::together(WARP_LANES, emulator::gather_votes, &lane, "a vote");
    return lane.any;
}

#endif

// The sum over the warp's lanes, of which each gets the same.
DEVICE float warp_sum(float value) {
#pragma unroll
    for (int mask = 16; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
    return value;
}

// The largest value of the warp's lanes.
DEVICE float warp_max(float value) {
#pragma unroll
    for (int mask = 16; mask > 0; mask /= 2) {
        float other = shuffle_xor(value, mask);
        value = value > other ? value : other;
    }
    return value;
}
