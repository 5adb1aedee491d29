// Matrix products of a warp, on every card since compute capability 8.0. With t = lane % 4 and g = lane / 4, pairs lower half first:
//
//   A, 16 rows by 16, registers 0 to 3: rows g, g + 8, g, g + 8; columns 2 t and 2 t + 1, those of registers 2 and 3 by 8 more
//   B, 16 rows by 8, registers 0 and 1: rows 2 t and 2 t + 1, those of register 1 by 8 more; column g
//   C, 16 rows by 8, values 0 to 3: rows g, g, g + 8, g + 8; columns 2 t, 2 t + 1, 2 t, 2 t + 1
//
// Source: PTX ISA, sections "Matrix Fragments for mma.m16n8k16 with floating point type" and "ldmatrix".
#pragma once

#include "number.cuh"

#if !defined(__CUDACC__)
namespace emulator {

struct LoadedMatrices {
    unsigned* registers;
    const void* row;
};

// Four matrices of 8 x 8 halves: lane 8 i + r brings the address of row r of matrix i.
template <bool transposed>
void load_matrices(void* const* brought) {
    const unsigned short* rows[WARP_LANES];
    for (uint32_t lane = 0; lane < WARP_LANES; lane++) {
        rows[lane] = static_cast<const unsigned short*>(static_cast<LoadedMatrices*>(brought[lane])->row);
    }
    for (uint32_t lane = 0; lane < WARP_LANES; lane++) {
        uint32_t row = lane / 4, column = lane % 4 * 2;
        for (uint32_t matrix = 0; matrix < 4; matrix++) {
            const unsigned short* const* of = rows + matrix * 8;
            unsigned low = transposed ? of[column][row] : of[row][column];
            unsigned high = transposed ? of[column + 1][row] : of[row][column + 1];
            static_cast<LoadedMatrices*>(brought[lane])->registers[matrix] = low | high << 16;
        }
    }
}

struct Multiplied {
    float* c;
    const unsigned* a;
    const unsigned* b;
};

template <typename T>
void multiply_matrices(void* const* brought) {
    float a[16][16], b[16][8];
    for (uint32_t lane = 0; lane < WARP_LANES; lane++) {
        const Multiplied& own = *static_cast<Multiplied*>(brought[lane]);
        uint32_t row = lane / 4, pair = lane % 4 * 2;
        for (uint32_t index = 0; index < 4; index++) {
            float* target = &a[row + index % 2 * 8][pair + index / 2 * 8];
            target[0] = low_half<T>(own.a[index]);
            target[1] = high_half<T>(own.a[index]);
        }
        for (uint32_t index = 0; index < 2; index++) {
            b[pair + index * 8][row] = low_half<T>(own.b[index]);
            b[pair + index * 8 + 1][row] = high_half<T>(own.b[index]);
        }
    }
    float sums[16][8] = {};
    for (uint32_t inner = 0; inner < 16; inner++) {
        for (uint32_t row = 0; row < 16; row++) {
            for (uint32_t column = 0; column < 8; column++) sums[row][column] += a[row][inner] * b[inner][column];
        }
    }
    for (uint32_t lane = 0; lane < WARP_LANES; lane++) {
        float* c = static_cast<Multiplied*>(brought[lane])->c;
        for (uint32_t index = 0; index < 4; index++) c[index] += sums[lane / 4 + index / 2 * 8][lane % 4 * 2 + index % 2];
    }
}

}  // namespace emulator
#endif

// Four matrices of 8 rows by 8 halves from shared memory. Lanes 8 i to 8 i + 7 bring the addresses of the rows of matrix i, each a multiple of 16;
// register i of a lane gets row g, columns 2 t and 2 t + 1 of it.
DEVICE void load_matrix_x4(unsigned (&matrices)[4], const void* shared_row) {
#if defined(__CUDACC__)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
                 : "r"(shared_address(shared_row))
                 : "memory");
#else
    emulator::check_shared(shared_row, 16, 16, "a row of a matrix");
    emulator::LoadedMatrices own{matrices, shared_row};
    emulator::together(WARP_LANES, emulator::load_matrices<false>, &own, "a load of matrices");
#endif
}

// The same, transposed: register i of a lane gets rows 2 t and 2 t + 1, column g.
DEVICE void load_matrix_x4_transposed(unsigned (&matrices)[4], const void* shared_row) {
#if defined(__CUDACC__)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
                 : "r"(shared_address(shared_row))
                 : "memory");
#else
    emulator::check_shared(shared_row, 16, 16, "a row of a matrix");
    emulator::LoadedMatrices own{matrices, shared_row};
    emulator::together(WARP_LANES, emulator::load_matrices<true>, &own, "a load of transposed matrices");
#endif
}

// C += A B, in float32; how the 16 products of a value are summed, the device leaves open.
template <typename T>
DEVICE void multiply_accumulate(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]);

#if defined(__CUDACC__)
#define MULTIPLY_ACCUMULATE(T, name)                                                                                                     \
    template <>                                                                                                                          \
    DEVICE void multiply_accumulate<T>(float(&c)[4], const unsigned(&a)[4], const unsigned(&b)[2]) {                                     \
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." name "." name ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "        \
                     "{%0, %1, %2, %3};"                                                                                                 \
                     : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                                                                    \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                                                \
    }
#else
#define MULTIPLY_ACCUMULATE(T, name)                                                                   \
    template <>                                                                                        \
    DEVICE void multiply_accumulate<T>(float(&c)[4], const unsigned(&a)[4], const unsigned(&b)[2]) {   \
        emulator::Multiplied own{c, a, b};                                                             \
        emulator::together(WARP_LANES, emulator::multiply_matrices<T>, &own, "a product of matrices"); \
    }
#endif
MULTIPLY_ACCUMULATE(bfloat16, "bf16")
MULTIPLY_ACCUMULATE(float16, "f16")
#undef MULTIPLY_ACCUMULATE
