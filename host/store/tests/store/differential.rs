//! The same random operations on both stores must give the same results, and
//! leave the same to be read, also after the one on disk was closed and opened.

use std::path::Path;

use sagahost_core::{RuntimeStatus, SagaState};
use sagahost_store::memory::MemoryStore;
use sagahost_store::*;

use crate::common::*;

const STEPS: usize = 250;

/// Few ids, so that they meet again; some are the beginning of others.
const IDS: [&str; 15] =
    ["a", "aa", "ab", "abc", "A", "b", "ba", "c", "c%", "ü", "@", "@c@1", "@c@2", "@cc@1", "?"];

/// Names and values of tags: empty ones, and such as JSON has to escape.
const TAG_NAMES: [&str; 6] = ["", "shop", ",\"shop\":\"", "\u{0}\n", "é😀", "1"];
const TAG_VALUES: [&str; 5] = ["", "a", "a\\\"", "\u{0}a", "1"];

#[test]
fn the_store_on_disk_behaves_as_the_plain_one() {
    for seed in seeds(6) {
        println!("SAGAHOST_STORE_SEED={seed}");
        let dir = tempfile::tempdir().unwrap();
        Pair::run(dir.path(), Random::new(seed));
    }
}

struct Pair<'a> {
    dir: &'a Path,
    random: Random,
    plain: MemoryStore,
    owner: Owner,
    /// Every key there ever was.
    keys: Vec<InstanceKey>,
    /// The plain store's counters when the other was opened.
    counted: Counters,
}

