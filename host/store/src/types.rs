//! What is written to a store, and what is read from it.

use sagahost_core::{Json, Millis, RuntimeStatus, SagaState};

/// How many bits of a journal row's key number the chunk.
///
/// A journal row's key is `instance key << 24 | chunk number`, in 63 bits (64
/// with the sign, which stays 0). So an instance has at most 2^24 (16,777,216)
/// chunks, one for each turn, and a store numbers at most 2^39 instances
/// (550 thousand million: 17 years at a thousand a second). One integer is the
/// whole key: a journal is a range of neighbouring rows and needs no index.
pub const CHUNK_BITS: u32 = 24;

/// The most chunks a journal can have; see [`CHUNK_BITS`].
pub const MAX_CHUNKS: u32 = 1 << CHUNK_BITS;

/// The largest instance key; see [`CHUNK_BITS`].
pub const MAX_KEY: i64 = (1 << (63 - CHUNK_BITS)) - 1;

/// The largest chunk, input, output, custom status or text of what is stuck,
/// in bytes. Four of them stand in one row, and SQLite's limit for a row is
/// 1,000,000,000. (In schema version 1 it was 256 MiB: an input may be as large
/// as that, and still there is room beside it.)
pub const MAX_VALUE_BYTES: usize = 224 << 20;

/// The most rows of one page of a listing.
pub const MAX_PAGE: u32 = 1_000;

/// A page ends early when its inputs, outputs, custom statuses and texts of
/// what is stuck have reached this many bytes together (it always has at least
/// one row).
pub const MAX_PAGE_BYTES: usize = 8 << 20;

/// The most instances one [`Write::PurgeWhere`] deletes.
pub const MAX_PURGE: u32 = 1_000;

/// The most instances one [`Write::PurgeWhere`] looks at. It runs between the
/// turns of sagas, so it must not be long.
pub const MAX_PURGE_SCAN: u32 = 10_000;

/// The number of an instance. Instances are numbered from 1, in the order in
/// which they were created; a number is never used again.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct InstanceKey(pub i64);

impl std::fmt::Display for InstanceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The right to write to a partition, from [`Store::claim`](crate::Store::claim)
/// until someone else claims it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The partition.
    pub partition: u16,
    /// How often it had been claimed when this owner claimed it.
    pub epoch: u64,
}

/// What status and listing show of an instance, kept beside its journal.
///
/// Times and counts are stored as 63-bit integers; larger ones are stored as
/// the largest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The runtime status.
    pub status: RuntimeStatus,
    /// What the orchestrator last set as its custom status.
    pub custom_status: Option<Json>,
    /// The output, or the failure.
    pub output: Option<Json>,
    /// When the instance last changed.
    pub updated: Millis,
    /// When it has to be woken: its earliest timer or retry.
    pub wake_at: Option<Millis>,
    /// Whether activities are open.
    pub busy: bool,
    /// Whether it cannot go on for now.
    pub blocked: bool,
    /// How many events its journal has.
    pub events: u64,
    /// How far its saga has come, whatever its status is.
    pub saga: SagaState,
    /// What is stuck and why, as JSON to be shown in a listing; `None` where
    /// nothing is. The store does not compare it with `saga`.
    pub stuck: Option<Json>,
}

/// What is stored of an instance once, when it is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewInstance {
    /// The instance id.
    pub id: String,
    /// The orchestrator's name.
    pub name: String,
    /// Its input.
    pub input: Json,
    /// When it was accepted.
    pub created: Millis,
}

