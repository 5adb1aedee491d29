//! Refusals of the family's options and models: each names the thing, what was wanted, what was found and the next step.

use super::{Runs, fixtures};
use crate::fixture::repository;

/// Takes a snapshot of all refusals of a list.
fn check(runs: &Runs, name: &str, cases: &[&[&str]]) {
    let mut refusals = String::new();
    for options in cases {
        refusals += &format!("$ stir generate ... {}\n{}\n", options.join(" "), runs.refuse(options));
    }
    let refusals = refusals.replace(&format!("{}/", runs.scratch.folder().display()), "");
    insta::assert_snapshot!(name, refusals.replace(&format!("{}/", repository("tests/fixtures").display()), ""));
}

#[test]
fn values() {
    check(
        &Runs::new("refusals-values"),
        "ltx-refusals-values",
        &[
            &["--sigmas", "0.5,1"],
            &["--sigmas", "1,1"],
            &["--sigmas", "1,0.5,0"],
            &["--sigmas", "1.5"],
            &["--sigmas", "1,NaN"],
            &["--sigmas", ""],
            &["--sigmas", "1 0.5"],
            &["--sigmas", "1,0.5", "--steps", "2"],
            &["--sigmas", "1,0.5", "--flow-shift", "2"],
            &["--steps", "0"],
            &["--flow-shift", "0"],
            &["--flow-shift", "101"],
            &["--stg-scale", "-1"],
            &["--stg-scale", "NaN"],
            &["--guidance-rescale", "1.5"],
            &["--strength", "2"],
            &["--strength", "-0.1"],
            &["--image-noise", "NaN"],
            &["--degrade", "heavily"],
            &["--decode-timestep", "1.01"],
            &["--decode-noise", "-1"],
            &["--dtype", "f64"],
            &["--variant", "x"],
            &["--vae-tiling", "maybe"],
            &["--offload", "gpu"],
            &["--encoder", "h264"],
            &["--encoder", "nvenc"],
            &["--eyes", "20,10,4,4"],
            &["--two-pass"],
            &["--latent-upsampler", "upsampler"],
            &["--variant", "distilled", "--steps", "5"],
            &["--variant", "distilled", "--flow-shift", "2"],
        ],
    );
}

#[test]
fn models() {
    let runs = Runs::new("refusals-models");
    let in_folder = |name: &str| runs.path(name);
    for (folder, index) in [
        ("wan", Some(r#"{"_class_name": "WanPipeline", "_diffusers_version": "0.42.1"}"#)),
        ("unnamed", Some("{}")),
        ("broken", Some("{")),
        ("hollow", Some(r#"{"_class_name": "LTXConditionPipeline"}"#)),
        ("empty", None),
    ] {
        std::fs::create_dir(runs.scratch.path(folder)).unwrap();
        index
            .into_iter()
            .for_each(|text| std::fs::write(runs.scratch.path(folder).join("model_index.json"), text).unwrap());
    }
    for name in ["model.ckpt", "empty.safetensors", "empty.gguf"] {
        std::fs::write(runs.scratch.path(name), []).unwrap();
    }
    std::fs::write(runs.scratch.path("text.safetensors"), "not a tensor in sight").unwrap();
    let (first, checkpoint, upsampler) = (fixtures("checkpoint_0.9.0"), fixtures("checkpoint"), fixtures("upsampler"));
    let first = ["--model", &first, "--text-encoder", &checkpoint];
    check(
        &runs,
        "ltx-refusals-models",
        &[
            &["--model", &in_folder("wan")],
            &["--model", &in_folder("unnamed")],
            &["--model", &in_folder("broken")],
            &["--model", &in_folder("hollow")],
            &["--model", &in_folder("empty")],
            &["--model", &in_folder("missing")],
            &["--model", &in_folder("model.ckpt")],
            &["--model", &in_folder("empty.safetensors")],
            &["--model", &in_folder("text.safetensors")],
            &["--model", &in_folder("empty.gguf")],
            &["--model", &upsampler],
            &["--model", &fixtures("checkpoint_0.9.0")],
            &[&first[..], &["--decode-timestep", "0.1"]].concat(),
            &[&first[..], &["--decode-noise", "0"]].concat(),
            &["--vae", &in_folder("empty")],
            &["--vae", &fixtures("text_encoder")],
            &["--text-encoder", &in_folder("missing")],
            &["--text-encoder", &fixtures("checkpoint/vae")],
            &["--tokenizer", &in_folder("text.safetensors")],
            &["--two-pass", "--latent-upsampler", &fixtures("checkpoint/vae")],
        ],
    );
}

/// The model that ships with the program has none of these.
#[test]
fn sway() {
    let (vae, upsampler) = (fixtures("checkpoint"), fixtures("upsampler"));
    let cases: [&[&str]; 18] = [
        &["-n", "blurry"],
        &["--two-pass"],
        &["--two-pass", "--latent-upsampler", &upsampler],
        &["--vae", &vae],
        &["--text-encoder", &vae],
        &["--tokenizer", &vae],
        &["--variant", "dev"],
        &["--dtype", "bf16"],
        &["--vae-tiling", "on"],
        &["--offload", "disk"],
        &["--sigmas", "1,0.5"],
        &["--flow-shift", "2"],
        &["--stg-scale", "1"],
        &["--guidance-rescale", "0.5"],
        &["--strength", "1"],
        &["--image-noise", "0"],
        &["--decode-timestep", "0"],
        &["--decode-noise", "0"],
    ];
    let with_model: Vec<Vec<&str>> = cases.iter().map(|options| [&["--model", "sway"], *options].concat()).collect();
    check(&Runs::new("refusals-sway"), "ltx-refusals-sway", &with_model.iter().map(Vec::as_slice).collect::<Vec<_>>());
}
