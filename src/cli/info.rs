//! `stir info`: what a clip says of how it was made, and the command that makes it again.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use serde_json::{Value, json};

use super::report::{json_text, stdout};
use super::values;
use crate::error::Result;
use crate::media;
use crate::pipeline::provenance::command::commands;
use crate::pipeline::provenance::record::{Build, DeviceFacts, PassFacts, Record, Resolved, Shape};

/// Print what a clip says of how it was made, and the command that makes it again
///
/// The record is in the metadata of .mp4, .mov and .webm, and in NAME.json beside any other clip. It names files without their folders: run the
/// command where the picture is, or put its path in. `stir verify` runs it and compares.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stir info clip.mp4")]
pub(super) struct Info {
    /// A clip that stir has made: a file, or a folder of PNGs
    #[arg(value_name = "CLIP", value_hint = ValueHint::AnyPath)]
    clip: OsString,
    /// Print the record, and the command, as one JSON object
    #[arg(long)]
    json: bool,
}

impl Info {
    pub(super) fn run(&self) -> Result<()> {
        let clip = values::path("CLIP", &self.clip)?;
        let record = read(&clip)?;
        let commands = commands(&record, &clip);
        if self.json {
            let object = json!({ "clip": clip.display().to_string(), "commands": commands, "record": record });
            stdout::write((json_text(&object) + "\n").as_bytes());
        } else {
            lines(&record).iter().for_each(|line| stdout::write_line(line));
            stdout::write_line("");
            stdout::write_line("make it again:");
            commands.iter().for_each(|command| stdout::write_line(&format!("  {command}")));
        }
        stdout::check()
    }
}

/// The record of the clip at `path`.
pub(super) fn read(path: &Path) -> Result<Record> {
    Record::parse(&media::read_record(path)?, &format!("clip {}", path.display()))
}

/// A fact a line.
fn lines(record: &Record) -> Vec<String> {
    let mut lines = Vec::new();
    let mut say = |label: &str, fact: String| lines.push(format!("{label:<13}{fact}").trim_end().to_owned());
    say("made by", build(&record.stir));
    say("on", device(&record.device));
    for maker in &record.begun_by {
        say("begun by", build(&maker.stir));
        say("  on", device(&maker.device));
    }
    if let Some(encoder) = &record.encoder {
        say("written by", encoder.clone());
    }
    say("model", format!("{}, of the family {}", record.model.name, record.model.family));
    for weights in &record.model.weights {
        let known = weights.file.iter().zip(&weights.sha256).map(|(file, sum)| format!("{file}, SHA-256 {sum}"));
        let made_up = weights.made_from.iter().map(|made_from| format!("made up of {made_from}"));
        known.chain(made_up).for_each(|fact| say("  weights", format!("{} ({})", fact, weights.networks)));
    }
    if let Some(picture) = &record.picture {
        say("picture", format!("SHA-256 {}", picture.file));
        picture.prepared.iter().for_each(|sum| say("  as seen", format!("SHA-256 {sum}")));
        picture.watermark.iter().for_each(|sum| say("  watermark", format!("SHA-256 {sum}")));
    }
    for (option, value) in record.request.iter().flatten() {
        say("option", format!("{option} = {}", shown(value)));
    }
    if let Some(resolved) = &record.resolved {
        resolved_lines(resolved).into_iter().for_each(|(label, fact)| say(label, fact));
    }
    let sums = &record.sha256;
    for (label, sum) in [("noise", &sums.noise), ("latents", &sums.latents), ("frames", &sums.frames)] {
        sum.iter().for_each(|sum| say(label, format!("SHA-256 {sum}")));
    }
    if let Some(decode) = &record.decode {
        say("decoded by", build(&decode.stir));
        say("  on", device(&decode.device));
        decode.options.iter().for_each(|(option, value)| say("  option", format!("{option} = {}", shown(value))));
    }
    lines
}

fn resolved_lines(resolved: &Resolved) -> Vec<(&'static str, String)> {
    let mut lines = vec![("clip", shape(&resolved.clip))];
    for PassFacts { clip, steps, sigmas, guidance, stochastic } in &resolved.passes {
        lines.push((
            "pass",
            format!("{}, steps: {steps}{}", shape(clip), if *stochastic { ", stochastic" } else { "" }),
        ));
        lines.push(("  levels", sigmas.clone()));
        for guidance in guidance {
            let blocks = format!("{:?}", guidance.stg_blocks);
            let [scale, rescale, spatial] = [&guidance.scale, &guidance.rescale, &guidance.stg_scale];
            lines.push((
                "  guidance",
                format!("{scale}, rescale {rescale}, spatio-temporal {spatial} of blocks {blocks}"),
            ));
        }
    }
    let Resolved { strength, image_noise, degrade, tone_map_compression, .. } = resolved;
    lines.push(("held", format!("at {strength}, noise {image_noise}, degraded: {degrade}")));
    let tiles = resolved.tiles_of.map_or(String::new(), |side| format!(", in tiles of {side} pixels"));
    let Resolved { decode_timestep, decode_noise, .. } = resolved;
    let decode = format!("timestep {decode_timestep}, noise {decode_noise}, compression {tone_map_compression}{tiles}");
    lines.push(("decode", decode));
    lines
}

fn build(build: &Build) -> String {
    format!("stir {}, commit {}, build {}", build.version, build.commit, build.build)
}

fn device(device: &DeviceFacts) -> String {
    let driver = device.driver.as_ref().map(|driver| format!(", driver {driver}")).unwrap_or_default();
    format!("{} ({}){driver}, {}, kernels for {}", device.model, device.kind, device.dtype, device.kernels)
}

fn shape(shape: &Shape) -> String {
    format!("{}x{}, frames: {} at {} fps", shape.width, shape.height, shape.frames, shape.fps)
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The last part of the clip's path.
pub(super) fn file_name(clip: &Path) -> PathBuf {
    clip.file_name().map_or_else(|| "clip".into(), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command};

    use crate::cli::options::Options;
    use crate::pipeline::provenance::record::is_recorded;

    /// Options that change neither the picture nor the file, and those that are something else by the time a clip is made.
    const LEFT_OUT: [&str; 20] = [
        "output",
        "save_state",
        "save_state_every",
        "jobs",
        "journal",
        "prompt_optimizer",
        "count",
        "threads",
        "offload",
        "no_metadata",
        "no_clobber",
        "json",
        "quiet",
        "verbose",
        "preview",
        "save_frames",
        "save_latents",
        "config",
        "dry_run",
        "strict",
    ];

    #[test]
    fn every_option_that_a_clip_depends_on_is_recorded() {
        let command = Options::augment_args(Command::new("generate"));
        for option in command.get_arguments() {
            let name = option.get_id().as_str();
            assert_ne!(is_recorded(name), LEFT_OUT.contains(&name), "{name}: does a clip depend on it, or not?");
        }
    }
}
