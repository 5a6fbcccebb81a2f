//! Telling of sagas that need a person.

use std::sync::{Mutex, PoisonError};

use sagahost_core::{Failure, Instance, Json, Millis, SagaState, UndoId};
use sagahost_store::ListQuery;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::api::Engine;
use crate::cell::Body;
use crate::guest;
use crate::lifecycle::Inner;

/// A saga that needs a person.
#[derive(Clone, Debug, PartialEq)]
pub struct StuckNotice {
    /// The instance.
    pub id: String,
    /// Its orchestrator.
    pub name: String,
    /// Since when, in milliseconds since 1970-01-01T00:00:00Z.
    pub since: Millis,
    /// What is stuck and why: the list that stands in the instance's row.
    pub stuck: Json,
}

/// Those who want to know.
#[derive(Default)]
pub(crate) struct StuckWatchers(Mutex<Vec<mpsc::UnboundedSender<StuckNotice>>>);

impl StuckWatchers {
    fn tell(&self, notice: &StuckNotice) {
        let mut watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|watcher| watcher.send(notice.clone()).is_ok());
    }

    fn add(&self, watcher: mpsc::UnboundedSender<StuckNotice>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(watcher);
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    step: Option<UndoId>,
    forward: bool,
    function: &'a str,
    attempts: u32,
    failure: &'a Failure,
    since: Millis,
}

/// What is stuck of an instance, as its row has it.
pub(crate) fn listed(instance: &Instance) -> Option<Json> {
    if instance.saga_state() != SagaState::Stuck {
        return None;
    }
    let stuck = instance.stuck();
    let listed: Vec<_> = stuck
        .iter()
        .map(|stuck| Listed {
            step: stuck.step,
            forward: stuck.forward,
            function: &stuck.function,
            attempts: stuck.attempts,
            failure: &stuck.failure,
            since: stuck.since,
        })
        .collect();
    // Texts, numbers and JSON: there is nothing that could not be written.
    Json::of(&listed).ok()
}

impl Inner {
    pub(crate) fn tell_stuck(&self, body: &Body) {
        let guest = guest::lock(&body.guest);
        let instance = guest.orchestration.instance();
        let Some(stuck) = listed(instance) else { return };
        tracing::error!(instance = guest.id(), stuck = stuck.as_str(), "a saga is stuck");
        self.stuck.tell(&StuckNotice {
            id: guest.id().to_owned(),
            name: instance.started().name.clone(),
            since: instance.updated(),
            stuck,
        });
    }
}

impl Engine {
    /// Sagas that need a person: those that do already, and then each that
    /// becomes stuck, once that is durable. One may be named twice.
    pub fn watch_stuck(&self) -> mpsc::UnboundedReceiver<StuckNotice> {
        let (sender, notices) = mpsc::unbounded_channel();
        self.inner.stuck.add(sender.clone());
        let engine = self.clone();
        tokio::spawn(async move {
            let mut after = None;
            loop {
                let query = ListQuery { saga: vec![SagaState::Stuck], after, ..Default::default() };
                let page = match engine.list(query).await {
                    Ok(page) => page,
                    Err(error) => {
                        tracing::error!(%error, "cannot read which sagas are stuck");
                        return;
                    }
                };
                for row in page.rows {
                    let notice = StuckNotice {
                        id: row.id,
                        name: row.name,
                        since: row.summary.updated,
                        stuck: row.summary.stuck.unwrap_or_else(Json::null),
                    };
                    if sender.send(notice).is_err() {
                        return;
                    }
                }
                after = page.next;
                if after.is_none() {
                    return;
                }
            }
        });
        notices
    }
}
