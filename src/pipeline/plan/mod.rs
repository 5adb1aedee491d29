//! What a run will do and take, without loading weights: shapes, operations, memory, disk, and time where this machine has been measured.

mod check;
mod disk;
mod time;

pub(super) use check::with_decisions;
pub use check::{Planned, plan};
pub use disk::DiskUse;
pub use time::TimeSource;

use candle_core::Device;
use serde::Serialize;

use super::bench::kept;
use super::bench::record::Shape;
use super::prepare::{Resolved, spoken};
use super::request::Request;
use super::residency::{Budget, Offloading};
use crate::device;
use crate::device::machine::Machine;
use crate::error::Result;
use crate::media;
use crate::models::{Family, Memory, Pass, StageMemory, Work};
use crate::units::{Bytes, Clip};
use time::{Amounts, Wanted};

/// A run that is expected to take longer than this is warned of, in seconds.
const LONG: f64 = 3600.0;

/// What a run will do and take.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// As it was named.
    pub model: String,
    /// The family that runs it.
    pub family: String,
    /// Where the networks run.
    pub device: String,
    /// The type that the denoiser computes in.
    pub dtype: String,
    /// Threads of the CPU.
    pub threads: usize,
    /// How many clips are made.
    pub clips: usize,
    /// What is written.
    pub clip: Shape,
    /// What the model makes for it.
    pub generated: Shape,
    /// The passes of the recipe.
    pub passes: Vec<PassPlan>,
    /// The stages of the whole run, in order.
    pub stages: Vec<StagePlan>,
    /// What the networks take at their largest moment.
    pub memory: MemoryPlan,
    /// What is written to disk.
    pub disk: Vec<DiskUse>,
    /// Where the expected times are from; `None` where nothing comparable was measured on this machine.
    pub time_source: Option<TimeSource>,
    /// Expected seconds of the whole run.
    pub seconds: Option<f64>,
    /// The command that measures this machine for such a run.
    pub bench_command: String,
    /// What will not do, and what will take long.
    pub warnings: Vec<String>,
}

/// One way from noise to latents.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PassPlan {
    /// What it makes.
    pub clip: Shape,
    /// The parts of the latents.
    pub latents: Vec<LatentPart>,
    /// Positions that the denoiser attends over; `None` where the model counts none.
    pub tokens: Option<usize>,
    /// Denoising steps.
    pub steps: usize,
    /// Predictions of all steps together: guidance combines several.
    pub predictions: usize,
    /// Operations of one prediction with the prompt, in units of 10^12; `None` where they are not counted.
    pub prediction_teraflop: Option<f64>,
}

/// A part of the latents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LatentPart {
    /// Its name in files.
    pub name: &'static str,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// A stage, for all clips of the run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StagePlan {
    /// `load`, `text`, `encode`, `denoise`, `decode` or `mux`; the second of two passes is another `denoise`.
    pub name: &'static str,
    /// How often it is done: steps of `denoise`, clips of `decode` and `mux`.
    pub times: usize,
    /// Operations counted, in units of 10^12; `None` where they are not.
    pub teraflop: Option<f64>,
    /// What is held while it runs; `None` where that is next to nothing.
    pub memory: Option<StageMemory>,
    /// Expected seconds; `None` where nothing comparable was measured.
    pub seconds: Option<f64>,
}

/// Memory of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemoryPlan {
    /// What the largest stage holds, in bytes.
    pub peak_bytes: u64,
    /// What is free now, in bytes; `None` where the device does not tell.
    pub available_bytes: Option<u64>,
    /// Where the denoiser's blocks would wait: `none` is on the device.
    pub offload: &'static str,
    /// What there is to say of that; `None` where all is as usual.
    pub offload_note: Option<String>,
    /// How frames would be decoded in tiles, and why; `None` where they would not.
    pub tiles: Option<String>,
}

