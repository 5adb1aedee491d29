//! The tiny checkpoint as one file in Lightricks' layout, by a table of names of its own.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};

/// Parts of names in the transformer: of diffusers, then of single files.
const TRANSFORMER: [(&str, &str); 4] = [
    ("proj_in.", "patchify_proj."),
    ("time_embed.", "adaln_single."),
    (".norm_q.", ".q_norm."),
    (".norm_k.", ".k_norm."),
];

/// Beginnings of names in an autoencoder of generation 0.9.5 with four stages: of diffusers, then of single files, which count blocks and
/// changes of size together.
const VAE: [(&str, &str); 22] = [
    ("encoder.down_blocks.0.resnets.", "encoder.down_blocks.0.res_blocks."),
    ("encoder.down_blocks.0.downsamplers.0.", "encoder.down_blocks.1."),
    ("encoder.down_blocks.1.resnets.", "encoder.down_blocks.2.res_blocks."),
    ("encoder.down_blocks.1.downsamplers.0.", "encoder.down_blocks.3."),
    ("encoder.down_blocks.2.resnets.", "encoder.down_blocks.4.res_blocks."),
    ("encoder.down_blocks.2.downsamplers.0.", "encoder.down_blocks.5."),
    ("encoder.down_blocks.3.resnets.", "encoder.down_blocks.6.res_blocks."),
    ("encoder.down_blocks.3.downsamplers.0.", "encoder.down_blocks.7."),
    ("encoder.mid_block.resnets.", "encoder.down_blocks.8.res_blocks."),
    ("decoder.mid_block.resnets.", "decoder.up_blocks.0.res_blocks."),
    ("decoder.mid_block.time_embedder.", "decoder.up_blocks.0.time_embedder."),
    ("decoder.up_blocks.0.upsamplers.0.", "decoder.up_blocks.1."),
    ("decoder.up_blocks.0.resnets.", "decoder.up_blocks.2.res_blocks."),
    ("decoder.up_blocks.0.time_embedder.", "decoder.up_blocks.2.time_embedder."),
    ("decoder.up_blocks.1.upsamplers.0.", "decoder.up_blocks.3."),
    ("decoder.up_blocks.1.resnets.", "decoder.up_blocks.4.res_blocks."),
    ("decoder.up_blocks.1.time_embedder.", "decoder.up_blocks.4.time_embedder."),
    ("decoder.up_blocks.2.upsamplers.0.", "decoder.up_blocks.5."),
    ("decoder.up_blocks.2.resnets.", "decoder.up_blocks.6.res_blocks."),
    ("decoder.up_blocks.2.time_embedder.", "decoder.up_blocks.6.time_embedder."),
    ("decoder.time_embedder.", "decoder.last_time_embedder."),
    ("decoder.scale_shift_table", "decoder.last_scale_shift_table"),
];

/// Whole names of the statistics.
const STATISTICS: [(&str, &str); 2] =
    [("latents_mean", "per_channel_statistics.mean-of-means"), ("latents_std", "per_channel_statistics.std-of-means")];

/// Further statistics, which the files have and nobody reads.
const UNUSED: [&str; 3] = ["channel", "mean-of-stds", "mean-of-stds_over_std-of-means"];

