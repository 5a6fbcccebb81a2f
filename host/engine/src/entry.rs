//! Letting those in that were started from outside, few enough at a time that
//! the host does one after the other, and not a little of each.
//!
//! A saga is *young* from its start until it first waits for anything but its
//! own activities and the disk: a timer, an event, a child, or a place that a
//! limit denies it; or until an activity waits for an answer from elsewhere, or
//! something computes for so long that others have their turn. The code of each that is young is in memory, and so
//! is all that it touches; where there are hundreds, each finds the caches full
//! of the others', and all of them together take longer than one after the
//! other. So of those that use the processor only so many are young at a time.
//! Those whose events are being stored do not count meanwhile: how many of them
//! it takes to keep the disk busy is for the disk to say.
//!
//! Who waits to be let in has nothing in memory but a request.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::load_gate::LoadGate;

/// How many may be young for each core.
const FOR_EACH_CORE: usize = 4;

pub(crate) struct Entries {
    most: usize,
    gate: Arc<LoadGate>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Those that are young and use the processor. Those that come back from
    /// the disk are let in whoever is inside; there may be more than the most.
    inside: usize,
    waiting: VecDeque<oneshot::Sender<Young>>,
}

const INSIDE: u8 = 0;
const ASIDE: u8 = 1;
const LEFT: u8 = 2;

/// That a saga is young; no more when this is dropped.
pub(crate) struct Young {
    entries: Arc<Entries>,
    place: AtomicU8,
}

impl Entries {
    pub(crate) fn new(gate: Arc<LoadGate>) -> Arc<Self> {
        let cores = available_parallelism().map_or(1, usize::from);
        Arc::new(Entries { most: FOR_EACH_CORE * cores, gate, state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn young(self: &Arc<Self>) -> Young {
        Young { entries: self.clone(), place: AtomicU8::new(INSIDE) }
    }

    /// Waits until one more may be young.
    pub(crate) async fn enter(self: &Arc<Self>) -> Young {
        let entered = {
            let mut state = self.lock();
            if state.inside < self.most && state.waiting.is_empty() {
                state.inside += 1;
                return self.young();
            }
            let (enter, entered) = oneshot::channel();
            state.waiting.push_back(enter);
            entered
        };
        let _waits = Waits { gate: &self.gate, since: self.gate.entry_queued() };
        // An error would mean that it was forgotten, which it never is.
        entered.await.unwrap_or_else(|_| {
            self.lock().inside += 1;
            self.young()
        })
    }

    /// One is inside no more: the next may be.
    fn left(self: &Arc<Self>) {
        let mut state = self.lock();
        state.inside -= 1;
        while state.inside < self.most {
            let Some(next) = state.waiting.pop_front() else { return };
            state.inside += 1;
            if let Err(young) = next.send(self.young()) {
                // Whoever wanted it has gone away.
                young.place.store(LEFT, Ordering::Relaxed);
                state.inside -= 1;
            }
        }
    }
}

/// That a start waits to be let in.
struct Waits<'a> {
    gate: &'a LoadGate,
    since: Duration,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.gate.entered(self.since);
    }
}

impl Young {
    /// It waits for something, or computes for long.
    pub(crate) fn leave(&self) {
        if self.place.swap(LEFT, Ordering::AcqRel) == INSIDE {
            self.entries.left();
        }
    }

    /// What it made is being stored, until what is returned is dropped.
    pub(crate) fn aside(&self) -> Aside<'_> {
        if self.moves(INSIDE, ASIDE) {
            self.entries.left();
        }
        Aside(self)
    }

    fn moves(&self, from: u8, to: u8) -> bool {
        self.place.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

impl Drop for Young {
    fn drop(&mut self) {
        self.leave();
    }
}

pub(crate) struct Aside<'a>(&'a Young);

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        let mut state = self.0.entries.lock();
        if self.0.moves(ASIDE, INSIDE) {
            state.inside += 1;
        }
    }
}

