//! Letters between instances and entities: taking them to the receiver, and
//! telling the sender.
//!
//! Nothing of this is kept: what is lost with the host is sent again by a
//! sender that still has it in its outbox.

use std::sync::Arc;
use std::time::Duration;

use sagahost_core::{
    BadInstanceId, Letter, Millis, Orchestration, Parcel, Post, Started, Tags, check_instance_id,
};
use sagahost_store::MAX_TAGS_BYTES;
use sagahost_wasm::FunctionKind;

use crate::api::new_id;
use crate::cell::{Message, Replace};
use crate::children::deadline_from;
use crate::entity::{EntityMessage, is_entity};
use crate::error::StartError;
use crate::lifecycle::Inner;
use crate::load::NotLoaded;

/// How long a receiver remembers a sender, in milliseconds. What was not taken
/// in before a crash is sent again within moments of the next start.
const REMEMBERED: Millis = 10 * 60 * 1000;

/// Between two tries to read or write what a start depends on.
const PAUSE: Duration = Duration::from_secs(1);

impl Inner {
    /// Takes a letter, which is durable, to where it is to go.
    pub(crate) fn post(self: &Arc<Self>, from: &str, origin: &str, letter: Letter) {
        self.counters.letters.add(1);
        let Letter { number, to, parcel } = letter;
        let post = Post { origin: origin.to_owned(), number };
        let from = from.to_owned();
        match parcel {
            Parcel::Start { .. } => {
                let inner = self.clone();
                tokio::spawn(async move {
                    if let Some(problem) = inner.start_for(&to, &post, parcel).await {
                        inner.posted(&from, post, problem);
                    }
                });
            }
            Parcel::Event { .. } if is_entity(&to) => {
                let problem = format!("`{to}` is an entity: it takes signals, and no events");
                self.posted(&from, post, Some(problem));
            }
            parcel if is_entity(&to) => {
                self.deliver_to_entity(&to, EntityMessage::Letter { post, from, parcel });
            }
            parcel => self.deliver(&to, Message::Letter { post, from, parcel }),
        }
    }

    /// Tells the sender that a letter was taken in, which is durable, or why it
    /// never will be.
    pub(crate) fn posted(self: &Arc<Self>, sender: &str, post: Post, problem: Option<String>) {
        if let Some(problem) = &problem {
            self.counters.undeliverable.add(1);
            tracing::warn!(instance = sender, problem, "what an instance sent is not delivered");
        }
        if is_entity(sender) {
            self.deliver_to_entity(sender, EntityMessage::Posted { post, problem });
        } else {
            self.deliver(sender, Message::Posted { post, problem });
        }
    }

    /// Senders that were last heard of before this time need not be remembered.
    pub(crate) fn forget_before(&self) -> Millis {
        let now = self.clock().now();
        // A clock that was moved says nothing of how long it has been up.
        let has_been_up = now.saturating_sub(self.since) > REMEMBERED && !self.clock().is_movable();
        if has_been_up { now.saturating_sub(REMEMBERED) } else { 0 }
    }

    /// Starts an orchestration for an instance that does not wait for it.
    /// Returns what to tell the sender; nothing where it has to ask again.
    async fn start_for(
        self: &Arc<Self>,
        id: &str,
        post: &Post,
        parcel: Parcel,
    ) -> Option<Option<String>> {
        let Parcel::Start { name, input, version, tags, start_at, trace_parent } = parcel else {
            return None;
        };
        let function = match self.runtime.function(&name) {
            Some(function) if function.kind == FunctionKind::Orchestrator => function,
            _ => return Some(Some(format!("no orchestrator '{name}' is deployed"))),
        };
        let now = self.clock().now();
        let started = Started {
            name,
            input,
            execution: new_id(),
            digest: function.digest.clone(),
            version,
            tags,
            trace_parent,
            sender: Some(post.clone()),
            start_at: start_at.filter(|at| *at > now),
            deadline: deadline_from(start_at.unwrap_or(now).max(now), function.timeout_ms),
            ..Started::default()
        };
        let problem = check_tags(&started.tags)
            .or_else(|| bad_id(check_instance_id(id)))
            .or_else(|| function.check_input(&started.input).err().map(|error| error.to_string()));
        if let Some(problem) = problem {
            return Some(Some(problem));
        }
        loop {
            match self.begin(id, started.clone(), Replace::Nothing, false, None).await {
                Ok(Ok(())) => return Some(None),
                Ok(Err(StartError::Exists { .. })) => return self.was_started(id, post).await,
                Ok(Err(StartError::ShuttingDown)) | Err(_) => return None,
                Ok(Err(error)) => {
                    tracing::error!(instance = id, %error, "an orchestration was not started; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Whether the instance that has this id was started by this letter.
    async fn was_started(&self, id: &str, post: &Post) -> Option<Option<String>> {
        loop {
            match self.read_instance(id).await {
                Ok((_, chunks)) => {
                    let sender = Orchestration::load(&chunks).ok().and_then(|orchestration| {
                        orchestration.instance().started().sender.clone()
                    });
                    let taken = || format!("the id '{id}' is taken by another instance");
                    return Some((sender.as_ref() != Some(post)).then(taken));
                }
                // It was stored, and purged since.
                Err(NotLoaded::NotFound) => return Some(None),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

fn bad_id(checked: Result<(), BadInstanceId>) -> Option<String> {
    checked.err().map(|error| format!("the id that it was to have is not allowed: {error}"))
}

fn check_tags(tags: &Tags) -> Option<String> {
    let bytes: usize = tags.iter().map(|(word, value)| word.len() + value.len()).sum();
    (bytes > MAX_TAGS_BYTES)
        .then(|| format!("its tags have {bytes} bytes; {MAX_TAGS_BYTES} are allowed"))
}
