//! `stir bench`: the shape of its results on the smallest runs, and comparisons of results. No time is asserted.

use serde_json::Value;

use crate::fixture::repository;
use crate::support::{Scratch, stir};

const STAGES: [&str; 6] = ["load", "text", "encode", "step", "decode", "mux"];

/// Runs a benchmark and gives its result from the file and its table.
fn bench(scratch: &Scratch, options: &[&str]) -> (Value, String) {
    let file = scratch.path("result.json").display().to_string();
    let outcome = stir(&[&["bench", "--json", &file, "--device", "cpu", "--no-save"], options].concat()).expect_code(0);
    let result = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    (result, outcome.stdout)
}

/// Checks what every result has.
fn check(result: &Value, table: &str, counts: [u64; 6]) {
    assert_eq!(result["version"], 1);
    assert_eq!(result["stir"], env!("CARGO_PKG_VERSION"));
    let date = result["date"].as_str().unwrap();
    assert!(date.len() == 20 && date.starts_with("20") && date.ends_with('Z'), "{date}");
    assert_eq!(result["command"][0], "stir");
    assert_eq!(result["command"][1], "bench");
    assert!(result["machine"]["cores"].as_u64().unwrap() >= 1);
    assert!(!result["machine"]["system"].as_str().unwrap().is_empty());
    assert!(result["peak_teraflops"].as_f64().unwrap() > 0.0);
    if cfg!(target_os = "linux") {
        assert!(result["peak_memory_bytes"].as_u64().unwrap() > 1_000_000);
        assert!(result["machine"]["memory_bytes"].as_u64().unwrap() > 1_000_000);
    }
    let stages = result["stages"].as_array().unwrap();
    assert_eq!(stages.iter().map(|stage| stage["name"].as_str().unwrap()).collect::<Vec<_>>(), STAGES);
    for (stage, count) in stages.iter().zip(counts) {
        let seconds = &stage["seconds"];
        assert_eq!(seconds["count"], count, "{stage}");
        let [least, middle, most] = ["minimum", "median", "maximum"].map(|name| seconds[name].as_f64().unwrap());
        assert!(0.0 < least && least <= middle && middle <= most, "{stage}");
        let name = stage["name"].as_str().unwrap();
        assert!(table.lines().any(|line| line.starts_with(&format!("{name} "))), "{table}");
    }
}

#[test]
fn the_model_that_ships_with_stir() {
    let scratch = Scratch::new("bench-sway");
    let options = ["-W", "64", "-H", "64", "--num-frames", "5", "--steps", "2", "--repeats", "2", "--threads", "1"];
    let (result, table) = bench(&scratch, &options);
    check(&result, &table, [2, 2, 2, 4, 2, 2]);
    let run = &result["run"];
    assert_eq!((&run["model"], &run["family"]), (&Value::from("sway"), &Value::from("sway")));
    assert_eq!((&run["steps"], &run["repeats"], &run["threads"]), (&2.into(), &2.into(), &1.into()));
    assert_eq!((&run["clip"]["width"], &run["clip"]["frames"]), (&64.into(), &5.into()));
    assert_eq!((&run["tokens"], &run["text_tokens"], &run["offload"]), (&925.into(), &Value::Null, &"none".into()));
    assert_eq!(scratch.names(), ["result.json"]);
}

