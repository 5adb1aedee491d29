//! Every layout of a checkpoint gives the same networks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use candle_core::quantized::{GgmlDType, QTensor, gguf_file};
use candle_core::{DType, Device, Tensor};
use serde_json::json;
use stir::diffusion::schedule::{Schedule, Spacing};
use stir::diffusion::shift::{Mu, Shift};
use stir::models::Offload;
use stir::models::ltx::checkpoint::{Checkpoint, Files};
use stir::models::ltx::config::TransformerConfig;
use stir::models::ltx::rope::{LatentGrid, Rope};
use stir::models::ltx::timestep::FrameLevels;
use stir::models::ltx::transformer::TransformerInputs;
use stir::models::ltx::vae::config::Config as VaeConfig;
use stir::models::ltx::vae::decoder::LatentSize;
use stir::units::Fps;
use stir::weights::store::Placement;

use crate::fixture::{assert_close, values};
use crate::ltx_layouts::{Model, Tensors, filled, folder, save, single_file, vae_name, write_text};
use crate::ltx_released::{self, write_hollow, write_hollow_gguf};
use crate::ltx_text;
use crate::scratch::Scratch;

const GENERATIONS: [&str; 3] = ["0.9.0", "0.9.1", "0.9.5"];

fn files(model: impl Into<PathBuf>) -> Files {
    Files { model: model.into(), ..Files::default() }
}

fn open(files: &Files) -> Checkpoint {
    Checkpoint::open(files).unwrap_or_else(|error| panic!("{error} ({})", error.hint()))
}

/// What the networks of a model make of something.
#[derive(Debug, PartialEq)]
struct Outputs {
    velocity: Vec<f64>,
    latents: Vec<f64>,
    pixels: Vec<f64>,
    text: Vec<f64>,
}

fn run(checkpoint: &Checkpoint) -> Outputs {
    let placement = Placement { dtype: DType::F32, device: Device::Cpu };
    let tokens = checkpoint.tokenizer().unwrap().encode("a").unwrap().ids;
    assert!(tokens.iter().all(|token| *token < 512), "the tiny text encoder has a row for each");
    let text = checkpoint.encode_text(&placement, &[&tokens, &[1]]).unwrap();
    assert_eq!((text[0].dims(), text[1].dims()), (&[1, tokens.len(), 32][..], &[1, 1, 32][..]));

    let transformer = checkpoint.transformer(&placement, Offload::None).unwrap();
    let grid = LatentGrid { frames: 2, height: 2, width: 1 };
    let velocity = transformer.forward(&TransformerInputs {
        latents: &filled(&[1, 8, 2, 2, 1]).to_dtype(DType::F32).unwrap(),
        levels: &FrameLevels::new(&[0.0, 0.5]),
        context: &transformer.context(&text[0]).unwrap(),
        rope: &Rope::new(transformer.config(), grid, Fps(25.0), &Device::Cpu).unwrap(),
        perturbation: None,
    });

    let encoder = checkpoint.vae_encoder(&placement).unwrap();
    let pixels = filled(&[1, 3, 1, 32, 64]).to_dtype(DType::F32).unwrap();
    let latents = encoder.statistics.normalise(&encoder.encoder.encode(&pixels).unwrap().mean).unwrap();

    let decoder = checkpoint.vae_decoder(&placement).unwrap();
    let noise = decoder.decoder.draw_noise(1, LatentSize { height: 1, width: 2 }).unwrap();
    let latents_in = decoder.statistics.denormalise(&latents).unwrap();
    let pixels = decoder.decoder.prepare(0.05, &noise).unwrap().decode(&latents_in).unwrap();
    Outputs {
        velocity: values(&velocity.unwrap()),
        latents: values(&latents),
        pixels: values(&pixels),
        text: values(&Tensor::cat(&text, 1).unwrap()),
    }
}

