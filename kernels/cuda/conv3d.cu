// Convolutions over time and space of frames whose channels are innermost, as implicit GEMM.
//
//   y[p, n] = sum over frames t, rows i, columns j, channels c of x_t[pixel(p, i, j), c] * weight[n, t, i, j, c]
//             + bias[n] + map[p] * scale[n] + residual[p, n]
//
// Rows of the product are pixels of the result, K runs over taps and channels. What the pixels see is never laid out in memory: each stage of the pipeline
// gathers 32 channels of the tile's pixels from where they lie, zeros where the kernel reaches beyond the frame.
//
// Layouts: frames [H, W, C], weight [N, T, S, S, C rounded up to 8], result and residual [H', W', N], all bfloat16 or float16; bias, map and scale float32.
// Sums are float32, over taps and stretches of 32 channels in an order that is the same for all tiles, and the result is rounded once. A frame that is
// null is zeros, and takes no time.
//
// A kernel of 3 by 3 with stride 1 goes over *lines*: pixels are numbered as if each row of the frame had a pixel of zeros at both ends. Then the pixels
// that one column of taps sees are those of its neighbour, moved by one: they are loaded once for the three, and read from shared memory at three
// places. That is a third of the reads from the second cache, which would be the bound of 128 channels otherwise. Every other kernel gathers tap by tap.
//
// Grid: tiles of pixels, tiles of channels, frames of the result. Block: a warp for each part of the tile, see CONVOLUTION below.
// Shared memory: stages of rows of 64 bytes, swizzled by 16 bytes so that eight rows next to each other lie in different banks; then the sums of a warp.
// Bound by operations where channels are 64 or more. Architectures: sm_80 and later.
#include "common/copy.cuh"
#include "common/kernel.cuh"
#include "common/number.cuh"
#include "common/partial_vector.cuh"
#include "common/tensor_core.cuh"

constexpr int MOST_FRAMES = 96;
constexpr int MOST_RESULTS = 32;

struct Conv3dParameters {
    const void* weight;
    // [N], or null.
    const float* bias;
    // [H', W'], or null, and [N].
    const float* map;
    const float* scale;
    // Rows, columns and channels of a frame.
    int32_t height, width, inputs;
    // The same of a result.
    int32_t result_height, result_width, outputs;
    // Frames that the kernel spans, its side, and its step.
    int32_t depth, side, stride;
    // Whether results and residuals can be accessed 16 bytes at a time.
    int32_t whole_vectors;
    // What result z sees begins at z * depth.
    const void* frames[MOST_FRAMES];
    void* results[MOST_RESULTS];
    // Null for none.
    const void* residuals[MOST_RESULTS];
};

// How pixels come to shared memory.
enum class Gather {
    // Lines: three taps from one load.
    Lines,
    // Tap by tap.
    Taps,
    // Tap by tap and value by value, where 16 bytes are not aligned.
    Values,
};

// Channels of a stage.
constexpr int DEPTH = 32;
constexpr int ROW_BYTES = DEPTH * 2;
// Values of 16 bytes, and how many times that a row has.
constexpr int LENGTH = 8;
constexpr int VECTORS = DEPTH / LENGTH;

// Where 16 bytes of a row of a stage lie.
DEVICE int swizzled(int row, int vector) {
    return row * ROW_BYTES + ((vector ^ (row >> 1 & 3)) << 4);
}

template <int Pixels_, int Channels_, int WarpPixels_, int WarpChannels_, Gather gather_>
struct Tile {
    static constexpr int Pixels = Pixels_, Channels = Channels_, WarpPixels = WarpPixels_, WarpChannels = WarpChannels_;
    static constexpr Gather gather = gather_;
    // Taps that a stage holds.
    static constexpr int Taps = gather == Gather::Lines ? 3 : 1;
    // Pixels that a stage holds.
    static constexpr int Rows = Pixels + Taps - 1;
    static constexpr int Stages = gather == Gather::Lines ? 2 : 4;
    static constexpr int StageBytes = (Rows + Taps * Channels) * ROW_BYTES;
    static constexpr int WarpRows = Pixels / WarpPixels;
    static constexpr int Threads = WarpRows * (Channels / WarpChannels) * 32;
};

