//! `sagahost dev`: the local emulator.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use sagahost_engine::{Clock, Engine};
use sagahost_wasm::{Function, FunctionKind};

use crate::board;
use crate::build::{self, Show};
use crate::client::BASE;
use crate::example;
use crate::folder::{Change, Folder};
use crate::host::{self, Host, HostArgs, Places, Signals};
use crate::logging::{self, LogFormat};
use crate::manifest::Loaded;
use crate::output::{self, Paint};
use crate::units::took;
use crate::watch::Watch;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Builds the functions as the manifest says under [dev], starts a host on an
embedded store in .sagahost, and shows each step as it happens. When a source
or the manifest changes, it builds and loads again; where that fails, it shows
why and the old functions stay. Ctrl-C ends it, and what ran goes on at the
next start. Remove .sagahost to begin anew.

The clock of timers, retries, deadlines and schedules can run faster than the
machine's, and `sagahost skip` skips it to what comes next.

Examples:
  sagahost dev
  sagahost dev --listen 127.0.0.1:8080 --data /tmp/shop
  sagahost dev --functions build --no-build
  sagahost dev --time-factor 60

Exit codes: 0 ended by Ctrl-C, 1 it cannot build or start, 2 the manifest is
wrong.")]
pub(crate) struct DevArgs {
    #[command(flatten)]
    host: HostArgs,
    /// Do not build, take the components that are there
    #[arg(long)]
    no_build: bool,
    /// How much faster than the machine's the clock of timers, retries and
    /// schedules runs, 1 to 1000000
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = factor)]
    time_factor: f64,
}

fn factor(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor| (1.0..=1e6).contains(factor));
    factor.ok_or_else(|| "a clock runs 1 to 1000000 times as fast as the machine's".to_owned())
}

pub(crate) async fn run(args: DevArgs) -> Result<()> {
    let log = logging::start(args.host.log.as_deref(), "warn,guest=off", LogFormat::Text)?;
    let paint = Paint::stdout();
    let loaded = Loaded::find(args.host.config.as_deref())?;
    let data = loaded.data(args.host.data.as_deref());
    let functions = loaded.functions(args.host.functions.as_deref(), &data);
    if loaded.path.is_none() && !functions.is_dir() {
        return Err(loaded.missing("or give a folder of components with --functions DIR"));
    }
    // First of all: what is granted and what is built may be in it.
    sagahost_store::make_dir(&data)?;
    loaded.make_granted_dirs()?;
    if !args.no_build {
        let mut signals = Signals::new()?;
        tokio::select! {
            built = build::build(&loaded, &functions, Show::All, paint) => built?,
            _ = signals.next() => return Ok(()),
        }
    }
    let clock = Clock::scaled(args.time_factor);
    let mut host = Host::open(&args.host, &loaded, Places { data, functions }, clock, log).await?;
    let stopped = host::listen_for_signals(host.grace)?;
    show_changes(std::mem::take(&mut host.deployed), paint, false)?;
    greet(&host, &loaded, paint)?;

    let showing = tokio::spawn(board::show(host.engine.subscribe(), paint));
    let Host { engine, server, folder, grace, .. } = host;
    let workshop =
        Workshop { engine: engine.clone(), folder, loaded, build: !args.no_build, paint };
    let watching = tokio::spawn(workshop.run());
    let served = host::serve(server, &engine, grace, stopped).await;
    watching.abort();
    showing.abort();
    // What is still open begins again the next time: nothing is lost.
    let _ = output::line("stopped");
    served
}

