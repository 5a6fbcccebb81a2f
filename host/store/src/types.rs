//! What is written to a store, and what is read from it.

use sagahost_core::{Json, Millis, RuntimeStatus, SagaState, Tags};

use crate::WriteError;

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

/// The most bytes that the names and values of an instance's tags have
/// together. They are read with every row of a listing.
pub const MAX_TAGS_BYTES: usize = 64 << 10;

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
    /// Whether it has to go on after a restart: activities are open, or, where
    /// it has ended, what it sent to other instances is not delivered yet. Of
    /// an entity: whether it has something to do.
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
    /// Its tags; [`MAX_TAGS_BYTES`] of them at most.
    pub tags: Tags,
}

/// One change. Each is checked first, then made, and either made whole or not
/// at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// A new instance and the first chunk of its journal. A terminal instance
    /// of the same id is deleted with its journal, in the same transaction; one
    /// that is not terminal is [`WriteError::InstanceExists`](crate::WriteError),
    /// one that is busy all the same [`WriteError::InstanceBusy`](crate::WriteError).
    Create {
        /// The instance.
        new: NewInstance,
        /// The first chunk of its journal.
        chunk: Vec<u8>,
        /// Its row.
        summary: Summary,
    },
    /// The next chunk of a journal. That the instance is terminal is no
    /// obstacle: the summary may take it back to where it is not.
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
    /// A journal that begins anew: all chunks there are go away, and `chunk` is
    /// the only one. Key, id, name, time of creation and tags stay.
    Replace {
        /// The instance.
        key: InstanceKey,
        /// How many chunks the journal has so far, as the caller knows it.
        expect_chunks: u32,
        /// The instance's input, from now on.
        input: Json,
        /// The first chunk of the new journal.
        chunk: Vec<u8>,
        /// Its row, from now on.
        summary: Summary,
    },
    /// Deletes a terminal instance and its journal, unless it is busy.
    Purge {
        /// The instance.
        key: InstanceKey,
    },
    /// Deletes terminal instances that are not busy, and their journals; no
    /// entities. It deletes a bounded number of them: it looks at no more than [`MAX_PURGE_SCAN`] instances, and deletes
    /// no more than `limit`. [`Written::PurgedWhere`] says
    /// where to go on.
    PurgeWhere {
        /// Created at this time or later.
        created_from: Option<Millis>,
        /// Created at this time or earlier.
        created_to: Option<Millis>,
        /// Last changed at this time or earlier, which for what is terminal
        /// and not busy is: ended by then.
        updated_to: Option<Millis>,
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
    /// Keeps a text of the host's own, which is no instance's.
    SetNote {
        /// Under this name.
        name: String,
        /// The text; `None` removes the one there is.
        value: Option<String>,
    },
}

/// What a write did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// The instance was created and has this key.
    Created(InstanceKey),
    /// The chunk was appended, or has taken the place of the journal.
    Appended,
    /// This many instances were deleted: one.
    Purged(u64),
    /// What a [`Write::PurgeWhere`] did.
    PurgedWhere {
        /// These instances were deleted.
        purged: Vec<Gone>,
        /// There may be more, after this instance.
        next: Option<InstanceKey>,
    },
    /// The note is kept, or removed.
    Noted,
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
    /// Its tags.
    pub tags: Tags,
    /// The rest.
    pub summary: Summary,
    /// How many chunks its journal has.
    pub chunks: u32,
}

/// An instance that was deleted, as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Its id.
    pub id: String,
    /// The orchestrator's name.
    pub name: String,
    /// When it was accepted.
    pub created: Millis,
    /// How it had ended.
    pub status: RuntimeStatus,
    /// How far its saga had come.
    pub saga: SagaState,
}

/// An instance that was busy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceRef {
    /// Its key.
    pub key: InstanceKey,
    /// Its id.
    pub id: String,
    /// Whether it is an orchestration that has not ended.
    pub open: bool,
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
    /// Journals replaced, each by one chunk.
    pub replaces: u64,
    /// Instances purged or replaced.
    pub purged: u64,
}

impl Counters {
    /// Chunks written: the durable appends. A saga of two turns writes two.
    pub fn chunks(&self) -> u64 {
        self.creates + self.appends + self.replaces
    }
}

/// The size of the store. Entities are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// Instances that have not ended.
    pub open: u64,
    /// Instances that failed, or were cancelled or terminated.
    pub unsuccessful: u64,
    /// Instances whose saga is being undone.
    pub compensating: u64,
    /// Instances whose saga needs a person, whatever their status is.
    pub stuck: u64,
    /// Bytes of the database.
    pub database_bytes: u64,
    /// Bytes of its write-ahead log.
    pub wal_bytes: u64,
}

