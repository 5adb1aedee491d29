//! Pictures to compute with.

use stir::picture::Picture;

/// Pixels without any pattern.
pub fn noise(width: usize, height: usize) -> Picture {
    let mut state = 1_u32;
    let pixels = (0..width * height * 3)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    Picture::new(width, height, pixels)
}