#[test]
fn folders_and_single_files_give_the_same_networks() {
    for generation in GENERATIONS {
        let model = Model::new(generation);
        let folder = folder(&format!("layouts-folder-{generation}"), &model);
        let folder = open(&files(folder.folder()));
        let metadata = model.metadata();
        let scratch = single_file(&format!("layouts-file-{generation}"), &model.single_file(), Some(&metadata));
        let file = open(&files(scratch.path("model.safetensors")));
        assert_eq!(folder.transformer_config(), file.transformer_config(), "{generation}");
        assert_eq!(folder.transformer_config().causal_time, generation == "0.9.5");
        assert_eq!(folder.vae_config(), file.vae_config(), "{generation}");
        assert_eq!(run(&folder), run(&file), "{generation}");
        // A folder with the file in it is as good as the file.
        assert_eq!(open(&files(scratch.folder())).vae_config(), file.vae_config());
    }
}

#[test]
fn the_pipelines_class_rules_whatever_the_autoencoder_is() {
    let model = Model::new("0.9.5");
    let scratch = Scratch::new("class-rules");
    for (class, causal, spacing) in [
        ("LTXPipeline", false, Spacing::Uniform),
        ("LTXImageToVideoPipeline", false, Spacing::Uniform),
        ("LTXConditionPipeline", true, Spacing::LinearQuadratic),
    ] {
        model.write_folder(scratch.folder(), class);
        let checkpoint = open(&files(scratch.folder()));
        assert_eq!(checkpoint.transformer_config().causal_time, causal, "{class}");
        assert_eq!(checkpoint.scheduler().schedule.spacing, spacing, "{class}");
    }
}

#[test]
fn shards_of_every_part_are_read() {
    let model = Model::new("0.9.5");
    let scratch = folder("shards-of-parts", &model);
    let whole = run(&open(&files(scratch.folder())));
    for (part, name, tensors) in [
        ("transformer", "diffusion_pytorch_model", model.transformer.clone()),
        ("vae", "diffusion_pytorch_model", model.vae.clone()),
        (
            "text_encoder",
            "model",
            candle_core::safetensors::load(scratch.path("text_encoder/model.safetensors"), &Device::Cpu)
                .unwrap()
                .into_iter()
                .collect::<Tensors>(),
        ),
    ] {
        let folder = scratch.path(part);
        std::fs::remove_file(folder.join(format!("{name}.safetensors"))).unwrap();
        let mut places = serde_json::Map::new();
        for (index, shard) in tensors.iter().collect::<Vec<_>>().chunks(tensors.len().div_ceil(3)).enumerate() {
            let file = format!("{name}-{:05}-of-00003.safetensors", index + 1);
            let shard: Tensors = shard.iter().map(|(name, tensor)| ((*name).clone(), (*tensor).clone())).collect();
            places.extend(shard.keys().map(|tensor| (tensor.clone(), json!(file))));
            save(&folder.join(file), &shard, None);
        }
        let index = json!({"metadata": {}, "weight_map": places}).to_string();
        std::fs::write(folder.join(format!("{name}.safetensors.index.json")), index).unwrap();
    }
    assert_eq!(run(&open(&files(scratch.folder()))), whole);
}

/// Weights are bfloat16 numbers, of which float16 rounds only those near 0: measured 7e-7.
#[test]
fn the_stored_type_does_not_change_the_numbers() {
    let mut model = Model::new("0.9.5");
    let scratch = folder("stored-types", &model);
    let expected = run(&open(&files(scratch.folder())));
    for dtype in [DType::F32, DType::F16] {
        for tensor in model.transformer.values_mut().chain(model.vae.values_mut()) {
            *tensor = tensor.to_dtype(dtype).unwrap();
        }
        model.write_folder(scratch.folder(), "LTXConditionPipeline");
        let found = run(&open(&files(scratch.folder())));
        for (name, found, expected) in [
            ("velocity", &found.velocity, &expected.velocity),
            ("latents", &found.latents, &expected.latents),
            ("pixels", &found.pixels, &expected.pixels),
        ] {
            assert_close(&format!("{dtype:?} {name}"), found, expected, 2e-6);
        }
    }
}

