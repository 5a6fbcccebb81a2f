//! Writes the log back to the database beside the writer.
//!
//! A checkpoint copies thousands of pages and flushes twice. Where the writer
//! makes it, as SQLite does by itself, all that is about to be committed waits
//! for that. So a thread makes it, with a connection of its own, while commits
//! go on; and then, with the writer held up, the little that came meanwhile.
//! Only so does the log begin anew: that needs a moment in which all of it is
//! written back.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::writer::Writer;
use super::{failed, open};
use crate::StoreError;

/// How many pages are in the log when it is written back: 16 MiB. A checkpoint
/// writes back each page that changed once, however often it changed: with
/// SQLite's default of 4 MiB that is every few hundred sagas. And to open after a
/// crash not much more than that has to be read.
const DUE: u32 = 4_096;

/// After how many more pages it is tried again, where somebody who reads kept
/// the log from beginning anew.
const AGAIN: u32 = 1_024;

/// From how many pages on the writer waits for it: 64 MiB. Else commits that
/// come faster than the disk takes pages would let the log grow for ever.
const HARD: u32 = 16_384;

/// How few pages the writer is held up for, and how often pages are written back
/// beside it before that, where more come meanwhile.
const FEW: u32 = 256;
const ROUNDS: usize = 3;

/// The thread, and what tells it that there is something to do.
#[derive(Debug)]
pub(super) struct Checkpointer {
    log: Arc<Log>,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Log {
    /// Locked while pages are written back. Whoever has the writer, too, took
    /// that first.
    connection: Mutex<Connection>,
    /// From how many pages on it is due.
    due: AtomicU32,
}

impl Log {
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes back what can be. How many pages are in the log, and how many of
    /// them are not written back.
    ///
    /// A failure is not told: nothing is lost by it, the log grows, and it is
    /// tried again. Where the disk does not recover, commits will fail.
    fn write_back(&self) -> Option<(u32, u32)> {
        let counts = self.connection().query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
            Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        });
        let (log, done) = counts.ok()?;
        let count = |number: i64| u32::try_from(number.max(0)).unwrap_or(u32::MAX);
        Some((count(log), count(log - done)))
    }

    fn run(&self, writer: &Mutex<Writer>, wake: &Receiver<()>) {
        while wake.recv().is_ok() {
            let mut last = None;
            for _ in 0..ROUNDS {
                last = self.write_back();
                if last.is_none_or(|(_, left)| left < FEW) {
                    break;
                }
            }
            if last.is_some_and(|(_, left)| left < FEW) {
                let _writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
                last = self.write_back();
            }
            let pages = last.map_or(DUE, |(log, _)| log);
            self.due.store(pages.saturating_add(AGAIN).max(DUE), Ordering::Relaxed);
        }
    }
}

impl Checkpointer {
    pub(super) fn start(path: &Path, writer: Arc<Mutex<Writer>>) -> Result<Self, StoreError> {
        let connection = open::checkpointer(path).map_err(|e| failed("opening", path, e))?;
        let log = Arc::new(Log { connection: Mutex::new(connection), due: AtomicU32::new(DUE) });
        let (wake, woken) = sync_channel(1);
        let shared = log.clone();
        let thread = std::thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || shared.run(&writer, &woken))
            .map_err(|error| StoreError::Unavailable {
                doing: "starting a thread for",
                path: path.to_owned(),
                reason: error.to_string(),
            })?;
        Ok(Checkpointer { log, wake: Some(wake), thread: Some(thread) })
    }

    /// The log has so many pages. The caller has the writer.
    pub(super) fn note(&self, pages: u32) {
        if pages < DUE {
            // It has begun anew.
            self.log.due.store(DUE, Ordering::Relaxed);
        } else if pages >= HARD {
            self.log.write_back();
        } else if pages >= self.log.due.load(Ordering::Relaxed)
            && let Some(wake) = &self.wake
        {
            // If it is full, the thread has not begun yet.
            let _ = wake.try_send(());
        }
    }

    /// Nothing is written back as long as this is kept. The caller has the
    /// writer.
    pub(super) fn pause(&self) -> impl Drop + '_ {
        self.log.connection()
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // It has told nobody anything; nor does it if it panicked.
            let _ = thread.join();
        }
    }
}
