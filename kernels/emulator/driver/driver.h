// A stand-in for NVIDIA's driver and its libraries of products: the program that is built for GPUs runs with it where there is none.
//
// Memory is the host's, streams are queues, and a launch runs the kernel's own source by the emulator. Every call is checked as a driver would, and
// beyond that: a driver may let pass what only sometimes goes wrong. What is wrong is a line on standard error that begins with `stand-in:`, and
// the process ends with the exit code 86, whatever it says of itself.
//
// `scripts/cuda-emulate` builds and runs it. Environment variables:
//
//   STIR_EMULATED_ORDER       when queued work runs, and of streams that could both go on, which does so first:
//                               at-once       (if not set) as soon as it may
//                               oldest-first  when it is waited for; the stream that was made first
//                               newest-first  when it is waited for; the stream that was made last
//                               a number      when it is waited for; any stream, by a generator with this seed
//   STIR_EMULATED_MEMORY_MB   memory of the device, of which tests take a part; 4096 if not set
//   STIR_EMULATED_CAPABILITY  compute capability without a dot; 90 if not set
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <mutex>
#include <string>

namespace driver {

// Held by every call for as long as it takes: the device does one thing at a time.
typedef std::lock_guard<std::recursive_mutex> Locked;
std::recursive_mutex& lock();

// Says what is wrong, and makes the process fail at its end.
void report(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Whether the calling thread has made the device's context current; reported for this call where it has not.
bool has_context(const char* call);

struct Settings {
    std::string order;
    size_t memory_bytes;
    int capability;
};

const Settings& settings();

}  // namespace driver
