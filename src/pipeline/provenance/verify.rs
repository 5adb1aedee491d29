//! Whether a clip is what its record says: it is made again, and compared stage by stage.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::record::{DeviceFacts, Options, PictureSums, Record, WeightSum, is_path};
use crate::error::{Error, Result};
use crate::media::frames::{self, is_lossless};
use crate::media::{self, OutputFormat};
use crate::pipeline::observer::Observer;
use crate::pipeline::request::Request;

/// What frames made by another build or on another device have at least in common with the clip's: the peak signal-to-noise ratio in dB over all samples.
pub const LEAST_RATIO: f64 = 30.0;

/// Whether what was made again is what was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreement {
    /// It is.
    Same,
    /// It is not.
    Differs,
    /// The record does not say.
    Unknown,
}

impl Agreement {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Differs => "differs",
            Self::Unknown => "unknown",
        }
    }

    fn of(same: bool) -> Self {
        if same { Self::Same } else { Self::Differs }
    }
}

/// What is compared, in the order in which it comes to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The build of stir.
    Build,
    /// The model of the device, its driver, and how networks are computed there.
    Device,
    /// The libraries that write the file.
    Encoder,
    /// The file of the picture.
    Picture,
    /// The content of the weights.
    Weights,
    /// The options, and what became of them.
    Parameters,
    /// The picture's pixels as the model sees them.
    Prepared,
    /// The initial noise.
    Noise,
    /// The final latents.
    Latents,
    /// The frames.
    Frames,
    /// The bytes of the file.
    File,
}

impl Stage {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Device => "device",
            Self::Encoder => "encoder",
            Self::Picture => "picture",
            Self::Weights => "weights",
            Self::Parameters => "parameters",
            Self::Prepared => "pixels",
            Self::Noise => "noise",
            Self::Latents => "latents",
            Self::Frames => "frames",
            Self::File => "file",
        }
    }

    /// Whether it is what a clip is made by, rather than from.
    pub fn is_surroundings(self) -> bool {
        matches!(self, Self::Build | Self::Device | Self::Encoder)
    }
}

/// What came of one comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What was compared.
    pub stage: Stage,
    /// How.
    pub agreement: Agreement,
    /// What it is, or what differs; may be empty.
    pub detail: String,
}

/// How far two clips are from each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// Peak signal-to-noise ratio in dB over all samples; infinite where all are the same.
    pub ratio: f64,
    /// The largest difference of a sample, of 255.
    pub largest: u8,
    /// The first frame that differs, from 0.
    pub first: Option<usize>,
}

/// What came of making a clip again.
#[derive(Debug, Clone, PartialEq)]
pub struct Verification {
    /// All comparisons, in order.
    pub findings: Vec<Finding>,
    /// How far the frames are from the clip's; `None` where the bytes of the files are the same, and where they cannot be compared.
    pub distance: Option<Distance>,
    /// Whether the same bytes are promised: the same build and encoder, on the same model of device.
    pub covered: bool,
}

impl Verification {
    /// The first stage that came out otherwise; what the clip was made by is none.
    pub fn start(&self) -> Option<Stage> {
        let differs = |finding: &&Finding| !finding.stage.is_surroundings() && finding.agreement == Agreement::Differs;
        self.findings.iter().find(differs).map(|finding| finding.stage)
    }

    /// Whether all that is promised is so: everything the same where that is covered; and else the same noise, parameters and pixels of the same picture
    /// and weights, and frames that are close.
    pub fn holds(&self) -> bool {
        let early = [Stage::Picture, Stage::Weights, Stage::Parameters, Stage::Prepared, Stage::Noise];
        match self.start() {
            None => true,
            Some(_) if self.covered => false,
            Some(start) => {
                !early.contains(&start) && self.distance.is_some_and(|distance| distance.ratio >= LEAST_RATIO)
            }
        }
    }
}

/// A clip, and what it says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The clip.
    pub clip: &'a Path,
    /// Its record.
    pub record: &'a Record,
}

