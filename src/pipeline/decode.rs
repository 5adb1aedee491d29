//! From latents to a clip on disk: the end of every run, and all of a run that finishes an earlier one.

use std::path::{Path, PathBuf};

use candle_core::DType;

use super::Outcome;
use super::latent_file::LatentFile;
use super::latent_record::{LatentRecord, PictureRecord, fingerprint};
use super::observer::{Level, Observer, Stage};
use super::prepare::prepared;
use super::provenance::gather::Decoding;
use super::provenance::sums::{self, FrameSum};
use super::provenance::{Record, beside};
use super::request::{self, check_side};
use super::residency::decode_what_fits;
use super::writing::Writers;
use crate::device::DeviceChoice;
use crate::error::{Error, Result};
use crate::media::framing::{Fit, Framing, FramingRequest};
use crate::media::image::{self, ImageSource, ReadOptions};
use crate::media::watermark::{PreparedWatermark, Watermark};
use crate::media::{self, OutputFormat, Target, VideoEncoder, WrittenClip};
use crate::models::{
    self, Conditioning, DecodeInputs, DecodeSettings, Decoder, Family, ModelRequest, SamplingOptions, VaeTiling,
};
use crate::picture::{Color, Picture};
use crate::units::{Clip, Fps, PixelFrames};

/// Frames on their way from the decoder into files.
pub(super) struct ClipDecode<'a> {
    /// Whose decoder makes them.
    pub family: &'a dyn Family,
    /// What the frames are made from.
    pub inputs: DecodeInputs<'a>,
    /// How the written frames are cut out of them.
    pub framing: &'a Framing,
    /// The clip as it is written.
    pub clip: &'a Clip,
    /// What is drawn into the corner of every frame.
    pub watermark: Option<&'a PreparedWatermark>,
    /// Where the clip goes.
    pub target: Target,
    /// Where the frames go one by one.
    pub frames_target: Option<Target>,
    /// What the clip says of how it was made, but for its frames.
    pub record: Option<Record>,
}

impl ClipDecode<'_> {
    /// Frames go from the decoder into the file one by one, encoded while the next ones are decoded; they are never all in memory.
    /// `piece`: as in [`DecodeInputs`].
    pub fn write(
        &self,
        decoder: &dyn Decoder,
        piece: Option<usize>,
        observer: &mut dyn Observer,
    ) -> Result<WrittenClip> {
        let count = self.clip.frames.0;
        observer.begin(Stage::Decode, count);
        let mut frames = decoder.start(&DecodeInputs { piece, ..self.inputs })?;
        frames.note().into_iter().for_each(|note| observer.say(Level::Note, note));
        let record = self.record.clone().map(|record| record.of_tiles(piece.filter(|_| frames.note().is_some())));
        let writers = Writers {
            clip: match &record {
                Some(record) => media::create_described(&self.target, self.clip, record.to_json())?,
                None => media::create(&self.target, self.clip)?,
            },
            frames: self.frames_target.as_ref().map(|target| media::create(target, self.clip)).transpose()?,
            record: record.map(|record| (record, FrameSum::default())),
        };
        writers.write_beside(|written| {
            // The tail that only fills the model's grid is not asked for.
            for done in 1..=count {
                let Some(frame) = frames.next()? else { break };
                let mut frame = self.framing.finish(frame);
                if let Some(watermark) = self.watermark {
                    watermark.draw(&mut frame);
                }
                if written.send(frame).is_err() {
                    break;
                }
                observer.advance(done);
            }
            // Of other weights the frames would be others.
            self.family.check_unchanged()
        })
    }
}

