//! Every option of LTX-Video through the program, on the tiny checkpoint: that it does what it says, and that nothing else changes.

mod damage;
mod decoding;
mod picture;
mod refusals;
mod reproducibility;
mod residency;
mod sampling;
mod settings;
mod two_passes;

use std::cell::Cell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use crate::fixture::repository;
use crate::support::{Outcome, Scratch, stir};

const PROMPT: &str = "her hair flows in the wind";
/// Without one of these a run takes two steps.
const LEVELS: [&str; 4] = ["--steps", "--sigmas", "--variant", "--config"];

/// What stands before every frame of a `.y4m` file.
const FRAME: &[u8] = b"FRAME\n";

/// A path in the folder of the family's fixtures.
fn fixtures(path: &str) -> String {
    repository("tests/fixtures/ltx").join(path).display().to_string()
}

/// Runs of one test: of a picture of 96x64 by the tiny checkpoint, to 17 frames of 64x64 unless options say otherwise.
struct Runs {
    scratch: Scratch,
    made: Cell<usize>,
}

/// What a run made.
struct Made {
    /// The `.y4m` file.
    clip: Vec<u8>,
    /// The file of latents, which also says what a later decode has to know.
    file: Vec<u8>,
    /// All values in order: channels, frames, rows, columns.
    latents: Vec<f32>,
    /// `[1, C, F, H, W]`.
    shape: Vec<usize>,
    stderr: String,
}

impl Runs {
    /// `name` is unique among the tests of the binary.
    fn new(name: &str) -> Self {
        Self { scratch: Scratch::new(&format!("ltx-{name}")), made: Cell::new(0) }
    }

    fn path(&self, name: &str) -> String {
        self.scratch.path(name).display().to_string()
    }

    /// The arguments of a run; of an option that is there twice, the last counts.
    fn arguments(&self, clip: &str, options: &[&str]) -> Vec<String> {
        let (picture, model) = (fixtures("runs/picture.png"), fixtures("checkpoint"));
        let mut arguments = vec!["generate", "-i", &picture, "--allow-any-image", "--model", &model, "-p", PROMPT];
        arguments.extend(["-W", "64", "-H", "64", "--num-frames", "17", "--device", "cpu"]);
        if !options.iter().any(|option| LEVELS.contains(option)) {
            arguments.extend(["--steps", "2"]);
        }
        let clip = self.path(clip);
        arguments.extend(["-o", &clip]);
        arguments.extend(options);
        arguments.into_iter().map(str::to_owned).collect()
    }

    /// A run that makes a clip, under a name that no other has.
    fn make(&self, options: &[&str]) -> Made {
        let number = self.made.replace(self.made.get() + 1);
        let (clip, latents) = (format!("{number}.y4m"), format!("{number}.safetensors"));
        let save = ["--save-latents", &self.path(&latents)].map(str::to_owned);
        let outcome = stir(&[self.arguments(&clip, options), save.to_vec()].concat()).expect_code(0);
        let read = |name: &str| std::fs::read(self.scratch.path(name)).unwrap();
        let tensor = latents_in(&self.scratch.path(&latents));
        Made {
            clip: read(&clip),
            file: read(&latents),
            latents: all(&tensor),
            shape: tensor.dims().to_vec(),
            stderr: outcome.stderr,
        }
    }

    /// A run that ends before its text stage, with exit code 2 and nothing written; what it says.
    #[track_caller]
    fn refuse(&self, options: &[&str]) -> String {
        let before = self.scratch.names();
        let outcome: Outcome = stir(&self.arguments("refused.y4m", options)).expect_code(2);
        assert_eq!(outcome.stdout, "", "{options:?} printed to stdout");
        assert_eq!(self.scratch.names(), before, "{options:?} left something behind");
        assert!(!outcome.stderr.lines().any(|line| line == "text"), "{options:?} began:\n{}", outcome.stderr);
        outcome.stderr
    }

    /// A copy of the tiny checkpoint to change.
    fn copy_of_checkpoint(&self, name: &str) -> PathBuf {
        let folder = self.scratch.path(name);
        copy(&repository("tests/fixtures/ltx/checkpoint"), &folder);
        folder
    }
}

impl Made {
    /// The values of one latent frame.
    fn latent_frame(&self, index: usize) -> Vec<f32> {
        let latents = Tensor::from_slice(&self.latents, self.shape.as_slice(), &Device::Cpu).unwrap();
        all(&latents.narrow(2, index, 1).unwrap())
    }

    /// The values of every frame, without headers.
    fn frames(&self) -> Vec<&[u8]> {
        let end = self.clip.iter().position(|byte| *byte == b'\n').expect("a header");
        let header = std::str::from_utf8(&self.clip[..end]).unwrap();
        let side = |letter: char| -> usize {
            let word = header.split(' ').find_map(|word| word.strip_prefix(letter));
            word.unwrap_or_else(|| panic!("no {letter} in {header}")).parse().unwrap()
        };
        assert!(header.contains(" C420"), "{header}");
        let length = side('W') * side('H') * 3 / 2;
        let frames = self.clip[end + 1..].chunks(FRAME.len() + length);
        frames.map(|bytes| bytes.strip_prefix(FRAME).filter(|frame| frame.len() == length).expect("a frame")).collect()
    }
}

/// The latents in a file, which holds nothing else.
fn latents_in(file: &Path) -> Tensor {
    let mut tensors = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    assert_eq!(tensors.len(), 1, "tensors in {}", file.display());
    tensors.remove("latents").expect("a tensor `latents`")
}

/// All values of a tensor of float32, row by row.
fn all(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().expect("float32")
}

/// The largest difference of latents, relative to the largest magnitude.
fn difference(found: &Made, expected: &Made) -> f32 {
    assert_eq!(found.shape, expected.shape);
    let largest = expected.latents.iter().fold(0f32, |most, value| most.max(value.abs()));
    assert!(largest > 0.0, "nothing to compare with");
    let pairs = found.latents.iter().zip(&expected.latents);
    pairs.map(|(found, expected)| (found - expected).abs()).fold(0f32, f32::max) / largest
}

/// The peak signal-to-noise ratio of two clips in decibels.
fn peak_ratio(found: &Made, expected: &Made) -> f64 {
    let (found, expected) = (found.frames().concat(), expected.frames().concat());
    assert_eq!(found.len(), expected.len(), "number of values");
    let squares =
        found.iter().zip(&expected).map(|(found, expected)| (f64::from(*found) - f64::from(*expected)).powi(2));
    10.0 * (255.0 * 255.0 / (squares.sum::<f64>() / found.len() as f64)).log10()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}

/// Writes a safetensors file again with its tensors changed.
fn change_tensors(file: &Path, change: impl FnOnce(&mut HashMap<String, Tensor>)) {
    let mut tensors = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    change(&mut tensors);
    candle_core::safetensors::save(&tensors, file).unwrap();
}
