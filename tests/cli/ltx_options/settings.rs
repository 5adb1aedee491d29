//! What a run says of itself: settings that make the same clip again, and events.

use serde_json::json;

use super::{Runs, fixtures};
use crate::events::{events, kinds};
use crate::support::{stir, without_comments};

/// What a dry run prints makes the clip that the options make, alone.
#[track_caller]
fn check_again(runs: &Runs, options: &[&str]) {
    let clip = runs.path("clip.y4m");
    let arguments = runs.arguments("clip.y4m", options);
    stir(&arguments).expect_code(0);
    let made = std::fs::read(&clip).unwrap();
    std::fs::remove_file(&clip).unwrap();
    let printed = stir(&[arguments, vec!["--dry-run".to_owned()]].concat()).expect_code(0).stdout;
    assert!(!runs.scratch.path("clip.y4m").exists(), "a dry run made a clip");
    let settings = runs.scratch.path("settings.toml");
    std::fs::write(&settings, &printed).unwrap();
    stir(&["generate", "--config", settings.to_str().unwrap()]).expect_code(0);
    assert!(std::fs::read(&clip).unwrap() == made, "{options:?} gives another clip by\n{printed}");
    let again = stir(&["generate", "--dry-run", "--config", settings.to_str().unwrap()]).expect_code(0).stdout;
    assert_eq!(without_comments(&again), without_comments(&printed));
}

#[test]
fn a_dry_run_prints_settings_that_make_the_same_clip() {
    let runs = Runs::new("config");
    let upsampler = fixtures("upsampler");
    check_again(&runs, &[]);
    check_again(&runs, &["--variant", "distilled", "--motion", "high", "--camera", "push in, tilt up"]);
    check_again(&runs, &["--steps", "3", "--flow-shift", "2.5", "--guidance-scale", "1"]);
    let levels = ["--sigmas", "1,0.625,0.3", "-n", "blurry", "--guidance-rescale", "0.5", "--stg-scale", "1.5"];
    let held = ["--strength", "0.9", "--image-noise", "0.125", "--decode-timestep", "0.1", "--decode-noise", "0.05"];
    let model = ["--dtype", "bf16", "--variant", "dev", "--vae-tiling", "off", "--seed", "9", "--offload", "disk"];
    check_again(&runs, &[&levels[..], &held, &model].concat());
    if cfg!(feature = "ffmpeg") {
        check_again(&runs, &["--degrade", "official"]);
    }
    check_again(&runs, &["--two-pass", "--latent-upsampler", &upsampler, "-W", "128"]);
    check_again(&runs, &["--two-pass", "--latent-upsampler", &upsampler, "-W", "128", "--variant", "distilled"]);
}

#[test]
fn a_run_is_told_in_events_that_the_schema_describes() {
    let runs = Runs::new("events");
    let upsampler = fixtures("upsampler");
    let preview = format!("--preview={}", runs.path("look.webp"));
    let options = ["--two-pass", "--latent-upsampler", &upsampler, "--sigmas", "1,0.5", &preview, "--json", "-q"];
    let outcome = stir(&runs.arguments("clip.y4m", &options)).expect_code(0);
    assert_eq!(outcome.stderr, "");
    let events = events(&outcome.stdout);
    assert_eq!(kinds(&events).first(), Some(&"start"));
    assert_eq!(kinds(&events).last(), Some(&"result"));
    assert_eq!(events[0]["request"]["sigmas"], "1,0.5");
    assert_eq!(events[0]["request"]["two_pass"], true);
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
    let stages: Vec<&str> = of("stage").iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["prepare", "text", "encode", "denoise", "decode"]);
    assert_eq!(of("preview").len(), 2);
    let steps = |stage: &str| of("step").into_iter().filter(|step| step["stage"] == stage).collect::<Vec<_>>();
    let (denoising, decoding) = (steps("denoise"), steps("decode"));
    // The first pass has the two levels that are listed, the second its own.
    let done: Vec<u64> = denoising.iter().map(|step| step["step"].as_u64().unwrap()).collect();
    assert_eq!(done, (1..=denoising.len() as u64).collect::<Vec<_>>());
    assert!(
        denoising.len() > 2 && denoising.iter().all(|step| step["total"] == json!(denoising.len())),
        "{denoising:?}"
    );
    assert_eq!(decoding.len(), 17);
    assert!(
        of("message")
            .iter()
            .any(|message| message["message"] == "the text encoder reads: \"her hair flows in the wind\"")
    );
}
