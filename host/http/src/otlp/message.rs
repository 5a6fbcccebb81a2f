//! The bodies of `ExportTraceServiceRequest`s, in the JSON form of OTLP: ids as
//! hex digits, times in nanoseconds as texts.

use sagahost_core::{Millis, Span, SpanStatus, SpanValue, TraceContext, hex};
use serde_json::{Value, json};

/// About how many bytes a message has at most; collectors have limits.
const MOST_BYTES: usize = 2 << 20;

/// Spans that are sent one after another.
pub(super) struct Messages {
    service: String,
    full: Vec<Vec<Value>>,
    spans: Vec<Value>,
    /// About how many bytes `spans` are.
    size: usize,
}

impl Messages {
    pub(super) fn new(service: &str) -> Self {
        Messages { service: service.to_owned(), full: Vec::new(), spans: Vec::new(), size: 0 }
    }

    /// Takes the spans of an execution, if its trace is recorded.
    pub(super) fn add(&mut self, trace: &TraceContext, spans: &[Span]) {
        if !trace.sampled {
            return;
        }
        for span in spans {
            if self.size > MOST_BYTES {
                self.full.push(std::mem::take(&mut self.spans));
                self.size = 0;
            }
            self.size += size(span);
            self.spans.push(told(trace, span));
        }
    }

    /// The bodies; none where there is nothing to send.
    pub(super) fn finish(self) -> Result<Vec<Vec<u8>>, serde_json::Error> {
        let version = || SpanValue::from(env!("CARGO_PKG_VERSION"));
        let resource = json!([
            attribute("service.name", &SpanValue::Text(self.service)),
            attribute("service.version", &version()),
        ]);
        let scope = json!({ "name": "sagahost", "version": env!("CARGO_PKG_VERSION") });
        let all = self.full.into_iter().chain([self.spans]).filter(|spans| !spans.is_empty());
        all.map(|spans| {
            serde_json::to_vec(&json!({ "resourceSpans": [{
                "resource": { "attributes": &resource },
                "scopeSpans": [{ "scope": &scope, "spans": spans }],
            }] }))
        })
        .collect()
    }
}

/// About how many bytes it will be.
fn size(span: &Span) -> usize {
    let texts = |attributes: &[(&str, SpanValue)]| -> usize {
        let text = |value: &SpanValue| match value {
            SpanValue::Text(text) => text.len(),
            SpanValue::Number(_) => 20,
        };
        attributes.iter().map(|(name, value)| 60 + name.len() + text(value)).sum()
    };
    let status = match &span.status {
        SpanStatus::Error(message) => message.len(),
        SpanStatus::Ok | SpanStatus::Unset => 0,
    };
    let events = span.events.iter().map(|it| 80 + it.name.len() + texts(&it.attributes));
    300 + span.name.len() + status + texts(&span.attributes) + events.sum::<usize>()
}

fn told(trace: &TraceContext, span: &Span) -> Value {
    const INTERNAL: u8 = 1;
    const CLIENT: u8 = 3;
    let events: Vec<_> = span
        .events
        .iter()
        .map(|event| {
            json!({
                "timeUnixNano": nanos(event.at),
                "name": event.name,
                "attributes": attributes(&event.attributes),
            })
        })
        .collect();
    let status = match &span.status {
        SpanStatus::Unset => json!({}),
        SpanStatus::Ok => json!({ "code": 1 }),
        SpanStatus::Error(message) => json!({ "code": 2, "message": message }),
    };
    json!({
        "traceId": hex(&trace.trace),
        "spanId": hex(&span.id),
        "parentSpanId": span.parent.map(|parent| hex(&parent)).unwrap_or_default(),
        "name": span.name,
        "kind": if span.is_call { CLIENT } else { INTERNAL },
        "startTimeUnixNano": nanos(span.start),
        "endTimeUnixNano": nanos(span.end),
        "attributes": attributes(&span.attributes),
        "events": events,
        "status": status,
    })
}

fn nanos(at: Millis) -> String {
    (u128::from(at) * 1_000_000).to_string()
}

fn attributes(attributes: &[(&'static str, SpanValue)]) -> Vec<Value> {
    attributes.iter().map(|(name, value)| attribute(name, value)).collect()
}

fn attribute(name: &str, value: &SpanValue) -> Value {
    let value = match value {
        SpanValue::Text(text) => json!({ "stringValue": text }),
        SpanValue::Number(number) => json!({ "intValue": number.to_string() }),
    };
    json!({ "key": name, "value": value })
}
