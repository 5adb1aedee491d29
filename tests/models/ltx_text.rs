//! LTX-Video's tokenizer and text encoder against transformers'.

use candle_core::quantized::{GgmlDType, QTensor, gguf_file};
use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use stir::models::ltx::text::config::Config;
use stir::models::ltx::text::t5::{Encoder, Residency};
use stir::models::ltx::text::tokenizer::{LIMIT, Tokenizer, Tokens};
use stir::weights::files::WeightFiles;
use stir::weights::keymap::KeyMap;
use stir::weights::store::{Placement, Store};

use crate::fixture::{assert_close, fixture, repository, values};
use crate::scratch::Scratch;

const FIXTURES: &str = "tests/fixtures/ltx";

#[derive(Deserialize)]
struct Row {
    text: String,
    spiece: Vec<u32>,
    json: Vec<u32>,
}

fn rows() -> Vec<Row> {
    let path = repository(FIXTURES).join("tokens.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn tokenizer(file: &str) -> Tokenizer {
    Tokenizer::open(&repository(FIXTURES).join("tokenizer").join(file)).unwrap()
}

#[test]
fn tokens_of_the_sentencepiece_model_are_those_of_transformers() {
    let tokenizer = tokenizer("spiece.model");
    for Row { text, spiece, .. } in rows() {
        assert_eq!(tokenizer.encode(&text).unwrap().ids, spiece, "{text:?}");
    }
}

#[test]
fn tokens_of_the_json_file_are_those_of_the_tokenizers_library() {
    let tokenizer = tokenizer("tokenizer.json");
    for Row { text, json, .. } in rows() {
        assert_eq!(tokenizer.encode(&text).unwrap().ids, json, "{text:?}");
    }
}

#[test]
fn words_that_do_not_fit_are_reported_whole() {
    for file in ["spiece.model", "tokenizer.json"] {
        let tokenizer = tokenizer(file);
        let fits = tokenizer.encode(&"wind ".repeat(254)).unwrap();
        assert_eq!((fits.ids.len(), fits.cut.as_str()), (255, ""));
        let full = tokenizer.encode(&"wind ".repeat(255)).unwrap();
        assert_eq!((full.ids.len(), full.cut.as_str()), (LIMIT, ""));
        let Tokens { ids, cut } = tokenizer.encode(&format!("{}wind  hair flowing", "wind ".repeat(254))).unwrap();
        assert_eq!((ids.len(), ids.last(), cut.as_str()), (LIMIT, Some(&1), "hair flowing"));
        // The last word begins within the limit and ends behind it.
        let cut = tokenizer.encode(&format!("{}extraordinary end", "wind ".repeat(254))).unwrap().cut;
        assert_eq!(cut, "extraordinary end");
    }
}

#[test]
fn a_folder_is_searched_for_its_tokenizer() {
    let folder = repository(FIXTURES).join("tokenizer");
    assert_eq!(Tokenizer::open(&folder).unwrap().encode("a").unwrap(), tokenizer("spiece.model").encode("a").unwrap());
    let scratch = Scratch::new("json-alone");
    std::fs::copy(folder.join("tokenizer.json"), scratch.path("tokenizer.json")).unwrap();
    assert_eq!(Tokenizer::open(scratch.folder()).unwrap().encode("a").unwrap().ids.len(), 2);
}

#[test]
fn what_is_no_tokenizer_is_refused() {
    let model = std::fs::read(repository(FIXTURES).join("tokenizer/spiece.model")).unwrap();
    let scratch = Scratch::new("no-tokenizer");
    let half = &model[..model.len() / 2];
    let trainer = |option: &[u8]| [&model, &[0x12, option.len() as u8][..], option].concat();
    for (content, found) in [
        (b"".as_slice(), "no pieces"),
        (b"{}", "missing"),
        (b"a text", "no SentencePiece model"),
        (half, "no SentencePiece model"),
        (&trainer(&[0x18, 2]), "model type 2"),
        (&trainer(&[0x98, 2, 1]), "fallback to bytes"),
    ] {
        std::fs::write(scratch.path("spiece.model"), content).unwrap();
        let error = Tokenizer::open(scratch.folder()).err().expect(found);
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(found), "{error}");
    }
    let absent = Tokenizer::open(&scratch.path("nowhere")).err().unwrap();
    assert!(absent.to_string().contains("nowhere"), "{absent}");
}

