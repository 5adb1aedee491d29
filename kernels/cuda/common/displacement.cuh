// Displacements between the nodes of a coarse grid, by Catmull-Rom splines; the CPU's bits.
#pragma once

#include "rounded.cuh"

// Pixels from node to node, and nodes beyond each border.
constexpr int STEP = 4;
constexpr int MARGIN = 2;

struct Weights {
    Rounded tap[4];
};

// Weights of the Catmull-Rom spline for pixel `offset` of a step: centres lie at -3/8, -1/8, 1/8 and 3/8 of a step from the nearest node. Exact.
DEVICE Weights phase(int offset) {
    const float t = (offset < STEP / 2 ? 0.625f : 0.125f) + (offset % 2 ? 0.25f : 0.0f);
    const float t2 = t * t, t3 = t * t * t;
    return {{-0.5f * t + t2 - 0.5f * t3, 1.0f - 2.5f * t2 + 1.5f * t3, 0.5f * t + 2.0f * t2 - 1.5f * t3,
             -0.5f * t2 + 0.5f * t3}};
}

// The first of the four nodes around pixel `index`.
DEVICE int first_node(int index) { return index / STEP + MARGIN - 1 - (index % STEP < STEP / 2); }

struct Displacement {
    float x, y;
};

// Of a pixel, from a grid of nodes [rows, columns, 2], MARGIN of them beyond each border.
DEVICE Displacement displacement(const float* nodes, int columns, int column, int row) {
    const Weights across = phase(column % STEP), down = phase(row % STEP);
    const int64_t first = static_cast<int64_t>(first_node(row)) * columns + first_node(column);
    Rounded sums[2];
    for (int tap = 0; tap < 4; tap++) {
        for (int axis = 0; axis < 2; axis++) {
            const float* node = nodes + 2 * (first + tap) + axis;
            const int64_t next = 2 * static_cast<int64_t>(columns);
            const Rounded value = down.tap[0] * node[0] + down.tap[1] * node[next] + down.tap[2] * node[2 * next] +
                                  down.tap[3] * node[3 * next];
            sums[axis] = tap == 0 ? across.tap[0] * value : sums[axis] + across.tap[tap] * value;
        }
    }
    return {sums[0].value, sums[1].value};
}
