//! The trace of a saga: which one it belongs to, and the spans that its journal
//! tells of.
//!
//! Nothing of a trace is kept. The ids of its spans derive from the execution
//! and the step, so that a host which was started again, or tells of a saga a
//! second time, gives each the same id as before. The ids are those of W3C Trace
//! Context and OpenTelemetry: 16 bytes for a trace, 8 for a span.

mod spans;

use sha2::{Digest, Sha256};

use crate::{Instance, Started, TaskId, UndoId, Work};

pub use spans::{Span, SpanEvent, SpanStatus, SpanValue, spans};

/// The trace that something belongs to, and the span that it is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: [u8; 16],
    /// The span around it; none at the root of a trace.
    pub parent: Option<SpanId>,
    /// Whether the trace is recorded.
    pub sampled: bool,
}

/// The id of a span.
pub type SpanId = [u8; 8];

/// What a span is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanOf {
    /// An execution, from its start, or its last rewind, to its end.
    Saga,
    /// A task, with all its attempts.
    Task(TaskId),
    /// An undo, with all its attempts.
    Undo(UndoId),
    /// One attempt of a step or an undo.
    Attempt(Work, u32),
}

impl TraceContext {
    /// Reads a `traceparent` header of W3C Trace Context; `None` where it is
    /// not as that wants it.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace) = (parts.next()?, bytes::<16>(parts.next()?)?);
        let (parent, [flags]) = (bytes::<8>(parts.next()?)?, bytes::<1>(parts.next()?)?);
        let [version] = bytes::<1>(version)?;
        // A later version may have more parts; the first has none.
        let ends = version != 0 || parts.next().is_none();
        let good = version != 0xff && trace != [0; 16] && parent != [0; 8] && ends;
        good.then_some(TraceContext { trace, parent: Some(parent), sampled: flags & 1 == 1 })
    }

    /// The header for what is a part of this span.
    pub fn within(&self, span: SpanId) -> String {
        let flags = u8::from(self.sampled);
        format!("00-{}-{}-{flags:02x}", hex(&self.trace), hex(&span))
    }
}

impl Started {
    /// The trace of the saga: the one that its start belongs to, else one of
    /// its own. All its executions share it, below the first.
    pub fn trace(&self) -> TraceContext {
        let given = self.trace_parent.as_deref().and_then(TraceContext::parse);
        let carried = self.carried.as_ref();
        let origin = carried.and_then(|carried| carried.origin.as_deref());
        let trace = given.unwrap_or_else(|| {
            let origin = origin.unwrap_or(&self.execution);
            let trace = bytes::<16>(origin).unwrap_or_else(|| digest(&[origin.as_bytes()]));
            TraceContext { trace, parent: None, sampled: true }
        });
        match origin {
            Some(origin) => TraceContext { parent: Some(span(origin, SpanOf::Saga, 0)), ..trace },
            None => trace,
        }
    }

    /// The id of a span of this execution. `generation` says how often it had
    /// been rewound: what runs then is another span than what ran before.
    pub fn span(&self, of: SpanOf, generation: u32) -> SpanId {
        span(&self.execution, of, generation)
    }
}

fn span(execution: &str, of: SpanOf, generation: u32) -> SpanId {
    let (kind, a, b, attempt) = match of {
        SpanOf::Saga => (0, 0, 0, 0),
        SpanOf::Task(task) => (1, task, 0, 0),
        SpanOf::Undo(undo) => (2, undo.task, undo.part, 0),
        SpanOf::Attempt(Work::Step(task), attempt) => (3, task, 0, attempt),
        SpanOf::Attempt(Work::Undo(undo), attempt) => (4, undo.task, undo.part, attempt),
    };
    let numbers = [kind, a, b, attempt, generation].map(u32::to_be_bytes);
    digest(&[execution.as_bytes(), numbers.as_flattened()])
}

impl Instance {
    /// The W3C `traceparent` for what is a part of this.
    pub fn trace_parent(&self, of: SpanOf) -> String {
        let started = self.started();
        started.trace().within(started.span(of, self.generation()))
    }
}

/// The first bytes of a digest of these.
fn digest<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let digest = Sha256::digest(parts.concat());
    let mut first = [0; N];
    first.copy_from_slice(&digest[..N]);
    // An id of zeros would be none.
    first[N - 1] = first[N - 1].max(1);
    first
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut bytes = [0; N];
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// Bytes as hex digits, as ids are written.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_context_is_read_as_the_recommendation_says() {
        let context = TraceContext::parse(GOOD).expect("it is good");
        assert_eq!(context.within(context.parent.expect("there is one")), GOOD);
        assert!(context.sampled);
        let unsampled = GOOD.replace("-01", "-00");
        assert!(!TraceContext::parse(&unsampled).expect("it is good").sampled);
        let later = format!("{}-more", GOOD.replacen("00", "01", 1));
        assert!(TraceContext::parse(&later).is_some(), "a later version may say more");
        for bad in [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}-more"),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.to_uppercase(),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn each_span_has_an_id_of_its_own() {
        let started = Started { execution: "a".repeat(32), ..Started::default() };
        let undo = UndoId { task: 1, part: 0 };
        let all = [
            started.span(SpanOf::Saga, 0),
            started.span(SpanOf::Task(0), 0),
            started.span(SpanOf::Task(1), 0),
            started.span(SpanOf::Task(1), 1),
            started.span(SpanOf::Undo(undo), 0),
            started.span(SpanOf::Attempt(Work::Step(1), 1), 0),
            started.span(SpanOf::Attempt(Work::Step(1), 2), 0),
            started.span(SpanOf::Attempt(Work::Undo(undo), 1), 0),
        ];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(started.trace().trace, [0xaa; 16], "its execution names the trace");
    }
}
