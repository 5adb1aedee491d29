//! `stir verify`: a clip is made again and compared, and what differs is found where it begins.

use crate::provenance::{general, generate, stir};
use crate::support::{Outcome, Scratch, command, run};

fn verify(scratch: &Scratch, clip: &str, options: &[&str]) -> Outcome {
    stir(scratch, &[&["verify", clip, "-q"], options].concat())
}

const PICTURE: [&str; 2] = ["--image", "picture.png"];

/// The stage with which the difference begins, of a clip that is not what it says.
#[track_caller]
fn start(outcome: Outcome) -> String {
    let outcome = outcome.expect_code(1);
    let start = outcome.stdout.lines().find_map(|line| line.strip_prefix("difference begins with: "));
    let start = start.unwrap_or_else(|| panic!("{}", outcome.stdout)).to_owned();
    assert!(outcome.stdout.ends_with("holds      no\n"), "{}", outcome.stdout);
    assert!(outcome.stderr.contains(&format!("a difference that begins with the {start}")), "{}", outcome.stderr);
    start
}

#[test]
fn a_clip_that_is_what_it_says_holds() {
    let scratch = Scratch::new("verify-true");
    let mut clips = vec!["clip.y4m", "clip.gif", "clip/"];
    if cfg!(feature = "ffmpeg") {
        clips.extend(["clip.mp4", "clip.mov", "clip.webm", "clip.webp"]);
    }
    for clip in clips {
        generate(&scratch, clip, &["--threads", "2", "--seed", "9"]).expect_code(0);
        let outcome = verify(&scratch, clip, &[&PICTURE[..], &["--threads", "1"]].concat()).expect_code(0);
        assert!(outcome.stdout.ends_with("holds      yes\n"), "{clip}: {}", outcome.stdout);
        assert_eq!(outcome.stderr, "", "{clip}");
        if clip == "clip.y4m" {
            insta::assert_snapshot!("verify-true", general(&outcome.stdout));
        }
    }
}

/// What is made again is in a folder that goes, and nothing but the clip's own path is named.
#[test]
fn nothing_is_left_behind() {
    let scratch = Scratch::new("verify-scratch");
    generate(&scratch, "clip.y4m", &["--save-latents", "l.safetensors", "--preview=look.gif"]).expect_code(0);
    std::fs::create_dir(scratch.path("temporary")).unwrap();
    let before = scratch.names();
    let mut verification = command();
    verification.current_dir(scratch.folder()).env("TMPDIR", scratch.path("temporary"));
    let outcome = run(verification.args(["verify", "clip.y4m"]).args(PICTURE)).expect_code(0);
    assert_eq!(scratch.names(), before);
    assert_eq!(std::fs::read_dir(scratch.path("temporary")).unwrap().count(), 0);
    assert!(!outcome.stdout.contains("temporary") && !outcome.stderr.contains("temporary"), "{}", outcome.stderr);
}

#[test]
fn another_picture_is_found_out() {
    let scratch = Scratch::new("verify-picture");
    generate(&scratch, "clip.y4m", &[]).expect_code(0);
    let mut picture = image::open(scratch.path("picture.png")).unwrap().to_rgb8();
    // The same pixels in another file.
    image::DynamicImage::from(picture.clone()).to_rgba8().save(scratch.path("same.png")).unwrap();
    let outcome = verify(&scratch, "clip.y4m", &["--image", "same.png"]);
    assert!(outcome.stdout.contains("pixels     same\n") && outcome.stdout.contains("frames     same\n"));
    assert_eq!(start(outcome), "picture");
    picture.put_pixel(40, 30, image::Rgb([255, 0, 0]));
    picture.save(scratch.path("other.png")).unwrap();
    let outcome = verify(&scratch, "clip.y4m", &["--image", "other.png"]);
    assert!(outcome.stdout.contains("pixels     differs\n"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains(" dB, at most "), "{}", outcome.stdout);
    assert_eq!(start(outcome), "picture");
}

/// One byte of one frame, in a format that keeps it.
#[test]
fn an_altered_clip_is_found_out() {
    let scratch = Scratch::new("verify-clip");
    generate(&scratch, "clip.y4m", &[]).expect_code(0);
    let path = scratch.path("clip.y4m");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] = if bytes[middle] > 127 { bytes[middle] - 20 } else { bytes[middle] + 20 };
    std::fs::write(&path, bytes).unwrap();
    let outcome = verify(&scratch, "clip.y4m", &PICTURE);
    if cfg!(feature = "ffmpeg") {
        let line = outcome.stdout.lines().find(|line| line.starts_with("frames")).unwrap().to_owned();
        assert!(
            line.starts_with("frames     differs  ") && line.contains("at most 20 of 255, from frame 2 on"),
            "{line}"
        );
        assert_eq!(start(outcome), "frames");
    }
}

