//! A checkpoint is data: nothing in it runs, no name in it leads out of its folder, and no size in it is believed before it is checked.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stir::models::ltx::checkpoint::{Checkpoint, Files};
use stir::models::ltx::text::tokenizer::Tokenizer;
use stir::models::{self, ModelRequest};
use stir::weights::files::WeightFiles;

use crate::ltx_layouts::{Model, folder, save, single_file};
use crate::scratch::Scratch;

/// Nothing that is refused is read, laid out or allocated first.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The message and the hint of what `open` refuses at once.
#[track_caller]
fn refusal<T>(open: impl FnOnce() -> stir::error::Result<T>) -> String {
    let start = Instant::now();
    let Err(error) = open() else { panic!("it is refused") };
    assert!(start.elapsed() < AT_ONCE, "after {:?}: {error}", start.elapsed());
    assert_eq!(error.exit_code(), 2, "{error}");
    format!("{error} ({})", error.hint())
}

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

fn checkpoint(path: impl AsRef<Path>) -> stir::error::Result<Checkpoint> {
    Checkpoint::open(&Files { model: path.as_ref().to_owned(), ..Files::default() })
}

fn tensors(path: &Path) -> stir::error::Result<usize> {
    Ok(WeightFiles::open(path)?.tensors()?.len())
}

fn change(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut json: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    change(&mut json);
    std::fs::write(path, json.to_string()).unwrap();
}

#[test]
fn pickle_files_are_refused_with_the_reason_and_the_way_out() {
    let said = ["a pickle file: a program that runs when it is read", "fetch the model's .safetensors file"];
    let scratch = Scratch::new("pickle");
    for (name, content) in [("old.ckpt", &b"\x80\x02}q\0."[..]), ("new.pt", b"PK\x03\x04\x14\0"), ("none.pth", b"")] {
        std::fs::write(scratch.path(name), content).unwrap();
        let path = scratch.path(name).display().to_string();
        assert_says(&refusal(|| models::check(&ModelRequest::named(path))), &said);
    }
    // By its content where the name says something else.
    std::fs::write(scratch.path("renamed.safetensors"), b"PK\x03\x04\x14\0\0\0\0\0archive/data.pkl").unwrap();
    assert_says(&refusal(|| tensors(&scratch.path("renamed.safetensors"))), &said);
    // As repositories have them that were made before safetensors were.
    let diffusers = folder("pickle-folder", &Model::new("0.9.5"));
    for part in ["transformer", "vae", "text_encoder"] {
        let weights = if part == "text_encoder" { "model" } else { "diffusion_pytorch_model" };
        let whole = diffusers.path(part).join(weights).with_extension("safetensors");
        std::fs::rename(&whole, whole.with_extension("bin")).unwrap();
        assert_says(&refusal(|| checkpoint(diffusers.folder())), &said);
        std::fs::rename(whole.with_extension("bin"), whole).unwrap();
    }
    checkpoint(diffusers.folder()).unwrap();
}

/// Which folders are opened is stir's own knowledge; what the index says of them is not followed.
#[test]
fn names_in_a_model_index_lead_nowhere() {
    let scratch = folder("model-index-away", &Model::new("0.9.5"));
    change(&scratch.path("model_index.json"), |index| {
        for part in ["transformer", "vae", "text_encoder", "tokenizer", "scheduler"] {
            index[part] = json!(["../../elsewhere", "/etc"]);
        }
        index["_name_or_path"] = json!("/elsewhere");
        index["../transformer"] = json!(["diffusers", "LTXVideoTransformer3DModel"]);
    });
    checkpoint(scratch.folder()).unwrap();
    std::fs::rename(scratch.path("transformer"), scratch.path("elsewhere")).unwrap();
    change(&scratch.path("model_index.json"), |index| index["transformer"] = json!(["elsewhere", "elsewhere"]));
    assert_says(&refusal(|| checkpoint(scratch.folder())), &["the folder `transformer`", "no such folder"]);
}

/// Links are no names in a checkpoint: the hub's cache consists of them.
#[cfg(unix)]
#[test]
fn links_that_are_on_the_disk_are_followed() {
    let (scratch, elsewhere) = (Scratch::new("links"), Scratch::new("links-elsewhere"));
    std::fs::write(elsewhere.path("content"), b"\x02\0\0\0\0\0\0\0{}").unwrap();
    std::os::unix::fs::symlink(elsewhere.path("content"), scratch.path("model.safetensors")).unwrap();
    assert_eq!(tensors(scratch.folder()).unwrap(), 0);
}

#[test]
fn sizes_that_no_network_has_are_refused_by_name() {
    let scratch = folder("absurd-sizes", &Model::new("0.9.5"));
    let huge = 1u64 << 40;
    let billion = 1_000_000_000;
    for (file, fields, said) in [
        ("transformer/config.json", json!({"num_layers": billion}), &["`num_layers`", "1 to 1024", "1000000000"][..]),
        ("transformer/config.json", json!({"in_channels": huge, "out_channels": huge}), &["`in_channels`", "1099511"]),
        ("transformer/config.json", json!({"num_attention_heads": 0}), &["`num_attention_heads`", "found 0"]),
        (
            "transformer/config.json",
            json!({"num_attention_heads": 1 << 20, "attention_head_dim": 1 << 20, "cross_attention_dim": huge}),
            &["`num_attention_heads`", "1048576 heads"],
        ),
        ("vae/config.json", json!({"latent_channels": huge}), &["`latent_channels`", "1099511627776"]),
        ("vae/config.json", json!({"patch_size": 1u64 << 32}), &["`patch_size`", "1 to 64"]),
        ("vae/config.json", json!({"layers_per_block": [1, 1, 1, 1, billion]}), &["`layers_per_block`", "1000000000"]),
        ("vae/config.json", json!({"decoder_block_out_channels": [8, huge, 16]}), &["`decoder_block_out_channels`"]),
        ("text_encoder/config.json", json!({"num_layers": billion}), &["layers above 1024", "1000000000"]),
        ("text_encoder/config.json", json!({"vocab_size": huge}), &["sizes above 1048576"]),
        ("text_encoder/config.json", json!({"relative_attention_num_buckets": 1u64 << 62}), &["sizes above 1048576"]),
    ] {
        let before = std::fs::read(scratch.path(file)).unwrap();
        change(&scratch.path(file), |config| {
            for (name, value) in fields.as_object().unwrap() {
                config[name] = value.clone();
            }
        });
        assert_says(&refusal(|| checkpoint(scratch.folder())), said);
        std::fs::write(scratch.path(file), before).unwrap();
    }
    checkpoint(scratch.folder()).unwrap();
}

