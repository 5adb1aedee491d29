//! Two results side by side.

use super::record::{Record, Shape};

/// What two results have in common and where they differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// What was not the same, so that numbers may differ for that reason.
    pub differences: Vec<Difference>,
    /// Numbers in order.
    pub rows: Vec<Row>,
}

/// Something that should be the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What.
    pub what: &'static str,
    /// In the first result.
    pub first: String,
    /// In the second.
    pub second: String,
}

/// One number of both results.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What it is, with its unit.
    pub name: String,
    /// In the first result, if it is there.
    pub first: Option<f64>,
    /// In the second.
    pub second: Option<f64>,
}

impl Row {
    /// The second over the first: below 1, a time is shorter. `None` where one is missing or the first is 0.
    pub fn ratio(&self) -> Option<f64> {
        let (first, second) = (self.first?, self.second?);
        (first > 0.0).then(|| second / first)
    }
}

/// Compares medians.
pub fn compare(first: &Record, second: &Record) -> Comparison {
    Comparison { differences: differences(first, second), rows: rows(first, second) }
}

fn differences(first: &Record, second: &Record) -> Vec<Difference> {
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
    let count = |number: Option<usize>| or_unknown(number.map(|number| number.to_string()));
    let facts = |record: &Record| {
        let (machine, run) = (&record.machine, &record.run);
        [
            ("stir", record.stir.clone()),
            ("processor", or_unknown(machine.processor.clone())),
            ("cores", machine.cores.to_string()),
            ("memory", or_unknown(machine.memory_bytes.map(|bytes| bytes.to_string()))),
            ("system", machine.system.clone()),
            ("governor", or_unknown(machine.governor.clone())),
            ("GPU", or_unknown(machine.gpu.clone())),
            ("driver", or_unknown(machine.driver.clone())),
            ("model", run.model.clone()),
            ("family", run.family.clone()),
            ("device", run.device.clone()),
            ("type", run.dtype.clone()),
            ("threads", run.threads.to_string()),
            ("offload", run.offload.clone()),
            ("clip", shape(&run.clip)),
            ("generated", shape(&run.generated)),
            ("steps", run.steps.to_string()),
            ("repeats", run.repeats.to_string()),
            ("tokens", count(run.tokens)),
            ("tokens of text", count(run.text_tokens)),
            ("command", record.command.join(" ")),
        ]
    };
    let pairs = facts(first).into_iter().zip(facts(second));
    let difference = |((what, first), (_, second))| Difference { what, first, second };
    pairs.map(difference).filter(|difference| difference.first != difference.second).collect()
}

fn shape(shape: &Shape) -> String {
    format!("{}x{}, {} frames at {} fps", shape.width, shape.height, shape.frames, shape.fps)
}

fn rows(first: &Record, second: &Record) -> Vec<Row> {
    // Stages that only the second has come last.
    let mut names: Vec<&str> = first.stages.iter().map(|stage| stage.name.as_str()).collect();
    names.extend(second.stages.iter().map(|stage| stage.name.as_str()).filter(|name| first.stage(name).is_none()));
    let row = |name: String, number: &dyn Fn(&Record) -> Option<f64>| Row {
        name,
        first: number(first),
        second: number(second),
    };
    let mut rows: Vec<Row> = names
        .iter()
        .map(|name| row(format!("{name}, s"), &|record| Some(record.stage(name)?.seconds.median)))
        .collect();
    rows.push(row("step, TFLOP/s".to_owned(), &|record| record.stage("step")?.teraflops));
    rows.push(row("peak, TFLOP/s".to_owned(), &|record| Some(record.peak_teraflops)));
    rows.push(row("memory, MB".to_owned(), &|record| Some(record.peak_memory_bytes? as f64 / 1e6)));
    if [first, second].iter().any(|record| record.energy.is_some()) {
        rows.push(row("energy, J".to_owned(), &|record| Some(record.energy.as_ref()?.joules)));
    }
    rows
}