impl Claim<'_> {
    /// Refuses a record that is not of one run.
    ///
    /// # Errors
    /// Latents that were decoded in another way, or elsewhere, than their run would have.
    pub fn request(&self) -> Result<&Options> {
        let thing = || format!("clip {}", self.clip.display());
        if !self.record.begun_by.is_empty() {
            let found = "one that several builds or devices made, from a saved state on";
            let hint = "`stir info` names them; none of them makes it again alone";
            return Err(Error::input(thing(), "a clip of a single run", found, hint));
        }
        match (&self.record.request, &self.record.decode) {
            (Some(request), None) => Ok(request),
            (Some(_), Some(_)) => {
                let hint = "`stir info` prints the commands that make it again";
                let found = "one that `stir decode` made elsewhere, or with other options";
                Err(Error::input(thing(), "a clip of a single run", found, hint))
            }
            (None, _) => {
                let hint = "`stir info` prints the command that makes it of them again";
                Err(Error::input(thing(), "a clip of a run of stir", "one of latents whose run is not known", hint))
            }
        }
    }

    /// Makes the clip of `request`, which is that of the record but for places, and compares. What is made goes to the request's output and stays
    /// there.
    ///
    /// # Errors
    /// Whatever keeps the clip from being made.
    pub fn verify(&self, request: &Request, observer: &mut dyn Observer) -> Result<Verification> {
        if self.record.picture.as_ref().is_some_and(|picture| picture.watermark.is_none())
            && let Some(file) = request.watermark.as_ref().and_then(|watermark| watermark.path())
        {
            let found = format!("a file of that name, {}", file.display());
            let hint = "verify the clip in another folder";
            return Err(Error::input("--watermark", "words, as the record says", found, hint));
        }
        crate::pipeline::generate(request, observer)?;
        let made = &request.output.path;
        let again = Record::parse(&media::read_record(made)?, "the clip made again")?;
        let mut findings = compare(self.record, &again);
        let same_file = is_same(self.clip, made)?;
        let format = request.output.format;
        let compared = if same_file { None } else { Some(distance(self.clip, made, format)?) };
        let same_encoder = self.record.encoder == again.encoder;
        let frames = findings.iter_mut().find(|finding| finding.stage == Stage::Frames).expect("frames are compared");
        let distance = match compared {
            Some(Ok(distance)) => {
                // Another encoder makes others of the same frames. Without a sum in the record, those in the file have to do.
                if frames.agreement == Agreement::Unknown || same_encoder && distance.first.is_some() {
                    frames.agreement = Agreement::of(distance.first.is_none());
                }
                frames.detail = distance.describe(format);
                Some(distance)
            }
            Some(Err(others)) => {
                frames.agreement = Agreement::Differs;
                frames.detail = others;
                None
            }
            None => {
                if frames.agreement == Agreement::Unknown {
                    frames.agreement = Agreement::Same;
                }
                None
            }
        };
        findings.push(Finding { stage: Stage::File, agreement: Agreement::of(same_file), detail: String::new() });
        let covered =
            findings.iter().all(|finding| !finding.stage.is_surroundings() || finding.agreement != Agreement::Differs);
        Ok(Verification { findings, distance, covered })
    }
}

