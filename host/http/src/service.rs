//! One request, from its head to its answer: spelled as the routes are,
//! routed, and answered whatever happens.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::body::Body;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use tower::Service as _;

use crate::body::Drained;
use crate::early::Told;
use crate::error::ApiError;
use crate::urls::canonical_path;

pub(crate) async fn respond(
    mut router: Router,
    told: Told,
    request: hyper::Request<Incoming>,
) -> Result<Response, Infallible> {
    let mut request = request.map(|body| Body::new(Drained::new(body)));
    request.extensions_mut().insert(told);
    if let Some(path) = canonical_path(request.uri().path()) {
        respell(request.uri_mut(), &path);
    }
    // The query stays out of the log: it may carry a key.
    let logged = tracing::enabled!(tracing::Level::DEBUG)
        .then(|| (request.method().clone(), request.uri().path().to_owned()));
    let response = match AssertUnwindSafe(router.call(request)).catch_unwind().await {
        Ok(Ok(response)) => response,
        Err(_) => {
            // The panic's own words are on stderr already.
            tracing::error!("a handler panicked");
            ApiError::internal().into_response()
        }
    };
    if let Some((method, path)) = logged {
        tracing::debug!(%method, path, status = response.status().as_u16(), "request");
    }
    Ok(response)
}

fn respell(uri: &mut Uri, path: &str) {
    let spelled = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    let Ok(spelled) = spelled else { return };
    let mut parts = std::mem::take(uri).into_parts();
    parts.path_and_query = Some(spelled);
    // Whole or not at all: a URI of these parts is one again.
    *uri = Uri::from_parts(parts).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_is_respelled_and_its_query_kept() {
        let mut uri = Uri::from_static("http://h:1/A/b?c=D");
        respell(&mut uri, "/a/b");
        assert_eq!(uri, "http://h:1/a/b?c=D");
        let mut uri = Uri::from_static("/A/");
        respell(&mut uri, "/A");
        assert_eq!(uri, "/A");
    }

    proptest! {
        #[test]
        fn any_uri_can_be_spelled(text in "/[!-~]{0,60}") {
            let Ok(mut uri) = text.parse::<Uri>() else { return Ok(()) };
            let query = uri.query().map(str::to_owned);
            if let Some(path) = canonical_path(uri.path()) {
                respell(&mut uri, &path);
                prop_assert_eq!(uri.path(), path);
            }
            prop_assert_eq!(uri.query(), query.as_deref());
        }
    }
}
