//! Progress bar of a training on a terminal: loss, metric and speed. Silent without a terminal.

use std::time::Duration;

use crate::error::text;
use crate::nn::train::history::Epoch;

/// Redraw interval.
pub(crate) const REDRAW: Duration = Duration::from_millis(150);

#[cfg(feature = "cli")]
pub(crate) struct Bar(indicatif::ProgressBar);

#[cfg(feature = "cli")]
impl Bar {
    /// A bar for one epoch, if `wanted` and a terminal is attached.
    pub fn new(wanted: bool, epoch: usize, epochs: usize, rows: usize) -> Option<Self> {
        use std::io::IsTerminal;
        if !wanted || !std::io::stderr().is_terminal() {
            return None;
        }
        let bar = indicatif::ProgressBar::new(rows as u64);
        let template = "epoch {prefix} [{bar:24}] {pos}/{len} rows, {rate} rows/s, {msg}";
        if let Ok(style) = indicatif::ProgressStyle::with_template(template) {
            let rate = |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = out.write_str(&text::rate(state.per_sec()));
            };
            bar.set_style(style.progress_chars("=> ").with_key("rate", rate));
        }
        bar.set_prefix(format!("{epoch}/{epochs}"));
        Some(Bar(bar))
    }

    /// Updates the position within the epoch.
    pub fn update(&self, rows: usize, text: String) {
        self.0.set_message(text);
        self.0.set_position(rows as u64);
    }

    /// Ends the bar, leaving the last line on screen.
    pub fn finish(self, text: String) {
        self.0.finish_with_message(text);
    }
}

#[cfg(not(feature = "cli"))]
pub(crate) struct Bar;

#[cfg(not(feature = "cli"))]
impl Bar {
    pub fn new(_wanted: bool, _epoch: usize, _epochs: usize, _rows: usize) -> Option<Self> {
        None
    }

    pub fn update(&self, _rows: usize, _text: String) {}

    pub fn finish(self, _text: String) {}
}

/// The numbers of an epoch so far.
pub(crate) fn line(epoch: &Epoch) -> String {
    let mut text = format!("loss {}", text::number(epoch.loss));
    for (name, value) in [
        ("accuracy", epoch.accuracy),
        ("val_loss", epoch.val_loss),
        ("val_accuracy", epoch.val_accuracy),
        ("r2", epoch.r2),
        ("val_r2", epoch.val_r2),
    ] {
        if let Some(value) = value {
            text.push_str(&format!(", {name} {}", text::significant(value, 4)));
        }
    }
    text
}
