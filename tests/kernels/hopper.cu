// Small kernels that use boxes, barriers in shared memory and products of warpgroups, rightly and wrongly. The tensor is [1, tokens, 2, 128].
#include "common/hopper.cuh"
#include "common/warpgroup.cuh"

struct HopperParameters {
    // Boxes of 64 tokens and of 128 tokens.
    TensorMap rows, columns;
    // The matrix a as rows of 16 values, for those that have it in registers.
    const void* a;
    void* y;
    uint64_t padding[14];
};

constexpr int BOX_BYTES = 64 * 128;

DEVICE TransactionBarrier* barrier_at(int bytes) { return reinterpret_cast<TransactionBarrier*>(shared_memory() + bytes); }

DEVICE void make_barrier(TransactionBarrier* copied) {
    if (threadIdx.x == 0) {
        initialise(copied, 1);
        publish_barriers();
    }
    barrier();
}

DEVICE void copy_shared(const HopperParameters& parameters) {
    const unsigned short* shared = reinterpret_cast<const unsigned short*>(shared_memory());
    for (int index = threadIdx.x; index < BOX_BYTES / 2; index += 128) static_cast<unsigned short*>(parameters.y)[index] = shared[index];
}

// Copies a box that begins before the first token and at the second half of the second head, waits or does not, and shows how it lies.
DEVICE void show_box(const HopperParameters& parameters, bool waits, int more_bytes) {
    TransactionBarrier* copied = barrier_at(BOX_BYTES);
    make_barrier(copied);
    if (threadIdx.x == 0) {
        arrive_expecting(copied, BOX_BYTES + more_bytes);
        copy_box(shared_memory(), &parameters.rows, copied, {64, 1, -2, 0});
    }
    if (waits) wait(copied, 0);
    copy_shared(parameters);
    barrier();
    wait(copied, 0);
}
KERNEL(shows_a_box, HopperParameters, 128, 0) { show_box(parameters, true, 0); }
KERNEL(shows_a_box_too_early, HopperParameters, 128, 0) { show_box(parameters, false, 0); }
KERNEL(expects_more_than_a_box, HopperParameters, 128, 0) { show_box(parameters, true, 16); }

// A second box to the same place, in the barrier's second phase, which is waited for by the first one's parity.
KERNEL(waits_for_the_phase_before, HopperParameters, 128, 0) {
    TransactionBarrier* copied = barrier_at(BOX_BYTES);
    make_barrier(copied);
    for (int phase = 0; phase < 2; phase++) {
        if (threadIdx.x == 0) {
            arrive_expecting(copied, BOX_BYTES);
            copy_box(shared_memory(), &parameters.rows, copied, {0, phase, 0, 0});
        }
        wait(copied, 0);
        barrier();
    }
    copy_shared(parameters);
    barrier();
    wait(copied, 1);
}

// Copies 64 tokens of the first head, a, and 128 of the second, b, their first 64 values, and waits.
DEVICE void copy_matrices(const HopperParameters& parameters, TransactionBarrier* copied) {
    make_barrier(copied);
    if (threadIdx.x == 0) {
        arrive_expecting(copied, 3 * BOX_BYTES);
        copy_box(shared_memory(), &parameters.rows, copied, {0, 0, 0, 0});
        copy_box(shared_memory() + BOX_BYTES, &parameters.columns, copied, {0, 1, 0, 0});
    }
    wait(copied, 0);
}

template <int COUNT>
DEVICE void store_sums(const HopperParameters& parameters, const float (&sums)[COUNT]) {
    const int row = threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4, column = threadIdx.x % 4 * 2;
    float* y = static_cast<float*>(parameters.y) + blockIdx.x * 64 * COUNT * 2;
    for (int index = 0; index < COUNT; index++) {
        y[(row + index / 2 % 2 * 8) * COUNT * 2 + index / 4 * 8 + column + index % 2] = sums[index];
    }
}

enum Fault { NONE, READS_EARLY, OVERWRITES_EARLY, REFILLS_EARLY, DOES_NOT_BEGIN };

