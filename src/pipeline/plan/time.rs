//! How long stages will take, from what `stir bench` has measured on this machine.
//!
//! A stage whose operations are counted takes as long an operation as it did. Where they are not, now or then, a decode takes as long a pixel, as writing frames
//! always does, and the rest as long as it did. Loading and reading the prompt take as long as they did: they depend on the model alone. What
//! enlarges latents between two passes, and the borders that tiles decode twice, are not counted.

use serde::Serialize;

use crate::device::machine::Machine;
use crate::error::shell_word;
use crate::models::{Offload, Pass, Work};
use crate::pipeline::bench::record::{Record, Run, Shape};
use crate::pipeline::request::Request;
use crate::units::Clip;

/// A result is used for clips of up to so many times the pixels that were measured, or one so many'th: further off, caches and attention change what
/// an operation takes.
const COMPARABLE: f64 = 4.0;

/// Where expected times are from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimeSource {
    /// The file of the result.
    pub file: String,
    /// When it was measured, in UTC.
    pub date: String,
    /// The model that was measured.
    pub model: String,
    /// What that model made.
    pub generated: Shape,
    /// The version of stir.
    pub stir: String,
}

/// A result that times can be taken from.
pub(super) struct Nearest {
    pub record: Record,
    pub source: TimeSource,
}

/// What a result has to be of.
pub(super) struct Wanted<'a> {
    pub machine: &'a Machine,
    pub model: &'a str,
    pub family: &'a str,
    pub device: String,
    pub dtype: &'a str,
    pub threads: usize,
    /// Where the denoiser's blocks wait.
    pub offload: Offload,
    /// What the model makes in its last pass.
    pub generated: &'a Clip,
}

impl Wanted<'_> {
    /// Whether a result was measured with the same machine and settings, on a comparable size.
    fn fits(&self, record: &Record) -> bool {
        let Run { family, device, dtype, threads, offload, .. } = &record.run;
        self.machine.is_like(&record.machine)
            && (family.as_str(), dtype.as_str()) == (self.family, self.dtype)
            && (device, *threads, offload.as_str()) == (&self.device, self.threads, self.offload.name())
            && self.distance(record) <= COMPARABLE.ln()
    }

    /// How far off the size is that was measured: the logarithm of the ratio of pixels.
    fn distance(&self, record: &Record) -> f64 {
        let Shape { width, height, frames, .. } = record.run.generated;
        (super::pixels(self.generated) / (width * height * frames).max(1) as f64).ln().abs()
    }
}

/// The result to take times from: of the same model if there is one, else of another of the family, with the nearest size.
pub(super) fn nearest(results: Vec<(String, Record)>, wanted: &Wanted) -> Option<Nearest> {
    let other_model = |record: &Record| record.run.model != wanted.model;
    let (file, record) = results.into_iter().filter(|(_, record)| wanted.fits(record)).min_by(|(_, a), (_, b)| {
        let nearer = wanted.distance(a).total_cmp(&wanted.distance(b));
        other_model(a).cmp(&other_model(b)).then(nearer).then(b.date.cmp(&a.date))
    })?;
    let source = TimeSource {
        file,
        date: record.date.clone(),
        model: record.run.model.clone(),
        generated: record.run.generated,
        stir: record.stir.clone(),
    };
    Some(Nearest { record, source })
}

/// How much the stages of a clip have to do; operations are `None` where they are not counted.
pub(super) struct Amounts {
    pub passes: Vec<PassAmount>,
    text: Option<f64>,
    encode: Option<f64>,
    decode: Option<f64>,
    /// Pixels of the frames that the model makes.
    generated_pixels: f64,
    /// Pixels of the frames that are written.
    written_pixels: f64,
}

/// How much a pass has to do.
pub(super) struct PassAmount {
    pub steps: usize,
    operations: Option<f64>,
}

impl Amounts {
    pub fn of(passes: &[Pass], works: Option<&[Work]>, written: &Clip) -> Self {
        let amount = |(index, pass): (usize, &Pass)| {
            let steps = pass.steps();
            let counted =
                |works: &[Work]| pass.sigmas[..steps].iter().map(|sigma| works[index].step(pass, *sigma)).sum();
            PassAmount { steps, operations: works.map(counted) }
        };
        Self {
            passes: passes.iter().enumerate().map(amount).collect(),
            text: works.and_then(|works| works.first()?.text),
            encode: works.map(|works| works.iter().map(|work| work.encode).sum()),
            decode: works.and_then(|works| works.last()?.decode),
            generated_pixels: passes.last().map_or(0.0, |pass| super::pixels(&pass.clip)),
            written_pixels: super::pixels(written),
        }
    }

