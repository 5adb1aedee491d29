//! What is wrong with a checkpoint is said when it is opened, by name.

use serde_json::json;
use stir::models::ltx::checkpoint::{Checkpoint, Files};

use crate::ltx_checkpoint::{released_transformer, released_vae, write_hollow};
use crate::ltx_layouts::{Model, Tensors, filled, folder, save, single_file, write_text};
use crate::scratch::Scratch;

/// The message and the hint of a refusal, which is the user's to mend.
fn refusal(files: &Files) -> String {
    let error = Checkpoint::open(files).expect_err("it is refused");
    assert_eq!(error.exit_code(), 2, "{error}");
    format!("{error} ({})", error.hint())
}

fn files(model: impl Into<std::path::PathBuf>) -> Files {
    Files { model: model.into(), ..Files::default() }
}

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

/// A change to a single file's tensors, and what is then said.
type Damage = (&'static str, fn(&mut Tensors), &'static [&'static str]);

#[test]
fn every_tensor_of_a_single_file_is_accounted_for() {
    let damages: [Damage; 8] = [
        (
            "misshapen-decoder",
            |tensors| {
                tensors.insert(
                    "vae.decoder.up_blocks.6.res_blocks.0.conv2.conv.weight".to_owned(),
                    filled(&[4, 4, 3, 3, 1]),
                );
            },
            &["`vae.decoder.up_blocks.6.res_blocks.0.conv2.conv.weight`", "[4, 4, 3, 3, 3]", "[4, 4, 3, 3, 1]"],
        ),
        (
            "missing-decoder",
            |tensors| drop(tensors.remove("vae.decoder.conv_out.conv.bias").unwrap()),
            &["`vae.decoder.conv_out.conv.bias`", "no such tensor"],
        ),
        (
            "missing-statistics",
            |tensors| drop(tensors.remove("vae.per_channel_statistics.std-of-means").unwrap()),
            &["`vae.per_channel_statistics.std-of-means`", "no such tensor"],
        ),
        (
            "unknown-vae",
            |tensors| drop(tensors.insert("vae.decoder.magic".to_owned(), filled(&[1]))),
            &["unknown tensors: vae.decoder.magic"],
        ),
        (
            "unknown-transformer",
            |tensors| drop(tensors.insert("model.diffusion_model.magic".to_owned(), filled(&[1]))),
            &["unknown tensors: model.diffusion_model.magic"],
        ),
        (
            "unknown-prefix",
            |tensors| drop(tensors.insert("text_encoders.t5xxl.weight".to_owned(), filled(&[1]))),
            &["unknown tensors: text_encoders.t5xxl.weight"],
        ),
        (
            "missing-block",
            |tensors| tensors.retain(|name, _| !name.contains("transformer_blocks.2.")),
            &["`model.diffusion_model.transformer_blocks.2.", "no such tensor"],
        ),
        (
            "integers",
            |tensors| {
                let integers =
                    candle_core::Tensor::zeros(40, candle_core::DType::U8, &candle_core::Device::Cpu).unwrap();
                tensors.insert("model.diffusion_model.patchify_proj.bias".to_owned(), integers);
            },
            &["`model.diffusion_model.patchify_proj.bias`", "U8"],
        ),
    ];
    let model = Model::new("0.9.5");
    for (name, damage, said) in damages {
        let mut tensors = model.single_file();
        damage(&mut tensors);
        let scratch = single_file(name, &tensors, Some(&model.metadata()));
        assert_says(&refusal(&files(scratch.path("model.safetensors"))), said);
    }
}

#[test]
fn every_tensor_of_a_folder_is_accounted_for() {
    let cases: [(&str, fn(&mut Model), &str); 4] = [
        (
            "vae-extra",
            |model| drop(model.vae.insert("decoder.magic".to_owned(), filled(&[1]))),
            "unknown tensors: decoder.magic",
        ),
        ("vae-less", |model| drop(model.vae.remove("decoder.conv_out.conv.weight")), "`decoder.conv_out.conv.weight`"),
        ("extra", |model| drop(model.transformer.insert("magic".to_owned(), filled(&[1]))), "unknown tensors: magic"),
        ("less", |model| drop(model.transformer.remove("proj_out.weight")), "`proj_out.weight`"),
    ];
    for (name, damage, said) in cases {
        let mut model = Model::new("0.9.1");
        damage(&mut model);
        let scratch = folder(&format!("folder-{name}"), &model);
        assert_says(&refusal(&files(scratch.folder())), &[said]);
    }
    let scratch = folder("folder-text", &Model::new("0.9.1"));
    let path = scratch.path("text_encoder/model.safetensors");
    let mut tensors: Tensors =
        candle_core::safetensors::load(&path, &candle_core::Device::Cpu).unwrap().into_iter().collect();
    tensors.insert("shared.weight".to_owned(), filled(&[511, 32]));
    save(&path, &tensors, None);
    assert_says(&refusal(&files(scratch.folder())), &["`shared.weight`", "[512, 32]", "[511, 32]"]);
}

#[test]
fn missing_parts_are_named_with_the_option_that_supplies_them() {
    let scratch = folder("parts-missing", &Model::new("0.9.5"));
    for (part, said) in [
        ("tokenizer", &["tokenizer of", "--tokenizer", "spiece.model"][..]),
        ("text_encoder", &["text encoder of", "--text-encoder", "T5 v1.1 XXL"]),
        ("scheduler", &["folder `scheduler`"]),
        ("transformer", &["folder `transformer`"]),
        ("vae", &["folder `vae`", "--vae"]),
    ] {
        std::fs::rename(scratch.path(part), scratch.path("hidden")).unwrap();
        assert_says(&refusal(&files(scratch.folder())), said);
        std::fs::rename(scratch.path("hidden"), scratch.path(part)).unwrap();
    }
    Checkpoint::open(&files(scratch.folder())).unwrap();

    let model = Model::new("0.9.5");
    let alone = Scratch::new("parts-missing-file");
    let file = alone.path("ltx.safetensors");
    save(&file, &model.transformer_in_single_file("model.diffusion_model."), Some(&model.metadata()));
    assert_says(&refusal(&files(&file)), &["autoencoder of", "--vae"]);
    let vae = Some(scratch.folder().to_owned());
    assert_says(&refusal(&Files { vae: vae.clone(), ..files(&file) }), &["text encoder of", "--text-encoder"]);
    let text_encoder = Some(scratch.path("text_encoder/model.safetensors"));
    assert_says(&refusal(&Files { vae, text_encoder, ..files(&file) }), &["tokenizer of", "--tokenizer"]);
}

#[test]
fn what_was_given_and_is_not_there_is_named_with_its_option() {
    let scratch = folder("given-nowhere", &Model::new("0.9.5"));
    let nowhere = Some(scratch.path("nowhere"));
    let model = || files(scratch.folder());
    for (given, option) in [
        (Files { vae: nowhere.clone(), ..model() }, "--vae"),
        (Files { text_encoder: nowhere.clone(), ..model() }, "--text-encoder"),
        (Files { tokenizer: nowhere.clone(), ..model() }, "--tokenizer"),
        (Files { upsampler: nowhere.clone(), ..model() }, "latent upsampler"),
        (files(scratch.path("nowhere")), "nowhere"),
    ] {
        assert_says(&refusal(&given), &[option, "nowhere"]);
    }
}

#[test]
fn parts_that_do_not_fit_each_other_are_refused() {
    let mut model = Model::new("0.9.5");
    model.transformer_config["caption_channels"] = json!(24);
    model.transformer.insert("caption_projection.linear_1.weight".to_owned(), filled(&[40, 24]));
    let scratch = folder("misfit-text", &model);
    assert_says(&refusal(&files(scratch.folder())), &["text encoder", "24 channels", "found 32", "--text-encoder"]);

    let mut model = Model::new("0.9.5");
    for field in ["in_channels", "out_channels"] {
        model.transformer_config[field] = json!(16);
    }
    for (name, shape) in [("proj_in.weight", &[40, 16][..]), ("proj_out.weight", &[16, 40]), ("proj_out.bias", &[16])] {
        model.transformer.insert(name.to_owned(), filled(shape));
    }
    let scratch = folder("misfit-vae", &model);
    assert_says(&refusal(&files(scratch.folder())), &["autoencoder", "16 channels", "found 8", "--vae"]);
}

#[test]
fn other_pipelines_and_damaged_configurations_are_refused() {
    let scratch = folder("other-configs", &Model::new("0.9.5"));
    for (file, text, said) in [
        ("model_index.json", r#"{"_class_name": "WanPipeline"}"#, &["WanPipeline"][..]),
        ("model_index.json", "{}", &["`_class_name`", "model_index.json"]),
        ("model_index.json", "{", &["model_index.json", "JSON"]),
        ("vae/config.json", r#"{"_class_name": "AutoencoderKL"}"#, &["AutoencoderKL"]),
        ("transformer/config.json", "[]", &["transformer/config.json"]),
        ("scheduler/scheduler_config.json", r#"{"use_karras_sigmas": true}"#, &["`use_karras_sigmas`"]),
        ("text_encoder/config.json", "{}", &["`feed_forward_proj`"]),
    ] {
        let before = std::fs::read(scratch.path(file)).unwrap();
        std::fs::write(scratch.path(file), text).unwrap();
        assert_says(&refusal(&files(scratch.folder())), said);
        std::fs::remove_file(scratch.path(file)).unwrap();
        if file != "text_encoder/config.json" && file != "model_index.json" {
            assert_says(&refusal(&files(scratch.folder())), &[file]);
        }
        std::fs::write(scratch.path(file), before).unwrap();
    }
    Checkpoint::open(&files(scratch.folder())).unwrap();
}

/// Each changes the mathematics, or fits to nothing.
#[test]
fn blocks_and_options_of_the_metadata_that_are_not_implemented_are_refused_by_name() {
    let model = Model::new("0.9.5");
    let scratch = Scratch::new("vae-metadata");
    write_text(scratch.folder());
    let tensors = model.single_file();
    let file = scratch.path("model.safetensors");
    for (field, value, said) in [
        ("norm_layer", json!("group_norm"), &["`norm_layer`", "group_norm"][..]),
        ("latent_log_var", json!("per_channel"), &["`latent_log_var`", "per_channel"]),
        ("spatial_padding_mode", json!("reflect"), &["`spatial_padding_mode`", "reflect"]),
        ("use_quant_conv", json!(true), &["`use_quant_conv`"]),
        ("dims", json!(2), &["`dims`"]),
        ("encoder_blocks", json!([["attn_res_x", {"num_layers": 1}]]), &["`encoder_blocks`", "attn_res_x"]),
        ("encoder_blocks", json!([["res_x", {"num_layers": 1, "attention_head_dim": 64}]]), &["`attention_head_dim`"]),
        ("encoder_blocks", json!([["res_x", {}]]), &["`num_layers`"]),
        ("encoder_blocks", json!([["res_x", {"num_layers": -1}]]), &["`num_layers`", "-1"]),
        ("encoder_blocks", json!([["res_x", "1"]]), &["[kind, options]"]),
        ("encoder_blocks", json!([["compress_all_res", {"multiplier": 2}]]), &["encoder_blocks", "res_x at the end"]),
        ("encoder_blocks", json!([]), &["encoder_blocks"]),
        ("encoder_blocks", json!([["compress_all", {}], ["compress_all_res", {}], ["res_x", 1]]), &["encoder_blocks"]),
        (
            "encoder_blocks",
            json!([["compress_all", {"multiplier": 65535}], ["res_x", 1]]),
            &["encoder_blocks", "65535"],
        ),
        ("decoder_blocks", json!([["compress_all_res", {}], ["res_x", 1]]), &["decoder_blocks", "Fold"]),
        (
            "decoder_blocks",
            json!([["compress_all", {"multiplier": 3}], ["res_x", 1]]),
            &["decoder_blocks", "upsample_factor"],
        ),
        (
            "decoder_blocks",
            json!([["compress_all", {"multiplier": 0}], ["res_x", 1]]),
            &["decoder_blocks", "`multiplier` of 0"],
        ),
        ("decoder_blocks", json!([["res_x", {"num_layers": 1, "residual": true}]]), &["decoder_blocks", "`residual`"]),
        ("decoder_blocks", json!([["compress_all", {"inject_noise": true}], ["res_x", 1]]), &["`inject_noise`"]),
        ("decoder_blocks", json!(3), &["`decoder_blocks`", "3"]),
        ("decoder_blocks", json!(null), &["`decoder_blocks`", "none"]),
        ("latent_channels", json!(null), &["`latent_channels`"]),
    ] {
        let mut metadata = model.metadata();
        metadata["vae"][field] = value;
        save(&file, &tensors, Some(&metadata));
        assert_says(&refusal(&files(&file)), said);
    }
    for (object, field, value, said) in [
        ("transformer", "qk_norm", json!("layer_norm"), &["`qk_norm`", "`transformer` in the metadata"][..]),
        ("scheduler", "sampler", json!("Cosine"), &["`sampler`", "`scheduler` in the metadata"]),
    ] {
        let mut metadata = model.metadata();
        metadata[object][field] = value;
        save(&file, &tensors, Some(&metadata));
        assert_says(&refusal(&files(&file)), said);
    }
}

#[test]
fn a_width_that_no_release_has_is_unclear_without_metadata() {
    let scratch = single_file("unclear-width", &Model::new("0.9.5").single_file(), None);
    assert_says(&refusal(&files(scratch.path("model.safetensors"))), &["2048 or 4096", "how many heads", "found 40"]);
}

/// At the sizes of a release, in a file that takes no space.
#[test]
fn one_wrong_tensor_among_the_released_ones_is_named() {
    let scratch = Scratch::new("released-wrong");
    let mut tensors = [released_transformer(2048, 28), released_vae()].concat();
    let wrong = "vae.decoder.up_blocks.2.res_blocks.4.conv2.conv.weight";
    tensors.iter_mut().find(|(name, _)| name == wrong).unwrap().1 = vec![512, 512, 3, 3];
    write_hollow(&scratch.path("2b.safetensors"), &tensors);
    write_text(scratch.folder());
    assert_says(&refusal(&files(scratch.path("2b.safetensors"))), &[wrong, "[512, 512, 3, 3, 3]"]);
}

#[test]
fn files_of_other_models_and_damaged_files_are_refused() {
    let scratch = Scratch::new("other-models");
    let model = Model::new("0.9.5");
    save(&scratch.path("other.safetensors"), &Tensors::from([("blocks.0.weight".to_owned(), filled(&[2]))]), None);
    assert_says(&refusal(&files(scratch.path("other.safetensors"))), &["a transformer of LTX-Video", "1 tensors"]);
    let whole = scratch.path("whole.safetensors");
    save(&whole, &model.single_file(), Some(&model.metadata()));
    let bytes = std::fs::read(&whole).unwrap();
    std::fs::write(scratch.path("cut.safetensors"), &bytes[..bytes.len() - 1]).unwrap();
    assert_says(&refusal(&files(scratch.path("cut.safetensors"))), &["cut.safetensors", "fetch the file again"]);
    for (name, content) in [("empty.safetensors", &b""[..]), ("text.gguf", b"GGUF and then a text")] {
        std::fs::write(scratch.path(name), content).unwrap();
        assert_says(&refusal(&files(scratch.path(name))), &[name]);
    }
    std::fs::create_dir(scratch.path("folder")).unwrap();
    assert_says(&refusal(&files(scratch.path("folder"))), &["folder", "none"]);
}
