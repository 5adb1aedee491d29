//! What each pixel of a result sees.

/// Frames and how a kernel is moved over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Rows of a frame.
    pub height: usize,
    /// Columns of a frame.
    pub width: usize,
    /// Rows and columns of the kernel, both odd.
    pub kernel: [usize; 2],
    /// Step in both directions.
    pub stride: usize,
}

impl Geometry {
    /// Rows and columns of the result: the frame is surrounded by half a kernel of zeros.
    pub fn result(&self) -> [usize; 2] {
        [self.height.div_ceil(self.stride), self.width.div_ceil(self.stride)]
    }

    /// Pixels of the result.
    pub fn pixels(&self) -> usize {
        self.result().into_iter().product()
    }

    /// For each tap of the kernel, the index of the pixel that `pixel` of the result sees through it, or `None` outside the frame.
    #[inline(always)]
    pub fn seen(&self, pixel: usize, mut see: impl FnMut(usize, Option<usize>)) {
        let columns = self.width.div_ceil(self.stride);
        let [height, width] = self.kernel;
        let (row, column) = (pixel / columns * self.stride, pixel % columns * self.stride);
        for down in 0..height {
            // Wraps around to a large number where it is less than 0.
            let row = (row + down).wrapping_sub(height / 2);
            for across in 0..width {
                let column = (column + across).wrapping_sub(width / 2);
                let inside = row < self.height && column < self.width;
                see(down * width + across, inside.then(|| row * self.width + column));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(geometry: Geometry, pixel: usize) -> Vec<Option<usize>> {
        let mut all = Vec::new();
        geometry.seen(pixel, |tap, place| {
            assert_eq!(tap, all.len());
            all.push(place);
        });
        all
    }

    #[test]
    fn borders_are_outside() {
        let geometry = Geometry { height: 2, width: 3, kernel: [3, 3], stride: 1 };
        assert_eq!(geometry.result(), [2, 3]);
        let outside = None;
        assert_eq!(
            seen(geometry, 0),
            [outside, outside, outside, outside, Some(0), Some(1), outside, Some(3), Some(4)]
        );
        assert_eq!(
            seen(geometry, 4),
            [Some(0), Some(1), Some(2), Some(3), Some(4), Some(5), outside, outside, outside]
        );
    }

    #[test]
    fn strides_skip_pixels() {
        let geometry = Geometry { height: 3, width: 5, kernel: [1, 3], stride: 2 };
        assert_eq!(geometry.result(), [2, 3]);
        assert_eq!(seen(geometry, 5), [Some(13), Some(14), None]);
    }
}
