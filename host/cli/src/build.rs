//! `sagahost build`, and the build step of `sagahost dev`.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::process::Command;

use crate::exit::{Exit, fail};
use crate::manifest::Loaded;
use crate::output::{self, Paint};
use crate::units::took;

/// How long fetching a target may take. Without a network, rustup waits much
/// longer before it says so.
const FETCH_TARGET: Duration = Duration::from_secs(120);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Makes sure that the targets which the commands name (wasm32-wasip2) are there,
runs the commands of `[dev] build` in the manifest, in order, and copies what
they made (`[dev] components`) into the functions folder.

Exit codes: 0 built, 1 a command failed, 2 the manifest is wrong.")]
pub(crate) struct BuildArgs {
    /// The manifest [default: ./sagahost.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The functions folder [default: the manifest's, else
    /// .sagahost/functions]
    #[arg(long, value_name = "DIR")]
    functions: Option<PathBuf>,
    // Not offered: it is refused in `lib.rs`.
    #[arg(long = "json", id = "json", hide = true)]
    _json: bool,
}

/// What becomes of the commands' output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// It goes where ours goes.
    All,
    /// It is kept, and is in the error where a command fails.
    Failures,
}

pub(crate) async fn run(args: BuildArgs) -> Result<()> {
    let loaded = Loaded::find(args.config.as_deref())?;
    let Some(manifest) = &loaded.path else {
        return Err(loaded.missing("or write one that says under [dev] how to build"));
    };
    if loaded.manifest.dev.build.is_empty() {
        return Err(fail(
            Exit::Usage,
            format!(
                "there is nothing to build: {} has no commands in `[dev] build`",
                manifest.display()
            ),
        ));
    }
    let data = loaded.data(None);
    let functions = loaded.functions(args.functions.as_deref(), &data);
    if functions.starts_with(&data) {
        sagahost_store::make_dir(&data)?;
    }
    build(&loaded, &functions, Show::All, Paint::stdout()).await
}

/// Runs the build commands of the manifest, one after the other, and copies
/// what they made into the functions folder.
pub(crate) async fn build(
    loaded: &Loaded,
    functions: &Path,
    show: Show,
    paint: Paint,
) -> Result<()> {
    let commands = &loaded.manifest.dev.build;
    for target in targets(commands) {
        ensure_target(target, &loaded.folder).await?;
    }
    for words in commands {
        if show == Show::All {
            output::line(&format!("{} {}", paint.dim("building:"), words.join(" ")))?;
        }
        let begun = Instant::now();
        run_command(words, &loaded.folder, show, paint).await?;
        if show == Show::All {
            output::line(&paint.dim(&format!("built in {}", took(begun.elapsed()))))?;
        }
    }
    publish(loaded, functions)
}

/// Copies the components into the functions folder, where they are others
/// than those that are there.
fn publish(loaded: &Loaded, functions: &Path) -> Result<()> {
    for written in &loaded.manifest.dev.components {
        let from = loaded.resolve(written);
        let bytes = std::fs::read(&from).map_err(|error| {
            fail(
                Exit::Failed,
                format!(
                    "dev.components names {}, which the build commands did not make: {error}",
                    from.display()
                ),
            )
        })?;
        let name = from.file_name().unwrap_or_default();
        let to = functions.join(name);
        if std::fs::read(&to).is_ok_and(|there| there == bytes) {
            continue;
        }
        // In one piece: a host may watch the folder.
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        let fresh = functions.join(hidden);
        std::fs::create_dir_all(functions)
            .and_then(|()| std::fs::write(&fresh, &bytes))
            .and_then(|()| std::fs::rename(&fresh, &to))
            .map_err(|error| {
                fail(Exit::Failed, format!("cannot write {}: {error}", to.display()))
            })?;
    }
    Ok(())
}

/// The WebAssembly targets that the commands name, each once.
fn targets(commands: &[Vec<String>]) -> Vec<&str> {
    let mut targets = Vec::new();
    for words in commands {
        let words = words.iter().map(String::as_str);
        let named =
            words.clone().zip(words.clone().skip(1)).filter(|(flag, _)| *flag == "--target");
        let joined = words.filter_map(|word| word.strip_prefix("--target="));
        for target in named.map(|(_, target)| target).chain(joined) {
            if target.starts_with("wasm") && !targets.contains(&target) {
                targets.push(target);
            }
        }
    }
    targets
}

/// A command that does not take us for the cargo project it is to build:
/// `cargo run` leaves its own package's variables behind.
fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let ours =
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CFG_", "CARGO_FEATURE_", "DEP_"];
    let exact =
        ["CARGO", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "CARGO_TARGET_TMPDIR", "OUT_DIR"];
    for (name, _) in std::env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        if exact.contains(&text) || ours.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command
}

