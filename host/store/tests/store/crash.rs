//! What a crash may leave on the disk, put together by hand: in each case the
//! store opens, and holds what some number of commits had made of it, whole.

use std::path::{Path, PathBuf};

use sagahost_core::RuntimeStatus::*;
use sagahost_core::SagaState;
use sagahost_store::*;

use crate::common::*;

/// The files of a store that is open, as a crash would leave them.
pub(crate) struct Image {
    pub(crate) database: Vec<u8>,
    pub(crate) log: Vec<u8>,
}

pub(crate) fn database_of(dir: &Path) -> PathBuf {
    dir.join("sagahost.db")
}

fn log_of(dir: &Path) -> PathBuf {
    dir.join("sagahost.db-wal")
}

impl Image {
    pub(crate) fn of(dir: &Path) -> Self {
        Image {
            database: std::fs::read(database_of(dir)).unwrap(),
            log: std::fs::read(log_of(dir)).unwrap(),
        }
    }

    /// Opens a store on this image, in a directory of its own.
    fn open(&self) -> (tempfile::TempDir, Result<SqliteStore, StoreError>) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(database_of(dir.path()), &self.database).unwrap();
        std::fs::write(log_of(dir.path()), &self.log).unwrap();
        let store = SqliteStore::open(dir.path());
        (dir, store)
    }

    pub(crate) fn contents(&self) -> Contents {
        let (_dir, store) = self.open();
        contents(&store.unwrap())
    }
}

/// JSON, as all chunks are. Every other one repeats itself, and so is packed
/// where it is large.
fn chunk(length: u64) -> Vec<u8> {
    match length.is_multiple_of(2) {
        true => format!("\"{}\"", "x".repeat(length as usize)).into_bytes(),
        false => noisy_text(length, length as usize).into_bytes(),
    }
}

/// Commits of all kinds, and what there was to be read after each.
struct History {
    dir: tempfile::TempDir,
    store: SqliteStore,
    commits: Vec<Contents>,
}

impl History {
    fn new(seed: u64) -> Self {
        println!("SAGAHOST_STORE_SEED={seed}");
        let mut random = Random::new(seed);
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path()).unwrap();
        // What was before is in the database, and the log begins anew.
        store.checkpoint().unwrap();
        let mut commits = vec![contents(&store)];
        let owner = store.claim().unwrap();
        for round in 0..24 {
            let mut batch = Vec::new();
            for row in &commits[commits.len() - 1].rows {
                let ended = row.summary.status.is_terminal();
                match random.below(4) {
                    _ if ended && row.summary.busy => {
                        batch.push(append(row.key, row.chunks, Completed));
                    }
                    0 if ended => batch.push(Write::Purge { key: row.key }),
                    1 if ended => batch.push(create(&row.id)),
                    0 if !ended => batch.push(Write::Replace {
                        key: row.key,
                        expect_chunks: row.chunks,
                        input: json(format!("[{round}]")),
                        chunk: chunk(random.below(9_000)),
                        summary: summary(Running),
                    }),
                    2 | 3 if !ended => batch.push(Write::Append {
                        key: row.key,
                        expect_chunks: row.chunks,
                        chunk: chunk(random.below(9_000)),
                        summary: Summary {
                            busy: random.one_in(2),
                            ..summary_in(
                                if random.one_in(2) { Running } else { Completed },
                                *random.pick(&SagaState::ALL),
                            )
                        },
                    }),
                    _ => {}
                }
            }
            for (row, _) in &commits[commits.len() - 1].entities {
                if random.one_in(2) {
                    let (key, expect_chunks) = (row.key, row.chunks);
                    let (input, chunk) = (json("null"), chunk(random.below(9_000)));
                    let summary = Summary { busy: random.one_in(2), ..summary(Completed) };
                    batch.push(Write::Replace { key, expect_chunks, input, chunk, summary });
                }
            }
            if round % 8 == 0 {
                let new =
                    NewInstance { tags: tags([("a", "b")]), ..new(&format!("@e@{round}"), 1) };
                batch.push(Write::Create { new, chunk: chunk(9), summary: summary(Completed) });
            }
            if random.one_in(2) {
                let value = random.maybe(|random| random.next().to_string());
                batch.push(set_note("cron", value.as_deref()));
            }
            batch.extend((0..1 + random.below(6)).map(|n| create(&format!("i{round}-{n}"))));
            let results = store.commit(owner, &batch).unwrap();
            assert!(results.iter().all(Result::is_ok), "{results:?}");
            commits.push(contents(&store));
        }
        History { dir, store, commits }
    }

    /// How many commits the contents are, which must be some number of them.
    fn commits_in(&self, contents: &Contents) -> usize {
        let found = self.commits.iter().rposition(|commit| commit == contents);
        found.expect("what is left is what some number of commits had made")
    }
}

