//! A named model from files that another program has fetched: a cache of the hub with a tiny checkpoint under the released names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use crate::fixture::repository;
use crate::single_file::write_single_file;
use crate::support::{Outcome, Scratch, command, run};

/// A commit, as the cache names it.
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The folder of a repository in the cache, with `main` at [`COMMIT`].
fn snapshot(cache: &Path, repository: &str) -> PathBuf {
    let folder = cache.join(format!("models--{}", repository.replace('/', "--")));
    std::fs::create_dir_all(folder.join("refs")).unwrap();
    std::fs::write(folder.join("refs/main"), COMMIT).unwrap();
    let snapshot = folder.join("snapshots").join(COMMIT);
    std::fs::create_dir_all(&snapshot).unwrap();
    snapshot
}

/// The tiny checkpoint under the names of `ltx-2b-distilled`; the text encoder as one file without a configuration.
fn write_cache(cache: &Path) {
    let checkpoint = repository("tests/fixtures/ltx/checkpoint");
    let model = snapshot(cache, "Lightricks/LTX-Video");
    write_single_file(&checkpoint, &model.join("ltxv-2b-0.9.8-distilled.safetensors"));
    std::fs::create_dir(model.join("tokenizer")).unwrap();
    std::fs::copy(checkpoint.join("tokenizer/spiece.model"), model.join("tokenizer/spiece.model")).unwrap();
    let mut text: HashMap<String, Tensor> = HashMap::new();
    for index in 1..=3 {
        let shard = checkpoint.join(format!("text_encoder/model-0000{index}-of-00003.safetensors"));
        text.extend(candle_core::safetensors::load(shard, &Device::Cpu).unwrap());
    }
    let file = snapshot(cache, "comfyanonymous/flux_text_encoders").join("t5xxl_fp16.safetensors");
    candle_core::safetensors::save(&text, file).unwrap();
}

fn generate(scratch: &Scratch, name: &str, options: &[&str]) -> Outcome {
    let path = |name: String| scratch.path(&name).display().to_string();
    let (clip, latents) = (path(format!("{name}.y4m")), path(format!("{name}.safetensors")));
    let image = repository("tests/fixtures/ltx/runs/picture.png").display().to_string();
    let mut command = command();
    command.env("HF_HUB_CACHE", scratch.path("cache"));
    command.args(["generate", "-i", &image, "--allow-any-image", "-p", "her hair flows", "-W", "96", "-H", "64"]);
    command.args(["--num-frames", "17", "--device", "cpu", "-o", &clip, "--save-latents", &latents]).args(options);
    run(&mut command)
}

#[test]
fn a_name_runs_by_its_makers_recipe() {
    let scratch = Scratch::new("ltx-named");
    write_cache(&scratch.path("cache"));
    let named = generate(&scratch, "named", &["--model", "ltx-2b-distilled"]).expect_code(0);
    assert!(named.stderr.contains("--degrade mild"), "{}", named.stderr);

    // The same by hand: the folder, the levels of the release, its noise on the picture, and what goes with medium motion.
    let folder = repository("tests/fixtures/ltx/checkpoint").display().to_string();
    let recipe = ["--variant", "distilled", "--image-noise", "0.15", "--degrade", "mild"];
    generate(&scratch, "path", &[&["--model", &folder], &recipe[..]].concat()).expect_code(0);
    let bytes = |name: &str| std::fs::read(scratch.path(name)).unwrap();
    assert!(bytes("named.y4m") == bytes("path.y4m"), "both make the same clip");

    let listed = run(command().env("HF_HUB_CACHE", scratch.path("cache")).arg("models")).expect_code(0);
    assert!(listed.stdout.contains("ltx-2b-distilled"), "{}", listed.stdout);
}

#[test]
fn a_part_that_is_given_need_not_be_fetched() {
    let scratch = Scratch::new("ltx-given");
    write_cache(&scratch.path("cache"));
    std::fs::remove_dir_all(scratch.path("cache/models--comfyanonymous--flux_text_encoders")).unwrap();
    let options = ["--model", "ltx-2b-distilled"];
    let missing = generate(&scratch, "missing", &options).expect_code(2);
    assert!(missing.stderr.contains("t5xxl_fp16.safetensors"), "{}", missing.stderr);
    let text = repository("tests/fixtures/ltx/checkpoint/text_encoder").display().to_string();
    generate(&scratch, "given", &[&options[..], &["--text-encoder", &text]].concat()).expect_code(0);
}

#[test]
fn what_a_name_settles_is_not_to_be_given() {
    let scratch = Scratch::new("ltx-misnamed");
    write_cache(&scratch.path("cache"));
    let refused = generate(&scratch, "named", &["--model", "ltx-2b-distilled", "--variant", "dev"]).expect_code(2);
    assert!(refused.stderr.contains("--variant"), "{}", refused.stderr);
    let missing = generate(&scratch, "missing", &["--model", "ltx-2b-dev"]).expect_code(2);
    assert!(missing.stderr.contains("stir models pull ltx-2b-dev"), "{}", missing.stderr);
}
