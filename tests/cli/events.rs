//! `--json`: every line of every kind of run is what the schema describes.

use serde_json::{Value, json};

use crate::support::{Scratch, command, run, stir};
use crate::{schema, small_run};

/// The schema, as the program prints it.
fn printed_schema() -> Value {
    serde_json::from_str(&stir(&["schema", "events"]).expect_code(0).stdout).unwrap()
}

/// The events of a run, each checked against the schema.
pub fn events(stdout: &str) -> Vec<Value> {
    let described = printed_schema();
    assert!(stdout.ends_with('\n'), "the last line does not end");
    let event = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        schema::check(&described, &described, &event, "event").unwrap_or_else(|problem| panic!("{problem}\nin {line}"));
        event
    };
    stdout.lines().map(event).collect()
}

/// The names of events, without repetitions.
pub fn kinds(events: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    kinds.dedup();
    kinds
}

#[test]
fn a_run_is_told_from_its_start_to_its_results() {
    let scratch = Scratch::new("json");
    let outcome = stir(&small_run(&scratch, "clip.y4m", &["--json", "-q", "--count", "2"])).expect_code(0);
    assert_eq!(outcome.stderr, "");
    let events = events(&outcome.stdout);
    assert_eq!(events[0]["event"], "start");
    assert_eq!(events[0]["request"]["prompt"], "hair flowing");
    assert_eq!(kinds(&events)[kinds(&events).len() - 2..], ["step", "result"]);
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
    assert_eq!(of("clip").iter().map(|clip| clip["seed"].as_u64().unwrap()).collect::<Vec<_>>(), [42, 43]);
    let stages: Vec<&str> = of("stage").iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["prepare", "text", "encode", "denoise", "decode", "denoise", "decode"]);
    assert_eq!(of("step").len(), 2 * (2 + 5), "a step for each of 2 denoising steps and 5 frames");
    assert!(of("message").iter().any(|message| message["message"].as_str().unwrap().contains("hair flowing")));
    for (result, seed) in of("result").iter().zip([42, 43]) {
        let file = scratch.path(&format!("clip-{seed}.y4m"));
        assert_eq!(result["path"], file.to_str().unwrap());
        assert_eq!(result["bytes"], std::fs::metadata(&file).unwrap().len());
        assert_eq!((&result["seed"], &result["frames"], &result["width"]), (&json!(seed), &json!(5), &json!(64)));
    }
    let seconds: Vec<f64> = events.iter().map(|event| event["seconds"].as_f64().unwrap()).collect();
    assert!(seconds.is_sorted(), "time runs backwards: {seconds:?}");
}

#[test]
fn previews_are_told_before_the_result() {
    let scratch = Scratch::new("json-preview");
    let preview = scratch.path("look.gif");
    let arguments = small_run(&scratch, "clip.y4m", &["--json", "-q", "--preview", preview.to_str().unwrap()]);
    let events = events(&stir(&arguments).expect_code(0).stdout);
    assert!(kinds(&events).iter().filter(|kind| **kind == "preview").count() > 0);
    assert_eq!(kinds(&events).last(), Some(&"result"));
    assert!(
        events
            .iter()
            .filter(|event| event["event"] == "preview")
            .all(|event| event["path"] == preview.to_str().unwrap())
    );
    assert!(std::fs::read(&preview).unwrap().starts_with(b"GIF8"));
}

#[test]
fn a_run_that_saves_its_state_is_described_too() {
    let scratch = Scratch::new("json-state");
    let state = scratch.path("state");
    let saving = ["--json", "-q", "--save-state", state.to_str().unwrap(), "--save-state-every", "3"];
    let events = events(&stir(&small_run(&scratch, "clip.y4m", &saving)).expect_code(0).stdout);
    assert_eq!(events[0]["request"]["save_state_every"], 3);
}

