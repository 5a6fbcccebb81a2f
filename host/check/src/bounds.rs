//! How far is looked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bounds as somebody gave them; what is not given has a default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct GivenBounds {
    /// See [`Bounds::faults`].
    pub faults: Option<u32>,
    /// See [`Bounds::crashes`].
    pub crashes: Option<u32>,
    /// See [`Bounds::cancels`].
    pub cancels: Option<u32>,
    /// See [`Bounds::orders`].
    pub orders: Option<u32>,
    /// See [`Bounds::loops`].
    pub loops: Option<u32>,
    /// See [`Bounds::depth`].
    pub depth: Option<u32>,
    /// See [`Bounds::states`].
    pub states: Option<u64>,
    /// See [`Bounds::seconds`].
    pub seconds: Option<u64>,
}

impl GivenBounds {
    /// What is given here, else what is given there.
    #[must_use]
    pub fn or(&self, other: &GivenBounds) -> GivenBounds {
        GivenBounds {
            faults: self.faults.or(other.faults),
            crashes: self.crashes.or(other.crashes),
            cancels: self.cancels.or(other.cancels),
            orders: self.orders.or(other.orders),
            loops: self.loops.or(other.loops),
            depth: self.depth.or(other.depth),
            states: self.states.or(other.states),
            seconds: self.seconds.or(other.seconds),
        }
    }
}

/// How far is looked. The first four say what can happen on one path, and so
/// what is proven; the others only keep a search from taking for ever, and one
/// that comes up against them has proven nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bounds {
    /// Attempts that go wrong on one path.
    pub faults: u32,
    /// How often the host is lost on one path.
    pub crashes: u32,
    /// How often somebody cancels on one path.
    pub cancels: u32,
    /// By how many places, on one path, steps that run at the same time may
    /// end before one that was scheduled earlier; `None` for any order.
    pub orders: Option<u32>,
    /// How often the saga may ask for the same function on one path.
    pub loops: u32,
    /// How long a path may be, in things that happen.
    pub depth: u32,
    /// How many states are looked at.
    pub states: u64,
    /// How long the search may take, in seconds.
    pub seconds: u64,
    /// Those that somebody gave.
    #[serde(skip)]
    given: GivenBounds,
}

/// A bound that a search came up against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum Cut {
    Loops,
    Depth,
    States,
    Seconds,
}

impl Cut {
    /// Its name in the check file and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Cut::Loops => "loops",
            Cut::Depth => "depth",
            Cut::States => "states",
            Cut::Seconds => "seconds",
        }
    }
}

impl Bounds {
    /// The bounds that are given, and the defaults of the others.
    pub fn new(given: GivenBounds) -> Self {
        Bounds {
            faults: given.faults.unwrap_or(3),
            crashes: given.crashes.unwrap_or(1),
            cancels: given.cancels.unwrap_or(1),
            orders: given.orders,
            loops: given.loops.unwrap_or(12),
            depth: given.depth.unwrap_or(500),
            states: given.states.unwrap_or(2_000_000),
            seconds: given.seconds.unwrap_or(60),
            given,
        }
    }

    /// Whether somebody wanted the search to end there.
    pub fn is_given(&self, cut: Cut) -> bool {
        match cut {
            Cut::Loops => self.given.loops.is_some(),
            Cut::Depth => self.given.depth.is_some(),
            Cut::States => self.given.states.is_some(),
            Cut::Seconds => self.given.seconds.is_some(),
        }
    }

    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds::new(GivenBounds::default())
    }
}

impl std::fmt::Display for Bounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Bounds { faults, crashes, cancels, orders, loops, depth, .. } = self;
        let orders = match orders {
            None => String::new(),
            Some(places) => format!("; steps out of order by up to {places} places"),
        };
        let many = |count: u32, one: &str, many: &str| match count {
            0 => format!("no {one}"),
            1 => format!("1 {one}"),
            count => format!("{count} {many}"),
        };
        write!(
            f,
            "on each path up to {}, {} of the host and {}{orders}; no function more than {loops} times, \
             no path longer than {depth}",
            many(*faults, "fault", "faults"),
            many(*crashes, "crash", "crashes"),
            many(*cancels, "cancel", "cancels"),
        )
    }
}
