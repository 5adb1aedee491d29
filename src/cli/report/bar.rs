//! The progress bar: stage, steps, seconds a step and time left.

use std::fmt::Write;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// A bar on stderr, which must be a terminal.
pub(super) fn new(colored: bool) -> ProgressBar {
    let template = if colored {
        "{prefix:>8.cyan} {bar:32} {pos}/{len}  {pace}  {eta} left"
    } else {
        "{prefix:>8} {bar:32} {pos}/{len}  {pace}  {eta} left"
    };
    let style = ProgressStyle::with_template(template).expect("the template is valid").with_key(
        "pace",
        |state: &ProgressState, text: &mut dyn Write| {
            // Nothing is known of the pace before the first step is done.
            let pace = if state.pos() == 0 { 0.0 } else { 1.0 / state.per_sec() };
            write!(text, "{pace:.2} s/step").ok();
        },
    );
    ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr()).with_style(style)
}
