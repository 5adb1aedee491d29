//! Checkpoints in one file and in several: what is read and what is refused.

use std::collections::HashMap;

use candle_core::quantized::{GgmlDType, QTensor, gguf_file};
use candle_core::{DType, Device, Tensor};
use stir::error::Error;
use stir::nn::projection::Projection;
use stir::weights::files::WeightFiles;
use stir::weights::keymap::KeyMap;
use stir::weights::store::{Placement, Store};

use crate::fixture::values;
use crate::scratch::Scratch;

fn vector(values: &[f32]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

fn write(scratch: &Scratch, file: &str, tensors: &[(&str, Tensor)]) {
    let tensors: HashMap<&str, Tensor> = tensors.iter().cloned().collect();
    candle_core::safetensors::save(&tensors, scratch.path(file)).unwrap();
}

fn write_index(scratch: &Scratch, places: &[(&str, &str)]) {
    let places: HashMap<&str, &str> = places.iter().copied().collect();
    let index = serde_json::json!({ "metadata": { "total_size": 8 }, "weight_map": places });
    std::fs::write(scratch.path("model.safetensors.index.json"), index.to_string()).unwrap();
}

fn store(files: &WeightFiles) -> Store<'_> {
    let placement = Placement { dtype: DType::F32, device: Device::Cpu };
    Store::open(files, KeyMap::IDENTITY, &placement).unwrap()
}

/// Opens the folder and reads its tensors' places, which is refused.
fn refusal(scratch: &Scratch) -> Error {
    let placement = Placement { dtype: DType::F32, device: Device::Cpu };
    let opened = WeightFiles::open(scratch.folder());
    let error = match &opened {
        Ok(files) => Store::open(files, KeyMap::IDENTITY, &placement).err().unwrap(),
        Err(_) => opened.unwrap_err(),
    };
    assert_eq!(error.exit_code(), 2, "{error}");
    error
}

fn two_shards(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    write(&scratch, "model-00001-of-00002.safetensors", &[("a", vector(&[1.0])), ("b", vector(&[2.0]))]);
    write(&scratch, "model-00002-of-00002.safetensors", &[("c", vector(&[3.0]))]);
    let [first, second] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    write_index(&scratch, &[("a", first), ("b", first), ("c", second)]);
    scratch
}

#[test]
fn shards_are_one_checkpoint() {
    let scratch = two_shards("shards");
    let files = WeightFiles::open(scratch.folder()).unwrap();
    let sharded = store(&files);
    for (name, value) in [("a", 1.0), ("b", 2.0), ("c", 3.0)] {
        assert_eq!(values(&sharded.take(name, &[1]).unwrap()), [value]);
    }
    sharded.finish().unwrap();
    let half = store(&files);
    half.take("a", &[1]).unwrap();
    assert!(half.finish().unwrap_err().to_string().ends_with("unknown tensors: b, c"));
}

#[test]
fn a_missing_shard_is_named() {
    let scratch = two_shards("shard-missing");
    std::fs::remove_file(scratch.path("model-00002-of-00002.safetensors")).unwrap();
    assert!(refusal(&scratch).to_string().contains("model-00002-of-00002.safetensors"));
}

#[test]
fn a_damaged_shard_is_named() {
    let scratch = two_shards("shard-damaged");
    std::fs::write(scratch.path("model-00002-of-00002.safetensors"), [1; 20]).unwrap();
    assert!(refusal(&scratch).to_string().contains("model-00002-of-00002.safetensors"));
}

#[test]
fn a_tensor_in_two_shards_is_named_with_both() {
    let scratch = two_shards("shard-twice");
    write(&scratch, "model-00002-of-00002.safetensors", &[("b", vector(&[5.0])), ("c", vector(&[3.0]))]);
    let message = refusal(&scratch).to_string();
    assert!(message.contains("`b`") && message.contains("00001") && message.contains("00002-of"), "{message}");
}

