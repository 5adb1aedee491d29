// Group norm over all frames of a clip whose channels are innermost, in three launches: measure, combine, apply.
//
//   y = then((x - mean) / sqrt(variance + epsilon) * weight + bias + residual), mean and variance over frames, places and a group of channels
//
// Frames and residuals [pixels, C] in float32, bfloat16 or float16; everything is computed in float32 and rounded once. A mean and a sum of squared
// deviations are kept for each channel of a stretch of pixels and combined pair by pair (Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm
// for computing sample variances", 1979), always in the same order: nothing cancels, nothing is added in the order in which blocks happen to end.
//
// Grid: stretches of pixels, stretches of channels, frames; combining takes a block for each group. Block: 256 threads, each with 16 bytes of a pixel at
// a time. Shared memory: 68 bytes a thread (measure), 12 (combine), none (apply). Bound by bytes: frames are read twice and written once.
// Architectures: sm_80 and later.
#include "common/activation.cuh"
#include "common/kernel.cuh"
#include "common/number.cuh"
#include "common/partial_vector.cuh"

constexpr int THREADS = 256;
constexpr int MOST_FRAMES = 64;

struct GroupNormParameters {
    // Mean and sum of squared deviations of a channel in a stretch of pixels: [all frames, stretches, 2, C].
    float* partials;
    // Mean, factor and shift: [3, C].
    float* measured;
    // [C]
    const float* weight;
    const float* bias;
    // Of a frame, and of a stretch.
    int64_t pixels;
    int64_t pixels_each;
    int32_t stretches, channels, groups;
    // Frames of the clip, and which of them is frames[0].
    int32_t clip, first;
    float epsilon;
    int32_t silu;
    // Whether frames can be accessed 16 bytes at a time.
    int32_t whole_vectors;
    const void* frames[MOST_FRAMES];
    // Null for none.
    const void* residuals[MOST_FRAMES];
    void* results[MOST_FRAMES];
};

// Of some values.
struct Moments {
    float count, mean, squares;
};

DEVICE Moments combined(const Moments& a, const Moments& b) {
    if (b.count == 0.0f) return a;
    const float count = a.count + b.count, share = b.count / count, difference = b.mean - a.mean;
    return Moments{count, a.mean + difference * share, a.squares + b.squares + difference * difference * a.count * share};
}

// What a thread goes over: every `lanes`th pixel of a stretch, and in it a vector of channels.
template <typename T>
struct Part {
    static constexpr int Length = Vector<T>::LENGTH;

    // Vectors of a pixel that the block goes over.
    int across;
    int lane, lanes;
    // The first channel, and how many there are from it on, `Length` at most.
    int channel, count;
    int64_t begin, end;

    DEVICE explicit Part(const GroupNormParameters& parameters) {
        const int vectors = (parameters.channels + Length - 1) / Length;
        across = vectors < THREADS ? vectors : THREADS;
        lanes = THREADS / across;
        lane = threadIdx.x / across;
        channel = (blockIdx.y * across + threadIdx.x % across) * Length;
        const int rest = parameters.channels - channel;
        count = lane >= lanes || rest < 0 ? 0 : rest < Length ? rest : Length;
        begin = blockIdx.x * parameters.pixels_each;
        end = begin + parameters.pixels_each;
        if (end > parameters.pixels) end = parameters.pixels;
    }
};

template <typename T>
DEVICE void measure(const GroupNormParameters& parameters) {
    constexpr int Length = Part<T>::Length;
    const Part<T> part(parameters);
    const T* frame = static_cast<const T*>(parameters.frames[blockIdx.z]);
    float means[Length] = {}, squares[Length] = {};
    float seen = 0.0f;
    if (part.count > 0) {
        for (int64_t pixel = part.begin + part.lane; pixel < part.end; pixel += part.lanes) {
            const T* from = frame + pixel * parameters.channels + part.channel;
            const Vector<T> vector = load_partial_vector(from, part.count, parameters.whole_vectors);
            seen += 1.0f;
            const float share = 1.0f / seen;
#pragma unroll
            for (int item = 0; item < Length; ++item) {
                const float value = widen(vector.values[item]), difference = value - means[item];
                means[item] += difference * share;
                squares[item] += difference * (value - means[item]);
            }
        }
    }
    float* counts = reinterpret_cast<float*>(shared_memory());
    float* others = counts + THREADS;
    counts[threadIdx.x] = seen;
#pragma unroll
    for (int item = 0; item < Length; ++item) {
        others[item * THREADS + threadIdx.x] = means[item];
        others[(Length + item) * THREADS + threadIdx.x] = squares[item];
    }
    for (int step = 1; step < part.lanes; step *= 2) {
        barrier();
        if (part.lane % (2 * step) != 0 || part.lane + step >= part.lanes) continue;
        const int other = threadIdx.x + step * part.across;
#pragma unroll
        for (int item = 0; item < Length; ++item) {
            float& mean = others[item * THREADS + threadIdx.x];
            float& square = others[(Length + item) * THREADS + threadIdx.x];
            const Moments own{counts[threadIdx.x], mean, square};
            const Moments theirs{counts[other], others[item * THREADS + other], others[(Length + item) * THREADS + other]};
            const Moments both = combined(own, theirs);
            mean = both.mean, square = both.squares;
        }
        counts[threadIdx.x] += counts[other];
    }
    if (part.lane != 0) return;
    const int64_t row = (parameters.first + int64_t(blockIdx.z)) * parameters.stretches + blockIdx.x;
    float* partial = parameters.partials + row * 2 * parameters.channels + part.channel;
    for (int item = 0; item < part.count; ++item) {
        partial[item] = others[item * THREADS + threadIdx.x];
        partial[parameters.channels + item] = others[(Length + item) * THREADS + threadIdx.x];
    }
}

