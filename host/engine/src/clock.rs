//! The time that the journals have: the machine's, or, in the emulator, one
//! that runs faster and can be skipped ahead.
//!
//! Whatever is durable is by this clock: the times of events, timers, retries
//! and deadlines. How long an attempt of an activity may run is by the
//! machine's, because the work it does is real.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sagahost_core::Millis;
use tokio::sync::watch;

/// A machine's clock that is set back by less than this makes this one stand
/// still until it has caught up; one that is set back further makes it go on
/// from where it is.
const STEP: Millis = 2_000;

/// A clock. It never goes back while the host runs. Cloning it gives another
/// handle to the same one.
#[derive(Clone, Debug)]
pub struct Clock {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// What the machine says.
    machine: fn() -> Millis,
    /// How much faster than the machine's it runs.
    factor: f64,
    /// Whether it may be moved: only that of the emulator.
    movable: bool,
    state: Mutex<State>,
    moved: watch::Sender<()>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// When the machine's said `machine`, this one said `ours`.
    machine: Millis,
    ours: Millis,
    /// The latest that was read of both.
    machine_last: Millis,
    last: Millis,
}

impl Default for Clock {
    fn default() -> Self {
        Clock::real()
    }
}

impl Clock {
    /// The machine's clock.
    pub fn real() -> Self {
        Self::new(machine_now, 1.0, false)
    }

    /// A clock that begins at the machine's time, runs faster than it by this
    /// factor, and can be skipped ahead. A factor below 1, or that is no
    /// number, is 1.
    pub fn scaled(factor: f64) -> Self {
        let factor = if factor.is_finite() { factor.max(1.0) } else { 1.0 };
        Self::new(machine_now, factor, true)
    }

