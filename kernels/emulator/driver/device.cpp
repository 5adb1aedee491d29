// The one device, its context, and the names of errors.
#include <cuda.h>
#include <stdio.h>

#include "driver.h"

namespace driver {
namespace {

constexpr int DRIVER_VERSION = 13000;
constexpr int MULTIPROCESSORS = 132;

bool is_initialised = false;
// Contexts are known by their addresses alone.
char context_object;
thread_local CUcontext current = nullptr;

CUcontext primary_context() { return reinterpret_cast<CUcontext>(&context_object); }

}  // namespace

bool has_context(const char* call) {
    if (current == primary_context()) return true;
    report("%s in a thread without a current context", call);
    return false;
}

}  // namespace driver

using namespace driver;

extern "C" {

CUresult cuInit(unsigned flags) {
    is_initialised = true;
    return flags == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDriverGetVersion(int* version) {
    *version = DRIVER_VERSION;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int* count) {
    if (!is_initialised) return CUDA_ERROR_NOT_INITIALIZED;
    *count = 1;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice* device, int index) {
    if (!is_initialised) return CUDA_ERROR_NOT_INITIALIZED;
    if (index != 0) return CUDA_ERROR_INVALID_DEVICE;
    *device = 0;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char* name, int bytes, CUdevice) {
    snprintf(name, bytes, "a GPU emulated by stir");
    return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem(size_t* bytes, CUdevice) {
    *bytes = settings().memory_bytes;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice) {
    switch (attribute) {
        case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
            *value = MULTIPROCESSORS;
            return CUDA_SUCCESS;
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
            *value = settings().capability / 10;
            return CUDA_SUCCESS;
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
            *value = settings().capability % 10;
            return CUDA_SUCCESS;
        case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED:
            *value = 1;
            return CUDA_SUCCESS;
        default:
            report("cuDeviceGetAttribute: the attribute %d is not known here", attribute);
            return CUDA_ERROR_INVALID_VALUE;
    }
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) {
    *context = primary_context();
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease(CUdevice) { return CUDA_SUCCESS; }

CUresult cuCtxGetCurrent(CUcontext* context) {
    *context = current;
    return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context) {
    if (context != nullptr && context != primary_context()) {
        report("cuCtxSetCurrent: %p is no context", static_cast<void*>(context));
        return CUDA_ERROR_INVALID_CONTEXT;
    }
    current = context;
    return CUDA_SUCCESS;
}

CUresult cuCtxDestroy(CUcontext) {
    report("cuCtxDestroy: the primary context is released, not destroyed");
    return CUDA_ERROR_INVALID_CONTEXT;
}

CUresult cuGetErrorName(CUresult error, const char** name) {
    switch (error) {
        case CUDA_SUCCESS:
            *name = "CUDA_SUCCESS";
            break;
        case CUDA_ERROR_INVALID_VALUE:
            *name = "CUDA_ERROR_INVALID_VALUE";
            break;
        case CUDA_ERROR_OUT_OF_MEMORY:
            *name = "CUDA_ERROR_OUT_OF_MEMORY";
            break;
        case CUDA_ERROR_NOT_INITIALIZED:
            *name = "CUDA_ERROR_NOT_INITIALIZED";
            break;
        case CUDA_ERROR_INVALID_DEVICE:
            *name = "CUDA_ERROR_INVALID_DEVICE";
            break;
        case CUDA_ERROR_INVALID_CONTEXT:
            *name = "CUDA_ERROR_INVALID_CONTEXT";
            break;
        case CUDA_ERROR_INVALID_HANDLE:
            *name = "CUDA_ERROR_INVALID_HANDLE";
            break;
        case CUDA_ERROR_NOT_FOUND:
            *name = "CUDA_ERROR_NOT_FOUND";
            break;
        default:
            *name = "an error of the stand-in";
    }
    return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char** text) { return cuGetErrorName(error, text); }

}  // extern "C"
