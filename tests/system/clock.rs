//! Time in the emulator: faster, and skipped.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::*;

const THREE_DAYS: u64 = 3 * 86_400;

/// `sagahost dev` on what a site has.
fn dev(site: &Site, more: &[&str]) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sagahost"));
    command.args(["dev", "--no-build", "--listen", "127.0.0.1:0", "--data"]).arg(site.path("data"));
    command.arg("--functions").arg(site.path("functions"));
    command.arg("--config").arg(site.path("sagahost.toml")).args(more);
    Server::start(command)
}

fn skip(client: &Client) -> Answer {
    client.try_send("POST", "/admin/clock/skip", &[], None).unwrap()
}

fn skip_command(server: &Server, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sagahost"));
    command.arg("skip").args(more).args(["--url", &server.url]).output().unwrap()
}

fn seconds(value: &Value) -> i64 {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no time"));
    text.parse::<jiff::Timestamp>().unwrap().as_second()
}

fn reminder(client: &Client, id: &str) {
    client.start_as("Reminder", id, &json!({ "seconds": THREE_DAYS, "message": "tea" }));
}

#[test]
fn a_wait_of_three_days_is_skipped() {
    let site = Site::new(&["guest_orchestrator", "guest_activities", "test_guests"]);
    let server = dev(&site, &[]);
    let client = server.client();
    let nothing = skip(&client);
    assert_eq!((nothing.status, &nothing.body["ExceptionType"]), (404, &json!("NothingWaits")));

    reminder(&client, "r-1");
    let skipped = skip(&client);
    assert_eq!(skipped.status, 200, "{skipped:?}");
    let to = json!({ "what": "timer", "instanceId": "r-1", "name": "Reminder" });
    assert_eq!(skipped.body["to"], to);
    let status = client.ended("r-1");
    assert_eq!(status["output"], "reminded: tea");
    let took = seconds(&status["lastUpdatedTime"]) - seconds(&status["createdTime"]);
    assert!(took >= THREE_DAYS as i64, "{status}");

    let retry = json!({ "maxAttempts": 3, "firstIntervalMs": 86_400_000, "backoff": 1.0, "maxIntervalMs": 86_400_000 });
    let flaky = json!({ "activity": "TestFlaky", "input": { "failures": 2 }, "retry": retry });
    let flaky = client.start("TestCallOne", &flaky);
    for _ in 0..2 {
        let told = eventually("it has failed and waits", || {
            let answer = skip(&client);
            (answer.status == 200).then_some(answer.body)
        });
        assert_eq!(
            (&told["to"]["what"], &told["to"]["instanceId"]),
            (&json!("retry"), &json!(flaky))
        );
    }
    assert_eq!(client.ended(&flaky)["output"], 3);
}

#[test]
fn a_skipped_clock_does_not_go_back_when_the_host_starts_again() {
    let site = Site::new(&["guest_orchestrator", "guest_activities"]);
    let mut latest = 0;
    for run in 0..3 {
        let server = dev(&site, &[]);
        let client = server.client();
        let id = format!("r-{run}");
        reminder(&client, &id);
        let created = seconds(&client.status(&id)["createdTime"]);
        assert!(created >= latest, "it went back by {} s", latest - created);
        assert_eq!(skip(&client).status, 200);
        latest = seconds(&client.ended(&id)["lastUpdatedTime"]);
        if run == 1 {
            assert!(server.output().contains("ahead of the machine's"), "{}", server.output());
            assert_eq!(server.terminate(), Some(0));
        } else {
            server.kill();
        }
    }
    // A host that runs by the machine's clock says what is to be expected.
    let server = site.serve();
    assert!(server.output().contains("with its clock ahead"), "{}", server.output());
    let refused = skip(&server.client());
    assert_eq!((refused.status, &refused.body["ExceptionType"]), (409, &json!("ClockIsReal")));
    let refused = skip_command(&server, &[]);
    assert_eq!(refused.status.code(), Some(6));
    assert!(text(&refused.stderr).contains("sagahost dev"), "{}", text(&refused.stderr));
}

#[test]
fn a_clock_that_runs_faster_ends_a_wait_of_three_days() {
    let site = Site::new(&["guest_orchestrator", "guest_activities"]);
    let server = dev(&site, &["--time-factor", "200000"]);
    let client = server.client();
    reminder(&client, "r-1");
    let status = client.ended("r-1");
    let took = seconds(&status["lastUpdatedTime"]) - seconds(&status["createdTime"]);
    assert!(took >= THREE_DAYS as i64, "{status}");
    let latest = seconds(&status["lastUpdatedTime"]);
    server.kill();
    let server = dev(&site, &[]);
    reminder(&server.client(), "r-2");
    assert!(seconds(&server.client().status("r-2")["createdTime"]) >= latest);
}

#[test]
fn it_is_skipped_from_the_command_line_and_by_some_time() {
    let site = Site::new(&["guest_orchestrator", "guest_activities"]);
    let server = dev(&site, &[]);
    let client = server.client();
    let nothing = skip_command(&server, &[]);
    assert_eq!(nothing.status.code(), Some(4), "{}", text(&nothing.stderr));
    reminder(&client, "r-1");
    reminder(&client, "r-2");
    let skipped = skip_command(&server, &[]);
    let said = text(&skipped.stdout);
    assert!(said.starts_with("skipped to the timer of Reminder r-1: it was "), "{said}");
    let skipped = skip_command(&server, &["--by", "1d", "--json"]);
    let said: Value = serde_json::from_slice(&skipped.stdout).unwrap();
    assert!(seconds(&said["now"]) - seconds(&said["from"]) >= 86_399, "{said}");
    assert_eq!(said["to"], Value::Null);
    client.ended("r-1");
    client.ended("r-2");
    for by in ["0s", "40000d"] {
        let wrong = skip_command(&server, &["--by", by]);
        assert_eq!(wrong.status.code(), Some(2), "{}", text(&wrong.stderr));
    }
}

#[test]
fn it_is_skipped_to_the_next_firing_of_a_schedule() {
    let site = Site::new(&["test_guests"]);
    site.manifest(
        "[[schedules]]\nstart = \"TestOrchEcho\"\nname = \"Yearly\"\ncron = \"0 0 1 1 *\"\n",
    );
    let server = dev(&site, &[]);
    let client = server.client();
    for _ in 0..2 {
        let skipped = skip(&client);
        assert_eq!(skipped.body["to"], json!({ "what": "schedule", "name": "Yearly" }));
        let now = skipped.body["now"].as_str().unwrap();
        let id = format!("Yearly-{}0101T000000Z", &now[..4]);
        eventually("it fires", || {
            let answer = client.get(&format!("/runtime/webhooks/durabletask/instances/{id}"));
            (answer.status == 200).then_some(())
        });
    }
}

#[test]
fn a_factor_that_is_none_is_refused() {
    for factor in ["0", "0.5", "-1", "nan", "2000000", "fast"] {
        let factor = format!("--time-factor={factor}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_sagahost"));
        let refused = command.args(["dev", &factor]).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{factor}");
        assert!(text(&refused.stderr).contains("1 to 1000000"), "{}", text(&refused.stderr));
    }
}
