//! Addresses: how a request's path is read, and the URLs that are handed out.

use std::net::SocketAddr;

use axum::http::{HeaderMap, Uri, header};
use serde::Serialize;

use crate::query;
use crate::text::percent_encode_into;

/// Where the management API is.
pub(crate) const BASE: &str = "/runtime/webhooks/durabletask";

/// Where orchestrators are started, as functions are in Azure.
const API: &str = "/api";

/// The words of routes whose case is free.
const COLLECTIONS: [&str; 7] =
    ["orchestrators", "instances", "entities", "events", "session", "overview", "functions"];
const OPERATIONS: [&str; 10] = [
    "raiseEvent",
    "terminate",
    "suspend",
    "resume",
    "rewind",
    "restart",
    "events",
    "replay",
    "cancel",
    "undo",
];
/// What is asked of all instances, where else an id may stand.
const OF_ALL: [&str; 1] = ["histogram"];
const REPAIRS: [&str; 3] = ["retry", "done", "failed"];

/// The path as the routes spell it, where it is spelled otherwise: the case of
/// the words of a route is free, and slashes at its end count for nothing.
/// Names and ids stay as they are.
pub(crate) fn canonical_path(path: &str) -> Option<String> {
    let trimmed = path.trim_end_matches('/');
    let spelled = respell(BASE, trimmed).or_else(|| respell(API, trimmed));
    match spelled {
        Some(spelled) => (spelled != path).then_some(spelled),
        None if trimmed.len() < path.len() && !trimmed.is_empty() => Some(trimmed.to_owned()),
        None => None,
    }
}

fn respell(base: &str, path: &str) -> Option<String> {
    let (head, rest) = path.split_at_checked(base.len())?;
    if !head.eq_ignore_ascii_case(base) {
        return None;
    }
    let mut segments = rest.split('/');
    if segments.next() != Some("") {
        return None;
    }
    let mut out = String::with_capacity(path.len());
    out.push_str(base);
    let (mut of_instance, mut of_undo) = (false, false);
    let mut segments = segments.enumerate().peekable();
    while let Some((place, segment)) = segments.next() {
        let words: &[&str] = match place {
            0 => &COLLECTIONS,
            1 if of_instance && base == API && segments.peek().is_none() => &OF_ALL,
            // In this place of `orchestrators/{name}/{id}` stands an id.
            2 if of_instance => &OPERATIONS,
            4 if of_undo => &REPAIRS,
            _ => &[],
        };
        let word = words.iter().find(|word| word.eq_ignore_ascii_case(segment));
        of_instance |= place == 0 && word == Some(&"instances");
        of_undo |= place == 2 && word == Some(&"undo");
        out.push('/');
        out.push_str(word.unwrap_or(&segment));
    }
    Some(out)
}

/// Whether this canonical path is one of the management API, which the clients
/// of Durable Functions use.
pub(crate) fn is_managed(path: &str) -> bool {
    path.strip_prefix(BASE).is_some_and(|rest| rest.starts_with('/'))
}

/// Scheme, host and port as the client knows this server.
pub(crate) fn origin(
    headers: &HeaderMap,
    uri: &Uri,
    local: SocketAddr,
    trust_forwarded: bool,
) -> String {
    let forwarded = |name: &str| {
        let values = headers.get(name).filter(|_| trust_forwarded)?.to_str().ok()?;
        // Each proxy appends; the first one saw the client.
        Some(values.split(',').next()?.trim())
    };
    let proto = forwarded("x-forwarded-proto")
        .filter(|proto| proto.eq_ignore_ascii_case("https"))
        .map_or("http", |_| "https");
    let host = forwarded("x-forwarded-host")
        .filter(|host| is_host(host))
        .or_else(|| {
            let host = headers.get(header::HOST)?.to_str().ok()?;
            Some(host).filter(|host| is_host(host))
        })
        .or_else(|| {
            uri.authority().map(|authority| authority.as_str()).filter(|host| is_host(host))
        });
    match host {
        Some(host) => format!("{proto}://{host}"),
        None => format!("{proto}://{local}"),
    }
}

/// What is copied into URLs must be a host and nothing else.
fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
}

/// `{origin}/runtime/webhooks/durabletask/instances/{id}`.
pub(crate) fn instance_url(origin: &str, id: &str) -> String {
    let mut url = String::with_capacity(origin.len() + BASE.len() + id.len() + 16);
    url.push_str(origin);
    url.push_str(BASE);
    url.push_str("/instances/");
    percent_encode_into(&mut url, id);
    url
}

/// The URL of a status, with the query it was asked for, without any key.
pub(crate) fn status_url(origin: &str, id: &str, asked: Option<&str>) -> String {
    let mut url = instance_url(origin, id);
    let query = asked.map(query::without_key).unwrap_or_default();
    if !query.is_empty() {
        url.push('?');
        url.push_str(&query);
    }
    url
}

/// What a start answers: where to ask and what to do about the instance.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CheckStatus<'a> {
    pub(crate) id: &'a str,
    pub(crate) status_query_get_uri: &'a str,
    send_event_post_uri: String,
    terminate_post_uri: String,
    purge_history_delete_uri: &'a str,
    restart_post_uri: String,
    suspend_post_uri: String,
    resume_post_uri: String,
    rewind_post_uri: String,
}