#[test]
fn a_log_that_was_cut_anywhere_holds_whole_commits() {
    for seed in seeds(1) {
        let history = History::new(seed);
        let image = Image::of(history.dir.path());
        // 32 bytes at the start, and frames of a page and 24 bytes.
        let frames = (image.log.len() - 32) / 4_120;
        assert!(frames > 100, "{frames}");
        let mut cuts = vec![0, 1, 31, 32, image.log.len()];
        cuts.extend((0..=frames).step_by(3).map(|frame| 32 + frame * 4_120));
        let mut random = Random::new(seed ^ 1);
        cuts.extend((0..60).map(|_| random.below(image.log.len() as u64) as usize));
        cuts.sort_unstable();
        let mut last = 0;
        for cut in cuts {
            let cut_short =
                Image { log: image.log[..cut].to_vec(), database: image.database.clone() };
            let commits = history.commits_in(&cut_short.contents());
            assert!(commits >= last, "a longer log holds no less: {cut} bytes, {commits}");
            last = commits;
        }
        assert_eq!(last, history.commits.len() - 1, "all of it holds everything");
    }
}

#[test]
fn a_log_with_a_wrong_byte_holds_the_commits_before_it() {
    for seed in seeds(1) {
        let history = History::new(seed);
        let image = Image::of(history.dir.path());
        let mut random = Random::new(seed ^ 2);
        let all = history.commits.len() - 1;
        for _ in 0..60 {
            let at = random.below(image.log.len() as u64) as usize;
            let mut log = image.log.clone();
            log[at] ^= 1 << random.below(8);
            let database = image.database.clone();
            let commits = history.commits_in(&Image { database, log }.contents());
            assert!(commits < all, "byte {at} does not matter");
        }
    }
}

#[test]
fn pages_that_were_written_back_in_part_do_no_harm() {
    for seed in seeds(1) {
        let history = History::new(seed);
        let before = Image::of(history.dir.path());
        history.store.checkpoint().unwrap();
        let after = Image::of(history.dir.path());
        assert!(after.log.is_empty() && after.database.len() > before.database.len());
        let mut random = Random::new(seed ^ 3);
        for _ in 0..20 {
            // Some pages were written back when the power failed, and some not,
            // and the last one is half a page.
            let mut database = before.database.clone();
            let length = random.below(after.database.len() as u64) as usize;
            database.resize(database.len().max(length), 0);
            for (page, written) in after.database.chunks(4_096).enumerate() {
                let start = page * 4_096;
                if start < database.len() && random.one_in(2) {
                    let end = database.len().min(start + written.len());
                    database[start..end].copy_from_slice(&written[..end - start]);
                }
            }
            let log = before.log.clone();
            let commits = history.commits_in(&Image { database, log }.contents());
            assert_eq!(commits, history.commits.len() - 1);
        }
    }
}

#[test]
fn after_a_crash_it_goes_on() {
    for seed in seeds(1) {
        let history = History::new(seed);
        let mut image = Image::of(history.dir.path());
        image.log.truncate(image.log.len() / 2);
        let (dir, store) = image.open();
        let store = store.unwrap();
        let before = contents(&store);
        let commits = history.commits_in(&before);
        assert!(commits > 0 && commits < history.commits.len() - 1);
        let owner = store.claim().unwrap();
        let key = created(&store, owner, create("after the crash"));
        assert!(before.rows.iter().all(|row| row.key < key));
        drop(store);
        let store = SqliteStore::open(dir.path()).unwrap();
        assert_eq!(contents(&store).rows.len(), before.rows.len() + 1);
    }
}

fn is_json(chunk: &[u8]) -> bool {
    std::str::from_utf8(chunk).is_ok_and(|text| sagahost_core::Json::parse(text).is_ok())
}

#[test]
fn a_damaged_database_is_refused_or_reported_and_never_believed() {
    for seed in seeds(1) {
        let history = History::new(seed);
        history.store.checkpoint().unwrap();
        let image = Image::of(history.dir.path());
        let all = &history.commits[history.commits.len() - 1];

        // Cut to half: the ends of the tables are gone.
        let mut cut = Image { database: image.database.clone(), log: Vec::new() };
        cut.database.truncate(image.database.len() / 2 / 4_096 * 4_096);
        let (_dir, store) = cut.open();
        let error = store.unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");

        // A page of zeros: the store finds what it can, which is all but zeros
        // in the middle of a large chunk. (SQLite has no checksums for pages.)
        // Those are not JSON, which is found when the chunk is decoded.
        for page in 1..image.database.len() / 4_096 {
            let mut holed = Image { database: image.database.clone(), log: Vec::new() };
            holed.database[page * 4_096..][..4_096].fill(0);
            let (_dir, store) = holed.open();
            let store = match store {
                Ok(store) => store,
                Err(StoreError::Damaged { .. }) => continue,
                Err(other) => panic!("page {page}: {other}"),
            };
            for (row, journal) in all.rows.iter().zip(&all.journals) {
                match store.journal(row.key, 0) {
                    Ok(read) if read.is_empty() => {
                        assert_eq!(store.get(row.key).ok().flatten(), None, "page {page}");
                    }
                    Ok(read) => {
                        assert_eq!(read.len(), journal.len(), "page {page}");
                        let mut pairs = read.iter().zip(journal);
                        assert!(pairs.all(|(read, written)| read == written || !is_json(read)));
                    }
                    Err(error) => assert!(matches!(error, StoreError::Damaged { .. })),
                }
            }
        }
    }
}
