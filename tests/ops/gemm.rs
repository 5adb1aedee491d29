//! Matrix products against their definition in float64, on every instruction set of this machine.

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use stir::ops::gemm::{
    Epilogue, Gate, Kernels, PackedWeight, StoredWeight, WeightBytes, definition, gemm, gemm_stored_with,
};

/// Normally distributed values; the type's rounding included, so that a float64 copy is exact.
fn random(shape: &[usize], seed: u64, dtype: DType) -> Tensor {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 24) as f32
    };
    let normal = (0..shape.iter().product()).map(|_| (0..4).map(|_| uniform() - 0.5).sum::<f32>() * 1.7);
    let values: Vec<f32> = normal.collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Bits of the values.
fn bits(tensor: &Tensor) -> Vec<u32> {
    let values: Vec<f32> = tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

fn largest_difference(a: &Tensor, b: &[f64]) -> f64 {
    let a = values(a);
    assert_eq!(a.len(), b.len());
    let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(a.iter().all(|value| value.is_finite()));
    worst
}

/// A product with everything that can be chosen.
#[derive(Debug, Clone)]
struct Case {
    rows: usize,
    outputs: usize,
    inputs: usize,
    x: DType,
    weight: DType,
    output: DType,
    with_bias: bool,
    epilogue: usize,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let wide = prop_oneof![Just(DType::F32), Just(DType::BF16), Just(DType::F16)];
    let output = prop_oneof![Just(DType::F32), Just(DType::BF16)];
    (
        (1..=70_usize, 1..=130_usize, 1..=200_usize),
        (wide.clone(), wide, output),
        (any::<bool>(), 0..5_usize),
        0..1000_u64,
    )
        .prop_map(|((rows, outputs, inputs), (x, weight, output), (with_bias, epilogue), seed)| Case {
            rows,
            outputs,
            inputs,
            x,
            weight,
            output,
            with_bias,
            epilogue,
            seed,
        })
}

/// What a case is computed from.
struct Operands {
    x: Tensor,
    weight: Tensor,
    bias: Option<Tensor>,
    residual: Tensor,
    gate: Gate,
}

impl Case {
    fn operands(&self) -> Operands {
        let factors = random(&[2, self.outputs], self.seed + 1, DType::F32);
        Operands {
            x: random(&[self.rows, self.inputs], self.seed + 2, self.x),
            weight: random(&[self.outputs, self.inputs], self.seed + 3, self.weight),
            bias: self.with_bias.then(|| random(&[self.outputs], self.seed + 4, DType::F32)),
            residual: random(&[self.rows, self.outputs], self.seed + 5, self.output),
            gate: Gate::new(&factors, &[0, self.rows / 3]).unwrap(),
        }
    }

    fn epilogue<'a>(&self, residual: &'a Tensor, gate: &'a Gate) -> Epilogue<'a> {
        let gated = Epilogue::Residual { residual, gate };
        [Epilogue::None, Epilogue::Gelu, Epilogue::Silu, Epilogue::Sum(residual), gated][self.epilogue]
    }

    /// By the definition, computed in `dtype`.
    fn defined(&self, operands: &Operands, dtype: DType) -> Tensor {
        let convert = |tensor: &Tensor| tensor.to_dtype(dtype).unwrap();
        let residual = convert(&operands.residual);
        let bias = operands.bias.as_ref().map(convert);
        let epilogue = self.epilogue(&residual, &operands.gate);
        definition(&convert(&operands.x), &convert(&operands.weight), bias.as_ref(), epilogue).unwrap()
    }

    fn computed(&self, operands: &Operands, kernels: &'static Kernels) -> Tensor {
        let weight = PackedWeight::with_kernels(&operands.weight, operands.bias.as_ref(), kernels).unwrap();
        gemm(&operands.x, &weight, self.epilogue(&operands.residual, &operands.gate), self.output).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// At most twice the error of the definition in float32 (rounded to the result's type), plus 2^-22 of the largest sum of products: both
    /// round as often, but candle's product has several accumulators, and a lucky small case has no error at all.
    #[test]
    fn every_instruction_set_is_as_exact_as_the_definition(case in cases()) {
        let operands = case.operands();
        let exact = values(&case.defined(&operands, DType::F64));
        let naive = case.defined(&operands, DType::F32).to_dtype(case.output).unwrap();
        let naive = largest_difference(&naive, &exact);
        let magnitude = {
            let absolute = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap().abs().unwrap();
            let sums = definition(&absolute(&operands.x), &absolute(&operands.weight), None, Epilogue::None).unwrap();
            values(&sums).into_iter().fold(0.0, f64::max)
        };
        for kernels in Kernels::available() {
            let found = case.computed(&operands, kernels);
            prop_assert_eq!(found.dtype(), case.output);
            prop_assert_eq!(found.dims(), [case.rows, case.outputs]);
            let error = largest_difference(&found, &exact);
            let allowed = 2.0 * naive + magnitude * 2_f64.powi(-22);
            prop_assert!(error <= allowed, "{}: {error:e}, allowed {allowed:e}", kernels.name());
        }
    }
}

/// The values as a file has them.
fn bytes_of(tensor: &Tensor) -> Vec<u8> {
    let values: Vec<f32> = tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    match tensor.dtype() {
        DType::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        DType::BF16 => values.iter().flat_map(|value| half::bf16::from_f32(*value).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|value| half::f16::from_f32(*value).to_le_bytes()).collect(),
    }
}

/// Every instruction set by every pair of types.
fn each_combination(mut check: impl FnMut(&'static Kernels, DType, DType)) {
    for kernels in Kernels::available() {
        for x in [DType::F32, DType::BF16] {
            for weight in [DType::F32, DType::BF16, DType::F16] {
                check(kernels, x, weight);
            }
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    each_combination(|kernels, x, weight| {
        let (x, weight) = (random(&[200, 301], 1, x), random(&[333, 301], 2, weight));
        let weight = PackedWeight::with_kernels(&weight, None, kernels).unwrap();
        let with_threads = |count| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
            pool.install(|| bits(&gemm(&x, &weight, Epilogue::Gelu, DType::F32).unwrap()))
        };
        let one = with_threads(1);
        assert!(one == with_threads(2) && one == with_threads(5), "{}", kernels.name());
    });
}

/// So many rows that they are packed in several parts, and so many inputs that panels are gone through in several parts.
#[test]
fn a_row_is_the_same_alone_and_among_others() {
    each_combination(|kernels, x, weight| {
        let (x, weight) = (random(&[410, 6150], 3, x), random(&[19, 6150], 4, weight));
        let weight = PackedWeight::with_kernels(&weight, None, kernels).unwrap();
        let all = gemm(&x, &weight, Epilogue::Silu, DType::F32).unwrap();
        for row in [0, 1, 130, 333, 400, 409] {
            let alone = gemm(&x.narrow(0, row, 1).unwrap(), &weight, Epilogue::Silu, DType::F32).unwrap();
            assert!(bits(&alone) == bits(&all.narrow(0, row, 1).unwrap()), "{}, row {row}", kernels.name());
        }
    });
}

#[test]
fn widened_weights_give_the_bits_of_float32_weights() {
    let x = random(&[37, 211], 5, DType::F32);
    for kernels in Kernels::available() {
        for dtype in [DType::BF16, DType::F16] {
            let narrow = random(&[101, 211], 6, dtype);
            let wide = narrow.to_dtype(DType::F32).unwrap();
            let product = |weight: &Tensor| {
                let weight = PackedWeight::with_kernels(weight, None, kernels).unwrap();
                bits(&gemm(&x, &weight, Epilogue::None, DType::F32).unwrap())
            };
            assert!(product(&narrow) == product(&wide), "{}, {dtype:?}", kernels.name());
        }
    }
}

/// Every float8 (e4m3) but the two that are no number, by candle's own conversion.
#[test]
fn small_types_are_packed_without_a_change() {
    let bytes: Vec<u8> = (0..=255).map(|bits| if bits & 0x7f == 0x7f { 0 } else { bits }).collect();
    let float8 = Tensor::from_raw_buffer(&bytes, DType::F8E4M3, &[16, 16], &Device::Cpu).unwrap();
    let x = Tensor::eye(16, DType::F32, &Device::Cpu).unwrap();
    let product = |packed: PackedWeight| values(&gemm(&x, &packed, Epilogue::None, DType::F32).unwrap());
    let of_bytes = |dtype, bytes: &[u8]| {
        product(PackedWeight::from_bytes(&WeightBytes { dtype, bytes, shape: [16, 16] }, None).unwrap())
    };
    let wide = float8.to_dtype(DType::F32).unwrap();
    let expected = values(&wide.t().unwrap());
    assert_eq!(of_bytes(DType::F8E4M3, &bytes), expected);
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        let bytes = bytes_of(&wide.to_dtype(dtype).unwrap());
        // At an even and at an odd address.
        let shifted = [&[0, 0][..], &bytes].concat();
        let odd = if shifted.as_ptr().addr().is_multiple_of(2) { 1 } else { 2 };
        let mut moved = shifted.clone();
        moved.copy_within(2.., odd);
        assert_eq!(of_bytes(dtype, &bytes), expected, "{dtype:?}");
        assert_eq!(of_bytes(dtype, &moved[odd..odd + bytes.len()]), expected, "{dtype:?}");
    }
    let short = WeightBytes { dtype: DType::BF16, bytes: &[0; 6], shape: [2, 2] };
    assert!(PackedWeight::from_bytes(&short, None).unwrap_err().to_string().contains("wanted 8 bytes, found 6"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// In every combination of types, with odd and even K, and more rows than are taken at a time.
    #[test]
    fn a_weight_where_it_is_stored_gives_the_bits_of_a_packed_one(
        rows in prop_oneof![1..=140_usize, 505..=530_usize],
        (outputs, inputs) in (1..=130_usize, prop_oneof![1..=90_usize, 2040..=2110_usize]),
        seed in 0..1000_u64,
    ) {
        each_combination(|kernels, x_type, weight_type| {
            let x = random(&[rows, inputs], seed + 1, x_type);
            let weight = random(&[outputs, inputs], seed + 2, weight_type);
            let bytes = bytes_of(&weight);
            let residual = random(&[rows, outputs], seed + 3, DType::BF16);
            let packed = PackedWeight::with_kernels(&weight, None, kernels).unwrap();
            let weight = WeightBytes { dtype: weight_type, bytes: &bytes, shape: [outputs, inputs] };
            let epilogue = Epilogue::Sum(&residual);
            let found = gemm_stored_with(&x, &StoredWeight { weight, kernels }, epilogue, DType::BF16).unwrap();
            assert!(bits(&found) == bits(&gemm(&x, &packed, epilogue, DType::BF16).unwrap()), "{}", kernels.name());
        });
    }
}

#[test]
fn blocks_are_multiplied_as_what_they_stand_for() {
    let (x, weight) = (random(&[5, 512], 20, DType::F32), random(&[101, 512], 21, DType::F32));
    let bias = random(&[101], 22, DType::F32);
    for kind in [GgmlDType::Q8_0, GgmlDType::Q4K, GgmlDType::Q5_1] {
        let blocks = QTensor::quantize(&weight, kind).unwrap();
        let wide = blocks.dequantize(&Device::Cpu).unwrap();
        for dtype in [DType::F32, DType::BF16] {
            let (x, wide) = (x.to_dtype(dtype).unwrap(), wide.to_dtype(dtype).unwrap());
            let product = |packed: PackedWeight| bits(&gemm(&x, &packed, Epilogue::None, DType::F32).unwrap());
            let expected = product(PackedWeight::new(&wide, Some(&bias)).unwrap());
            let packed = PackedWeight::from_blocks(&blocks, Some(&bias), dtype).unwrap();
            assert!(product(packed) == expected, "{kind:?} {dtype:?}");
        }
    }
}

#[test]
fn a_float16_result_is_the_float32_one_rounded() {
    let x = random(&[9, 33], 23, DType::F16);
    let weight = PackedWeight::new(&random(&[7, 33], 24, DType::F16), None).unwrap();
    let residual = random(&[9, 7], 25, DType::F16);
    let gate = Gate::new(&random(&[1, 7], 26, DType::F32), &[0]).unwrap();
    let product = |residual: &Tensor, output| {
        gemm(&x, &weight, Epilogue::Residual { residual, gate: &gate }, output).unwrap().to_dtype(DType::F16).unwrap()
    };
    let wide = product(&residual.to_dtype(DType::F32).unwrap(), DType::F32);
    assert!(bits(&product(&residual, DType::F16)) == bits(&wide));
    let sum = |residual: &Tensor, output| gemm(&x, &weight, Epilogue::Sum(residual), output).unwrap();
    let wide = sum(&residual.to_dtype(DType::F32).unwrap(), DType::F32).to_dtype(DType::F16).unwrap();
    assert!(bits(&sum(&residual, DType::F16)) == bits(&wide));
}

#[test]
fn instruction_sets_with_fused_multiply_add_agree_in_every_bit() {
    let (x, weight) = (random(&[45, 1300], 7, DType::F32), random(&[99, 1300], 8, DType::F32));
    let bias = random(&[99], 9, DType::F32);
    let fused = Kernels::available().filter(|kernels| kernels.name() != "portable");
    let products: Vec<Vec<u32>> = fused
        .map(|kernels| {
            let weight = PackedWeight::with_kernels(&weight, Some(&bias), kernels).unwrap();
            bits(&gemm(&x, &weight, Epilogue::Gelu, DType::F32).unwrap())
        })
        .collect();
    assert!(products.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn what_is_not_a_number_stays_in_its_row_and_its_column() {
    each_combination(|kernels, x_type, weight_type| {
        let place = |shape: [usize; 2], at: [usize; 2], value: f32| {
            let mut values = vec![1_f32; shape[0] * shape[1]];
            values[at[0] * shape[1] + at[1]] = value;
            Tensor::from_vec(values, &shape, &Device::Cpu).unwrap()
        };
        let x = place([11, 7], [4, 6], f32::NAN).to_dtype(x_type).unwrap();
        let weight = place([50, 7], [49, 2], f32::INFINITY).to_dtype(weight_type).unwrap();
        let weight = PackedWeight::with_kernels(&weight, None, kernels).unwrap();
        for output in [DType::F32, DType::BF16] {
            let y = values(&gemm(&x, &weight, Epilogue::None, output).unwrap());
            for (index, &value) in y.iter().enumerate() {
                let right = match (index / 50, index % 50) {
                    (4, _) => value.is_nan(),
                    (_, 49) => value == f64::INFINITY,
                    _ => value == 7.0,
                };
                assert!(right, "{}: {value} at {index}", kernels.name());
            }
        }
    });
}

#[test]
fn a_gate_follows_its_ranges_of_rows() {
    let x = Tensor::ones((5, 1), DType::F32, &Device::Cpu).unwrap();
    let weight = PackedWeight::new(&Tensor::ones((2, 1), DType::F32, &Device::Cpu).unwrap(), None).unwrap();
    let gate = Tensor::new(&[[1_f32, 2.0], [3.0, 4.0], [5.0, 6.0]], &Device::Cpu).unwrap();
    let gate = Gate::new(&gate, &[0, 2, 4]).unwrap();
    let residual = Tensor::full(10_f32, (5, 2), &Device::Cpu).unwrap();
    let epilogue = Epilogue::Residual { residual: &residual, gate: &gate };
    let y = gemm(&x, &weight, epilogue, DType::F32).unwrap();
    assert_eq!(values(&y), [11.0, 12.0, 11.0, 12.0, 13.0, 14.0, 13.0, 14.0, 15.0, 16.0]);
}

#[test]
fn leading_axes_are_kept_and_parts_of_tensors_are_read_in_place() {
    let whole = random(&[2, 3, 12], 10, DType::BF16);
    let x = whole.narrow(2, 5, 4).unwrap();
    let weight = random(&[4, 9], 11, DType::BF16).t().unwrap().narrow(1, 1, 3).unwrap();
    let weight = weight.narrow(0, 2, 7).unwrap().t().unwrap();
    let weight = weight.narrow(1, 0, 4).unwrap();
    let packed = PackedWeight::new(&weight, None).unwrap();
    assert_eq!([packed.outputs(), packed.inputs()], [3, 4]);
    let y = gemm(&x, &packed, Epilogue::None, DType::F32).unwrap();
    assert_eq!(y.dims(), [2, 3, 3]);
    let wide = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap();
    let exact = definition(&wide(&x), &wide(&weight), None, Epilogue::None).unwrap();
    assert!(largest_difference(&y, &values(&exact)) < 1e-5);
}

#[test]
fn nothing_in_gives_the_bias_and_no_rows_give_none() {
    let empty = |shape: (usize, usize)| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let bias = Tensor::new(&[1_f32, -2.0], &Device::Cpu).unwrap();
    let weight = PackedWeight::new(&empty((2, 0)), Some(&bias)).unwrap();
    let y = gemm(&empty((3, 0)), &weight, Epilogue::None, DType::F32).unwrap();
    assert_eq!(values(&y), [1.0, -2.0, 1.0, -2.0, 1.0, -2.0]);
    let weight = PackedWeight::new(&empty((2, 4)), Some(&bias)).unwrap();
    assert_eq!(gemm(&empty((0, 4)), &weight, Epilogue::None, DType::BF16).unwrap().dims(), [0, 2]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let weight = random(&[4, 6], 12, DType::F32);
    let bias = random(&[5], 13, DType::F32);
    let message = |result: stir::error::Result<Tensor>| result.unwrap_err().to_string();
    let packing = |weight: &Tensor, bias| PackedWeight::new(weight, bias).map(|_| weight.clone());
    assert!(message(packing(&weight, Some(&bias))).contains("wanted shape [4], found [5]"));
    assert!(message(packing(&weight.to_dtype(DType::F64).unwrap(), None)).contains("found F64"));
    assert!(message(packing(&weight.flatten_all().unwrap(), None)).contains("wanted shape [N, K]"));
    let packed = PackedWeight::new(&weight, None).unwrap();
    let x = random(&[2, 6], 14, DType::F32);
    let product = |x: &Tensor, epilogue, output| message(gemm(x, &packed, epilogue, output));
    assert!(product(&random(&[2, 5], 15, DType::F32), Epilogue::None, DType::F32).contains("wanted shape [..., 6]"));
    assert!(product(&x, Epilogue::None, DType::F64).contains("wanted type F32, BF16 or F16, found F64"));
    let gate = Gate::new(&random(&[1, 3], 16, DType::F32), &[0]).unwrap();
    let residual = random(&[2, 4], 17, DType::F32);
    let gated = Epilogue::Residual { residual: &residual, gate: &gate };
    assert!(product(&x, gated, DType::F32).contains("wanted 4 columns, found 3"));
    assert!(product(&x, gated, DType::BF16).contains("F32 [2, 4]"));
    assert!(Gate::new(&random(&[2, 4], 18, DType::F32), &[1, 2]).is_err());
    assert!(Gate::new(&random(&[2, 4], 19, DType::F32), &[0, 2, 3]).is_err());
}
