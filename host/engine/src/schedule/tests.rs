use super::*;

fn schedule(cron: &str, zone: &str) -> Schedule {
    Schedule::new("S", "O", Json::null(), cron, zone, Missed::Once).expect("is right")
}

fn at(text: &str) -> Millis {
    let at: Timestamp = text.parse().expect("a time");
    at.as_millisecond() as Millis
}

/// The firings after a time and up to another, as people write them.
fn firings(cron: &str, zone: &str, after: &str, until: &str) -> Vec<String> {
    let schedule = schedule(cron, zone);
    let (mut last, until) = (at(after), at(until));
    let mut found = Vec::new();
    while let Some(next) = schedule.after(last).filter(|next| *next <= until) {
        found.push(Timestamp::from_millisecond(next as i64).expect("a time").to_string());
        last = next;
    }
    let due = schedule.due(at(after), until);
    let due: Vec<String> = due
        .into_iter()
        .map(|at| Timestamp::from_millisecond(at as i64).expect("a time").to_string())
        .collect();
    let latest = &found[found.len().saturating_sub(MOST_MISSED + 1)..];
    assert_eq!(due, latest, "{cron} in {zone}, backwards");
    found
}

#[test]
fn a_schedule_fires_when_its_expression_says_in_its_zone() {
    let after = "2026-11-23T10:02:00Z";
    let five = firings("*/5 * * * *", "UTC", after, "2026-11-23T10:15:00Z");
    assert_eq!(five, ["2026-11-23T10:05:00Z", "2026-11-23T10:10:00Z", "2026-11-23T10:15:00Z"]);
    let seconds = firings("*/20 * * * * *", "UTC", after, "2026-11-23T10:02:41Z");
    assert_eq!(seconds, ["2026-11-23T10:02:20Z", "2026-11-23T10:02:40Z"]);
    let berlin = firings("30 2 * * MON-FRI", "Europe/Berlin", after, "2026-11-25T00:00:00Z");
    assert_eq!(berlin, ["2026-11-24T01:30:00Z"]);
}

#[test]
fn a_fixed_time_that_is_left_out_is_made_up_for_and_one_that_comes_twice_fires_once() {
    // On 2026-03-29 it is 03:00 after 01:59:59, and on 2026-10-25 it is 02:00
    // after 02:59:59.
    let spring =
        firings("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z");
    assert_eq!(spring, ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    let autumn =
        firings("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z");
    assert_eq!(autumn, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
}

#[test]
fn an_interval_goes_on_through_both_changes() {
    let spring =
        firings("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:15:00Z", "2026-03-29T01:45:00Z");
    assert_eq!(spring, ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]);
    let autumn =
        firings("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:15:00Z", "2026-10-25T01:45:00Z");
    assert_eq!(autumn, ["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"]);
}

#[test]
fn several_times_of_a_day_are_an_interval() {
    let days = |from: &str, to: &str| firings("15,45 2 * * *", "Europe/Berlin", from, to);
    let spring = days("2026-03-28T12:00:00Z", "2026-03-30T00:20:00Z");
    assert_eq!(spring, ["2026-03-30T00:15:00Z"]);
    let autumn = days("2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z");
    let twice = [
        "2026-10-25T00:15:00Z",
        "2026-10-25T00:45:00Z",
        "2026-10-25T01:15:00Z",
        "2026-10-25T01:45:00Z",
    ];
    assert_eq!(autumn, twice);
}

#[test]
fn what_is_due_is_the_same_from_either_end() {
    for (cron, zone) in [
        ("17 * * * *", "America/New_York"),
        ("0 0 * * *", "Africa/Cairo"),
        ("15,45 1-3 * * *", "Australia/Lord_Howe"),
        ("0 12 29 2 *", "UTC"),
        ("0 9 * * MON#1", "Asia/Tokyo"),
    ] {
        firings(cron, zone, "2027-10-01T00:00:00Z", "2028-05-01T00:00:00Z");
    }
}

#[test]
fn what_is_due_after_a_long_time_is_bounded_and_the_latest() {
    let schedule = schedule("* * * * * *", "UTC");
    let now = at("2026-11-23T10:00:00Z");
    let due = schedule.due(at("2020-01-01T00:00:00Z"), now);
    assert_eq!(due.len(), MOST_MISSED + 1);
    assert_eq!(due.last(), Some(&now));
    assert!(due.windows(2).all(|pair| pair[1] - pair[0] == 1_000));
    assert_eq!(Missed::All.of(&due).len(), MOST_MISSED);
    assert_eq!(Missed::Once.of(&due), [now]);
    assert!(Missed::Skip.of(&due).is_empty() && Missed::Once.of(&[]).is_empty());
}

#[test]
fn an_instance_is_called_after_its_schedule_and_time() {
    let schedule = schedule("* * * * *", "Europe/Berlin");
    assert_eq!(schedule.instance_id(at("2026-11-23T10:45:00Z")), "S-20261123T104500Z");
}

#[test]
fn what_is_wrong_is_said() {
    let wrong = |name: &str, cron: &str, zone: &str| {
        Schedule::new(name, "O", Json::null(), cron, zone, Missed::Once)
            .expect_err("is wrong")
            .to_string()
    };
    for cron in ["", "* * * *", "61 * * * *", "* * * * * * *", "nonsense", "@daily"] {
        let said = wrong("S", cron, "UTC");
        assert!(
            said.contains("is not a cron expression") && said.contains("write it like"),
            "{said}"
        );
    }
    assert!(wrong("S", "* * * * *", "Mars/Base").contains("there is no time zone \"Mars/Base\""));
    assert!(wrong("a/b", "* * * * *", "UTC").contains("cannot be the name of a schedule"));
    assert!(wrong("S", "0 0 31 2 *", "UTC").contains("never comes true"));
}

#[test]
fn a_note_of_another_expression_counts_for_nothing() {
    let schedule = schedule("* * * * *", "UTC");
    let text = serde_json::to_string(&schedule.noted(7)).expect("JSON");
    let noted: Noted = serde_json::from_str(&text).expect("JSON");
    assert_eq!(noted, schedule.noted(noted.at));
    let other = self::schedule("* * * * *", "Europe/Berlin");
    assert_ne!(noted, other.noted(noted.at));
}
