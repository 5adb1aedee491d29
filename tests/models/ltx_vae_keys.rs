//! Configurations of the released autoencoders of LTX-Video, and the names of their tensors in single files.

use std::collections::BTreeSet;

use stir::models::ltx::vae::config::Config;
use stir::models::ltx::vae::keys::SingleFileKeys;
use stir::weights::keymap::Naming as _;

/// A released autoencoder: its configuration, and its modules by the names of diffusers.
struct Release {
    config: &'static str,
    /// Blocks and how many residual blocks they hold.
    blocks: &'static [(&'static str, usize)],
    /// Residual blocks that change the channels.
    changes: &'static [&'static str],
    /// Modules of encoder and decoder with a weight and a bias.
    layers: [&'static [&'static str]; 2],
    /// Tensors without either.
    tensors: &'static [&'static str],
    /// Whether the decoder's residual blocks have a `scale_shift_table`.
    modulated: bool,
    /// Whether those of its `up_blocks` add noise.
    noisy: bool,
    /// How many tensors there are.
    count: usize,
}

/// The conversion tables: the block of the single file, then that of diffusers.
const OLD_ENCODER: &[(&str, &str)] = &[
    ("encoder.down_blocks.0", "encoder.down_blocks.0"),
    ("encoder.down_blocks.1", "encoder.down_blocks.0.downsamplers.0"),
    ("encoder.down_blocks.2", "encoder.down_blocks.0.conv_out"),
    ("encoder.down_blocks.3", "encoder.down_blocks.1"),
    ("encoder.down_blocks.4", "encoder.down_blocks.1.downsamplers.0"),
    ("encoder.down_blocks.5", "encoder.down_blocks.1.conv_out"),
    ("encoder.down_blocks.6", "encoder.down_blocks.2"),
    ("encoder.down_blocks.7", "encoder.down_blocks.2.downsamplers.0"),
    ("encoder.down_blocks.8", "encoder.down_blocks.3"),
    ("encoder.down_blocks.9", "encoder.mid_block"),
];

const NEW_DECODER: &[(&str, &str)] = &[
    ("decoder.up_blocks.0", "decoder.mid_block"),
    ("decoder.up_blocks.1", "decoder.up_blocks.0.upsamplers.0"),
    ("decoder.up_blocks.2", "decoder.up_blocks.0"),
    ("decoder.up_blocks.3", "decoder.up_blocks.1.upsamplers.0"),
    ("decoder.up_blocks.4", "decoder.up_blocks.1"),
    ("decoder.up_blocks.5", "decoder.up_blocks.2.upsamplers.0"),
    ("decoder.up_blocks.6", "decoder.up_blocks.2"),
];

const OLD_DECODER: &[(&str, &str)] = &[
    ("decoder.up_blocks.0", "decoder.mid_block"),
    ("decoder.up_blocks.1", "decoder.up_blocks.0"),
    ("decoder.up_blocks.2", "decoder.up_blocks.1.upsamplers.0"),
    ("decoder.up_blocks.3", "decoder.up_blocks.1"),
    ("decoder.up_blocks.4", "decoder.up_blocks.2.conv_in"),
    ("decoder.up_blocks.5", "decoder.up_blocks.2.upsamplers.0"),
    ("decoder.up_blocks.6", "decoder.up_blocks.2"),
    ("decoder.up_blocks.7", "decoder.up_blocks.3.conv_in"),
    ("decoder.up_blocks.8", "decoder.up_blocks.3.upsamplers.0"),
    ("decoder.up_blocks.9", "decoder.up_blocks.3"),
];

const NEW_ENCODER: &[(&str, &str)] = &[
    ("encoder.down_blocks.0", "encoder.down_blocks.0"),
    ("encoder.down_blocks.1", "encoder.down_blocks.0.downsamplers.0"),
    ("encoder.down_blocks.2", "encoder.down_blocks.1"),
    ("encoder.down_blocks.3", "encoder.down_blocks.1.downsamplers.0"),
    ("encoder.down_blocks.4", "encoder.down_blocks.2"),
    ("encoder.down_blocks.5", "encoder.down_blocks.2.downsamplers.0"),
    ("encoder.down_blocks.6", "encoder.down_blocks.3"),
    ("encoder.down_blocks.7", "encoder.down_blocks.3.downsamplers.0"),
    ("encoder.down_blocks.8", "encoder.mid_block"),
];

