//! Tells what changed in files, once it has stopped changing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use crate::exit::{Exit, fail};

/// How long nothing must have changed before a change is told: a compiler or
/// an editor writes a file in several steps.
const QUIET: Duration = Duration::from_millis(250);

/// How long a change is held back at most, where it never gets quiet.
const LONGEST: Duration = Duration::from_secs(5);

/// Watches files and folders.
pub(crate) struct Watch {
    /// Ends watching when it is dropped.
    watcher: RecommendedWatcher,
    changes: mpsc::UnboundedReceiver<PathBuf>,
    /// What changed and was not told yet.
    changed: BTreeSet<PathBuf>,
}

impl Watch {
    pub(crate) fn new() -> Result<Self> {
        let (sender, changes) = mpsc::unbounded_channel();
        let handler = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if is_change(event.kind) {
                for path in event.paths {
                    // Nobody listens any more when the program ends.
                    let _ = sender.send(path);
                }
            }
        };
        let watcher = notify::recommended_watcher(handler)
            .map_err(|error| fail(Exit::Failed, format!("files cannot be watched: {error}")))?;
        Ok(Watch { watcher, changes, changed: BTreeSet::new() })
    }

    /// Watches a folder with all in it.
    pub(crate) fn tree(&mut self, path: &Path) -> Result<()> {
        self.add(path, RecursiveMode::Recursive)
    }

    /// Watches the files of a folder.
    pub(crate) fn folder(&mut self, path: &Path) -> Result<()> {
        self.add(path, RecursiveMode::NonRecursive)
    }

    fn add(&mut self, path: &Path, mode: RecursiveMode) -> Result<()> {
        self.watcher.watch(path, mode).map_err(|error| {
            fail(Exit::Failed, format!("{} cannot be watched: {error}", path.display()))
        })
    }

    /// What changed, once nothing changes any more. Nothing is lost when the
    /// future is dropped: it is told the next time.
    pub(crate) async fn next(&mut self) -> BTreeSet<PathBuf> {
        if self.changed.is_empty() {
            match self.changes.recv().await {
                Some(path) => self.changed.insert(path),
                // The watcher lives as long as we do.
                None => return std::future::pending().await,
            };
        }
        let longest = tokio::time::Instant::now() + LONGEST;
        loop {
            let until = longest.min(tokio::time::Instant::now() + QUIET);
            match tokio::time::timeout_at(until, self.changes.recv()).await {
                Ok(Some(path)) if tokio::time::Instant::now() < longest => {
                    self.changed.insert(path);
                }
                _ => return std::mem::take(&mut self.changed),
            }
        }
    }
}

/// Whether it is more than somebody reading.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_in_the_making_is_told_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut watch = Watch::new().expect("a watcher");
        watch.folder(dir.path()).expect("watched");
        let path = dir.path().join("a.wasm");
        for part in 0..5 {
            std::fs::write(&path, vec![0; 1_000 * part]).expect("written");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let changed = tokio::time::timeout(LONGEST * 2, watch.next()).await.expect("told");
        assert_eq!(changed, BTreeSet::from([path.clone()]));
        std::fs::read(&path).expect("read");
        let more = tokio::time::timeout(QUIET * 3, watch.next()).await;
        assert!(more.is_err(), "reading is no change: {more:?}");
    }
}