/// The refusal of a write of which one value is too large.
pub(crate) fn check_sizes(write: &Write) -> Result<(), WriteError> {
    match larger_than(MAX_VALUE_BYTES, MAX_TAGS_BYTES, write) {
        Some((what, bytes, limit)) => Err(WriteError::TooLarge { what, bytes, limit }),
        None => Ok(()),
    }
}

/// A value of a write: which one, how many bytes it has, and how many it may
/// have.
type Measured = (&'static str, usize, usize);

/// The first value that is too large.
fn larger_than(limit: usize, tags_limit: usize, write: &Write) -> Option<Measured> {
    let too_large = |(_, bytes, limit): &Measured| bytes > limit;
    let text = |json: Option<&Json>| json.map_or(0, |json| json.as_str().len());
    let (input, tags, chunk, summary) = match write {
        Write::Create { new, chunk, summary } => {
            (Some(&new.input), tags_bytes(&new.tags), chunk, summary)
        }
        Write::Append { chunk, summary, .. } => (None, 0, chunk, summary),
        Write::Replace { input, chunk, summary, .. } => (Some(input), 0, chunk, summary),
        Write::SetNote { name, value } => {
            let value = value.as_ref().map_or(0, String::len);
            let sizes = [("name of the note", name.len(), limit), ("note", value, limit)];
            return sizes.into_iter().find(too_large);
        }
        Write::Purge { .. } | Write::PurgeWhere { .. } => return None,
    };
    [
        ("input", text(input), limit),
        ("tags", tags, tags_limit),
        ("chunk", chunk.len(), limit),
        ("output", text(summary.output.as_ref()), limit),
        ("custom status", text(summary.custom_status.as_ref()), limit),
        ("text of what is stuck", text(summary.stuck.as_ref()), limit),
    ]
    .into_iter()
    .find(too_large)
}

/// How large these tags are.
pub(crate) fn tags_bytes(tags: &Tags) -> usize {
    tags.iter().map(|(name, value)| name.len() + value.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_chunks_fill_63_bits() {
        assert_eq!((MAX_KEY << CHUNK_BITS) | i64::from(MAX_CHUNKS - 1), i64::MAX);
    }

    #[test]
    fn the_largest_values_fit_into_a_row() {
        // With the largest input of schema version 1, tags of names of one
        // control character each, which as JSON have twelve times the bytes,
        // and 10 million bytes for an id and a name.
        let (input, row) = (256 << 20, 1_000_000_000);
        let tags = 12 * MAX_TAGS_BYTES + 2;
        assert!(input + 3 * MAX_VALUE_BYTES + tags + 10_000_000 < row);
    }

    #[test]
    fn each_value_that_is_too_large_is_named() {
        let text = |length: usize| Json::of(&"x".repeat(length - 2)).expect("text is JSON");
        let summary = |output, custom_status, stuck| Summary {
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
        let create = |input, tags: usize, chunk, summary| {
            let (id, name, created) = (String::new(), String::new(), 0);
            let tags = Tags::from([("t".to_owned(), "x".repeat(tags - 1))]);
            let new = NewInstance { id, name, input: text(input), created, tags };
            Write::Create { new, chunk: vec![0; chunk], summary }
        };
        let named = |write: &Write, what: &'static str, bytes: usize, limit: usize| {
            assert_eq!(larger_than(10, 5, write), Some((what, bytes, limit)));
        };
        let fits = |write: &Write| assert_eq!(larger_than(10, 5, write), None);
        fits(&create(10, 5, 10, summary(10, 10, 10)));
        named(&create(11, 5, 10, summary(10, 10, 10)), "input", 11, 10);
        named(&create(10, 6, 10, summary(10, 10, 10)), "tags", 6, 5);
        named(&create(10, 5, 12, summary(10, 10, 10)), "chunk", 12, 10);
        named(&create(10, 5, 10, summary(13, 10, 10)), "output", 13, 10);
        named(&create(10, 5, 10, summary(10, 14, 10)), "custom status", 14, 10);
        named(&create(10, 5, 10, summary(10, 10, 15)), "text of what is stuck", 15, 10);

        let (key, expect_chunks) = (InstanceKey(1), 1);
        let append = |stuck| {
            let summary = summary(2, 2, stuck);
            Write::Append { key, expect_chunks, chunk: Vec::new(), summary }
        };
        fits(&append(10));
        named(&append(15), "text of what is stuck", 15, 10);
        let replace = |input, chunk| {
            let (input, chunk, summary) = (text(input), vec![0; chunk], summary(2, 2, 2));
            Write::Replace { key, expect_chunks, input, chunk, summary }
        };
        fits(&replace(10, 10));
        named(&replace(11, 10), "input", 11, 10);
        named(&replace(10, 11), "chunk", 11, 10);
        let note =
            |name, value| Write::SetNote { name: "x".repeat(name), value: Some("x".repeat(value)) };
        fits(&note(10, 10));
        named(&note(11, 1), "name of the note", 11, 10);
        named(&note(1, 11), "note", 11, 10);
    }
}