/// Less than a whole clip is compared as far as it goes, and said to be less.
#[cfg(feature = "ffmpeg")]
#[test]
fn a_clip_that_was_cut_off_is_found_out() {
    let scratch = Scratch::new("verify-cut");
    generate(&scratch, "clip.y4m", &[]).expect_code(0);
    let path = scratch.path("clip.y4m");
    let whole = std::fs::read(&path).unwrap();
    let frame = b"FRAME\n".len() + 64 * 42 * 3 / 2;
    for (bytes, line) in [
        (whole[..whole.len() - 2 * frame].to_vec(), "the clip ends after 3 frames, and the one made again does not"),
        (
            [&whole[..], &whole[whole.len() - frame..]].concat(),
            "the clip has more than the 5 frames of the one made again",
        ),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let outcome = verify(&scratch, "clip.y4m", &PICTURE);
        assert!(outcome.stdout.contains(&format!("frames     differs  {line}\n")), "{}", outcome.stdout);
        assert_eq!(start(outcome), "frames");
    }
}

/// What counts is what a clip is, not what it is called; and the command that makes it again can be pasted.
#[cfg(feature = "ffmpeg")]
#[test]
fn a_clip_under_another_formats_name_is_compared_as_what_it_is() {
    let scratch = Scratch::new("verify-name");
    generate(&scratch, "clip.mp4", &[]).expect_code(0);
    std::fs::rename(scratch.path("clip.mp4"), scratch.path("other.mov")).unwrap();
    verify(&scratch, "other.mov", &PICTURE).expect_code(0);
    let told = stir(&scratch, &["info", "other.mov"]).expect_code(0).stdout;
    assert!(told.ends_with(" -o other-again.mp4\n") && !told.contains("--format"), "{told}");
}

#[cfg(feature = "ffmpeg")]
#[test]
fn an_altered_video_is_found_out() {
    let scratch = Scratch::new("verify-video");
    for clip in ["clip.mp4", "clip.webm"] {
        generate(&scratch, clip, &[]).expect_code(0);
        let path = scratch.path(clip);
        let bytes = std::fs::read(&path).unwrap();
        // As if another quality had been written, with the record of the first.
        generate(&scratch, clip, &["--quality", "30"]).expect_code(0);
        let other = std::fs::read(&path).unwrap();
        let swapped = replaced(&other, b"\"quality\":30", b"\"quality\":95");
        std::fs::write(&path, swapped).unwrap();
        let outcome = verify(&scratch, clip, &PICTURE);
        assert!(outcome.stdout.contains(", as the lossy format has them"), "{}", outcome.stdout);
        assert_eq!(start(outcome), "frames", "{clip}");
        std::fs::write(&path, bytes).unwrap();
        verify(&scratch, clip, &PICTURE).expect_code(0);
    }
}

#[cfg(feature = "ffmpeg")]
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|window| window == from).expect("the record is plain text");
    [&bytes[..at], to, &bytes[at + to.len()..]].concat()
}

#[test]
fn an_altered_record_is_found_out() {
    let scratch = Scratch::new("verify-record");
    generate(&scratch, "clip.y4m", &[]).expect_code(0);
    let sidecar = scratch.path("clip.y4m.json");
    let text = std::fs::read_to_string(&sidecar).unwrap();
    let with = |from: &str, to: &str| {
        let altered = text.replacen(from, to, 1);
        assert_ne!(altered, text, "{from}");
        std::fs::write(&sidecar, altered).unwrap();
        verify(&scratch, "clip.y4m", &PICTURE)
    };
    assert_eq!(start(with("\"seed\":42", "\"seed\":43")), "noise");
    assert_eq!(start(with("\"strength\":\"1\"", "\"strength\":\"0.5\"")), "parameters");
    assert_eq!(start(with("\"prompt\":\"hair flowing\"", "\"prompt\":\"water flowing\"")), "latents");
    let weights = text.split_once("encoder.safetensors\",\"sha256\":\"").unwrap().1[..64].to_owned();
    assert_eq!(start(with(&weights, &"0".repeat(64))), "weights");
    // Another build is promised less, and what it made is still compared.
    let build = text.split_once("\"build\":\"").unwrap().1[..16].to_owned();
    let outcome = with(&build, "another build").expect_code(0);
    insta::assert_snapshot!("verify-build", general(&outcome.stdout).replace(&build, "..."));
    // Options that only another program would write.
    let outcome = with("\"quality\":95", "\"quality\":\"much\"").expect_code(2);
    assert!(outcome.stderr.contains("the record of clip clip.y4m: quality: wanted"), "{}", outcome.stderr);
}