    fn new(machine: fn() -> Millis, factor: f64, movable: bool) -> Self {
        let now = machine();
        let state = State { machine: now, ours: now, machine_last: now, last: now };
        let moved = watch::channel(()).0;
        let state = Mutex::new(state);
        Clock { shared: Arc::new(Shared { machine, factor, movable, state, moved }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn now(&self) -> Millis {
        self.read(&mut self.lock())
    }

    fn read(&self, state: &mut State) -> Millis {
        let machine = (self.shared.machine)();
        if machine.saturating_add(STEP) < state.machine_last {
            (state.machine, state.ours) = (machine, state.last);
            state.machine_last = machine;
        }
        state.machine_last = state.machine_last.max(machine);
        state.last = state.last.max(self.of(state, machine));
        state.last
    }

    /// What this clock said when the machine's said `machine`.
    fn of(&self, state: &State, machine: Millis) -> Millis {
        let (passed, ahead) = match machine.checked_sub(state.machine) {
            Some(passed) => (passed, true),
            None => (state.machine - machine, false),
        };
        let passed = match self.shared.factor {
            1.0 => passed,
            factor => (passed as f64 * factor) as Millis,
        };
        match ahead {
            true => state.ours.saturating_add(passed),
            false => state.ours.saturating_sub(passed),
        }
    }

    /// What this clock said at a time of the machine's that is past.
    pub(crate) fn at(&self, machine: Millis) -> Millis {
        let mut state = self.lock();
        let now = self.read(&mut state);
        self.of(&state, machine).min(now)
    }

    /// How much faster than the machine's it runs.
    pub fn factor(&self) -> f64 {
        self.shared.factor
    }

    /// Whether it can be skipped ahead.
    pub fn is_movable(&self) -> bool {
        self.shared.movable
    }

    /// Skips ahead to this time, where it is not past it, and says what time
    /// it is then. The machine's clock is never moved.
    pub fn skip_to(&self, at: Millis) -> Millis {
        let mut state = self.lock();
        let now = self.read(&mut state);
        if !self.shared.movable || at <= now {
            return now;
        }
        (state.machine, state.ours, state.last) = (state.machine_last, at, at);
        drop(state);
        self.shared.moved.send_replace(());
        at
    }

    /// Skips ahead by so much, and says what time it is then.
    pub fn skip_by(&self, by: Duration) -> Millis {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.skip_to(self.now().saturating_add(by))
    }

    /// How far ahead of the machine's it is.
    pub fn ahead(&self) -> Duration {
        let mut state = self.lock();
        let now = self.read(&mut state);
        Duration::from_millis(now.saturating_sub(state.machine_last))
    }

    /// How long, by the machine's clock, until this one says `at`.
    pub fn until(&self, at: Millis) -> Duration {
        let left = at.saturating_sub(self.now());
        match self.shared.factor {
            1.0 => Duration::from_millis(left),
            // At least a millisecond, so that nobody spins at a timer that is
            // a fraction of it away.
            factor if left > 0 => Duration::from_millis((left as f64 / factor) as u64 + 1),
            _ => Duration::ZERO,
        }
    }

    /// Tells of each skip from now on.
    pub(crate) fn skips(&self) -> watch::Receiver<()> {
        self.shared.moved.subscribe()
    }

    /// Waits until it is `at` by this clock.
    pub async fn reached(&self, at: Millis) {
        /// Sleep no longer than this, so that a clock that was set is noticed.
        const LONGEST: Duration = Duration::from_secs(60);
        let mut skips = self.skips();
        loop {
            let left = self.until(at);
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left.min(LONGEST)) => {}
                _ = skips.changed() => {}
            }
        }
    }
}

fn machine_now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static MACHINE: Cell<Millis> = const { Cell::new(0) };
    }

    fn set(at: Millis) {
        MACHINE.set(at);
    }

    fn clock(factor: f64, movable: bool) -> Clock {
        Clock::new(|| MACHINE.get(), factor, movable)
    }

    #[test]
    fn a_real_clock_is_the_machines_and_is_not_moved() {
        set(1_000);
        let clock = clock(1.0, false);
        assert_eq!(clock.now(), 1_000);
        set(5_000);
        assert_eq!(clock.now(), 5_000);
        assert_eq!(clock.skip_to(9_000), 5_000);
        assert_eq!(clock.skip_by(Duration::from_secs(1)), 5_000);
        assert_eq!(clock.now(), 5_000);
        assert_eq!(clock.ahead(), Duration::ZERO);
    }

    #[test]
    fn a_scaled_clock_runs_faster_from_the_machines_time_on() {
        set(1_000);
        let clock = clock(60.0, true);
        assert_eq!(clock.now(), 1_000);
        set(2_000);
        assert_eq!(clock.now(), 61_000);
        assert_eq!(clock.until(121_000), Duration::from_millis(1_001));
        assert_eq!(clock.at(1_500), 31_000, "a past time of the machine's");
        assert_eq!(clock.at(9_999), 61_000, "and none that is not past");
        assert_eq!(clock.ahead(), Duration::from_secs(59));
    }

    #[test]
    fn a_skip_goes_ahead_only() {
        set(1_000);
        let clock = clock(2.0, true);
        assert_eq!(clock.skip_to(100_000), 100_000);
        assert_eq!(clock.skip_to(50_000), 100_000);
        set(2_000);
        assert_eq!(clock.now(), 102_000);
        assert_eq!(clock.skip_by(Duration::from_secs(10)), 112_000);
        assert_eq!(clock.clone().now(), 112_000);
        assert_eq!(clock.skip_to(Millis::MAX), Millis::MAX);
        set(3_000);
        assert_eq!(clock.now(), Millis::MAX);
    }

    #[test]
    fn a_machine_whose_clock_is_set_back_does_not_turn_it_back() {
        set(100_000);
        let clock = clock(1.0, false);
        set(99_000);
        assert_eq!(clock.now(), 100_000, "a little: it stands still");
        set(101_000);
        assert_eq!(clock.now(), 101_000);
        set(10_000);
        assert_eq!(clock.now(), 101_000, "far: it goes on from there");
        set(11_000);
        assert_eq!(clock.now(), 102_000);
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_by_a_skip() {
        let clock = Clock::scaled(1.0);
        let at = clock.now() + 3 * 86_400_000;
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.reached(at).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        clock.skip_to(at);
        let woken = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        assert!(matches!(woken, Ok(Ok(()))));
    }
}
