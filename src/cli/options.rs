//! The options of `stir generate`: their names, their help and their groups. Values are kept as they were given; [`super::resolve`] reads them.

use std::ffi::OsString;

use clap::{Args, ValueHint};

use super::shared_options::{DeviceOptions, FormatOptions, PartOptions, TalkOptions};
use super::values::Names;

/// Animate a picture: 6 seconds, 25 frames a second
#[derive(Debug, Default, Args)]
#[command(
    args_override_self = true,
    override_usage = "stir generate -i IMAGE -p WORDS [-o OUT] [OPTIONS]",
    after_help = "Example:\n  stir generate -i portrait.png -p \"hair gently flowing, eyes blinking slowly [push in]\" -o clip.mp4"
)]
pub struct Options {
    /// Picture to animate: JPEG, PNG or WebP; `-` reads it from standard input
    #[arg(short, long, value_name = "IMAGE", value_hint = ValueHint::FilePath, help_heading = "Picture and clip")]
    pub(super) image: Option<OsString>,

    /// Clip to write: .mp4, .mov, .webm, .gif, .webp, .y4m, or a folder (ending in /) of PNGs [default: the picture's name with .mp4, in the current folder]
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::AnyPath, help_heading = "Picture and clip")]
    pub(super) output: Option<OsString>,

    /// What should move, in 2 to 2000 characters; camera commands in brackets, such as [push in, tilt up]
    #[arg(short, long, value_name = "WORDS", help_heading = "Words")]
    pub(super) prompt: Option<OsString>,

    /// What must not be seen, for models that read text [default: the model's own]
    #[arg(short, long, value_name = "WORDS", help_heading = "Words")]
    pub(super) negative_prompt: Option<OsString>,
    /// Camera commands, up to three, separated by commas, as in brackets in the prompt
    #[arg(long, value_name = "COMMANDS", help_heading = "Words")]
    pub(super) camera: Option<OsString>,

    /// Motion intensity: low, medium, high or a number from 0 to 2 [default: medium]
    #[arg(long, value_name = "AMOUNT", value_parser = Names(&["low", "medium", "high"]), hide_possible_values = true, allow_hyphen_values = true, help_heading = "Words")]
    pub(super) motion: Option<OsString>,

    /// Rewrite the prompt by rules into motion, direction and atmosphere, and say what came of it
    #[arg(long, help_heading = "Words")]
    pub(super) prompt_optimizer: bool,

    /// Short side of the clip, in the picture's aspect: 480p, 512p, 720p or 1080p [default: 720p]
    #[arg(long, value_name = "NAME", value_parser = Names(&["480p", "512p", "720p", "1080p"]), hide_possible_values = true, help_heading = "Shape")]
    pub(super) resolution: Option<OsString>,

    /// Width in pixels, an even number from 32 to 4096; the height follows from the picture unless -H is given too
    #[arg(short = 'W', long, value_name = "PIXELS", allow_hyphen_values = true, help_heading = "Shape")]
    pub(super) width: Option<OsString>,

    /// Height in pixels, an even number from 32 to 4096; the width follows from the picture unless -W is given too
    #[arg(short = 'H', long, value_name = "PIXELS", allow_hyphen_values = true, help_heading = "Shape")]
    pub(super) height: Option<OsString>,

    /// How the picture fills -W and -H: cover (cropped in the centre), contain (all of it, between bars) or stretch [default: cover]
    #[arg(long, value_name = "HOW", value_parser = Names(&["cover", "contain", "stretch"]), hide_possible_values = true, help_heading = "Shape")]
    pub(super) fit: Option<OsString>,

    /// What shows where the picture is transparent, and in the bars of --fit contain: white, black or #rrggbb [default: white]
    #[arg(long, value_name = "COLOR", help_heading = "Shape")]
    pub(super) background: Option<OsString>,

    /// Length in seconds, over 0 and up to 600 [default: 6]
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true, help_heading = "Time")]
    pub(super) duration: Option<OsString>,

    /// Frames a second, up to 240 [default: 25]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, help_heading = "Time")]
    pub(super) fps: Option<OsString>,

    /// Length in frames, 1 to 15000, instead of --duration
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, help_heading = "Time")]
    pub(super) num_frames: Option<OsString>,

    /// Seed of the noise: the same seed gives the same clip; `random` draws one and prints it [default: 42]
    #[arg(short, long, value_name = "NUMBER|random", allow_hyphen_values = true, help_heading = "Sampling")]
    pub(super) seed: Option<OsString>,

    /// Number of clips, 1 to 1000, each with the next seed, which goes into its name [default: 1]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, help_heading = "Sampling")]
    pub(super) count: Option<OsString>,

    /// Denoising steps, 1 to 1000 [default: the model's own]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, help_heading = "Sampling")]
    pub(super) steps: Option<OsString>,

    /// How strongly the words lead, 0 to 100; 1 or less means no guidance [default: the model's own]
    #[arg(long, value_name = "NUMBER", alias = "cfg-scale", allow_hyphen_values = true, help_heading = "Sampling")]
    pub(super) guidance_scale: Option<OsString>,
    /// How far guidance may not change the spread of values, 0 (not limited) to 1 [default: the model's own]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, help_heading = "Sampling")]
    pub(super) guidance_rescale: Option<OsString>,
    /// Spatio-temporal guidance, 0 (none) to 100 [default: the model's own]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, help_heading = "Sampling")]
    pub(super) stg_scale: Option<OsString>,
    /// Factor that shifts the noise levels towards noise, over 0 and up to 100 [default: the model's own]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, help_heading = "Sampling")]
    pub(super) flow_shift: Option<OsString>,
    /// The noise levels themselves instead of --steps: falling numbers up to 1, without the 0 at the end; with --two-pass those of the first pass
    #[arg(long, value_name = "LIST", allow_hyphen_values = true, help_heading = "Sampling")]
    pub(super) sigmas: Option<OsString>,
    /// How firmly the picture is held as the first frame, 0 to 1 [default: 1]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, help_heading = "Sampling")]
    pub(super) strength: Option<OsString>,
    /// Noise on the picture as the model sees it, 0 to 1; some keeps the clip from freezing [default: the model's own]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, help_heading = "Sampling")]
    pub(super) image_noise: Option<OsString>,
    /// Make the picture like a frame of a video first, which helps motion and costs sharpness: off, mild or official [default: the model's own]
    #[arg(long, value_name = "HOW", value_parser = Names(&["off", "mild", "official"]), hide_possible_values = true, help_heading = "Sampling")]
    pub(super) degrade: Option<OsString>,
    /// Make the clip small first, then once more at twice the size
    #[arg(long, help_heading = "Sampling")]
    pub(super) two_pass: bool,
    /// How noisy the decoder takes the latents to be, 0 to 1 [default: the model's own]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, help_heading = "Sampling")]
    pub(super) decode_timestep: Option<OsString>,
    /// Share of noise mixed into the latents before they are decoded, 0 to 1 [default: the model's own]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, help_heading = "Sampling")]
    pub(super) decode_noise: Option<OsString>,
    /// Model to use: a name that `stir models` lists, or the path of a folder or file [default: the model that ships with stir]
    #[arg(long, value_name = "NAME|PATH", value_hint = ValueHint::AnyPath, help_heading = "Model")]
    pub(super) model: Option<OsString>,
    /// What a model given by its path was trained for: dev (many steps, guidance) or distilled (few steps) [default: dev]
    #[arg(long, value_name = "NAME", value_parser = Names(&["dev", "distilled"]), hide_possible_values = true, help_heading = "Model")]
    pub(super) variant: Option<OsString>,
    #[command(flatten)]
    pub(super) parts: PartOptions,
    /// Latent upsampler of --two-pass, where it is not with the model: a folder or a file
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath, help_heading = "Model")]
    pub(super) latent_upsampler: Option<OsString>,
    /// Type that the networks compute in: auto, bf16, f16 or f32; auto is bf16, or f32 on processors without bf16 products [default: auto]
    #[arg(long, value_name = "TYPE", value_parser = Names(&["auto", "bf16", "f16", "f32"]), hide_possible_values = true, help_heading = "Model")]
    pub(super) dtype: Option<OsString>,
    /// Decode frames in tiles, which takes less memory and is not exact: auto, on or off [default: auto]
    #[arg(long, value_name = "WHEN", value_parser = Names(&["auto", "on", "off"]), hide_possible_values = true, help_heading = "Model")]
    pub(super) vae_tiling: Option<OsString>,

    /// Where the denoiser's blocks wait for their turn: none (all are on the device), cpu (in the CPU's memory) or disk (in their file) [default: as near as they fit]
    #[arg(long, value_name = "WHERE", value_parser = Names(&["none", "cpu", "disk"]), hide_possible_values = true, help_heading = "Model")]
    pub(super) offload: Option<OsString>,

    #[command(flatten)]
    pub(super) device: DeviceOptions,

    /// Box around an open eye without its lashes, in pixels of IMAGE (left, top, width, height), once or twice [default: look for them]
    #[arg(long, value_name = "X,Y,W,H", allow_hyphen_values = true, help_heading = "Model")]
    pub(super) eyes: Vec<OsString>,

    #[command(flatten)]
    pub(super) format: FormatOptions,

    /// Also write a small .webp or .gif as soon as something can be seen [default FILE: OUT's name with .preview.webp]
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "", value_hint = ValueHint::FilePath, help_heading = "Output")]
    pub(super) preview: Option<OsString>,

    /// Write exactly the frames of the clip as 000000.png, 000001.png, ... into this folder
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath, help_heading = "Output")]
    pub(super) save_frames: Option<OsString>,

    /// Write the final latents to a safetensors file, of which `stir decode` makes the clip
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Output")]
    pub(super) save_latents: Option<OsString>,

    /// Read the initial noise from a safetensors file instead of drawing it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Output")]
    pub(super) noise: Option<OsString>,

    #[command(flatten)]
    pub(super) talk: TalkOptions,

    /// Read options from a TOML file, such as `steps = 8`; options given here come first. Its paths are relative to the current folder
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Running")]
    pub(super) config: Option<OsString>,

    /// Check everything and print the settings as TOML that --config reads, with what `stir plan` says as comments, but make nothing
    #[arg(long, help_heading = "Running")]
    pub(super) dry_run: bool,

    /// Refuse what is only warned of otherwise, such as an unknown field in a model's configuration
    #[arg(long, help_heading = "Running")]
    pub(super) strict: bool,
    /// Take pictures beyond the limits that only guard quality: over 20 MB, under 300 pixels, longer than 5:2
    #[arg(long, help_heading = "Running")]
    pub(super) allow_any_image: bool,
}
