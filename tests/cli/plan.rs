//! `stir plan`: what it says of runs, that it refuses what they refuse, and how near its estimates come. No time is asserted.

use serde_json::{Value, json};

use crate::events::{events, kinds};
use crate::fixture::repository;
use crate::support::{Outcome, Scratch, command, run, stir};

/// Arguments for a clip by the tiny checkpoint, of a picture of 96x64.
fn arguments(scratch: &Scratch, action: &str, options: &[&str]) -> Vec<String> {
    let ltx = repository("tests/fixtures/ltx");
    let path = |path: &str| ltx.join(path).display().to_string();
    let (picture, model) = (path("runs/picture.png"), path("checkpoint"));
    let clip = scratch.path("clip.y4m").display().to_string();
    let mut arguments = vec![action, "-i", &picture, "--allow-any-image", "--model", &model, "-p", "her hair flows"];
    arguments.extend(["--device", "cpu", "--dtype", "f32", "--threads", "1", "-o", &clip]);
    arguments.extend(options);
    arguments.into_iter().map(str::to_owned).collect()
}

/// The plan in the event that `options` lead to; `data` is the user's folder for data.
fn plan(scratch: &Scratch, data: &str, options: &[&str]) -> Value {
    let mut command = command();
    command.args(arguments(scratch, "plan", options)).args(["--json", "-q"]).env("XDG_DATA_HOME", scratch.path(data));
    let outcome = run(&mut command).expect_code(0);
    assert_eq!(outcome.stderr, "");
    let events = events(&outcome.stdout);
    assert_eq!(kinds(&events), ["dry_run"]);
    events[0]["plan"].clone()
}

fn stage<'a>(plan: &'a Value, name: &str) -> &'a Value {
    plan["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == name).unwrap()
}

const SIZE: [&str; 8] = ["-W", "96", "-H", "48", "--num-frames", "10", "--steps", "3"];

#[test]
fn a_plan_says_what_a_run_does_and_takes() {
    let scratch = Scratch::new("plan");
    let options =
        ["--save-frames", &scratch.path("frames").display().to_string(), "--count", "2", "--guidance-scale", "3"];
    let outcome = stir(&arguments(&scratch, "plan", &[&SIZE[..], &options].concat())).expect_code(0);
    assert!(scratch.names().is_empty(), "a plan wrote something");
    // How much is free is different every time.
    let free = |line: &str| match line.split_once("; ") {
        Some((start, rest)) if rest.ends_with(" are free") => format!("{start}; N are free"),
        _ => line.to_owned(),
    };
    let stable: Vec<String> = outcome.stdout.lines().map(free).collect();
    let folder = format!("{}/", scratch.folder().display());
    let model = repository("").display().to_string();
    insta::assert_snapshot!("plan", stable.join("\n").replace(&folder, "").replace(&model, ""));
}

/// 17 frames of 96x64 are made: 3 latent frames of 3x2.
#[test]
fn a_plan_is_an_event_for_programs() {
    let scratch = Scratch::new("plan-json");
    let plan = plan(&scratch, "no-results", &SIZE);
    assert_eq!(plan["generated"], json!({"width": 96, "height": 64, "frames": 17, "fps": 25.0}));
    assert_eq!((&plan["passes"][0]["tokens"], &plan["passes"][0]["latents"][0]["shape"][2]), (&json!(18), &json!(3)));
    assert_eq!((&plan["passes"][0]["steps"], &plan["passes"][0]["predictions"]), (&json!(3), &json!(6)));
    for name in ["text", "encode", "denoise", "decode"] {
        assert!(stage(&plan, name)["teraflop"].as_f64().unwrap() > 0.0, "{plan}");
        assert!(stage(&plan, name)["memory"]["weights"].as_u64().unwrap() > 0, "{plan}");
    }
    assert_eq!((&plan["seconds"], &plan["time_source"]), (&Value::Null, &Value::Null));
    assert!(plan["bench_command"].as_str().unwrap().starts_with("stir bench --model "), "{plan}");
    let disk: Vec<&str> = plan["disk"].as_array().unwrap().iter().map(|part| part["what"].as_str().unwrap()).collect();
    assert_eq!(disk, ["clip", "latents"]);
    // A header, and for each frame a word and a byte and a half a pixel.
    let clip = plan["disk"][0]["bytes"].as_u64().unwrap();
    assert!((10 * 96 * 48 * 3 / 2..10 * 96 * 48 * 3 / 2 + 200).contains(&clip), "{clip}");
}

