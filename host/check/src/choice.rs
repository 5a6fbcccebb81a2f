//! The things that can happen next, and how a story writes them down.

use std::fmt;
use std::str::FromStr;

use sagahost_core::{TaskId, UndoId, Work};

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum How {
    /// With the output of this number.
    Ok(usize),
    /// With the failure of this number, for good.
    Fail(usize),
    /// Nobody knows how, and it is not attempted again.
    Unknown { applied: bool },
    /// With a failure, and is attempted again.
    Again,
    /// Nobody knows how, and is attempted again.
    AgainUnknown { applied: bool },
    /// The host ended it.
    Stopped { applied: bool },
}

/// What an entity says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reply {
    /// A call is answered, with the output of this number.
    Answer(usize),
    /// A call fails, with the failure of this number.
    Refused(usize),
    /// The entity is locked for the one who asked.
    Locked,
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Choice {
    /// An attempt of a step or an undo ends.
    Ends { machine: usize, work: Work, how: How },
    /// An entity says something to a task that waits for it.
    Reply { machine: usize, task: TaskId, reply: Reply },
    /// Somebody raises an event, with the value of this number.
    Event { machine: usize, name: String, value: usize },
    /// Time passes until something is due.
    Time,
    /// Somebody cancels.
    Cancel,
    /// The host is lost, and comes back; these attempts had done their work.
    Crash { applied: Vec<(usize, Work)> },
    /// A person has it attempted again.
    Mend { machine: usize, step: UndoId, forward: bool },
    /// A person did it by hand.
    Done { machine: usize, step: UndoId, forward: bool },
}

impl Choice {
    /// What of the bounds it takes: faults, crashes, cancels.
    pub(crate) fn cost(&self) -> (u32, u32, u32) {
        match self {
            Choice::Ends { how: How::Ok(_) | How::Stopped { .. }, .. } => (0, 0, 0),
            Choice::Ends { .. } | Choice::Reply { reply: Reply::Refused(_), .. } => (1, 0, 0),
            Choice::Crash { .. } => (0, 1, 0),
            Choice::Cancel => (0, 0, 1),
            _ => (0, 0, 0),
        }
    }

    /// How much it takes to follow: of several stories the plainest one is
    /// told.
    pub(crate) fn weight(&self) -> u32 {
        match self {
            Choice::Ends { how: How::Ok(_) | How::Fail(_) | How::Stopped { .. }, .. } => 2,
            Choice::Ends { how: How::Unknown { .. }, .. } => 3,
            Choice::Ends { how: How::Again | How::AgainUnknown { .. }, .. } => 4,
            Choice::Reply { .. } | Choice::Event { .. } | Choice::Time | Choice::Cancel => 2,
            Choice::Crash { applied } => 6 + applied.len() as u32,
            Choice::Mend { .. } | Choice::Done { .. } => 3,
        }
    }

    /// Whether it is what happens where nothing goes wrong.
    pub(crate) fn is_benign(&self) -> bool {
        self.cost() == (0, 0, 0)
    }
}

fn write_place(f: &mut fmt::Formatter<'_>, machine: usize) -> fmt::Result {
    match machine {
        0 => Ok(()),
        machine => write!(f, "{machine}/"),
    }
}

fn write_work(f: &mut fmt::Formatter<'_>, machine: usize, work: Work) -> fmt::Result {
    write_place(f, machine)?;
    match work {
        Work::Step(task) => write!(f, "{task}"),
        Work::Undo(undo) => write!(f, "u{undo}"),
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = |applied: &bool| if *applied { "+" } else { "-" };
        match self {
            Choice::Ends { machine, work, how } => {
                write_work(f, *machine, *work)?;
                match how {
                    How::Ok(0) => write!(f, "=ok"),
                    How::Ok(number) => write!(f, "=ok{number}"),
                    How::Fail(0) => write!(f, "=fail"),
                    How::Fail(number) => write!(f, "=fail{number}"),
                    How::Unknown { applied } => write!(f, "=unknown{}", sign(applied)),
                    How::Again => write!(f, "=again"),
                    How::AgainUnknown { applied } => write!(f, "=again{}", sign(applied)),
                    How::Stopped { applied } => write!(f, "=stopped{}", sign(applied)),
                }
            }
            Choice::Reply { machine, task, reply } => {
                write_work(f, *machine, Work::Step(*task))?;
                match reply {
                    Reply::Answer(0) => write!(f, "=answer"),
                    Reply::Answer(number) => write!(f, "=answer{number}"),
                    Reply::Refused(0) => write!(f, "=refused"),
                    Reply::Refused(number) => write!(f, "=refused{number}"),
                    Reply::Locked => write!(f, "=locked"),
                }
            }
            Choice::Event { machine, name, value } => {
                write_place(f, *machine)?;
                write!(f, "!{}={value}", escape(name))
            }
            Choice::Time => f.write_str("time"),
            Choice::Cancel => f.write_str("cancel"),
            Choice::Crash { applied } => {
                f.write_str("crash")?;
                for (machine, work) in applied {
                    f.write_str("+")?;
                    write_work(f, *machine, *work)?;
                }
                Ok(())
            }
            Choice::Mend { machine, step, forward } | Choice::Done { machine, step, forward } => {
                write_place(f, *machine)?;
                let undo = if *forward { "" } else { "u" };
                let how = if matches!(self, Choice::Mend { .. }) { "mend" } else { "done" };
                write!(f, "{undo}{step}={how}")
            }
        }
    }
}

