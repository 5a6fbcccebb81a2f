//! What must never be, and what was found to be all the same.

use serde::Serialize;

/// What is checked of every saga.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// At an end all effects are in place and the saga committed, or none is.
    AllOrNothing,
    /// Where a saga undoes what it did, it leaves no step out.
    UndoSkipped,
    /// Nothing is undone that never was.
    AbsentUndone,
    /// Nothing is undone twice, with a different key each time.
    UndoneTwice,
    /// What was done later is undone first.
    UndoOrder,
    /// The saga comes to an end.
    NoEnd,
    /// The code, rebuilt from its journal, asks for the same.
    Replay,
    /// The code does not return while something runs that can be undone.
    StepsOpen,
    /// The code does not trap.
    Trap,
    /// The code does not fail where it can only go forward.
    PastPivot,
    /// What the author wants to hold.
    Invariant(String),
}

impl Rule {
    /// Those that are checked of every saga.
    pub const ALL: [Rule; 10] = [
        Rule::AllOrNothing,
        Rule::UndoSkipped,
        Rule::AbsentUndone,
        Rule::UndoneTwice,
        Rule::UndoOrder,
        Rule::NoEnd,
        Rule::Replay,
        Rule::StepsOpen,
        Rule::Trap,
        Rule::PastPivot,
    ];

    /// Its name in reports.
    pub fn name(&self) -> &str {
        match self {
            Rule::AllOrNothing => "all-or-nothing",
            Rule::UndoSkipped => "undo-skipped",
            Rule::AbsentUndone => "absent-undone",
            Rule::UndoneTwice => "undone-twice",
            Rule::UndoOrder => "undo-order",
            Rule::NoEnd => "no-end",
            Rule::Replay => "replay",
            Rule::StepsOpen => "steps-open",
            Rule::Trap => "trap",
            Rule::PastPivot => "past-pivot",
            Rule::Invariant(name) => name,
        }
    }

    /// What it says, in a sentence.
    pub fn sentence(&self) -> &'static str {
        match self {
            Rule::AllOrNothing => "in the end all effects are in place, or none is",
            Rule::UndoSkipped => "where a saga undoes what it did, it leaves no step out",
            Rule::AbsentUndone => "nothing is undone that was never done",
            Rule::UndoneTwice => "nothing is undone twice under different keys",
            Rule::UndoOrder => "what was done later is undone first",
            Rule::NoEnd => "the saga comes to an end",
            Rule::Replay => "rebuilt from its journal, the code asks for the same",
            Rule::StepsOpen => "the code does not return while a step runs that can be undone",
            Rule::Trap => "the code does not trap",
            Rule::PastPivot => "the code does not fail where it can only go forward",
            Rule::Invariant(_) => "an invariant of the author",
        }
    }
}

/// Something that must not be, where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) rule: Rule,
    /// What faults of one cause have in common: how the saga ended, the
    /// function, or what else tells them from others.
    pub(crate) group: String,
    /// The functions that it is about.
    pub(crate) functions: Vec<String>,
    /// What is wrong, in a sentence.
    pub(crate) detail: String,
}

impl Fault {
    /// A fault that is told from others by the function it is about.
    pub(crate) fn of(rule: Rule, function: &str, detail: String) -> Self {
        Fault { rule, group: function.to_owned(), functions: vec![function.to_owned()], detail }
    }
}
