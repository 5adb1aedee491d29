// Attention on Hopper, in bfloat16 and float16, for heads of 64 and 128 values: y = softmax(scale q k^T) v for each head, without the matrix of scores.
//
// q [B, L, heads, D], k and v [B, S, heads, D], as tensor maps; y [B, L, heads, D], contiguous. Grid: tiles of queries, heads, B.
//
// A block is a warpgroup that copies and two or three that compute, each 64 queries. One thread copies q once and then tiles of keys and values, by boxes
// of rows by 128 bytes in 128-byte swizzle, into a ring of stages; barriers count bytes for those who wait for a tile, and warps for the thread that
// refills it. In a warpgroup the products for the next tile's scores and of this tile's exponentials with its values start together, and the softmax of
// the next tile begins as soon as its scores are there. Warpgroups take turns at starting products, so that one's softmax meets another's products.
//
// The tile with fewer keys than others is taken first: no other needs a mask. Copies fill rows beyond the end with zeros. Maxima are of the tiles so far;
// sums are multiplied again only when a maximum has grown by more than a factor of 2^8, so exponentials are at most 2^8. Scores, softmax and sums are
// float32; exponentials are rounded for the second product, y once. Every sum's order is fixed.
//
// Bound by operations: 4 L S D for each head on tensor cores; at D = 64 as much by the exponentials, of which there are L S at 16 a cycle and
// multiprocessor: every eighth is a polynomial instead. Compute capability 9.0 only.
//
// Source: Shah et al., "FlashAttention-3" (2024), algorithm 2; the polynomial and the rare multiplication are as described for FlashAttention-4.
#include "common/hopper.cuh"
#include "common/warpgroup.cuh"

constexpr int WARPGROUP = 128;
// Queries of a warpgroup.
constexpr int ROWS = 64;
// Bytes of a row of a swizzled matrix, and the bytes of 8 rows, the least part of the pattern.
constexpr int ROW_BYTES = 128, GROUP_BYTES = 1024;
// Values of a row.
constexpr int COLUMNS = ROW_BYTES / 2;

struct AttentionSm90Parameters {
    TensorMap query, key, value;
    void* output;
    int32_t queries, keys, heads;
    // Times log2(e).
    float scale;
    uint64_t padding[13];
};
static_assert(sizeof(AttentionSm90Parameters) == 512, "as long as on the host");

// How a block divides its work; the plan on the host has the same table.
template <typename ElementType, int width, int consumers, int tile_keys, int stages, int producer_registers, int consumer_registers, int polynomials>
struct Tile {
    using T = ElementType;
    static constexpr int WIDTH = width, CONSUMERS = consumers, KEYS = tile_keys, STAGES = stages;
    static constexpr int PRODUCER_REGISTERS = producer_registers, CONSUMER_REGISTERS = consumer_registers;
    // One of so many exponentials is a polynomial; none if 0.
    static constexpr int POLYNOMIALS = polynomials;

    static constexpr int QUERIES = CONSUMERS * ROWS;
    // Tiles wider than a swizzled row are several matrices, one after the other.
    static constexpr int PARTS = WIDTH / COLUMNS;
    static constexpr int QUERY_PART_BYTES = QUERIES * ROW_BYTES, KEY_PART_BYTES = KEYS * ROW_BYTES;
    static constexpr int QUERY_BYTES = PARTS * QUERY_PART_BYTES, KEY_BYTES = PARTS * KEY_PART_BYTES;
    static constexpr int THREADS = (CONSUMERS + 1) * WARPGROUP;
};

// Where a block's tiles and barriers lie in shared memory.
template <typename Tile>
struct Memory {
    char* query;
    char* keys;
    char* values;
    // `filled`: bytes are there; `used`: all warps that compute are done with them.
    TransactionBarrier *query_filled, *keys_filled, *keys_used, *values_filled, *values_used;

    DEVICE Memory() {
        query = shared_memory();
        keys = query + Tile::QUERY_BYTES;
        values = keys + Tile::STAGES * Tile::KEY_BYTES;
        query_filled = reinterpret_cast<TransactionBarrier*>(values + Tile::STAGES * Tile::KEY_BYTES);
        keys_filled = query_filled + 1;
        keys_used = keys_filled + Tile::STAGES;
        values_filled = keys_used + Tile::STAGES;
        values_used = values_filled + Tile::STAGES;
    }
};

