//! Puts a host together: store, engines, functions, engine, server. What
//! `serve` and `dev` have in common.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use sagahost_engine::{Clock, Engine, EngineConfig, FunctionKind, Schedule};
use sagahost_http::{HttpError, Keys, LogLevels, Server, ServerConfig, Traces, Trigger, Webhook};
use sagahost_store::SqliteStore;
use sagahost_wasm::{ByteSize, HumanDuration, Runtime, WasmConfig};
use tokio::sync::watch;

use crate::exit::{Exit, fail};
use crate::folder::{Change, Folder};
use crate::manifest::{self, Listen, Loaded, PostUrl, TracesUrl, WebhookUrl};

/// What `serve` and `dev` can both be told; it goes before the manifest.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct HostArgs {
    /// Where to listen [default: the manifest's, else 127.0.0.1:7071]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<Listen>,
    /// Where everything is kept [default: the manifest's]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The folder of components; every *.wasm in it is deployed, and is
    /// picked up when it is added, replaced or removed [default: the
    /// manifest's, else `functions` in the data directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) functions: Option<PathBuf>,
    /// The manifest [default: ./sagahost.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// How much memory waiting orchestrations may hold [default: the
    /// manifest's, else 256MiB]
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory_budget: Option<ByteSize>,
    /// How long what runs may take to end when the host is told to stop
    /// [default: the manifest's, else 10s]
    #[arg(long, value_name = "TIME")]
    pub(crate) grace: Option<HumanDuration>,
    /// Where to POST when a saga is stuck [default: the manifest's]
    #[arg(long, value_name = "URL")]
    pub(crate) stuck_webhook: Option<WebhookUrl>,
    /// Where traces go, by OTLP over HTTP [default: the manifest's, else
    /// OTEL_EXPORTER_OTLP_ENDPOINT]
    #[arg(long, value_name = "URL")]
    pub(crate) otlp_endpoint: Option<TracesUrl>,
    /// Refuse every request that would change something; what runs goes on
    #[arg(long)]
    pub(crate) read_only: bool,
    /// What is logged: error, warn, info, debug, or as in RUST_LOG
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log: Option<String>,
    // Not offered: it is refused in `lib.rs`.
    #[arg(long = "json", id = "json", hide = true)]
    _json: bool,
}

/// A host that is about to serve.
pub(crate) struct Host {
    pub(crate) engine: Engine,
    pub(crate) server: Server,
    pub(crate) folder: Folder,
    /// What became of the files in the functions folder.
    pub(crate) deployed: Vec<Change>,
    pub(crate) grace: Duration,
}

/// Where a host keeps its things.
pub(crate) struct Places {
    pub(crate) data: PathBuf,
    pub(crate) functions: PathBuf,
}

