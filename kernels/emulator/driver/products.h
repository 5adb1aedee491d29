// Matrix products as cuBLAS and cuBLASLt define them: columns one after the other, sums in float32, one rounding at the end.
#pragma once

#include <library_types.h>
#include <stddef.h>
#include <stdint.h>

#include <vector>

namespace driver {

// A matrix in memory: `rows` values follow each other, and `leading` values lie from one column to the next.
struct Matrix {
    uint64_t address;
    cudaDataType type;
    uint64_t rows, columns;
    int64_t leading;
};

// Bytes of a value; 0 of types that are not multiplied here.
size_t bytes_of(cudaDataType type);

float value(const Matrix& matrix, uint64_t row, uint64_t column);
void set_value(const Matrix& matrix, uint64_t row, uint64_t column, float value);

// Whether the memory of all `count` matrices, so many values from one to the next, is there; reported where not.
bool is_there(const Matrix& matrix, const char* what, int64_t stride = 0, int count = 1);

// The sums of op(a) op(b), column by column, where op transposes or does nothing.
std::vector<float> multiplied(const Matrix& a, bool is_a_transposed, const Matrix& b, bool is_b_transposed);

}  // namespace driver
