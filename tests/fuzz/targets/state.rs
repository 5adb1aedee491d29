//! States of runs: any bytes are latents of exactly the wanted shapes, with a record that says where they belong, or refused.

use candle_core::Tensor;
use stir::cli::config::Config;
use stir::pipeline::state::{StateRecord, point_of, record_of};

/// One input.
pub fn run(bytes: &[u8]) {
    const NAME: &str = "fuzzed state";
    let Ok(record) = record_of(bytes, NAME) else { return };
    assert!(record.clip <= record.count);
    assert_eq!(StateRecord::parse(&record.to_json(), NAME).expect("a record that was read"), record);
    record.describe();
    if let Ok(config) = Config::of_object(&record.request, NAME) {
        assert!(config.arguments().count() >= config.settings.iter().filter(|one| !one.arguments.is_empty()).count());
    }
    let shapes = [("latents", vec![1, 2, 3]), ("control", vec![2])].into();
    for with_start in [false, true] {
        let Ok(point) = point_of(bytes, &record, (&shapes, with_start), NAME) else { continue };
        assert_eq!(point.start.is_some(), with_start);
        for latents in [Some(point.latents), point.start].into_iter().flatten() {
            for (part, shape) in &shapes {
                let tensor = &latents.parts[part];
                assert_eq!(tensor.dims(), shape);
                let values = tensor.flatten_all().and_then(|tensor: Tensor| tensor.to_vec1::<f32>());
                assert!(values.expect("latents are float32").iter().all(|value| value.is_finite()));
            }
        }
    }
}
