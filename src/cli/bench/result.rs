//! A result as a table for people.

use crate::cli::report::printable;
use crate::pipeline::bench::record::{Record, Shape, Stage};
use crate::units::Bytes;

/// Stands for what no driver tells.
const NOT_REPORTED: &str = "not reported";

/// Facts first, then a line a stage.
pub(super) fn table(record: &Record) -> String {
    let mut text = String::new();
    for (label, fact) in facts(record) {
        text += &format!("{label:<9} {}\n", printable(&fact));
    }
    let heads = ["stage", "count", "minimum", "median", "maximum", "TFLOP", "TFLOP/s", "of peak"].map(str::to_owned);
    text += &format!("\n{}", line(&heads));
    for stage in &record.stages {
        text += &line(&cells(stage));
    }
    for note in &record.notes {
        text += &format!("\nnote: {}", printable(note));
    }
    if record.notes.is_empty() { text } else { text + "\n" }
}

fn facts(record: &Record) -> Vec<(&'static str, String)> {
    let (machine, run) = (&record.machine, &record.run);
    let unknown = || "unknown".to_owned();
    let bytes = |bytes: Option<u64>| bytes.map_or_else(unknown, |bytes| Bytes(bytes).to_string());
    let processor = machine.processor.clone().unwrap_or_else(unknown);
    let plural = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let cores = plural(machine.cores, "core");
    let mut clip = format!("{} at {} fps", shape(&run.clip), run.clip.fps);
    if run.generated != run.clip {
        clip += &format!(", cut out of {}", shape(&run.generated));
    }
    if let (Some(tokens), Some(text)) = (run.tokens, run.text_tokens) {
        clip += &format!("; {tokens} tokens, {text} of text");
    }
    let repeats = plural(run.repeats, "repeat");
    let mut memory = format!("{} at its peak", bytes(record.peak_memory_bytes));
    if run.device != "cpu" {
        let held = record.device_peak_memory_bytes.map(|bytes| format!("{} at its peak", Bytes(bytes)));
        memory += &format!("; of the GPU: {}", held.unwrap_or_else(|| NOT_REPORTED.to_owned()));
    }
    let energy = record.energy.as_ref().map_or_else(
        || NOT_REPORTED.to_owned(),
        |energy| format!("{} J by {}", figures(energy.joules), energy.counters.join(", ")),
    );
    let mut place = format!("{processor}, {cores}, {} of memory, {}", bytes(machine.memory_bytes), machine.system);
    let more = [
        ("GPU", machine.gpu.clone()),
        ("driver", machine.driver.clone()),
        ("governor", machine.governor.clone()),
        ("up to", machine.megahertz.map(|megahertz| format!("{megahertz} MHz"))),
    ];
    for (label, value) in more.into_iter().filter_map(|(label, value)| Some((label, value?))) {
        place += &format!(", {label} {value}");
    }
    vec![
        ("stir", format!("{}, {}", record.stir, record.date)),
        ("command", record.command.join(" ")),
        ("machine", place),
        ("model", format!("{} on {}, {}, {}", run.model, run.device, run.dtype, plural(run.threads, "thread"))),
        ("clip", clip),
        ("sampling", format!("{}, {repeats} after a warm-up", plural(run.steps, "step"))),
        ("peak", format!("{} TFLOP/s, the best product of matrices", figures(record.peak_teraflops))),
        ("memory", memory),
        ("energy", energy),
    ]
}

fn shape(shape: &Shape) -> String {
    format!("{}x{}, {} frames", shape.width, shape.height, shape.frames)
}

fn cells(stage: &Stage) -> [String; 8] {
    let seconds = |seconds: f64| format!("{} s", figures(seconds));
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    [
        stage.name.clone(),
        stage.seconds.count.to_string(),
        seconds(stage.seconds.minimum),
        seconds(stage.seconds.median),
        seconds(stage.seconds.maximum),
        or_none(stage.teraflop.map(figures)),
        or_none(stage.teraflops.map(figures)),
        or_none(stage.share_of_peak.map(|share| format!("{:.0} %", 100.0 * share))),
    ]
}

fn line(cells: &[String; 8]) -> String {
    let [name, numbers @ ..] = cells;
    let numbers: String = numbers.iter().map(|cell| format!(" {cell:>10}")).collect();
    format!("{name:<7}{numbers}\n")
}

/// A number with about four figures, and never fewer than its whole part has.
pub(in crate::cli) fn figures(number: f64) -> String {
    let decimals = match number.abs() {
        large if large >= 1000.0 => 0,
        large if large >= 100.0 => 1,
        large if large >= 10.0 => 2,
        large if large >= 1.0 => 3,
        _ => 4,
    };
    format!("{number:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_about_four_figures() {
        let numbers = [0.0, 0.01234, 1.23456, 12.3456, 123.456, 12345.6].map(figures);
        assert_eq!(numbers, ["0.0000", "0.0123", "1.235", "12.35", "123.5", "12346"]);
    }
}
