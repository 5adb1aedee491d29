//! Norms against their definition in float64.

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use stir::backend::cuda::launch::Element;
use stir::backend::cuda::norm::{Affine, RowNorm, Statistic, Then, plan};
use stir::ops::norm::definition;

use crate::emulated::Emulated;
use crate::memory::Memory;
use crate::norm_cases::{Case, Operands};
use crate::samples::{largest_difference, values};

/// How the rows lie in memory.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Values before the first row, which spoil the alignment of vectors.
    before: usize,
    /// As many parts as the last axis has, of which the rows are the second.
    parts: usize,
}

const ALONE: Place = Place { before: 0, parts: 1 };

impl Place {
    /// The rows in memory that is NaN otherwise, and where the first of them begins there.
    fn of(self, x: &Tensor) -> (Memory, usize) {
        let nan = |shape: &[usize]| Tensor::full(f32::NAN, shape, &Device::Cpu).unwrap().to_dtype(x.dtype()).unwrap();
        let around: Vec<Tensor> = (1..self.parts).map(|_| nan(x.dims())).collect();
        let mut parts: Vec<&Tensor> = around.iter().collect();
        parts.insert(usize::from(self.parts > 1), x);
        let values = Tensor::cat(&parts, x.rank() - 1).unwrap().flatten_all().unwrap();
        let values = Tensor::cat(&[&nan(&[self.before]), &values], 0).unwrap();
        let first = if self.parts > 1 { x.dims()[x.rank() - 1] } else { 0 };
        (Memory::of(&values), self.before + first)
    }
}

/// What the kernel makes of a case, and the kernel's name.
fn computed(case: &Case, operands: &Operands, place: Place) -> (Tensor, &'static str) {
    let Case { width, frames, tokens, .. } = *case;
    let element = Element::of(case.dtype).unwrap();
    let affine_element = Element::of(case.affine_dtype).unwrap();
    let (x, first) = place.of(&operands.x);
    let y = Memory::poisoned(operands.x.elem_count(), case.dtype);
    let [weight, bias, rows] = [&operands.weight, &operands.bias, &operands.rows].map(Memory::of);
    let [cosines, sines] = [&operands.cosines, &operands.sines].map(Memory::of);
    let row = |index: usize| Some(rows.address() + (index * width * affine_element.bytes()) as u64);
    let plain = Affine {
        element: affine_element,
        factors: None,
        shifts: None,
        added: 0.0,
        groups: 1,
        group_stride: width,
        rows_each: 1,
    };
    let affine = match case.affine {
        0 => plain,
        1 => Affine { factors: Some(weight.address()), ..plain },
        2 => Affine { factors: Some(weight.address()), shifts: Some(bias.address()), ..plain },
        _ => Affine {
            shifts: row(3),
            factors: row(4),
            added: 1.0,
            groups: frames,
            group_stride: 6 * width,
            rows_each: tokens,
            ..plain
        },
    };
    let positions = frames * tokens;
    let launch = plan(&RowNorm {
        element,
        x: x.address() + (first * element.bytes()) as u64,
        x_stride: place.parts * width,
        y: y.address(),
        rows: case.batch * positions,
        width,
        statistic: if case.layer { Statistic::StandardDeviation } else { Statistic::RootMeanSquare },
        epsilon: if case.layer { 1e-5 } else { 1e-6 },
        affine,
        then: match case.then {
            0 => Then::Nothing,
            1 => Then::Silu,
            _ => Then::Rotation { cosines: cosines.address(), sines: sines.address(), positions },
        },
    });
    Emulated::kernel("norm").run(&launch);
    (y.tensor(operands.x.shape()), launch.kernel)
}

