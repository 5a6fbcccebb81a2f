//! The clients of Durable Functions, as they are published, drive a host. What
//! they are told to do stands in `tests/clients`.
//!
//! They are installed below `target/`, once for each list of versions.

use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::support::*;

/// How long a registry may take to hand out a client.
const INSTALL: Duration = Duration::from_secs(300);

/// How long a script of checks may take.
const RUN: Duration = Duration::from_secs(300);

fn scripts(language: &str) -> PathBuf {
    root().join("tests/clients").join(language)
}

/// Runs a command and gives what it printed. One that takes longer than
/// `longest` is killed.
pub fn run_within(mut command: Command, longest: Duration) -> Result<(ExitStatus, String), String> {
    let shown = format!("{command:?}");
    let (mut reader, writer) = std::io::pipe().map_err(|error| format!("{shown}: {error}"))?;
    let both = writer.try_clone().map_err(|error| format!("{shown}: {error}"))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(both)
        .spawn()
        .map_err(|error| format!("{shown} does not start: {error}"))?;
    // The ends it holds are those of the child: while they are open, reading
    // what the child printed does not end.
    drop(command);
    let printed = std::thread::spawn(move || {
        let mut printed = Vec::new();
        let _ = reader.read_to_end(&mut printed);
        text(&printed)
    });
    let start = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if start.elapsed() > longest => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
            Err(error) => return Err(format!("{shown}: {error}")),
        }
    };
    match status {
        Some(status) => Ok((status, printed.join().unwrap_or_default())),
        // Whatever it started may hold the pipe open still.
        None => Err(format!("{shown} did not end within {longest:?}")),
    }
}

/// What a program prints about itself.
pub fn version(program: &str, needed: &str) -> String {
    let mut command = Command::new(program);
    command.arg("--version");
    match run_within(command, INSTALL) {
        Ok((status, printed)) if status.success() => printed.trim().to_owned(),
        Ok((_, printed)) => panic!("{program} does not work; {needed}: {printed}"),
        Err(error) => panic!("{needed}: {error}"),
    }
}

/// The folder of what is installed for these words (versions, and the text
/// of the lists), where `install` puts it if it is not there.
pub fn installed(
    language: &str,
    words: &[&[u8]],
    advice: &str,
    install: impl FnOnce(&Path) -> Command,
) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    words.hash(&mut hasher);
    let name = format!("{:016x}", hasher.finish());
    let all = root().join("target/clients");
    std::fs::create_dir_all(&all).expect("a folder below target/");
    // One at a time, also of several test programs.
    let lock = File::create(all.join(format!("{language}.lock"))).expect("a lock");
    lock.lock().expect("it is locked");
    let folder = all.join(format!("{language}-{name}"));
    if folder.is_dir() {
        return folder;
    }
    // It gets its name once it is whole.
    let partial = all.join(format!("{language}-{name}.partial"));
    let _ = std::fs::remove_dir_all(&partial);
    std::fs::create_dir(&partial).expect("a folder");
    match run_within(install(&partial), INSTALL) {
        Ok((status, _)) if status.success() => {}
        Ok((_, printed)) => panic!("{advice}\n{printed}"),
        Err(error) => panic!("{advice}\n{error}"),
    }
    std::fs::rename(&partial, &folder).expect("it is renamed");
    folder
}

/// The packages for JavaScript.
fn packages_for_node() -> PathBuf {
    let needed = "the tests drive the host with the npm package durable-functions, for which \
                  node and npm (20 or newer) have to be on the PATH";
    let node = version("node", needed);
    version("npm", needed);
    let lists = ["package.json", "package-lock.json"];
    let texts = lists.map(|list| std::fs::read(scripts("node").join(list)).expect("it is there"));
    let words = [node.as_bytes(), &texts[0], &texts[1]];
    let advice = "npm could not install durable-functions and what it needs; the registry that \
                  `npm config get registry` names has to be reachable at the first run";
    let folder = installed("node", &words, advice, |to| {
        for list in lists {
            std::fs::copy(scripts("node").join(list), to.join(list)).expect("it is copied");
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
        npm.current_dir(to);
        npm
    });
    folder.join("node_modules")
}

/// The packages for Python.
fn packages_for_python() -> PathBuf {
    let needed = "the tests drive the host with the PyPI package azure-functions-durable, for \
                  which python3 (3.10 or newer) with pip has to be on the PATH";
    let python = version("python3", needed);
    let list = scripts("python").join("requirements.txt");
    let words = [python.as_bytes(), &std::fs::read(&list).expect("it is there")];
    let advice = "pip could not install azure-functions-durable and what it needs; python3 needs \
                  pip (`python3 -m pip --version`; on Debian the package python3-pip), and the \
                  package index has to be reachable at the first run";
    installed("python", &words, advice, |to| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--no-input"]);
        pip.args(["--disable-pip-version-check", "--only-binary", ":all:", "--target"]);
        pip.arg(to).arg("--requirement").arg(list);
        pip
    })
}