impl Pair<'_> {
    fn run(dir: &Path, random: Random) {
        let plain = MemoryStore::new();
        let owner = plain.claim().unwrap();
        let mut sqlite = SqliteStore::open(dir).unwrap();
        assert_eq!(sqlite.claim().unwrap(), owner);
        let mut pair =
            Pair { dir, random, plain, owner, keys: Vec::new(), counted: Counters::default() };
        for step in 0..STEPS {
            sqlite = pair.step(sqlite, step);
        }
        assert_eq!(contents(&sqlite), contents(&pair.plain));
    }

    fn step(&mut self, mut sqlite: SqliteStore, step: usize) -> SqliteStore {
        match self.random.below(22) {
            0 => {
                drop(sqlite);
                sqlite = SqliteStore::open(self.dir).unwrap();
                self.counted = self.plain.counters();
            }
            1 => {
                // The owner before is fenced from now on.
                let before = self.owner;
                self.owner = self.plain.claim().unwrap();
                assert_eq!(sqlite.claim().unwrap(), self.owner, "step {step}");
                let batch = self.batch();
                let error = sqlite.commit(before, &batch).unwrap_err();
                assert_eq!(Err(error), self.plain.commit(before, &batch), "step {step}");
            }
            2 => assert_eq!(contents(&sqlite), contents(&self.plain), "step {step}"),
            3 => sqlite.checkpoint().unwrap(),
            4 => {
                let query = self.board();
                let listed = whole_board(&sqlite, &query);
                assert_eq!(listed, whole_board(&self.plain, &query), "step {step}: {query:?}");
            }
            5 => {
                let query = self.histogram();
                let counts = whole_histogram(&sqlite, &query);
                let expected = whole_histogram(&self.plain, &query);
                assert_eq!(counts, expected, "step {step}: {query:?}");
            }
            6..9 => {
                let query = self.query();
                let listed = sqlite.list(&query).unwrap();
                assert_eq!(listed, self.plain.list(&query).unwrap(), "step {step}: {query:?}");
            }
            9 | 10 => {
                let id = *self.random.pick(&IDS);
                assert_eq!(sqlite.find(id), self.plain.find(id), "step {step}: {id}");
                let (key, from) = (self.key(), self.random.below(4) as u32);
                let journal = sqlite.journal(key, from);
                assert_eq!(journal, self.plain.journal(key, from), "step {step}: {key}");
            }
            _ => {
                let batch = self.batch();
                let results = sqlite.commit(self.owner, &batch).unwrap();
                let expected = self.plain.commit(self.owner, &batch).unwrap();
                assert_eq!(results, expected, "step {step}: {batch:#?}");
                self.keys.extend(results.iter().filter_map(|result| match result {
                    Ok(Written::Created(key)) => Some(*key),
                    _ => None,
                }));
            }
        }
        self.same_counters(&sqlite, step);
        sqlite
    }

    fn same_counters(&self, sqlite: &SqliteStore, step: usize) {
        let (all, before) = (self.plain.counters(), self.counted);
        let since = Counters {
            commits: all.commits - before.commits,
            creates: all.creates - before.creates,
            appends: all.appends - before.appends,
            replaces: all.replaces - before.replaces,
            purged: all.purged - before.purged,
        };
        assert_eq!(sqlite.counters(), since, "step {step}");
    }

    fn batch(&mut self) -> Vec<Write> {
        (0..self.random.below(6)).map(|_| self.write()).collect()
    }

    fn write(&mut self) -> Write {
        match self.random.below(14) {
            0..4 => Write::Create {
                new: NewInstance {
                    name: self.name(),
                    created: self.random.below(100),
                    tags: self.tags().into_iter().collect(),
                    ..new(self.random.pick::<&str>(&IDS), 0)
                },
                chunk: self.chunk(),
                summary: self.summary(),
            },
            4..8 => {
                let (key, expect_chunks) = self.key_and_chunks();
                let (chunk, summary) = (self.chunk(), self.summary());
                Write::Append { key, expect_chunks, chunk, summary }
            }
            8..10 => {
                let (key, expect_chunks) = self.key_and_chunks();
                let input = json(self.random.next().to_string());
                let (chunk, summary) = (self.chunk(), self.summary());
                Write::Replace { key, expect_chunks, input, chunk, summary }
            }
            10 => Write::SetNote {
                name: (*self.random.pick(&NOTES)).to_owned(),
                value: self.random.maybe(|random| random.next().to_string()),
            },
            11..13 => Write::Purge { key: self.key() },
            _ => Write::PurgeWhere {
                created_from: self.random.maybe(|random| random.below(100)),
                created_to: self.random.maybe(|random| random.below(100)),
                updated_to: self.random.maybe(|random| random.below(100)),
                statuses: self.statuses(),
                after: if self.random.one_in(2) { InstanceKey(0) } else { self.key() },
                limit: self.random.below(4) as u32,
            },
        }
    }

    fn key(&mut self) -> InstanceKey {
        match self.keys.len() {
            0 => InstanceKey(1),
            // Mostly one that may still be there.
            len if self.random.one_in(5) => self.keys[self.random.below(len as u64) as usize],
            len => self.keys[len - 1 - self.random.below(len.min(8) as u64) as usize],
        }
    }

    /// An instance, and mostly how many chunks it has.
    fn key_and_chunks(&mut self) -> (InstanceKey, u32) {
        let key = self.key();
        let chunks = self.plain.get(key).unwrap().map_or(0, |row| row.chunks);
        let off = if self.random.one_in(8) { self.random.below(3) as u32 } else { 0 };
        (key, (chunks + off).saturating_sub(off / 2 * 2))
    }

    fn tags(&mut self) -> Vec<(String, String)> {
        let count = if self.random.one_in(2) { self.random.below(3) } else { 0 };
        let mut tag = || (*self.random.pick(&TAG_NAMES), *self.random.pick(&TAG_VALUES));
        (0..count).map(|_| tag()).map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn name(&mut self) -> String {
        (*self.random.pick(&["OrderSaga", "Chain"])).to_owned()
    }

    fn chunk(&mut self) -> Vec<u8> {
        // Sometimes more than a page of the database.
        let length = if self.random.one_in(10) { 20_000 } else { 60 };
        let length = self.random.below(length);
        // What repeats itself is packed.
        match self.random.one_in(2) {
            true => vec![self.random.next() as u8; length as usize],
            false => noise(self.random.next(), length as usize),
        }
    }

    fn summary(&mut self) -> Summary {
        let random = &mut self.random;
        Summary {
            status: *random.pick(&RuntimeStatus::ALL),
            custom_status: random.maybe(|random| json(random.next().to_string())),
            output: random.maybe(|random| {
                let length = random.below(6_000) as usize;
                match random.one_in(2) {
                    true => json(format!("[\"{}\"]", "o".repeat(length))),
                    false => json(noisy_text(random.next(), length)),
                }
            }),
            updated: random.below(100),
            wake_at: random.maybe(|random| random.below(100)),
            busy: random.one_in(2),
            blocked: random.one_in(2),
            events: random.below(100),
            saga: *random.pick(&SagaState::ALL),
            stuck: random.one_in(4).then(|| {
                let length = random.below(6_000) as usize;
                json(format!("\"{}\"", "s".repeat(length)))
            }),
        }
    }

    fn sagas(&mut self) -> Vec<SagaState> {
        (0..self.random.below(4)).map(|_| *self.random.pick(&SagaState::ALL)).collect()
    }

    fn statuses(&mut self) -> Vec<RuntimeStatus> {
        (0..self.random.below(4)).map(|_| *self.random.pick(&RuntimeStatus::ALL)).collect()
    }

    fn query(&mut self) -> ListQuery {
        ListQuery {
            kind: *self.random.pick(&[
                ListKind::Instances,
                ListKind::Instances,
                ListKind::Entities,
            ]),
            id_prefix: self.random.maybe(|random| {
                let prefixes = ["", "a", "ab", "A", "c%", "%", "ü", "z", "@", "@c", "@c@"];
                (*random.pick(&prefixes)).to_owned()
            }),
            updated_from: self.random.one_in(4).then(|| self.random.below(100)),
            updated_to: self.random.one_in(4).then(|| self.random.below(100)),
            tags: if self.random.one_in(4) { self.tags() } else { Vec::new() },
            created_from: self.random.maybe(|random| random.below(100)),
            created_to: self.random.maybe(|random| random.below(100)),
            statuses: self.statuses(),
            saga: self.sagas(),
            name: self.random.one_in(4).then(|| self.name()),
            with_input: self.random.one_in(2),
            limit: self.random.below(5) as u32,
            after: self.random.one_in(3).then(|| self.key()),
        }
    }

    fn filter(&mut self) -> BoardFilter {
        let ListQuery { id_prefix, created_from, created_to, statuses, saga, name, tags, .. } =
            self.query();
        let searches = ["", "A", "ü", "saga", "Ordersaga", "c", "%", "@", "b", "chain"];
        let search = self.random.one_in(3).then(|| (*self.random.pick(&searches)).to_owned());
        BoardFilter { id_prefix, created_from, created_to, statuses, saga, name, tags, search }
    }

    fn work(&mut self) -> Work {
        let rows = if self.random.one_in(2) { self.random.below(4) as u32 } else { u32::MAX };
        Work { rows, ..Work::ANY }
    }

    fn board(&mut self) -> BoardQuery {
        let sort = *self.random.pick(&[BoardSort::Created, BoardSort::Updated]);
        BoardQuery {
            filter: self.filter(),
            sort,
            descending: self.random.one_in(2),
            limit: self.random.below(4) as u32,
            after: self.random.one_in(4).then(|| BoardPlace {
                at: if sort == BoardSort::Updated { self.random.below(100) } else { 0 },
                key: self.key(),
            }),
            work: self.work(),
        }
    }

    fn histogram(&mut self) -> HistogramQuery {
        HistogramQuery {
            filter: self.filter(),
            from: self.random.below(60),
            width: self.random.below(30),
            buckets: self.random.below(6) as u32,
            before: self.random.one_in(4).then(|| self.key()),
            work: self.work(),
        }
    }
}
