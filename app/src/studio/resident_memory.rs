//! How much memory a run's engine has, where the platform tells it to everybody.

use std::path::Path;

use maskroom_core::run::{RunFolder, holder};

/// Bytes in memory of the living engine of `run`; `None` if there is none, it runs on another machine, or the platform does not tell.
pub fn of_engine(run: &RunFolder) -> Option<u64> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let holder = holder(&run.lock_path()).filter(|holder| holder.host == host.trim())?;
    let status = std::fs::read_to_string(Path::new("/proc").join(holder.pid.to_string()).join("status")).ok()?;
    from_status(&status)
}

fn from_status(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_tells_it_in_kib() {
        assert_eq!(from_status("Name:\tmaskroom\nVmRSS:\t   2048 kB\nThreads:\t3\n"), Some(2 << 20));
        assert_eq!(from_status("Name:\tkthreadd\n"), None);
    }
}
