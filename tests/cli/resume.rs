//! `--save-state` and `stir resume`: whatever ends a run, it goes on and ends with the same bytes.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use candle_core::{Device, Tensor};
use safetensors::{SafeTensors, View};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::fixture::repository;
use crate::support::{Outcome, Scratch, command, run};

/// Runs in the test's folder, where every file of the test is.
fn stir(scratch: &Scratch, arguments: &[&str]) -> Outcome {
    run(command().current_dir(scratch.folder()).args(arguments))
}

fn fixture(path: &str) -> String {
    repository("tests/fixtures/ltx").join(path).display().to_string()
}

fn bytes(scratch: &Scratch, name: &str) -> Vec<u8> {
    std::fs::read(scratch.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[track_caller]
fn assert_same(scratch: &Scratch, one: &str, other: &str) {
    assert!(bytes(scratch, one) == bytes(scratch, other), "{one} and {other} differ");
}

/// A run of the tiny checkpoint of LTX-Video.
fn ltx(options: &[&str]) -> Vec<String> {
    let model = fixture("checkpoint");
    let run = ["generate", "-i", "picture.png", "--allow-any-image", "-p", "hair flowing", "--seed", "7"];
    let model = ["--model", &model, "--device", "cpu", "--dtype", "f32"];
    run.iter().chain(&model).chain(options).map(|argument| (*argument).to_owned()).collect()
}

/// The same in two passes that hold the picture weakly, so that nothing of a pass can be left out of its state.
fn two_passes(options: &[&str]) -> Vec<String> {
    let upsampler = fixture("upsampler");
    let passes = ["--two-pass", "--latent-upsampler", &upsampler, "--strength", "0.7", "--steps", "4"];
    [ltx(&passes), options.iter().map(|option| (*option).to_owned()).collect()].concat()
}

fn with(arguments: &[String], further: &[&str]) -> Vec<String> {
    arguments.iter().cloned().chain(further.iter().map(|option| (*option).to_owned())).collect()
}

fn run_whole(scratch: &Scratch, arguments: &[String], further: &[&str]) -> Outcome {
    run(command().current_dir(scratch.folder()).args(with(arguments, further))).expect_code(0)
}

fn is_step(event: &Value, stage: &str, step: usize) -> bool {
    event["event"] == "step" && event["stage"] == stage && event["step"] == step
}

/// Starts a run and kills it outright when it says what is waited for. A machine that is busy may look away until the run is complete: then again.
fn killed(scratch: &Scratch, arguments: &[String], awaited: impl Fn(&Value) -> bool) {
    assert!((0..5).any(|_| is_killed(scratch, arguments, &awaited)), "runs are complete before they can be killed");
}

fn is_killed(scratch: &Scratch, arguments: &[String], awaited: Awaited) -> bool {
    let mut run = command();
    run.current_dir(scratch.folder()).args(arguments).arg("--json");
    let mut child = run.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut events = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap());
    events.find(|event| awaited(event)).expect("the run to come so far");
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

/// The event that a kill waits for.
type Awaited<'a> = &'a dyn Fn(&Value) -> bool;

/// The short form of `scripts/kill`, which does a hundred: in each stage, in both passes, and in the second clip.
#[test]
fn a_killed_run_goes_on_and_ends_with_the_same_bytes() {
    let scratch = Scratch::new("resume-killed");
    scratch.picture("picture.png", 96, 64);
    let shape = ["-W", "224", "-H", "160", "--num-frames", "49", "--count", "2", "--watermark", "stir"];
    let run = two_passes(&shape);
    run_whole(&scratch, &run, &["-o", "whole.y4m"]);
    let second = |event: &Value| event["event"] == "clip" && event["index"] == 1;
    let kills: [(&str, Awaited); 6] = [
        ("text", &|event| event["event"] == "stage" && event["stage"] == "text"),
        ("encode", &|event| event["event"] == "stage" && event["stage"] == "encode"),
        ("first", &|event| is_step(event, "denoise", 3)),
        ("second", &|event| is_step(event, "denoise", 6)),
        ("decode", &|event| is_step(event, "decode", 5)),
        ("clip", &second),
    ];
    for (name, awaited) in kills {
        let (state, output) = (format!("state-{name}"), format!("{name}.y4m"));
        killed(&scratch, &with(&run, &["-o", &output, "--save-state", &state]), awaited);
        // What the kill left half-written stays where it is; of the state nothing is.
        std::fs::write(scratch.path(&format!("{state}/.state.safetensors.part-1-0")), "half").unwrap();
        let first = scratch.path(&format!("{name}-7.y4m"));
        let before = std::fs::metadata(&first).and_then(|first| first.modified()).ok();
        assert_eq!(before.is_some(), name == "clip", "{name}");
        let made = if name == "clip" { "clip-8.y4m\n".to_owned() } else { format!("{name}-7.y4m\n{name}-8.y4m\n") };
        assert_eq!(stir(&scratch, &["resume", &state]).expect_code(0).stdout, made);
        if before.is_some() {
            assert_eq!(std::fs::metadata(&first).unwrap().modified().ok(), before, "a complete clip is made again");
        }
        for seed in [7, 8] {
            assert_same(&scratch, &format!("whole-{seed}.y4m"), &format!("{name}-{seed}.y4m"));
        }
        let mut left: Vec<_> =
            std::fs::read_dir(scratch.path(&state)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["lock", "state.safetensors"], "{name}");
        assert!(
            bytes(&scratch, &format!("{state}/state.safetensors")).len() < 8192,
            "a finished run keeps its latents"
        );
    }
}

#[test]
fn a_run_of_sway_goes_on_too() {
    let scratch = Scratch::new("resume-sway");
    scratch.picture("picture.png", 96, 64);
    let run = ["generate", "-i", "picture.png", "--allow-any-image", "-p", "hair flowing [pan left]", "-W", "64"];
    let options = ["--num-frames", "9", "--steps", "4", "--guidance-scale", "1.7", "--motion", "0.3"];
    let run: Vec<String> = run.iter().chain(&options).map(|argument| (*argument).to_owned()).collect();
    run_whole(&scratch, &run, &["-o", "whole.gif", "--save-frames", "frames"]);
    for (step, every) in [(1, "1"), (3, "1"), (4, "3")] {
        let state = format!("state-{step}-{every}");
        let options =
            ["-o", "clip.gif", "--save-frames", "clip-frames", "--save-state", &state, "--save-state-every", every];
        killed(&scratch, &with(&run, &options), |event| is_step(event, "denoise", step));
        std::fs::rename(scratch.path("picture.png"), scratch.path("gone.png")).unwrap();
        let refused = stir(&scratch, &["resume", &state]).expect_code(2).stderr;
        assert!(refused.ends_with("found no such file\n  next: name it by -i where it has moved\n"), "{refused}");
        std::fs::rename(scratch.path("gone.png"), scratch.path("picture.png")).unwrap();
        let outcome = stir(&scratch, &["resume", &state, "--threads", "1", "-o", "other.gif"]).expect_code(0);
        assert!(outcome.stderr.contains("going on with a run after step "), "{}", outcome.stderr);
        assert_same(&scratch, "whole.gif", "other.gif");
        assert_same(&scratch, "frames/000008.png", "clip-frames/000008.png");
    }
}

/// Killed or not, the talk and the events say how it goes on.
#[cfg(unix)]
#[test]
fn an_interrupted_run_says_how_it_goes_on() {
    use crate::signals::{Ended, interrupt};

    let scratch = Scratch::new("resume-signals");
    scratch.picture("picture.png", 640, 480);
    let run = ltx(&["--steps", "3", "-W", "320", "--num-frames", "97"]);
    run_whole(&scratch, &run, &["-o", "whole.y4m"]);
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        for stage in ["text", "encode", "denoise", "decode"] {
            let state = format!("my state {stage} {signal}");
            let mut program = command();
            program
                .current_dir(scratch.folder())
                .args(with(&run, &["-o", "clip.y4m", "--save-state", &state, "--json"]));
            let Ended { code: found, last_event, talk } = interrupt(program, stage, signal);
            assert_eq!(found, Some(code), "{talk}");
            let advice = format!(
                "unfinished files are removed, finished ones are kept; the state is saved, and this goes on: stir resume '{state}'"
            );
            assert!(talk.ends_with(&format!("next: {advice}\n")), "{talk}");
            assert_eq!(last_event["hint"], advice);
            assert!(!scratch.names().iter().any(|name| name.contains("clip")), "{:?}", scratch.names());
            stir(&scratch, &["resume", &state, "-q"]).expect_code(0);
            for (whole, clip) in [("whole.y4m", "clip.y4m"), ("whole.y4m.json", "clip.y4m.json")] {
                assert_same(&scratch, whole, clip);
                std::fs::remove_file(scratch.path(clip)).unwrap();
            }
        }
    }
}

/// Relative names are those of the folder in which the run was started, wherever it goes on and whatever the clock says by then.
#[test]
fn a_run_goes_on_from_another_folder_at_another_time() {
    let scratch = Scratch::new("resume-elsewhere");
    scratch.picture("picture.png", 96, 64);
    scratch.picture("mark.png", 32, 32);
    let run = ltx(&["--steps", "5", "-W", "160", "--num-frames", "25", "--watermark", "mark.png"]);
    run_whole(&scratch, &run, &["-o", "whole.y4m"]);
    killed(&scratch, &with(&run, &["-o", "clip.y4m", "--save-state", "state"]), |event| is_step(event, "denoise", 3));
    for (name, time) in [("picture.png", 0), ("state/state.safetensors", 1), ("state/lock", 4_000_000_000)] {
        let file = std::fs::File::options().write(true).open(scratch.path(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(time)).unwrap();
    }
    std::fs::create_dir(scratch.path("elsewhere")).unwrap();
    let elsewhere = scratch.path("elsewhere");
    let outcome = run_in(&elsewhere, &["resume", "../state"]).expect_code(0);
    let clip = scratch.folder().canonicalize().unwrap().join("clip.y4m");
    assert_eq!(outcome.stdout, format!("{}\n", clip.display()));
    assert_same(&scratch, "whole.y4m", "clip.y4m");
}

fn run_in(folder: &Path, arguments: &[&str]) -> Outcome {
    run(command().current_dir(folder).args(arguments))
}

#[test]
fn the_picture_may_move_but_not_change() {
    let scratch = Scratch::new("resume-picture");
    let picture = scratch.picture("picture.png", 96, 64);
    let run = with(&ltx(&["--steps", "5", "-W", "160", "--num-frames", "25"]), &["-i", "-"]);
    let piped = |arguments: &[String]| {
        let mut program = command();
        program.current_dir(scratch.folder()).args(arguments).stdin(std::fs::File::open(&picture).unwrap());
        program
    };
    assert_eq!(piped(&with(&run, &["-o", "whole.y4m"])).status().unwrap().code(), Some(0));
    let mut child = piped(&with(&run, &["-o", "clip.y4m", "--save-state", "state", "--json"]));
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    lines.into_iter().find(|line| is_step(&serde_json::from_str(line).unwrap(), "denoise", 3)).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();

    scratch.picture("other.png", 96, 66);
    let before = bytes(&scratch, "state/state.safetensors");
    for (arguments, message) in [
        (
            &["resume", "state"][..],
            "error: the image from standard input: wanted a JPEG, PNG or WebP file, found nothing",
        ),
        (&["resume", "state", "-i", "gone.png"], "gone.png"),
        (
            &["resume", "state", "-i", "other.png"],
            "image: wanted the picture that the run began with, found another one",
        ),
    ] {
        let outcome = stir(&scratch, arguments).expect_code(2);
        assert!(outcome.stderr.contains(message), "{}", outcome.stderr);
        assert_eq!(bytes(&scratch, "state/state.safetensors"), before);
    }
    stir(&scratch, &["resume", "state", "-i", "picture.png"]).expect_code(0);
    assert_same(&scratch, "whole.y4m", "clip.y4m");
}

/// A checkpoint of the test's own, so that it can be changed.
fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn weights_and_other_inputs_have_to_be_the_same() {
    let scratch = Scratch::new("resume-inputs");
    scratch.picture("picture.png", 96, 64);
    scratch.picture("mark.png", 32, 32);
    copy_folder(&repository("tests/fixtures/ltx/checkpoint"), &scratch.path("model"));
    let shape = ["--steps", "5", "-W", "160", "--num-frames", "25", "--model", "./model", "--watermark", "mark.png"];
    let run = ltx(&shape);
    run_whole(&scratch, &run, &["-o", "whole.y4m"]);
    killed(&scratch, &with(&run, &["-o", "clip.y4m", "--save-state", "state"]), |event| is_step(event, "denoise", 3));
    let weights = std::fs::read_dir(scratch.path("model/transformer")).unwrap().map(|entry| entry.unwrap().path());
    let weights = weights.into_iter().find(|path| path.extension().is_some_and(|end| end == "safetensors")).unwrap();
    let changed = |path: &Path, change: &dyn Fn(&mut Vec<u8>), message: &str| {
        let kept = std::fs::read(path).unwrap();
        let mut other = kept.clone();
        change(&mut other);
        std::fs::write(path, other).unwrap();
        let outcome = stir(&scratch, &["resume", "state"]).expect_code(2);
        assert!(outcome.stderr.contains(message), "{}", outcome.stderr);
        std::fs::write(path, kept).unwrap();
    };
    // A value of a matrix, somewhere in the middle.
    changed(
        &weights,
        &|file| {
            let middle = file.len() / 2;
            file[middle] ^= 1
        },
        "state state: model: wanted the weights that the run began with",
    );
    changed(
        &scratch.path("mark.png"),
        &|file| {
            let other = scratch.picture("other.png", 30, 30);
            *file = std::fs::read(other).unwrap()
        },
        "watermark: wanted the picture that the run began with",
    );
    let scheduler = scratch.path("model/scheduler/scheduler_config.json");
    let turned =
        |file: &mut Vec<u8>| *file = br#"{"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 2.0}"#.to_vec();
    changed(&scheduler, &turned, "model: wanted the schedule and guidance that the run began with");
    stir(&scratch, &["resume", "state"]).expect_code(0);
    assert_same(&scratch, "whole.y4m", "clip.y4m");
}

/// The latents of a decode that was killed are in the folder, for `stir decode`, also without the rest of it.
#[test]
fn a_killed_decode_is_finished_from_the_latents_in_the_folder() {
    let scratch = Scratch::new("resume-decode");
    scratch.picture("picture.png", 96, 64);
    let run = ltx(&["--steps", "2", "-W", "192", "--num-frames", "97", "--no-clobber"]);
    run_whole(&scratch, &run, &["-o", "whole.y4m"]);
    let options = ["-o", "clip.y4m", "--save-state", "state", "--save-latents", "saved.safetensors"];
    killed(&scratch, &with(&run, &options), |event| is_step(event, "decode", 3));
    assert!(!scratch.path("state/latents.safetensors").exists(), "they are kept twice");
    stir(&scratch, &["resume", "state"]).expect_code(0);
    assert_same(&scratch, "whole.y4m", "clip.y4m");

    killed(&scratch, &with(&run, &["-o", "again.y4m", "--save-state", "state"]), |event| is_step(event, "decode", 3));
    std::fs::copy(scratch.path("state/latents.safetensors"), scratch.path("carried.safetensors")).unwrap();
    stir(&scratch, &["decode", "carried.safetensors", "-o", "decoded.y4m"]).expect_code(0);
    assert_same(&scratch, "whole.y4m", "decoded.y4m");
    stir(&scratch, &["resume", "state"]).expect_code(0);
    assert_same(&scratch, "whole.y4m", "again.y4m");
    assert!(!scratch.path("state/latents.safetensors").exists());
}

/// No file may become larger than 8 to 16 KiB, by the shell: the states of the first pass fit, those of the second and the clip do not.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_last_state() {
    let scratch = Scratch::new("resume-full");
    scratch.picture("picture.png", 96, 64);
    let run = two_passes(&["-W", "256", "-H", "160", "--num-frames", "97"]);
    run_whole(&scratch, &run, &["-o", "whole.y4m"]);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "ulimit -f 16; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_stir")]);
    shell.args(with(&run, &["-o", "clip.y4m", "--save-state", "state"])).stdin(Stdio::null());
    let outcome = crate::support::run(shell.current_dir(scratch.folder())).expect_code(1);
    let warning = "warning: writing state/state.safetensors: File too large (os error 27); the run goes on, and its state stays that of a run after step 4: files in state may not become that large";
    assert_eq!(outcome.stderr.matches("warning: writing state/state.safetensors").count(), 1, "{}", outcome.stderr);
    assert!(outcome.stderr.contains(warning), "{}", outcome.stderr);
    let end = outcome.stderr.lines().rev().take(2).collect::<Vec<_>>();
    assert!(end[1].starts_with("error: writing clip.y4m: File too large"), "{}", outcome.stderr);
    assert!(end[0].ends_with("; the state is saved, and this goes on: stir resume state"), "{}", outcome.stderr);
    assert_eq!(scratch.names(), ["picture.png", "state", "whole.y4m", "whole.y4m.json"]);
    let outcome = stir(&scratch, &["resume", "state"]).expect_code(0);
    assert!(outcome.stderr.contains("going on with a run after step 4\n"), "{}", outcome.stderr);
    assert_same(&scratch, "whole.y4m", "clip.y4m");
}