impl Host {
    pub(crate) async fn open(
        args: &HostArgs,
        loaded: &Loaded,
        places: Places,
        clock: Clock,
        log: Option<Arc<dyn LogLevels>>,
    ) -> Result<Host> {
        let given = &loaded.manifest.host;
        let stuck_webhook = webhook(args.stuck_webhook.as_ref(), given)?;
        let traces = traces(args.otlp_endpoint.as_ref(), given)?;
        let Places { data, functions } = places;
        // The store first: it makes the data directory, for this user alone,
        // and is what keeps two hosts off it.
        let store = SqliteStore::open(&data)?;
        std::fs::create_dir_all(&functions).map_err(|error| {
            fail(
                Exit::Failed,
                format!("cannot make the directory {}: {error}", functions.display()),
            )
        })?;
        let keys = Keys::load(&data)?;

        let mut wasm = WasmConfig { cache_dir: data.join("components"), ..WasmConfig::default() };
        wasm.max_activities = given.max_activities.unwrap_or(wasm.max_activities);
        wasm.max_orchestrators = given.max_orchestrators.unwrap_or(wasm.max_orchestrators);
        let runtime = Runtime::new(wasm)?;
        runtime.set_rules(loaded.rules()?);

        // Before the engine starts: it goes on with what the last host left,
        // and must find the functions that calls for.
        let mut folder = Folder::new(functions.clone(), runtime.clone());
        let deployed = folder.sync().await;

        let default = EngineConfig::default();
        let budget = args
            .memory_budget
            .or(given.memory_budget)
            .map_or(default.memory_budget, ByteSize::bytes);
        let room = runtime.max_orchestrators();
        let config = EngineConfig {
            functions_dir: functions,
            memory_budget: budget,
            // Some room is left for what the engine does not count, such as
            // checks of journals.
            max_orchestrators: (room - room / 16).max(1),
            run_ahead: given.run_ahead.unwrap_or(default.run_ahead),
            max_delay: given.max_delay.map_or(default.max_delay, HumanDuration::get),
            max_queue: given.max_queue.map_or(default.max_queue, HumanDuration::get),
            clock,
            ..default
        };
        let engine = Engine::start(Arc::new(store), runtime, config).await?;

        let grace = args.grace.or(given.grace).map_or(Duration::from_secs(10), HumanDuration::get);
        let mut server = ServerConfig {
            keys,
            grace,
            trust_forwarded: given.trust_forwarded,
            stuck_webhook,
            traces,
            read_only: args.read_only || given.read_only,
            log,
            triggers: loaded.triggers()?,
            ..ServerConfig::default()
        };
        if let Some(Listen(listen)) = args.listen.or(given.listen) {
            server.listen = listen;
        }
        if let Some(most) = given.max_body {
            server.max_body = usize::try_from(most.bytes()).unwrap_or(usize::MAX);
        }
        let server = match Server::bind(server, engine.clone()).await {
            Ok(server) => server,
            Err(error) => {
                engine.shutdown(grace).await;
                return Err(cannot_listen(error, &data));
            }
        };
        // Last: a host that cannot listen starts nothing.
        keep_time(&engine, loaded)?;
        Ok(Host { engine, server, folder, deployed, grace })
    }