#[test]
fn a_dry_run_says_the_same_in_comments() {
    let scratch = Scratch::new("plan-dry-run");
    let lines = |outcome: Outcome| -> Vec<String> {
        let fixed = |line: &&str| !line.contains("are free") && !line.is_empty();
        outcome.stdout.lines().filter(fixed).map(str::to_owned).collect()
    };
    let planned = lines(stir(&arguments(&scratch, "plan", &SIZE)).expect_code(0));
    let dry_run =
        lines(stir(&[arguments(&scratch, "generate", &SIZE), vec!["--dry-run".to_owned()]].concat()).expect_code(0));
    let comments: Vec<&str> = dry_run.iter().filter_map(|line| line.strip_prefix("#   ")).collect();
    assert!(planned.len() > 10);
    assert_eq!(comments, planned);
}

/// Where a run has ended after a benchmark of its kind, its time is known; where sizes have nothing to do with each other, it is not.
#[test]
fn times_come_from_results_on_this_machine() {
    let scratch = Scratch::new("plan-times");
    let model = repository("tests/fixtures/ltx/checkpoint").display().to_string();
    let mut bench = command();
    bench.args(["bench", "--model", &model, "--device", "cpu", "--dtype", "f32", "--threads", "1", "--repeats", "1"]);
    bench.args(SIZE).env("XDG_DATA_HOME", scratch.path("data"));
    let outcome = run(&mut bench).expect_code(0);
    assert!(outcome.stderr.contains("kept for `stir plan` in "), "{}", outcome.stderr);
    let kept: Vec<_> = std::fs::read_dir(scratch.path("data/stir/bench")).unwrap().collect();
    assert_eq!(kept.len(), 1);

    let same = plan(&scratch, "data", &SIZE);
    let seconds = |plan: &Value, name: &str| stage(plan, name)["seconds"].as_f64().unwrap();
    let total: f64 =
        ["load", "text", "encode", "denoise", "decode", "mux"].iter().map(|name| seconds(&same, name)).sum();
    assert!(total > 0.0 && (same["seconds"].as_f64().unwrap() / total - 1.0).abs() < 1e-9, "{same}");
    assert_eq!(same["time_source"]["model"], model);
    let more = plan(&scratch, "data", &[&SIZE[..], &["--steps", "6", "--count", "2"]].concat());
    let ratio = seconds(&more, "denoise") / seconds(&same, "denoise");
    assert!((ratio - 4.0).abs() < 1e-6, "{ratio}");
    assert_eq!(seconds(&more, "load"), seconds(&same, "load"));

    let larger = plan(&scratch, "data", &["-W", "192", "-H", "96", "--num-frames", "10", "--steps", "3"]);
    // Of the picture's aspect, three times the tokens.
    assert!(seconds(&larger, "denoise") > 2.9 * seconds(&same, "denoise"), "{larger}");
    let much_larger = plan(&scratch, "data", &["-W", "480", "-H", "480", "--num-frames", "10", "--steps", "3"]);
    assert_eq!((&much_larger["seconds"], &much_larger["time_source"]), (&Value::Null, &Value::Null));
    let other_type = plan(&scratch, "data", &[&SIZE[..], &["--dtype", "bf16"]].concat());
    assert_eq!(other_type["seconds"], Value::Null);
}

