//! `sagahost`: a serverless function host for sagas.

use std::process::ExitCode;

fn main() -> ExitCode {
    sagahost_cli::main()
}
