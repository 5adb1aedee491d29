// Copies from global to shared memory that go on while the thread computes.
#pragma once

#include "kernel.cuh"

// Starts a copy of 16 bytes, both addresses multiples of 16; zeros where it is not valid: then nothing is read, and `global` may point anywhere.
DEVICE void copy_async_16(void* shared, const void* global, bool valid) {
#if defined(__CUDACC__)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(valid ? 16 : 0) : "memory");
#else
    emulator::check_shared(shared, 16, 16, "the target of a copy");
    emulator::check_aligned(global, 16, "the source of a copy");
    emulator::start_copy(shared, valid ? global : nullptr);
#endif
}

// Makes a group of the copies that this thread has started since the last one.
DEVICE void commit_copies() {
#if defined(__CUDACC__)
    asm volatile("cp.async.commit_group;" ::: "memory");
#else
    emulator::commit_copies();
#endif
}

// Waits until all of this thread's groups but the last `groups_left` have arrived. Other threads' copies have after a barrier that follows.
template <int groups_left>
DEVICE void wait_for_copies() {
#if defined(__CUDACC__)
    asm volatile("cp.async.wait_group %0;" ::"n"(groups_left) : "memory");
#else
    emulator::finish_copies(groups_left);
#endif
}
