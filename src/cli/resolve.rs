//! From options to a request: every value is read, and contradictions are refused.

use std::ffi::OsStr;

use super::options::Options;
use super::shared_options::Parts;
use super::{contradiction, output, values};
use crate::error::{Error, Result};
use crate::media::Target;
use crate::media::framing::Fit;
use crate::media::image::{ImageSource, ReadOptions};
use crate::models::{self, ModelRequest, MotionPrompt, STEPS, SamplingOptions, VaeTiling};
use crate::picture::Color;
use crate::pipeline::observer::Level;
use crate::pipeline::request::{self, Length, Request, Size};
use crate::pipeline::state::SaveState;
use crate::units::{Fps, Seconds};
use crate::words;

/// Most clips of one run.
const MOST_CLIPS: u64 = 1000;

impl Options {
    /// The request that these options make.
    ///
    /// # Errors
    /// Options that contradict each other, and values that cannot be used.
    pub(super) fn request(&self) -> Result<Request> {
        self.check_contradictions()?;
        let image = self.image()?;
        let output = self.output(&image)?;
        let (prompt, remarks) = self.prompt()?;
        let preview = self.preview.as_deref().map(|option| output::preview(option, &output)).transpose()?;
        if preview.as_ref().is_some_and(|preview| preview.path == output.path) {
            return Err(contradiction("--preview", "another name than the clip's", "the clip itself"));
        }
        let count = self
            .count
            .as_deref()
            .map_or(Ok(1), |count| values::whole("--count", count, 1..=MOST_CLIPS, "1 is the default"))?;
        if count > 1 && self.noise.is_some() {
            let found = format!("--count {count}");
            return Err(contradiction("--noise", "a single clip, because all would get the same noise", &found));
        }
        let fps = self.fps.as_deref().map_or(Ok(Fps(25.0)), values::fps)?;
        let file = |option, value| values::optional(option, value, values::path);
        Ok(Request {
            output,
            read: ReadOptions { background: self.background()?, any_image: self.allow_any_image },
            prompt,
            remarks,
            fit: self.fit.as_deref().map_or(Ok(Fit::Cover), |fit| values::text("--fit", fit)?.parse())?,
            length: self.length(fps)?,
            count: count as usize,
            preview,
            watermark: self.format.watermark()?,
            metadata: self.format.metadata(),
            eyes: request::parse_eyes(&self.eyes()?)?,
            size: self.size()?,
            fps,
            seed: values::seed(self.seed.as_deref().unwrap_or(OsStr::new("42")))?,
            sampling: self.sampling()?,
            degradation: self.degrade.as_deref().map(|how| values::text("--degrade", how)?.parse()).transpose()?,
            device: self.device.device()?,
            model: self.model()?,
            noise: file("--noise", &self.noise)?,
            save_latents: file("--save-latents", &self.save_latents)?,
            save_frames: file("--save-frames", &self.save_frames)?,
            strict: self.strict,
            save_state: self.save_state()?,
            image,
        })
    }

    pub(super) fn check_contradictions(&self) -> Result<()> {
        for (option, value, other, other_value) in [
            ("--resolution", &self.resolution, "--width", &self.width),
            ("--resolution", &self.resolution, "--height", &self.height),
            ("--num-frames", &self.num_frames, "--duration", &self.duration),
            ("--sigmas", &self.sigmas, "--steps", &self.steps),
            ("--sigmas", &self.sigmas, "--flow-shift", &self.flow_shift),
        ] {
            if value.is_some() && other_value.is_some() {
                return Err(contradiction(option, &format!("no {other} beside it"), "both"));
            }
        }
        self.talk.check()?;
        if self.jobs.is_some() {
            let hint = "`stir generate --jobs FILE --dry-run` says what each job is";
            return Err(Error::input("--jobs", "stir generate, which makes many clips", "another command", hint));
        }
        if self.journal.is_some() {
            let hint = "leave --journal out";
            return Err(Error::input("--journal", "--jobs or a folder of pictures beside it", "a single clip", hint));
        }
        if self.latent_upsampler.is_some() && !self.two_pass {
            let hint = "give both, or leave --latent-upsampler out";
            return Err(Error::input("--latent-upsampler", "--two-pass beside it", "none", hint));
        }
        if self.fit.is_some() && (self.width.is_none() || self.height.is_none()) {
            let found = if self.width.is_none() && self.height.is_none() { "neither" } else { "only one" };
            return Err(Error::input(
                "--fit",
                "both --width and --height beside it",
                found,
                "give both, or leave --fit out: any other size keeps the picture's aspect",
            ));
        }
        Ok(())
    }

    fn image(&self) -> Result<ImageSource> {
        match &self.image {
            Some(image) => values::path("--image", image).map(ImageSource::named),
            None => Err(Error::input("--image", "a picture to animate", "none", "name one, such as -i portrait.png")),
        }
    }

    fn output(&self, image: &ImageSource) -> Result<Target> {
        self.format.target(self.output.as_deref(), image.path())
    }

