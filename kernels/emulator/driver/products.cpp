#include "products.h"

#include "../../cuda/common/number.cuh"
#include "driver.h"
#include "memory.h"

namespace driver {
namespace {

void* place(const Matrix& matrix, uint64_t row, uint64_t column) {
    return reinterpret_cast<void*>(matrix.address + (column * matrix.leading + row) * bytes_of(matrix.type));
}

// The rows of op(matrix), or of its transpose, one after the other.
std::vector<float> rows_of(const Matrix& matrix, bool is_transposed) {
    std::vector<float> values;
    values.reserve(matrix.rows * matrix.columns);
    if (is_transposed) {
        for (uint64_t column = 0; column < matrix.columns; column++) {
            for (uint64_t row = 0; row < matrix.rows; row++) values.push_back(value(matrix, row, column));
        }
    } else {
        for (uint64_t row = 0; row < matrix.rows; row++) {
            for (uint64_t column = 0; column < matrix.columns; column++) values.push_back(value(matrix, row, column));
        }
    }
    return values;
}

}  // namespace

size_t bytes_of(cudaDataType type) {
    switch (type) {
        case CUDA_R_32F:
            return 4;
        case CUDA_R_16BF:
        case CUDA_R_16F:
            return 2;
        default:
            return 0;
    }
}

float value(const Matrix& matrix, uint64_t row, uint64_t column) {
    const void* from = place(matrix, row, column);
    switch (matrix.type) {
        case CUDA_R_16BF:
            return widen(*static_cast<const bfloat16*>(from));
        case CUDA_R_16F:
            return widen(*static_cast<const float16*>(from));
        default:
            return *static_cast<const float*>(from);
    }
}

void set_value(const Matrix& matrix, uint64_t row, uint64_t column, float value) {
    void* to = place(matrix, row, column);
    switch (matrix.type) {
        case CUDA_R_16BF:
            *static_cast<bfloat16*>(to) = narrow<bfloat16>(value);
            break;
        case CUDA_R_16F:
            *static_cast<float16*>(to) = narrow<float16>(value);
            break;
        default:
            *static_cast<float*>(to) = value;
    }
}

bool is_there(const Matrix& matrix, const char* what, int64_t stride, int count) {
    const size_t value_bytes = bytes_of(matrix.type);
    if (matrix.address % value_bytes != 0) {
        report("%s: at %#lx, no multiple of its values' %zu bytes", what, static_cast<unsigned long>(matrix.address), value_bytes);
        return false;
    }
    const int64_t values = matrix.leading * static_cast<int64_t>(matrix.columns - 1) + static_cast<int64_t>(matrix.rows) + stride * (count - 1);
    return is_live(matrix.address, values * value_bytes, what);
}

std::vector<float> multiplied(const Matrix& a, bool is_a_transposed, const Matrix& b, bool is_b_transposed) {
    const uint64_t rows = is_a_transposed ? a.columns : a.rows;
    const uint64_t columns = is_b_transposed ? b.rows : b.columns;
    const uint64_t length = is_a_transposed ? a.rows : a.columns;
    const std::vector<float> left = rows_of(a, is_a_transposed);
    const std::vector<float> right = rows_of(b, !is_b_transposed);
    std::vector<float> sums(rows * columns);
    for (uint64_t column = 0; column < columns; column++) {
        for (uint64_t row = 0; row < rows; row++) {
            float sum = 0.0f;
            for (uint64_t index = 0; index < length; index++) sum += left[row * length + index] * right[column * length + index];
            sums[column * rows + row] = sum;
        }
    }
    return sums;
}

}  // namespace driver
