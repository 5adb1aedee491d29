//! The progress bar: stage, steps, seconds a step and time left; of a transfer, bytes and their pace.

use std::fmt::Write;

use indicatif::{DecimalBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// A bar on stderr, which must be a terminal.
pub(super) fn new(colored: bool) -> ProgressBar {
    // The bar takes what width the numbers leave, so that it stays on one line of a narrow terminal.
    let template = if colored {
        "{prefix:>8.cyan} {wide_bar} {pos}/{len}{pace}"
    } else {
        "{prefix:>8} {wide_bar} {pos}/{len}{pace}"
    };
    let style = ProgressStyle::with_template(template).expect("the template is valid").with_key(
        "pace",
        |state: &ProgressState, text: &mut dyn Write| {
            // Nothing is known of the pace before the first step is done.
            if state.pos() > 0 {
                write!(text, "  {:.2} s/step  {:#} left", 1.0 / state.per_sec(), HumanDuration(state.eta())).ok();
            }
        },
    );
    let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr()).with_style(style);
    // Nothing is shown until something begins.
    bar.finish_and_clear();
    bar
}

/// The bar's look while bytes are counted.
pub(super) fn of_bytes(colored: bool) -> ProgressStyle {
    let prefix = if colored { "{prefix:.cyan}" } else { "{prefix}" };
    let template = format!("{prefix} {{wide_bar}} {{decimal_bytes}}/{{decimal_total_bytes}} {{pace}}");
    ProgressStyle::with_template(&template).expect("the template is valid").with_key(
        "pace",
        |state: &ProgressState, text: &mut dyn Write| {
            if state.pos() > 0 {
                write!(text, " {}/s  {:#} left", DecimalBytes(state.per_sec() as u64), HumanDuration(state.eta())).ok();
            }
        },
    )
}