#[test]
fn an_index_must_fit_its_shards() {
    let [first, second] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let scratch = two_shards("index-misfit");
    let cases: [(&[(&str, &str)], &str); 3] = [
        (&[("a", first), ("b", first), ("c", second), ("d", second)], "`d`"),
        (&[("a", first), ("c", second)], "`b`"),
        (&[("a", first), ("b", second), ("c", second)], "`b`"),
    ];
    for (places, named) in cases {
        write_index(&scratch, places);
        let message = refusal(&scratch).to_string();
        assert!(message.contains(named), "{message}");
    }
}

#[test]
fn an_index_leads_to_files_beside_it_only() {
    let scratch = two_shards("index-outside");
    for file in ["../model.safetensors", "/etc/hostname", "..", "", "sub/model.safetensors"] {
        write_index(&scratch, &[("a", file)]);
        assert!(refusal(&scratch).to_string().contains("beside it"), "{file}");
    }
    for text in ["", "[]", "{}", r#"{"weight_map": {}}"#, r#"{"weight_map": {"a": 1}}"#] {
        std::fs::write(scratch.path("model.safetensors.index.json"), text).unwrap();
        assert!(refusal(&scratch).to_string().contains("index"), "{text}");
    }
}

#[test]
fn of_a_folder_the_usual_file_or_the_only_one_is_taken() {
    let scratch = Scratch::new("folder-files");
    assert!(refusal(&scratch).to_string().contains("found none"));
    write(&scratch, "anything.safetensors", &[("a", vector(&[1.0]))]);
    std::fs::write(scratch.path("config.json"), "{}").unwrap();
    let value = || values(&store(&WeightFiles::open(scratch.folder()).unwrap()).take("a", &[1]).unwrap());
    assert_eq!(value(), [1.0]);
    write(&scratch, "other.safetensors", &[("a", vector(&[2.0]))]);
    let message = refusal(&scratch).to_string();
    assert!(message.contains("anything.safetensors, other.safetensors"), "{message}");
    write(&scratch, "diffusion_pytorch_model.safetensors", &[("a", vector(&[3.0]))]);
    assert_eq!(value(), [3.0]);
    assert!(WeightFiles::open(&scratch.path("nowhere")).unwrap_err().to_string().contains("nowhere"));
}

#[test]
fn safetensors_metadata_is_read() {
    let scratch = Scratch::new("metadata");
    let metadata = HashMap::from([("config".to_owned(), "{}".to_owned())]);
    let bytes = safetensors::serialize([("a", vector(&[1.0]))], Some(metadata)).unwrap();
    std::fs::write(scratch.path("model.safetensors"), bytes).unwrap();
    assert_eq!(WeightFiles::open(scratch.folder()).unwrap().metadata().unwrap()["config"], "{}");
    let shards = two_shards("metadata-shards");
    assert!(WeightFiles::open(shards.folder()).unwrap().metadata().unwrap().is_empty());
}

/// A matrix and an input that float8 holds exactly.
fn matrix() -> Tensor {
    let values = (0..64).map(|index| [1.0f32, -0.5, 0.25, 2.0, -1.5][index % 5]).collect::<Vec<_>>();
    Tensor::from_vec(values, (2, 32), &Device::Cpu).unwrap()
}

fn project(files: &WeightFiles, dtype: DType) -> Tensor {
    let placement = Placement { dtype, device: Device::Cpu };
    let store = Store::open(files, KeyMap::IDENTITY, &placement).unwrap();
    let layer = Projection::load_with_bias(&store.root().at("layer"), 32, 2).unwrap();
    store.finish().unwrap();
    let x = Tensor::arange(0f32, 96.0, &Device::Cpu).unwrap().reshape((1, 3, 32)).unwrap();
    layer.forward(&x.to_dtype(dtype).unwrap()).unwrap()
}

