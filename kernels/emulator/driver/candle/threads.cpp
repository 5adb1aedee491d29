#include "threads.h"

#include "../driver.h"
#include "entry.h"

namespace candle {
namespace {

constexpr uint32_t WARP = 32;
constexpr uint32_t MOST_THREADS = 1024;

// The launch that runs: there is one at a time.
struct Launch {
    const std::function<void()>* kernel;
    emulator::Index grid, block;
    uint32_t threads;
};

Launch launch;

// A barrier for blocks that are not whole warps.
struct Meeting {
    uint32_t arrived = 0;
    uint64_t rounds = 0;
};

void entry(const void*) {
    // The last warp is filled up with threads that do nothing.
    if (emulator::thread_index().x < launch.threads) (*launch.kernel)();
}

}  // namespace

emulator::Index thread_index() {
    const uint32_t index = emulator::thread_index().x;
    const emulator::Index& block = launch.block;
    return {index % block.x, index / block.x % block.y, index / block.x / block.y};
}

emulator::Index block_index() { return emulator::block_index(); }
emulator::Index block_size() { return launch.block; }
emulator::Index grid_size() { return launch.grid; }

void barrier() {
    if (launch.threads % WARP == 0) return emulator::barrier(0, launch.threads, true);
    Meeting& meeting = emulator::of_block<Meeting>();
    if (++meeting.arrived == launch.threads) {
        meeting.arrived = 0;
        meeting.rounds++;
        return;
    }
    const uint64_t rounds = meeting.rounds;
    emulator::wait_until([&] { return meeting.rounds != rounds; }, "the block's barrier");
}

void run(const char* name, const std::function<void()>& kernel, const driver::Shape& shape) {
    const uint32_t *grid = shape.grid, *block = shape.block;
    launch = {&kernel, {grid[0], grid[1], grid[2]}, {block[0], block[1], block[2]}, block[0] * block[1] * block[2]};
    const uint32_t threads = (launch.threads + WARP - 1) / WARP * WARP;
    if (emulator::run(name, MOST_THREADS, entry, nullptr, grid, threads, shape.shared_bytes) != 0) driver::report("%s", emulator_message());
}

}  // namespace candle
