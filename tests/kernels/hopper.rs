//! Hopper's boxes, barriers and products of warpgroups in the emulator, against the tables of the PTX manual.

use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use stir::backend::cuda::attention::{HeadStrides, Heads};
use stir::backend::cuda::launch::{Element, Launch};
use stir::backend::cuda::tensor_map::{HeadsShape, TensorMap, TensorMapDescription};

use crate::emulated::Emulated;
use crate::memory::Memory;
use crate::samples::{random, values};

/// The tensor of all kernels: `[1, TOKENS, 2, 128]`.
const TOKENS: usize = 130;
const SHARED_BYTES: u32 = 3 * 8192 + 8;

/// `HopperParameters` of `hopper.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct HopperParameters {
    rows: TensorMap,
    columns: TensorMap,
    a: u64,
    y: u64,
    padding: [u64; 14],
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernels/hopper.cu")
}

/// What the emulator takes for a map: `Tensor` of `kernels/emulator/hopper.h`.
pub fn emulated_map(description: &TensorMapDescription) -> TensorMap {
    let TensorMapDescription { address, element, sizes, strides, box_sizes } = *description;
    let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let mut map = [0; 16];
    map[0] = address;
    map[1..5].copy_from_slice(&sizes);
    map[5..8].copy_from_slice(&strides);
    map[8] = pair(box_sizes[0], box_sizes[1]);
    map[9] = pair(box_sizes[2], box_sizes[3]);
    /// 128 bytes, as the driver numbers them.
    const SWIZZLE: u32 = 3;
    map[10] = pair(element.bytes() as u32, SWIZZLE);
    TensorMap(map)
}

struct Exercise {
    tensor: Tensor,
    memory: Memory,
    a: Memory,
}

impl Exercise {
    fn new(dtype: DType) -> Self {
        let tensor = random(&[TOKENS, 2, 128], 1, dtype);
        let a = Memory::of(&random(&[64, 16], 2, dtype));
        Self { memory: Memory::of(&tensor), tensor, a }
    }

    fn launch(&self, kernel: &'static str, y: &Memory) -> Launch<HopperParameters> {
        let strides = HeadStrides { batch: 0, token: 256, head: 128 };
        let heads = Heads { address: self.memory.address(), strides };
        let shape = HeadsShape { batch: 1, tokens: TOKENS, heads: 2, width: 128 };
        let element = Element::of(self.tensor.dtype()).unwrap();
        let map = |tokens| emulated_map(&TensorMapDescription::of_heads(&heads, element, shape, tokens).unwrap());
        let parameters = HopperParameters {
            rows: map(64),
            columns: map(128),
            a: self.a.address(),
            y: y.address(),
            padding: [0; 14],
        };
        Launch { kernel, grid: [1; 3], block: 128, shared_bytes: SHARED_BYTES, parameters }
    }

    fn try_run(&self, kernel: &'static str, y: &Memory) -> Result<(), String> {
        Emulated::file(&source()).try_run(&self.launch(kernel, y))
    }

    fn run(&self, kernel: &'static str, y: &Memory) {
        self.try_run(kernel, y).unwrap_or_else(|message| panic!("{message}"));
    }

    /// One value of the tensor.
    fn value(&self, token: usize, head: usize, column: usize) -> f64 {
        values(&self.tensor.get(token).unwrap().get(head).unwrap().get(column).unwrap())[0]
    }

    /// Tokens of a head, `[tokens, width]`, by the first of each and how many there are.
    fn matrix(&self, head: usize, tokens: (usize, usize), width: usize) -> Tensor {
        let head = self.tensor.narrow(1, head, 1).unwrap().squeeze(1).unwrap();
        head.narrow(0, tokens.0, tokens.1).unwrap().narrow(1, 0, width).unwrap().to_dtype(DType::F64).unwrap()
    }

    /// What a kernel that writes 64 rows of 128 sums computes.
    fn product(&self, kernel: &'static str) -> Vec<f64> {
        let y = Memory::poisoned(64 * 128, DType::F32);
        self.run(kernel, &y);
        values(&y.tensor((64, 128)))
    }
}

/// Sums of 64 products of values up to 2, in float32.
fn assert_close(found: &[f64], expected: &Tensor) {
    for (index, (found, expected)) in found.iter().zip(values(expected)).enumerate() {
        assert!((found - expected).abs() < 1e-4, "row {}, column {}: {found}, {expected}", index / 128, index % 128);
    }
}