    /// What should move, and what there is to say about it.
    fn prompt(&self) -> Result<(MotionPrompt, Vec<(Level, String)>)> {
        let Some(prompt) = &self.prompt else {
            let hint = "say it, such as -p \"hair gently flowing, eyes blinking slowly\"";
            return Err(Error::input("--prompt", "what should move", "none", hint));
        };
        let camera = self.camera.as_deref().map(|camera| values::text("--camera", camera)).transpose()?;
        let motion = values::text("--motion", self.motion.as_deref().unwrap_or(OsStr::new("medium")))?;
        let intensity = request::parse_motion(motion)?;
        let mut prompt = request::read_prompt(values::text("--prompt", prompt)?, camera, intensity)?;
        prompt.negative = self.negative_prompt.as_deref().map(values::negative_prompt).transpose()?;
        let mut remarks = Vec::new();
        if self.prompt_optimizer && !prompt.words.is_empty() {
            prompt.words = words::rewrite(&prompt.words);
            remarks.push((Level::Note, format!("prompt: {}", prompt.words)));
        }
        // Of what runs: after a rewriting little is left to say.
        for advice in words::advise(&prompt.words) {
            remarks.push((Level::Advice, advice.to_string()));
        }
        Ok((prompt, remarks))
    }

    fn background(&self) -> Result<Color> {
        let Some(background) = &self.background else { return Ok(Color::WHITE) };
        let text = values::text("--background", background)?;
        text.parse().map_err(|_| {
            Error::input("--background", "white, black or #rrggbb", format!("\"{text}\""), "such as \"#f5f0e6\"")
        })
    }

    pub(super) fn length(&self, fps: Fps) -> Result<Length> {
        if let Some(frames) = &self.num_frames {
            return values::num_frames(frames).map(Length::Frames);
        }
        match &self.duration {
            Some(duration) => values::duration(duration, fps).map(Length::Duration),
            None => {
                values::check_frames(Seconds(6.0), fps)?;
                Ok(Length::Duration(Seconds(6.0)))
            }
        }
    }

    fn save_state(&self) -> Result<Option<SaveState>> {
        let every = self.save_state_every.as_deref();
        let Some(folder) = self.save_state.as_deref() else {
            let hint = "give both, or leave --save-state-every out";
            return match every {
                Some(_) => Err(Error::input("--save-state-every", "--save-state beside it", "none", hint)),
                None => Ok(None),
            };
        };
        let range = 1..=*STEPS.end() as u64;
        let every = every
            .map_or(Ok(1), |every| values::whole("--save-state-every", every, range, "1 is the default: every step"))?;
        Ok(Some(SaveState { folder: values::path("--save-state", folder)?, every: every as usize }))
    }

    fn eyes(&self) -> Result<Vec<String>> {
        self.eyes.iter().map(|eye| values::text("--eyes", eye).map(str::to_owned)).collect()
    }

    pub(super) fn size(&self) -> Result<Size> {
        let side = |option, value| values::optional(option, value, values::side);
        Ok(match (side("--width", &self.width)?, side("--height", &self.height)?) {
            (Some(width), Some(height)) => Size::Exact { width, height },
            (Some(width), None) => Size::Width(width),
            (None, Some(height)) => Size::Height(height),
            (None, None) => {
                let resolution = self.resolution.as_deref().unwrap_or(OsStr::new("720p"));
                Size::ShortSide(request::parse_resolution(values::text("--resolution", resolution)?)?)
            }
        })
    }

    fn sampling(&self) -> Result<SamplingOptions> {
        let share = |option, value| values::optional(option, value, values::share);
        Ok(SamplingOptions {
            steps: self.steps.as_deref().map(values::steps).transpose()?,
            guidance_scale: self.guidance_scale.as_deref().map(values::guidance_scale).transpose()?,
            guidance_rescale: share("--guidance-rescale", &self.guidance_rescale)?,
            flow_shift: self.flow_shift.as_deref().map(values::flow_shift).transpose()?,
            sigmas: self.sigmas.as_deref().map(values::sigmas).transpose()?,
            perturbation_scale: self.stg_scale.as_deref().map(values::perturbation_scale).transpose()?,
            strength: share("--strength", &self.strength)?,
            image_noise: share("--image-noise", &self.image_noise)?,
            two_pass: self.two_pass,
            decode_timestep: share("--decode-timestep", &self.decode_timestep)?,
            decode_noise: share("--decode-noise", &self.decode_noise)?,
        })
    }

    pub(super) fn model(&self) -> Result<ModelRequest> {
        let model = match &self.model {
            Some(model) => values::text("--model", model)?,
            None => models::DEFAULT_MODEL,
        };
        let path = |option, value| values::optional(option, value, values::path);
        let Parts { vae, text_encoder, tokenizer } = self.parts.parts()?;
        Ok(ModelRequest {
            model: model.to_owned(),
            vae,
            text_encoder,
            tokenizer,
            upsampler: path("--latent-upsampler", &self.latent_upsampler)?,
            variant: self.variant.as_deref().map(values::variant).transpose()?,
            dtype: self.dtype.as_deref().map_or(Ok(None), values::dtype)?,
            tiling: self.vae_tiling.as_deref().map_or(Ok(VaeTiling::Auto), values::tiling)?,
            offload: self.offload.as_deref().map(values::offload).transpose()?,
        })
    }
}
