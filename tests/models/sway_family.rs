//! The whole family through its traits: from picture and words to frames, with few steps and a small picture.

use candle_core::{Device, IndexOp};
use stir::camera::CameraCommand;
use stir::diffusion::{noise, sampler, schedule};
use stir::latents::Latents;
use stir::models::{
    self, Branch, Conditioning, DecodeInputs, DecodeSettings, ModelRequest, MotionPrompt, Offload, PictureHints,
    Prediction,
};
use stir::picture::{Picture, PixelBox};
use stir::units::{Clip, Fps, PixelFrames};

const CLIP: Clip = Clip { width: 128, height: 96, frames: PixelFrames(5), fps: Fps(2.0) };

/// As [`CLIP`], with frames so close that no blink falls between them.
const WHOLE_CLIP: Clip = Clip { frames: PixelFrames(75), fps: Fps(12.5), ..CLIP };

/// Soft stripes: nothing that anyone would take for a face.
fn scenery() -> Picture {
    let pixel = |index: usize| {
        let (x, y) = (index % CLIP.width, index / CLIP.width);
        [(60 + x) as u8, (200 - y) as u8, (90 + (x / 16) % 2 * 20) as u8]
    };
    Picture::new(CLIP.width, CLIP.height, (0..CLIP.width * CLIP.height).flat_map(pixel).collect())
}

struct Made {
    latents: Latents,
    frames: Vec<Picture>,
    notes: Vec<String>,
}

fn make(words: &str, camera: &[CameraCommand], seed: u64) -> Made {
    make_with(&[], &CLIP, words, camera, seed)
}

fn make_with(eyes: &[PixelBox], clip: &Clip, words: &str, camera: &[CameraCommand], seed: u64) -> Made {
    let family = models::open(&ModelRequest::named("sway"), &Device::Cpu).unwrap();
    let prompt = MotionPrompt { words: words.into(), camera: camera.to_vec(), intensity: 1.0, negative: None };
    let picture = scenery();
    let conditioning = Conditioning {
        image: family.image_encoder().unwrap().encode(&picture, &PictureHints { eyes: eyes.to_vec() }).unwrap(),
        text: family.text_encoder().unwrap().encode(&prompt, true).unwrap(),
    };
    let held = family.constraints(&conditioning, clip).unwrap();
    let denoiser = family.denoiser(Offload::None).unwrap();
    let start = noise::initial(seed, &family.latent_shapes(clip)).unwrap();
    let latents = sampler::euler(start, &schedule::linear(2), &held, |x, sigma, _| {
        let (conditioning, constraints) = (&conditioning, held.as_slice());
        denoiser.velocity(x, &Prediction { sigma, branch: Branch::Prompt, conditioning, constraints, clip })
    })
    .unwrap();
    let inputs = DecodeInputs {
        latents: &latents,
        conditioning: &conditioning,
        picture: Some(&picture),
        clip,
        settings: DecodeSettings::default(),
        seed,
        piece: None,
    };
    let mut decode = family.decoder().unwrap().start(&inputs).unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = decode.next().unwrap() {
        frames.push(frame);
    }
    Made { latents, frames, notes: family.notes(&conditioning).unwrap() }
}

/// One control channel at all keys.
fn channel(made: &Made, channel: usize) -> Vec<f32> {
    made.latents.parts["control"].i((0, .., channel)).unwrap().to_vec1().unwrap()
}

#[test]
fn a_clip_has_all_its_frames_and_starts_with_the_picture() {
    let made = make("hair flows in the wind", &[CameraCommand::PanLeft], 1);
    assert_eq!(made.frames.len(), CLIP.frames.0);
    assert!(made.frames.iter().all(|frame| frame.width() == CLIP.width && frame.height() == CLIP.height));
    assert_eq!(made.frames[0], scenery());
    assert_ne!(made.frames[4], scenery());
}

#[test]
fn the_camera_does_exactly_what_the_command_says() {
    let still = make("a breeze", &[CameraCommand::StaticShot], 1);
    for camera in 12..19 {
        assert_eq!(channel(&still, camera), [0.0; 25], "channel {camera}");
    }
    let pan = make("a breeze", &[CameraCommand::PanLeft], 1);
    assert_eq!(channel(&pan, 12)[0], 0.0);
    assert_eq!(channel(&pan, 12)[24], 1.0, "the content moves to the right");
}

