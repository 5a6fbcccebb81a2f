//! The `sagahost` program: the host (`serve`, `dev`), the commands that talk
//! to one, and the tools around them. Each command has a module of its own;
//! what it is told, what its help says and what it does stand together there.

mod bench;
mod board;
mod build;
mod check;
mod client;
mod dev;
mod example;
mod exit;
mod folder;
mod host;
mod input;
mod invoke;
mod keys;
mod local;
mod logging;
mod manifest;
mod output;
mod remote;
mod serve;
mod sse;
mod steps;
mod template;
mod units;
mod watch;

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

use remote::{admin, clock, entity, events, instances, list, pause, start, undo};

/// A serverless function host for sagas
///
/// Runs orchestrators and activities that are WebAssembly components, journals
/// every step, and speaks the HTTP API of Durable Functions.
#[derive(Debug, Parser)]
#[command(
    name = "sagahost",
    version,
    propagate_version = true,
    after_help = "\
Begin with:
  sagahost dev                      build and run the functions of ./sagahost.toml
  sagahost start OrderSaga --input @order.json --wait
  sagahost list

The commands that talk to a host find it by --url or SAGAHOST_URL, and take an
API key from --key or SAGAHOST_KEY.

Exit codes:
  0  done
  1  what was asked about failed (an orchestration, an activity, a build), or
     anything else went wrong
  2  the arguments, the input or the manifest are wrong
  3  the host cannot be reached
  4  there is no such instance or function
  5  the API key is missing or does not allow it
  6  the state of the instance does not allow it
  7  the time to wait is up
  8  a check found nothing, but could not look at everything"
)]
struct Cli {
    /// Print JSON, for programs
    // The commands that can do it have this argument, too, and are given it
    // wherever it stands.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the functions, run them here, and show each step as it happens
    Dev(dev::DevArgs),
    /// Run the host
    Serve(serve::ServeArgs),
    /// Build the functions as the manifest says
    Build(build::BuildArgs),
    /// Look for anything that could leave a saga half done
    Check(check::CheckArgs),
    /// Send a component to a host
    Deploy(admin::DeployArgs),
    /// Show which functions a host has
    Functions(admin::FunctionsArgs),
    /// Start an orchestration
    Start(start::StartArgs),
    /// Show how an instance stands
    Status(instances::StatusArgs),
    /// List instances
    List(list::ListArgs),
    /// Follow one instance live, or all
    Events(events::EventsArgs),
    /// Raise an event to an instance that may wait for it
    Raise(instances::RaiseArgs),
    /// Read entities, and tell them what to do
    Entity(entity::EntityArgs),
    /// Show what would be undone of an instance, and what is
    Undo(undo::UndoArgs),
    /// Undo what an instance did, and end it
    Cancel(undo::CancelArgs),
    /// Mend a step or an undo that is stuck
    Repair(undo::RepairArgs),
    /// Stop an orchestrator's code until it is resumed
    Suspend(pause::SuspendArgs),
    /// Let a suspended orchestrator's code go on
    Resume(pause::ResumeArgs),
    /// Let an instance that failed begin again, and keep what it has done
    Rewind(pause::RewindArgs),
    /// Start an orchestration once more, with the same input
    Restart(pause::RestartArgs),
    /// Skip the clock of `dev` to the next timer, retry or schedule
    Skip(clock::SkipArgs),
    /// End an instance where it is
    Terminate(instances::TerminateArgs),
    /// Remove an instance that has ended, with its journal
    Purge(instances::PurgeArgs),
    /// Run one activity in a local sandbox, without a host
    Invoke(invoke::InvokeArgs),
    /// Make, list and remove API keys
    Key(keys::KeyArgs),
    /// Measure a host under load
    Bench(bench::BenchArgs),
}

/// Runs the program, and gives its exit code.
pub fn main() -> ExitCode {
    // An error of clap's prints itself and exits with 2.
    let cli = Cli::parse();
    if let Some(error) = cli.json_in_vain() {
        error.exit();
    }
    exit::code(run(cli.command))
}