/// Files that a clip is made from are looked for where the user says, and known by their content.
#[test]
fn noise_and_watermark_are_taken_from_where_they_are() {
    use candle_core::{Device, Tensor};

    let scratch = Scratch::new("verify-files");
    std::fs::create_dir(scratch.path("files")).unwrap();
    let family = stir::models::open(&stir::models::ModelRequest::named("sway"), &Device::Cpu).unwrap();
    let clip =
        stir::units::Clip { width: 64, height: 42, frames: stir::units::PixelFrames(5), fps: stir::units::Fps(25.0) };
    let noise = |name: &str, seed: u64| {
        let drawn = stir::diffusion::noise::initial(seed, &family.latent_shapes(&clip)).unwrap();
        let name_of = |part: &str| if part == "latents" { "noise".to_owned() } else { format!("noise.{part}") };
        let tensors: std::collections::HashMap<String, Tensor> =
            drawn.parts.into_iter().map(|(part, tensor)| (name_of(part), tensor)).collect();
        candle_core::safetensors::save(&tensors, scratch.path(name)).unwrap();
    };
    noise("files/noise.safetensors", 42);
    noise("files/other.safetensors", 43);
    scratch.picture("files/mark.png", 16, 16);
    scratch.picture("files/other.png", 16, 12);
    let given = ["--noise", "files/noise.safetensors", "--watermark", "files/mark.png"];
    generate(&scratch, "clip.y4m", &given).expect_code(0);
    verify(&scratch, "clip.y4m", &[&PICTURE[..], &given].concat()).expect_code(0);
    let other = ["--noise", "files/other.safetensors", "--watermark", "files/mark.png"];
    assert_eq!(start(verify(&scratch, "clip.y4m", &[&PICTURE[..], &other].concat())), "noise");
    let other = ["--noise", "files/noise.safetensors", "--watermark", "files/other.png"];
    assert_eq!(start(verify(&scratch, "clip.y4m", &[&PICTURE[..], &other].concat())), "picture");
    let outcome = verify(&scratch, "clip.y4m", &PICTURE).expect_code(2);
    assert!(outcome.stderr.contains("noise.safetensors"), "{}", outcome.stderr);
}

#[cfg(unix)]
#[test]
fn files_are_taken_from_where_they_are() {
    use crate::fixture::repository;
    use crate::provenance::generate_ltx;

    let scratch = Scratch::new("verify-ltx");
    generate_ltx(&scratch, "clip.y4m", &["--dtype", "f32"]).expect_code(0);
    std::fs::remove_file(scratch.path("tiny")).unwrap();
    let outcome = verify(&scratch, "clip.y4m", &PICTURE).expect_code(2);
    let refused = "--model: wanted the path of the model that the clip was made with, found none, and no tiny here\n";
    assert!(outcome.stderr.contains(refused), "{}", outcome.stderr);
    assert!(outcome.stderr.ends_with("next: name it, such as --model path/to/tiny\n"), "{}", outcome.stderr);
    let model = repository("tests/fixtures/ltx/checkpoint").display().to_string();
    verify(&scratch, "clip.y4m", &[&PICTURE[..], &["--model", &model]].concat()).expect_code(0);
    let upsampler = repository("tests/fixtures/ltx/upsampler").display().to_string();
    let two_pass = ["--two-pass", "--latent-upsampler", &upsampler];
    generate_ltx(&scratch, "two.y4m", &[&two_pass[..], &["-W", "160", "-H", "96"]].concat()).expect_code(0);
    let parts = ["--model", &model, "--latent-upsampler", &upsampler];
    verify(&scratch, "two.y4m", &[&PICTURE[..], &parts].concat()).expect_code(0);
    let outcome = verify(&scratch, "clip.y4m", &[]).expect_code(2);
    assert!(outcome.stderr.contains("--image: wanted the picture"), "{}", outcome.stderr);
}
