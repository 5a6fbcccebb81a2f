//! Following all instances at once, and what the pages ask.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::*;

const GUESTS: [&str; 3] = ["guest_activities", "guest_orchestrator", "test_guests"];

fn server() -> (Site, Server) {
    let site = Site::new(&GUESTS);
    let server = site.serve();
    (site, server)
}

/// A stream of server-sent events that is read.
struct Stream {
    lines: std::io::Lines<BufReader<TcpStream>>,
    /// The id that came last.
    last: Option<String>,
}

/// Sends a request, and gives the connection. HTTP/1.0 has no chunks to take
/// apart.
pub fn ask(server: &Server, path: &str, headers: &str) -> TcpStream {
    let address = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(format!("GET {path} HTTP/1.0\r\nhost: x\r\n{headers}\r\n").as_bytes())
        .unwrap();
    stream
}

impl Stream {
    /// Follows, after what was seen last. When this returns, it misses nothing
    /// that happens from now on.
    fn open(server: &Server, query: &str, last: Option<&str>) -> Self {
        let seen = last.map(|last| format!("last-event-id: {last}\r\n")).unwrap_or_default();
        let stream = ask(server, &format!("/api/events{query}"), &seen);
        let mut stream = Stream { lines: BufReader::new(stream).lines(), last: None };
        let head = stream.until("a head", |line| line.is_empty());
        assert!(head[0].contains(" 200 "), "{head:?}");
        assert!(head.iter().any(|line| line.contains("text/event-stream")), "{head:?}");
        stream
    }

    fn until(&mut self, what: &str, is_it: impl Fn(&str) -> bool) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.lines.next().unwrap_or_else(|| panic!("no {what}: {lines:?}")).unwrap();
            lines.push(line.clone());
            if is_it(&line) {
                return lines;
            }
        }
    }

    /// The kind and the data of the next event.
    fn next(&mut self) -> (String, Value) {
        loop {
            let block = self.until("event", str::is_empty);
            let field = |name: &str| block.iter().find_map(|line| line.strip_prefix(name));
            if let Some(id) = field("id: ") {
                self.last = Some(id.to_owned());
            }
            if let Some(data) = field("data: ") {
                let kind = field("event: ").expect("a kind").to_owned();
                return (kind, serde_json::from_str(data).unwrap());
            }
        }
    }

    fn change(&mut self) -> Value {
        let (kind, data) = self.next();
        assert_eq!(kind, "change", "{data}");
        data
    }

    /// Changes until this instance has ended.
    fn until_end(&mut self, id: &str) -> Vec<Value> {
        let mut changes = Vec::new();
        loop {
            let change = self.change();
            let ended = change["id"] == id && change["ended"] == true;
            changes.push(change);
            if ended {
                return changes;
            }
        }
    }
}

#[test]
fn a_change_says_how_the_instance_stands() {
    let (_site, server) = server();
    let client = server.client();
    let mut stream = Stream::open(&server, "", None);
    client.start_as("FanOut", "one", &json!([3, 4]));
    let changes = stream.until_end("one");
    let (first, last) = (&changes[0], &changes[changes.len() - 1]);
    assert_eq!((&first["name"], &first["runtimeStatus"]), (&json!("FanOut"), &json!("Running")));
    assert_eq!(first["kinds"][0], "Started", "{first}");
    assert!(first["created"].is_u64() && first["updated"].is_u64(), "{first}");
    assert_eq!((&last["runtimeStatus"], &last["sagaState"]), (&json!("Completed"), &json!("none")));
    assert!(last["kinds"].as_array().unwrap().contains(&json!("Completed")), "{last}");
    assert!(last.get("created").is_none(), "it is told once: {last}");
}