// The place of a tile in the ring: tiles are numbered in the order in which they are taken.
template <typename Tile>
struct Stage {
    int index;
    unsigned parity;
    DEVICE explicit Stage(int tile) : index(tile % Tile::STAGES), parity(tile / Tile::STAGES & 1) {}
};

// Copies a tile of keys or values into its stage, once that is free. Tile 0 holds the last keys.
template <typename Tile>
DEVICE void fill(const TensorMap* map, char* tiles, TransactionBarrier* filled, TransactionBarrier* used, int tile, int count) {
    const Stage<Tile> stage(tile);
    wait(used + stage.index, stage.parity ^ 1);
    arrive_expecting(filled + stage.index, Tile::KEY_BYTES);
    const int first = (count - 1 - tile) * Tile::KEYS;
#pragma unroll
    for (int part = 0; part < Tile::PARTS; part++) {
        copy_box(tiles + stage.index * Tile::KEY_BYTES + part * Tile::KEY_PART_BYTES, map, filled + stage.index,
                 {part * COLUMNS, static_cast<int>(blockIdx.y), first, static_cast<int>(blockIdx.z)});
    }
}

// What the one thread that copies does.
template <typename Tile>
DEVICE void produce(const AttentionSm90Parameters& parameters, const Memory<Tile>& memory, int count) {
    arrive_expecting(memory.query_filled, Tile::QUERY_BYTES);
#pragma unroll
    for (int part = 0; part < Tile::PARTS; part++) {
        copy_box(memory.query + part * Tile::QUERY_PART_BYTES, &parameters.query, memory.query_filled,
                 {part * COLUMNS, static_cast<int>(blockIdx.y), static_cast<int>(blockIdx.x) * Tile::QUERIES, static_cast<int>(blockIdx.z)});
    }
    // Values are needed one tile later than keys.
    for (int tile = 0; tile <= count; tile++) {
        if (tile < count) fill<Tile>(&parameters.key, memory.keys, memory.keys_filled, memory.keys_used, tile, count);
        if (tile > 0) fill<Tile>(&parameters.value, memory.values, memory.values_filled, memory.values_used, tile - 1, count);
    }
}

// 2^x by a polynomial for x up to 127, off by at most 2^-13 of it, without the unit that has few powers a cycle; below 2^-126 it stays there.
DEVICE float polynomial_power_of_two(float x) {
    x = larger_or_nan(x, -126.0f);
    // The sum's last bits are the nearest whole number plus float32's bias of exponents.
    constexpr float SHIFT = 12582912.0f + 127.0f;
    const float shifted = x + SHIFT;
    const float rest = x - (shifted - SHIFT);
    float power = multiply_add(0.0551716685f, rest, 0.242611125f);
    power = multiply_add(power, rest, 0.693260968f);
    power = multiply_add(power, rest, 0.999928057f);
    return power * float_of(bits_of(shifted) << 23);
}

// The queries of one warpgroup. A thread has two rows of each product; see warpgroup.cuh.
template <typename Tile>
struct Consumer {
    using T = typename Tile::T;
    static constexpr int STEPS = Tile::KEYS / 16;

    const Memory<Tile>& memory;
    const float scale;
    const int group;
    float scores[Tile::KEYS / 2];
    // Exponentials of a tile, laid out as rows of the second product.
    unsigned weights[STEPS][4];
    float sums[Tile::WIDTH / 2];
    // By row: what is subtracted from scores, times scale; and this thread's part of the sum of exponentials.
    float reference[2], total[2];

    DEVICE Consumer(const AttentionSm90Parameters& parameters, const Memory<Tile>& memory, int group)
        : memory(memory), scale(parameters.scale), group(group) {}

    // Starts the scores of a tile.
    DEVICE void multiply_keys(int stage) {
        const auto query = matrix_descriptor(memory.query + group * ROWS * ROW_BYTES, GROUP_BYTES, 0);
        const auto keys = matrix_descriptor(memory.keys + stage * Tile::KEY_BYTES, GROUP_BYTES, 0);
#pragma unroll
        for (int part = 0; part < Tile::PARTS; part++) {
#pragma unroll
            for (int step = 0; step < COLUMNS / 16; step++) {
                multiply<T>(scores, advance(query, part * Tile::QUERY_PART_BYTES + step * 32),
                            advance(keys, part * Tile::KEY_PART_BYTES + step * 32), part + step > 0);
            }
        }
        commit_products();
    }

