//! Maskroom: a darkroom for masked images. This binary is the command line and, without a subcommand, the window.

use std::process::ExitCode;

use maskroom_app::cli;

/// Burn allocates every intermediate result; the system allocator gives its pages back each time and faults them in again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::run() {
        Ok(status) => status,
        Err(error) => {
            eprintln!("error: {}", cli::in_words(&error));
            cli::exit_status(&error)
        }
    }
}
