//! Convolutions against their definition in float64, on every instruction set of this machine.

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use stir::backend::cpu::gemm::Kernels;
use stir::ops::conv3d::{Epilogue, Noise, PackedKernel, conv3d};

use crate::conv_cases::{Case, Operands};
use crate::samples::{random, values};

/// Bits of the values.
fn bits(tensor: &Tensor) -> Vec<u32> {
    let values: Vec<f32> = tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

fn cases() -> impl Strategy<Value = Case> {
    let wide = prop_oneof![Just(DType::F32), Just(DType::BF16)];
    let kernel = (1..=3_usize, prop_oneof![Just(1_usize), Just(3), Just(5)], 1..=2_usize);
    (
        (1..=9_usize, 1..=11_usize, 1..=40_usize, 1..=140_usize),
        kernel,
        (wide.clone(), wide),
        (any::<bool>(), any::<bool>(), any::<bool>(), 0..4_usize),
        0..1000_u64,
    )
        .prop_map(|((height, width, inputs, outputs), (depth, side, stride), (dtype, weight), more, seed)| Case {
            size: [height, width],
            inputs,
            outputs,
            depth,
            side,
            stride,
            results: 1,
            dtype,
            weight,
            with_bias: more.0,
            with_noise: more.1,
            with_residual: more.2,
            missing: more.3,
            seed,
        })
}

fn computed(case: &Case, operands: &Operands, kernels: &'static Kernels) -> Tensor {
    let weight = PackedKernel::with_kernels(&operands.weight, operands.bias.as_ref(), kernels).unwrap();
    let frames: Vec<Option<&Tensor>> = operands.windows[0].iter().map(Option::as_ref).collect();
    let epilogue = Epilogue {
        noise: operands.noise.as_ref().map(|[map, scale]| Noise { map, scale }),
        residual: operands.residuals.first(),
    };
    conv3d(&frames, &weight, case.stride, epilogue).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_instruction_set_is_as_exact_as_the_definition(case in cases()) {
        let operands = case.operands();
        for kernels in Kernels::available() {
            let found = computed(&case, &operands, kernels);
            prop_assert_eq!(found.dtype(), case.dtype);
            prop_assert_eq!(found.dims(), case.result_shape());
            let exact = case.expect_exact(&operands, 0, &found);
            prop_assert!(exact.is_ok(), "{}: {exact:?}", kernels.name());
        }
    }
}

/// A convolution that has several tasks, several panels, and weights that are gone through in several parts.
const LARGE: Case = Case {
    size: [21, 20],
    inputs: 260,
    outputs: 150,
    depth: 3,
    side: 3,
    stride: 1,
    results: 1,
    dtype: DType::F32,
    weight: DType::F32,
    with_bias: true,
    with_noise: true,
    with_residual: true,
    missing: 3,
    seed: 1,
};

fn each_large_case(mut check: impl FnMut(&Case, &'static Kernels)) {
    for kernels in Kernels::available() {
        for dtype in [DType::F32, DType::BF16] {
            check(&Case { dtype, weight: dtype, ..LARGE }, kernels);
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    each_large_case(|case, kernels| {
        let operands = case.operands();
        let with_threads = |count| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
            pool.install(|| bits(&computed(case, &operands, kernels)))
        };
        let one = with_threads(1);
        assert!(one == with_threads(2) && one == with_threads(5), "{}", kernels.name());
    });
}

#[test]
fn instruction_sets_with_fused_multiply_add_agree_in_every_bit() {
    let operands = LARGE.operands();
    let fused = Kernels::available().filter(|kernels| kernels.name() != "portable");
    let results: Vec<Vec<u32>> = fused.map(|kernels| bits(&computed(&LARGE, &operands, kernels))).collect();
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
}

/// So a checkpoint in bfloat16 may stay so, whatever the type of what is convolved.
#[test]
fn widened_weights_give_the_bits_of_float32_weights() {
    for kernels in Kernels::available() {
        for inputs in [40, 41] {
            let narrow = Case { inputs, weight: DType::BF16, ..LARGE };
            let mut operands = narrow.operands();
            let found = bits(&computed(&narrow, &operands, kernels));
            operands.weight = operands.weight.to_dtype(DType::F32).unwrap();
            assert!(found == bits(&computed(&narrow, &operands, kernels)), "{}", kernels.name());
        }
    }
}

/// A file may place its values anywhere.
#[test]
fn weights_are_packed_from_bytes_at_any_address() {
    for dtype in [DType::F32, DType::BF16] {
        let weight = random(&[5, 6, 1, 3, 3], 1, dtype);
        let frame = random(&[1, 3, 4, 6], 2, dtype);
        let expected = PackedKernel::new(&weight, None).unwrap();
        let expected = conv3d(&[Some(&frame)], &expected, 1, Epilogue::default()).unwrap();
        let flat = weight.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for offset in 0..5 {
            let mut bytes = vec![0; offset];
            for value in &flat {
                match dtype {
                    DType::F32 => bytes.extend(value.to_ne_bytes()),
                    _ => bytes.extend(half::bf16::from_f32(*value).to_ne_bytes()),
                }
            }
            let packed = PackedKernel::from_bytes((&bytes[offset..], dtype), [5, 6, 1, 3, 3], None).unwrap();
            let found = conv3d(&[Some(&frame)], &packed, 1, Epilogue::default()).unwrap();
            assert!(bits(&found) == bits(&expected), "{dtype:?}, {offset} bytes on");
        }
        assert!(PackedKernel::from_bytes((&[0; 7], dtype), [5, 6, 1, 3, 3], None).is_err());
    }
}

/// A weight that is 1 in one tap gives the frame back, moved.
#[test]
fn a_single_tap_moves_a_frame() {
    let frame = random(&[1, 5, 4, 2], 7, DType::BF16);
    let other = random(&[1, 5, 4, 2], 8, DType::BF16);
    let mut weight = vec![0_f32; 2 * 2 * 2 * 9];
    // The second frame, a row above and a column to the right.
    for channel in 0..2 {
        weight[((channel * 2 + channel) * 2 + 1) * 9 + 2] = 1.0;
    }
    let weight = Tensor::from_vec(weight, (2, 2, 2, 3, 3), &Device::Cpu).unwrap().to_dtype(DType::BF16).unwrap();
    let expected = frame.narrow(1, 0, 4).unwrap().pad_with_zeros(1, 1, 0).unwrap();
    let expected = expected.narrow(2, 1, 3).unwrap().pad_with_zeros(2, 0, 1).unwrap();
    for kernels in Kernels::available() {
        let packed = PackedKernel::with_kernels(&weight, None, kernels).unwrap();
        let moved = conv3d(&[Some(&other), Some(&frame)], &packed, 1, Epilogue::default()).unwrap();
        assert_eq!(bits(&moved), bits(&expected), "{}", kernels.name());
    }
}

/// Two channels in a lane: nothing of the next pixel may come in where their number is odd.
#[test]
fn what_is_not_a_number_stays_where_it_is_seen() {
    for channels in [1, 2, 3] {
        let mut pixels = vec![1_f32; 36 * channels];
        pixels[8 * channels] = f32::NAN;
        let frame = Tensor::from_vec(pixels, (1, 6, 6, channels), &Device::Cpu).unwrap();
        for dtype in [DType::F32, DType::BF16] {
            let frame = frame.to_dtype(dtype).unwrap();
            let weight = Tensor::ones((3, channels, 1, 3, 3), dtype, &Device::Cpu).unwrap();
            for kernels in Kernels::available() {
                let packed = PackedKernel::with_kernels(&weight, None, kernels).unwrap();
                let result = values(&conv3d(&[Some(&frame)], &packed, 1, Epilogue::default()).unwrap());
                for (index, value) in result.into_iter().enumerate() {
                    let (row, column) = (index / 3 / 6, index / 3 % 6);
                    let near = row <= 2 && (1..=3).contains(&column);
                    assert_eq!(value.is_nan(), near, "{} {dtype:?}: row {row}, column {column}", kernels.name());
                }
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let weight = random(&[4, 6, 2, 3, 3], 12, DType::F32);
    let frame = random(&[1, 2, 2, 6], 13, DType::F32);
    let message = |result: stir::error::Result<Tensor>| result.unwrap_err().to_string();
    let bias = random(&[5], 14, DType::F32);
    let packing = |weight: &Tensor, bias| PackedKernel::new(weight, bias).map(|_| weight.clone());
    assert!(message(packing(&weight, Some(&bias))).contains("wanted shape [4], found [5]"));
    assert!(message(packing(&weight.to_dtype(DType::F16).unwrap(), None)).contains("found F16"));
    assert!(message(packing(&random(&[4, 6, 2, 2, 2], 1, DType::F32), None)).contains("an odd S"));
    let packed = PackedKernel::new(&weight, None).unwrap();
    let convolved = |frames: &[Option<&Tensor>], epilogue| message(conv3d(frames, &packed, 1, epilogue));
    let plain = Epilogue::default();
    assert!(convolved(&[Some(&frame)], plain).contains("wanted 2 of one shape [1, H, W, 6]"));
    assert!(convolved(&[None, None], plain).contains("found 0 frames"));
    let half = frame.to_dtype(DType::BF16).unwrap();
    assert!(convolved(&[Some(&frame), Some(&half)], plain).contains("one type"));
    let fewer = frame.narrow(3, 0, 5).unwrap();
    assert!(convolved(&[Some(&fewer), Some(&fewer)], plain).contains("[1, 2, 2, 5]"));
    let both = [Some(&frame), None];
    assert!(convolved(&both, Epilogue { residual: Some(&frame), ..plain }).contains("F32 [1, 2, 2, 4]"));
    let noise = Noise { map: &random(&[2, 3], 1, DType::F32), scale: &random(&[4], 1, DType::F32) };
    assert!(convolved(&both, Epilogue { noise: Some(noise), ..plain }).contains("wanted 4 places and 4 channels"));
    assert!(message(conv3d(&both, &packed, 0, plain)).contains("`stride`"));
}
