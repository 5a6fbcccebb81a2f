//! What the engine offers to those above it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sagahost_core::{
    Command, Json, Millis, Post, Record, Repair, RuntimeStatus, Started, Tags, UndoId,
    check_instance_id, decode_chunk,
};
use sagahost_store::{InstanceRow, ListQuery, Page, Summary};
use sagahost_wasm::{ActivityCall, ActivityReport, Function, FunctionKind, Runtime};
use tokio::sync::{broadcast, oneshot};

use crate::cell::{Message, Replace};
use crate::children::deadline_from;
use crate::dispatch::new_token;
use crate::entry::Young;
use crate::error::{CommandError, InvokeError, StartError};
use crate::fair::Asker;
use crate::lifecycle::Inner;
use crate::places::Kind;
use crate::stats::Stats;

/// What is asked for at the start of an orchestration.
#[derive(Clone, Debug)]
pub struct StartRequest {
    /// The orchestrator.
    pub name: String,
    /// The instance's id; one is made where none is given.
    pub id: Option<String>,
    /// The input.
    pub input: Json,
    /// The version asked for.
    pub version: Option<String>,
    /// The W3C `traceparent` that came with the request.
    pub trace_parent: Option<String>,
    /// How long after its start the saga is undone if it has not ended or
    /// passed its pivot. Goes before what the orchestrator's own description
    /// says.
    pub deadline: Option<Duration>,
    /// Words by which the instance can be found, each with a value.
    pub tags: Tags,
    /// When its code first runs; at once where that is past, or not given.
    pub start_at: Option<Millis>,
}

/// How an orchestration ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// Its status.
    pub status: RuntimeStatus,
    /// Its output; where it failed, the failure; where it was terminated, the
    /// reason.
    pub output: Option<Json>,
}

/// Events of one instance that have just become durable.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The instance.
    pub id: String,
    /// Its orchestrator.
    pub name: String,
    /// The place of the first of them in its journal, from 0.
    pub first: u64,
    /// The events.
    pub records: Vec<Record>,
    /// Whether the orchestration ended with them.
    pub ended: bool,
}

/// The engine. Cloning it gives another handle to the same one.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

impl Engine {
    /// The runtime that the functions are deployed in.
    pub fn runtime(&self) -> &Runtime {
        &self.inner.runtime
    }

    /// Starts an orchestration. When this returns, its start and the steps of
    /// its first turn are durable.
    ///
    /// # Errors
    /// When it was not started; see [`StartError`].
    pub async fn start_instance(&self, request: StartRequest) -> Result<String, StartError> {
        let _under_way = self.inner.gate.starts();
        let young = Some(self.inner.entries.enter().await);
        let (id, started) = self.begin(request, Replace::Ended, false, young)?;
        started.await.unwrap_or(Err(StartError::ShuttingDown))?;
        Ok(id)
    }

    /// As [`Self::start_instance`], but only where there is no instance of
    /// that id, in whatever state.
    ///
    /// # Errors
    /// When it was not started; [`StartError::Exists`] where there is one.
    pub async fn start_once(&self, request: StartRequest) -> Result<String, StartError> {
        let (id, started) = self.begin(request, Replace::Nothing, false, None)?;
        started.await.unwrap_or(Err(StartError::ShuttingDown))?;
        Ok(id)
    }

    /// Starts an orchestration and waits for its end, at most so long. `None`
    /// where it has not ended by then.
    ///
    /// # Errors
    /// When it was not started; see [`StartError`].
    pub async fn start_and_wait(
        &self,
        mut request: StartRequest,
        longest: Duration,
    ) -> Result<(String, Option<Ended>), StartError> {
        let id = request.id.take().unwrap_or_else(new_id);
        request.id = Some(id.clone());
        let ended = self.inner.waiters.wait(&id);
        {
            let _under_way = self.inner.gate.starts();
            let young = Some(self.inner.entries.enter().await);
            let (_, started) = self.begin(request, Replace::Ended, true, young)?;
            started.await.unwrap_or(Err(StartError::ShuttingDown))?;
        }
        let ended = tokio::time::timeout(longest, ended).await;
        Ok((id, ended.ok().and_then(Result::ok)))
    }

    /// Returns when it is durable what has become of this instance so far. Of
    /// one whose start is not durable yet, nothing else says that it is there.
    ///
    /// # Errors
    /// When there is no such instance, it has ended, or the store failed.
    pub async fn settle(&self, id: &str) -> Result<(), CommandError> {
        self.ask(id, Command::Tick).await
    }

