// Threads of candle's kernels: blocks of three axes and of any number of threads, where the emulator has rows of whole warps.
#pragma once

#include "../../emulator.h"

namespace candle {

// Of the thread that runs.
emulator::Index thread_index();
emulator::Index block_index();
emulator::Index block_size();
emulator::Index grid_size();

// Waits for all threads of the block.
void barrier();

}  // namespace candle
