//! The body of an `ExportTraceServiceRequest`, in the JSON form of OTLP: ids as
//! hex digits, times in nanoseconds as texts.

use sagahost_core::{Millis, Span, SpanStatus, SpanValue, TraceContext, hex};
use serde_json::{Value, json};

/// Spans that are sent together.
pub(super) struct Message {
    service: String,
    spans: Vec<Value>,
    /// About how many bytes they are.
    size: usize,
}

impl Message {
    pub(super) fn new(service: &str) -> Self {
        Message { service: service.to_owned(), spans: Vec::new(), size: 0 }
    }

    /// About how many bytes it has.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Takes the spans of an execution, if its trace is recorded.
    pub(super) fn add(&mut self, (trace, spans): &(TraceContext, Vec<Span>)) {
        if !trace.sampled {
            return;
        }
        for span in spans {
            // What there is in any span, with names of usual lengths.
            self.size += 400 + 100 * (span.attributes.len() + span.events.len());
            self.spans.push(told(trace, span));
        }
    }

    /// The body; `None` where there is nothing to send.
    pub(super) fn finish(self) -> Option<Result<Vec<u8>, serde_json::Error>> {
        if self.spans.is_empty() {
            return None;
        }
        let resource = json!([
            attribute("service.name", &SpanValue::Text(self.service)),
            attribute("service.version", &env!("CARGO_PKG_VERSION").into()),
        ]);
        let scope = json!({ "name": "sagahost", "version": env!("CARGO_PKG_VERSION") });
        let message = json!({ "resourceSpans": [{
            "resource": { "attributes": resource },
            "scopeSpans": [{ "scope": scope, "spans": self.spans }],
        }] });
        Some(serde_json::to_vec(&message))
    }
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
