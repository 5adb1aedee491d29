// Hopper's asynchronous copies: boxes of tensors that the tensor memory accelerator brings to shared memory, barriers in shared memory that count
// threads and bytes, and registers that one warpgroup hands to another. (PTX ISA 9.0: "mbarrier", "cp.async.bulk.tensor", "setmaxnreg".)
#pragma once

#include "kernel.cuh"
#if !defined(__CUDACC__)
#include "../../emulator/hopper.h"
#endif

// A barrier in shared memory. Its phase ends when as many threads have arrived as it was made for and all expected bytes are there; then the next begins.
struct alignas(8) TransactionBarrier {
    unsigned long long state;
};

// What a copy reads, written by the driver on the host. It stays where the kernel's parameters are.
struct alignas(128) TensorMap {
    unsigned char bytes[128];
};

// Makes a barrier whose phases end when `arrivals` threads have arrived. One thread does it, then `publish_barriers()`, then all meet.
DEVICE void initialise(TransactionBarrier* barrier, unsigned arrivals) {
#if defined(__CUDACC__)
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
#else
    emulator::initialise(barrier, arrivals);
#endif
}

// Lets the copies see barriers that this thread has made.
DEVICE void publish_barriers() {
#if defined(__CUDACC__)
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}

// This thread arrives.
DEVICE void arrive(TransactionBarrier* barrier) {
#if defined(__CUDACC__)
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
#else
    emulator::arrive(barrier, 0);
#endif
}

// This thread arrives, and `bytes` more have to be copied before the phase can end.
DEVICE void arrive_expecting(TransactionBarrier* barrier, unsigned bytes) {
#if defined(__CUDACC__)
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes) : "memory");
#else
    emulator::arrive(barrier, bytes);
#endif
}

// Waits for the end of the phase of this parity: phases are 0, 1, 0, 1, ... Before the first phase has ended, a phase of parity 1 counts as ended.
DEVICE void wait(TransactionBarrier* barrier, unsigned parity) {
#if defined(__CUDACC__)
    unsigned ended;
    do {
        asm volatile(
            "{\n.reg .pred ended;\nmbarrier.try_wait.parity.shared::cta.b64 ended, [%1], %2;\nselp.u32 %0, 1, 0, ended;\n}"
            : "=r"(ended)
            : "r"(shared_address(barrier)), "r"(parity)
            : "memory");
    } while (!ended);
#else
    emulator::wait(barrier, parity);
#endif
}

// Fetches a tensor map before it is needed.
DEVICE void prefetch(const TensorMap* map) {
#if defined(__CUDACC__)
    asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
#endif
}

// Starts to copy the box that begins at these coordinates, innermost axis first; the box's bytes then count for the barrier. What lies outside of the
// tensor arrives as zeros. `shared` is a multiple of 1024 bytes.
DEVICE void copy_box(void* shared, const TensorMap* map, TransactionBarrier* barrier, const int (&at)[4]) {
#if defined(__CUDACC__)
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(
            shared_address(shared)),
        "l"(map), "r"(shared_address(barrier)), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3])
        : "memory");
#else
    emulator::copy_box(shared, map, barrier, at);
#endif
}

// The warpgroup keeps `Count` registers a thread and gives the rest to the block.
template <int Count>
DEVICE void shrink_registers() {
#if defined(__CUDACC__)
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Count));
#endif
}

// The warpgroup gets `Count` registers a thread, once the block has them to give.
template <int Count>
DEVICE void grow_registers() {
#if defined(__CUDACC__)
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Count));
#endif
}
