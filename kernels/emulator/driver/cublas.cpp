// cuBLAS, as candle calls it.
#include <cublas_v2.h>

#include "../../cuda/common/number.cuh"
#include "driver.h"
#include "products.h"
#include "streams.h"

namespace driver {
namespace {

struct Handle {
    CUstream stream = nullptr;
};

Handle& handle_of(cublasHandle_t handle) { return *reinterpret_cast<Handle*>(handle); }

// Factors are of the type of the sums.
float factor(const void* pointer, cublasComputeType_t compute) {
    return compute == CUBLAS_COMPUTE_16F ? widen(*static_cast<const float16*>(pointer)) : *static_cast<const float*>(pointer);
}

}  // namespace
}  // namespace driver

using namespace driver;

extern "C" {

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
    if (!has_context(__func__)) return CUBLAS_STATUS_NOT_INITIALIZED;
    *handle = reinterpret_cast<cublasHandle_t>(new Handle);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle) {
    delete &handle_of(handle);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
    handle_of(handle).stream = stream;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDgemmStridedBatched(
    cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int, const double*, const double*, int, long long, const double*, int, long long,
    const double*, double*, int, long long, int) {
    report("cublasDgemmStridedBatched: products in float64 are not emulated");
    return CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasGemmStridedBatchedEx(
    cublasHandle_t handle, cublasOperation_t a_operation, cublasOperation_t b_operation, int m, int n, int k, const void* alpha, const void* a_pointer,
    cudaDataType a_type, int a_leading, long long a_stride, const void* b_pointer, cudaDataType b_type, int b_leading, long long b_stride, const void* beta,
    void* c_pointer, cudaDataType c_type, int c_leading, long long c_stride, int count, cublasComputeType_t compute, cublasGemmAlgo_t) {
    Locked locked(lock());
    Stream* stream = stream_of(handle_of(handle).stream, __func__);
    if (!stream) return CUBLAS_STATUS_EXECUTION_FAILED;
    const size_t value_bytes = bytes_of(a_type);
    if (a_type != b_type || a_type != c_type || value_bytes == 0 || m <= 0 || n <= 0 || k <= 0 || count <= 0) {
        report("cublasGemmStridedBatchedEx: %d products of [%d, %d] and [%d, %d] of types %d, %d and %d", count, m, k, k, n, a_type, b_type, c_type);
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    const bool is_a_transposed = a_operation != CUBLAS_OP_N, is_b_transposed = b_operation != CUBLAS_OP_N;
    const uint64_t rows = m, columns = n, length = k;
    const Matrix a{reinterpret_cast<uint64_t>(a_pointer), a_type, is_a_transposed ? length : rows, is_a_transposed ? rows : length, a_leading};
    const Matrix b{reinterpret_cast<uint64_t>(b_pointer), b_type, is_b_transposed ? columns : length, is_b_transposed ? length : columns, b_leading};
    const Matrix c{reinterpret_cast<uint64_t>(c_pointer), c_type, rows, columns, c_leading};
    for (const Matrix* matrix : {&a, &b, &c}) {
        if (matrix->leading >= static_cast<int64_t>(matrix->rows)) continue;
        report("cublasGemmStridedBatchedEx: columns of %lu values that are %ld apart", static_cast<unsigned long>(matrix->rows), static_cast<long>(matrix->leading));
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    const bool are_there = is_there(a, "a product's first matrix", a_stride, count) && is_there(b, "a product's second matrix", b_stride, count) &&
        is_there(c, "a product's result", c_stride, count);
    if (!are_there) return CUBLAS_STATUS_INVALID_VALUE;
    const float first_factor = factor(alpha, compute), second_factor = factor(beta, compute);
    enqueue(*stream, {[=] {
        for (int index = 0; index < count; index++) {
            Matrix left = a, right = b, result = c;
            left.address += index * a_stride * value_bytes;
            right.address += index * b_stride * value_bytes;
            result.address += index * c_stride * value_bytes;
            const std::vector<float> sums = multiplied(left, is_a_transposed, right, is_b_transposed);
            for (uint64_t column = 0; column < columns; column++) {
                for (uint64_t row = 0; row < rows; row++) {
                    float sum = first_factor * sums[column * rows + row];
                    // What is multiplied by 0 is not read.
                    if (second_factor != 0) sum += second_factor * value(result, row, column);
                    set_value(result, row, column, sum);
                }
            }
        }
    }});
    return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
