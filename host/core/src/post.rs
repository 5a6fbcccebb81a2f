//! What instances and entities send each other.
//!
//! A letter is journaled with its sender before it leaves, and kept until the
//! receiver has journaled it and said so. After a crash whatever is kept is
//! sent again. Each sender counts its letters, and a receiver knows which it
//! has had: so each is taken in exactly once, and those of one sender for one
//! receiver in the order of sending.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Failure, Json, Millis, Tags, TaskId};

/// What tells a letter from all others.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Post {
    /// Who sent it: the same as long as the sender lives, whatever execution it
    /// is in, and no one else's.
    pub origin: String,
    /// Which of the sender's letters it is, from 1.
    pub number: u64,
}

/// A letter of an instance or an entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Letter {
    /// Which of the sender's letters it is, from 1.
    pub number: u64,
    /// The instance id of the receiver; that of an entity is
    /// [`EntityId::instance_id`](crate::EntityId::instance_id).
    pub to: String,
    /// What it brings.
    pub parcel: Parcel,
}

impl Letter {
    fn is_start(&self) -> bool {
        matches!(self.parcel, Parcel::Start { .. })
    }
}

/// What a letter brings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
pub enum Parcel {
    /// An event for an orchestration.
    Event {
        /// Its name.
        name: String,
        /// What comes with it.
        input: Json,
    },
    /// An orchestration begins.
    Start {
        /// The orchestrator.
        name: String,
        /// Its input.
        input: Json,
        /// The version it is told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
        /// Its tags.
        #[serde(default, skip_serializing_if = "Tags::is_empty")]
        tags: Tags,
        /// When its code first runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        start_at: Option<Millis>,
        /// The W3C `traceparent` of the sender.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace_parent: Option<String>,
    },
    /// An entity is to run an operation, and nobody waits for it.
    Signal {
        /// What it is to do.
        operation: String,
        /// The input of that.
        input: Json,
        /// Not before this time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Millis>,
        /// The sender's execution, if it is an orchestration: one that has
        /// locked the entity goes before the others.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        execution: Option<String>,
    },
    /// An entity is to run an operation, and to answer.
    Call {
        /// What it is to do.
        operation: String,
        /// The input of that.
        input: Json,
        /// The task that waits.
        task: TaskId,
        /// The execution whose task that is.
        execution: String,
    },
    /// An orchestration wants an entity for itself.
    Lock {
        /// The task that waits.
        task: TaskId,
        /// The execution whose task that is.
        execution: String,
    },
    /// An orchestration lets go of an entity, or wants it no more.
    Unlock {
        /// Its execution.
        execution: String,
    },
    /// An entity has run an operation that it was called for.
    Answer {
        /// The task that waits.
        task: TaskId,
        /// The execution whose task that is.
        execution: String,
        /// What came of it.
        outcome: Result<Json, Failure>,
    },
    /// An orchestration has an entity for itself.
    Granted {
        /// The task that waits.
        task: TaskId,
        /// The execution whose task that is.
        execution: String,
    },
}

/// The letters of a sender of which nobody has said that they were taken in.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outbox {
    /// How many there were so far.
    count: u64,
    letters: BTreeMap<u64, Letter>,
    /// How many starts of each receiver are among them.
    starts: BTreeMap<String, u32>,
    /// Those that wait for an earlier start of the same receiver: it may be
    /// tried several times, and what comes after it would find nobody.
    held: BTreeSet<u64>,
    /// Those that may leave and have not.
    fresh: Vec<u64>,
}

impl Outbox {
    /// The outbox of a sender that goes on with what an earlier execution left.
    pub(crate) fn carried(count: u64, letters: &[Letter]) -> Self {
        let mut outbox = Outbox { count, ..Outbox::default() };
        for letter in letters {
            outbox.add(letter.clone());
        }
        outbox.fresh.clear();
        outbox
    }

    /// Sends a letter.
    pub(crate) fn put(&mut self, to: impl Into<String>, parcel: Parcel) {
        self.count += 1;
        self.add(Letter { number: self.count, to: to.into(), parcel });
    }

    fn add(&mut self, letter: Letter) {
        let number = letter.number;
        if self.starts.contains_key(&letter.to) {
            self.held.insert(number);
        } else {
            self.fresh.push(number);
        }
        if letter.is_start() {
            *self.starts.entry(letter.to.clone()).or_default() += 1;
        }
        self.letters.insert(number, letter);
    }

