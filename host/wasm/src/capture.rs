//! Where a guest's stdout and stderr go.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use sagahost_core::{LogLevel, Logs};
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::config::LOG_BUDGET;
use crate::orchestration::OrchestrationHost;

/// Takes what a guest writes. It never refuses and never waits: a guest that
/// writes for ever costs what it computes, and nothing else.
pub(crate) trait Sink: Send {
    fn write(&mut self, bytes: &[u8]);
}

/// A sink as WASI sees it: always ready.
pub(crate) struct Output<S>(pub(crate) Arc<Mutex<S>>);

impl<S> Clone for Output<S> {
    fn clone(&self) -> Self {
        Output(self.0.clone())
    }
}

impl<S: Sink> Output<S> {
    fn put(&self, bytes: &[u8]) {
        lock(&self.0).write(bytes);
    }
}

/// Locks, also after a panic elsewhere: what is inside is plain data.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S> IsTerminal for Output<S> {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl<S: Sink + 'static> StdoutStream for Output<S> {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<S: Sink + 'static> Pollable for Output<S> {
    async fn ready(&mut self) {}
}

impl<S: Sink + 'static> OutputStream for Output<S> {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.put(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

impl<S: Sink> AsyncWrite for Output<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.put(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The last of what was written: enough to find a panic's message in it.
const TAIL: usize = 2 << 10;

/// Keeps the beginning of what was written, and of its end as much as says
/// why the guest died.
pub(crate) struct Capture {
    kept: Vec<u8>,
    limit: usize,
    truncated: bool,
    tail: Vec<u8>,
}

impl Capture {
    pub(crate) fn new(limit: usize) -> Self {
        Capture { kept: Vec::new(), limit, truncated: false, tail: Vec::new() }
    }

    /// The line that says why the guest died.
    pub(crate) fn last_words(&self) -> Option<String> {
        let end = if self.truncated { &self.tail } else { &self.kept };
        last_words(&String::from_utf8_lossy(end))
    }
}

impl Sink for Capture {
    fn write(&mut self, bytes: &[u8]) {
        let room = self.limit - self.kept.len();
        let (kept, rest) = bytes.split_at(room.min(bytes.len()));
        self.kept.extend_from_slice(kept);
        if !rest.is_empty() {
            if !self.truncated {
                self.truncated = true;
                let from = self.kept.len().saturating_sub(TAIL);
                self.tail.extend_from_slice(&self.kept[from..]);
            }
            let rest = &rest[rest.len().saturating_sub(TAIL)..];
            self.tail.extend_from_slice(rest);
            if self.tail.len() > 2 * TAIL {
                self.tail.drain(..self.tail.len() - TAIL);
            }
        }
    }
}

/// What was captured of both streams.
pub(crate) fn logs(stdout: &Mutex<Capture>, stderr: &Mutex<Capture>) -> Logs {
    let (stdout, stderr) = (lock(stdout), lock(stderr));
    Logs {
        truncated: stdout.truncated || stderr.truncated,
        stdout: text(&stdout),
        stderr: text(&stderr),
    }
}

fn text(capture: &Capture) -> String {
    let mut bytes = &capture.kept[..];
    if capture.truncated {
        // A character that was cut in two is left out.
        if let Err(error) = std::str::from_utf8(bytes)
            && error.error_len().is_none()
        {
            bytes = &bytes[..error.valid_up_to()];
        }
    }
    String::from_utf8_lossy(bytes).into_owned()
}

/// From the end of what was written to stderr, the line that says why the
/// guest died: for a Rust panic, where and what; else the last one.
fn last_words(text: &str) -> Option<String> {
    let mut lines: Vec<&str> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && !line.starts_with("note: run with `RUST_BACKTRACE"))
        .collect();
    let last = lines.pop()?;
    let line = match lines.pop().and_then(|line| line.split_once(" panicked at ")) {
        Some((_, place)) => format!("panicked at {place} {last}"),
        None => last.to_owned(),
    };
    Some(shorten(&line, 500))
}

/// At most this many characters, and a mark where some are missing.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// What an orchestrator writes, as lines of its instance's log.
pub(crate) struct LogLines {
    host: Arc<Mutex<dyn OrchestrationHost>>,
    budget: Arc<Mutex<LogBudget>>,
    level: LogLevel,
    line: Vec<u8>,
    pub(crate) last: String,
}

/// What an orchestrator may still log until it waits again.
pub(crate) struct LogBudget {
    left: usize,
    told: bool,
}

impl LogBudget {
    pub(crate) fn new() -> Self {
        LogBudget { left: LOG_BUDGET, told: false }
    }

    pub(crate) fn refill(&mut self) {
        *self = LogBudget::new();
    }

    /// Logs as far as the budget goes. `host` must not be locked.
    pub(crate) fn log(
        &mut self,
        host: &Mutex<dyn OrchestrationHost>,
        level: LogLevel,
        message: String,
    ) {
        // A line costs what the journal spends on it, not only its text.
        match self.left.checked_sub(message.len() + 64) {
            Some(left) => {
                self.left = left;
                lock(host).log(level, message);
            }
            None if !self.told => {
                self.told = true;
                lock(host).log(
                    LogLevel::Warn,
                    format!(
                        "sagahost: more than {LOG_BUDGET} bytes were logged without a wait \
                         between; the rest, up to the next wait, is dropped"
                    ),
                );
            }
            None => {}
        }
    }
}

impl LogLines {
    pub(crate) fn new(
        host: Arc<Mutex<dyn OrchestrationHost>>,
        budget: Arc<Mutex<LogBudget>>,
        level: LogLevel,
    ) -> Self {
        LogLines { host, budget, level, line: Vec::new(), last: String::new() }
    }

    pub(crate) fn last_words(&self) -> Option<String> {
        last_words(&self.last)
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
        self.line.clear();
        if line.is_empty() {
            return;
        }
        // Two lines are what a panic's message takes, and its hint the third.
        let keep: Vec<&str> = self.last.lines().rev().take(2).collect();
        self.last = keep.into_iter().rev().chain([line.as_str()]).collect::<Vec<_>>().join("\n");
        lock(&self.budget).log(&self.host, self.level, line);
    }
}

impl Sink for LogLines {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = (LOG_BUDGET / 4).saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_beginning_and_the_last_words() {
        let mut capture = Capture::new(8);
        for _ in 0..1000 {
            capture.write(b"chatter\n");
        }
        capture.write(b"thread 'main' panicked at src/lib.rs:1:2:\nno stock\n");
        capture.write(b"note: run with `RUST_BACKTRACE=1` environment variable\n");
        assert_eq!(capture.last_words().as_deref(), Some("panicked at src/lib.rs:1:2: no stock"));
        let logs = logs(&Mutex::new(capture), &Mutex::new(Capture::new(4)));
        assert_eq!(logs.stdout, "chatter\n");
        assert!(logs.truncated);
    }

    #[test]
    fn a_cut_character_is_left_out() {
        let mut capture = Capture::new(4);
        capture.write("aé€".as_bytes());
        assert_eq!(text(&capture), "aé");
    }
}
