//! The journal of an entity.

use serde::{Deserialize, Serialize};

use crate::entity::state::{Holder, Operation, Queued, Running};
use crate::post::Inbox;
use crate::{Failure, JournalError, Json, Letter, Logs, Millis, Parcel, Post};

/// One thing that happened to an entity.
///
/// As with [`Event`](crate::Event): change these only by adding optional
/// fields and new events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
pub enum EntityEvent {
    /// Somebody spoke of the entity for the first time.
    Created {
        /// The function of kind `entity` that it is one of.
        name: String,
        /// Which one.
        key: String,
        /// What names it as a sender of letters, for ever: 32 hex digits.
        origin: String,
    },
    /// A signal, a call, or the wish to lock it or to let go of it came in.
    Received {
        /// Which letter brought it; nothing where a client did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        post: Option<Post>,
        /// The instance id of the sender; empty for a client.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        from: String,
        /// What came.
        parcel: Parcel,
    },
    /// The signals that were to come by now join the queue.
    Due,
    /// An operation gave a result.
    OperationDone {
        /// Which operation of the entity, from 1.
        number: u64,
        /// Which attempt, from 1.
        attempt: u32,
        /// When the attempt began.
        started_at: Millis,
        /// The result.
        result: Json,
        /// The new state; `null` where there is none any more. Where this is
        /// missing, the state is as it was.
        #[serde(
            default,
            deserialize_with = "crate::json::given",
            skip_serializing_if = "Option::is_none"
        )]
        state: Option<Json>,
        /// What it sends.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sends: Vec<Outgoing>,
        /// What the attempt wrote.
        #[serde(default, skip_serializing_if = "Logs::is_empty")]
        logs: Logs,
    },
    /// An attempt of an operation ended without a result. Where there is no
    /// `retry_at`, it was the last one, and the operation has failed. It
    /// changes nothing.
    OperationFailed {
        /// Which operation of the entity, from 1.
        number: u64,
        /// Which attempt, from 1.
        attempt: u32,
        /// When the attempt began.
        started_at: Millis,
        /// Why.
        failure: Failure,
        /// When the next attempt begins.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Millis>,
        /// What the attempt wrote.
        #[serde(default, skip_serializing_if = "Logs::is_empty")]
        logs: Logs,
    },
    /// The host ended while this attempt may have run; the next one begins at
    /// once, with the same idempotency key, and does not count as a retry.
    AttemptLost {
        /// Which operation of the entity, from 1.
        number: u64,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// What the entity sent was taken in, or never will be.
    Delivered {
        /// Which of its letters.
        letter: u64,
        /// Why it never will be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<String>,
    },
    /// All there is to know of the entity. The first event of a journal that
    /// takes the place of a longer one.
    Snapshot(Box<Snapshot>),
}

/// A letter that an operation writes; it gets its number when it is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outgoing {
    /// The instance id of the receiver.
    pub to: String,
    /// What it brings.
    pub parcel: Parcel,
}

/// The whole state of an entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) origin: String,
    pub(crate) created: Millis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_operation: Option<Millis>,
    #[serde(
        default,
        deserialize_with = "crate::json::given",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) state: Option<Json>,
    /// How many operations there were.
    pub(crate) operations: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) running: Option<Running>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) queue: Vec<Queued>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) holder: Option<Holder>,
    /// How many signals were to come later.
    #[serde(default)]
    pub(crate) put_off: u64,
    /// Those that are still to come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) delayed: Vec<Delayed>,
    #[serde(default, skip_serializing_if = "Inbox::is_empty")]
    pub(crate) inbox: Inbox,
    /// How many letters it sent.
    pub(crate) sent: u64,
    /// Those that are not known to be taken in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) outbox: Vec<Letter>,
}

/// A signal that is to come later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Delayed {
    pub(crate) at: Millis,
    /// Which of those that were put off, from 1.
    pub(crate) place: u64,
    pub(crate) operation: Operation,
}

/// An event of an entity and when it was journaled. Written as
/// `[time, event]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntityRecord(pub Millis, pub EntityEvent);

/// The chunk that is stored for the events of one turn: a JSON array.
///
/// # Errors
/// When an event cannot be written as JSON, which no event the host makes
/// does.
pub fn encode_entity_chunk(records: &[EntityRecord]) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(records)
}

/// The events of one stored chunk; `chunk` is its number, for the error.
///
/// # Errors
/// Where the chunk is damaged, or was written by a later version.
pub fn decode_entity_chunk(chunk: usize, bytes: &[u8]) -> Result<Vec<EntityRecord>, JournalError> {
    serde_json::from_slice(bytes).map_err(|source| JournalError { chunk, source })
}