/// All but the files.
fn compare(record: &Record, again: &Record) -> Vec<Finding> {
    let finding = |stage, same: bool, detail: String| Finding { stage, agreement: Agreement::of(same), detail };
    let sum = |stage, then: Option<&String>, now: Option<&String>| match (then, now) {
        (Some(then), Some(now)) => finding(stage, then == now, String::new()),
        _ => Finding { stage, agreement: Agreement::Unknown, detail: "the record does not say".to_owned() },
    };
    let picture = |record: &Record, of: fn(&PictureSums) -> String| record.picture.as_ref().map(of);
    let [files, prepared]: [fn(&PictureSums) -> String; 2] =
        [|picture| format!("{} {:?}", picture.file, picture.watermark), |picture| picture.prepared.join(" ")];
    let pictures = |of| (picture(record, of), picture(again, of));
    let [(file_then, file_now), (prepared_then, prepared_now)] = [pictures(files), pictures(prepared)];
    let builds = || {
        let shown = |record: &Record| {
            format!("stir {}, build {}, commit {}", record.stir.version, record.stir.build, record.stir.commit)
        };
        changed(&shown(record), &shown(again), record.stir.is_same(&again.stir))
    };
    let same_encoder = record.encoder == again.encoder;
    let encoder = |record: &Record| record.encoder.clone().unwrap_or_else(|| "stir itself".to_owned());
    let (then, now) = (&record.sha256, &again.sha256);
    let differing = differing_parameters(record, again);
    vec![
        finding(Stage::Build, record.stir.is_same(&again.stir), builds()),
        finding(
            Stage::Device,
            record.device == again.device,
            changed(&describe(&record.device), &describe(&again.device), record.device == again.device),
        ),
        finding(Stage::Encoder, same_encoder, changed(&encoder(record), &encoder(again), same_encoder)),
        sum(Stage::Picture, file_then.as_ref(), file_now.as_ref()),
        finding(
            Stage::Weights,
            contents(&record.model.weights) == contents(&again.model.weights),
            record.model.name.clone(),
        ),
        finding(Stage::Parameters, differing.is_empty(), differing.join("; ")),
        sum(Stage::Prepared, prepared_then.as_ref(), prepared_now.as_ref()),
        sum(Stage::Noise, then.noise.as_ref(), now.noise.as_ref()),
        sum(Stage::Latents, then.latents.as_ref(), now.latents.as_ref()),
        sum(Stage::Frames, then.frames.as_ref(), now.frames.as_ref()),
    ]
}

/// What it is; or what it was and what it is.
fn changed(then: &str, now: &str, same: bool) -> String {
    if same { then.to_owned() } else { format!("{then} in the record, {now} here") }
}

fn describe(device: &DeviceFacts) -> String {
    let driver = device.driver.as_ref().map(|driver| format!(", driver {driver}")).unwrap_or_default();
    format!("{}{driver}, {}, {}", device.model, device.dtype, device.kernels)
}

/// Weights by what is in them: files may have other names.
fn contents(weights: &[WeightSum]) -> Vec<(&String, &Option<String>, &Option<String>)> {
    weights.iter().map(|weights| (&weights.networks, &weights.sha256, &weights.made_from)).collect()
}

/// The options that are not the same, and what became of all; names of files and what the device decides are compared elsewhere.
fn differing_parameters(record: &Record, again: &Record) -> Vec<String> {
    let nothing = Options::new();
    let [then, now] = [record, again].map(|record| record.request.as_ref().unwrap_or(&nothing));
    let mut names: Vec<&String> = then.keys().chain(now.keys()).collect();
    names.sort();
    names.dedup();
    let elsewhere = |option: &str| is_path(option) || ["device", "dtype", "watermark"].contains(&option);
    let shown = |value: Option<&serde_json::Value>| value.map_or("nothing".to_owned(), ToString::to_string);
    let mut differing: Vec<String> = names
        .into_iter()
        .filter(|option| !elsewhere(option) && then.get(*option) != now.get(*option))
        .map(|option| format!("{option}: {} in the record, {} here", shown(then.get(option)), shown(now.get(option))))
        .collect();
    if record.resolved != again.resolved {
        let [then, now] = [record, again].map(|record| record.resolved.as_ref().and_then(|resolved| resolved.tiles_of));
        let tiles =
            |side: Option<usize>| side.map_or("whole frames".to_owned(), |side| format!("tiles of {side} pixels"));
        differing.push(if then == now {
            "what became of them".to_owned()
        } else {
            format!("{} in the record, {} here", tiles(then), tiles(now))
        });
    }
    differing
}

