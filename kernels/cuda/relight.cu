// Light on a warped picture, rounded to bytes. Of a value v of 0 to 255 under the gain g comes after = v (1 + g) / (1 + max(g, 0) (v / 255)^3), then
// after + dither min(|after - v|, 1), rounded. g is gain * strength, for red with the warmth and for blue without it.
//
// colours: [3, height, width], float32. strengths: [height, width], float32. bytes: [height, width, 3]. The same bytes as on the CPU: every operation is
// rounded by itself.
//
// A thread takes a pixel. Grid: x, parts of a row; y, rows. Block: 128 threads. No shared memory.
// Bound by bytes: 16 are read and 3 written for a pixel.
// Architectures: all.

#include "common/kernel.cuh"
#include "common/rounded.cuh"

struct RelightParameters {
    const float* colours;
    const float* strengths;
    unsigned char* bytes;
    int32_t width;
    int32_t height;
    float gain;
    float warmth;
};

DEVICE Rounded fraction(Rounded value) { return value - floorf(value.value); }

// A fixed, even pattern in -0.5 to 0.5: interleaved gradient noise.
DEVICE Rounded dither(int column, int row) {
    const Rounded inner = fraction(Rounded(0.06711056f) * static_cast<float>(column) + Rounded(0.00583715f) * static_cast<float>(row));
    return fraction(Rounded(52.982918f) * inner) - 0.5f;
}

DEVICE Rounded relit(float value, Rounded gain, Rounded noise) {
    float limited = value > 0.0f ? value : 0.0f;
    limited = limited < 255.0f ? limited : 255.0f;
    const Rounded before = limited, one = 1.0f;
    const Rounded share = before * (1.0f / 255.0f);
    const Rounded bound = Rounded(gain.value > 0.0f ? gain.value : 0.0f) * share * share * share;
    const Rounded after = before * (one + gain) / (one + bound);
    const float change = fabsf((after - before).value);
    return after + noise * (change < 1.0f ? change : 1.0f);
}

// A level rounded to the nearest, halves up, and limited to a byte; 0 for what is not a number.
DEVICE unsigned char level(Rounded value) {
    float raised = (value + 0.5f).value;
    raised = raised > 0.0f ? raised : 0.0f;
    raised = raised < 255.0f ? raised : 255.0f;
    return static_cast<unsigned char>(raised);
}

KERNEL(relight, RelightParameters, 128, 0) {
    const RelightParameters& p = parameters;
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    const int row = blockIdx.y;
    if (column >= p.width) return;
    const int64_t plane = static_cast<int64_t>(p.width) * p.height;
    const int64_t pixel = static_cast<int64_t>(row) * p.width + column;
    const Rounded gain = Rounded(p.gain) * p.strengths[pixel];
    const Rounded noise = dither(column, row);
    const float warmths[3] = {p.warmth, 0.0f, -p.warmth};
    for (int lane = 0; lane < 3; lane++) {
        p.bytes[3 * pixel + lane] = level(relit(p.colours[lane * plane + pixel], gain + warmths[lane], noise));
    }
}
