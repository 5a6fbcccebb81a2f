//! Every block of the guides is run, so that what they say stays true.
//!
//! A page is followed from its beginning to its end, in a folder of its own,
//! by one shell:
//!
//! - `rust` blocks are, one after the other, the `src/lib.rs` of the crate that
//!   the page makes;
//! - `toml` blocks begin with a comment that names the file they are;
//! - `console` blocks are a session: what follows `$ ` is run (and goes on after
//!   `> `), and what is below must be what it prints. `…` stands for anything;
//!   ids, times, durations and sizes may be others. A command must succeed, but
//!   where the next one is `echo $?`. What cargo and rustup print may be left
//!   out.
//! - `sh` blocks are run line by line;
//! - an `ini` block is a systemd unit, whose `ExecStart` must serve;
//! - `js` and `python` blocks are programs that use a published client, and are
//!   run by `clients.rs`.
//!
//! Any other block fails the test. `sagahost serve` is left running in the
//! background; a page on which nobody calls it finds the sample running. The
//! two commands of the README are not run here, as one of them runs this test.

mod compare;
mod session;

use std::process::Command;

use self::session::Session;
use crate::support::*;

/// The pages, each with a port of its own. The ports are below those that the
/// system hands out.
const PAGES: [(&str, u16); 10] = [
    ("README.md", 17_101),
    ("docs/activities.md", 17_102),
    ("docs/orchestrators.md", 17_103),
    ("docs/manifest.md", 17_104),
    ("docs/cli.md", 17_105),
    ("docs/http.md", 17_106),
    ("docs/service.md", 17_107),
    ("docs/check.md", 17_108),
    ("docs/entities.md", 17_109),
    ("docs/monitoring.md", 17_111),
];

/// Pages that only tell, and have nothing to run.
const TOLD: [&str; 4] = ["ARCHITECTURE.md", "CHANGELOG.md", "docs/performance.md", "docs/undo.md"];

/// The commands of the README that are not run here.
const OURSELVES: [&str; 2] = ["cargo run --release -- dev", "cargo test"];

#[test]
fn the_readme_is_true() {
    let commands = follow("README.md");
    for command in OURSELVES {
        assert!(commands.iter().any(|said| said == command), "the README does not say `{command}`");
    }
}

#[test]
fn the_page_on_activities_is_true() {
    follow("docs/activities.md");
}

#[test]
fn the_page_on_orchestrators_is_true() {
    follow("docs/orchestrators.md");
}

#[test]
fn the_page_on_the_manifest_is_true() {
    follow("docs/manifest.md");
}

#[test]
fn the_page_on_the_command_line_is_true() {
    follow("docs/cli.md");
}

#[test]
fn the_page_on_http_is_true() {
    follow("docs/http.md");
}

#[test]
fn the_page_on_the_service_is_true() {
    follow("docs/service.md");
}

#[test]
fn the_page_on_checking_is_true() {
    follow("docs/check.md");
}

#[test]
fn the_page_on_entities_is_true() {
    follow("docs/entities.md");
}

#[test]
fn the_page_on_monitoring_is_true() {
    follow("docs/monitoring.md");
}

#[test]
fn every_page_is_followed() {
    let mut pages: Vec<String> = std::fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| format!("docs/{}", entry.unwrap().file_name().to_string_lossy()))
        .filter(|path| path.ends_with(".md"))
        .chain(["README.md".to_owned()])
        .collect();
    pages.sort();
    let mut followed = PAGES.map(|(page, _)| page);
    followed.sort();
    pages.retain(|page| !TOLD.contains(&&**page));
    assert_eq!(pages, followed);
    for page in TOLD {
        assert!(blocks(&read(page)).is_empty(), "{page} has blocks, and nobody runs them");
    }
}

#[test]
fn every_command_and_argument_is_in_the_guide() {
    let page = read("docs/cli.md");
    let help = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_sagahost"))
            .args(arguments)
            .arg("--help")
            .output()
            .unwrap();
        text(&output.stdout)
    };
    let all = help(&[]);
    let commands: Vec<&str> = all
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() >= 15, "{all}");
    for command in commands {
        assert!(
            page.contains(&format!("## sagahost {command}\n")),
            "docs/cli.md has no section on {command}"
        );
        let help = help(&[command]);
        let flags = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
        for flag in flags.flat_map(str::split_whitespace).filter(|word| word.starts_with("--")) {
            let flag = flag.trim_end_matches(',');
            if !["--help", "--version"].contains(&flag) {
                assert!(page.contains(flag), "docs/cli.md does not mention {flag} of {command}");
            }
        }
    }
}

