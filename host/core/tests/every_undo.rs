//! Undo, in every order in which things can happen to sagas of up to four
//! steps: each attempt ends in each way, the host crashes, undos fail and are
//! mended, and somebody wants an end, at each point. What has to hold in each
//! state and at each end is in `support/check.rs`, and what is compared with
//! the core in `support/model.rs`.

mod support;

use sagahost_core::{ScopeId, UndoWhen};
use support::explore::{Outside, Saga, Seen, explore};
use support::{Op, Step, step};

const EVERYBODY: [Outside; 5] = [
    Outside::Cancel,
    Outside::TerminateAndUndo,
    Outside::Terminate,
    Outside::HandOver,
    Outside::Deadline,
];

fn explore_all(name: &str, sagas: Vec<Saga>, (states, ends): (usize, usize)) {
    let begun = std::time::Instant::now();
    let mut seen = Seen::default();
    for saga in sagas {
        seen.add(explore(&saga));
    }
    println!(
        "{name}: {} sagas, {} states, {} steps between them, {} ends in {:?}: {:?}",
        seen.sagas,
        seen.states,
        seen.steps,
        seen.ended(),
        begun.elapsed(),
        seen.ends
    );
    assert!(seen.states >= states && seen.ended() >= ends, "too little was seen of {name}");
}

fn steps(n: u8) -> Vec<Step> {
    (0..n).map(step).collect()
}

/// One after the other; a failure is the end.
fn in_sequence(steps: &[Step]) -> Vec<Op> {
    let each = steps.iter().enumerate();
    each.flat_map(|(task, step)| [step.clone().op(), Op::Try(task as u32)]).collect()
}

/// All at the same time; the first failure is the end.
fn at_once(steps: &[Step]) -> Vec<Op> {
    let asked = steps.iter().cloned().map(Step::op);
    asked.chain(steps.iter().map(|_| Op::TryAny)).collect()
}

/// The same steps without a pivot, and with each of them as the pivot.
fn with_pivots(steps: &[Step]) -> Vec<Vec<Step>> {
    let mut all = vec![steps.to_vec()];
    for place in 0..steps.len() {
        let mut with = steps.to_vec();
        with[place].pivot = true;
        all.push(with);
    }
    all
}

fn then(mut script: Vec<Op>, last: Op) -> Vec<Op> {
    script.push(last);
    script
}

/// The first of these scripts' operations only, and then an end, at each
/// place.
fn cut_anywhere(script: &[Op]) -> Vec<Vec<Op>> {
    let ends = [Op::Return, Op::Fail, Op::Trap];
    let cuts = (0..=script.len())
        .flat_map(|at| ends.iter().map(move |end| then(script[..at].to_vec(), end.clone())));
    cuts.collect()
}

#[test]
fn steps_in_sequence() {
    let mut sagas = Vec::new();
    for n in 1..=4 {
        for (place, steps) in with_pivots(&steps(n)).into_iter().enumerate() {
            for last in [Op::Return, Op::Fail] {
                let all = Saga::new(then(in_sequence(&steps), last));
                let few = Saga { crashes: 0, undo_failures: 0, ..all.clone() };
                sagas.push(if n > 2 && place > 0 { few } else { all });
            }
        }
    }
    for steps in with_pivots(&steps(2)) {
        for who in EVERYBODY {
            for last in [Op::Return, Op::Fail] {
                let script = then(in_sequence(&steps), last);
                sagas.push(Saga { outside: vec![who], ..Saga::new(script) });
            }
        }
    }
    explore_all("steps in sequence", sagas, (60_000, 17_000));
}

#[test]
fn steps_at_once() {
    let mut sagas = Vec::new();
    for n in 1..=3 {
        for (place, steps) in with_pivots(&steps(n)).into_iter().enumerate() {
            let all = Saga::new(at_once(&steps));
            let few = Saga { crashes: 0, undo_failures: 0, ..all.clone() };
            sagas.push(if n > 2 && place > 0 { few } else { all });
        }
    }
    for steps in with_pivots(&steps(2)) {
        for who in EVERYBODY {
            sagas.push(Saga { outside: vec![who], ..Saga::new(at_once(&steps)) });
        }
    }
    explore_all("steps at once", sagas, (45_000, 15_000));
}

