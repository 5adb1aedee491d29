#include "memory.h"

#include <cuda.h>
#include <stdlib.h>
#include <string.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "driver.h"
#include "streams.h"

namespace driver {
namespace {

constexpr size_t ALIGNMENT = 512;
constexpr size_t PAGE = 4096;
// Not-a-number in every format of floating point.
constexpr int POISON = 0xFF;

struct Block {
    // What was asked for, and what it takes.
    size_t bytes;
    size_t taken;
    Stream* stream;
    bool is_live;
};

struct State {
    // By their addresses.
    std::map<CUdeviceptr, Block> blocks;
    std::map<const char*, size_t> pinned;
    // Given back, by the stream that orders them and by what they take: the next owner on this stream gets the last of them.
    std::map<std::pair<Stream*, size_t>, std::vector<CUdeviceptr>> unused;
    size_t bytes_used = 0;
    size_t bytes_reserved = 0;
};

// Never destroyed: other threads may be in a call when the process ends.
State& state() {
    static State& state = *new State;
    return state;
}

size_t rounded_up(size_t bytes, size_t multiple) { return (bytes + multiple - 1) / multiple * multiple; }

void* host(CUdeviceptr address) { return reinterpret_cast<void*>(address); }

// The block that holds an address, and where it begins.
const std::pair<const CUdeviceptr, Block>* block_at(CUdeviceptr address) {
    auto next = state().blocks.upper_bound(address);
    if (next == state().blocks.begin()) return nullptr;
    --next;
    return address < next->first + next->second.taken ? &*next : nullptr;
}

bool is_pinned(const void* pointer, size_t bytes) {
    const char* begin = static_cast<const char*>(pointer);
    auto next = state().pinned.upper_bound(begin);
    if (next == state().pinned.begin()) return false;
    --next;
    return begin + bytes <= next->first + next->second;
}

// Gives all to the system that is not used, once nothing can touch it any more.
void trim() {
    for (auto& kind : state().unused) {
        if (!kind.second.empty()) finish(*kind.first.first);
        for (CUdeviceptr address : kind.second) {
            state().bytes_reserved -= state().blocks[address].taken;
            state().blocks.erase(address);
            free(host(address));
        }
        kind.second.clear();
    }
}

// A block that was given back on this stream, or a new one; 0 where there is no room.
CUdeviceptr take(Stream* stream, size_t taken) {
    std::vector<CUdeviceptr>& unused = state().unused[{stream, taken}];
    if (!unused.empty()) {
        const CUdeviceptr address = unused.back();
        unused.pop_back();
        return address;
    }
    if (state().bytes_reserved + taken > settings().memory_bytes) trim();
    if (state().bytes_reserved + taken > settings().memory_bytes) return 0;
    void* memory = aligned_alloc(ALIGNMENT, taken);
    if (!memory) return 0;
    memset(memory, POISON, taken);
    state().bytes_reserved += taken;
    return reinterpret_cast<CUdeviceptr>(memory);
}

}  // namespace

bool is_live(uint64_t address, size_t bytes, const char* what) {
    const auto* block = block_at(address);
    if (!block) {
        report("%s: %zu bytes at %#lx, where there is no memory of the device", what, bytes, static_cast<unsigned long>(address));
        return false;
    }
    const size_t offset = address - block->first;
    if (!block->second.is_live) {
        report("%s: %zu bytes in a block of %zu that has been given back", what, bytes, block->second.bytes);
        return false;
    }
    if (offset + bytes > block->second.bytes) {
        report("%s: %zu bytes from byte %zu of a block of %zu", what, bytes, offset, block->second.bytes);
        return false;
    }
    return true;
}

bool is_given_back(uint64_t address) {
    const auto* block = block_at(address);
    return block && !block->second.is_live;
}

}  // namespace driver

using namespace driver;