/// One change. Each is checked first, then made, and either made whole or not
/// at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// A new instance and the first chunk of its journal. A terminal instance
    /// of the same id is deleted with its journal, in the same transaction; one
    /// that is not terminal is [`WriteError::InstanceExists`](crate::WriteError).
    Create {
        /// The instance.
        new: NewInstance,
        /// The first chunk of its journal.
        chunk: Vec<u8>,
        /// Its row.
        summary: Summary,
    },
    /// The next chunk of a journal.
    Append {
        /// The instance.
        key: InstanceKey,
        /// How many chunks the journal has so far, as the caller knows it.
        expect_chunks: u32,
        /// The chunk.
        chunk: Vec<u8>,
        /// Its row, from now on.
        summary: Summary,
    },
    /// Deletes a terminal instance and its journal.
    Purge {
        /// The instance.
        key: InstanceKey,
    },
    /// Deletes terminal instances and their journals, a bounded number of
    /// them: it looks at no more than [`MAX_PURGE_SCAN`] instances, and deletes
    /// no more than `limit`. [`Written::PurgedWhere`] says
    /// where to go on.
    PurgeWhere {
        /// Created at this time or later.
        created_from: Option<Millis>,
        /// Created at this time or earlier.
        created_to: Option<Millis>,
        /// Of one of these statuses; any terminal one if empty. Those that are
        /// not terminal are ignored.
        statuses: Vec<RuntimeStatus>,
        /// Only instances after this one; from the first with
        /// `InstanceKey(0)`.
        after: InstanceKey,
        /// How many at most. 0 and all above [`MAX_PURGE`] count as
        /// [`MAX_PURGE`].
        limit: u32,
    },
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The instance was created and has this key.
    Created(InstanceKey),
    /// The chunk was appended.
    Appended,
    /// This many instances were deleted: one.
    Purged(u64),
    /// What a [`Write::PurgeWhere`] did.
    PurgedWhere {
        /// This many instances were deleted.
        purged: u64,
        /// There may be more, after this instance.
        next: Option<InstanceKey>,
    },
}

/// An instance as status and listing show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceRow {
    /// Its key.
    pub key: InstanceKey,
    /// Its id.
    pub id: String,
    /// The orchestrator's name.
    pub name: String,
    /// Its input; `None` only in a listing that did not ask for it.
    pub input: Option<Json>,
    /// When it was accepted.
    pub created: Millis,
    /// The rest.
    pub summary: Summary,
    /// How many chunks its journal has.
    pub chunks: u32,
}

/// Which instances to list. All conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// The id begins with this; with regard to case.
    pub id_prefix: Option<String>,
    /// Created at this time or later.
    pub created_from: Option<Millis>,
    /// Created at this time or earlier.
    pub created_to: Option<Millis>,
    /// Of one of these statuses; any if empty.
    pub statuses: Vec<RuntimeStatus>,
    /// In one of these saga states; in any if empty.
    pub saga: Vec<SagaState>,
    /// Of this orchestrator.
    pub name: Option<String>,
    /// Whether to read inputs.
    pub with_input: bool,
    /// How many at most. 0 and all above [`MAX_PAGE`] count as [`MAX_PAGE`].
    pub limit: u32,
    /// Only instances after this one: [`Page::next`] of the page before.
    pub after: Option<InstanceKey>,
}

/// Some of the instances that were asked for, in the order in which they were
/// created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The instances.
    pub rows: Vec<InstanceRow>,
    /// Where to go on ([`ListQuery::after`]), if there are more.
    pub next: Option<InstanceKey>,
}

/// An instance that had activities open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceRef {
    /// Its key.
    pub key: InstanceKey,
    /// Its id.
    pub id: String,
}

/// An instance that has to be woken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wakeup {
    /// Its key.
    pub key: InstanceKey,
    /// Its id.
    pub id: String,
    /// When.
    pub at: Millis,
}

/// What this store object has committed since it was opened. Refused writes
/// and failed commits are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// Durable transactions with at least one write done.
    pub commits: u64,
    /// Instances created, each with one chunk.
    pub creates: u64,
    /// Chunks appended to instances that were there.
    pub appends: u64,
    /// Instances purged or replaced.
    pub purged: u64,
}

impl Counters {
    /// Chunks written: the durable appends. A saga of two turns writes two.
    pub fn chunks(&self) -> u64 {
        self.creates + self.appends
    }
}

/// The size of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// Instances that have not ended.
    pub open: u64,
    /// Instances that failed, or were cancelled or terminated.
    pub unsuccessful: u64,
    /// Instances whose saga needs a person, whatever their status is.
    pub stuck: u64,
    /// Bytes of the database.
    pub database_bytes: u64,
    /// Bytes of its write-ahead log.
    pub wal_bytes: u64,
}

/// Whether one of the values of a write is too large, and which.
pub(crate) fn too_large(write: &Write) -> Option<(&'static str, usize)> {
    larger_than(MAX_VALUE_BYTES, write)
}

fn larger_than(limit: usize, write: &Write) -> Option<(&'static str, usize)> {
    let text = |json: &Option<Json>| json.as_ref().map_or(0, |json| json.as_str().len());
    let (input, chunk, summary) = match write {
        Write::Create { new, chunk, summary } => (new.input.as_str().len(), chunk, summary),
        Write::Append { chunk, summary, .. } => (0, chunk, summary),
        Write::Purge { .. } | Write::PurgeWhere { .. } => return None,
    };
    [
        ("input", input),
        ("chunk", chunk.len()),
        ("output", text(&summary.output)),
        ("custom status", text(&summary.custom_status)),
        ("text of what is stuck", text(&summary.stuck)),
    ]
    .into_iter()
    .find(|(_, bytes)| *bytes > limit)
}