/// Latents to be decoded; `None` is what the latents' own record says.
#[derive(Debug, Clone)]
pub struct DecodeRequest {
    /// The file of final latents.
    pub latents: PathBuf,
    /// The picture that they were made from, for a decoder that draws on it.
    pub image: Option<ImageSource>,
    /// The clip to write.
    pub output: Target,
    /// A folder to write every frame to.
    pub save_frames: Option<PathBuf>,
    /// What is drawn into the corner of every frame.
    pub watermark: Option<Watermark>,
    /// Whether the clip carries the record of how it was made.
    pub metadata: bool,
    /// The model that made them.
    pub model: Option<String>,
    /// Its autoencoder: a folder or a file.
    pub vae: Option<PathBuf>,
    /// Its text encoder, which is not read: a folder or a file.
    pub text_encoder: Option<PathBuf>,
    /// Its tokenizer, which is not read: a folder or a file.
    pub tokenizer: Option<PathBuf>,
    /// The type that the decoder computes in; `Some(None)` is the device's own.
    pub dtype: Option<Option<DType>>,
    /// Whether frames are decoded in tiles.
    pub tiling: Option<VaeTiling>,
    /// How noisy the decoder takes the latents to be, 0 to 1.
    pub timestep: Option<f64>,
    /// Share of noise that is mixed in before, 0 to 1.
    pub noise: Option<f64>,
    /// Seed of that noise; 42 where there is no record.
    pub seed: Option<u64>,
    /// Frame rate.
    pub fps: Option<Fps>,
    /// Where the decoder runs.
    pub device: DeviceChoice,
}

/// Makes the clip that latents hold: the same as the run would have made that they are from.
///
/// # Errors
/// Bad input before any weight is read; afterwards whatever failed. No unfinished file is left under a final name.
pub fn decode(request: &DecodeRequest, observer: &mut dyn Observer) -> Result<()> {
    observer.begin(Stage::Prepare, 1);
    request.check_targets()?;
    let file = LatentFile::open(&request.latents)?;
    let model = request.model(&file)?;
    models::check(&model)?;
    let family = models::open(&model, &request.device.open()?)?;
    let scene = match file.record() {
        Some(record) => Scene::recorded(request, record, (family.as_ref(), file.thing()))?,
        None => Scene::of_shape(request, &file.shape()?, (family.as_ref(), file.thing()))?,
    };
    let Scene { pass, written, framing, settings, seed } = &scene;
    observer.say(Level::Detail, &request::describe(written, pass));
    let latents = file.read(&family.latent_shapes(pass))?;
    let recorded = file.record().and_then(|record| record.provenance.as_ref()?.sha256.latents.as_ref());
    if recorded.is_some_and(|sum| sums::of_latents(&latents).is_ok_and(|found| found != *sum)) {
        let found = "do not have the SHA-256 that their record names";
        let line = format!("{} {found}: they are damaged or were changed, and make another clip", file.thing());
        observer.say(Level::Warning, &line);
    }
    media::check_clip(&request.output, written)?;
    request.frames_target().map_or(Ok(()), |target| media::check_clip(&target, written))?;
    let watermark = request.watermark.as_ref().map(|mark| mark.prepare(written.width, written.height)).transpose()?;
    let shown = if family.decodes_onto_picture() {
        let recorded = file.record().and_then(|record| record.picture.as_ref());
        Some(scene.shown(request, recorded, (family.as_ref(), file.thing()), observer)?)
    } else {
        if request.image.is_some() {
            let line = format!("--image is not read: {} decodes latents without the picture", family.name());
            observer.say(Level::Note, &line);
        }
        None
    };
    let decoding = Decoding { request, family: family.as_ref(), recorded: file.record(), latents: &latents, pass };
    let record = request.metadata.then(|| decoding.record(observer)).transpose()?;
    let nothing = Conditioning::default();
    let decode = ClipDecode {
        family: family.as_ref(),
        inputs: DecodeInputs {
            latents: &latents,
            conditioning: shown.as_ref().map_or(&nothing, |shown| &shown.conditioning),
            picture: shown.as_ref().map(|shown| &shown.picture),
            clip: pass,
            settings: *settings,
            seed: *seed,
            piece: None,
        },
        framing,
        clip: written,
        watermark: watermark.as_ref(),
        target: request.output.clone(),
        frames_target: request.frames_target(),
        record,
    };
    observer.clip(0, 1, *seed);
    let made = decode_what_fits(&decode, family.decoder()?.as_ref(), &mut || false, observer)?;
    observer.finished(&Outcome { written: made, clip: *written, seed: *seed });
    Ok(())
}

