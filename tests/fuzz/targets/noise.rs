//! Safetensors files: any bytes are noise of exactly the wanted shapes or refused, and no checkpoint loads half.

use candle_core::{DType, Device};
use stir::pipeline::latent_file::noise_from_bytes;
use stir::weights::keymap::KeyMap;
use stir::weights::store::{Placement, Store};

/// One input.
pub fn run(bytes: &[u8]) {
    let shapes = [("latents", vec![1, 2, 3]), ("control", vec![2])].into();
    if let Ok(noise) = noise_from_bytes(bytes, &shapes, "fuzzed noise") {
        for (part, shape) in &shapes {
            let tensor = &noise.parts[part];
            assert_eq!(tensor.dims(), shape);
            let values = tensor.flatten_all().and_then(|tensor| tensor.to_vec1::<f32>());
            assert!(values.expect("noise is float32").iter().all(|value| value.is_finite()));
        }
    }
    let placement = Placement { dtype: DType::F32, device: Device::Cpu };
    if let Ok(store) = Store::new("fuzzed weights", bytes, KeyMap::IDENTITY, &placement) {
        if let Ok(tensor) = store.take("noise", &[1, 2, 3]) {
            assert_eq!(tensor.dtype(), DType::F32);
            let _ = store.root().at("noise").take("control", &[2]);
        }
        let _ = store.finish();
    }
}