// a b^T, of 64 values each.
template <typename T>
DEVICE void multiply_rows(const HopperParameters& parameters, Fault fault) {
    TransactionBarrier* copied = barrier_at(3 * BOX_BYTES);
    copy_matrices(parameters, copied);
    float sums[64];
    for (int index = 0; index < 64; index++) sums[index] = 7.0f;
    if (fault != DOES_NOT_BEGIN) begin_products();
    for (int step = 0; step < 4; step++) {
        multiply<T>(sums, advance(matrix_descriptor(shared_memory(), 1024, 0), step * 32),
                    advance(matrix_descriptor(shared_memory() + BOX_BYTES, 1024, 0), step * 32), step > 0);
    }
    commit_products();
    if (fault == READS_EARLY) store_sums(parameters, sums);
    if (fault == OVERWRITES_EARLY) {
        barrier();
        for (int index = threadIdx.x; index < 2 * BOX_BYTES; index += 128) shared_memory()[BOX_BYTES + index] = 0;
        barrier();
    }
    if (fault == REFILLS_EARLY && threadIdx.x == 0) {
        arrive_expecting(copied, 2 * BOX_BYTES);
        copy_box(shared_memory() + BOX_BYTES, &parameters.columns, copied, {64, 1, 0, 0});
    }
    wait_for_products<0>();
    settle(sums);
    if (fault == REFILLS_EARLY) {
        barrier();
        wait(copied, 1);
    }
    if (fault != READS_EARLY) store_sums(parameters, sums);
}
KERNEL(multiplies_rows_bf16, HopperParameters, 128, 0) { multiply_rows<bfloat16>(parameters, NONE); }
KERNEL(multiplies_rows_f16, HopperParameters, 128, 0) { multiply_rows<float16>(parameters, NONE); }
KERNEL(reads_sums_too_early, HopperParameters, 128, 0) { multiply_rows<bfloat16>(parameters, READS_EARLY); }
KERNEL(overwrites_rows_too_early, HopperParameters, 128, 0) { multiply_rows<bfloat16>(parameters, OVERWRITES_EARLY); }
KERNEL(refills_rows_too_early, HopperParameters, 128, 0) { multiply_rows<bfloat16>(parameters, REFILLS_EARLY); }
KERNEL(does_not_begin_products, HopperParameters, 128, 0) { multiply_rows<bfloat16>(parameters, DOES_NOT_BEGIN); }

// a b of 16 values each, added to 7: b is 16 tokens of all 128 values of the second head, in two boxes.
KERNEL(multiplies_registers_bf16, HopperParameters, 128, 0) {
    TransactionBarrier* copied = barrier_at(2 * BOX_BYTES);
    make_barrier(copied);
    if (threadIdx.x == 0) {
        arrive_expecting(copied, 2 * BOX_BYTES);
        copy_box(shared_memory(), &parameters.rows, copied, {0, 1, 0, 0});
        copy_box(shared_memory() + BOX_BYTES, &parameters.rows, copied, {64, 1, 0, 0});
    }
    wait(copied, 0);
    unsigned a[4];
    const int row = threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4, column = threadIdx.x % 4 * 2;
    for (int index = 0; index < 4; index++) {
        const unsigned short* pair = static_cast<const unsigned short*>(parameters.a) + (row + index % 2 * 8) * 16 + column + index / 2 * 8;
        a[index] = pair[0] | static_cast<unsigned>(pair[1]) << 16;
    }
    float sums[64];
    for (int index = 0; index < 64; index++) sums[index] = 7.0f;
    begin_products();
    // The second 16 tokens.
    multiply_transposed<bfloat16>(sums, a, advance(matrix_descriptor(shared_memory(), 1024, BOX_BYTES), 2048), true);
    commit_products();
    wait_for_products<0>();
    settle(sums);
    store_sums(parameters, sums);
}

// What a descriptor of something 3104 bytes into shared memory is in bits.
KERNEL(describes_a_matrix, HopperParameters, 128, 0) {
    if (threadIdx.x == 0) *static_cast<uint64_t*>(parameters.y) = advance(matrix_descriptor(shared_memory() + 3072, 1024, 22528), 32);
}