    // Starts to add a tile's values times its weights; to nothing, if it is the first.
    DEVICE void multiply_values(int stage, bool first) {
        const auto values = matrix_descriptor(memory.values + stage * Tile::KEY_BYTES, GROUP_BYTES, Tile::KEY_PART_BYTES);
#pragma unroll
        for (int step = 0; step < STEPS; step++) {
            multiply_transposed<T>(sums, weights[step], advance(values, step * 16 * ROW_BYTES), step > 0 || !first);
        }
        commit_products();
    }

    // Tells the thread that copies that this warp is done with a stage.
    DEVICE void release(TransactionBarrier* used, int stage) {
        if (threadIdx.x % WARP_LANES == 0) arrive(used + stage);
    }

    // The largest scores of both rows, times scale.
    DEVICE void find_maxima(float (&maximum)[2]) {
#pragma unroll
        for (int row = 0; row < 2; row++) {
            float largest = scores[2 * row];
#pragma unroll
            for (int i = 0; i < Tile::KEYS / 4; i++) largest = fmaxf(largest, scores[i / 2 * 4 + row * 2 + i % 2]);
            // The four lanes that share a row.
            largest = fmaxf(largest, shuffle_xor(largest, 1));
            largest = fmaxf(largest, shuffle_xor(largest, 2));
            maximum[row] = largest * scale;
        }
    }

    // Scores become exponentials, which are added to the totals.
    DEVICE void exponentiate() {
#pragma unroll
        for (int i = 0; i < Tile::KEYS / 2; i++) {
            const int row = i / 2 % 2;
            const float power = multiply_add(scores[i], scale, -reference[row]);
            const bool polynomial = Tile::POLYNOMIALS > 0 && i / 4 % Tile::POLYNOMIALS == Tile::POLYNOMIALS - 1;
            scores[i] = polynomial ? polynomial_power_of_two(power) : power_of_two(power);
            total[row] += scores[i];
        }
    }

    // Rounds the exponentials to where the second product reads them.
    DEVICE void round_weights() {
#pragma unroll
        for (int i = 0; i < Tile::KEYS / 4; i++) weights[i / 4][i % 4] = pack<T>(scores[2 * i], scores[2 * i + 1]);
    }

    // The keys of tile 0 beyond the last weigh nothing.
    DEVICE void mask(int keys) {
#pragma unroll
        for (int i = 0; i < Tile::KEYS / 2; i++) {
            if (i / 4 * 8 + static_cast<int>(threadIdx.x % 4) * 2 + i % 2 >= keys) scores[i] = -INFINITY;
        }
    }

    // Warpgroups start their products one after the other, `turns` times each.
    DEVICE void take_turn(int turn) {
        if (group > 0 || turn > 0) barrier(1 + group, 2 * WARPGROUP);
    }
    DEVICE void pass_turn(int turn, int turns) {
        if (group < Tile::CONSUMERS - 1) {
            arrive_at_barrier(2 + group, 2 * WARPGROUP);
        } else if (turn < turns - 1) {
            arrive_at_barrier(1, 2 * WARPGROUP);
        }
    }

    // Waits for the keys of a tile, if there are any. They are needed for the next turn only; but this wait stands before the one for products and
    // depends on the totals, or the compiler would move exponentials behind that one, where no product overlaps them. Totals are never negative.
    DEVICE void wait_for_keys(int tile, int count) {
        const Stage<Tile> stage(tile);
        const unsigned is_negative = total[0] + total[1] < 0.0f;
        if (tile < count) wait(memory.keys_filled + stage.index, stage.parity ^ is_negative);
    }

    DEVICE void attend(int keys, int count) {
        wait(memory.query_filled, 0);
        wait(memory.keys_filled, 0);
        begin_products();
        multiply_keys(0);
        wait_for_products<0>();
        settle(scores);
        release(memory.keys_used, 0);
        mask(keys - (count - 1) * Tile::KEYS);
        find_maxima(reference);
        total[0] = total[1] = 0.0f;
        exponentiate();
        round_weights();
        wait_for_keys(1, count);

        for (int tile = 1; tile < count; tile++) {
            const Stage<Tile> next(tile), current(tile - 1);
            take_turn(tile - 1);
            begin_products();
            multiply_keys(next.index);
            wait(memory.values_filled + current.index, current.parity);
            begin_products();
            multiply_values(current.index, tile == 1);
            pass_turn(tile - 1, count - 1);

            wait_for_products<1>();
            settle(scores);
            release(memory.keys_used, next.index);
            float maximum[2], factor[2] = {1.0f, 1.0f};
            find_maxima(maximum);
#pragma unroll
            for (int row = 0; row < 2; row++) {
                if (maximum[row] > reference[row] + 8.0f) {
                    factor[row] = power_of_two(reference[row] - maximum[row]);
                    reference[row] = maximum[row];
                }
                total[row] *= factor[row];
            }
            exponentiate();
            wait_for_keys(tile + 1, count);

            wait_for_products<0>();
            settle(sums);
            release(memory.values_used, current.index);
            if (warp_any(factor[0] != 1.0f || factor[1] != 1.0f)) {
#pragma unroll
                for (int i = 0; i < Tile::WIDTH / 2; i++) sums[i] *= factor[i / 2 % 2];
            }
            round_weights();
        }

        const Stage<Tile> last(count - 1);
        wait(memory.values_filled + last.index, last.parity);
        begin_products();
        multiply_values(last.index, count == 1);
        wait_for_products<0>();
        settle(sums);
    }

