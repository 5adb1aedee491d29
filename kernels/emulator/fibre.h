// Fibres: stacks that a thread of the system switches between by itself.
#pragma once

#include <stddef.h>

#if defined(__x86_64__) && !defined(__APPLE__)

namespace emulator {

// What a paused fibre needs: all else is on its stack.
struct Fibre {
    void* stack_pointer;
};

}  // namespace emulator

// Saves the registers that a call preserves, changes the stack and restores them: a few nanoseconds, where swapcontext asks the system twice.
extern "C" __attribute__((visibility("hidden"))) void emulator_switch(void** from, void* to);
__asm__(
    ".text\n"
    ".globl emulator_switch\n"
    ".hidden emulator_switch\n"
    ".type emulator_switch, @function\n"
    "emulator_switch:\n"
    "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    pushq %r14\n    pushq %r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbx\n    popq %rbp\n"
    "    ret\n");

namespace emulator {

inline void switch_fibre(Fibre& from, Fibre& to) { emulator_switch(&from.stack_pointer, to.stack_pointer); }

inline void start_fibre(Fibre& fibre, char* stack, size_t bytes, void (*entry)()) {
    void** top = reinterpret_cast<void**>(reinterpret_cast<size_t>(stack + bytes) & ~size_t(15));
    // As if `entry` had been called from nowhere: its return address lies 8 bytes below a multiple of 16.
    top[-1] = nullptr;
    top[-2] = reinterpret_cast<void*>(entry);
    for (int saved = 3; saved <= 8; saved++) top[-saved] = nullptr;
    fibre.stack_pointer = top - 8;
}

}  // namespace emulator

#else

#include <ucontext.h>

namespace emulator {

struct Fibre {
    ucontext_t context;
};

inline void switch_fibre(Fibre& from, Fibre& to) { swapcontext(&from.context, &to.context); }

inline void start_fibre(Fibre& fibre, char* stack, size_t bytes, void (*entry)()) {
    getcontext(&fibre.context);
    fibre.context.uc_stack.ss_sp = stack;
    fibre.context.uc_stack.ss_size = bytes;
    fibre.context.uc_link = nullptr;
    makecontext(&fibre.context, entry, 0);
}

}  // namespace emulator

#endif
