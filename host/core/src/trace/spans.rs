//! The spans that a journal tells of.

use std::collections::{HashMap, VecDeque};

use crate::trace::{SpanId, SpanOf, TraceContext};
use crate::{Event, Failure, Millis, Parcel, Record, Started, StepOutcome, TaskId, Work};

/// Something that took its time: a part of a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its id.
    pub id: SpanId,
    /// The span around it.
    pub parent: Option<SpanId>,
    /// What it is called.
    pub name: String,
    /// When it began.
    pub start: Millis,
    /// When it ended.
    pub end: Millis,
    /// How it ended.
    pub status: SpanStatus,
    /// Whether it is work that is called for elsewhere: a child, an entity.
    pub is_call: bool,
    /// What else is known of it, by the name of each.
    pub attributes: Vec<(&'static str, SpanValue)>,
    /// What happened meanwhile.
    pub events: Vec<SpanEvent>,
}

/// Something that happened at one moment of a span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanEvent {
    /// When.
    pub at: Millis,
    /// What it is called.
    pub name: String,
    /// What else is known of it.
    pub attributes: Vec<(&'static str, SpanValue)>,
}

/// How a span ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpanStatus {
    /// As it was to.
    Ok,
    /// Otherwise: why.
    Error(String),
    /// Nothing can be said of it: it was given up, or goes on.
    Unset,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpanValue {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
}

impl From<&str> for SpanValue {
    fn from(text: &str) -> Self {
        SpanValue::Text(text.to_owned())
    }
}

impl From<u32> for SpanValue {
    fn from(number: u32) -> Self {
        SpanValue::Number(number.into())
    }
}

/// The trace that this journal belongs to, and the spans of this execution of
/// the instance, in the order of their beginning. What had not ended with the
/// journal ends with it. `None` where the journal does not begin with a start.
///
/// No input, output or log is in them: these may hold what is nobody's business
/// where traces are kept.
pub fn spans(id: &str, records: &[Record]) -> Option<(TraceContext, Vec<Span>)> {
    let Some(Record(begun, Event::Started(started))) = records.first() else { return None };
    let trace = started.trace();
    let end = records.iter().map(|Record(at, _)| *at).max().unwrap_or(*begun);
    let mut attributes = vec![
        ("sagahost.instance.id", SpanValue::from(id)),
        ("sagahost.orchestrator", started.name.as_str().into()),
        ("sagahost.execution", started.execution.as_str().into()),
        ("sagahost.component.digest", started.digest.as_str().into()),
    ];
    attributes.extend(started.version.as_deref().map(|v| ("sagahost.version", v.into())));
    let saga = Span {
        id: started.span(SpanOf::Saga, 0),
        parent: trace.parent,
        name: started.name.clone(),
        start: *begun,
        end,
        status: SpanStatus::Unset,
        is_call: false,
        attributes,
        events: Vec::new(),
    };
    let mut teller = Teller {
        started,
        generation: 0,
        saga: 0,
        spans: vec![saga],
        places: HashMap::new(),
        open: HashMap::new(),
        begun: HashMap::new(),
        waits: HashMap::new(),
        raised: HashMap::new(),
        wanted: HashMap::new(),
    };
    for Record(at, event) in records {
        teller.tell(*at, event);
    }
    // What goes on ends here, for now.
    teller.cut(end);
    if teller.spans[teller.saga].status == SpanStatus::Unset {
        teller.spans[teller.saga].end = end;
    }
    Some((trace, teller.spans))
}

struct Teller<'a> {
    started: &'a Started,
    /// How often it was rewound so far.
    generation: u32,
    /// Where the saga stands, since it was last rewound.
    saga: usize,
    spans: Vec<Span>,
    /// Where the last span of each piece of work stands.
    places: HashMap<Work, usize>,
    /// Where those stand that have not ended.
    open: HashMap<Work, usize>,
    /// When the attempt of each piece of work began that is out.
    begun: HashMap<Work, Millis>,
    /// Waits that nothing came for, and events that nobody waited for yet.
    waits: HashMap<&'a str, VecDeque<TaskId>>,
    raised: HashMap<&'a str, u32>,
    /// How many entities are not locked yet, of each task that locks some.
    wanted: HashMap<TaskId, usize>,
}

