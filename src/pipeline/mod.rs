//! The whole run: picture -> conditioning -> denoise -> decode -> clip.

pub mod latent_file;
pub mod observer;
pub mod request;

use crate::diffusion::{guidance, noise, sampler, schedule};
use crate::error::Result;
use crate::latents::Latents;
use crate::media::framing::{Framing, FramingRequest};
use crate::media::{self, ClipWriter, WrittenClip};
use crate::models::{self, Branch, Conditioning, Decoder, Denoiser, Family, PictureHints};
use crate::picture::Picture;
use crate::units::Clip;
use observer::{Level, Observer, Stage};
use request::Request;

/// A clip that a run made.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The clip on disk.
    pub written: WrittenClip,
    /// Its shape.
    pub clip: Clip,
    /// Its seed.
    pub seed: u64,
}

/// Makes all clips of a request; the observer hears of each as it is complete.
///
/// # Errors
/// Bad input before anything is loaded; afterwards whatever failed. No unfinished file is left under a final name.
pub fn generate(request: &Request, observer: &mut dyn Observer) -> Result<()> {
    let run = Run::prepare(request, observer)?;
    let conditioning = run.condition(observer)?;
    let denoiser = run.family.denoiser()?;
    let decoder = run.family.decoder()?;
    for index in 0..request.count {
        observer.clip(index, request.count, request.seed(index));
        let latents = run.denoise(denoiser.as_ref(), index, &conditioning, observer)?;
        if let Some(path) = &request.save_latents {
            latent_file::save(&request.path(path, index), &latents, run.family.name(), request.seed(index))?;
        }
        let written = run.decode(decoder.as_ref(), index, &latents, &conditioning, observer)?;
        observer.finished(&Outcome { written, clip: run.clip, seed: request.seed(index) });
    }
    Ok(())
}

/// What every stage reads.
struct Run<'a> {
    request: &'a Request,
    family: Box<dyn Family>,
    framing: Framing,
    /// The picture as the model gets it.
    picture: Picture,
    hints: PictureHints,
    /// The clip as it is written.
    clip: Clip,
    noise: Option<Latents>,
}

impl<'a> Run<'a> {
    fn prepare(request: &'a Request, observer: &mut dyn Observer) -> Result<Self> {
        observer.begin(Stage::Prepare, 1);
        for (level, line) in &request.remarks {
            observer.say(*level, line);
        }
        request.check_targets()?;
        let opened = media::image::open(&request.image, &request.read)?;
        opened.notes.iter().for_each(|note| observer.say(Level::Note, note));
        let original = opened.picture;
        let clip = request.clip(&original)?;
        media::check_clip(&request.output, &clip)?;
        let framing = FramingRequest {
            written: (clip.width, clip.height),
            fit: request.fit,
            background: request.read.background,
            side_multiple: 1,
        }
        .of(&original);
        let hints = request.hints(&original, &framing)?;
        let picture = framing.prepare(&original);
        let family = models::open(&request.model, &request.device.open()?)?;
        let shapes = family.latent_shapes(&clip);
        let noise = request.noise.as_deref().map(|path| latent_file::read_noise(path, &shapes)).transpose()?;
        Ok(Self { request, family, framing, picture, hints, clip, noise })
    }

    fn condition(&self, observer: &mut dyn Observer) -> Result<Conditioning> {
        observer.begin(Stage::Text, 1);
        let text = self.family.text_encoder()?.encode(&self.request.prompt)?;
        text.notes.iter().for_each(|note| observer.say(Level::Note, note));
        observer.begin(Stage::Encode, 1);
        let image = self.family.image_encoder()?.encode(&self.picture, &self.hints)?;
        let conditioning = Conditioning { image, text };
        self.family.notes(&conditioning)?.iter().for_each(|note| observer.say(Level::Note, note));
        Ok(conditioning)
    }

    fn denoise(
        &self,
        denoiser: &dyn Denoiser,
        index: usize,
        conditioning: &Conditioning,
        observer: &mut dyn Observer,
    ) -> Result<Latents> {
        let defaults = self.family.defaults();
        let scale = self.request.guidance_scale.unwrap_or(defaults.guidance_scale);
        let sigmas = schedule::linear(self.request.steps.unwrap_or(defaults.steps));
        observer.begin(Stage::Denoise, sigmas.len() - 1);
        let constraints = self.family.constraints(conditioning, &self.clip)?;
        let noise = match &self.noise {
            Some(noise) => noise.clone(),
            None => noise::initial(self.request.seed(index), &self.family.latent_shapes(&self.clip))?,
        };
        sampler::euler(noise, &sigmas, &constraints, |x, sigma, step| {
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
        decoder: &dyn Decoder,
        index: usize,
        latents: &Latents,
        conditioning: &Conditioning,
        observer: &mut dyn Observer,
    ) -> Result<WrittenClip> {
        observer.begin(Stage::Decode, self.clip.frames.0);
        let mut frames = decoder.start(latents, conditioning, &self.picture, &self.clip)?;
        let request = self.request;
        let mut clip_writer = media::create(&request.target(index), &self.clip)?;
        let mut frame_writer: Option<Box<dyn ClipWriter>> = request
            .save_frames
            .as_deref()
            .map(|folder| media::create_png_folder(&request.path(folder, index), &self.clip))
            .transpose()?;
        let mut done = 0;
        while let Some(frame) = frames.next()? {
            let frame = self.framing.finish(frame);
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
