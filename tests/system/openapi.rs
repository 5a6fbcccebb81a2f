//! The description of the API: that it says what is served and nothing else,
//! that it follows what is deployed, and that whatever is asked is answered as
//! it says. The last is tried by schemathesis, with requests it makes from the
//! document. `tests/fuzz` says how.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::{Value, json};

use crate::clients::{installed, run_within, version};
use crate::steps::Saga;
use crate::support::*;

/// How long the fuzzer may take. It is asked for so many examples that it takes
/// a part of that.
const RUN: Duration = Duration::from_secs(300);

fn document(server: &Server, key: &str) -> Value {
    let headers = [("x-functions-key", key)];
    let answer = server.client().try_send("GET", "/openapi.json", &headers, None).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// The description of each operation, by path and method.
fn operations(document: &Value) -> BTreeMap<(String, String), Value> {
    let mut operations = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = (path.clone(), method.to_ascii_uppercase());
            operations.insert(name, operation.clone());
        }
    }
    operations
}

#[test]
fn what_is_described_is_served_and_nothing_else() {
    let site = Site::new(&["guest_activities", "guest_orchestrator"]);
    let (manage, only_use) = (site.key("manage"), site.key("use"));
    let server = site.serve();
    let client = server.client();
    let operations = operations(&document(&server, &manage));
    assert!(operations.len() > 25, "{}", operations.len());

    let send = |method: &str, path: &str, key: &str| {
        // Right, this is a stream that never ends.
        let endless = (method, path) == ("GET", "/api/events");
        let path = if endless { "/api/events?status=none" } else { path };
        let headers = [("x-functions-key", key)];
        let headers = if key.is_empty() { &[][..] } else { &headers[..] };
        if (method, path) == ("GET", "/metrics") {
            // No JSON, but where it is refused.
            let (status, _, text) = client.get_text(path, headers);
            return (status, !text.contains("NoSuchRoute"));
        }
        let body = (!["GET", "OPTIONS", "DELETE"].contains(&method)).then_some(&b"null"[..]);
        let answer = client.try_send(method, path, headers, body);
        let answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let routed = answer.body["ExceptionType"] != "NoSuchRoute";
        (answer.status, routed)
    };
    let more = ["/api", "/admin", "/metrics", "/api/orchestrators", "/api/instances"];
    let paths = operations.keys().map(|(path, _)| &**path).chain(more);
    let mut paths: Vec<&str> = paths.collect();
    paths.dedup();
    for path in paths {
        let filled: Vec<&str> = path
            .split('/')
            .map(|segment| match segment {
                "{step}" => "0",
                segment if segment.starts_with('{') => "nobody",
                segment => segment,
            })
            .collect();
        let filled = filled.join("/");
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let [none, with_use, with_manage] =
                ["", &only_use, &manage].map(|key| send(method, &filled, key));
            let said = format!("{method} {path}: {none:?}, {with_use:?}, {with_manage:?}");
            match operations.get(&(path.to_owned(), method.to_owned())) {
                None => {
                    assert_eq!((none.0, with_use.0), (401, 403), "{said}");
                    assert_eq!(with_manage, (404, false), "{said}");
                }
                Some(operation) => {
                    assert!(with_manage.1, "{said}");
                    let open = operation["security"] == json!([]);
                    let refused = |status| matches!(status, 401 | 403);
                    assert_eq!(none.0 != 401, open, "{said}");
                    let needs_manage = operation["x-sagahost-key"] == "manage";
                    assert_eq!(with_use.0 == 403, needs_manage, "{said}");
                    assert!(!refused(with_manage.0), "{said}");
                }
            }
        }
    }
}