impl<'a> Teller<'a> {
    fn tell(&mut self, at: Millis, event: &'a Event) {
        match event {
            Event::Scheduled { task, function, pivot, .. } => {
                let span = self.begin(Work::Step(*task), at, function.clone());
                if *pivot {
                    span.attributes.push(("sagahost.pivot", "true".into()));
                }
            }
            Event::ChildScheduled { task, function, id, .. } => {
                let span = self.begin(Work::Step(*task), at, function.clone());
                span.is_call = true;
                span.attributes.push(("sagahost.child.id", id.as_str().into()));
            }
            Event::EntityCalled { task, entity, operation, refused, .. } => {
                let name = format!("{}.{operation}", entity.name);
                let span = self.begin(Work::Step(*task), at, name);
                span.is_call = true;
                span.attributes.push(("sagahost.entity", entity.instance_id().as_str().into()));
                if let Some(failure) = refused {
                    self.end(Work::Step(*task), at, failed(failure));
                }
            }
            Event::LocksRequested { task, refused, entities } => {
                self.begin(Work::Step(*task), at, "lock".to_owned());
                self.wanted.insert(*task, entities.len());
                match refused {
                    Some(failure) => self.end(Work::Step(*task), at, failed(failure)),
                    None if entities.is_empty() => self.end(Work::Step(*task), at, SpanStatus::Ok),
                    None => {}
                }
            }
            Event::LockGranted { task, entity } => {
                if let Some(place) = self.open.get(&Work::Step(*task)) {
                    let entity = entity.instance_id();
                    let attributes = vec![("sagahost.entity", entity.as_str().into())];
                    let granted = SpanEvent { at, name: "granted".to_owned(), attributes };
                    self.spans[*place].events.push(granted);
                }
                let wanted = self.wanted.entry(*task).or_default();
                *wanted = wanted.saturating_sub(1);
                if *wanted == 0 {
                    self.end(Work::Step(*task), at, SpanStatus::Ok);
                }
            }
            Event::TimerCreated { task, .. } => {
                self.begin(Work::Step(*task), at, "timer".to_owned());
            }
            Event::EventAwaited { task, name } => {
                self.begin(Work::Step(*task), at, format!("event {name}"));
                match self.raised.get_mut(name.as_str()).filter(|count| **count > 0) {
                    Some(count) => {
                        *count -= 1;
                        self.end(Work::Step(*task), at, SpanStatus::Ok);
                    }
                    None => self.waits.entry(name).or_default().push_back(*task),
                }
            }
            Event::EventRaised { name, .. } => {
                self.happened(at, format!("event {name}"));
                match self.waits.get_mut(name.as_str()).and_then(VecDeque::pop_front) {
                    Some(task) => self.end(Work::Step(task), at, SpanStatus::Ok),
                    None => *self.raised.entry(name).or_default() += 1,
                }
            }
            Event::TaskCancelled { task, .. } => {
                for waits in self.waits.values_mut() {
                    waits.retain(|waiting| waiting != task);
                }
                self.end(Work::Step(*task), at, SpanStatus::Unset);
            }
            Event::CompensationRequested { task, .. } => {
                self.begin(Work::Step(*task), at, "compensate".to_owned());
            }
            Event::TimerFired { task } | Event::CompensationDone { task } => {
                self.end(Work::Step(*task), at, SpanStatus::Ok);
            }
            Event::ChildCompleted { task, .. } => self.end(Work::Step(*task), at, SpanStatus::Ok),
            Event::ChildFailed { task, failure, retry_at: None, .. } => {
                self.end(Work::Step(*task), at, failed(failure));
            }
            Event::EntityAnswered { task, outcome } => {
                let status = outcome.as_ref().map_or_else(failed, |_| SpanStatus::Ok);
                self.end(Work::Step(*task), at, status);
            }
            Event::TaskCompleted { task, attempt, started_at, .. } => {
                self.attempt(Work::Step(*task), *attempt, *started_at, at, SpanStatus::Ok);
                self.end(Work::Step(*task), at, SpanStatus::Ok);
            }
            Event::AttemptFailed { task, attempt, started_at, failure, retry_at, .. } => {
                let work = Work::Step(*task);
                self.attempt(work, *attempt, *started_at, at, failed(failure));
                self.next_attempt(work, *retry_at, at, failure);
            }
            Event::AttemptLost { task, attempt } => {
                self.cut_off(Work::Step(*task), *attempt, at, lost())
            }
            Event::LateResult { task, attempt, failure, .. } => {
                let status = failure.as_ref().map_or(SpanStatus::Ok, failed);
                self.cut_off(Work::Step(*task), *attempt, at, status);
            }
            Event::RetriesEnded { task } => self.end(Work::Step(*task), at, SpanStatus::Unset),
            _ => self.tell_more(at, event),
        }
    }

