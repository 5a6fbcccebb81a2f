//! Entities over HTTP: clients send them operations, and read their states.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::*;

pub const ENTITIES: &str = "/runtime/webhooks/durabletask/entities";
const TOKEN: &str = "x-ms-continuation-token";

fn site() -> Site {
    Site::new(&["guest_activities", "guest_orchestrator", "test_guests"])
}

pub fn signal(client: &Client, entity: &str, operation: &str, input: &Value) {
    let answer = client.post(&format!("{ENTITIES}/{entity}?op={operation}"), input);
    assert_eq!((answer.status, &answer.body), (202, &Value::Null), "{answer:?}");
}

/// The state of an entity, if it has one.
pub fn state(client: &Client, entity: &str) -> Option<Value> {
    let answer = client.get(&format!("{ENTITIES}/{entity}"));
    match answer.status {
        200 => Some(answer.body),
        404 => None,
        _ => panic!("{entity}: {answer:?}"),
    }
}

fn becomes(client: &Client, entity: &str, expected: &Value) {
    let mut last = None;
    eventually(&format!("{entity} becomes {expected}"), || {
        last = state(client, entity);
        (last.as_ref() == Some(expected)).then_some(())
    });
}

/// All pages of a listing, each with so many rows at most.
fn listed(client: &Client, query: &str, top: usize) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    let mut token = String::new();
    loop {
        let separator = if query.contains('?') { '&' } else { '?' };
        let path = format!("{ENTITIES}{query}{separator}top={top}");
        let answer = client.try_send("GET", &path, &[(TOKEN, &token)], None).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        token = answer.header(TOKEN).expect("it is always there").to_owned();
        pages.push(answer.body.as_array().expect("a list").clone());
        if token.is_empty() {
            return pages;
        }
    }
}

fn keys(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["entityId"]["key"].as_str().expect("a key")).collect()
}

