//! The list of instances that a dashboard shows, and its histogram.

use serde_json::{Value, json};

use crate::support::*;

/// A server with instances: some that have ended, and some that wait.
fn server() -> (Site, Server) {
    let site = Site::new(&["guest_activities", "guest_orchestrator"]);
    let server = site.serve();
    let client = server.client();
    let waits = json!({"timeoutSeconds": 600});
    for (number, shop) in [(1, "a"), (2, "b"), (3, "a")] {
        let path = format!("/api/orchestrators/Approval/ask-{number}?tag=shop:{shop}");
        assert_eq!(client.post(&path, &waits).status, 202);
        let id = format!("Fan-{number}");
        client.start_as("FanOut", &id, &json!([number]));
        client.ended(&id);
    }
    (site, server)
}

/// The ids of a list, which is followed page by page to its end.
fn ids(client: &Client, query: &str) -> Vec<String> {
    let (mut ids, mut token) = (Vec::new(), String::new());
    loop {
        let answer = client.get(&format!("/api/instances?{query}&token={token}"));
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        let rows = answer.body["instances"].as_array().unwrap();
        ids.extend(rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        match answer.body["next"].as_str() {
            Some(next) => token = next.to_owned(),
            None => return ids,
        }
    }
}

#[test]
fn instances_are_sorted_searched_and_filtered() {
    let (_site, server) = server();
    let client = server.client();
    let all = ["ask-1", "Fan-1", "ask-2", "Fan-2", "ask-3", "Fan-3"];
    assert_eq!(ids(&client, "order=asc"), all);
    let newest_first: Vec<&str> = all.into_iter().rev().collect();
    for page in ["", "top=1", "top=4"] {
        assert_eq!(ids(&client, page), newest_first, "{page}");
    }
    for (query, expected) in [
        ("search=FAN", vec!["Fan-3", "Fan-2", "Fan-1"]),
        ("search=k-2", vec!["ask-2"]),
        ("search=approv&top=1", vec!["ask-3", "ask-2", "ask-1"]),
        ("search=%25", vec![]),
        ("name=Approval&tag=shop:a", vec!["ask-3", "ask-1"]),
        ("idPrefix=Fan-&order=asc", vec!["Fan-1", "Fan-2", "Fan-3"]),
        ("status=Completed&name=Approval", vec![]),
        ("status=Running,Failed&order=asc", vec!["ask-1", "ask-2", "ask-3"]),
        ("saga=stuck", vec![]),
        ("to=5", vec![]),
    ] {
        assert_eq!(ids(&client, query), expected, "{query}");
    }
    // What changes goes to the front.
    let raised = client.raise("ask-1", "Approved", &json!({"approved": true, "by": "Ada"}));
    assert_eq!(raised.status, 202);
    client.ended("ask-1");
    assert_eq!(ids(&client, "sort=updated")[0], "ask-1");
    assert_eq!(ids(&client, "sort=updated&order=asc").pop().unwrap(), "ask-1");
}

#[test]
fn a_row_says_what_a_status_says() {
    let (_site, server) = server();
    let client = server.client();
    let page = client.get("/api/instances?idPrefix=ask-2").body;
    assert_eq!(page["complete"], true);
    let row = &page["instances"][0];
    assert_eq!(
        (&row["name"], &row["runtimeStatus"], &row["tags"]),
        (&json!("Approval"), &json!("Running"), &json!({"shop": "b"})),
        "{row}"
    );
    assert!(row["created"].as_u64() <= row["updated"].as_u64(), "{row}");
    assert!(row["created"].as_u64() > Some(1_700_000_000_000), "{row}");
    assert!(row["events"].as_u64() > Some(1), "{row}");
    assert!(row.get("input").is_none() && row.get("output").is_none(), "{row}");
}

#[test]
fn a_histogram_counts_each_instance_once() {
    let (_site, server) = server();
    let client = server.client();
    let count = |query: &str| -> Value {
        let answer = client.get(&format!("/api/instances/histogram?{query}"));
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        assert_eq!((&answer.body["complete"], &answer.body["next"]), (&json!(true), &Value::Null));
        let mut counts = json!({});
        for bucket in answer.body["buckets"].as_array().unwrap() {
            for (status, count) in bucket["counts"].as_object().unwrap() {
                let before = counts[status].as_u64().unwrap_or_default();
                counts[status] = json!(before + count.as_u64().unwrap());
            }
        }
        counts
    };
    assert_eq!(count(""), json!({"Running": 3, "Completed": 3}));
    assert_eq!(count("buckets=1&name=FanOut"), json!({"Completed": 3}));
    assert_eq!(count("tag=shop:a&from=0"), json!({"Running": 2}));
    assert_eq!(count("from=0&to=5"), json!({}));
    assert_eq!(count("from=9&to=5"), json!({}));
}

#[test]
fn what_cannot_be_read_is_refused() {
    let (_site, server) = server();
    let client = server.client();
    let next = client.get("/api/instances?top=1&name=FanOut").body["next"].clone();
    let foreign = format!("name=Approval&token={}", next.as_str().unwrap());
    for query in ["sort=name", "order=1", "status=Odd", "saga=odd", "tag=x", "top=0", &foreign] {
        let answer = client.get(&format!("/api/instances?{query}"));
        assert_eq!(answer.status, 400, "{query}: {}", answer.body);
    }
    for query in ["buckets=0", "from=now", "token=x"] {
        let answer = client.get(&format!("/api/instances/histogram?{query}"));
        assert_eq!(answer.status, 400, "{query}: {}", answer.body);
    }
}