#[test]
fn a_reader_that_is_cut_off_again_and_again_sees_each_change_once() {
    const SAGAS: usize = 60;
    let (_site, server) = server();
    let client = server.client();
    let mut whole = Stream::open(&server, "", None);
    let mut cut = Stream::open(&server, "", None);
    let starting = std::thread::spawn(move || {
        (0..SAGAS).map(|_| client.start("FanOut", &json!([1, 2]))).collect::<BTreeSet<String>>()
    });
    let mut ended = BTreeSet::new();
    let mut expected = Vec::new();
    while ended.len() < SAGAS {
        let change = whole.change();
        if change["ended"] == true {
            ended.insert(change["id"].as_str().unwrap().to_owned());
        }
        expected.push((whole.last.clone(), change));
    }
    assert_eq!(ended, starting.join().unwrap());
    let mut seen = Vec::new();
    while seen.len() < expected.len() {
        let change = cut.change();
        seen.push((cut.last.clone(), change));
        if seen.len() % 7 == 0 {
            let last = cut.last.take();
            cut = Stream::open(&server, "", last.as_deref());
        }
    }
    assert_eq!(seen, expected);
}

#[test]
fn one_that_comes_back_to_another_host_is_told_to_read_everything_again() {
    let (site, server) = server();
    let client = server.client();
    let mut stream = Stream::open(&server, "", None);
    client.start_as("FanOut", "before", &json!([1]));
    stream.until_end("before");
    let last = stream.last.clone().unwrap();
    assert_eq!(server.terminate(), Some(0));

    let server = site.serve();
    for wrong in [last.as_str(), "nonsense"] {
        let mut stream = Stream::open(&server, "", Some(wrong));
        assert_eq!(stream.next(), ("reset".to_owned(), json!({})), "{wrong}");
        // From there on it misses nothing.
        let id = server.client().start("FanOut", &json!([1]));
        stream.until_end(&id);
        let last = stream.last.clone().unwrap();
        let mut again = Stream::open(&server, "", Some(&last));
        let id = server.client().start("FanOut", &json!([1]));
        assert!(again.until_end(&id).iter().all(|change| change["id"] == *id));
    }
}

#[test]
fn filters_leave_out_the_rest() {
    let (_site, server) = server();
    let client = server.client();
    let mut all = Stream::open(&server, "", None);
    let mut named = Stream::open(&server, "?name=GreetingChain", None);
    let mut prefixed = Stream::open(&server, "?idPrefix=b-", None);
    let mut ends = Stream::open(&server, "?status=Completed,Failed&idPrefix=", None);
    for (name, id, input) in [
        ("FanOut", "a-1", json!([1])),
        ("GreetingChain", "a-2", json!(["Oslo"])),
        ("FanOut", "b-3", json!([2])),
        ("GreetingChain", "b-4", json!(["Lima"])),
    ] {
        client.start_as(name, id, &input);
        all.until_end(id);
    }
    let ids = |changes: Vec<Value>| -> BTreeSet<String> {
        changes.iter().map(|change| change["id"].as_str().unwrap().to_owned()).collect()
    };
    let set = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(ids(named.until_end("b-4")), set(&["a-2", "b-4"]));
    assert_eq!(ids(prefixed.until_end("b-4")), set(&["b-3", "b-4"]));
    let ends: Vec<Value> = (0..4).map(|_| ends.change()).collect();
    assert!(ends.iter().all(|change| change["ended"] == true), "{ends:?}");
    assert_eq!(client.get("/api/events?status=Somehow").status, 400);
}

#[test]
fn what_is_purged_is_told_of() {
    let (_site, server) = server();
    let client = server.client();
    let mut stream = Stream::open(&server, "", None);
    let mut named = Stream::open(&server, "?name=GreetingChain&status=Completed", None);
    for id in ["one", "two", "three"] {
        client.start_as("FanOut", id, &json!([1]));
        stream.until_end(id);
    }
    client.start_as("GreetingChain", "four", &json!([]));
    stream.until_end("four");
    named.until_end("four");
    let base = "/runtime/webhooks/durabletask/instances";
    assert_eq!(client.delete(&format!("{base}/two")).status, 200);
    let told = stream.change();
    let is = |told: &Value, id: &str| {
        assert_eq!((&told["id"], &told["kinds"]), (&json!(id), &json!(["Purged"])), "{told}");
        assert_eq!((&told["runtimeStatus"], &told["ended"]), (&json!("Completed"), &json!(false)));
        assert!(told["created"].as_u64() <= told["updated"].as_u64(), "{told}");
    };
    is(&told, "two");
    assert_eq!(told["name"], "FanOut");
    let rest = client.delete(&format!("{base}?createdTimeFrom=2020-01-01T00:00:00Z"));
    assert_eq!((rest.status, &rest.body["instancesDeleted"]), (200, &json!(3)), "{rest:?}");
    for id in ["one", "three", "four"] {
        is(&stream.change(), id);
    }
    is(&named.change(), "four");
}