template <typename T>
DEVICE void apply(const GroupNormParameters& parameters) {
    constexpr int Length = Part<T>::Length;
    const Part<T> part(parameters);
    if (part.count == 0) return;
    const T* frame = static_cast<const T*>(parameters.frames[blockIdx.z]);
    const T* residual = static_cast<const T*>(parameters.residuals[blockIdx.z]);
    T* result = static_cast<T*>(parameters.results[blockIdx.z]);
    float means[Length] = {}, factors[Length] = {}, shifts[Length] = {};
#pragma unroll
    for (int item = 0; item < Length; ++item) {
        if (item >= part.count) break;
        const float* measured = parameters.measured + part.channel + item;
        means[item] = measured[0];
        factors[item] = measured[parameters.channels];
        shifts[item] = measured[2 * parameters.channels];
    }
    for (int64_t pixel = part.begin + part.lane; pixel < part.end; pixel += part.lanes) {
        const int64_t offset = pixel * parameters.channels + part.channel;
        Vector<T> vector = load_partial_vector(frame + offset, part.count, parameters.whole_vectors), added{};
        if (residual != nullptr) added = load_partial_vector(residual + offset, part.count, parameters.whole_vectors);
#pragma unroll
        for (int item = 0; item < Length; ++item) {
            float value = (widen(vector.values[item]) - means[item]) * factors[item] + shifts[item];
            if (residual != nullptr) value += widen(added.values[item]);
            if (parameters.silu) value = silu_of(value);
            vector.values[item] = narrow<T>(value);
        }
        store_partial_vector(result + offset, vector, part.count, parameters.whole_vectors);
    }
}

KERNEL(group_norm_combine, GroupNormParameters, 256, 0) {
    const int group = blockIdx.x, width = parameters.channels / parameters.groups;
    const int64_t partials = int64_t(parameters.clip) * parameters.stretches;
    Moments sum{};
    for (int64_t item = threadIdx.x; item < partials * width; item += THREADS) {
        const int64_t row = item / width, left = parameters.pixels - row % parameters.stretches * parameters.pixels_each;
        const float* partial = parameters.partials + row * 2 * parameters.channels + group * width + item % width;
        const float count = float(left < parameters.pixels_each ? left : parameters.pixels_each);
        sum = combined(sum, Moments{count, partial[0], partial[parameters.channels]});
    }
    Moments* sums = reinterpret_cast<Moments*>(shared_memory());
    sums[threadIdx.x] = sum;
    for (int step = THREADS / 2; step > 0; step /= 2) {
        barrier();
        if (threadIdx.x < step) sums[threadIdx.x] = combined(sums[threadIdx.x], sums[threadIdx.x + step]);
    }
    barrier();
    const Moments all = sums[0];
    const float factor = reciprocal_root(all.squares / all.count + parameters.epsilon);
    for (int channel = group * width + threadIdx.x; channel < (group + 1) * width; channel += THREADS) {
        parameters.measured[channel] = all.mean;
        parameters.measured[parameters.channels + channel] = factor * parameters.weight[channel];
        parameters.measured[2 * parameters.channels + channel] = parameters.bias[channel];
    }
}

KERNEL(group_norm_measure_f32, GroupNormParameters, 256, 0) { measure<float>(parameters); }
KERNEL(group_norm_measure_bf16, GroupNormParameters, 256, 0) { measure<bfloat16>(parameters); }
KERNEL(group_norm_measure_f16, GroupNormParameters, 256, 0) { measure<float16>(parameters); }
KERNEL(group_norm_apply_f32, GroupNormParameters, 256, 0) { apply<float>(parameters); }
KERNEL(group_norm_apply_bf16, GroupNormParameters, 256, 0) { apply<bfloat16>(parameters); }
KERNEL(group_norm_apply_f16, GroupNormParameters, 256, 0) { apply<float16>(parameters); }
