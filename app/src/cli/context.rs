//! What every subcommand shares: the common options, and how results are printed.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, Result};
use clap::Args;
use maskroom_core::device::{DeviceChoice, OpenDevice};
use serde_json::Value;

/// Options of every subcommand.
#[derive(Args)]
pub struct Common {
    /// Print one JSON object as the last line of standard output; words go to standard error.
    #[arg(long, global = true)]
    json: bool,
    /// Where to compute: auto, cpu, gpu, gpu:N or software.
    #[arg(long, global = true)]
    device: Option<DeviceChoice>,
    /// The seed of every random decision.
    #[arg(long, global = true)]
    seed: Option<u64>,
    /// Threads for computing and for loading [default: one per core].
    #[arg(long, global = true)]
    threads: Option<usize>,
}

/// The common options, ready to use.
pub struct Context {
    /// Print JSON.
    pub json: bool,
    /// The device, if one was named.
    pub device: Option<DeviceChoice>,
    /// The seed, if one was named.
    pub seed: Option<u64>,
    /// Threads in use.
    pub threads: usize,
}

impl Context {
    /// Sets the number of threads for the whole process.
    pub fn new(common: &Common) -> Result<Self> {
        let threads = common.threads.filter(|&threads| threads > 0);
        let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().context("cannot start the computing threads")?;
        Ok(Self { json: common.json, device: common.device, seed: common.seed, threads })
    }

    /// Words for a person: on standard output, or on standard error when JSON is wanted.
    pub fn say(&self, text: impl AsRef<str>) {
        if self.json { eprintln!("{}", text.as_ref()) } else { println!("{}", text.as_ref()) }
    }

    /// The result for a program, as the last line; nothing unless `--json`.
    pub fn result(&self, value: &Value) -> ExitCode {
        if self.json {
            println!("{value}");
        }
        ExitCode::SUCCESS
    }

    /// Opens the device for looking: what was asked for, else the CPU, which needs no warming up.
    pub fn looking_device(&self) -> Result<OpenDevice> {
        Ok(OpenDevice::open(self.device.unwrap_or(DeviceChoice::Cpu))?)
    }
}

/// A flag that Ctrl-C, SIGTERM and log-out set; a second Ctrl-C ends the process at once.
pub fn interruption() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&flag)).context("cannot watch for Ctrl-C")?;
        signal_hook::flag::register(signal, Arc::clone(&flag)).context("cannot watch for Ctrl-C")?;
    }
    Ok(flag)
}