#[test]
fn what_clients_send_is_done_in_order_and_can_be_read() {
    let site = site();
    let server = site.serve();
    let client = server.client();
    assert_eq!(state(&client, "Account/a"), None);
    signal(&client, "Account/a", "add", &json!(5));
    // A failure changes nothing, and neither does what only reads.
    signal(&client, "Account/a", "fail", &Value::Null);
    signal(&client, "Account/a", "get", &Value::Null);
    signal(&client, "Account/a", "set", &json!(-1));
    signal(&client, "Account/a", "add", &json!(3));
    becomes(&client, "Account/a", &json!({ "balance": 2, "log": ["add 5", "set -1", "add 3"] }));
    assert_eq!(state(&client, "Account/b"), None, "another one");
    assert_eq!(state(&client, "Shelf/a"), None, "one of another kind");

    // Whatever can stand in a path can be a key; the case of a name is free.
    for key in ["a@b", "Zw%C3%A4i%20%25%2B", "@", "A", "1.5"] {
        signal(&client, &format!("account/{key}"), "add", &json!(1));
        becomes(&client, &format!("ACCOUNT/{key}"), &json!({ "balance": 1, "log": ["add 1"] }));
    }
    let shouted = "/RUNTIME/webhooks/durableTask/ENTITIES/Account/a/";
    assert_eq!(client.get(shouted).body["balance"], 2);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn an_operation_takes_a_body_as_it_is_meant() {
    let site = site();
    let server = site.serve();
    let client = server.client();
    let send = |path: &str, headers: &[(&str, &str)], body: Option<&[u8]>| {
        let answer = client.try_send("POST", &format!("{ENTITIES}/{path}"), headers, body).unwrap();
        assert_eq!(answer.status, 202, "{path} {body:?}: {answer:?}");
    };
    let is_json = ("content-type", "application/json; charset=utf-8");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let python = ("user-agent", "Python/3.11 aiohttp/3.14.5");
    send("Account/a?op=add", &[is_json], Some(b"1"));
    // Text is text, but to an operation that takes none.
    send("Account/a?op=add", &[form], Some(b"2"));
    send("Account/a?op=add", &[is_json], Some(b"\"3\""));
    send("Account/a?op=add", &[is_json, python], Some(b"\"4\""));
    send("Account/a?op=get", &[], None);
    send("Account/a?op=get", &[form], Some(b""));
    send("Account/a?OP=add&taskHub=Shop&connection=x&code=none", &[is_json], Some(b"5"));
    let log = ["add 1", "add 2", "add 3", "add 4", "add 5"];
    becomes(&client, "Account/a", &json!({ "balance": 15, "log": log }));
}

#[test]
fn what_cannot_be_done_is_refused_and_says_why() {
    let site = site();
    let server = site.serve();
    let client = server.client();
    let json = &[("content-type", "application/json")][..];
    let long = format!("Account/{}?op=add", "k".repeat(201));
    for (path, headers, body, status, kind, words) in [
        ("Acount/a?op=add", json, "1", 404, "UnknownEntity", "deployed are: Account, "),
        ("OrderSaga/a?op=add", json, "1", 404, "UnknownEntity", "no entity 'OrderSaga'"),
        ("Account/a?op=ad", json, "1", 400, "BadOperation", "it has: add, fail, get, log, set"),
        ("Account/a", json, "1", 400, "BadOperation", "Say with 'op'"),
        ("Account/a?op=", json, "1", 400, "BadOperation", "Say with 'op'"),
        ("Account/a?op=add", json, "", 400, "BadOperation", "null is not of type"),
        ("Account/a?op=add", json, "\"x\"", 400, "BadOperation", "\"x\" is not of type"),
        ("Account/a?op=add", &[], "x", 400, "BadOperation", "\"x\" is not of type"),
        ("Account/a?op=add", json, "[1", 400, "BodyNotJson", "line 1"),
        ("Account/a?op=add&at=soon", json, "1", 400, "BadArgument", "'at' is a time"),
        ("Account/a%2Fb?op=add", json, "1", 400, "BadEntityId", "'/'"),
        ("Account/a%0A?op=add", json, "1", 400, "BadEntityId", "control"),
        ("Account/%FF?op=add", json, "1", 400, "BadArgument", "UTF-8"),
        ("Acc%40ount/a?op=add", json, "1", 400, "BadEntityId", "'@'"),
        (&long, json, "1", 400, "BadEntityId", "200"),
    ] {
        let path = format!("{ENTITIES}/{path}");
        let answer = client.try_send("POST", &path, headers, Some(body.as_bytes())).unwrap();
        let told = (answer.status, answer.body["ExceptionType"].as_str().unwrap_or_default());
        assert_eq!(told, (status, kind), "{path} {body:?}: {answer:?}");
        let message = answer.body["ExceptionMessage"].as_str().unwrap();
        assert!(message.contains(words), "{path}: {message}");
    }
    for (path, status) in [
        ("/Account/none", 404),
        ("/None/none", 404),
        ("/Account/a%23", 400),
        ("/Account/a/b", 404),
        ("?top=0", 400),
        ("?top=some", 400),
        ("?fetchState=perhaps", 400),
        ("?lastOperationTimeFrom=yesterday", 400),
        ("/Account?lastOperationTimeTo=tomorrow", 400),
    ] {
        let answer = client.get(&format!("{ENTITIES}{path}"));
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
    assert_eq!(client.delete(&format!("{ENTITIES}/Account/a")).status, 404);
    assert_eq!(listed(&client, "", 10), [Vec::<Value>::new()], "nothing of that was done");
}

#[test]
fn they_are_listed_by_name_and_time_over_several_pages() {
    let site = site();
    let server = site.serve();
    let client = server.client();
    for n in 0..25 {
        let key = format!("{n:02}");
        signal(&client, &format!("Account/{key}"), "add", &json!(n));
        becomes(
            &client,
            &format!("Account/{key}"),
            &json!({ "balance": n, "log": [format!("add {n}")] }),
        );
    }
    signal(&client, "Shelf/lamp", "put", &json!(7));
    becomes(&client, "Shelf/lamp", &json!({ "left": 7 }));

    let pages = listed(&client, "/account", 10);
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
    let all = pages.concat();
    let in_order: Vec<String> = (0..25).map(|n| format!("{n:02}")).collect();
    assert_eq!(keys(&all), in_order, "oldest first, each once");
    for row in &all {
        assert_eq!(row["entityId"]["name"], "Account");
        assert_eq!(row.as_object().unwrap().len(), 3, "{row}");
        assert_eq!(row["state"], Value::Null, "nobody asked for it");
        let time = row["lastOperationTime"].as_str().unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok() && time.len() == 28, "{time}");
    }
    assert_eq!(listed(&client, "", 1000).concat().len(), 26);
    let shelves = listed(&client, "/Shelf?fetchState=True", 1000).concat();
    assert_eq!(shelves.len(), 1);
    assert_eq!(shelves[0]["state"], json!({ "left": 7 }));
    for (query, count) in [("?fetchState=False", 26), ("/Acc", 0), ("/Shel", 0)] {
        let rows = listed(&client, query, 1000).concat();
        assert_eq!(rows.len(), count, "{query}");
        assert!(rows.iter().all(|row| row["state"].is_null()), "{query}");
    }

    // By the time of the last operation: the first account does one more.
    let before = &all[24]["lastOperationTime"];
    eventually("time goes on", || {
        signal(&client, "Account/00", "set", &json!(1));
        let now = listed(&client, "/Account", 1).concat()[0]["lastOperationTime"].clone();
        (now.as_str() > before.as_str()).then_some(())
    });
    let from = before.as_str().unwrap();
    let later = listed(&client, &format!("?lastOperationTimeFrom={from}"), 1000).concat();
    assert!(keys(&later).contains(&"00") && keys(&later).contains(&"24"), "{later:?}");
    assert!(later.iter().all(|row| row["lastOperationTime"].as_str() >= Some(from)), "{later:?}");
    let earlier = listed(&client, &format!("/Account?lastOperationTimeTo={from}"), 2).concat();
    assert!(!keys(&earlier).contains(&"00") && keys(&earlier).contains(&"24"), "{earlier:?}");
    assert!(listed(&client, "?lastOperationTimeTo=2020-01-01", 10).concat().is_empty());

    // A token is good for its own listing.
    let first = client.get(&format!("{ENTITIES}/Account?top=1"));
    let token = first.header(TOKEN).unwrap();
    assert!(!token.is_empty());
    for (path, token, status) in [
        ("entities/Account?top=3&fetchState=true", token, 200),
        ("entities?top=1", token, 400),
        ("entities/Shelf", token, 400),
        ("entities/Account?lastOperationTimeFrom=2020-01-01", token, 400),
        ("instances", token, 400),
        ("entities/Account", "bnVsbA", 400),
        ("entities/Account", &token[1..], 400),
    ] {
        let path = format!("/runtime/webhooks/durabletask/{path}");
        let answer = client.try_send("GET", &path, &[(TOKEN, token)], None).unwrap();
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
    let instances = client.get("/runtime/webhooks/durabletask/instances");
    assert_eq!(instances.body, json!([]), "entities are no instances");
}

#[test]
fn it_is_no_instance_whatever_is_asked_of_it_as_one() {
    let site = site();
    let server = site.serve();
    let client = server.client();
    signal(&client, "Account/a", "add", &json!(5));
    becomes(&client, "Account/a", &json!({ "balance": 5, "log": ["add 5"] }));
    let document = client.get("/openapi.json").body;
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        if !path.contains("/instances/{id}") {
            continue;
        }
        let path =
            path.replace("{id}", "@Account@a").replace("{step}", "0").replace("{event}", "x");
        for method in item.as_object().unwrap().keys() {
            let body = if method == "post" { Some(&b"{}"[..]) } else { None };
            let headers = [("content-type", "application/json")];
            let answer = client.try_send(&method.to_uppercase(), &path, &headers, body).unwrap();
            asked += 1;
            let kind = answer.body["ExceptionType"].as_str().unwrap_or_default();
            if path.ends_with("/restart") {
                assert_eq!((answer.status, kind), (400, "BadArgument"), "{answer:?}");
                continue;
            }
            assert_eq!((answer.status, kind), (404, "InstanceNotFound"), "{method} {path}");
            let message = answer.body["Message"].as_str().unwrap();
            assert!(message.contains("/entities/{name}/{key}"), "{message}");
        }
    }
    assert!(asked > 10, "{asked}");
    signal(&client, "Account/a", "add", &json!(1));
    becomes(&client, "Account/a", &json!({ "balance": 6, "log": ["add 5", "add 1"] }));
}

#[test]
fn one_that_is_removed_is_not_there_until_it_is_told_something() {
    let site = site();
    let server = site.serve();
    let client = server.client();
    signal(&client, "Ratings/lamp", "add", &json!({ "stars": 4 }));
    signal(&client, "Ratings/bulb", "add", &json!({ "stars": 5, "text": "bright" }));
    becomes(&client, "Ratings/lamp", &json!({ "count": 1, "stars": 4, "last": null }));
    becomes(&client, "Ratings/bulb", &json!({ "count": 1, "stars": 5, "last": "bright" }));
    signal(&client, "Ratings/lamp", "reset", &Value::Null);
    eventually("it is removed", || state(&client, "Ratings/lamp").is_none().then_some(()));
    assert_eq!(keys(&listed(&client, "/Ratings", 1).concat()), ["bulb"]);
    server.kill();
    let server = site.serve();
    let client = server.client();
    assert_eq!(state(&client, "Ratings/lamp"), None);
    signal(&client, "Ratings/lamp", "add", &json!({ "stars": 1 }));
    becomes(&client, "Ratings/lamp", &json!({ "count": 1, "stars": 1, "last": null }));
    assert_eq!(listed(&client, "/Ratings", 10).concat().len(), 2);
}

fn dev(site: &Site) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sagahost"));
    command.args(["dev", "--no-build", "--listen", "127.0.0.1:0", "--data"]).arg(site.path("data"));
    command.arg("--functions").arg(site.path("functions"));
    command.arg("--config").arg(site.path("sagahost.toml"));
    Server::start(command)
}

