//! Stores of a size that restarts are measured with: many instances that wait,
//! or that a crash has cut off, with real journals.

use std::path::Path;

use sagahost_core::RuntimeStatus;

use crate::{NewInstance, SqliteStore, Store, StoreError, Summary, Write};

/// What the copies have of the journal of their original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// All of it: they wait for what it waits for.
    Whole,
    /// What its first turn stored: they stand as a crash leaves those whose first
    /// steps have begun.
    FirstTurn,
}

/// Writes so many copies of the instance `id` into a store that no host is
/// running on, with the ids `ID-0`, `ID-1` and so on. How many were written;
/// none where there is no such instance, or no journal of it.
///
/// # Errors
/// Those of the store.
pub fn copies(dir: &Path, id: &str, count: u64, copied: Copied) -> Result<u64, StoreError> {
    const BATCH: u64 = 1_000;
    let store = SqliteStore::open(dir)?;
    let owner = store.claim()?;
    let Some(original) = store.find(id)? else { return Ok(0) };
    let mut chunks = store.journal(original.key, 0)?;
    let mut summary = original.summary;
    if copied == Copied::FirstTurn {
        chunks.truncate(1);
        let events: Option<Vec<serde::de::IgnoredAny>> =
            chunks.first().and_then(|chunk| serde_json::from_slice(chunk).ok());
        summary = Summary {
            status: RuntimeStatus::Running,
            busy: true,
            wake_at: None,
            output: None,
            events: events.map_or(0, |events| events.len() as u64),
            ..summary
        };
    }
    let Some((first, rest)) = chunks.split_first() else { return Ok(0) };
    let mut next = 0;
    while next < count {
        let end = (next + BATCH).min(count);
        let creates: Vec<Write> = (next..end)
            .map(|number| Write::Create {
                new: NewInstance {
                    id: format!("{id}-{number}"),
                    name: original.name.clone(),
                    input: original.input.clone().unwrap_or_else(sagahost_core::Json::null),
                    created: original.created,
                    tags: original.tags.clone(),
                },
                chunk: first.clone(),
                summary: summary.clone(),
            })
            .collect();
        let mut keys = Vec::new();
        for written in store.commit(owner, &creates)?.into_iter().flatten() {
            if let crate::Written::Created(key) = written {
                keys.push(key);
            }
        }
        for (chunk, before) in rest.iter().zip(1..) {
            let append = |key: &crate::InstanceKey| Write::Append {
                key: *key,
                expect_chunks: before,
                chunk: chunk.clone(),
                summary: summary.clone(),
            };
            store.commit(owner, &keys.iter().map(append).collect::<Vec<_>>())?;
        }
        next = end;
    }
    Ok(next)
}