/// A disk without room for the first state ends the run before it begins.
#[cfg(unix)]
#[test]
fn a_state_that_cannot_be_written_at_all_is_said_at_once() {
    let scratch = Scratch::new("resume-none");
    scratch.picture("picture.png", 96, 64);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "ulimit -f 0; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_stir")]);
    shell.args(ltx(&["-W", "96", "--num-frames", "9", "-o", "clip.y4m", "--save-state", "state"])).stdin(Stdio::null());
    let outcome = run(shell.current_dir(scratch.folder())).expect_code(1);
    assert!(outcome.stderr.contains("error: writing state/state.safetensors: File too large"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("text\n"), "{}", outcome.stderr);
}

#[test]
fn two_runs_never_share_a_folder() {
    let scratch = Scratch::new("resume-shared");
    scratch.picture("picture.png", 96, 64);
    let run = ltx(&["--steps", "900", "-W", "192", "--num-frames", "97", "-o", "clip.y4m", "--save-state", "state"]);
    let mut program = command();
    program.current_dir(scratch.folder()).args(&run).arg("--json");
    let mut child = program.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    lines.into_iter().find(|line| is_step(&serde_json::from_str(line).unwrap(), "denoise", 3)).unwrap();
    let refused = stir(&scratch, &["resume", "state"]).expect_code(2);
    let message = "error: state state: wanted a folder that no other run uses, found a run that does\n";
    assert!(refused.stderr.contains(message), "{}", refused.stderr);
    let run: Vec<&str> = run.iter().map(String::as_str).collect();
    let refused = stir(&scratch, &run).expect_code(2);
    assert!(
        refused.stderr.contains("error: state state: wanted no state of a run that is not finished"),
        "{}",
        refused.stderr
    );
    child.kill().unwrap();
    child.wait().unwrap();
    // The lock has gone with its process.
    let unfinished = stir(&scratch, &["resume", "state", "-i", "gone.png"]).expect_code(2);
    assert!(unfinished.stderr.contains("gone.png"), "{}", unfinished.stderr);
}

