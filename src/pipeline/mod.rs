//! The whole run: picture -> conditioning -> denoise -> decode -> clip.

pub mod latent_file;
pub mod observer;
mod preview;
pub mod request;
#[cfg(test)]
mod tests;

use crate::diffusion::{guidance, noise, sampler, schedule};
use crate::error::Result;
use crate::latents::Latents;
use crate::media::framing::Framing;
use crate::media::watermark::PreparedWatermark;
use crate::media::{self, ClipWriter, WrittenClip};
use crate::models::{self, Branch, Conditioning, Decoder, Denoiser, Family};
use crate::picture::Picture;
use crate::units::Clip;
use observer::{Level, Observer, Stage};
use preview::Preview;
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
    observer.begin(Stage::Prepare, 1);
    let picture = check(request, observer)?;
    let family = models::open(&request.model, &request.device.open()?)?;
    run(request, picture, family, observer)
}

/// Checks all that can be checked before anything is loaded, says what there is to say before a run, and gives the picture.
///
/// # Errors
/// Bad input, or a place that cannot be written to.
pub fn check(request: &Request, observer: &mut dyn Observer) -> Result<Picture> {
    request.remarks.iter().for_each(|(level, line)| observer.say(*level, line));
    models::check(&request.model)?;
    request.check_targets()?;
    let opened = media::image::open(&request.image, &request.read)?;
    opened.notes.iter().for_each(|note| observer.say(Level::Note, note));
    let clip = request.clip(&opened.picture)?;
    request.check_clip(&clip)?;
    request.watermark(&clip)?;
    Ok(opened.picture)
}

/// The run itself. Each network is built when it is first used, and the denoiser is freed before the last decode.
fn run(request: &Request, picture: Picture, family: Box<dyn Family>, observer: &mut dyn Observer) -> Result<()> {
    let run = Run::prepare(request, picture, family, observer)?;
    let mut denoiser = Some(run.family.denoiser()?);
    let decoder = run.family.decoder()?;
    for index in 0..request.count {
        let seed = request.seed(index);
        observer.clip(index, request.count, seed);
        let preview = run.preview(index, decoder.as_ref());
        let denoise = denoiser.as_deref().expect("it is kept until the last clip");
        let latents = run.denoise(denoise, index, preview.as_ref(), observer)?;
        if index + 1 == request.count {
            denoiser = None;
        }
        if let Some(path) = &request.save_latents {
            let bytes = latent_file::to_bytes(&latents, run.family.name(), seed)?;
            media::write_atomically(&request.path(path, index), &bytes, request.output.replace)?;
        }
        let written = run.decode(decoder.as_ref(), index, &latents, observer)?;
        observer.finished(&Outcome { written, clip: run.clip, seed });
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
    conditioning: Conditioning,
    /// The clip as it is written.
    clip: Clip,
    /// The clip as the model makes it: on its grid, so at least as large and as long.
    generated: Clip,
    watermark: Option<PreparedWatermark>,
    noise: Option<Latents>,
}

impl<'a> Run<'a> {
    /// All that comes before noise, and is the same for every clip. `original`: the picture as it was read.
    fn prepare(
        request: &'a Request,
        original: Picture,
        family: Box<dyn Family>,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        family.check_prompt(&request.prompt)?;
        let clip = request.clip(&original)?;
        let framing = request.framing(&original, &clip, family.grid());
        let generated = request::generated(&clip, &framing, family.grid());
        let level = if generated == clip { Level::Detail } else { Level::Note };
        observer.say(level, &request::describe(&clip, &generated));
        let hints = request.hints(&original, &framing)?;
        let picture = framing.prepare(&original);
        drop(original);
        let shapes = family.latent_shapes(&generated);
        let noise = request.noise.as_deref().map(|path| latent_file::read_noise(path, &shapes)).transpose()?;
        let watermark = request.watermark(&clip)?;

        observer.begin(Stage::Text, 1);
        let text = family.text_encoder()?.encode(&request.prompt)?;
        text.notes.iter().for_each(|note| observer.say(Level::Note, note));
        observer.begin(Stage::Encode, 1);
        let image = family.image_encoder()?.encode(&picture, &hints)?;
        let conditioning = Conditioning { image, text };
        family.notes(&conditioning)?.iter().for_each(|note| observer.say(Level::Note, note));
        Ok(Self { request, family, framing, picture, conditioning, clip, generated, watermark, noise })
    }

    /// Previews of clip `index`, where they are asked for.
    fn preview<'b>(&self, index: usize, decoder: &'b dyn Decoder) -> Option<Preview<'b>> {
        let target = self.request.preview_target(index)?;
        Some(Preview::new(target, decoder, &self.picture, &self.generated))
    }

    fn denoise(
        &self,
        denoiser: &dyn Denoiser,
        index: usize,
        preview: Option<&Preview>,
        observer: &mut dyn Observer,
    ) -> Result<Latents> {
        let defaults = self.family.defaults();
        let scale = self.request.guidance_scale.unwrap_or(defaults.guidance_scale);
        let sigmas = schedule::linear(self.request.steps.unwrap_or(defaults.steps));
        let steps = sigmas.len() - 1;
        observer.begin(Stage::Denoise, steps);
        let conditioning = &self.conditioning;
        let constraints = self.family.constraints(conditioning, &self.generated)?;
        let noise = match &self.noise {
            Some(noise) => noise.clone(),
            None => noise::initial(self.request.seed(index), &self.family.latent_shapes(&self.generated))?,
        };
        let latents = sampler::euler(noise, &sigmas, &constraints, |x, sigma, step| {
            let prompted = denoiser.velocity(x, sigma, conditioning, Branch::Prompt)?;
            let velocity = if scale == 1.0 {
                prompted
            } else {
                let unconditional = denoiser.velocity(x, sigma, conditioning, Branch::Unconditional)?;
                guidance::classifier_free(&prompted, &unconditional, scale)?
            };
            observer.advance(step + 1);
            if let Some(preview) = preview.filter(|_| step + 1 == steps / 2) {
                preview.write(&sampler::expected(x, &velocity, sigma, &constraints)?, conditioning, observer)?;
            }
            Ok(velocity)
        })?;
        if let Some(preview) = preview {
            preview.write(&latents, conditioning, observer)?;
        }
        Ok(latents)
    }

    /// Frames go from the decoder into the file one by one; they are never all in memory.
    fn decode(
        &self,
        decoder: &dyn Decoder,
        index: usize,
        latents: &Latents,
        observer: &mut dyn Observer,
    ) -> Result<WrittenClip> {
        let count = self.clip.frames.0;
        observer.begin(Stage::Decode, count);
        let mut frames = decoder.start(latents, &self.conditioning, &self.picture, &self.generated)?;
        let request = self.request;
        let mut clip_writer = media::create(&request.target(index), &self.clip)?;
        let mut frame_writer: Option<Box<dyn ClipWriter>> =
            request.frames_target(index).map(|target| media::create(&target, &self.clip)).transpose()?;
        // The tail that only fills the model's grid is not asked for.
        for done in 1..=count {
            let Some(frame) = frames.next()? else { break };
            let mut frame = self.framing.finish(frame);
            if let Some(watermark) = &self.watermark {
                watermark.draw(&mut frame);
            }
            clip_writer.write(&frame)?;
            if let Some(writer) = &mut frame_writer {
                writer.write(&frame)?;
            }
            observer.advance(done);
        }
        if let Some(writer) = frame_writer {
            writer.finish()?;
        }
        clip_writer.finish()
    }
}
