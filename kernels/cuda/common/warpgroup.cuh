// Products of a warpgroup (128 threads) on Hopper's tensor cores: wgmma.mma_async, 64 rows times N columns over 16 values, float32 sums.
//
// A product only starts here. Until its group is waited for, nothing may touch its sums, its rows in registers or the shared memory that it reads.
// The compiler does not know: `settle` the registers after waiting. (PTX ISA 9.0, "Asynchronous Warpgroup Level Matrix Instructions".)
//
// Sums of 64 rows by N columns: warp w of the warpgroup has rows 16 w to 16 w + 15; of these a lane has rows lane / 4 and lane / 4 + 8 and of every 8
// columns two: sums[4 j + 2 i + k] is row lane / 4 + 8 i, column 8 j + 2 (lane % 4) + k. Rows in registers are laid out alike, as for mma.m16n8k16.
#pragma once

#include "kernel.cuh"
#include "number.cuh"
#if !defined(__CUDACC__)
#include "../../emulator/warpgroup.h"
namespace emulator {
template <typename T>
float widened(unsigned short bits) {
    return widen(T{bits});
}
}  // namespace emulator
#endif

// Describes a matrix in shared memory in 128-byte swizzle: 8 rows of 128 bytes, of which row r has its 16-byte chunk c at c ^ r, begin at a multiple of
// 1024 bytes. Such groups of 8 rows follow each other every `group` bytes. Where rows are the summed axis (`multiply_transposed`), columns
// beyond the first 128 bytes follow `columns` bytes after; where columns are, that is not used.
DEVICE unsigned long long matrix_descriptor(const void* shared, unsigned group, unsigned columns) {
    const unsigned long long swizzle_128_bytes = 1ull << 62;
    const unsigned address = shared_address(shared);
    return swizzle_128_bytes | (unsigned long long)((group & 0x3ffff) >> 4) << 32 | (unsigned long long)((columns & 0x3ffff) >> 4) << 16 |
           ((address & 0x3ffff) >> 4);
}

// The descriptor of what begins `bytes` later, within a swizzled row or at a multiple of 1024 bytes.
DEVICE unsigned long long advance(unsigned long long descriptor, unsigned bytes) { return descriptor + (bytes >> 4); }

// Before the first product, and wherever registers that the next one uses were written.
DEVICE void begin_products() {
#if defined(__CUDACC__)
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#else
    emulator::begin_products();
#endif
}

// Makes one group of the products since the last group.
DEVICE void commit_products() {
#if defined(__CUDACC__)
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#else
    emulator::commit_products();
#endif
}

// Waits until at most the `Pending` youngest groups are under way.
template <int Pending>
DEVICE void wait_for_products() {
#if defined(__CUDACC__)
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory");
#else
    emulator::wait_for_products(Pending);
#endif
}

// Keeps the compiler from moving uses of sums to before the wait in front of this.
template <int Count>
DEVICE void settle(float (&sums)[Count]) {
#if defined(__CUDACC__)
#pragma unroll
    for (int i = 0; i < Count; i++) asm volatile("" : "+f"(sums[i])::"memory");
#endif
}

#if defined(__CUDACC__)

// Ten operands of an assembly instruction: %0 to %9 of TEN_OPERANDS(), %10 to %19 of TEN_OPERANDS(1), ...
#define TEN_OPERANDS(t) "%" #t "0, %" #t "1, %" #t "2, %" #t "3, %" #t "4, %" #t "5, %" #t "6, %" #t "7, %" #t "8, %" #t "9, "
#define OPERANDS_30 TEN_OPERANDS() TEN_OPERANDS(1) TEN_OPERANDS(2)
#define OPERANDS_60 OPERANDS_30 TEN_OPERANDS(3) TEN_OPERANDS(4) TEN_OPERANDS(5)
#define OPERANDS_32 "{" OPERANDS_30 "%30, %31}, "
#define OPERANDS_64 "{" OPERANDS_60 "%60, %61, %62, %63}, "
#define OPERANDS_88 "{" OPERANDS_60 TEN_OPERANDS(6) TEN_OPERANDS(7) "%80, %81, %82, %83, %84, %85, %86, %87}, "

