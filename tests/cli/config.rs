//! `--config` and `--dry-run`: each reads what the other prints.

use crate::small_run;
use crate::support::{Scratch, command, run, stir, without_comments};

/// Writes `text` as a configuration and checks it by a dry run in the test's folder.
fn dry_run(scratch: &Scratch, text: &str, options: &[&str]) -> crate::support::Outcome {
    scratch.picture("picture.png", 96, 64);
    std::fs::write(scratch.path("settings.toml"), text).unwrap();
    let arguments = ["generate", "--config", "settings.toml", "--dry-run"];
    run(command().current_dir(scratch.folder()).args(arguments).args(options))
}

const GOOD: &str =
    "image = \"picture.png\"\nprompt = \"hair flowing [push in]\"\noutput = \"clip.y4m\"\nallow-any-image = true\n";

#[test]
fn a_dry_run_prints_settings_that_give_the_same_settings() {
    let scratch = Scratch::new("dry-run");
    let picture = scratch.picture("picture.png", 96, 64);
    let output = scratch.path("clip.y4m");
    let mut command = command();
    command.current_dir(scratch.folder()).args(["generate", "--dry-run", "-p", "hair \"flowing\" [push in]", "-i"]);
    command.arg(&picture).arg("-o").arg(&output).args(["--camera", "tilt up", "--motion", "high", "--fit", "stretch"]);
    command.args(["-W", "64", "-H", "64", "--background", "#102030", "--duration", "0.5", "--fps", "12.5", "--seed"]);
    command.args([
        "18446744073709551615",
        "--count",
        "2",
        "--steps",
        "3",
        "--guidance-scale",
        "1.25",
        "--device",
        "cpu",
    ]);
    command.args(["--eyes", "17,1.5,4,4", "--eyes", "20,1,4,4", "--quality", "60", "--save-frames", "frames"]);
    command.args(["--save-latents", "latents.safetensors", "--allow-any-image", "--watermark", "stir"]);
    let printed = run(&mut command).expect_code(0).stdout;
    assert!(printed.contains("\n# makes 64x64, 6 frames, 0.480 s\n#   model     sway (sway) on cpu, f32"), "{printed}");
    assert_eq!(scratch.names(), ["picture.png"], "a dry run wrote something");

    let again = dry_run(&scratch, &printed, &[]).expect_code(0);
    let printed = without_comments(&printed);
    assert_eq!(without_comments(&again.stdout), printed);
    insta::assert_snapshot!("dry-run", printed.replace(&format!("{}/", scratch.folder().display()), ""));
}

#[test]
fn a_random_seed_is_resolved() {
    let scratch = Scratch::new("random");
    let seed = || {
        let printed = stir(&small_run(&scratch, "clip.y4m", &["--seed", "random", "--dry-run"])).expect_code(0).stdout;
        let seed = printed.lines().find_map(|line| line.strip_prefix("seed = ")).expect("a seed");
        seed.trim_matches('"').parse::<u64>().unwrap_or_else(|error| panic!("{seed}: {error}"))
    };
    assert_ne!(seed(), seed(), "the same number is drawn twice");
}

#[test]
fn a_prompt_of_camera_commands_alone_is_read_again() {
    let scratch = Scratch::new("camera-alone");
    let printed = dry_run(&scratch, &GOOD.replace("hair flowing ", ""), &[]).expect_code(0).stdout;
    assert!(printed.contains("prompt = \"[push in]\""), "{printed}");
    let again = dry_run(&scratch, &printed, &[]).expect_code(0).stdout;
    assert_eq!(without_comments(&again), without_comments(&printed));
}

#[test]
fn options_come_before_the_file() {
    let scratch = Scratch::new("override");
    let text = format!("{GOOD}resolution = \"480p\"\nduration = 2\nsteps = 3\nquiet = true\nformat = \"y4m\"\n");
    let lines = |options: &[&str]| dry_run(&scratch, &text, options).expect_code(0).stdout;
    let printed = lines(&[]);
    assert!(printed.contains("resolution = \"480p\"") && printed.contains("duration = 2.0"), "{printed}");
    let printed = lines(&["-W", "64", "--num-frames", "5", "--steps", "4", "-v", "-o", "frames/"]);
    for line in ["width = 64", "num_frames = 5", "steps = 4", "output = \"frames/\"", "format = \"png\""] {
        assert!(printed.lines().any(|printed| printed == line), "{line} is not in\n{printed}");
    }
    assert!(!printed.contains("resolution") && !printed.contains("duration"), "{printed}");
}

#[test]
fn a_run_can_come_from_a_file_alone() {
    let scratch = Scratch::new("file-alone");
    scratch.picture("picture.png", 96, 64);
    let text = format!("{GOOD}width = 64\nnum_frames = 5\nsteps = 2\nquiet = true\n");
    std::fs::write(scratch.path("settings.toml"), text).unwrap();
    let arguments = ["generate", "--config", "settings.toml"];
    let outcome = run(command().current_dir(scratch.folder()).args(arguments)).expect_code(0);
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("clip.y4m\n", ""));
    assert_eq!(scratch.names(), ["clip.y4m", "clip.y4m.json", "picture.png", "settings.toml"]);
}

/// Whatever is wrong, the message names the file and, where it is about one, the line and the key.
#[test]
fn refusals_name_the_file_and_the_line() {
    let scratch = Scratch::new("config-refusals");
    let mut refusals = String::new();
    for text in [
        "steppes = 3",
        "prompt = hair flowing",
        "prompt = \"hair flowing",
        "steps = [3]",
        "steps = 0",
        "guidance_scale = nan",
        "fps = -1.5",
        "quiet = \"yes\"",
        "verbose = true\nquiet = true",
        "num_frames = 5\nduration = 2",
        "num_frames = 5\nnum-frames = 6",
        "config = \"more.toml\"",
        "background = \"pink\"",
        "noise = \"missing.safetensors\"",
        "[sampling]\nsteps = 3",
        "\"\\u001b[31m\" = 3",
    ] {
        let outcome = dry_run(&scratch, &format!("{GOOD}{text}\n"), &[]).expect_code(2);
        assert_eq!(outcome.stdout, "", "{text}");
        refusals += &format!("{text}\n{}\n", outcome.stderr);
    }
    let outcome = dry_run(&scratch, "steps = 3", &[]).expect_code(2);
    refusals += &format!("only steps = 3\n{}\n", outcome.stderr);
    insta::assert_snapshot!("refusals-config", refusals);
}

#[test]
fn files_that_cannot_be_read() {
    let scratch = Scratch::new("config-files");
    std::fs::write(scratch.path("bytes.toml"), b"prompt = \"\xff\"").unwrap();
    std::fs::write(scratch.path("large.toml"), vec![b'#'; (1 << 20) + 1]).unwrap();
    std::fs::create_dir(scratch.path("folder.toml")).unwrap();
    for (name, found) in [
        ("missing.toml", "found no such file"),
        ("bytes.toml", "not UTF-8"),
        ("large.toml", "found more than 1 MiB"),
        ("folder.toml", "found a folder"),
    ] {
        let outcome = run(command().current_dir(scratch.folder()).args(["generate", "--config", name])).expect_code(2);
        assert!(outcome.stderr.contains(found), "{name}: {}", outcome.stderr);
        assert!(
            outcome.stderr.contains(&format!("--config {name}: wanted a readable TOML file")),
            "{}",
            outcome.stderr
        );
    }
}
