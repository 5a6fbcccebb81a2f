//! A real host as a child process, and a client for it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub use sagahost_test_support::{guest_with, guests, root};

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits until `condition` gives something, at most [`PATIENCE`].
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The folders of one test: data, functions, shop, manifest.
pub struct Site {
    dir: tempfile::TempDir,
    /// Where `serve` listens.
    pub listen: &'static str,
    /// More arguments for `serve`.
    pub arguments: Vec<String>,
}

impl Site {
    /// A new one, with these guests deployed.
    pub fn new(components: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for folder in ["data", "functions", "shop", "files"] {
            std::fs::create_dir(dir.path().join(folder)).expect("a folder");
        }
        let site = Site { dir, listen: "127.0.0.1:0", arguments: Vec::new() };
        site.compiled();
        for component in components {
            site.copy_component(component, component);
        }
        site.manifest("");
        site
    }

    /// Gives it the components' machine code, which takes seconds to compile:
    /// a host that ran before has done it.
    fn compiled(&self) {
        static COMPILED: OnceLock<tempfile::TempDir> = OnceLock::new();
        let compiled = COMPILED.get_or_init(|| {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let mut command = Command::new(env!("CARGO_BIN_EXE_sagahost"));
            command.arg("serve").arg("--data").arg(dir.path()).arg("--functions").arg(guests());
            command.args(["--listen", "127.0.0.1:0"]).current_dir(dir.path());
            assert_eq!(Server::start(command).terminate(), Some(0));
            dir
        });
        let to = self.path("data/components");
        std::fs::create_dir(&to).expect("a folder");
        for entry in std::fs::read_dir(compiled.path().join("components")).expect("it is there") {
            let from = entry.expect("an entry").path();
            std::fs::copy(&from, to.join(from.file_name().expect("a name"))).expect("it is copied");
        }
    }

    /// Writes the manifest: the shop's grants, and more.
    pub fn manifest(&self, more: &str) {
        let manifest = format!(
            r#"
[[functions]]
names = ["OrderActivity", "PaymentActivity", "RollbackOrderActivity", "RollbackPaymentActivity", "ArticleLeft"]
dirs = [{{ host = "shop", guest = "/shop", access = "write" }}]
env = {{ CARD_LIMIT_CENTS = "100000" }}

[[functions]]
names = ["TestUniqueEffect", "TestWriteFile", "StepDo", "StepUndo", "AppendLines", "CountRuns", "RequireFile"]
dirs = [{{ host = "files", guest = "/files", access = "write" }}]

{more}
"#
        );
        std::fs::write(self.path("sagahost.toml"), manifest).expect("a manifest");
    }

    /// Puts another text into all journals, so that code and journal differ. No
    /// host runs on it meanwhile.
    pub fn rewrite_journals(&self, from: &str, to: &str) {
        let database = rusqlite::Connection::open(self.path("data/sagahost.db")).unwrap();
        let sql = "UPDATE journal SET chunk = CAST(replace(CAST(chunk AS TEXT), ?1, ?2) AS BLOB)";
        assert!(database.execute(sql, [from, to]).unwrap() > 0);
    }

    pub fn copy_component(&self, component: &str, name: &str) {
        let from = guests().join(format!("{component}.wasm"));
        let to = self.path("functions").join(format!("{name}.wasm"));
        std::fs::copy(&from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// The command that serves it.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sagahost"));
        command
            .arg("serve")
            .arg("--data")
            .arg(self.path("data"))
            .arg("--functions")
            .arg(self.path("functions"))
            .arg("--config")
            .arg(self.path("sagahost.toml"))
            .args(["--listen", self.listen])
            .args(&self.arguments);
        command
    }

    /// Makes an API key of this kind. Hosts that start later want one.
    pub fn key(&self, kind: &str) -> String {
        let created = Command::new(env!("CARGO_BIN_EXE_sagahost"))
            .args(["--json", "key", "create", "--kind", kind, "--name", kind, "--data"])
            .arg(self.path("data"))
            .output()
            .expect("the program starts");
        assert!(created.status.success(), "{}", text(&created.stderr));
        let created: Value = serde_json::from_slice(&created.stdout).expect("JSON");
        created["key"].as_str().expect("a key").to_owned()
    }

    /// Starts a host on it and waits until it listens.
    pub fn serve(&self) -> Server {
        Server::start(self.command())
    }
}

/// A host that runs. It is killed when it is dropped.
pub struct Server {
    child: Child,
    pub url: String,
    output: Arc<Mutex<String>>,
}

impl Server {
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the host starts");
        let output = Arc::new(Mutex::new(String::new()));
        let (found, address) = mpsc::channel();
        let streams: [Box<dyn std::io::Read + Send>; 2] = [
            Box::new(child.stdout.take().expect("it is piped")),
            Box::new(child.stderr.take().expect("it is piped")),
        ];
        for stream in streams {
            let (output, found) = (output.clone(), found.clone());
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if let Some(url) =
                        line.split_whitespace().find(|word| word.starts_with("http://127.0.0.1:"))
                    {
                        let _ = found.send(url.trim_end_matches(['/', '.', ',']).to_owned());
                    }
                    let mut output = output.lock().expect("not poisoned");
                    output.push_str(&line);
                    output.push('\n');
                }
            });
        }
        drop(found);
        match address.recv_timeout(PATIENCE) {
            Ok(url) => Server { child, url, output },
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the host does not listen: {}", output.lock().expect("not poisoned"));
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything the host has printed.
    pub fn output(&self) -> String {
        self.output.lock().expect("not poisoned").clone()
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().expect("SIGKILL is sent");
        self.child.wait().expect("it ends");
    }

    /// Asks it to end (SIGTERM), and gives its exit code.
    pub fn terminate(mut self) -> Option<i32> {
        let sent = Command::new("kill").arg(self.pid().to_string()).status().expect("kill starts");
        assert!(sent.success());
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status.code();
            }
            assert!(start.elapsed() < PATIENCE, "SIGTERM does not end it: {}", self.output());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn client(&self) -> Client {
        Client::new(&self.url)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("-- the host printed:\n{}", self.output());
        }
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| &**value)
    }
}

