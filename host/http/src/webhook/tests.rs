//! A receiver on a real socket.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sagahost_core::Json;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};

use super::*;

/// A certificate for `localhost`, signed by itself, and its key: for these
/// tests, and of no use anywhere else.
const CERTIFICATE: &str = "\
    3082015e30820104a003020102020101300a06082a8648ce3d04030230143112301006035504030c096c6f63\
    616c686f73743020170d3230303130313030303030305a180f32313230303130313030303030305a30143112\
    301006035504030c096c6f63616c686f73743059301306072a8648ce3d020106082a8648ce3d030107034200\
    04a8b1825201e3acc2c231ab61c82d1c146436eae311156ac091bb17f59f67c37790480cf0aceef2d5878eaf\
    61a22cc09353b63f53341942d9f7f1af4e48bb8980a345304330140603551d11040d300b82096c6f63616c68\
    6f7374300c0603551d130101ff04023000301d0603551d0e04160414ae8542ad41485e2689d123f49125b6c3\
    91485202300a06082a8648ce3d0403020348003045022015342c42c70414e24e8f29043c1832877c42436a73\
    e49749e3144bc18f2af08b022100f2b478bf11f111385f39e624d9c08fa2db01dcca72bb9c20acbf82cd7d44\
    0f26";
const KEY: &str = "\
    308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b02010104206d329ec1b5a5c464\
    f5872f60e707f5b0d0585905db4e2e9926cfd344682915cfa14403420004a8b1825201e3acc2c231ab61c82d\
    1c146436eae311156ac091bb17f59f67c37790480cf0aceef2d5878eaf61a22cc09353b63f53341942d9f7f1\
    af4e48bb8980";

/// How long anything may take before a test gives up on it.
const BOUND: Duration = Duration::from_secs(30);

fn der(hex: &str) -> Vec<u8> {
    crate::text::from_hex(&hex.replace(char::is_whitespace, "")).expect("hex")
}

fn certificate() -> CertificateDer<'static> {
    der(CERTIFICATE).into()
}

/// Something that was posted.
#[derive(Debug)]
struct Posted {
    head: String,
    body: Value,
}

/// Reads one request of each connection, and answers it with the next of these
/// statuses, and with 204 when there are no more.
async fn receiver(
    listener: TcpListener,
    statuses: Vec<u16>,
    tls: Option<TlsAcceptor>,
    posted: UnboundedSender<Posted>,
) {
    let statuses = Arc::new(Mutex::new(VecDeque::from(statuses)));
    loop {
        let (stream, _) = listener.accept().await.expect("accepted");
        let (tls, posted, statuses) = (tls.clone(), posted.clone(), statuses.clone());
        tokio::spawn(async move {
            match tls {
                None => answer(stream, &statuses, &posted).await,
                // A client that does not trust us goes away.
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => answer(stream, &statuses, &posted).await,
                    Err(_) => None,
                },
            }
        });
    }
}

async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    statuses: &Mutex<VecDeque<u16>>,
    posted: &UnboundedSender<Posted>,
) -> Option<()> {
    let mut bytes = Vec::new();
    let (head, body) = loop {
        stream.read_buf(&mut bytes).await.ok().filter(|read| *read > 0)?;
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_ascii_lowercase();
        let length = length.split("content-length: ").nth(1)?.lines().next()?.parse::<usize>();
        if body.len() >= length.ok()? {
            break (head.to_owned(), serde_json::from_str(body).expect("JSON"));
        }
    };
    let status = statuses.lock().expect("not poisoned").pop_front().unwrap_or(204);
    posted.send(Posted { head, body }).ok()?;
    // A client that followed redirects would come back here.
    let answer =
        format!("HTTP/1.1 {status} So\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// Serves on this listener; what is posted comes out.
fn serve(
    listener: TcpListener,
    statuses: &[u16],
    tls: Option<TlsAcceptor>,
) -> UnboundedReceiver<Posted> {
    let (sender, posted) = mpsc::unbounded_channel();
    tokio::spawn(receiver(listener, statuses.to_vec(), tls, sender));
    posted
}

async fn next(posted: &mut UnboundedReceiver<Posted>) -> Posted {
    tokio::time::timeout(BOUND, posted.recv()).await.expect("in time").expect("something")
}

fn impatient(webhook: Webhook) -> Webhook {
    let patience = Patience {
        first_pause: Duration::from_millis(10),
        longest_pause: Duration::from_millis(40),
        ..Patience::default()
    };
    Webhook { patience, ..webhook }
}

fn webhook(address: SocketAddr, token: Option<&str>) -> Webhook {
    let url = format!("http://{address}/hook?secret=s3cr3t");
    impatient(Webhook::new(&url, token).expect("a webhook"))
}

fn notice(id: &str) -> StuckNotice {
    let stuck = Json::parse(
        r#"[{"step":"3","forward":false,"function":"Refund","attempts":4,"since":1519795129345,
             "failure":{"kind":"returned","code":"closed","message":"m","retryable":false}}]"#,
    );
    StuckNotice {
        id: id.into(),
        name: "Saga".into(),
        since: 1_519_795_129_345,
        stuck: stuck.expect("JSON"),
    }
}

