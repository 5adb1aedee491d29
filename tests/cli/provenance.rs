//! What clips say of how they were made: in every format, the same for the same clip, and enough to make it again.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::fixture::repository;
use crate::support::{Outcome, Scratch, command, run};

/// Runs in the test's folder, where every file of the test is.
pub fn stir(scratch: &Scratch, arguments: &[&str]) -> Outcome {
    run(command().current_dir(scratch.folder()).args(arguments))
}

/// A run of sway that takes as little time as one can.
pub fn generate(scratch: &Scratch, output: &str, options: &[&str]) -> Outcome {
    if !scratch.path("picture.png").exists() {
        scratch.picture("picture.png", 96, 64);
    }
    let run = ["generate", "-i", "picture.png", "--allow-any-image", "-p", "hair flowing", "-o", output];
    let size = ["--steps", "2", "--num-frames", "5", "-W", "64"];
    stir(scratch, &[&run[..], &size, options].concat())
}

/// A run of the tiny checkpoint of LTX-Video, which is in the folder under the name `tiny`.
#[cfg(unix)]
pub fn generate_ltx(scratch: &Scratch, output: &str, options: &[&str]) -> Outcome {
    if !scratch.path("tiny").exists() {
        std::os::unix::fs::symlink(repository("tests/fixtures/ltx/checkpoint"), scratch.path("tiny")).unwrap();
    }
    let model = ["--model", "./tiny", "--steps", "2", "--seed", "7"];
    generate(scratch, output, &[&model[..], options].concat())
}

/// What `stir info --json` says.
pub fn info(scratch: &Scratch, clip: &str) -> Value {
    let outcome = stir(scratch, &["info", clip, "--json"]).expect_code(0);
    assert_eq!(outcome.stderr, "");
    serde_json::from_str(&outcome.stdout).unwrap()
}