#[test]
fn an_operation_can_wait_for_its_time_also_over_a_restart() {
    let site = site();
    let server = dev(&site);
    let client = server.client();
    let long_ago = "Account/a?at=2020-01-01T00:00:00Z&op=add";
    let answer = client.post(&format!("{ENTITIES}/{long_ago}"), &json!(1));
    assert_eq!(answer.status, 202, "{answer:?}");
    becomes(&client, "Account/a", &json!({ "balance": 1, "log": ["add 1"] }));
    let in_three_days = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(72));
    let at = in_three_days.unwrap().to_string();
    for (account, amount) in [("a", 2), ("never", 3)] {
        let path = format!("{ENTITIES}/Account/{account}?op=add&at={at}");
        assert_eq!(client.post(&path, &json!(amount)).status, 202);
    }
    signal(&client, "Account/a", "add", &json!(4));
    becomes(&client, "Account/a", &json!({ "balance": 5, "log": ["add 1", "add 4"] }));
    assert_eq!(state(&client, "Account/never"), None);
    server.kill();

    let server = dev(&site);
    let client = server.client();
    signal(&client, "Account/a", "add", &json!(8));
    becomes(&client, "Account/a", &json!({ "balance": 13, "log": ["add 1", "add 4", "add 8"] }));
    assert_eq!(state(&client, "Account/never"), None);
    let by = 4 * 86_400;
    let skip = format!("/admin/clock/skip?by={by}");
    let skipped = client.try_send("POST", &skip, &[], None).unwrap();
    assert_eq!(skipped.status, 200, "{skipped:?}");
    let log = ["add 1", "add 4", "add 8", "add 2"];
    becomes(&client, "Account/a", &json!({ "balance": 15, "log": log }));
    becomes(&client, "Account/never", &json!({ "balance": 3, "log": ["add 3"] }));
}