    fn tell_more(&mut self, at: Millis, event: &'a Event) {
        match event {
            Event::UndoScheduled { undo, function, outcome } => {
                let span = self.begin(Work::Undo(*undo), at, format!("undo {function}"));
                let outcome = match outcome {
                    StepOutcome::Completed => "completed",
                    StepOutcome::Failed => "failed",
                    StepOutcome::Unknown => "unknown",
                };
                span.attributes.push(("sagahost.undo.of", undo.to_string().as_str().into()));
                span.attributes.push(("sagahost.undo.outcome", outcome.into()));
            }
            Event::UndoCompleted { undo, attempt, started_at, .. } => {
                self.attempt(Work::Undo(*undo), *attempt, *started_at, at, SpanStatus::Ok);
                self.end(Work::Undo(*undo), at, SpanStatus::Ok);
            }
            Event::UndoAttemptFailed { undo, attempt, started_at, failure, retry_at, .. } => {
                let work = Work::Undo(*undo);
                self.attempt(work, *attempt, *started_at, at, failed(failure));
                if retry_at.is_some() {
                    self.next_attempt(work, *retry_at, at, failure);
                }
            }
            Event::UndoAttemptLost { undo, attempt } => {
                self.cut_off(Work::Undo(*undo), *attempt, at, lost())
            }
            Event::Repaired { step, note, by, .. } => {
                let attributes = vec![
                    ("sagahost.repair.of", step.to_string().as_str().into()),
                    ("sagahost.repair.note", note.as_str().into()),
                    ("sagahost.repair.by", by.as_str().into()),
                ];
                self.spans[self.saga].events.push(SpanEvent {
                    at,
                    name: "repaired".to_owned(),
                    attributes,
                });
            }
            Event::Sent(letter) => {
                let what = match &letter.parcel {
                    Parcel::Event { name, .. } => format!("sends event {name}"),
                    Parcel::Start { name, .. } => format!("starts {name}"),
                    Parcel::Signal { operation, .. } => format!("signals {operation}"),
                    _ => return,
                };
                let attributes = vec![("sagahost.to", letter.to.as_str().into())];
                self.spans[self.saga].events.push(SpanEvent { at, name: what, attributes });
            }
            Event::Rewound { reason, digest, .. } => self.rewound(at, reason, digest),
            // It was done before the rewind, and has its span there.
            Event::Recalled { task, .. } => self.recalled(*task),
            Event::Unwinding { .. } => self.happened(at, "undo begins".to_owned()),
            Event::Suspended { .. } => self.happened(at, "suspended".to_owned()),
            Event::Resumed { .. } => self.happened(at, "resumed".to_owned()),
            Event::Blocked(_) => self.happened(at, "blocked".to_owned()),
            Event::Unblocked => self.happened(at, "unblocked".to_owned()),
            Event::Completed { .. } => self.over(at, SpanStatus::Ok, "Completed"),
            Event::Failed { failure } => self.over(at, failed(failure), "Failed"),
            Event::Canceled { reason } => {
                self.over(at, SpanStatus::Error(reason.clone()), "Canceled");
            }
            Event::Terminated { reason } => {
                self.over(at, SpanStatus::Error(reason.clone()), "Terminated");
            }
            Event::ContinuedAsNew { .. } => self.over(at, SpanStatus::Ok, "ContinuedAsNew"),
            _ => {}
        }
    }