/// Starts to deliver; notices go in.
fn deliver(webhook: Webhook, origin: Option<&str>) -> UnboundedSender<StuckNotice> {
    let (sender, notices) = mpsc::unbounded_channel();
    tokio::spawn(webhook.deliver(notices, origin.map(str::to_owned)));
    sender
}

#[tokio::test]
async fn a_stuck_saga_is_told_of() {
    let (listener, address) = listen().await;
    let mut posted = serve(listener, &[], None);
    let notices = deliver(webhook(address, Some("t0ken\n")), Some("http://h:1"));
    notices.send(notice("a b")).expect("taken");
    let Posted { head, body } = next(&mut posted).await;
    assert!(head.starts_with("POST /hook?secret=s3cr3t HTTP/1.1\r\n"), "{head}");
    let head = head.to_ascii_lowercase();
    for line in [
        format!("host: {address}"),
        "content-type: application/json".into(),
        "authorization: bearer t0ken".into(),
    ] {
        assert!(head.lines().any(|known| known == line), "{line}: {head}");
    }
    assert_eq!(
        body,
        serde_json::json!({
            "event": "saga.stuck", "instanceId": "a b", "name": "Saga",
            "since": "2018-02-28T05:18:49.3450000Z",
            "stuck": [{"step": "3", "forward": false, "function": "Refund", "attempts": 4,
                       "since": "2018-02-28T05:18:49.3450000Z",
                       "failure": {"kind": "returned", "code": "closed", "message": "m",
                                   "retryable": false}}],
            "statusUrl": "http://h:1/runtime/webhooks/durabletask/instances/a%20b",
        })
    );
    notices.send(notice("b")).expect("taken");
    assert_eq!(next(&mut posted).await.body["instanceId"], "b");
}

#[tokio::test]
async fn what_is_not_answered_with_success_is_sent_again() {
    let (listener, address) = listen().await;
    let mut posted = serve(listener, &[500, 302, 404], None);
    let notices = deliver(webhook(address, None), None);
    notices.send(notice("a")).expect("taken");
    for _ in 0..4 {
        let Posted { head, body } = next(&mut posted).await;
        assert!(head.starts_with("POST /hook"), "a redirect is not followed: {head}");
        assert!(!head.to_ascii_lowercase().contains("authorization"), "{head}");
        assert_eq!((&body["instanceId"], body.get("statusUrl")), (&"a".into(), None));
    }
    // Once it is delivered it is not sent again: what comes next is another.
    notices.send(notice("b")).expect("taken");
    assert_eq!(next(&mut posted).await.body["instanceId"], "b");
}

#[tokio::test]
async fn a_receiver_that_is_down_is_told_when_it_is_back() {
    let (listener, address) = listen().await;
    drop(listener);
    let mut courier = courier::Courier::new(webhook(address, None), None);
    courier.take(&notice("a"));
    courier.send_what_is_due();
    let tried = tokio::time::timeout(BOUND, courier.under_way.join_next()).await;
    let (delivery, outcome) = tried.expect("in time").expect("one").expect("no panic");
    let refused = outcome.as_ref().expect_err("refused").to_string();
    assert!(refused.starts_with("it cannot be reached: "), "{refused}");
    courier.tried(delivery, outcome);

    let listener = TcpListener::bind(address).await.expect("the same port");
    let mut posted = serve(listener, &[], None);
    let (sender, notices) = mpsc::unbounded_channel();
    let delivering = tokio::spawn(courier.run(notices));
    assert_eq!(next(&mut posted).await.body["instanceId"], "a");
    drop(sender);
    delivering.await.expect("it ends, as nothing is left");
}