    // Writes sums over totals.
    DEVICE void store(const AttentionSm90Parameters& parameters) {
#pragma unroll
        for (int row = 0; row < 2; row++) {
            float whole = total[row] + shuffle_xor(total[row], 1);
            whole += shuffle_xor(whole, 2);
            const float factor = 1.0f / whole;
            const int warp = threadIdx.x / WARP_LANES % 4, lane = threadIdx.x % WARP_LANES;
            const int64_t query = static_cast<int64_t>(blockIdx.x) * Tile::QUERIES + group * ROWS + warp * 16 + lane / 4 + row * 8;
            if (query >= parameters.queries) continue;
            const int64_t token = blockIdx.z * static_cast<int64_t>(parameters.queries) + query;
            T* output = static_cast<T*>(parameters.output) + (token * parameters.heads + blockIdx.y) * Tile::WIDTH + lane % 4 * 2;
#pragma unroll
            for (int i = 0; i < Tile::WIDTH / 8; i++) {
                *reinterpret_cast<unsigned*>(output + i * 8) = pack<T>(sums[4 * i + 2 * row] * factor, sums[4 * i + 2 * row + 1] * factor);
            }
        }
    }
};

template <typename Tile>
DEVICE void attention(const AttentionSm90Parameters& parameters) {
    const Memory<Tile> memory;
    if (threadIdx.x == 0) {
        prefetch(&parameters.query);
        prefetch(&parameters.key);
        prefetch(&parameters.value);
        initialise(memory.query_filled, 1);
        for (int stage = 0; stage < Tile::STAGES; stage++) {
            initialise(memory.keys_filled + stage, 1);
            initialise(memory.values_filled + stage, 1);
            initialise(memory.keys_used + stage, Tile::CONSUMERS * 4);
            initialise(memory.values_used + stage, Tile::CONSUMERS * 4);
        }
        publish_barriers();
    }
    barrier();
    const int count = (parameters.keys + Tile::KEYS - 1) / Tile::KEYS;
    // The same in all lanes, which the compiler cannot see.
    const int warpgroup = shuffle(static_cast<int>(threadIdx.x / WARPGROUP), 0);
    if (warpgroup == 0) {
        shrink_registers<Tile::PRODUCER_REGISTERS>();
        if (threadIdx.x == 0) produce<Tile>(parameters, memory, count);
    } else {
        grow_registers<Tile::CONSUMER_REGISTERS>();
        Consumer<Tile> consumer(parameters, memory, warpgroup - 1);
        consumer.attend(parameters.keys, count);
        consumer.store(parameters);
    }
}

// Registers: (32 + 3 160) 128 and (24 + 2 240) 128 of 65536.
template <typename T>
using Narrow = Tile<T, 64, 3, 128, 4, 32, 160, 8>;
template <typename T>
using Wide = Tile<T, 128, 2, 176, 2, 24, 240, 0>;

KERNEL(attention_sm90_bf16_d64, AttentionSm90Parameters, Narrow<bfloat16>::THREADS, 1) { attention<Narrow<bfloat16>>(parameters); }
KERNEL(attention_sm90_f16_d64, AttentionSm90Parameters, Narrow<float16>::THREADS, 1) { attention<Narrow<float16>>(parameters); }
KERNEL(attention_sm90_bf16_d128, AttentionSm90Parameters, Wide<bfloat16>::THREADS, 1) { attention<Wide<bfloat16>>(parameters); }
KERNEL(attention_sm90_f16_d128, AttentionSm90Parameters, Wide<float16>::THREADS, 1) { attention<Wide<float16>>(parameters); }
