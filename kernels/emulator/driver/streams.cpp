#include "streams.h"

#include <stdlib.h>

#include <random>
#include <set>
#include <vector>

#include "driver.h"

namespace driver {
namespace {

// More is not kept waiting: the host's memory that it holds would grow without end.
constexpr size_t MOST_WAITING = 4000;

struct State {
    // In the order in which they were made.
    std::vector<Stream*> streams;
    std::set<Event*> events;
    std::mt19937 generator{static_cast<unsigned>(strtoul(settings().order.c_str(), nullptr, 10))};
};

// Never destroyed: other threads may be in a call when the process ends.
State& state() {
    static State& state = *new State;
    return state;
}

enum class Order { AT_ONCE, OLDEST_FIRST, NEWEST_FIRST, RANDOM };

Order order() {
    static const Order order = [] {
        const std::string& name = settings().order;
        if (name == "at-once") return Order::AT_ONCE;
        if (name == "oldest-first") return Order::OLDEST_FIRST;
        if (name == "newest-first") return Order::NEWEST_FIRST;
        if (name.find_first_not_of("0123456789") != std::string::npos) report("STIR_EMULATED_ORDER: there is no order %s", name.c_str());
        return Order::RANDOM;
    }();
    return order;
}

bool can_go_on(const Stream& stream) {
    if (stream.queue.empty()) return false;
    const Work& next = stream.queue.front();
    return !next.awaited || next.awaited->reached >= next.recording;
}

void run_next(Stream& stream) {
    const Work work = std::move(stream.queue.front());
    stream.queue.pop_front();
    if (work.run) work.run();
}

Stream& chosen(const std::vector<Stream*>& ready) {
    switch (order()) {
        case Order::NEWEST_FIRST:
            return *ready.back();
        case Order::RANDOM:
            return *ready[state().generator() % ready.size()];
        default:
            return *ready.front();
    }
}

template <typename Condition>
void run_until(Condition is_over) {
    while (!is_over()) {
        std::vector<Stream*> ready;
        for (Stream* stream : state().streams) {
            if (can_go_on(*stream)) ready.push_back(stream);
        }
        if (ready.empty()) {
            report("streams wait for each other, and none can go on");
            abort();
        }
        run_next(chosen(ready));
    }
}

// An event that has not been destroyed, or none, which is reported.
Event* event_of(CUevent handle, const char* call) {
    Event* event = reinterpret_cast<Event*>(handle);
    if (state().events.count(event) > 0) return event;
    report("%s: %p is no event, or no longer one", call, static_cast<void*>(handle));
    return nullptr;
}

}  // namespace

Stream* stream_of(CUstream handle, const char* call) {
    if (handle == nullptr || handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD) {
        report("%s: on a default stream, which nothing is ordered with here", call);
        return nullptr;
    }
    Stream* found = reinterpret_cast<Stream*>(handle);
    for (Stream* stream : state().streams) {
        if (stream == found) return stream;
    }
    report("%s: %p is no stream, or no longer one", call, static_cast<void*>(handle));
    return nullptr;
}

void enqueue(Stream& stream, Work work) {
    stream.queue.push_back(std::move(work));
    if (order() == Order::AT_ONCE) {
        // What waited for this work, on other streams, goes on too.
        for (bool any = true; any;) {
            any = false;
            for (Stream* other : state().streams) {
                if (!can_go_on(*other)) continue;
                run_next(*other);
                any = true;
            }
        }
    }
    if (stream.queue.size() > MOST_WAITING) run_until([&] { return stream.queue.size() <= MOST_WAITING / 2; });
}

void finish(Stream& stream) {
    run_until([&] { return stream.queue.empty(); });
}

void finish_all() {
    for (Stream* stream : state().streams) finish(*stream);
}

}  // namespace driver

using namespace driver;

extern "C" {

CUresult cuStreamCreate(CUstream* handle, unsigned flags) {
    Locked locked(lock());
    if (!has_context(__func__)) return CUDA_ERROR_INVALID_CONTEXT;
    if (flags != CU_STREAM_NON_BLOCKING) report("cuStreamCreate: flags %u; it would wait for the default stream", flags);
    Stream* stream = new Stream;
    state().streams.push_back(stream);
    *handle = reinterpret_cast<CUstream>(stream);
    return CUDA_SUCCESS;
}

CUresult cuStreamDestroy(CUstream handle) {
    Locked locked(lock());
    Stream* stream = stream_of(handle, __func__);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    // On a device, too, its work still comes to its end.
    finish(*stream);
    std::vector<Stream*>& streams = state().streams;
    for (size_t index = 0; index < streams.size(); index++) {
        if (streams[index] == stream) streams.erase(streams.begin() + index);
    }
    // The stream itself stays: blocks of memory know it, and no other may get its address.
    return CUDA_SUCCESS;
}

CUresult cuStreamSynchronize(CUstream handle) {
    Locked locked(lock());
    Stream* stream = stream_of(handle, __func__);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    finish(*stream);
    return CUDA_SUCCESS;
}

CUresult cuStreamIsCapturing(CUstream, CUstreamCaptureStatus* status) {
    *status = CU_STREAM_CAPTURE_STATUS_NONE;
    return CUDA_SUCCESS;
}

CUresult cuCtxSynchronize() {
    Locked locked(lock());
    if (!has_context(__func__)) return CUDA_ERROR_INVALID_CONTEXT;
    finish_all();
    return CUDA_SUCCESS;
}

CUresult cuEventCreate(CUevent* handle, unsigned) {
    Locked locked(lock());
    if (!has_context(__func__)) return CUDA_ERROR_INVALID_CONTEXT;
    Event* event = new Event;
    state().events.insert(event);
    *handle = reinterpret_cast<CUevent>(event);
    return CUDA_SUCCESS;
}

CUresult cuEventDestroy(CUevent handle) {
    Locked locked(lock());
    Event* event = event_of(handle, __func__);
    if (!event) return CUDA_ERROR_INVALID_HANDLE;
    // Queues may still hold it, which is allowed, so the memory stays.
    state().events.erase(event);
    return CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent handle, CUstream stream_handle) {
    Locked locked(lock());
    Event* event = event_of(handle, __func__);
    Stream* stream = stream_of(stream_handle, __func__);
    if (!event || !stream) return CUDA_ERROR_INVALID_HANDLE;
    const uint64_t recording = ++event->recorded;
    enqueue(*stream, {[=] { event->reached = recording; }});
    return CUDA_SUCCESS;
}

CUresult cuEventSynchronize(CUevent handle) {
    Locked locked(lock());
    Event* event = event_of(handle, __func__);
    if (!event) return CUDA_ERROR_INVALID_HANDLE;
    const uint64_t recording = event->recorded;
    run_until([&] { return event->reached >= recording; });
    return CUDA_SUCCESS;
}

CUresult cuStreamWaitEvent(CUstream stream_handle, CUevent handle, unsigned) {
    Locked locked(lock());
    Stream* stream = stream_of(stream_handle, __func__);
    Event* event = event_of(handle, __func__);
    if (!stream || !event) return CUDA_ERROR_INVALID_HANDLE;
    enqueue(*stream, {nullptr, event, event->recorded});
    return CUDA_SUCCESS;
}

}  // extern "C"
