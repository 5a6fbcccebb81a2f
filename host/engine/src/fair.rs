//! Who is next: a fair queue in front of a number of places.
//!
//! Whoever asks belongs to a function and to an instance. The functions take
//! turns, and in each function the instances do: one with ten thousand steps is
//! before nobody else for longer than for one of them. A function may have a
//! limit to how many run, and how often one begins; while it is at its limit it
//! takes no part, and so holds no place from others. Undos go before steps.
//!
//! This decides and does nothing: it knows no tasks, and time comes in as an
//! argument. What each costs does not depend on how many wait, but for a
//! logarithm.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::load_gate::Delay;

/// How much of the time that a wake-up comes late is made up for.
const SLACK: Duration = Duration::from_millis(20);

/// How many functions are remembered although nothing of them runs or waits.
const REMEMBERED: usize = 512;

/// The limits of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// How many run at the same time.
    pub(crate) concurrency: Option<usize>,
    /// The time from the beginning of one to that of the next.
    pub(crate) interval: Option<Duration>,
}

/// Whoever asks for a place.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    /// No other one has it.
    pub(crate) token: u64,
    pub(crate) instance: Arc<str>,
    /// On whose behalf: the orchestrator, or the entity.
    pub(crate) code: Arc<str>,
    pub(crate) is_undo: bool,
}

/// The queue. Of each that waits it keeps a `T`.
#[derive(Debug)]
pub(crate) struct Fair<T> {
    places: usize,
    running: usize,
    functions: HashMap<Arc<str>, Function<T>>,
    /// Functions of which something waits for a place and nothing else: undos,
    /// and steps.
    rings: [VecDeque<Arc<str>>; 2],
    /// Functions that may not begin anything before this time.
    asleep: BTreeSet<(Duration, Arc<str>)>,
    /// Where each is that waits.
    waiting: HashMap<u64, Position>,
}

#[derive(Debug)]
struct Position {
    function: Arc<str>,
    lane: usize,
    round: u64,
}

#[derive(Debug)]
struct Function<T> {
    name: Arc<str>,
    limits: Limits,
    running: usize,
    /// When the next one may begin, by the limit of the rate.
    next: Duration,
    asleep: Option<Duration>,
    /// It was asleep, and something of it has waited ever since.
    behind: bool,
    lanes: [Lane<T>; 2],
    /// How long instances wait of which nothing else waits here.
    delay: Delay,
    /// How many wait on behalf of each.
    codes: HashMap<Arc<str>, usize>,
}

/// What waits of a function: its undos, or its steps.
#[derive(Debug)]
struct Lane<T> {
    /// By round and token: in each round there is one of each instance.
    entries: BTreeMap<(u64, u64), Entry<T>>,
    instances: HashMap<Arc<str>, Share>,
    round: u64,
    in_ring: bool,
}

#[derive(Debug)]
struct Share {
    waiting: usize,
    /// The last round in which it has one.
    last: u64,
}

#[derive(Debug)]
struct Entry<T> {
    asker: Asker,
    /// Whether nothing else of its instance waited as it came.
    alone: bool,
    since: Duration,
    what: T,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Lane { entries: BTreeMap::new(), instances: HashMap::new(), round: 0, in_ring: false }
    }
}

impl<T> Function<T> {
    fn new(name: Arc<str>, limits: Limits) -> Self {
        Function {
            name,
            limits,
            running: 0,
            next: Duration::ZERO,
            asleep: None,
            behind: false,
            lanes: Default::default(),
            delay: Delay::default(),
            codes: HashMap::new(),
        }
    }

    fn has_room(&self) -> bool {
        self.limits.concurrency.is_none_or(|most| self.running < most)
    }

    /// Until when it has to wait for its rate.
    fn sleeps(&self, now: Duration) -> Option<Duration> {
        (self.limits.interval.is_some() && self.next > now).then_some(self.next)
    }

    fn is_waited_for(&self) -> bool {
        self.lanes.iter().any(|lane| !lane.entries.is_empty())
    }

    fn is_idle(&self, now: Duration) -> bool {
        self.running == 0
            && self.asleep.is_none()
            && self.sleeps(now).is_none()
            && self.lanes.iter().all(|lane| lane.entries.is_empty() && !lane.in_ring)
    }