    /// Where it can be reached from this machine.
    pub(crate) fn url(&self) -> String {
        let mut address = self.server.local_addr();
        if address.ip().is_unspecified() {
            address.set_ip(match address.is_ipv4() {
                true => std::net::Ipv4Addr::LOCALHOST.into(),
                false => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("http://{address}")
    }
}

/// Starts and removes orchestrations when the manifest says so.
pub(crate) fn keep_time(engine: &Engine, loaded: &Loaded) -> Result<()> {
    engine.set_schedules(loaded.schedules()?);
    engine.set_retention(loaded.retention());
    Ok(())
}

/// The orchestrators that the manifest's routes and schedules start, and that
/// are not deployed: misspelt, or to be deployed later.
pub(crate) fn not_deployed(engine: &Engine, loaded: &Loaded) -> Result<BTreeSet<String>> {
    let (triggers, schedules) = (loaded.triggers()?, loaded.schedules()?);
    let named = triggers.iter().map(Trigger::orchestrator);
    let named = named.chain(schedules.iter().map(Schedule::orchestrator));
    let is_there = |name: &&str| {
        let function = engine.runtime().function(name);
        function.is_some_and(|function| function.kind == FunctionKind::Orchestrator)
    };
    Ok(named.filter(|name| !is_there(name)).map(str::to_owned).collect())
}

/// Who is told of stuck sagas: what is named on the command line, else in the
/// manifest.
fn webhook(named: Option<&WebhookUrl>, given: &manifest::Host) -> Result<Option<Webhook>> {
    let variable = given.stuck_webhook_token_env.as_deref();
    let Some(PostUrl { url, .. }) = named.or(given.stuck_webhook.as_ref()) else {
        return match variable {
            None => Ok(None),
            Some(_) => Err(fail(
                Exit::Usage,
                "stuck-webhook-token-env names a token, but there is no stuck-webhook to send it to",
            )),
        };
    };
    // The value is in no message.
    let token = variable.map(|name| {
        std::env::var(name).map_err(|_| {
            fail(
                Exit::Usage,
                format!("stuck-webhook-token-env names the variable {name}, which is not set, or is not text"),
            )
        })
    });
    let token = token.transpose()?;
    Webhook::new(url, token.as_deref())
        .map(Some)
        .map_err(|error| fail(Exit::Usage, error.to_string()))
}

/// Where traces go: what is named on the command line, else in the manifest,
/// else in the variables that OpenTelemetry has for that.
fn traces(named: Option<&TracesUrl>, given: &manifest::Host) -> Result<Option<Traces>> {
    let variable = |name| std::env::var(name).ok().filter(|text: &String| !text.trim().is_empty());
    let named = named.or(given.otlp_endpoint.as_ref()).map(|named| named.url.clone());
    let Some(endpoint) = named.or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT")) else {
        return Ok(None);
    };
    let headers = variable("OTEL_EXPORTER_OTLP_HEADERS");
    let service = variable("OTEL_SERVICE_NAME");
    Traces::new(&endpoint, headers.as_deref(), service.as_deref().unwrap_or("sagahost"))
        .map(Some)
        .map_err(|error| fail(Exit::Usage, error.to_string()))
}

fn cannot_listen(error: HttpError, data: &std::path::Path) -> anyhow::Error {
    match &error {
        HttpError::Bind { address, source } if source.kind() == std::io::ErrorKind::AddrInUse => {
            fail(
                Exit::Failed,
                format!(
                    "port {} of {} is taken by another program (maybe another sagahost); stop that one, or give another with --listen {}:PORT",
                    address.port(),
                    address.ip(),
                    address.ip()
                ),
            )
        }
        HttpError::KeysNeeded(address) => fail(
            Exit::Usage,
            format!(
                "{address} can be reached from other machines, and this host has no API keys: make one with `sagahost key create --data {} --kind manage --name admin`, or listen on 127.0.0.1",
                data.display()
            ),
        ),
        _ => error.into(),
    }
}

/// How much longer than the grace period the way down may take.
const MARGIN: Duration = Duration::from_secs(5);

/// Serves until a signal comes, then lets what runs end within the grace
/// period. A second signal ends the program at once.
pub(crate) async fn serve(
    server: Server,
    engine: &Engine,
    grace: Duration,
    stopped: watch::Receiver<bool>,
) -> Result<()> {
    let stopping = |mut stopped: watch::Receiver<bool>| async move {
        // An error means that nobody can tell us any more.
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    let engine_down = async {
        stopping(stopped.clone()).await;
        engine.shutdown(grace).await
    };
    let ((), all_ended) = tokio::join!(server.serve(stopping(stopped.clone())), engine_down);
    match all_ended {
        true => tracing::info!("stopped; everything that ran has ended"),
        false => tracing::info!("stopped; what still ran begins again at the next start"),
    }
    Ok(())
}

/// Turns true at the first signal. Signals are heard from when this returns:
/// call it before anybody is told that the host is there.
///
/// Signals are waited for on a thread and a runtime of their own: they must be
/// heard even where every worker of the host's runtime is stuck, and the
/// program must end when the grace period has. What was acknowledged is
/// durable by then, so ending hard loses nothing.
pub(crate) fn listen_for_signals(grace: Duration) -> Result<watch::Receiver<bool>> {
    let (stop, stopped) = watch::channel(false);
    let (ready, listening) = std::sync::mpsc::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listen = async move {
        let signals = Signals::new();
        // Whoever waits for it is there until it comes.
        let _ = ready.send(());
        let mut signals = match signals {
            Ok(signals) => signals,
            Err(error) => {
                tracing::error!(%error, "signals cannot be listened for; only SIGKILL ends this host");
                return std::future::pending().await;
            }
        };
        let name = signals.next().await;
        tracing::info!(signal = name, ?grace, "stopping: no new work is taken");
        stop.send_replace(true);
        tokio::select! {
            name = signals.next() => {
                tracing::warn!(signal = name, "stopping at once; what ran begins again at the next start");
                std::process::exit(130);
            }
            () = tokio::time::sleep(grace + MARGIN) => {
                tracing::error!("the host did not stop within its grace period; ending it. What ran begins again at the next start");
                std::process::exit(1);
            }
        }
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(listen))?;
    // It comes at once, or never, if that thread is gone.
    let _ = listening.recv();
    Ok(stopped)
}

/// The signals that mean: end.
pub(crate) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(crate) fn new() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next one, by name.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn new() -> Result<Self> {
        Ok(Signals {})
    }

    /// The next one, by name.
    pub(crate) async fn next(&mut self) -> &'static str {
        // Without Ctrl-C there is nothing to wait for.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}