// The part of K that a stage holds: 32 channels of a tap, or of a row of taps.
struct Step {
    int frame, row, column, channel;
};

template <typename T, typename Shape>
struct Loader {
    static constexpr int RowsAtOnce = Shape::Threads / VECTORS;
    static constexpr int Passes = (Shape::Rows + RowsAtOnce - 1) / RowsAtOnce;

    const Conv3dParameters& parameters;
    const void* const* frames;
    // The thread's first row of a stage, its 16 bytes of it, and channels of a tap in the weight.
    int row, vector, channels;
    // The first channel of the result.
    int first;
    // Where the upper left tap of the thread's rows lies in the frame.
    int top[Passes], left[Passes];

    DEVICE explicit Loader(const Conv3dParameters& given) : parameters(given) {
        frames = parameters.frames + blockIdx.z * parameters.depth;
        row = threadIdx.x / VECTORS;
        vector = threadIdx.x % VECTORS;
        channels = (parameters.inputs + LENGTH - 1) / LENGTH * LENGTH;
        first = blockIdx.y * Shape::Channels;
        const bool lines = Shape::gather == Gather::Lines;
        const int reach = parameters.side / 2;
        const int columns = lines ? parameters.width + 2 : parameters.result_width;
#pragma unroll
        for (int pass = 0; pass < Passes; ++pass) {
            const int pixel = blockIdx.x * Shape::Pixels + row + pass * RowsAtOnce;
            top[pass] = pixel / columns * parameters.stride - reach;
            left[pass] = pixel % columns * parameters.stride - reach;
        }
    }

    // To the next frame that there is, from and including the one given.
    DEVICE int present(int frame) const {
        while (frame < parameters.depth && frames[frame] == nullptr) ++frame;
        return frame;
    }

    DEVICE Step begin() const { return Step{present(0), 0, 0, 0}; }

    DEVICE bool ended(const Step& step) const { return step.frame >= parameters.depth; }

    DEVICE int steps() const {
        int present = 0;
        for (int frame = 0; frame < parameters.depth; ++frame) present += frames[frame] != nullptr;
        return present * parameters.side * (parameters.side / Shape::Taps) * ((channels + DEPTH - 1) / DEPTH);
    }

    DEVICE void advance(Step& step) const {
        step.channel += DEPTH;
        if (step.channel < channels) return;
        step.channel = 0;
        step.column += Shape::Taps;
        if (step.column < parameters.side) return;
        step.column = 0;
        if (++step.row < parameters.side) return;
        step.row = 0;
        step.frame = present(step.frame + 1);
    }

    DEVICE void load(const Step& step, char* stage) const {
        const T* frame = static_cast<const T*>(frames[step.frame]);
        const int channel = step.channel + vector * LENGTH;
#pragma unroll
        for (int pass = 0; pass < Passes; ++pass) {
            const int place = row + pass * RowsAtOnce;
            if (Shape::Rows % RowsAtOnce != 0 && place >= Shape::Rows) break;
            const int y = top[pass] + step.row, x = left[pass] + step.column;
            const bool inside = unsigned(y) < unsigned(parameters.height) && unsigned(x) < unsigned(parameters.width);
            const bool valid = inside && channel < parameters.inputs;
            const T* from = frame + (valid ? int64_t(y * parameters.width + x) * parameters.inputs + channel : 0);
            char* to = stage + swizzled(place, vector);
            if (Shape::gather == Gather::Values) {
                const int left = valid ? parameters.inputs - channel : 0;
                store_vector(reinterpret_cast<T*>(to), load_partial_vector(from, left < LENGTH ? left : LENGTH, false));
            } else {
                copy_async_16(to, from, valid);
            }
        }
        char* weights = stage + Shape::Rows * ROW_BYTES;
        const int side = parameters.side, taps = parameters.depth * side * side;
        const int tap = (step.frame * side + step.row) * side + step.column;
#pragma unroll
        for (int pass = 0; pass * RowsAtOnce < Shape::Channels; ++pass) {
            const int place = row + pass * RowsAtOnce;
            const bool valid = first + place < parameters.outputs && channel < channels;
            const T* from = static_cast<const T*>(parameters.weight);
            if (valid) from += (int64_t(first + place) * taps + tap) * channels + channel;
#pragma unroll
            for (int next = 0; next < Shape::Taps; ++next) {
                copy_async_16(weights + swizzled(next * Shape::Channels + place, vector), from, valid);
                if (valid) from += channels;
            }
        }
    }
};

