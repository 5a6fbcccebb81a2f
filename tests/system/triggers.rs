//! Routes of the manifest.

use serde_json::{Value, json};

use crate::support::*;

const ROUTES: &str = r#"
[[routes]]
start = "TestOrchEcho"
path = "/echo/{first}/{second}"
input = "request"
wait = "1m"

[[routes]]
start = "TestOrchText"
path = "/api/texts"
wait = "1m"

[[routes]]
start = "Reminder"
method = "PUT"
path = "/reminders/{id}"
instance-id = "path:id"

[[routes]]
start = "Reminder"
path = "/reminders"
instance-id = "body:/message"
key = "manage"

[[routes]]
start = "TestOrchEcho"
path = "/hook"
instance-id = "header:X-Event-Id"
key = "none"

[[routes]]
start = "NotThere"
path = "/later"
"#;

fn site() -> Site {
    let site = Site::new(&["guest_orchestrator", "guest_activities", "test_guests"]);
    site.manifest(ROUTES);
    site
}

fn kind(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.body["ExceptionType"].as_str().unwrap_or_default())
}

#[test]
fn a_route_starts_its_orchestrator_and_gives_it_what_the_manifest_says() {
    let site = site();
    let server = site.serve();
    let client = server.client();
    let echoed = client.post("/echo/a%20b/C?x=1&code=none&y=%C3%A4", &json!({ "n": 1 }));
    assert_eq!(echoed.status, 200, "{echoed:?}");
    let path = json!({ "first": "a b", "second": "C" });
    let query = json!({ "x": "1", "y": "ä" });
    assert_eq!(echoed.body, json!({ "body": { "n": 1 }, "path": path, "query": query }));
    let nothing = client.try_send("POST", "/echo/1/2/", &[], None).unwrap();
    assert_eq!((nothing.status, &nothing.body["body"]), (200, &Value::Null), "{nothing:?}");

    let text = client.post("/api/texts", &json!("hello"));
    assert_eq!((text.status, &text.body), (200, &json!("hello")), "{text:?}");

    let started = client.post("/reminders", &json!({ "seconds": 0.01, "message": "r-1" }));
    assert_eq!((started.status, &started.body["id"]), (202, &json!("r-1")), "{started:?}");
    assert!(started.header("location").unwrap().ends_with("/instances/r-1"), "{started:?}");
    assert_eq!(client.ended("r-1")["output"], "reminded: r-1");
}