#[test]
fn the_samples_with_entities_run_through() {
    let site = site();
    let server = site.serve();
    let client = server.client();
    let rated = |sku: &str, stars: &[u32]| {
        let ratings: Vec<Value> = stars.iter().map(|stars| json!({ "stars": stars })).collect();
        let status = client.run("RateArticle", &json!({ "sku": sku, "ratings": ratings }));
        assert_eq!(status["runtimeStatus"], "Completed", "{status}");
        status["output"].clone()
    };
    // From a client and from orchestrators.
    signal(&client, "Ratings/lamp", "add", &json!({ "stars": 5, "text": "bright" }));
    let summary = rated("lamp", &[4, 3]);
    assert_eq!(summary, json!({ "count": 3, "average": 4.0, "last": "bright" }));
    assert_eq!(rated("bulb", &[5, 4])["count"], 2);
    let top = client.run("TopRated", &json!(["lamp", "bulb", "nobody-knows-it"]));
    assert_eq!(top["output"], "bulb", "{top}");

    signal(&client, "Shelf/cellar", "put", &json!(3));
    let moved = |count: u32| {
        let input = json!({ "from": "cellar", "to": "shop", "count": count });
        client.run("ReserveSaga", &input)["output"].clone()
    };
    assert_eq!([moved(2), moved(2)], [json!(true), json!(false)]);
    becomes(&client, "Shelf/cellar", &json!({ "left": 1 }));
    becomes(&client, "Shelf/shop", &json!({ "left": 2 }));

    signal(&client, "Shelf/lamp", "put", &json!(1));
    let buy = |id: &str, card: &str| {
        let mut order = order(id, "lamp", 1, 4_900);
        order["card"] = json!(card);
        client.run("LastItemSaga", &order)["output"].clone()
    };
    assert_eq!(buy("o-1", "declined-1"), "not-paid");
    assert_eq!(state(&client, "Shelf/lamp"), Some(json!({ "left": 1 })), "it was not taken");
    assert_eq!(buy("o-2", "4242"), "bought");
    assert_eq!(buy("o-3", "4242"), "sold-out");
    becomes(&client, "Shelf/lamp", &json!({ "left": 0 }));
}

