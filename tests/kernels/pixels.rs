//! Decoded frames as bytes, against those that the CPU makes.

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use stir::backend::cuda::launch::{Element, Launch};
use stir::backend::cuda::pixels::{DecodedFrame, PixelPlan};
use stir::ops::pixels::to_bytes;

use crate::emulated::Emulated;
use crate::memory::Memory;
use crate::samples::random;

/// What the kernel makes of `frame: [3, H, W]`, whose values may lie in any order.
fn written(frame: &Tensor, blocks: u32) -> Option<Vec<u8>> {
    let (_, height, width) = frame.dims3().unwrap();
    // As they lie in memory.
    let is_innermost = frame.stride()[0] == 1;
    let read = Memory::of(&if is_innermost { frame.permute((1, 2, 0)).unwrap() } else { frame.clone() });
    let strides = if is_innermost { [1, 3 * width, 3] } else { [height * width, width, 1] };
    let element = Element::of(frame.dtype()).unwrap();
    let decoded = DecodedFrame { element, values: read.address(), size: [height, width], strides };
    let plan = PixelPlan::new(&decoded).unwrap();
    let bytes = Memory::poisoned(plan.bytes(), DType::U8);
    let launch = plan.launch(bytes.address());
    // Fewer blocks than planned, so that they stride, and leave flags as they were: those of blocks that were not run are 255.
    let grid = [launch.grid[0].min(blocks), 1, 1];
    Emulated::kernel("pixels").run(&Launch { grid, ..launch });
    let mut bytes = bytes.tensor(plan.bytes()).to_vec1::<u8>().unwrap();
    let unwritten = (launch.grid[0] - grid[0]) as usize;
    let flags = bytes.split_off(bytes.len() - unwritten);
    assert!(flags.iter().all(|flag| *flag == u8::MAX));
    bytes.resize(plan.bytes(), 0);
    plan.pixels(bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_are_those_of_the_cpu(
        (height, width) in (16..=40_usize, 16..=40_usize),
        dtype in prop_oneof![Just(DType::F32), Just(DType::BF16), Just(DType::F16)],
        innermost: bool,
        blocks in 1..=8_u32,
        seed in 0..1000_u64,
    ) {
        let (height, width) = (height * 2, width * 2);
        let frame = match innermost {
            true => random(&[height, width, 3], seed, dtype).permute((2, 0, 1)).unwrap(),
            false => random(&[3, height, width], seed, dtype),
        };
        let expected = to_bytes(&frame).unwrap().unwrap();
        prop_assert_eq!(written(&frame, blocks).unwrap(), expected);
        let odd = frame.narrow(1, 0, height - 1).unwrap().narrow(2, 0, width - 1).unwrap().force_contiguous().unwrap();
        prop_assert_eq!(written(&odd, blocks), to_bytes(&odd).unwrap());
    }
}

/// All levels, and the values halfway between them, in float32 and in what bfloat16 makes of them.
#[test]
fn levels_are_rounded_as_on_the_cpu() {
    let values: Vec<f32> = (-40..=1100).map(|quarter| quarter as f32 / 4.0 / 127.5 - 1.0).collect();
    let values = Tensor::new(values, &Device::Cpu).unwrap().narrow(0, 0, 1140).unwrap();
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        let frame = values.reshape((3, 10, 38)).unwrap().to_dtype(dtype).unwrap();
        assert_eq!(written(&frame, 9), to_bytes(&frame).unwrap());
    }
}

/// In the first block, and in the second, whose last thread comes first.
#[test]
fn one_value_that_is_not_finite_is_reported() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for pixel in [100, 500] {
            let mut values = vec![0.5; 3 * 30 * 40];
            values[2 * 30 * 40 + pixel] = value;
            let frame = Tensor::from_vec(values, (3, 30, 40), &Device::Cpu).unwrap();
            assert_eq!(written(&frame, 9), None, "{value} in pixel {pixel}");
        }
    }
}

#[test]
fn frames_of_no_pixels_or_too_many_have_no_plan() {
    let plan = |size| {
        let frame = DecodedFrame { element: Element::Float32, values: 0, size, strides: [1; 3] };
        PixelPlan::new(&frame).map(|plan| plan.bytes())
    };
    assert_eq!(plan([3, 5]), Some(46));
    assert_eq!(plan([0, 5]), None);
    assert_eq!(plan([1 << 16, 1 << 16]), None);
}
