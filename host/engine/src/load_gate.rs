//! Whether there is room for more.
//!
//! What counts is not how many instances there are, for most of them wait for
//! something else than this host; it is how long the host makes them wait. Where
//! that is longer than it may be, what is new is refused, and what was accepted
//! goes on: so the host does what it can do, and nobody waits for long.
//!
//! Only starts from outside are refused. Children, letters, events and schedules
//! are a part of what was accepted.

mod delay;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::api::Engine;
use crate::error::{Overload, StartError};

pub(crate) use delay::Delay;

/// How many starts may be under way, accepted and not durable yet.
const MOST_STARTS: u64 = 2048;

/// What is said about when to try again.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(30);

/// How long things wait for this host. Zero is for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// For a turn, and for the writer.
    pub(crate) delay: Duration,
    /// For a place.
    pub(crate) queue: Duration,
}

pub(crate) struct LoadGate {
    bounds: Bounds,
    began: Instant,
    /// From a request to the start.
    entries: Mutex<Delay>,
    /// From a start to its first turn.
    turns: Mutex<Delay>,
    /// From a write to its transaction.
    writes: Mutex<Delay>,
    /// Starts that are under way.
    starts: AtomicU64,
    /// By the name of an orchestrator: those that were seen to start it as a
    /// child.
    parents: RwLock<HashMap<String, BTreeSet<String>>>,
}

/// A start that is under way.
pub(crate) struct UnderWay<'a>(&'a LoadGate);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.starts.fetch_sub(1, Ordering::Relaxed);
    }
}

impl LoadGate {
    pub(crate) fn new(bounds: Bounds) -> Self {
        LoadGate {
            bounds,
            began: Instant::now(),
            entries: Mutex::default(),
            turns: Mutex::default(),
            writes: Mutex::default(),
            starts: AtomicU64::new(0),
            parents: RwLock::default(),
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// A request to start something waits to be let in.
    pub(crate) fn entry_queued(&self) -> Duration {
        came(&self.entries, self.now())
    }

    /// The one that came at this time was let in, or has gone away.
    pub(crate) fn entered(&self, came: Duration) {
        served(&self.entries, 1, came, self.now());
    }

    /// A start waits for its first turn.
    pub(crate) fn turn_queued(&self) -> Duration {
        came(&self.turns, self.now())
    }

    /// The first turn of a start that came at this time begins.
    pub(crate) fn turn_begins(&self, came: Duration) {
        served(&self.turns, 1, came, self.now());
    }

    /// A write waits for the writer.
    pub(crate) fn write_queued(&self) -> Duration {
        came(&self.writes, self.now())
    }

    /// So many writes are in a transaction, the last of which came at this time.
    pub(crate) fn writes_begin(&self, count: u64, last: Duration) {
        served(&self.writes, count, last, self.now());
    }

    /// A start is under way until what is returned is dropped.
    pub(crate) fn starts(&self) -> UnderWay<'_> {
        self.starts.fetch_add(1, Ordering::Relaxed);
        UnderWay(self)
    }

    /// This orchestrator starts that one as a child.
    pub(crate) fn has_child(&self, parent: &str, child: &str) {
        let known = self.parents.read().unwrap_or_else(PoisonError::into_inner);
        if known.get(child).is_some_and(|parents| parents.contains(parent)) {
            return;
        }
        drop(known);
        let mut known = self.parents.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(child.to_owned()).or_default().insert(parent.to_owned());
    }

    /// Whether what this code does is done for that orchestrator, or for a
    /// child of it.
    fn is_for(&self, code: &str, orchestrator: &str) -> bool {
        let known = self.parents.read().unwrap_or_else(PoisonError::into_inner);
        let mut seen = BTreeSet::from([code]);
        let mut next = vec![code];
        while let Some(code) = next.pop() {
            if code == orchestrator {
                return true;
            }
            let parents = known.get(code).into_iter().flatten();
            next.extend(parents.map(String::as_str).filter(|parent| seen.insert(parent)));
        }
        false
    }

    /// What makes new starts wait for too long.
    fn overload(&self) -> Option<(Overload, Duration)> {
        let Bounds { delay: bound, .. } = self.bounds;
        if bound.is_zero() {
            return None;
        }
        let queues = [
            (&self.entries, Overload::Turns),
            (&self.turns, Overload::Turns),
            (&self.writes, Overload::Writes),
        ];
        for (queue, what) in queues {
            let delay = lock(queue).now(self.now());
            if delay > bound {
                return Some((what, delay));
            }
        }
        let many = self.starts.load(Ordering::Relaxed) >= MOST_STARTS;
        many.then_some((Overload::Starts, SOONEST))
    }
}

fn lock(delay: &Mutex<Delay>) -> std::sync::MutexGuard<'_, Delay> {
    delay.lock().unwrap_or_else(PoisonError::into_inner)
}

