//! `sagahost`: a serverless function host for sagas.

use std::process::ExitCode;

/// What one thread allocates another one frees, thousands of times for each
/// saga: the system's allocator spends a good part of a saga's time on that, and
/// on waiting for its own locks.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sagahost_cli::main()
}