    /// One begins.
    fn begins(&mut self, now: Duration) {
        self.running += 1;
        if let Some(interval) = self.limits.interval {
            // What waits begins at the rate, although each wake-up is late;
            // what comes seldom has no arrears.
            let owed = if self.behind { now.saturating_sub(SLACK) } else { now };
            self.next = self.next.max(owed) + interval;
        }
    }

    fn remove(&mut self, lane: usize, key: (u64, u64)) -> Option<Entry<T>> {
        let entry = self.lanes[lane].entries.remove(&key)?;
        let instances = &mut self.lanes[lane].instances;
        if let Some(share) = instances.get_mut(&entry.asker.instance) {
            share.waiting -= 1;
            if share.waiting == 0 {
                instances.remove(&entry.asker.instance);
            }
        }
        if let Some(count) = self.codes.get_mut(&entry.asker.code) {
            *count -= 1;
            if *count == 0 {
                self.codes.remove(&entry.asker.code);
            }
        }
        Some(entry)
    }

    /// Takes out the next one of this lane.
    fn take(&mut self, lane: usize, now: Duration) -> Option<Entry<T>> {
        let key = *self.lanes[lane].entries.first_key_value()?.0;
        let entry = self.remove(lane, key)?;
        self.lanes[lane].round = key.0;
        if entry.alone {
            self.delay.served(1, now.saturating_sub(entry.since), now);
        }
        self.begins(now);
        self.behind &= self.is_waited_for();
        Some(entry)
    }
}

impl<T> Fair<T> {
    pub(crate) fn new(places: usize) -> Self {
        Fair {
            places,
            running: 0,
            functions: HashMap::new(),
            rings: Default::default(),
            asleep: BTreeSet::new(),
            waiting: HashMap::new(),
        }
    }

    /// Asks for a place. Where it is had at once, `what` comes back, with the
    /// function to [`Self::leave`]; else it waits, and comes out of
    /// [`Self::next`].
    pub(crate) fn ask(
        &mut self,
        function: &str,
        limits: impl FnOnce() -> Limits,
        asker: impl FnOnce() -> Asker,
        now: Duration,
        what: T,
    ) -> Option<(Arc<str>, T)> {
        if !self.functions.contains_key(function) {
            let name: Arc<str> = function.into();
            self.functions.insert(name.clone(), Function::new(name, limits()));
        }
        let it = self.functions.get_mut(function)?;
        let name = it.name.clone();
        // Who waits for nothing but a place waits only while there is none.
        let is_free = self.running < self.places && it.has_room() && it.sleeps(now).is_none();
        if is_free && it.asleep.is_none() && !it.is_waited_for() {
            self.running += 1;
            it.begins(now);
            return Some((name, what));
        }
        let asker = asker();
        let index = usize::from(!asker.is_undo);
        let lane = &mut it.lanes[index];
        let first = lane.round + 1;
        let alone = !lane.instances.contains_key(&asker.instance);
        let share = lane.instances.entry(asker.instance.clone());
        let share = share.or_insert(Share { waiting: 0, last: 0 });
        share.waiting += 1;
        share.last = first.max(share.last + 1);
        let round = share.last;
        if alone {
            it.delay.came(now);
        }
        *it.codes.entry(asker.code.clone()).or_default() += 1;
        let position = Position { function: name.clone(), lane: index, round };
        self.waiting.insert(asker.token, position);
        let entry = Entry { alone, since: now, what, asker };
        it.lanes[index].entries.insert((round, entry.asker.token), entry);
        self.queue(&name, now);
        None
    }

    /// Puts a function of which something waits to where it waits, if it does
    /// not wait for one that runs.
    fn queue(&mut self, name: &Arc<str>, now: Duration) {
        let Some(it) = self.functions.get_mut(name) else { return };
        if it.asleep.is_some() || !it.has_room() || !it.is_waited_for() {
            return;
        }
        if let Some(until) = it.sleeps(now) {
            it.asleep = Some(until);
            it.behind = true;
            self.asleep.insert((until, name.clone()));
            return;
        }
        for (lane, ring) in it.lanes.iter_mut().zip(&mut self.rings) {
            if !lane.entries.is_empty() && !lane.in_ring {
                lane.in_ring = true;
                ring.push_back(name.clone());
            }
        }
    }