/// Tiny, and a model that says how much it computes. It was made for other numbers of steps.
#[test]
fn a_checkpoint() {
    let scratch = Scratch::new("bench-ltx");
    let model = repository("tests/fixtures/ltx/checkpoint").display().to_string();
    let size = ["-W", "96", "-H", "48", "--num-frames", "10", "--steps", "3", "--repeats", "1"];
    let (result, table) =
        bench(&scratch, &[&["--model", &model, "--dtype", "f32", "--offload", "disk"], &size[..]].concat());
    check(&result, &table, [1, 1, 1, 3, 1, 1]);
    let run = &result["run"];
    assert_eq!((&run["family"], &run["device"], &run["dtype"]), (&"ltx".into(), &"cpu".into(), &"f32".into()));
    assert_eq!(run["offload"], "disk");
    // 17 frames of 96x64 are made: 3 latent frames of 3x2.
    assert_eq!(
        (&run["generated"]["height"], &run["generated"]["frames"], &run["tokens"]),
        (&64.into(), &17.into(), &18.into())
    );
    assert!(table.contains("96x48, 10 frames at 25 fps, cut out of 96x64, 17 frames; 18 tokens"), "{table}");
    for name in ["text", "encode", "step", "decode"] {
        let stage = result["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == name).unwrap();
        let [work, rate, share] = ["teraflop", "teraflops", "share_of_peak"].map(|name| stage[name].as_f64().unwrap());
        assert!(work > 0.0 && rate > 0.0 && share > 0.0, "{stage}");
        let expected = rate / result["peak_teraflops"].as_f64().unwrap();
        assert!((share / expected - 1.0).abs() < 1e-9, "{stage}");
    }
}

/// A result with these numbers in it.
fn result(processor: &str, threads: u64, scale: f64) -> Value {
    let stage = |name: &str, seconds: f64, work: Option<f64>| {
        let rate = work.map(|work| work / (seconds * scale));
        serde_json::json!({
            "name": name,
            "seconds": {"count": 3, "minimum": 0.9 * seconds * scale, "median": seconds * scale, "maximum": 2.0 * seconds * scale},
            "teraflop": work, "teraflops": rate, "share_of_peak": rate.map(|rate| rate / 0.25),
        })
    };
    let shape = |frames: u64| serde_json::json!({"width": 704, "height": 480, "frames": frames, "fps": 25.0});
    serde_json::json!({
        "version": 1, "stir": "0.1.0", "date": "2026-11-21T15:00:00Z",
        "command": ["stir", "bench", "--model", "synthetic:ltx-2b", "--threads", threads.to_string()],
        "machine": {"processor": processor, "cores": 2, "memory_bytes": 25_000_000_000u64, "system": "Some Linux"},
        "run": {
            "model": "synthetic:ltx-2b", "family": "ltx", "device": "cpu", "dtype": "bf16", "threads": threads,
            "clip": shape(150), "generated": shape(153), "steps": 8, "repeats": 3, "tokens": 6600, "text_tokens": 128,
        },
        "peak_teraflops": 0.25,
        "stages": [
            stage("load", 4.0, None), stage("text", 12.0, Some(1.2)), stage("encode", 3.0, Some(1.98)),
            stage("step", 200.0, Some(32.1)), stage("decode", 1500.0, Some(65.2)), stage("mux", 0.8, None),
        ],
        "peak_memory_bytes": 9_000_000_000u64,
        "notes": [],
    })
}

/// What `stir bench compare` says of two files with this content.
fn compared(scratch: &Scratch, first: &Value, second: &Value) -> String {
    let files = [("a.json", first), ("b.json", second)].map(|(name, result)| {
        std::fs::write(scratch.path(name), result.to_string()).unwrap();
        scratch.path(name)
    });
    stir(&["bench".as_ref(), "compare".as_ref(), files[0].as_os_str(), files[1].as_os_str()]).expect_code(0).stdout
}

#[test]
fn comparisons_name_what_was_not_the_same() {
    let scratch = Scratch::new("bench-compare");
    let first = result("Some CPU", 1, 1.0);
    let mut second = result("Another CPU", 2, 0.5);
    // A stage that one of them lacks.
    second["stages"].as_array_mut().unwrap().pop();
    let same = compared(&scratch, &first, &first);
    let other = compared(&scratch, &first, &second);
    insta::assert_snapshot!("bench-compare", format!("{same}\n-----\n\n{other}"));
}

#[test]
fn what_cannot_be_measured_or_compared_is_refused() {
    let scratch = Scratch::new("bench-refusals");
    let write = |name: &str, text: &str| {
        std::fs::write(scratch.path(name), text).unwrap();
        scratch.path(name).display().to_string()
    };
    let mut later = result("Some CPU", 1, 1.0);
    later["version"] = 2.into();
    let good = write("good.json", &result("Some CPU", 1, 1.0).to_string());
    let (later, text) = (write("later.json", &later.to_string()), write("text.json", "{}"));
    let missing = scratch.path("missing.json").display().to_string();
    let nowhere = scratch.path("missing/result.json").display().to_string();
    let cases: &[&[&str]] = &[
        &["--repeats", "0"],
        &["--repeats", "many"],
        &["--steps", "0"],
        &["--num-frames", "5", "--duration", "2"],
        &["--resolution", "480p", "-W", "64"],
        &["-W", "65"],
        &["--model", "unknown"],
        &["--model", "synthetic:ltx-1b"],
        &["--model", "synthetic:ltx-2b", "--vae", "vae"],
        &["--dtype", "f64"],
        &["--threads", "0"],
        &["--device", "gpu"],
        &["--json", ""],
        &["--json", &nowhere],
        &["compare", &good, &missing],
        &["compare", &good, &text],
        &["compare", &later, &good],
        &["ops", "gem"],
        &["ops", "--repeats", "0"],
        &["ops", "--device", "gpu"],
        &["ops", "--json", &nowhere],
    ];
    let before = scratch.names();
    let mut refusals = String::new();
    for options in cases {
        let outcome = stir(&[&["bench"], *options].concat()).expect_code(2);
        assert_eq!(outcome.stdout, "", "{options:?}");
        refusals += &format!("$ stir bench {}\n{}\n", options.join(" "), outcome.stderr);
    }
    assert_eq!(scratch.names(), before);
    let folder = format!("{}/", scratch.folder().display());
    insta::assert_snapshot!("refusals-bench", refusals.replace(&folder, ""));
}

#[test]
fn an_operation_alone() {
    let scratch = Scratch::new("bench-ops");
    let file = scratch.path("warp.json").display().to_string();
    let outcome = stir(&["bench", "ops", "warp", "--repeats", "2", "--json", &file]).expect_code(0);
    assert_eq!(outcome.stdout.lines().count(), 2, "{}", outcome.stdout);
    let result: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(
        result["command"],
        serde_json::json!(["stir", "bench", "ops", "warp", "--repeats", "2", "--json", file])
    );
    assert!(result["machine"]["cores"].as_u64().unwrap() >= 1);
    let unknown = stir(&["bench", "ops", "--kernels", "sse"]).expect_code(2).stderr;
    assert!(unknown.contains("or portable, found \"sse\""), "{unknown}");
    let measured = &result["operations"][0];
    let number = |name: &str| measured[name].as_f64().unwrap();
    assert_eq!((&measured["name"], &measured["unit"]), (&Value::from("warp"), &Value::from("FLOP")));
    assert!((number("amount") - 2.0 * 16.0 * 4.0 * 1280.0 * 720.0 / 1e9).abs() < 1e-9);
    assert!((number("rate") / (number("amount") / measured["seconds"]["median"].as_f64().unwrap()) - 1.0).abs() < 1e-9);
    assert!((0.0..1.0).contains(&number("share")) && number("limit") > 0.0, "{measured}");
}
