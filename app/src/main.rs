//! Maskroom: a darkroom for masked images. This binary is the command line and, without a subcommand, the window.

use std::process::ExitCode;

use maskroom_app::cli;
use maskroom_core::error::said_by;

/// Burn allocates every intermediate result; the system allocator gives its pages back each time and faults them in again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match std::panic::catch_unwind(cli::run) {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => {
            eprintln!("error: {}", cli::in_words(&error));
            cli::exit_status(&error)
        }
        Err(panic) => {
            eprintln!("error: Maskroom met a fault of its own ({}); what was written before is whole", said_by(panic.as_ref()));
            ExitCode::FAILURE
        }
    }
}
