//! A tiny LTX-Video model in each layout that checkpoints come in, made of the golden fixtures.
//!
//! Names of single files come from the tables of their conversion to diffusers, read backwards, and not from the program's own.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};

use crate::fixture::repository;
use crate::ltx_vae_keys::renumbering;
use crate::scratch::Scratch;

pub type Tensors = BTreeMap<String, Tensor>;

/// Channels of the tiny text encoder.
const TEXT_WIDTH: usize = 32;

fn read(path: &str) -> Tensors {
    let path = repository("tests/fixtures/ltx").join(path);
    candle_core::safetensors::load(path, &Device::Cpu).unwrap().into_iter().collect()
}

fn text(path: &str) -> String {
    std::fs::read_to_string(repository("tests/fixtures/ltx").join(path)).unwrap()
}

/// Different values everywhere, of a sensible size.
pub fn filled(shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|index| (index as f32 * 0.7).sin() * 0.2).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(DType::BF16).unwrap()
}

pub fn save(path: &Path, tensors: &Tensors, metadata: Option<&Value>) {
    let metadata = metadata.map(|json| HashMap::from([("config".to_owned(), json.to_string())]));
    std::fs::write(path, safetensors::serialize(tensors, metadata).unwrap()).unwrap();
}

/// A model by its parts, with the names of diffusers.
#[derive(Clone)]
pub struct Model {
    pub generation: &'static str,
    pub transformer: Tensors,
    pub transformer_config: Value,
    pub vae: Tensors,
    pub vae_config: Value,
}

impl Model {
    /// The golden transformer, which is made to read the golden text encoder, and an autoencoder of this generation.
    pub fn new(generation: &'static str) -> Self {
        let mut transformer = read("transformer_20.safetensors");
        transformer.insert("caption_projection.linear_1.weight".to_owned(), filled(&[40, TEXT_WIDTH]));
        let mut transformer_config: Value = serde_json::from_str(&text("transformer_20.json")).unwrap();
        transformer_config["caption_channels"] = json!(TEXT_WIDTH);
        let mut vae = read(&format!("vae_{generation}/diffusion_pytorch_model.safetensors"));
        let mut vae_config: Value = serde_json::from_str(&text(&format!("vae_{generation}/config.json"))).unwrap();
        if generation != "0.9.5" {
            // 12 channels after 8, which the golden autoencoders have, is nothing that the blocks of single files can say.
            let wider = |size: &usize| if [12, 96].contains(size) { size / 3 * 4 } else { *size };
            for tensor in vae.values_mut() {
                let shape: Vec<usize> = tensor.dims().iter().map(wider).collect();
                if shape != tensor.dims() {
                    *tensor = filled(&shape);
                }
            }
            for field in ["block_out_channels", "decoder_block_out_channels"] {
                for channels in vae_config[field].as_array_mut().unwrap() {
                    *channels = json!(wider(&(channels.as_u64().unwrap() as usize)));
                }
            }
        }
        Self { generation, transformer, transformer_config, vae, vae_config }
    }

    /// The layout of diffusers: `scheduler/`, `text_encoder/`, `tokenizer/`, `transformer/`, `vae/` and `model_index.json`.
    pub fn write_folder(&self, folder: &Path, pipeline: &str) {
        for part in ["scheduler", "transformer", "vae"] {
            std::fs::create_dir_all(folder.join(part)).unwrap();
        }
        let write = |path: &str, json: &Value| std::fs::write(folder.join(path), json.to_string()).unwrap();
        write("model_index.json", &json!({"_class_name": pipeline, "_diffusers_version": "0.42.1"}));
        write("scheduler/scheduler_config.json", &json!({"_class_name": "FlowMatchEulerDiscreteScheduler"}));
        write("transformer/config.json", &self.transformer_config);
        write("vae/config.json", &self.vae_config);
        save(&folder.join("transformer/diffusion_pytorch_model.safetensors"), &self.transformer, None);
        save(&folder.join("vae/diffusion_pytorch_model.safetensors"), &self.vae, None);
        write_text(folder);
    }

    /// All tensors by their names in a single file, and one that nothing uses.
    pub fn single_file(&self) -> Tensors {
        let mut tensors = self.transformer_in_single_file("model.diffusion_model.");
        for (name, tensor) in &self.vae {
            tensors.insert(format!("vae.{}", vae_name(self.generation, name)), tensor.clone());
        }
        tensors.insert("vae.per_channel_statistics.channel".to_owned(), filled(&[8]));
        tensors
    }

    /// The transformer's tensors by their original names, each after `prefix`.
    pub fn transformer_in_single_file(&self, prefix: &str) -> Tensors {
        let renames =
            [("proj_in", "patchify_proj"), ("time_embed", "adaln_single"), ("norm_q", "q_norm"), ("norm_k", "k_norm")];
        let rename =
            |name: &str| renames.iter().fold(name.to_owned(), |name, (ours, theirs)| name.replace(ours, theirs));
        self.transformer.iter().map(|(name, tensor)| (format!("{prefix}{}", rename(name)), tensor.clone())).collect()
    }

