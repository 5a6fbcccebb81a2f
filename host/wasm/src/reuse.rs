//! Instances of activities that have answered and wait for another attempt.
//!
//! Only of functions whose rule says `reuse`: what a guest leaves in its memory
//! the next attempt finds there.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::activity::{Sandbox, Spare};
use crate::capture::lock;
use crate::load::Loaded;

struct Idle {
    /// The component it is one of.
    loaded: Arc<Loaded>,
    sandbox: Sandbox,
    since: Instant,
    _room: OwnedSemaphorePermit,
}

/// The idle instances of one function, under the rules that were in force when
/// they were made.
#[derive(Default)]
pub(crate) struct Kept(Mutex<State>);

#[derive(Default)]
struct State {
    /// The one that was used last is the last one.
    idle: Vec<Idle>,
    /// Whether somebody is there who ends those that wait for too long.
    is_swept: bool,
}

impl Kept {
    /// One that waits, of this component. Those of others are ended: the
    /// function runs on another one now.
    pub(crate) fn take(&self, loaded: &Arc<Loaded>) -> Option<Sandbox> {
        let mut others = Vec::new();
        let taken = {
            let mut state = lock(&self.0);
            let is_other = |idle: &mut Idle| !Arc::ptr_eq(&idle.loaded, loaded);
            others.extend(state.idle.extract_if(.., is_other));
            state.idle.pop()
        };
        // Ended where nobody waits for the lock.
        drop(others);
        taken.map(|idle| idle.sandbox)
    }

    /// Keeps one for the next attempt, where there is room.
    pub(crate) fn put(self: &Arc<Self>, spare: &Spare<'_>, loaded: &Arc<Loaded>, sandbox: Sandbox) {
        let Ok(room) = spare.room.clone().try_acquire_owned() else { return };
        let idle = Idle { loaded: loaded.clone(), sandbox, since: Instant::now(), _room: room };
        let mut state = lock(&self.0);
        state.idle.push(idle);
        if !std::mem::replace(&mut state.is_swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self), spare.longest));
        }
    }

    /// Ends those that have waited for too long. Returns when the next one will
    /// have; `None` where there is none any more.
    fn sweep(&self, longest: Duration) -> Option<Instant> {
        let mut state = lock(&self.0);
        let over = state.idle.partition_point(|idle| idle.since.elapsed() >= longest);
        let ended: Vec<Idle> = state.idle.drain(..over).collect();
        let next = state.idle.first().map(|idle| idle.since + longest);
        state.is_swept = next.is_some();
        drop(state);
        drop(ended);
        next
    }
}

async fn sweep(kept: Weak<Kept>, longest: Duration) {
    let mut next = Instant::now() + longest;
    loop {
        tokio::time::sleep_until(next).await;
        // Other rules are in force, and their instances gone with them.
        let Some(kept) = kept.upgrade() else { return };
        match kept.sweep(longest) {
            Some(at) => next = at,
            None => return,
        }
    }
}
