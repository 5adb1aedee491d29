//! Lines of values, which lie one after the other, as lanes side by side: the transposition that all packing consists of.
#![allow(unsafe_code)]

/// Lanes of a line that are written one after the other before other lines are read: what they touch stays in the first cache.
const RUN: usize = 64;

/// Lanes and lines that are exchanged at a time.
const BLOCK: usize = 4;

/// Writes line `index` into places `index`, `index + width`, ...: one value a lane.
pub fn spread<'a, T: Copy + 'a>(
    lanes: &mut [u32],
    width: usize,
    lines: impl Iterator<Item = &'a [T]> + Clone,
    lane: impl Fn(&T) -> u32,
) {
    interleave::<T, 1>(lanes, width, lines, |[value]| lane(value));
}

/// The same with two values a lane, the first in its low half; `half` makes the bits of a bfloat16.
pub fn pair<'a, T: Copy + 'a>(
    lanes: &mut [u32],
    width: usize,
    lines: impl Iterator<Item = &'a [T]> + Clone,
    half: impl Fn(&T) -> u16,
) {
    let lane = |[first, second]: &[T; 2]| u32::from(half(first)) | u32::from(half(second)) << 16;
    interleave::<T, 2>(lanes, width, lines.clone(), lane);
    for (index, line) in lines.enumerate() {
        if let [last] = line.as_chunks::<2>().1 {
            lanes[line.len() / 2 * width + index] = u32::from(half(last));
        }
    }
}

/// Writes line `index` into places `index`, `index + width`, ...: as many lanes as it has whole groups of `EACH` values.
fn interleave<'a, T: Copy + 'a, const EACH: usize>(
    lanes: &mut [u32],
    width: usize,
    lines: impl Iterator<Item = &'a [T]> + Clone,
    lane: impl Fn(&[T; EACH]) -> u32,
) {
    for (run, lanes) in lanes.chunks_mut(RUN * width).enumerate() {
        let part = |line: &'a [T]| {
            let groups = line.as_chunks::<EACH>().0;
            &groups[(run * RUN).min(groups.len())..(run * RUN + RUN).min(groups.len())]
        };
        let mut parts = lines.clone().map(part);
        let mut index = 0;
        while let Some(first) = parts.next() {
            let block: [&[[T; EACH]]; BLOCK] =
                std::array::from_fn(|line| if line == 0 { first } else { parts.next().unwrap_or_default() });
            let blocks = block.map(|part| part.as_chunks::<BLOCK>().0);
            let whole = blocks.iter().map(|blocks| blocks.len()).min().unwrap_or_default();
            let blocks = blocks.map(|blocks| &blocks[..whole]);
            for (number, lanes) in lanes.chunks_exact_mut(BLOCK * width).take(whole).enumerate() {
                // A block is a quarter of a cache line where a lane is four bytes.
                if number.is_multiple_of(4) {
                    blocks.iter().for_each(|blocks| prefetch(blocks[number].as_ptr().wrapping_add(RUN)));
                }
                let row = |line: usize| {
                    let [a, b, c, d] = &blocks[line][number];
                    [lane(a), lane(b), lane(c), lane(d)]
                };
                let columns = exchanged([row(0), row(1), row(2), row(3)]);
                for (lanes, values) in lanes.chunks_exact_mut(width).zip(columns) {
                    lanes[index..index + BLOCK].copy_from_slice(&values);
                }
            }
            for (line, part) in block.iter().enumerate() {
                for (position, value) in part.iter().enumerate().skip(whole * BLOCK) {
                    lanes[position * width + index + line] = lane(value);
                }
            }
            index += BLOCK;
        }
    }
}

/// Has a cache line fetched, wherever that is. There are more lines than a processor follows by itself.
#[inline(always)]
fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::*;
        // SAFETY: any address will do.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Rows as columns.
#[inline(always)]
fn exchanged(rows: [[u32; BLOCK]; BLOCK]) -> [[u32; BLOCK]; BLOCK] {
    // The compiler would take one value at a time.
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::*;
        // SAFETY: both are 128 bits without any invalid value.
        let rows = rows.map(|row| unsafe { std::mem::transmute::<[u32; BLOCK], __m128i>(row) });
        let [low, high] = [[0, 1], [2, 3]].map(|[a, b]: [usize; 2]| {
            // SAFETY: SSE2 is part of the architecture.
            unsafe { [_mm_unpacklo_epi32(rows[a], rows[b]), _mm_unpackhi_epi32(rows[a], rows[b])] }
        });
        // SAFETY: as above.
        let columns = unsafe {
            [
                _mm_unpacklo_epi64(low[0], high[0]),
                _mm_unpackhi_epi64(low[0], high[0]),
                _mm_unpacklo_epi64(low[1], high[1]),
                _mm_unpackhi_epi64(low[1], high[1]),
            ]
        };
        columns.map(|column| unsafe { std::mem::transmute::<__m128i, [u32; BLOCK]>(column) })
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::array::from_fn(|column| std::array::from_fn(|row| rows[row][column]))
}

/// Two values of each line a step, as two rows of `width` two-byte values in `width` lanes, which have to be zero.
pub fn stack<'a>(lanes: &mut [u32], width: usize, lines: impl Iterator<Item = &'a [u16]>) {
    for (index, line) in lines.enumerate() {
        for (position, &bits) in line.iter().enumerate() {
            let place = position * width + index;
            lanes[place / 2] |= u32::from(bits) << (16 * (place % 2));
        }
    }
}
