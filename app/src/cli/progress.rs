//! Progress of long work: a bar on a terminal, plain lines elsewhere.

use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use maskroom_core::train::report::Tick;

/// Seconds between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// One piece of long work.
pub struct Progress {
    bar: ProgressBar,
    last_line: Instant,
    on_terminal: bool,
    what: &'static str,
}

impl Progress {
    /// `what` is done in `total` parts.
    pub fn new(what: &'static str, total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{prefix:>12} {wide_bar} {pos}/{len}  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(what);
        let on_terminal = !bar.is_hidden();
        Self { bar, last_line: Instant::now(), on_terminal, what }
    }

    /// `done` parts are done.
    pub fn set(&mut self, done: u64, message: String) {
        if self.on_terminal {
            self.bar.set_position(done);
            self.bar.set_message(message);
        } else if self.last_line.elapsed() >= LINE_EVERY {
            eprintln!("{} {done}/{}  {message}", self.what, self.bar.length().unwrap_or(0));
            self.last_line = Instant::now();
        }
    }

    /// A training step.
    pub fn tick(&mut self, tick: &Tick) {
        self.bar.set_length(tick.steps);
        let eta = HumanDuration(Duration::try_from_secs_f64(tick.eta_secs).unwrap_or_default());
        let probed = tick.probe_top1.map_or_else(String::new, |top1| format!("  k-NN {:.1} %", 100.0 * top1));
        let message = format!(
            "epoch {:.1}  loss {:.4}{probed}  {:.0} im/s  waits {:.0} %  {eta:#} left",
            tick.epoch,
            tick.loss,
            tick.images_per_second,
            tick.data_wait_ratio * 100.0
        );
        self.set(tick.step, message);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
