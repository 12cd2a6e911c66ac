//! Every fused operation, forward and backward, beside plain operations: `cargo bench --workspace --bench kernels`. The same as
//! `maskroom bench kernels`; there is no framework around it, because those at hand change features of crates that Burn shares.

use std::time::Duration;

use maskroom_core::device::OpenDevice;
use maskroom_core::error::Result;
use maskroom_core::kernel::bench::bench_kernels;
use maskroom_core::train::throughput::matrix_peak_gflops;

fn main() -> Result<()> {
    for figures in bench_kernels(&OpenDevice::cpu("bench"), Duration::from_millis(500), matrix_peak_gflops())? {
        println!("{}", figures.line());
    }
    Ok(())
}