#[test]
fn every_key_of_the_manifest_is_in_the_guide() {
    let page = read("docs/manifest.md");
    let dir = tempfile::tempdir().unwrap();
    let manifest = dir.path().join("sagahost.toml");
    for (wrong, least) in [
        ("surely-unknown = 1", 6),
        ("[host]\nsurely-unknown = 1", 9),
        ("[[functions]]\nnames = [\"A\"]\nsurely-unknown = 1", 12),
        (
            "[[functions]]\nnames = [\"A\"]\ndirs = [{ host = \"a\", guest = \"/a\", surely-unknown = 1 }]",
            3,
        ),
        ("[[functions]]\nnames = [\"A\"]\nretry = { surely-unknown = 1 }", 7),
        ("[[routes]]\nstart = \"A\"\npath = \"/a\"\nsurely-unknown = 1", 7),
        ("[[schedules]]\nstart = \"A\"\ncron = \"* * * * *\"\nsurely-unknown = 1", 6),
        ("[retention]\nsurely-unknown = 1", 4),
        ("[dev]\nsurely-unknown = 1", 5),
    ] {
        std::fs::write(&manifest, wrong).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sagahost"));
        let output = command.args(["build", "--config"]).arg(&manifest).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        let keys = said.split_once("expected").unwrap_or_else(|| panic!("{said}")).1;
        let keys: Vec<&str> = keys.split('`').skip(1).step_by(2).collect();
        assert!(keys.len() >= least, "{said}");
        for key in keys {
            assert!(
                page.contains(&format!("`{key}`")) || page.contains(&format!("[{key}]")),
                "docs/manifest.md does not mention {key}"
            );
        }
    }
}

#[test]
fn every_route_is_in_the_guide() {
    let page = read("docs/http.md");
    let server = Site::new(&[]).serve();
    let document = server.client().get("/openapi.json").body;
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 10, "only {} paths are described", paths.len());
    for (path, methods) in paths {
        let path = path.replace("/runtime/webhooks/durabletask", "{base}");
        for method in methods.as_object().unwrap().keys() {
            let route = format!("`{} {path}`", method.to_ascii_uppercase());
            assert!(page.contains(&route), "docs/http.md does not mention {route}");
        }
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A fenced block.
pub struct Block {
    pub language: String,
    /// Where it begins in its page.
    line: usize,
    pub text: String,
}

pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (number, line) in page.lines().enumerate() {
        match line.trim_start().strip_prefix("```") {
            Some(_) if open => open = false,
            Some(language) => {
                open = true;
                blocks.push(Block {
                    language: language.to_owned(),
                    line: number + 1,
                    text: String::new(),
                });
            }
            None if open => {
                let block = blocks.last_mut().expect("one is open");
                block.text.push_str(line);
                block.text.push('\n');
            }
            None => {}
        }
    }
    assert!(!open, "a block does not end");
    blocks
}

/// Does all that a page says, and gives the commands that were not run.
fn follow(name: &str) -> Vec<String> {
    let (_, port) = PAGES.into_iter().find(|(page, _)| *page == name).unwrap();
    let page = read(name);
    let blocks = blocks(&page);
    assert!(!blocks.is_empty(), "{name} has nothing to run");
    let serves = page.lines().any(|line| line.starts_with("$ sagahost serve"));
    let mut session = Session::new(name, port);
    let of = |language: &'static str| blocks.iter().filter(move |block| block.language == language);
    session
        .write("src/lib.rs", &of("rust").map(|block| &*block.text).collect::<Vec<_>>().join("\n"));
    if of("toml").any(|block| block.text.starts_with("# Cargo.toml\n")) {
        session.make_crate();
    } else if !serves {
        session.sample();
    }
    let mut not_run = Vec::new();
    for block in &blocks {
        session.place = format!("{name}:{}", block.line);
        match block.language.as_str() {
            "rust" => {
                assert!(of("toml").next().is_some(), "{}: the page makes no crate", session.place)
            }
            "toml" => session.file(block, serves),
            "console" => session.console(&block.text),
            "sh" => {
                for command in block.text.lines() {
                    if OURSELVES.contains(&command) {
                        not_run.push(command.to_owned());
                    } else {
                        let (_, status) = session.run(command);
                        assert_eq!(status, 0, "{}: {command}", session.place);
                    }
                }
            }
            "ini" => session.unit(&block.text),
            "js" | "python" => {}
            other => panic!("{}: nobody runs blocks in {other:?}", session.place),
        }
    }
    not_run
}
