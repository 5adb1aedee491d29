// Attention: y = softmax(scale q k^T + bias) v for each head, on every card since compute capability 8.0.
//
//   q: [B, L, heads, D], k and v: [B, S, heads, D], bfloat16 or float16, each with strides of its own in values, multiples of 8, as addresses are of
//   16 bytes; bias: [heads, L, S], float32, contiguous, or none; y: [B, L, heads, D], contiguous. D is a multiple of 8 and at most the width of the
//   kernel; values from D to there are zeros in shared memory. L and S are whatever they are.
//
// A block takes 64 or 128 queries of one head, so grids are [tiles of queries, heads, B] and each key is read L / 64 or L / 128 times, from the second
// cache. A warp of its four keeps 16 or 32 queries in registers and goes over all keys, in order, a tile at a time: nothing is split, so a query's
// result has one order of sums. Tiles of keys and values take turns in a ring of slots in shared memory, filled by asynchronous copies while others are
// computed with. Scores, the softmax and sums are float32; powers of two are rounded to the inputs' type for the product with the values.
//
// Bound by the tensor cores: 4 D operations a query and key.
//
// Source: Dao, "FlashAttention-2" (2023), algorithm 1. That sums are multiplied again only after a maximum has grown by more than a factor of 2^8 is
// from FlashAttention-4 (2026).

#include "common/copy.cuh"
#include "common/kernel.cuh"
#include "common/number.cuh"
#include "common/tensor_core.cuh"

// Between neighbours of an axis, in values.
struct HeadStrides {
    int64_t batch;
    int64_t token;
    int64_t head;
};

struct AttentionParameters {
    const void* query;
    const void* key;
    const void* value;
    const float* bias;  // or null
    void* output;
    HeadStrides query_strides;
    HeadStrides key_strides;
    HeadStrides value_strides;
    int32_t queries;
    int32_t keys;
    int32_t heads;
    int32_t width;
    float scale;  // times log2(e)
    uint32_t padding;
};

constexpr int WARPS = 4;
constexpr int THREADS = 32 * WARPS;
constexpr float LOG2_E = 1.44269504f;

// Exponents of shares stay below this, so float16 and float32 hold them.
constexpr float MOST_GROWTH = 8.0f;

// Rows of WIDTH two-byte values in shared memory. The chunks of 16 bytes of a row are permuted by its index, so that the same chunk of eight rows that
// follow each other lies in all 32 banks: instructions on matrices read eight such at once.
template <int WIDTH>
struct Rows {
    static constexpr int CHUNKS = WIDTH / 8;
    static constexpr int BYTES = 2 * WIDTH;

    // The permutation is an exclusive or, and so is a step to another even chunk: `offset(row, chunk + even) == (offset(row, chunk) ^ 16 * even)`
    // for chunks 0 and 1.
    DEVICE static int offset(int row, int chunk) {
        const int permutation = CHUNKS < 8 ? row / (8 / CHUNKS) % CHUNKS : row % 8;
        return row * BYTES + 16 * (chunk ^ permutation);
    }
};

// One head of queries, keys or values.
struct Head {
    const char* values;
    int64_t row_bytes;
    int rows;
    int chunks;
};

DEVICE Head head_of(const void* tensor, const HeadStrides& strides, int rows, int width) {
    const int64_t first = blockIdx.z * strides.batch + blockIdx.y * strides.head;
    return Head{static_cast<const char*>(tensor) + 2 * first, 2 * strides.token, rows, width / 8};
}

// Starts to copy ROWS rows from `first_row` on to shared memory: zeros beyond the head's last row and last value.
template <int WIDTH, int ROWS>
DEVICE void start_copy(char* tile, const Head& head, int first_row) {
    constexpr int ROWS_AT_ONCE = THREADS / Rows<WIDTH>::CHUNKS;
    const int chunk = threadIdx.x % Rows<WIDTH>::CHUNKS;
    const int own_row = threadIdx.x / Rows<WIDTH>::CHUNKS;
    const int rows_left = chunk < head.chunks ? head.rows - first_row - own_row : 0;
    const char* from = head.values + (first_row + own_row) * head.row_bytes + 16 * chunk;
#pragma unroll
    for (int row = 0; row < ROWS; row += ROWS_AT_ONCE) {
        copy_async_16(tile + Rows<WIDTH>::offset(own_row + row, chunk), from + row * head.row_bytes, row < rows_left);
    }
}

