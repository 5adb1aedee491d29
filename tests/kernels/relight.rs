//! Light against the CPU's, byte for byte.

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use stir::backend::cuda::relight::{Relight, plan};
use stir::ops::relight::{Light, LightGains, relight_row};
use stir::ops::warp::{RowColours, round_row};

use crate::emulated::Emulated;
use crate::memory::Memory;
use crate::samples::{random, values};

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_are_the_cpu_s(
        (width, height) in prop_oneof![(1..50_usize, 1..20_usize), (120..140_usize, 1..4_usize)],
        (gain, warmth) in prop_oneof![Just((0.0_f32, 0.0_f32)), (-0.4..0.4_f32, -0.05..0.05_f32)],
        seed in 0..1000_u64,
    ) {
        let pixels = width * height;
        // From -3 to 258, and from 0.4 to 1.6.
        let colours = ((random(&[3, height, width], seed, DType::F32) * 65.25).unwrap() + 127.5).unwrap();
        let strengths = ((random(&[height, width], seed + 1, DType::F32) * 0.3).unwrap() + 1.0).unwrap();
        let planes = values(&colours);
        let mut expected = vec![0; 3 * pixels];
        for ((row, bytes), strengths) in expected.chunks_exact_mut(3 * width).enumerate().zip(strengths.to_vec2::<f32>().unwrap()) {
            let mut line = RowColours::new(width);
            for column in 0..width {
                line.set_pixel(column, [0, 1, 2].map(|lane| planes[(lane * height + row) * width + column] as f32));
            }
            if gain == 0.0 && warmth == 0.0 {
                round_row(&line, bytes);
                continue;
            }
            let gains = LightGains::new(strengths.into_iter().map(|strength| gain * strength).collect());
            relight_row(&line, &Light { gains: &gains, warm: warmth, row }, bytes);
        }
        let (read, factors) = (Memory::of(&colours), Memory::of(&strengths));
        let written = Memory::of(&Tensor::full(7_u8, 3 * pixels, &Device::Cpu).unwrap());
        Emulated::kernel("relight").run(&plan(&Relight {
            colours: read.address(),
            strengths: factors.address(),
            bytes: written.address(),
            width,
            height,
            gain,
            warmth,
        }));
        prop_assert_eq!(written.tensor(3 * pixels).to_vec1::<u8>().unwrap(), expected);
    }
}
