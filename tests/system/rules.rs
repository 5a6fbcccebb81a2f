//! Rules that hold for the repository as a whole, found out by reading it.

use std::path::{Path, PathBuf};

use crate::support::root;

/// The most lines of a file of code: more is more than one subject.
const LONGEST: usize = 500;

/// Files that may be longer, and why.
const LONGER: [(&str, &str); 0] = [];

/// Where our files are.
const FOLDERS: [&str; 9] = [
    ".ci",
    "bench",
    "docs",
    "guest-activities",
    "guest-orchestrator",
    "guest-sdk",
    "host",
    "tests",
    "wit",
];

/// All files of ours, with their paths in the repository.
fn files() -> Vec<(String, String)> {
    let mut paths = Vec::new();
    for folder in FOLDERS {
        walk(&root().join(folder), &mut paths);
    }
    let top = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    paths.extend(top.filter(|path| path.is_file()));
    let texts = paths.into_iter().filter_map(|path| {
        let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        Some((name, std::fs::read_to_string(path).ok()?))
    });
    texts.collect()
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            walk(&path, paths);
        } else if path.is_file() {
            paths.push(path);
        }
    }
}

fn code() -> Vec<(String, String)> {
    let all = files();
    let code: Vec<_> = all.into_iter().filter(|(name, _)| name.ends_with(".rs")).collect();
    assert!(code.len() > 100, "only {} files of code were found", code.len());
    code
}

#[test]
fn nothing_is_left_from_trying_things_out() {
    // Put together, so that this file is not found itself.
    let stray = ["dbg", "todo", "unimplemented"].map(|name| format!("{name}!("));
    for (name, text) in code() {
        for (number, line) in text.lines().enumerate() {
            let found = stray.iter().find(|stray| line.trim_start().contains(stray.as_str()));
            assert!(found.is_none(), "{name}:{}: {line}", number + 1);
        }
    }
}

#[test]
fn files_are_short() {
    for (name, text) in code() {
        let lines = text.lines().count();
        let exception = LONGER.iter().find(|(path, _)| *path == name);
        match exception {
            None => assert!(
                lines <= LONGEST,
                "{name} has {lines} lines: split it by subject, or give a reason here"
            ),
            Some((_, reason)) => {
                assert!(lines > LONGEST, "{name} is short again, `{reason}` is needed no more")
            }
        }
    }
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let places = ["work", "root", "home"].map(|name| format!("/{name}/"));
    for (name, text) in files() {
        for (number, line) in text.lines().enumerate() {
            for place in &places {
                assert!(!line.contains(place.as_str()), "{name}:{}: {line}", number + 1);
            }
        }
    }
}

#[test]
fn every_link_leads_somewhere_and_every_guide_is_linked() {
    let pages: Vec<_> = files().into_iter().filter(|(name, _)| name.ends_with(".md")).collect();
    let readme = &pages.iter().find(|(name, _)| name == "README.md").unwrap().1;
    for (name, text) in &pages {
        if name.starts_with("docs/") {
            assert!(readme.contains(&format!("({name})")), "README.md does not link to {name}");
        }
        let folder = root().join(name).parent().unwrap().to_owned();
        for link in links(text) {
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { root().join(name) } else { folder.join(path) };
            assert!(target.exists(), "{name}: {link} leads nowhere");
            if !anchor.is_empty() {
                let target = std::fs::read_to_string(&target).unwrap();
                let found = target
                    .lines()
                    .filter_map(|line| line.strip_prefix('#'))
                    .any(|line| anchor_of(line) == anchor);
                assert!(found, "{name}: {link} leads to no heading");
            }
        }
    }
}

/// What stands before the address of a link or a picture, and after it.
const MARKS: [(&str, char); 3] = [("](", ')'), ("src=\"", '"'), ("srcset=\"", '"')];

/// Where links lead, and where pictures are.
fn links(text: &str) -> Vec<&str> {
    fn after<'a>(line: &'a str, (mark, end): (&str, char)) -> Vec<&'a str> {
        line.split(mark).skip(1).filter_map(|rest| rest.split(end).next()).collect()
    }
    let mut inside = false;
    let prose = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    });
    prose.flat_map(|line| MARKS.iter().flat_map(move |mark| after(line, *mark))).collect()
}

/// What a heading is called in a link.
fn anchor_of(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim();
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn the_licence_is_the_one_the_crates_name() {
    let text = std::fs::read_to_string(root().join("LICENSE")).unwrap();
    assert!(text.contains("Apache License") && text.contains("Version 2.0"));
    let cargo = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(cargo.contains("license = \"Apache-2.0\""));
}
