//! One network of a folder of diffusers, run on request: our side of `scripts/bench_vs_diffusers.py`, which starts it and its twin, and times both.
//!
//! ```text
//! cargo bench --bench versus -- PART MODEL INPUTS OUTPUT DTYPE THREADS [DEVICE]
//! ```
//!
//! `DEVICE` is what `--device` takes, `cpu` when left out. `PART` is `transformer`, `vae-decode` or `t5`; `INPUTS` is a safetensors file, and so will be `OUTPUT`. Requests come as lines, and each is answered
//! by the seconds that it took:
//!
//! * `ready` does nothing;
//! * `load` reads the network as the program does, in place of the one before;
//! * `run` computes once with the network that is loaded;
//! * `whole` does both in the way of the program, which reads T5 layer by layer;
//! * `write` writes what the last `run` or `whole` made into `OUTPUT`, as float32.

use std::collections::HashMap;
use std::io::BufRead;
use std::path::PathBuf;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use stir::backend::cpu::memory::Reusing;
use stir::backend::cpu::threads;
use stir::device::DeviceChoice;
use stir::error::Result;
use stir::latents::{Constraint, Latents};
use stir::models::ltx::checkpoint::{Checkpoint, Files, VaeDecoder};
use stir::models::ltx::denoiser::{Denoiser, PART};
use stir::models::ltx::prompt::PROMPT;
use stir::models::ltx::text::config::Config;
use stir::models::ltx::text::t5::{Encoder, Residency};
use stir::models::{self, Branch, Conditioning, Denoiser as _, Offload, Prediction};
use stir::units::{Clip, Fps, PixelFrames};
use stir::weights::files::WeightFiles;
use stir::weights::keymap::KeyMap;
use stir::weights::store::{Placement, Store};

/// The program's.
#[global_allocator]
static ALLOCATOR: Reusing = Reusing;

fn main() {
    threads::keep_to_rayon();
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [part, model, inputs, output, dtype, threads, device @ ..] = arguments.as_slice() else {
        println!("started by scripts/bench_vs_diffusers.py; by hand: PART MODEL INPUTS OUTPUT DTYPE THREADS [DEVICE]");
        return;
    };
    let device = device.first().map_or(Ok(DeviceChoice::Cpu), |device| device.parse());
    let device = device.and_then(DeviceChoice::open).unwrap_or_else(|error| panic!("{error}; {}", error.hint()));
    let threads = threads.parse().expect("THREADS is a number");
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("a pool of threads");
    let case = Case {
        model: model.into(),
        inputs: candle_core::safetensors::load(inputs, &Device::Cpu).expect("INPUTS is a safetensors file"),
        placement: Placement {
            dtype: models::dtype_named(dtype).expect("DTYPE is f32 or bf16"),
            device: device.clone(),
        },
    };
    let mut requests = Requests { output: output.into(), device, found: None, waiting: None };
    while let Some(request) = requests.next() {
        let start = Instant::now();
        match (request.as_str(), part.as_str()) {
            ("ready", _) => {
                requests.answer(start, None);
                Ok(())
            }
            ("load", "transformer") => case.transformer(|run| requests.serve(start, run)),
            ("load", "vae-decode") => case.vae_decoder(|run| requests.serve(start, run)),
            ("load", "t5") => case.text_encoder(|run| requests.serve(start, run)),
            ("whole", "t5") => case.text().map(|found| requests.answer(start, Some(found))),
            _ => panic!("no request for {part}: {request}"),
        }
        .unwrap_or_else(|error| panic!("{error}"));
    }
}

/// The computation of a network that is loaded.
type Run<'a> = &'a dyn Fn() -> Result<Tensor>;

/// The other side of the pipe.
struct Requests {
    output: PathBuf,
    /// What has to have finished before an answer.
    device: Device,
    found: Option<Tensor>,
    /// A request that was read and not answered.
    waiting: Option<String>,
}

impl Requests {
    fn next(&mut self) -> Option<String> {
        self.waiting.take().or_else(|| {
            let line = std::io::stdin().lock().lines().next()?;
            Some(line.expect("a line of text"))
        })
    }

    fn answer(&mut self, start: Instant, found: Option<Tensor>) {
        self.device.synchronize().expect("a device that works");
        println!("{}", start.elapsed().as_secs_f64());
        self.found = found.or(self.found.take());
    }

