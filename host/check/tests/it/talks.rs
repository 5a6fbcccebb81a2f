//! Sagas that talk to others: requests, entities, events, other orchestrations,
//! and their own next round.

use sagahost_check::{Bounds, Exploration, GivenBounds, tell};

use crate::fixture::{self, check};

fn found(name: &str) -> Exploration {
    let (program, file) = (fixture::sagas(), fixture::sagas_file(""));
    check(&program, &file, name, GivenBounds::default())
}

fn told(name: &str, story: &str) -> String {
    let (program, spec) = (fixture::sagas(), fixture::sagas_file("").spec(name).expect("a spec"));
    let made = || program.made_input(name).expect("there is one");
    let input = spec.inputs.first().cloned().unwrap_or_else(made);
    let told = tell(&program, name, &input, &spec, &Bounds::default(), story);
    told.unwrap_or_else(|error| panic!("{error}")).text()
}

fn has_note(found: &Exploration, parts: &[&str]) {
    let fits = |note: &&String| parts.iter().all(|part| note.contains(part));
    assert!(found.notes.iter().any(|note| fits(&note)), "{parts:?} is not in {:?}", found.notes);
}

#[test]
fn what_continues_as_new_ends_with_its_round() {
    let rounds = found("Rounds");
    assert!(rounds.is_proven(), "{:?} {:?}", rounds.findings, rounds.cut);
    let ends: Vec<&str> = rounds.ends.keys().map(String::as_str).collect();
    assert_eq!(ends, ["Canceled", "ContinuedAsNew", "Failed"], "three rounds are left");
    has_note(&rounds, &["Rounds continues as new"]);
    let text = told("Rounds", "0=ok 1=ok time");
    assert!(text.contains("Rounds continues as new, with 2"), "{text}");
    assert!(!text.contains("ends Completed"), "{text}");
    // Of a child, only the first round is looked at, too.
    let parent = found("WithRounds");
    assert!(parent.is_proven() && parent.ends.contains_key("Completed"), "{parent:?}");
    has_note(&parent, &["the child Rounds", "taken to end with 0"]);
    let dropped = found("DropsARound");
    let fault = &dropped.findings[0];
    assert!(fault.detail.contains("continues as new"), "{}", fault.detail);
}

#[test]
fn the_last_round_ends_as_it_says() {
    let (program, file) = (fixture::sagas(), fixture::sagas_file(""));
    let spec = file.spec("Rounds").expect("a spec");
    let bounds = Bounds::default();
    let last = sagahost_check::explore(&program, "Rounds", &fixture::json("0"), &spec, &bounds);
    let last = last.unwrap_or_else(|error| panic!("{error}"));
    assert!(last.is_proven(), "{:?}", last.findings);
    assert!(!last.ends.contains_key("ContinuedAsNew") && last.ends.contains_key("Completed"));
    assert!(last.notes.iter().all(|note| !note.contains("as new")), "{:?}", last.notes);
}

#[test]
fn a_request_is_answered_fails_or_is_not_known_about() {
    let file = fixture::sagas_file("");
    let program = fixture::sagas();
    let fault = found("IgnoresStatus").findings.swap_remove(0);
    assert_eq!(fault.story, "0=ok1 1=ok");
    let text = told("IgnoresStatus", &fault.story);
    assert!(text.contains("\"status\":500") && text.contains("and does nothing"), "{text}");
    // One that only ever says 200 is no fault; that stands in the check file.
    let only_200 = "[orchestrators.IgnoresStatus.activities.\"host:http\"]\n\
        outputs = [{ status = 200, headers = {}, body = { json = \"null\" } }]\n";
    let told_so =
        check(&program, &fixture::sagas_file(only_200), "IgnoresStatus", GivenBounds::default());
    assert!(told_so.is_proven(), "{:?}", told_so.findings);
    let right = check(&program, &file, "ByHttp", GivenBounds::default());
    assert!(right.is_proven(), "{:?}", right.findings);
    let late = told("ByHttp", "0=ok 1=again+ time 1=unknown+ u1=ok");
    assert!(
        late.contains("Unbook") && late.contains("nothing that was done is in place"),
        "{late}"
    );
}

#[test]
fn entities_answer_fail_and_are_locked_one_by_one() {
    let found = found("LocksTwo");
    assert!(found.is_proven(), "{:?} {:?}", found.findings, found.cut);
    has_note(&found, &["what entities do is not looked at", "Stock.put, Stock.take"]);
    let text = told("LocksTwo", "0=locked 0=locked 1=answer 2=answer1 3=answer");
    let parts = [
        "LocksTwo wants to lock @Stock@book, @Stock@pen (step 0)",
        "@Stock@book is locked (step 0)",
        "@Stock@pen is locked (step 0)",
        "LocksTwo calls take of @Stock@book (step 1), with 1",
        "@Stock@book answers take (step 1) with true",
        "@Stock@pen answers take (step 2) with false",
        "LocksTwo ends Failed",
    ];
    let mut at = 0;
    for part in parts {
        let found = text[at..].find(part);
        at += found.unwrap_or_else(|| panic!("`{part}` is not, or not there, in\n{text}"));
    }
    assert!(
        told("LocksTwo", "0=locked 0=locked 1=refused").contains("fails take (step 1): failed")
    );
}

#[test]
fn what_cannot_be_asked_of_an_entity_fails() {
    for (name, why) in [("CallsUnlocked", "unlock first"), ("GivesAway", "cannot be asked of")] {
        let found = found(name);
        assert!(found.is_proven(), "{:?}", found.findings);
        assert!(!found.ends.contains_key("Completed"), "{name}: {:?}", found.ends);
        let story = if name == "GivesAway" { "0=ok" } else { "0=ok 1=locked" };
        assert!(told(name, story).contains(why), "{}", told(name, story));
    }
}

#[test]
fn an_entity_that_the_saga_itself_has_locked_is_not_to_be_had() {
    let fault = found("LocksOutItsChild").findings.swap_remove(0);
    assert_eq!(fault.detail, "TakesOne waits for @Stock@book, which LocksOutItsChild has locked");
    assert_eq!(fault.story, "1=locked");
}

#[test]
fn what_is_sent_is_told_and_no_part_of_the_saga() {
    let found = found("Tells");
    assert!(found.is_proven(), "{:?}", found.findings);
    has_note(&found, &["it starts Sequential", "check it too"]);
    has_note(&found, &["it starts Elsewhere", "not deployed"]);
    let text = told("Tells", "0=ok");
    for part in [
        "Tells sends to order-8 the event Go, with true",
        "Tells sends to @Stock@book the signal put, with 1",
        "Tells starts Elsewhere as elsewhere",
        "Tells ends Completed",
    ] {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
    let heard = told("HearsItsChild", "1/0=ok");
    assert!(heard.contains("SaysReady sends to check the event Ready, with true"), "{heard}");
    assert!(heard.contains("HearsItsChild ends Completed"), "{heard}");
}
