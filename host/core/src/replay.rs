//! How far the orchestrator's code has come along its journal.
//!
//! The code is run from its beginning each time it is not in memory. Up to
//! the point where it last waited (every completion it had been given by
//! then, every request it had made) it is *replaying*: its requests are
//! compared with the journal's and nothing new is written. From there on it
//! is live.

use std::collections::HashSet;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::instance::{Asked, End, Instance, TaskKind, TaskState};
use crate::request::{Request, describe, locked, sent, short};
use crate::scopes::MAX_SCOPE_DEPTH;
use crate::{Failure, FailureKind, Json, Millis, Mismatch, TaskId};

#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    replaying: bool,
    /// Whether the code has run at all.
    begun: bool,
    /// Requests made so far.
    requests: usize,
    /// Tasks asked for so far, and scopes opened.
    tasks: usize,
    scopes: usize,
    /// What was sent so far.
    sent: usize,
    /// The tasks whose completions were given out.
    handed_out: HashSet<TaskId>,
    /// With which input the code wants to begin anew when it returns, and
    /// whether with the events that it was not given.
    pub(crate) again: Option<(Json, bool)>,
    /// Completions given out in answer to "any task", and how many the code
    /// may have while replaying.
    given: usize,
    limit: usize,
    /// The completions there were when the code last waited.
    seen: usize,
    now: Millis,
    namespace: Uuid,
    uuids: u64,
    random: u64,
    seed: u64,
    /// Where each completed task stands among the completions; grows with
    /// them, so that waiting for one task among many costs nothing per
    /// completion.
    places: Vec<Option<u32>>,
    placed: usize,
}

