//! One page while it is followed: its folder, its shell, its host.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::Block;
use super::compare::{fits, mask};
use crate::support::*;

/// What the guides call the host.
const ADDRESS: &str = "127.0.0.1:7071";

/// How long something that is going on may take until it is as the page shows.
const GOING_ON: Duration = Duration::from_secs(30);

/// How long one command may take: it may build a crate.
const LONGEST: Duration = Duration::from_secs(900);

/// One page while it is followed.
pub(super) struct Session {
    dir: tempfile::TempDir,
    shell: Child,
    input: ChildStdin,
    output: mpsc::Receiver<String>,
    address: String,
    /// Where in the page it is, for messages.
    pub(super) place: String,
}

impl Session {
    pub(super) fn new(page: &str, port: u16) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("src")).unwrap();
        let bin = Path::new(env!("CARGO_BIN_EXE_sagahost")).parent().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let address = format!("127.0.0.1:{port}");
        let mut shell = Command::new("sh")
            .current_dir(dir.path())
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("SAGAHOST_URL", format!("http://{address}"))
            .env("LC_ALL", "C.UTF-8")
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, output) = mpsc::channel();
        let stdout = BufReader::new(shell.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.split(b'\n').map_while(Result::ok) {
                let _ = sender.send(text(&line));
            }
        });
        let mut input = shell.stdin.take().unwrap();
        writeln!(input, "exec 2>&1").unwrap();
        Session { dir, shell, input, output, address, place: page.to_owned() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        let text = text.replace(ADDRESS, &self.address);
        let sdk = root().join("guest-sdk").display().to_string();
        std::fs::write(self.path(name), text.replace("../sagahost/guest-sdk", &sdk)).unwrap();
    }

    /// The sample, as it runs in a checkout.
    pub(super) fn sample(&mut self) {
        let functions = self.path(".sagahost/functions");
        std::fs::create_dir_all(&functions).unwrap();
        for component in ["guest_activities.wasm", "guest_orchestrator.wasm"] {
            std::fs::copy(guests().join(component), functions.join(component)).unwrap();
        }
        for file in ["sagahost.toml", "check.toml"] {
            std::fs::copy(root().join(file), self.path(file)).unwrap();
        }
        std::fs::create_dir_all(self.path("target/release")).unwrap();
        std::os::unix::fs::symlink(
            env!("CARGO_BIN_EXE_sagahost"),
            self.path("target/release/sagahost"),
        )
        .unwrap();
        let (said, status) = self.serve("sagahost serve");
        assert_eq!(status, 0, "{}: {said}", self.place);
    }

    /// Builds of crates are kept from one run to the next.
    pub(super) fn make_crate(&self) {
        let target = root().join("target/docs");
        std::fs::create_dir_all(&target).unwrap();
        std::os::unix::fs::symlink(target, self.path("target")).unwrap();
        std::fs::copy(root().join("Cargo.lock"), self.path("Cargo.lock")).unwrap();
    }

    /// A `toml` block.
    pub(super) fn file(&self, block: &Block, serves: bool) {
        let first = block.text.lines().next().unwrap_or_default();
        match first {
            "# Cargo.toml" => self.write("Cargo.toml", &block.text),
            "# check.toml" => self.write("check.toml", &block.text),
            // That it is right is seen when the host starts with it.
            "# sagahost.toml" if serves => self.write("sagahost.toml", &block.text),
            "# sagahost.toml" => panic!("{}: no host is started with this manifest", self.place),
            _ => panic!("{}: the block does not begin with the name of its file", self.place),
        }
    }

    pub(super) fn console(&mut self, session: &str) {
        let mut commands: Vec<(String, Vec<&str>)> = Vec::new();
        for line in session.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                commands.push((command.to_owned(), Vec::new()));
                continue;
            }
            let (command, output) =
                commands.last_mut().expect("a console block begins with a command");
            match line.strip_prefix("> ").or_else(|| (line == ">").then_some("")) {
                Some(more) if output.is_empty() => {
                    command.push('\n');
                    command.push_str(more);
                }
                _ => output.push(line),
            }
        }
        let mut may_fail =
            commands.iter().skip(1).map(|(next, _)| next == "echo $?").collect::<Vec<_>>();
        may_fail.push(false);
        for ((command, expected), may_fail) in commands.iter().zip(may_fail) {
            self.command(command, &expected.join("\n"), may_fail);
        }
    }

    /// Runs a command, and compares what it prints. What only reads is read
    /// again until it is so: it may be about something that is going on.
    fn command(&mut self, command: &str, expected: &str, may_fail: bool) {
        if command.starts_with("curl ") && !has_curl() {
            eprintln!("{}: not run, because there is no curl here: {command}", self.place);
            return;
        }
        let changes = [" -X ", " -d ", " -i "].iter().any(|flag| command.contains(flag));
        let asks = [
            "curl ",
            "sagahost status",
            "sagahost list",
            "sagahost undo",
            "sagahost entity get",
            "sagahost entity list",
        ];
        let reads = asks
            .iter()
            .any(|start| command.trim_start_matches("./target/release/").starts_with(start));
        let begun = Instant::now();
        loop {
            let (said, status) = match command.starts_with("sagahost serve") {
                true => self.serve(command),
                false => self.run(command),
            };
            let noise = expected.is_empty()
                && ["cargo ", "rustup "].iter().any(|start| command.starts_with(start));
            let right = noise || fits(&mask(expected), &mask(&said));
            if right && (status == 0 || may_fail) {
                return;
            }
            if !reads || changes || begun.elapsed() > GOING_ON {
                let place = &self.place;
                panic!(
                    "{place}: $ {command}\n-- exit {status}, and printed\n{said}\n-- the page says\n{expected}\n-- masked\n{}",
                    mask(&said)
                );
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Runs a command in the page's shell: what it printed, and its status.
    pub(super) fn run(&mut self, command: &str) -> (String, i32) {
        const END: &str = "@@ the command ended with";
        let command = command.replace(ADDRESS, &self.address);
        // The status stays what it was, for `echo $?`.
        let framed = format!(
            "{{ {command}\n}} </dev/null\nended=$?; printf '\\n%s %d\\n' '{END}' $ended; (exit $ended)\n"
        );
        self.input.write_all(framed.as_bytes()).unwrap();
        let mut said: Vec<String> = Vec::new();
        loop {
            let line = self.output.recv_timeout(LONGEST);
            let line = line.unwrap_or_else(|error| {
                panic!("{}: {command}: {error}: {}", self.place, said.join("\n"))
            });
            if let Some(status) = line.strip_prefix(END) {
                let said = said.join("\n").replace(&self.address, ADDRESS);
                return (said.trim_end().to_owned(), status.trim().parse().unwrap());
            }
            said.push(line);
        }
    }

    /// Starts a host and lets it run: what it printed until it listened. Or
    /// what it printed and its status, where it did not come to that.
    pub(super) fn serve(&mut self, command: &str) -> (String, i32) {
        self.stop();
        let listen = match command.contains("--listen") {
            true => String::new(),
            false => format!(" --listen {}", self.address),
        };
        let _ = std::fs::remove_file(self.path("serve.log"));
        let started = format!(
            "{{ {command}{listen} & echo $! >serve.pid; wait $!; echo \"@@ $?\"; }} >serve.log 2>&1 &"
        );
        assert_eq!(self.run(&started).1, 0);
        let log = self.path("serve.log");
        let (said, status) = eventually(&format!("{}: {command}: it listens", self.place), || {
            let said = std::fs::read_to_string(&log).ok()?;
            let shown = said.replace(&self.address, ADDRESS);
            match said.split_once("@@ ") {
                Some((_, status)) => {
                    let shown = shown.split("@@ ").next().unwrap_or_default().trim_end().to_owned();
                    Some((shown, status.trim().parse().ok()?))
                }
                None => {
                    said.contains("sagahost listens on").then(|| (shown.trim_end().to_owned(), 0))
                }
            }
        });
        // For `echo $?`.
        self.run(&format!("(exit {status})"));
        (said, status)
    }

    /// Ends the host that runs, if one does.
    fn stop(&self) {
        if let Ok(pid) = std::fs::read_to_string(self.path("serve.pid")) {
            let killed =
                Command::new("kill").args(["-9", pid.trim()]).stderr(Stdio::null()).status();
            if killed.is_ok_and(|status| status.success()) {
                // Until then it holds the data directory and the port.
                let end = self.path("serve.log");
                eventually("the host is gone", || {
                    std::fs::read_to_string(&end).ok()?.contains("@@ ").then_some(())
                });
            }
            let _ = std::fs::remove_file(self.path("serve.pid"));
        }
    }

    /// A systemd unit: what it runs must run, here with folders of this page.
    pub(super) fn unit(&mut self, unit: &str) {
        let line = unit
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart="))
            .expect("a unit starts something");
        let (program, arguments) = line.split_once(' ').unwrap();
        assert!(program.ends_with("/sagahost"), "{program}");
        std::fs::create_dir_all(self.path("etc")).unwrap();
        std::fs::write(self.path("etc/sagahost.toml"), "").unwrap();
        let here = arguments.replace("/etc/sagahost/", "etc/").replace("/var/lib/sagahost", "lib");
        let (said, status) = self.serve(&format!("sagahost {here}"));
        assert_eq!(status, 0, "{}: {said}", self.place);
        // The options of the sandbox are systemd's own to judge.
        let here = unit.replace(program, env!("CARGO_BIN_EXE_sagahost"));
        self.write("sagahost.service", &here);
        let mut verify = Command::new("systemd-analyze");
        match verify.args(["verify", "--man=no"]).arg(self.path("sagahost.service")).output() {
            Ok(output) => {
                let said = text(&output.stderr);
                // Without systemd running it complains about the machine.
                let ours: Vec<&str> =
                    said.lines().filter(|line| line.contains("sagahost.service")).collect();
                assert!(ours.is_empty(), "{}: {ours:?}", self.place);
            }
            Err(error) => eprintln!("{}: the unit was not verified: {error}", self.place),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.stop();
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

fn has_curl() -> bool {
    Command::new("curl")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