template <typename T, typename Shape>
DEVICE void multiply(const char* stage, float (&sums)[Shape::WarpPixels / 16][Shape::WarpChannels / 8][4]) {
    constexpr int Tall = Shape::WarpPixels / 16, Wide = Shape::WarpChannels / 8;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int pixel = warp % Shape::WarpRows * Shape::WarpPixels + lane % 16;
    const int channel = warp / Shape::WarpRows * Shape::WarpChannels + lane / 16 * 8 + lane % 8;
    const char* weights = stage + Shape::Rows * ROW_BYTES;
#pragma unroll
    for (int tap = 0; tap < Shape::Taps; ++tap) {
#pragma unroll
        for (int half = 0; half < DEPTH / 16; ++half) {
            unsigned a[Tall][4], b[Wide][2];
#pragma unroll
            for (int tall = 0; tall < Tall; ++tall) {
                load_matrix_x4(a[tall], stage + swizzled(pixel + tall * 16 + tap, half * 2 + lane / 16));
            }
#pragma unroll
            for (int wide = 0; wide < Wide; wide += 2) {
                unsigned both[4];
                const int place = tap * Shape::Channels + channel + wide * 8;
                load_matrix_x4(both, weights + swizzled(place, half * 2 + lane / 8 % 2));
                b[wide][0] = both[0], b[wide][1] = both[1], b[wide + 1][0] = both[2], b[wide + 1][1] = both[3];
            }
#pragma unroll
            for (int tall = 0; tall < Tall; ++tall) {
#pragma unroll
                for (int wide = 0; wide < Wide; ++wide) multiply_accumulate<T>(sums[tall][wide], a[tall], b[wide]);
            }
        }
    }
}

// Adds what is added and writes the result. Sums go through shared memory, so that memory is accessed in whole rows.
template <typename T, typename Shape>
DEVICE void finish(
    const Conv3dParameters& parameters,
    const float (&sums)[Shape::WarpPixels / 16][Shape::WarpChannels / 8][4]
) {
    constexpr int Tall = Shape::WarpPixels / 16, Wide = Shape::WarpChannels / 8;
    // Eight more, so that the rows that are written at once lie in different banks.
    constexpr int Pitch = Shape::WarpChannels + 8;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    float* own = reinterpret_cast<float*>(shared_memory()) + warp * 16 * Pitch;
    const int pixels = blockIdx.x * Shape::Pixels + warp % Shape::WarpRows * Shape::WarpPixels;
    const int channels = blockIdx.y * Shape::Channels + warp / Shape::WarpRows * Shape::WarpChannels;
    const int columns = parameters.result_width + (Shape::gather == Gather::Lines ? 2 : 0);
    T* result = static_cast<T*>(parameters.results[blockIdx.z]);
    const T* residual = static_cast<const T*>(parameters.residuals[blockIdx.z]);
#pragma unroll
    for (int tall = 0; tall < Tall; ++tall) {
        synchronise_warp();
#pragma unroll
        for (int wide = 0; wide < Wide; ++wide) {
            float* place = own + lane / 4 * Pitch + wide * 8 + lane % 4 * 2;
            place[0] = sums[tall][wide][0], place[1] = sums[tall][wide][1];
            place[8 * Pitch] = sums[tall][wide][2], place[8 * Pitch + 1] = sums[tall][wide][3];
        }
        synchronise_warp();
        for (int index = lane; index < 16 * Wide; index += 32) {
            const int line = index / Wide, channel = channels + index % Wide * LENGTH;
            const int pixel = pixels + tall * 16 + line;
            const int y = pixel / columns, x = pixel % columns;
            if (y >= parameters.result_height || x >= parameters.result_width || channel >= parameters.outputs) continue;
            const int64_t place = int64_t(y) * parameters.result_width + x;
            const float noise = parameters.map == nullptr ? 0.0f : parameters.map[place];
            const int64_t offset = place * parameters.outputs + channel;
            const float* from = own + line * Pitch + index % Wide * LENGTH;
            const int count = parameters.outputs - channel < LENGTH ? parameters.outputs - channel : LENGTH;
            Vector<T> vector{};
            if (residual != nullptr) vector = load_partial_vector(residual + offset, count, parameters.whole_vectors);
#pragma unroll
            for (int item = 0; item < LENGTH; ++item) {
                if (item >= count) break;
                float added = parameters.bias == nullptr ? 0.0f : parameters.bias[channel + item];
                if (parameters.map != nullptr) added += noise * parameters.scale[channel + item];
                float value = from[item] + added;
                if (residual != nullptr) value += widen(vector.values[item]);
                vector.values[item] = narrow<T>(value);
            }
            store_partial_vector(result + offset, vector, count, parameters.whole_vectors);
        }
    }
}