#[tokio::test]
async fn of_one_saga_the_last_notice_waits() {
    let (listener, address) = listen().await;
    let mut courier = courier::Courier::new(webhook(address, None), None);
    for since in 1..=3 {
        courier.take(&StuckNotice { since: since * 1000, ..notice("a") });
    }
    courier.take(&notice("b"));
    let mut posted = serve(listener, &[], None);
    let (sender, notices) = mpsc::unbounded_channel();
    drop(sender);
    tokio::time::timeout(BOUND, courier.run(notices)).await.expect("all is delivered");
    let mut told = Vec::new();
    while let Ok(Posted { body, .. }) = posted.try_recv() {
        told.push(format!("{} {}", body["instanceId"], body["since"]));
    }
    told.sort();
    assert_eq!(
        told,
        [r#""a" "1970-01-01T00:00:03.0000000Z""#, r#""b" "2018-02-28T05:18:49.3450000Z""#]
    );
}

#[tokio::test]
async fn it_is_given_up_in_the_end() {
    let (listener, address) = listen().await;
    let mut posted = serve(listener, &[500; 100], None);
    let mut webhook = webhook(address, None);
    webhook.patience.in_all = Duration::from_millis(300);
    let (sender, notices) = mpsc::unbounded_channel();
    sender.send(notice("a")).expect("taken");
    drop(sender);
    // It ends once nothing is left to deliver.
    tokio::time::timeout(BOUND, webhook.deliver(notices, None)).await.expect("given up");
    posted.close();
    let mut tries = 0;
    while posted.recv().await.is_some() {
        tries += 1;
    }
    assert!((2..50).contains(&tries), "{tries}");
}

#[tokio::test]
async fn a_receiver_that_says_nothing_is_left() {
    let (listener, address) = listen().await;
    let mut webhook = webhook(address, None);
    webhook.patience.answer = Duration::from_millis(50);
    let notices = deliver(webhook, None);
    notices.send(notice("a")).expect("taken");
    // Both connections stay open and get no answer.
    let first = tokio::time::timeout(BOUND, listener.accept()).await.expect("tried");
    let second = tokio::time::timeout(BOUND, listener.accept()).await.expect("tried again");
    drop((first, second));
}

#[tokio::test]
async fn a_receiver_is_known_by_its_certificate() {
    let provider = Arc::new(crypto::ring::default_provider());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(der(KEY)));
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate()], key)
        .expect("a certificate");
    let (listener, address) = listen().await;
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let mut posted = serve(listener, &[], Some(acceptor));
    let url = format!("https://localhost:{}/hook", address.port());

    // Nobody vouches for it.
    let stranger = impatient(Webhook::new(&url, None).expect("a webhook"));
    let patience = stranger.patience;
    let refused =
        stranger.target.post("{}".into(), &HeaderMap::new(), patience).await.expect_err("refused");
    assert!(refused.to_string().contains("certificate"), "{refused}");

    let mut roots = RootCertStore::empty();
    roots.add(certificate()).expect("a root");
    let target = Arc::new(Target::with_roots(&url, roots).expect("a target"));
    let notices = deliver(Webhook { target, ..stranger }, None);
    notices.send(notice("a")).expect("taken");
    assert_eq!(next(&mut posted).await.body["instanceId"], "a");
    assert!(posted.try_recv().is_err(), "what was refused came through");
}

#[test]
fn a_url_is_checked_and_its_secrets_are_not_shown() {
    let shown = |url: &str| Webhook::new(url, Some("t0ken")).map(|webhook| format!("{webhook:?}"));
    for (url, expected) in [
        ("https://example.org/a/s3cr3t?k=s3cr3t", "Webhook(https://example.org:443)"),
        ("http://example.org", "Webhook(http://example.org:80)"),
        ("http://[::1]:8080/s3cr3t", "Webhook(http://[::1]:8080)"),
        (" https://127.0.0.1 ", "Webhook(https://127.0.0.1:443)"),
    ] {
        assert_eq!(shown(url).expect(url), expected);
        assert!(Webhook::check(url).is_ok());
    }
    for url in [
        "",
        "example.org",
        "/hook",
        "ftp://h/s3cr3t",
        "http://",
        "http://u:s3cr3t@h/",
        "http://h h",
    ] {
        let error = shown(url).expect_err(url).to_string();
        assert!(error.contains("is like https://") && !error.contains("s3cr3t"), "{error}");
        assert!(Webhook::check(url).is_err());
    }
    for token in ["", " \n", "a\nb", "a\u{0}"] {
        let error = Webhook::new("http://h", Some(token)).expect_err("refused").to_string();
        assert!(error.contains("token"), "{error}");
    }
}
