//! Two passes: small first, then at twice the size.

use super::{Runs, fixtures};

#[test]
fn two_passes_are_reproducible_and_of_the_size_asked_for() {
    let runs = Runs::new("two-passes");
    let upsampler = fixtures("upsampler");
    let two = ["--two-pass", "--latent-upsampler", &upsampler, "-W", "200", "-H", "120", "--num-frames", "10"];
    let make = |options: &[&str]| runs.make(&[&two, options].concat());
    let first = make(&["--steps", "3"]);
    // Two thirds of 224x128 are 128x64 on the grid; the second pass is twice that.
    assert_eq!(first.shape, [1, 8, 3, 4, 8]);
    assert_eq!(first.frames().len(), 10);
    assert!(first.frames().iter().all(|frame| frame.len() == 200 * 120 * 3 / 2));
    for threads in ["1", "2"] {
        let again = make(&["--steps", "3", "--threads", threads]);
        assert!(again.latents == first.latents && again.clip == first.clip, "{threads} threads make another clip");
    }
    assert!(make(&["--steps", "3", "--seed", "7"]).latents != first.latents, "the seed changes nothing");
    let distilled = make(&["--variant", "distilled"]);
    assert_eq!(distilled.shape, [1, 8, 3, 4, 8]);
    assert!(distilled.latents != first.latents, "the variant changes nothing");
}

#[test]
fn an_upsampler_is_asked_for_before_the_text_stage() {
    let runs = Runs::new("no-upsampler");
    for options in [["--two-pass"].as_slice(), &["--two-pass", "--dry-run"]] {
        let refused = runs.refuse(options);
        assert!(refused.contains("--two-pass: wanted the latent upsampler"), "{refused}");
        assert!(refused.contains("next: name it by --latent-upsampler, or leave --two-pass out"), "{refused}");
    }
    let upsampler = fixtures("upsampler");
    let refused = runs.refuse(&["--two-pass", "--latent-upsampler", &upsampler, "--num-frames", "1"]);
    assert!(refused.contains("--two-pass: wanted a first pass of two latents or more"), "{refused}");
    let refused = runs.refuse(&["--latent-upsampler", &upsampler]);
    assert!(refused.contains("--latent-upsampler: wanted --two-pass beside it, found none"), "{refused}");
}

#[test]
fn previews_of_two_passes_are_of_the_whole_run() {
    let runs = Runs::new("two-previews");
    let (path, upsampler) = (runs.path("look.gif"), fixtures("upsampler"));
    let options = ["--two-pass", "--latent-upsampler", &upsampler, &format!("--preview={path}"), "--steps", "4"];
    let watched = runs.make(&options);
    assert_eq!(watched.stderr.matches(&format!("preview   {path}")).count(), 2, "{}", watched.stderr);
    assert!(std::fs::read(&path).unwrap().starts_with(b"GIF8"));
}
