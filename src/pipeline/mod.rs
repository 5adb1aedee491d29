//! The whole run: picture -> conditioning -> denoise -> decode -> clip.

pub mod latent_file;
pub mod observer;
pub mod request;

use crate::diffusion::{guidance, noise, sampler, schedule};
use crate::error::Result;
use crate::latents::Latents;
use crate::media::{self, ClipWriter, WrittenClip};
use crate::models::{self, Branch, Conditioning, Family, PictureHints};
use crate::picture::Picture;
use crate::units::Clip;
use observer::{Observer, Stage};
use request::Request;

/// What a run made.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The clip on disk.
    pub written: WrittenClip,
    /// Its shape.
    pub clip: Clip,
}

/// Makes a clip.
///
/// # Errors
/// Bad input before anything is loaded; afterwards whatever failed. No unfinished file is left under a final name.
pub fn generate(request: &Request, observer: &mut dyn Observer) -> Result<Outcome> {
    let run = Run::prepare(request, observer)?;
    let conditioning = run.condition(observer)?;
    let latents = run.denoise(&conditioning, observer)?;
    if let Some(path) = &request.save_latents {
        latent_file::save(path, &latents, run.family.name(), request.seed)?;
    }
    let written = run.decode(&latents, &conditioning, observer)?;
    Ok(Outcome { written, clip: run.clip })
}

/// What every stage reads. The networks are not here: each is built, used and freed within its stage.
struct Run<'a> {
    request: &'a Request,
    family: Box<dyn Family>,
    picture: Picture,
    hints: PictureHints,
    clip: Clip,
    noise: Latents,
}

impl<'a> Run<'a> {
    fn prepare(request: &'a Request, observer: &mut dyn Observer) -> Result<Self> {
        observer.begin(Stage::Prepare, 1);
        request.check_targets()?;
        let original = media::image::open(&request.image)?;
        let clip = request.clip(&original)?;
        let hints = request.hints(&original, &clip)?;
        let picture = media::image::cover(&original, clip.width, clip.height);
        let family = models::open(&request.model, &request.device.open()?)?;
        let shapes = family.latent_shapes(&clip);
        let noise = match &request.noise {
            Some(path) => latent_file::read_noise(path, &shapes)?,
            None => noise::initial(request.seed, &shapes)?,
        };
        Ok(Self { request, family, picture, hints, clip, noise })
    }

    fn condition(&self, observer: &mut dyn Observer) -> Result<Conditioning> {
        observer.begin(Stage::Text, 1);
        let text = self.family.text_encoder()?.encode(&self.request.prompt)?;
        text.notes.iter().for_each(|note| observer.note(note));
        observer.begin(Stage::Encode, 1);
        let image = self.family.image_encoder()?.encode(&self.picture, &self.hints)?;
        let conditioning = Conditioning { image, text };
        self.family.notes(&conditioning)?.iter().for_each(|note| observer.note(note));
        Ok(conditioning)
    }

    fn denoise(&self, conditioning: &Conditioning, observer: &mut dyn Observer) -> Result<Latents> {
        let defaults = self.family.defaults();
        let scale = self.request.guidance_scale.unwrap_or(defaults.guidance_scale);
        let sigmas = schedule::linear(self.request.steps.unwrap_or(defaults.steps));
        observer.begin(Stage::Denoise, sigmas.len() - 1);
        let constraints = self.family.constraints(conditioning, &self.clip)?;
        let denoiser = self.family.denoiser()?;
        sampler::euler(self.noise.clone(), &sigmas, &constraints, |x, sigma, step| {
            let prompted = denoiser.velocity(x, sigma, conditioning, Branch::Prompt)?;
            let velocity = if scale == 1.0 {
                prompted
            } else {
                let unconditional = denoiser.velocity(x, sigma, conditioning, Branch::Unconditional)?;
                guidance::classifier_free(&prompted, &unconditional, scale)?
            };
            observer.advance(step + 1);
            Ok(velocity)
        })
    }

    /// Frames go from the decoder into the file one by one; they are never all in memory.
    fn decode(
        &self,
        latents: &Latents,
        conditioning: &Conditioning,
        observer: &mut dyn Observer,
    ) -> Result<WrittenClip> {
        observer.begin(Stage::Decode, self.clip.frames.0);
        let mut frames = self.family.decoder()?.start(latents, conditioning, &self.picture, &self.clip)?;
        let mut clip_writer = media::create(&self.request.output, &self.clip, self.request.quality)?;
        let mut frame_writer: Option<Box<dyn ClipWriter>> = self
            .request
            .save_frames
            .as_deref()
            .map(|folder| media::create_png_folder(folder, &self.clip))
            .transpose()?;
        let mut done = 0;
        while let Some(frame) = frames.next()? {
            clip_writer.write(&frame)?;
            if let Some(writer) = &mut frame_writer {
                writer.write(&frame)?;
            }
            done += 1;
            observer.advance(done);
        }
        if let Some(writer) = frame_writer {
            writer.finish()?;
        }
        clip_writer.finish()
    }
}