    /// The metadata `config` of a single file.
    pub fn metadata(&self) -> Value {
        let causal = self.generation == "0.9.5";
        let scheduler = if causal {
            json!({"_class_name": "RectifiedFlowScheduler", "sampler": "LinearQuadratic"})
        } else {
            json!({"_class_name": "RectifiedFlowScheduler", "shifting": "SD3", "target_shift_terminal": 0.1})
        };
        json!({
            "transformer": {
                "_class_name": "Transformer3DModel", "activation_fn": "gelu-approximate", "attention_bias": true,
                "attention_head_dim": 20, "caption_channels": TEXT_WIDTH, "cross_attention_dim": 40, "in_channels": 8,
                "norm_elementwise_affine": false, "norm_eps": 1e-6, "num_attention_heads": 2, "num_layers": 3, "out_channels": 8,
                "qk_norm": "rms_norm", "positional_embedding_type": "rope", "positional_embedding_max_pos": [20, 2048, 2048],
                "timestep_scale_multiplier": 1000, "causal_temporal_positioning": causal,
            },
            "vae": self.vae_metadata(),
            "scheduler": scheduler,
        })
    }

    fn vae_metadata(&self) -> Value {
        let res = |layers: usize| json!(["res_x", {"num_layers": layers}]);
        let up = |multiplier: usize| json!(["compress_all", {"residual": true, "multiplier": multiplier}]);
        let old_encoder = json!([
            res(2),
            ["compress_all", {}],
            ["res_x_y", 1],
            res(1),
            ["compress_all", {}],
            ["res_x_y", 1],
            res(1),
            ["compress_all", {}],
            res(1),
            res(1),
        ]);
        let noisy = |layers: usize| json!(["res_x", {"num_layers": layers, "inject_noise": true}]);
        let mut vae = json!({
            "_class_name": "CausalVideoAutoencoder", "dims": 3, "in_channels": 3, "out_channels": 3, "latent_channels": 8,
            "encoder_base_channels": 4, "decoder_base_channels": 4, "patch_size": 4, "norm_layer": "pixel_norm",
            "latent_log_var": "uniform", "use_quant_conv": false, "causal_decoder": false, "scaling_factor": 1.0,
        });
        match self.generation {
            // One list for both sides, with numbers for options.
            "0.9.0" => {
                vae["blocks"] = json!([
                    ["res_x", 2],
                    ["compress_all", 1],
                    ["res_x_y", 1],
                    ["res_x", 1],
                    ["compress_all", 1],
                    ["res_x_y", 1],
                    ["res_x", 1],
                    ["compress_all", 1],
                    ["res_x", 1],
                    ["res_x", 1],
                ]);
            }
            "0.9.1" => {
                vae["timestep_conditioning"] = json!(true);
                vae["encoder_blocks"] = old_encoder;
                vae["decoder_blocks"] = json!([noisy(1), up(2), noisy(1), up(1), noisy(2), up(2), res(1)]);
            }
            _ => {
                vae["timestep_conditioning"] = json!(true);
                vae["spatial_padding_mode"] = json!("zeros");
                vae["encoder_blocks"] = json!([
                    res(1), ["compress_space_res", {"multiplier": 2}], res(2), ["compress_time_res", {"multiplier": 1}], res(1),
                    ["compress_all_res", {"multiplier": 2}], res(1), ["compress_all_res", {"multiplier": 1}], res(1),
                ]);
                vae["decoder_blocks"] = json!([res(1), up(2), res(1), up(1), res(2), up(2), res(1)]);
            }
        }
        vae
    }
}

/// The name of an autoencoder's tensor in a single file, without `vae.`.
pub fn vae_name(generation: &str, name: &str) -> String {
    let table = renumbering(generation);
    // Of two places that fit the longer is meant: `down_blocks.0.downsamplers.0` lies inside `down_blocks.0`.
    let inside = |(_, ours): &&(&str, &str)| name.starts_with(&format!("{ours}."));
    let mut name = match table.iter().filter(inside).max_by_key(|(_, ours)| ours.len()) {
        Some((theirs, ours)) => format!("{theirs}{}", &name[ours.len()..]),
        None => name
            .replace("decoder.time_embedder", "decoder.last_time_embedder")
            .replace("decoder.scale_shift_table", "decoder.last_scale_shift_table"),
    };
    for (to, from) in [
        ("res_blocks", "resnets"),
        ("norm3.norm", "norm3"),
        ("conv_shortcut", "conv_shortcut.conv"),
        ("per_channel_statistics.mean-of-means", "latents_mean"),
        ("per_channel_statistics.std-of-means", "latents_std"),
    ] {
        name = name.replace(from, to);
    }
    name
}

/// The folders `text_encoder` and `tokenizer`, the latter with `spiece.model` alone.
pub fn write_text(folder: &Path) {
    for (part, file) in
        [("text_encoder", "config.json"), ("text_encoder", "model.safetensors"), ("tokenizer", "spiece.model")]
    {
        std::fs::create_dir_all(folder.join(part)).unwrap();
        let place = Path::new(part).join(file);
        std::fs::copy(repository("tests/fixtures/ltx").join(&place), folder.join(&place)).unwrap();
    }
}

/// A folder of diffusers with the model of this generation.
pub fn folder(name: &str, model: &Model) -> Scratch {
    let scratch = Scratch::new(name);
    let pipeline = if model.generation == "0.9.5" { "LTXConditionPipeline" } else { "LTXImageToVideoPipeline" };
    model.write_folder(scratch.folder(), pipeline);
    scratch
}

/// A single file `model.safetensors` with text encoder and tokenizer beside it.
pub fn single_file(name: &str, tensors: &Tensors, metadata: Option<&Value>) -> Scratch {
    let scratch = Scratch::new(name);
    save(&scratch.path("model.safetensors"), tensors, metadata);
    write_text(scratch.folder());
    scratch
}
