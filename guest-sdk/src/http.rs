//! Outbound HTTP, for activities (feature `http`).
//!
//! This is the client of [`wstd`](https://docs.rs/wstd), whose event loop
//! activities then run on: requests can be awaited together with `join!`. An
//! activity reaches the hosts that the manifest grants it, and no other; an
//! orchestrator reaches none.
//!
//! ```ignore
//! use sagahost::http::{Body, Client, Request};
//!
//! #[sagahost::activity]
//! async fn fetch(ctx: sagahost::ActivityContext, url: String) -> Result<String, sagahost::Failure> {
//!     let request = Request::get(&url)
//!         .header("idempotency-key", ctx.idempotency_key())
//!         .body(Body::empty())
//!         .or_fail_for_good("bad-url")?;
//!     let mut response = Client::new().send(request).await?;
//!     Ok(response.body_mut().str_contents().await?.to_owned())
//! }
//! ```

pub use wstd::http::{
    Authority, Body, BodyExt, Client, Error, ErrorCode, HeaderMap, HeaderName, HeaderValue, Method,
    PathAndQuery, Request, Response, Scheme, StatusCode, Uri, error,
};

use crate::Failure;

impl From<Error> for Failure {
    /// A failure with the code `http`; another attempt may go better.
    fn from(error: Error) -> Self {
        Self::transient("http", format_args!("{error:#}"))
    }
}
