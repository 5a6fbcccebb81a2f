//! `sagahost serve`: the host.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use sagahost_engine::{Clock, Engine};

use crate::exit::{Exit, fail};
use crate::folder::{Change, Folder};
use crate::host::{self, Host, HostArgs, Places};
use crate::logging::{self, LogFormat};
use crate::manifest::Loaded;
use crate::output;
use crate::watch::Watch;

/// Of what guests write the log has what is wrong, unless more is asked for.
const DEFAULT_LOG: &str = "info,guest=warn";

/// How often the functions folder is looked at where nothing is told of it.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Everything is kept in the data directory; one host at a time can use it. The
functions are the components in the functions folder: a file that is added,
replaced or removed is picked up while the host runs, and `sagahost deploy`
writes there. Orchestrations that run stay on the component they began with.

On any address but loopback the host asks for API keys and does not start
without (see `sagahost key --help`).

SIGTERM and SIGINT end the host: it takes no more work, lets what runs end
within the grace period, hands the rest over to the next start, and exits with
0. A second signal ends it at once; nothing that was acknowledged is lost.

Examples:
  sagahost serve --data /var/lib/sagahost --functions /srv/functions
  sagahost serve --config sagahost.toml --listen 0.0.0.0:7071 --log-format json

Exit codes: 0 ended by a signal, 1 it cannot start or did not end within the
grace period, 2 the arguments or the manifest are wrong, 130 ended at once by a
second signal.")]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    host: HostArgs,
    /// How the log is written
    #[arg(long, value_enum, default_value = "text")]
    log_format: LogFormat,
}

/// Huge pages make nothing faster here, and an idle host several times as large.
/// Where the system does not have them, or does not listen, that is as well.
#[cfg(target_os = "linux")]
fn small_pages() {
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

#[cfg(not(target_os = "linux"))]
fn small_pages() {}

pub(crate) async fn run(args: ServeArgs) -> Result<()> {
    small_pages();
    let log = logging::start(args.host.log.as_deref(), DEFAULT_LOG, args.log_format)?;
    let loaded = Loaded::find(args.host.config.as_deref())?;
    let places = places(&args.host, &loaded)?;
    let mut host = Host::open(&args.host, &loaded, places, Clock::real(), log).await?;
    log_changes(std::mem::take(&mut host.deployed));
    // A name may stand in several rules.
    let unused: std::collections::BTreeSet<String> =
        host.engine.runtime().unused_rules().into_iter().collect();
    for name in unused {
        tracing::warn!(name, "a rule of the manifest is for a function that is not deployed");
    }
    for name in host::not_deployed(&host.engine, &loaded)? {
        tracing::warn!(
            name,
            "a route or a schedule of the manifest starts an orchestrator that is not deployed"
        );
    }
    let url = host.url();
    tracing::info!(
        url,
        functions = %host.folder.dir().display(),
        version = env!("CARGO_PKG_VERSION"),
        "listening"
    );
    let stopped = host::listen_for_signals(host.grace)?;
    // For whoever started us and wants to know the port; nobody need read it.
    let _ = output::line(&format!("sagahost listens on {url}"));
    let Host { engine, server, folder, grace, .. } = host;
    let watching = tokio::spawn(watch(folder, loaded, engine.clone()));
    let served = host::serve(server, &engine, grace, stopped).await;
    watching.abort();
    served
}

fn places(args: &HostArgs, loaded: &Loaded) -> Result<Places> {
    let given = &loaded.manifest.host;
    // Nothing is written to a place that nobody named.
    if args.data.is_none() && given.data.is_none() {
        return Err(fail(
            Exit::Usage,
            "nothing says where the data directory is: give --data DIR, or `data = \"DIR\"` under [host] in the manifest",
        ));
    }
    let data = loaded.data(args.data.as_deref());
    let written = given.functions.as_deref().map(|path| loaded.resolve(path));
    let functions = args.functions.clone().or(written).unwrap_or_else(|| data.join("functions"));
    Ok(Places { data, functions })
}

/// Picks up what changes in the functions folder and the manifest.
async fn watch(mut folder: Folder, mut loaded: Loaded, engine: Engine) {
    let manifest = loaded.path.clone();
    let mut watch = match start_watch(folder.dir(), manifest.as_deref()) {
        Ok(watch) => watch,
        Err(error) => {
            tracing::warn!(%error, "changes are not picked up until the next start");
            return;
        }
    };
    // What was added between the first look and the start of watching.
    log_changes(folder.sync().await);
    let mut seen = loaded.text.clone();
    reload(&mut loaded, &mut seen, &engine);
    loop {
        // Looked at now and then without a change that was told: not every
        // file system tells.
        let changed = tokio::time::timeout(LOOK_AGAIN, watch.next()).await.unwrap_or_default();
        if manifest.as_ref().is_some_and(|manifest| changed.contains(manifest)) {
            reload(&mut loaded, &mut seen, &engine);
        }
        log_changes(folder.sync().await);
    }
}

fn start_watch(functions: &Path, manifest: Option<&Path>) -> Result<Watch> {
    let mut watch = Watch::new()?;
    watch.folder(functions)?;
    if let Some(folder) = manifest.and_then(Path::parent) {
        // The folder, as editors replace files rather than write to them.
        watch.folder(folder)?;
    }
    Ok(watch)
}

/// Puts the manifest's rules, schedules and retention in force again. What
/// `[host]` and `[[routes]]` say counts from the next start.
fn reload(loaded: &mut Loaded, seen: &mut String, engine: &Engine) {
    let Some(path) = &loaded.path else { return };
    // What cannot be read is told of below.
    let text = std::fs::read_to_string(path).unwrap_or_default();
    if text == *seen {
        return;
    }
    *seen = text;
    let again = Loaded::read(path).and_then(|again| {
        let rules = again.rules()?;
        if !again.keeps_time_as(loaded) {
            host::keep_time(engine, &again)?;
        }
        engine.runtime().set_rules(rules);
        Ok(again)
    });
    match again {
        Ok(again) => {
            *loaded = again;
            tracing::info!(
                "the manifest was read again; [host] and [[routes]] count from the next start"
            );
        }
        Err(error) => tracing::error!(%error, "the manifest is wrong; what it said before stays"),
    }
}

fn log_changes(changes: Vec<Change>) {
    for change in changes {
        match change {
            Change::Deployed(deployment) => {
                let names: Vec<&str> =
                    deployment.functions.iter().map(|function| function.name.as_str()).collect();
                tracing::info!(
                    component = deployment.component,
                    functions = names.join(", "),
                    "deployed"
                );
            }
            Change::Refused { path, reason } => {
                tracing::error!(path = %path.display(), reason, "refused; what was deployed before stays");
            }
            Change::Removed { name } => tracing::info!(component = name, "removed"),
        }
    }
}
