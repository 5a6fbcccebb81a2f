//! The sample shop.

use sagahost_check::{CheckFile, Checks, GivenBounds, Report, Sampler, Verdict};
use sagahost_core::Json;

use crate::fixture;

#[derive(Debug)]
struct NoSamples;

impl Sampler for NoSamples {
    fn sample(&self, _orchestrator: &str) -> Option<Json> {
        None
    }
}

fn check(names: &[&str]) -> Report {
    let program = fixture::program(&["guest_activities", "guest_orchestrator"]);
    let file = CheckFile::parse(&fixture::file("check.toml")).expect("the sample's check file");
    let bounds = GivenBounds::default();
    let checks = Checks { program: &program, file: &file, bounds, samples: &NoSamples };
    checks.check_names().expect("all names are known");
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    checks.run(&names).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_saga_that_the_host_undoes_is_proven() {
    let report = check(&["OrderSaga"]);
    let found = &report.checked[0].exploration;
    assert!(found.is_proven(), "{:?} {:?}", found.findings, found.cut);
    assert_eq!(report.verdict(), Verdict::Proven);
    assert!(found.ends.contains_key("Completed") && found.ends.contains_key("Canceled"));
    assert!(found.paths > 1000.0 && found.states > 1000, "{found:?}");
    assert!(found.rules.iter().any(|rule| rule == "both or neither"), "{:?}", found.rules);
}

#[test]
fn the_saga_that_undoes_by_hand_has_two_faults() {
    let report = check(&["OrderSagaByHand"]);
    assert_eq!(report.verdict(), Verdict::Violated);
    let checked = &report.checked[0];
    let findings = &checked.exploration.findings;
    let shown: Vec<_> = findings.iter().map(|it| (it.rule.name(), it.story.as_str())).collect();
    assert_eq!(
        shown,
        [("all-or-nothing", "0=ok 1=fail"), ("all-or-nothing", "0=ok cancel 1=ok")],
        "one that `?` leaves, and one that a cancel leaves"
    );
    let words = checked.stories[0].text();
    let parts = [
        "OrderActivity is scheduled (step 0)",
        "PaymentActivity is scheduled (step 1)",
        "OrderActivity (step 0) answers true",
        "PaymentActivity (step 1) fails: failed",
        "OrderSagaByHand ends Failed",
        "in place: OrderActivity (step 0)",
    ];
    let mut at = 0;
    for part in parts {
        let found = words[at..].find(part);
        at += found.unwrap_or_else(|| panic!("`{part}` is not, or not there, in\n{words}"));
    }
    assert!(checked.stories.iter().all(|story| story.lines.len() < 12), "the stories are short");
}

#[test]
fn a_report_says_the_same_in_three_ways() {
    let report = check(&["OrderSaga", "OrderSagaByHand"]);
    let text = report.text("sagahost check");
    for part in [
        "OrderSaga: proven",
        "complete: on each path up to 3 faults",
        "OrderSagaByHand: 2 faults",
        "Again: sagahost check OrderSagaByHand --story \"0=ok 1=fail\"",
        "{\"Scheduled\":{\"task\":0,\"function\":\"OrderActivity\"",
    ] {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
    let json = report.json();
    assert_eq!(json["verdict"], "violated");
    assert_eq!(json["orchestrators"][0]["verdict"], "proven");
    assert_eq!(json["orchestrators"][0]["complete"], true);
    let faults = json["orchestrators"][1]["faults"].as_array().expect("a list");
    assert_eq!(faults.len(), 2);
    assert_eq!(faults[0]["story"], "0=ok 1=fail");
    assert!(faults[0]["count"].as_u64().is_some_and(|count| count > 1));
    assert!(faults[0]["journal"].as_array().is_some_and(|journal| journal.len() > 4));
    let xml = report.junit();
    assert!(xml.contains("<testsuite name=\"OrderSaga\""), "{xml}");
    assert_eq!(xml.matches("<failure").count(), 1, "one test for each invariant");
    assert!(xml.contains("--story &quot;0=ok 1=fail&quot;"), "{xml}");
}