/// Whether two clips have the same bytes: files, or folders of pictures.
fn is_same(one: &Path, other: &Path) -> Result<bool> {
    if one.is_dir() && other.is_dir() {
        let both = |index: usize| [one, other].map(|folder| folder.join(format!("{index:06}.png")));
        for index in 0.. {
            let [one, other] = both(index);
            match (one.exists(), other.exists()) {
                (false, false) => return Ok(true),
                (true, true) if is_same(&one, &other)? => {}
                _ => return Ok(false),
            }
        }
    }
    let open = |path: &Path| {
        let failed = |error| Error::io("reading", path, error, "check the disk, and that you may read the file");
        let file = File::open(path).map_err(failed)?;
        Ok::<_, Error>((file.metadata().map_err(failed)?.len(), BufReader::new(file).bytes()))
    };
    let ((one_length, one_bytes), (other_length, other_bytes)) = (open(one)?, open(other)?);
    if one_length != other_length {
        return Ok(false);
    }
    for (byte, other_byte) in one_bytes.zip(other_bytes) {
        let failed = |error| Error::io("reading", one, error, "check the disk");
        if byte.map_err(failed)? != other_byte.map_err(failed)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How far the frames of two clips of one format are apart; in words where they are not as many or as large.
fn distance(clip: &Path, made: &Path, format: OutputFormat) -> Result<std::result::Result<Distance, String>> {
    let (mut clip_frames, mut made_frames) = (frames::read(clip, format)?, frames::read(made, format)?);
    let (mut squares, mut samples, mut largest, mut first) = (0.0, 0usize, 0, None);
    for index in 0.. {
        let (one, other) = (clip_frames.next().transpose()?, made_frames.next().transpose()?);
        let (one, other) = match (one, other) {
            (None, None) => break,
            (Some(one), Some(other)) if one.len() == other.len() => (one, other),
            (Some(_), Some(_)) => return Ok(Err(format!("frame {index} has another size"))),
            (None, _) => {
                return Ok(Err(format!("the clip ends after {index} frames, and the one made again does not")));
            }
            (_, None) => return Ok(Err(format!("the clip has more than the {index} frames of the one made again"))),
        };
        samples += one.len();
        if one != other {
            first = first.or(Some(index));
            for (one, other) in one.iter().zip(&other) {
                let difference = one.abs_diff(*other);
                largest = largest.max(difference);
                squares += f64::from(difference).powi(2);
            }
        }
    }
    let ratio = if squares == 0.0 { f64::INFINITY } else { 10.0 * (255.0 * 255.0 * samples as f64 / squares).log10() };
    Ok(Ok(Distance { ratio, largest, first }))
}

impl Distance {
    /// In words.
    fn describe(&self, format: OutputFormat) -> String {
        let kind = if is_lossless(format) { "" } else { ", as the lossy format has them" };
        match self.first {
            None => format!("those in the files are the same{kind}"),
            Some(first) => {
                format!("{:.1} dB, at most {} of 255, from frame {first} on{kind}", self.ratio, self.largest)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verification(differing: &[Stage], ratio: f64) -> Verification {
        const ALL: [Stage; 11] = [
            Stage::Build,
            Stage::Device,
            Stage::Encoder,
            Stage::Picture,
            Stage::Weights,
            Stage::Parameters,
            Stage::Prepared,
            Stage::Noise,
            Stage::Latents,
            Stage::Frames,
            Stage::File,
        ];
        let finding = |stage: Stage| Finding {
            stage,
            agreement: Agreement::of(!differing.contains(&stage)),
            detail: String::new(),
        };
        Verification {
            findings: ALL.map(finding).to_vec(),
            distance: Some(Distance { ratio, largest: 1, first: Some(0) }),
            covered: !differing.iter().any(|stage| stage.is_surroundings()),
        }
    }

    #[test]
    fn the_same_build_and_device_have_to_make_the_same_bytes() {
        assert!(verification(&[], f64::INFINITY).holds());
        for stage in [Stage::Picture, Stage::Noise, Stage::Latents, Stage::Frames, Stage::File] {
            let other = verification(&[stage, Stage::File], 99.0);
            assert!(!other.holds());
            assert_eq!(other.start(), Some(stage));
        }
    }

    #[test]
    fn another_device_has_to_make_the_same_noise_and_close_frames() {
        let late = [Stage::Latents, Stage::Frames, Stage::File];
        for other in [Stage::Build, Stage::Device, Stage::Encoder] {
            let with = |stages: &[Stage]| [&[other], stages].concat();
            assert!(verification(&with(&[]), f64::INFINITY).holds());
            assert!(verification(&with(&late), LEAST_RATIO).holds());
            assert!(!verification(&with(&late), LEAST_RATIO - 0.1).holds());
            for early in [Stage::Picture, Stage::Weights, Stage::Parameters, Stage::Prepared, Stage::Noise] {
                assert!(!verification(&with(&[early]), f64::INFINITY).holds());
            }
        }
    }
}