async fn run_command(words: &[String], folder: &Path, show: Show, paint: Paint) -> Result<()> {
    let [program, arguments @ ..] = words else { return Ok(()) };
    let mut command = command(program, folder);
    command.args(arguments);
    let (status, said) = match show {
        Show::All => (command.status().await, String::new()),
        Show::Failures => {
            if paint.is_on() {
                command.env("CARGO_TERM_COLOR", "always");
            }
            match command.output().await {
                Ok(output) => {
                    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
                    said.push_str(&String::from_utf8_lossy(&output.stderr));
                    (Ok(output.status), said)
                }
                Err(error) => (Err(error), String::new()),
            }
        }
    };
    let status = status.map_err(|error| {
        fail(
            Exit::Failed,
            format!("cannot run `{program}` of the manifest's build commands: {error}"),
        )
    })?;
    if status.success() {
        return Ok(());
    }
    let said = if said.is_empty() { String::new() } else { format!("\n{}", said.trim_end()) };
    Err(fail(Exit::Failed, format!("`{}` failed ({status}){said}", words.join(" "))))
}

/// Makes sure that the Rust toolchain can compile for this target.
async fn ensure_target(target: &str, folder: &Path) -> Result<()> {
    let sysroot =
        command("rustc", folder).args(["--print", "sysroot"]).output().await.map_err(|error| {
            fail(
                Exit::Failed,
                format!("cannot run rustc ({error}); install Rust from https://rustup.rs"),
            )
        })?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    let libraries = sysroot.join("lib/rustlib").join(target).join("lib");
    if libraries.is_dir() {
        return Ok(());
    }
    output::line(&format!(
        "the target {target} is missing; fetching it: rustup target add {target}"
    ))?;
    let adding = command("rustup", folder).args(["target", "add", target]).status();
    let problem = match tokio::time::timeout(FETCH_TARGET, adding).await {
        Ok(Ok(status)) => problem_of(status),
        Ok(Err(error)) => Some(format!("rustup cannot be run ({error})")),
        Err(_) => Some(format!("rustup was not done after {}", took(FETCH_TARGET))),
    };
    match problem {
        None => Ok(()),
        Some(problem) => Err(fail(
            Exit::Failed,
            format!(
                "Rust's target {target} is needed to build components and cannot be had: {problem}. With a network, `rustup target add {target}` fetches it; without rustup, install your distribution's Rust library for {target}"
            ),
        )),
    }
}

fn problem_of(status: ExitStatus) -> Option<String> {
    (!status.success()).then(|| format!("rustup failed ({status})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn only_the_targets_that_are_named_are_looked_for() {
        let commands = [
            words("cargo build --target wasm32-wasip2 -p a"),
            words("cargo build --target=wasm32-wasip2"),
            words("cargo build --target x86_64-unknown-linux-gnu"),
            words("make guests"),
        ];
        assert_eq!(targets(&commands), ["wasm32-wasip2"]);
    }

    #[test]
    fn only_what_is_named_is_copied() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in ["a.wasm", "other.wasm"] {
            std::fs::write(dir.path().join(name), name).expect("written");
        }
        let mut loaded = Loaded { folder: dir.path().to_owned(), ..Loaded::default() };
        loaded.manifest.dev.components = vec!["a.wasm".into()];
        let functions = dir.path().join("functions");
        publish(&loaded, &functions).expect("copied");
        let there: Vec<_> = std::fs::read_dir(&functions).expect("listed").flatten().collect();
        assert_eq!(there.len(), 1);
        loaded.manifest.dev.components = vec!["b.wasm".into()];
        let error = publish(&loaded, &functions).expect_err("is missing").to_string();
        assert!(error.contains("b.wasm, which the build commands did not make"), "{error}");
    }

    #[tokio::test]
    async fn a_failed_command_says_what_it_said() {
        let folder = std::env::temp_dir();
        let command = ["sh", "-c", "echo out; echo err >&2; exit 3"].map(str::to_owned);
        let failed = run_command(&command, &folder, Show::Failures, Paint::plain()).await;
        let message = failed.expect_err("fails").to_string();
        assert!(message.contains("exit status: 3") && message.ends_with("\nout\nerr"), "{message}");
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let command = ["sagahost-no-such-program".to_owned()];
        let failed = run_command(&command, &std::env::temp_dir(), Show::All, Paint::plain()).await;
        assert!(
            failed
                .expect_err("fails")
                .to_string()
                .contains("cannot run `sagahost-no-such-program`")
        );
    }
}