/// What the file says of itself, in the words of the released files.
const CONFIG: &str = r#"{
    "transformer": {
        "_class_name": "Transformer3DModel", "_diffusers_version": "0.25.1", "activation_fn": "gelu-approximate", "attention_bias": true,
        "attention_head_dim": 16, "attention_type": "default", "caption_channels": 24, "causal_temporal_positioning": true,
        "cross_attention_dim": 32, "double_self_attention": false, "dropout": 0.0, "in_channels": 8, "norm_elementwise_affine": false,
        "norm_eps": 1e-06, "norm_num_groups": 32, "num_attention_heads": 2, "num_embeds_ada_norm": 1000, "num_layers": 2,
        "num_vector_embeds": null, "only_cross_attention": false, "out_channels": 8, "positional_embedding_max_pos": [20, 2048, 2048],
        "positional_embedding_theta": 10000.0, "positional_embedding_type": "rope", "project_to_2d_pos": true, "qk_norm": "rms_norm",
        "standardization_norm": "rms_norm", "timestep_scale_multiplier": 1000, "upcast_attention": false, "use_linear_projection": false
    },
    "vae": {
        "_class_name": "CausalVideoAutoencoder", "dims": 3, "in_channels": 3, "out_channels": 3, "latent_channels": 8, "patch_size": 4,
        "encoder_base_channels": 4, "decoder_base_channels": 4, "norm_layer": "pixel_norm", "latent_log_var": "uniform",
        "use_quant_conv": false, "causal_decoder": false, "timestep_conditioning": true, "spatial_padding_mode": "zeros",
        "encoder_blocks": [
            ["res_x", {"num_layers": 1}], ["compress_space_res", {"multiplier": 2}],
            ["res_x", {"num_layers": 2}], ["compress_time_res", {"multiplier": 1}],
            ["res_x", {"num_layers": 1}], ["compress_all_res", {"multiplier": 2}],
            ["res_x", {"num_layers": 1}], ["compress_all_res", {"multiplier": 1}],
            ["res_x", {"num_layers": 1}]
        ],
        "decoder_blocks": [
            ["res_x", {"num_layers": 1, "inject_noise": false}], ["compress_all", {"residual": true, "multiplier": 2}],
            ["res_x", {"num_layers": 1, "inject_noise": false}], ["compress_all", {"residual": true, "multiplier": 1}],
            ["res_x", {"num_layers": 2, "inject_noise": false}], ["compress_all", {"residual": true, "multiplier": 2}],
            ["res_x", {"num_layers": 1, "inject_noise": false}]
        ]
    },
    "scheduler": {
        "_class_name": "RectifiedFlowScheduler", "_diffusers_version": "0.25.1", "num_train_timesteps": 1000, "shifting": null,
        "base_resolution": null, "sampler": "LinearQuadratic"
    }
}"#;

/// Writes transformer and autoencoder of the folder `checkpoint` into the file `path`.
pub fn write_single_file(checkpoint: &Path, path: &Path) {
    let mut tensors: HashMap<String, Tensor> = HashMap::new();
    for (name, tensor) in tensors_of(&checkpoint.join("transformer")) {
        let renamed = TRANSFORMER.iter().fold(name, |name, (ours, theirs)| name.replace(ours, theirs));
        tensors.insert(format!("model.diffusion_model.{renamed}"), tensor);
    }
    for (name, tensor) in tensors_of(&checkpoint.join("vae")) {
        tensors.insert(format!("vae.{}", vae_name(&name)), tensor);
    }
    let statistics = tensors["vae.per_channel_statistics.std-of-means"].clone();
    tensors.extend(UNUSED.map(|name| (format!("vae.per_channel_statistics.{name}"), statistics.clone())));
    let metadata = HashMap::from([("config".to_owned(), CONFIG.to_owned())]);
    safetensors::serialize_to_file(tensors.iter(), Some(metadata), path).unwrap();
}

fn tensors_of(part: &Path) -> HashMap<String, Tensor> {
    let path = part.join("diffusion_pytorch_model.safetensors");
    candle_core::safetensors::load(&path, &Device::Cpu)
        .unwrap_or_else(|problem| panic!("{}: {problem}", path.display()))
}

fn vae_name(name: &str) -> String {
    if let Some((_, theirs)) = STATISTICS.iter().find(|(ours, _)| *ours == name) {
        return (*theirs).to_owned();
    }
    let renamed = VAE.iter().find_map(|(ours, theirs)| Some(format!("{theirs}{}", name.strip_prefix(ours)?)));
    renamed.unwrap_or_else(|| name.to_owned())
}
