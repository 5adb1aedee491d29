//! The image encoder against PyTorch.

use candle_core::Device;
use stir::models::sway::weights::Weights;

use crate::fixture::{assert_close, fixture, values};

/// float32 on both sides, summed in another order: measured 5e-7, on another vector unit it may be a few times that.
const TOLERANCE: f64 = 4e-6;

#[test]
fn logits_are_those_of_the_reference() {
    let reference = fixture("sway/encoder.safetensors");
    let network = Weights::embedded().unwrap().encoder(&Device::Cpu).unwrap();
    let logits = network.forward(&reference.get("picture")).unwrap();
    assert_eq!(logits.dims(), reference.get("logits").dims());
    assert_close("logits", &values(&logits), &reference.values("logits"), TOLERANCE);
}

#[test]
fn other_sides_than_multiples_of_16_are_refused() {
    let network = Weights::embedded().unwrap().encoder(&Device::Cpu).unwrap();
    let picture = candle_core::Tensor::zeros((1, 3, 96, 100), candle_core::DType::F32, &Device::Cpu).unwrap();
    assert!(network.forward(&picture).unwrap_err().to_string().contains("found 100x96"));
}
