//! What an orchestrator's code can ask for, and how that reads.

use sha2::{Digest, Sha256};

use crate::{
    CallPolicy, ChildPolicy, Compensation, EntityId, Json, Millis, Parcel, ScopeId, TaskId,
};

/// What an orchestrator's code can ask for.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// An activity.
    Activity {
        /// Its name.
        function: String,
        /// Its input.
        input: Json,
        /// How to retry it, after all defaults; not compared on replay.
        policy: CallPolicy,
        /// How it is undone, after all defaults; not compared on replay.
        undo: Option<Compensation>,
        /// The scope it belongs to.
        scope: ScopeId,
        /// Whether the saga can only go forward once it is complete.
        pivot: bool,
    },
    /// A child orchestration.
    Child {
        /// Its orchestrator.
        function: String,
        /// Its input.
        input: Json,
        /// How it is undone once it is complete; not compared on replay.
        undo: Option<Compensation>,
        /// Its instance id, where it is not derived; not compared on replay.
        id: Option<String>,
        /// What else is said about it; not compared on replay.
        policy: ChildPolicy,
        /// Whether nothing that it did is undone.
        by_hand: bool,
        /// The scope it belongs to.
        scope: ScopeId,
        /// Whether the saga can only go forward once it is complete.
        pivot: bool,
    },
    /// To open a scope within this one.
    OpenScope {
        /// The outer scope.
        parent: ScopeId,
    },
    /// To undo what is in this scope all at the same time.
    UndoInParallel {
        /// The scope.
        scope: ScopeId,
    },
    /// To undo what this scope did.
    Compensate {
        /// The scope.
        scope: ScopeId,
    },
    /// A timer.
    Timer {
        /// When it fires.
        fire_at: Millis,
    },
    /// An external event.
    Event {
        /// Its name.
        name: String,
    },
    /// To give up a timer or a wait.
    Cancel {
        /// The task.
        task: TaskId,
    },
    /// To send something, and not to wait for anything.
    Send {
        /// The receiver's instance id.
        to: String,
        /// What it is.
        parcel: Parcel,
    },
    /// An operation of an entity.
    CallEntity {
        /// The entity.
        entity: EntityId,
        /// What it is to do.
        operation: String,
        /// The input of that.
        input: Json,
    },
    /// To have these entities for itself.
    Lock {
        /// The entities.
        entities: Vec<EntityId>,
    },
    /// To let go of all locks.
    Unlock,
}

pub(crate) fn describe(request: &Request) -> String {
    match request {
        Request::Activity { function, input, .. } => {
            format!("activity {function} with input {}", short(input.as_str()))
        }
        Request::Child { function, input, .. } => {
            format!("orchestrator {function} with input {}", short(input.as_str()))
        }
        Request::OpenScope { parent } => format!("a scope opened in scope {parent}"),
        Request::UndoInParallel { scope } => format!("scope {scope} to be undone in parallel"),
        Request::Compensate { scope } => format!("scope {scope} to be undone"),
        Request::Timer { fire_at } => format!("a timer that fires at {fire_at}"),
        Request::Event { name } => format!("a wait for event {name}"),
        Request::Cancel { task } => format!("task {task} given up"),
        Request::Send { to, parcel } => sent(to, parcel),
        Request::CallEntity { entity, operation, input } => {
            format!("{operation} of {entity} with input {}", short(input.as_str()))
        }
        Request::Lock { entities } => locked(entities),
        Request::Unlock => "the locks let go".into(),
    }
}

pub(crate) fn locked(entities: &[EntityId]) -> String {
    let list: Vec<_> = entities.iter().map(EntityId::to_string).collect();
    format!("{} locked", list.join(", "))
}

pub(crate) fn sent(to: &str, parcel: &Parcel) -> String {
    let what = match parcel {
        Parcel::Event { name, input } => format!("event {name} with {}", short(input.as_str())),
        Parcel::Start { name, input, .. } => {
            format!("a start of {name} with input {}", short(input.as_str()))
        }
        Parcel::Signal { operation, input, .. } => {
            format!("{operation} with input {}", short(input.as_str()))
        }
        _ => "a letter".to_owned(),
    };
    format!("{what}, sent to {to}")
}

/// The beginning of a text, for a message.
pub(crate) fn short(text: &str) -> String {
    const LONGEST: usize = 300;
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        // Two that differ only further on are not to look alike.
        Some((end, _)) => {
            let digest = Sha256::digest(text.as_bytes());
            let digest: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{}... ({} bytes, sha256 {digest})", &text[..end], text.len())
        }
    }
}