#[test]
fn without_eyes_nothing_blinks_and_the_user_learns_why() {
    let made = make("she blinks", &[], 1);
    for blink in 0..12 {
        assert_eq!(channel(&made, blink), [0.0; 25], "channel {blink}");
    }
    assert!(made.notes.iter().any(|note| note.contains("nothing blinks")), "{:?}", made.notes);
    assert_eq!(make("", &[CameraCommand::ZoomIn], 1).notes, Vec::<String>::new(), "a camera move needs no face");
}

/// Columns and rows of the pixels that differ from the picture in any frame.
fn changed(made: &Made) -> Vec<(usize, usize)> {
    let picture = scenery();
    let places = (0..CLIP.height).flat_map(|y| (0..CLIP.width).map(move |x| (x, y)));
    places.filter(|&(x, y)| made.frames.iter().any(|frame| frame.pixel(x, y) != picture.pixel(x, y))).collect()
}

#[test]
fn eyes_that_the_user_points_out_blink_and_nothing_else_does() {
    let right = PixelBox { left: 76.0, top: 40.0, width: 24.0, height: 14.0 };
    let left = PixelBox { left: 30.0, ..right };
    let near = |eye: &PixelBox, x: usize, y: usize| {
        let (centre_x, centre_y) = eye.centre();
        (x as f64 - centre_x).abs() < 1.1 * eye.width && (y as f64 - centre_y).abs() < 1.5 * eye.height
    };
    let blink = |eyes: &[PixelBox]| make_with(eyes, &WHOLE_CLIP, "she blinks", &[], 1);
    for eyes in [vec![right, left], vec![left]] {
        let made = blink(&eyes);
        assert_eq!(made.notes, ["eyes as given by --eyes"]);
        let changed = changed(&made);
        for eye in &eyes {
            let (x, y) = eye.centre();
            assert!(changed.contains(&(x as usize, y as usize - 2)), "nothing blinks at {eye:?}");
        }
        let stray = changed.iter().find(|&&(x, y)| !eyes.iter().any(|eye| near(eye, x, y)));
        assert_eq!(stray, None, "changed with {eyes:?}");
    }
    let speck = PixelBox { left: 60.0, top: 40.0, width: 0.5, height: 0.5 };
    let made = blink(&[speck]);
    assert!(made.notes.iter().any(|note| note.contains("too little skin around 1")), "{:?}", made.notes);
    assert_eq!(changed(&blink(&[])), [], "without them nothing moves");
}

#[test]
fn where_there_is_no_hair_the_user_learns_that_it_cannot_move() {
    let family = models::open(&ModelRequest::named("sway"), &Device::Cpu).unwrap();
    let prompt =
        MotionPrompt { words: "hair and dress flutter".into(), camera: Vec::new(), intensity: 1.0, negative: None };
    let text = family.text_encoder().unwrap().encode(&prompt, false).unwrap();
    let mut image = family.image_encoder().unwrap().encode(&scenery(), &PictureHints::default()).unwrap();
    let notes_with = |share: f32, image: &mut stir::models::ImageCondition| {
        let features = candle_core::Tensor::full(share, (1, 6, 6, 16), &Device::Cpu).unwrap();
        image.tensors.insert(stir::models::sway::FEATURES, features);
        family.notes(&Conditioning { image: image.clone(), text: text.clone() }).unwrap().join("; ")
    };
    let bare = notes_with(0.001, &mut image);
    assert!(bare.contains("hardly any hair") && bare.contains("hardly any cloth"), "{bare}");
    assert_eq!(notes_with(0.1, &mut image), "");
}

#[test]
fn a_seed_means_the_same_frames_and_another_seed_others() {
    let prompt = |seed| make("the light flickers and her dress sways", &[], seed);
    let (one, same, other) = (prompt(7), prompt(7), prompt(8));
    assert_eq!(one.frames, same.frames);
    let control = |made: &Made| (12..26).flat_map(|index| channel(made, index)).collect::<Vec<f32>>();
    assert_ne!(control(&one), control(&other));
}
