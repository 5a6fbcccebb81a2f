//! The rate of sagas of any number of writes, in commits of any size.

use std::path::Path;
use std::time::{Duration, Instant};

use sagahost_core::RuntimeStatus;

use super::{create, summary};
use crate::{InstanceKey, Owner, SqliteStore, Store, StoreError, Write, Written};

/// The most sagas that are written before anything is measured; those that are have
/// the numbers from here on.
const GROWN: u64 = 1 << 17;

/// What a saga writes, and how many writes share a commit. Neither need be a
/// whole number: of sagas of 1.5 writes, every second one has two.
#[derive(Clone, Copy, Debug)]
pub struct RawShape {
    /// Writes of a saga, each with a chunk of its journal: the first makes its
    /// row, the last ends it. At least 1.
    pub writes: f64,
    /// Writes of a commit, each of another saga. At least 1.
    pub batch: f64,
    /// Bytes of a chunk.
    pub chunk_bytes: usize,
}

/// How many sagas of this shape were written, and how long it took, all commits
/// included and opening the store not. At least so many `sagas` are; `dir` should be
/// empty and on the disk that the host uses.
///
/// # Errors
/// Those of the store.
pub fn raw_sagas(dir: &Path, sagas: u64, shape: RawShape) -> Result<(u64, Duration), StoreError> {
    run(dir, shape, |written, _| written < sagas, |_| ())
}

/// How long each of so many commits takes that has one write: what a saga waits
/// for that is alone. They are those of sagas of `writes` writes; at least so many
/// `commits` are made.
///
/// # Errors
/// Those of the store.
pub fn raw_commits(
    dir: &Path,
    commits: u64,
    writes: f64,
    chunk_bytes: usize,
) -> Result<Vec<Duration>, StoreError> {
    let mut took = Vec::new();
    let shape = RawShape { writes, batch: 1.0, chunk_bytes };
    run(dir, shape, |_, committed| committed < commits, |commit| took.push(commit))?;
    Ok(took)
}

/// Writes one wave of sagas after the other: as many as a commit has writes, and
/// then each next write of all that have one. `goes_on` is given the sagas and the
/// commits so far; `each`, how long a commit took.
fn run(
    dir: &Path,
    shape: RawShape,
    goes_on: impl Fn(u64, u64) -> bool,
    mut each: impl FnMut(Duration),
) -> Result<(u64, Duration), StoreError> {
    let store = SqliteStore::open(dir)?;
    let owner = store.claim()?;
    let chunk = vec![b' '; shape.chunk_bytes];
    grow(dir, &store, owner, &chunk)?;
    let mut writes = Vec::new();
    let mut going: Vec<(InstanceKey, u64)> = Vec::new();
    let (mut wave, mut next, mut commits) = (0, GROWN, 0);
    let mut commit = |writes: &[Write]| {
        let begun = Instant::now();
        let written = store.commit(owner, writes)?;
        each(begun.elapsed());
        commits += 1;
        Ok::<_, StoreError>((written, commits))
    };

    let start = Instant::now();
    let mut committed = 0;
    while goes_on(next - GROWN, committed) {
        let numbers = next..next + part_of(shape.batch, wave);
        (wave, next) = (wave + 1, numbers.end);
        writes.clear();
        writes.extend(numbers.clone().map(|n| begin(n, part_of(shape.writes, n), chunk.clone())));
        let created;
        (created, committed) = commit(&writes)?;
        going.clear();
        going.extend(numbers.zip(created).filter_map(|(number, written)| match written {
            Ok(Written::Created(key)) => Some((key, part_of(shape.writes, number))),
            _ => None,
        }));
        for written in 1.. {
            going.retain(|(_, all)| *all > u64::from(written));
            if going.is_empty() {
                break;
            }
            writes.clear();
            writes.extend(going.iter().map(|(key, all)| {
                append(*key, written, *all == u64::from(written) + 1, chunk.clone())
            }));
            (_, committed) = commit(&writes)?;
        }
    }
    Ok((next - GROWN, start.elapsed()))
}

