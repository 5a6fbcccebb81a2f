use std::collections::{HashMap, HashSet};

use super::*;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const FREE: Limits = Limits { concurrency: None, interval: None };

fn at_most(concurrency: usize) -> Limits {
    Limits { concurrency: Some(concurrency), interval: None }
}

fn every(interval: Duration) -> Limits {
    Limits { concurrency: None, interval: Some(interval) }
}

/// A queue of tokens; counts them.
struct Bed {
    fair: Fair<u64>,
    token: u64,
    now: Duration,
}

impl Bed {
    fn new(places: usize) -> Self {
        Bed { fair: Fair::new(places), token: 0, now: Duration::ZERO }
    }

    /// The token, and whether it began at once.
    fn ask(
        &mut self,
        function: &str,
        limits: Limits,
        instance: &str,
        is_undo: bool,
    ) -> (u64, bool) {
        self.token += 1;
        let asker = Asker {
            token: self.token,
            instance: instance.into(),
            code: instance.split('-').next().unwrap_or(instance).into(),
            is_undo,
        };
        let begun = self.fair.ask(function, || limits, || asker, self.now, self.token);
        (self.token, begun.is_some())
    }

    fn step(&mut self, function: &str, limits: Limits, instance: &str) -> (u64, bool) {
        self.ask(function, limits, instance, false)
    }

    fn next(&mut self) -> Option<u64> {
        self.fair.next(self.now).map(|(_, token)| token)
    }

    /// One of this function ends; who begins for it.
    fn end(&mut self, function: &str) -> Vec<u64> {
        self.fair.leave(&function.into(), self.now);
        std::iter::from_fn(|| self.next()).collect()
    }
}

#[test]
fn who_finds_room_begins_at_once_and_nobody_passes_those_that_wait() {
    let mut bed = Bed::new(2);
    assert!(bed.step("F", FREE, "a").1);
    assert!(bed.step("F", FREE, "a").1);
    let (third, begun) = bed.step("F", FREE, "a");
    assert!(!begun);
    assert_eq!(bed.next(), None);
    assert_eq!(bed.end("F"), [third]);
    assert!(bed.end("F").is_empty());
    assert!(bed.step("F", FREE, "a").1);
}

#[test]
fn ten_thousand_steps_of_one_saga_are_before_nobody_else_for_long() {
    let mut bed = Bed::new(1);
    for _ in 0..10_000 {
        bed.step("F", FREE, "big");
    }
    bed.end("F");
    let (small, _) = bed.step("F", FREE, "small");
    let (other, _) = bed.step("G", FREE, "other");
    let (again, _) = bed.step("F", FREE, "small");
    let next: Vec<u64> = (0..6).flat_map(|_| bed.end("F")).collect();
    // `G` begins as `F` does, and in `F` small is next to big.
    let place = |token| next.iter().position(|it| *it == token).expect("it has begun");
    assert!(place(other) <= 1, "{next:?}");
    assert!(place(small) <= 3, "{next:?}");
    assert!(place(again) <= 5, "{next:?}");
    assert_eq!(bed.fair.waiting(), 10_000 - 2 + 3 - 6);
}

#[test]
fn a_function_at_its_limit_takes_no_place_from_others() {
    let mut bed = Bed::new(3);
    let (one, two, three) = (
        bed.step("Slow", at_most(1), "a"),
        bed.step("Slow", at_most(1), "b"),
        bed.step("Slow", at_most(1), "c"),
    );
    assert_eq!((one.1, two.1, three.1), (true, false, false));
    assert!(bed.step("F", FREE, "a").1);
    assert!(bed.step("F", FREE, "a").1);
    let (waits, _) = bed.step("F", FREE, "a");
    assert_eq!(bed.end("F"), [waits]);
    assert_eq!(bed.end("Slow"), [two.0]);
    assert_eq!(bed.end("Slow"), [three.0]);
}

#[test]
fn undos_go_first_and_count_for_the_limit() {
    let mut bed = Bed::new(2);
    bed.step("F", at_most(1), "a");
    let (step, _) = bed.step("F", at_most(1), "b");
    let (undo, begun) = bed.ask("F", at_most(1), "c", true);
    assert!(!begun);
    assert_eq!(bed.end("F"), [undo]);
    assert_eq!(bed.end("F"), [step]);
    // Of all functions.
    let mut bed = Bed::new(1);
    bed.step("F", FREE, "a");
    let (step, _) = bed.step("F", FREE, "a");
    let (undo, _) = bed.ask("G", FREE, "b", true);
    assert_eq!(bed.end("F"), [undo]);
    assert_eq!(bed.end("G"), [step]);
}

