//! The picture as the first frame, and the words.

use super::Runs;

#[test]
fn the_picture_is_the_first_frame_whatever_the_others_are() {
    let runs = Runs::new("first-frame");
    let plain = runs.make(&[]);
    let encoded = plain.latent_frame(0);
    assert!(encoded.iter().any(|value| *value != 0.0), "an empty frame");
    for (options, what) in [
        (["--image-noise", "0.15"], "noise on the picture"),
        (["--seed", "7"], "another seed"),
        (["--guidance-scale", "5"], "more guidance"),
    ] {
        let made = runs.make(&options);
        assert_eq!(made.latent_frame(0), encoded, "{what} changes the first frame");
        assert_ne!(made.latent_frame(1), plain.latent_frame(1), "{what} leaves the second frame as it is");
    }
    let firm = runs.make(&["--strength", "1"]);
    assert!(firm.latents == plain.latents && firm.clip == plain.clip, "a strength of 1 is not the default");
    assert!(runs.make(&["--image-noise", "0"]).latents == plain.latents, "no noise on the picture is not the default");
    for strength in ["0", "0.5", "0.9"] {
        let loose = runs.make(&["--strength", strength]);
        assert_ne!(loose.latent_frame(0), encoded, "a strength of {strength} holds the picture");
    }
}

#[cfg(feature = "ffmpeg")]
#[test]
fn a_degraded_picture_is_another_first_frame() {
    let runs = Runs::new("degrade");
    let [off, mild, official] = ["off", "mild", "official"].map(|how| runs.make(&["--degrade", how]));
    let plain = runs.make(&[]);
    assert!(off.latents == plain.latents && off.clip == plain.clip, "a path degrades by itself");
    let strong = runs.make(&["--motion", "high"]);
    assert_eq!(
        strong.latent_frame(0),
        plain.latent_frame(0),
        "motion degrades the picture of a model given by its path"
    );
    let [off, mild, official] = [off, mild, official].map(|made| made.latent_frame(0));
    assert!(off != mild && mild != official && official != off, "two degradations give the same first frame");
}

#[test]
fn camera_and_motion_are_put_into_words() {
    let runs = Runs::new("words");
    let line = |options: &[&str]| {
        let made = runs.make(options);
        let line = made.stderr.lines().find(|line| line.starts_with("the text encoder reads: ")).expect("a line");
        (line.to_owned(), made)
    };
    let (read, plain) = line(&[]);
    assert_eq!(read, "the text encoder reads: \"her hair flows in the wind\"");
    let (read, pushed) = line(&["--camera", "push in"]);
    assert_eq!(read, "the text encoder reads: \"her hair flows in the wind. The camera slowly pushes in.\"");
    assert!(pushed.latents != plain.latents, "the camera changes nothing");
    let (read, bracketed) = line(&["-p", "her hair flows in the wind [push in]"]);
    assert_eq!(read, "the text encoder reads: \"her hair flows in the wind. The camera slowly pushes in.\"");
    assert!(bracketed.latents == pushed.latents, "brackets are not the option");
    let (read, moved) = line(&["--motion", "high"]);
    assert!(read.ends_with("in the wind. The motion in the scene is strong and dynamic.\""), "{read}");
    assert!(moved.latents != plain.latents, "motion changes nothing");
    // The sentence is all there is to it.
    let said = ["-p", "her hair flows in the wind. The camera slowly pushes in."];
    assert!(line(&said).1.latents == pushed.latents, "the sentence is not what the command does");
}

#[test]
fn commands_that_contradict_each_other_are_refused_before_anything_loads() {
    let refused = Runs::new("contradiction").refuse(&["--camera", "pan left, pan right"]);
    assert!(refused.contains("found \"pan left\" together with \"pan right\""), "{refused}");
}

/// With the 256 tokens of the text encoder an end is one, so that 255 are words.
#[test]
fn what_the_text_encoder_has_no_room_for_is_printed() {
    let runs = Runs::new("long");
    let words = |count: usize| (0..count).map(|index| format!("leaf{index}")).collect::<Vec<_>>().join(" ");
    let cut = |stderr: &str| {
        let (_, cut) = stderr.split_once("the prompt is too long for the text encoder; cut: \"")?;
        Some(cut[..cut.find('"').unwrap()].to_owned())
    };
    let short = runs.make(&["-p", &words(30)]);
    assert_eq!(cut(&short.stderr), None);
    let [long, longer] = [150, 200].map(|count| runs.make(&["-p", &words(count)]));
    let (kept, _) = words(150)
        .split_once(&cut(&long.stderr).expect("words are cut"))
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    assert!(!kept.is_empty() && kept.ends_with(' '), "no whole words are cut: {kept:?}");
    assert_eq!(kept + &cut(&longer.stderr).unwrap(), words(200), "the words read and the words cut are not all words");
    assert!(long.latents == longer.latents, "words that are cut change the clip");
    assert!(long.latents != short.latents, "words that are read change nothing");
    let negative = ["--guidance-scale", "3", "-n", &words(150)];
    let said = runs.make(&negative).stderr;
    assert!(said.contains("the negative prompt is too long for the text encoder; cut: \"leaf"), "{said}");
}
