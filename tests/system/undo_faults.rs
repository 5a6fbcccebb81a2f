//! Sagas of eight steps, each of which is hit once by each fault there is. In
//! the end, all that a saga did is in place, or all of it is gone.

use serde_json::{Value, json};

use crate::steps::*;
use crate::support::*;

const STEPS: usize = 8;

/// What hits a step.
struct Fault {
    name: &'static str,
    /// What is said to the step.
    step: Value,
    /// How the orchestrator ends, if it gets there.
    end: &'static str,
    /// Which line the step or undo has logged when it hangs.
    hangs: &'static str,
    /// How many effects there are when it does, of those the step and its undo
    /// make.
    effect: bool,
    cancel: bool,
    /// How each attempt of the step went.
    attempts: &'static [&'static str],
    /// How each attempt of its undo went.
    undo: &'static [&'static str],
    /// What becomes of the step.
    outcome: &'static str,
    /// What becomes of the saga.
    status: &'static str,
}

impl Fault {
    /// One that fails the saga.
    fn new(name: &'static str, step: Value) -> Self {
        Fault {
            name,
            step,
            end: "ok",
            hangs: "",
            effect: false,
            cancel: false,
            attempts: &["Completed"],
            undo: &["Completed"],
            outcome: "completed",
            status: "Failed",
        }
    }

    fn saga(&self, site: &Site, step: usize, parallel: bool) -> Saga {
        let how = if parallel { "parallel" } else { "sequence" };
        Saga::new(site, &format!("{}-{how}-{step}", self.name), STEPS)
            .step(step, &self.step)
            .with("parallel", parallel)
            .with("end", self.end)
    }

    /// Waits until the step or its undo hangs where it is to hang.
    fn has_hit(&self, client: &Client, saga: &Saga, step: usize, parallel: bool) {
        let line = format!("{} s{step} ", self.hangs);
        if self.hangs == "do" {
            saga.only_runs(client, step, if parallel { STEPS } else { step + 1 });
        }
        eventually(&format!("{} is at its fault", saga.id), || {
            let effect = saga.path(&format!("s{step}")).exists();
            (saga.logged(&line) > 0 && effect == self.effect).then_some(())
        });
    }

    /// The fault hit this step and no other one, and the saga is as it has to
    /// be then.
    fn check(&self, client: &Client, saga: &Saga, hit: usize, parallel: bool) {
        let begun = |step: usize| parallel || step <= hit || self.goes_on();
        if self.status == "Completed" {
            saga.is_committed(client);
        } else {
            let undone: Vec<_> = (0..STEPS)
                .rev()
                .filter(|step| begun(*step))
                .map(|step| (step, if step == hit { self.outcome } else { "completed" }))
                .filter(|(_, outcome)| *outcome != "failed")
                .collect();
            saga.is_gone(client, self.status, &undone);
        }
        let history = client.history(&saga.id);
        for step in 0..STEPS {
            let (attempted, undone): (&[&str], &[&str]) = match step {
                _ if !begun(step) => (&[], &[]),
                _ if step == hit => (self.attempts, self.undo),
                _ => (&["Completed"], &["Completed"]),
            };
            let undone = if self.status == "Completed" { &[] } else { undone };
            let what = format!("{}: step {step}: {:?}", saga.id, saga.log());
            assert_eq!(attempts(&history, "Task", step), attempted, "{what}");
            assert_eq!(attempts(&history, "Undo", step), undone, "{what}");
            // What the step itself saw of it.
            assert_eq!(saga.logged(&format!("do s{step} ")), attempted.len(), "{what}");
            assert_eq!(saga.logged(&format!("undo s{step} ")), undone.len(), "{what}");
        }
    }

    /// Whether the saga gets past the step.
    fn goes_on(&self) -> bool {
        self.outcome == "completed"
    }
}

/// Each of the faults, at each of the steps, one after the other and all at
/// the same time.
fn everywhere<'a>(
    site: &Site,
    client: &Client,
    faults: impl IntoIterator<Item = &'a Fault>,
    in_parallel: &[usize],
) -> Vec<(&'a Fault, Saga, usize, bool)> {
    let mut sagas = Vec::new();
    for fault in faults {
        for step in 0..STEPS {
            sagas.push((fault, fault.saga(site, step, false).start(client), step, false));
        }
        for &step in in_parallel {
            sagas.push((fault, fault.saga(site, step, true).start(client), step, true));
        }
    }
    sagas
}

