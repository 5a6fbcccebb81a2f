//! The server: listening, connections, and going down in good order.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sagahost_engine::Engine;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::app::{App, Phase, Shared};
use crate::early::Told;
use crate::keys::Keys;
use crate::live::Hub;
use crate::log::LogLevels;
use crate::metrics::Metrics;
use crate::otlp::Traces;
use crate::trigger::Trigger;
use crate::webhook::Webhook;
use crate::{routes, service};

/// How the server is set up.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to listen. Anything but loopback takes keys.
    pub listen: SocketAddr,
    /// The API keys. Where there are any, every request but those of the
    /// health routes needs one, also on loopback.
    pub keys: Option<Keys>,
    /// The largest body, in bytes.
    pub max_body: usize,
    /// The largest component that is uploaded, in bytes.
    pub max_component: usize,
    /// How long a client may take for the head of a request, and how long a
    /// connection may be idle.
    pub header_timeout: Duration,
    /// How long a client may pause within a body.
    pub body_timeout: Duration,
    /// How many connections there may be at once. More wait to be accepted.
    pub max_connections: u32,
    /// Whether `X-Forwarded-Host` and `X-Forwarded-Proto` are believed: only
    /// behind a proxy that sets them.
    pub trust_forwarded: bool,
    /// How long requests that are under way may take to end when the server
    /// goes down.
    pub grace: Duration,
    /// The routes of the manifest. No two may be the same
    /// ([`Trigger::conflict`]).
    pub triggers: Vec<Trigger>,
    /// Who is told when a saga is stuck.
    pub stuck_webhook: Option<Webhook>,
    /// Where the traces of sagas go.
    pub traces: Option<Traces>,
    /// What changes how much is logged.
    pub log: Option<Arc<dyn LogLevels>>,
    /// Whether everything that would change something is refused. What runs
    /// goes on.
    pub read_only: bool,
}

impl Default for ServerConfig {
    /// Loopback, on the port of Azure's local tools.
    fn default() -> Self {
        ServerConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 7071)),
            keys: None,
            max_body: 1 << 20,
            max_component: 128 << 20,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            max_connections: 4096,
            trust_forwarded: false,
            grace: Duration::from_secs(10),
            triggers: Vec::new(),
            stuck_webhook: None,
            traces: None,
            log: None,
            read_only: false,
        }
    }
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address can be reached from elsewhere, and there are no keys.
    #[error(
        "{0} can be reached from other machines, and this host has no API keys: make one with \
         `sagahost key create --data DIR --kind manage --name NAME`, or listen on 127.0.0.1"
    )]
    KeysNeeded(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// A server that listens, and serves once it is told to.
pub struct Server {
    listener: TcpListener,
    router: Router,
    app: Shared,
    phase: watch::Sender<Phase>,
}

impl Server {
    /// Takes the address.
    ///
    /// # Errors
    /// When it cannot be had, or must not be without keys.
    pub async fn bind(config: ServerConfig, engine: Engine) -> Result<Server, HttpError> {
        let address = config.listen;
        let has_keys = config.keys.as_ref().is_some_and(|keys| !keys.is_empty());
        if !has_keys && !address.ip().to_canonical().is_loopback() {
            return Err(HttpError::KeysNeeded(address));
        }
        let failed = |source| HttpError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        let (phase, watched) = watch::channel(Phase::Serving);
        let live = Arc::new(Hub::default());
        engine.observe(live.clone());
        let app = Arc::new(App {
            metrics: Metrics::new(&engine, &routes::all(&config.triggers)),
            engine,
            config: ServerConfig { keys: config.keys.filter(|keys| !keys.is_empty()), ..config },
            local,
            phase: watched,
            live,
        });
        Ok(Server { listener, router: routes::router(app.clone()), app, phase })
    }

    /// Where it listens: with the port that was chosen, where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.app.local
    }

    /// Serves until `shutdown` returns. Then it takes no more connections, lets
    /// the requests that are under way end, and returns when they have or the
    /// grace period is over. The engine is left as it is.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let Server { listener, router, app, phase } = self;
        let webhook = app.config.stuck_webhook.clone().map(|webhook| {
            tokio::spawn(webhook.deliver(app.engine.watch_stuck(), app.known_origin()))
        });
        let traces = app.config.traces.clone();
        let traces = traces.map(|traces| tokio::spawn(traces.listen(&app.engine)));
        let pacing = tokio::spawn({
            let live = app.live.clone();
            async move { live.pace().await }
        });
        let limit = app.config.max_connections.max(1);
        let places = Arc::new(Semaphore::new(limit as usize));
        let mut shutdown = pin!(shutdown);
        loop {
            let place = tokio::select! {
                biased;
                () = &mut shutdown => break,
                place = places.clone().acquire_owned() => place,
            };
            // The semaphore is never closed.
            let Ok(place) = place else { break };
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let serving = connection(stream, app.clone(), router.clone());
                    tokio::spawn(async move {
                        serving.await;
                        drop(place);
                    });
                }
                Err(error) if belongs_to_one(&error) => {}
                Err(error) => {
                    // Out of file descriptors, most likely: there is nothing
                    // to do but to wait until some are closed.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(listener);
        phase.send_replace(Phase::Draining);
        if tokio::time::timeout(app.config.grace, places.acquire_many(limit)).await.is_err() {
            let left = limit as usize - places.available_permits();
            tracing::warn!(
                left,
                "cutting the connections that did not end within the grace period"
            );
            phase.send_replace(Phase::Cut);
        }
        pacing.abort();
        for telling in webhook.into_iter().chain(traces) {
            // What it has not delivered is told by the next host.
            telling.abort();
        }
    }
}

/// Whether an error of `accept` is about a connection that is already gone.
fn belongs_to_one(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

async fn connection(stream: TcpStream, app: Shared, router: Router) {
    // Answers are small and whole: none should wait for the next one. Where
    // the system refuses, it is only slower.
    let _ = stream.set_nodelay(true);
    let told = Told::default();
    let service =
        service_fn(move |request| service::respond(router.clone(), told.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.config.header_timeout)
        .max_buf_size(128 << 10)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = app.reached(Phase::Draining) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = app.reached(Phase::Cut) => return,
            }
        }
    };
    if let Err(error) = ended {
        // A client that went away, was too slow, or does not speak HTTP.
        tracing::debug!(%error, "a connection broke");
    }
}