/// Prints what there is and what to do with it.
fn greet(host: &Host, loaded: &Loaded, paint: Paint) -> Result<()> {
    let url = host.url();
    let functions = host.engine.runtime().functions();
    output::line("")?;
    output::line(&format!(
        "{} {} at {}",
        paint.bold("Sagahost"),
        env!("CARGO_PKG_VERSION"),
        paint.cyan(&url)
    ))?;
    let entities = format!("{BASE}/entities/");
    for (kind, title, path) in [
        (FunctionKind::Orchestrator, "Orchestrators", "/api/orchestrators/"),
        (FunctionKind::Activity, "Activities", "/admin/functions/"),
        (FunctionKind::Entity, "Entities", &entities),
    ] {
        let of_kind: Vec<&Function> = functions
            .iter()
            .map(|function| &**function)
            .filter(|function| function.kind == kind)
            .collect();
        if of_kind.is_empty() {
            continue;
        }
        output::line(&format!("\n  {}", paint.dim(title)))?;
        let width = of_kind.iter().map(|function| function.name.chars().count()).max().unwrap_or(0);
        for function in of_kind {
            let pad = " ".repeat(width - function.name.chars().count());
            output::line(&format!(
                "  {}{pad}  {} {url}{path}{}{}",
                paint.bold(&function.name),
                if kind == FunctionKind::Entity { "GET, POST" } else { "POST" },
                function.name,
                operations(function)
            ))?;
            if let Some(about) =
                function.description.as_deref().and_then(|about| about.lines().next())
            {
                output::line(&format!("  {}  {}", " ".repeat(width), paint.dim(about)))?;
            }
        }
    }
    if functions.is_empty() {
        output::line(&format!(
            "\n  no functions yet: put components into {}",
            host.folder.dir().display()
        ))?;
    }
    starts_by_itself(host, loaded, paint)?;
    if let Some(line) = curl(&functions, loaded, &url) {
        output::line(&format!("\n  {}\n", paint.dim("Try it:")))?;
        output::line(&format!("  {line}"))?;
    }
    output::line(&format!("\n  {}\n", paint.dim("Changes are picked up; Ctrl-C ends it.")))?;
    Ok(())
}

/// The rest of the address of an entity: its key, and what it can do.
fn operations(function: &Function) -> String {
    if function.kind != FunctionKind::Entity {
        return String::new();
    }
    let names: Vec<&str> = function.operations.keys().map(String::as_str).collect();
    match names.is_empty() {
        true => "/{key}?op={operation}".to_owned(),
        false => format!("/{{key}}?op={}", names.join("|")),
    }
}

/// Prints what the manifest says of routes and schedules, and of the clock.
fn starts_by_itself(host: &Host, loaded: &Loaded, paint: Paint) -> Result<()> {
    let clock = host.engine.clock();
    let (triggers, schedules) = (loaded.triggers()?, loaded.schedules()?);
    let url = host.url();
    if !triggers.is_empty() {
        output::line(&format!("\n  {}", paint.dim("Routes")))?;
    }
    for trigger in triggers {
        let name = paint.bold(trigger.orchestrator());
        output::line(&format!("  {name}  {} {url}{}", trigger.method(), trigger.path()))?;
    }
    if !schedules.is_empty() {
        output::line(&format!("\n  {}", paint.dim("Schedules")))?;
    }
    for schedule in schedules {
        let next = schedule.after(clock.now()).and_then(|at| i64::try_from(at).ok());
        let next = next.and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
        let next = next.map_or_else(|| "never".to_owned(), |at| format!("{at:.0}"));
        output::line(&format!("  {}  next at {next}", paint.bold(schedule.name())))?;
    }
    for name in host::not_deployed(&host.engine, loaded)? {
        output::line(&format!(
            "\n  {} a route or a schedule starts {name}, which is no orchestrator here",
            paint.yellow("!")
        ))?;
    }
    let ahead = clock.ahead();
    if ahead.as_secs() > 0 {
        output::line(&format!("\n  the clock is {} ahead of the machine's", took(ahead)))?;
    }
    Ok(())
}

/// A line to paste that starts an orchestration: one the manifest has a
/// sample for, if there is one.
fn curl(functions: &[std::sync::Arc<Function>], loaded: &Loaded, url: &str) -> Option<String> {
    let orchestrators =
        || functions.iter().filter(|function| function.kind == FunctionKind::Orchestrator);
    // The one that stands first in the manifest.
    let sampled = orchestrators()
        .filter_map(|function| Some((loaded.sample_place(&function.name)?, function)))
        .min_by_key(|(place, _)| *place)
        .and_then(|(_, function)| Some((function, loaded.sample(&function.name)?)));
    let (name, input) = match sampled {
        Some((function, sample)) => (&function.name, sample.fill_for_shell()),
        None => {
            let function = orchestrators().next()?;
            let example =
                function.input_schema.as_ref().map_or(serde_json::Value::Null, example::of);
            (&function.name, example.to_string().replace('\'', r"'\''"))
        }
    };
    Some(format!(
        "curl -i -X POST {url}/api/orchestrators/{name} -H 'content-type: application/json' -d '{input}'"
    ))
}

