//! Files of weights that change or go while a run reads them.

use std::fs::{self, File};
use std::io::Write;

use super::{Running, bytes, ltx, made, with_model};

const TRANSFORMER: &str = "model/transformer/diffusion_pytorch_model.safetensors";
const TEXT: &str = "model/text_encoder/model-00002-of-00003.safetensors";
const VAE: &str = "model/vae/diffusion_pytorch_model.safetensors";

/// Without a handler the system ends the program here, with SIGBUS and without a word.
#[test]
fn weights_that_are_cut_off_end_the_run_by_their_name() {
    for (stage, file) in [("text", TEXT), ("encode", VAE), ("denoise", TRANSFORMER)] {
        let scratch = with_model(&format!("cut-{stage}"));
        let mut run = Running::start(ltx(&scratch, "clip.y4m", &[]));
        run.until_stage(stage);
        let size = fs::metadata(scratch.path(file)).unwrap().len();
        File::options().write(true).open(scratch.path(file)).unwrap().set_len(0).unwrap();
        let said =
            format!("weights {file}: wanted the file as it was when the run began, found it cut to 0 bytes of {size}");
        run.end().expect_failure(&said);
        assert!(made(&scratch).is_empty(), "{stage}: {:?}", made(&scratch));
    }
}

/// The latents were made before: they are kept, and by the whole file they become the clip of an undisturbed run.
#[test]
fn weights_that_are_cut_off_during_the_decode_leave_the_latents() {
    let scratch = with_model("cut-decode");
    let mut run = Running::start(ltx(&scratch, "clip.y4m", &[]));
    run.until(|event| event["event"] == "step" && event["stage"] == "decode");
    let whole = bytes(&scratch, VAE);
    File::options().write(true).open(scratch.path(VAE)).unwrap().set_len(5000).unwrap();
    let ended = run.end().expect_failure("found it cut to 5000 bytes of ");
    assert_eq!(made(&scratch), ["clip.latents.safetensors"]);
    let command = "stir decode clip.latents.safetensors -o clip.y4m --device cpu\n";
    assert!(ended.talk.ends_with(&format!("this finishes the clip: {command}")), "{}", ended.talk);

    fs::write(scratch.path(VAE), whole).unwrap();
    let mut decode = crate::support::command();
    decode.current_dir(scratch.folder()).args([
        "decode",
        "clip.latents.safetensors",
        "-o",
        "clip.y4m",
        "--device",
        "cpu",
    ]);
    crate::support::run(&mut decode).expect_code(0);
    Running::start(ltx(&scratch, "whole.y4m", &[])).end().expect_success();
    assert!(bytes(&scratch, "clip.y4m") == bytes(&scratch, "whole.y4m"));
}

/// Other values of the same length make another clip, and no signal tells.
#[test]
fn weights_that_are_written_to_end_the_run_by_their_name() {
    for (stage, left) in [("denoise", [].as_slice()), ("decode", &["clip.latents.safetensors"])] {
        let scratch = with_model(&format!("written-{stage}"));
        let mut run = Running::start(ltx(&scratch, "clip.y4m", &[]));
        run.until_stage(stage);
        let mut file = File::options().write(true).open(scratch.path(VAE)).unwrap();
        file.write_all(&bytes(&scratch, VAE)[..8]).unwrap();
        run.end()
            .expect_failure(&format!("weights {VAE}: wanted the file as it was when the run began, found it written"));
        assert_eq!(made(&scratch), left, "{stage}");
    }
}

/// Who fetches a model anew replaces its files and does not write into them: the run keeps what it has opened.
#[test]
fn weights_that_are_replaced_or_removed_do_not_disturb_the_run() {
    let scratch = with_model("replaced");
    Running::start(ltx(&scratch, "whole.y4m", &[])).end().expect_success();
    let mut run = Running::start(ltx(&scratch, "clip.y4m", &[]));
    run.until_stage("text");
    fs::write(scratch.path("other"), vec![0; 100_000]).unwrap();
    fs::rename(scratch.path("other"), scratch.path(TRANSFORMER)).unwrap();
    fs::remove_dir_all(scratch.path("model/vae")).unwrap();
    run.end().expect_success();
    assert!(bytes(&scratch, "clip.y4m") == bytes(&scratch, "whole.y4m"));
}