/// Bytes changed at random never make the program fail, whatever they make of the model.
#[test]
fn a_damaged_model_is_refused_or_used_but_never_a_crash() {
    let model = std::fs::read(repository(FIXTURES).join("tokenizer/spiece.model")).unwrap();
    let scratch = Scratch::new("damaged-model");
    let mut state = 1u64;
    let mut random = |limit: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % limit
    };
    let (mut refused, mut used) = (0, 0);
    for _ in 0..200 {
        let mut changed = model.clone();
        for _ in 0..=random(3) {
            // The pieces are at the beginning; most of the rest is the table of replacements.
            let place = [random(9000), random(model.len()), random(model.len())][random(3)];
            changed[place] = random(256) as u8;
        }
        std::fs::write(scratch.path("spiece.model"), changed).unwrap();
        match Tokenizer::open(scratch.folder()) {
            Ok(tokenizer) => {
                used += 1;
                tokenizer.encode("ﬁne ½ e\u{301}te\u{301} <camera> moves").unwrap();
            }
            Err(error) => {
                refused += 1;
                assert_eq!(error.exit_code(), 2);
            }
        }
    }
    assert!(refused > 10 && used > 10, "{refused} refused, {used} used");
}

fn encoder_files() -> WeightFiles {
    WeightFiles::open(&repository(FIXTURES).join("text_encoder")).unwrap()
}

fn config() -> Config {
    Config::read(&repository(FIXTURES).join("text_encoder/config.json")).unwrap()
}

#[test]
fn a_folder_is_configured_by_its_file_and_a_file_by_its_shapes() {
    let files = encoder_files();
    let store = store(&files, DType::F32);
    let folder = repository(FIXTURES).join("text_encoder");
    assert_eq!(Config::open(&folder, &store).unwrap(), config());
    assert_eq!(Config::open(&folder.join("model.safetensors"), &store).unwrap(), config());
    let scratch = Scratch::new("t5-config-damaged");
    std::fs::write(scratch.path("config.json"), "{").unwrap();
    assert_eq!(Config::open(scratch.folder(), &store).unwrap_err().exit_code(), 2);
}

fn store(files: &WeightFiles, dtype: DType) -> Store<'_> {
    Store::open(files, KeyMap::IDENTITY, &Placement { dtype, device: Device::Cpu }).unwrap()
}

fn tokens(name: &str) -> Vec<u32> {
    fixture("ltx/text.safetensors").get(&format!("{name}.tokens")).to_vec1().unwrap()
}

/// Runs a checkpoint on fixture texts and checks that it was read completely.
fn encode(files: &WeightFiles, dtype: DType, residency: Residency, names: &[&str]) -> Vec<Tensor> {
    let store = store(files, dtype);
    let config = Config::of_shapes(&store).unwrap();
    assert_eq!(config, self::config());
    let texts: Vec<Vec<u32>> = names.iter().map(|name| tokens(name)).collect();
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let outputs = Encoder::load(&store, config, residency).unwrap().forward(&texts).unwrap();
    store.finish().unwrap();
    outputs
}

fn assert_outputs(outputs: &[Tensor], names: &[&str], tolerance: f64) {
    let golden = fixture("ltx/text.safetensors");
    for (name, output) in names.iter().zip(outputs) {
        assert_close(name, &values(output), &golden.values(&format!("{name}.output")), tolerance);
    }
}

const NAMES: [&str; 3] = ["one", "short", "long"];

/// Two float32 implementations that sum in other orders: measured 1e-6 of the largest value.
const FLOAT32: f64 = 5e-6;

#[test]
fn the_encoder_is_that_of_transformers() {
    let outputs = encode(&encoder_files(), DType::F32, Residency::Whole, &NAMES);
    assert_outputs(&outputs, &NAMES, FLOAT32);
    let golden = fixture("ltx/text.safetensors");
    assert_close("padded", &values(&outputs[1]), &golden.values("short.output_padded"), FLOAT32);
}

#[test]
fn reading_layer_by_layer_changes_nothing() {
    let whole = encode(&encoder_files(), DType::F32, Residency::Whole, &NAMES);
    let layered = encode(&encoder_files(), DType::F32, Residency::Layer, &NAMES);
    for (whole, layered) in whole.iter().zip(&layered) {
        assert_eq!(values(whole), values(layered));
    }
}

/// Bfloat16 rounds to 8 bits at every step: measured 0.013 of the largest value after three layers.
#[test]
fn bfloat16_is_float32_up_to_its_rounding() {
    let outputs = encode(&encoder_files(), DType::BF16, Residency::Whole, &NAMES);
    assert!(outputs.iter().all(|output| output.dtype() == DType::BF16));
    assert_outputs(&outputs, &NAMES, 0.026);
}

