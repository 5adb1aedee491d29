//! `stir devices`: what networks can run on here, and why not on the rest.

use clap::Args;

use super::report::{json_text, printable, stdout};
use crate::device;
use crate::device::found::Found;
use crate::error::Result;
use crate::units::Bytes;

/// List the devices that --device can name, and say why some cannot be used
///
/// The first that can be used is what --device auto takes.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stir devices --json")]
pub(super) struct Devices {
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
}

impl Devices {
    pub(super) fn run(&self) -> Result<()> {
        let devices = device::found();
        let text = if self.json { json_text(&devices) + "\n" } else { table(&devices) };
        stdout::write(text.as_bytes());
        stdout::check()
    }
}

/// A line a device, then a line for each that cannot be used.
fn table(devices: &[Found]) -> String {
    let mut rows = vec![["DEVICE", "USABLE", "NAME", "MEMORY", "CAPABILITY", "DRIVER"].map(str::to_owned)];
    rows.extend(devices.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    for Found { device, why_not, hint, .. } in devices {
        if let (Some(why_not), Some(hint)) = (why_not, hint) {
            text += &format!("\n{device} cannot be used: {}\n  next: {}\n", printable(why_not), printable(hint));
        }
    }
    text
}

fn row(found: &Found) -> [String; 6] {
    let known = |text: &Option<String>| text.as_deref().map_or("-".to_owned(), |text| printable(text).into_owned());
    [
        found.device.clone(),
        if found.usable { "yes" } else { "no" }.to_owned(),
        known(&found.name),
        found.memory_bytes.map_or("-".to_owned(), |bytes| Bytes(bytes).to_string()),
        known(&found.compute_capability),
        known(&found.driver),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(device: &str, name: Option<&str>) -> Found {
        Found {
            device: device.to_owned(),
            name: name.map(str::to_owned),
            memory_bytes: None,
            compute_capability: None,
            driver: None,
            usable: true,
            why_not: None,
            hint: None,
        }
    }

    #[test]
    fn devices_are_rows_and_reasons() {
        let ada = Found {
            memory_bytes: Some(25_757_220_864),
            compute_capability: Some("8.9".to_owned()),
            driver: Some("570.86.15".to_owned()),
            ..found("cuda:0", Some("NVIDIA GeForce RTX 4090"))
        };
        let turing = Found {
            usable: false,
            compute_capability: Some("7.5".to_owned()),
            why_not: Some("wanted compute capability 8.0 or newer, found 7.5".to_owned()),
            hint: Some("use --device cpu".to_owned()),
            name: Some("NVIDIA Old\u{1b}[31m".to_owned()),
            ..ada.clone()
        };
        let turing = Found { device: "cuda:1".to_owned(), ..turing };
        let none = Found {
            usable: false,
            why_not: Some("wanted a Mac, found none".to_owned()),
            hint: Some("buy one".to_owned()),
            ..found("metal", None)
        };
        let processor = Found { memory_bytes: Some(16_000_000_000), ..found("cpu", Some("Some CPU, 2 cores")) };
        insta::assert_snapshot!(table(&[ada, turing, none, processor]));
    }
}
