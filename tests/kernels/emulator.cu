// Small kernels that use the emulator rightly and wrongly.
#include "common/copy.cuh"
#include "common/tensor_core.cuh"

struct ExerciseParameters {
    const void* x;
    const void* other;
    void* y;
};

// Half of the block comes to a barrier for all of it.
KERNEL(half_a_barrier, ExerciseParameters, 64, 0) {
    if (threadIdx.x < 32) barrier();
}

// The first warp reads what the second one writes.
DEVICE void pass_on(const ExerciseParameters& parameters, bool with_barrier) {
    float* shared = reinterpret_cast<float*>(shared_memory());
    if (threadIdx.x >= 32) shared[threadIdx.x - 32] = static_cast<float>(threadIdx.x);
    if (with_barrier) barrier();
    if (threadIdx.x < 32) static_cast<float*>(parameters.y)[blockIdx.x * 32 + threadIdx.x] = shared[threadIdx.x];
}
KERNEL(passed_with_a_barrier, ExerciseParameters, 64, 0) { pass_on(parameters, true); }
KERNEL(passed_without_a_barrier, ExerciseParameters, 64, 0) { pass_on(parameters, false); }

// Each thread fetches 16 bytes twice, the second half of the warp zeros, and waits for the first copy only.
KERNEL(waits_for_one_of_two_copies, ExerciseParameters, 32, 0) {
    float* shared = reinterpret_cast<float*>(shared_memory());
    const float* x = static_cast<const float*>(parameters.x) + threadIdx.x * 4;
    for (int copy = 0; copy < 2; copy++) {
        copy_async_16(shared + copy * 128 + threadIdx.x * 4, x, threadIdx.x < 16);
        commit_copies();
    }
    wait_for_copies<1>();
    synchronise_warp();
    for (int index = threadIdx.x; index < 256; index += 32) static_cast<float*>(parameters.y)[index] = shared[index];
}

// The first warp fetches 512 bytes, then 512 others to the same place; the second one stores what it sees of them after a barrier.
DEVICE void refill(const ExerciseParameters& parameters, bool with_barrier) {
    float* shared = reinterpret_cast<float*>(shared_memory());
    const float* x = static_cast<const float*>(parameters.x) + threadIdx.x * 4;
    if (threadIdx.x < 32) copy_async_16(shared + threadIdx.x * 4, x, true);
    commit_copies();
    wait_for_copies<0>();
    barrier();
    if (threadIdx.x >= 32) static_cast<float*>(parameters.y)[blockIdx.x * 32 + threadIdx.x - 32] = shared[threadIdx.x - 32];
    if (with_barrier) barrier();
    if (threadIdx.x < 32) copy_async_16(shared + threadIdx.x * 4, x + 128, true);
}
KERNEL(refills_after_a_barrier, ExerciseParameters, 64, 0) { refill(parameters, true); }
KERNEL(refills_without_a_barrier, ExerciseParameters, 64, 0) { refill(parameters, false); }

// Writes a word beyond the end of its shared memory.
KERNEL(writes_too_far, ExerciseParameters, 32, 0) {
    if (threadIdx.x == 0) *reinterpret_cast<uint32_t*>(shared_memory() + 64) = 1;
}

KERNEL(copies_too_far, ExerciseParameters, 32, 0) { copy_async_16(shared_memory() + threadIdx.x * 16, parameters.x, true); }

// Lanes that go separate ways to operations of the whole warp.
KERNEL(divides_a_warp, ExerciseParameters, 32, 0) {
    if (threadIdx.x < 16) {
        synchronise_warp();
    } else {
        static_cast<float*>(parameters.y)[0] = warp_sum(1.0f);
    }
}

KERNEL(sums_and_maxima, ExerciseParameters, 64, 0) {
    float value = static_cast<const float*>(parameters.x)[threadIdx.x];
    float* y = static_cast<float*>(parameters.y);
    y[threadIdx.x] = warp_sum(value);
    y[64 + threadIdx.x] = warp_max(value);
}

// The registers that lanes get of 32 rows of 8 halves.
template <bool transposed>
DEVICE void load(const ExerciseParameters& parameters) {
    Vector<bfloat16>* rows = reinterpret_cast<Vector<bfloat16>*>(shared_memory());
    rows[threadIdx.x] = load_vector(static_cast<const bfloat16*>(parameters.x) + threadIdx.x * 8);
    synchronise_warp();
    unsigned matrices[4];
    if (transposed) {
        load_matrix_x4_transposed(matrices, rows + threadIdx.x);
    } else {
        load_matrix_x4(matrices, rows + threadIdx.x);
    }
    for (int index = 0; index < 4; index++) static_cast<unsigned*>(parameters.y)[threadIdx.x * 4 + index] = matrices[index];
}
KERNEL(loads_matrices, ExerciseParameters, 32, 0) { load<false>(parameters); }
KERNEL(loads_transposed_matrices, ExerciseParameters, 32, 0) { load<true>(parameters); }

// x: 16 x 16 by other: 16 x 8, rows one after the other, added to what is in y: 16 x 8 in float32. All fragments are read value by value.
template <typename T>
DEVICE void multiply(const ExerciseParameters& parameters) {
    const T* x = static_cast<const T*>(parameters.x);
    const T* other = static_cast<const T*>(parameters.other);
    float* y = static_cast<float*>(parameters.y);
    int group = threadIdx.x / 4, pair = threadIdx.x % 4 * 2;
    unsigned a[4], b[2];
    float c[4];
    for (int index = 0; index < 4; index++) {
        const T* values = x + (group + index % 2 * 8) * 16 + pair + index / 2 * 8;
        a[index] = values[0].bits | static_cast<unsigned>(values[1].bits) << 16;
        c[index] = y[(group + index / 2 * 8) * 8 + pair + index % 2];
    }
    for (int index = 0; index < 2; index++) {
        const T* values = other + (pair + index * 8) * 8 + group;
        b[index] = values[0].bits | static_cast<unsigned>(values[8].bits) << 16;
    }
    multiply_accumulate<T>(c, a, b);
    for (int index = 0; index < 4; index++) y[(group + index / 2 * 8) * 8 + pair + index % 2] = c[index];
}
KERNEL(multiplies_bf16, ExerciseParameters, 32, 0) { multiply<bfloat16>(parameters); }
KERNEL(multiplies_f16, ExerciseParameters, 32, 0) { multiply<float16>(parameters); }

// Every value to the nearest of its type and back: bfloat16, float16, and both again packed in pairs.
KERNEL(rounds, ExerciseParameters, 32, 0) {
    float value = static_cast<const float*>(parameters.x)[blockIdx.x * 32 + threadIdx.x];
    float* y = static_cast<float*>(parameters.y) + (blockIdx.x * 32 + threadIdx.x) * 4;
    y[0] = widen(narrow<bfloat16>(value));
    y[1] = widen(narrow<float16>(value));
    y[2] = low_half<bfloat16>(pack<bfloat16>(value, 0.0f));
    y[3] = high_half<float16>(pack<float16>(0.0f, value));
}

KERNEL(exponentials, ExerciseParameters, 32, 0) {
    int index = blockIdx.x * 32 + threadIdx.x;
    static_cast<float*>(parameters.y)[index] = exponential(static_cast<const float*>(parameters.x)[index]);
}
