//! A disk that fills while a run writes its latents, frames and clip.
//!
//! A limit on the size of files stands for the disk, as in `tests/media`, which goes through all formats. The tests of `stir decode` show that latents which
//! were kept become the clip.

use std::process::Command;

use super::{Ended, Running, SWAY, made, under, with_model};
use crate::support::{Scratch, command};

/// The run where no file may become larger than so many blocks of the shell, of 512 bytes or 1024.
fn within(blocks: u32, run: &Command) -> Ended {
    Running::start(under(&format!("ulimit -f {blocks}"), run)).end()
}

fn sway(scratch: &Scratch, options: &[&str]) -> Command {
    let mut run = command();
    run.current_dir(scratch.folder()).args(["generate", "--json", "--allow-any-image", "-i", "picture.png"]);
    run.args(SWAY).args(["--num-frames", "20"]).args(options);
    run
}

#[test]
fn a_full_disk_is_an_error_that_names_the_file_and_leaves_nothing() {
    let scratch = Scratch::new("full");
    scratch.picture("picture.png", 640, 480);
    let clip = if cfg!(feature = "ffmpeg") { "clip.mp4" } else { "clip.gif" };
    for (blocks, options, said) in [
        (0, ["-o", clip, "--save-latents", "latents.safetensors"], "writing latents.safetensors: "),
        (0, ["-o", clip, "--save-frames", "frames"], "writing "),
        (64, ["-o", "clip.webp", "--save-frames", "frames"], "writing frames/"),
        (64, ["-o", "clip.y4m", "--save-latents", "latents.safetensors"], "writing clip.y4m: "),
    ] {
        if options.contains(&"clip.webp") && !cfg!(feature = "ffmpeg") {
            continue;
        }
        let ended = within(blocks, &sway(&scratch, &options)).expect_failure(said);
        assert!(ended.talk.contains("File too large") && ended.talk.contains("ulimit -f"), "{}", ended.talk);
        let left: Vec<String> = made(&scratch).into_iter().filter(|name| name != "latents.safetensors").collect();
        assert!(left.is_empty(), "{options:?}: {left:?}");
        _ = std::fs::remove_file(scratch.path("latents.safetensors"));
    }
}

/// Dear latents that find no room are an error only if nothing else holds what they hold.
#[test]
fn latents_that_find_no_room_are_a_warning_until_the_clip_fails_too() {
    let scratch = with_model("full-latents");
    let run = super::ltx(&scratch, "clip.y4m", &[]);
    let ended = within(0, &run).expect_failure("writing clip.y4m: ");
    assert!(ended.talk.contains("the latents are lost if the decode fails"), "{}", ended.talk);
    assert!(!ended.talk.contains("stir decode"), "{}", ended.talk);
    assert!(made(&scratch).is_empty(), "{:?}", made(&scratch));
}