/// At most twice the error of the definition in float32, rounded to the inputs' type, plus 2^-21 of the largest result: approximate roots and exponentials are
/// off by 2^-22.
fn check(case: &Case, place: Place) -> Result<&'static str, TestCaseError> {
    let operands = case.operands();
    let exact = values(&case.defined(&operands, DType::F64));
    let naive = definition(&operands.x.to_dtype(DType::F32).unwrap(), &case.norm(&operands)).unwrap();
    let naive = largest_difference(&naive.to_dtype(case.dtype).unwrap(), &exact);
    let largest = exact.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    let (found, kernel) = computed(case, &operands, place);
    let error = largest_difference(&found, &exact);
    let most = 2.0 * naive + largest * 2_f64.powi(-21);
    prop_assert!(error <= most, "{kernel}: {error:e}, at most {most:e}");
    Ok(kernel)
}

fn cases() -> impl Strategy<Value = (Case, Place)> {
    let dtype = || prop_oneof![Just(DType::F32), Just(DType::BF16), Just(DType::F16)];
    let width = prop_oneof![1..=40_usize, (1..=70_usize).prop_map(|vectors| 8 * vectors), Just(1024), Just(2048)];
    (
        (1..=2_usize, 1..=3_usize, 1..=5_usize, width),
        (any::<bool>(), 0..4_usize, 0..3_usize),
        (dtype(), any::<bool>()),
        prop_oneof![Just(ALONE), Just(Place { before: 0, parts: 3 }), Just(Place { before: 1, parts: 2 })],
        0..1000_u64,
    )
        .prop_map(|((batch, frames, tokens, width), (layer, affine, then), (dtype, same), place, seed)| {
            // A rotation takes pairs.
            let width = if then == 2 { width.next_multiple_of(2) } else { width };
            let affine_dtype = if same { dtype } else { DType::F32 };
            (Case { batch, frames, tokens, width, layer, affine, then, dtype, affine_dtype, seed }, place)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_are_as_exact_as_the_definition((case, place) in cases()) {
        check(&case, place)?;
    }
}

/// One row more than one block takes, of each kernel and with teams of one warp and of several.
#[test]
fn every_kernel_normalises_wide_rows() {
    let wide = |dtype, width, tokens| Case {
        batch: 1,
        frames: 1,
        tokens,
        width,
        layer: true,
        affine: 3,
        then: 2,
        dtype,
        affine_dtype: DType::F32,
        seed: 7,
    };
    for (dtype, width, tokens, kernel) in [
        (DType::BF16, 8, 513, "norm_bf16_1"),
        (DType::BF16, 128, 33, "norm_bf16_1"),
        (DType::F16, 512, 9, "norm_f16_2"),
        (DType::F32, 512, 5, "norm_f32_4"),
        (DType::BF16, 2048, 5, "norm_bf16_8"),
        (DType::F32, 2048, 3, "norm_f32_8"),
        (DType::BF16, 4096, 3, "norm_bf16_8"),
        (DType::F16, 5000, 3, "norm_f16_8"),
        (DType::BF16, 16384, 2, "norm_bf16_8"),
        (DType::F32, 16384, 2, "norm_f32_8"),
        (DType::F32, 16388, 2, "norm_f32_looped"),
        (DType::F16, 4094, 2, "norm_f16_looped"),
    ] {
        assert_eq!(check(&wide(dtype, width, tokens), ALONE).unwrap(), kernel, "{dtype:?} {width}");
    }
}

/// A row has the same bits whatever other rows there are.
#[test]
fn other_rows_change_nothing() {
    for (dtype, width) in [(DType::BF16, 128), (DType::BF16, 60), (DType::F32, 2048), (DType::F16, 2048)] {
        let case = Case {
            batch: 2,
            frames: 1,
            tokens: 5,
            width,
            layer: false,
            affine: 1,
            then: 1,
            dtype,
            affine_dtype: dtype,
            seed: 3,
        };
        let operands = case.operands();
        let (all, _) = computed(&case, &operands, ALONE);
        let last = Operands { x: operands.x.narrow(0, 1, 1).unwrap().contiguous().unwrap(), ..operands };
        let (last, _) = computed(&Case { batch: 1, ..case }, &last, Place { before: 0, parts: 2 });
        assert!(values(&all.narrow(0, 1, 1).unwrap()) == values(&last), "{dtype:?} {width}");
    }
}
