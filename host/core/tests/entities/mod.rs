//! A world of entities and of orchestrations that use them.

mod saga;

use std::collections::{BTreeMap, VecDeque};

use saga::Saga;
use sagahost_core::*;

pub(crate) fn json(text: &str) -> Json {
    Json::parse(text).unwrap()
}

pub(crate) fn id(entity: usize) -> EntityId {
    EntityId::new("E", format!("k{entity}")).unwrap()
}

/// The seeds to run with: the one from the environment, or `count` new ones.
pub(crate) fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("SAGAHOST_ENTITY_SEED") {
        Ok(seed) => vec![seed.parse().expect("SAGAHOST_ENTITY_SEED is a number")],
        Err(_) => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let first = now.unwrap().as_nanos() as u64;
            (0..count).map(|n| first.wrapping_add(n * 0x9e37_79b9)).collect()
        }
    }
}

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// What is on its way, of each sender to each receiver in order, and whom it
/// was sent by.
#[derive(Default)]
pub(crate) struct Net {
    pub(crate) ways: BTreeMap<(String, String), VecDeque<(Post, Parcel)>>,
    /// Sender and letter that was taken in.
    acks: Vec<(String, Post)>,
}

impl Net {
    pub(crate) fn send(&mut self, from: &str, origin: &str, letter: &Letter) {
        let post = Post { origin: origin.into(), number: letter.number };
        let way = self.ways.entry((from.into(), letter.to.clone())).or_default();
        way.push_back((post, letter.parcel.clone()));
    }
}

/// An entity with its store.
struct Node {
    id: String,
    entity: Option<Entity>,
    chunks: Vec<Vec<u8>>,
    /// The attempt that is out.
    out: Option<OperationAttempt>,
    keys: BTreeMap<u64, String>,
    /// The wishes to lock it, in the order in which they came, and up to which
    /// they were granted.
    wishes: Vec<(String, TaskId)>,
    granted: usize,
    /// The last letter it sent.
    letter: u64,
}

pub(crate) struct World {
    pub(crate) random: Random,
    now: Millis,
    /// When the host began.
    since: Millis,
    nodes: Vec<Node>,
    sagas: Vec<Saga>,
    net: Net,
    calm: bool,
}

impl World {
    pub(crate) fn new(seed: u64, entities: usize, sagas: usize) -> Self {
        let node = |n| Node {
            id: id(n).instance_id(),
            entity: None,
            chunks: Vec::new(),
            out: None,
            keys: BTreeMap::new(),
            wishes: Vec::new(),
            granted: 0,
            letter: 0,
        };
        World {
            random: Random(seed),
            now: 1_000,
            since: 1_000,
            nodes: (0..entities).map(node).collect(),
            sagas: (0..sagas).map(|n| Saga::new(n, entities)).collect(),
            net: Net::default(),
            calm: false,
        }
    }

    pub(crate) fn only_locks(&mut self) {
        self.sagas.iter_mut().for_each(|saga| saga.only_locks = true);
    }

    pub(crate) fn step(&mut self) {
        let node = self.random.below(self.nodes.len());
        match self.random.below(if self.calm { 60 } else { 100 }) {
            0..15 => {
                let saga = self.random.below(self.sagas.len());
                self.sagas[saga].act(&mut self.random, &mut self.net, self.now);
            }
            15..35 => self.deliver(),
            35..45 => self.ack(),
            45..58 => self.end_attempt(node),
            58..60 => self.pass(),
            60..70 => self.deliver(),
            70..78 => self.end_attempt(node),
            78..84 => self.pass(),
            84..88 => self.compact(node),
            88..92 => self.reload(node),
            92..95 => {
                let saga = self.random.below(self.sagas.len());
                self.sagas[saga].send_again(&mut self.net);
            }
            95..98 => {
                self.sagas.iter_mut().for_each(|saga| saga.give_up(&mut self.random, &mut self.net))
            }
            _ => self.crash(),
        }
    }

    /// Lets all go on with nothing in its way, until nothing is left to do.
    pub(crate) fn finish(&mut self) {
        self.crash();
        self.calm = true;
        for _ in 0..40_000 {
            self.step();
            if self.is_quiet() {
                return;
            }
        }
        let states: Vec<_> = self.nodes.iter().map(|node| &node.entity).collect();
        panic!("stuck: {states:#?} {:#?}", self.sagas);
    }

    fn is_quiet(&self) -> bool {
        let idle = |node: &Node| {
            node.entity.as_ref().is_none_or(|entity| {
                let state = entity.state();
                !state.is_busy() && state.queued() == 0 && state.wake_at().is_none()
            })
        };
        self.sagas.iter().all(Saga::is_done)
            && self.nodes.iter().all(idle)
            && self.net.acks.is_empty()
            && self.net.ways.values().all(VecDeque::is_empty)
    }

