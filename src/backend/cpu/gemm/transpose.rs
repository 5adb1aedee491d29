//! Lines of lanes to lanes of lines: what packing is made of, eight by eight in registers where the processor can.
#![allow(unsafe_code)]

/// Lanes of 4 bytes that follow each other in memory, at any address: float32 values, or pairs of two-byte values.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    bytes: &'a [u8],
}

impl<'a> Line<'a> {
    /// Of float32 values.
    pub fn of_float32(values: &'a [f32]) -> Self {
        // SAFETY: values without padding are bytes.
        Self { bytes: unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) } }
    }

    /// Of pairs of two-byte values, the first in the low half as on all machines that stir runs on; an odd one at the end is left out.
    pub fn of_pairs(values: &'a [u16]) -> Self {
        // SAFETY: as above.
        Self { bytes: unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values) & !3) } }
    }

    fn lane(&self, index: usize) -> u32 {
        u32::from_le_bytes(self.bytes[4 * index..4 * index + 4].try_into().expect("four bytes"))
    }
}

/// Lines that are packed at a time, the most rows that a strip has.
pub const MOST_LINES: usize = 8;

/// Writes lane `i` of line `j` to `lanes[i * width + j]`, where `width` is the number of lines, at most 8, and all are of one length.
///
/// # Panics
/// If there are more lines, or if a length does not fit.
pub fn interleave(lanes: &mut [u32], lines: &[Line<'_>]) {
    let width = lines.len();
    assert!((1..=MOST_LINES).contains(&width), "lines");
    let length = lines[0].bytes.len() / 4;
    assert!(lines.iter().all(|line| line.bytes.len() == 4 * length), "lengths of lines");
    assert_eq!(lanes.len(), width * length, "lanes");
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has the instructions, and the lengths fit.
        done = unsafe { avx2::interleave(lanes, lines, length) };
    }
    for (index, lanes) in lanes.chunks_exact_mut(width).enumerate().skip(done) {
        for (lane, line) in lanes.iter_mut().zip(lines) {
            *lane = line.lane(index);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{Line, MOST_LINES};

    /// Does as many whole blocks of 8 lanes as it may, and returns how many lanes of each line that was.
    ///
    /// # Safety
    /// `lines` are 8 at most, each of `length` lanes, and `lanes` has place for all.
    #[target_feature(enable = "avx2")]
    pub unsafe fn interleave(lanes: &mut [u32], lines: &[Line<'_>], length: usize) -> usize {
        let width = lines.len();
        // Fewer lines than 8 leave garbage behind their lanes, which the next ones overwrite: the last block is left to others.
        let blocks = if width == MOST_LINES { length / 8 } else { (length / 8).saturating_sub(1) };
        for block in 0..blocks {
            let mut rows = [_mm256_setzero_si256(); MOST_LINES];
            for (row, line) in rows.iter_mut().zip(lines) {
                // SAFETY: 8 lanes of the line, the first being `8 * block`.
                *row = unsafe { _mm256_loadu_si256(line.bytes.as_ptr().add(32 * block).cast()) };
            }
            for (index, column) in transposed(rows).into_iter().enumerate() {
                // SAFETY: 8 lanes from `(8 * block + index) * width` on, of which those beyond `width` belong to later lanes of these lines.
                unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().add((8 * block + index) * width).cast(), column) };
            }
        }
        8 * blocks
    }

    #[target_feature(enable = "avx2")]
    fn transposed(rows: [__m256i; 8]) -> [__m256i; 8] {
        let [a, b, c, d, e, f, g, h] = rows;
        let pairs = [
            _mm256_unpacklo_epi32(a, b),
            _mm256_unpackhi_epi32(a, b),
            _mm256_unpacklo_epi32(c, d),
            _mm256_unpackhi_epi32(c, d),
            _mm256_unpacklo_epi32(e, f),
            _mm256_unpackhi_epi32(e, f),
            _mm256_unpacklo_epi32(g, h),
            _mm256_unpackhi_epi32(g, h),
        ];
        let [ab, ab_high, cd, cd_high, ef, ef_high, gh, gh_high] = pairs;
        // Lanes 0 and 4, 1 and 5, 2 and 6, 3 and 7: of the first four rows, then of the others.
        let first = [
            _mm256_unpacklo_epi64(ab, cd),
            _mm256_unpackhi_epi64(ab, cd),
            _mm256_unpacklo_epi64(ab_high, cd_high),
            _mm256_unpackhi_epi64(ab_high, cd_high),
        ];
        let others = [
            _mm256_unpacklo_epi64(ef, gh),
            _mm256_unpackhi_epi64(ef, gh),
            _mm256_unpacklo_epi64(ef_high, gh_high),
            _mm256_unpackhi_epi64(ef_high, gh_high),
        ];
        let mut columns = [a; 8];
        for index in 0..4 {
            columns[index] = _mm256_permute2x128_si256::<0x20>(first[index], others[index]);
            columns[index + 4] = _mm256_permute2x128_si256::<0x31>(first[index], others[index]);
        }
        columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_of_lines_follow_each_other() {
        for width in 1..=MOST_LINES {
            for length in [0, 1, 7, 8, 9, 16, 31] {
                let values: Vec<f32> = (0..width * length).map(|value| value as f32).collect();
                let lines: Vec<_> =
                    (0..width).map(|line| Line::of_float32(&values[line * length..(line + 1) * length])).collect();
                let mut lanes = vec![u32::MAX; width * length];
                interleave(&mut lanes, &lines);
                for (place, lane) in lanes.into_iter().enumerate() {
                    let value = values[place % width * length + place / width];
                    assert_eq!(lane, value.to_bits(), "{width} lines of {length}, place {place}");
                }
            }
        }
    }

    #[test]
    fn pairs_may_begin_anywhere() {
        let values: Vec<u16> = (0..100).collect();
        for start in 0..4 {
            let lines = [Line::of_pairs(&values[start..start + 41]), Line::of_pairs(&values[start + 50..start + 91])];
            let mut lanes = vec![0; 40];
            interleave(&mut lanes, &lines);
            let lane = |value: usize| value as u32 | (value as u32 + 1) << 16;
            assert_eq!(lanes[..4], [lane(start), lane(start + 50), lane(start + 2), lane(start + 52)]);
            assert_eq!(lanes[38..], [lane(start + 38), lane(start + 88)]);
        }
    }
}