#[test]
fn boxes_are_swizzled_and_end_in_zeros() {
    let exercise = Exercise::new(DType::BF16);
    let y = Memory::poisoned(64 * 64, DType::BF16);
    exercise.run("shows_a_box", &y);
    let found = values(&y.tensor((64, 64)));
    for row in 0..64 {
        for chunk in 0..8 {
            let place = chunk ^ (row % 8);
            for value in 0..8 {
                // The box begins two tokens before the first, at column 64 of head 1.
                let expected = if row < 2 { 0.0 } else { exercise.value(row - 2, 1, 64 + chunk * 8 + value) };
                assert_eq!(found[row * 64 + place * 8 + value], expected, "row {row}, chunk {chunk}");
            }
        }
    }
}

#[test]
fn boxes_are_not_there_before_they_are_waited_for() {
    let exercise = Exercise::new(DType::BF16);
    let y = Memory::poisoned(64 * 64, DType::BF16);
    exercise.run("shows_a_box_too_early", &y);
    assert!(values(&y.tensor(64 * 64)).iter().all(|value| value.is_nan()));
}

#[test]
fn a_phase_that_ended_before_says_nothing_of_the_next() {
    let exercise = Exercise::new(DType::BF16);
    let y = Memory::poisoned(64 * 64, DType::BF16);
    exercise.run("waits_for_the_phase_before", &y);
    // Still the box of the first head.
    assert_eq!(values(&y.tensor(64 * 64))[..8], values(&exercise.matrix(0, (0, 1), 8)));
}

#[test]
fn bytes_that_never_come_are_reported() {
    let exercise = Exercise::new(DType::BF16);
    let message = exercise.try_run("expects_more_than_a_box", &Memory::poisoned(64 * 64, DType::BF16)).unwrap_err();
    assert!(message.contains("waits for a barrier in shared memory at 8192"), "{message}");
}

#[test]
fn rows_are_multiplied_by_rows() {
    for (dtype, kernel) in [(DType::BF16, "multiplies_rows_bf16"), (DType::F16, "multiplies_rows_f16")] {
        let exercise = Exercise::new(dtype);
        let expected = exercise
            .matrix(0, (0, 64), 64)
            .matmul(&exercise.matrix(1, (0, 128), 64).t().unwrap().contiguous().unwrap());
        assert_close(&exercise.product(kernel), &expected.unwrap());
    }
}

#[test]
fn registers_are_multiplied_by_columns_and_added() {
    let exercise = Exercise::new(DType::BF16);
    let a = exercise.a.tensor((64, 16)).to_dtype(DType::F64).unwrap();
    let expected = (a.matmul(&exercise.matrix(1, (16, 16), 128).contiguous().unwrap()).unwrap() + 7.0).unwrap();
    assert_close(&exercise.product("multiplies_registers_bf16"), &expected);
}

#[test]
fn sums_have_not_changed_before_they_are_waited_for() {
    let found = Exercise::new(DType::BF16).product("reads_sums_too_early");
    assert!(found.iter().all(|sum| *sum == 7.0));
}

#[test]
fn what_is_overwritten_before_products_are_waited_for_shows() {
    let found = Exercise::new(DType::BF16).product("overwrites_rows_too_early");
    assert!(found.iter().all(|sum| *sum == 0.0));
}

/// The first block copies as late as it may, the second as early as it may.
#[test]
fn what_is_refilled_before_products_are_waited_for_shows_in_the_second_block() {
    let exercise = Exercise::new(DType::BF16);
    let y = Memory::poisoned(2 * 64 * 128, DType::F32);
    let launch = Launch { grid: [2, 1, 1], ..exercise.launch("refills_rows_too_early", &y) };
    Emulated::file(&source()).run(&launch);
    let found = values(&y.tensor((128, 128)));
    for (found, first_column) in found.chunks(64 * 128).zip([0, 64]) {
        let b = exercise.matrix(1, (0, 128), 128).narrow(1, first_column, 64).unwrap().contiguous().unwrap();
        assert_close(found, &exercise.matrix(0, (0, 64), 64).matmul(&b.t().unwrap()).unwrap());
    }
}

#[test]
fn products_have_to_begin() {
    let exercise = Exercise::new(DType::BF16);
    let y = Memory::poisoned(64 * 128, DType::F32);
    let message = exercise.try_run("does_not_begin_products", &y).unwrap_err();
    assert!(message.contains("a product without begin_products()"), "{message}");
}

/// The manual's table: start, leading and stride bytes divided by 16 at bits 0, 16 and 32; mode 1, 128 bytes, at bit 62.
#[test]
fn descriptors_are_the_manuals() {
    let y = Memory::poisoned(1, DType::I64);
    Exercise::new(DType::BF16).run("describes_a_matrix", &y);
    let found: Vec<i64> = y.tensor(1).to_vec1().unwrap();
    assert_eq!(found, [1 << 62 | 64 << 32 | 1408 << 16 | ((3072 + 32) / 16)]);
}
