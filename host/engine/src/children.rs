//! Child orchestrations: instances of their own, which tell their parent how
//! they ended.
//!
//! What a parent and its child tell each other may be lost with the host. So
//! a parent that is loaded starts its open children again, which does nothing
//! to a child that is there, and tells the parent of one that has ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sagahost_core::{
    ChildStart, ChildStop, Command, End, Failure, FailureKind, HandedUndo, Json, Millis,
    Orchestration, Parent, SpanOf, Started,
};
use sagahost_store::NewInstance;
use sagahost_wasm::FunctionKind;
use tokio::sync::oneshot;

use crate::api::new_id;
use crate::cell::{Body, Cell, Message, Replace};
use crate::entry::Young;
use crate::error::StartError;
use crate::guest;
use crate::lifecycle::Inner;
use crate::load::NotLoaded;

/// When a deadline of so many milliseconds from now is.
pub(crate) fn deadline_from(now: Millis, deadline_ms: Option<u64>) -> Option<Millis> {
    deadline_ms.map(|ms| now.saturating_add(ms))
}

/// Between two tries to read or write what a child depends on.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a start or a purge waits for what an instance that has ended has
/// still to send.
pub(crate) const UNDELIVERED: Duration = Duration::from_secs(10);

/// How a child ended, as its parent is told.
type Outcome = (Result<Json, Failure>, Vec<HandedUndo>);

fn outcome_of(orchestration: &Orchestration) -> Option<Outcome> {
    let instance = orchestration.instance();
    let outcome = match instance.end()? {
        End::Completed(output) => Ok(output.clone()),
        End::Failed(failure) => Err(failure.clone()),
        End::Canceled(reason) => {
            Err(Failure::host(FailureKind::Cancelled, format!("it was cancelled: {reason}")))
        }
        End::Terminated(reason) => {
            Err(Failure::host(FailureKind::Terminated, format!("it was terminated: {reason}")))
        }
    };
    Some((outcome, instance.handed_over()))
}

impl Inner {
    /// Lets an orchestration begin. What is returned says when that is
    /// durable, or why it is not. Where whoever asks `waits` for its end, it
    /// need not be durable sooner than that.
    pub(crate) fn begin(
        self: &Arc<Self>,
        id: &str,
        started: Started,
        replace: Replace,
        waits: bool,
        young: Option<Arc<Young>>,
    ) -> oneshot::Receiver<Result<(), StartError>> {
        let new = NewInstance {
            id: id.to_owned(),
            name: started.name.clone(),
            input: started.input.clone(),
            created: self.clock().now(),
            tags: started.tags.clone(),
        };
        let (ack, outcome) = oneshot::channel();
        let until = Instant::now() + UNDELIVERED;
        let message = Message::Start {
            new: Box::new(new),
            started: Box::new(started),
            replace,
            until,
            waits,
            young,
            ack,
        };
        self.deliver(id, message);
        outcome
    }

    /// Starts a child, unless it is there already.
    pub(crate) fn start_child(self: &Arc<Self>, cell: &Cell, body: &Body, child: ChildStart) {
        let parent = Parent {
            id: cell.id.to_string(),
            execution: body.execution.to_string(),
            task: child.task,
            attempt: child.attempt,
        };
        let (trace_parent, version, of) = {
            let guest = guest::lock(&body.guest);
            let instance = guest.orchestration.instance();
            let span = instance.trace_parent(SpanOf::Task(child.task));
            (Some(span), instance.started().version.clone(), instance.started().name.clone())
        };
        let function = match self.runtime.function(&child.function) {
            Some(function) if function.kind == FunctionKind::Orchestrator => Some(function),
            _ => None,
        };
        let fits = function.as_ref().map(|function| function.check_input(&child.input));
        let started = match (function, fits) {
            (Some(function), Some(Ok(()))) => Ok(Started {
                name: child.function,
                input: child.input,
                execution: new_id(),
                digest: function.digest.clone(),
                version: child.policy.version.or(version),
                tags: child.policy.tags,
                trace_parent,
                parent: Some(parent.clone()),
                deadline: deadline_from(
                    self.clock().now(),
                    child.policy.timeout_ms.or(function.timeout_ms),
                ),
                ..Started::default()
            }),
            (_, Some(Err(problem))) => {
                Err(format!("the input does not fit orchestrator '{}': {problem}", child.function))
            }
            _ => Err(format!("no orchestrator '{}' is deployed", child.function)),
        };
        if let Some(times) = child.rewind {
            // Before the start, which does nothing to one that is there.
            let reason = "its parent was rewound".to_owned();
            let parent = Some((parent.clone(), times));
            let command = Command::Rewind { reason, digest: None, parent };
            self.deliver(&child.id, Message::Told { command });
        }
        let started = match started {
            Ok(started) => {
                self.gate.has_child(&of, &started.name);
                Ok((self.begin(&child.id, started.clone(), Replace::Nothing, false, None), started))
            }
            Err(message) => Err(Failure::host(FailureKind::NotStarted, message)),
        };
        let (inner, id) = (self.clone(), child.id);
        tokio::spawn(async move {
            let outcome = match started {
                Ok((begun, started)) => inner.see_to(&id, begun, started).await,
                Err(failure) => inner.not_startable(&id, &parent, failure).await,
            };
            if let Some(outcome) = outcome {
                inner.child_ended(parent, outcome);
            }
        });
    }

