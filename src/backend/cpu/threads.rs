//! Threads: everything runs on rayon's.

/// Keeps candle's second pool of threads, which it uses for large element-wise operations, at one thread.
///
/// Its workers are pinned to cores and waited for in a spin loop: with another program on one of the cores, each addition of two tensors waits
/// for a time slice, and denoising takes five times as long. Rayon's threads, which matrix products, convolutions and our own kernels use,
/// are not touched. Who sets `CANDLE_NUM_THREADS` gets what it says.
///
/// To be called first in `main`, before any other thread is there.
pub fn keep_to_rayon() {
    const VARIABLE: &str = "CANDLE_NUM_THREADS";
    if std::env::var_os(VARIABLE).is_none() {
        // SAFETY: setting a variable is a race only with other threads that read the environment, and as stated above there are none yet. Candle
        // offers no other way to choose the size of that pool.
        #[allow(unsafe_code)]
        unsafe {
            std::env::set_var(VARIABLE, "1");
        }
    }
}