#[test]
fn it_is_known_how_many_wait_also_after_a_restart() {
    let site = Site::new(&GUESTS);
    let server = site.serve();
    let client = server.client();
    for id in ["a", "b", "c"] {
        client.start_as("TestWaitEvents", id, &json!({ "names": ["Go"] }));
    }
    client.start_as("Reminder", "later", &json!({ "seconds": 1000, "message": "" }));
    client.start_as("TestCatch", "hangs", &json!({ "activity": "TestHang", "timeoutMs": 600_000 }));
    let stuck = crate::steps::Saga::new(&site, "stuck", 1).step(0, &json!({ "undoFault": "fail" }));
    stuck.with("end", "fail").start(&client);
    client.run("FanOut", &json!([1, 2]));
    let stand = |server: &Server, waiting: u64| {
        let client = server.client();
        eventually("all is counted", || {
            let now = client.get("/api/overview").body;
            let counts = [&now["waiting"], &now["running"], &now["instances"]["stuck"]];
            (counts.map(Value::as_u64) == [Some(waiting), Some(1), Some(1)]).then_some(())
        });
    };
    stand(&server, 4);
    server.kill();
    let server = site.serve();
    stand(&server, 4);
    let client = server.client();
    assert_eq!(client.raise("b", "Go", &Value::Null).status, 202);
    client.ended("b");
    stand(&server, 3);
    assert_eq!(server.terminate(), Some(0));
    stand(&site.serve(), 3);
}

#[test]
fn the_program_follows_all_instances() {
    let (_site, server) = server();
    let mut following = Command::new(env!("CARGO_BIN_EXE_sagahost"))
        .args(["events", "--json", "--name", "FanOut", "--prefix", "w-", "--url", &server.url])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let (sender, ends) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let _ = sender.send(serde_json::from_str::<Value>(&line).unwrap());
        }
    });
    // It follows from some time on: then it shows what begins.
    let client = server.client();
    client.start("FanOut", &json!([1]));
    let mut started = 0;
    let change = eventually("a change is shown", || {
        client.start_as("FanOut", &format!("w-{started}"), &json!([1]));
        started += 1;
        ends.try_recv().ok()
    });
    assert!(change["id"].as_str().unwrap().starts_with("w-"), "{change}");
    assert_eq!(change["name"], "FanOut");
    following.kill().unwrap();
    following.wait().unwrap();
}

#[test]
fn a_host_that_is_only_read_changes_nothing() {
    let mut site = Site::new(&GUESTS);
    let server = site.serve();
    server.client().start_as("TestWaitEvents", "waits", &json!({ "names": ["Go"] }));
    assert_eq!(server.terminate(), Some(0));

    site.manifest("[[routes]]\nstart = \"FanOut\"\npath = \"/out\"\nkey = \"none\"\n");
    site.arguments.push("--read-only".to_owned());
    let server = site.serve();
    let client = server.client();
    let base = "/runtime/webhooks/durabletask/instances/waits";
    for (method, path) in [
        ("POST", "/api/orchestrators/FanOut".to_owned()),
        ("POST", "/out".to_owned()),
        ("POST", format!("{base}/raiseEvent/Go")),
        ("POST", format!("{base}/terminate")),
        ("POST", "/api/instances/waits/cancel".to_owned()),
        ("POST", "/admin/functions/Square".to_owned()),
        ("PUT", "/admin/components/other".to_owned()),
        ("DELETE", base.to_owned()),
    ] {
        let headers = [("content-type", "application/json")];
        let answer = client.try_send(method, &path, &headers, Some(b"[1]")).unwrap();
        assert_eq!(answer.status, 403, "{method} {path}: {answer:?}");
        assert_eq!(answer.body["ExceptionType"], "ReadOnly", "{method} {path}: {answer:?}");
        let message = answer.body["Message"].as_str().unwrap();
        assert!(message.contains("read-only"), "{message}");
    }
    assert_eq!(client.status("waits")["runtimeStatus"], "Running");
    for path in ["/api/overview", "/api/functions", "/admin/stats", "/api/instances/waits/undo"] {
        assert_eq!(client.get(path).status, 200, "{path}");
    }
    assert_eq!(client.get("/api/session").body["readOnly"], true);
    assert_eq!(client.post("/nothing/here", &Value::Null).status, 404);
}

