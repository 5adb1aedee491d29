// Runs the blocks of a CUDA kernel on the host, from the kernel's own source: what common/*.cuh stands on where no CUDA compiler is at work.
//
// By hand, and from Python:
//
//   c++ -std=c++17 -O2 -fno-strict-aliasing -shared -fPIC -I kernels/cuda -o /tmp/gelu.so -x c++ kernels/cuda/gelu.cu kernels/emulator/emulator.cpp
//
//   library = ctypes.CDLL("/tmp/gelu.so")
//   class Parameters(ctypes.Structure):  # the kernel's parameter struct
//       _fields_ = [("x", ctypes.c_uint64), ("y", ctypes.c_uint64), ("count", ctypes.c_int64)]
//   parameters = Parameters(x.data_ptr(), y.data_ptr(), x.numel())
//   grid = (ctypes.c_uint32 * 3)(4, 1, 1)
//   if library.gelu_bf16(ctypes.byref(parameters), grid, 256, 0):  # threads of a block, bytes of shared memory
//       library.emulator_message.restype = ctypes.c_char_p
//       raise RuntimeError(library.emulator_message().decode())
//
// Every thread is a fibre. A fibre runs until it waits for others (a barrier, the lanes of its warp), so that one warp is as far ahead of the others
// as the kernel allows, and a barrier that is missing shows. The blocks with an odd index start with their last thread.
#pragma once

#include <stdint.h>

namespace emulator {

struct Index {
    uint32_t x, y, z;
};

// Of the thread that runs.
Index thread_index();
Index block_index();
Index block_size();
Index grid_size();

// The block's dynamic shared memory: 1024-byte aligned, every byte 0xFF at the start, which is NaN in all formats.
char* shared_memory();

// A number of its own for every block that this thread of the system has run.
uint64_t block_number();

// What the block keeps of a kind: new at its first use in each block.
template <typename State>
State& of_block() {
    static thread_local State state;
    static thread_local uint64_t block = 0;
    if (block != block_number()) state = State();
    block = block_number();
    return state;
}

// Ends the launch with a message, which names the kernel, the block and the thread.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Fails if these bytes are not all in shared memory, or not aligned.
void check_shared(const void* pointer, uint32_t bytes, uint32_t alignment, const char* what);
void check_aligned(const void* pointer, uint32_t alignment, const char* what);

// Pauses the thread until `is_over(argument)`; `what` and `number` are named should it never be.
void wait_until(bool (*is_over)(void*), void* argument, const char* what, int number);

template <typename Condition>
void wait_until(Condition is_over, const char* what, int number = -1) {
    wait_until([](void* condition) { return (*static_cast<Condition*>(condition))(); }, &is_over, what, number);
}

// Pauses the thread until no other can go on, and of those that also wait so until its warp's turn has come: for what may happen late.
void wait_for_others();

// Whether what may happen early, such as an asynchronous copy, does so in this block: in every second one. In the others it happens as late as it may.
bool is_early();

// Waits for the other threads of the same 32 (a warp) or 128 (a warpgroup); the last one to come runs `operation` with what each of them brought.
// `what` names the operation; all have to run the same.
void together(uint32_t threads, void (*operation)(void* const* brought), void* brought, const char* what);

// Barrier `id` of 16: counts so many threads, and waits for them if asked to.
void barrier(uint32_t id, uint32_t threads, bool waits);

// Starts a copy of 16 bytes, zeros if `source` is null. This thread makes it when it waits for the copy's group, or at once where copies are early:
// the one shows what is read before it is there, the other what is overwritten before all have read it.
void start_copy(void* target, const void* source);
void commit_copies();
// Makes the copies of all committed groups but the last so many.
void finish_copies(uint32_t groups_left);

typedef void (*Kernel)(const void* parameters);
// Runs all blocks, one after the other. 0, or 1 where it failed.
int run(const char* name, uint32_t most_threads, Kernel kernel, const void* parameters, const uint32_t grid[3], uint32_t threads, uint32_t shared_bytes);

}  // namespace emulator

// Why this thread's last launch failed.
extern "C" const char* emulator_message();