/// Modules of a decoder that is told the timestep.
const TIMED_DECODER: &[&str] = &[
    "decoder.conv_in.conv",
    "decoder.mid_block.time_embedder.timestep_embedder.linear_1",
    "decoder.mid_block.time_embedder.timestep_embedder.linear_2",
    "decoder.up_blocks.0.time_embedder.timestep_embedder.linear_1",
    "decoder.up_blocks.0.time_embedder.timestep_embedder.linear_2",
    "decoder.up_blocks.0.upsamplers.0.conv.conv",
    "decoder.up_blocks.1.time_embedder.timestep_embedder.linear_1",
    "decoder.up_blocks.1.time_embedder.timestep_embedder.linear_2",
    "decoder.up_blocks.1.upsamplers.0.conv.conv",
    "decoder.up_blocks.2.time_embedder.timestep_embedder.linear_1",
    "decoder.up_blocks.2.time_embedder.timestep_embedder.linear_2",
    "decoder.up_blocks.2.upsamplers.0.conv.conv",
    "decoder.conv_out.conv",
    "decoder.time_embedder.timestep_embedder.linear_1",
    "decoder.time_embedder.timestep_embedder.linear_2",
];

const RELEASES: [(&str, Release); 3] = [
    (
        "0.9.0",
        Release {
            config: r#"{"_class_name": "AutoencoderKLLTXVideo"}"#,
            blocks: &[
                ("encoder.down_blocks.0", 4),
                ("encoder.down_blocks.1", 3),
                ("encoder.down_blocks.2", 3),
                ("encoder.down_blocks.3", 3),
                ("encoder.mid_block", 4),
                ("decoder.mid_block", 4),
                ("decoder.up_blocks.0", 3),
                ("decoder.up_blocks.1", 3),
                ("decoder.up_blocks.2", 3),
                ("decoder.up_blocks.3", 4),
            ],
            changes: &[
                "encoder.down_blocks.0.conv_out",
                "encoder.down_blocks.1.conv_out",
                "decoder.up_blocks.2.conv_in",
                "decoder.up_blocks.3.conv_in",
            ],
            layers: [
                &[
                    "encoder.conv_in.conv",
                    "encoder.down_blocks.0.downsamplers.0.conv",
                    "encoder.down_blocks.1.downsamplers.0.conv",
                    "encoder.down_blocks.2.downsamplers.0.conv",
                    "encoder.conv_out.conv",
                ],
                &[
                    "decoder.conv_in.conv",
                    "decoder.up_blocks.1.upsamplers.0.conv.conv",
                    "decoder.up_blocks.2.upsamplers.0.conv.conv",
                    "decoder.up_blocks.3.upsamplers.0.conv.conv",
                    "decoder.conv_out.conv",
                ],
            ],
            tensors: &["latents_mean", "latents_std"],
            modulated: false,
            noisy: false,
            count: 190,
        },
    ),
    (
        "0.9.1",
        Release {
            config: r#"{"block_out_channels": [128, 256, 512, 512], "decoder_block_out_channels": [256, 512, 1024],
                "decoder_inject_noise": [true, true, true, false], "decoder_layers_per_block": [5, 6, 7, 8],
                "decoder_spatio_temporal_scaling": [true, true, true], "timestep_conditioning": true,
                "upsample_factor": [2, 2, 2], "upsample_residual": [true, true, true]}"#,
            blocks: &[
                ("encoder.down_blocks.0", 4),
                ("encoder.down_blocks.1", 3),
                ("encoder.down_blocks.2", 3),
                ("encoder.down_blocks.3", 3),
                ("encoder.mid_block", 4),
                ("decoder.mid_block", 8),
                ("decoder.up_blocks.0", 7),
                ("decoder.up_blocks.1", 6),
                ("decoder.up_blocks.2", 5),
            ],
            changes: &["encoder.down_blocks.0.conv_out", "encoder.down_blocks.1.conv_out"],
            layers: [
                &[
                    "encoder.conv_in.conv",
                    "encoder.down_blocks.0.downsamplers.0.conv",
                    "encoder.down_blocks.1.downsamplers.0.conv",
                    "encoder.down_blocks.2.downsamplers.0.conv",
                    "encoder.conv_out.conv",
                ],
                TIMED_DECODER,
            ],
            tensors: &["latents_mean", "latents_std", "decoder.timestep_scale_multiplier", "decoder.scale_shift_table"],
            modulated: true,
            noisy: true,
            count: 294,
        },
    ),
    (
        "0.9.5",
        Release {
            config: r#"{"block_out_channels": [128, 256, 512, 1024, 2048], "decoder_block_out_channels": [256, 512, 1024],
                "down_block_types": ["LTXVideo095DownBlock3D", "LTXVideo095DownBlock3D", "LTXVideo095DownBlock3D", "LTXVideo095DownBlock3D"],
                "downsample_type": ["spatial", "temporal", "spatiotemporal", "spatiotemporal"], "layers_per_block": [4, 6, 6, 2, 2],
                "spatio_temporal_scaling": [true, true, true, true], "decoder_inject_noise": [false, false, false, false],
                "decoder_layers_per_block": [5, 5, 5, 5], "decoder_spatio_temporal_scaling": [true, true, true],
                "timestep_conditioning": true, "upsample_factor": [2, 2, 2], "upsample_residual": [true, true, true],
                "spatial_compression_ratio": 32, "temporal_compression_ratio": 8}"#,
            blocks: &[
                ("encoder.down_blocks.0", 4),
                ("encoder.down_blocks.1", 6),
                ("encoder.down_blocks.2", 6),
                ("encoder.down_blocks.3", 2),
                ("encoder.mid_block", 2),
                ("decoder.mid_block", 5),
                ("decoder.up_blocks.0", 5),
                ("decoder.up_blocks.1", 5),
                ("decoder.up_blocks.2", 5),
            ],
            changes: &[],
            layers: [
                &[
                    "encoder.conv_in.conv",
                    "encoder.down_blocks.0.downsamplers.0.conv.conv",
                    "encoder.down_blocks.1.downsamplers.0.conv.conv",
                    "encoder.down_blocks.2.downsamplers.0.conv.conv",
                    "encoder.down_blocks.3.downsamplers.0.conv.conv",
                    "encoder.conv_out.conv",
                ],
                TIMED_DECODER,
            ],
            tensors: &["latents_mean", "latents_std", "decoder.timestep_scale_multiplier", "decoder.scale_shift_table"],
            modulated: true,
            noisy: false,
            count: 226,
        },
    ),
];

