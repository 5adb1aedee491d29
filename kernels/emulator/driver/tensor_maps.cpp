// Tensor maps: on a device 128 bytes that nobody documents, here the emulator's own description, which its copies of boxes read.
#include <cuda.h>
#include <string.h>

#include "../hopper.h"
#include "driver.h"
#include "memory.h"

namespace driver {
namespace {

constexpr int AXES = 4;
constexpr uint64_t MOST_VALUES = 1ull << 32;
constexpr uint64_t STRIDE_END = 1ull << 40;
constexpr uint64_t ALIGNMENT = 16;
constexpr uint64_t MAP_ALIGNMENT = 64;
constexpr uint32_t MOST_OF_BOX = 256;
constexpr uint32_t ROW_BYTES = 128;

uint32_t bytes_of(CUtensorMapDataType type) {
    switch (type) {
        case CU_TENSOR_MAP_DATA_TYPE_FLOAT32:
            return 4;
        case CU_TENSOR_MAP_DATA_TYPE_BFLOAT16:
        case CU_TENSOR_MAP_DATA_TYPE_FLOAT16:
            return 2;
        default:
            return 0;
    }
}

// What is wrong with a description, or null.
const char* problem_of(const emulator::Tensor& tensor, const cuuint32_t* steps) {
    if (tensor.address % ALIGNMENT != 0) return "begins at no multiple of 16 bytes";
    if (tensor.box[0] * tensor.value_bytes != ROW_BYTES) return "has boxes whose rows are not 128 bytes";
    for (int axis = 0; axis < AXES; axis++) {
        if (tensor.sizes[axis] == 0 || tensor.sizes[axis] > MOST_VALUES) return "has an axis that is not 1 to 2^32 values long";
        if (tensor.box[axis] == 0 || tensor.box[axis] > MOST_OF_BOX) return "has boxes that are not 1 to 256 values long along an axis";
        if (steps[axis] != 1) return "has steps other than 1, which are not emulated";
    }
    for (uint64_t stride : tensor.strides) {
        if (stride == 0 || stride % ALIGNMENT != 0 || stride >= STRIDE_END) return "has a stride that is no multiple of 16 bytes from 16 to 2^40";
    }
    return nullptr;
}

}  // namespace
}  // namespace driver

using namespace driver;

extern "C" CUresult cuTensorMapEncodeTiled(
    CUtensorMap* map, CUtensorMapDataType type, cuuint32_t axes, void* address, const cuuint64_t* sizes, const cuuint64_t* strides, const cuuint32_t* box,
    const cuuint32_t* steps, CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill fill) {
    Locked locked(lock());
    const bool is_emulated = axes == AXES && bytes_of(type) > 0 && interleave == CU_TENSOR_MAP_INTERLEAVE_NONE &&
        swizzle == CU_TENSOR_MAP_SWIZZLE_128B && fill == CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE;
    if (!is_emulated) {
        report("cuTensorMapEncodeTiled: %u axes of type %d with swizzle %d are not emulated", axes, type, swizzle);
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (reinterpret_cast<uintptr_t>(map) % MAP_ALIGNMENT != 0) {
        report("cuTensorMapEncodeTiled: the map is at %p, no multiple of 64", static_cast<void*>(map));
        return CUDA_ERROR_INVALID_VALUE;
    }
    emulator::Tensor tensor{};
    tensor.address = reinterpret_cast<uintptr_t>(address);
    tensor.value_bytes = bytes_of(type);
    tensor.swizzle = swizzle;
    memcpy(tensor.sizes, sizes, sizeof tensor.sizes);
    memcpy(tensor.strides, strides, sizeof tensor.strides);
    memcpy(tensor.box, box, sizeof tensor.box);
    if (const char* problem = problem_of(tensor, steps)) {
        report("cuTensorMapEncodeTiled: the tensor %s", problem);
        return CUDA_ERROR_INVALID_VALUE;
    }
    uint64_t bytes = tensor.sizes[0] * tensor.value_bytes;
    for (int axis = 1; axis < AXES; axis++) bytes += (tensor.sizes[axis] - 1) * tensor.strides[axis - 1];
    if (!is_live(tensor.address, bytes, "the tensor of a map")) return CUDA_ERROR_INVALID_VALUE;
    static_assert(sizeof tensor <= sizeof *map, "the emulator's description stands in a map");
    memcpy(map, &tensor, sizeof tensor);
    return CUDA_SUCCESS;
}
