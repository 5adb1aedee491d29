// Memory of the device: blocks of the host's, full of bytes that are not-a-numbers until they are written, and again once they are given back.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace driver {

// Whether all these bytes are in one block that has not been given back; reported where not.
bool is_live(uint64_t address, size_t bytes, const char* what);

// Whether the address is in a block that has been given back: what a launch must not be told of.
bool is_given_back(uint64_t address);

}  // namespace driver
