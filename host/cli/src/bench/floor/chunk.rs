//! How large what a saga writes is.

use http_body_util::BodyExt;
use serde_json::Value;

use crate::client::{BASE, Remote, encode};
use crate::sse::Parser;

/// How large a chunk of the journal of such a saga is: what the events of one
/// take, divided by how often something was appended. `None` where the host
/// does not tell.
pub(in super::super) async fn chunk_bytes(
    remote: &Remote,
    name: &str,
    appends: Option<f64>,
) -> Option<usize> {
    let path = format!("{BASE}/instances?runtimeStatus=Completed&top=100&showInput=false");
    let list = remote.get(&path).await.ok()?.ok().ok()?.value().ok()?;
    let of_this_name = |row: &&Value| row["name"].as_str() == Some(name);
    let id = list.as_array()?.iter().find(of_this_name)?["instanceId"].as_str()?.to_owned();
    let path = format!("/api/instances/{}/events", encode(&id));
    let request = remote.request(hyper::Method::GET, &path, bytes::Bytes::new()).ok()?;
    let response = remote.open(request).await.ok().filter(|response| response.status() == 200)?;
    let stream = response.into_body().collect().await.ok()?.to_bytes();
    // As the journal has it, an event stands in `[time,event],`.
    let bytes: usize = Parser::default()
        .push(&stream)
        .iter()
        .filter_map(|event| {
            let line: sagahost_http::JournalLine = serde_json::from_str(&event.data).ok()?;
            serde_json::to_vec(&sagahost_core::Record(line.time, line.event)).ok()
        })
        .map(|record| record.len() + 1)
        .sum();
    Some((bytes as f64 / appends.unwrap_or(2.0).max(1.0)) as usize)
}