/// The plan of a request that has been resolved. `on`: the device, and what the request comes to.
fn plan_of(request: &Request, family: &dyn Family, (device, resolved): (&Device, &Resolved)) -> Result<Plan> {
    let Resolved { clip, generated, recipe, .. } = resolved;
    let unconditional = recipe.passes.iter().any(Pass::needs_unconditional);
    let text = family.text_tokens(&spoken(&request.prompt, family), unconditional)?;
    let works: Option<Vec<Work>> = recipe.passes.iter().map(|pass| family.work(text, &pass.clip)).collect();
    let amounts = Amounts::of(&recipe.passes, works.as_deref(), clip);
    let memory = family.memory(text, recipe)?;
    let budget = Budget::of(device);
    let offloading = Offloading::of(request.model.offload, &memory, &budget);
    let mut memory = memory.with(offloading.offload);
    memory.decode.activations += media::waiting_bytes(&request.output, clip);
    let machine = Machine::of(device);
    let wanted = Wanted {
        machine: &machine,
        model: &request.model.model,
        family: family.name(),
        device: device::name(device),
        dtype: family.dtype().as_str(),
        threads: rayon::current_num_threads(),
        offload: offloading.offload,
        generated: &recipe.passes.last().expect("a recipe has a pass").clip,
    };
    let measured = time::nearest(kept::all(), &wanted);
    let stages = stages(&amounts, &memory, (request.count, measured.as_ref().map(|nearest| &nearest.record)));
    let seconds = measured.as_ref().and_then(|_| stages.iter().map(|stage| stage.seconds).sum());
    let mut plan = Plan {
        model: request.model.model.clone(),
        family: family.name().to_owned(),
        device: wanted.device.clone(),
        dtype: wanted.dtype.to_owned(),
        threads: wanted.threads,
        clips: request.count,
        clip: Shape::from(clip),
        generated: Shape::from(generated),
        passes: passes(&recipe.passes, family, works.as_deref()),
        stages,
        memory: MemoryPlan {
            peak_bytes: memory.peak(),
            available_bytes: budget.device,
            offload: offloading.offload.name(),
            offload_note: offloading.line(),
            tiles: memory.tiles.map(|tiles| tiles.to_string()),
        },
        disk: disk::uses(request, family, (clip, &recipe.passes))?,
        time_source: measured.map(|nearest| nearest.source),
        seconds,
        bench_command: time::command(request, generated, &wanted),
        warnings: Vec::new(),
    };
    plan.warnings = warnings(&plan, &memory);
    Ok(plan)
}

fn passes(passes: &[Pass], family: &dyn Family, works: Option<&[Work]>) -> Vec<PassPlan> {
    let pass = |(index, pass): (usize, &Pass)| {
        let work = works.map(|works| &works[index]);
        let latents = family.latent_shapes(&pass.clip);
        PassPlan {
            clip: Shape::from(&pass.clip),
            latents: latents.into_iter().map(|(name, shape)| LatentPart { name, shape }).collect(),
            tokens: work.map(|work| work.tokens),
            steps: pass.steps(),
            predictions: pass.sigmas[..pass.steps()].iter().map(|sigma| pass.branches(*sigma).len()).sum(),
            prediction_teraflop: work.map(|work| work.prompt / 1e12),
        }
    };
    passes.iter().enumerate().map(pass).collect()
}

/// `(clips, measured)`: the number of clips, and what the times are taken from.
fn stages(
    amounts: &Amounts,
    memory: &Memory,
    (clips, measured): (usize, Option<&super::bench::record::Record>),
) -> Vec<StagePlan> {
    let stage = |name, times, memory| StagePlan { name, times, teraflop: None, memory, seconds: None };
    let mut stages = vec![
        stage("load", 1, None),
        stage("text", 1, Some(memory.text)),
        stage("encode", amounts.passes.len(), Some(memory.encode)),
    ];
    for (pass, memory) in amounts.passes.iter().zip(&memory.denoise) {
        stages.push(stage("denoise", pass.steps * clips, Some(*memory)));
    }
    stages.push(stage("decode", clips, Some(memory.decode)));
    stages.push(stage("mux", clips, None));
    let mut passes = amounts.passes.iter();
    for stage in &mut stages {
        let pass = (stage.name == "denoise").then(|| passes.next()).flatten();
        let clips = if matches!(stage.name, "denoise" | "decode" | "mux") { clips as f64 } else { 1.0 };
        stage.teraflop = amounts.operations(stage.name, pass).map(|operations| clips * operations / 1e12);
        stage.seconds = measured.and_then(|record| amounts.seconds(stage.name, pass, record)).map(|time| clips * time);
    }
    stages
}