    #[allow(clippy::type_complexity)]
    fn begin(
        &self,
        request: StartRequest,
        replace: Replace,
        waits: bool,
        young: Option<Young>,
    ) -> Result<(String, oneshot::Receiver<Result<(), StartError>>), StartError> {
        self.open(StartError::ShuttingDown)?;
        let StartRequest { name, id, input, version, trace_parent, deadline, tags, start_at } =
            request;
        let function = match self.inner.runtime.function(&name) {
            Some(function) if function.kind == FunctionKind::Orchestrator => function,
            _ => {
                let known = self.names(FunctionKind::Orchestrator);
                return Err(StartError::UnknownOrchestrator { name, known });
            }
        };
        let id = id.unwrap_or_else(new_id);
        check_instance_id(&id)?;
        function
            .check_input(&input)
            .map_err(|problem| StartError::BadInput { name: name.clone(), problem })?;
        let deadline_ms =
            deadline.map(|deadline| u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX));
        let now = self.inner.clock().now();
        let begins = start_at.map_or(now, |at| at.max(now));
        let started = Started {
            name,
            input,
            execution: new_id(),
            digest: function.digest.clone(),
            version,
            tags,
            trace_parent,
            start_at: start_at.filter(|at| *at > now),
            deadline: deadline_from(begins, deadline_ms.or(function.timeout_ms)),
            ..Started::default()
        };
        let outcome = self.inner.begin(&id, started, replace, waits, young.map(Arc::new));
        Ok((id, outcome))
    }

    pub(crate) fn open<E>(&self, closed: E) -> Result<(), E> {
        if self.inner.stopping.load(Ordering::SeqCst) { Err(closed) } else { Ok(()) }
    }

    fn names(&self, kind: FunctionKind) -> Vec<String> {
        let functions: Vec<Arc<Function>> = self.inner.runtime.functions();
        let mut names: Vec<_> = functions
            .iter()
            .filter(|function| function.kind == kind)
            .map(|function| function.name.clone())
            .collect();
        names.sort_unstable();
        names
    }

    async fn ask(&self, id: &str, command: Command) -> Result<(), CommandError> {
        self.open(CommandError::ShuttingDown)?;
        let (ack, outcome) = oneshot::channel();
        self.inner.deliver(id, Message::Asked { command, ack });
        outcome.await.unwrap_or(Err(CommandError::ShuttingDown))
    }

    /// Raises an event. When this returns it is durable, and will be
    /// delivered once.
    ///
    /// # Errors
    /// When there is no such instance, it has ended, or the store failed.
    pub async fn raise_event(&self, id: &str, name: &str, input: Json) -> Result<(), CommandError> {
        self.ask(id, Command::RaiseEvent { name: name.to_owned(), input, from: None }).await
    }

    /// As [`Self::raise_event`], but an event with a key that the instance has
    /// had already is taken for the same once more, and changes nothing. Keys
    /// are remembered for as long as the instance is kept; where it continues
    /// as new, for ten minutes.
    ///
    /// # Errors
    /// When there is no such instance, it has ended, or the store failed.
    pub async fn raise_event_once(
        &self,
        id: &str,
        name: &str,
        input: Json,
        key: &str,
    ) -> Result<(), CommandError> {
        let from = Some(Post { origin: format!("key:{key}"), number: 1 });
        self.ask(id, Command::RaiseEvent { name: name.to_owned(), input, from }).await
    }

    /// Ends an orchestration where it is, with what it runs and its children,
    /// and undoes nothing; or, if `compensate`, undoes it and then ends it.
    ///
    /// # Errors
    /// When there is no such instance, it has ended, or the store failed.
    /// When it is being undone, or is to be and has passed its pivot.
    pub async fn terminate(
        &self,
        id: &str,
        reason: &str,
        compensate: bool,
    ) -> Result<(), CommandError> {
        self.ask(id, Command::Terminate { reason: reason.to_owned(), compensate }).await
    }

    /// Stops an orchestrator's code until it is resumed. Activities that run
    /// go on, and what comes in is kept. One that is suspended already stays
    /// so.
    ///
    /// # Errors
    /// When there is no such instance, it has ended, or the store failed.
    pub async fn suspend(&self, id: &str, reason: &str) -> Result<(), CommandError> {
        self.ask(id, Command::Suspend { reason: reason.to_owned() }).await
    }

    /// Lets an orchestrator's code go on. To resume one that is not suspended
    /// changes nothing.
    ///
    /// # Errors
    /// When there is no such instance, it has ended, or the store failed.
    pub async fn resume(&self, id: &str, reason: &str) -> Result<(), CommandError> {
        self.ask(id, Command::Resume { reason: reason.to_owned() }).await
    }

    /// Lets an instance that failed go on: its code runs again from its
    /// beginning, on the component that is deployed now; what was completed
    /// and not undone is kept, the rest is done again.
    ///
    /// A child can be rewound by itself. Its parent, which has heard of its
    /// failure, does not listen any more.
    ///
    /// # Errors
    /// When there is no such instance, it has not failed, or the store failed.
    pub async fn rewind(&self, id: &str, reason: &str) -> Result<(), CommandError> {
        let reason = reason.to_owned();
        self.ask(id, Command::Rewind { reason, digest: None, parent: None }).await
    }

    /// Undoes a saga, and then ends it. When this returns, that is journaled,
    /// and goes on by itself. To cancel one that is being undone already is no
    /// error.
    ///
    /// # Errors
    /// When there is no such instance, it has ended or passed its pivot, or
    /// the store failed.
    pub async fn cancel(&self, id: &str, reason: &str) -> Result<(), CommandError> {
        self.ask(id, Command::Cancel { reason: reason.to_owned() }).await
    }

    /// Mends a step or an undo that is stuck. `note` and `by` are journaled
    /// with it.
    ///
    /// # Errors
    /// When there is no such instance or step, it is not stuck, the instance
    /// has ended, or the store failed.
    pub async fn repair(
        &self,
        id: &str,
        step: UndoId,
        repair: Repair,
        note: &str,
        by: &str,
    ) -> Result<(), CommandError> {
        let (note, by) = (note.to_owned(), by.to_owned());
        self.ask(id, Command::Repair { step, repair, note, by }).await
    }

    /// Waits for an instance's end, at most so long. `None` where it has not
    /// ended by then.
    ///
    /// # Errors
    /// When there is no such instance, or the store failed.
    pub async fn wait(&self, id: &str, longest: Duration) -> Result<Option<Ended>, CommandError> {
        // Registered before the look, so that an end right after it is not
        // missed.
        let ended = self.inner.waiters.wait(id);
        let Some(row) = self.status(id).await? else {
            return Err(CommandError::NotFound { id: id.to_owned() });
        };
        if row.summary.status.is_terminal() {
            let Summary { status, output, .. } = row.summary;
            return Ok(Some(Ended { status, output }));
        }
        Ok(tokio::time::timeout(longest, ended).await.ok().and_then(Result::ok))
    }

    /// An instance's row.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn status(&self, id: &str) -> Result<Option<InstanceRow>, CommandError> {
        let id = id.to_owned();
        self.look_up(move |store| store.find(&id)).await
    }

    /// An instance's row and its whole journal.
    ///
    /// # Errors
    /// When the store failed, or the journal is damaged.
    pub async fn history(
        &self,
        id: &str,
    ) -> Result<Option<(InstanceRow, Vec<Record>)>, CommandError> {
        let id = id.to_owned();
        let found = self.read(move |store| {
            let Some(row) = store.find(&id)? else { return Ok(None) };
            let chunks = store.journal(row.key, 0)?;
            // Decoded here, on a thread that may block: it may be long.
            let mut records = Vec::new();
            for (number, chunk) in chunks.iter().enumerate() {
                match decode_chunk(number, chunk) {
                    Ok(decoded) => records.extend(decoded),
                    Err(error) => return Ok(Some(Err(error))),
                }
            }
            Ok(Some(Ok((row, records))))
        });
        match found.await? {
            None => Ok(None),
            Some(Ok(found)) => Ok(Some(found)),
            Some(Err(damaged)) => Err(CommandError::Store(damaged.to_string())),
        }
    }

    /// Instances, a page at a time.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn list(&self, query: ListQuery) -> Result<Page, CommandError> {
        self.read(move |store| store.list(&query)).await
    }

    /// Runs one activity by itself, with the capabilities and limits it has
    /// in a saga, once.
    ///
    /// # Errors
    /// When there is no such activity or its input does not fit. How the
    /// attempt ended is in the report.
    pub async fn invoke_activity(
        &self,
        name: &str,
        input: Json,
    ) -> Result<ActivityReport, InvokeError> {
        self.open(InvokeError::ShuttingDown)?;
        let function = match self.inner.runtime.function(name) {
            Some(function) if function.kind == FunctionKind::Activity => function,
            _ => {
                let known = self.names(FunctionKind::Activity);
                return Err(InvokeError::UnknownActivity { name: name.to_owned(), known });
            }
        };
        function
            .check_input(&input)
            .map_err(|problem| InvokeError::BadInput { name: name.to_owned(), problem })?;
        let policy = self.inner.runtime.call_policy(name, Default::default());
        let id = new_id();
        let call = ActivityCall {
            function: name.to_owned(),
            input,
            instance_id: id.clone(),
            step: 0,
            attempt: 1,
            idempotency_key: format!("{id}-0"),
            timeout_ms: policy.timeout_ms,
            trace_parent: None,
            digest: None,
            undone: None,
        };
        let asker = || Asker {
            token: new_token(),
            instance: id.as_str().into(),
            code: "".into(),
            is_undo: false,
        };
        let place = self.inner.place(Kind::Guest, name, asker).await;
        let place = place.ok_or(InvokeError::ShuttingDown)?;
        let report = self.inner.runtime.run_activity(call).await;
        place.leave();
        Ok(report)
    }

    /// Everything that becomes durable from now on. A listener that is too
    /// slow misses some, and is told so.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Committed>> {
        self.inner.committed.subscribe()
    }

    /// Counters and sizes.
    pub fn stats(&self) -> Stats {
        let inner = &self.inner;
        inner.counters.stats(inner.residents.count() as u64, inner.places.waiting())
    }

    /// Whether the host can take work.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn ready(&self) -> Result<(), String> {
        self.open("the host is shutting down".to_owned())?;
        self.inner.writer.check(&*self.inner.store).map_err(|error| error.to_string())
    }
}

/// An id as the host makes them: 32 hex digits. They grow with time, so that
/// the store's index over them grows at its end.
pub(crate) fn new_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}