#[test]
fn four_steps_at_once() {
    let mut sagas = Vec::new();
    for parallel in [false, true] {
        let first = parallel.then_some(Op::Parallel(0));
        let script: Vec<Op> = first.into_iter().chain(at_once(&steps(4))).collect();
        let undo_failures = u8::from(!parallel);
        sagas.push(Saga { crashes: 0, undo_failures, ..Saga::new(script) });
    }
    for place in [0, 2] {
        let steps = with_pivots(&steps(4)).swap_remove(place + 1);
        let (crashes, undo_failures, failing) = (0, 0, 0);
        sagas.push(Saga { crashes, undo_failures, failing, ..Saga::new(at_once(&steps)) });
    }
    explore_all("four steps at once", sagas, (20_000, 5_000));
}

/// Scopes, each by its parent, and the scope of each step.
const SHAPES: [(&[ScopeId], &[ScopeId]); 7] = [
    (&[], &[0, 0, 0]),
    (&[0], &[0, 1, 1, 0]),
    (&[0], &[1, 0, 1, 0]),
    (&[0, 0], &[1, 2, 1, 2]),
    (&[0, 1], &[0, 1, 2, 2]),
    (&[0, 1], &[2, 1, 2, 0]),
    (&[0, 0, 2], &[3, 1, 2, 3]),
];

fn scoped(shape: usize) -> (Vec<Op>, Vec<Step>) {
    let (parents, scopes) = SHAPES[shape];
    let open = parents.iter().map(|parent| Op::Open(*parent)).collect();
    let steps = scopes.iter().enumerate().map(|(n, scope)| step(n as u8).of(*scope)).collect();
    (open, steps)
}

/// Each way to let scopes be undone in parallel.
fn parallel_scopes(scopes: usize) -> impl Iterator<Item = Vec<Op>> {
    let sets = 0..1u32 << (scopes + 1);
    sets.map(move |set| {
        let chosen = (0..=scopes as u32).filter(|scope| set & (1 << scope) != 0);
        chosen.map(Op::Parallel).collect()
    })
}

#[test]
fn scopes_in_each_shape_and_order() {
    let mut sagas = Vec::new();
    for shape in 0..SHAPES.len() {
        let (open, steps) = scoped(shape);
        for parallel in parallel_scopes(open.len()) {
            let undo_failures = u8::from(parallel.len() == 1);
            let script = [open.clone(), parallel, in_sequence(&steps), vec![Op::Fail]].concat();
            sagas.push(Saga { crashes: 0, failing: 0, undo_failures, ..Saga::new(script) });
        }
    }
    explore_all("scopes", sagas, (15_000, 2_900));
}

#[test]
fn the_code_ends_anywhere() {
    let mut scripts = Vec::new();
    for steps in with_pivots(&steps(2)) {
        scripts.extend(cut_anywhere(&in_sequence(&steps)));
        scripts.extend(cut_anywhere(&at_once(&steps)));
    }
    scripts.extend(cut_anywhere(&at_once(&steps(3))));
    scripts.extend(cut_anywhere(&[Op::Open(0), step(0).of(1).op(), Op::Compensate(1)]));
    let few = |script| Saga { crashes: 0, ..Saga::new(script) };
    explore_all("the code ends anywhere", scripts.into_iter().map(few).collect(), (43_000, 13_000));
}

#[test]
fn each_choice_of_when() {
    use UndoWhen::{Always, Completed, CompletedOrUnknown};
    let choices = [None, Some(CompletedOrUnknown), Some(Always), Some(Completed)];
    let mut sagas = Vec::new();
    for first in choices {
        for second in choices {
            let steps = [Step { undo: first, ..step(0) }, Step { undo: second, ..step(1) }];
            for script in [in_sequence(&steps), at_once(&steps)] {
                sagas.push(Saga::new(then(script, Op::Fail)));
            }
        }
    }
    explore_all("each choice of when", sagas, (31_000, 12_500));
}

#[test]
fn steps_and_undos_are_retried() {
    let mut sagas = Vec::new();
    for n in 1..=2 {
        for steps in with_pivots(&steps(n)) {
            for script in [in_sequence(&steps), at_once(&steps)] {
                // Once is tried in each combination, two steps with less.
                let undo_failures = 3 - n;
                let crashes = 2 - n;
                let retried =
                    Saga { attempts: 2, undo_attempts: 2, failing: 2, ..Saga::new(script) };
                for outside in [Outside::Cancel, Outside::Deadline] {
                    let outside = vec![outside];
                    sagas.push(Saga { outside, undo_failures, crashes, ..retried.clone() });
                }
            }
        }
    }
    explore_all("retries", sagas, (20_000, 8_000));
}