template <typename T, typename Shape>
DEVICE void convolve(const Conv3dParameters& parameters) {
    constexpr int Tall = Shape::WarpPixels / 16, Wide = Shape::WarpChannels / 8, Stages = Shape::Stages;
    char* stages = shared_memory();
    const Loader<T, Shape> loader(parameters);
    Step next = loader.begin();
    // A stage that has nothing to load is committed all the same, so that waiting counts stages.
    const auto load = [&](int stage) {
        if (!loader.ended(next)) {
            loader.load(next, stages + stage * Shape::StageBytes);
            loader.advance(next);
        }
        commit_copies();
    };
    int left = loader.steps();
    for (int stage = 0; stage < Stages - 1; ++stage) load(stage);

    float sums[Tall][Wide][4] = {};
    int stage = 0;
    for (; left > 0; --left) {
        // The oldest stage is there for all, and all are done with the one before it, which is loaded next.
        wait_for_copies<Stages - 2>();
        barrier();
        load(stage == 0 ? Stages - 1 : stage - 1);
        multiply<T, Shape>(stages + stage * Shape::StageBytes, sums);
        stage = stage == Stages - 1 ? 0 : stage + 1;
    }
    wait_for_copies<0>();
    barrier();
    finish<T, Shape>(parameters, sums);
}

// Pixels and channels of the tile, then of a warp's part of it.
#define CONVOLUTION(name, gather, threads, blocks, ...)                                                                   \
    KERNEL(conv3d_bf16_##name, Conv3dParameters, threads, blocks) { convolve<bfloat16, Tile<__VA_ARGS__, gather>>(parameters); } \
    KERNEL(conv3d_f16_##name, Conv3dParameters, threads, blocks) { convolve<float16, Tile<__VA_ARGS__, gather>>(parameters); }

CONVOLUTION(lines_256x128, Gather::Lines, 256, 1, 256, 128, 64, 64)
CONVOLUTION(lines_128x128, Gather::Lines, 256, 2, 128, 128, 64, 32)
CONVOLUTION(lines_128x64, Gather::Lines, 128, 4, 128, 64, 64, 32)
CONVOLUTION(taps_256x128, Gather::Taps, 256, 1, 256, 128, 64, 64)
CONVOLUTION(taps_128x128, Gather::Taps, 256, 2, 128, 128, 64, 32)
CONVOLUTION(taps_128x64, Gather::Taps, 128, 4, 128, 64, 64, 32)
CONVOLUTION(values_128x64, Gather::Values, 128, 4, 128, 64, 64, 32)