fn entity(server: &Server, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sagahost"));
    command.arg("entity").args(arguments).args(["--url", &server.url]);
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), text(&stdout), text(&stderr))
}

#[test]
fn the_command_line_reads_them_and_tells_them_what_to_do() {
    let site = site();
    let server = dev(&site);
    let client = server.client();
    let greeting = eventually("it greets", || {
        let output = server.output();
        output.contains("Ctrl-C").then_some(output)
    });
    let line = format!("Account  GET, POST {}{ENTITIES}/Account/{{key}}?op=add|", server.url);
    assert!(greeting.contains(&line), "{greeting}");

    let (code, _, error) = entity(&server, &["get", "Account", "my own"]);
    assert!(code == Some(4) && error.contains("@Account@my own"), "{code:?} {error}");
    let told = entity(&server, &["signal", "Account", "my own", "add", "--input", "5"]);
    assert_eq!((told.0, &*told.1), (Some(0), "told Account my own to add\n"), "{}", told.2);
    becomes(&client, "Account/my%20own", &json!({ "balance": 5, "log": ["add 5"] }));
    let (code, state, _) = entity(&server, &["get", "Account", "my own", "--json"]);
    assert_eq!(code, Some(0));
    assert_eq!(serde_json::from_str::<Value>(&state).unwrap()["balance"], 5);
    let (code, _, error) = entity(&server, &["signal", "Account", "a", "ad"]);
    assert!(code == Some(2) && error.contains("it has: add"), "{code:?} {error}");
    let (code, _, error) = entity(&server, &["signal", "Acount", "a", "add", "-i", "1"]);
    assert!(code == Some(4) && error.contains("deployed are: Account"), "{code:?} {error}");
    let later = ["signal", "Account", "a", "add", "-i", "1", "--at", "2999-01-01T00:00:00Z"];
    assert_eq!(entity(&server, &later).0, Some(0));

    signal(&client, "Shelf/lamp", "put", &json!(7));
    becomes(&client, "Shelf/lamp", &json!({ "left": 7 }));
    let (code, list, _) = entity(&server, &["list"]);
    assert!(code == Some(0) && list.contains("my own") && list.contains("{\"left\":7}"), "{list}");
    let (_, list, hint) = entity(&server, &["list", "--top", "1"]);
    assert!(list.lines().count() == 2 && hint.contains("--all"), "{list}{hint}");
    let (_, list, _) = entity(&server, &["list", "Shelf", "--all", "--from", "1h", "--json"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(keys(list.as_array().unwrap()), ["lamp"]);
    let (code, _, none) = entity(&server, &["list", "--to", "2020-01-01T00:00:00Z"]);
    assert_eq!((code, &*none), (Some(0), "no entities\n"));
}
