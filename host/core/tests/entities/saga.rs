//! An orchestration that signals, calls and locks entities, by chance.

use std::collections::BTreeMap;

use sagahost_core::*;

use super::{Net, Random, id};

#[derive(Debug)]
enum Phase {
    Free,
    /// A call has not been answered.
    Calls(TaskId),
    /// It wants these, and has the first `got` of them.
    Locks {
        wanted: Vec<usize>,
        got: usize,
        task: TaskId,
    },
    /// It has these, and is to do so much more there.
    Holds {
        held: Vec<usize>,
        left: usize,
        waits: Option<TaskId>,
    },
}

#[derive(Debug)]
pub(crate) struct Saga {
    pub(crate) name: String,
    entities: usize,
    pub(crate) only_locks: bool,
    /// Which execution it is in.
    execution: u32,
    tasks: TaskId,
    numbers: u64,
    sections: u32,
    /// How much it is still to do.
    left: usize,
    phase: Phase,
    sent: u64,
    pub(crate) outbox: BTreeMap<u64, Letter>,
    inbox: BTreeMap<String, u64>,
    /// What must have been applied in the end.
    pub(crate) expected: Vec<String>,
}

impl Saga {
    pub(crate) fn new(number: usize, entities: usize) -> Self {
        Saga {
            name: format!("o{number}"),
            entities,
            only_locks: false,
            execution: 1,
            tasks: 0,
            numbers: 0,
            sections: 0,
            left: 6,
            phase: Phase::Free,
            sent: 0,
            outbox: BTreeMap::new(),
            inbox: BTreeMap::new(),
            expected: Vec::new(),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.left == 0 && matches!(self.phase, Phase::Free) && self.outbox.is_empty()
    }

    fn run(&self) -> String {
        format!("{}-{}", self.name, self.execution)
    }

    fn send(&mut self, net: &mut Net, entity: usize, parcel: Parcel) {
        self.sent += 1;
        let letter = Letter { number: self.sent, to: id(entity).instance_id(), parcel };
        net.send(&self.name, &self.name, &letter);
        self.outbox.insert(self.sent, letter);
    }

    /// All that nobody is known to have taken in.
    pub(crate) fn send_again(&mut self, net: &mut Net) {
        self.outbox.values().for_each(|letter| net.send(&self.name, &self.name, letter));
    }

    fn task(&mut self) -> TaskId {
        self.tasks += 1;
        self.tasks
    }

    /// An operation of some kind, and what it will have applied.
    fn operation(&mut self, random: &mut Random, section: &str) -> (String, Json) {
        self.numbers += 1;
        let kind = ["add", "add", "flaky", "fail", "relay"][random.below(5)];
        // The holder's own operations are told by their section.
        let section = match (kind, section) {
            ("relay", "free") => "relay",
            (_, section) => section,
        };
        let kind = if kind == "relay" && section != "relay" { "add" } else { kind };
        let tag = format!("{}/{section}/{}", self.name, self.numbers);
        if kind != "fail" {
            self.expected.push(tag.clone());
        }
        (kind.to_owned(), Json::of(&tag).unwrap())
    }

    fn use_it(
        &mut self,
        random: &mut Random,
        net: &mut Net,
        entity: usize,
        section: &str,
    ) -> Option<TaskId> {
        let (operation, input) = self.operation(random, section);
        if random.one_in(2) {
            let execution = Some(self.run());
            self.send(net, entity, Parcel::Signal { operation, input, at: None, execution });
            return None;
        }
        let (task, execution) = (self.task(), self.run());
        self.send(net, entity, Parcel::Call { operation, input, task, execution });
        Some(task)
    }

    /// Does the next thing, if it waits for nothing.
    pub(crate) fn act(&mut self, random: &mut Random, net: &mut Net, now: Millis) {
        match &mut self.phase {
            Phase::Calls(_) | Phase::Locks { .. } | Phase::Holds { waits: Some(_), .. } => {}
            Phase::Free if self.left == 0 => {}
            Phase::Free => {
                self.left -= 1;
                let entity = random.below(self.entities);
                match random.below(5) {
                    0 if !self.only_locks => {
                        let (operation, input) = self.operation(random, "later");
                        let at = Some(now + random.below(50) as u64);
                        let execution = Some(self.run());
                        self.send(net, entity, Parcel::Signal { operation, input, at, execution });
                    }
                    1 | 2 if !self.only_locks => {
                        if let Some(task) = self.use_it(random, net, entity, "free") {
                            self.phase = Phase::Calls(task);
                        }
                    }
                    _ => {
                        let other = (entity + 1) % self.entities;
                        let mut wanted = vec![entity, other];
                        wanted.sort_unstable();
                        let (task, execution) = (self.task(), self.run());
                        self.send(net, wanted[0], Parcel::Lock { task, execution });
                        self.phase = Phase::Locks { wanted, got: 0, task };
                    }
                }
            }
            Phase::Holds { held, left: 0, .. } => {
                let held = std::mem::take(held);
                self.let_go(net, &held);
            }
            Phase::Holds { held, left, .. } => {
                *left -= 1;
                let entity = held[random.below(held.len())];
                let section = format!("lock-{}-{}", self.run(), self.sections);
                let task = self.use_it(random, net, entity, &section);
                if let Phase::Holds { waits, .. } = &mut self.phase {
                    *waits = task;
                }
            }
        }
    }

    fn let_go(&mut self, net: &mut Net, held: &[usize]) {
        for entity in held {
            let execution = self.run();
            self.send(net, *entity, Parcel::Unlock { execution });
        }
        self.phase = Phase::Free;
    }

    /// Now and then: ends this execution, whatever it waits for, and begins
    /// another.
    pub(crate) fn give_up(&mut self, random: &mut Random, net: &mut Net) {
        if !random.one_in(4) {
            return;
        }
        let asked = match &self.phase {
            Phase::Free => return,
            Phase::Calls(_) => Vec::new(),
            Phase::Locks { wanted, got, .. } => wanted[..=*got].to_vec(),
            Phase::Holds { held, .. } => held.clone(),
        };
        self.let_go(net, &asked);
        self.execution += 1;
    }

    pub(crate) fn receive(&mut self, post: &Post, parcel: &Parcel, from: &str, net: &mut Net) {
        let last = self.inbox.entry(post.origin.clone()).or_default();
        if post.number <= *last {
            return;
        }
        *last = post.number;
        let run = self.run();
        match (parcel, &mut self.phase) {
            (Parcel::Answer { task, execution, outcome }, phase) if *execution == run => {
                match phase {
                    Phase::Calls(waits) if waits == task => *phase = Phase::Free,
                    Phase::Holds { waits, .. } if *waits == Some(*task) => *waits = None,
                    other => panic!("answer {task} in {other:?}"),
                }
                if let Ok(result) = outcome {
                    assert!(result.as_str().contains(&self.name), "{result:?}");
                }
            }
            (Parcel::Granted { task, execution }, phase) if *execution == run => {
                let Phase::Locks { wanted, got, task: waits } = phase else {
                    panic!("granted {task} in {phase:?}")
                };
                assert_eq!((*waits, id(wanted[*got]).instance_id()), (*task, from.to_owned()));
                *got += 1;
                if let Some(next) = wanted.get(*got).copied() {
                    let (task, execution) = (*task, run);
                    return self.send(net, next, Parcel::Lock { task, execution });
                }
                let held = std::mem::take(wanted);
                self.sections += 1;
                self.phase = Phase::Holds { held, left: 3, waits: None };
            }
            // Of an execution that was given up.
            (Parcel::Answer { .. } | Parcel::Granted { .. }, _) => {}
            (other, _) => panic!("{other:?} is for no orchestration"),
        }
    }
}