fn bytes(scratch: &Scratch, name: &str) -> Vec<u8> {
    std::fs::read(scratch.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Runs a command as a user would, who has copied it.
fn paste(scratch: &Scratch, command: &str) {
    let programs = Path::new(env!("CARGO_BIN_EXE_stir")).parent().unwrap();
    let path = std::env::join_paths([programs, Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    let mut shell = Command::new("bash");
    shell.args(["-c", command]).env("PATH", path).env("XDG_DATA_HOME", "/no/such/folder");
    run(shell.current_dir(scratch.folder()).stdin(Stdio::null())).expect_code(0);
}

/// All formats of which this build writes clips.
fn clips() -> Vec<&'static str> {
    let mut clips = vec!["clip.gif", "clip.y4m", "clip/"];
    if cfg!(feature = "ffmpeg") {
        clips.extend(["clip.mp4", "clip.mov", "clip.webm", "clip.webp"]);
    }
    clips
}

#[test]
fn every_format_carries_its_record() {
    let scratch = Scratch::new("provenance-formats");
    for clip in clips() {
        generate(&scratch, clip, &[]).expect_code(0);
        let record = &info(&scratch, clip)["record"];
        assert_eq!(record["request"]["prompt"], "hair flowing", "{clip}");
        assert_eq!(record["resolved"]["passes"][0]["sigmas"], "1,0.5,0");
        assert_eq!(record["model"]["weights"].as_array().unwrap().len(), 2);
        let sums = [&record["picture"]["file"], &record["picture"]["prepared"][0], &record["sha256"]["noise"]];
        for sum in [&sums[..], &[&record["sha256"]["latents"]]].concat() {
            assert_eq!(sum.as_str().map(str::len), Some(64), "{clip}");
        }
        // WebM's metadata is in front of the frames.
        assert_eq!(record["sha256"]["frames"].is_string(), clip != "clip.webm", "{clip}");
        let sidecar = scratch.path(&format!("{}.json", clip.trim_end_matches('/')));
        assert_eq!(sidecar.exists(), ["clip.gif", "clip.webp", "clip.y4m", "clip/"].contains(&clip), "{clip}");
        if sidecar.exists() {
            let text = std::fs::read_to_string(&sidecar).unwrap();
            assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), record, "{clip}");
        }
    }
}

/// Frames hold the same samples whatever they are written as.
#[test]
fn the_sum_of_the_frames_is_that_of_their_pixels() {
    let scratch = Scratch::new("provenance-frames");
    generate(&scratch, "clip.y4m", &[]).expect_code(0);
    generate(&scratch, "clip/", &["--save-frames", "frames"]).expect_code(0);
    let sum = |clip: &str| info(&scratch, clip)["record"]["sha256"]["frames"].clone();
    assert_eq!(sum("clip.y4m"), sum("clip/"));
    use sha2::{Digest, Sha256};
    let mut sha = Sha256::new();
    for index in 0..5 {
        let frame = image::open(scratch.path(&format!("clip/{index:06}.png"))).unwrap().to_rgb8();
        sha.update(format!("{}x{} ", frame.width(), frame.height()));
        sha.update(frame.as_raw());
    }
    assert_eq!(sum("clip/"), format!("{:x}", sha.finalize()));
    // A folder of frames beside a clip has none of its own.
    assert!(!scratch.path("frames.json").exists());
}

#[test]
fn no_record_is_written_where_none_is_wanted() {
    let scratch = Scratch::new("provenance-none");
    for clip in clips() {
        generate(&scratch, clip, &["--no-metadata", "--save-latents", "latents.safetensors"]).expect_code(0);
        assert!(!scratch.path(&format!("{}.json", clip.trim_end_matches('/'))).exists(), "{clip}");
        let outcome = stir(&scratch, &["info", clip]).expect_code(2);
        assert!(outcome.stderr.contains("record"), "{clip}: {}", outcome.stderr);
        assert!(!String::from_utf8_lossy(&bytes(&scratch, "latents.safetensors")).contains("provenance"));
    }
}

/// A record beside a clip is as much worth as the clip.
#[test]
fn an_existing_record_can_be_kept() {
    let scratch = Scratch::new("provenance-clobber");
    std::fs::write(scratch.path("clip.y4m.json"), "kept").unwrap();
    let outcome = generate(&scratch, "clip.y4m", &["--no-clobber"]).expect_code(2);
    assert!(outcome.stderr.contains("clip.y4m.json: wanted a name that is free"), "{}", outcome.stderr);
    assert_eq!(bytes(&scratch, "clip.y4m.json"), b"kept");
    generate(&scratch, "clip.y4m", &["--no-clobber", "--no-metadata"]).expect_code(0);
    std::fs::remove_file(scratch.path("clip.y4m.json")).unwrap();
    generate(&scratch, "clip.y4m", &["--seed", "3"]).expect_code(0);
    generate(&scratch, "clip.y4m", &[]).expect_code(0);
    assert_eq!(info(&scratch, "clip.y4m")["record"]["request"]["seed"], 42);
}

/// Nobody has named the file beside a clip, and `clip.json` may be anything.
#[test]
fn no_record_replaces_another_file() {
    let scratch = Scratch::new("provenance-other");
    generate(&scratch, "first.y4m", &["--save-latents", "l.safetensors"]).expect_code(0);
    for text in ["{\"mine\": 1}", "", "[]"] {
        std::fs::write(scratch.path("clip.json"), text).unwrap();
        let names = scratch.names();
        let decode = ["decode", "l.safetensors", "-i", "picture.png", "-o", "clip/"];
        for outcome in [generate(&scratch, "clip/", &[]), stir(&scratch, &decode)] {
            let refused = outcome.expect_code(2).stderr;
            assert!(refused.contains("error: output clip.json: wanted a name for the clip's record"), "{refused}");
        }
        assert_eq!((bytes(&scratch, "clip.json"), scratch.names()), (text.into(), names));
    }
    let outcome = generate(&scratch, "clip/", &["--no-metadata"]).expect_code(0);
    assert!(!outcome.stderr.contains("clip.json"), "{}", outcome.stderr);
}

/// Latents may be changed on purpose, but nobody should have to find out by the clip.
#[test]
fn latents_that_are_not_those_of_their_record_are_named() {
    let scratch = Scratch::new("provenance-latents");
    generate(&scratch, "run.y4m", &["--save-latents", "l.safetensors"]).expect_code(0);
    let decode = || stir(&scratch, &["decode", "l.safetensors", "-i", "picture.png", "-o", "clip.y4m"]).expect_code(0);
    assert!(!decode().stderr.contains("warning"));
    let mut latents = bytes(&scratch, "l.safetensors");
    *latents.last_mut().unwrap() ^= 1;
    std::fs::write(scratch.path("l.safetensors"), latents).unwrap();
    let warning = "warning: latents l.safetensors do not have the SHA-256 that their record names";
    assert!(decode().stderr.contains(warning), "{}", decode().stderr);
}

/// It would be taken for the record of the clip that has replaced its own.
#[test]
fn a_record_of_an_earlier_clip_is_named() {
    let scratch = Scratch::new("provenance-earlier");
    generate(&scratch, "clip.gif", &[]).expect_code(0);
    let outcome = generate(&scratch, "clip.gif", &["--no-metadata"]).expect_code(0);
    let warning = "warning: clip.gif.json is the record of an earlier clip and stays: remove it\n";
    assert!(outcome.stderr.contains(warning), "{}", outcome.stderr);
}

/// Nothing but request, build and result: not how many threads, not where, not who.
#[test]
fn a_record_says_nothing_of_places_people_and_threads() {
    let scratch = Scratch::new("provenance-places");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let user = std::env::var("USER").unwrap_or_default();
    std::fs::create_dir(scratch.path("elsewhere")).unwrap();
    let extension = if cfg!(feature = "ffmpeg") { "mp4" } else { "y4m" };
    let (first, second) = (format!("clip.{extension}"), format!("elsewhere/other.{extension}"));
    generate(&scratch, &first, &["--threads", "1"]).expect_code(0);
    let picture = scratch.path("picture.png").display().to_string();
    let second_path = scratch.path(&second).display().to_string();
    let further = ["--threads", "2", "-i", &picture, "--save-frames", "frames", "--preview=look.gif", "-v"];
    generate(&scratch, &second_path, &further).expect_code(0);
    assert!(bytes(&scratch, &first) == bytes(&scratch, &second), "the clips differ");
    let text = info(&scratch, &second)["record"].to_string();
    assert_eq!(text, info(&scratch, &first)["record"].to_string());
    let folder = scratch.folder().display().to_string();
    let own = ["/tmp", "/home", "/root", folder.as_str(), host.trim(), user.trim()];
    for own in own.into_iter().filter(|own| own.len() > 4) {
        assert!(!text.contains(own), "{own} in {text}");
    }
    assert!(!text.contains("threads") && !text.contains("elsewhere"), "{text}");
}

/// What is awkward to a shell, to JSON and to a reader of numbers.
#[test]
fn the_command_of_a_record_makes_the_same_bytes() {
    let scratch = Scratch::new("provenance-command");
    let extension = if cfg!(feature = "ffmpeg") { "mp4" } else { "y4m" };
    let seed = u64::MAX.to_string();
    let awkward = ["-p", "it's \"hair\" flowing\n in $HOME `true` [pan left]", "--camera", "push in", "--seed", &seed];
    let shape = ["-H", "96", "--fit", "contain", "--background", "#102030", "--fps", "23.976", "--motion", "0.7"];
    let eyes = ["--eyes", "20.1,10,12,7.3", "--eyes", "60,10,12,8", "--watermark", "it's", "--quality", "60"];
    for (name, options) in [("plain", [].as_slice()), ("awkward", &awkward), ("shape", &shape), ("eyes", &eyes)] {
        let clip = format!("{name}.{extension}");
        generate(&scratch, &clip, options).expect_code(0);
        let commands = info(&scratch, &clip)["commands"].clone();
        let [Value::String(command)] = commands.as_array().unwrap().as_slice() else { panic!("{commands}") };
        let printed = stir(&scratch, &["info", &clip]).expect_code(0).stdout;
        assert!(printed.ends_with(&format!("make it again:\n  {command}\n")), "{printed}");
        paste(&scratch, command);
        let again = format!("{name}-again.{extension}");
        assert!(bytes(&scratch, &clip) == bytes(&scratch, &again), "{command}");
    }
}

#[cfg(unix)]
#[test]
fn the_command_names_a_model_by_its_last_part() {
    let scratch = Scratch::new("provenance-ltx");
    generate_ltx(&scratch, "clip.y4m", &[]).expect_code(0);
    let said = info(&scratch, "clip.y4m");
    let networks: Vec<&str> = said["record"]["model"]["weights"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|file| file["networks"].as_str())
        .collect();
    assert_eq!(networks, ["transformer", "vae", "text_encoder", "text_encoder", "text_encoder", "tokenizer"]);
    let command = said["commands"][0].as_str().unwrap();
    assert!(command.contains("--model tiny") && command.contains("--steps 2"), "{command}");
    paste(&scratch, command);
    assert!(bytes(&scratch, "clip.y4m") == bytes(&scratch, "clip-again.y4m"));
}

/// A decode that goes its own way takes two commands, and one without a run of stir its own.
#[cfg(unix)]
#[test]
fn decoded_latents_say_what_is_known_of_them() {
    let scratch = Scratch::new("provenance-decode");
    generate_ltx(&scratch, "run.y4m", &["--save-latents", "latents.safetensors"]).expect_code(0);
    stir(&scratch, &["decode", "latents.safetensors", "-o", "same.y4m"]).expect_code(0);
    let record = |clip: &str| info(&scratch, clip)["record"].clone();
    assert_eq!(record("same.y4m"), record("run.y4m"));

    // WebM's record is written before the frames.
    if cfg!(feature = "ffmpeg") {
        generate_ltx(&scratch, "run.webm", &[]).expect_code(0);
        stir(&scratch, &["decode", "latents.safetensors", "-o", "same.webm"]).expect_code(0);
        assert!(bytes(&scratch, "run.webm") == bytes(&scratch, "same.webm"), "{}", record("same.webm"));
    }

    let own = ["decode", "latents.safetensors", "-o", "own.y4m", "--fps", "12.5", "--decode-noise", "0.3"];
    stir(&scratch, &own).expect_code(0);
    let decoded = record("own.y4m");
    assert_eq!(decoded["decode"]["options"], json!({"decode_noise": "0.3", "fps": "12.5"}));
    assert_eq!(decoded["sha256"]["latents"], record("run.y4m")["sha256"]["latents"]);
    let commands = info(&scratch, "own.y4m")["commands"].clone();
    assert_eq!(commands.as_array().unwrap().len(), 2);
    commands.as_array().unwrap().iter().for_each(|command| paste(&scratch, command.as_str().unwrap()));
    assert!(bytes(&scratch, "own.y4m") == bytes(&scratch, "own-again.y4m"), "{commands}");
    let refused = stir(&scratch, &["verify", "own.y4m", "--image", "picture.png"]).expect_code(2);
    assert!(refused.stderr.contains("a clip of a single run"), "{}", refused.stderr);

    let tensors = candle_core::safetensors::load(scratch.path("latents.safetensors"), &candle_core::Device::Cpu);
    candle_core::safetensors::save(&tensors.unwrap(), scratch.path("foreign.safetensors")).unwrap();
    let foreign = ["decode", "foreign.safetensors", "-o", "foreign.y4m", "--model", "./tiny", "--fps", "25"];
    stir(&scratch, &foreign).expect_code(0);
    let said = info(&scratch, "foreign.y4m");
    assert_eq!(said["record"]["request"], Value::Null);
    assert_eq!(said["record"]["sha256"]["latents"], record("run.y4m")["sha256"]["latents"]);
    paste(&scratch, &said["commands"][0].as_str().unwrap().replace("--model tiny", "--model ./tiny"));
    assert!(bytes(&scratch, "foreign.y4m") == bytes(&scratch, "foreign-again.y4m"), "{said}");
}

/// The longest prompt has room; what has none is refused before anything is read.
#[test]
fn a_record_fits_or_is_refused_beforehand() {
    let scratch = Scratch::new("provenance-size");
    let long = "髪".repeat(1997) + "🙂🙂🙂";
    for clip in clips() {
        generate(&scratch, clip, &["-p", &long, "--steps", "66"]).expect_code(0);
        let record = &info(&scratch, clip)["record"];
        assert_eq!(record["request"]["prompt"], long.as_str(), "{clip}");
        assert!(record["resolved"]["passes"][0]["sigmas"].as_str().unwrap().starts_with("SHA-256 "));
    }
    let levels = (1..=1000).rev().map(|level| (f64::from(level) / 1000.0).to_string()).collect::<Vec<_>>().join(",");
    let run = ["generate", "-i", "missing.png", "-p", &"🙂".repeat(2000), "-o", "clip.y4m", "--sigmas", &levels];
    let outcome = stir(&scratch, &run).expect_code(2);
    assert!(outcome.stderr.contains("--no-metadata"), "{}", outcome.stderr);
    let outcome = stir(&scratch, &[&run[..], &["--no-metadata"]].concat()).expect_code(2);
    assert!(outcome.stderr.contains("missing.png"), "{}", outcome.stderr);
}

/// A text with what differs from machine to machine, and sums, in general terms.
pub fn general(text: &str) -> String {
    let is_sum = |word: &str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut lines = Vec::new();
    for line in text.lines() {
        let general = ["made by ", "on ", "build ", "device ", "encoder ", "written by "];
        if let Some(label) = general.iter().find(|label| line.starts_with(*label) && !line.contains("differs")) {
            lines.push(format!("{label}..."));
            continue;
        }
        let mut words: Vec<&str> = line.split(' ').map(|word| if is_sum(word) { "..." } else { word }).collect();
        for index in 1..words.len() {
            if words[index - 1] == "commit" {
                words[index] = "...";
            }
        }
        lines.push(words.join(" "));
    }
    lines.join("\n") + "\n"
}

#[test]
fn people_can_read_it() {
    let scratch = Scratch::new("provenance-text");
    generate(&scratch, "clip.y4m", &["-p", "hair flowing\n[push in]"]).expect_code(0);
    let printed = stir(&scratch, &["info", "clip.y4m"]).expect_code(0).stdout;
    // The instruction set is the machine's own, and so is what latents come to.
    insta::assert_snapshot!("info", general(&printed));
}

#[test]
fn what_carries_no_record_is_refused() {
    let scratch = Scratch::new("provenance-refusals");
    generate(&scratch, "clip.y4m", &[]).expect_code(0);
    generate(&scratch, "none.y4m", &["--no-metadata"]).expect_code(0);
    let text = std::fs::read_to_string(scratch.path("clip.y4m.json")).unwrap();
    let sidecar = |name: &str, text: &str| {
        std::fs::copy(scratch.path("none.y4m"), scratch.path(name)).unwrap();
        std::fs::write(scratch.path(&format!("{name}.json")), text).unwrap();
    };
    sidecar("other.y4m", "{\"workflow\": 1}");
    sidecar("cut.y4m", &text[..100]);
    sidecar("later.y4m", &text.replacen("\"record\":1", "\"record\":2", 1));
    sidecar("path.y4m", &text.replacen("\"picture.png\"", "\"../picture.png\"", 1));
    sidecar("option.y4m", &text.replacen("\"quality\"", "\"output\"", 1));
    sidecar("long.y4m", &"x".repeat(20_000));
    std::fs::create_dir(scratch.path("empty")).unwrap();
    std::fs::write(scratch.path("text.mp4"), "no video").unwrap();
    let mut refusals = String::new();
    let mut clips = vec![
        "missing.y4m",
        "none.y4m",
        "empty",
        "other.y4m",
        "cut.y4m",
        "later.y4m",
        "path.y4m",
        "option.y4m",
        "long.y4m",
    ];
    if cfg!(feature = "ffmpeg") {
        clips.extend(["text.mp4", "picture.png"]);
    }
    for clip in clips {
        let outcome = stir(&scratch, &["info", clip]).expect_code(2);
        assert_eq!(outcome.stdout, "", "{clip}");
        let verified = stir(&scratch, &["verify", clip, "-i", "picture.png"]).expect_code(2);
        assert_eq!(verified.stderr, outcome.stderr, "{clip}");
        refusals += &format!("$ stir info {clip}\n{}\n", outcome.stderr);
    }
    insta::assert_snapshot!("refusals-info", refusals);
}
