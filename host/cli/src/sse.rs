//! Server-sent events, read as the bytes come in.

/// One event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its kind; empty where the stream names none.
    pub(crate) kind: String,
    /// Its data, the lines joined by newlines.
    pub(crate) data: String,
    /// The id it carries, from which a reader that was cut off goes on.
    pub(crate) id: Option<String>,
}

/// Cuts a stream of bytes into events, as the HTML standard defines them.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    rest: Vec<u8>,
    next: Event,
    has_data: bool,
    last: Option<String>,
}

impl Parser {
    /// Takes the next bytes and gives the events that are whole now.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.rest.extend_from_slice(bytes);
        let mut events = Vec::new();
        let mut start = 0;
        while let Some(length) = self.rest[start..].iter().position(|&byte| byte == b'\n') {
            let mut line = &self.rest[start..start + length];
            if let Some(stripped) = line.strip_suffix(b"\r") {
                line = stripped;
            }
            let line = String::from_utf8_lossy(line).into_owned();
            start += length + 1;
            events.extend(self.line(&line));
        }
        self.rest.drain(..start);
        events
    }

    /// The last id that came, also in a block that is no event.
    pub(crate) fn last_id(&self) -> Option<&str> {
        self.last.as_deref()
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.next);
            // A block without data, such as a comment that keeps the
            // connection open, is no event.
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.has_data {
                    self.next.data.push('\n');
                }
                self.next.data.push_str(value);
                self.has_data = true;
            }
            "event" => self.next.kind = value.to_owned(),
            "id" => {
                self.next.id = Some(value.to_owned());
                self.last = Some(value.to_owned());
            }
            // `retry`, comments, and what the standard may bring.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, data: &str, id: Option<&str>) -> Event {
        Event { kind: kind.into(), data: data.into(), id: id.map(str::to_owned) }
    }

    const STREAM: &str = ": hello\n\nid: 3\nevent: journal\ndata: {\"a\":1}\n\n\
        data:x\r\ndata: y\r\n\r\n: ping\n\nevent: end\ndata:\n\ndata: half";

    #[test]
    fn events_are_read() {
        let events = Parser::default().push(STREAM.as_bytes());
        assert_eq!(
            events,
            [
                event("journal", "{\"a\":1}", Some("3")),
                event("", "x\ny", None),
                event("end", "", None)
            ]
        );
    }

    #[test]
    fn it_does_not_matter_how_the_bytes_come() {
        let whole = Parser::default().push(STREAM.as_bytes());
        for size in 1..20 {
            let mut parser = Parser::default();
            let parts: Vec<Event> =
                STREAM.as_bytes().chunks(size).flat_map(|chunk| parser.push(chunk)).collect();
            assert_eq!(parts, whole, "in chunks of {size}");
        }
    }
}
