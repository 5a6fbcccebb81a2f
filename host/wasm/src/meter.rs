//! How long a guest has computed, and how much memory it has.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use wasmtime::{ResourceLimiter, UpdateDeadline};

use crate::config::TICK;

/// The most one stretch between two checks counts for. A guest that computes
/// is checked every tick; a longer stretch means that the system gave the
/// processor to somebody else, or that the host worked for the guest, and is
/// not what the guest computed.
const LONGEST_STRETCH: Duration = Duration::from_millis(2 * TICK.as_millis() as u64);

/// A guest that has run for less than this since it got its turn was not what
/// made the epoch advance: it waited through it. It goes on at once.
const FRESH: Duration = Duration::from_millis(2);

/// The time a guest computes, against its limit.
///
/// The atomics are never contended (one guest is on one thread at a time);
/// they are there because the future that polls the guest and the callbacks
/// from within it both write here.
#[derive(Debug)]
pub(crate) struct Meter {
    origin: Instant,
    began: AtomicU64,
    mark: AtomicU64,
    spent: AtomicU64,
    limit: AtomicU64,
    yielded: AtomicBool,
}

/// The error that ends a guest which computed for longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("it computed for longer than its limit of {0:?}")]
pub(crate) struct CpuLimitReached(pub Duration);

impl Meter {
    pub(crate) fn new(limit: Duration) -> Self {
        Meter {
            origin: Instant::now(),
            began: AtomicU64::new(0),
            mark: AtomicU64::new(0),
            spent: AtomicU64::new(0),
            limit: AtomicU64::new(nanos(limit)),
            yielded: AtomicBool::new(false),
        }
    }

    fn now(&self) -> u64 {
        nanos(self.origin.elapsed())
    }

    fn begin(&self) {
        let now = self.now();
        self.began.store(now, Ordering::Relaxed);
        self.mark.store(now, Ordering::Relaxed);
        self.yielded.store(false, Ordering::Relaxed);
    }

    /// Counts what was computed since the last check; returns the sum.
    fn lap(&self) -> u64 {
        let now = self.now();
        let stretch = now.saturating_sub(self.mark.swap(now, Ordering::Relaxed));
        let stretch = stretch.min(nanos(LONGEST_STRETCH));
        self.spent.fetch_add(stretch, Ordering::Relaxed) + stretch
    }

    /// What was computed so far.
    pub(crate) fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent.load(Ordering::Relaxed))
    }

    /// Begins to count anew.
    pub(crate) fn reset(&self) {
        self.spent.store(0, Ordering::Relaxed);
        self.mark.store(self.now(), Ordering::Relaxed);
    }

    /// Whether the guest gave way because its tick was over, and so waits for
    /// nothing.
    pub(crate) fn yielded(&self) -> bool {
        self.yielded.load(Ordering::Relaxed)
    }

    /// What a guest does when the epoch has advanced: it ends, or lets the
    /// others on.
    pub(crate) fn tick(&self) -> wasmtime::Result<UpdateDeadline> {
        let spent = self.lap();
        let limit = self.limit.load(Ordering::Relaxed);
        if spent > limit {
            return Err(CpuLimitReached(Duration::from_nanos(limit)).into());
        }
        let running = self.mark.load(Ordering::Relaxed) - self.began.load(Ordering::Relaxed);
        if running < nanos(FRESH) {
            return Ok(UpdateDeadline::Continue(1));
        }
        self.yielded.store(true, Ordering::Relaxed);
        Ok(UpdateDeadline::Yield(1))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Polls a guest, and meters how long that takes.
pub(crate) struct Metered<'m, F> {
    pub(crate) meter: &'m Meter,
    pub(crate) inner: F,
}

impl<F: Future + Unpin> Future for Metered<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.meter.begin();
        let poll = Pin::new(&mut self.inner).poll(cx);
        self.meter.lap();
        poll
    }
}

/// Limits the memory of one guest, over all the memories it has, and remembers
/// that it did.
#[derive(Debug)]
pub(crate) struct MemoryLimit {
    limit: usize,
    used: usize,
    /// What the guest wanted in all when it did not get it.
    pub(crate) refused: Option<usize>,
    pub(crate) peak: usize,
}

/// The most elements a table may have; those of whole language runtimes have
/// tens of thousands.
pub(crate) const TABLE_ELEMENTS: usize = 100_000;

impl MemoryLimit {
    pub(crate) fn new(limit: u64) -> Self {
        MemoryLimit {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            used: 0,
            refused: None,
            peak: 0,
        }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let wanted = self.used.saturating_add(desired.saturating_sub(current));
        if wanted > self.limit {
            self.refused = Some(wanted);
            return Ok(false);
        }
        self.used = wanted;
        self.peak = self.peak.max(wanted);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }
}