#[test]
fn a_plan_refuses_what_a_run_refuses() {
    let scratch = Scratch::new("plan-refusals");
    for options in [
        &["--steps", "0"][..],
        &["-W", "33"],
        &["--eyes", "1,1,5,5"],
        &["--noise", "missing.safetensors"],
        &["--sigmas", "1,0.5", "--steps", "2"],
        &["-o", "/no/such/folder/clip.y4m"],
        &["--model", "/no/such/model"],
        &["-p", "x"],
    ] {
        let [planned, made] = ["plan", "generate"].map(|action| stir(&arguments(&scratch, action, options)));
        assert_eq!((planned.code, made.code), (Some(2), Some(2)), "{options:?}: {}", planned.stderr);
        assert_eq!(planned.stdout, "");
        // A run says that it begins to check.
        assert_eq!(planned.stderr, made.stderr.trim_start_matches("prepare\n"));
    }
}

/// A block of five, or of however many, at a time; the CPU's memory is no other place for the CPU.
#[test]
fn a_plan_says_where_the_denoiser_waits() {
    let scratch = Scratch::new("plan-offload");
    let of = |offload: &str| plan(&scratch, "no-results", &[&SIZE[..], &["--offload", offload]].concat());
    let [none, cpu, disk] = ["none", "cpu", "disk"].map(of);
    let weights = |plan: &Value| stage(plan, "denoise")["memory"]["weights"].as_u64().unwrap();
    assert_eq!([&none, &cpu, &disk].map(|plan| &plan["memory"]["offload"]), ["none", "none", "disk"]);
    assert_eq!(weights(&none), weights(&cpu));
    assert!(weights(&disk) < weights(&none), "{disk}");
    assert_eq!(none["memory"]["offload_note"], Value::Null);
    let note = |plan: &Value| plan["memory"]["offload_note"].as_str().unwrap().to_owned();
    assert!(note(&cpu).contains("changes nothing on the CPU") && note(&disk).contains("--offload is disk"), "{disk}");
    assert_eq!(none["memory"]["tiles"], Value::Null);
    let wide = ["-W", "704", "-H", "64", "--num-frames", "9", "--vae-tiling", "on"];
    let tiles = plan(&scratch, "no-results", &wide)["memory"]["tiles"].clone();
    assert_eq!(tiles, "tiles of 640 pixels: --vae-tiling is on");
}

/// Ten minutes at the largest size: more than most machines have.
#[test]
fn what_will_not_fit_is_warned_of() {
    let scratch = Scratch::new("plan-warnings");
    let options = ["-W", "4096", "-H", "4096", "--num-frames", "15000", "--vae-tiling", "off"];
    let clip = scratch.path("clip.mp4").display().to_string();
    let plan = plan(&scratch, "no-results", &[&options[..], &["-o", &clip]].concat());
    let memory = &plan["memory"];
    let warnings = plan["warnings"].as_array().unwrap();
    let warned = warnings.iter().any(|warning| warning.as_str().unwrap().contains("of memory are needed"));
    let available = memory["available_bytes"].as_u64();
    assert_eq!(warned, available.is_some_and(|available| available < memory["peak_bytes"].as_u64().unwrap()), "{plan}");
}

/// What a run of the tiny checkpoint really takes, at sizes where frames count more than the program itself.
#[test]
#[cfg(target_os = "linux")]
fn memory_is_near_what_is_measured() {
    let scratch = Scratch::new("plan-memory");
    /// The program, its libraries and threads.
    const PROGRAM: f64 = 40e6;
    for size in [["-W", "960", "-H", "640", "--num-frames", "17"], ["-W", "320", "-H", "320", "--num-frames", "49"]] {
        let options = [&size[..], &["--steps", "1", "--guidance-scale", "1"]].concat();
        let planned = plan(&scratch, "no-results", &options)["memory"]["peak_bytes"].as_f64().unwrap() + PROGRAM;
        let made =
            stir(&[arguments(&scratch, "generate", &options), vec!["--json".to_owned()]].concat()).expect_code(0);
        let measured = events(&made.stdout).last().unwrap()["peak_memory_bytes"].as_f64().unwrap();
        let ratio = measured / planned;
        assert!((0.5..1.5).contains(&ratio), "{size:?}: planned {planned}, measured {measured}, ratio {ratio}");
    }
}
