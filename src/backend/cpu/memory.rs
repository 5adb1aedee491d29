//! Memory for results.
//!
//! The system hands out pages only after it has cleared them, and allocators give large blocks back to it: a result of a network would come in fresh
//! pages each time, which takes longer than a norm takes to fill them. [`Reusing`] keeps large blocks for the next result of about their size.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::{Mutex, PoisonError};

use super::exhaustion::exhausted;
use crate::error::{Error, Result};
use crate::units::Bytes;

/// What huge pages are aligned to, a multiple of every page's size.
const HUGE_PAGE: usize = 2 << 20;

/// Smaller blocks are the system's allocator's business.
const LARGE: usize = 1 << 20;

/// Bytes that wait for their next use, at most: what a layer of LTX-Video's 2B model frees at 1216x704 and 153 frames.
const MOST_WAITING: usize = 1 << 30;

/// Blocks that wait, at most.
const MOST_BLOCKS: usize = 64;

/// An allocator that keeps large blocks, to be a program's `#[global_allocator]`. It begins them where huge pages begin, and asks for such pages on Linux.
#[derive(Debug)]
pub struct Reusing;

/// Blocks that wait, the oldest first.
static WAITING: Mutex<Waiting> = Mutex::new(Waiting { blocks: [Block::NONE; MOST_BLOCKS], count: 0, bytes: 0 });

#[derive(Clone, Copy)]
struct Block {
    /// 0 for none.
    address: usize,
    layout: Layout,
}

impl Block {
    const NONE: Self = Self { address: 0, layout: Layout::new::<()>() };

    fn free(self) {
        // SAFETY: the block came from `System` with this layout, and nobody else has it any more.
        unsafe { System.dealloc(std::ptr::with_exposed_provenance_mut(self.address), self.layout) }
    }
}

struct Waiting {
    blocks: [Block; MOST_BLOCKS],
    count: usize,
    bytes: usize,
}

impl Waiting {
    /// The youngest block of this layout.
    fn take(&mut self, layout: Layout) -> Option<Block> {
        let index = self.blocks[..self.count].iter().rposition(|block| block.layout == layout)?;
        Some(self.remove(index))
    }

    fn remove(&mut self, index: usize) -> Block {
        let block = self.blocks[index];
        self.blocks.copy_within(index + 1..self.count, index);
        self.count -= 1;
        self.bytes -= block.layout.size();
        block
    }

    /// Whether the oldest block has to go for a new one of `size` bytes.
    fn is_full(&self, size: usize) -> bool {
        self.count > 0 && (self.count == MOST_BLOCKS || self.bytes + size > MOST_WAITING)
    }

    fn push(&mut self, block: Block) {
        self.blocks[self.count] = block;
        self.count += 1;
        self.bytes += block.layout.size();
    }
}

/// Gives back to the system what waits: for when what comes next needs blocks of other sizes.
pub fn release() {
    loop {
        let mut waiting = lock();
        if waiting.count == 0 {
            return;
        }
        let block = waiting.remove(0);
        drop(waiting);
        block.free();
    }
}