/// An HTTP client for one host. Keeps its connections.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    url: String,
}

impl Client {
    pub fn new(url: &str) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .max_idle_connections_per_host(64)
            .build()
            .into();
        Client { agent, url: url.to_owned() }
    }

    /// Sends a request. A connection that breaks is an `Err`.
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer, String> {
        let url =
            if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.url) };
        let mut request = ureq::http::Request::builder().method(method).uri(&url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = match body {
            Some(body) => self.agent.run(request.body(body).map_err(|error| error.to_string())?),
            None => self.agent.run(request.body(()).map_err(|error| error.to_string())?),
        };
        let mut response = sent.map_err(|error| error.to_string())?;
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
            .collect();
        let text = response
            .body_mut()
            .with_config()
            .limit(256 << 20)
            .read_to_string()
            .map_err(|error| error.to_string())?;
        let body = match text.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|error| {
                panic!("{method} {url} answered what is not JSON ({error}): {text}")
            }),
        };
        Ok(Answer { status: response.status().as_u16(), headers, body })
    }

    /// Status, content type and text of what is not JSON.
    pub fn get_text(&self, path: &str, headers: &[(&str, &str)]) -> (u16, String, String) {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = request.call().unwrap_or_else(|error| panic!("GET {path}: {error}"));
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().to_owned();
        let text = response.body_mut().read_to_string().expect("text");
        (response.status().as_u16(), kind, text)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.try_send("GET", path, &[], None).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_post(path, body).unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    pub fn try_post(&self, path: &str, body: &Value) -> Result<Answer, String> {
        let body = body.to_string();
        self.try_send("POST", path, &[("content-type", "application/json")], Some(body.as_bytes()))
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.try_send("DELETE", path, &[], None)
            .unwrap_or_else(|error| panic!("DELETE {path}: {error}"))
    }

    /// Starts an orchestration and gives its id.
    pub fn start(&self, name: &str, input: &Value) -> String {
        let answer = self.post(&format!("/api/orchestrators/{name}"), input);
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.body["id"].as_str().unwrap_or_else(|| panic!("no id in {answer:?}")).to_owned()
    }

    pub fn start_as(&self, name: &str, id: &str, input: &Value) {
        let answer = self.post(&format!("/api/orchestrators/{name}/{id}"), input);
        assert_eq!(answer.status, 202, "{answer:?}");
    }

    pub fn status(&self, id: &str) -> Value {
        let answer = self.get(&format!("/runtime/webhooks/durabletask/instances/{id}"));
        assert!(matches!(answer.status, 200 | 202), "{answer:?}");
        answer.body
    }

    pub fn history(&self, id: &str) -> Vec<Value> {
        let path = format!(
            "/runtime/webhooks/durabletask/instances/{id}?showHistory=true&showHistoryOutput=true"
        );
        let answer = self.get(&path);
        answer.body["historyEvents"]
            .as_array()
            .unwrap_or_else(|| panic!("no history in {answer:?}"))
            .clone()
    }

    /// Waits for an instance's end and gives its status.
    pub fn ended(&self, id: &str) -> Value {
        eventually(&format!("{id} ends"), || {
            let status = self.status(id);
            let ended = ["Completed", "Failed", "Canceled", "Terminated"]
                .iter()
                .any(|end| status["runtimeStatus"] == *end);
            ended.then_some(status)
        })
    }

    /// Runs an orchestration to its end and gives its status.
    pub fn run(&self, name: &str, input: &Value) -> Value {
        let id = self.start(name, input);
        self.ended(&id)
    }

    pub fn raise(&self, id: &str, event: &str, input: &Value) -> Answer {
        self.post(
            &format!("/runtime/webhooks/durabletask/instances/{id}/raiseEvent/{event}"),
            input,
        )
    }

    /// Undoes an instance.
    pub fn cancel(&self, id: &str) -> Answer {
        self.post(&format!("/api/instances/{id}/cancel"), &json!({ "reason": "no more" }))
    }

    /// What would be undone, is being undone and is undone.
    pub fn undo(&self, id: &str) -> Value {
        let answer = self.get(&format!("/api/instances/{id}/undo"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    pub fn stats(&self) -> Value {
        self.get("/admin/stats").body
    }
}

/// An order of one thing.
pub fn order(id: &str, sku: &str, quantity: u32, price_cents: u64) -> Value {
    json!({
        "id": id,
        "items": [{ "sku": sku, "quantity": quantity, "price_cents": price_cents }],
        "customer": "ada",
        "card": "4242",
    })
}

/// What a file of the shop says, if it is there.
pub fn shop_file(site: &Site, path: &str) -> Option<Value> {
    let bytes = std::fs::read(site.path("shop").join(path)).ok()?;
    Some(
        serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{path} is damaged: {error}")),
    )
}

/// A seed that is printed, so that a failure can be made again with
/// `SAGAHOST_TEST_SEED`.
pub fn seed() -> u64 {
    let seed = match std::env::var("SAGAHOST_TEST_SEED") {
        Ok(given) => given.parse().expect("SAGAHOST_TEST_SEED is a number"),
        Err(_) => std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("after 1970")
            .as_nanos() as u64,
    };
    eprintln!("SAGAHOST_TEST_SEED={seed}");
    seed
}

/// Random numbers from a seed (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit.max(1)
    }
}
