//! Checkpoints that are not as they should be: refused before they run, or ended before they make a clip of nothing.

use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::{Runs, all, change_tensors, fixtures, latents_in};
use crate::support::{Outcome, stir};

const TRANSFORMER: &str = "transformer/diffusion_pytorch_model.safetensors";
const TEXT: &str = "text_encoder/model-00003-of-00003.safetensors";
const VAE: &str = "vae/diffusion_pytorch_model.safetensors";

/// Makes the first value of a tensor NaN.
fn spoil(file: &Path, name: &str) {
    change_tensors(file, |tensors| {
        let tensor = tensors.get_mut(name).unwrap_or_else(|| panic!("no tensor {name}"));
        let mut values = tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values[0] = f32::NAN;
        let spoilt = Tensor::from_vec(values, tensor.shape(), &Device::Cpu).unwrap();
        *tensor = spoilt.to_dtype(tensor.dtype()).unwrap();
    });
}

/// A run with one spoilt weight, which fails while it runs and leaves nothing under the clip's name.
fn spoilt_run(runs: &Runs, file: &str, tensor: &str, options: &[&str]) -> Outcome {
    let model = runs.copy_of_checkpoint("spoilt");
    spoil(&model.join(file), tensor);
    let (model, latents) = (model.display().to_string(), runs.path("latents.safetensors"));
    let named = ["--model", &model, "--save-latents", &latents];
    let outcome = stir(&runs.arguments("clip.y4m", &[&named, options].concat())).expect_code(1);
    std::fs::remove_dir_all(&model).unwrap();
    assert_eq!(outcome.stdout, "", "a clip was made");
    assert!(!runs.scratch.path("clip.y4m").exists(), "something was left under the clip's name");
    outcome
}

#[test]
fn a_value_that_is_not_finite_ends_the_run_at_its_step_and_block() {
    let runs = Runs::new("nan");
    for (file, tensor, places) in [
        (
            TRANSFORMER,
            "transformer_blocks.1.ff.net.0.proj.weight",
            ["denoising step 1", "the transformer after block 1"],
        ),
        (TRANSFORMER, "proj_out.bias", ["denoising step 1", "the transformer after the output"]),
        (VAE, "encoder.conv_in.conv.weight", ["denoising step 1", "the transformer after the input layer"]),
        (TEXT, "encoder.block.1.layer.1.layer_norm.weight", ["denoising step 1", "the transformer after block 0"]),
    ] {
        let said = spoilt_run(&runs, file, tensor, &[]).stderr;
        assert!(places.iter().all(|place| said.contains(place)), "{tensor}: {said}");
        assert!(said.contains("found NaN or infinity"), "{tensor}: {said}");
        assert_eq!(runs.scratch.names(), [""; 0], "{tensor}: something was left behind");
    }
}

/// The latents are what the run took its time for: they are kept.
#[test]
fn a_frame_that_is_not_finite_ends_the_decode_and_keeps_the_latents() {
    let runs = Runs::new("nan-frame");
    let sound = runs.make(&[]);
    let wide = ["-W", "704", "-H", "64", "--num-frames", "9", "--vae-tiling", "on"];
    for (options, same) in [([].as_slice(), true), (&wide, false)] {
        let said = spoilt_run(&runs, VAE, "decoder.conv_out.conv.bias", options).stderr;
        assert!(said.contains("error: decoded frame 1: wanted finite values, found NaN or infinity"), "{said}");
        assert!(said.contains("--vae-tiling is on") != same, "{said}");
        let latents = all(&latents_in(&runs.scratch.path("latents.safetensors")));
        assert!(!same || latents == sound.latents, "the latents are not those of the sound checkpoint");
        assert_eq!(runs.scratch.names(), ["0.safetensors", "0.y4m", "0.y4m.json", "latents.safetensors"]);
        std::fs::remove_file(runs.scratch.path("latents.safetensors")).unwrap();
    }
}