/// The state with another record or other tensors.
fn change_state(scratch: &Scratch, change: impl FnOnce(&mut Value, &mut HashMap<String, Tensor>)) {
    let data = bytes(scratch, "kept");
    let (_, header) = SafeTensors::read_metadata(&data).unwrap();
    let mut record = serde_json::from_str(&header.metadata().as_ref().unwrap()["stir state"]).unwrap();
    let mut tensors = candle_core::safetensors::load_buffer(&data, &Device::Cpu).unwrap();
    change(&mut record, &mut tensors);
    let record = record.to_string();
    let sum = sum_of(&record, &tensors);
    let metadata = HashMap::from([("stir state".to_owned(), record), ("sha256".to_owned(), sum)]);
    let path = scratch.path("state/state.safetensors");
    safetensors::serialize_to_file(&tensors, Some(metadata), &path).unwrap();
}

/// What a state says of itself, so that other checks than this one are met.
fn sum_of(record: &str, tensors: &HashMap<String, Tensor>) -> String {
    let mut sha = Sha256::new();
    sha.update(record);
    let mut tensors: Vec<_> = tensors.iter().collect();
    tensors.sort_by_key(|(name, _)| *name);
    for (name, tensor) in tensors {
        sha.update(format!(" {name} {:?} ", tensor.dims()));
        sha.update(tensor.data());
    }
    format!("{:x}", sha.finalize())
}

