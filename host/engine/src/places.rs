//! Places for attempts: the fair queue for them, and what lets those begin
//! whose turn it is.
//!
//! What waits is data and no task. Whoever ends lets the next one begin; a task
//! of its own does it where nobody ends: when a rate allows it, or the rules
//! are others.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sagahost_wasm::{MAX_OUTBOUND, Runtime};
use tokio::sync::{Notify, oneshot};

use crate::dispatch::Prepared;
use crate::fair::{Asker, Fair, Limits};
use crate::lifecycle::Inner;

/// What a place is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An attempt of an activity or an entity.
    Guest,
    /// A request of an orchestrator.
    Request,
}

const KINDS: [Kind; 2] = [Kind::Guest, Kind::Request];

/// Who waits for a place.
pub(crate) enum Waiting {
    /// An attempt, which is begun.
    Attempt(Box<Prepared>),
    /// Somebody who is told.
    Told(oneshot::Sender<Place>),
}

struct Queue {
    fair: Fair<Waiting>,
    /// The time for which the task that lets them begin is set.
    wakes: Option<Duration>,
}

pub(crate) struct Places {
    queues: [Mutex<Queue>; 2],
    began: Instant,
    /// Something may begin that nobody lets begin.
    look: Notify,
}

/// A place. Whoever has it says [`Self::leave`]; where it is lost instead, the
/// task sees to those that wait.
pub(crate) struct Place {
    inner: Arc<Inner>,
    kind: Kind,
    function: Arc<str>,
    left: bool,
}

impl Place {
    /// Leaves it to the next one.
    pub(crate) fn leave(mut self) {
        self.left = true;
        let (inner, kind) = (self.inner.clone(), self.kind);
        let next = inner.places.with(kind, |fair, now| {
            fair.leave(&self.function, now);
            fair.next(now)
        });
        if let Some((function, waiting)) = next {
            inner.begin_one(kind, function, waiting);
            // Where there are more places than those that run.
            inner.begin_waiting(kind);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.left {
            let places = &self.inner.places;
            places.with(self.kind, |fair, now| fair.leave(&self.function, now));
            places.look.notify_one();
        }
    }
}

impl Places {
    pub(crate) fn new(runtime: &Runtime) -> Self {
        let queue = |places| Mutex::new(Queue { fair: Fair::new(places), wakes: None });
        Places {
            queues: [queue(runtime.max_activities()), queue(MAX_OUTBOUND)],
            began: Instant::now(),
            look: Notify::new(),
        }
    }

    fn with<R>(&self, kind: Kind, act: impl FnOnce(&mut Fair<Waiting>, Duration) -> R) -> R {
        let queue = &self.queues[kind as usize];
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        let result = act(&mut queue.fair, self.began.elapsed());
        let wakes = queue.fair.wakes();
        if wakes != queue.wakes {
            queue.wakes = wakes;
            self.look.notify_one();
        }
        result
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> u64 {
        let of = |kind| self.with(kind, |fair, _| fair.waiting());
        KINDS.into_iter().map(of).sum::<usize>() as u64
    }

    /// The function that makes what is done on behalf of one of these wait
    /// longer than this, and how long.
    pub(crate) fn delays(
        &self,
        concerns: impl Fn(&str) -> bool,
        bound: Duration,
    ) -> Option<(Arc<str>, Duration)> {
        let of = |kind| self.with(kind, |fair, now| fair.delays(&concerns, bound, now));
        KINDS.into_iter().find_map(of)
    }
}

fn limits(runtime: &Runtime, function: &str) -> Limits {
    let settings = runtime.settings(function);
    Limits {
        concurrency: settings.concurrency.map(|most| most as usize),
        interval: settings.rate.map(|rate| rate.interval()),
    }
}

impl Inner {
    /// Lets it begin, now or when it is its turn; whether it has begun.
    pub(crate) fn queue(
        self: &Arc<Self>,
        kind: Kind,
        function: &str,
        asker: impl FnOnce() -> Asker,
        waiting: Waiting,
    ) -> bool {
        let limits = || limits(&self.runtime, function);
        let begins =
            self.places.with(kind, |fair, now| fair.ask(function, limits, asker, now, waiting));
        let Some((function, waiting)) = begins else { return false };
        self.begin_one(kind, function, waiting);
        true
    }

    /// A place for a function, when it is its turn. None where the host goes
    /// down before that.
    pub(crate) async fn place(
        self: &Arc<Self>,
        kind: Kind,
        function: &str,
        asker: impl FnOnce() -> Asker,
    ) -> Option<Place> {
        let (told, place) = oneshot::channel();
        self.queue(kind, function, asker, Waiting::Told(told));
        place.await.ok()
    }

    fn begin_one(self: &Arc<Self>, kind: Kind, function: Arc<str>, waiting: Waiting) {
        let place = Place { inner: self.clone(), kind, function, left: false };
        match waiting {
            Waiting::Attempt(prepared) => self.run_attempt(prepared, place),
            // Who does not want it any more leaves it.
            Waiting::Told(told) => drop(told.send(place)),
        }
    }

    fn begin_waiting(self: &Arc<Self>, kind: Kind) {
        while let Some((function, waiting)) = self.places.with(kind, |fair, now| fair.next(now)) {
            self.begin_one(kind, function, waiting);
        }
    }

    /// Takes out an attempt that waits, if it does.
    pub(crate) fn take_waiting(&self, token: u64) -> Option<Box<Prepared>> {
        KINDS.into_iter().find_map(|kind| {
            match self.places.with(kind, |fair, _| fair.remove(token))? {
                Waiting::Attempt(prepared) => Some(prepared),
                Waiting::Told(_) => None,
            }
        })
    }

    /// The host goes down: what waits does not begin. It is journaled, and
    /// begins when the host starts again.
    pub(crate) fn leave_waiting(&self) {
        for kind in KINDS {
            for waiting in self.places.with(kind, |fair, _| fair.clear()) {
                if let Waiting::Attempt(prepared) = waiting {
                    self.never_began(&prepared);
                }
            }
        }
    }
}

/// Lets those begin for whom nobody makes room.
pub(crate) async fn attend(inner: Arc<Inner>) {
    let mut rules = inner.runtime.rule_changes();
    loop {
        let places = &inner.places;
        let wakes = KINDS.into_iter().filter_map(|kind| places.with(kind, |fair, _| fair.wakes()));
        let sleep = async {
            match wakes.min() {
                Some(at) => tokio::time::sleep_until((places.began + at).into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = places.look.notified() => {}
            () = sleep => {}
            changed = rules.changed() => {
                if changed.is_err() {
                    return;
                }
                for kind in KINDS {
                    let limits = |function: &str| limits(&inner.runtime, function);
                    places.with(kind, |fair, now| fair.set_limits(limits, now));
                }
            }
        }
        for kind in KINDS {
            inner.begin_waiting(kind);
        }
    }
}
