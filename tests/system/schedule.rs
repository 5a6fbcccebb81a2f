//! Schedules: each firing starts one instance, whatever becomes of the host.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::*;

/// The second it is.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// When the instances of a schedule fired, in seconds, and what is said of
/// each.
fn firings(client: &Client, schedule: &str) -> BTreeMap<i64, Value> {
    let prefix = format!("{schedule}-2");
    let path = format!("/runtime/webhooks/durabletask/instances?instanceIdPrefix={prefix}");
    let answer = client.get(&path);
    assert!(answer.header("x-ms-continuation-token").is_none_or(str::is_empty), "one page");
    let mut firings = BTreeMap::new();
    for row in answer.body.as_array().unwrap() {
        let id = row["instanceId"].as_str().unwrap();
        let time = id.strip_prefix(&format!("{schedule}-")).unwrap();
        let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", time).unwrap();
        let at = time.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second();
        assert!(firings.insert(at, row.clone()).is_none(), "{id} is there twice");
    }
    firings
}

fn every_second(missed: &str) -> String {
    format!(
        "[[schedules]]\nstart = \"TestOrchEcho\"\nname = \"{missed}\"\ncron = \"* * * * * *\"\ninput = {{ of = \"{missed}\" }}\nmissed = \"{missed}\"\n"
    )
}

/// Of a host: before it began, once it served, and when it was killed.
struct Run {
    begun: i64,
    ready: i64,
    seen: BTreeMap<&'static str, i64>,
    killed: i64,
}

const RULES: [&str; 3] = ["skip", "once", "all"];

#[test]
fn each_firing_starts_one_instance_also_when_the_host_is_killed() {
    let site = Site::new(&["test_guests"]);
    site.manifest(&RULES.map(every_second).concat());
    let mut runs: Vec<Run> = Vec::new();
    for run in 0..3 {
        let begun = now();
        let server = site.serve();
        let (client, ready) = (server.client(), now());
        // Long enough that each has fired by itself some times.
        let mut seen = BTreeMap::new();
        for rule in RULES {
            let last = eventually("it fires some seconds long", || {
                let last = *firings(&client, rule).last_key_value()?.0;
                (last > ready + 5).then_some(last)
            });
            seen.insert(rule, last);
        }
        if run == 2 {
            check(&client, &runs, ready, &seen);
            return;
        }
        server.kill();
        let killed = now();
        runs.push(Run { begun, ready, seen, killed });
        eventually("some firings are missed", || (now() > killed + 3).then_some(()));
    }
}

fn check(client: &Client, runs: &[Run], last_ready: i64, last_seen: &BTreeMap<&str, i64>) {
    for rule in RULES {
        let fired = firings(client, rule);
        let times: BTreeSet<i64> = fired.keys().copied().collect();
        let first = *times.first().unwrap();
        let missing: Vec<i64> =
            (first..=last_seen[rule]).filter(|at| !times.contains(at)).collect();
        if rule == "all" {
            assert_eq!(missing, [0; 0], "nothing is lost");
        }
        let begins: Vec<(i64, i64)> =
            runs.iter().skip(1).map(|run| (run.begun, run.ready)).collect();
        let begins = begins.into_iter().chain([(runs[1].killed + 4, last_ready)]);
        for (run, (begun, ready)) in runs.iter().zip(begins) {
            // While the host ran, up to the last that was seen before it was
            // killed, there was nothing to miss.
            let lost: Vec<_> =
                missing.iter().filter(|at| (run.ready + 1..=run.seen[rule]).contains(at)).collect();
            assert!(lost.is_empty(), "{rule}: {lost:?}");
            // While no host ran, the rule says it. At the edges it may have
            // been either way.
            let down: Vec<i64> = (run.killed + 1..begun).collect();
            let made_up: Vec<&i64> = down.iter().filter(|at| times.contains(at)).collect();
            let caught_up = (run.killed + 1..=ready).filter(|at| times.contains(at)).count();
            match rule {
                "skip" => assert!(made_up.is_empty(), "{made_up:?}"),
                "once" => {
                    assert!(made_up.len() <= 1, "{made_up:?}");
                    assert!(caught_up >= 1, "the latest is made up for");
                }
                _ => assert_eq!(made_up.len(), down.len()),
            }
            // What was begun before the host was killed was not begun again.
            for (_, row) in fired.range(..=run.seen[rule]) {
                let created: jiff::Timestamp =
                    row["createdTime"].as_str().unwrap().parse().unwrap();
                assert!(created.as_second() <= run.killed, "{row}");
            }
        }
        for row in fired.values() {
            assert_eq!(row["input"]["of"], rule, "{row}");
        }
    }
}

#[test]
fn a_firing_that_a_host_began_and_did_not_note_is_not_begun_again() {
    let site = Site::new(&["test_guests"]);
    site.manifest(&every_second("all"));
    let server = site.serve();
    let client = server.client();
    let before = eventually("it has fired some times", || {
        let fired = firings(&client, "all");
        (fired.len() > 3).then_some(fired)
    });
    for id in before.values().map(|row| row["instanceId"].as_str().unwrap()) {
        client.ended(id);
    }
    let before: Vec<Value> = firings(&client, "all").into_values().take(before.len()).collect();
    server.kill();
    // As if the host had ended before it noted any of them.
    let database = rusqlite::Connection::open(site.path("data/sagahost.db")).unwrap();
    let noted = "SELECT value FROM notes WHERE name = 'schedule/all'";
    let noted: String = database.query_row(noted, [], |row| row.get(0)).unwrap();
    let mut noted: Value = serde_json::from_str(&noted).unwrap();
    noted["at"] = (noted["at"].as_i64().unwrap() - 60_000).into();
    let changed = database
        .execute("UPDATE notes SET value = ?1 WHERE name = 'schedule/all'", [noted.to_string()])
        .unwrap();
    assert_eq!(changed, 1);
    drop(database);
    let server = site.serve();
    let client = server.client();
    let first = before[0]["createdTime"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let after = eventually("what the note says is made up for", || {
        let fired = firings(&client, "all");
        (*fired.first_key_value()?.0 < first.as_second() - 30 && fired.len() > before.len() + 30)
            .then_some(fired)
    });
    for row in before {
        let again = after.values().find(|known| known["instanceId"] == row["instanceId"]);
        assert_eq!(again, Some(&row), "it is the same one");
    }
}

#[test]
fn a_schedule_that_starts_what_is_not_there_is_warned_of_and_goes_on() {
    let site = Site::new(&["test_guests"]);
    let schedule = "[[schedules]]\nstart = \"TestOrchLater\"\ncron = \"* * * * * *\"\n";
    site.manifest(&format!("{schedule}{}", every_second("once")));
    let server = site.serve();
    eventually("the log says what is left out", || {
        let output = server.output();
        (output.contains("this firing is left out") && output.contains("TestOrchLater"))
            .then_some(())
    });
    eventually("the other one fires", || {
        firings(&server.client(), "once").first_key_value().map(|_| ())
    });
}

#[test]
fn a_schedule_is_taken_from_a_manifest_that_changes() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    site.manifest(&every_second("skip"));
    let client = server.client();
    eventually("it fires", || (!firings(&client, "skip").is_empty()).then_some(()));
    site.manifest("[[schedules]]\nstart = 7\n");
    eventually("the wrong one is told of", || {
        server.output().contains("the manifest is wrong").then_some(())
    });
    let last = *firings(&client, "skip").last_key_value().unwrap().0;
    eventually("the old one goes on", || {
        firings(&client, "skip").contains_key(&(last + 2)).then_some(())
    });
}
