//! The emulator's clock: skipping to what comes next, and keeping it from
//! going back when the host starts again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sagahost_core::{Event, Millis, Record};
use sagahost_store::{InstanceKey, Store, Write};

use crate::api::Engine;
use crate::clock::Clock;
use crate::error::{CommandError, EngineError};
use crate::lifecycle::Inner;

/// The note with the time that the clock may have come to.
const NOTE: &str = "clock";

/// How often that is noted, by the machine's clock.
const NOTED_EVERY: Duration = Duration::from_secs(1);

/// What waits for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// An instance.
    Instance {
        /// Its id.
        id: String,
        /// Its orchestrator.
        name: String,
        /// For what: `timer`, `retry`, `deadline`, or `wake` for anything else.
        what: &'static str,
    },
    /// A schedule.
    Schedule {
        /// Its name.
        name: String,
    },
}

/// How the clock was skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// What time it was.
    pub from: Millis,
    /// What time it is.
    pub now: Millis,
    /// What it was skipped to; `None` where it was skipped by some time.
    pub to: Option<Waiting>,
}

/// Why the clock was not skipped.
#[derive(Debug, thiserror::Error)]
pub enum SkipError {
    /// It is the machine's.
    #[error(
        "this host runs by the machine's clock, which cannot be skipped; that of `sagahost dev` can"
    )]
    Real,
    /// There is nothing to skip to.
    #[error("nothing waits for a time: no timer, no retry, no deadline and no schedule")]
    Nothing,
    /// The store failed.
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl Engine {
    /// The time that the journals have.
    pub fn clock(&self) -> &Clock {
        self.inner.clock()
    }

    /// Skips the clock to the next time that something waits for.
    ///
    /// # Errors
    /// When the clock is the machine's, nothing waits, or the store failed.
    pub async fn skip_to_next(&self) -> Result<Skipped, SkipError> {
        let from = self.movable()?.now();
        let store_first = move |store: &dyn Store| {
            let after = (from, InstanceKey(i64::MAX));
            Ok(store.wakeups_after(Some(after), 1)?.into_iter().next())
        };
        let wakeup = self.read(store_first).await?;
        let firing = self.next_firing();
        let (at, to) = match (wakeup, firing) {
            (Some(wakeup), firing) if firing.as_ref().is_none_or(|(at, _)| wakeup.at <= *at) => {
                let (name, what) = self.waits_for(&wakeup.id, wakeup.at).await?;
                (wakeup.at, Waiting::Instance { id: wakeup.id, name, what })
            }
            (_, Some((at, name))) => (at, Waiting::Schedule { name }),
            _ => return Err(SkipError::Nothing),
        };
        let now = self.skip(at).await?;
        Ok(Skipped { from, now, to: Some(to) })
    }

    /// Skips the clock ahead by so much.
    ///
    /// # Errors
    /// When the clock is the machine's, or the store failed.
    pub async fn skip_by(&self, by: Duration) -> Result<Skipped, SkipError> {
        let from = self.movable()?.now();
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        let now = self.skip(from.saturating_add(by)).await?;
        Ok(Skipped { from, now, to: None })
    }

    fn movable(&self) -> Result<&Clock, SkipError> {
        let clock = self.clock();
        if clock.is_movable() { Ok(clock) } else { Err(SkipError::Real) }
    }

    async fn skip(&self, at: Millis) -> Result<Millis, CommandError> {
        // Noted first: what is journaled then is never ahead of the note.
        note(&self.inner, at.saturating_add(reserve(self.clock()))).await?;
        Ok(self.clock().skip_to(at))
    }

    /// The orchestrator of an instance, and what it waits for at this time.
    async fn waits_for(
        &self,
        id: &str,
        at: Millis,
    ) -> Result<(String, &'static str), CommandError> {
        let Some((row, records)) = self.history(id).await? else {
            return Err(CommandError::NotFound { id: id.to_owned() });
        };
        let what = records.iter().rev().find_map(|Record(_, event)| match event {
            Event::TimerCreated { fire_at, .. } if *fire_at == at => Some("timer"),
            Event::AttemptFailed { retry_at: Some(retry_at), .. }
            | Event::UndoAttemptFailed { retry_at: Some(retry_at), .. }
                if *retry_at == at =>
            {
                Some("retry")
            }
            Event::Started(started) if started.deadline == Some(at) => Some("deadline"),
            _ => None,
        });
        Ok((row.name, what.unwrap_or("wake")))
    }
}

/// How far a clock goes until it is noted again, with some room.
fn reserve(clock: &Clock) -> Millis {
    (NOTED_EVERY.as_millis() as f64 * 3.0 * clock.factor()) as Millis
}

/// Lets a clock that can be moved begin where that of an earlier host may have
/// come to.
pub(crate) fn resume(store: &dyn Store, clock: &Clock) -> Result<(), EngineError> {
    let noted = store.note(NOTE)?.and_then(|text| text.parse::<Millis>().ok());
    let Some(noted) = noted.filter(|noted| *noted > clock.now()) else { return Ok(()) };
    match clock.is_movable() {
        true => {
            clock.skip_to(noted);
        }
        false => {
            let ahead = Duration::from_millis(noted.saturating_sub(clock.now()));
            tracing::warn!(
                ?ahead,
                "`sagahost dev` ran on this data with its clock ahead of the machine's: what it set a time for waits that much longer"
            );
        }
    }
    Ok(())
}

/// Notes again and again how far the clock has come, where it is not the
/// machine's.
pub(crate) async fn keep_noted(inner: Arc<Inner>) {
    let clock = inner.clock();
    loop {
        if clock.factor() > 1.0 || !clock.ahead().is_zero() {
            let at = clock.now().saturating_add(reserve(clock));
            if let Err(error) = note(&inner, at).await {
                tracing::error!(%error, "it cannot be noted how far the clock has come; trying again");
            }
        }
        tokio::time::sleep(NOTED_EVERY).await;
        if inner.stopping.load(Ordering::SeqCst) {
            return;
        }
    }
}

async fn note(inner: &Inner, at: Millis) -> Result<(), CommandError> {
    let write = Write::SetNote { name: NOTE.to_owned(), value: Some(at.to_string()) };
    match inner.writer.write(write).await {
        Ok(_) => Ok(()),
        Err(failure) => Err(CommandError::Store(failure.to_string())),
    }
}
