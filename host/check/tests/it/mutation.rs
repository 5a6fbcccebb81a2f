//! Sagas that are right, and sagas with one fault each: which is which stands
//! in `tests/sagas/README.md`.

use sagahost_check::GivenBounds;

use crate::fixture;

/// A line of the tables: the orchestrator, what is expected of it, and what
/// else may be found.
struct Expected {
    name: String,
    rule: String,
    also: Vec<String>,
}

fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn expected() -> Vec<Expected> {
    let text = fixture::file("tests/sagas/README.md");
    let lines = text.lines().filter(|line| line.starts_with("| `"));
    let rows = lines.filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let name = quoted(cells[0]).pop()?;
        if !name.starts_with(char::is_uppercase) {
            return None;
        }
        let right = cells[1] == "right";
        let also = if right { Vec::new() } else { quoted(cells[2]) };
        let rule = if right { "right".to_owned() } else { quoted(cells[1]).concat() };
        Some(Expected { name, rule, also })
    });
    rows.collect()
}

#[test]
fn each_fault_is_found_and_nothing_else() {
    let (program, file) = (fixture::sagas(), fixture::sagas_file(""));
    let expected = expected();
    let count = |right: bool| expected.iter().filter(|it| (it.rule == "right") == right).count();
    assert!(count(true) >= 12 && count(false) >= 12, "{} and {}", count(true), count(false));
    let mut wrong = Vec::new();
    for Expected { name, rule, also } in &expected {
        let found = fixture::check(&program, &file, name, GivenBounds::default());
        let rules = fixture::rules(&found);
        if rule == "right" {
            if !found.is_proven() {
                let first = found.findings.first().map(|it| (&it.detail, &it.story));
                wrong.push(format!("{name} is right, found {rules:?}: {first:?}, {:?}", found.cut));
            }
            continue;
        }
        if !rules.contains(&rule.as_str()) {
            wrong.push(format!("{name}: {rule} was not found, only {rules:?}"));
        }
        for extra in rules.iter().filter(|it| *it != rule && !also.iter().any(|ok| ok == *it)) {
            wrong.push(format!("{name}: {extra} was found beside {rule}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Those that are in the component and not in the tables are only there to
    // be children.
    let names: Vec<&str> = expected.iter().map(|it| it.name.as_str()).collect();
    let unlisted = program.orchestrators().into_iter().filter(|it| !names.contains(&it.as_str()));
    assert_eq!(unlisted.collect::<Vec<_>>(), Vec::<String>::new());
}