extern "C" {

CUresult cuDeviceGetMemPool(CUmemoryPool* pool, CUdevice) {
    static char object;
    *pool = reinterpret_cast<CUmemoryPool>(&object);
    return CUDA_SUCCESS;
}

CUresult cuMemPoolGetAttribute(CUmemoryPool, CUmemPool_attribute attribute, void* value) {
    Locked locked(lock());
    switch (attribute) {
        case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
            *static_cast<cuuint64_t*>(value) = state().bytes_reserved;
            return CUDA_SUCCESS;
        case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
            *static_cast<cuuint64_t*>(value) = state().bytes_used;
            return CUDA_SUCCESS;
        default:
            report("cuMemPoolGetAttribute: the attribute %d is not known here", attribute);
            return CUDA_ERROR_INVALID_VALUE;
    }
}

CUresult cuMemPoolSetAttribute(CUmemoryPool, CUmemPool_attribute attribute, void*) {
    // Memory stays with the pool here whatever the threshold is.
    if (attribute == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD) return CUDA_SUCCESS;
    report("cuMemPoolSetAttribute: the attribute %d is not known here", attribute);
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemGetInfo(size_t* available, size_t* total) {
    Locked locked(lock());
    if (!has_context(__func__)) return CUDA_ERROR_INVALID_CONTEXT;
    *total = settings().memory_bytes;
    *available = settings().memory_bytes - state().bytes_reserved;
    return CUDA_SUCCESS;
}

CUresult cuMemAllocAsync(CUdeviceptr* address, size_t bytes, CUstream handle) {
    Locked locked(lock());
    if (!has_context(__func__)) return CUDA_ERROR_INVALID_CONTEXT;
    Stream* stream = stream_of(handle, __func__);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (bytes == 0) {
        report("cuMemAllocAsync: 0 bytes");
        return CUDA_ERROR_INVALID_VALUE;
    }
    const size_t taken = rounded_up(bytes, ALIGNMENT);
    *address = take(stream, taken);
    // No problem by itself: a program may well try.
    if (*address == 0) return CUDA_ERROR_OUT_OF_MEMORY;
    state().blocks[*address] = {bytes, taken, stream, true};
    state().bytes_used += taken;
    return CUDA_SUCCESS;
}

CUresult cuMemFreeAsync(CUdeviceptr address, CUstream handle) {
    Locked locked(lock());
    if (!has_context(__func__)) return CUDA_ERROR_INVALID_CONTEXT;
    Stream* stream = stream_of(handle, __func__);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    auto found = state().blocks.find(address);
    if (found == state().blocks.end() || !found->second.is_live) {
        report("cuMemFreeAsync: %#llx is no block that could be given back", address);
        return CUDA_ERROR_INVALID_VALUE;
    }
    Block& block = found->second;
    if (block.stream != stream) report("cuMemFreeAsync: %zu bytes on another stream than they were taken on", block.bytes);
    block.is_live = false;
    block.stream = stream;
    state().bytes_used -= block.taken;
    // What still reads it on another stream finds not-a-numbers; on this one nothing comes between this and its next owner.
    const size_t taken = block.taken;
    enqueue(*stream, {[=] { memset(host(address), POISON, taken); }});
    state().unused[{stream, taken}].push_back(address);
    return CUDA_SUCCESS;
}

CUresult cuMemAlloc(CUdeviceptr*, size_t bytes) {
    report("cuMemAlloc: %zu bytes outside of the order of streams", bytes);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuMemFree(CUdeviceptr address) {
    report("cuMemFree: %#llx, outside of the order of streams", address);
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemHostAlloc(void** pointer, size_t bytes, unsigned) {
    Locked locked(lock());
    if (!has_context(__func__)) return CUDA_ERROR_INVALID_CONTEXT;
    if (bytes == 0) {
        report("cuMemHostAlloc: 0 bytes");
        return CUDA_ERROR_INVALID_VALUE;
    }
    *pointer = aligned_alloc(PAGE, rounded_up(bytes, PAGE));
    if (!*pointer) return CUDA_ERROR_OUT_OF_MEMORY;
    state().pinned[static_cast<char*>(*pointer)] = bytes;
    return CUDA_SUCCESS;
}

CUresult cuMemFreeHost(void* pointer) {
    Locked locked(lock());
    auto found = state().pinned.find(static_cast<char*>(pointer));
    if (found == state().pinned.end()) {
        report("cuMemFreeHost: %p is no pinned memory", pointer);
        return CUDA_ERROR_INVALID_VALUE;
    }
    // It stays with the process, so that a copy which nobody has waited for finds not-a-numbers, or writes where nobody looks.
    memset(pointer, POISON, found->second);
    state().pinned.erase(found);
    return CUDA_SUCCESS;
}

CUresult cuMemcpyHtoDAsync(CUdeviceptr target, const void* source, size_t bytes, CUstream handle) {
    Locked locked(lock());
    if (!has_context(__func__)) return CUDA_ERROR_INVALID_CONTEXT;
    Stream* stream = stream_of(handle, __func__);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (bytes == 0) return CUDA_SUCCESS;
    if (!is_live(target, bytes, "a copy to the device")) return CUDA_ERROR_INVALID_VALUE;
    if (is_pinned(source, bytes)) {
        // Read when the copy runs, and no earlier.
        enqueue(*stream, {[=] { memcpy(host(target), source, bytes); }});
        return CUDA_SUCCESS;
    }
    const std::string copy(static_cast<const char*>(source), bytes);
    enqueue(*stream, {[=] { memcpy(host(target), copy.data(), copy.size()); }});
    return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoHAsync(void* target, CUdeviceptr source, size_t bytes, CUstream handle) {
    Locked locked(lock());
    if (!has_context(__func__)) return CUDA_ERROR_INVALID_CONTEXT;
    Stream* stream = stream_of(handle, __func__);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (bytes == 0) return CUDA_SUCCESS;
    if (!is_live(source, bytes, "a copy from the device")) return CUDA_ERROR_INVALID_VALUE;
    enqueue(*stream, {[=] { memcpy(target, host(source), bytes); }});
    // Memory that is not pinned is there when the call returns.
    if (!is_pinned(target, bytes)) finish(*stream);
    return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoDAsync(CUdeviceptr target, CUdeviceptr source, size_t bytes, CUstream handle) {
    Locked locked(lock());
    if (!has_context(__func__)) return CUDA_ERROR_INVALID_CONTEXT;
    Stream* stream = stream_of(handle, __func__);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (bytes == 0) return CUDA_SUCCESS;
    if (!is_live(target, bytes, "the target of a copy") || !is_live(source, bytes, "the source of a copy")) return CUDA_ERROR_INVALID_VALUE;
    if (target < source + bytes && source < target + bytes) report("cuMemcpyDtoDAsync: source and target overlap");
    enqueue(*stream, {[=] { memmove(host(target), host(source), bytes); }});
    return CUDA_SUCCESS;
}

CUresult cuMemcpyPeerAsync(CUdeviceptr, CUcontext, CUdeviceptr, CUcontext, size_t, CUstream) {
    report("cuMemcpyPeerAsync: there is no other device");
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemsetD8Async(CUdeviceptr target, unsigned char value, size_t bytes, CUstream handle) {
    Locked locked(lock());
    if (!has_context(__func__)) return CUDA_ERROR_INVALID_CONTEXT;
    Stream* stream = stream_of(handle, __func__);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (bytes == 0) return CUDA_SUCCESS;
    if (!is_live(target, bytes, "memory that is set")) return CUDA_ERROR_INVALID_VALUE;
    enqueue(*stream, {[=] { memset(host(target), value, bytes); }});
    return CUDA_SUCCESS;
}

}  // extern "C"
