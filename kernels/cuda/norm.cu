// Normalisation of rows, with what follows it: y = then((x - mean) / sqrt(statistic^2 + epsilon) * factor + shift).
//
// x: [rows, width], rows `x_stride` values apart; y: [rows, width]; both float32, bfloat16 or float16. Factors and shifts are float32 or of x's type,
// cosines and sines float32. Sums are float32, and the result is rounded once.
//
// A team of threads takes a row: part of a warp, a warp, or a block. A row of whole vectors of 16 bytes stays in registers as it is stored,
// and is read once; any other is read again for each sum and for the result, value by value.
// Grid: x, as many blocks as rows need. Block: whole teams, 128 threads or one team. Shared: a float32 for each warp, where teams have several.
// Bound by bytes: each value is read and written once, and with a rotation four bytes of tables are read for each.
// Architectures: all.

#include "common/activation.cuh"
#include "common/vector.cuh"

struct NormParameters {
    const void* x;
    void* y;
    // [groups, width], groups `group_stride` values apart, or null for ones: group `row / rows_each % groups` is for `row`.
    const void* factors;
    // As the factors, or null for zeros.
    const void* shifts;
    // [positions, width / 2]: position `row % positions` is for `row`.
    const float* cosines;
    const float* sines;
    int64_t x_stride;
    int64_t group_stride;
    int32_t rows;
    int32_t width;
    int32_t rows_each;
    int32_t groups;
    int32_t positions;
    // Threads: a power of two.
    int32_t team;
    // Whether factors and shifts are float32, whatever x is.
    int32_t float32_affine;
    // Whether the mean is subtracted.
    int32_t centred;
    int32_t then;
    float epsilon;
    // Added to the factors.
    float added;
    int32_t unused;
};

constexpr int THEN_SILU = 1;
constexpr int THEN_ROTATION = 2;

constexpr int WARP = WARP_LANES;

