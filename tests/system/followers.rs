//! Many who follow all instances at once, among them some who are slow and
//! some who never read: nobody is harmed by another, and the host keeps no
//! more for them than it says.

use std::hash::{DefaultHasher, Hasher as _};
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::live::ask;
use crate::support::*;

const FOLLOWERS: usize = 500;
/// Of them: those that read nothing until all is over, and those that read a
/// little at a time.
const DEAF: usize = 20;
const SLOW: usize = 20;

/// Chains of steps, each of which is a change: more changes than the host
/// keeps and the buffers of a connection take.
const SAGAS: usize = 360;
const STEPS: usize = 100;

/// How many sagas are begun before those that read all the time have seen the
/// first of them end: fewer changes than the host keeps, so that they miss
/// nothing on a slow machine either.
const AHEAD: usize = 100;

/// How much more memory the host may have after the load than before it. What
/// one follower is sent is about a tenth of it.
const MEMORY: u64 = 128 << 20;

/// One follower, with what it has to remember.
struct Follower {
    input: BufReader<TcpStream>,
    line: String,
    /// The number of the change that came last; nothing before the first.
    last: Option<u64>,
    /// Of all data, in their order.
    digest: DefaultHasher,
    ended: usize,
    resets: usize,
}

/// What a follower was told next.
enum Told {
    Change(String),
    Reset,
    /// It was cut off.
    End,
}

impl Follower {
    /// Follows. When this returns, it misses nothing that happens from now on.
    fn open(server: &Server) -> Self {
        let input = BufReader::new(ask(server, "/api/events", ""));
        let digest = DefaultHasher::new();
        let mut follower =
            Follower { input, line: String::new(), last: None, digest, ended: 0, resets: 0 };
        // The head, and where it begins.
        let mut empty = 0;
        while empty < 2 {
            let line = follower.line().expect("it is not cut off");
            empty += usize::from(line.is_empty());
            if let Some(id) = line.strip_prefix("id: ") {
                follower.last = Some(number(id));
            }
        }
        assert!(follower.last.is_some(), "it is told where it begins");
        follower
    }

    fn line(&mut self) -> Option<String> {
        self.line.clear();
        match self.input.read_line(&mut self.line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(self.line.trim_end().to_owned()),
        }
    }