#[test]
fn float16_is_refused_because_it_overflows() {
    let files = encoder_files();
    let error = Encoder::load(&store(&files, DType::F16), config(), Residency::Whole).err().unwrap();
    assert!(error.to_string().contains("overflows"), "{error}");
}

/// Reads the encoder's tensors; `rename` and `convert` make another file of them.
fn rewritten(scratch: &Scratch, change: impl Fn(String, Tensor) -> Vec<(String, Tensor)>) -> WeightFiles {
    let path = repository(FIXTURES).join("text_encoder/model.safetensors");
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let tensors = tensors.into_iter().flat_map(|(name, tensor)| change(name, tensor)).collect();
    candle_core::safetensors::save(&tensors, scratch.path("t5xxl.safetensors")).unwrap();
    WeightFiles::open(&scratch.path("t5xxl.safetensors")).unwrap()
}

#[test]
fn a_single_float16_file_with_two_copies_of_the_embedding_is_read() {
    let scratch = Scratch::new("t5-single");
    let files = rewritten(&scratch, |name, tensor| {
        let half = tensor.to_dtype(DType::F16).unwrap();
        let copy = (name == "shared.weight").then(|| ("encoder.embed_tokens.weight".to_owned(), half.clone()));
        [(name, half)].into_iter().chain(copy).collect()
    });
    // The weights' rounding to 11 bits: measured 0.001.
    assert_outputs(&encode(&files, DType::F32, Residency::Layer, &NAMES), &NAMES, 0.002);
}

#[test]
fn a_file_with_only_the_encoders_own_embedding_is_read() {
    let scratch = Scratch::new("t5-unshared");
    let files = rewritten(&scratch, |name, tensor| {
        vec![(name.replace("shared.weight", "encoder.embed_tokens.weight"), tensor)]
    });
    assert_outputs(&encode(&files, DType::F32, Residency::Whole, &NAMES), &NAMES, FLOAT32);
}

#[test]
fn float8_weights_are_converted_when_they_are_used() {
    let scratch = Scratch::new("t5-float8");
    let matrix = |name: &str| name.contains("SelfAttention") || name.contains("DenseReluDense");
    let round = |tensor: &Tensor| tensor.to_dtype(DType::F8E4M3).unwrap();
    let files = rewritten(&scratch, |name, tensor| {
        let tensor = if matrix(&name) { round(&tensor) } else { tensor };
        vec![(name, tensor)]
    });
    let float8 = encode(&files, DType::F32, Residency::Whole, &NAMES);
    let scratch = Scratch::new("t5-float8-wide");
    let files = rewritten(&scratch, |name, tensor| {
        let tensor = if matrix(&name) { round(&tensor).to_dtype(DType::F32).unwrap() } else { tensor };
        vec![(name, tensor)]
    });
    for (float8, wide) in float8.iter().zip(encode(&files, DType::F32, Residency::Whole, &NAMES)) {
        assert_eq!(values(float8), values(&wide));
    }
}

/// As ComfyUI's files of T5 are.
#[test]
fn scaled_float8_weights_are_what_they_stand_for() {
    const SCALE: f32 = 0.3;
    let matrix = |name: &str| name.contains("SelfAttention") || name.contains("DenseReluDense");
    let narrow = |tensor: &Tensor| (tensor / f64::from(SCALE)).unwrap().to_dtype(DType::F8E4M3).unwrap();
    let scratch = Scratch::new("t5-scaled");
    let files = rewritten(&scratch, |name, tensor| {
        if !matrix(&name) {
            return vec![(name, tensor)];
        }
        let scale = Tensor::new(SCALE, &Device::Cpu).unwrap();
        vec![(name.replace(".weight", ".scale_weight"), scale), (name, narrow(&tensor))]
    });
    let scaled = encode(&files, DType::F32, Residency::Layer, &NAMES);
    let scratch = Scratch::new("t5-scaled-wide");
    let files = rewritten(&scratch, |name, tensor| {
        let wide = || (narrow(&tensor).to_dtype(DType::F32).unwrap() * f64::from(SCALE)).unwrap();
        vec![(name.clone(), if matrix(&name) { wide() } else { tensor.clone() })]
    });
    for (scaled, wide) in scaled.iter().zip(encode(&files, DType::F32, Residency::Whole, &NAMES)) {
        assert_eq!(values(scaled), values(&wide));
    }
}