/// Builds and loads again when something changes.
struct Workshop {
    engine: Engine,
    folder: Folder,
    loaded: Loaded,
    build: bool,
    paint: Paint,
}

impl Workshop {
    async fn run(mut self) {
        let mut watch = match self.start_watch() {
            Ok(watch) => watch,
            Err(error) => {
                let _ = output::line(&format!("{error:#}; changes are not picked up"));
                return;
            }
        };
        loop {
            let changed = watch.next().await;
            match self.changed(&changed).await {
                // Other folders may be named now.
                Ok(true) => match self.start_watch() {
                    Ok(again) => watch = again,
                    Err(error) => tracing::warn!(%error, "not all changes are picked up any more"),
                },
                Ok(false) => {}
                Err(error) => {
                    let _ = output::line(&format!("{} {error:#}", self.paint.red("✗")));
                }
            }
        }
    }

    fn start_watch(&self) -> Result<Watch> {
        let mut watch = Watch::new()?;
        watch.folder(self.folder.dir())?;
        if let Some(folder) = self.loaded.path.as_deref().and_then(Path::parent) {
            // The folder, as editors replace files rather than write to them.
            watch.folder(folder)?;
        }
        for path in self.sources() {
            match path.is_dir() {
                true => watch.tree(&path)?,
                false if path.exists() => watch.folder(path.parent().unwrap_or(&path))?,
                false => {
                    tracing::warn!(path = %path.display(), "dev.watch names something that is not there")
                }
            }
        }
        Ok(watch)
    }

    fn sources(&self) -> Vec<PathBuf> {
        self.loaded.manifest.dev.watch.iter().map(|path| self.loaded.resolve(path)).collect()
    }

    /// Does what the changes call for. Whether the manifest was read again.
    async fn changed(&mut self, changed: &BTreeSet<PathBuf>) -> Result<bool> {
        let manifest = self.loaded.path.clone().filter(|manifest| changed.contains(manifest));
        if let Some(path) = &manifest {
            // A wrong one changes nothing.
            let loaded = Loaded::read(path)?;
            loaded.make_granted_dirs()?;
            let rules = loaded.rules()?;
            if !loaded.keeps_time_as(&self.loaded) {
                host::keep_time(&self.engine, &loaded)?;
            }
            self.engine.runtime().set_rules(rules);
            self.loaded = loaded;
            output::line(&format!("{} read {} again", self.paint.cyan("↻"), path.display()))?;
        }
        let source = changed.iter().find(|path| self.is_source(path));
        if let Some(source) = source
            && self.build
        {
            let shown = source.strip_prefix(&self.loaded.folder).unwrap_or(source);
            output::line(&format!(
                "{} {} changed, building",
                self.paint.cyan("↻"),
                shown.display()
            ))?;
            build::build(&self.loaded, self.folder.dir(), Show::Failures, self.paint).await?;
        }
        show_changes(self.folder.sync().await, self.paint, true)?;
        Ok(manifest.is_some())
    }

    fn is_source(&self, path: &Path) -> bool {
        // What builds and editors leave behind is no source.
        let relative = path.strip_prefix(&self.loaded.folder).unwrap_or(path);
        let litter = relative.components().any(|part| {
            let part = part.as_os_str().to_string_lossy();
            part == "target" || part.starts_with('.') || part.ends_with('~')
        });
        !litter
            && Some(path) != self.loaded.path.as_deref()
            && path.parent() != Some(self.folder.dir())
            && self.sources().iter().any(|source| path.starts_with(source))
    }
}

fn show_changes(changes: Vec<Change>, paint: Paint, all: bool) -> Result<()> {
    for change in changes {
        match change {
            Change::Deployed(deployment) if all => {
                let names: Vec<&str> =
                    deployment.functions.iter().map(|function| function.name.as_str()).collect();
                output::line(&format!(
                    "{} {}: {}",
                    paint.green("↻"),
                    deployment.component,
                    names.join(", ")
                ))?;
            }
            Change::Deployed(_) => {}
            Change::Refused { path, reason } => output::line(&format!(
                "{} {} was refused: {reason}",
                paint.red("✗"),
                path.display()
            ))?,
            Change::Removed { name } => {
                output::line(&format!("{} {name} is gone", paint.yellow("↻")))?
            }
        }
    }
    Ok(())
}
