//! What is said of files and folders.

use std::path::Path;

use stir::models::inspect::{Inspection, Kind, inspect};

use crate::fixture::repository;
use crate::ltx_checkpoint::{released_text_encoder, released_transformer, released_vae, write_hollow};
use crate::ltx_layouts::{Model, Tensors, filled, folder, save, single_file, vae_name};
use crate::scratch::Scratch;

fn look(path: &Path) -> Inspection {
    inspect(path).unwrap_or_else(|error| panic!("{error}"))
}

/// Facts as `name: value`.
fn facts(inspection: &Inspection) -> Vec<String> {
    inspection.facts.iter().map(|fact| format!("{}: {}", fact.name, fact.value)).collect()
}

/// Parts as `name: tensors type`, a type after the other.
fn parts(inspection: &Inspection) -> Vec<String> {
    let types = |part: &stir::models::inspect::Part| -> Vec<String> {
        part.types.iter().map(|count| format!("{} {}", count.tensors, count.dtype)).collect()
    };
    inspection.parts.iter().map(|part| format!("{}: {}", part.name, types(part).join(", "))).collect()
}

fn missing(inspection: &Inspection) -> Vec<&str> {
    inspection.missing.iter().map(|part| part.option).collect()
}

#[test]
fn a_folder_of_diffusers_is_known_by_its_parts() {
    let scratch = folder("inspect-folder", &Model::new("0.9.5"));
    let found = look(scratch.folder());
    assert_eq!((found.family.as_str(), found.kind), ("ltx", Kind::DiffusersFolder));
    let expected = [
        "pipeline: LTXConditionPipeline",
        "size: of no release (3 blocks, 40 wide)",
        "autoencoder of: 0.9.5 to 0.9.8",
        "positions in time: causal",
    ];
    assert_eq!(facts(&found), expected);
    let expected = ["transformer: 90 bfloat16", "autoencoder: 95 bfloat16", "text encoder: 30 float32", "tokenizer: "];
    assert_eq!(parts(&found), expected);
    assert_eq!((missing(&found), &found.problem), (vec![], &None));

    for part in ["vae", "tokenizer", "text_encoder"] {
        std::fs::remove_dir_all(scratch.path(part)).unwrap();
    }
    let found = look(scratch.folder());
    assert_eq!(missing(&found), ["--vae", "--text-encoder", "--tokenizer"]);
    assert_eq!((parts(&found), found.problem), (vec!["transformer: 90 bfloat16".to_owned()], None));
}

#[test]
fn what_is_wrong_with_a_complete_model_is_told() {
    let mut model = Model::new("0.9.0");
    model.vae.insert("decoder.magic".to_owned(), filled(&[1]));
    let scratch = folder("inspect-wrong", &model);
    let found = look(scratch.folder());
    assert!(found.problem.as_ref().unwrap().contains("decoder.magic"), "{found:?}");
    assert_eq!(missing(&found), [""; 0]);
    model.vae.remove("decoder.magic");
    let scratch = folder("inspect-cut-text", &model);
    std::fs::write(scratch.path("text_encoder/model.safetensors"), "cut").unwrap();
    assert!(look(scratch.folder()).problem.unwrap().contains("model.safetensors"));
    let scratch = folder("inspect-no-transformer", &model);
    std::fs::remove_dir_all(scratch.path("transformer")).unwrap();
    assert!(look(scratch.folder()).problem.unwrap().contains("`transformer`"));
}

#[test]
fn released_single_files_are_known_by_their_shapes() {
    let scratch = Scratch::new("inspect-released");
    for (name, width, layers, size) in
        [("2b", 2048, 28, "2B (28 blocks, 2048 wide)"), ("13b", 4096, 48, "13B (48 blocks, 4096 wide)")]
    {
        let file = scratch.path(&format!("{name}.safetensors"));
        write_hollow(&file, &[released_transformer(width, layers), released_vae()].concat());
        let found = look(&file);
        assert_eq!(found.kind, Kind::SingleFile);
        assert_eq!(facts(&found)[0], format!("size: {size}"));
        assert_eq!(facts(&found)[1], "autoencoder of: 0.9.5 to 0.9.8");
        assert_eq!(missing(&found), ["--text-encoder", "--tokenizer"]);
        assert_eq!(found.problem, None);
        let [transformer, vae] = found.parts.as_slice() else { panic!("{found:?}") };
        assert_eq!((transformer.name.as_str(), vae.name.as_str()), ("transformer", "autoencoder"));
        assert_eq!(vae.types[0].parameters / 100_000, 12_469);
    }
    let file = scratch.path("t5xxl_fp16.safetensors");
    write_hollow(&file, &released_text_encoder());
    let found = look(&file);
    assert_eq!((found.kind, missing(&found), &found.problem), (Kind::TextEncoder, vec![], &None));
    assert_eq!(parts(&found), ["text encoder: 219 bfloat16"]);
}

#[test]
fn distilled_files_say_so_and_parts_are_known_alone() {
    let model = Model::new("0.9.5");
    let mut metadata = model.metadata();
    metadata["allowed_inference_steps"] = serde_json::json!([1.0, 0.725, 0.4219]);
    let scratch = single_file("inspect-distilled", &model.single_file(), Some(&metadata));
    let found = look(&scratch.path("model.safetensors"));
    assert!(facts(&found).contains(&"distilled: for 3 steps".to_owned()), "{found:?}");
    assert_eq!((missing(&found), &found.problem), (vec![], &None));

    let vae: Tensors = model.vae.iter().map(|(name, tensor)| (vae_name("0.9.5", name), tensor.clone())).collect();
    save(&scratch.path("vae.safetensors"), &vae, None);
    let found = look(&scratch.path("vae.safetensors"));
    assert_eq!((found.kind, facts(&found)), (Kind::Vae, vec!["autoencoder of: 0.9.5 to 0.9.8".to_owned()]));
    let found = look(&repository("tests/fixtures/ltx/vae_0.9.1"));
    assert_eq!(found.kind, Kind::Vae);

    let names = ["initial_conv.weight", "post_upsample_res_blocks.0.conv1.weight"];
    let upsampler: Tensors = names.map(|name| (name.to_owned(), filled(&[2]))).into();
    save(&scratch.path("upsampler.safetensors"), &upsampler, None);
    assert_eq!(look(&scratch.path("upsampler.safetensors")).kind, Kind::LatentUpsampler);
}

#[test]
fn the_model_that_ships_with_stir_is_known_by_its_manifest() {
    let found = look(&repository("models/sway"));
    assert_eq!((found.family.as_str(), found.kind), ("sway", Kind::ModelFolder));
    let names: Vec<&str> = found.parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["denoiser.safetensors", "encoder.safetensors"]);
    assert!(found.parts.iter().all(|part| part.types[0].parameters > 1_000_000), "{found:?}");
}

#[test]
fn foreign_and_damaged_files_get_a_clear_answer() {
    let scratch = Scratch::new("inspect-foreign");
    save(&scratch.path("other.safetensors"), &Tensors::from([("blocks.0.weight".to_owned(), filled(&[2]))]), None);
    std::fs::write(scratch.path("text.txt"), "a text").unwrap();
    for (name, said) in [
        ("other.safetensors", "tensors such as blocks.0.weight"),
        ("text.txt", "text.txt"),
        ("nowhere", "nothing there"),
    ] {
        let error = inspect(&scratch.path(name)).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
