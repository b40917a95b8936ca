//! How far indexing is: a bar on a terminal, a log line every few seconds elsewhere.

use std::fmt;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use tracing::info;

use crate::logging::Console;

/// Between two log lines.
const PAUSE: Duration = Duration::from_secs(5);
/// Fewer blocks than this are caught up with in silence.
const WORTH_MENTIONING: u32 = 100;

/// Shows the progress of one catching up.
#[derive(Debug)]
pub(crate) struct Progress {
    console: Console,
    bar: Option<ProgressBar>,
    /// Where and when it began; absent while there is nothing to catch up with.
    start: Option<(u32, Instant)>,
    last_line: Option<Instant>,
}

impl Progress {
    pub(crate) fn new(console: Console) -> Self {
        Self {
            console,
            bar: None,
            start: None,
            last_line: None,
        }
    }

    /// Shows that the index is at `height` of a chain that ends at `tip`.
    pub(crate) fn at(&mut self, height: u32, tip: u32, now: Instant) {
        let left = tip.saturating_sub(height);
        let Some((from, since)) = self.start else {
            if left >= WORTH_MENTIONING {
                info!("indexing {left} blocks, from height {height} to {tip}");
                self.start = Some((height, now));
                self.last_line = Some(now);
                self.bar = self
                    .console
                    .bars
                    .as_ref()
                    .map(|bars| bars.add(bar(height, tip)));
            }
            return;
        };
        if let Some(bar) = &self.bar {
            bar.set_length(u64::from(tip));
            bar.set_position(u64::from(height));
        }
        let seconds = now.duration_since(since).as_secs_f64().max(0.001);
        let rate = f64::from(height.saturating_sub(from)) / seconds;
        if left == 0 {
            self.start = None;
            if let Some(bar) = self.bar.take() {
                bar.finish_and_clear();
            }
            info!(
                "indexed {} blocks in {seconds:.1} s",
                height.saturating_sub(from)
            );
        } else if self.bar.is_none() && self.last_line.is_none_or(|last| now - last >= PAUSE) {
            self.last_line = Some(now);
            let percent = f64::from(height) / f64::from(tip) * 100.0;
            let eta = f64::from(left) / rate.max(0.001);
            info!(
                "indexed height {height} of {tip} ({percent:.1} %), {rate:.0} blocks/s, about {eta:.0} s left"
            );
        }
    }
}

fn bar(height: u32, tip: u32) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "indexing {wide_bar} {pos} of {len} blocks, {rate} blocks/s, {eta} left",
    );
    let bar = ProgressBar::new(u64::from(tip));
    // The template is a constant of this file; were it wrong, the default style would do.
    if let Ok(style) = style {
        let rate = |state: &ProgressState, text: &mut dyn fmt::Write| {
            // A terminal that cannot be written to has nobody to complain to.
            let _ = write!(text, "{:.0}", state.per_sec());
        };
        bar.set_style(style.with_key("rate", rate));
    }
    bar.with_position(u64::from(height))
}
