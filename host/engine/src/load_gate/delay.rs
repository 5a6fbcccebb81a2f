//! How long a queue makes those wait that come to it, told by those that leave
//! it.
//!
//! A long queue is no harm while it moves: what counts is the shortest wait of
//! late. A burst is over before that grows; where even the luckiest wait long,
//! more comes than can be done.

use std::time::Duration;

/// How long what was seen counts: one to two of these.
pub(crate) const WINDOW: Duration = Duration::from_millis(100);

/// Of one queue. Times count from some moment, the same for all calls.
#[derive(Debug, Default)]
pub(crate) struct Delay {
    waiting: u64,
    /// Since when those that wait now have waited at least: when the last one
    /// left, or the first one came after there was none.
    since: Duration,
    /// The window that is going on.
    window: u64,
    /// The shortest wait in it, and in the one before.
    shortest: Option<Duration>,
    before: Option<Duration>,
}

impl Delay {
    /// One more waits.
    pub(crate) fn came(&mut self, now: Duration) {
        if self.waiting == 0 {
            self.since = now;
        }
        self.waiting += 1;
    }

    /// So many are served, of which the one that waited least waited so long.
    pub(crate) fn served(&mut self, count: u64, waited: Duration, now: Duration) {
        self.gone(count);
        self.since = now;
        self.roll(now);
        self.shortest = Some(self.shortest.map_or(waited, |shortest| shortest.min(waited)));
    }

    /// So many wait no more, and were not served.
    pub(crate) fn gone(&mut self, count: u64) {
        self.waiting = self.waiting.saturating_sub(count);
    }

    /// How long whoever comes now has to expect to wait.
    pub(crate) fn now(&mut self, now: Duration) -> Duration {
        if self.waiting == 0 {
            return Duration::ZERO;
        }
        self.roll(now);
        let shortest = match (self.shortest, self.before) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        // Nobody has left for so long: those that wait have waited longer.
        shortest.unwrap_or_else(|| now.saturating_sub(self.since))
    }

    fn roll(&mut self, now: Duration) {
        let window = u64::try_from(now.as_nanos() / WINDOW.as_nanos()).unwrap_or(u64::MAX);
        if window > self.window {
            let follows = window == self.window + 1;
            self.before = self.shortest.take().filter(|_| follows);
            self.window = window;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn an_empty_queue_delays_nobody_whatever_was_before() {
        let mut delay = Delay::default();
        assert_eq!(delay.now(ms(0)), ms(0));
        delay.came(ms(0));
        delay.served(1, ms(900), ms(900));
        assert_eq!(delay.now(ms(900)), ms(0));
    }

    #[test]
    fn the_shortest_wait_of_late_is_what_counts() {
        let mut delay = Delay::default();
        for _ in 0..10 {
            delay.came(ms(0));
        }
        delay.served(1, ms(400), ms(400));
        assert_eq!(delay.now(ms(400)), ms(400));
        delay.served(1, ms(20), ms(410));
        delay.served(1, ms(600), ms(420));
        assert_eq!(delay.now(ms(499)), ms(20));
        // The next window, in which the one before still counts.
        delay.served(1, ms(700), ms(590));
        assert_eq!(delay.now(ms(599)), ms(20));
        // The one after that.
        assert_eq!(delay.now(ms(600)), ms(700));
    }

    #[test]
    fn a_queue_that_stands_still_delays_for_as_long_as_it_does() {
        let mut delay = Delay::default();
        delay.came(ms(1000));
        assert_eq!(delay.now(ms(1200)), ms(200));
        delay.came(ms(1250));
        assert_eq!(delay.now(ms(1300)), ms(300));
        delay.served(1, ms(310), ms(1310));
        // Two windows later nothing is known but that nobody has left since.
        assert_eq!(delay.now(ms(1700)), ms(390));
        delay.gone(1);
        assert_eq!(delay.now(ms(1700)), ms(0));
        // What comes to an empty queue has not waited since the last one left.
        delay.came(ms(9000));
        assert_eq!(delay.now(ms(9001)), ms(1));
    }
}