#define SUMS_8(i) \
    "+f"(sums[i]), "+f"(sums[i + 1]), "+f"(sums[i + 2]), "+f"(sums[i + 3]), "+f"(sums[i + 4]), "+f"(sums[i + 5]), "+f"(sums[i + 6]), "+f"(sums[i + 7])
#define SUMS_32 SUMS_8(0), SUMS_8(8), SUMS_8(16), SUMS_8(24)
#define SUMS_64 SUMS_32, SUMS_8(32), SUMS_8(40), SUMS_8(48), SUMS_8(56)
#define SUMS_88 SUMS_64, SUMS_8(64), SUMS_8(72), SUMS_8(80)

// The operands after `COUNT` sums: one after the other, `accumulate` last.
#define PRODUCT_OF_SHARED(N, TYPE, COUNT, A, B, ACCUMULATE)                                                                      \
    asm volatile("{\n.reg .pred accumulate;\nsetp.ne.b32 accumulate, %" ACCUMULATE ", 0;\n"                                     \
                 "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." TYPE "." TYPE " " OPERANDS_##COUNT "%" A ", %" B              \
                 ", accumulate, 1, 1, 0, 0;\n}"                                                                                  \
                 : SUMS_##COUNT                                                                                                  \
                 : "l"(a), "l"(b), "r"(accumulate))

#define PRODUCT_OF_REGISTERS(N, TYPE, COUNT, A0, A1, A2, A3, B, ACCUMULATE)                                                      \
    asm volatile("{\n.reg .pred accumulate;\nsetp.ne.b32 accumulate, %" ACCUMULATE ", 0;\n"                                     \
                 "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." TYPE "." TYPE " " OPERANDS_##COUNT "{%" A0 ", %" A1 ", %" A2  \
                 ", %" A3 "}, %" B ", accumulate, 1, 1, 1;\n}"                                                                   \
                 : SUMS_##COUNT                                                                                                  \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate))

#define PRODUCTS_OF(T, TYPE)                                                                                                     \
    DEVICE void multiply_shared(T, float (&sums)[64], unsigned long long a, unsigned long long b, int accumulate) {              \
        PRODUCT_OF_SHARED(128, TYPE, 64, "64", "65", "66");                                                                      \
    }                                                                                                                            \
    DEVICE void multiply_shared(T, float (&sums)[88], unsigned long long a, unsigned long long b, int accumulate) {              \
        PRODUCT_OF_SHARED(176, TYPE, 88, "88", "89", "90");                                                                      \
    }                                                                                                                            \
    DEVICE void multiply_registers(T, float (&sums)[32], const unsigned (&a)[4], unsigned long long b, int accumulate) {         \
        PRODUCT_OF_REGISTERS(64, TYPE, 32, "32", "33", "34", "35", "36", "37");                                                  \
    }                                                                                                                            \
    DEVICE void multiply_registers(T, float (&sums)[64], const unsigned (&a)[4], unsigned long long b, int accumulate) {         \
        PRODUCT_OF_REGISTERS(128, TYPE, 64, "64", "65", "66", "67", "68", "69");                                                 \
    }

PRODUCTS_OF(bfloat16, "bf16")
PRODUCTS_OF(float16, "f16")

#endif

// Starts sums = a b^T, added to the sums if `accumulate`: `a` describes 64 rows of 16 values, `b` N rows of 16 values.
template <typename T, int Count>
DEVICE void multiply(float (&sums)[Count], unsigned long long a, unsigned long long b, bool accumulate) {
#if defined(__CUDACC__)
    multiply_shared(T{}, sums, a, b, accumulate);
#else
    emulator::start_product({sums, Count, nullptr, a, b, false, accumulate, emulator::widened<T>});
#endif
}

// Starts sums = a b, added to the sums if `accumulate`: `a` holds 64 rows of 16 values, `b` describes 16 rows of N values.
template <typename T, int Count>
DEVICE void multiply_transposed(float (&sums)[Count], const unsigned (&a)[4], unsigned long long b, bool accumulate) {
#if defined(__CUDACC__)
    multiply_registers(T{}, sums, a, b, accumulate);
#else
    emulator::start_product({sums, Count, a, 0, b, true, accumulate, emulator::widened<T>});
#endif
}
