//! A matrix that several threads write at a time.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;

use super::ValuesMut;

/// Values of which each thread writes a part of its own.
pub struct SharedOutput<'a> {
    pointer: Pointer,
    length: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

enum Pointer {
    Float32(*mut f32),
    Bfloat16(*mut u16),
}

// SAFETY: the callers of `part` promise that no two parts overlap.
unsafe impl Sync for SharedOutput<'_> {}

impl<'a> SharedOutput<'a> {
    /// Borrows the values until it is dropped.
    pub fn new(values: ValuesMut<'a>) -> Self {
        let length = values.len();
        let pointer = match values {
            ValuesMut::Float32(values) => Pointer::Float32(values.as_mut_ptr()),
            ValuesMut::Bfloat16(values) => Pointer::Bfloat16(values.as_mut_ptr()),
        };
        Self { pointer, length, borrow: PhantomData }
    }

    /// The values in `range`.
    ///
    /// # Panics
    /// If there are not so many.
    ///
    /// # Safety
    /// No two parts that are held at the same time may overlap.
    pub unsafe fn part(&self, range: Range<usize>) -> ValuesMut<'_> {
        assert!(range.start <= range.end && range.end <= self.length, "values {range:?} of {}", self.length);
        // SAFETY: the range lies within the borrowed values, and is nobody else's.
        unsafe {
            match self.pointer {
                Pointer::Float32(values) => {
                    ValuesMut::Float32(std::slice::from_raw_parts_mut(values.add(range.start), range.len()))
                }
                Pointer::Bfloat16(values) => {
                    ValuesMut::Bfloat16(std::slice::from_raw_parts_mut(values.add(range.start), range.len()))
                }
            }
        }
    }
}