fn warnings(plan: &Plan, memory: &Memory) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(available) = plan.memory.available_bytes.filter(|available| *available < plan.memory.peak_bytes) {
        let (needed, available) = (Bytes(plan.memory.peak_bytes), Bytes(available));
        let advice = if memory.decode.total() == plan.memory.peak_bytes && memory.tiles.is_none() {
            "--vae-tiling on takes less, and so does a smaller clip"
        } else {
            "close other programs, or make a smaller or shorter clip, or take --dtype bf16 or a smaller model"
        };
        warnings.push(format!("about {needed} of memory are needed and {available} are free: {advice}"));
    }
    for full in disk::too_full(&plan.disk) {
        warnings.push(full);
    }
    if let Some(seconds) = plan.seconds.filter(|seconds| *seconds > LONG) {
        warnings.push(format!("the run is expected to take {:.1} hours", seconds / 3600.0));
    }
    warnings
}

impl Plan {
    /// What becomes of the frames that the model makes: `16 rows are cropped, 3 frames are cut off`; empty where they are written as they are.
    pub fn trimmed(&self) -> String {
        let (clip, made) = (self.clip, self.generated);
        let cuts = [
            (made.width.saturating_sub(clip.width), "columns are cropped"),
            (made.height.saturating_sub(clip.height), "rows are cropped"),
            (made.frames.saturating_sub(clip.frames), "frames are cut off"),
        ];
        let cuts: Vec<String> =
            cuts.iter().filter(|cut| cut.0 > 0).map(|(count, what)| format!("{count} {what}")).collect();
        cuts.join(", ")
    }
}

/// Pixels of all frames.
fn pixels(clip: &Clip) -> f64 {
    (clip.width * clip.height * clip.frames.0) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(peak_bytes: u64, available_bytes: Option<u64>, seconds: Option<f64>) -> Plan {
        let clip = Shape { width: 854, height: 480, frames: 150, fps: 25.0 };
        Plan {
            model: "a".to_owned(),
            family: "ltx".to_owned(),
            device: "cpu".to_owned(),
            dtype: "bf16".to_owned(),
            threads: 2,
            clips: 1,
            clip,
            generated: Shape { width: 864, height: 480, frames: 153, fps: 25.0 },
            passes: Vec::new(),
            stages: Vec::new(),
            memory: MemoryPlan { peak_bytes, available_bytes, offload: "none", offload_note: None, tiles: None },
            disk: Vec::new(),
            time_source: None,
            seconds,
            bench_command: String::new(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn too_little_memory_and_long_runs_are_warned_of() {
        let stage = StageMemory { weights: 0, activations: 6_000_000_000 };
        let decode = Memory { decode: stage, ..Memory::default() };
        let denoise = Memory { denoise: vec![stage], ..Memory::default() };
        let said = |plan: &Plan, memory: &Memory| warnings(plan, memory).join("\n");
        let short = plan(6_000_000_000, Some(5_000_000_000), None);
        assert!(said(&short, &decode).contains("6.0 GB of memory are needed and 5.0 GB are free: --vae-tiling on"));
        assert!(said(&short, &denoise).contains("--dtype bf16"), "{}", said(&short, &denoise));
        for available in [None, Some(6_000_000_000)] {
            assert_eq!(said(&plan(6_000_000_000, available, Some(3599.0)), &decode), "");
        }
        assert_eq!(said(&plan(1, None, Some(9000.0)), &decode), "the run is expected to take 2.5 hours");
    }

    #[test]
    fn what_is_cut_off_is_said() {
        assert_eq!(plan(1, None, None).trimmed(), "10 columns are cropped, 3 frames are cut off");
        let generated = plan(1, None, None).clip;
        assert_eq!(Plan { generated, ..plan(1, None, None) }.trimmed(), "");
    }
}
