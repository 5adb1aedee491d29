//! Two results side by side, for people.

use super::result::figures;
use crate::cli::report::printable;
use crate::pipeline::bench::compare::{Comparison, Difference, Row};

/// What was not the same, then a line a number.
pub(super) fn table(comparison: &Comparison) -> String {
    let mut text = String::new();
    for Difference { what, first, second } in &comparison.differences {
        text += &format!("{what} differs:\n  A {}\n  B {}\n", printable(first), printable(second));
    }
    text += if text.is_empty() { "the same machine and command\n\n" } else { "\n" };
    text += &line("median", ["A", "B", "B / A"].map(str::to_owned));
    for row in &comparison.rows {
        let number = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), figures);
        let ratio = row.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}"));
        let Row { name, first, second } = row;
        text += &line(&printable(name), [number(*first), number(*second), ratio]);
    }
    text
}

fn line(name: &str, cells: [String; 3]) -> String {
    let cells: String = cells.iter().map(|cell| format!(" {cell:>10}")).collect();
    format!("{name:<14}{cells}\n")
}
