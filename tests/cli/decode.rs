//! `stir decode`: the clip of saved latents is the clip of the run, and what a failed decode leaves can be finished.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::events::events;
use crate::fixture::repository;
use crate::support::{Outcome, Scratch, command, run};

/// Runs in the test's folder, where every file of the test is.
fn stir(scratch: &Scratch, arguments: &[&str]) -> Outcome {
    run(command().current_dir(scratch.folder()).args(arguments))
}

fn bytes(scratch: &Scratch, name: &str) -> Vec<u8> {
    std::fs::read(scratch.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn checkpoint() -> String {
    repository("tests/fixtures/ltx/checkpoint").display().to_string()
}

/// A run of the tiny checkpoint of LTX-Video.
fn ltx(scratch: &Scratch, output: &str, options: &[&str]) -> Vec<String> {
    scratch.picture("picture.png", 96, 64);
    let model = checkpoint();
    let run = ["generate", "-i", "picture.png", "--allow-any-image", "-p", "hair flowing", "--seed", "7", "-o", output];
    let model = ["--model", &model, "--device", "cpu", "--dtype", "f32", "--steps", "2", "--guidance-scale", "1"];
    run.iter().chain(&model).chain(options).map(|argument| (*argument).to_owned()).collect()
}

fn run_ltx(scratch: &Scratch, output: &str, options: &[&str]) -> Outcome {
    let arguments = ltx(scratch, output, options);
    stir(scratch, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A run of sway with a picture between bars, so that all sizes differ.
fn run_sway(scratch: &Scratch, output: &str, options: &[&str]) -> Outcome {
    scratch.picture("picture.png", 160, 96);
    let arguments =
        ["generate", "-i", "picture.png", "--allow-any-image", "-p", "hair flowing [pan left]", "-o", output];
    let size = ["-W", "96", "-H", "96", "--fit", "contain", "--num-frames", "7", "--fps", "23.976", "--steps", "2"];
    stir(scratch, &[&arguments[..], &size, options].concat())
}

#[track_caller]
fn assert_same(scratch: &Scratch, one: &str, other: &str) {
    assert!(bytes(scratch, one) == bytes(scratch, other), "{one} and {other} differ");
}

/// Frames are cut out of larger and more ones, and noise is mixed into the latents.
#[test]
fn latents_become_the_clip_of_their_run() {
    let scratch = Scratch::new("decode-ltx");
    let shape = ["-W", "72", "-H", "48", "--num-frames", "10", "--decode-noise", "0.3", "--watermark", "stir"];
    run_ltx(&scratch, "run.y4m", &[&shape[..], &["--save-latents", "clip.latents.safetensors"]].concat())
        .expect_code(0);
    let mark = ["--watermark", "stir", "--save-frames", "frames", "--format", "y4m"];
    let outcome = stir(&scratch, &[&["decode", "clip.latents.safetensors"], &mark[..]].concat()).expect_code(0);
    assert_eq!(outcome.stdout, "clip.y4m\n");
    assert_same(&scratch, "run.y4m", "clip.y4m");
    assert_eq!(std::fs::read_dir(scratch.path("frames")).unwrap().count(), 10);
    // What is asked for comes before what the record says.
    for options in [["--seed", "8"], ["--decode-noise", "0"], ["--decode-timestep", "0.9"], ["--fps", "12"]] {
        let arguments = ["decode", "clip.latents.safetensors", "-o", "other.y4m", "--watermark", "stir"];
        stir(&scratch, &[&arguments[..], &options].concat()).expect_code(0);
        assert!(bytes(&scratch, "run.y4m") != bytes(&scratch, "other.y4m"), "{options:?} changed nothing");
    }
}

#[cfg(feature = "ffmpeg")]
#[test]
fn a_video_has_the_same_bytes() {
    let scratch = Scratch::new("decode-mp4");
    let shape = ["--num-frames", "9", "-W", "64", "--save-latents", "latents.safetensors", "--quality", "60"];
    run_ltx(&scratch, "run.mp4", &shape).expect_code(0);
    stir(&scratch, &["decode", "latents.safetensors", "--quality", "60"]).expect_code(0);
    assert_same(&scratch, "run.mp4", "latents.mp4");
}

/// The latents are of a larger clip than the one that is written.
#[test]
fn latents_of_a_second_pass_are_decoded_too() {
    let scratch = Scratch::new("decode-two-pass");
    let upsampler = repository("tests/fixtures/ltx/upsampler").display().to_string();
    let shape = ["-W", "160", "-H", "96", "--num-frames", "9", "--two-pass", "--latent-upsampler", &upsampler];
    run_ltx(&scratch, "run.y4m", &[&shape[..], &["--save-latents", "latents.safetensors"]].concat()).expect_code(0);
    stir(&scratch, &["decode", "latents.safetensors", "-o", "again.y4m"]).expect_code(0);
    assert_same(&scratch, "run.y4m", "again.y4m");
}

#[test]
fn sway_draws_on_the_same_picture_again() {
    let scratch = Scratch::new("decode-sway");
    let eyes = ["--eyes", "20.1,10,12,7.3", "--eyes", "60,10,12,8", "--background", "#102030"];
    let saved = ["--save-latents", "latents.safetensors"];
    run_sway(&scratch, "run.y4m", &[&eyes[..], &saved].concat()).expect_code(0);
    let again = ["decode", "latents.safetensors", "-i", "picture.png", "-o", "again.y4m"];
    stir(&scratch, &again).expect_code(0);
    assert_same(&scratch, "run.y4m", "again.y4m");
    if cfg!(feature = "ffmpeg") {
        run_sway(&scratch, "run.y4m", &[&saved[..], &["--degrade", "official"]].concat()).expect_code(0);
        stir(&scratch, &again).expect_code(0);
        assert_same(&scratch, "run.y4m", "again.y4m");
    }
}

/// The same latents as another program writes them.
fn without_record(scratch: &Scratch, from: &str, to: &str) {
    let tensors = candle_core::safetensors::load(scratch.path(from), &Device::Cpu).unwrap();
    candle_core::safetensors::save(&tensors, scratch.path(to)).unwrap();
}

#[test]
fn latents_of_other_programs_are_decoded_whole() {
    let scratch = Scratch::new("decode-foreign");
    let shape = ["-W", "96", "-H", "64", "--num-frames", "17", "--fps", "24", "--save-latents", "latents.safetensors"];
    run_ltx(&scratch, "run.y4m", &shape).expect_code(0);
    without_record(&scratch, "latents.safetensors", "foreign.safetensors");
    let (model, arguments) = (checkpoint(), ["decode", "foreign.safetensors", "-o", "again.y4m", "--device", "cpu"]);
    let said = ["--model", &model, "--fps", "24", "--seed", "7", "--dtype", "f32"];
    stir(&scratch, &[&arguments[..], &said].concat()).expect_code(0);
    assert_same(&scratch, "run.y4m", "again.y4m");
}

#[test]
fn events_are_as_described() {
    let scratch = Scratch::new("decode-json");
    run_sway(&scratch, "run.y4m", &["--save-latents", "latents.safetensors"]).expect_code(0);
    let arguments = ["decode", "latents.safetensors", "-i", "picture.png", "-o", "clip.y4m", "--json", "-q"];
    let events = events(&stir(&scratch, &arguments).expect_code(0).stdout);
    let mut kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    kinds.dedup();
    assert_eq!(kinds, ["start", "stage", "message", "stage", "clip", "stage", "step", "result"]);
    assert_eq!(events[0]["request"]["latents"], "latents.safetensors");
    assert_eq!(events.last().unwrap()["frames"], 7);
}

/// Runs where no file may become larger than 4 to 8 KiB, by the shell: as on a full disk, but small latents still fit.
#[cfg(unix)]
fn within_limit(scratch: &Scratch, arguments: &[String]) -> Outcome {
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", "ulimit -f 8; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_stir")]).args(arguments);
    run(shell.current_dir(scratch.folder()).stdin(std::process::Stdio::null()))
}

/// The command that a message ends in, run as a user would run it.
#[cfg(unix)]
fn run_advice(scratch: &Scratch, stderr: &str) {
    let advice = stderr.lines().find_map(|line| line.split_once("this finishes the clip: ")).expect("a command").1;
    let programs = Path::new(env!("CARGO_BIN_EXE_stir")).parent().unwrap();
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", advice]).env("PATH", programs).current_dir(scratch.folder());
    run(&mut shell).expect_code(0);
}

#[cfg(unix)]
#[test]
fn latents_outlive_a_failed_decode() {
    let scratch = Scratch::new("decode-kept");
    let shape = ["-W", "72", "-H", "48", "--num-frames", "10", "--watermark", "it's stir", "--quality", "60"];
    run_ltx(&scratch, "whole.y4m", &shape).expect_code(0);
    let outcome = within_limit(&scratch, &ltx(&scratch, "the clip.y4m", &shape)).expect_code(1);
    assert!(outcome.stderr.contains("error: writing the clip.y4m: File too large"), "{}", outcome.stderr);
    assert_eq!(scratch.names(), ["picture.png", "the clip.latents.safetensors", "whole.y4m", "whole.y4m.json"]);
    insta::assert_snapshot!("decode-kept", outcome.stderr.lines().last().unwrap());
    run_advice(&scratch, &outcome.stderr);
    assert_same(&scratch, "whole.y4m", "the clip.y4m");

    // An earlier failure's latents are not replaced.
    let outcome = within_limit(&scratch, &ltx(&scratch, "the clip.y4m", &shape)).expect_code(1);
    assert!(outcome.stderr.contains("stir decode 'the clip.latents-2.safetensors'"), "{}", outcome.stderr);
}

/// Killed, the program can do nothing any more: the latents were on disk before.
#[cfg(unix)]
#[test]
fn latents_outlive_a_killed_decode() {
    use std::io::{BufRead, BufReader};

    let scratch = Scratch::new("decode-killed");
    let shape = ["-W", "192", "-H", "128", "--num-frames", "150"];
    let arguments = [ltx(&scratch, "clip.y4m", &shape), vec!["--json".to_owned()]].concat();
    let mut run = command();
    run.current_dir(scratch.folder()).args(arguments);
    let mut child = run.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let decodes = |line: &String| line.contains("\"event\":\"step\"") && line.contains("\"stage\":\"decode\"");
    lines.into_iter().find(decodes).expect("the decode begins");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!scratch.path("clip.y4m").exists());

    stir(&scratch, &["decode", "clip.latents.safetensors", "-o", "finished.y4m"]).expect_code(0);
    run_ltx(&scratch, "whole.y4m", &shape).expect_code(0);
    assert_same(&scratch, "whole.y4m", "finished.y4m");
    let left = scratch.names().into_iter().filter(|name| name.contains("latents")).collect::<Vec<_>>();
    assert_eq!(left, ["clip.latents.safetensors"], "a run that ends well leaves none");
}

#[cfg(unix)]
#[test]
fn saved_latents_are_not_kept_twice() {
    let scratch = Scratch::new("decode-saved");
    let shape = ["-W", "72", "-H", "48", "--num-frames", "10", "--save-latents", "saved.safetensors"];
    let outcome = within_limit(&scratch, &ltx(&scratch, "clip.y4m", &shape)).expect_code(1);
    assert_eq!(scratch.names(), ["picture.png", "saved.safetensors"]);
    run_advice(&scratch, &outcome.stderr);
    run_ltx(&scratch, "whole.y4m", &shape).expect_code(0);
    assert_same(&scratch, "whole.y4m", "clip.y4m");
}

/// They are made again within seconds.
#[cfg(unix)]
#[test]
fn cheap_latents_are_not_kept() {
    let scratch = Scratch::new("decode-cheap");
    scratch.picture("picture.png", 96, 64);
    let arguments = "generate -i picture.png --allow-any-image -p flowing -o clip.y4m -W 96 --num-frames 9 --steps 1";
    let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
    let outcome = within_limit(&scratch, &arguments).expect_code(1);
    assert!(!outcome.stderr.contains("stir decode"), "{}", outcome.stderr);
    assert_eq!(scratch.names(), ["picture.png"]);
}

/// The file with other metadata: the record with another value at a place of it.
fn with_changed_record(scratch: &Scratch, to: &str, change: impl Fn(&mut Value)) {
    let data = bytes(scratch, "ltx.safetensors");
    let (_, header) = SafeTensors::read_metadata(&data).unwrap();
    let mut record = serde_json::from_str(&header.metadata().as_ref().unwrap()["stir"]).unwrap();
    change(&mut record);
    let tensors = SafeTensors::deserialize(&data).unwrap();
    let metadata = HashMap::from([("stir".to_owned(), record.to_string())]);
    safetensors::serialize_to_file(tensors.tensors(), Some(metadata), &scratch.path(to)).unwrap();
}

#[test]
fn refusals() {
    let scratch = Scratch::new("decode-refusals");
    let latents = |name| ["--num-frames", "9", "-W", "96", "--save-latents", name];
    run_ltx(&scratch, "clip.y4m", &latents("ltx.safetensors")).expect_code(0);
    run_sway(&scratch, "clip.y4m", &["--save-latents", "sway.safetensors"]).expect_code(0);
    scratch.picture("other.png", 96, 64);
    without_record(&scratch, "ltx.safetensors", "foreign.safetensors");
    without_record(&scratch, "sway.safetensors", "foreign-sway.safetensors");
    with_changed_record(&scratch, "version.safetensors", |record| record["version"] = json!(2));
    with_changed_record(&scratch, "damaged.safetensors", |record| record["seed"] = json!("x"));
    with_changed_record(&scratch, "sizes.safetensors", |record| record["framing"]["shown"] = json!([4096, 64]));
    with_changed_record(&scratch, "longer.safetensors", |record| {
        record["clip"]["frames"] = json!(15000);
        record["pass"]["frames"] = json!(15001);
    });
    let save = |name: &str, tensor: Tensor| {
        candle_core::safetensors::save(&HashMap::from([("latents", tensor)]), scratch.path(name)).unwrap();
    };
    let zeros = |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
    save("flat.safetensors", zeros(&[4]));
    save("channels.safetensors", zeros(&[1, 9, 2, 2, 2]));
    save("nan.safetensors", (zeros(&[1, 8, 2, 2, 2]) / 0.0).unwrap());
    std::fs::write(scratch.path("text.safetensors"), "latents of a kind").unwrap();
    std::fs::write(scratch.path("empty.safetensors"), "").unwrap();
    std::fs::create_dir(scratch.path("folder")).unwrap();

    let model = checkpoint();
    let before = scratch.names();
    let mut refusals = String::new();
    for (file, options) in [
        ("missing.safetensors", [].as_slice()),
        ("folder", &[]),
        ("text.safetensors", &[]),
        ("empty.safetensors", &[]),
        ("ltx.safetensors", &["--model", "sway"]),
        ("ltx.safetensors", &["--no-clobber", "-o", "clip.y4m"]),
        ("ltx.safetensors", &["-o", "ltx.safetensors", "--format", "y4m"]),
        ("ltx.safetensors", &["--decode-noise", "2"]),
        ("ltx.safetensors", &["-q", "-v"]),
        ("version.safetensors", &[]),
        ("damaged.safetensors", &[]),
        ("sizes.safetensors", &[]),
        ("longer.safetensors", &[]),
        ("sway.safetensors", &[]),
        ("sway.safetensors", &["-i", "other.png"]),
        ("sway.safetensors", &["-i", "picture.png", "--model", &model]),
        ("sway.safetensors", &["-i", "picture.png", "--decode-noise", "0.1"]),
        ("foreign.safetensors", &[]),
        ("foreign.safetensors", &["--model", &model]),
        ("foreign-sway.safetensors", &["--model", "sway", "--fps", "25", "-i", "picture.png"]),
        ("flat.safetensors", &["--model", &model, "--fps", "25"]),
        ("channels.safetensors", &["--model", &model, "--fps", "25"]),
        ("nan.safetensors", &["--model", &model, "--fps", "25"]),
    ] {
        let outcome = stir(&scratch, &[&["decode", file], options].concat()).expect_code(2);
        assert_eq!(outcome.stdout, "", "{file} {options:?} printed to stdout");
        assert_eq!(scratch.names(), before, "{file} {options:?} left something behind");
        refusals += &format!("$ stir decode {file} {}\n{}\n", options.join(" "), outcome.stderr);
    }
    insta::assert_snapshot!("refusals-decode", refusals.replace(&model, "CHECKPOINT"));
}
