//! The run folder: all that the engine, the studio and a shell script need to agree on. Plain data, no tensors.
//!
//! ```text
//! engine ──EventWriter──► events.jsonl ──Tail, read_all──► studio, report, scripts
//! engine ◄────Inbox────── commands.jsonl ◄─append_command── studio, scripts
//! engine ──commit_folder─► checkpoints/STEP/     EngineLock: one living engine a run
//! ```
//!
//! A run may be killed at any byte: what is valuable is renamed into place, logs grow by whole lines, and readers skip what is torn.

mod checkpoint;
mod command;
mod event;
mod folder;
mod lock;
mod reader;
mod writer;

pub use checkpoint::{COMPLETE, commit_folder, verify};
pub use command::{Action, Command, Inbox, append_command};
pub use event::{Event, Figures, Probe, Reason, Started, Step, Stopped, Validation};
pub use folder::{RunFolder, RunInfo};
pub use lock::{EngineLock, Holder, holder, is_held};
pub use reader::{Log, Tail, read_all, record};
pub use writer::EventWriter;

/// Seconds since 1970 in UTC, as events and `run.json` carry them; zero on a machine whose clock stands before that.
pub fn now_secs() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0.0, |elapsed| (elapsed.as_secs_f64() * 1e3).round() / 1e3)
}