/// Writes until the log has the size that it keeps. Until then each flush tells the
/// file system of a file that has grown, too, which can take many times as long: a
/// host that runs for a while has that behind it.
fn grow(dir: &Path, store: &SqliteStore, owner: Owner, chunk: &[u8]) -> Result<(), StoreError> {
    // As many sagas in a commit as are about 1 MiB; so many commits in a row
    // without growth are enough.
    const SAME: u64 = 8;
    let batch = ((1 << 20) / (chunk.len() as u64 + 1)).clamp(1, 256);
    let log = dir.join("sagahost.db-wal");
    let (mut largest, mut same) = (0, 0);
    for wave in 0..GROWN / batch {
        let numbers = wave * batch..(wave + 1) * batch;
        let writes: Vec<Write> = numbers.map(|number| begin(number, 1, chunk.to_vec())).collect();
        store.commit(owner, &writes)?;
        let size = std::fs::metadata(&log).map_or(0, |log| log.len());
        same = if size > largest { 0 } else { same + 1 };
        largest = largest.max(size);
        if same == SAME {
            break;
        }
    }
    Ok(())
}

/// The size of the part of this number, of parts that are whole numbers, at least 1,
/// and come to `each` on average.
fn part_of(each: f64, number: u64) -> u64 {
    let until = |parts: u64| (parts as f64 * each.max(1.0)).round() as u64;
    (until(number + 1) - until(number)).max(1)
}

/// The first of so many writes of a saga.
fn begin(number: u64, all: u64, chunk: Vec<u8>) -> Write {
    let mut write = create(number, false, chunk);
    if let (1, Write::Create { summary: begun, .. }) = (all, &mut write) {
        *begun = summary(RuntimeStatus::Completed, number);
    }
    write
}

fn append(key: InstanceKey, chunks: u32, ends: bool, chunk: Vec<u8>) -> Write {
    let status = if ends { RuntimeStatus::Completed } else { RuntimeStatus::Running };
    let summary = summary(status, key.0.unsigned_abs());
    Write::Append { key, expect_chunks: chunks, chunk, summary }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_whole_and_come_to_the_average() {
        for each in [1.0, 1.5, 2.0, 2.86, 101.0] {
            let sum: u64 = (0..1_000).map(|number| part_of(each, number)).sum();
            assert_eq!(sum, (each * 1_000.0).round() as u64, "{each}");
        }
        assert_eq!(part_of(0.3, 7), 1);
    }

    #[test]
    fn sagas_write_as_often_as_they_should_and_all_end() {
        let shapes = [(1.0, 4.0, 5, 20), (2.0, 4.0, 10, 40), (5.0, 1.0, 100, 100)];
        for (writes, batch, commits, chunks) in shapes {
            let dir = tempfile::tempdir().expect("a folder");
            let shape = RawShape { writes, batch, chunk_bytes: 10 };
            let mut made = 0;
            let (sagas, _) = run(dir.path(), shape, |sagas, _| sagas < 20, |_| made += 1)
                .expect("the store takes it");
            assert_eq!((sagas, made), (20, commits), "{shape:?}");
            let store = SqliteStore::open(dir.path()).expect("opens");
            let stats = store.stats().expect("counts");
            assert_eq!(stats.open, 0, "{shape:?}");
            let chunks_of = |number| {
                let Write::Create { new, .. } = begin(number, 1, Vec::new()) else { return 0 };
                let row = store.find(&new.id).expect("reads").expect("is there");
                store.journal(row.key, 0).expect("reads").len()
            };
            let journal: usize = (GROWN..GROWN + 20).map(chunks_of).sum();
            assert_eq!(journal, chunks, "{shape:?}");
        }
    }

    #[test]
    fn each_commit_of_one_write_is_timed() {
        let dir = tempfile::tempdir().expect("a folder");
        let took = raw_commits(dir.path(), 10, 2.0, 10).expect("the store takes it");
        assert_eq!(took.len(), 10);
    }
}