#[test]
fn a_rate_spaces_what_begins_and_makes_up_for_late_wake_ups() {
    let mut bed = Bed::new(100);
    let limits = every(ms(10));
    assert!(bed.step("F", limits, "a").1);
    for _ in 0..10 {
        assert!(!bed.step("F", limits, "a").1);
    }
    // Another function does not wait for it.
    assert!(bed.step("G", FREE, "a").1);
    assert_eq!(bed.next(), None);
    assert_eq!(bed.fair.wakes(), Some(ms(10)));
    bed.now = ms(9);
    assert_eq!(bed.next(), None);
    bed.now = ms(10);
    assert!(bed.next().is_some());
    assert_eq!(bed.next(), None);
    // 13 ms late: the one that should have begun, and the one after it.
    bed.now = ms(33);
    assert!(bed.next().is_some() && bed.next().is_some());
    assert_eq!((bed.next(), bed.fair.wakes()), (None, Some(ms(40))));
    // Very late: not more than a few at once.
    bed.now = ms(1000);
    let begun = std::iter::from_fn(|| bed.next()).count();
    assert!((2..=3).contains(&begun), "{begun}");
    // And who comes after a pause has nothing saved up.
    while bed.fair.waiting() > 0 {
        bed.now += ms(10);
        while bed.next().is_some() {}
    }
    bed.now += ms(1000);
    assert!(bed.step("F", limits, "a").1);
    assert!(!bed.step("F", limits, "a").1);
}

#[test]
fn in_an_hour_begin_as_many_as_the_rate_says() {
    let mut bed = Bed::new(8);
    let limits = every(ms(3_600_000 / 50));
    let mut begun = 0;
    for number in 0..200 {
        begun += usize::from(bed.step("F", limits, &format!("i-{number}")).1);
    }
    while bed.now < Duration::from_secs(3600) {
        while bed.next().is_some() {
            begun += 1;
        }
        for _ in 0..8 {
            bed.fair.leave(&"F".into(), bed.now);
        }
        bed.now += ms(700);
    }
    assert!((49..=51).contains(&begun), "{begun}");
}

#[test]
fn other_limits_hold_for_those_that_wait() {
    let mut bed = Bed::new(10);
    let slow = Limits { concurrency: Some(1), interval: Some(Duration::from_secs(3600)) };
    for _ in 0..4 {
        bed.step("F", slow, "a");
    }
    assert_eq!(bed.next(), None);
    bed.fair.set_limits(|_| at_most(3), bed.now);
    assert_eq!(std::iter::from_fn(|| bed.next()).count(), 2);
    assert_eq!(bed.fair.wakes(), None);
    bed.fair.set_limits(|_| at_most(1), bed.now);
    assert!(bed.end("F").is_empty());
    assert!(bed.end("F").is_empty());
    assert_eq!(bed.end("F").len(), 1);
}

#[test]
fn who_is_taken_out_does_not_begin() {
    let mut bed = Bed::new(1);
    bed.step("F", FREE, "a");
    let (gone, _) = bed.step("F", FREE, "a");
    let (stays, _) = bed.step("F", FREE, "b");
    assert_eq!(bed.fair.remove(gone), Some(gone));
    assert_eq!(bed.fair.remove(gone), None);
    assert_eq!(bed.end("F"), [stays]);
    assert_eq!(bed.fair.remove(stays), None);
    bed.step("F", FREE, "a");
    bed.step("G", FREE, "a");
    assert_eq!(bed.fair.clear().len(), 2);
    assert!(bed.end("F").is_empty());
}

#[test]
fn a_delay_is_that_of_sagas_and_not_of_a_long_list_of_one() {
    let mut bed = Bed::new(1);
    let bound = ms(100);
    bed.step("F", FREE, "big-1");
    for _ in 0..1000 {
        bed.step("F", FREE, "big-1");
    }
    // One a millisecond: the list takes a second, but whoever comes is next.
    for _ in 0..500 {
        bed.now += ms(1);
        bed.end("F");
        if bed.now.as_millis().is_multiple_of(20) {
            bed.step("F", FREE, &format!("small-{}", bed.now.as_millis()));
        }
        assert_eq!(bed.fair.delays(|_| true, bound, bed.now), None);
    }
    // Where nothing ends any more, it is told of those that wait.
    bed.step("F", FREE, "small-last");
    bed.now += ms(400);
    let of = |code: &'static str| move |it: &str| it == code;
    let found = bed.fair.delays(of("small"), bound, bed.now);
    assert_eq!(found.map(|(function, _)| function.to_string()).as_deref(), Some("F"));
    assert_eq!(bed.fair.delays(of("other"), bound, bed.now), None);
}

