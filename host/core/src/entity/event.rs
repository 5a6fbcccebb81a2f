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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Entity;

    /// Journals that were written stay readable, and mean what they meant.
    #[test]
    fn the_journal_is_written_and_read_like_this() {
        let texts = [
            r#"[10,{"Created":{"name":"Account","key":"a","origin":"o"}}]"#,
            r#"[11,{"Received":{"parcel":{"Signal":{"operation":"add","input":1}}}}]"#,
            r#"[11,{"Received":{"post":{"origin":"p","number":4},"from":"order-7","parcel":{"Call":{"operation":"get","input":null,"task":2,"execution":"e"}}}}]"#,
            r#"[12,{"OperationFailed":{"number":1,"attempt":1,"startedAt":11,"failure":{"kind":"trap","code":"host.trap","message":"m","retryable":true},"retryAt":15}}]"#,
            r#"[13,{"AttemptLost":{"number":1,"attempt":2}}]"#,
            r#"[14,{"OperationDone":{"number":1,"attempt":3,"startedAt":13,"result":1,"state":{"n":1.0},"sends":[{"to":"i","parcel":{"Event":{"name":"E","input":2}}}]}}]"#,
            r#"[15,{"OperationDone":{"number":2,"attempt":1,"startedAt":14,"result":9}}]"#,
            r#"[16,{"Delivered":{"letter":1,"problem":"gone"}}]"#,
            r#"[17,{"Received":{"post":{"origin":"p","number":5},"from":"order-7","parcel":{"Lock":{"task":3,"execution":"e"}}}}]"#,
            r#"[17,{"Received":{"post":{"origin":"q","number":1},"from":"order-8","parcel":{"Lock":{"task":1,"execution":"f"}}}}]"#,
            r#"[17,{"Received":{"parcel":{"Signal":{"operation":"add","input":1,"at":40}}}}]"#,
            r#"[18,"Due"]"#,
        ];
        let chunk = format!("[{}]", texts.join(","));
        let records = decode_entity_chunk(0, chunk.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(encode_entity_chunk(&records).unwrap()).unwrap(), chunk);
        let mut entity = Entity::load(&[chunk]).unwrap();
        entity.at(20);
        entity.compact(0);
        let turn = entity.end_turn();
        let snapshot = r#"[[20,{"Snapshot":{"name":"Account","key":"a","origin":"o","created":10,"lastOperation":15,"state":{"n":1.0},"operations":2,"queue":[{"Lock":{"instance":"order-8","execution":"f","task":1}}],"holder":{"instance":"order-7","execution":"e","task":3},"putOff":1,"delayed":[{"at":40,"place":1,"operation":{"number":0,"operation":"add","input":1}}],"inbox":{"p":[5,17],"q":[1,17]},"sent":3,"outbox":[{"number":2,"to":"order-7","parcel":{"Answer":{"task":2,"execution":"e","outcome":{"Ok":9}}}},{"number":3,"to":"order-7","parcel":{"Granted":{"task":3,"execution":"e"}}}]}}]]"#;
        assert_eq!(
            String::from_utf8(encode_entity_chunk(&turn.records).unwrap()).unwrap(),
            snapshot
        );
        assert_eq!(Entity::load(&[snapshot]).unwrap().state(), entity.state());
    }
}