    /// A letter was taken in, or never will be. Returns it, if it was not
    /// known yet.
    pub(crate) fn delivered(&mut self, number: u64) -> Option<Letter> {
        let letter = self.letters.remove(&number)?;
        self.fresh.retain(|fresh| *fresh != number);
        if letter.is_start() {
            if let Some(starts) = self.starts.get_mut(&letter.to) {
                *starts -= 1;
            }
            self.starts.retain(|_, starts| *starts > 0);
            for number in self.held.clone() {
                let Some(next) = self.letters.get(&number) else { continue };
                if next.to != letter.to {
                    continue;
                }
                self.held.remove(&number);
                self.fresh.push(number);
                if next.is_start() {
                    break;
                }
            }
        }
        Some(letter)
    }

    /// Whether this letter is kept.
    pub(crate) fn has(&self, number: u64) -> bool {
        self.letters.contains_key(&number)
    }

    /// Whether nothing is kept.
    pub(crate) fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// What may leave and has not; from here on it has.
    pub(crate) fn take_fresh(&mut self) -> Vec<Letter> {
        let fresh = std::mem::take(&mut self.fresh);
        fresh.iter().filter_map(|number| self.letters.get(number)).cloned().collect()
    }

    /// All that may leave, whether or not it has: what is sent again when
    /// nobody knows what became of it.
    pub(crate) fn again(&self) -> Vec<Letter> {
        let free = |letter: &&Letter| !self.held.contains(&letter.number);
        self.letters.values().filter(free).cloned().collect()
    }

    /// All that is kept, in order.
    pub(crate) fn letters(&self) -> impl Iterator<Item = &Letter> {
        self.letters.values()
    }

    /// How many letters there were so far.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}

/// Which letters a receiver has had: of each sender the last one, and when it
/// came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Inbox(BTreeMap<String, (u64, Millis)>);

impl Inbox {
    /// Whether this letter has not come yet.
    pub(crate) fn is_new(&self, post: &Post) -> bool {
        self.0.get(&post.origin).is_none_or(|(last, _)| post.number > *last)
    }

    /// It has come.
    pub(crate) fn note(&mut self, post: &Post, at: Millis) {
        self.0.insert(post.origin.clone(), (post.number, at));
    }

    /// Without the senders that were last heard of before this time.
    pub(crate) fn since(&self, time: Millis) -> Self {
        let late = self.0.iter().filter(|(_, (_, at))| *at >= time);
        Inbox(late.map(|(origin, last)| (origin.clone(), *last)).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many senders it knows.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str) -> Parcel {
        Parcel::Event { name: name.into(), input: Json::null() }
    }

    fn start() -> Parcel {
        let (name, input) = ("Saga".into(), Json::null());
        let tags = Tags::new();
        Parcel::Start { name, input, version: None, tags, start_at: None, trace_parent: None }
    }

    fn numbers(letters: &[Letter]) -> Vec<u64> {
        letters.iter().map(|letter| letter.number).collect()
    }

    #[test]
    fn what_comes_after_a_start_waits_until_that_was_taken_in() {
        let mut outbox = Outbox::default();
        outbox.put("a", event("before"));
        outbox.put("a", start());
        outbox.put("a", event("after"));
        outbox.put("b", event("of another"));
        outbox.put("a", start());
        outbox.put("a", event("after the second"));
        assert_eq!(numbers(&outbox.take_fresh()), [1, 2, 4]);
        assert_eq!(numbers(&outbox.again()), [1, 2, 4]);
        assert!(outbox.delivered(1).is_some());
        assert!(outbox.take_fresh().is_empty());
        assert!(outbox.delivered(2).is_some());
        assert_eq!(numbers(&outbox.take_fresh()), [3, 5]);
        assert!(outbox.delivered(5).is_some());
        assert_eq!(numbers(&outbox.take_fresh()), [6]);
        assert!(outbox.delivered(5).is_none(), "it was delivered before");
        let letters: Vec<_> = outbox.letters().cloned().collect();
        assert_eq!(numbers(&letters), [3, 4, 6]);
        let mut carried = Outbox::carried(outbox.count(), &letters);
        assert_eq!(carried.again(), outbox.again());
        carried.put("c", event("the next"));
        assert_eq!(numbers(&carried.take_fresh()), [7]);
    }

    #[test]
    fn a_letter_is_new_once() {
        let mut inbox = Inbox::default();
        let post = |origin: &str, number| Post { origin: origin.into(), number };
        inbox.note(&post("a", 3), 10);
        inbox.note(&post("b", 1), 20);
        assert!(!inbox.is_new(&post("a", 2)) && !inbox.is_new(&post("a", 3)));
        assert!(inbox.is_new(&post("a", 4)) && inbox.is_new(&post("c", 1)));
        let late = inbox.since(20);
        assert!(late.is_new(&post("a", 1)) && !late.is_new(&post("b", 1)));
    }
}
