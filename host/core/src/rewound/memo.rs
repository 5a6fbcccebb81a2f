//! What a rewound instance still knows of the runs before.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{Hash, Hasher};

use crate::{EntityId, HandedUndo, Json, Millis, Parcel, TaskId};

/// What of a request says that it is one of before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ask {
    Activity { function: String, input: Json },
    Child { function: String, input: Json, undo: ChildUndo },
    Timer(Millis),
    Event(String),
    Operation { entity: EntityId, operation: String, input: Json },
}

/// Whether nothing that a child did is undone, and whether it is undone by an
/// activity of its own. What a child handed over was kept accordingly.
pub(super) type ChildUndo = (bool, bool);

/// Something that is complete.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kept {
    pub(super) ask: Ask,
    pub(super) at: Millis,
    pub(super) output: Json,
    /// Of a step: the key it had, and the input that a repair gave it.
    pub(super) key: Option<String>,
    pub(super) mended: Option<Json>,
    /// Of a child: its instance id, and what it handed over.
    pub(super) child: String,
    pub(super) handed: Vec<HandedUndo>,
}

impl Kept {
    pub(super) fn event(name: &str, input: Json, at: Millis) -> Self {
        Kept {
            ask: Ask::Event(name.to_owned()),
            at,
            output: input,
            key: None,
            mended: None,
            child: String::new(),
            handed: Vec::new(),
        }
    }
}

/// A child that failed, and can be rewound.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FailedChild {
    pub(super) function: String,
    pub(super) input: Json,
    pub(super) id: String,
    pub(super) attempt: u32,
}

/// What a rewound instance still knows of the runs before.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Memo {
    /// How often it was rewound, and when it last was.
    pub(super) times: u32,
    pub(super) since: Millis,
    /// The last rewind of its parent that it was a part of.
    pub(super) by_parent: u32,
    /// What is complete and was not recalled yet, in the order of completion.
    pub(super) kept: BTreeMap<u32, Kept>,
    /// What of it nobody has asked for yet.
    pub(super) free: HashMap<Ask, BTreeSet<u32>>,
    /// What of it was asked for, by which task.
    pub(super) claimed: BTreeMap<u32, TaskId>,
    /// The keys of steps that failed, or of which nobody knows how they ended,
    /// and that were not undone: another attempt has the same one.
    pub(super) failed: HashMap<Ask, VecDeque<String>>,
    pub(super) children: BTreeMap<TaskId, FailedChild>,
    /// The attempt of a child that is to be rewound instead of started.
    pub(super) rewinding: BTreeMap<TaskId, u32>,
    /// How many attempts there were of a child, by its id.
    pub(super) used: BTreeMap<String, u32>,
    /// What was sent to whom, and was not asked for again.
    pub(super) sent: HashMap<String, VecDeque<Parcel>>,
}

/// What a signal says of the run that sent it does not make it another one.
pub(super) fn sendable(parcel: &Parcel) -> Parcel {
    match parcel.clone() {
        Parcel::Signal { operation, input, at, .. } => {
            Parcel::Signal { operation, input, at, execution: None }
        }
        parcel => parcel,
    }
}

impl Memo {
    /// Whether all that was complete before was recalled.
    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Whether this was sent before, and not asked for again since.
    pub(crate) fn has_sent(&self, to: &str, parcel: &Parcel) -> bool {
        self.sent.get(to).is_some_and(|sent| sent.contains(&sendable(parcel)))
    }

    /// What was sent before is asked for again.
    pub(crate) fn take_sent(&mut self, to: &str, parcel: &Parcel) {
        let Some(sent) = self.sent.get_mut(to) else { return };
        let parcel = sendable(parcel);
        if let Some(place) = sent.iter().position(|sent| *sent == parcel) {
            sent.remove(place);
        }
    }

    pub(super) fn keep(&mut self, kept: Kept) {
        let place = self.kept.last_key_value().map_or(0, |(place, _)| place + 1);
        self.free.entry(kept.ask.clone()).or_default().insert(place);
        self.kept.insert(place, kept);
    }

    pub(super) fn first(&self, ask: &Ask) -> Option<&Kept> {
        self.kept.get(self.free.get(ask)?.first()?)
    }

    pub(super) fn claim(&mut self, ask: &Ask, task: TaskId) -> Option<&Kept> {
        let place = self.free.get_mut(ask)?.pop_first()?;
        self.claimed.insert(place, task);
        self.kept.get(&place)
    }

    pub(super) fn place_of(&self, task: TaskId) -> Option<u32> {
        let mut claimed = self.claimed.iter();
        claimed.find_map(|(place, claimer)| (*claimer == task).then_some(*place))
    }

    /// The events that came and that nobody asked for again, oldest first.
    pub(crate) fn events(&self) -> impl Iterator<Item = (String, Json)> {
        let free = self.kept.iter().filter(|(place, _)| !self.claimed.contains_key(place));
        free.filter_map(|(_, kept)| match &kept.ask {
            Ask::Event(name) => Some((name.clone(), kept.output.clone())),
            _ => None,
        })
    }

    /// See [`Instance::write_state`].
    pub(crate) fn write_state(&self, code: bool, state: &mut impl Hasher) {
        self.times.hash(state);
        for (place, kept) in self.kept.iter().filter(|_| code) {
            (&kept.ask, &kept.output, self.claimed.get(place)).hash(state);
        }
    }
}
