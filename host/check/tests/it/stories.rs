//! Stories, told again.

use sagahost_check::{Bounds, Exploration, GivenBounds, Program, tell};

use crate::fixture::{self, check};

fn retold(program: &Program, found: &Exploration, story: &str) -> Result<String, String> {
    let spec = fixture::sagas_file("").spec(&found.orchestrator).expect("a spec");
    let told = tell(program, &found.orchestrator, &found.input, &spec, &Bounds::default(), story);
    told.map(|story| story.text()).map_err(|error| error.to_string())
}

#[test]
fn every_story_shows_its_fault() {
    let (program, file) = (fixture::sagas(), fixture::sagas_file(""));
    let names = [
        "NoUndo",
        "WrongOrder",
        "UndoesTwice",
        "UndoesWhatNeverWas",
        "BesidePivot",
        "LostBranch",
        "PanicsOnNo",
        "OnceOnly",
        "HalfAChild",
        "PivotInChild",
        "KeepsTheCar",
    ];
    for name in names {
        let found = check(&program, &file, name, GivenBounds::default());
        assert!(!found.findings.is_empty(), "{name}");
        for finding in &found.findings {
            let text = retold(&program, &found, &finding.story).expect("it is a story");
            let line = format!("{}: {}", finding.rule.name(), finding.detail);
            assert!(text.contains(&line), "`{line}` of {name} is not in\n{text}");
        }
    }
}

#[test]
fn a_story_may_go_beyond_the_bounds() {
    let (program, file) = (fixture::sagas(), fixture::sagas_file(""));
    let found = check(&program, &file, "Sequential", GivenBounds::default());
    let long = "crash crash+0 crash cancel 0=stopped+ crash u0=again time u0=unknown- u0=done";
    let text = retold(&program, &found, long).expect("it can happen");
    assert!(text.contains("Sequential ends Canceled"), "{text}");
    assert!(text.contains("a person does"), "{text}");
}

#[test]
fn what_cannot_happen_is_no_story() {
    let (program, file) = (fixture::sagas(), fixture::sagas_file(""));
    let found = check(&program, &file, "Sequential", GivenBounds::default());
    let wrong = |story| retold(&program, &found, story).expect_err("it cannot happen");
    let late = wrong("0=ok 0=ok");
    assert!(late.contains("`0=ok` cannot happen there; what can happen is 1=ok"), "{late}");
    assert!(wrong("so it goes").contains("`so` cannot happen there"));
    assert!(wrong("7/0=ok").contains("cannot happen"));
    assert!(wrong("time").contains("cannot happen"));
    assert!(wrong("0=fail 0=ok").contains("nothing can happen any more"));
}