    /// Sees to it that a child begins. Where it was there already, and has
    /// ended, says how.
    async fn see_to(
        self: &Arc<Self>,
        id: &str,
        mut begun: oneshot::Receiver<Result<(), StartError>>,
        started: Started,
    ) -> Option<Outcome> {
        loop {
            match begun.await {
                Ok(Err(StartError::Exists { .. })) => {
                    return self.report_of(id, started.parent.as_ref()).await;
                }
                Ok(Err(error)) => {
                    tracing::error!(instance = id, %error, "a child was not started; trying again");
                    tokio::time::sleep(PAUSE).await;
                    begun = self.begin(id, started.clone(), Replace::Nothing, false, None);
                }
                Ok(Ok(())) | Err(_) => return None,
            }
        }
    }

    /// What becomes of a child that cannot be started now: one that began
    /// before is there all the same, with all that it did.
    async fn not_startable(&self, id: &str, parent: &Parent, failure: Failure) -> Option<Outcome> {
        loop {
            match self.read_row(id).await {
                Ok(Some(_)) => return self.report_of(id, Some(parent)).await,
                Ok(None) => return Some((Err(failure), Vec::new())),
                Err(error) => {
                    tracing::error!(instance = id, error, "a child cannot be read; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// How a child ended that was there before, if it has. An instance that is
    /// no child of this step has taken its id.
    async fn report_of(&self, id: &str, parent: Option<&Parent>) -> Option<Outcome> {
        loop {
            match self.read_instance(id).await {
                Ok((_, chunks)) => match Orchestration::load(&chunks) {
                    Ok(orchestration)
                        if orchestration.instance().started().parent.as_ref() != parent =>
                    {
                        let message = format!(
                            "its id '{id}' is taken by another instance: choose another one, or \
                             purge that instance"
                        );
                        let failure = Failure::host(FailureKind::NotStarted, message);
                        return Some((Err(Failure { retryable: false, ..failure }), Vec::new()));
                    }
                    Ok(orchestration) => return outcome_of(&orchestration),
                    Err(error) => {
                        tracing::error!(instance = id, %error, "the journal of a child is damaged");
                        return None;
                    }
                },
                Err(NotLoaded::Unavailable(error)) => {
                    tracing::error!(instance = id, error, "a child cannot be read; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
                // It was purged meanwhile, and told its parent before.
                Err(_) => return None,
            }
        }
    }

    fn child_ended(self: &Arc<Self>, parent: Parent, (outcome, handed): Outcome) {
        let execution: Arc<str> = parent.execution.into();
        let command = Command::ChildEnded { task: parent.task, outcome, handed };
        self.deliver(&parent.id, Message::Ended { execution, token: None, command });
    }

    /// Tells the parent, if there is one, how this one ended.
    pub(crate) fn tell_parent(self: &Arc<Self>, id: &str, orchestration: &Orchestration) {
        let Some(parent) = orchestration.instance().started().parent.clone() else { return };
        match outcome_of(orchestration) {
            Some(outcome) => self.child_ended(parent, outcome),
            None => tracing::error!(instance = id, "a child that has not ended was said to have"),
        }
    }

    /// Tells children to end.
    pub(crate) fn stop_children(self: &Arc<Self>, stops: Vec<ChildStop>) {
        for ChildStop { id, reason, terminate, .. } in stops {
            let command = match terminate {
                true => Command::Terminate { reason, compensate: false },
                false => Command::HandOver { reason },
            };
            self.deliver(&id, Message::Told { command });
        }
    }
}
