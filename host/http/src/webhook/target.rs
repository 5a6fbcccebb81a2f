//! One POST to one URL. Redirects are not followed: an answer that is one is
//! an answer that is not 2xx.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use super::{Patience, WebhookError};

/// What a URL says.
#[derive(Debug)]
pub(crate) struct Address {
    tls: bool,
    host: String,
    port: u16,
    /// Host and port, as they stand in the URL.
    authority: HeaderValue,
    /// Path and query.
    path: Uri,
}

/// Where it is posted to. Shown as scheme, host and port.
pub(crate) struct Target {
    address: Address,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Why something was not delivered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undelivered {
    #[error("it cannot be reached: {0}")]
    Unreachable(std::io::Error),
    #[error("there is no connection within {0:?}")]
    Connecting(std::time::Duration),
    #[error("it did not answer within {0:?}")]
    Silent(std::time::Duration),
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("it answered with status {}", .0.as_u16())]
    Refused(StatusCode),
    #[error("the request cannot be made: {0}")]
    Unsendable(#[from] axum::http::Error),
}

/// Reads a URL.
pub(super) fn parse(url: &str) -> Result<Address, WebhookError> {
    let uri: Uri = url.trim().parse().map_err(|_| WebhookError::Url("cannot be read"))?;
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(WebhookError::Url("begins with neither http:// nor https://")),
    };
    let authority = uri.authority().ok_or(WebhookError::Url("names no host"))?;
    if authority.as_str().contains('@') {
        return Err(WebhookError::Url(
            "has a user or a password in it; a token goes into an environment variable",
        ));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err(WebhookError::Url("names no host"));
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Ok(Address {
        tls,
        host: host.to_owned(),
        port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
        authority: HeaderValue::try_from(authority.as_str())
            .map_err(|_| WebhookError::Url("names a host that cannot be one"))?,
        path: path.parse().map_err(|_| WebhookError::Url("has a path that cannot be one"))?,
    })
}

impl Target {
    /// With the roots that browsers trust.
    pub(crate) fn new(url: &str) -> Result<Self, WebhookError> {
        let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned();
        Self::with_roots(url, RootCertStore { roots: roots.collect() })
    }

    pub(super) fn with_roots(url: &str, roots: RootCertStore) -> Result<Self, WebhookError> {
        let address = parse(url)?;
        if !address.tls {
            return Ok(Target { address, tls: None });
        }
        let name = ServerName::try_from(address.host.clone())
            .map_err(|_| WebhookError::Url("names a host that cannot have a certificate"))?;
        let provider = Arc::new(crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| WebhookError::Tls(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Target { address, tls: Some((connector, name)) })
    }

    /// Posts this once.
    pub(crate) async fn post(
        &self,
        body: Bytes,
        headers: &HeaderMap,
        patience: Patience,
    ) -> Result<(), Undelivered> {
        let mut request = Request::post(self.address.path.clone())
            .header(header::HOST, &self.address.authority)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("sagahost/", env!("CARGO_PKG_VERSION")))
            .header(header::CONNECTION, "close");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body))?;
        tokio::time::timeout(patience.answer, self.send(request, patience))
            .await
            .unwrap_or(Err(Undelivered::Silent(patience.answer)))
    }

    async fn send(
        &self,
        request: Request<Full<Bytes>>,
        patience: Patience,
    ) -> Result<(), Undelivered> {
        let connecting = async {
            let stream = TcpStream::connect((&*self.address.host, self.address.port)).await?;
            match &self.tls {
                None => Ok(Connected::Plain(stream)),
                Some((connector, name)) => {
                    let stream = connector.connect(name.clone(), stream).await?;
                    Ok(Connected::Tls(Box::new(stream)))
                }
            }
        };
        let connected = tokio::time::timeout(patience.connect, connecting)
            .await
            .map_err(|_| Undelivered::Connecting(patience.connect))?
            .map_err(Undelivered::Unreachable)?;
        let status = match connected {
            Connected::Plain(stream) => exchange(stream, request).await?,
            Connected::Tls(stream) => exchange(stream, request).await?,
        };
        if status.is_success() { Ok(()) } else { Err(Undelivered::Refused(status)) }
    }
}

enum Connected {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

/// The status that the answer has. The rest of it is not read.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<StatusCode, hyper::Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It may end with the answer, or with an error that the sender is told.
    let driving = async {
        let _ = connection.await;
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        biased;
        answer = sender.send_request(request) => Ok(answer?.status()),
        never = driving => match never {},
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Address { tls, host, port, .. } = &self.address;
        let scheme = if *tls { "https" } else { "http" };
        match host.contains(':') {
            true => write!(f, "{scheme}://[{host}]:{port}"),
            false => write!(f, "{scheme}://{host}:{port}"),
        }
    }
}