#[test]
fn metadata_rules_where_it_is_and_lists_the_levels_of_distilled_models() {
    let model = Model::new("0.9.5");
    let mut metadata = model.metadata();
    metadata["transformer"]["timestep_scale_multiplier"] = json!(500);
    metadata["transformer"]["causal_temporal_positioning"] = json!(false);
    metadata["scheduler"] = json!({"sampler": "Constant", "shift": 1.5});
    metadata["allowed_inference_steps"] = json!([1.0, 0.9937, 0.4219]);
    let scratch = single_file("metadata-rules", &model.single_file(), Some(&metadata));
    let checkpoint = open(&files(scratch.path("model.safetensors")));
    let config = checkpoint.transformer_config();
    assert_eq!((config.timestep_scale, config.causal_time), (500.0, false));
    assert_eq!(checkpoint.scheduler().schedule.shift.mu, Mu::Constant(1.5));
    assert_eq!(checkpoint.allowed_levels(), Some(&[1.0, 0.9937, 0.4219][..]));

    // The parts of the metadata are independent: without `vae` its shapes tell, without `scheduler` the autoencoder.
    metadata.as_object_mut().unwrap().retain(|name, _| name == "transformer");
    let scratch = single_file("metadata-half", &model.single_file(), Some(&metadata));
    let checkpoint = open(&files(scratch.path("model.safetensors")));
    assert_eq!(*checkpoint.vae_config(), VaeConfig::parse(&model.vae_config.to_string(), "config").unwrap());
    let plain = Schedule { spacing: Spacing::LinearQuadratic, shift: Shift::NONE };
    assert_eq!((&checkpoint.scheduler().schedule, checkpoint.allowed_levels()), (&plain, None));
}

/// From the shapes alone: every field of the configuration of diffusers, for each generation.
#[test]
fn shapes_tell_the_autoencoder() {
    for generation in GENERATIONS {
        let model = Model::new(generation);
        let shapes: Vec<(String, Vec<usize>)> =
            model.vae.iter().map(|(name, tensor)| (vae_name(generation, name), tensor.dims().to_vec())).collect();
        let shape = |name: &str| shapes.iter().find(|(known, _)| known == name).map(|(_, shape)| shape.clone());
        let config = VaeConfig::of_shapes(shape, "the file").unwrap();
        assert_eq!(config, VaeConfig::parse(&model.vae_config.to_string(), "config").unwrap(), "{generation}");
    }
}

#[test]
fn float8_weights_are_what_they_are_rounded_to() {
    let model = Model::new("0.9.5");
    let is_matrix =
        |name: &str| name.contains("transformer_blocks") && name.ends_with("weight") && !name.contains("norm");
    let rounded = |back: bool| -> Tensors {
        model
            .single_file()
            .into_iter()
            .map(|(name, tensor)| {
                if !is_matrix(&name) {
                    return (name, tensor);
                }
                let float8 = tensor.to_dtype(DType::F8E4M3).unwrap();
                (name, if back { float8.to_dtype(DType::BF16).unwrap() } else { float8 })
            })
            .collect()
    };
    let metadata = model.metadata();
    let float8 = single_file("float8", &rounded(false), Some(&metadata));
    let wide = single_file("float8-wide", &rounded(true), Some(&metadata));
    let float8 = run(&open(&files(float8.path("model.safetensors"))));
    assert_eq!(float8, run(&open(&files(wide.path("model.safetensors")))));
}