/// Changes a state.
type Change = Box<dyn FnOnce(&mut Value, &mut HashMap<String, Tensor>)>;

/// The clip says who began it, and nobody promises its bytes; the next clip is of this build alone.
#[test]
fn a_clip_that_another_build_began_says_so() {
    let scratch = Scratch::new("resume-build");
    scratch.picture("picture.png", 96, 64);
    let options = ["-W", "160", "--num-frames", "25", "--count", "2", "--steps", "5"];
    let run = ltx(&[&options[..], &["-o", "clip.mp4", "--save-state", "state"]].concat());
    killed(&scratch, &run, |event| is_step(event, "denoise", 3));
    std::fs::rename(scratch.path("state/state.safetensors"), scratch.path("kept")).unwrap();
    change_state(&scratch, |record, _| record["makers"][0]["stir"]["build"] = json!("another"));
    let outcome = stir(&scratch, &["resume", "state"]).expect_code(0);
    assert!(outcome.stderr.contains("warning: the run began by build another on "), "{}", outcome.stderr);
    assert!(outcome.stderr.contains(": the clip will not have the same bytes\n"), "{}", outcome.stderr);
    let info = |clip: &str| stir(&scratch, &["info", clip]).expect_code(0).stdout;
    assert!(info("clip-7.mp4").contains("begun by     stir ") && info("clip-7.mp4").contains("build another\n"));
    assert!(!info("clip-8.mp4").contains("begun by"));
    let model = fixture("checkpoint");
    let verify = |clip: &str| stir(&scratch, &["verify", clip, "--image", "picture.png", "--model", &model]);
    let refused = verify("clip-7.mp4").expect_code(2).stderr;
    assert!(
        refused.contains("wanted a clip of a single run, found one that several builds or devices made"),
        "{refused}"
    );
    verify("clip-8.mp4").expect_code(0);
}

