// A picture re-sampled by its cubic spline along a grid of displacements: colours(p) = spline(p + d(p)), and the pixel itself where d is zero.
//
// coefficients: [height + 2 PADDING, stride, 4], float32: red, green, blue, 0; stride is width + 2 PADDING. pixels: [height, width, 3], bytes.
// nodes: [rows, columns, 2], float32, MARGIN beyond each border. colours: [3, height, width], float32. The same bits as on the CPU: every operation
// is rounded by itself.
//
// A thread takes a pixel: 16 nodes, most of them shared by its warp, and 16 coefficients of four values.
// Grid: x, parts of a row; y, rows. Block: 128 threads. No shared memory.
// Bound by loads from the first cache.
// Architectures: all.

#include "common/displacement.cuh"
#include "common/kernel.cuh"
#include "common/number.cuh"

struct WarpParameters {
    const float* coefficients;
    const unsigned char* pixels;
    const float* nodes;
    float* colours;
    int32_t width;
    int32_t height;
    int32_t stride;
    int32_t columns;
};

constexpr int PADDING = 16;

// How far beyond the border a place may lie for all its coefficients to be stored.
constexpr int REACH = PADDING - 3;

// Of the four coefficients around a place at `t` between the second and the third: the uniform cubic B-spline, less a share of its second derivative.
DEVICE Weights spline_weights(Rounded t) {
    const Rounded sixth = 1.0f / 6.0f, one = 1.0f, two = 2.0f, three = 3.0f;
    const Rounded u = one - t, t3 = t * t * t, u3 = u * u * u;
    const Rounded third = (one + three * (t + t * t) - three * t3) * sixth;
    const Rounded first = u3 * sixth, fourth = t3 * sixth;
    const Rounded sharpening = Rounded(0.046f) * 64.0f * t3 * u3;
    return {{first - sharpening * u, one - first - third - fourth - sharpening * (three * t - two),
             third - sharpening * (one - three * t), fourth - sharpening * t}};
}

// Where a place lies on an axis: the pixel at or before it, counted from the padding's edge, and the way from there, 0 to 1.
struct Place {
    int pixel;
    float way;
};

DEVICE Place padded_place(int index, float displacement, int size) {
    const float before = floorf(displacement);
    const float whole = static_cast<float>(index) + before;
    if (whole >= -REACH && whole < static_cast<float>(size + REACH)) {
        return {static_cast<int>(whole) + PADDING, displacement - before};
    }
    const float period = 2.0f * static_cast<float>(size);
    float edge = fmodf((Rounded(static_cast<float>(index)) + 0.5f + displacement).value, period);
    if (edge < 0.0f) edge += period;
    const float mirrored = period - edge;
    const float place = (edge < mirrored ? edge : mirrored) - 0.5f;
    const float pixel = floorf(place);
    // Displacements that are not numbers must not lead out of the picture.
    const int inside = pixel >= -1.0f && pixel < static_cast<float>(size) ? static_cast<int>(pixel) : 0;
    return {inside + PADDING, place - pixel};
}

KERNEL(warp, WarpParameters, 128, 0) {
    const WarpParameters& p = parameters;
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    const int row = blockIdx.y;
    if (column >= p.width) return;
    const int64_t plane = static_cast<int64_t>(p.width) * p.height;
    const int64_t pixel = static_cast<int64_t>(row) * p.width + column;
    const Displacement moved = displacement(p.nodes, p.columns, column, row);
    if (moved.x == 0.0f && moved.y == 0.0f) {
        for (int lane = 0; lane < 3; lane++) p.colours[lane * plane + pixel] = static_cast<float>(p.pixels[3 * pixel + lane]);
        return;
    }
    const Place x = padded_place(column, moved.x, p.width), y = padded_place(row, moved.y, p.height);
    const Weights across = spline_weights(x.way), down = spline_weights(y.way);
    const float* first = p.coefficients + 4 * (static_cast<int64_t>(y.pixel - 1) * p.stride + x.pixel - 1);
    Rounded lines[4][3];
    for (int tap = 0; tap < 4; tap++) {
        Vector<float> rows[4];
        for (int line = 0; line < 4; line++) rows[line] = load_vector(first + 4 * (static_cast<int64_t>(line) * p.stride + tap));
        for (int lane = 0; lane < 3; lane++) {
            lines[tap][lane] = (down.tap[0] * rows[0].values[lane] + down.tap[1] * rows[1].values[lane]) +
                               (down.tap[2] * rows[2].values[lane] + down.tap[3] * rows[3].values[lane]);
        }
    }
    for (int lane = 0; lane < 3; lane++) {
        const Rounded sum = (across.tap[0] * lines[0][lane] + across.tap[1] * lines[1][lane]) +
                            (across.tap[2] * lines[2][lane] + across.tap[3] * lines[3][lane]);
        p.colours[lane * plane + pixel] = sum.value;
    }
}