#[test]
fn sizes_in_the_metadata_of_a_single_file_are_refused_by_name() {
    let model = Model::new("0.9.5");
    let scratch = single_file("absurd-metadata", &model.single_file(), Some(&model.metadata()));
    let file = scratch.path("model.safetensors");
    checkpoint(&file).unwrap();
    let fold = ["compress_all_res", "compress_all"].map(|kind| json!([kind, {"multiplier": 65535}]));
    let [folds, scales] = fold.map(|fold| json!([fold, fold, fold, fold, fold, ["res_x", 1]]));
    for (object, fields, said) in [
        ("transformer", json!({"num_layers": 1_000_000_000}), &["`num_layers`", "1 to 1024"][..]),
        ("transformer", json!({"caption_channels": 1u64 << 40}), &["`caption_channels`", "1099511627776"]),
        ("vae", json!({"encoder_base_channels": u64::MAX}), &["encoder_blocks", "numbers of channels"]),
        ("vae", json!({"encoder_blocks": folds}), &["encoder_blocks", "numbers of channels"]),
        ("vae", json!({"decoder_blocks": scales}), &["decoder_blocks", "numbers of channels"]),
        ("vae", json!({"patch_size": 1u64 << 40}), &["patch_size", "1 to 64"]),
    ] {
        let mut metadata = model.metadata();
        for (name, value) in fields.as_object().unwrap() {
            metadata[object][name] = value.clone();
        }
        save(&file, &model.single_file(), Some(&metadata));
        assert_says(&refusal(|| checkpoint(&file)), said);
    }
}

/// A safetensors file with this header and so many bytes after it.
fn with_header(path: &Path, header: &Value, data: usize) {
    let header = header.to_string();
    let length = (header.len() as u64).to_le_bytes();
    std::fs::write(path, [&length[..], header.as_bytes(), &vec![0; data]].concat()).unwrap();
}

#[test]
fn headers_that_lie_about_their_file_are_refused() {
    let scratch = Scratch::new("lying-headers");
    let path = scratch.path("model.safetensors");
    let float = |shape: Value, offsets: Value| json!({"dtype": "F32", "shape": shape, "data_offsets": offsets});
    let huge = 1u64 << 40;
    for (header, data) in [
        (json!({"a": float(json!([huge, huge]), json!([0, 8]))}), 8),
        (json!({"a": float(json!([huge, huge, 0]), json!([0, 0]))}), 0),
        (json!({"a": float(json!([2]), json!([0, huge]))}), 8),
        (json!({"a": float(json!([2]), json!([huge, huge + 8]))}), 8),
        (json!({"a": float(json!([2]), json!([8, 0]))}), 8),
        (json!({"a": float(json!([3]), json!([0, 8]))}), 8),
        (json!({"a": float(json!([2]), json!([0, 8])), "b": float(json!([2]), json!([4, 12]))}), 12),
        (json!({"a": float(json!([2]), json!([0, 8]))}), 9),
        (json!({"a": float(json!([-1]), json!([0, 4]))}), 4),
    ] {
        with_header(&path, &header, data);
        assert_says(&refusal(|| tensors(&path)), &["model.safetensors", "fetch the file again"]);
    }
    with_header(&path, &json!({"a": float(json!([2]), json!([0, 8]))}), 8);
    assert_eq!(tensors(&path).unwrap(), 1);
    for length in [0u64, 1, huge, u64::MAX] {
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        std::fs::write(scratch.path("length.safetensors"), bytes).unwrap();
        refusal(|| tensors(&scratch.path("length.safetensors")));
    }
}

/// What would be read whole is looked at first: holes of a terabyte take no place on the disk, and whoever reads them runs out of memory.
#[test]
fn files_that_are_too_large_for_what_they_are_called_are_not_read() {
    let scratch = folder("large-small-files", &Model::new("0.9.5"));
    for file in [
        "model_index.json",
        "transformer/config.json",
        "vae/config.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "transformer/model.safetensors.index.json",
    ] {
        let path = scratch.path(file);
        let before = std::fs::read(&path).ok();
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert_says(&refusal(|| checkpoint(scratch.folder())), &[file, "more than 33554432 bytes"]);
        match before {
            Some(before) => std::fs::write(path, before).unwrap(),
            None => std::fs::remove_file(path).unwrap(),
        }
    }
    let tokenizer = scratch.path("tokenizer/spiece.model");
    File::create(&tokenizer).unwrap().set_len(1 << 40).unwrap();
    assert_says(&refusal(|| Tokenizer::open(&tokenizer)), &["spiece.model", "more than 33554432 bytes"]);
}
