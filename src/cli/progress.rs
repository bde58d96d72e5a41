//! Progress bars on standard error, with the time left; nothing where that is not a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::print;
use crate::lab::{Overview, Report};

/// One line that moves.
#[derive(Debug)]
pub(super) struct Bar(ProgressBar);

/// Parts of a whole, so that shares can be shown as positions.
const PARTS: u64 = 10_000;

impl Bar {
    pub(super) fn new(title: &'static str) -> Self {
        let bar = ProgressBar::new(PARTS);
        let style = ProgressStyle::with_template("{prefix} [{bar:28}] {percent:>3} % {wide_msg}")
            .expect("the template is well formed")
            .progress_chars("=> ");
        bar.set_style(style);
        bar.set_prefix(title);
        Self(bar)
    }

    /// Shows how a single run stands.
    pub(super) fn run(&self, report: &Report, start: std::time::Instant, done_before: u64) {
        match report {
            Report::Done { done, total, loss_nats } => {
                let share = *done as f64 / (*total).max(1) as f64;
                let here = (*done - done_before.min(*done)) as f64;
                let left = (here > 0.0)
                    .then(|| start.elapsed().as_secs_f64() * (*total - *done) as f64 / here);
                let loss = loss_nats.map_or_else(String::new, |loss| format!(", loss {loss:.3}"));
                self.show(share, left, &format!("step {done} of {total}{loss}"));
            }
            Report::Warning { text } => self.0.suspend(|| print::warning(text)),
            Report::Waiting { on } => {
                self.0.suspend(|| print::note(&format!("waiting for {on}")));
            }
        }
    }

    /// Shows how a whole lab stands.
    pub(super) fn lab(&self, overview: &Overview) {
        if let Some(text) = &overview.warning {
            self.0.suspend(|| print::warning(text));
        }
        let running: Vec<String> = overview
            .running
            .iter()
            .map(|run| {
                let loss = run.loss_nats.map_or_else(String::new, |loss| format!(" {loss:.2}"));
                format!("{} {}/{}{loss}", &run.id.short()[..6], run.done, run.total)
            })
            .collect();
        let (finished, total) = (overview.known + overview.finished, overview.total);
        let text = format!("{finished} of {total} jobs · {}", running.join(" · "));
        self.show(overview.share, overview.seconds_left, &text);
    }

    fn show(&self, share: f64, seconds_left: Option<f64>, text: &str) {
        self.0.set_position((share.clamp(0.0, 1.0) * PARTS as f64) as u64);
        let left = seconds_left
            .filter(|_| share < 1.0)
            .map_or_else(String::new, |left| format!("{} left · ", print::seconds(left)));
        self.0.set_message(format!("{left}{text}"));
        self.0.enable_steady_tick(Duration::from_millis(500));
    }

    /// Takes the line away.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
