//! Who may do what: the decision for one request, before anything of it but
//! its head is read. What a route needs is said where it is defined
//! ([`crate::routes`]).

use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode};

use crate::error::ApiError;
use crate::keys::{KeyKind, Keys};
use crate::query::Query;

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing.
    Open,
    /// A key of this kind, or one that may do more.
    Key(KeyKind),
}

/// A key that may start, raise events, signal entities and read.
pub(crate) const USE: Access = Access::Key(KeyKind::Use);

/// A key that may do everything.
pub(crate) const MANAGE: Access = Access::Key(KeyKind::Manage);

/// Refuses a request that may not do what takes this access.
pub(crate) fn admit(
    keys: Option<&Keys>,
    access: Access,
    request: &Request,
) -> Result<(), ApiError> {
    match keys {
        Some(keys) => authorise(keys, access, request.headers(), request.uri().query()),
        None => same_site(request.method(), request.headers()),
    }
}

/// Refuses a request that does not have what it needs.
fn authorise(
    keys: &Keys,
    access: Access,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<(), ApiError> {
    let Access::Key(needed) = access else {
        return Ok(());
    };
    let query = Query::parse(query);
    let Some(presented) = presented(headers, &query) else {
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

fn presented<'a>(headers: &'a HeaderMap, query: &'a Query<'_>) -> Option<&'a str> {
    let header = headers.get("x-functions-key").map(|value| value.to_str().unwrap_or_default());
    header.or_else(|| query.get("code"))
}

/// What a request that was let through may do, by its key.
pub(crate) fn kind_of(
    keys: Option<&Keys>,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Option<KeyKind> {
    match keys {
        None => Some(KeyKind::Manage),
        Some(keys) => keys.kind_of(presented(headers, &Query::parse(query))?),
    }
}

/// What the key of a request is called.
pub(crate) fn name_of(
    keys: Option<&Keys>,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Option<String> {
    let key = keys?.find(presented(headers, &Query::parse(query))?)?;
    Some(key.name.clone())
}

/// Refuses a request that a browser sends on behalf of some other site. A host
/// without keys listens on loopback only, where every page that is open on
/// the same machine can reach it.
fn same_site(method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
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
