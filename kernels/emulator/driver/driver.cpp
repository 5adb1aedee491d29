#include "driver.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>

namespace driver {
namespace {

constexpr int FAILURE_EXIT_CODE = 86;
constexpr const char* USUAL_ORDER = "at-once";
constexpr const char* USUAL_MEMORY_MB = "4096";
constexpr const char* USUAL_CAPABILITY = "90";

std::atomic<int> problems{0};

// At the end of the process, after the program's own exit code is known.
struct Verdict {
    ~Verdict() {
        if (problems == 0) return;
        fprintf(stderr, "stand-in: %d problems\n", problems.load());
        fflush(nullptr);
        _exit(FAILURE_EXIT_CODE);
    }
} verdict;

std::string variable(const char* name, const char* usual) {
    const char* value = getenv(name);
    return value && *value ? value : usual;
}

long number(const char* name, const char* usual) {
    const std::string text = variable(name, usual);
    char* end;
    const long value = strtol(text.c_str(), &end, 10);
    if (*end != 0 || value <= 0) {
        fprintf(stderr, "stand-in: %s is a number above 0, not %s\n", name, text.c_str());
        _exit(FAILURE_EXIT_CODE);
    }
    return value;
}

Settings read_settings() {
    const size_t memory_mb = static_cast<size_t>(number("STIR_EMULATED_MEMORY_MB", USUAL_MEMORY_MB));
    const int capability = static_cast<int>(number("STIR_EMULATED_CAPABILITY", USUAL_CAPABILITY));
    return {variable("STIR_EMULATED_ORDER", USUAL_ORDER), memory_mb << 20, capability};
}

}  // namespace

std::recursive_mutex& lock() {
    // Never destroyed: other threads may be in a call when the process ends.
    static std::recursive_mutex& mutex = *new std::recursive_mutex;
    return mutex;
}

void report(const char* format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "stand-in: %s\n", text);
    problems++;
}

const Settings& settings() {
    static const Settings& settings = *new Settings(read_settings());
    return settings;
}

}  // namespace driver