#[test]
fn a_step_that_goes_wrong_takes_all_that_was_done_with_it() {
    let (trap, timeout) = (&["Failed: trap"][..], &["Failed: timeout"][..]);
    let unknown =
        |name, step, attempts| Fault { attempts, outcome: "unknown", ..Fault::new(name, step) };
    let faults = [
        Fault {
            attempts: &["Failed: returned"],
            undo: &[],
            outcome: "failed",
            ..Fault::new("fail", json!({ "fault": "fail" }))
        },
        unknown("trap", json!({ "fault": "trap" }), trap),
        unknown("trap-after", json!({ "fault": "trap-after" }), trap),
        unknown("timeout", json!({ "fault": "hang", "timeoutMs": 300 }), timeout),
        unknown("timeout-after", json!({ "fault": "hang-after", "timeoutMs": 300 }), timeout),
        unknown(
            "trap-twice",
            json!({ "fault": "trap-after", "attempts": 2 }),
            &["Failed: trap", "Failed: trap"],
        ),
        Fault {
            attempts: &["Failed: returned", "Completed"],
            status: "Completed",
            ..Fault::new("flaky", json!({ "fault": "flaky", "attempts": 2 }))
        },
        Fault {
            end: "fail",
            undo: &["Failed: returned", "Completed"],
            ..Fault::new("undo-fails", json!({ "undoFault": "fail-once" }))
        },
        Fault {
            end: "fail",
            undo: &["Failed: trap", "Completed"],
            ..Fault::new("undo-traps", json!({ "undoFault": "trap-once" }))
        },
    ];
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    for (fault, saga, step, parallel) in
        everywhere(&site, &client, &faults, &[0, 1, 2, 3, 4, 5, 6, 7])
    {
        fault.check(&client, &saga, step, parallel);
    }
    attempts_open(&client, 0);
}

#[test]
fn a_saga_that_is_cancelled_while_a_step_runs_is_gone_and_so_is_the_step() {
    let cancelled = |name, fault, effect| Fault {
        hangs: "do",
        effect,
        cancel: true,
        attempts: &["Failed: cancelled"],
        outcome: "unknown",
        status: "Canceled",
        ..Fault::new(name, json!({ "fault": fault }))
    };
    let faults = [cancelled("hang", "hang", false), cancelled("hang-after", "hang-after", true)];
    let spin = [cancelled("spin", "spin", false)];
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    // Those that take nothing, together; those that compute, one at a time.
    let steps = [0, 1, 2, 3, 4, 5, 6, 7];
    let sagas = everywhere(&site, &client, &faults, &steps);
    for (fault, saga, step, parallel) in &sagas {
        fault.has_hit(&client, saga, *step, *parallel);
        assert_eq!(client.cancel(&saga.id).status, 202);
    }
    for (fault, saga, step, parallel) in &sagas {
        fault.check(&client, saga, *step, *parallel);
    }
    for (step, parallel) in [(0, false), (7, true)] {
        let saga = spin[0].saga(&site, step, parallel).start(&client);
        spin[0].has_hit(&client, &saga, step, parallel);
        attempts_open(&client, 1);
        assert_eq!(client.cancel(&saga.id).status, 202);
        spin[0].check(&client, &saga, step, parallel);
    }
    // None of them would have ended by itself.
    attempts_open(&client, 0);
}

#[test]
fn a_host_that_is_killed_at_every_step_and_every_undo_leaves_all_or_nothing() {
    let retried = |name, fault, effect| Fault {
        hangs: "do",
        effect,
        attempts: &["Lost", "Completed"],
        status: "Completed",
        ..Fault::new(name, json!({ "fault": fault }))
    };
    let cancelled = |name, fault, effect| Fault {
        hangs: "do",
        effect,
        cancel: true,
        attempts: &["Lost", "Failed: cancelled"],
        outcome: "unknown",
        status: "Canceled",
        ..Fault::new(name, json!({ "fault": fault }))
    };
    let undo = |name, fault, effect| Fault {
        hangs: "undo",
        effect,
        end: "fail",
        undo: &["Lost", "Completed"],
        ..Fault::new(name, json!({ "undoFault": fault }))
    };
    let faults = [
        retried("before", "hang-once", false),
        retried("after", "hang-after-once", true),
        cancelled("cancelled", "hang", false),
        cancelled("cancelled-after", "hang-after", true),
        undo("undo-before", "hang-once", true),
        undo("undo-after", "hang-after-once", false),
    ];
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    let sagas = everywhere(&site, &client, &faults, &[0, 3, 7]);
    for (fault, saga, step, parallel) in &sagas {
        fault.has_hit(&client, saga, *step, *parallel);
    }
    attempts_open(&client, sagas.len());
    server.kill();

    let server = site.serve();
    let client = server.client();
    for (_, saga, step, _) in sagas.iter().filter(|(fault, ..)| fault.cancel) {
        eventually(&format!("step {step} of {} is attempted again", saga.id), || {
            let again = |line: &String| {
                line.starts_with(&format!("do s{step} ")) && line.ends_with(" attempt=2")
            };
            saga.log().iter().any(again).then_some(())
        });
        assert_eq!(client.cancel(&saga.id).status, 202);
    }
    for (fault, saga, step, parallel) in &sagas {
        fault.check(&client, saga, *step, *parallel);
    }
    attempts_open(&client, 0);
}
