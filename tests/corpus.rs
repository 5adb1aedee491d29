//! Replays the corpora of `tests/fuzz`: seeds that reach far into each reader, and every input that fuzzing once failed on.

// Each target is a program of its own too, and brings what it needs.
#![allow(clippy::duplicate_mod)]

use std::path::Path;

#[path = "fuzz/targets/clip_record.rs"]
mod clip_record;
#[path = "fuzz/targets/config.rs"]
mod config;
#[path = "fuzz/targets/diffusers.rs"]
mod diffusers;
#[path = "fuzz/targets/gguf.rs"]
mod gguf;
#[path = "fuzz/targets/image.rs"]
mod image;
#[path = "fuzz/targets/jobs.rs"]
mod jobs;
#[path = "fuzz/targets/latents.rs"]
mod latents;
#[path = "fuzz/targets/noise.rs"]
mod noise;
#[path = "fuzz/targets/prompt.rs"]
mod prompt;
#[path = "fuzz/targets/safetensors.rs"]
mod safetensors;
#[path = "fuzz/targets/shards.rs"]
mod shards;
#[path = "fuzz/targets/single_file.rs"]
mod single_file;
#[path = "fuzz/targets/spiece.rs"]
mod spiece;
#[path = "fuzz/targets/state.rs"]
mod state;
#[path = "fuzz/targets/tokenizer_json.rs"]
mod tokenizer_json;

/// A test for each target, and the list of all of them.
macro_rules! replays {
    ($($target:ident)*) => {
        const TARGETS: &[&str] = &[$(stringify!($target)),*];

        mod replays {
            $(
                #[test]
                fn $target() {
                    super::replay(stringify!($target), super::$target::run);
                }
            )*
        }
    };
}

replays! { clip_record config diffusers gguf image jobs latents noise prompt safetensors shards single_file spiece state tokenizer_json }

/// Runs a target on every file of its corpus. A failure is preceded by the file's name.
fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    for file in files {
        println!("{}", file.display());
        run(&std::fs::read(&file).unwrap());
    }
}

/// A target without a corpus, or a corpus without a target, is forgotten.
#[test]
fn every_target_has_its_corpus() {
    let names = |folder: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(folder);
        let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<_> = paths.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names("targets"), TARGETS);
    assert_eq!(names("corpus"), TARGETS);
    assert_eq!(names("bins"), TARGETS);
}
