//! `stir plan`: what a run will do and take, as a table for people.

use std::sync::Arc;

use super::bench::figures;
use super::emergencies;
use super::options::Options;
use super::report::{Console, Report, printable, stdout};
use crate::error::Result;
use crate::pipeline::bench::record::Shape;
use crate::pipeline::plan::{self, DiskUse, PassPlan, Plan, StagePlan, TimeSource};
use crate::pipeline::settings::Settings;
use crate::units::{Bytes, Fps, PixelFrames};

impl Options {
    /// Says what a run by these options will do and take.
    ///
    /// # Errors
    /// What a run would refuse.
    pub(super) fn plan(&self, console: Arc<Console>) -> Result<()> {
        emergencies::watch(&console)?;
        let request = self.request()?;
        self.device.use_threads()?;
        let mut report = Report::new(console.clone(), &Settings::from(&request));
        let planned = plan::plan(&request, &mut report)?;
        console.plan(&planned, &lines(&planned.plan));
        stdout::check()
    }
}

/// Facts first, then a line a stage, then what all of them take together.
pub(super) fn lines(plan: &Plan) -> Vec<String> {
    let fact = |(label, fact): (&str, String)| format!("{label:<9} {}", printable(&fact));
    let mut lines: Vec<String> = facts(plan).into_iter().map(fact).collect();
    lines.push(String::new());
    lines.push(row(&["stage", "times", "TFLOP", "memory", "time"].map(str::to_owned)));
    lines.extend(plan.stages.iter().map(|stage| row(&cells(stage))));
    lines.push(String::new());
    lines.extend(totals(plan).into_iter().map(fact));
    lines.extend(plan.warnings.iter().map(|warning| format!("warning: {}", printable(warning))));
    lines
}

fn facts(plan: &Plan) -> Vec<(&'static str, String)> {
    let Plan { model, family, device, dtype, threads, clip, generated, .. } = plan;
    let length = PixelFrames(clip.frames).duration(Fps(clip.fps));
    let mut made = shape(generated);
    if !plan.trimmed().is_empty() {
        made += &format!("; {}", plan.trimmed());
    }
    let clips = if plan.clips == 1 { String::new() } else { format!("{} clips of ", plan.clips) };
    let mut facts = vec![
        ("model", format!("{model} ({family}) on {device}, {dtype}, {}", plural(*threads, "thread"))),
        ("clip", format!("{clips}{} at {} fps, {length}", shape(clip), clip.fps)),
        ("made", made),
    ];
    for (index, pass) in plan.passes.iter().enumerate() {
        let number =
            if plan.passes.len() == 1 { String::new() } else { format!("pass {}: {}; ", index + 1, shape(&pass.clip)) };
        facts.push(("latents", number.clone() + &latents(pass)));
        facts.push(("sampling", number + &sampling(pass)));
    }
    facts
}

fn shape(shape: &Shape) -> String {
    format!("{}x{}, {}", shape.width, shape.height, plural(shape.frames, "frame"))
}

fn plural(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

fn latents(pass: &PassPlan) -> String {
    let parts: Vec<String> = match pass.latents.as_slice() {
        [only] => vec![format!("{:?}", only.shape)],
        parts => parts.iter().map(|part| format!("{} {:?}", part.name, part.shape)).collect(),
    };
    let tokens = pass.tokens.map(|tokens| format!("; {}", plural(tokens, "token"))).unwrap_or_default();
    parts.join(", ") + &tokens
}

fn sampling(pass: &PassPlan) -> String {
    let of = pass.prediction_teraflop.map(|teraflop| format!(" of {} TFLOP", figures(teraflop))).unwrap_or_default();
    format!("{}, {}{of}", plural(pass.steps, "step"), plural(pass.predictions, "prediction"))
}

fn cells(stage: &StagePlan) -> [String; 5] {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let memory = stage.memory.map(|memory| memory.total()).filter(|bytes| *bytes > 0);
    [
        stage.name.to_owned(),
        stage.times.to_string(),
        or_none(stage.teraflop.map(figures)),
        or_none(memory.map(|bytes| Bytes(bytes).to_string())),
        or_none(stage.seconds.map(duration)),
    ]
}

fn row(cells: &[String; 5]) -> String {
    let [name, numbers @ ..] = cells;
    let numbers: String = numbers.iter().map(|cell| format!(" {cell:>10}")).collect();
    format!("{name:<8}{numbers}")
}

fn totals(plan: &Plan) -> Vec<(&'static str, String)> {
    let mut memory = format!("about {} at its peak", Bytes(plan.memory.peak_bytes));
    match plan.memory.available_bytes {
        Some(available) => memory += &format!("; {} are free", Bytes(available)),
        None => memory += "; the device does not tell how much is free",
    }
    let mut totals = vec![("memory", memory)];
    let weights = "all of the denoiser's weights are on the device";
    totals.push(("", plan.memory.offload_note.clone().unwrap_or_else(|| weights.to_owned())));
    let tiles = plan.memory.tiles.as_ref().map(|tiles| format!("in {tiles}"));
    totals.push(("", format!("frames are decoded {}", tiles.as_deref().unwrap_or("whole"))));
    totals.extend(plan.disk.iter().map(|part| ("disk", disk(part))));
    totals.push(("time", time(plan)));
    if plan.seconds.is_none() {
        totals.push(("", plan.bench_command.clone()));
    }
    totals
}

fn disk(part: &DiskUse) -> String {
    let DiskUse { what, path, bytes, exact, free_bytes, .. } = part;
    let about = if *exact { "" } else { "about " };
    let free = free_bytes.map(|free| format!("; {} are free", Bytes(free))).unwrap_or_default();
    format!("{what}: {about}{} in {}{free}", Bytes(*bytes), path.display())
}

fn time(plan: &Plan) -> String {
    match (&plan.time_source, plan.seconds) {
        (Some(source), Some(seconds)) => {
            let TimeSource { date, model, generated, stir, .. } = source;
            let shape = shape(generated);
            format!(
                "about {}: an estimate from {model}, {shape}, which stir {stir} measured here on {date}",
                duration(seconds)
            )
        }
        _ => {
            "not known: nothing like it was measured on this machine with these settings; this measures it:".to_owned()
        }
    }
}

/// Seconds, minutes or hours, with as many figures as an estimate is worth.
fn duration(seconds: f64) -> String {
    match seconds {
        moment if moment < 1.0 => format!("{moment:.2} s"),
        short if short < 120.0 => format!("{short:.1} s"),
        medium if medium < 7200.0 => format!("{:.1} min", medium / 60.0),
        long => format!("{:.1} h", long / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_in_the_unit_that_people_would_take() {
        assert_eq!([0.5, 60.0, 150.0, 7300.0].map(duration), ["0.50 s", "60.0 s", "2.5 min", "2.0 h"]);
    }
}