fn came(delay: &Mutex<Delay>, now: Duration) -> Duration {
    lock(delay).came(now);
    now
}

fn served(delay: &Mutex<Delay>, count: u64, came: Duration, now: Duration) {
    lock(delay).served(count, now.saturating_sub(came), now);
}

/// When to try again, where those that wait need so long to be served.
fn retry_after(delay: Duration) -> Duration {
    delay.clamp(SOONEST, LATEST)
}

impl Engine {
    /// Whether an orchestration of this name may be started now. To be asked
    /// before a start from outside, as soon as its name is known. A refusal is
    /// counted.
    ///
    /// # Errors
    /// [`StartError::Overloaded`] where what was accepted waits for too long.
    pub fn admit(&self, orchestrator: &str) -> Result<(), StartError> {
        let Some((what, delay)) = self.overload(orchestrator) else { return Ok(()) };
        self.inner.counters.refused.add(1);
        Err(StartError::Overloaded { what, delay, retry_after: retry_after(delay) })
    }

    /// Whether [`Engine::admit`] would let it be started now; nothing is counted.
    pub fn has_room(&self, orchestrator: &str) -> bool {
        self.overload(orchestrator).is_none()
    }

    fn overload(&self, orchestrator: &str) -> Option<(Overload, Duration)> {
        let gate = &self.inner.gate;
        gate.overload().or_else(|| {
            let bound = gate.bounds.queue;
            if bound.is_zero() {
                return None;
            }
            let is_for = |code: &str| gate.is_for(code, orchestrator);
            let (function, delay) = self.inner.places.delays(is_for, bound)?;
            Some((Overload::Function(function.to_string()), delay))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds =
        Bounds { delay: Duration::from_millis(250), queue: Duration::from_secs(10) };

    #[test]
    fn when_to_try_again_is_between_a_second_and_half_a_minute() {
        for (delay, said) in [(0, 1000), (300, 1000), (4500, 4500), (900_000, 30_000)] {
            let said = Duration::from_millis(said);
            assert_eq!(retry_after(Duration::from_millis(delay)), said);
        }
    }

    #[test]
    fn too_many_starts_under_way_are_too_many() {
        let gate = LoadGate::new(BOUNDS);
        let under_way: Vec<_> = (1..MOST_STARTS).map(|_| gate.starts()).collect();
        assert_eq!(gate.overload(), None);
        let last = gate.starts();
        assert!(matches!(gate.overload(), Some((Overload::Starts, _))));
        drop(last);
        assert_eq!(gate.overload(), None);
        drop(under_way);
        let never = LoadGate::new(Bounds { delay: Duration::ZERO, ..BOUNDS });
        let _under_way: Vec<_> = (0..=MOST_STARTS).map(|_| never.starts()).collect();
        assert_eq!(never.overload(), None);
    }

    #[test]
    fn turns_and_writes_that_wait_are_an_overload_until_they_are_made() {
        let mut gate = LoadGate::new(BOUNDS);
        // As if all this had begun a second ago.
        let before = Duration::ZERO;
        gate.began -= Duration::from_secs(1);
        lock(&gate.turns).came(before);
        assert!(matches!(gate.overload(), Some((Overload::Turns, _))));
        gate.turn_begins(before);
        assert_eq!(gate.overload(), None);
        lock(&gate.writes).came(before);
        lock(&gate.writes).came(before);
        assert!(matches!(gate.overload(), Some((Overload::Writes, _))));
        gate.writes_begin(2, before);
        assert_eq!(gate.overload(), None);
    }

    #[test]
    fn what_a_child_does_is_done_for_those_that_start_it() {
        let gate = LoadGate::new(BOUNDS);
        gate.has_child("Parent", "Child");
        gate.has_child("Grandparent", "Parent");
        gate.has_child("Child", "Child");
        for name in ["Child", "Parent", "Grandparent"] {
            assert!(gate.is_for("Child", name), "{name}");
        }
        assert!(!gate.is_for("Child", "Other") && !gate.is_for("Parent", "Child"));
    }
}