/// Gives back to the system all that waits, and all that allocators keep for their next use: for when much that was needed is not for long. Takes
/// milliseconds.
pub fn trim() {
    release();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it changes nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Checks that the system would give so many bytes at once, and takes none of them. What waits for its next use is given back before.
///
/// # Errors
/// A run error that is a lack of memory.
pub fn expect(bytes: u64) -> Result<()> {
    release();
    let layout = usize::try_from(bytes).ok().and_then(|bytes| Layout::from_size_align(bytes.max(1), HUGE_PAGE).ok());
    let given = layout.is_some_and(|layout| {
        // SAFETY: the size is not 0, and what was given goes back by the same layout.
        unsafe {
            // Asked of the compiler, a block that nobody uses would be there always.
            let block = black_box(System.alloc(layout));
            if !block.is_null() {
                System.dealloc(block, layout);
            }
            !block.is_null()
        }
    });
    if given {
        return Ok(());
    }
    let hint = "end other programs, or lift the limit on memory if there is one (ulimit -v)";
    Err(Error::run("memory", Bytes(bytes).to_string(), "less: out of memory", hint))
}

fn lock() -> std::sync::MutexGuard<'static, Waiting> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The layout of the block in which a large value lies: one of eight sizes between a power of two and the next. None for small ones.
fn block_of(layout: Layout) -> Option<Layout> {
    if layout.size() < LARGE {
        return None;
    }
    let step = (layout.size().next_power_of_two() / 16).max(LARGE);
    let size = layout.size().checked_next_multiple_of(step)?;
    Layout::from_size_align(size, layout.align().max(HUGE_PAGE)).ok()
}

// SAFETY: blocks are the system's allocator's, at least as large and as aligned as asked for; each is handed out once until it comes back.
unsafe impl GlobalAlloc for Reusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(block) = block_of(layout) else {
            // SAFETY: the caller's promise.
            return unsafe { small(layout, |layout| System.alloc(layout)) };
        };
        if let Some(waiting) = lock().take(block) {
            return std::ptr::with_exposed_provenance_mut(waiting.address);
        }
        // SAFETY: the size is not 0.
        unsafe { fresh(block, |block| System.alloc(block)) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(block) = block_of(layout) else {
            // SAFETY: the caller's promise.
            return unsafe { small(layout, |layout| System.alloc_zeroed(layout)) };
        };
        if let Some(waiting) = lock().take(block) {
            let values = std::ptr::with_exposed_provenance_mut::<u8>(waiting.address);
            // SAFETY: the block is at least as large.
            unsafe { values.write_bytes(0, layout.size()) };
            return values;
        }
        // SAFETY: the size is not 0.
        unsafe { fresh(block, |block| System.alloc_zeroed(block)) }
    }

    unsafe fn dealloc(&self, values: *mut u8, layout: Layout) {
        let Some(block) = block_of(layout) else {
            // SAFETY: the caller's promise.
            return unsafe { System.dealloc(values, layout) };
        };
        let block = Block { address: values.expose_provenance(), layout: block };
        let mut waiting = lock();
        while waiting.is_full(block.layout.size()) {
            let oldest = waiting.remove(0);
            drop(waiting);
            oldest.free();
            waiting = lock();
        }
        if block.layout.size() <= MOST_WAITING {
            return waiting.push(block);
        }
        drop(waiting);
        block.free();
    }

    unsafe fn realloc(&self, values: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise: it does not overflow.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (block_of(layout), block_of(new)) {
            // SAFETY: the caller's promise.
            (None, None) => unsafe { System.realloc(values, layout, size) },
            (Some(old), Some(new)) if old == new => values,
            _ => {
                // SAFETY: the caller's promise; the two do not overlap, and both hold what is copied.
                unsafe {
                    let moved = self.alloc(new);
                    if !moved.is_null() {
                        moved.copy_from_nonoverlapping(values, layout.size().min(size));
                        self.dealloc(values, layout);
                    }
                    moved
                }
            }
        }
    }
}

/// A small block from the system; where it has none left, once more after all that waits was given back, and then of what is kept for such cases.
///
/// # Safety
/// The size is not 0.
unsafe fn small(layout: Layout, allocate: impl Fn(Layout) -> *mut u8) -> *mut u8 {
    let mut values = allocate(layout);
    if values.is_null() {
        release();
        values = allocate(layout);
    }
    if values.is_null() {
        exhausted(layout.size());
        values = allocate(layout);
    }
    values
}

