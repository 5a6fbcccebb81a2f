//! What listings have in common: pages, and the header that leads to the next.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use sagahost_store::InstanceKey;
use serde::Serialize;

use crate::error::{ApiError, json};
use crate::query::Query;
use crate::token;

/// The rows of a page where the client does not say. Not every client follows
/// continuation tokens, so it is as large as a page can be.
const DEFAULT_PAGE: u64 = 1000;

/// Where a listing goes on: in a request, and in the answer before it.
pub(crate) const CONTINUATION: HeaderName = HeaderName::from_static("x-ms-continuation-token");

/// How many rows a page is to have, at most.
pub(crate) fn size(asked: &Query<'_>) -> Result<u32, ApiError> {
    match asked.number("top")?.unwrap_or(DEFAULT_PAGE) {
        0 => Err(ApiError::bad_argument("'top' is at least 1.")),
        top => Ok(top.min(DEFAULT_PAGE) as u32),
    }
}

/// The row after which a listing goes on whose filters are `filters`; `None`
/// where it begins.
pub(crate) fn after(headers: &HeaderMap, filters: &str) -> Result<Option<InstanceKey>, ApiError> {
    // What is not text is not one of ours either.
    let token = headers.get(CONTINUATION).map(|token| token.to_str().unwrap_or("?").trim());
    let given = token.filter(|token| !token.is_empty());
    given.map(|token| token::decode(token, filters).map(InstanceKey)).transpose()
}

/// A page, and where to go on. The header is always there; empty at the end.
pub(crate) fn page(
    rows: &impl Serialize,
    next: Option<InstanceKey>,
    filters: &str,
) -> Result<Response, ApiError> {
    let next = next.map(|InstanceKey(key)| token::encode(key, filters)).unwrap_or_default();
    let next = HeaderValue::try_from(next).map_err(|_| ApiError::internal())?;
    let mut response = json(StatusCode::OK, rows);
    response.headers_mut().insert(CONTINUATION, next);
    Ok(response)
}