    /// Operations of a stage for one clip.
    pub fn operations(&self, stage: &str, pass: Option<&PassAmount>) -> Option<f64> {
        match stage {
            "text" => self.text,
            "encode" => self.encode,
            "denoise" => pass?.operations,
            "decode" => self.decode,
            _ => None,
        }
    }

    /// Expected seconds of a stage for one clip; `None` where the result lacks it.
    pub fn seconds(&self, stage: &str, pass: Option<&PassAmount>, record: &Record) -> Option<f64> {
        let measured = record.stage(if stage == "denoise" { "step" } else { stage })?;
        let seconds = measured.seconds.median;
        let counted = measured.teraflop.filter(|teraflop| *teraflop > 0.0);
        let per_operation = counted.zip(self.operations(stage, pass));
        let per_pixel = |shape: Shape| seconds / (shape.width * shape.height * shape.frames).max(1) as f64;
        match (stage, per_operation) {
            ("load" | "text", _) => Some(seconds),
            ("encode" | "denoise" | "decode", Some((teraflop, operations))) => {
                Some(seconds / (1e12 * teraflop) * operations)
            }
            ("encode", None) => Some(seconds * self.passes.len() as f64),
            ("denoise", None) => Some(seconds * pass?.steps as f64),
            ("decode", None) => Some(per_pixel(record.run.generated) * self.generated_pixels),
            _ => Some(per_pixel(record.run.clip) * self.written_pixels),
        }
    }
}