impl Cli {
    /// An error where JSON is asked of a command that prints none: clap takes
    /// a global argument anywhere.
    fn json_in_vain(&self) -> Option<clap::Error> {
        let why = match (self.json, &self.command) {
            (true, Command::Dev(_)) => "`dev` shows what happens to people only",
            (true, Command::Serve(_)) => "`serve` writes its log as JSON with --log-format json",
            (true, Command::Build(_)) => "`build` prints what the build commands print",
            _ => return None,
        };
        let kind = clap::error::ErrorKind::UnknownArgument;
        Some(Cli::command().error(kind, format!("there is no --json here: {why}")))
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Dev(args) => on_all_cores(dev::run(args)),
        Command::Serve(args) => on_all_cores(serve::run(args)),
        Command::Invoke(args) => on_all_cores(invoke::run(args)),
        Command::Build(args) => on_one_core(build::run(args)),
        Command::Deploy(args) => on_one_core(admin::deploy(args)),
        Command::Functions(args) => on_one_core(admin::functions(args)),
        Command::Start(args) => on_one_core(start::run(args)),
        Command::Status(args) => on_one_core(instances::status(args)),
        Command::List(args) => on_one_core(list::run(args)),
        Command::Events(args) => on_one_core(events::run(args)),
        Command::Raise(args) => on_one_core(instances::raise(args)),
        Command::Entity(args) => on_one_core(entity::run(args)),
        Command::Undo(args) => on_one_core(undo::undo(args)),
        Command::Cancel(args) => on_one_core(undo::cancel(args)),
        Command::Repair(args) => on_one_core(undo::repair(args)),
        Command::Suspend(args) => on_one_core(pause::suspend(args)),
        Command::Resume(args) => on_one_core(pause::resume(args)),
        Command::Rewind(args) => on_one_core(pause::rewind(args)),
        Command::Restart(args) => on_one_core(pause::restart(args)),
        Command::Skip(args) => on_one_core(clock::skip(args)),
        Command::Terminate(args) => on_one_core(instances::terminate(args)),
        Command::Purge(args) => on_one_core(instances::purge(args)),
        Command::Check(args) => check::run(args),
        Command::Key(args) => keys::run(args),
        Command::Bench(args) => bench::run(args),
    }
}

fn on_all_cores<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

fn on_one_core<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn json_may_be_asked_for_before_and_after_the_command() {
        for line in ["--json functions", "functions --json"] {
            let words = ["sagahost"].into_iter().chain(line.split(' '));
            match Cli::try_parse_from(words).expect("is understood").command {
                Command::Functions(args) => assert!(args.remote.json, "{line}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn json_is_not_asked_of_those_that_print_none() {
        for command in ["dev", "serve", "build"] {
            for line in [format!("--json {command}"), format!("{command} --json")] {
                let words = ["sagahost"].into_iter().chain(line.split(' '));
                let cli = Cli::try_parse_from(words).expect("is understood");
                let error = cli.json_in_vain().unwrap_or_else(|| panic!("{line} is taken"));
                assert_eq!(error.exit_code(), 2);
            }
            let mut cli = Cli::command();
            cli.build();
            let help = cli.find_subcommand_mut(command).expect("a command").render_help();
            let help = help.to_string();
            assert!(!help.contains("--json"), "{help}");
        }
    }

    #[test]
    fn nothing_in_the_help_is_broken_by_its_own_marks() {
        let mut cli = Cli::command();
        cli.build();
        let help = cli.find_subcommand_mut("bench").expect("a command").render_help().to_string();
        assert!(help.contains("{{number}} and {{uuid}} in the input"), "{help}");
    }

    #[test]
    fn the_commands_of_the_help_are_understood() {
        let mut seen = 0;
        let mut command = Cli::command();
        command.build();
        let mut texts = vec![command.get_after_help().map(ToString::to_string).unwrap_or_default()];
        for sub in command.get_subcommands() {
            texts.push(sub.get_after_help().map(ToString::to_string).unwrap_or_default());
        }
        for line in texts.iter().flat_map(|text| text.lines()) {
            let line = line.trim();
            let line = line
                .rsplit_once("| sagahost")
                .map_or(line.to_owned(), |(_, rest)| format!("sagahost{rest}"));
            if !line.starts_with("sagahost ") {
                continue;
            }
            // Up to what the shell would take, or a remark in columns.
            let line = line.split(" | ").next().unwrap_or_default();
            let line = line.split("   ").next().unwrap_or_default();
            let words = shell_words(line);
            Cli::try_parse_from(&words).unwrap_or_else(|error| panic!("{line}: {error}"));
            seen += 1;
        }
        assert!(seen > 20, "only {seen} examples were found");
    }

    /// Words, with single quotes.
    fn shell_words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        for (at, part) in line.split('\'').enumerate() {
            if at % 2 == 1 {
                words.last_mut().expect("a word").push_str(part);
                continue;
            }
            for c in part.chars() {
                match c {
                    ' ' => words.push(String::new()),
                    c => words.last_mut().expect("a word").push(c),
                }
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }
}