    /// The next event. Nothing may be missing before it, but before a reset.
    fn next(&mut self) -> Told {
        let (mut id, mut kind, mut data) = (None, String::new(), String::new());
        loop {
            let Some(line) = self.line() else { return Told::End };
            match line.split_once(": ") {
                Some(("id", of)) => id = Some(number(of)),
                Some(("event", of)) => of.clone_into(&mut kind),
                Some(("data", of)) => of.clone_into(&mut data),
                _ if !line.is_empty() => {}
                _ if kind.is_empty() => {
                    // Only a sign of life. It says the place, which is known.
                    assert!(id.is_none_or(|id| Some(id) == self.last), "{id:?} {:?}", self.last);
                }
                _ => break,
            }
        }
        let before = std::mem::replace(&mut self.last, id);
        if kind == "reset" {
            self.resets += 1;
            assert!(self.last > before, "a reset goes on further along");
            return Told::Reset;
        }
        assert_eq!(kind, "change");
        assert_eq!(self.last, before.map(|before| before + 1), "the one after the last: {data}");
        self.digest.write(data.as_bytes());
        self.ended += usize::from(data.contains(r#""ended":true"#));
        Told::Change(data)
    }

    /// The next change of one that reads all the time.
    fn change(&mut self) -> String {
        match self.next() {
            Told::Change(data) => data,
            Told::Reset => panic!("it reads all the time, and has missed something"),
            Told::End => panic!("it reads all the time, and is cut off"),
        }
    }

    /// Reads what there is for one that has come late.
    fn late(mut self, end: Option<u64>) {
        while self.last < end {
            if matches!(self.next(), Told::End) {
                return;
            }
        }
        assert_eq!(self.last, end);
        assert!(self.resets > 0, "it was sent everything: the load is too small");
    }
}

/// The number in the id of an event.
fn number(id: &str) -> u64 {
    id.rsplit('-').next().unwrap().parse().unwrap_or_else(|_| panic!("{id}"))
}

fn memory(client: &Client) -> Option<u64> {
    client.get("/api/overview").body["memoryBytes"].as_u64()
}

fn name(saga: usize) -> String {
    // As long as ids may well be: then a change is some hundreds of bytes.
    format!("followed-by-many-of-whom-some-never-read-and-some-read-slowly-{saga:06}")
}

/// What is told of each saga is what has happened to it, in that order.
fn check(client: &Client, changes: &[Value]) {
    for saga in (0..SAGAS).step_by(90) {
        let id = name(saga);
        let told: Vec<&Value> = changes.iter().filter(|change| change["id"] == *id).collect();
        assert_eq!(told.len(), STEPS + 1, "{id}");
        let kinds = |change: &Value| change["kinds"].as_array().unwrap().clone();
        assert_eq!(kinds(told[0])[0], "Started", "{id}");
        let completed = |change: &&&Value| kinds(change).contains(&json!("TaskCompleted"));
        assert_eq!(told.iter().filter(completed).count(), STEPS, "{id}");
        assert!(told.is_sorted_by_key(|change| change["updated"].as_u64()), "{id}");
        let last = told[STEPS];
        assert_eq!((&last["ended"], &last["runtimeStatus"]), (&json!(true), &json!("Completed")));
        assert_eq!(client.status(&id)["output"].as_array().map(Vec::len), Some(STEPS), "{id}");
    }
}

#[test]
fn slow_and_deaf_followers_harm_nobody() {
    let site = Site::new(&["guest_activities", "guest_orchestrator"]);
    // So that each step is a change.
    site.manifest("[host]\nrun-ahead = false\n");
    let server = site.serve();
    let client = server.client();
    let many = |count: usize| (0..count).map(|_| Follower::open(&server)).collect::<Vec<_>>();
    let (mut slow, deaf) = (many(SLOW), many(DEAF));
    let mut fast = many(FOLLOWERS - SLOW - DEAF);
    let mut first = fast.pop().unwrap();
    client.run("GreetingChain", &json!(["Oslo"]));
    let before = memory(&client);

    let cities: Vec<String> = (0..STEPS).map(|city| city.to_string()).collect();
    let mut changes: Vec<Value> = Vec::new();
    // How many sagas each of the fast ones has seen end.
    let along: Vec<AtomicUsize> = fast.iter().map(|_| AtomicUsize::new(0)).collect();
    let seen = std::thread::scope(|scope| {
        let readers: Vec<_> = fast
            .into_iter()
            .zip(&along)
            .map(|(mut follower, along)| {
                scope.spawn(move || {
                    while follower.ended < 1 + SAGAS {
                        follower.change();
                        along.store(follower.ended, Ordering::Relaxed);
                    }
                    (follower.digest.finish(), follower.last)
                })
            })
            .collect();
        scope.spawn(|| {
            let (client, cities) = (server.client(), json!(cities));
            for saga in 0..SAGAS {
                let seen = |along: &AtomicUsize| along.load(Ordering::Relaxed) + AHEAD >= saga;
                eventually("all come along", || along.iter().all(seen).then_some(()));
                client.start_as("GreetingChain", &name(saga), &cities);
            }
        });
        while first.ended < 1 + SAGAS {
            changes.push(serde_json::from_str(&first.change()).unwrap());
            if changes.len().is_multiple_of(STEPS) {
                for follower in slow.iter_mut().filter(|follower| follower.resets == 0) {
                    follower.next();
                }
            }
        }
        readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
    });
    let whole = (first.digest.finish(), first.last);
    assert!(seen.iter().all(|seen| *seen == whole), "all are told the same");
    let mut ends = changes.iter().filter(|change| change["ended"] == true);
    assert!(ends.all(|change| change["runtimeStatus"] == "Completed"));
    check(&client, &changes);
    if let (Some(before), Some(after)) = (before, memory(&client)) {
        assert!(after < before + MEMORY, "from {before} to {after} bytes");
    }
    for follower in deaf.into_iter().chain(slow) {
        follower.late(first.last);
    }
}