/// How many rows a page of this query has at most.
pub(crate) fn page_size(query: &ListQuery) -> usize {
    match query.limit {
        0 => MAX_PAGE as usize,
        limit => limit.min(MAX_PAGE) as usize,
    }
}

/// A page of at most `size` rows and about [`MAX_PAGE_BYTES`]. `rows` has at
/// least one row more than that, if there are any.
pub(crate) fn fill_page<E>(
    rows: impl Iterator<Item = Result<InstanceRow, E>>,
    size: usize,
) -> Result<Page, E> {
    let mut page = Page::default();
    let mut bytes = 0;
    for row in rows {
        let row = row?;
        if page.rows.len() == size || bytes >= MAX_PAGE_BYTES {
            page.next = page.rows.last().map(|row| row.key);
            break;
        }
        let summary = &row.summary;
        bytes += [&row.input, &summary.output, &summary.custom_status, &summary.stuck]
            .into_iter()
            .flatten()
            .map(|json| json.as_str().len())
            .sum::<usize>();
        page.rows.push(row);
    }
    Ok(page)
}

/// The string that is above all strings that begin with `prefix`, and not
/// above any other that is: the end of the range that the prefix stands for.
/// `None` where there is none. UTF-8 orders strings as their code points do.
pub(crate) fn prefix_end(prefix: &str) -> Option<String> {
    let mut end: Vec<char> = prefix.chars().collect();
    while let Some(last) = end.pop() {
        // The code points between D7FF and E000 are not characters.
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            last => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            end.push(next);
            return Some(end.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_string_of_its_length_or_shorter() {
        assert_eq!(prefix_end("ab"), Some("ac".into()));
        assert_eq!(prefix_end("a\u{10ffff}"), Some("b".into()));
        assert_eq!(prefix_end("\u{d7ff}"), Some("\u{e000}".into()));
        assert_eq!(prefix_end("\u{10ffff}"), None);
        assert_eq!(prefix_end(""), None);
    }

    #[test]
    fn keys_and_chunks_fill_63_bits() {
        assert_eq!((MAX_KEY << CHUNK_BITS) | i64::from(MAX_CHUNKS - 1), i64::MAX);
    }

    #[test]
    fn the_largest_values_fit_into_a_row() {
        // With the largest input of schema version 1, and 10 million bytes for
        // an id and a name.
        let (input, row) = (256 << 20, 1_000_000_000);
        assert!(input + 3 * MAX_VALUE_BYTES + 10_000_000 < row);
    }

    #[test]
    fn each_value_that_is_too_large_is_named() {
        let text = |length: usize| Json::of(&"x".repeat(length - 2)).expect("text is JSON");
        let create = |input, chunk, output, custom_status, stuck| {
            let summary = Summary {
                status: RuntimeStatus::Running,
                custom_status: Some(text(custom_status)),
                output: Some(text(output)),
                updated: 0,
                wake_at: None,
                busy: false,
                blocked: false,
                events: 1,
                saga: SagaState::Stuck,
                stuck: Some(text(stuck)),
            };
            let (id, name, created) = (String::new(), String::new(), 0);
            let new = NewInstance { id, name, input: text(input), created };
            Write::Create { new, chunk: vec![0; chunk], summary }
        };
        let checked = |write: &Write| larger_than(10, write);
        assert_eq!(checked(&create(10, 10, 10, 10, 10)), None);
        assert_eq!(checked(&create(11, 10, 10, 10, 10)), Some(("input", 11)));
        assert_eq!(checked(&create(10, 12, 10, 10, 10)), Some(("chunk", 12)));
        assert_eq!(checked(&create(10, 10, 13, 10, 10)), Some(("output", 13)));
        assert_eq!(checked(&create(10, 10, 10, 14, 10)), Some(("custom status", 14)));
        let stuck = create(10, 10, 10, 10, 15);
        let found = Some(("text of what is stuck", 15));
        assert_eq!(checked(&stuck), found);
        let Write::Create { chunk, summary, .. } = stuck else { unreachable!() };
        let append = Write::Append { key: InstanceKey(1), expect_chunks: 1, chunk, summary };
        assert_eq!(checked(&append), found);
    }
}
