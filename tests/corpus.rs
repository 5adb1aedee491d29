//! Replays the corpora of `tests/fuzz`: seeds that reach far into each reader, and every input that fuzzing once failed on.

use std::path::Path;

#[path = "fuzz/targets/clip_record.rs"]
mod clip_record;
#[path = "fuzz/targets/config.rs"]
mod config;
#[path = "fuzz/targets/image.rs"]
mod image;
#[path = "fuzz/targets/noise.rs"]
mod noise;
#[path = "fuzz/targets/prompt.rs"]
mod prompt;

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

#[test]
fn records_in_clips() {
    replay("clip_record", clip_record::run);
}

#[test]
fn config_files() {
    replay("config", config::run);
}

#[test]
fn pictures() {
    replay("image", image::run);
}

#[test]
fn noise_files() {
    replay("noise", noise::run);
}

#[test]
fn prompts() {
    replay("prompt", prompt::run);
}

/// A target without a corpus, or a corpus without a target, is forgotten.
#[test]
fn every_target_has_its_corpus() {
    let names = |folder: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(folder);
        let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<_> = paths.map(|path| path.file_stem().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names("targets"), ["clip_record", "config", "image", "noise", "prompt"]);
    assert_eq!(names("targets"), names("corpus"));
    assert_eq!(names("targets"), names("bins"));
}
