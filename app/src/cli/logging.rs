//! Logs: warnings go to standard error, everything of note to the log file of the run in progress.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

static RUN_LOG: Mutex<Option<File>> = Mutex::new(None);

/// Starts logging for the process. Panics are logged with their place and never printed raw: where one is caught it becomes a sentence.
pub fn start() {
    let terminal = layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .with_filter(LevelFilter::WARN);
    let file = layer().with_writer(|| RunLog).with_ansi(false).with_filter(LevelFilter::INFO);
    tracing_subscriber::registry().with(terminal.with_filter(ours())).with(file.with_filter(ours())).init();
    std::panic::set_hook(Box::new(|panic| tracing::info!("fault: {panic}")));
}

/// Only Maskroom's own messages: the graphics stack talks a lot.
fn ours() -> tracing_subscriber::filter::Targets {
    tracing_subscriber::filter::Targets::new().with_target("maskroom", LevelFilter::INFO).with_target("maskroom_core", LevelFilter::INFO)
}

/// From now on, writes to this log file too.
pub fn to_file(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    *RUN_LOG.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
    Ok(())
}

/// Writes to the log file of the run in progress, if there is one.
struct RunLog;

impl Write for RunLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match RUN_LOG.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(file) => file.write(bytes),
            None => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        RUN_LOG.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map_or(Ok(()), Write::flush)
    }
}