#[test]
fn every_stored_type_projects_alike() {
    let scratch = Scratch::new("types");
    let bias = vector(&[0.5, -4.0]);
    let mut outputs = Vec::new();
    for dtype in [DType::F32, DType::F16, DType::BF16, DType::F8E4M3] {
        let tensors = [("layer.weight", matrix()), ("layer.bias", bias.clone())];
        write(&scratch, "model.safetensors", &tensors.map(|(name, tensor)| (name, tensor.to_dtype(dtype).unwrap())));
        outputs.push(project(&WeightFiles::open(scratch.folder()).unwrap(), DType::F32));
    }
    assert_eq!(outputs[0].dims(), [1, 3, 2]);
    for output in &outputs {
        assert_eq!(values(output), values(&outputs[0]));
    }
    let narrow = project(&WeightFiles::open(scratch.folder()).unwrap(), DType::BF16);
    assert_eq!(narrow.dtype(), DType::BF16);
}

/// [`matrix`] in float8, with a scale.
fn scaled_layer(scale: Tensor) -> Vec<(&'static str, Tensor)> {
    vec![
        ("layer.weight", matrix().to_dtype(DType::F8E4M3).unwrap()),
        ("layer.scale_weight", scale),
        ("layer.bias", vector(&[0.5, -4.0])),
    ]
}

#[test]
fn float8_is_multiplied_by_the_scale_beside_it() {
    let scratch = Scratch::new("scaled-float8");
    let mark = Tensor::zeros(0, DType::F32, &Device::Cpu).unwrap().to_dtype(DType::F8E4M3).unwrap();
    let scale = Tensor::new(1f32 / 3.0, &Device::Cpu).unwrap();
    let further = [("model.scaled_fp8", mark), ("layer.scale_input", vector(&[7.0]))];
    let expected = matrix().affine(f64::from(1f32 / 3.0), 0.0).unwrap();
    for (tensors, dtype) in [
        (scaled_layer(scale.clone()), DType::F32),
        (scaled_layer(scale.reshape(1).unwrap()), DType::BF16),
        ([scaled_layer(scale).as_slice(), &further].concat(), DType::BF16),
    ] {
        write(&scratch, "model.safetensors", &tensors);
        let files = WeightFiles::open(scratch.folder()).unwrap();
        let placement = Placement { dtype, device: Device::Cpu };
        let store = Store::open(&files, KeyMap::IDENTITY, &placement).unwrap();
        let rounded = expected.to_dtype(dtype).unwrap();
        assert_eq!(values(&store.take("layer.weight", &[2, 32]).unwrap()), values(&rounded));
        let rows = store.take_rows("layer.weight", [2, 32], &[1, 0]).unwrap();
        assert_eq!(values(&rows), [&values(&rounded)[32..], &values(&rounded)[..32]].concat());
        let found = project(&files, dtype);
        write(&scratch, "model.safetensors", &[("layer.weight", rounded), ("layer.bias", vector(&[0.5, -4.0]))]);
        assert_eq!(values(&found), values(&project(&WeightFiles::open(scratch.folder()).unwrap(), dtype)));
    }
}

#[test]
fn scales_that_scale_nothing_or_by_nothing_are_refused() {
    let scratch = Scratch::new("scaled-refused");
    for scale in [vector(&[1.0, 2.0]), vector(&[]), vector(&[f32::NAN]), vector(&[f32::INFINITY])] {
        write(&scratch, "model.safetensors", &scaled_layer(scale));
        let message = refusal(&scratch).to_string();
        assert!(message.contains("`layer.scale_weight`") && message.contains("one finite number"), "{message}");
    }
    let mut tensors = scaled_layer(vector(&[0.5]));
    tensors[0].1 = matrix();
    write(&scratch, "model.safetensors", &tensors);
    let files = WeightFiles::open(scratch.folder()).unwrap();
    let store = store(&files);
    store.take("layer.weight", &[2, 32]).unwrap();
    store.take("layer.bias", &[2]).unwrap();
    assert!(store.finish().unwrap_err().to_string().ends_with("unknown tensors: layer.scale_weight"));
}

