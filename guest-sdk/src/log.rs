//! Lines for the log of an attempt or an instance.

use crate::bindings::sagahost::saga::types;

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For whoever looks into it.
    Debug,
    /// The usual course of things.
    Info,
    /// Unusual, and dealt with.
    Warn,
    /// Something went wrong.
    Error,
}

impl From<LogLevel> for types::LogLevel {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Debug => Self::Debug,
            LogLevel::Info => Self::Info,
            LogLevel::Warn => Self::Warn,
            LogLevel::Error => Self::Error,
        }
    }
}

/// Writes a debug line to the log of a context: `debug!(ctx, "{n} left")`.
#[macro_export]
macro_rules! debug {
    ($ctx:expr, $($line:tt)+) => { $ctx.log($crate::LogLevel::Debug, ::core::format_args!($($line)+)) };
}

/// Writes a line to the log of a context: `info!(ctx, "order {id} placed")`.
#[macro_export]
macro_rules! info {
    ($ctx:expr, $($line:tt)+) => { $ctx.log($crate::LogLevel::Info, ::core::format_args!($($line)+)) };
}

/// Writes a warning to the log of a context: `warn!(ctx, "out of stock")`.
#[macro_export]
macro_rules! warn {
    ($ctx:expr, $($line:tt)+) => { $ctx.log($crate::LogLevel::Warn, ::core::format_args!($($line)+)) };
}

/// Writes an error to the log of a context: `error!(ctx, "{failure}")`.
#[macro_export]
macro_rules! error {
    ($ctx:expr, $($line:tt)+) => { $ctx.log($crate::LogLevel::Error, ::core::format_args!($($line)+)) };
}