#[test]
fn talk_stays_on_stderr_and_without_colours() {
    let scratch = Scratch::new("json-talk");
    let arguments = small_run(&scratch, "clip.y4m", &["--json"]);
    let outcome = run(command().args(arguments).env("CLICOLOR_FORCE", "1")).expect_code(0);
    events(&outcome.stdout);
    assert!(outcome.stderr.contains("understood: hair flowing"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains('\u{1b}'), "{:?}", outcome.stderr);
}

#[test]
fn a_dry_run_is_one_event() {
    let scratch = Scratch::new("json-dry-run");
    let outcome = stir(&small_run(&scratch, "clip.y4m", &["--json", "-q", "--dry-run"])).expect_code(0);
    let events = events(&outcome.stdout);
    assert_eq!(kinds(&events), ["dry_run"]);
    assert_eq!(events[0]["clip"], json!({"width": 64, "height": 42, "frames": 5, "fps": 25.0, "duration": 0.2}));
}

#[test]
fn errors_are_events_too() {
    let scratch = Scratch::new("json-errors");
    for (options, thing, exit_code) in [
        (["--steps", "0"], "--steps", 2),
        (["--stteps", "3"], "the command line", 2),
        (["--noise", "missing.safetensors"], "--noise missing.safetensors", 2),
        (["--config", "missing.toml"], "--config missing.toml", 2),
    ] {
        let outcome = stir(&small_run(&scratch, "clip.y4m", &[&options[..], &["--json"]].concat())).expect_code(2);
        let events = events(&outcome.stdout);
        let error = events.last().unwrap();
        assert_eq!((&error["event"], &error["thing"]), (&json!("error"), &json!(thing)), "{options:?}");
        assert_eq!(error["exit_code"], exit_code);
        assert!(outcome.stderr.contains("error: "), "{}", outcome.stderr);
    }
}

/// A colour profile that is none: the library that reads it warns, on the same way as everything else.
#[test]
fn warnings_of_libraries_are_messages() {
    use image::ImageEncoder;

    let scratch = Scratch::new("json-warnings");
    let arguments = small_run(&scratch, "clip.y4m", &["--json", "-q"]);
    let file = std::fs::File::create(scratch.path("picture.png")).unwrap();
    let mut encoder = image::codecs::png::PngEncoder::new(file);
    encoder.set_icc_profile(b"no profile".to_vec()).unwrap();
    encoder.write_image(&[120; 96 * 64 * 3], 96, 64, image::ExtendedColorType::Rgb8).unwrap();
    let outcome = stir(&arguments).expect_code(0);
    assert_eq!(outcome.stderr, "");
    let about_profile =
        |event: &Value| event["event"] == "message" && event["message"].as_str().unwrap().contains("profile");
    assert!(events(&outcome.stdout).iter().any(about_profile), "{}", outcome.stdout);
}

/// The check itself can fail: every change to a good event is found.
#[test]
fn the_schema_refuses_what_it_does_not_describe() {
    let described = printed_schema();
    let problem = |event: Value| schema::check(&described, &described, &event, "event").err();
    let good = json!({"version": 1, "seconds": 0.5, "event": "step", "stage": "decode", "step": 1, "total": 5});
    assert_eq!(problem(good.clone()), None);
    let changed = |name: &str, value: Value| {
        let mut event = good.clone();
        event[name] = value;
        problem(event)
    };
    for (name, value) in [
        ("version", json!(2)),
        ("seconds", json!(-1)),
        ("event", json!("steps")),
        ("stage", json!("dream")),
        ("step", json!("1")),
        ("total", json!(0)),
        ("further", json!(1)),
    ] {
        assert!(changed(name, value.clone()).is_some(), "{name} = {value} passed");
    }
    for name in ["version", "seconds", "event", "stage", "step", "total"] {
        let mut event = good.clone();
        event.as_object_mut().unwrap().remove(name);
        assert!(problem(event).is_some(), "an event without {name} passed");
    }
}