#[test]
fn a_key_is_told_what_it_may_do() {
    let site = Site::new(&GUESTS);
    let server = site.serve();
    let open = server.client().get("/api/session");
    assert_eq!(
        open.body,
        json!({
            "version": env!("CARGO_PKG_VERSION"), "readOnly": false,
            "mayUse": true, "mayManage": true, "keysConfigured": false,
        })
    );
    assert_eq!(server.terminate(), Some(0));

    let (manage, used) = (site.key("manage"), site.key("use"));
    let server = site.serve();
    let client = server.client();
    let ask = |path: &str, key: &str| {
        client.try_send("GET", path, &[("x-functions-key", key)], None).unwrap()
    };
    for path in ["/api/session", "/api/overview", "/api/functions", "/api/events"] {
        assert_eq!(client.get(path).status, 401, "{path}");
        assert_eq!(ask(path, "wrong").status, 401, "{path}");
    }
    for (key, may_manage) in [(&manage, true), (&used, false)] {
        let session = ask("/api/session", key);
        assert_eq!(session.status, 200, "{session:?}");
        assert_eq!(session.body["keysConfigured"], true);
        assert_eq!(session.body["mayUse"], true);
        assert_eq!(session.body["mayManage"], may_manage);
        // Where a directory is on the machine is for those who manage it.
        let functions = ask("/api/functions", key);
        assert_eq!(functions.status, 200);
        let files = function(&functions.body, "OrderActivity")["capabilities"]["files"][0].clone();
        assert_eq!((&files["guest"], &files["access"]), (&json!("/shop"), &json!("write")));
        assert_eq!(files.get("host").is_some(), may_manage, "{files}");
    }

    // Who deployed a component is known by the key's name.
    let bytes = std::fs::read(guests().join("guest_activities.wasm")).unwrap();
    let headers = [("x-functions-key", manage.as_str()), ("content-type", "application/wasm")];
    let path = "/admin/components/guest_activities";
    let deployed = client.try_send("PUT", path, &headers, Some(&bytes)).unwrap();
    assert_eq!(deployed.status, 200, "{deployed:?}");
    let functions = ask("/api/functions", &used).body;
    let order = function(&functions, "OrderActivity");
    assert_eq!((&order["deployedBy"], &order["deployedVia"]), (&json!("manage"), &json!("api")));
    assert!(order["deployedAt"].is_u64(), "{order}");
    let fan_out = function(&functions, "FanOut");
    assert!(fan_out.get("deployedBy").is_none() && fan_out["deployedVia"] == "folder", "{fan_out}");
    let how = |functions: &Value| {
        let order = function(functions, "OrderActivity");
        ["digest", "deployedAt", "deployedBy", "deployedVia"].map(|key| order[key].clone())
    };
    let before = how(&functions);

    // The next host knows it as well.
    assert_eq!(server.terminate(), Some(0));
    let server = site.serve();
    let ask = |server: &Server| {
        let headers = [("x-functions-key", used.as_str())];
        server.client().try_send("GET", "/api/functions", &headers, None).unwrap().body
    };
    assert_eq!(how(&ask(&server)), before);
    // But of another file nobody has said who put it there. (It has one more
    // section, of no meaning.)
    assert_eq!(server.terminate(), Some(0));
    let other = [bytes.as_slice(), &[0, 2, 1, b'x']].concat();
    std::fs::write(site.path("functions/guest_activities.wasm"), other).unwrap();
    let [digest, at, by, via] = how(&ask(&site.serve()));
    assert_ne!(digest, before[0]);
    assert!(at.is_u64() && by.is_null() && via == "folder", "{at} {by} {via}");
}

