//! An orchestrator that tries to be nondeterministic.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

use sagahost::{Failure, OrchestratorContext};
use schemars::JsonSchema;
use serde::Serialize;

/// What a probe of the world gave, by the name of the probe: `ok: ...` or `error: ...`.
type Observations = BTreeMap<String, String>;

#[derive(Serialize, JsonSchema)]
struct Observed {
    rounds: Vec<Observations>,
}

/// Looks at all that could differ from one run to the next, three times, with an activity (TestEcho) in between, and
/// answers with what it saw.
///
/// What it saw before is given to each of the activities, so a host under
/// which it differs sees a journal that does not match.
#[sagahost::orchestrator]
async fn test_nondeterministic(ctx: OrchestratorContext) -> Result<Observed, Failure> {
    let mut rounds = Vec::new();
    for round in 0..3 {
        let observations = observe();
        ctx.activity::<serde_json::Value>("TestEcho", &(round, &observations)).await?;
        rounds.push(observations);
    }
    Ok(Observed { rounds })
}

/// The same, without any activity: answers with what it saw.
#[sagahost::activity]
async fn test_observe() -> Observations {
    observe()
}

fn observe() -> Observations {
    let started = Instant::now();
    let set: HashSet<u32> = (0..20).collect();
    let map: HashMap<String, u32> = (0..5).map(|n| (n.to_string(), n)).collect();
    std::thread::sleep(Duration::from_millis(1));
    let mut seen = Observations::new();
    let mut saw = |name: &str, what: Result<String, String>| {
        let text = match what {
            Ok(what) => format!("ok: {what}"),
            Err(what) => format!("error: {what}"),
        };
        seen.insert(name.to_owned(), text);
    };
    saw("systemTime", show(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)));
    saw("instantElapsed", Ok(format!("{:?}", started.elapsed())));
    saw("hashSetOrder", Ok(format!("{set:?}")));
    saw("hashMapOrder", Ok(format!("{map:?}")));
    saw("random", random_hex().map_err(|failure| failure.message));
    saw("env", Ok(format!("{:?}", std::env::vars().collect::<Vec<_>>())));
    saw("args", Ok(format!("{:?}", std::env::args().collect::<Vec<_>>())));
    saw("currentDir", show(std::env::current_dir()));
    saw("readDirRoot", show(std::fs::read_dir("/").map(Iterator::count)));
    saw("readFile", show(std::fs::read("/etc/hostname")));
    saw("writeFile", show(std::fs::write("/tmp/sagahost-test", "x")));
    saw("stdin", show(std::io::read_to_string(std::io::stdin())));
    saw("resolve", show("localhost:80".to_socket_addrs().map(Iterator::count)));
    saw("tcp", show(TcpStream::connect(("127.0.0.1", 80)).map(|_| "connected")));
    saw("udp", show(UdpSocket::bind(("127.0.0.1", 0)).map(|_| "bound")));
    saw("thread", show(std::thread::Builder::new().spawn(|| ()).map(|_| "spawned")));
    saw("stackAddress", Ok(format!("{:p}", &raw const started)));
    seen
}

fn show<T: std::fmt::Debug, E: std::fmt::Display>(result: Result<T, E>) -> Result<String, String> {
    result.map(|value| format!("{value:?}")).map_err(|error| error.to_string())
}

/// 16 random bytes, as hex.
pub(crate) fn random_hex() -> Result<String, Failure> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| Failure::permanent("no-random", error))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
