//! `sagahost check`: all that can happen to an orchestrator, with no server.

use std::path::{Path, PathBuf};

use anyhow::Result;
use sagahost_check::{
    CheckError, CheckFile, Checks, GivenBounds, Program, Report, Sampler, Verdict,
};
use sagahost_core::Json;
use sagahost_wasm::Rules;

use crate::exit::{Exit, fail, silently};
use crate::manifest::Loaded;
use crate::output;

/// Where the check file is looked for when nothing is said: beside the
/// manifest.
const FILE: &str = "check.toml";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Drives each orchestrator through every way in which its steps can end, through
crashes, cancels and undos that fail, and says whether it ever leaves a part of
what it did in place. No activity is run. Tells the shortest story of each fault.

Examples:
  sagahost check                             all orchestrators of the manifest
  sagahost check OrderSaga --faults 4
  sagahost check saga.wasm shop.wasm --junit check.xml
  sagahost check OrderSagaByHand --story '0=ok 1=fail'

Exit codes: 0 proven within the bounds, 1 a fault was found, 2 the arguments, the
check file or a component are wrong, 8 nothing was found, but a bound that nobody
gave cut the search off.")]
pub(crate) struct CheckArgs {
    /// Orchestrators to check [default: all], and .wasm files to take them
    /// and their activities from [default: the manifest's]
    #[arg(value_name = "ORCHESTRATOR|FILE.wasm")]
    what: Vec<String>,
    /// The check file [default: check.toml beside the manifest, if there is
    /// one]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The manifest [default: ./sagahost.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Attempts that go wrong on one path [default: 3]
    #[arg(long, value_name = "N")]
    faults: Option<u32>,
    /// Crashes of the host on one path [default: 1]
    #[arg(long, value_name = "N")]
    crashes: Option<u32>,
    /// Cancels on one path [default: 1]
    #[arg(long, value_name = "N")]
    cancels: Option<u32>,
    /// By how many places, on one path, steps that run at the same time may
    /// end out of order [default: any order]
    #[arg(long, value_name = "N")]
    orders: Option<u32>,
    /// How often the saga may ask for the same function on one path
    /// [default: 12]
    #[arg(long, value_name = "N")]
    loops: Option<u32>,
    /// How much may happen on one path [default: 500]
    #[arg(long, value_name = "N")]
    depth: Option<u32>,
    /// How many states are looked at [default: 2000000]
    #[arg(long, value_name = "N")]
    states: Option<u64>,
    /// How long the search for one orchestrator may take [default: 60]
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Tell this story, as a report gave it, step by step
    #[arg(long, value_name = "STORY")]
    story: Option<String>,
    /// Write the report as JUnit's XML, too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

/// The samples of the manifest.
#[derive(Debug)]
struct Samples<'a>(&'a Loaded);

impl Sampler for Samples<'_> {
    fn sample(&self, orchestrator: &str) -> Option<Json> {
        let mut text = self.0.manifest.dev.samples.get(orchestrator)?.get_ref().clone();
        // Always the same, so that two reports can be compared.
        for number in 1.. {
            let next = text.replacen("{{uuid}}", &format!("{:032x}", number), 1);
            if next == text {
                break;
            }
            text = next;
        }
        // That it is JSON was checked when the manifest was read.
        Json::parse(text.replace("{{number}}", "1")).ok()
    }
}

pub(crate) fn run(args: CheckArgs) -> Result<()> {
    let loaded = Loaded::find(args.config.as_deref())?;
    let is_component = |what: &String| Path::new(what).extension().is_some_and(|it| it == "wasm");
    let (given, names): (Vec<String>, Vec<String>) =
        args.what.iter().cloned().partition(is_component);
    let components = match given.is_empty() {
        true => components(&loaded)?,
        false => given.into_iter().map(PathBuf::from).collect(),
    };
    let file = check_file(&loaded, args.file.as_deref())?;
    let cache = cache(&loaded)?;
    let program = Program::load(&components, rules(&loaded)?, cache.as_deref()).map_err(failed)?;
    let bounds = GivenBounds {
        faults: args.faults,
        crashes: args.crashes,
        cancels: args.cancels,
        orders: args.orders,
        loops: args.loops,
        depth: args.depth,
        states: args.states,
        seconds: args.seconds,
    };
    let samples = Samples(&loaded);
    let checks = Checks { program: &program, file: &file.file, bounds, samples: &samples };
    checks.check_names().map_err(|error| file.wrong(error))?;
    if let Some(story) = &args.story {
        return tell(&checks, &names, story, args.json);
    }
    let report = checks.run(&names).map_err(|error| file.wrong(error))?;
    if report.checked.is_empty() && report.skipped.is_empty() {
        return Err(fail(Exit::Usage, "there is no orchestrator to check in these components"));
    }
    show(&report, &args)
}

/// Prints a story, and nothing else.
fn tell(checks: &Checks<'_>, names: &[String], story: &str, json: bool) -> Result<()> {
    let [name] = names else {
        return Err(fail(Exit::Usage, "name the orchestrator that the story is of, and only that"));
    };
    let told = checks.tell(name, story).map_err(failed)?;
    if json {
        let told = serde_json::json!({
            "orchestrator": name, "story": story, "lines": told.lines, "end": told.end,
            "journal": told.journal,
        });
        return Ok(output::json(&told)?);
    }
    output::line(told.text().trim_end())?;
    for line in &told.journal {
        output::line(&format!("  {} {}", line.instance, serde_json::to_string(&line.record)?))?;
    }
    Ok(())
}