/// SplitMix64 (Steele, Lea, Flood 2014): advances the state and mixes it.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Cursor {
    pub(crate) fn new(instance: &Instance, replaying: bool) -> Self {
        let digest = Sha256::digest(instance.started.execution.as_bytes());
        let mut namespace = [0; 16];
        namespace.copy_from_slice(&digest[..16]);
        let mut seed = [0; 8];
        seed.copy_from_slice(&digest[16..24]);
        let seed = u64::from_le_bytes(seed);
        // Code that never asked for anything has nothing to repeat.
        let replaying = replaying
            && (!instance.asked.is_empty()
                || instance.end.is_some()
                || instance.code_failed.is_some());
        Cursor {
            replaying,
            begun: false,
            requests: 0,
            tasks: 0,
            scopes: 1,
            sent: 0,
            handed_out: HashSet::new(),
            again: None,
            given: 0,
            limit: instance.delivered,
            seen: if replaying { instance.delivered } else { 0 },
            now: instance.begun_at,
            namespace: Uuid::from_bytes(namespace),
            uuids: 0,
            random: seed,
            seed,
            places: Vec::new(),
            placed: 0,
        }
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    pub(crate) fn is_replaying(&self) -> bool {
        self.replaying
    }

    pub(crate) fn now(&self) -> Millis {
        self.now
    }

    pub(crate) fn sent(&self) -> usize {
        self.sent
    }

    pub(crate) fn wants_to_run(&self, instance: &Instance) -> bool {
        (!self.begun && !self.replaying) || self.seen < instance.completions.len()
    }

    /// Compares a request with the journal's at this place. `None` where the
    /// journal ends, and the request is new.
    pub(crate) fn check(
        &mut self,
        instance: &Instance,
        request: &Request,
    ) -> Result<Option<Asked>, Mismatch> {
        self.begun = true;
        if !self.replaying {
            return Ok(None);
        }
        let asked = instance.asked.get(self.requests).copied();
        let same = match (asked, request) {
            (Some(Asked::Cancel(journal)), Request::Cancel { task }) => journal == *task,
            (Some(Asked::Scope(journal)), Request::OpenScope { parent }) => {
                instance.scopes.parent(journal) == *parent
            }
            (Some(Asked::Parallel(journal)), Request::UndoInParallel { scope }) => {
                journal == *scope
            }
            (Some(Asked::Sent(journal)), Request::Send { to, parcel }) => {
                let (receiver, sent) = &instance.sent[journal as usize];
                receiver == to && sent == parcel
            }
            (Some(Asked::Unlock), Request::Unlock) => true,
            (Some(Asked::Task(journal)), request) => {
                let task = &instance.tasks[journal as usize];
                match (&task.kind, request) {
                    (
                        TaskKind::Activity { function, input, .. },
                        Request::Activity { function: asked, input: given, scope, pivot, .. },
                    )
                    | (
                        TaskKind::Child { function, input, .. },
                        Request::Child { function: asked, input: given, scope, pivot, .. },
                    ) => {
                        function == asked
                            && input == given
                            && (task.scope, task.pivot) == (*scope, *pivot)
                    }
                    (TaskKind::Compensation { scope }, Request::Compensate { scope: asked }) => {
                        scope == asked
                    }
                    (TaskKind::Timer { fire_at }, Request::Timer { fire_at: asked }) => {
                        fire_at == asked
                    }
                    (TaskKind::Event { name }, Request::Event { name: asked }) => name == asked,
                    (
                        TaskKind::Call { entity, operation, input },
                        Request::CallEntity { entity: asked, operation: wanted, input: given },
                    ) => (entity, operation, input) == (asked, wanted, given),
                    (TaskKind::Lock { entities }, Request::Lock { entities: asked }) => {
                        entities == asked
                    }
                    _ => false,
                }
            }
            _ => false,
        };
        if !same {
            return Err(self.mismatch(instance, describe(request)));
        }
        self.asked(request);
        Ok(asked)
    }

    pub(crate) fn asked(&mut self, request: &Request) {
        self.requests += 1;
        match request {
            Request::Cancel { .. } | Request::UndoInParallel { .. } | Request::Unlock => {}
            Request::OpenScope { .. } => self.scopes += 1,
            Request::Send { .. } => self.sent += 1,
            _ => self.tasks += 1,
        }
    }

    /// Whether a new request names a scope that there is.
    pub(crate) fn possible(&self, instance: &Instance, request: &Request) -> Result<(), Mismatch> {
        let (scope, opens) = match request {
            Request::Activity { scope, .. }
            | Request::Child { scope, .. }
            | Request::UndoInParallel { scope }
            | Request::Compensate { scope } => (*scope, false),
            Request::OpenScope { parent } => (*parent, true),
            _ => return Ok(()),
        };
        if scope as usize >= self.scopes || !instance.scopes.exists(scope) {
            return Err(self.mismatch(instance, format!("scope {scope}, which it never opened")));
        }
        if opens && !instance.scopes.has_room(scope) {
            let code = format!("a scope that is nested deeper than {MAX_SCOPE_DEPTH}");
            return Err(self.mismatch(instance, code));
        }
        Ok(())
    }

    /// The task whose completion comes next.
    pub(crate) fn next(
        &mut self,
        instance: &Instance,
        tasks: &[TaskId],
    ) -> Result<Option<TaskId>, Mismatch> {
        self.begun = true;
        let limit = if self.replaying { self.limit } else { instance.completions.len() };
        let place = if tasks.is_empty() {
            // A wait that was given up, and whose event went to another one.
            let gone = |place: usize| {
                let (task, _) = instance.completions[place];
                matches!(instance.tasks[task as usize].state, TaskState::Cancelled)
            };
            while self.given < limit && gone(self.given) {
                self.given += 1;
            }
            let place = self.given;
            if place >= limit {
                return Ok(None);
            }
            self.given += 1;
            place
        } else {
            match self.first_of(instance, tasks, limit)? {
                Some(place) => place,
                None => return Ok(None),
            }
        };
        let (task, at) = instance.completions[place];
        if task as usize >= self.tasks {
            return Err(self.mismatch(
                instance,
                format!("nothing more, and waited; the journal has completed task {task}"),
            ));
        }
        self.now = self.now.max(at);
        self.handed_out.insert(task);
        Ok(Some(task))
    }

    /// Whether the code was given the completion of this task.
    pub(crate) fn was_given(&self, task: TaskId) -> bool {
        self.handed_out.contains(&task)
    }

    fn first_of(
        &mut self,
        instance: &Instance,
        tasks: &[TaskId],
        limit: usize,
    ) -> Result<Option<usize>, Mismatch> {
        if let Some(unknown) = tasks.iter().find(|task| **task as usize >= self.tasks) {
            return Err(
                self.mismatch(instance, format!("to wait for task {unknown}, which it never made"))
            );
        }
        self.places.resize(instance.tasks.len(), None);
        for (place, (task, _)) in instance.completions.iter().enumerate().skip(self.placed) {
            self.places[*task as usize] = Some(place as u32);
        }
        self.placed = instance.completions.len();
        Ok(tasks
            .iter()
            .filter(|task| instance.tasks[**task as usize].state != TaskState::Cancelled)
            .filter_map(|task| self.places[*task as usize])
            .map(|place| place as usize)
            .filter(|place| *place < limit)
            .min())
    }

    pub(crate) fn parked(&mut self, instance: &Instance) -> Result<(), Mismatch> {
        self.begun = true;
        if self.replaying {
            if self.requests < instance.asked.len() {
                return Err(self.mismatch(instance, "nothing more, and waited".into()));
            }
            self.replaying = false;
            self.seen = self.limit;
        } else {
            self.seen = instance.completions.len();
        }
        Ok(())
    }

    pub(crate) fn returned(
        &mut self,
        instance: &Instance,
        result: &Result<Json, Failure>,
    ) -> Result<(), Mismatch> {
        let ended = match result {
            Ok(output) => format!("nothing more, and returned {}", short(output.as_str())),
            Err(failure) => format!("nothing more, and failed with {failure}"),
        };
        if self.requests < instance.asked.len() {
            return Err(self.mismatch(instance, ended));
        }
        // Where it was undone, the code ended as the cause says, if it was
        // the code that caused it.
        let same = match (instance.code_failure(), &instance.end, result) {
            (Some(journal), _, Ok(_)) => journal.kind == FailureKind::StepsOpen,
            (Some(journal), _, Err(failure)) => journal.code == failure.code,
            (None, Some(End::Completed(journal)), Ok(output)) => journal == output,
            _ => false,
        };
        if same { Ok(()) } else { Err(self.mismatch(instance, ended)) }
    }

    fn mismatch(&self, instance: &Instance, code: String) -> Mismatch {
        let journal = match instance.asked.get(self.requests) {
            Some(Asked::Cancel(task)) => format!("task {task} given up"),
            Some(Asked::Scope(scope)) => {
                format!("a scope opened in scope {}", instance.scopes.parent(*scope))
            }
            Some(Asked::Parallel(scope)) => format!("scope {scope} to be undone in parallel"),
            Some(Asked::Task(task)) => match &instance.tasks[*task as usize].kind {
                TaskKind::Activity { function, input, .. } => {
                    format!("activity {function} with input {}", short(input.as_str()))
                }
                TaskKind::Child { function, input, .. } => {
                    format!("orchestrator {function} with input {}", short(input.as_str()))
                }
                TaskKind::Compensation { scope } => format!("scope {scope} to be undone"),
                TaskKind::Timer { fire_at } => format!("a timer that fires at {fire_at}"),
                TaskKind::Event { name } => format!("a wait for event {name}"),
                TaskKind::Call { entity, operation, input } => {
                    format!("{operation} of {entity} with input {}", short(input.as_str()))
                }
                TaskKind::Lock { entities } => locked(entities),
            },
            Some(Asked::Sent(place)) => {
                let (to, parcel) = &instance.sent[*place as usize];
                sent(to, parcel)
            }
            Some(Asked::Unlock) => "the locks let go".into(),
            None => match &instance.end {
                None => "nothing more, and waited".into(),
                Some(End::Completed(output)) => {
                    format!("nothing more, and returned {}", short(output.as_str()))
                }
                Some(End::Failed(failure)) => format!("nothing more, and failed with {failure}"),
                Some(End::Canceled(_)) => "nothing more, and was cancelled".into(),
                Some(End::Terminated(_)) => "nothing more, and was terminated".into(),
            },
        };
        Mismatch { position: self.requests, journal, code }
    }

    pub(crate) fn new_uuid(&mut self) -> String {
        self.uuids += 1;
        Uuid::new_v5(&self.namespace, &self.uuids.to_le_bytes()).to_string()
    }

    pub(crate) fn random_u64(&mut self) -> u64 {
        split_mix(&mut self.random)
    }

    /// A number in `0.0..1.0` that belongs to this attempt, and is the same
    /// whenever it is asked for.
    pub(crate) fn chance(&self, task: TaskId, attempt: u32) -> f64 {
        let mut state = self.seed ^ (u64::from(task) << 32 | u64::from(attempt));
        (split_mix(&mut state) >> 11) as f64 / (1u64 << 53) as f64
    }
}
