//! Letters between orchestrations arrive once and in order, whatever is lost,
//! and whoever continues as new.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sagahost_core::*;

fn json(text: &str) -> Json {
    Json::parse(text).expect("JSON")
}

fn started(execution: &str) -> Started {
    Started {
        name: "Saga".into(),
        input: json("1"),
        execution: execution.into(),
        digest: "digest".into(),
        ..Started::default()
    }
}

/// One orchestration, which sends numbers to others.
struct Machine {
    id: String,
    live: Orchestration,
    chunks: Vec<Vec<u8>>,
    /// What its code asked for in this execution.
    asked: Vec<Request>,
    /// Which numbers it sent, and to whom; and which it got, and from whom.
    sent: BTreeMap<usize, Vec<u32>>,
    got: BTreeMap<usize, Vec<u32>>,
}

/// What is on its way.
#[derive(Clone, Debug)]
enum Flight {
    Letter(Letter, String),
    Ack(Post),
}

struct World {
    machines: Vec<Machine>,
    /// From, to, what.
    flights: Vec<(usize, usize, Flight)>,
    next: u32,
}

impl World {
    fn new(count: usize) -> Self {
        let machine = |n| {
            let mut live = Orchestration::start(1, started(&format!("{n:032x}")));
            live.parked().expect("nothing is replayed");
            let chunk = encode_chunk(&live.end_turn().records).expect("events are JSON");
            let (sent, got) = Default::default();
            let asked = Vec::new();
            Machine { id: format!("m{n}"), live, chunks: vec![chunk], asked, sent, got }
        };
        World { machines: (0..count).map(machine).collect(), flights: Vec::new(), next: 0 }
    }

    /// A turn of a machine. What it did is lost where it is not `stored`.
    fn turn(&mut self, who: usize, stored: bool, work: impl FnOnce(&mut Orchestration)) {
        let machine = &mut self.machines[who];
        work(&mut machine.live);
        let turn = machine.live.end_turn();
        if !stored {
            return self.reload(who);
        }
        if turn.fresh.is_some() {
            machine.chunks.clear();
        }
        for Record(_, event) in &turn.records {
            if let Event::EventRaised { name, input, .. } = event {
                let sender = name[1..].parse().expect("the name says who sent it");
                let number = input.as_str().parse().expect("a number");
                machine.got.entry(sender).or_default().push(number);
            }
        }
        let records = &turn.records[turn.fresh.unwrap_or(0)..];
        machine.chunks.push(encode_chunk(records).expect("events are JSON"));
        self.fly(who, turn.letters);
    }

    fn fly(&mut self, who: usize, letters: Vec<Letter>) {
        let origin = self.machines[who].live.instance().origin().to_owned();
        for letter in letters {
            let to = self.machines.iter().position(|machine| machine.id == letter.to);
            let to = to.expect("there are no others");
            self.flights.push((who, to, Flight::Letter(letter, origin.clone())));
        }
    }

    /// A machine leaves memory, and comes back from its journal.
    fn reload(&mut self, who: usize) {
        let machine = &mut self.machines[who];
        let mut live = Orchestration::load(&machine.chunks).expect("a whole journal");
        for request in &machine.asked {
            live.request(request.clone()).expect("it asks for the same");
        }
        live.parked().expect("it asked for all");
        live.handle(Command::HostLost { alive: Vec::new(), since: 0 }).expect("never rejected");
        machine.live = live;
        let letters = machine.live.end_turn().letters;
        self.fly(who, letters);
    }

    fn send(&mut self, who: usize, to: usize) {
        self.next += 1;
        let input = json(&self.next.to_string());
        let receiver = self.machines[to].id.clone();
        let parcel = Parcel::Event { name: format!("m{who}"), input };
        let request = Request::Send { to: receiver, parcel };
        self.machines[who].asked.push(request.clone());
        self.machines[who].sent.entry(to).or_default().push(self.next);
        self.turn(who, true, |live| {
            live.request(request).expect("nothing is replayed");
        });
    }

    /// Something arrives: the first of those that are on the same way.
    fn arrive(&mut self, which: usize, stored: bool) {
        let Some((from, to, _)) = self.flights.get(which % self.flights.len().max(1)) else {
            return;
        };
        let way = (*from, *to);
        let first = self.flights.iter().position(|(from, to, _)| (*from, *to) == way);
        let (from, to, flight) = self.flights.remove(first.expect("at least this one"));
        let again = flight.clone();
        match flight {
            Flight::Letter(Letter { number, parcel, .. }, origin) => {
                let post = Post { origin, number };
                let sender = self.machines[from].id.clone();
                let command = Command::Letter { post: post.clone(), from: sender, parcel };
                self.turn(to, stored, |live| live.handle(command).expect("it has not ended"));
                if stored {
                    self.flights.push((to, from, Flight::Ack(post)));
                } else {
                    // The host makes the turn again, before all that follows.
                    self.flights.insert(0, (from, to, again));
                }
            }
            Flight::Ack(post) => {
                let command = Command::Delivered { post, problem: None };
                self.turn(to, stored, |live| live.handle(command).expect("never rejected"));
            }
        }
    }

    fn begin_anew(&mut self, who: usize) {
        self.machines[who].asked.clear();
        self.turn(who, true, |live| {
            live.continue_as_new(json("2"), true);
            live.returned(Ok(Json::null())).expect("nothing is replayed");
            live.begin_anew("digest".into(), 0);
            live.parked().expect("nothing is replayed");
        });
    }

    /// The host ends, and starts again.
    fn crash(&mut self) {
        self.flights.clear();
        for who in 0..self.machines.len() {
            self.reload(who);
        }
    }
}

#[derive(Clone, Debug)]
enum Happening {
    Send(usize, usize),
    Arrive(usize),
    ArriveUnstored(usize),
    Evict(usize),
    Crash,
    BeginAnew(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => (0usize..3, 0usize..3).prop_map(|(from, to)| Happening::Send(from, to)),
        8 => (0usize..20).prop_map(Happening::Arrive),
        1 => (0usize..20).prop_map(Happening::ArriveUnstored),
        2 => (0usize..3).prop_map(Happening::Evict),
        1 => Just(Happening::Crash),
        2 => (0usize..3).prop_map(Happening::BeginAnew),
    ]
}

proptest! {
    #[test]
    fn what_is_sent_arrives_once_and_in_order(
        happenings in prop::collection::vec(happening(), 1..80)
    ) {
        let mut world = World::new(3);
        for happening in happenings {
            match happening {
                Happening::Send(from, to) => world.send(from, to),
                Happening::Arrive(which) => world.arrive(which, true),
                Happening::ArriveUnstored(which) => world.arrive(which, false),
                Happening::Evict(who) => world.reload(who),
                Happening::Crash => world.crash(),
                Happening::BeginAnew(who) => world.begin_anew(who),
            }
        }
        let mut steps = 0;
        while !world.flights.is_empty() {
            world.arrive(0, true);
            steps += 1;
            prop_assert!(steps < 100_000, "letters fly for ever");
        }
        for (to, machine) in world.machines.iter().enumerate() {
            prop_assert!(!machine.live.instance().has_mail());
            for (from, sender) in world.machines.iter().enumerate() {
                prop_assert_eq!(machine.got.get(&from), sender.sent.get(&to));
            }
            let loaded = Orchestration::load(&machine.chunks).expect("a whole journal");
            prop_assert_eq!(loaded.instance(), machine.live.instance());
        }
    }
}