    /// What is left when all is done: each operation that does not fail was
    /// applied once; those of a sender in its order; those of a critical
    /// section with nothing in between.
    pub(crate) fn check(&self) {
        let mut applied: Vec<String> = Vec::new();
        for node in &self.nodes {
            let Some(entity) = &node.entity else { continue };
            assert_eq!(entity.state().holder(), None);
            let state = tags(entity.state().state());
            let mut last: BTreeMap<&str, u64> = BTreeMap::new();
            let mut sections: Vec<&str> = Vec::new();
            for tag in &state {
                // sender/section/number
                let mut parts = tag.split('/');
                let mut part = || parts.next().unwrap();
                let (sender, section, number) = (part(), part(), part().parse().unwrap());
                // What it put off itself may come in the middle.
                let own = sections
                    .last()
                    .is_some_and(|open| open.starts_with(&format!("lock-{sender}-")));
                if section == "later" && own {
                    continue;
                }
                if section != "later" {
                    let before = last.insert(sender, number).unwrap_or(0);
                    assert!(before < number, "{sender} in {}: {state:?}", node.id);
                }
                if sections.last() != Some(&section) {
                    let again = sections.contains(&section) && section.starts_with("lock");
                    assert!(!again, "{section} was interrupted: {state:?}");
                    sections.push(section);
                }
            }
            applied.extend(state);
        }
        let mut expected: Vec<_> =
            self.sagas.iter().flat_map(|saga| saga.expected.clone()).collect();
        // What entities relay is checked by what relayed it.
        for tag in applied.iter().filter(|tag| tag.contains("/relay")) {
            expected.push(relayed_tag(tag));
        }
        applied.sort();
        expected.sort();
        assert_eq!(applied, expected);
    }