#[test]
fn parts_are_undone_and_the_code_goes_on() {
    use Op::{Await, Compensate, Fail, Open, Return, Try, UnlessFailed};
    let at_scope = |n: u8, scope| step(n).of(scope).op();
    let scripts: Vec<Vec<Op>> = vec![
        // A part that failed is undone, and another way is taken.
        vec![
            Open(0),
            step(0).op(),
            at_scope(1, 1),
            at_scope(2, 1),
            Await(0),
            Await(1),
            Await(2),
            UnlessFailed(2, 4),
            Compensate(1),
            Await(3),
            step(3).op(),
            Try(4),
            Return,
        ],
        // All of it is.
        vec![step(0).op(), step(1).op(), Await(0), Compensate(0), Await(2), step(2).op(), Await(3)],
        // Beside other steps of the part, which are not undone by it.
        vec![
            Open(0),
            at_scope(0, 1),
            Await(0),
            Compensate(1),
            at_scope(1, 1),
            Await(2),
            Await(1),
            Fail,
        ],
        // Two parts at the same time, and then one in the other.
        vec![
            Open(0),
            Open(0),
            at_scope(0, 1),
            at_scope(1, 2),
            Await(0),
            Compensate(1),
            Compensate(2),
            Await(2),
            Await(3),
            Fail,
        ],
        vec![
            Open(0),
            Open(1),
            at_scope(0, 1),
            at_scope(1, 2),
            at_scope(2, 1),
            Await(1),
            Compensate(2),
            Compensate(1),
            Await(4),
            Return,
        ],
        // While the code fails, and while it waits for an event.
        vec![Open(0), at_scope(0, 1), step(1).op(), Compensate(1), Try(1), Fail],
        vec![Open(0), at_scope(0, 1), step(1).op(), Compensate(1), Op::Event(0), Try(1), Await(3)],
        // While a pivot runs, in the part and beside it.
        vec![Open(0), at_scope(0, 1), Await(0), step(1).pivot().op(), Compensate(1), Await(2)],
        vec![
            Open(0),
            at_scope(0, 1),
            Await(0),
            step(1).of(1).pivot().op(),
            Compensate(1),
            Await(2),
            Fail,
        ],
    ];
    let mut sagas = Vec::new();
    for script in scripts {
        for outside in [vec![Outside::Cancel], vec![Outside::Terminate, Outside::HandOver]] {
            let events = u8::from(script.contains(&Op::Event(0)));
            // What is asked for by others is tried with less beside it.
            let all = u8::from(outside.len() == 1);
            let crashes = all * u8::from(script.len() < 8);
            let few = Saga { crashes, undo_failures: all, ..Saga::new(script.clone()) };
            sagas.push(Saga { outside, events, ..few });
        }
    }
    explore_all("parts", sagas, (36_000, 13_500));
}

#[test]
fn children_hand_over() {
    use UndoWhen::Always;
    let child = |n: u8| step(n).bare().child();
    let by_hand = Op::Child { step: step(1).bare(), by_hand: true };
    let scripts: Vec<Vec<Op>> = vec![
        vec![step(0).op(), Op::Try(0), child(1), Op::Try(1), step(2).op(), Op::Try(2), Op::Fail],
        vec![step(0).op(), child(1), step(2).op(), Op::TryAny, Op::TryAny, Op::TryAny],
        vec![child(0), child(1), Op::TryAny, Op::TryAny, Op::Fail],
        vec![Op::Parallel(0), step(0).op(), child(1), Op::TryAny, Op::TryAny, Op::Fail],
        vec![step(0).op(), by_hand, Op::TryAny],
        vec![step(0).child(), Op::Try(0), step(1).op(), Op::Try(1)],
        vec![step(0).when(Always).child(), Op::Await(0), step(1).op(), Op::Try(1), Op::Fail],
        vec![
            Op::Open(0),
            step(0).bare().of(1).child(),
            step(1).op(),
            Op::Compensate(1),
            Op::Try(1),
        ],
        vec![child(0), step(1).pivot().op(), Op::TryAny, Op::TryAny],
        vec![step(0).op(), step(1).bare().pivot().child(), Op::TryAny, Op::TryAny],
    ];
    let mut sagas = Vec::new();
    for script in scripts {
        for outside in [Outside::Cancel, Outside::HandOver] {
            let handed: Vec<&'static [u32]> = vec![&[], &[0], &[0, 1], &[0, 0, 1]];
            let few = Saga { crashes: 0, undo_failures: 0, ..Saga::new(script.clone()) };
            sagas.push(Saga { outside: vec![outside], handed, ..few });
        }
    }
    explore_all("children", sagas, (7_000, 1_800));
}