/// Runs a script of checks on a new host; fails with what it printed where a
/// check fails, or where there are fewer than `least`.
fn drive(mut script: Command, arguments: &[&str], least: usize) {
    let site = Site::new(&["guest_activities", "guest_orchestrator", "test_guests"]);
    let server = site.serve();
    script.arg(&server.url).args(arguments);
    let (status, printed) = run_within(script, RUN).unwrap_or_else(|error| panic!("{error}"));
    let passed = printed.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(status.success() && passed >= least, "{passed} checks passed, {status}:\n{printed}");
}

fn node(script: &str) -> Command {
    let packages = packages_for_node();
    let mut node = Command::new("node");
    node.arg(scripts("node").join(script)).env("NODE_PATH", packages);
    node
}

pub fn python(script: &str) -> Command {
    let packages = packages_for_python();
    let mut python = Command::new("python3");
    // No compiled files beside the sources, nothing of the user's own packages.
    python.args(["-B", "-s"]).arg(scripts("python").join(script));
    python.env("PYTHONPATH", packages).env("PYTHONIOENCODING", "utf-8");
    python
}

#[test]
fn the_javascript_client_drives_the_host() {
    drive(node("checks.mjs"), &["rpc"], 19);
}

#[test]
fn the_javascript_client_drives_the_host_by_the_urls_it_is_given() {
    drive(node("checks.mjs"), &["urls"], 19);
}

#[test]
fn the_python_client_drives_the_host() {
    drive(python("checks.py"), &[], 20);
}

#[test]
fn the_javascript_client_signals_and_reads_entities() {
    drive(node("entities.mjs"), &["rpc"], 9);
}

#[test]
fn the_javascript_client_signals_and_reads_entities_by_the_urls_it_is_given() {
    drive(node("entities.mjs"), &["urls"], 9);
}

#[test]
fn the_python_client_signals_and_reads_entities() {
    drive(python("entities.py"), &[], 9);
}

/// The example of this language in the guide to the HTTP API, for this host.
fn example(language: &str, server: &Server) -> String {
    let page = std::fs::read_to_string(root().join("docs/http.md")).expect("it is there");
    let block = crate::docs::blocks(&page).into_iter().find(|block| block.language == language);
    let text = block.unwrap_or_else(|| panic!("docs/http.md has no block in {language}")).text;
    let here = text.replace("http://127.0.0.1:7071", &server.url);
    assert_ne!(here, text, "it says where the host is");
    here
}

#[test]
fn the_examples_of_the_guide_do_what_they_say() {
    let site = Site::new(&["guest_activities", "guest_orchestrator"]);
    let server = site.serve();
    let folder = site.path("files");
    let run = |language: &str, file: &str, mut program: Command| {
        let text = example(language, &server);
        let says = text.lines().find_map(|line| line.split_once("prints ")).map(|(_, says)| says);
        let says = says.unwrap_or_else(|| panic!("the example in {language} tells of no output"));
        std::fs::write(folder.join(file), &text).expect("it is written");
        program.arg(folder.join(file));
        let (status, printed) = run_within(program, RUN).unwrap_or_else(|error| panic!("{error}"));
        let said = printed.lines().any(|line| line == says);
        assert!(status.success() && said, "{language}, {status}:\n{printed}");
    };
    std::os::unix::fs::symlink(packages_for_node(), folder.join("node_modules")).expect("a link");
    run("js", "example.mjs", Command::new("node"));
    let mut python = Command::new("python3");
    python.args(["-B", "-s"]).env("PYTHONPATH", packages_for_python());
    run("python", "example.py", python);
}
