//! The host's own log, on standard error.

use anyhow::Result;
use tracing_subscriber::EnvFilter;

use crate::exit::{Exit, fail};

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// A line for a person
    Text,
    /// A JSON object a line, for programs
    Json,
}

/// Starts the log: what `--log` says, else `RUST_LOG`, else `default`.
pub(crate) fn start(level: Option<&str>, default: &str, format: LogFormat) -> Result<()> {
    let filter = match level {
        Some(level) => EnvFilter::try_new(level).map_err(|error| {
            fail(Exit::Usage, format!("--log {level:?}: {error}; give error, warn, info or debug"))
        })?,
        None => EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default)),
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second one is refused, which happens in tests only.
    let _ = match format {
        LogFormat::Text => {
            use std::io::IsTerminal;
            log.compact().with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init()
        }
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    Ok(())
}