/// The name of an event without characters that would end it.
fn escape(name: &str) -> String {
    let mut escaped = String::new();
    for c in name.chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' => escaped.push(c),
            c => escaped.push_str(&format!("%{:x}%", c as u32)),
        }
    }
    escaped
}

fn unescape(text: &str) -> Option<String> {
    let mut name = String::new();
    for (at, part) in text.split('%').enumerate() {
        if at % 2 == 0 {
            name.push_str(part);
        } else {
            name.push(char::from_u32(u32::from_str_radix(part, 16).ok()?)?);
        }
    }
    Some(name)
}

/// A word of a story that means nothing.
#[derive(Debug)]
pub(crate) struct BadChoice;

fn read_place(text: &str) -> Result<(usize, &str), BadChoice> {
    match text.split_once('/') {
        None => Ok((0, text)),
        Some((machine, rest)) => Ok((machine.parse().map_err(|_| BadChoice)?, rest)),
    }
}

fn read_work(text: &str) -> Result<(usize, Work), BadChoice> {
    let (machine, rest) = read_place(text)?;
    let work = match rest.strip_prefix('u') {
        Some(undo) => Work::Undo(undo.parse().map_err(|_| BadChoice)?),
        None => Work::Step(rest.parse::<TaskId>().map_err(|_| BadChoice)?),
    };
    Ok((machine, work))
}

impl FromStr for Choice {
    type Err = BadChoice;

    fn from_str(text: &str) -> Result<Self, BadChoice> {
        match text {
            "time" => return Ok(Choice::Time),
            "cancel" => return Ok(Choice::Cancel),
            _ => {}
        }
        if let Some(applied) = text.strip_prefix("crash") {
            let applied = applied.split('+').skip(1).map(read_work);
            return Ok(Choice::Crash { applied: applied.collect::<Result<_, _>>()? });
        }
        let (what, how) = text.split_once('=').ok_or(BadChoice)?;
        let (machine, rest) = read_place(what)?;
        if let Some(name) = rest.strip_prefix('!') {
            let name = unescape(name).ok_or(BadChoice)?;
            return Ok(Choice::Event { machine, name, value: how.parse().map_err(|_| BadChoice)? });
        }
        let (machine, work) = read_work(what)?;
        let (step, forward) = match work {
            Work::Step(task) => (task.into(), true),
            Work::Undo(undo) => (undo, false),
        };
        let number = |text: &str| match text {
            "" => Ok(0),
            text => text.parse().map_err(|_| BadChoice),
        };
        if let Work::Step(task) = work {
            let reply = match (how.strip_prefix("answer"), how.strip_prefix("refused")) {
                (Some(rest), _) => Some(Reply::Answer(number(rest)?)),
                (_, Some(rest)) => Some(Reply::Refused(number(rest)?)),
                _ => (how == "locked").then_some(Reply::Locked),
            };
            if let Some(reply) = reply {
                return Ok(Choice::Reply { machine, task, reply });
            }
        }
        let applied = how.ends_with('+');
        let how = match how {
            "mend" => return Ok(Choice::Mend { machine, step, forward }),
            "done" => return Ok(Choice::Done { machine, step, forward }),
            "unknown+" | "unknown-" => How::Unknown { applied },
            "again" => How::Again,
            "again+" | "again-" => How::AgainUnknown { applied },
            "stopped+" | "stopped-" => How::Stopped { applied },
            how => match (how.strip_prefix("ok"), how.strip_prefix("fail")) {
                (Some(rest), _) => How::Ok(number(rest)?),
                (_, Some(rest)) => How::Fail(number(rest)?),
                _ => return Err(BadChoice),
            },
        };
        Ok(Choice::Ends { machine, work, how })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let work = Work::Step(3);
        let undo = Work::Undo(UndoId { task: 4, part: 2 });
        let mut choices = vec![
            Choice::Time,
            Choice::Cancel,
            Choice::Crash { applied: vec![] },
            Choice::Crash { applied: vec![(0, work), (2, undo)] },
            Choice::Event { machine: 0, name: "Go".into(), value: 1 },
            Choice::Event { machine: 1, name: "über/all %=!".into(), value: 0 },
            Choice::Mend { machine: 0, step: 3.into(), forward: true },
            Choice::Done { machine: 1, step: UndoId { task: 4, part: 1 }, forward: false },
            Choice::Reply { machine: 0, task: 2, reply: Reply::Answer(0) },
            Choice::Reply { machine: 3, task: 2, reply: Reply::Answer(1) },
            Choice::Reply { machine: 0, task: 12, reply: Reply::Refused(0) },
            Choice::Reply { machine: 0, task: 12, reply: Reply::Refused(2) },
            Choice::Reply { machine: 1, task: 0, reply: Reply::Locked },
        ];
        for how in [
            How::Ok(0),
            How::Ok(2),
            How::Fail(0),
            How::Fail(1),
            How::Unknown { applied: true },
            How::Again,
            How::AgainUnknown { applied: false },
            How::AgainUnknown { applied: true },
            How::Stopped { applied: false },
        ] {
            choices.push(Choice::Ends { machine: 0, work, how });
            choices.push(Choice::Ends { machine: 7, work: undo, how });
        }
        for choice in choices {
            let text = choice.to_string();
            assert!(!text.contains(' '), "{text}");
            assert_eq!(text.parse::<Choice>().ok(), Some(choice), "{text}");
        }
    }

    #[test]
    fn nonsense_is_none() {
        for text in
            ["", "3", "3=", "3=maybe", "x=ok", "u=ok", "crash+x", "!a", "1/=ok", "u1=locked"]
        {
            assert!(text.parse::<Choice>().is_err(), "{text}");
        }
    }
}