#[test]
fn the_document_follows_what_is_deployed() {
    let site = Site::new(&["guest_orchestrator"]);
    let server = site.serve();
    let client = server.client();
    let before = document(&server, "none is needed");
    assert_eq!(before["servers"], json!([{ "url": server.url }]));
    assert_eq!(before["security"], json!([]));
    let path = "/admin/functions/OrderActivity";
    assert!(before["paths"].get(path).is_none());

    let component = std::fs::read(guests().join("guest_activities.wasm")).unwrap();
    let put = "/admin/components/guest_activities";
    let deployed = client.try_send("PUT", put, &[], Some(&component)).unwrap();
    assert_eq!(deployed.status, 201, "{deployed:?}");
    let after = document(&server, "none is needed");
    let functions = client.get("/admin/functions").body;
    let described = |name: &str| {
        let functions = functions.as_array().unwrap().iter();
        functions.clone().find(|function| function["name"] == name).unwrap().clone()
    };
    let activity = described("OrderActivity");
    assert_eq!(after["paths"][path]["post"]["description"], activity["description"]);
    let schema = &after["components"]["schemas"]["OrderActivity.input"];
    assert_eq!(schema["required"], activity["inputSchema"]["required"]);
    let saga = &after["paths"]["/api/orchestrators/OrderSaga"]["post"];
    assert_eq!(
        saga["requestBody"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/OrderSaga.input"
    );
    let shelf = &after["paths"][entity("Shelf")];
    let operations = json!(["left", "put", "take"]);
    let op = shelf["post"]["parameters"].as_array().unwrap().iter().find(|op| op["name"] == "op");
    assert_eq!(op.unwrap()["schema"]["enum"], operations, "{shelf}");
    let inputs = &shelf["post"]["requestBody"]["content"]["application/json"]["schema"]["anyOf"];
    assert!(inputs.as_array().unwrap().contains(&json!({ "type": "null" })), "{inputs}");
    let state = &shelf["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(state["$ref"], "#/components/schemas/Shelf.state");
    assert_eq!(after["components"]["schemas"]["Shelf.state"]["required"], json!(["left"]));
    // Every reference of those schemas leads somewhere in this document.
    let text = after.to_string();
    let references = text.split("\"$ref\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(after.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

/// The path of an entity in the document.
fn entity(name: &str) -> String {
    format!("/runtime/webhooks/durabletask/entities/{name}/{{key}}")
}

/// A host with an instance of each kind, and a key for it. Their ids are those
/// that `schemathesis.toml` knows.
fn fuzzed() -> (Site, Server, String) {
    let site = Site::new(&["guest_activities", "guest_orchestrator", "test_guests"]);
    let shop = "\"OrderActivity\", \"PaymentActivity\", \"RollbackOrderActivity\", \
                \"RollbackPaymentActivity\"";
    // A fault that an order can ask for computes for as long as it may.
    let routes = r#"
        [[routes]]
        start = "GreetingChain"
        path = "/greetings"
        wait = "30s"
        [[routes]]
        start = "OrderSaga"
        method = "PUT"
        path = "/orders/{id}"
        instance-id = "path:id"
        [[routes]]
        start = "TestOrchEcho"
        path = "/echo/{word}"
        input = "request"
        wait = "30s"
    "#;
    site.manifest(&format!("[[functions]]\nnames = [{shop}]\ncpu = \"200ms\"\n{routes}"));
    let server = site.serve();
    let client = server.client();
    for id in ["waiting", "suspended"] {
        client.start_as("Approval", id, &json!({ "timeoutSeconds": 86_400 }));
    }
    let suspend = "/runtime/webhooks/durabletask/instances/suspended/suspend";
    assert_eq!(client.post(suspend, &Value::Null).status, 202);
    for key in ["lamp", "book"] {
        let put = format!("/runtime/webhooks/durabletask/entities/Shelf/{key}?op=put");
        assert_eq!(client.post(&put, &json!(3)).status, 202);
    }
    client.start_as("GreetingChain", "ended", &json!(["Oslo"]));
    client.start_as("FanOut", "failed", &json!([i64::MAX]));
    let fault = json!({ "undoFault": "fail" });
    Saga::new(&site, "stuck", 3).step(1, &fault).with("end", "fail").start(&client);
    assert_eq!(client.ended("ended")["runtimeStatus"], "Completed");
    assert_eq!(client.ended("failed")["runtimeStatus"], "Failed");
    eventually("a saga is stuck", || {
        (client.status("stuck")["sagaState"] == "stuck").then_some(())
    });
    assert_eq!(server.terminate(), Some(0));
    // The helpers above know no key, so it is there only from now on.
    let key = site.key("manage");
    let server = site.serve();
    (site, server, key)
}

/// The document of the host, but for the paths of the tests' own guests: they
/// loop, trap and hoard on purpose, and have tests of their own.
fn sample_only(mut document: Value, server: &Server, key: &str) -> Value {
    let headers = [("x-functions-key", key)];
    let functions = server.client().try_send("GET", "/admin/functions", &headers, None).unwrap();
    for function in functions.body.as_array().unwrap() {
        if function["component"] == "test_guests" {
            let paths = document["paths"].as_object_mut().unwrap();
            for folder in ["/admin/functions", "/api/orchestrators"] {
                paths.remove(&format!("{folder}/{}", function["name"].as_str().unwrap()));
            }
            paths.remove(&entity(function["name"].as_str().unwrap()));
        }
    }
    document
}

fn schemathesis() -> (PathBuf, PathBuf) {
    let fuzz = root().join("tests/fuzz");
    let needed = "the tests fuzz the HTTP API with schemathesis, for which python3 (3.10 or newer) \
                  with pip has to be on the PATH";
    let python = version("python3", needed);
    let list = fuzz.join("requirements.txt");
    let words = [python.as_bytes(), &std::fs::read(&list).unwrap()];
    let advice = "pip could not install schemathesis and what it needs; python3 needs pip \
                  (`python3 -m pip --version`; on Debian the package python3-pip), and the package \
                  index has to be reachable at the first run";
    let packages = installed("fuzz", &words, advice, |to| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--no-input"]);
        pip.args(["--disable-pip-version-check", "--only-binary", ":all:", "--target"]);
        pip.arg(to).arg("--requirement").arg(list);
        pip
    });
    (fuzz, packages)
}

/// Fuzzes a host by a document, and gives what came of it.
fn fuzz(
    site: &Site,
    server: &Server,
    key: &str,
    document: &Value,
    arguments: &[&str],
) -> (ExitStatus, String) {
    let (fuzz, packages) = schemathesis();
    let file = site.path("openapi.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let mut python = Command::new("python3");
    // No compiled files beside the sources, nothing of the user's own packages.
    python.args(["-B", "-s", "-m", "schemathesis.cli", "--no-color", "--config-file"]);
    python.arg(fuzz.join("schemathesis.toml")).arg("run").arg(Path::new(&file));
    python.args(["--url", &server.url, "--seed", &(seed() % (1 << 32)).to_string()]);
    if let Ok(examples) = std::env::var("SAGAHOST_FUZZ_EXAMPLES") {
        // For a long run by hand.
        python.args(["--max-examples", &examples]);
    }
    python.args(arguments).current_dir(fuzz);
    python.env("PYTHONPATH", packages).env("PYTHONIOENCODING", "utf-8");
    python.env("SAGAHOST_FUZZ_KEY", key);
    let (status, printed) = run_within(python, RUN).unwrap_or_else(|error| panic!("{error}"));
    eprintln!("{printed}");
    (status, printed)
}

#[test]
fn whatever_is_asked_is_answered_as_described() {
    let (site, server, key) = fuzzed();
    let document = sample_only(document(&server, &key), &server, &key);
    // All but the stream that never ends, which `hooks.py` takes out.
    let fuzzed = |(path, _): &(String, String)| path != "/api/events";
    let operations = operations(&document).into_keys().filter(fuzzed).count();
    let (status, printed) = fuzz(&site, &server, &key, &document, &[]);
    assert!(status.success(), "the host does not do as it describes, see above");
    assert!(printed.contains(&format!("Tested: {operations}\n")), "not all was tried");
    let output = server.output();
    // A guest that did is in a line with its instance.
    let is_own = |line: &&str| line.contains("panicked") && !line.contains(" instance=");
    assert_eq!(output.lines().find(is_own), None, "{output}");
    assert!(!output.contains(&key), "a key is in the log");
    let health = server.client().get("/readyz");
    assert_eq!(health.status, 200, "{health:?}");
}

/// Would it find a host that does not do as described? It does not matter
/// which of both is wrong, so the document is.
#[test]
fn what_is_not_as_described_is_found() {
    let (site, server, key) = fuzzed();
    let mut document = sample_only(document(&server, &key), &server, &key);
    let status = &mut document["components"]["schemas"]["Status"];
    status["properties"].as_object_mut().unwrap().remove("sagaState").unwrap();
    status["required"].as_array_mut().unwrap().retain(|key| key != "sagaState");
    let undo = &mut document["paths"]["/api/instances/{id}/undo"]["get"]["responses"];
    undo.as_object_mut().unwrap().remove("404").unwrap();
    let line = &mut document["components"]["schemas"]["JournalLine"];
    line["properties"]["index"] = json!({ "type": "string" });
    let only = ["list", "undo", "events"].map(|id| ["--include-operation-id", id]);
    let arguments = [&only.concat()[..], &["--phases", "coverage,fuzzing"]].concat();
    let (status, printed) = fuzz(&site, &server, &key, &document, &arguments);
    assert_eq!(status.code(), Some(1), "{status}");
    for found in
        ["Undocumented status code", "'sagaState' was unexpected", "0 is not of type \"string\""]
    {
        assert!(printed.contains(found), "it did not find `{found}`");
    }
}
