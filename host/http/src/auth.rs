//! Who may do what: the decision for one request, before anything of it but
//! its head is read.

use axum::http::{HeaderMap, Method, StatusCode};

use crate::error::ApiError;
use crate::keys::{KeyKind, Keys};
use crate::query::Query;
use crate::urls::BASE;

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing.
    Open,
    /// A key of this kind, or one that may do more.
    Key(KeyKind),
}

/// What a request needs, by its canonical path. What is not named here needs
/// a key that may manage: a route that somebody forgets to add is closed.
pub(crate) fn access(method: &Method, path: &str) -> Access {
    const USE: Access = Access::Key(KeyKind::Use);
    const MANAGE: Access = Access::Key(KeyKind::Manage);
    let read = method == Method::GET || method == Method::HEAD;
    if matches!(path, "/healthz" | "/readyz") {
        return if read { Access::Open } else { MANAGE };
    }
    let rest = path.strip_prefix(BASE).or_else(|| path.strip_prefix("/api"));
    if let Some(rest) = rest.and_then(|rest| rest.strip_prefix('/')) {
        let mut segments = rest.split('/');
        let (collection, operation) = (segments.next(), segments.nth(1));
        return match (collection, operation) {
            (Some("orchestrators"), _) if method == Method::POST => USE,
            (Some("instances"), Some("raiseEvent")) if method == Method::POST => USE,
            (Some("instances"), _) if read => USE,
            _ => MANAGE,
        };
    }
    MANAGE
}

/// Refuses a request that does not have what it needs.
pub(crate) fn authorise(
    keys: &Keys,
    access: Access,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<(), ApiError> {
    let Access::Key(needed) = access else {
        return Ok(());
    };
    let query = Query::parse(query);
    let header = headers.get("x-functions-key").map(|value| value.to_str().unwrap_or_default());
    let Some(presented) = header.or_else(|| query.get("code")) else {
        return Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "KeyMissing",
            "This host asks for an API key, in the header x-functions-key or the query parameter 'code'.",
        ));
    };
    match keys.kind_of(presented) {
        Some(kind) if kind >= needed => Ok(()),
        Some(kind) => Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "KeyNotEnough",
            format!(
                "This takes a key of the kind '{needed}'; the one given is of the kind '{kind}'."
            ),
        )),
        None => Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "KeyUnknown",
            "The API key given is not one of this host's.",
        )),
    }
}

/// Refuses a request that a browser sends on behalf of some other site. A host
/// without keys listens on loopback only, where every page that is open on
/// the same machine can reach it.
pub(crate) fn same_site(method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
    let foreign = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    if foreign && method != Method::GET && method != Method::HEAD {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "CrossSite",
            "Without API keys this host takes no commands from web pages of other sites.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn every_route_needs_the_right_key() {
        use Access::*;
        use KeyKind::*;
        let base = |rest: &str| format!("{BASE}/{rest}");
        for (method, path, expected) in [
            ("GET", "/healthz".to_owned(), Open),
            ("GET", "/readyz".to_owned(), Open),
            ("HEAD", "/readyz".to_owned(), Open),
            ("POST", "/api/orchestrators/A".to_owned(), Key(Use)),
            ("POST", "/api/orchestrators/A/b".to_owned(), Key(Use)),
            ("POST", base("orchestrators/A"), Key(Use)),
            ("POST", base("orchestrators/A/raiseEvent"), Key(Use)),
            ("GET", base("instances"), Key(Use)),
            ("GET", base("instances/a"), Key(Use)),
            ("GET", "/api/instances/a/events".to_owned(), Key(Use)),
            ("GET", "/api/instances/a/replay".to_owned(), Key(Use)),
            ("GET", "/api/instances/a/undo".to_owned(), Key(Use)),
            ("POST", "/api/instances/a/undo".to_owned(), Key(Manage)),
            ("POST", "/api/instances/a/cancel".to_owned(), Key(Manage)),
            ("POST", "/api/instances/raiseEvent/cancel".to_owned(), Key(Manage)),
            ("POST", "/api/instances/a/undo/3/retry".to_owned(), Key(Manage)),
            ("POST", "/api/instances/a/undo/3.1/done".to_owned(), Key(Manage)),
            ("POST", "/api/instances/a/undo/3/failed".to_owned(), Key(Manage)),
            ("POST", "/api/instances/raiseEvent/undo/raiseEvent/done".to_owned(), Key(Manage)),
            ("POST", base("instances/a/raiseEvent/E"), Key(Use)),
            ("DELETE", base("instances/a"), Key(Manage)),
            ("DELETE", base("instances"), Key(Manage)),
            ("POST", base("instances/a/terminate"), Key(Manage)),
            ("POST", base("instances/raiseEvent/terminate"), Key(Manage)),
            ("POST", base("instances/a/suspend"), Key(Manage)),
            ("POST", base("instances/a/resume"), Key(Manage)),
            ("POST", base("instances/a/restart"), Key(Manage)),
            ("GET", "/admin/functions".to_owned(), Key(Manage)),
            ("POST", "/admin/functions/A".to_owned(), Key(Manage)),
            ("PUT", "/admin/components/a".to_owned(), Key(Manage)),
            ("GET", "/admin/stats".to_owned(), Key(Manage)),
            ("GET", "/anything".to_owned(), Key(Manage)),
            ("GET", "/apix/instances".to_owned(), Key(Manage)),
            ("GET", "/".to_owned(), Key(Manage)),
        ] {
            let verb: Method = method.parse().expect("a method");
            assert_eq!(access(&verb, &path), expected, "{method} {path}");
        }
    }

    #[test]
    fn keys_come_in_the_header_or_the_query() {
        let mut keys = Keys::default();
        let manage = keys.create("m", KeyKind::Manage).expect("made");
        let used = keys.create("u", KeyKind::Use).expect("made");
        let status = |access, header: Option<&str>, query: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(key) = header {
                headers.insert("x-functions-key", HeaderValue::from_str(key).expect("ascii"));
            }
            match authorise(&keys, access, &headers, query) {
                Ok(()) => 200,
                Err(error) => {
                    let shown = format!("{error:?}");
                    assert!(!shown.contains(&manage) && !shown.contains(&used), "{shown}");
                    error.status().as_u16()
                }
            }
        };
        let code = |key: &str| format!("a=b&code={key}");
        let (need_use, need_manage) = (Access::Key(KeyKind::Use), Access::Key(KeyKind::Manage));
        assert_eq!(status(Access::Open, None, None), 200);
        assert_eq!(status(need_use, None, None), 401);
        assert_eq!(status(need_use, Some(&used), None), 200);
        assert_eq!(status(need_use, None, Some(&code(&used))), 200);
        assert_eq!(status(need_use, Some(&manage), None), 200);
        assert_eq!(status(need_manage, Some(&used), None), 403);
        assert_eq!(status(need_manage, None, Some(&code(&manage))), 200);
        assert_eq!(status(need_manage, Some("nonsense"), Some(&code(&manage))), 401);
        assert_eq!(status(need_use, Some(""), None), 401);
    }

    #[test]
    fn other_sites_pages_may_not_command() {
        let mut headers = HeaderMap::new();
        assert!(same_site(&Method::POST, &headers).is_ok());
        headers.insert("sec-fetch-site", HeaderValue::from_static("same-origin"));
        assert!(same_site(&Method::POST, &headers).is_ok());
        headers.insert("sec-fetch-site", HeaderValue::from_static("cross-site"));
        assert!(same_site(&Method::POST, &headers).is_err());
        assert!(same_site(&Method::GET, &headers).is_ok());
    }
}
