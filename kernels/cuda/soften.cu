// What a warped picture shows from beyond its borders, out of focus. Of the colour c of a pixel that comes from d pixels beyond the border:
// c + s (blurred(mirrored place) - c), s = t^2 (3 - 2 t), t = min(d / depth, 1); blurred is bilinear between cells of 4 pixels, edges repeated.
//
// planes: [3, cell_rows, cell_columns], float32. nodes: [rows, columns, 2], float32, as for warp. colours: [3, height, width], float32, changed in place.
// The same bits as on the CPU: every operation is rounded by itself.
//
// A thread takes a pixel. Grid: x, parts of a row; y, rows. Block: 128 threads. No shared memory.
// Bound by loads of nodes from the first cache: few pixels come from beyond the border.
// Architectures: all.

#include "common/displacement.cuh"
#include "common/kernel.cuh"

struct SoftenParameters {
    const float* planes;
    const float* nodes;
    float* colours;
    int32_t width;
    int32_t height;
    int32_t columns;
    int32_t cell_columns;
    int32_t cell_rows;
    float depth;
};

constexpr float CELL = 4.0f;

// The larger one; the first where the second is not a number.
DEVICE float larger(float a, float b) { return b > a ? b : a; }

// A place mirrored into 0 to `size`.
DEVICE Rounded mirrored(Rounded place, float size) {
    const float period = 2.0f * size;
    float rest = fmodf(place.value, period);
    if (rest < 0.0f) rest = (Rounded(rest) + period).value;
    const float other = (Rounded(period) - rest).value;
    return rest < other ? rest : other;
}

// Two neighbouring cells of an axis and the way from one to the other, 0 to 1.
struct Cells {
    int first, second;
    Rounded way;
};

DEVICE Cells cells_around(Rounded place, int count) {
    const float last = static_cast<float>(count - 1);
    float centre = (place * (1.0f / CELL) - 0.5f).value;
    // Also for what is not a number, which must not lead out of the plane.
    centre = centre > 0.0f ? centre : 0.0f;
    centre = centre < last ? centre : last;
    const int first = static_cast<int>(centre);
    return {first, first + 1 < count ? first + 1 : first, Rounded(centre) - static_cast<float>(first)};
}

KERNEL(soften, SoftenParameters, 128, 0) {
    const SoftenParameters& p = parameters;
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    const int row = blockIdx.y;
    if (column >= p.width) return;
    const Displacement moved = displacement(p.nodes, p.columns, column, row);
    const float width = static_cast<float>(p.width), height = static_cast<float>(p.height);
    const Rounded x = Rounded(static_cast<float>(column) + 0.5f) + moved.x, y = Rounded(static_cast<float>(row) + 0.5f) + moved.y;
    const float outside = larger(larger(larger(-x.value, (x - width).value), -y.value), (y - height).value);
    if (outside <= 0.0f) return;
    const Rounded one = 1.0f, two = 2.0f, three = 3.0f;
    Rounded way = Rounded(outside) / p.depth;
    if (!(way.value < 1.0f)) way = one;
    const Rounded share = way * way * (three - two * way);
    const Cells across = cells_around(mirrored(x, width), p.cell_columns), down = cells_around(mirrored(y, height), p.cell_rows);
    const int64_t upper_row = static_cast<int64_t>(down.first) * p.cell_columns, lower_row = static_cast<int64_t>(down.second) * p.cell_columns;
    for (int lane = 0; lane < 3; lane++) {
        const float* plane = p.planes + static_cast<int64_t>(lane) * p.cell_rows * p.cell_columns;
        const Rounded upper = Rounded(plane[upper_row + across.first]) * (one - across.way) + Rounded(plane[upper_row + across.second]) * across.way;
        const Rounded lower = Rounded(plane[lower_row + across.first]) * (one - across.way) + Rounded(plane[lower_row + across.second]) * across.way;
        const Rounded blurred = upper * (one - down.way) + lower * down.way;
        float* colour = p.colours + (static_cast<int64_t>(lane) * p.height + row) * p.width + column;
        const Rounded before = *colour;
        *colour = (before + share * (blurred - before)).value;
    }
}
