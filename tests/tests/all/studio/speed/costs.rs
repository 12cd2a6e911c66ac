//! What frames cost: processor time of one thread, summed up by how many frames cost no more.

use std::fmt;
use std::time::Duration;

/// The costs of some frames.
pub struct Costs {
    name: String,
    frames: Vec<Cost>,
}

/// What one frame cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Taking in what is new, laying out, and doing what was asked for.
    pub layout: Duration,
    /// From shapes to triangles.
    pub tessellation: Duration,
}

impl Costs {
    /// None yet.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), frames: Vec::new() }
    }

    /// One frame more.
    pub fn push(&mut self, cost: Cost) {
        self.frames.push(cost);
    }

    /// The frames of others too.
    pub fn add(&mut self, other: &Self) {
        self.frames.extend(&other.frames);
    }

    /// What no more than that ratio of the frames keep below.
    pub fn percentile(&self, ratio: f64) -> Duration {
        percentile(self.frames.iter().map(|cost| cost.layout + cost.tessellation), ratio)
    }
}

impl fmt::Display for Costs {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let [half, most, goal, max] = [0.5, 0.95, 0.99, 1.0].map(|ratio| ms(self.percentile(ratio)));
        let tessellation = ms(percentile(self.frames.iter().map(|cost| cost.tessellation), 0.5));
        write!(
            out,
            "{:<26} {:>5} frames: median {half:.2} ms (tessellation {tessellation:.2}), p95 {most:.2}, p99 {goal:.2}, max {max:.2}",
            self.name,
            self.frames.len()
        )
    }
}

fn percentile(times: impl Iterator<Item = Duration>, ratio: f64) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    let place = (times.len() as f64 * ratio).ceil() as usize;
    times.get(place.saturating_sub(1)).copied().unwrap_or_default()
}

/// Processor time of this thread; time that passes, where nobody tells it.
pub fn thread_time() -> Duration {
    // The count of a running thread is brought up to date when it gives way.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).map_or_else(passed, Duration::from_nanos)
}

/// Processor time of this whole process; time that passes, where nobody tells it.
pub fn process_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanos = threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok()?.split_whitespace().next()?.parse::<u64>().ok());
    match nanos.sum() {
        0 => passed(),
        nanos => Duration::from_nanos(nanos),
    }
}

fn passed() -> Duration {
    static BEGIN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    BEGIN.get_or_init(std::time::Instant::now).elapsed()
}

/// Memory that this process has, in MiB; 0 where nobody tells it.
pub fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() / 1024
}
