// What follows a matrix product: y = residual + gate * (x + bias), or GELU or SiLU of x + bias.
//
// x, residual, y: [rows, width], bias: [width], of one type: float32, bfloat16 or float16. gates: [groups, width], float32. Computed in float32 and
// rounded once. y may be x or residual: each value is read by the thread that writes it, before it writes.
//
// A thread takes a vector of 16 bytes (or one value, where that does not divide rows) of `ROWS` rows, with one bias, and one gate for rows of one group.
// Grid: x, groups of ROWS rows; y, parts of a row. Block: up to 128 threads. No shared memory.
// Bound by bytes: product and residual are read and the result is written once.
// Architectures: all.

#include "common/activation.cuh"
#include "common/vector.cuh"

struct GateParameters {
    const void* x;
    void* y;
    // Null for zeros.
    const void* bias;
    // Null for zeros.
    const void* residual;
    // Group `row / rows_each` is for `row`; null for ones.
    const float* gates;
    int32_t rows;
    int32_t width;
    int32_t rows_each;
    int32_t activation;
};

constexpr int ACTIVATION_GELU = 1;
constexpr int ACTIVATION_SILU = 2;

// Rows of a thread, whose loads are under way together.
constexpr int ROWS = 4;

// What a thread takes of a row: a vector, or one value.
template <typename T, bool VECTORS>
struct Part {
    static constexpr int LENGTH = VECTORS ? Vector<T>::LENGTH : 1;
    Words words;
    T value;

    DEVICE void load(const T* source) {
        if constexpr (VECTORS) {
            words = load_words(source);
        } else {
            value = *source;
        }
    }

    DEVICE void widened(float (&values)[LENGTH]) const {
        if constexpr (VECTORS) {
            widen_values<T>(words, values);
        } else {
            values[0] = widen(value);
        }
    }
};

template <typename T, bool VECTORS>
DEVICE void gate(const GateParameters& p) {
    constexpr int LENGTH = Part<T, VECTORS>::LENGTH;
    const int column = (blockIdx.y * blockDim.x + threadIdx.x) * LENGTH;
    if (column >= p.width) return;
    const int first = blockIdx.x * ROWS;
    Part<T, VECTORS> products[ROWS], residuals[ROWS];
#pragma unroll
    for (int row = 0; row < ROWS; row++) {
        if (first + row >= p.rows) continue;
        const int64_t place = static_cast<int64_t>(first + row) * p.width + column;
        products[row].load(static_cast<const T*>(p.x) + place);
        if (p.residual) residuals[row].load(static_cast<const T*>(p.residual) + place);
    }
    float bias[LENGTH] = {}, gates[LENGTH] = {};
    if (p.bias) load_values<LENGTH, VECTORS>(static_cast<const T*>(p.bias) + column, bias);
    int loaded = -1;
#pragma unroll
    for (int row = 0; row < ROWS; row++) {
        if (first + row >= p.rows) continue;
        float values[LENGTH], residual[LENGTH];
        products[row].widened(values);
        for (int index = 0; index < LENGTH; index++) values[index] += bias[index];
        if (p.activation == ACTIVATION_GELU) {
            for (int index = 0; index < LENGTH; index++) values[index] = gelu_of(values[index]);
        }
        if (p.activation == ACTIVATION_SILU) {
            for (int index = 0; index < LENGTH; index++) values[index] = silu_of(values[index]);
        }
        if (p.gates) {
            const int group = (first + row) / p.rows_each;
            if (group != loaded) {
                load_values<LENGTH, VECTORS>(p.gates + static_cast<int64_t>(group) * p.width + column, gates);
                loaded = group;
            }
            for (int index = 0; index < LENGTH; index++) values[index] *= gates[index];
        }
        if (p.residual) {
            residuals[row].widened(residual);
            for (int index = 0; index < LENGTH; index++) values[index] += residual[index];
        }
        T* y = static_cast<T*>(p.y) + static_cast<int64_t>(first + row) * p.width + column;
        if constexpr (VECTORS) {
            store_values(y, values);
        } else {
            *y = narrow<T>(values[0]);
        }
    }
}

#define GATES(name, type)                                                             \
    KERNEL(gate_##name, GateParameters, 128, 0) { gate<type, true>(parameters); }     \
    KERNEL(gate_##name##_single, GateParameters, 128, 0) { gate<type, false>(parameters); }

GATES(f32, float)
GATES(bf16, bfloat16)
GATES(f16, float16)