/// A preview is decoded first.
#[test]
fn a_preview_that_is_not_finite_ends_the_run() {
    let runs = Runs::new("nan-preview");
    let said = spoilt_run(&runs, VAE, "decoder.conv_out.conv.bias", &["--preview"]).stderr;
    assert!(said.contains("decoded frame 1: wanted finite values"), "{said}");
    assert_eq!(runs.scratch.names(), [""; 0], "something was left behind");
}

#[test]
fn an_unknown_field_is_warned_of_and_refused_where_warnings_are() {
    let runs = Runs::new("unknown-field");
    let model = runs.copy_of_checkpoint("model");
    let config = model.join("transformer/config.json");
    let fields = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, fields.replacen('{', "{\n  \"magic_layers\": 3,", 1)).unwrap();
    let model = model.display().to_string();
    let warning = format!("{}: stir does not know the field `magic_layers`", config.display());
    let warned = runs.make(&["--model", &model]);
    assert!(warned.stderr.contains(&format!("warning: {warning}")), "{}", warned.stderr);
    assert!(warned.latents == runs.make(&[]).latents, "the field changes the clip");
    for options in [&["--model", &model, "--strict"][..], &["--model", &model, "--strict", "--dry-run"]] {
        let refused = runs.refuse(options);
        assert!(
            refused.contains(&format!("error: --strict: wanted a run without warnings, found {warning}")),
            "{refused}"
        );
    }
    runs.make(&["--strict"]);
}

#[test]
fn tensors_that_do_not_fit_are_named_before_anything_runs() {
    let runs = Runs::new("tensors");
    let tensor = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    for (file, name, shape, said) in [
        (TRANSFORMER, "magic.weight", Some(vec![2]), "magic.weight"),
        (TRANSFORMER, "transformer_blocks.1.attn1.to_q.weight", None, "`transformer_blocks.1.attn1.to_q.weight`"),
        (TRANSFORMER, "proj_in.weight", Some(vec![32, 9]), "`proj_in.weight`"),
        (VAE, "decoder.magic", Some(vec![1]), "decoder.magic"),
        (VAE, "decoder.conv_in.conv.bias", None, "`decoder.conv_in.conv.bias`"),
        (VAE, "latents_mean", Some(vec![7]), "`latents_mean`"),
    ] {
        let model = runs.copy_of_checkpoint("model");
        change_tensors(&model.join(file), |tensors| {
            match &shape {
                Some(shape) => tensors.insert(name.to_owned(), tensor(shape)),
                None => tensors.remove(name),
            };
        });
        for options in [[].as_slice(), &["--dry-run"]] {
            let refused = runs.refuse(&[&["--model", model.to_str().unwrap()], options].concat());
            assert!(refused.contains(said) && refused.contains("error: "), "{name}: {refused}");
            if let Some(shape) = shape.as_ref().filter(|_| said.starts_with('`')) {
                assert!(refused.contains(&format!("{shape:?}")), "{name}: {refused}");
            }
        }
        std::fs::remove_dir_all(model).unwrap();
    }
}

#[test]
fn a_missing_part_is_named() {
    let runs = Runs::new("parts");
    for part in ["transformer", "vae", "text_encoder", "tokenizer", "scheduler"] {
        let model = runs.copy_of_checkpoint("model");
        std::fs::remove_dir_all(model.join(part)).unwrap();
        let refused = runs.refuse(&["--model", model.to_str().unwrap()]);
        assert!(refused.contains(model.to_str().unwrap()) && refused.contains(part), "{part}: {refused}");
        std::fs::remove_dir_all(model).unwrap();
    }
    // The other parts are those of the folder.
    let model = runs.copy_of_checkpoint("model");
    std::fs::remove_dir_all(model.join("vae")).unwrap();
    let with_vae = runs.make(&["--model", model.to_str().unwrap(), "--vae", &fixtures("checkpoint")]);
    assert!(with_vae.clip == runs.make(&[]).clip, "the part makes another clip when it is given");
}
