// What the stand-ins are there to find, one at a time: `scripts/cuda-emulate` starts this with the number of each, and a line of theirs has to appear.
//
// Without a number it says how many there are.
#include <cublasLt.h>
#include <cuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <iterator>

namespace {

constexpr size_t BYTES = 4096;

CUstream stream;
CUevent event;
CUdeviceptr block;
char host[BYTES];

// One of stir's kernels by its name.
CUfunction kernel(const char* name) {
    const unsigned fat_binary = 0xBA55ED50;
    CUmodule module;
    CUfunction function = nullptr;
    cuModuleLoadData(&module, &fat_binary);
    cuModuleGetFunction(&function, module, name);
    return function;
}

// gelu.cu's parameters.
struct Gelu {
    CUdeviceptr x, factors, y;
    int64_t count;
};

void launch_gelu(Gelu gelu, unsigned blocks, unsigned threads, unsigned shared_bytes) {
    void* parameters[] = {&gelu};
    cuLaunchKernel(kernel("gelu_f32"), blocks, 1, 1, threads, 1, 1, shared_bytes, stream, parameters, nullptr);
    cuStreamSynchronize(stream);
}

void no_context() {
    cuCtxSetCurrent(nullptr);
    CUdeviceptr other;
    cuMemAllocAsync(&other, BYTES, stream);
}

void default_stream() { cuMemsetD8Async(block, 0, BYTES, nullptr); }
void blocking_stream() { cuStreamCreate(&stream, CU_STREAM_DEFAULT); }

void destroyed_stream() {
    cuStreamDestroy(stream);
    cuStreamSynchronize(stream);
}

void destroyed_event() {
    cuEventDestroy(event);
    cuEventRecord(event, stream);
}

void copy_beyond_the_end() { cuMemcpyHtoDAsync(block + 1, host, BYTES, stream); }
void copy_from_nowhere() { cuMemcpyDtoHAsync(host, 512, BYTES, stream); }

void copy_to_freed_memory() {
    cuMemFreeAsync(block, stream);
    cuMemcpyHtoDAsync(block, host, BYTES, stream);
}

void freed_twice() {
    cuMemFreeAsync(block, stream);
    cuMemFreeAsync(block, stream);
}

void freed_on_another_stream() {
    CUstream other;
    cuStreamCreate(&other, CU_STREAM_NON_BLOCKING);
    cuMemFreeAsync(block, other);
}

void launched_with_freed_memory() {
    cuMemFreeAsync(block, stream);
    launch_gelu({block, 0, block, 8}, 1, 256, 0);
}

void unknown_kernel() { kernel("no_such_kernel"); }
void grid_without_blocks() { launch_gelu({block, 0, block, 8}, 0, 256, 0); }
void too_many_threads() { launch_gelu({block, 0, block, 8}, 1, 2048, 0); }
void other_threads_than_the_kernel_takes() { launch_gelu({block, 0, block, 8}, 1, 512, 0); }
void shared_memory_not_asked_for() { launch_gelu({block, 0, block, 8}, 1, 256, 64 << 10); }
void more_shared_memory_than_there_is() { cuFuncSetAttribute(kernel("gelu_f32"), CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 228 << 10); }

void encode(CUdeviceptr address, cuuint64_t stride, cuuint64_t tokens) {
    CUtensorMap map;
    const cuuint64_t sizes[] = {64, 1, tokens, 1}, strides[] = {128, stride, BYTES};
    const cuuint32_t box[] = {64, 1, 8, 1}, steps[] = {1, 1, 1, 1};
    cuTensorMapEncodeTiled(
        &map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 4, reinterpret_cast<void*>(address), sizes, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
        CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
}

void map_of_an_odd_address() { encode(block + 8, 128, 8); }
void map_of_an_odd_stride() { encode(block, 136, 8); }
void map_beyond_the_end() { encode(block, 128, 64); }

// A product of 8 by 8 values whose algorithm was proposed for these alignments.
void multiply(cublasLtMatmulPreferenceAttributes_t aligned, uint32_t alignment, CUdeviceptr a, int proposal) {
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t description;
    cublasLtMatrixLayout_t layout;
    cublasLtMatmulPreference_t preference;
    cublasLtCreate(&handle);
    cublasLtMatmulDescCreate(&description, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    const cublasOperation_t transposed = CUBLAS_OP_T;
    cublasLtMatmulDescSetAttribute(description, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed);
    cublasLtMatrixLayoutCreate(&layout, CUDA_R_32F, 8, 8, 8);
    cublasLtMatmulPreferenceCreate(&preference);
    const uint64_t workspace = 4 << 20;
    cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace);
    const uint32_t usual = 4;
    for (int matrix = 0; matrix < 4; matrix++) {
        const auto attribute = static_cast<cublasLtMatmulPreferenceAttributes_t>(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES + matrix);
        cublasLtMatmulPreferenceSetAttribute(preference, attribute, attribute == aligned ? &alignment : &usual, sizeof usual);
    }
    cublasLtMatmulHeuristicResult_t results[3];
    int count = 0;
    cublasLtMatmulAlgoGetHeuristic(handle, description, layout, layout, layout, layout, preference, 3, results, &count);
    if (count == 0) return;
    CUdeviceptr room;
    cuMemAllocAsync(&room, workspace, stream);
    const float alpha = 1, beta = 0;
    const auto pointer = [](CUdeviceptr address) { return reinterpret_cast<void*>(address); };
    cublasLtMatmul(
        handle, description, &alpha, pointer(a), layout, pointer(block + 512), layout, &beta, pointer(block + 1024), layout, pointer(block + 1024), layout,
        &results[proposal].algo, pointer(room), workspace, stream);
}

void product_that_splits_sums() { multiply(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, 16, block, 0); }
void product_less_aligned_than_proposed() { multiply(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, 16, block + 4, 1); }
void product_without_an_alignment() { multiply(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, 0, block, 1); }
void product_beyond_the_end() { multiply(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, 16, block + BYTES - 16, 1); }

void destroyed_descriptor() {
    cublasLtMatrixLayout_t layout;
    cublasLtMatrixLayoutCreate(&layout, CUDA_R_32F, 8, 8, 8);
    cublasLtMatrixLayoutDestroy(layout);
    cublasLtMatrixLayoutDestroy(layout);
}

void (*const MISUSES[])() = {
    no_context,
    default_stream,
    blocking_stream,
    destroyed_stream,
    destroyed_event,
    copy_beyond_the_end,
    copy_from_nowhere,
    copy_to_freed_memory,
    freed_twice,
    freed_on_another_stream,
    launched_with_freed_memory,
    unknown_kernel,
    grid_without_blocks,
    too_many_threads,
    other_threads_than_the_kernel_takes,
    shared_memory_not_asked_for,
    more_shared_memory_than_there_is,
    map_of_an_odd_address,
    map_of_an_odd_stride,
    map_beyond_the_end,
    product_that_splits_sums,
    product_less_aligned_than_proposed,
    product_without_an_alignment,
    product_beyond_the_end,
    destroyed_descriptor,
};

}  // namespace

int main(int count, char** words) {
    if (count == 1) {
        printf("%zu\n", std::size(MISUSES));
        return 0;
    }
    CUcontext context;
    cuInit(0);
    cuDevicePrimaryCtxRetain(&context, 0);
    cuCtxSetCurrent(context);
    cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);
    cuEventCreate(&event, CU_EVENT_DISABLE_TIMING);
    cuMemAllocAsync(&block, BYTES, stream);
    // Used as it should be: none of this may be found wrong.
    cuMemcpyHtoDAsync(block, host, BYTES, stream);
    launch_gelu({block, 0, block + BYTES / 2, 8}, 1, 256, 0);
    encode(block, 128, 8);
    multiply(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, 16, block, 1);
    cuEventRecord(event, stream);
    cuEventSynchronize(event);
    printf("ready\n");
    fflush(stdout);
    MISUSES[atoi(words[1])]();
    return 0;
}