/// The conversion tables of a release, encoder and decoder.
pub fn renumbering(release: &str) -> Vec<(&'static str, &'static str)> {
    match release {
        "0.9.0" => [OLD_ENCODER, OLD_DECODER].concat(),
        "0.9.1" => [OLD_ENCODER, NEW_DECODER].concat(),
        _ => [NEW_ENCODER, NEW_DECODER].concat(),
    }
}

impl Release {
    /// Every tensor by its name in diffusers.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.tensors.iter().map(|name| (*name).to_owned()).collect();
        let mut layers: Vec<String> = self.layers.concat().iter().map(|name| (*name).to_owned()).collect();
        for (block, count) in self.blocks {
            for index in 0..*count {
                let residual = format!("{block}.resnets.{index}");
                layers.extend(["conv1.conv", "conv2.conv"].map(|layer| format!("{residual}.{layer}")));
                if self.modulated && block.starts_with("decoder") {
                    names.push(format!("{residual}.scale_shift_table"));
                }
                if self.noisy && block.starts_with("decoder.up_blocks") {
                    names.extend(["per_channel_scale1", "per_channel_scale2"].map(|name| format!("{residual}.{name}")));
                }
            }
        }
        for change in self.changes {
            let parts = ["conv1.conv", "conv2.conv", "norm3", "conv_shortcut.conv"];
            layers.extend(parts.map(|layer| format!("{change}.{layer}")));
        }
        for layer in layers {
            names.extend(["weight", "bias"].map(|name| format!("{layer}.{name}")));
        }
        names
    }
}

/// What a conversion from a single file does, in its own direction and by its own tables.
fn to_diffusers(release: &str, name: &str) -> String {
    let mut name = name.strip_prefix("vae.").expect("every name begins so").to_owned();
    let table = renumbering(release);
    if let Some((theirs, ours)) = table.iter().find(|(theirs, _)| name.starts_with(&format!("{theirs}."))) {
        name = format!("{ours}{}", &name[theirs.len()..]);
    }
    for (from, to) in [
        ("res_blocks", "resnets"),
        ("norm3.norm", "norm3"),
        ("conv_shortcut", "conv_shortcut.conv"),
        ("last_time_embedder", "time_embedder"),
        ("last_scale_shift_table", "scale_shift_table"),
        ("per_channel_statistics.mean-of-means", "latents_mean"),
        ("per_channel_statistics.std-of-means", "latents_std"),
    ] {
        name = name.replace(from, to);
    }
    name
}

