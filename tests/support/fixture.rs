//! What tests share: golden fixtures, and comparison with a stated tolerance.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

/// A path from the root of the repository: where it was when this was compiled, or else, for tests that were carried to another machine, here.
pub fn repository(path: &str) -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR"));
    if built.is_dir() { built.join(path) } else { PathBuf::from(path) }
}

/// All tensors of `tests/fixtures/<path>`; a missing file fails the test.
pub fn fixture(path: &str) -> Fixture {
    let path = repository("tests/fixtures").join(path);
    let tensors = candle_core::safetensors::load(&path, &Device::Cpu)
        .unwrap_or_else(|problem| panic!("fixture {}: {problem}", path.display()));
    Fixture { tensors, path }
}

/// Named tensors of a reference implementation.
pub struct Fixture {
    tensors: HashMap<String, Tensor>,
    path: PathBuf,
}

impl Fixture {
    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("fixture {}: no tensor `{name}`", self.path.display())).clone()
    }

    /// All its values, row by row.
    pub fn values(&self, name: &str) -> Vec<f64> {
        values(&self.get(name))
    }
}

/// All values of a tensor, row by row.
pub fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Checks that the largest difference is at most `tolerance` times the largest expected magnitude. The tolerance comes with the reason for its size.
pub fn assert_close(name: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{name}: number of values");
    let largest = expected.iter().fold(0f64, |most, value| most.max(value.abs()));
    assert!(largest > 0.0, "{name}: the expected values are all zero, which compares nothing");
    let mut worst = (0, 0f64);
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(found.is_finite(), "{name}: value {index} is {found}");
        let difference = (found - expected).abs();
        if difference > worst.1 {
            worst = (index, difference);
        }
    }
    let (index, difference) = worst;
    println!("{name}: largest difference {:.2e} of the largest magnitude {largest:.4}", difference / largest);
    assert!(
        difference <= tolerance * largest,
        "{name}: value {index} is {}, expected {}: off by {difference:e}, allowed {:e}",
        found[index],
        expected[index],
        tolerance * largest
    );
}