fn write_gguf(path: &std::path::Path, kind: GgmlDType) {
    let weight = QTensor::quantize(&matrix(), kind).unwrap();
    let bias = QTensor::quantize(&vector(&[0.5, -4.0]), GgmlDType::F32).unwrap();
    let mut file = std::fs::File::create(path).unwrap();
    gguf_file::write(&mut file, &[], &[("layer.weight", &weight), ("layer.bias", &bias)]).unwrap();
}

/// With 8 bits a block's largest value has 127 steps: within 1 % of the largest output.
#[test]
fn quantized_weights_project_nearly_alike() {
    let scratch = Scratch::new("gguf");
    write(&scratch, "model.safetensors", &[("layer.weight", matrix()), ("layer.bias", vector(&[0.5, -4.0]))]);
    let dense = values(&project(&WeightFiles::open(scratch.folder()).unwrap(), DType::F32));
    for kind in [GgmlDType::F32, GgmlDType::F16, GgmlDType::BF16, GgmlDType::Q8_0] {
        write_gguf(&scratch.path("layer.gguf"), kind);
        let files = WeightFiles::open(&scratch.path("layer.gguf")).unwrap();
        let found = values(&project(&files, DType::F32));
        crate::fixture::assert_close(&format!("{kind:?}"), &found, &dense, 0.01);
        // Wanted as a plain tensor it is one.
        let plain = store(&files).take("layer.weight", &[2, 32]).unwrap();
        crate::fixture::assert_close("plain", &values(&plain), &values(&matrix()), 0.01);
    }
}

#[test]
fn a_cut_gguf_file_is_refused() {
    let scratch = Scratch::new("gguf-cut");
    write_gguf(&scratch.path("layer.gguf"), GgmlDType::Q8_0);
    let whole = std::fs::read(scratch.path("layer.gguf")).unwrap();
    std::fs::write(scratch.path("layer.gguf"), &whole[..40]).unwrap();
    assert!(refusal(&scratch).to_string().contains("layer.gguf"));
    std::fs::write(scratch.path("layer.gguf"), &whole[..whole.len() - 60]).unwrap();
    let files = WeightFiles::open(scratch.folder()).unwrap();
    let store = store(&files);
    let taken = ["layer.weight", "layer.bias"].map(|name| store.shape(name).map(|shape| store.take(name, &shape)));
    let refused = taken.into_iter().flatten().filter_map(Result::err).next().unwrap();
    assert_eq!(refused.exit_code(), 2);
}

#[test]
fn rows_of_a_matrix_are_read_alone() {
    let scratch = Scratch::new("rows");
    let all = Tensor::arange(0f32, 128.0, &Device::Cpu).unwrap().reshape((4, 32)).unwrap();
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        write(&scratch, "model.safetensors", &[("table", all.to_dtype(dtype).unwrap())]);
        let files = WeightFiles::open(scratch.folder()).unwrap();
        let store = store(&files);
        let rows = store.take_rows("table", [4, 32], &[3, 0, 3]).unwrap();
        let expected = all.index_select(&Tensor::new(&[3u32, 0, 3], &Device::Cpu).unwrap(), 0).unwrap();
        assert_eq!(values(&rows), values(&expected));
        assert!(store.take_rows("table", [4, 32], &[4]).unwrap_err().to_string().contains("row 4"));
        assert!(store.take_rows("table", [5, 32], &[0]).is_err());
    }
}

#[test]
fn what_is_ignored_is_accounted_for() {
    let scratch = Scratch::new("ignored");
    write(&scratch, "model.safetensors", &[("a", vector(&[1.0]))]);
    let files = WeightFiles::open(scratch.folder()).unwrap();
    let store = store(&files);
    assert!(store.ignore("a") && !store.ignore("b"));
    store.finish().unwrap();
}