// The sum over a team, the same bits for each of its threads. All threads of the block have to come. `WIDE`: teams may have several warps.
template <bool WIDE>
DEVICE float team_sum(float value, int team) {
    for (int mask = (team < WARP ? team : WARP) / 2; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
    if (!WIDE || team <= WARP) return value;
    float* parts = reinterpret_cast<float*>(shared_memory());
    // The parts of the sum before have been read.
    barrier();
    if (threadIdx.x % WARP == 0) parts[threadIdx.x / WARP] = value;
    barrier();
    const float* own = parts + threadIdx.x / team * (team / WARP);
    float sum = 0.0f;
    for (int warp = 0; warp < team / WARP; warp++) sum += own[warp];
    return sum;
}

// What follows a row's statistic.
struct RowEnd {
    float mean;
    float factor;
    // Of the row's group and position.
    int64_t affine;
    int64_t table;
};

DEVICE RowEnd row_end(const NormParameters& p, unsigned row, float mean, float squares) {
    RowEnd end{mean, 1.0f / square_root(squares / static_cast<float>(p.width) + p.epsilon), 0, 0};
    if (p.groups > 1) {
        end.affine = static_cast<int64_t>(row / static_cast<unsigned>(p.rows_each) % static_cast<unsigned>(p.groups)) * p.group_stride;
    }
    if (p.then == THEN_ROTATION) {
        end.table = static_cast<int64_t>(row % static_cast<unsigned>(p.positions)) * (p.width / 2);
    }
    return end;
}

template <typename T, int COUNT, bool ALIGNED>
DEVICE void load_affine(const NormParameters& p, const void* source, int64_t offset, float (&values)[COUNT]) {
    if (p.float32_affine) {
        load_values<COUNT, ALIGNED>(static_cast<const float*>(source) + offset, values);
    } else {
        load_values<COUNT, ALIGNED>(static_cast<const T*>(source) + offset, values);
    }
}

// Turns the values of columns `column` to `column + COUNT` of a row into its results.
template <typename T, int COUNT, bool ALIGNED>
DEVICE void finish(const NormParameters& p, const RowEnd& end, int column, float (&values)[COUNT]) {
    for (int index = 0; index < COUNT; index++) values[index] = (values[index] - end.mean) * end.factor;
    if (p.factors) {
        float factors[COUNT];
        load_affine<T, COUNT, ALIGNED>(p, p.factors, end.affine + column, factors);
        for (int index = 0; index < COUNT; index++) values[index] *= factors[index] + p.added;
    }
    if (p.shifts) {
        float shifts[COUNT];
        load_affine<T, COUNT, ALIGNED>(p, p.shifts, end.affine + column, shifts);
        for (int index = 0; index < COUNT; index++) values[index] += shifts[index];
    }
    if (p.then == THEN_SILU) {
        for (int index = 0; index < COUNT; index++) values[index] = silu_of(values[index]);
    }
    if constexpr (COUNT % 2 == 0) {
        if (p.then == THEN_ROTATION) {
            constexpr int PAIRS = COUNT / 2;
            float cosines[PAIRS], sines[PAIRS];
            load_values<PAIRS, ALIGNED>(p.cosines + end.table + column / 2, cosines);
            load_values<PAIRS, ALIGNED>(p.sines + end.table + column / 2, sines);
            for (int pair = 0; pair < PAIRS; pair++) {
                const float a = values[2 * pair], b = values[2 * pair + 1];
                values[2 * pair] = a * cosines[pair] - b * sines[pair];
                values[2 * pair + 1] = a * sines[pair] + b * cosines[pair];
            }
        }
    }
}

// A team takes `ROWS` rows, of which each thread holds `VECTORS` vectors.
template <typename T, int ROWS, int VECTORS>
DEVICE void norm_in_registers(const NormParameters& p) {
    constexpr int LENGTH = Vector<T>::LENGTH;
    // Rows that need fewer vectors are a warp's at most.
    constexpr bool WIDE = VECTORS == 8;
    const int team = p.team;
    const int lane = threadIdx.x % team;
    const unsigned first = (blockIdx.x * (blockDim.x / team) + threadIdx.x / team) * ROWS;
    Words stored[ROWS][VECTORS];
#pragma unroll
    for (int row = 0; row < ROWS; row++) {
        const T* x = static_cast<const T*>(p.x) + (first + row) * p.x_stride;
#pragma unroll
        for (int vector = 0; vector < VECTORS; vector++) {
            const int column = (vector * team + lane) * LENGTH;
            const bool exists = first + row < static_cast<unsigned>(p.rows) && column < p.width;
            stored[row][vector] = exists ? load_words(x + column) : Words{};
        }
    }
#pragma unroll
    for (int row = 0; row < ROWS; row++) {
        float mean = 0.0f;
        if (p.centred) {
            float sum = 0.0f;
#pragma unroll
            for (int vector = 0; vector < VECTORS; vector++) {
                float values[LENGTH];
                widen_values<T>(stored[row][vector], values);
                for (int index = 0; index < LENGTH; index++) sum += values[index];
            }
            mean = team_sum<WIDE>(sum, team) / static_cast<float>(p.width);
        }
        float squares = 0.0f;
#pragma unroll
        for (int vector = 0; vector < VECTORS; vector++) {
            if ((vector * team + lane) * LENGTH >= p.width) continue;
            float values[LENGTH];
            widen_values<T>(stored[row][vector], values);
            for (int index = 0; index < LENGTH; index++) squares += (values[index] - mean) * (values[index] - mean);
        }
        squares = team_sum<WIDE>(squares, team);
        if (first + row >= static_cast<unsigned>(p.rows)) continue;
        const RowEnd end = row_end(p, first + row, mean, squares);
        T* y = static_cast<T*>(p.y) + static_cast<int64_t>(first + row) * p.width;
#pragma unroll
        for (int vector = 0; vector < VECTORS; vector++) {
            const int column = (vector * team + lane) * LENGTH;
            if (column >= p.width) continue;
            forget(stored[row][vector]);
            float values[LENGTH];
            widen_values<T>(stored[row][vector], values);
            finish<T, LENGTH, true>(p, end, column, values);
            store_values(y + column, values);
        }
    }
}

// A team takes a row, value by value; for a rotation, pair by pair.
template <typename T>
DEVICE void norm_looped(const NormParameters& p) {
    const int team = p.team;
    const int lane = threadIdx.x % team;
    const unsigned row = blockIdx.x * (blockDim.x / team) + threadIdx.x / team;
    // Threads without a row still come to the sums.
    const int width = row < static_cast<unsigned>(p.rows) ? p.width : 0;
    const T* x = static_cast<const T*>(p.x) + static_cast<int64_t>(row) * p.x_stride;
    float mean = 0.0f;
    if (p.centred) {
        float sum = 0.0f;
        for (int column = lane; column < width; column += team) sum += widen(x[column]);
        mean = team_sum<true>(sum, team) / static_cast<float>(p.width);
    }
    float squares = 0.0f;
    for (int column = lane; column < width; column += team) {
        const float value = widen(x[column]) - mean;
        squares += value * value;
    }
    squares = team_sum<true>(squares, team);
    if (width == 0) return;
    const RowEnd end = row_end(p, row, mean, squares);
    T* y = static_cast<T*>(p.y) + static_cast<int64_t>(row) * width;
    if (p.then == THEN_ROTATION) {
        for (int column = 2 * lane; column < width; column += 2 * team) {
            float values[2] = {widen(x[column]), widen(x[column + 1])};
            finish<T, 2, false>(p, end, column, values);
            y[column] = narrow<T>(values[0]);
            y[column + 1] = narrow<T>(values[1]);
        }
    } else {
        for (int column = lane; column < width; column += team) {
            float values[1] = {widen(x[column])};
            finish<T, 1, false>(p, end, column, values);
            y[column] = narrow<T>(values[0]);
        }
    }
}

// By the vectors that a thread holds of each row. Short rows are taken several together, so that enough loads are under way.
#define NORMS(name, type)                                                                                   \
    KERNEL(norm_##name##_1, NormParameters, 128, 0) { norm_in_registers<type, 4, 1>(parameters); }          \
    KERNEL(norm_##name##_2, NormParameters, 128, 0) { norm_in_registers<type, 2, 2>(parameters); }          \
    KERNEL(norm_##name##_4, NormParameters, 128, 0) { norm_in_registers<type, 1, 4>(parameters); }          \
    KERNEL(norm_##name##_8, NormParameters, 512, 0) { norm_in_registers<type, 1, 8>(parameters); }          \
    KERNEL(norm_##name##_looped, NormParameters, 256, 0) { norm_looped<type>(parameters); }

NORMS(f32, float)
NORMS(bf16, bfloat16)
NORMS(f16, float16)
