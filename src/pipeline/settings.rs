//! The settings of a run by the names of their options: what `--dry-run` prints, `-v` lists, events carry and `--config` reads.

use std::path::Path;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::decode::DecodeRequest;
use super::request::{Length, PROMPT_CHARACTERS, Request, Size};
use super::state::SaveState;
use crate::media::VideoEncoder;
use crate::media::image::ImageSource;
use crate::media::watermark::Watermark;
use crate::models::{ModelRequest, MotionPrompt, SamplingOptions, VaeTiling, Variant};

/// Every setting that has a value, in the order of the help; none where the model or the picture decides. File names that are not UTF-8 are
/// shown as nearly as they can be.
#[derive(Debug)]
pub struct Settings {
    /// The name of the clips' format.
    pub format: &'static str,
    entries: Vec<(&'static str, Value)>,
}

impl From<&Request> for Settings {
    fn from(request: &Request) -> Self {
        let mut entries = Vec::new();
        let mut set = |option, value: Value| entries.push((option, value));
        set("image", picture(&request.image));
        let format = request.output.format.name();
        set("output", file(&request.output.path));
        set("format", json!(format));
        let (prompt, camera) = words_of(&request.prompt);
        set("prompt", json!(prompt));
        if let Some(camera) = camera {
            set("camera", json!(camera));
        }
        if let Some(negative) = &request.prompt.negative {
            set("negative_prompt", json!(negative));
        }
        set("motion", json!(request.prompt.intensity));
        match request.size {
            Size::ShortSide(side) => set("resolution", json!(format!("{side}p"))),
            Size::Width(width) => set("width", json!(width)),
            Size::Height(height) => set("height", json!(height)),
            Size::Exact { width, height } => {
                set("width", json!(width));
                set("height", json!(height));
                set("fit", json!(request.fit.name()));
            }
        }
        set("background", json!(request.read.background.to_string()));
        match request.length {
            Length::Duration(duration) => set("duration", json!(duration.0)),
            Length::Frames(frames) => set("num_frames", json!(frames.0)),
        }
        set("fps", json!(request.fps.0));
        set("seed", seed(request.seed));
        set("count", json!(request.count));
        let SamplingOptions {
            steps,
            guidance_scale,
            guidance_rescale,
            flow_shift,
            sigmas,
            perturbation_scale,
            strength,
            image_noise,
            two_pass,
            decode_timestep,
            decode_noise,
        } = &request.sampling;
        if let Some(steps) = steps {
            set("steps", json!(steps));
        }
        for (option, value) in [
            ("guidance_scale", guidance_scale),
            ("guidance_rescale", guidance_rescale),
            ("stg_scale", perturbation_scale),
            ("flow_shift", flow_shift),
            ("strength", strength),
            ("image_noise", image_noise),
            ("decode_timestep", decode_timestep),
            ("decode_noise", decode_noise),
        ] {
            if let Some(value) = value {
                set(option, json!(value));
            }
        }
        if let Some(sigmas) = sigmas {
            set("sigmas", json!(sigmas.iter().map(f64::to_string).collect::<Vec<_>>().join(",")));
        }
        if let Some(degradation) = request.degradation {
            set("degrade", json!(degradation.name()));
        }
        if *two_pass {
            set("two_pass", json!(true));
        }
        let ModelRequest { model, vae, text_encoder, tokenizer, upsampler, variant, dtype, tiling, offload } =
            &request.model;
        set("model", json!(model));
        for (option, path) in
            [("vae", vae), ("text_encoder", text_encoder), ("tokenizer", tokenizer), ("latent_upsampler", upsampler)]
        {
            if let Some(path) = path {
                set(option, file(path));
            }
        }
        if let Some(variant) = variant {
            let name = match variant {
                Variant::Dev => "dev",
                Variant::Distilled => "distilled",
            };
            set("variant", json!(name));
        }
        if let Some(dtype) = dtype {
            set("dtype", json!(dtype.as_str()));
        }
        if *tiling != VaeTiling::Auto {
            set("vae_tiling", json!(tiling.name()));
        }
        if let Some(offload) = offload {
            set("offload", json!(offload.name()));
        }
        set("device", json!(request.device.to_string()));
        if !request.eyes.is_empty() {
            let eyes = request.eyes.iter();
            let eyes = eyes.map(|eye| format!("{},{},{},{}", eye.left, eye.top, eye.width, eye.height));
            set("eyes", json!(eyes.collect::<Vec<_>>()));
        }
        if request.output.encoder != VideoEncoder::Auto {
            set("encoder", json!(request.output.encoder.name()));
        }
        set("quality", json!(request.output.quality));
        set("no_clobber", json!(!request.output.replace));
        if let Some(watermark) = &request.watermark {
            set("watermark", mark(watermark));
        }
        if let Some(preview) = &request.preview {
            set("preview", file(&preview.path));
        }
        if !request.metadata {
            set("no_metadata", json!(true));
        }
        for (option, path) in
            [("save_frames", &request.save_frames), ("save_latents", &request.save_latents), ("noise", &request.noise)]
        {
            if let Some(path) = path {
                set(option, file(path));
            }
        }
        if let Some(SaveState { folder, every }) = &request.save_state {
            set("save_state", file(folder));
            set("save_state_every", json!(every));
        }
        if request.strict {
            set("strict", json!(true));
        }
        set("allow_any_image", json!(request.read.any_image));
        Self { format, entries }
    }
}

impl From<&DecodeRequest> for Settings {
    fn from(request: &DecodeRequest) -> Self {
        let DecodeRequest { latents, output, vae, text_encoder, tokenizer, .. } = request;
        let paths = [("vae", vae), ("text_encoder", text_encoder), ("tokenizer", tokenizer)];
        let paths = paths.map(|(option, path)| (option, path.as_deref().map(file)));
        let [vae, text_encoder, tokenizer] = paths;
        let entries = [
            ("latents", Some(file(latents))),
            ("image", request.image.as_ref().map(picture)),
            ("output", Some(file(&output.path))),
            ("format", Some(json!(output.format.name()))),
            ("fps", request.fps.map(|fps| json!(fps.0))),
            ("seed", request.seed.map(seed)),
            ("decode_timestep", request.timestep.map(|timestep| json!(timestep))),
            ("decode_noise", request.noise.map(|noise| json!(noise))),
            ("model", request.model.as_ref().map(|model| json!(model))),
            vae,
            text_encoder,
            tokenizer,
            ("dtype", request.dtype.map(|dtype| json!(dtype.map_or("auto", |dtype| dtype.as_str())))),
            ("vae_tiling", request.tiling.map(|tiling| json!(tiling.name()))),
            ("device", Some(json!(request.device.to_string()))),
            ("encoder", (output.encoder != VideoEncoder::Auto).then(|| json!(output.encoder.name()))),
            ("quality", Some(json!(output.quality))),
            ("no_clobber", Some(json!(!output.replace))),
            ("watermark", request.watermark.as_ref().map(mark)),
            ("no_metadata", (!request.metadata).then_some(json!(true))),
            ("save_frames", request.save_frames.as_deref().map(file)),
        ];
        let given = entries.into_iter().filter_map(|(option, value)| Some((option, value?)));
        Self { format: output.format.name(), entries: given.collect() }
    }
}

fn file(path: &Path) -> Value {
    json!(path.display().to_string())
}

fn picture(source: &ImageSource) -> Value {
    match source {
        ImageSource::File(path) => file(path),
        ImageSource::Stdin => json!("-"),
    }
}

fn mark(watermark: &Watermark) -> Value {
    match watermark {
        Watermark::Text(text) => json!(text),
        Watermark::Picture(path) => file(path),
    }
}

/// TOML has no larger whole numbers than 63 bits hold.
fn seed(seed: u64) -> Value {
    i64::try_from(seed).map_or_else(|_| json!(seed.to_string()), |seed| json!(seed))
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.entries.iter().map(|(option, value)| (option, value)))
    }
}

impl Settings {
    /// Each option by its long name with underscores, and its value: a number, a text, whether it is on, or a list of texts.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.entries.iter().map(|(option, value)| (*option, value))
    }
}

/// The prompt and the camera commands; in brackets in the prompt where the words alone are too few for one.
fn words_of(prompt: &MotionPrompt) -> (String, Option<String>) {
    let commands = prompt.camera.iter().map(|command| command.name()).collect::<Vec<_>>().join(", ");
    if commands.is_empty() {
        (prompt.words.clone(), None)
    } else if prompt.words.chars().count() < *PROMPT_CHARACTERS.start() {
        (format!("{} [{commands}]", prompt.words).trim().to_owned(), None)
    } else {
        (prompt.words.clone(), Some(commands))
    }
}