#[test]
fn made_up_names_are_not_kept() {
    let mut bed = Bed::new(4);
    for number in 0..10 * REMEMBERED {
        let name = format!("made-up-{number}");
        assert!(bed.step(&name, FREE, "a").1);
        bed.end(&name);
    }
    assert!(bed.fair.functions.len() <= REMEMBERED + 1);
}

/// A small generator of numbers that are always the same for a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// Whatever happens: no limit is passed, no place stays free that somebody
/// could have, each that asked begins once unless it was taken out, and between
/// two of an instance each other one of the function has its turn.
#[test]
fn any_story_keeps_the_limits_and_leaves_nobody_out() {
    for seed in 1..=300 {
        println!("seed {seed}");
        story(&mut Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed)));
    }
}

fn story(random: &mut Random) {
    let places = 1 + random.below(6) as usize;
    let mut bed = Bed::new(places);
    let limits: Vec<Limits> = (0..4)
        .map(|_| Limits {
            concurrency: (random.below(2) == 0).then(|| 1 + random.below(3) as usize),
            interval: (random.below(4) == 0).then(|| ms(1 + random.below(30))),
        })
        .collect();
    let names = ["F0", "F1", "F2", "F3"];
    let mut of: HashMap<u64, usize> = HashMap::new();
    let mut running: Vec<(u64, usize)> = Vec::new();
    let (mut waiting, mut done) = (HashSet::new(), HashSet::new());
    let mut begins: Vec<Vec<Duration>> = vec![Vec::new(); 4];
    for _ in 0..400 {
        let mut begun = Vec::new();
        match random.below(8) {
            0..=3 => {
                let function = random.below(4) as usize;
                let instance = format!("i{}", random.below(5));
                let is_undo = random.below(6) == 0;
                let (token, at_once) =
                    bed.ask(names[function], limits[function], &instance, is_undo);
                of.insert(token, function);
                if at_once {
                    begun.push(token);
                } else {
                    waiting.insert(token);
                }
            }
            4 | 5 if !running.is_empty() => {
                let (_, function) =
                    running.swap_remove(random.below(running.len() as u64) as usize);
                bed.fair.leave(&names[function].into(), bed.now);
            }
            6 => {
                let token = waiting.iter().min().copied();
                if let Some(token) = token {
                    assert_eq!(bed.fair.remove(token), Some(token));
                    waiting.remove(&token);
                }
            }
            _ => bed.now += ms(random.below(20)),
        }
        while let Some(token) = bed.next() {
            assert!(waiting.remove(&token), "{token} did not wait");
            begun.push(token);
        }
        for token in begun {
            assert!(done.insert(token), "{token} begins twice");
            running.push((token, of[&token]));
            begins[of[&token]].push(bed.now);
        }
        assert!(running.len() <= places);
        assert_eq!(bed.fair.waiting(), waiting.len());
        for (function, limits) in limits.iter().enumerate() {
            let runs = running.iter().filter(|(_, it)| *it == function).count();
            let most = limits.concurrency.unwrap_or(usize::MAX);
            assert!(runs <= most);
            // A place is free only where nobody may have it.
            let waits = waiting.iter().any(|token| of[token] == function);
            let sleeps = limits.interval.is_some() && bed.fair.wakes().is_some();
            assert!(!waits || running.len() == places || runs == most || sleeps);
        }
    }
    for (function, begins) in begins.iter().enumerate() {
        if let (Some(interval), Some(first), Some(last)) =
            (limits[function].interval, begins.first(), begins.last())
        {
            let most = 2 + ((*last - *first) + SLACK).as_nanos() / interval.as_nanos();
            assert!(begins.len() as u128 <= most, "{} of {most}", begins.len());
        }
    }
    // In the end all have had their turn.
    let mut rounds = 0;
    while !waiting.is_empty() {
        bed.now += ms(30);
        for (_, function) in std::mem::take(&mut running) {
            bed.fair.leave(&names[function].into(), bed.now);
        }
        while let Some(token) = bed.next() {
            assert!(waiting.remove(&token));
            running.push((token, of[&token]));
        }
        rounds += 1;
        assert!(rounds < 10_000, "{waiting:?} never begin");
    }
}