/// A GGUF file of the transformer; matrices whose rows are whole blocks are quantised.
fn write_gguf(path: &Path, tensors: &Tensors, kind: GgmlDType, config: Option<&str>) {
    let quantize = |tensor: &Tensor| {
        let whole = tensor.dims().len() == 2 && tensor.dims()[1].is_multiple_of(kind.block_size());
        let tensor = tensor.to_dtype(DType::F32).unwrap();
        QTensor::quantize(&tensor, if whole { kind } else { GgmlDType::F32 }).unwrap()
    };
    let tensors: Vec<(String, QTensor)> =
        tensors.iter().map(|(name, tensor)| (name.clone(), quantize(tensor))).collect();
    assert!(tensors.iter().any(|(_, tensor)| tensor.dtype() == kind));
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let mut entries = vec![("general.architecture", gguf_file::Value::String("ltxv".to_owned()))];
    entries.extend(config.map(|config| ("config", gguf_file::Value::String(config.to_owned()))));
    let entries: Vec<(&str, &gguf_file::Value)> = entries.iter().map(|(name, value)| (*name, value)).collect();
    gguf_file::write(&mut std::fs::File::create(path).unwrap(), &entries, &tensors).unwrap();
}

/// Measured: float16 2e-7 of the largest value, 8 bits 3.3e-3.
#[test]
fn gguf_transformers_open_with_and_without_the_prefix() {
    let model = Model::new("0.9.5");
    let folder = folder("gguf-folder", &model);
    let dense = run(&open(&files(folder.folder())));
    let metadata = model.metadata().to_string();
    for prefix in ["", "model.diffusion_model."] {
        for (kind, tolerance) in [(GgmlDType::F16, 1e-6), (GgmlDType::Q8_0, 6.6e-3)] {
            let scratch = Scratch::new(&format!("gguf-{kind:?}-{}", prefix.len()));
            let file = scratch.path("ltx.gguf");
            write_gguf(&file, &model.transformer_in_single_file(prefix), kind, Some(&metadata));
            let checkpoint = open(&Files {
                vae: Some(folder.folder().to_owned()),
                text_encoder: Some(folder.folder().to_owned()),
                ..files(&file)
            });
            let found = run(&checkpoint);
            assert_close(&format!("{prefix}{kind:?}"), &found.velocity, &dense.velocity, tolerance);
            assert_eq!((found.latents, found.pixels), (dense.latents.clone(), dense.pixels.clone()));
        }
    }
}

#[test]
fn sizes_of_gguf_transformers_come_from_their_shapes() {
    let scratch = Scratch::new("gguf-released");
    write_text(scratch.folder());
    let text_encoder = scratch.path("t5.safetensors");
    write_hollow(&text_encoder, &ltx_released::text_encoder());
    let vae = scratch.path("whole.safetensors");
    write_hollow(&vae, &[ltx_released::transformer(2048, 28), ltx_released::vae()].concat());
    let file = scratch.path("ltx-Q8_0.gguf");
    for prefix in ["", "model.diffusion_model."] {
        let mut tensors = ltx_released::transformer(2048, 28);
        for (name, _) in &mut tensors {
            *name = name.replace("model.diffusion_model.", prefix);
        }
        write_hollow_gguf(&file, &tensors);
        let given = Files { vae: Some(vae.clone()), text_encoder: Some(text_encoder.clone()), ..files(&file) };
        assert_eq!(*open(&given).transformer_config(), TransformerConfig::RELEASED);
        let whole = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
        whole.set_len(whole.metadata().unwrap().len() - 100).unwrap();
        let error = Checkpoint::open(&given).unwrap_err();
        assert!(error.to_string().contains("an end at byte"), "{error}");
    }
}

fn parameters(tensors: &[(String, Vec<usize>)]) -> usize {
    tensors.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
}

