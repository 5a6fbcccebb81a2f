//! A bare HTTP server, in a process of its own: it reads each request and gives
//! one and the same answer.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use super::super::outcome::Answer;
use crate::client::Remote;
use crate::exit::{Exit, fail};

/// As the host's, where nothing else is said.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
const BUFFER: usize = 128 << 10;

/// Serves until standard input is closed: an answer stands in its first line. The
/// address is printed.
pub(in super::super) async fn serve() -> Result<()> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let answer: Answer = serde_json::from_str(&line)
        .map_err(|error| fail(Exit::Usage, format!("there is no answer to give: {error}")))?;
    let answer = response(&answer)?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen")?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    tokio::spawn(async move {
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                tokio::spawn(connection(TokioIo::new(stream), answer.clone()));
            }
        }
    });
    // Whoever wants it holds the other end, and lets go of it whatever happens.
    let closed = tokio::task::spawn_blocking(|| {
        let mut rest = Vec::new();
        std::io::stdin().lock().read_to_end(&mut rest)
    });
    closed.await??;
    Ok(())
}

async fn connection(stream: TokioIo<tokio::net::TcpStream>, answer: Response<Full<Bytes>>) {
    let service = service_fn(|request: Request<Incoming>| {
        let answer = answer.clone();
        async move {
            // Who goes away in the middle of a request is not answered.
            let _ = request.into_body().collect().await;
            Ok::<_, Infallible>(answer)
        }
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(BUFFER)
        .serve_connection(stream, service)
        .await;
}

fn response(answer: &Answer) -> Result<Response<Full<Bytes>>> {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    Ok(response.body(Full::new(Bytes::from(answer.body.clone())))?)
}

/// Such a server, as long as it is kept.
pub(super) struct Bare {
    child: Child,
    /// It ends when this is closed.
    stdin: Option<ChildStdin>,
    pub(super) remote: Remote,
}

impl Bare {
    /// Starts one that gives this answer.
    pub(super) fn start(answer: &Answer) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut child = Command::new(&program)
            .args(["bench", "--bare-http"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let (mut stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let mut address = String::new();
        let talk = || -> Result<Remote> {
            let (Some(stdin), Some(stdout)) = (stdin.as_mut(), stdout) else {
                anyhow::bail!("it has no standard input and output");
            };
            writeln!(stdin, "{}", serde_json::to_string(answer)?)?;
            BufReader::new(stdout).read_line(&mut address)?;
            Remote::new(address.trim(), None)
        };
        let remote = talk();
        // Dropped, it is ended, also where it did not begin well.
        let remote = remote.context("cannot talk to the bare HTTP server");
        match remote {
            Ok(remote) => Ok(Bare { child, stdin, remote }),
            Err(error) => {
                end(&mut child);
                Err(error)
            }
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.stdin.take();
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself, and it keeps nothing.
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_given_as_it_was() {
        let answer = Answer {
            status: 200,
            headers: vec![("x-one".to_owned(), "1".to_owned())],
            body: "{}".to_owned(),
        };
        let given = response(&answer).expect("is one");
        assert_eq!(
            (given.status().as_u16(), &given.headers()["x-one"]),
            (200, &"1".parse().expect("a value"))
        );
        assert!(response(&Answer { status: 7, ..answer }).is_err());
    }
}
