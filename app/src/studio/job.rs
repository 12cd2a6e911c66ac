//! Long work with progress and cancel: a health check, masks for a whole folder, a measured probe.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Result, anyhow};
use crossbeam_channel::{Receiver, bounded};
use egui::Context;

/// What the person is told when work has panicked.
pub const PANICKED: &str = "an error in Maskroom itself; the details are in the log";

/// Work on a named thread. Dropping it cancels the work.
pub struct Job<T> {
    /// What is being done, as the status bar says it.
    pub label: String,
    progress: Arc<JobProgress>,
    result: Receiver<Result<T>>,
    begun: Instant,
}

/// What the work tells while it runs, and hears.
pub struct JobProgress {
    done: AtomicU64,
    total: AtomicU64,
    /// Set when the person no longer wants it; the work looks often and returns early.
    pub cancelled: AtomicBool,
    context: Context,
}

impl<T: Send + 'static> Job<T> {
    /// Starts `work` on a thread named after the label. A panic in it becomes an error.
    pub fn start(label: impl Into<String>, context: &Context, work: impl FnOnce(&JobProgress) -> Result<T> + Send + 'static) -> Self {
        let label = label.into();
        let progress = Arc::new(JobProgress {
            done: AtomicU64::new(0),
            total: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
            context: context.clone(),
        });
        let (send, result) = bounded(1);
        let shared = Arc::clone(&progress);
        let thread = std::thread::Builder::new().name(label.clone()).spawn(move || {
            let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| work(&shared)));
            let outcome = outcome.unwrap_or_else(|_| Err(anyhow!(PANICKED)));
            // The window may be gone.
            let _ = send.send(outcome);
            shared.context.request_repaint();
        });
        if let Err(error) = thread {
            tracing::error!("the thread for `{label}` cannot be started: {error}");
        }
        Self { label, progress, result, begun: Instant::now() }
    }

    /// The result, once, when there is one.
    pub fn poll(&self) -> Option<Result<T>> {
        self.result.try_recv().ok()
    }

    /// Asks the work to end early.
    pub fn cancel(&self) {
        self.progress.cancelled.store(true, Ordering::Relaxed);
    }

    /// How many of how many are done; the second is 0 while nobody knows.
    pub fn done_of(&self) -> (u64, u64) {
        (self.progress.done.load(Ordering::Relaxed), self.progress.total.load(Ordering::Relaxed))
    }

    /// Seconds still to go at the pace so far.
    pub fn eta_secs(&self) -> Option<f64> {
        let (done, total) = self.done_of();
        (done > 0 && total > done).then(|| self.begun.elapsed().as_secs_f64() / done as f64 * (total - done) as f64)
    }
}

impl JobProgress {
    /// Tells how far the work is; the window is redrawn at most ten times a second for it.
    pub fn set(&self, done: usize, total: usize) {
        self.done.store(done as u64, Ordering::Relaxed);
        self.total.store(total as u64, Ordering::Relaxed);
        self.context.request_repaint_after(std::time::Duration::from_millis(100));
    }

    /// Whether to end early.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        self.progress.cancelled.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn wait<T: Send + 'static>(job: &Job<T>) -> Result<T> {
        for _ in 0..5000 {
            if let Some(result) = job.poll() {
                return result;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("the job never ended");
    }

    #[test]
    fn a_job_tells_its_progress_and_its_result() {
        let job = Job::start("count", &Context::default(), |progress| {
            (1..=10).for_each(|done| progress.set(done, 10));
            Ok(55)
        });
        assert_eq!(wait(&job).unwrap(), 55);
        assert_eq!(job.done_of(), (10, 10));
    }

    #[test]
    fn a_cancelled_job_hears_it_and_a_panic_is_an_error() {
        let job = Job::start("wait", &Context::default(), |progress| {
            while !progress.is_cancelled() {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok("cancelled")
        });
        job.cancel();
        assert_eq!(wait(&job).unwrap(), "cancelled");
        let job: Job<()> = Job::start("panic", &Context::default(), |_| panic!("on purpose"));
        assert!(wait(&job).is_err());
    }
}