fn show(report: &Report, args: &CheckArgs) -> Result<()> {
    if let Some(path) = &args.junit {
        std::fs::write(path, report.junit()).map_err(|error| {
            fail(Exit::Failed, format!("cannot write {}: {error}", path.display()))
        })?;
    }
    if args.json {
        output::json(&report.json())?;
    } else {
        output::line(report.text(&again(args)).trim_end())?;
    }
    match report.verdict() {
        Verdict::Proven => Ok(()),
        Verdict::Violated => Err(silently(Exit::Failed)),
        Verdict::CutOff => Err(fail(
            Exit::Unproven,
            "nothing was found, but not everything was looked at: see CUT OFF in the report",
        )),
    }
}

/// How this check was called, without what a story does not need.
fn again(args: &CheckArgs) -> String {
    let mut command = "sagahost check".to_owned();
    for (name, path) in [("config", &args.config), ("file", &args.file)] {
        if let Some(path) = path {
            command.push_str(&format!(" --{name} {}", path.display()));
        }
    }
    for what in args.what.iter().filter(|what| what.ends_with(".wasm")) {
        command.push_str(&format!(" {what}"));
    }
    command
}

/// The components of the manifest: what its build commands made, else what is
/// in the functions folder.
fn components(loaded: &Loaded) -> Result<Vec<PathBuf>> {
    let made: Vec<PathBuf> =
        loaded.manifest.dev.components.iter().map(|path| loaded.resolve(path)).collect();
    if !made.is_empty() && made.iter().all(|path| path.is_file()) {
        return Ok(made);
    }
    let folder = loaded.functions(None, &loaded.data(None));
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|it| it == "wasm"))
        .collect();
    found.sort();
    if found.is_empty() {
        return Err(fail(
            Exit::Usage,
            format!(
                "there are no components in {}: run `sagahost build` first, or name .wasm files",
                folder.display()
            ),
        ));
    }
    Ok(found)
}

/// The host's own place for machine code, where there is a manifest, so that
/// nothing is compiled twice.
fn cache(loaded: &Loaded) -> Result<Option<PathBuf>> {
    if loaded.path.is_none() {
        return Ok(None);
    }
    let data = loaded.data(None);
    sagahost_store::make_dir(&data)?;
    let cache = data.join("components");
    std::fs::create_dir_all(&cache)
        .map_err(|error| fail(Exit::Failed, format!("cannot make {}: {error}", cache.display())))?;
    Ok(Some(cache))
}

/// What the manifest grants. What the environment would say makes no
/// difference here.
fn rules(loaded: &Loaded) -> Result<Option<Rules>> {
    if loaded.path.is_none() {
        return Ok(None);
    }
    let rules = loaded.manifest.functions.iter().map(|rule| rule.get_ref().clone()).collect();
    let rules = Rules::with_env(rules, &loaded.folder, |_| Some(String::new()));
    rules.map(Some).map_err(|error| fail(Exit::Usage, error.to_string()))
}

/// A check file, and where it is.
struct Found {
    file: CheckFile,
    path: PathBuf,
}

impl Found {
    /// An error that says in which file it is.
    fn wrong(&self, error: CheckError) -> anyhow::Error {
        match error {
            CheckError::File(wrong) => {
                fail(Exit::Usage, format!("{}:{wrong}", self.path.display()))
            }
            error => failed(error),
        }
    }
}

fn check_file(loaded: &Loaded, named: Option<&Path>) -> Result<Found> {
    let path = named.map_or_else(|| loaded.folder.join(FILE), Path::to_owned);
    if named.is_none() && !path.exists() {
        return Ok(Found { file: CheckFile::default(), path });
    }
    let text = std::fs::read_to_string(&path).map_err(|error| {
        fail(Exit::Usage, format!("cannot read the check file {}: {error}", path.display()))
    })?;
    let file = CheckFile::parse(&text)
        .map_err(|wrong| fail(Exit::Usage, format!("{}:{wrong}", path.display())))?;
    Ok(Found { file, path })
}

/// An error of the check's with the exit code that it has here.
fn failed(error: CheckError) -> anyhow::Error {
    let exit = match error {
        CheckError::NoOrchestrator { .. } => Exit::NotFound,
        CheckError::Wasm(_) | CheckError::Setup(_) => Exit::Failed,
        _ => Exit::Usage,
    };
    fail(exit, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_file_that_is_named_must_be_there() {
        let dir = tempfile::tempdir().expect("a folder");
        let loaded = Loaded { folder: dir.path().to_owned(), ..Loaded::default() };
        assert!(check_file(&loaded, None).is_ok(), "none is needed");
        let missing = check_file(&loaded, Some(&dir.path().join("other.toml")));
        let missing = missing.err().expect("is not there").to_string();
        assert!(missing.contains("cannot read the check file"), "{missing}");
        std::fs::write(dir.path().join(FILE), "nonsense = 1\n").expect("written");
        let wrong = check_file(&loaded, None).err().expect("is wrong");
        assert_eq!(crate::exit::exit_of(&wrong), Exit::Usage);
        assert!(wrong.to_string().contains("check.toml:1:1: unknown field `nonsense`"), "{wrong}");
    }

    #[test]
    fn what_was_built_goes_before_what_was_copied() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut loaded = Loaded { folder: dir.path().to_owned(), ..Loaded::default() };
        let none = components(&loaded).expect_err("there are none").to_string();
        assert!(none.contains("run `sagahost build` first"), "{none}");
        let copied = dir.path().join(".sagahost/functions");
        std::fs::create_dir_all(&copied).expect("made");
        std::fs::write(copied.join("a.wasm"), "").expect("written");
        loaded.manifest.dev.components = vec!["built.wasm".into()];
        assert_eq!(components(&loaded).expect("one"), [copied.join("a.wasm")]);
        std::fs::write(dir.path().join("built.wasm"), "").expect("written");
        assert_eq!(components(&loaded).expect("one"), [dir.path().join("built.wasm")]);
    }
}