    fn node(&self, id: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == id)
    }

    /// The first letter on some way arrives.
    fn deliver(&mut self) {
        let ways: Vec<_> = self.net.ways.iter().filter(|(_, way)| !way.is_empty()).collect();
        if ways.is_empty() {
            return;
        }
        let way = ways[self.random.below(ways.len())].0.clone();
        let mut letters = Vec::new();
        for _ in 0..=self.random.below(3) {
            letters.extend(self.net.ways.get_mut(&way).and_then(VecDeque::pop_front));
        }
        let (from, to) = way;
        if let Some(saga) = self.sagas.iter_mut().find(|saga| saga.name == to) {
            for (post, parcel) in letters {
                saga.receive(&post, &parcel, &from, &mut self.net);
                self.net.acks.push((from.clone(), post));
            }
            return;
        }
        let node = self.node(&to).unwrap();
        let command = |(post, parcel)| {
            assert!(Entity::takes(&parcel));
            EntityCommand::Receive { post: Some(post), from: from.clone(), parcel }
        };
        let commands = letters.iter().cloned().map(command).collect();
        self.turn(node, commands);
        self.net.acks.extend(letters.into_iter().map(|(post, _)| (from.clone(), post)));
    }

    fn ack(&mut self) {
        if self.net.acks.is_empty() {
            return;
        }
        let which = self.random.below(self.net.acks.len());
        let (sender, post) = self.net.acks.swap_remove(which);
        match self.node(&sender) {
            Some(node) => {
                let problem = None;
                self.turn(node, vec![EntityCommand::Delivered { letter: post.number, problem }]);
            }
            None => {
                let saga = self.sagas.iter_mut().find(|saga| saga.name == sender).unwrap();
                saga.outbox.remove(&post.number);
            }
        }
    }

    fn end_attempt(&mut self, node: usize) {
        let Some(out) = self.nodes[node].out.clone() else { return };
        let input: String = serde_json::from_str(out.input.as_str()).unwrap();
        let mut state = tags(out.state.as_ref());
        let outcome = match out.operation.as_str() {
            "fail" => {
                let failure = Failure::host(FailureKind::Returned, "asked to");
                Err(Failure { retryable: false, ..failure })
            }
            "flaky" if out.attempt < 3 && self.random.one_in(2) => {
                Err(Failure::host(FailureKind::Trap, "trapped"))
            }
            operation => {
                state.push(input.clone());
                let entity = id((node + 1) % self.nodes.len());
                let relay = Sending::Signal {
                    entity,
                    operation: "add".into(),
                    input: Json::of(&relayed_tag(&input)).unwrap(),
                    at: None,
                };
                let sends = if operation == "relay" { vec![relay] } else { Vec::new() };
                let state = Some(Json::of(&state).unwrap());
                Ok(OperationResult { result: out.input.clone(), state, sends })
            }
        };
        let retry =
            RetryPolicy { max_attempts: 0, first_interval_ms: 20, ..RetryPolicy::default() };
        let ended = EntityCommand::OperationEnded {
            number: out.number,
            attempt: out.attempt,
            started_at: self.now,
            outcome,
            retry,
            logs: Logs::default(),
        };
        self.turn(node, vec![ended]);
    }

    fn pass(&mut self) {
        self.now += self.random.below(40) as u64;
        for node in 0..self.nodes.len() {
            let woken = self.nodes[node].entity.as_ref().and_then(Entity::wake_at);
            if woken.is_some_and(|at| at <= self.now) {
                self.turn(node, vec![EntityCommand::Tick]);
            }
        }
    }

    fn compact(&mut self, node: usize) {
        // Senders that have nothing on its way to it need not be known.
        let to = &self.nodes[node].id;
        let waits = |saga: &Saga| saga.outbox.values().any(|letter| letter.to == *to);
        let letters =
            self.net.ways.iter().any(|((_, way), letters)| way == to && !letters.is_empty());
        let nobody_sends = !letters
            && !self.sagas.iter().any(waits)
            && self
                .nodes
                .iter()
                .all(|node| node.entity.as_ref().is_none_or(|entity| !entity.state().is_busy()));
        let forget_before = if nobody_sends { self.now } else { 0 };
        if let Some(entity) = &mut self.nodes[node].entity {
            entity.at(self.now);
            entity.compact(forget_before);
            self.commit(node);
        }
    }

    /// It leaves memory and comes back.
    fn reload(&mut self, node: usize) {
        let found = &mut self.nodes[node];
        found.entity = None;
        if !found.chunks.is_empty() {
            self.turn(node, Vec::new());
        }
    }

    /// The host ends, and with it all that is nowhere stored; another begins.
    fn crash(&mut self) {
        self.net = Net::default();
        self.now += self.random.below(30) as u64;
        self.since = self.now;
        for node in 0..self.nodes.len() {
            self.nodes[node].out = None;
            self.reload(node);
        }
        self.sagas.iter_mut().for_each(|saga| saga.send_again(&mut self.net));
    }

    fn turn(&mut self, node: usize, commands: Vec<EntityCommand>) {
        loop {
            let found = &mut self.nodes[node];
            let mut entity = match found.entity.take() {
                Some(entity) => entity,
                None if found.chunks.is_empty() => {
                    Entity::create(self.now, &id(node), &format!("{node:032x}"))
                }
                None => {
                    let mut entity = Entity::load(&found.chunks).unwrap();
                    entity.at(self.now);
                    let alive = found.out.as_ref().map(|out| (out.number, out.attempt));
                    entity.handle(EntityCommand::HostLost { alive, since: self.since });
                    entity
                }
            };
            entity.at(self.now);
            entity.handle(EntityCommand::Tick);
            commands.iter().for_each(|command| entity.handle(command.clone()));
            let fails = !self.calm && self.random.one_in(40);
            if !fails {
                self.nodes[node].entity = Some(entity);
                return self.commit(node);
            }
        }
    }

    fn commit(&mut self, node: usize) {
        let found = &mut self.nodes[node];
        let entity = found.entity.as_mut().unwrap();
        let EntityTurn { records, fresh, attempt, letters } = entity.end_turn();
        if fresh.is_some() {
            found.chunks.clear();
        }
        let kept = &records[fresh.unwrap_or(0)..];
        if !kept.is_empty() {
            found.chunks.push(encode_entity_chunk(kept).unwrap());
            let loaded = Entity::load(&found.chunks).unwrap();
            assert_eq!(loaded.state(), entity.state(), "the journal tells all of it");
        }
        for EntityRecord(_, event) in &records {
            match event {
                EntityEvent::Received { parcel: Parcel::Lock { task, execution }, .. } => {
                    found.wishes.push((execution.clone(), *task));
                }
                EntityEvent::OperationDone { .. }
                | EntityEvent::OperationFailed { .. }
                | EntityEvent::AttemptLost { .. } => found.out = None,
                _ => {}
            }
        }
        for letter in &letters {
            if let Parcel::Granted { task, execution } = &letter.parcel
                && letter.number > found.letter
            {
                let wish = (execution.clone(), *task);
                let place = found.wishes.iter().position(|known| *known == wish).unwrap();
                assert!(place >= found.granted, "{wish:?} came before one that was served");
                found.granted = place + 1;
            }
            found.letter = found.letter.max(letter.number);
            self.net.send(&found.id, entity.state().origin(), letter);
        }
        let Some(attempt) = attempt else { return };
        assert_eq!(found.out, None, "two operations at the same time");
        assert_eq!(attempt.state.as_ref(), entity.state().state());
        let key = found.keys.entry(attempt.number).or_insert_with(|| attempt.key.clone());
        assert_eq!(*key, attempt.key);
        if let Some(holder) = entity.state().holder() {
            let input: String = serde_json::from_str(attempt.input.as_str()).unwrap();
            assert!(input.starts_with(&format!("{holder}/")), "{holder} has it, {input} runs");
        }
        found.out = Some(attempt);
    }
}

/// What an entity's operation with this tag signals to another entity: the
/// sender is the one that relays.
fn relayed_tag(tag: &str) -> String {
    let mut parts = tag.split('/');
    let (sender, number) = (parts.next().unwrap(), parts.next_back().unwrap());
    format!("@{sender}/via/{number}")
}

fn tags(state: Option<&Json>) -> Vec<String> {
    state.map(|state| serde_json::from_str(state.as_str()).unwrap()).unwrap_or_default()
}
