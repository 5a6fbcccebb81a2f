//! Components to check, built.

use std::path::{Path, PathBuf};

use sagahost_check::{Bounds, CheckFile, Exploration, GivenBounds, Program, explore};
use sagahost_core::Json;
use sagahost_test_support::guests;

/// These components, loaded. Machine code is shared by all tests.
pub(crate) fn program(names: &[&str]) -> Program {
    let files: Vec<PathBuf> =
        names.iter().map(|name| guests().join(format!("{name}.wasm"))).collect();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("components");
    Program::load(&files, None, Some(&cache)).unwrap_or_else(|error| panic!("{error}"))
}

/// The sagas that are right or broken, on purpose.
pub(crate) fn sagas() -> Program {
    program(&["test_sagas"])
}

/// A file of the repository.
pub(crate) fn file(path: &str) -> String {
    let path = sagahost_test_support::root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What the check file of the sagas says, and more.
pub(crate) fn sagas_file(more: &str) -> CheckFile {
    let text = format!("{}\n{more}", file("tests/sagas/check.toml"));
    CheckFile::parse(&text).unwrap_or_else(|error| panic!("{error}"))
}

/// Checks one orchestrator with the first input there is.
pub(crate) fn check(
    program: &Program,
    file: &CheckFile,
    name: &str,
    given: GivenBounds,
) -> Exploration {
    let spec = file.spec(name).unwrap_or_else(|error| panic!("{error}"));
    let made = || program.made_input(name).expect("there is one");
    let input = spec.inputs.first().cloned().unwrap_or_else(made);
    let bounds = Bounds::new(given.or(&spec.bounds));
    explore(program, name, &input, &spec, &bounds).unwrap_or_else(|error| panic!("{error}"))
}

/// The names of what was found.
pub(crate) fn rules(found: &Exploration) -> Vec<&str> {
    let mut rules: Vec<&str> = found.findings.iter().map(|it| it.rule.name()).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

pub(crate) fn json(text: &str) -> Json {
    Json::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}
