//! The host's own log, on standard error.

use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use sagahost_http::LogLevels;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload::Handle;

use crate::exit::{Exit, fail};

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// How many parts can have levels of their own, and how long their names are.
const MOST: usize = 50;
const LONGEST: usize = 100;

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// A line for a person
    Text,
    /// A JSON object a line, for programs
    Json,
}

/// The log's levels, which can be changed.
struct Levels<S>(Handle<EnvFilter, S>);

impl<S> fmt::Debug for Levels<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Levels")
    }
}

impl<S> LogLevels for Levels<S> {
    fn get(&self) -> String {
        self.0.with_current(EnvFilter::to_string).unwrap_or_default()
    }

    fn set(&self, level: &str) -> Result<(), String> {
        self.0.reload(read(level)?).map_err(|error| error.to_string())
    }
}

/// Starts the log: what `--log` says, else `RUST_LOG`, else `default`. Gives
/// what changes its levels, where it is this program's log.
pub(crate) fn start(
    level: Option<&str>,
    default: &str,
    format: LogFormat,
) -> Result<Option<Arc<dyn LogLevels>>> {
    let filter = match level {
        Some(level) => {
            read(level).map_err(|error| fail(Exit::Usage, format!("--log {level:?}: {error}")))?
        }
        None => EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default)),
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started: (_, Arc<dyn LogLevels>) = match format {
        LogFormat::Text => {
            use std::io::IsTerminal;
            let ansi = std::io::stderr().is_terminal();
            let log = log.compact().with_target(false).with_ansi(ansi).with_filter_reloading();
            let levels = Levels(log.reload_handle());
            (log.try_init(), Arc::new(levels))
        }
        LogFormat::Json => {
            let log = log.json().flatten_event(true).with_filter_reloading();
            let levels = Levels(log.reload_handle());
            (log.try_init(), Arc::new(levels))
        }
    };
    // A second one is refused, which happens in tests only.
    Ok(started.0.is_ok().then_some(started.1))
}

/// Reads levels: one for all, and others for parts, `info,guest=debug`. The
/// description of `PUT /admin/log` says the same.
fn read(text: &str) -> Result<EnvFilter, String> {
    const HELP: &str = "give error, warn, info, debug, trace or off, and others for parts of the \
                        host after commas, such as info,guest=debug";
    if text.split(',').count() > MOST {
        return Err(format!("it has more than {MOST} parts; {HELP}"));
    }
    for word in text.split(',') {
        let (part, level) = word.split_once('=').unwrap_or(("all", word));
        // Taken for the name of a part, a misspelt level would log everything
        // of nothing.
        if !LEVELS.contains(&level) {
            return Err(format!("`{level}` is no level; {HELP}"));
        }
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || "_:".contains(letter);
        if part.is_empty() || part.len() > LONGEST || !part.chars().all(is_name) {
            return Err(format!("`{part}` is no part of the host; {HELP}"));
        }
    }
    EnvFilter::try_new(text).map_err(|error| format!("{error}; {HELP}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_and_what_is_none_is_refused() {
        for (text, shown) in [
            ("info", "info"),
            ("off", "off"),
            ("warn,guest=debug", "guest=debug,warn"),
            ("sagahost_engine=trace", "sagahost_engine=trace"),
        ] {
            assert_eq!(read(text).expect(text).to_string(), shown);
        }
        let many = ["a=info"; 51].join(",");
        for text in ["", " ", "inof", "3", "info,", "info,guest=loud", "info,guest", "=info", &many]
        {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
