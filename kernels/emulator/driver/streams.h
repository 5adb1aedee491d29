// Streams and events: queues of work, which goes on when the settings' order lets it.
#pragma once

#include <cuda.h>

#include <deque>
#include <functional>

namespace driver {

// Its recordings are numbered; a wait is for the last one before it.
struct Event {
    uint64_t recorded = 0;
    uint64_t reached = 0;
};

struct Work {
    std::function<void()> run;
    // What it waits for, if anything, and which of its recordings.
    const Event* awaited = nullptr;
    uint64_t recording = 0;
};

struct Stream {
    std::deque<Work> queue;
};

// The stream of a handle. The default streams and what is no stream are reported, and there is none for them.
Stream* stream_of(CUstream handle, const char* call);

void enqueue(Stream& stream, Work work);

// Lets work of all streams run until this stream, or every stream, has none left.
void finish(Stream& stream);
void finish_all();

}  // namespace driver