/// Without metadata, at the sizes of the releases, in files of 6 to 29 GB that take no space: nothing of them may be read.
#[test]
fn the_released_sizes_open_by_their_shapes_alone() {
    let scratch = Scratch::new("released");
    let text = ltx_released::text_encoder();
    write_hollow(&scratch.path("t5xxl_fp16.safetensors"), &text);
    write_text(scratch.folder());
    for (name, width, layers, count) in [("2b", 2048, 28, 1_923_385_472), ("13b", 4096, 48, 13_042_569_344)] {
        let transformer = ltx_released::transformer(width, layers);
        assert_eq!(parameters(&transformer), count);
        let file = scratch.path(&format!("{name}.safetensors"));
        write_hollow(&file, &[transformer, ltx_released::vae()].concat());
        let text_encoder = Some(scratch.path("t5xxl_fp16.safetensors"));
        let before = resident_bytes();
        let checkpoint = open(&Files { text_encoder, ..files(&file) });
        let grown = resident_bytes().saturating_sub(before);
        assert!(grown < 200 << 20, "{name}: memory grew by {} MB", grown >> 20);
        let heads = 32;
        let expected = TransformerConfig { heads, head_dim: width / heads, layers, ..TransformerConfig::RELEASED };
        assert_eq!(*checkpoint.transformer_config(), expected);
        let released = VaeConfig::parse(
            r#"{"block_out_channels": [128, 256, 512, 1024, 2048], "decoder_block_out_channels": [256, 512, 1024],
                "down_block_types": ["LTXVideo095DownBlock3D", "LTXVideo095DownBlock3D", "LTXVideo095DownBlock3D",
                "LTXVideo095DownBlock3D"], "downsample_type": ["spatial", "temporal", "spatiotemporal", "spatiotemporal"],
                "layers_per_block": [4, 6, 6, 2, 2], "spatio_temporal_scaling": [true, true, true, true],
                "decoder_inject_noise": [false, false, false, false], "decoder_layers_per_block": [5, 5, 5, 5],
                "decoder_spatio_temporal_scaling": [true, true, true], "timestep_conditioning": true,
                "upsample_factor": [2, 2, 2], "upsample_residual": [true, true, true]}"#,
            "config",
        );
        assert_eq!(*checkpoint.vae_config(), released.unwrap());
        assert_eq!(checkpoint.scheduler().schedule.spacing, Spacing::LinearQuadratic);
    }
}

/// Memory of this process that is in use, mapped files not counted.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|kilobytes| kilobytes.parse().ok())
        .map_or(0, |kilobytes: usize| kilobytes << 10)
}

#[test]
fn an_autoencoder_may_be_given_in_every_form() {
    let model = Model::new("0.9.5");
    let whole = folder("vae-forms", &model);
    let expected = run(&open(&files(whole.folder())));
    let scratch = Scratch::new("vae-forms-files");
    write_text(scratch.folder());
    let metadata = model.metadata();
    save(
        &scratch.path("transformer.safetensors"),
        &model.transformer_in_single_file("model.diffusion_model."),
        Some(&metadata),
    );
    save(&scratch.path("whole.safetensors"), &model.single_file(), Some(&metadata));
    let bare: Tensors = model.vae.iter().map(|(name, tensor)| (vae_name("0.9.5", name), tensor.clone())).collect();
    save(&scratch.path("bare.safetensors"), &bare, None);
    for vae in [
        whole.folder().to_owned(),
        whole.path("vae"),
        whole.path("vae/diffusion_pytorch_model.safetensors"),
        scratch.path("whole.safetensors"),
        scratch.path("bare.safetensors"),
    ] {
        let name = vae.display().to_string();
        let checkpoint = open(&Files { vae: Some(vae), ..files(scratch.path("transformer.safetensors")) });
        assert_eq!(run(&checkpoint), expected, "{name}");
    }
    // What is given counts more than what the model has itself.
    let other = folder("vae-forms-other", &Model::new("0.9.1"));
    let given = Some(other.folder().to_owned());
    let checkpoint = open(&Files { vae: given.clone(), ..files(scratch.path("whole.safetensors")) });
    assert!(checkpoint.vae_config().up.iter().any(|stage| stage.inject_noise));
    assert!(
        open(&Files { vae: given, ..files(whole.folder()) }).vae_config().up.iter().any(|stage| stage.inject_noise)
    );
    // Beside a file it is found by itself.
    std::fs::create_dir_all(scratch.path("vae")).unwrap();
    for file in ["config.json", "diffusion_pytorch_model.safetensors"] {
        std::fs::copy(whole.path("vae").join(file), scratch.path("vae").join(file)).unwrap();
    }
    assert_eq!(run(&open(&files(scratch.path("transformer.safetensors")))), expected);
}

