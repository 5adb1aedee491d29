//! Memory for results.
#![allow(unsafe_code)]

/// What huge pages are aligned to, a multiple of every page's size.
#[cfg(target_os = "linux")]
const HUGE_PAGE: usize = 2 << 20;

/// `count` zeros, in huge pages where the system has them.
///
/// An allocator gives large vectors back to the system, so that each result comes in fresh pages. A fault for every 4 KiB of them takes several times as
/// long as a norm takes to write them.
pub fn zeros<T: Copy + Default>(count: usize) -> Vec<T> {
    #[allow(unused_mut, reason = "only Linux is told where the values are")]
    let mut values = vec![T::default(); count];
    #[cfg(target_os = "linux")]
    advise(&mut values);
    values
}

/// Asks for huge pages where whole ones lie within the values.
#[cfg(target_os = "linux")]
fn advise<T>(values: &mut [T]) {
    use std::ffi::{c_int, c_void};

    unsafe extern "C" {
        fn madvise(address: *mut c_void, length: usize, advice: c_int) -> c_int;
    }
    const MADV_HUGEPAGE: c_int = 14;

    let before = values.as_ptr().addr().wrapping_neg() % HUGE_PAGE;
    let length = size_of_val(values).saturating_sub(before) / HUGE_PAGE * HUGE_PAGE;
    if length > 0 {
        // SAFETY: the range lies within the values, and the advice changes none of them. Where it is not taken there are small pages.
        unsafe { madvise(values.as_mut_ptr().byte_add(before).cast(), length, MADV_HUGEPAGE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_zeros_are_zero_and_can_be_written() {
        for count in [0, 1, 1000, 3 << 20] {
            let mut values = zeros::<f32>(count);
            assert!(values.len() == count && values.iter().all(|value| *value == 0.0));
            values.fill(1.0);
            assert_eq!(values.iter().sum::<f32>(), count as f32);
        }
    }
}