    /// The saga goes on: below the span that had ended, with spans of its own.
    fn rewound(&mut self, at: Millis, reason: &str, digest: &str) {
        self.generation += 1;
        let first = &self.spans[0];
        let span = Span {
            id: self.started.span(SpanOf::Saga, self.generation),
            parent: Some(first.id),
            name: format!("{} rewound", self.started.name),
            start: at,
            end: at,
            status: SpanStatus::Unset,
            is_call: false,
            attributes: vec![
                ("sagahost.rewind", self.generation.into()),
                ("sagahost.rewind.reason", reason.into()),
                ("sagahost.component.digest", digest.into()),
            ],
            events: Vec::new(),
        };
        self.saga = self.spans.len();
        self.spans.push(span);
        self.begun.clear();
        self.waits.clear();
        self.raised.clear();
        self.wanted.clear();
    }

    /// What the code asked for again had been done before, in no time now.
    fn recalled(&mut self, task: TaskId) {
        let Some(place) = self.open.remove(&Work::Step(task)) else { return };
        self.spans[place].attributes.push(("sagahost.recalled", "true".into()));
        self.spans[place].status = SpanStatus::Ok;
    }

    fn begin(&mut self, work: Work, at: Millis, name: String) -> &mut Span {
        let (of, number) = match work {
            Work::Step(task) => (SpanOf::Task(task), task.to_string()),
            Work::Undo(undo) => (SpanOf::Undo(undo), undo.to_string()),
        };
        // An undo is shown below the step that it undoes; what a child handed
        // over has no step here but the child.
        let id = self.started.span(of, self.generation);
        let saga = self.spans[self.saga].id;
        let undone = match work {
            Work::Step(_) => None,
            Work::Undo(undo) => self.places.get(&Work::Step(undo.task)),
        };
        let parent = undone.map_or(saga, |place| self.spans[*place].id);
        let place = self.spans.len();
        self.open.insert(work, place);
        self.places.insert(work, place);
        self.begun.insert(work, at);
        self.spans.push(Span {
            id,
            parent: Some(parent),
            name,
            start: at,
            end: at,
            status: SpanStatus::Unset,
            is_call: false,
            attributes: vec![("sagahost.step", number.as_str().into())],
            events: Vec::new(),
        });
        &mut self.spans[place]
    }

    fn end(&mut self, work: Work, at: Millis, status: SpanStatus) {
        if let Some(place) = self.open.remove(&work) {
            let span = &mut self.spans[place];
            (span.end, span.status) = (at, status);
        }
    }

    fn attempt(&mut self, work: Work, attempt: u32, start: Millis, end: Millis, how: SpanStatus) {
        let Some(place) = self.places.get(&work) else { return };
        let (parent, name) = (self.spans[*place].id, self.spans[*place].name.clone());
        self.spans.push(Span {
            id: self.started.span(SpanOf::Attempt(work, attempt), self.generation),
            parent: Some(parent),
            name: format!("{name} attempt {attempt}"),
            start,
            end: end.max(start),
            status: how,
            is_call: false,
            attributes: vec![("sagahost.attempt", attempt.into())],
            events: Vec::new(),
        });
    }

    fn next_attempt(&mut self, work: Work, at: Option<Millis>, now: Millis, failure: &Failure) {
        match at {
            Some(at) => drop(self.begun.insert(work, at)),
            None => self.end(work, now, failed(failure)),
        }
    }

    /// When an attempt began that was cut off nobody knows: not before it could.
    fn cut_off(&mut self, work: Work, attempt: u32, at: Millis, how: SpanStatus) {
        let start = self.begun.insert(work, at).unwrap_or(at).min(at);
        self.attempt(work, attempt, start, at, how);
    }

    fn happened(&mut self, at: Millis, name: String) {
        self.spans[self.saga].events.push(SpanEvent { at, name, attributes: Vec::new() });
    }

    /// Nothing more is heard of what is open.
    fn cut(&mut self, at: Millis) {
        for place in std::mem::take(&mut self.open).into_values() {
            self.spans[place].end = at;
        }
    }

    fn over(&mut self, at: Millis, status: SpanStatus, word: &str) {
        self.cut(at);
        let saga = &mut self.spans[self.saga];
        (saga.end, saga.status) = (at, status);
        saga.attributes.push(("sagahost.status", word.into()));
    }
}

fn failed(failure: &Failure) -> SpanStatus {
    SpanStatus::Error(format!("{}: {}", failure.code, failure.message))
}

fn lost() -> SpanStatus {
    SpanStatus::Error("the host ended while it ran".to_owned())
}