#[test]
fn text_encoder_and_tokenizer_may_be_given_in_every_form() {
    let model = Model::new("0.9.5");
    let whole = folder("text-forms", &model);
    let expected = run(&open(&files(whole.folder())));
    let scratch = Scratch::new("text-forms-alone");
    save(&scratch.path("model.safetensors"), &model.single_file(), Some(&model.metadata()));
    let model = || files(scratch.path("model.safetensors"));
    // The tokenizer is found with the encoder: inside the folder that was given, or beside it.
    for text_encoder in
        [whole.folder().to_owned(), whole.path("text_encoder"), whole.path("text_encoder/model.safetensors")]
    {
        let name = text_encoder.display().to_string();
        let tokenizer = text_encoder.is_file().then(|| whole.folder().to_owned());
        let checkpoint = open(&Files { text_encoder: Some(text_encoder), tokenizer, ..model() });
        assert_eq!(run(&checkpoint), expected, "{name}");
    }
    let text_encoder = Some(whole.folder().to_owned());
    for tokenizer in [whole.folder().to_owned(), whole.path("tokenizer"), whole.path("tokenizer/spiece.model")] {
        let checkpoint = open(&Files { text_encoder: text_encoder.clone(), tokenizer: Some(tokenizer), ..model() });
        assert_eq!(run(&checkpoint), expected);
    }
    std::fs::copy(whole.path("tokenizer/spiece.model"), scratch.path("spiece.model")).unwrap();
    // In GGUF's blocks of 16-bit numbers: measured 9e-4 of the largest value.
    ltx_text::gguf(&scratch, GgmlDType::F16);
    let checkpoint = open(&Files { text_encoder: Some(scratch.path("t5.gguf")), ..model() });
    assert_close("GGUF", &run(&checkpoint).text, &expected.text, 0.002);
    assert_eq!(
        run(&open(&Files { text_encoder: Some(whole.path("text_encoder/model.safetensors")), ..model() })),
        expected
    );
}

#[test]
fn an_upsampler_is_found_or_given() {
    let scratch = folder("upsampler-place", &Model::new("0.9.5"));
    assert_eq!(open(&files(scratch.folder())).upsampler_file(), None);
    std::fs::create_dir_all(scratch.path("latent_upsampler")).unwrap();
    let found = open(&files(scratch.folder()));
    assert_eq!(found.upsampler_file(), Some(scratch.path("latent_upsampler").as_path()));
    std::fs::write(scratch.path("upsampler.safetensors"), []).unwrap();
    let upsampler = Some(scratch.path("upsampler.safetensors"));
    let given = open(&Files { upsampler: upsampler.clone(), ..files(scratch.folder()) });
    assert_eq!(given.upsampler_file(), upsampler.as_deref());
}

/// T5 overflows in float16, so there it runs in float32.
#[test]
fn text_is_encoded_in_float32_where_all_else_is_float16() {
    let scratch = folder("text-float16", &Model::new("0.9.5"));
    let checkpoint = open(&files(scratch.folder()));
    let encode = |dtype| checkpoint.encode_text(&Placement { dtype, device: Device::Cpu }, &[&[5, 1]]).unwrap();
    let types: BTreeSet<_> = [DType::F32, DType::F16].map(|dtype| format!("{:?}", values(&encode(dtype)[0]))).into();
    assert_eq!(types.len(), 1);
    assert_eq!(encode(DType::BF16)[0].dtype(), DType::BF16);
}