/// The command that measures this machine for such a run; two steps show what every step takes.
pub(super) fn command(request: &Request, generated: &Clip, wanted: &Wanted) -> String {
    let &Wanted { threads, offload, .. } = wanted;
    let mut words = vec!["stir bench --model".to_owned(), shell_word(&request.model.model)];
    let mut add = |option: &str, value: String| words.extend([option.to_owned(), value]);
    let parts = [
        ("--vae", &request.model.vae),
        ("--text-encoder", &request.model.text_encoder),
        ("--tokenizer", &request.model.tokenizer),
    ];
    for (option, path) in parts {
        if let Some(path) = path {
            add(option, shell_word(&path.display().to_string()));
        }
    }
    if let Some(dtype) = request.model.dtype {
        add("--dtype", dtype.as_str().to_owned());
    }
    if offload != Offload::None {
        add("--offload", offload.name().to_owned());
    }
    add("--device", request.device.to_string());
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() != threads) {
        add("--threads", threads.to_string());
    }
    add("-W", generated.width.to_string());
    add("-H", generated.height.to_string());
    add("--num-frames", generated.frames.0.to_string());
    add("--steps", "2".to_owned());
    add("--repeats", "1".to_owned());
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::models::Recipe;
    use crate::pipeline::bench::record::{Measurement, Stage};
    use crate::units::{Fps, PixelFrames};

    fn clip(width: usize, frames: usize) -> Clip {
        Clip { width, height: 64, frames: PixelFrames(frames), fps: Fps(25.0) }
    }

    /// Every stage took a second, for 2 TFLOP where they are counted.
    fn record(model: &str, width: usize, counted: bool) -> Record {
        let shape = Shape::from(&clip(width, 9));
        let run = Run {
            model: model.to_owned(),
            family: "ltx".to_owned(),
            device: "cpu".to_owned(),
            dtype: "bf16".to_owned(),
            threads: 2,
            offload: Offload::None.name().to_owned(),
            clip: shape,
            generated: shape,
            steps: 2,
            repeats: 1,
            tokens: None,
            text_tokens: None,
        };
        let measured = [Measurement { seconds: 1.0, operations: counted.then_some(2e12) }];
        let stages = ["load", "text", "encode", "step", "decode", "mux"].map(|name| Stage::of(name, &measured, 1e12));
        let new = Record::new(&[], "2026-11-21T15:00:00Z".to_owned(), Machine::of(&Device::Cpu), run);
        Record { stages: stages.into_iter().flatten().collect(), ..new }
    }

    fn work() -> Work {
        let (text, encode, prompt, decode) = (1e12, 4e12, 6e12, 8e12);
        Work {
            tokens: 1,
            text_tokens: Some(1),
            text: Some(text),
            encode,
            prompt,
            unconditional: prompt,
            saved_by_perturbed_block: 0.0,
            decode: Some(decode),
        }
    }

    const STAGES: [&str; 6] = ["load", "text", "encode", "denoise", "decode", "mux"];

    /// Two passes, the second of twice the width and what is written.
    fn seconds(counted: bool) -> [Option<f64>; 6] {
        let passes = [clip(64, 9), clip(128, 9)].map(|clip| Recipe::plain(&clip, vec![1.0, 0.5, 0.0], 3.0).passes);
        let passes = passes.concat();
        let works = counted.then(|| vec![work(), work()]);
        let amounts = Amounts::of(&passes, works.as_deref(), &clip(128, 9));
        let record = record("a", 64, counted);
        STAGES.map(|stage| amounts.seconds(stage, Some(&amounts.passes[1]), &record))
    }

    #[test]
    fn counted_stages_take_as_long_an_operation() {
        // Two pictures, and a pass of two steps of two predictions.
        assert_eq!(seconds(true), [1.0, 1.0, 2.0 * 2.0, 4.0 * 3.0, 4.0, 2.0].map(Some));
    }

    /// Of a version that counted nothing of this model.
    #[test]
    fn a_result_without_counts_serves_as_if_nothing_were_counted() {
        let amounts =
            Amounts::of(&Recipe::plain(&clip(64, 9), vec![1.0, 0.0], 1.0).passes, Some(&[work()]), &clip(64, 9));
        let record = record("a", 64, false);
        assert_eq!(amounts.seconds("denoise", Some(&amounts.passes[0]), &record), Some(1.0));
    }

    #[test]
    fn stages_that_are_not_counted_take_as_long_a_pixel_or_as_they_did() {
        assert_eq!(seconds(false), [1.0, 1.0, 2.0, 2.0, 2.0, 2.0].map(Some));
        let amounts = Amounts::of(&[], None, &clip(64, 9));
        let empty = Record { stages: Vec::new(), ..record("a", 64, false) };
        assert_eq!(amounts.seconds("decode", None, &empty), None);
    }

    #[test]
    fn the_same_model_comes_first_and_then_the_nearest_size() {
        let (machine, generated) = (Machine::of(&Device::Cpu), clip(512, 9));
        let wanted = Wanted {
            machine: &machine,
            model: "a",
            family: "ltx",
            device: "cpu".to_owned(),
            dtype: "bf16",
            threads: 2,
            offload: Offload::None,
            generated: &generated,
        };
        let chosen = |records: &[Record]| {
            let named = records.iter().enumerate().map(|(index, record)| (index.to_string(), record.clone()));
            nearest(named.collect(), &wanted).map(|nearest| nearest.source.file)
        };
        let [near, far, other] = [record("a", 480, true), record("a", 128, true), record("b", 512, true)];
        assert_eq!(chosen(&[far.clone(), other.clone(), near.clone()]).as_deref(), Some("2"));
        assert_eq!(chosen(&[other.clone(), far.clone()]).as_deref(), Some("1"));
        assert_eq!(chosen(std::slice::from_ref(&other)).as_deref(), Some("0"));
        let mut unlike = vec![record("a", 120, true), record("a", 2052, true)];
        unlike.push(Record { run: Run { threads: 1, ..near.run.clone() }, ..near.clone() });
        unlike.push(Record { run: Run { dtype: "f32".to_owned(), ..near.run.clone() }, ..near.clone() });
        unlike.push(Record { run: Run { offload: "disk".to_owned(), ..near.run.clone() }, ..near.clone() });
        unlike.push(Record { run: Run { device: "metal".to_owned(), ..near.run.clone() }, ..near.clone() });
        unlike.push(Record { run: Run { family: "sway".to_owned(), ..near.run.clone() }, ..near.clone() });
        unlike.push(Record { machine: Machine { cores: 99, ..machine.clone() }, ..near });
        assert_eq!(chosen(&unlike), None);
    }
}
