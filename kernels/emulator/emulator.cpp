#include "emulator.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "fibre.h"

namespace emulator {
namespace {

constexpr uint32_t WARP = 32;
constexpr uint32_t BARRIERS = 16;
// Of a block, since compute capability 9.0.
constexpr uint32_t MOST_SHARED_BYTES = 227 * 1024;
constexpr size_t STACK_BYTES = 256 * 1024;
// Around shared memory; a write to it is found at the end of the block.
constexpr size_t GUARD_BYTES = 4096;
constexpr unsigned char POISON = 0xFF;
constexpr unsigned char GUARD = 0xA5;

struct Copy {
    void* target;
    const void* source;
};

void make(const Copy& copy) {
    if (copy.source) {
        memcpy(copy.target, copy.source, 16);
    } else {
        memset(copy.target, 0, 16);
    }
}

struct Thread {
    Fibre fibre;
    uint32_t index;
    bool is_done;
    // Whether it goes on only when its warp is `favoured`.
    bool waits_for_others;
    // What it waits for, if anything.
    bool (*is_over)(void*);
    void* argument;
    const char* what;
    int number;
    std::vector<Copy> copies;
    std::deque<std::vector<Copy>> groups;
};

// Threads that do something together: those of a warp or a warpgroup.
struct Group {
    void (*operation)(void* const*);
    const char* what;
    uint32_t arrived;
    uint64_t rounds;
    std::vector<void*> brought;
};

struct Barrier {
    uint32_t arrived;
    uint32_t threads;
    uint64_t rounds;
};

struct Stack {
    std::unique_ptr<char[]> bytes{new char[STACK_BYTES]};
};

struct Launch {
    const char* name;
    Kernel kernel;
    const void* parameters;
    Index grid, block;
    uint32_t threads;
    uint32_t shared_bytes;
    std::vector<char> memory;
    char* shared;
    std::vector<Thread> all;
    std::vector<Group> warps, warpgroups;
    Barrier barriers[BARRIERS];
    Fibre scheduler;
    Thread* running;
    // The warp that goes on where all threads wait, and how often one was chosen.
    uint32_t favoured;
    uint64_t stalls;
    bool is_early;
    bool has_failed;
};

thread_local Launch* launch = nullptr;
// Stacks and the message outlive a launch.
thread_local std::vector<Stack> stacks;
thread_local std::string message;
thread_local uint64_t blocks_run = 0;

std::string place() {
    char text[256];
    snprintf(text, sizeof text, "%s, block (%u, %u, %u)", launch->name, launch->block.x, launch->block.y, launch->block.z);
    std::string place = text;
    if (launch->running) place += ", thread " + std::to_string(launch->running->index);
    return place;
}

void entry() {
    launch->kernel(launch->parameters);
    launch->running->is_done = true;
    switch_fibre(launch->running->fibre, launch->scheduler);
    __builtin_unreachable();
}

std::string waiting_for(const Thread& thread) {
    if (thread.is_done) return "done";
    std::string text = "waits for " + std::string(thread.what);
    if (thread.number >= 0) text += " " + std::to_string(thread.number);
    return text;
}

// Who waits for what, neighbours that wait for the same in one line.
void report_deadlock() {
    message = place() + ": no thread can go on";
    const std::vector<Thread>& all = launch->all;
    for (size_t first = 0, end; first < all.size(); first = end) {
        for (end = first + 1; end < all.size() && waiting_for(all[end]) == waiting_for(all[first]);) end++;
        message += "\n  threads " + std::to_string(first) + " to " + std::to_string(end - 1) + ": " + waiting_for(all[first]);
    }
    for (uint32_t id = 0; id < BARRIERS; id++) {
        const Barrier& barrier = launch->barriers[id];
        if (barrier.arrived == 0) continue;
        message += "\n  barrier " + std::to_string(id) + ": " + std::to_string(barrier.arrived) + " of " + std::to_string(barrier.threads) + " threads came";
    }
    launch->has_failed = true;
}

// Lets a thread run until it waits. Whether it could run.
bool resume(Thread& thread) {
    if (thread.is_done || (thread.is_over && !thread.is_over(thread.argument))) return false;
    thread.is_over = nullptr;
    launch->running = &thread;
    switch_fibre(launch->scheduler, thread.fibre);
    launch->running = nullptr;
    return true;
}

// Lets the threads of a warp run until all of them wait for other warps. Whether any could run.
bool resume_warp(uint32_t warp, bool is_reversed) {
    bool any = false;
    for (bool again = true; again;) {
        again = false;
        for (uint32_t lane = 0; lane < WARP && !launch->has_failed; lane++) {
            again |= resume(launch->all[warp * WARP + (is_reversed ? WARP - 1 - lane : lane)]);
        }
        any |= again;
        if (launch->has_failed) return any;
    }
    return any;
}

// Chooses the next warp of which a thread waits for all others. Whether there is one.
bool favour_next_warp() {
    uint32_t warps = launch->threads / WARP;
    for (uint32_t step = 1; step <= warps; step++) {
        uint32_t warp = (launch->favoured + step) % warps;
        for (uint32_t lane = 0; lane < WARP; lane++) {
            if (!launch->all[warp * WARP + lane].waits_for_others) continue;
            launch->favoured = warp;
            launch->stalls++;
            return true;
        }
    }
    return false;
}

void check_guards() {
    const char* end = launch->shared + launch->shared_bytes;
    for (size_t index = 0; index < GUARD_BYTES; index++) {
        bool below = (unsigned char)launch->shared[-1 - (ptrdiff_t)index] != GUARD;
        if (!below && (unsigned char)end[index] == GUARD) continue;
        message = place() + ": wrote to shared memory " + std::to_string(index + below) + " bytes " + (below ? "before its start" : "beyond its end");
        launch->has_failed = true;
        return;
    }
}

void run_block(bool is_reversed) {
    blocks_run++;
    memset(launch->shared - GUARD_BYTES, GUARD, GUARD_BYTES);
    memset(launch->shared, POISON, launch->shared_bytes);
    memset(launch->shared + launch->shared_bytes, GUARD, GUARD_BYTES);
    for (uint32_t index = 0; index < launch->threads; index++) {
        Thread& thread = launch->all[index];
        thread.index = index;
        thread.is_done = false;
        thread.waits_for_others = false;
        thread.is_over = nullptr;
        thread.copies.clear();
        thread.groups.clear();
        start_fibre(thread.fibre, stacks[index].bytes.get(), STACK_BYTES, entry);
    }
    for (Group& group : launch->warps) group.arrived = 0;
    for (Group& group : launch->warpgroups) group.arrived = 0;
    memset(launch->barriers, 0, sizeof launch->barriers);
    uint32_t warps = launch->threads / WARP;
    launch->favoured = 0;
    launch->is_early = is_reversed;
    for (;;) {
        bool any = false;
        for (uint32_t warp = 0; warp < warps; warp++) {
            any |= resume_warp(is_reversed ? warps - 1 - warp : warp, is_reversed);
            if (launch->has_failed) return;
        }
        if (any || favour_next_warp()) continue;
        for (const Thread& thread : launch->all) {
            if (!thread.is_done) return report_deadlock();
        }
        return check_guards();
    }
}

}  // namespace

Index thread_index() { return {launch->running->index, 0, 0}; }
Index block_index() { return launch->block; }
Index block_size() { return {launch->threads, 1, 1}; }
Index grid_size() { return launch->grid; }
char* shared_memory() { return launch->shared; }
uint64_t block_number() { return blocks_run; }
bool is_early() { return launch->is_early; }

void fail(const char* format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    message = place() + ": " + text;
    launch->has_failed = true;
    // Never comes back: the scheduler resumes nobody any more.
    switch_fibre(launch->running->fibre, launch->scheduler);
    __builtin_unreachable();
}

void check_aligned(const void* pointer, uint32_t alignment, const char* what) {
    if ((uintptr_t)pointer % alignment != 0) fail("%s: address %p is no multiple of %u", what, pointer, alignment);
}

void check_shared(const void* pointer, uint32_t bytes, uint32_t alignment, const char* what) {
    check_aligned(pointer, alignment, what);
    intptr_t offset = (intptr_t)pointer - (intptr_t)launch->shared;
    if (offset < 0 || offset + bytes > launch->shared_bytes) {
        fail("%s: offset %ld of %u bytes of shared memory", what, (long)offset, launch->shared_bytes);
    }
}

void wait_until(bool (*is_over)(void*), void* argument, const char* what, int number) {
    Thread& thread = *launch->running;
    thread.is_over = is_over;
    thread.argument = argument;
    thread.what = what;
    thread.number = number;
    switch_fibre(thread.fibre, launch->scheduler);
}

void wait_for_others() {
    Thread& thread = *launch->running;
    uint64_t stalls = launch->stalls;
    thread.waits_for_others = true;
    wait_until([&] { return launch->stalls != stalls && launch->favoured == thread.index / WARP; }, "all others");
    thread.waits_for_others = false;
}

void together(uint32_t threads, void (*operation)(void* const*), void* brought, const char* what) {
    uint32_t index = launch->running->index;
    std::vector<Group>& groups = threads == WARP ? launch->warps : launch->warpgroups;
    if (index / threads >= groups.size()) fail("%s takes %u threads", what, threads);
    Group& group = groups[index / threads];
    if (group.arrived == 0) {
        group.operation = operation;
        group.what = what;
    } else if (group.operation != operation) {
        fail("%s, while another thread of the same %u is at %s", what, threads, group.what);
    }
    group.brought[index % threads] = brought;
    if (++group.arrived == threads) {
        operation(group.brought.data());
        group.arrived = 0;
        group.rounds++;
        return;
    }
    uint64_t rounds = group.rounds;
    wait_until([&] { return group.rounds != rounds; }, what);
}

void barrier(uint32_t id, uint32_t threads, bool waits) {
    if (id >= BARRIERS) fail("barrier %u of %u", id, BARRIERS);
    if (threads == 0 || threads % WARP != 0 || threads > launch->threads) fail("barrier %u for %u threads", id, threads);
    Barrier& barrier = launch->barriers[id];
    if (barrier.arrived == 0) {
        barrier.threads = threads;
    } else if (barrier.threads != threads) {
        fail("barrier %u for %u threads, which others take for one of %u", id, threads, barrier.threads);
    }
    uint64_t rounds = barrier.rounds;
    if (++barrier.arrived == threads) {
        barrier.arrived = 0;
        barrier.rounds++;
    } else if (waits) {
        wait_until([&] { return barrier.rounds != rounds; }, "barrier", (int)id);
    }
}

void start_copy(void* target, const void* source) {
    const Copy copy{target, source};
    if (launch->is_early) {
        make(copy);
    } else {
        launch->running->copies.push_back(copy);
    }
}

void commit_copies() {
    Thread& thread = *launch->running;
    thread.groups.push_back(std::move(thread.copies));
    thread.copies.clear();
}

void finish_copies(uint32_t groups_left) {
    std::deque<std::vector<Copy>>& groups = launch->running->groups;
    for (; groups.size() > groups_left; groups.pop_front()) {
        for (const Copy& copy : groups.front()) make(copy);
    }
}

int run(const char* name, uint32_t most_threads, Kernel kernel, const void* parameters, const uint32_t grid[3], uint32_t threads, uint32_t shared_bytes) {
    message.clear();
    Launch here{};
    here.name = name;
    here.kernel = kernel;
    here.parameters = parameters;
    here.grid = {grid[0], grid[1], grid[2]};
    here.threads = threads;
    here.shared_bytes = shared_bytes;
    if (threads == 0 || threads % WARP != 0 || threads > most_threads) {
        message = std::string(name) + ": launched with " + std::to_string(threads) + " threads; takes a multiple of 32 up to " + std::to_string(most_threads);
        return 1;
    }
    if (grid[0] == 0 || grid[0] > 0x7FFFFFFF || grid[1] == 0 || grid[1] > 65535 || grid[2] == 0 || grid[2] > 65535) {
        message = std::string(name) + ": no device runs a grid of " + std::to_string(grid[0]) + " x " + std::to_string(grid[1]) + " x " + std::to_string(grid[2]);
        return 1;
    }
    if (shared_bytes > MOST_SHARED_BYTES) {
        message = std::string(name) + ": no device has " + std::to_string(shared_bytes) + " bytes of shared memory for a block";
        return 1;
    }
    here.memory.resize(shared_bytes + 2 * GUARD_BYTES + 1024);
    here.shared = here.memory.data() + GUARD_BYTES;
    here.shared += (1024 - (uintptr_t)here.shared % 1024) % 1024;
    here.all.resize(threads);
    here.warps.resize(threads / WARP);
    for (Group& group : here.warps) group.brought.resize(WARP);
    here.warpgroups.resize(threads / (4 * WARP));
    for (Group& group : here.warpgroups) group.brought.resize(4 * WARP);
    if (stacks.size() < threads) stacks.resize(threads);

    Launch* outer = launch;
    launch = &here;
    uint64_t blocks = 0;
    for (uint32_t z = 0; z < grid[2] && !here.has_failed; z++) {
        for (uint32_t y = 0; y < grid[1] && !here.has_failed; y++) {
            for (uint32_t x = 0; x < grid[0] && !here.has_failed; x++) {
                here.block = {x, y, z};
                run_block(blocks++ % 2 == 1);
            }
        }
    }
    launch = outer;
    return here.has_failed ? 1 : 0;
}

}  // namespace emulator

extern "C" const char* emulator_message() { return emulator::message.c_str(); }
