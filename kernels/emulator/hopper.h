// Boxes of tensors and the barriers in shared memory that count them, on the host.
//
// In every second block a box is copied at once, which shows where its target is still read. In the others it is copied when a thread sees its barrier's
// phase end: what reads its target earlier finds what was there before.
// Source: PTX ISA 9.0, "mbarrier", "Asynchronous copy", "Tensors"; CUDA driver API, "Tensor Map Object Management".
#pragma once

#include <stdint.h>
#include <string.h>

#include <vector>

#include "emulator.h"

namespace emulator {

// What stands in a tensor map here: the host's description of it, as it is. On a device the driver encodes it.
struct Tensor {
    uint64_t address;
    // Values along each axis, innermost first; bytes from one to the next along all axes but the innermost.
    uint64_t sizes[4];
    uint64_t strides[3];
    uint32_t box[4];
    uint32_t value_bytes;
    // 3: 128 bytes, as the driver numbers them.
    uint32_t swizzle;
};

// A barrier's 64 bits: `expected` arrivals a phase, `missing` ones of this phase; bytes that were announced for it and are not there.
struct BarrierState {
    uint16_t expected, missing;
    uint32_t parity : 1;
    int32_t bytes : 31;
};

struct BoxCopy {
    char* target;
    const Tensor* tensor;
    const void* barrier;
    int at[4];
    bool is_made;
};

struct BoxCopies {
    std::vector<BoxCopy> started;
};

inline uint32_t box_bytes(const Tensor& tensor) { return tensor.box[0] * tensor.box[1] * tensor.box[2] * tensor.box[3] * tensor.value_bytes; }

// Where a byte of swizzled shared memory lies: bits 4 to 6 of its address are combined with bits 7 to 9.
inline uint32_t swizzled(uint32_t address) { return address ^ (address >> 7 & 7) << 4; }

inline void make(const BoxCopy& copy) {
    const Tensor& tensor = *copy.tensor;
    uint32_t target = static_cast<uint32_t>(copy.target - shared_memory());
    for (uint32_t index = 0; index < box_bytes(tensor) / tensor.value_bytes; index++, target += tensor.value_bytes) {
        uint64_t source = tensor.address;
        bool is_inside = true;
        for (uint32_t axis = 0, rest = index; axis < 4; rest /= tensor.box[axis++]) {
            const int64_t at = copy.at[axis] + static_cast<int64_t>(rest % tensor.box[axis]);
            is_inside &= at >= 0 && static_cast<uint64_t>(at) < tensor.sizes[axis];
            source += at * (axis == 0 ? tensor.value_bytes : tensor.strides[axis - 1]);
        }
        char* value = shared_memory() + swizzled(target);
        if (is_inside) {
            memcpy(value, reinterpret_cast<const void*>(source), tensor.value_bytes);
        } else {
            memset(value, 0, tensor.value_bytes);
        }
    }
}

// Begins the next phase if this one can end now, whereupon its copies are made.
inline void end_phase(const void* barrier, BarrierState& state) {
    if (state.missing > 0) return;
    std::vector<BoxCopy>& started = of_block<BoxCopies>().started;
    int32_t bytes = 0;
    for (const BoxCopy& copy : started) bytes += copy.barrier == barrier ? box_bytes(*copy.tensor) : 0;
    if (bytes != state.bytes) return;
    std::vector<BoxCopy> others;
    for (const BoxCopy& copy : started) {
        if (copy.barrier != barrier) {
            others.push_back(copy);
        } else if (!copy.is_made) {
            make(copy);
        }
    }
    started = others;
    state.missing = state.expected;
    state.bytes = 0;
    state.parity ^= 1;
}

inline BarrierState& state_of(void* barrier) {
    check_shared(barrier, 8, 8, "a barrier");
    static_assert(sizeof(BarrierState) == 8, "a barrier is 64 bits");
    return *static_cast<BarrierState*>(barrier);
}

inline void initialise(void* barrier, unsigned arrivals) { state_of(barrier) = {static_cast<uint16_t>(arrivals), static_cast<uint16_t>(arrivals), 0, 0}; }

inline void arrive(void* barrier, unsigned bytes) {
    BarrierState& state = state_of(barrier);
    end_phase(barrier, state);
    if (state.missing == 0) fail("arrived at a barrier at which all have arrived");
    state.missing--;
    state.bytes += bytes;
}

inline void wait(void* barrier, unsigned parity) {
    BarrierState& state = state_of(barrier);
    auto has_ended = [&] {
        // Not even the next phase ends before someone waits for it.
        if (state.parity == parity) end_phase(barrier, state);
        return state.parity != parity;
    };
    if (!has_ended()) wait_until(has_ended, "a barrier in shared memory at", static_cast<int>(static_cast<char*>(barrier) - shared_memory()));
}

inline void copy_box(void* shared, const void* map, void* barrier, const int (&at)[4]) {
    check_aligned(map, 128, "a tensor map");
    const Tensor& tensor = *static_cast<const Tensor*>(map);
    if (tensor.swizzle != 3 || tensor.box[0] * tensor.value_bytes != 128) fail("a box whose rows are not 128 swizzled bytes is not emulated");
    if (tensor.address % 16 != 0) fail("a tensor of a map begins at no multiple of 16 bytes");
    for (int axis = 0; axis < 4; axis++) {
        if (tensor.box[axis] == 0 || tensor.box[axis] > 256) fail("a box has 1 to 256 values along each axis, not %u", tensor.box[axis]);
        if (tensor.sizes[axis] == 0 || tensor.sizes[axis] > 1ull << 32) fail("a tensor of a map has 1 to 2^32 values along each axis");
        if (axis < 3 && (tensor.strides[axis] % 16 != 0 || tensor.strides[axis] >= 1ull << 40)) {
            fail("strides of a map are multiples of 16 bytes below 2^40, not %llu", static_cast<unsigned long long>(tensor.strides[axis]));
        }
    }
    check_shared(shared, box_bytes(tensor), 128, "the target of a box");
    const BoxCopy copy{static_cast<char*>(shared), &tensor, barrier, {at[0], at[1], at[2], at[3]}, is_early()};
    if (copy.is_made) make(copy);
    of_block<BoxCopies>().started.push_back(copy);
}

}  // namespace emulator