/// Runs this for a saga, which is young no more where it has to wait.
pub(crate) async fn while_young<T>(young: Option<Arc<Young>>, run: impl Future<Output = T>) -> T {
    let (mut run, mut young) = (pin!(run), young);
    std::future::poll_fn(|context| {
        let poll = run.as_mut().poll(context);
        if poll.is_pending()
            && let Some(young) = young.take()
        {
            young.leave();
        }
        poll
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;
    use crate::load_gate::Bounds;

    fn entries(most: usize) -> Arc<Entries> {
        let bounds = Bounds { delay: Duration::ZERO, queue: Duration::ZERO };
        let gate = Arc::new(LoadGate::new(bounds));
        Arc::new(Entries { most, gate, state: Mutex::default() })
    }

    type Entering = std::pin::Pin<Box<dyn Future<Output = Young>>>;

    /// Somebody who wants to be let in.
    fn enter(entries: &Arc<Entries>) -> Entering {
        let entries = entries.clone();
        Box::pin(async move { entries.enter().await })
    }

    fn let_in(entering: &mut Entering) -> Option<Young> {
        match entering.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            std::task::Poll::Ready(young) => Some(young),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn who_comes_first_is_let_in_first_as_soon_as_one_leaves() {
        let entries = entries(2);
        let mut first = enter(&entries);
        let (a, b) = (
            let_in(&mut first).expect("it is let in"),
            let_in(&mut enter(&entries)).expect("it is let in"),
        );
        let (mut third, mut fourth) = (enter(&entries), enter(&entries));
        assert!(let_in(&mut third).is_none() && let_in(&mut fourth).is_none());
        a.leave();
        a.leave();
        assert!(let_in(&mut fourth).is_none());
        let c = let_in(&mut third).expect("it is let in");
        drop(a);
        assert!(let_in(&mut fourth).is_none(), "one leaves once");
        drop((b, c));
        assert!(let_in(&mut fourth).is_some());
        assert_eq!(entries.lock().inside, 0);
    }

    #[test]
    fn who_has_gone_away_is_passed_over_also_after_the_door_was_opened() {
        let entries = entries(1);
        let a = let_in(&mut enter(&entries)).expect("it is let in");
        let (mut second, mut third, mut fourth) =
            (enter(&entries), enter(&entries), enter(&entries));
        for entering in [&mut second, &mut third, &mut fourth] {
            assert!(let_in(entering).is_none());
        }
        drop(second);
        drop(a);
        // The third may come in, and goes away instead.
        drop(third);
        assert!(let_in(&mut fourth).is_some());
        assert_eq!(entries.lock().inside, 0);
    }

    #[test]
    fn who_waits_for_the_disk_makes_room_and_comes_back_whoever_is_there() {
        let entries = entries(1);
        let a = let_in(&mut enter(&entries)).expect("it is let in");
        let mut second = enter(&entries);
        assert!(let_in(&mut second).is_none());
        let aside = a.aside();
        let b = let_in(&mut second).expect("it is let in");
        let mut third = enter(&entries);
        assert!(let_in(&mut third).is_none());
        drop(aside);
        assert_eq!(entries.lock().inside, 2);
        drop(b);
        assert!(let_in(&mut third).is_none(), "the one that came back is there");
        // What leaves while it waits for the disk does not come back.
        let aside = a.aside();
        let c = let_in(&mut third).expect("it is let in");
        a.leave();
        drop(aside);
        assert_eq!(entries.lock().inside, 1);
        drop((a, c));
        assert_eq!(entries.lock().inside, 0);
    }

    #[test]
    fn an_attempt_that_has_to_wait_makes_its_saga_leave() {
        let entries = entries(1);
        let young = || Some(Arc::new(let_in(&mut enter(&entries)).expect("it is let in")));
        let saga = young();
        let mut at_once = Box::pin(while_young(saga.clone(), std::future::ready(7)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(at_once.as_mut().poll(&mut context).is_ready());
        assert_eq!(entries.lock().inside, 1);
        let mut waits = Box::pin(while_young(saga.clone(), std::future::pending::<()>()));
        assert!(waits.as_mut().poll(&mut context).is_pending());
        assert_eq!(entries.lock().inside, 0);
    }
}