impl<'a> CheckStatus<'a> {
    /// `url` is [`instance_url`].
    pub(crate) fn new(id: &'a str, url: &'a str) -> Self {
        let operation = |suffix: &str| [url, suffix].concat();
        CheckStatus {
            id,
            status_query_get_uri: url,
            send_event_post_uri: operation("/raiseEvent/{eventName}"),
            terminate_post_uri: operation("/terminate?reason={text}"),
            purge_history_delete_uri: url,
            restart_post_uri: operation("/restart"),
            suspend_post_uri: operation("/suspend?reason={text}"),
            resume_post_uri: operation("/resume?reason={text}"),
            rewind_post_uri: operation("/rewind?reason={text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    #[test]
    fn routes_have_no_case_but_ids_have() {
        for (path, expected) in [
            ("/runtime/webhooks/durabletask/instances/Abc", None),
            (
                "/Runtime/WebHooks/durableTask/Instances/Abc/RAISEEVENT/Ok",
                Some("/runtime/webhooks/durabletask/instances/Abc/raiseEvent/Ok"),
            ),
            (
                "/runtime/webhooks/durabletask/instances/",
                Some("/runtime/webhooks/durabletask/instances"),
            ),
            (
                "/runtime/webhooks/durabletask/Orchestrators/Instances/Terminate",
                Some("/runtime/webhooks/durabletask/orchestrators/Instances/Terminate"),
            ),
            ("/API/Orchestrators/Saga", Some("/api/orchestrators/Saga")),
            ("/api/Instances/Undo/UNDO/3.1/Retry", Some("/api/instances/Undo/undo/3.1/retry")),
            ("/api/instances/a/raiseEvent/3/Retry", None),
            ("/api/instances/Histogram", Some("/api/instances/histogram")),
            ("/api/instances/Histogram/undo", None),
            ("/runtime/webhooks/durabletask/instances/Histogram", None),
            ("/api/orchestrators/Saga", None),
            ("/runtime/webhooks/durabletaskx/Instances", None),
            ("/healthz/", Some("/healthz")),
            ("/", None),
            ("//", None),
            ("", None),
            ("/runtime/webhooks/durabletasé", None),
        ] {
            assert_eq!(canonical_path(path).as_deref(), expected, "{path}");
        }
    }

    fn origin_of(headers: &[(&'static str, &'static str)], trust: bool) -> String {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                let name = axum::http::HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            })
            .collect();
        let local = SocketAddr::from(([127, 0, 0, 1], 7071));
        origin(&headers, &Uri::from_static("/x"), local, trust)
    }

    #[test]
    fn urls_are_those_the_client_sees() {
        assert_eq!(origin_of(&[("host", "example.org:80")], false), "http://example.org:80");
        assert_eq!(origin_of(&[("host", "[::1]:7071")], false), "http://[::1]:7071");
        assert_eq!(origin_of(&[], false), "http://127.0.0.1:7071");
        assert_eq!(origin_of(&[("host", "evil/\"path")], false), "http://127.0.0.1:7071");
        let forwarded = [
            ("host", "inner"),
            ("x-forwarded-host", "outer.example, inner"),
            ("x-forwarded-proto", "https, http"),
        ];
        assert_eq!(origin_of(&forwarded, true), "https://outer.example");
        assert_eq!(origin_of(&forwarded, false), "http://inner");
    }

    #[test]
    fn ids_are_encoded_and_keys_left_out() {
        assert_eq!(
            instance_url("http://h", "a b%ä"),
            "http://h/runtime/webhooks/durabletask/instances/a%20b%25%C3%A4"
        );
        assert_eq!(
            status_url("http://h", "a", Some("code=k&showHistory=true")),
            "http://h/runtime/webhooks/durabletask/instances/a?showHistory=true"
        );
    }

    #[test]
    fn the_check_status_payload_has_every_key_of_the_reference() {
        let url = instance_url("http://h", "a");
        let payload = serde_json::to_value(CheckStatus::new("a", &url)).expect("JSON");
        let keys: Vec<_> = payload.as_object().expect("an object").keys().collect();
        assert_eq!(keys.len(), 9, "{keys:?}");
        assert_eq!(payload["id"], "a");
        assert_eq!(payload["statusQueryGetUri"], url);
        assert_eq!(payload["purgeHistoryDeleteUri"], url);
        assert_eq!(payload["sendEventPostUri"], format!("{url}/raiseEvent/{{eventName}}"));
        for (key, verb) in [
            ("terminatePostUri", "terminate"),
            ("suspendPostUri", "suspend"),
            ("resumePostUri", "resume"),
            ("rewindPostUri", "rewind"),
        ] {
            assert_eq!(payload[key], format!("{url}/{verb}?reason={{text}}"));
        }
        assert_eq!(payload["restartPostUri"], format!("{url}/restart"));
    }

    proptest! {
        #[test]
        fn any_path_can_be_read(path in any::<String>()) {
            if let Some(canonical) = canonical_path(&path) {
                prop_assert_eq!(canonical_path(&canonical), None);
            }
        }

        #[test]
        fn an_id_survives_its_url(id in "[^/]{1,40}") {
            let url = instance_url("", &id);
            let tail = url.rsplit('/').next().unwrap_or_default();
            prop_assert_eq!(crate::text::percent_decode(tail), id);
        }
    }
}