#[test]
fn every_tensor_of_a_single_file_comes_back_by_the_conversion() {
    for (name, release) in RELEASES {
        let config = Config::parse(release.config, name).unwrap();
        let keys = SingleFileKeys::new(&config, "vae.");
        let names = release.names();
        assert_eq!(names.len(), release.count, "{name}");
        let theirs: BTreeSet<String> = names.iter().map(|ours| keys.to_checkpoint(ours)).collect();
        assert_eq!(theirs.len(), release.count, "{name}: no two names become one");
        for ours in names {
            let theirs = keys.to_checkpoint(&ours);
            assert_eq!(to_diffusers(name, &theirs), ours, "{name}: by way of {theirs}");
            assert!(!SingleFileKeys::is_unused(&theirs));
        }
    }
}

#[test]
fn some_names_in_full() {
    let keys = |index: usize| SingleFileKeys::new(&Config::parse(RELEASES[index].1.config, "config").unwrap(), "vae.");
    for (index, ours, theirs) in [
        (0, "encoder.down_blocks.0.downsamplers.0.conv.weight", "vae.encoder.down_blocks.1.conv.weight"),
        (0, "encoder.down_blocks.1.conv_out.norm3.bias", "vae.encoder.down_blocks.5.norm3.norm.bias"),
        (0, "decoder.up_blocks.3.conv_in.conv_shortcut.conv.weight", "vae.decoder.up_blocks.7.conv_shortcut.weight"),
        (
            1,
            "decoder.up_blocks.2.resnets.4.per_channel_scale2",
            "vae.decoder.up_blocks.6.res_blocks.4.per_channel_scale2",
        ),
        (2, "encoder.mid_block.resnets.1.conv2.conv.bias", "vae.encoder.down_blocks.8.res_blocks.1.conv2.conv.bias"),
        (2, "decoder.scale_shift_table", "vae.decoder.last_scale_shift_table"),
        (2, "decoder.timestep_scale_multiplier", "vae.decoder.timestep_scale_multiplier"),
        (2, "latents_std", "vae.per_channel_statistics.std-of-means"),
    ] {
        assert_eq!(keys(index).to_checkpoint(ours), theirs);
    }
    assert!(SingleFileKeys::is_unused("vae.per_channel_statistics.channel"));
}

/// The object `vae` of each release's metadata, in the forms that these have had.
const METADATA: [&str; 3] = [
    r#"{"_class_name": "CausalVideoAutoencoder", "dims": 3, "in_channels": 3, "out_channels": 3, "latent_channels": 128,
        "blocks": [["res_x", 4], ["compress_all", 1], ["res_x_y", 1], ["res_x", 3], ["compress_all", 1], ["res_x_y", 1],
        ["res_x", 3], ["compress_all", 1], ["res_x", 3], ["res_x", 4]], "scaling_factor": 1.0, "norm_layer": "pixel_norm",
        "patch_size": 4, "latent_log_var": "uniform", "use_quant_conv": false, "causal_decoder": false}"#,
    r#"{"_class_name": "CausalVideoAutoencoder", "dims": 3, "in_channels": 3, "out_channels": 3, "latent_channels": 128,
        "encoder_blocks": [["res_x", {"num_layers": 4}], ["compress_all", {}], ["res_x_y", 1], ["res_x", {"num_layers": 3}],
        ["compress_all", {}], ["res_x_y", 1], ["res_x", {"num_layers": 3}], ["compress_all", {}], ["res_x", {"num_layers": 3}],
        ["res_x", {"num_layers": 4}]],
        "decoder_blocks": [["res_x", {"num_layers": 5, "inject_noise": true}], ["compress_all", {"residual": true, "multiplier": 2}],
        ["res_x", {"num_layers": 6, "inject_noise": true}], ["compress_all", {"residual": true, "multiplier": 2}],
        ["res_x", {"num_layers": 7, "inject_noise": true}], ["compress_all", {"residual": true, "multiplier": 2}],
        ["res_x", {"num_layers": 8, "inject_noise": false}]], "scaling_factor": 1.0, "norm_layer": "pixel_norm", "patch_size": 4,
        "latent_log_var": "uniform", "use_quant_conv": false, "causal_decoder": false, "timestep_conditioning": true}"#,
    r#"{"_class_name": "CausalVideoAutoencoder", "dims": 3, "in_channels": 3, "out_channels": 3, "latent_channels": 128,
        "encoder_blocks": [["res_x", {"num_layers": 4}], ["compress_space_res", {"multiplier": 2}], ["res_x", {"num_layers": 6}],
        ["compress_time_res", {"multiplier": 2}], ["res_x", {"num_layers": 6}], ["compress_all_res", {"multiplier": 2}],
        ["res_x", {"num_layers": 2}], ["compress_all_res", {"multiplier": 2}], ["res_x", {"num_layers": 2}]],
        "decoder_blocks": [["res_x", {"num_layers": 5, "inject_noise": false}], ["compress_all", {"residual": true, "multiplier": 2}],
        ["res_x", {"num_layers": 5, "inject_noise": false}], ["compress_all", {"residual": true, "multiplier": 2}],
        ["res_x", {"num_layers": 5, "inject_noise": false}], ["compress_all", {"residual": true, "multiplier": 2}],
        ["res_x", {"num_layers": 5, "inject_noise": false}]], "encoder_base_channels": 128, "decoder_base_channels": 128,
        "norm_layer": "pixel_norm", "patch_size": 4, "latent_log_var": "uniform", "use_quant_conv": false, "causal_decoder": false,
        "timestep_conditioning": true, "spatial_padding_mode": "zeros", "normalize_latent_channels": false}"#,
];

