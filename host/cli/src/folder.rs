//! The folder of components: what is in it is what is deployed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use sagahost_wasm::{Deployment, Runtime};

/// What became of a file.
pub(crate) enum Change {
    /// It is in force.
    Deployed(Deployment),
    /// It was refused, and what was there before stays.
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It is gone, and so are its functions.
    Removed {
        /// The component's name.
        name: String,
    },
}

/// What a file looked like when it was last read.
#[derive(Clone, PartialEq, Eq)]
struct Seen {
    modified: Option<SystemTime>,
    length: u64,
}

/// Brings the runtime to what is in the folder, again and again.
pub(crate) struct Folder {
    dir: PathBuf,
    runtime: Runtime,
    seen: BTreeMap<PathBuf, Seen>,
    /// The files that were refused, and why.
    refused: BTreeMap<PathBuf, String>,
}

impl Folder {
    pub(crate) fn new(dir: PathBuf, runtime: Runtime) -> Self {
        Folder { dir, runtime, seen: BTreeMap::new(), refused: BTreeMap::new() }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Deploys what was added or replaced since the last time, and takes away
    /// what was removed.
    ///
    /// A file that was refused is tried again when it has changed, and when
    /// another component has: a function that moves from one to another
    /// clashes with its old self until that one is replaced, too.
    pub(crate) async fn sync(&mut self) -> Vec<Change> {
        let files = match files(&self.dir) {
            Ok(files) => files,
            Err(error) => {
                // Not "all removed": the folder may be being replaced.
                let reason = format!("the folder cannot be read: {error}");
                return vec![Change::Refused { path: self.dir.clone(), reason }];
            }
        };
        let mut changes = self.remove_missing(&files);
        let mut moved = !changes.is_empty();
        let mut fresh: Vec<PathBuf> = files
            .iter()
            .filter(|(path, now)| self.seen.get(*path) != Some(*now))
            .map(|(path, _)| path.clone())
            .collect();
        let mut told = self.refused.clone();
        for path in &fresh {
            told.remove(path);
        }
        // As looked at before they are read: what is written meanwhile makes
        // them look different the next time, and they are read again.
        self.seen = files;
        loop {
            if moved {
                fresh.extend(self.refused.keys().cloned());
                fresh.sort_unstable();
                fresh.dedup();
            }
            moved = false;
            for path in std::mem::take(&mut fresh) {
                self.refused.remove(&path);
                match self.deploy(&path).await {
                    Ok(None) => {}
                    Ok(Some(deployment)) => {
                        moved = true;
                        changes.push(Change::Deployed(deployment));
                    }
                    Err(reason) => {
                        self.refused.insert(path, reason);
                    }
                }
            }
            if !moved || self.refused.is_empty() {
                break;
            }
        }
        for (path, reason) in &self.refused {
            if told.get(path) != Some(reason) {
                changes.push(Change::Refused { path: path.clone(), reason: reason.clone() });
            }
        }
        changes
    }

    fn remove_missing(&mut self, files: &BTreeMap<PathBuf, Seen>) -> Vec<Change> {
        let mut changes = Vec::new();
        for path in self.seen.keys().filter(|path| !files.contains_key(*path)) {
            self.refused.remove(path);
            let name = stem(path);
            if self.runtime.remove(&name) {
                changes.push(Change::Removed { name });
            }
        }
        changes
    }

    /// `None` where just that is deployed already, by a PUT for instance.
    async fn deploy(&self, path: &Path) -> Result<Option<Deployment>, String> {
        let bytes = std::fs::read(path).map_err(|error| format!("it cannot be read: {error}"))?;
        let name = stem(path);
        let candidate = self
            .runtime
            .check(&name, Bytes::from(bytes))
            .await
            .map_err(|refusal| refusal.to_string())?;
        let digest = candidate.deployment().digest.clone();
        let deployed = self.runtime.deployments();
        if deployed.iter().any(|there| there.component == name && there.digest == digest) {
            return Ok(None);
        }
        self.runtime.activate(candidate).map(Some).map_err(|refusal| refusal.to_string())
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The components in a folder, by name.
fn files(dir: &Path) -> std::io::Result<BTreeMap<PathBuf, Seen>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        if hidden || path.extension().is_none_or(|extension| extension != "wasm") {
            continue;
        }
        // One that was removed just now is not there.
        if let Ok(meta) = std::fs::metadata(&path)
            && meta.is_file()
        {
            files.insert(path, Seen { modified: meta.modified().ok(), length: meta.len() });
        }
    }
    Ok(files)
}
