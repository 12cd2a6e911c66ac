//! What a person asks of the engine between two steps: pause, resume, checkpoint, stop, other preview images.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::engine::Engine;
use super::report::Reporter;
use super::watch::Watch;
use crate::error::Result;
use crate::run::{Action, Event, Inbox, Reason};

/// How a session of the loop ended without failing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All steps are done.
    Finished,
    /// Somebody sent `stop`.
    Stopped,
    /// The process was asked to end (Ctrl-C, SIGTERM, log-out).
    Interrupted,
}

impl Ending {
    /// The `stopped` event's word for it.
    pub fn reason(self) -> Reason {
        if self == Self::Finished { Reason::Finished } else { Reason::Stopped }
    }
}

/// Does what was asked since the last step, waiting while paused. `Some` if the run is to end.
///
/// # Errors
/// If the log or a checkpoint cannot be written.
pub fn obey(
    engine: &mut Engine,
    inbox: &mut Inbox,
    reporter: &mut Reporter<'_>,
    watch: &mut Watch,
    interrupted: &AtomicBool,
) -> Result<Option<Ending>> {
    let mut paused = false;
    loop {
        for command in inbox.poll() {
            match command.action {
                Action::Pause | Action::Resume => {
                    let wanted = command.action == Action::Pause;
                    if wanted != paused {
                        reporter.event(&Event::Paused { step: engine.progress.step, paused: wanted })?;
                    }
                    paused = wanted;
                }
                Action::Checkpoint => watch.checkpoint(engine, reporter)?,
                Action::Stop => return Ok(Some(Ending::Stopped)),
                Action::SetPreviewImages { images } => watch.choose(engine, reporter, &images)?,
                Action::Unknown => {} // the inbox says so
            }
        }
        if interrupted.load(Ordering::Relaxed) {
            return Ok(Some(Ending::Interrupted));
        }
        if !paused {
            return Ok(None);
        }
        reporter.off_the_clock(|_| std::thread::sleep(Duration::from_millis(50)));
    }
}