    /// Runs a network, which took since `start` to load, until something else is asked for.
    fn serve(&mut self, start: Instant, run: Run) -> Result<()> {
        self.answer(start, None);
        while let Some(request) = self.next() {
            let start = Instant::now();
            match request.as_str() {
                "run" => {
                    let found = run()?;
                    self.answer(start, Some(found));
                }
                "write" => {
                    let found = self.found.as_ref().expect("`run` before `write`").to_dtype(DType::F32)?;
                    let found = found.to_device(&Device::Cpu)?;
                    candle_core::safetensors::save(&HashMap::from([("output", found)]), &self.output)?;
                    self.answer(start, None);
                }
                _ => {
                    self.waiting = Some(request);
                    break;
                }
            }
        }
        Ok(())
    }
}

/// What is measured. Each network is built, and given to `then` as long as that wants it.
struct Case {
    model: PathBuf,
    inputs: HashMap<String, Tensor>,
    placement: Placement,
}

impl Case {
    fn checkpoint(&self) -> Result<Checkpoint> {
        Checkpoint::open(&Files { model: self.model.clone(), ..Files::default() })
    }

    fn number(&self, name: &str) -> f64 {
        let value = self.inputs[name].to_dtype(DType::F64).and_then(|value| value.flatten_all()?.get(0)?.to_scalar());
        value.expect("a number")
    }

    /// A prediction as the sampler asks for it; a first frame is held where the inputs hold one.
    fn transformer(&self, then: impl FnOnce(Run) -> Result<()>) -> Result<()> {
        let checkpoint = self.checkpoint()?;
        let transformer = checkpoint.transformer(&self.placement, Offload::None)?;
        let denoiser = Denoiser::new(transformer, self.placement.device.clone());
        let mut conditioning = Conditioning::default();
        conditioning.text.tensors.insert(PROMPT, self.inputs["text"].clone());
        let latents = &self.inputs["latents"];
        let (_, _, frames, height, width) = latents.dims5()?;
        let clip = Clip {
            width: 32 * width,
            height: 32 * height,
            frames: PixelFrames(8 * (frames - 1) + 1),
            fps: Fps(self.number("fps")),
        };
        let mask = Tensor::ones(latents.narrow(2, 0, 1)?.shape(), DType::F32, &Device::Cpu)?;
        let first = Constraint { part: PART, mask: mask.pad_with_zeros(2, 0, frames - 1)?, value: latents.clone() };
        let constraints = if self.number("held") == 1.0 { vec![first] } else { Vec::new() };
        let noisy = Latents { parts: [(PART, latents.clone())].into() };
        then(&|| {
            let mut predicted = denoiser.velocity(
                &noisy,
                &Prediction {
                    sigma: self.number("sigma"),
                    branch: Branch::Prompt,
                    conditioning: &conditioning,
                    constraints: &constraints,
                    clip: &clip,
                },
            )?;
            Ok(predicted.parts.remove(PART).expect("the part that was given"))
        })
    }

    /// A decode as the program streams it; the frames are kept, as a clip `[1, 3, T, H, W]`.
    fn vae_decoder(&self, then: impl FnOnce(Run) -> Result<()>) -> Result<()> {
        let VaeDecoder { decoder, statistics } = self.checkpoint()?.vae_decoder(&self.placement)?;
        then(&|| {
            let latents = statistics.denormalise(&self.inputs["latents"])?.to_device(&self.placement.device)?;
            let latents = latents.to_dtype(self.placement.dtype)?;
            let mut stream = decoder.prepare(self.number("timestep"), &[])?.stream(&latents)?;
            let mut frames = Vec::new();
            while let Some(frame) = stream.next()? {
                frames.push(frame);
            }
            Ok(Tensor::stack(&frames, 1)?.unsqueeze(0)?)
        })
    }

    fn tokens(&self) -> Result<Vec<u32>> {
        Ok(self.inputs["tokens"].to_dtype(DType::U32)?.flatten_all()?.to_vec1()?)
    }

    /// All layers at once in memory, so that loading and computing are apart.
    fn text_encoder(&self, then: impl FnOnce(Run) -> Result<()>) -> Result<()> {
        let folder = self.model.join("text_encoder");
        let files = WeightFiles::open(&folder)?;
        let store = Store::open(&files, KeyMap::IDENTITY, &self.placement)?;
        let encoder = Encoder::load(&store, Config::open(&folder, &store)?, Residency::Whole)?;
        let tokens = self.tokens()?;
        then(&|| Ok(encoder.forward(&[&tokens])?.remove(0).unsqueeze(0)?))
    }

    /// The text as the program encodes it.
    fn text(&self) -> Result<Tensor> {
        Ok(self.checkpoint()?.encode_text(&self.placement, &[&self.tokens()?])?.remove(0))
    }
}
