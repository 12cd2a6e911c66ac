//! `maskroom doctor`: devices, memory, versions, what will be used and why.

use std::process::ExitCode;

use anyhow::Result;
use maskroom_core::device::{DeviceChoice, OpenDevice};
use maskroom_core::recipe::Recipe;
use maskroom_core::train::throughput::matrix_peak_gflops;
use maskroom_core::train::trial;
use serde_json::json;

use super::context::Context;

pub fn run(context: &Context) -> Result<ExitCode> {
    let recipe = Recipe::preset("mae")?;
    let mut warnings = Vec::new();
    let chosen = trial::choose(context.device.unwrap_or(DeviceChoice::Auto), &recipe, &mut warnings)?;
    let software = OpenDevice::open(DeviceChoice::Software).map(|device| device.name);
    let peak = matrix_peak_gflops();
    let memory = total_memory_mib();
    context.say(format!("Maskroom  {}", env!("CARGO_PKG_VERSION")));
    context.say(format!("will use  {}: {}", chosen.name, chosen.reason));
    warnings.iter().for_each(|warning| context.say(format!("note      {warning}")));
    context.say(format!("threads   {}, {peak:.0} GFLOP/s single-precision matrix peak", context.threads));
    context.say(format!("memory    {}", memory.map_or("unknown".into(), |mib| format!("{mib} MiB"))));
    context.say(format!(
        "software  {}",
        software.as_deref().map_or_else(|_| "no software GPU driver (only tests need one)".into(), str::to_owned)
    ));
    Ok(context.result(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "device": chosen.name,
        "reason": chosen.reason,
        "warnings": warnings,
        "software_gpu": software.ok(),
        "threads": context.threads,
        "matrix_peak_gflops": peak,
        "memory_mib": memory,
    })))
}

/// The machine's memory in MiB, where the system tells (Linux).
fn total_memory_mib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}
