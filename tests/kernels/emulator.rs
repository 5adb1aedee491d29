//! The emulator itself: what it lets pass, what it finds, and its matrix instructions against the tables of the PTX manual.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};
use stir::backend::cuda::launch::Launch;

use crate::emulated::Emulated;
use crate::memory::Memory;
use crate::samples::{largest_difference, random, values};

/// `ExerciseParameters` of `emulator.cu`.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
struct ExerciseParameters {
    x: u64,
    other: u64,
    y: u64,
}

impl ExerciseParameters {
    fn launch(self, kernel: &'static str) -> Launch<Self> {
        Launch { kernel, grid: [1; 3], block: 32, shared_bytes: 0, parameters: self }
    }
}

fn exercises() -> Emulated {
    Emulated::file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernels/emulator.cu"))
}

fn refusal(launch: Launch<ExerciseParameters>) -> String {
    exercises().try_run(&launch).unwrap_err()
}

fn floats(values: &[f32]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

#[test]
fn a_barrier_that_not_all_reach_is_reported() {
    let launch = Launch { grid: [2, 1, 1], block: 64, ..ExerciseParameters::default().launch("half_a_barrier") };
    assert_eq!(
        refusal(launch),
        "half_a_barrier, block (0, 0, 0): no thread can go on\n  threads 0 to 31: waits for barrier 0\n  \
         threads 32 to 63: done\n  barrier 0: 32 of 64 threads came"
    );
}

#[test]
fn lanes_that_go_separate_ways_are_reported() {
    let y = Memory::poisoned(1, DType::F32);
    let parameters = ExerciseParameters { y: y.address(), ..Default::default() };
    let message = refusal(parameters.launch("divides_a_warp"));
    assert!(message.contains("a shuffle, while another thread of the same 32 is at the warp's lanes"), "{message}");
}

#[test]
fn a_missing_barrier_shows() {
    let expected: Vec<f64> = (0..64).map(|index| f64::from(index % 32 + 32)).collect();
    let results = |kernel| {
        let y = Memory::poisoned(64, DType::F32);
        let parameters = ExerciseParameters { y: y.address(), ..Default::default() };
        exercises().run(&Launch { grid: [2, 1, 1], block: 64, shared_bytes: 128, ..parameters.launch(kernel) });
        values(&y.tensor(64))
    };
    assert_eq!(results("passed_with_a_barrier"), expected);
    // Only the second block lets the second warp write before the first one reads.
    let found = results("passed_without_a_barrier");
    assert!(found[..32].iter().all(|value| value.is_nan()) && found[32..] == expected[32..], "{found:?}");
}

#[test]
fn a_copy_that_is_not_waited_for_leaves_poison() {
    let x = random(&[64], 1, DType::F32);
    let (read, written) = (Memory::of(&x), Memory::poisoned(256, DType::F32));
    let parameters = ExerciseParameters { x: read.address(), y: written.address(), ..Default::default() };
    exercises().run(&Launch { shared_bytes: 1024, ..parameters.launch("waits_for_one_of_two_copies") });
    let found = values(&written.tensor(256));
    assert_eq!(found[..64], values(&x));
    assert_eq!(found[64..128], [0.0; 64]);
    assert!(found[128..].iter().all(|value| value.is_nan()));
}

/// The first block copies as late as it may, the second at once.
#[test]
fn what_is_refilled_before_all_have_read_it_shows_in_the_second_block() {
    let x = random(&[256], 1, DType::F32);
    let read = Memory::of(&x);
    let results = |kernel| {
        let y = Memory::poisoned(64, DType::F32);
        let parameters = ExerciseParameters { x: read.address(), y: y.address(), ..Default::default() };
        exercises().run(&Launch { grid: [2, 1, 1], block: 64, shared_bytes: 512, ..parameters.launch(kernel) });
        values(&y.tensor(64))
    };
    let x = values(&x);
    assert_eq!(results("refills_after_a_barrier"), [&x[..32], &x[..32]].concat());
    assert_eq!(results("refills_without_a_barrier"), [&x[..32], &x[128..160]].concat());
}

#[test]
fn what_lies_beyond_shared_memory_is_not_touched_unseen() {
    let launch = |kernel| Launch { shared_bytes: 64, ..ExerciseParameters::default().launch(kernel) };
    assert_eq!(
        refusal(launch("writes_too_far")),
        "writes_too_far, block (0, 0, 0): wrote to shared memory 0 bytes beyond its end"
    );
    let expected =
        "copies_too_far, block (0, 0, 0), thread 4: the target of a copy: offset 64 of 64 bytes of shared memory";
    assert_eq!(refusal(launch("copies_too_far")), expected);
}

#[test]
fn launches_that_no_device_takes_are_refused() {
    let launch = ExerciseParameters::default().launch("half_a_barrier");
    assert!(refusal(Launch { block: 48, ..launch }).contains("with 48 threads"));
    assert!(refusal(Launch { block: 128, ..launch }).contains("a multiple of 32 up to 64"));
    assert!(refusal(Launch { grid: [1, 65536, 1], ..launch }).contains("grid of 1 x 65536 x 1"));
    assert!(refusal(Launch { shared_bytes: 1 << 20, ..launch }).contains("1048576 bytes"));
}

#[test]
fn lanes_of_a_warp_share_sums_and_maxima() {
    let x: Vec<f32> = (0..64).map(|index| (index * 7 % 64) as f32).collect();
    let (read, written) = (Memory::of(&floats(&x)), Memory::poisoned(128, DType::F32));
    let parameters = ExerciseParameters { x: read.address(), y: written.address(), ..Default::default() };
    exercises().run(&Launch { block: 64, ..parameters.launch("sums_and_maxima") });
    let found = written.tensor(128).to_vec1::<f32>().unwrap();
    for (warp, x) in x.chunks(32).enumerate() {
        let (sum, largest) = (x.iter().sum::<f32>(), x.iter().copied().fold(0.0, f32::max));
        assert_eq!(found[warp * 32..][..32], [sum; 32]);
        assert_eq!(found[64 + warp * 32..][..32], [largest; 32]);
    }
}

/// Rows of 16 bytes hold the numbers of their halves. The manual's figure for `.m8n8`: a lane gets a row's neighbours.
#[test]
fn matrices_are_loaded_as_the_manual_says() {
    let halves: Vec<bf16> = (0..256).map(bf16::from_bits).collect();
    let loaded = |kernel| {
        let x = Memory::of(&Tensor::new(halves.as_slice(), &Device::Cpu).unwrap());
        let y = Memory::poisoned(128, DType::U32);
        let parameters = ExerciseParameters { x: x.address(), y: y.address(), ..Default::default() };
        exercises().run(&Launch { shared_bytes: 512, ..parameters.launch(kernel) });
        y.tensor(128).to_vec1::<u32>().unwrap()
    };
    let pair = |low: u32, high: u32| low | high << 16;
    let plain = loaded("loads_matrices");
    // Lanes 0, 1, 4 and 31, matrices 0 to 3.
    assert_eq!(plain[..4], [pair(0, 1), pair(64, 65), pair(128, 129), pair(192, 193)]);
    assert_eq!(plain[4..8], [pair(2, 3), pair(66, 67), pair(130, 131), pair(194, 195)]);
    assert_eq!(plain[16..20], [pair(8, 9), pair(72, 73), pair(136, 137), pair(200, 201)]);
    assert_eq!(plain[124..], [pair(62, 63), pair(126, 127), pair(190, 191), pair(254, 255)]);
    let transposed = loaded("loads_transposed_matrices");
    assert_eq!(transposed[..4], [pair(0, 8), pair(64, 72), pair(128, 136), pair(192, 200)]);
    assert_eq!(transposed[4..8], [pair(16, 24), pair(80, 88), pair(144, 152), pair(208, 216)]);
    assert_eq!(transposed[16..20], [pair(1, 9), pair(65, 73), pair(129, 137), pair(193, 201)]);
    assert_eq!(transposed[124..], [pair(55, 63), pair(119, 127), pair(183, 191), pair(247, 255)]);
}

#[test]
fn products_of_matrices_are_plain_products() {
    for (kernel, dtype) in [("multiplies_bf16", DType::BF16), ("multiplies_f16", DType::F16)] {
        let (a, b) = (random(&[16, 16], 1, dtype), random(&[16, 8], 2, dtype));
        let c = random(&[16, 8], 3, DType::F32);
        let (x, other, y) = (Memory::of(&a), Memory::of(&b), Memory::of(&c));
        let parameters = ExerciseParameters { x: x.address(), other: other.address(), y: y.address() };
        exercises().run(&parameters.launch(kernel));
        let wide = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap();
        let exact = (wide(&a).matmul(&wide(&b)).unwrap() + wide(&c)).unwrap();
        assert!(largest_difference(&y.tensor((16, 8)), &values(&exact)) < 1e-5);
    }
}

/// All float16 and bfloat16 numbers, what lies halfway between neighbours, and next to it.
#[test]
fn rounding_is_that_of_the_standard() {
    let mut x = Vec::new();
    for bits in 0..=u16::MAX {
        for centre in [f32::from_bits(u32::from(bits) << 16), f16::from_bits(bits).to_f32()] {
            x.extend(
                [0, 1, 2, 0xFFF, 0x1000, 0x1001, 0x7FFF, 0x8000, 0x8001]
                    .map(|step| f32::from_bits(centre.to_bits().wrapping_add(step))),
            );
        }
    }
    x.resize(x.len().next_multiple_of(32), 0.0);
    let (read, written) = (Memory::of(&floats(&x)), Memory::poisoned(4 * x.len(), DType::F32));
    let parameters = ExerciseParameters { x: read.address(), y: written.address(), ..Default::default() };
    exercises().run(&Launch { grid: [x.len() as u32 / 32, 1, 1], ..parameters.launch("rounds") });
    let found = written.tensor(4 * x.len()).to_vec1::<f32>().unwrap();
    for (x, found) in x.iter().zip(found.chunks(4)) {
        let brain = bf16::from_f32(*x).to_f32();
        let half = f16::from_f32(*x).to_f32();
        for (found, expected) in found.iter().zip([brain, half, brain, half]) {
            assert!(found.to_bits() == expected.to_bits() || found.is_nan() && x.is_nan(), "{x}: {found}, {expected}");
        }
    }
}

#[test]
fn exponentials_are_exact_over_their_whole_range() {
    let mut x: Vec<f32> = (-87_000..=88_700).step_by(25).map(|step| step as f32 * 1e-3).collect();
    let inside = x.len();
    x.extend([f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30, 90.0, -105.0, f32::NAN]);
    x.resize(x.len().next_multiple_of(32), 0.0);
    let (read, written) = (Memory::of(&floats(&x)), Memory::poisoned(x.len(), DType::F32));
    let parameters = ExerciseParameters { x: read.address(), y: written.address(), ..Default::default() };
    exercises().run(&Launch { grid: [x.len() as u32 / 32, 1, 1], ..parameters.launch("exponentials") });
    let found = written.tensor(x.len()).to_vec1::<f32>().unwrap();
    for (x, found) in x.iter().zip(&found).take(inside) {
        let exact = f64::from(*x).exp();
        assert!((f64::from(*found) - exact).abs() <= exact * 2_f64.powi(-21), "{x}: {found}, {exact}");
    }
    assert_eq!(found[inside..inside + 6], [f32::INFINITY, 0.0, f32::INFINITY, 0.0, f32::INFINITY, 0.0]);
    assert!(found[inside + 6].is_nan());
}