impl DecodeRequest {
    fn frames_target(&self) -> Option<Target> {
        let path = self.save_frames.clone()?;
        let (format, encoder) = (OutputFormat::PngFolder, VideoEncoder::Auto);
        Some(Target { path, format, encoder, ..self.output.clone() })
    }

    fn check_targets(&self) -> Result<()> {
        let mark = self.watermark.as_ref().and_then(Watermark::path);
        let image = self.image.as_ref().and_then(ImageSource::path);
        let inputs: Vec<&Path> = [Some(self.latents.as_path()), image, mark].into_iter().flatten().collect();
        let targets: Vec<Target> = [Some(self.output.clone()), self.frames_target()].into_iter().flatten().collect();
        targets.iter().try_for_each(|target| media::check_target(target, &inputs))?;
        let sidecar = media::sidecar(&self.output).filter(|_| self.metadata);
        sidecar.iter().try_for_each(|path| media::check_file(path, self.output.replace, &inputs))?;
        beside::check(&self.output, self.metadata)?;
        let paths: Vec<PathBuf> = targets.into_iter().map(|target| target.path).chain(sidecar).collect();
        media::check_apart(&paths)?;
        media::warn_of_leftovers(&paths);
        Ok(())
    }

    /// The model that made the latents, as far as anybody says.
    fn model(&self, file: &LatentFile) -> Result<ModelRequest> {
        let recorded = match (file.record(), &self.model) {
            // Parts of the recorded model are none of another one.
            (Some(record), Some(model)) if *model != record.model.model => {
                let ModelRequest { dtype, tiling, .. } = record.model;
                ModelRequest { dtype, tiling, ..ModelRequest::named(model) }
            }
            (Some(record), _) => record.model.clone(),
            (None, Some(model)) if self.fps.is_some() => ModelRequest::named(model),
            (None, model) => {
                let found = if model.is_some() { "none, and no --fps" } else { "none, and no --model" };
                let hint = "another program wrote it: say by --model and --fps what they are of";
                return Err(Error::input(file.thing(), "the record of a run of stir", found, hint));
            }
        };
        Ok(ModelRequest {
            model: recorded.model,
            vae: self.vae.clone().or(recorded.vae),
            text_encoder: self.text_encoder.clone().or(recorded.text_encoder),
            tokenizer: self.tokenizer.clone().or(recorded.tokenizer),
            upsampler: None,
            variant: None,
            dtype: self.dtype.unwrap_or(recorded.dtype),
            tiling: self.tiling.unwrap_or(recorded.tiling),
            offload: None,
        })
    }

    /// What the user asks of the decode, and for the rest what the model's makers recommend.
    fn settings(&self, family: &dyn Family, pass: &Clip) -> Result<DecodeSettings> {
        let options =
            SamplingOptions { decode_timestep: self.timestep, decode_noise: self.noise, ..SamplingOptions::default() };
        Ok(family.recipe(&options, pass)?.decode)
    }
}

/// What latents are of.
struct Scene {
    /// The clip that they are of, on the model's grid.
    pass: Clip,
    /// The clip as it is written.
    written: Clip,
    framing: Framing,
    settings: DecodeSettings,
    seed: u64,
}

/// The picture as the decoder draws on it.
struct Shown {
    picture: Picture,
    conditioning: Conditioning,
}