/// A block from the system; where it has none left, once more after all that waits was given back.
///
/// # Safety
/// The size is not 0.
unsafe fn fresh(block: Layout, allocate: impl Fn(Layout) -> *mut u8) -> *mut u8 {
    let mut values = allocate(block);
    if values.is_null() {
        release();
        values = allocate(block);
    }
    if values.is_null() {
        exhausted(block.size());
    }
    #[cfg(target_os = "linux")]
    if !values.is_null() {
        advise(values, block.size());
    }
    values
}

/// Asks for huge pages.
#[cfg(target_os = "linux")]
fn advise(values: *mut u8, size: usize) {
    use std::ffi::{c_int, c_void};

    unsafe extern "C" {
        fn madvise(address: *mut c_void, length: usize, advice: c_int) -> c_int;
    }
    const MADV_HUGEPAGE: c_int = 14;

    let length = size / HUGE_PAGE * HUGE_PAGE;
    if length > 0 {
        // SAFETY: the range lies within a block, and the advice changes none of its values. Where it is not taken there are small pages.
        unsafe { madvise(values.cast(), length, MADV_HUGEPAGE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_grow_by_an_eighth_at_most() {
        let layout = |size| Layout::from_size_align(size, 4).unwrap();
        assert!(block_of(layout(LARGE - 1)).is_none());
        for size in [LARGE, LARGE + 1, 3 << 20, (27 << 20) + 12345, 108 << 20, 1 << 31] {
            let block = block_of(layout(size)).unwrap();
            assert!(block.size() >= size && block.size() <= size + (size / 8).max(LARGE), "{size} {block:?}");
            assert_eq!(block_of(layout(block.size())), Some(block));
        }
    }

    #[test]
    fn more_than_there_is_is_a_lack_of_memory() {
        expect(1 << 20).unwrap();
        for bytes in [1 << 60, u64::MAX] {
            let error = expect(bytes).unwrap_err();
            assert!(error.is_out_of_memory() && error.exit_code() == 1, "{error}");
        }
    }

    #[test]
    fn the_oldest_makes_way() {
        let mut waiting = Waiting { blocks: [Block::NONE; MOST_BLOCKS], count: 0, bytes: 0 };
        let layout = Layout::from_size_align(MOST_WAITING / 4, HUGE_PAGE).unwrap();
        for address in 1..=4 {
            assert!(!waiting.is_full(layout.size()));
            waiting.push(Block { address, layout });
        }
        assert!(waiting.is_full(layout.size()));
        assert_eq!(waiting.remove(0).address, 1);
        assert!(!waiting.is_full(layout.size()));
        assert_eq!(waiting.take(layout).unwrap().address, 4);
        assert!(waiting.take(Layout::from_size_align(LARGE, HUGE_PAGE).unwrap()).is_none());
        assert_eq!((waiting.count, waiting.bytes), (2, 2 * layout.size()));
    }

    /// Blocks come back with what was written in them; zeros are zeros all the same.
    #[test]
    fn blocks_come_back() {
        // A size that no other test has.
        let layout = Layout::from_size_align(37 << 20, 64).unwrap();
        // SAFETY: the values are used within their layouts only, and go back with them.
        unsafe {
            let first = Reusing.alloc(layout);
            first.write_bytes(7, layout.size());
            Reusing.dealloc(first, layout);
            let second = Reusing.alloc_zeroed(layout);
            assert_eq!(second, first);
            assert!(std::slice::from_raw_parts(second, layout.size()).iter().all(|byte| *byte == 0));
            second.write_bytes(9, layout.size());
            let larger = Reusing.realloc(second, layout, 90 << 20);
            assert!(std::slice::from_raw_parts(larger, layout.size()).iter().all(|byte| *byte == 9));
            let grown = Layout::from_size_align(90 << 20, 64).unwrap();
            let smaller = Reusing.realloc(larger, grown, 100);
            assert!(std::slice::from_raw_parts(smaller, 100).iter().all(|byte| *byte == 9));
            Reusing.dealloc(smaller, Layout::from_size_align(100, 64).unwrap());
        }
        release();
    }
}
