//! Memory that kernels under test may touch, with NaN all around it.

use std::cell::UnsafeCell;

use candle_core::{DType, Device, Shape, Tensor};

/// What memory of a device is aligned to.
#[derive(Clone, Copy)]
#[repr(C, align(256))]
struct Line([u8; Line::BYTES]);

impl Line {
    const BYTES: usize = 256;
    /// Lines before and after the values.
    const AROUND: usize = 4;
}

/// NaN in every format.
const POISON: u8 = 0xFF;

/// Values of one type that a kernel reads or writes. What lies before and behind them is NaN.
pub struct Memory {
    lines: Vec<UnsafeCell<Line>>,
    dtype: DType,
    count: usize,
}

impl Memory {
    /// So many values, all NaN: for results.
    pub fn poisoned(count: usize, dtype: DType) -> Self {
        let lines = (count * dtype.size_in_bytes()).div_ceil(Line::BYTES) + 2 * Line::AROUND;
        Self { lines: (0..lines).map(|_| UnsafeCell::new(Line([POISON; Line::BYTES]))).collect(), dtype, count }
    }

    /// A tensor's values, in order.
    pub fn of(tensor: &Tensor) -> Self {
        let mut memory = Self::poisoned(tensor.elem_count(), tensor.dtype());
        let mut bytes = Vec::new();
        tensor.write_bytes(&mut bytes).unwrap();
        let lines = bytes.chunks(Line::BYTES).zip(&mut memory.lines[Line::AROUND..]);
        lines.for_each(|(bytes, line)| line.get_mut().0[..bytes.len()].copy_from_slice(bytes));
        memory
    }

    /// Where the first value is: a multiple of 256.
    pub fn address(&self) -> u64 {
        self.lines[Line::AROUND].get().expose_provenance() as u64
    }

    /// The values as they are now.
    ///
    /// # Panics
    /// If what lies around them has changed.
    pub fn tensor(&self, shape: impl Into<Shape>) -> Tensor {
        // SAFETY: cells lie next to each other, and no kernel runs while this function does.
        #[allow(unsafe_code)]
        let bytes =
            unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast::<u8>(), self.lines.len() * Line::BYTES) };
        let (before, rest) = bytes.split_at(Line::AROUND * Line::BYTES);
        let (values, after) = rest.split_at(self.count * self.dtype.size_in_bytes());
        assert!(before.iter().all(|byte| *byte == POISON), "a kernel wrote before the start of its memory");
        assert!(after.iter().all(|byte| *byte == POISON), "a kernel wrote beyond the end of its memory");
        let shape = shape.into();
        assert_eq!(shape.elem_count(), self.count, "values");
        Tensor::from_raw_buffer(values, self.dtype, shape.dims(), &Device::Cpu).unwrap()
    }
}