#[test]
fn refusals() {
    let scratch = Scratch::new("resume-refusals");
    scratch.picture("picture.png", 96, 64);
    let options = ["-W", "160", "--num-frames", "25", "--count", "2", "--steps", "5"];
    let run = ltx(&[&options[..], &["-o", "clip.y4m", "--save-state", "state"]].concat());
    killed(&scratch, &run, |event| is_step(event, "denoise", 3));
    let keep = || std::fs::rename(scratch.path("state/state.safetensors"), scratch.path("kept")).unwrap();
    keep();
    // The kill may have come after a further step.
    change_state(&scratch, |record, _| record["step"] = json!(2));
    keep();

    let mut refusals = String::new();
    let mut add = |what: &str, arguments: &[&str]| {
        let before = scratch.names();
        let outcome = stir(&scratch, arguments).expect_code(2);
        assert_eq!((outcome.stdout.as_str(), scratch.names()), ("", before), "{what}");
        let stderr =
            outcome.stderr.lines().skip_while(|line| !line.starts_with("error: ")).collect::<Vec<_>>().join("\n");
        refusals += &format!("# {what}\n{stderr}\n");
    };
    add("no folder", &["resume", "none"]);
    add("no state", &["resume", "state"]);
    add("a file", &["resume", "picture.png"]);
    let record = |pointer: &'static str, value: Value| -> Change {
        Box::new(move |record, _| {
            *record.pointer_mut(pointer).unwrap_or_else(|| panic!("nothing at {pointer}")) = value
        })
    };
    let entry = |name: &'static str, value: Value| -> Change {
        Box::new(move |record, _| {
            record.as_object_mut().unwrap().insert(name.to_owned(), value);
        })
    };
    let tensor = |name: &'static str, tensor: Tensor| -> Change {
        Box::new(move |_, tensors| {
            tensors.insert(name.to_owned(), tensor);
        })
    };
    let zeros = |shape: &[usize], dtype| Tensor::zeros(shape, dtype, &Device::Cpu).unwrap();
    let huge = "x".repeat(2 << 20);
    let changes: Vec<(&str, Change)> = vec![
        ("another version of the program", record("/engine", json!("stir 0.0.9"))),
        ("another version of states", record("/version", json!(2))),
        ("no version", record("/version", json!("one"))),
        ("an entry too many", entry("further", json!(1))),
        ("a record that is too long", entry("further", json!(huge))),
        ("more clips than there are", record("/clip", json!(3))),
        ("a negative clip", record("/clip", json!(-1))),
        ("other numbers of clips", record("/count", json!(1000))),
        ("a pass that is none", record("/pass", json!(1))),
        ("a step that is none", record("/step", json!(6))),
        ("a step beyond all numbers", record("/step", json!(u64::MAX))),
        ("finished in the middle", record("/clip", json!(2))),
        ("a request of another kind", record("/request", json!([]))),
        ("an option that is none", record("/request/steps", json!({"a": 1}))),
        ("an option out of its range", record("/request/steps", json!("0"))),
        ("nobody who made it", record("/makers", json!([]))),
        ("another picture", record("/inputs/picture", json!("00"))),
        ("no latents", Box::new(|_, tensors| tensors.clear())),
        ("latents of another size", tensor("latents", zeros(&[1, 8, 4, 2, 3], candle_core::DType::F32))),
        ("latents of another type", tensor("latents", zeros(&[1, 8, 4, 4, 5], candle_core::DType::F16))),
        (
            "latents that are not finite",
            tensor("latents", (zeros(&[1, 8, 4, 4, 5], candle_core::DType::F32) / 0.0).unwrap()),
        ),
        ("a tensor too many", tensor("start", zeros(&[1], candle_core::DType::F32))),
    ];
    for (what, change) in changes {
        change_state(&scratch, change);
        add(what, &["resume", "state"]);
    }
    std::fs::write(scratch.path("state/state.safetensors"), [0xff; 300]).unwrap();
    add("a header beyond all files", &["resume", "state"]);
    let whole = bytes(&scratch, "kept");
    std::fs::write(scratch.path("state/state.safetensors"), &whole[..whole.len() - 1]).unwrap();
    add("a torn file", &["resume", "state"]);
    let name = b"\\\"picture\\\":\\\"";
    let digit = whole.windows(name.len()).position(|bytes| bytes == name).unwrap() + name.len();
    for (what, place) in [("a wrong bit in the latents", whole.len() - 4), ("a wrong bit in the record", digit)] {
        let mut wrong = whole.clone();
        wrong[place] ^= 1;
        std::fs::write(scratch.path("state/state.safetensors"), wrong).unwrap();
        add(what, &["resume", "state"]);
    }
    let options: Vec<&str> = run.iter().map(String::as_str).collect();
    add("a new run where a state cannot be read", &options);
    std::fs::write(scratch.path("state/state.safetensors"), &whole).unwrap();
    add("a new run where one is not finished", &options);
    add("both ways of talking", &["resume", "state", "-q", "-v"]);
    let save = |folder: &'static str| [&options[..], &["--save-state", folder]].concat();
    add("a folder of something else", &save("."));
    add("a folder in no folder", &save("none/state"));
    add("a folder that is a file", &save("picture.png"));
    add(
        "an output of the state's own name",
        &[&save("new")[..], &["-o", "new/state.safetensors", "--format", "y4m", "--count", "1"]].concat(),
    );
    add("every step without a folder", &["generate", "-i", "picture.png", "-p", "hair", "--save-state-every", "2"]);
    add("every zeroth step", &[&save("new")[..], &["--save-state-every", "0"]].concat());
    // What the record says of build and processor is not as long everywhere.
    let refusals = refusals.replace(&format!("{} bytes", whole.len() - 1), "N bytes");
    insta::assert_snapshot!("refusals-resume", refusals.replace(&fixture("checkpoint"), "CHECKPOINT"));

    // Nothing of this has harmed it.
    stir(&scratch, &["resume", "state"]).expect_code(0);
    let outcome = stir(&scratch, &["resume", "state"]).expect_code(0);
    assert_eq!(outcome.stderr, "state is of a run whose 2 clips are complete: nothing is left to do\n");
    run_whole(&scratch, &run, &["-q"]);
}