constexpr int KEYS_KIND = 0;
constexpr int VALUES_KIND = 1;

// Tiles of keys and of values, in turn, each in the slot after the one before it. Copies run SLOTS - 1 tiles ahead.
template <int WIDTH, int KEYS, int SLOTS>
struct Ring {
    static_assert(SLOTS >= 2 && SLOTS <= 4, "what start() fills");
    static constexpr int TILE_BYTES = KEYS * Rows<WIDTH>::BYTES;

    char* slots;
    Head heads[2];  // by kind
    int next_row[2] = {0, 0};
    int written_slot = 0;
    int read_slot = 0;

    DEVICE Ring(char* slots, const Head& keys, const Head& values) : slots(slots), heads{keys, values} {}

    // Fills all slots but one.
    DEVICE void start() {
        start_next<KEYS_KIND>();
        if (SLOTS > 2) start_next<VALUES_KIND>();
        if (SLOTS > 3) start_next<KEYS_KIND>();
    }

    // The next tile, of this kind. The barrier also says that all threads are done with the tile before, whose slot is filled again.
    template <int KIND>
    DEVICE const char* next() {
        wait_for_copies<SLOTS - 2>();
        barrier();
        start_next<(KIND + SLOTS - 1) % 2>();
        return slot<KIND>(read_slot);
    }

   private:
    // Past the end it makes an empty group, so that next() always waits for the same number of groups.
    template <int KIND>
    DEVICE void start_next() {
        char* tile = slot<KIND>(written_slot);
        if (next_row[KIND] < heads[KIND].rows) start_copy<WIDTH, KEYS>(tile, heads[KIND], next_row[KIND]);
        commit_copies();
        next_row[KIND] += KEYS;
    }

    // The slot's address; moves on to the slot after it. Of two slots each kind has its own.
    template <int KIND>
    DEVICE char* slot(int& index) {
        if (SLOTS == 2) return slots + KIND * TILE_BYTES;
        char* tile = slots + index * TILE_BYTES;
        index = index + 1 == SLOTS ? 0 : index + 1;
        return tile;
    }
};

// What a warp holds and does for its 16 ROW_TILES queries. A lane's values lie as tensor_core.cuh says: of each tile of 16 rows in rows g and g + 8,
// called halves 0 and 1 below, and in columns 2 t and 2 t + 1 of each 8.
template <typename Number, int WIDTH, int ROW_TILES, int KEYS>
struct Warp {
    unsigned queries[ROW_TILES][WIDTH / 16][4];
    float scores[ROW_TILES][KEYS / 8][4];
    unsigned shares[ROW_TILES][KEYS / 16][4];
    float sums[ROW_TILES][WIDTH / 8][4] = {};
    // By row: the scaled score whose share counts as 1, and the lane's part of the shares' sum.
    float reference[ROW_TILES][2];
    float total[ROW_TILES][2] = {};
    int lane, first_row;

    DEVICE Warp(const Head& head) {
        lane = threadIdx.x % 32;
        first_row = (blockIdx.x * WARPS + threadIdx.x / 32) * 16 * ROW_TILES;
#pragma unroll
        for (int i = 0; i < ROW_TILES; i++) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                reference[i][half] = -INFINITY;
                const char* from = head.values + row(i, half) * head.row_bytes + 2 * column();
#pragma unroll
                for (int chunk = 0; chunk < Rows<WIDTH>::CHUNKS; chunk++) {
                    const bool inside = row(i, half) < head.rows && chunk < head.chunks;
                    const unsigned* pair = reinterpret_cast<const unsigned*>(from + 16 * chunk);
                    queries[i][chunk / 2][chunk % 2 * 2 + half] = inside ? *pair : 0;
                }
            }
        }
    }

    DEVICE int row(int i, int half) const { return first_row + 16 * i + 8 * half + lane / 4; }
    DEVICE int column() const { return lane % 4 * 2; }

    // scores = queries keys^T
    DEVICE void score(const char* keys) {
#pragma unroll
        for (int i = 0; i < ROW_TILES; i++) {
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
                for (int j = 0; j < 4; j++) scores[i][n][j] = 0.0f;
            }
        }
        // Matrices 0 and 1 are 8 keys by 16 values, 2 and 3 the next 8 keys.
        const int own = Rows<WIDTH>::offset(lane / 16 * 8 + lane % 8, lane / 8 % 2);