    /// Whoever had a place leaves it. What may begin now comes out of
    /// [`Self::next`].
    pub(crate) fn leave(&mut self, function: &Arc<str>, now: Duration) {
        self.running = self.running.saturating_sub(1);
        let Some(it) = self.functions.get_mut(function) else { return };
        it.running = it.running.saturating_sub(1);
        if it.is_waited_for() {
            self.queue(function, now);
        } else {
            self.forget(function, now);
        }
    }

    /// Forgets a function of which there is nothing, if there are many: names
    /// can be made up.
    fn forget(&mut self, name: &Arc<str>, now: Duration) {
        let many = self.functions.len() > REMEMBERED;
        if many && self.functions.get(name).is_some_and(|it| it.is_idle(now)) {
            self.functions.remove(name);
        }
    }

    /// The next one that may begin, and has its place by that. To be asked until
    /// there is none, after each call that may have made room.
    pub(crate) fn next(&mut self, now: Duration) -> Option<(Arc<str>, T)> {
        while self.asleep.first().is_some_and(|(until, _)| *until <= now) {
            let Some((_, name)) = self.asleep.pop_first() else { break };
            if let Some(it) = self.functions.get_mut(&name) {
                it.asleep = None;
            }
            self.queue(&name, now);
        }
        while self.running < self.places {
            let (index, name) = {
                let [undos, steps] = &mut self.rings;
                match undos.pop_front() {
                    Some(name) => (0, name),
                    None => (1, steps.pop_front()?),
                }
            };
            let Some(it) = self.functions.get_mut(&name) else { continue };
            it.lanes[index].in_ring = false;
            let may = it.asleep.is_none() && it.has_room() && it.sleeps(now).is_none();
            let entry = if may { it.take(index, now) } else { None };
            // Those of its that still wait: for a place, or for its rate.
            self.queue(&name, now);
            if let Some(entry) = entry {
                self.running += 1;
                self.waiting.remove(&entry.asker.token);
                return Some((name, entry.what));
            }
            self.forget(&name, now);
        }
        None
    }

    /// When something may begin although nobody leaves.
    pub(crate) fn wakes(&self) -> Option<Duration> {
        self.asleep.first().map(|(until, _)| *until)
    }

    /// Takes out one that waits, if it still does.
    pub(crate) fn remove(&mut self, token: u64) -> Option<T> {
        let Position { function, lane, round } = self.waiting.remove(&token)?;
        let it = self.functions.get_mut(&function)?;
        let entry = it.remove(lane, (round, token))?;
        if entry.alone {
            it.delay.gone(1);
        }
        Some(entry.what)
    }

    /// There are other limits. What may begin now comes out of [`Self::next`].
    pub(crate) fn set_limits(&mut self, limits: impl Fn(&str) -> Limits, now: Duration) {
        self.asleep.clear();
        let names: Vec<Arc<str>> = self.functions.keys().cloned().collect();
        for name in names {
            if let Some(it) = self.functions.get_mut(&name) {
                let limits = limits(&name);
                if it.limits.interval != limits.interval {
                    it.next = now;
                }
                (it.limits, it.asleep) = (limits, None);
            }
            self.queue(&name, now);
        }
    }

    /// Takes out all that wait.
    pub(crate) fn clear(&mut self) -> Vec<T> {
        let tokens: Vec<u64> = self.waiting.keys().copied().collect();
        tokens.into_iter().filter_map(|token| self.remove(token)).collect()
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The function that makes what is done on behalf of one of these wait
    /// longer than this, and how long.
    pub(crate) fn delays(
        &mut self,
        concerns: impl Fn(&str) -> bool,
        bound: Duration,
        now: Duration,
    ) -> Option<(Arc<str>, Duration)> {
        if self.waiting.is_empty() {
            return None;
        }
        self.functions.iter_mut().find_map(|(name, it)| {
            let delay = it.delay.now(now);
            let is_over = delay > bound && it.codes.keys().any(|code| concerns(code));
            is_over.then(|| (name.clone(), delay))
        })
    }
}

#[cfg(test)]
mod tests;
