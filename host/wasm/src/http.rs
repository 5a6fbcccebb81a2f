//! Outbound HTTP: what was granted goes out, the rest is denied.

use std::sync::{Arc, Mutex};

use hyper::header::HeaderValue;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::capture::{Capture, Sink, lock};
use crate::rules::HttpTarget;

type Sent = (http_response::Response, Box<dyn Future<Output = Result<(), Error>> + Send>);

mod http_response {
    pub(super) type Response = hyper::Response<wasmtime_wasi_http::WasiBody>;
}

/// What a guest may send where. Empty for orchestrators.
#[derive(Default)]
pub(crate) struct Outbound {
    pub(crate) granted: Arc<[HttpTarget]>,
    /// The W3C `traceparent` of what the guest is, for requests without one.
    pub(crate) trace_parent: Option<HeaderValue>,
    /// Where a denied request is noted, for the person who wonders why.
    pub(crate) notes: Option<Arc<Mutex<Capture>>>,
}

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        mut request: hyper::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        let granted =
            self.granted.iter().any(|target| target.allows(request.method(), request.uri()));
        if !granted {
            if let Some(notes) = &self.notes {
                let uri = request.uri();
                let (scheme, authority) = (uri.scheme_str(), uri.authority());
                let target = format!(
                    "{}://{}",
                    scheme.unwrap_or("https"),
                    authority.map_or("", |authority| authority.as_str())
                );
                let note = format!(
                    "sagahost: denied {} {target}: the manifest does not grant it to this \
                     function (http = [\"{target}\"])\n",
                    request.method(),
                );
                lock(notes).write(note.as_bytes());
            }
            return Box::new(std::future::ready(Err(Error::HttpRequestDenied)));
        }
        if let Some(trace) = self.trace_parent.clone() {
            // A guest that makes spans of its own says which one it is.
            request.headers_mut().entry("traceparent").or_insert(trace);
        }
        Box::new(async move {
            use http_body_util::BodyExt;
            let (response, io) = wasmtime_wasi_http::default_send_request(request, options).await?;
            let io: Box<dyn Future<Output = Result<(), Error>> + Send> = Box::new(io);
            Ok((response.map(BodyExt::boxed_unsync), io))
        })
    }
}