#pragma unroll
        for (int k = 0; k < WIDTH / 16; k++) {
#pragma unroll
            for (int n = 0; n < KEYS / 16; n++) {
                unsigned loaded[4];
                load_matrix_x4(loaded, keys + n * 16 * Rows<WIDTH>::BYTES + (own ^ 32 * k));
                const unsigned low[2] = {loaded[0], loaded[1]}, high[2] = {loaded[2], loaded[3]};
#pragma unroll
                for (int i = 0; i < ROW_TILES; i++) {
                    multiply_accumulate<Number>(scores[i][2 * n], queries[i][k], low);
                    multiply_accumulate<Number>(scores[i][2 * n + 1], queries[i][k], high);
                }
            }
        }
    }

    // scores = scale scores + bias, in powers of two
    DEVICE void add_bias(const AttentionParameters& parameters, int first_key) {
        const int64_t first_row = static_cast<int64_t>(blockIdx.y) * parameters.queries;
#pragma unroll
        for (int i = 0; i < ROW_TILES; i++) {
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    const int query = row(i, j / 2);
                    const int key = first_key + 8 * n + column() + j % 2;
                    if (query < parameters.queries && key < parameters.keys) {
                        const float bias = parameters.bias[(first_row + query) * parameters.keys + key];
                        scores[i][n][j] = scores[i][n][j] * parameters.scale + bias * LOG2_E;
                    }
                }
            }
        }
    }

    // Keys past the end get no share.
    DEVICE void mask(int keys_left) {
#pragma unroll
        for (int i = 0; i < ROW_TILES; i++) {
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    if (8 * n + column() + j % 2 >= keys_left) scores[i][n][j] = -INFINITY;
                }
            }
        }
    }

    // Sets references by which no share of this tile is above 2^MOST_GROWTH. Whether a row changes its own depends on that row only.
    DEVICE void refer(float scale) {
        float factor[ROW_TILES][2];
        bool any_grows = false;
#pragma unroll
        for (int i = 0; i < ROW_TILES; i++) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float largest = -INFINITY;
#pragma unroll
                for (int n = 0; n < KEYS / 8; n++) {
                    largest = fmaxf(largest, fmaxf(scores[i][n][2 * half], scores[i][n][2 * half + 1]));
                }
                largest = fmaxf(largest, shuffle_xor(largest, 1));
                largest = fmaxf(largest, shuffle_xor(largest, 2)) * scale;
                const bool grows = largest > reference[i][half] + MOST_GROWTH;
                factor[i][half] = grows ? power_of_two(reference[i][half] - largest) : 1.0f;
                reference[i][half] = grows ? largest : reference[i][half];
                any_grows |= grows;
            }
        }
        if (!warp_any(any_grows)) return;
#pragma unroll
        for (int i = 0; i < ROW_TILES; i++) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                total[i][half] *= factor[i][half];