#[test]
fn what_does_not_fit_is_refused_as_at_the_hosts_own_routes() {
    let site = site();
    let server = site.serve();
    let client = server.client();
    let send = |method: &str, path: &str, body: &str| {
        client.try_send(method, path, &[], Some(body.as_bytes())).unwrap()
    };
    let long = r#"{"seconds": 1000, "message": "x"}"#;
    assert_eq!(send("PUT", "/reminders/r-2", long).status, 202);
    assert_eq!(kind(&send("PUT", "/reminders/r-2", long)), (409, "InstanceExists"));
    assert_eq!(kind(&send("PUT", "/reminders/%40entity", long)), (400, "BadInstanceId"));
    assert_eq!(kind(&send("PUT", "/reminders/r-3", "{")), (400, "BodyNotJson"));
    assert_eq!(kind(&send("PUT", "/reminders/r-3", "{}")), (400, "BadInput"));
    assert_eq!(kind(&send("POST", "/api/texts", "7")), (400, "BadInput"));
    let missing = send("POST", "/reminders", r#"{"seconds": 1}"#);
    assert_eq!(kind(&missing), (400, "InstanceIdMissing"));
    assert!(missing.body["Message"].as_str().unwrap().contains("at /message"), "{missing:?}");
    assert_eq!(kind(&send("POST", "/hook", "1")), (400, "InstanceIdMissing"));
    assert_eq!(kind(&send("POST", "/later", "1")), (503, "NotDeployed"));
    for (method, path) in
        [("GET", "/hook"), ("POST", "/reminders/r-4"), ("PUT", "/reminders"), ("POST", "/remind")]
    {
        let body = (method != "GET").then_some(&b"1"[..]);
        let answer = client.try_send(method, path, &[], body).unwrap();
        assert_eq!(kind(&answer), (404, "NoSuchRoute"), "{method} {path}");
    }
    assert!(client.get("/runtime/webhooks/durabletask/instances/r-3").status == 404);
    let output = server.output();
    assert!(output.contains("NotThere"), "a name that is not there is warned of: {output}");
}

#[test]
fn a_wait_that_is_over_is_answered_with_where_to_look() {
    let site = Site::new(&["guest_orchestrator"]);
    site.manifest("[[routes]]\nstart = \"Reminder\"\npath = \"/remind\"\nwait = \"10ms\"\n");
    let server = site.serve();
    let client = server.client();
    let answer = client.post("/remind", &json!({ "seconds": 1000, "message": "later" }));
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(client.status(answer.body["id"].as_str().unwrap())["runtimeStatus"], "Running");
}

#[test]
fn each_route_wants_the_key_that_the_manifest_says() {
    let site = site();
    let (manage, only_use) = (site.key("manage"), site.key("use"));
    let server = site.serve();
    let client = server.client();
    let status = |path: &str, key: Option<&str>| {
        let id = ("x-event-id", "e-1");
        let headers = match key {
            Some(key) => vec![("x-functions-key", key), id],
            None => vec![id],
        };
        let body = br#"{"seconds": 0, "message": "k-1"}"#;
        client.try_send("POST", path, &headers, Some(body)).unwrap().status
    };
    assert_eq!(status("/echo/1/2", None), 401);
    assert_eq!(status("/echo/1/2", Some(&only_use)), 200);
    assert_eq!(status("/reminders", Some(&only_use)), 403);
    assert_eq!(status("/reminders", Some(&manage)), 202);
    assert_eq!(status("/hook", None), 202);
    assert_eq!(status("/hook/more", None), 401, "what is not there tells nobody so");
}

#[test]
fn routes_are_in_the_description_of_the_api() {
    let site = site();
    let server = site.serve();
    let document = server.client().get("/openapi.json").body;
    let put = &document["paths"]["/reminders/{id}"]["put"];
    assert_eq!(put["parameters"][0]["name"], "id", "{put}");
    assert!(put["responses"]["202"].is_object() && put["responses"]["409"].is_object(), "{put}");
    let hook = &document["paths"]["/hook"]["post"];
    assert_eq!(hook["security"], json!([]), "{hook}");
    assert_eq!(hook["parameters"][0]["in"], "header", "{hook}");
    let echo = &document["paths"]["/echo/{first}/{second}"]["post"];
    assert!(echo["responses"]["200"].is_object(), "{echo}");
    // The body has the schema of the orchestrator where it is its input.
    let body = |operation: &Value| {
        let body = &operation["requestBody"];
        let schema = &body["content"]["application/json"]["schema"];
        (schema["$ref"].as_str().map(str::to_owned), body["required"] == true)
    };
    let reminder = Some("#/components/schemas/Reminder.input".to_owned());
    assert_eq!(body(put), (reminder.clone(), true), "{put}");
    assert_eq!(body(&document["paths"]["/reminders"]["post"]), (reminder, true));
    assert_eq!(body(echo), (None, false), "it gets the whole request: {echo}");
    assert_eq!(body(&document["paths"]["/later"]["post"]), (None, false), "nothing is deployed");
    let text = &document["paths"]["/api/texts"]["post"];
    let answer = &text["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(answer["$ref"], "#/components/schemas/TestOrchText.output", "{text}");
}

#[test]
fn a_manifest_with_a_route_that_cannot_be_is_refused_with_its_place() {
    let site = Site::new(&[]);
    for (routes, said) in [
        ("[[routes]]\nstart = \"A\"\npath = \"/admin/mine\"\n", "has /admin and all below it"),
        ("[[routes]]\nstart = \"A\"\npath = \"/{all}\"\n", "begin with a word"),
        (
            "[[routes]]\nstart = \"A\"\npath = \"/a/{b}\"\n[[routes]]\nstart = \"B\"\npath = \"/a/{b}\"\n",
            "POST /a/{b} is there twice",
        ),
    ] {
        site.manifest(routes);
        let refused = site.command().output().unwrap();
        let stderr = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{stderr}");
        let manifest = format!("{}:", site.path("sagahost.toml").display());
        assert!(stderr.contains(&manifest) && stderr.contains(said), "{stderr}");
    }
}