#[test]
fn metadata_describes_the_same_autoencoders_as_the_folders_of_diffusers() {
    for ((name, release), metadata) in RELEASES.iter().zip(METADATA) {
        let folder = Config::parse(release.config, name).unwrap();
        assert_eq!(Config::from_single_file(metadata, name).unwrap(), folder, "{name}");
    }
}

#[test]
fn releases_make_32_pixels_and_8_frames_of_a_latent() {
    for (name, release) in RELEASES {
        let config = Config::parse(release.config, name).unwrap();
        assert_eq!((config.spatial_ratio(), config.temporal_ratio()), (32, 8), "{name}");
    }
}

/// Each field with a value that changes the mathematics, or that fits to nothing.
#[test]
fn values_that_are_not_implemented_are_refused_by_field_and_value() {
    let newest = RELEASES[2].1.config;
    for (field, value, shown) in [
        ("_class_name", r#""AutoencoderKL""#, "AutoencoderKL"),
        ("in_channels", "4", "found 4"),
        ("out_channels", "4", "found 4"),
        ("patch_size_t", "2", "found 2"),
        ("patch_size", "0", "found 0"),
        ("latent_channels", "0", "found 0"),
        ("scaling_factor", "0.5", "found 0.5"),
        ("resnet_norm_eps", "0", "found 0.0"),
        ("block_out_channels", "[]", "found []"),
        ("block_out_channels", "[128, 250, 512, 1024, 2048]", "250"),
        ("block_out_channels", "[128, 256, 512, 1024]", "[\"LTXVideo095DownBlock3D\""),
        ("down_block_types", r#"["Other", "Other", "Other", "Other"]"#, "Other"),
        ("downsample_type", r#"["spatial", "temporal", "spatiotemporal", "conv"]"#, "conv"),
        ("downsample_type", r#"["spatial"]"#, "spatial"),
        ("layers_per_block", "[4, 6, 6, 2]", "[4, 6, 6, 2]"),
        ("decoder_layers_per_block", "[5]", "[5]"),
        ("upsample_factor", "[2, 2, 3]", "[2, 2, 3]"),
        ("upsample_factor", "[2, 4, 2]", "found 2"),
        ("decoder_block_out_channels", "[256, 512, 0]", "0"),
        ("decoder_spatio_temporal_scaling", "[true, true, false]", "`upsample_factor`"),
        ("spatial_compression_ratio", "16", "found 16"),
        ("temporal_compression_ratio", "4", "found 4"),
        ("timestep_conditioning", "3", "invalid type"),
    ] {
        let mut object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(newest).unwrap();
        object.insert(field.to_owned(), serde_json::from_str(value).unwrap());
        let error = Config::parse(&serde_json::to_string(&object).unwrap(), "config.json").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("config.json") && error.to_string().contains(shown), "{error}");
    }
    assert!(Config::parse("[]", "config.json").is_err());
    let older = r#"{"timestep_conditioning": true}"#;
    assert!(Config::parse(older, "config.json").unwrap_err().to_string().contains("`timestep_conditioning`"));
    let noisy = r#"{"decoder_inject_noise": [true, false, false, false, false]}"#;
    assert!(Config::parse(noisy, "config.json").unwrap_err().to_string().contains("`decoder_inject_noise`"));
    let newer = r#"{"latent_channels": 128, "a_field_of_tomorrow": 1}"#;
    assert!(Config::parse(newer, "config.json").is_ok(), "an unknown field is a warning");
    let other = Config::parse(r#"{"model_type": "t5", "d_model": 4096}"#, "config.json").unwrap_err().to_string();
    assert!(other.contains("wanted the configuration of an LTX-Video autoencoder, found fields of none"), "{other}");
}