fn function<'a>(functions: &'a Value, name: &str) -> &'a Value {
    let mut functions = functions.as_array().expect("a list").iter();
    functions.find(|function| function["name"] == name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn the_figures_are_of_what_happened() {
    let (_site, server) = server();
    let client = server.client();
    client.start_as("TestWaitEvents", "open", &json!({ "names": ["Go"] }));
    for _ in 0..3 {
        client.run("FanOut", &json!([3, 4]));
    }
    let functions = client.get("/api/functions").body;
    let square = function(&functions, "Square");
    assert_eq!(
        (&square["kind"], &square["component"]),
        (&json!("activity"), &json!("guest_activities"))
    );
    assert!(square["digest"].is_string() && square["imports"].is_array(), "{square}");
    let stats = &square["stats"];
    assert_eq!((&stats["attempts"], &stats["failed"]), (&json!(6), &json!(0)), "{square}");
    for figure in ["p50Ms", "p95Ms", "p99Ms", "perSecond"] {
        assert!(stats[figure].as_f64().unwrap() >= 0.0, "{figure}: {square}");
    }
    let fan_out = &function(&functions, "FanOut")["stats"];
    assert_eq!((&fan_out["attempts"], &fan_out["failed"]), (&json!(3), &json!(0)));
    assert!(fan_out.get("running").is_none(), "{fan_out}");
    let payment = &function(&functions, "PaymentActivity")["capabilities"];
    assert_eq!(payment["env"], json!(["CARD_LIMIT_CENTS"]), "{payment}");
    assert!(payment["limits"]["memoryBytes"].as_u64().unwrap() > 0);
    assert!(!functions.to_string().contains("100000\""), "no value of a variable is shown");

    let overview = eventually("a second is over", || {
        let overview = client.get("/api/overview").body;
        let series = overview["series"].as_array()?;
        let ended: u64 = series.iter().filter_map(|second| second["ended"].as_u64()).sum();
        (ended == 3 && overview["instances"]["open"] == 1).then_some(overview)
    });
    assert!(overview["memoryBytes"].as_u64().is_none_or(|bytes| bytes > 1 << 20), "{overview}");
    for latency in ["commitMs", "turnMs", "sagaMs"] {
        let [p50, p99] = ["p50", "p99"].map(|part| overview["latency"][latency][part].as_f64());
        assert!(p50.is_some() && p50 <= p99, "{latency}: {overview}");
    }
    let sum = |overview: &Value, what: &str| -> u64 {
        let series = overview["series"].as_array().unwrap();
        series.iter().filter_map(|second| second[what].as_u64()).sum()
    };
    assert_eq!((sum(&overview, "started"), sum(&overview, "failed")), (4, 0));
}

/// The status, the head and the body of an answer.
fn page(server: &Server, path: &str, headers: &str) -> (String, String, Vec<u8>) {
    let mut whole = Vec::new();
    ask(server, path, headers).read_to_end(&mut whole).unwrap();
    let end = whole.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    let head = text(&whole[..end]).to_ascii_lowercase();
    let status = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
    (status, head, whole.split_off(end + 4))
}

#[test]
fn the_pages_are_in_the_program_and_take_no_key() {
    let site = Site::new(&[]);
    site.key("manage");
    let server = site.serve();
    let (_, _, index) = page(&server, "/", "");
    assert!(text(&index).contains("<script"), "{}", text(&index));
    for path in ["/", "/sagas", "/sagas/", "/sagas/order-7", "/functions", "/functions/Some"] {
        let (status, head, body) = page(&server, path, "");
        assert_eq!(status, "200", "{path}: {head}");
        assert!(head.contains("content-type: text/html"), "{path}: {head}");
        assert!(body == index, "{path} is another page");
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-cache",
        ] {
            assert!(head.contains(header), "{path} has no {header}: {head}");
        }
        let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag");
        let (status, _, body) = page(&server, path, &format!("if-none-match: {etag}\r\n"));
        assert_eq!((status.as_str(), body.len()), ("304", 0), "{path}");
    }
    let (status, head, _) = page(&server, "/dashboard/js/app.js", "");
    assert_eq!(status, "200");
    assert!(head.contains("content-type: text/javascript"), "{head}");
    assert_eq!(page(&server, "/dashboard/none.js", "").0, "404");
    assert_eq!(page(&server, "/dashboard/../keys.json", "").0, "404");
    assert_eq!(page(&server, "/other", "").0, "401");
}
