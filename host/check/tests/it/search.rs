//! How far is looked, and what is said of it.

use std::time::Duration;

use sagahost_check::{Bounds, Cut, GivenBounds, explore};

use crate::fixture::{self, check, json};

#[test]
fn more_of_a_bound_is_more_to_look_at() {
    let (program, file) = (fixture::sagas(), fixture::sagas_file(""));
    let states = |faults, crashes, cancels| {
        let given = GivenBounds {
            faults: Some(faults),
            crashes: Some(crashes),
            cancels: Some(cancels),
            ..GivenBounds::default()
        };
        let found = check(&program, &file, "Sequential", given);
        assert!(found.is_proven(), "{:?}", found.findings);
        found.states
    };
    // Without anything that goes wrong there is one way, but for the answers.
    let least = states(0, 0, 0);
    assert!(least < 12, "{least}");
    for more in [states(1, 0, 0), states(0, 1, 0), states(0, 0, 1)] {
        assert!(more > least, "{more} after {least}");
    }
    assert!(states(2, 1, 1) > states(1, 1, 1));
}

#[test]
fn a_search_that_is_cut_off_says_so() {
    let (program, file) = (fixture::sagas(), fixture::sagas_file(""));
    let cut = |given: GivenBounds| check(&program, &file, "TriesTwice", given).cut;
    let none = GivenBounds::default();
    assert!(cut(none.clone()).is_empty());
    assert!(cut(GivenBounds { depth: Some(3), ..none.clone() }).contains(&Cut::Depth));
    assert!(cut(GivenBounds { states: Some(20), ..none.clone() }).contains(&Cut::States));
    assert!(cut(GivenBounds { seconds: Some(0), ..none.clone() }).contains(&Cut::Seconds));
    assert!(cut(GivenBounds { loops: Some(1), ..none }).contains(&Cut::Loops));
}

#[test]
fn two_searches_find_the_same() {
    let (program, file) = (fixture::sagas(), fixture::sagas_file(""));
    for name in ["WrongOrder", "HalfAChild", "Race"] {
        let [one, two] = [(); 2].map(|()| check(&program, &file, name, GivenBounds::default()));
        assert_eq!(
            (one.states, one.steps, &one.ends),
            (two.states, two.steps, &two.ends),
            "{name}"
        );
        let stories = |found: &sagahost_check::Exploration| -> Vec<(String, u64)> {
            found.findings.iter().map(|it| (it.story.clone(), it.count)).collect()
        };
        assert_eq!(stories(&one), stories(&two), "{name}");
    }
}

/// Steps of the test guests, one after the other or all at once.
fn steps(count: usize, parallel: bool) -> String {
    let steps: Vec<String> =
        (0..count).map(|step| format!(r#"{{"dir":"/d","id":"s{step}"}}"#)).collect();
    format!(r#"{{"steps":[{}],"parallel":{parallel}}}"#, steps.join(","))
}

#[test]
fn a_saga_of_ten_steps_is_looked_at_in_full() {
    let program = fixture::program(&["test_guests"]);
    let file = sagahost_check::CheckFile::default();
    let spec = file.spec("StepsSaga").expect("no check file says anything");
    let bounds = Bounds::default();
    let input = json(&steps(10, false));
    let found = explore(&program, "StepsSaga", &input, &spec, &bounds).expect("it runs");
    assert!(found.is_proven(), "{:?} {:?}", found.findings, found.cut);
    assert!(found.states > 2_000, "{found:?}");
    assert!(found.took < Duration::from_secs(60), "{:?}", found.took);
}

#[test]
fn steps_at_the_same_time_end_in_any_order() {
    let program = fixture::program(&["test_guests"]);
    let file = sagahost_check::CheckFile::default();
    let spec = file.spec("StepsSaga").expect("no check file says anything");
    let given = GivenBounds {
        faults: Some(0),
        crashes: Some(0),
        cancels: Some(0),
        ..GivenBounds::default()
    };
    let bounds = Bounds::new(given);
    let input = json(&steps(4, true));
    let found = explore(&program, "StepsSaga", &input, &spec, &bounds).expect("it runs");
    assert!(found.is_proven(), "{:?}", found.findings);
    assert_eq!(found.paths, 24.0, "4! orders");
}

#[test]
fn many_steps_at_the_same_time_take_a_bound_on_their_orders() {
    let program = fixture::program(&["test_guests"]);
    let file = sagahost_check::CheckFile::default();
    let spec = file.spec("StepsSaga").expect("no check file says anything");
    let ways = |orders| {
        let none = Some(0);
        let given = GivenBounds {
            faults: none,
            crashes: none,
            cancels: none,
            orders: Some(orders),
            ..GivenBounds::default()
        };
        let input = json(&steps(8, true));
        let found = explore(&program, "StepsSaga", &input, &spec, &Bounds::new(given));
        let found = found.expect("it runs");
        assert!(found.is_proven(), "{:?}", found.findings);
        found.paths
    };
    // Orders of 8 with 0, up to 1 and up to 2 inversions.
    assert_eq!([ways(0), ways(1), ways(2)], [1.0, 8.0, 35.0]);
}

#[test]
fn a_long_saga_is_not_an_endless_one() {
    let (program, file) = (fixture::sagas(), sagahost_check::CheckFile::default());
    let spec = file.spec("EachItem").expect("a spec");
    let given = GivenBounds {
        faults: Some(1),
        crashes: Some(0),
        cancels: Some(0),
        ..GivenBounds::default()
    };
    let items: Vec<String> = (0..20).map(|item| format!("\"item {item}\"")).collect();
    let input = json(&format!("[{}]", items.join(",")));
    let found = explore(&program, "EachItem", &input, &spec, &Bounds::new(given.clone()));
    let found = found.expect("it runs");
    assert_eq!(found.cut.iter().collect::<Vec<_>>(), [&Cut::Loops]);
    assert!(found.findings.is_empty(), "{:?}", found.findings);
    let more = GivenBounds { loops: Some(20), ..given };
    let found = explore(&program, "EachItem", &input, &spec, &Bounds::new(more));
    assert!(found.expect("it runs").is_proven(), "twenty is enough");
}

#[test]
fn an_input_that_does_not_fit_is_refused() {
    let program = fixture::program(&["test_guests"]);
    let spec = sagahost_check::CheckFile::default().spec("StepsSaga").expect("a spec");
    let error = explore(&program, "StepsSaga", &json("{}"), &spec, &Bounds::default());
    let error = error.expect_err("it has no steps").to_string();
    assert!(error.contains("StepsSaga") && error.contains("steps"), "{error}");
    let none = explore(&program, "Nobody", &json("{}"), &spec, &Bounds::default());
    let none = none.expect_err("there is none").to_string();
    assert!(none.contains("there is no orchestrator `Nobody`"), "{none}");
}
