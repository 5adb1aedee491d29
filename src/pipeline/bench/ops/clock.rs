//! Time that counts for one thread alone, where the system tells it.

use std::time::Instant;

/// Seconds that `work` takes: on Linux the thread's own processor time, so that other programs on the machine count little.
pub(super) fn timed(work: impl FnOnce()) -> f64 {
    let (thread, elapsed) = (processor_time(), Instant::now());
    work();
    match (thread, processor_time()) {
        (Some(before), Some(after)) => after - before,
        _ => elapsed.elapsed().as_secs_f64(),
    }
}

/// What [`timed`] measures here.
pub(super) fn name() -> &'static str {
    if processor_time().is_some() { "processor time of the thread" } else { "elapsed time" }
}

/// Seconds that this thread has run so far.
fn processor_time() -> Option<f64> {
    // Linux brings the number up to date when it schedules, otherwise a few milliseconds late.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split_whitespace().next()?.parse::<f64>().ok()? * 1e-9)
}