#pragma unroll
                for (int n = 0; n < WIDTH / 8; n++) {
                    sums[i][n][2 * half] *= factor[i][half];
                    sums[i][n][2 * half + 1] *= factor[i][half];
                }
            }
        }
    }

    // shares = 2^(scale scores - reference): the scores' places in C are the places of A in the next product.
    DEVICE void share(float scale) {
#pragma unroll
        for (int i = 0; i < ROW_TILES; i++) {
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    const float low = power_of_two(multiply_add(scores[i][n][2 * half], scale, -reference[i][half]));
                    const float high = power_of_two(multiply_add(scores[i][n][2 * half + 1], scale, -reference[i][half]));
                    total[i][half] += low + high;
                    shares[i][n / 2][n % 2 * 2 + half] = pack<Number>(low, high);
                }
            }
        }
    }

    // sums += shares values
    DEVICE void add_values(const char* values) {
        // Matrices 0 and 1 are 16 keys by 8 values, 2 and 3 the next 8 values.
        const int own = Rows<WIDTH>::offset(lane % 16, lane / 16);
#pragma unroll
        for (int k = 0; k < KEYS / 16; k++) {
#pragma unroll
            for (int n = 0; n < WIDTH / 16; n++) {
                unsigned loaded[4];
                load_matrix_x4_transposed(loaded, values + k * 16 * Rows<WIDTH>::BYTES + (own ^ 32 * n));
                const unsigned low[2] = {loaded[0], loaded[1]}, high[2] = {loaded[2], loaded[3]};
#pragma unroll
                for (int i = 0; i < ROW_TILES; i++) {
                    multiply_accumulate<Number>(sums[i][2 * n], shares[i][k], low);
                    multiply_accumulate<Number>(sums[i][2 * n + 1], shares[i][k], high);
                }
            }
        }
    }

    DEVICE void store(const AttentionParameters& parameters) const {
#pragma unroll
        for (int i = 0; i < ROW_TILES; i++) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float whole = total[i][half];
                whole += shuffle_xor(whole, 1);
                whole += shuffle_xor(whole, 2);
                const float part = 1.0f / whole;
                if (row(i, half) >= parameters.queries) continue;
                const int64_t token = static_cast<int64_t>(blockIdx.z) * parameters.queries + row(i, half);
                const int64_t first = (token * parameters.heads + blockIdx.y) * parameters.width + column();
                char* to = static_cast<char*>(parameters.output) + 2 * first;
#pragma unroll
                for (int n = 0; n < WIDTH / 8; n++) {
                    const unsigned pair = pack<Number>(sums[i][n][2 * half] * part, sums[i][n][2 * half + 1] * part);
                    if (8 * n < parameters.width) *reinterpret_cast<unsigned*>(to + 16 * n) = pair;
                }
            }
        }
    }
};

template <typename Number, int WIDTH, int QUERIES, int KEYS, int SLOTS>
DEVICE void attend(const AttentionParameters& parameters) {
    const int width = parameters.width;
    const Head keys = head_of(parameters.key, parameters.key_strides, parameters.keys, width);
    const Head values = head_of(parameters.value, parameters.value_strides, parameters.keys, width);
    Ring<WIDTH, KEYS, SLOTS> ring(shared_memory(), keys, values);
    ring.start();

    Warp<Number, WIDTH, QUERIES / (16 * WARPS), KEYS> warp(
        head_of(parameters.query, parameters.query_strides, parameters.queries, width));
    // More queries leave no registers for a bias.
    const bool biased = QUERIES == 64 && parameters.bias;
    const float scale = biased ? 1.0f : parameters.scale;
    for (int first_key = 0; first_key < parameters.keys; first_key += KEYS) {
        warp.score(ring.template next<KEYS_KIND>());
        if (biased) warp.add_bias(parameters, first_key);
        if (parameters.keys - first_key < KEYS) warp.mask(parameters.keys - first_key);
        warp.refer(scale);
        warp.share(scale);
        warp.add_values(ring.template next<VALUES_KIND>());
    }
    warp.store(parameters);
}

// Tiles are `tile_for`'s of src/backend/cuda/attention.rs, which says which card takes which. The last number is how many blocks of a multiprocessor
// the registers have to leave room for.
#define ATTENTION(width, queries, keys, slots, blocks)                                                            \
    KERNEL(attention_bf16_d##width##_q##queries, AttentionParameters, THREADS, blocks) {                          \
        attend<bfloat16, width, queries, keys, slots>(parameters);                                                \
    }                                                                                                             \
    KERNEL(attention_f16_d##width##_q##queries, AttentionParameters, THREADS, blocks) {                           \
        attend<float16, width, queries, keys, slots>(parameters);                                                 \
    }

ATTENTION(32, 64, 64, 2, 4)
ATTENTION(64, 64, 64, 2, 4)
ATTENTION(64, 128, 64, 4, 2)
ATTENTION(128, 64, 64, 2, 3)
ATTENTION(128, 128, 32, 4, 2)
ATTENTION(256, 64, 32, 2, 2)