/// The names that GGUF files use, spelt out.
fn gguf_name(name: &str) -> String {
    let renames = [
        ("shared", "token_embd"),
        ("encoder.final_layer_norm", "enc.output_norm"),
        ("encoder.block", "enc.blk"),
        ("layer.0.SelfAttention.relative_attention_bias", "attn_rel_b"),
        ("layer.0.SelfAttention.", "attn_"),
        ("layer.0.layer_norm", "attn_norm"),
        ("layer.1.layer_norm", "ffn_norm"),
        ("layer.1.DenseReluDense.wi_0", "ffn_gate"),
        ("layer.1.DenseReluDense.wi_1", "ffn_up"),
        ("layer.1.DenseReluDense.wo", "ffn_down"),
    ];
    renames.iter().fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
}

/// Writes `t5.gguf`.
pub fn gguf(scratch: &Scratch, kind: GgmlDType) -> WeightFiles {
    let path = repository(FIXTURES).join("text_encoder/model.safetensors");
    let tensors: Vec<(String, QTensor)> = candle_core::safetensors::load(path, &Device::Cpu)
        .unwrap()
        .into_iter()
        .map(|(name, tensor)| {
            let name = gguf_name(&name);
            let plain = name.contains("norm") || name.contains("rel_b");
            (name, QTensor::quantize(&tensor, if plain { GgmlDType::F32 } else { kind }).unwrap())
        })
        .collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let architecture = gguf_file::Value::String("t5encoder".to_owned());
    let mut file = std::fs::File::create(scratch.path("t5.gguf")).unwrap();
    gguf_file::write(&mut file, &[("general.architecture", &architecture)], &tensors).unwrap();
    WeightFiles::open(&scratch.path("t5.gguf")).unwrap()
}

/// Measured 0.0009, 0.028 and 0.42 of the largest value: with rows of one to three blocks nothing averages out, and 4 bits check the names
/// and the types more than the numbers.
#[test]
fn quantized_encoders_are_near_the_dense_one() {
    for (kind, tolerance) in [(GgmlDType::F16, 0.002), (GgmlDType::Q8_0, 0.056), (GgmlDType::Q4_0, 0.6)] {
        let scratch = Scratch::new(&format!("t5-{kind:?}"));
        let files = gguf(&scratch, kind);
        assert_eq!(files.metadata().unwrap()["general.architecture"], "t5encoder");
        assert_outputs(&encode(&files, DType::F32, Residency::Layer, &NAMES), &NAMES, tolerance);
    }
}

#[test]
fn tensors_that_no_encoder_has_are_named() {
    let scratch = Scratch::new("t5-decoder");
    let files = rewritten(&scratch, |name, tensor| {
        let extra = (name == "shared.weight").then(|| ("decoder.block.0.weight".to_owned(), tensor.clone()));
        [(name, tensor)].into_iter().chain(extra).collect()
    });
    let store = store(&files, DType::F32);
    Encoder::load(&store, config(), Residency::Whole).unwrap().forward(&[&[1]]).unwrap();
    assert!(store.finish().unwrap_err().to_string().contains("decoder.block.0.weight"));
}

#[test]
fn a_token_without_a_row_is_refused() {
    let files = encoder_files();
    let store = store(&files, DType::F32);
    let encoder = Encoder::load(&store, config(), Residency::Whole).unwrap();
    let error = encoder.forward(&[&[512]]).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("row 512"), "{error}");
    assert!(encoder.forward(&[&[]]).is_err());
}

#[test]
fn configs_of_other_encoders_are_refused_with_the_field() {
    let text = std::fs::read_to_string(repository(FIXTURES).join("text_encoder/config.json")).unwrap();
    let scratch = Scratch::new("t5-config");
    for (from, to, named) in [
        ("\"gated-gelu\"", "\"relu\"", "`feed_forward_proj`"),
        ("\"gelu_new\"", "\"silu\"", "`dense_act_fn`"),
        ("\"model_type\": \"t5\"", "\"model_type\": \"umt5\"", "`model_type`"),
        ("\"num_heads\": 4,", "", "num_heads"),
        ("\"num_heads\": 4,", "\"num_heads\": 0,", "size of 0"),
        ("\"d_ff\": 96", "\"d_ff\": -96", "-96"),
        ("num_buckets\": 32", "num_buckets\": 30", "30 buckets"),
        ("{", "{\"quantization_config\": {},", "`quantization_config`"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        std::fs::write(scratch.path("config.json"), changed).unwrap();
        let error = Config::read(&scratch.path("config.json")).unwrap_err();
        assert!(error.to_string().contains(named), "{named}: {error}");
        assert_eq!(error.exit_code(), 2);
    }
}
