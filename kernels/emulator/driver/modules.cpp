// Modules and launches. What a module holds is not looked at: kernels run from their sources.
#include <cuda.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include <map>
#include <memory>

#include "../emulator.h"
#include "driver.h"
#include "kernels.h"
#include "memory.h"
#include "streams.h"

namespace driver {
namespace {

// The first bytes of a fat binary.
constexpr uint32_t FAT_BINARY = 0xBA55ED50;
// Dynamic shared memory of a block without being asked for, and the most of compute capability 9.0.
constexpr uint32_t SHARED_BYTES = 48 << 10;
constexpr int MOST_SHARED_BYTES = 227 << 10;
constexpr uint32_t MOST_BLOCKS_X = 0x7FFFFFFF;
constexpr uint32_t MOST_BLOCKS = 65535;
constexpr uint32_t MOST_THREADS = 1024;
constexpr uint32_t MOST_THREADS_Z = 64;
// Parameters may hold tensor maps, which are so aligned.
constexpr size_t PARAMETER_ALIGNMENT = 128;

// stir's are compiled for the device into fat binaries, candle's are text.
struct Module {
    bool is_candle;
};

// What `KERNEL` makes of a kernel.
typedef int (*Own)(const void* parameters, const uint32_t grid[3], uint32_t threads, uint32_t shared_bytes);
typedef uint64_t (*ParameterBytes)();

struct Function {
    Kernel kernel;
    // One of stir's, or null.
    Own own;
    size_t parameter_bytes;
};

std::map<std::string, Bind>& entered() {
    static std::map<std::string, Bind>& kernels = *new std::map<std::string, Bind>;
    return kernels;
}

std::map<std::string, Function*>& loaded() {
    static std::map<std::string, Function*>& functions = *new std::map<std::string, Function*>;
    return functions;
}

Function* load(const std::string& name, bool is_candle) {
    if (is_candle) {
        const auto found = entered().find(name);
        if (found == entered().end()) return nullptr;
        return new Function{{name, found->second, SHARED_BYTES}, nullptr, 0};
    }
    const Own own = reinterpret_cast<Own>(dlsym(RTLD_DEFAULT, name.c_str()));
    const ParameterBytes bytes = reinterpret_cast<ParameterBytes>(dlsym(RTLD_DEFAULT, (name + "_parameter_bytes").c_str()));
    if (!own || !bytes) return nullptr;
    return new Function{{name, nullptr, SHARED_BYTES}, own, bytes()};
}

// A launch of one of stir's kernels, which takes one struct.
Start bind_own(const Function& function, void** parameters) {
    const size_t bytes = (function.parameter_bytes + PARAMETER_ALIGNMENT - 1) / PARAMETER_ALIGNMENT * PARAMETER_ALIGNMENT;
    std::shared_ptr<char> copy(static_cast<char*>(aligned_alloc(PARAMETER_ALIGNMENT, bytes)), free);
    memcpy(copy.get(), parameters[0], function.parameter_bytes);
    // Which values are addresses is not known here; hardly any other looks like one.
    for (size_t offset = 0; offset + sizeof(uint64_t) <= function.parameter_bytes; offset += sizeof(uint64_t)) {
        uint64_t value;
        memcpy(&value, copy.get() + offset, sizeof value);
        check_parameter(function.kernel.name.c_str(), value);
    }
    const Own own = function.own;
    return [=](const Shape& shape) {
        if (own(copy.get(), shape.grid, shape.block[0], shape.shared_bytes) != 0) report("%s", emulator_message());
    };
}

bool is_shape(const Function& function, const Shape& shape) {
    const char* name = function.kernel.name.c_str();
    const uint32_t* grid = shape.grid;
    const uint32_t* block = shape.block;
    for (int axis = 0; axis < 3; axis++) {
        if (grid[axis] == 0 || grid[axis] > (axis == 0 ? MOST_BLOCKS_X : MOST_BLOCKS)) {
            report("%s: no device runs a grid of %u x %u x %u", name, grid[0], grid[1], grid[2]);
            return false;
        }
    }
    const uint64_t threads = static_cast<uint64_t>(block[0]) * block[1] * block[2];
    if (threads == 0 || threads > MOST_THREADS || block[2] > MOST_THREADS_Z || (function.own && threads != block[0])) {
        report("%s: blocks of %u x %u x %u threads", name, block[0], block[1], block[2]);
        return false;
    }
    if (shape.shared_bytes > function.kernel.shared_bytes) {
        report("%s: %u bytes of shared memory; it may have %u", name, shape.shared_bytes, function.kernel.shared_bytes);
        return false;
    }
    return true;
}

}  // namespace

void enter(const char* name, Bind bind) { entered()[name] = bind; }

void check_parameter(const char* kernel, uint64_t value) {
    if (is_given_back(value)) report("%s: launched with the address %#lx of memory that has been given back", kernel, static_cast<unsigned long>(value));
}

}  // namespace driver

using namespace driver;

extern "C" {

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
    Locked locked(lock());
    if (!has_context(__func__)) return CUDA_ERROR_INVALID_CONTEXT;
    uint32_t first;
    memcpy(&first, image, sizeof first);
    *module = reinterpret_cast<CUmodule>(new Module{first != FAT_BINARY});
    return CUDA_SUCCESS;
}

CUresult cuModuleLoad(CUmodule*, const char* path) {
    report("cuModuleLoad: %s; modules come from memory here", path);
    return CUDA_ERROR_FILE_NOT_FOUND;
}

CUresult cuModuleUnload(CUmodule) { return CUDA_SUCCESS; }

CUresult cuModuleGetFunction(CUfunction* handle, CUmodule module, const char* name) {
    Locked locked(lock());
    Function*& function = loaded()[name];
    if (!function) function = load(name, reinterpret_cast<Module*>(module)->is_candle);
    if (!function) {
        report("cuModuleGetFunction: the stand-in has no kernel %s", name);
        return CUDA_ERROR_NOT_FOUND;
    }
    *handle = reinterpret_cast<CUfunction>(function);
    return CUDA_SUCCESS;
}

CUresult cuFuncSetAttribute(CUfunction handle, CUfunction_attribute attribute, int value) {
    Locked locked(lock());
    Function* function = reinterpret_cast<Function*>(handle);
    if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) {
        report("cuFuncSetAttribute: the attribute %d is not known here", attribute);
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (value < 0 || value > MOST_SHARED_BYTES) {
        report("%s: no device has %d bytes of shared memory for a block", function->kernel.name.c_str(), value);
        return CUDA_ERROR_INVALID_VALUE;
    }
    function->kernel.shared_bytes = static_cast<uint32_t>(value);
    return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(
    CUfunction handle, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
    CUstream stream_handle, void** parameters, void** extra) {
    Locked locked(lock());
    if (!has_context(__func__)) return CUDA_ERROR_INVALID_CONTEXT;
    const Function& function = *reinterpret_cast<Function*>(handle);
    Stream* stream = stream_of(stream_handle, function.kernel.name.c_str());
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (extra) report("%s: parameters in a buffer are not known here", function.kernel.name.c_str());
    const Shape shape{{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes};
    if (!is_shape(function, shape)) return CUDA_ERROR_INVALID_VALUE;
    const Start start = function.own ? bind_own(function, parameters) : function.kernel.bind(parameters);
    enqueue(*stream, {[=] { start(shape); }});
    return CUDA_SUCCESS;
}

}  // extern "C"
