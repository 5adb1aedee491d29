//! `--encoder`: what the user asks for is used, or refused before anything runs.

use stir::media::{self, Target, VideoEncoder};
use stir::units::{Clip, Fps, PixelFrames};

use crate::{Folder, target};

const CLIP: Clip = Clip { width: 256, height: 192, frames: PixelFrames(3), fps: Fps(25.0) };

fn by(encoder: VideoEncoder, folder: &Folder, name: &str) -> Target {
    Target { encoder, ..target(&folder.path(name), 95).unwrap() }
}

fn written(target: &Target) -> Vec<u8> {
    let mut writer = media::create(target, &CLIP).unwrap();
    let frame = stir::picture::Picture::new(CLIP.width, CLIP.height, vec![90; CLIP.width * CLIP.height * 3]);
    (0..CLIP.frames.0).for_each(|_| writer.write(&frame).unwrap());
    std::fs::read(writer.finish().unwrap().path).unwrap()
}

#[test]
fn the_encoder_of_videos_is_x264() {
    let folder = Folder::new("encoder-x264");
    let [auto, x264] = [VideoEncoder::Auto, VideoEncoder::X264].map(|encoder| by(encoder, &folder, "clip.mp4"));
    media::check_target(&x264, &[]).unwrap();
    assert!(written(&auto) == written(&x264));
}

/// Machines with such a GPU write a clip with it; others, which is what most tests run on, say what is missing.
#[test]
fn nvenc_writes_or_says_what_is_missing() {
    let folder = Folder::new("encoder-nvenc");
    let nvenc = by(VideoEncoder::Nvenc, &folder, "clip.mp4");
    match media::check_target(&nvenc, &[]).and_then(|()| media::check_clip(&nvenc, &CLIP)) {
        Ok(()) => assert!(written(&nvenc) != written(&by(VideoEncoder::X264, &folder, "other.mp4"))),
        Err(error) => {
            let message = error.to_string();
            let opens = "--encoder nvenc: wanted h264_nvenc to open, found \"";
            let missing = "the H.264 encoder for .mp4 output: wanted FFmpeg libraries with h264_nvenc";
            assert!(message.starts_with(opens) || message.starts_with(missing), "{message}");
            assert!(error.hint().contains("--encoder"), "{}", error.hint());
            assert!(folder.names().is_empty());
        }
    }
}

#[test]
fn other_formats_have_no_choice() {
    let folder = Folder::new("encoder-formats");
    for name in ["clip.webm", "clip.gif", "clip.webp", "clip.y4m", "frames/"] {
        let error = media::check_target(&by(VideoEncoder::Nvenc, &folder, name), &[]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().starts_with("--encoder nvenc: wanted .mp4 or .mov output, found "), "{error}");
    }
}