impl Scene {
    /// What the record says. `of`: the model, and what messages call the latents.
    fn recorded(request: &DecodeRequest, record: &LatentRecord, of: (&dyn Family, &str)) -> Result<Self> {
        let (family, thing) = of;
        if record.family != family.name() {
            let (wanted, found) = (format!("latents of the family {}", family.name()), &record.family);
            let hint = format!("decode them by the model that made them: --model {}", record.model.model);
            return Err(Error::input(thing, wanted, found, hint));
        }
        let framing = record.framing(family.grid(), thing)?;
        let fps = request.fps.unwrap_or(record.written.fps);
        let pass = Clip { fps, ..record.pass };
        // Refuses what the model has no use for.
        request.settings(family, &pass)?;
        let settings = DecodeSettings {
            timestep: request.timestep.unwrap_or(record.settings.timestep),
            noise: request.noise.unwrap_or(record.settings.noise),
        };
        let written = Clip { fps, ..record.written };
        Ok(Self { pass, written, framing, settings, seed: request.seed.unwrap_or(record.seed) })
    }

    /// What the shape of the tensor `latents` alone says: all that was made is written. `of` as in [`recorded`](Self::recorded).
    fn of_shape(request: &DecodeRequest, shape: &[usize], of: (&dyn Family, &str)) -> Result<Self> {
        let (family, thing) = of;
        if family.decodes_onto_picture() {
            let found = format!("none, and latents of {} do not show their clip's size", family.name());
            let hint = "save them again by --save-latents";
            return Err(Error::input(thing, "the record of a run of stir", found, hint));
        }
        let grid = family.grid();
        let sizes = match *shape {
            [1, _, frames, height, width] if frames > 0 => {
                let frames = (frames - 1).checked_mul(grid.frames).filter(|frames| *frames < request::MOST_FRAMES);
                frames.zip(height.checked_mul(grid.side)).zip(width.checked_mul(grid.side))
            }
            _ => None,
        };
        let (Some(((frames, height), width)), Some(fps)) = (sizes, request.fps) else {
            let wanted = format!("latents [1, C, F, H, W] of at most {} frames", request::MOST_FRAMES);
            let hint = "turn their axes into this order before they are saved";
            return Err(Error::input(thing, wanted, format!("shape {shape:?}"), hint));
        };
        for (name, side) in [("width", width), ("height", height)] {
            check_side(&format!("{name} of the clip of {thing}"), side)?;
        }
        let pass = Clip { width, height, frames: PixelFrames(frames + 1), fps };
        let framing = FramingRequest {
            written: (width, height),
            fit: Fit::Cover,
            background: Color::WHITE,
            side_multiple: grid.side,
        };
        let framing = framing.showing((width, height)).expect("a picture of the clip's size covers it");
        let settings = request.settings(family, &pass)?;
        Ok(Self { pass, written: pass, framing, settings, seed: request.seed.unwrap_or(42) })
    }

    /// The picture that the latents were made from, as the run saw it. `of` as in [`recorded`](Self::recorded).
    fn shown(
        &self,
        request: &DecodeRequest,
        recorded: Option<&PictureRecord>,
        of: (&dyn Family, &str),
        observer: &mut dyn Observer,
    ) -> Result<Shown> {
        let (family, thing) = of;
        let recorded = recorded.ok_or_else(|| {
            let wanted = format!("what {} draws on", family.name());
            Error::input(format!("the record of {thing}"), wanted, "no `picture`", "save the latents again")
        })?;
        let Some(source) = &request.image else {
            let wanted = format!("the picture that the clip was made from: {} draws on it", family.name());
            return Err(Error::input(
                "--image",
                wanted,
                "none",
                "name the same file as before, such as -i portrait.png",
            ));
        };
        let read = ReadOptions { background: self.framing.background(), any_image: true };
        let opened = image::open(source, &read)?;
        if fingerprint(&opened.picture) != recorded.fingerprint {
            let (wanted, hint) = ("the picture that the clip was made from", "name the same file as before");
            return Err(Error::input("--image", wanted, "another picture", hint));
        }
        recorded.degradation.check()?;
        let hints = request::hints(&recorded.eyes, &opened.picture, &self.framing)?;
        observer.begin(Stage::Encode, 1);
        let picture = prepared(&opened.picture, &self.framing, &self.pass, recorded.degradation)?;
        let image = family.image_encoder()?.encode(&picture, &hints)?;
        Ok(Shown { picture, conditioning: Conditioning { image, ..Conditioning::default() } })
    }
}
