//! What an insert tells a storage node about the rows that the node does not have yet, so that the node never counts as complete while it is not.
//!
//! 1. An insert that could not hand rows to a node keeps them as hints. It reports what it keeps, a few times in a second.
//! 2. Each answer carries a *token*, which the next report gives back. On the word of that report the node may count itself complete, but for what is
//!    missing, until a *lease* has passed since it made the token. The insert counts the lease from when it got the token, which is later. A report that gives
//!    back another token than the last one made for its insert was late or overtaken: it is answered, and ends the lease.
//! 3. An insert acknowledges rows that a node lacks only when the node has confirmed a report of them, or when the last lease that the insert gave is over.
//!    So whoever asks the node behind the acknowledgement is told that it is not complete, without a clock that both share.
//! 4. A node remembers the inserts that it heard of. While one of them has given no lease that still holds, the node does not know what it lacks, and is
//!    *catching up*. An insert that leaves in good order says so, and is forgotten if it keeps nothing for the node.
//! 5. What came before a node owned a shard is elsewhere. Each node says of what *origin* it is; an insert that sees all nodes of its map begin with it
//!    vouches for that, by a number that follows from the map and the names of all its nodes: any insert finds the same one, and no other set of nodes has it.
//! 6. A node that owned no shard by one of an insert's maps lacks what was acknowledged then, whether it heard of that map or not: reports say so until the node has
//!    answered one ([`PassedOver`]).

use std::time::Duration;

use model::TimeRange;

use crate::{BoxFuture, insert::InsertError, select::ShardSet};

/// Takes reports of inserts.
pub trait TakeReports: Send + Sync {
    /// Takes a report; what it says holds for every query that is answered behind it.
    fn take_report<'a>(&'a self, report: &'a InsertReport) -> BoxFuture<'a, Result<ReportAnswer, InsertError>>;
}

/// What an insert says of itself and of the node that it says it to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InsertReport {
    /// Who reports: a number of its own that it keeps over restarts.
    pub insert: u128,
    /// Which report of its process this is. Reports may overtake one another where a connection breaks; an older one says nothing any more.
    pub turn: ReportTurn,
    /// Who the node was when it answered first; 0 if it never did. A node that is somebody else by now has lost what it held.
    pub knows: u128,
    /// The token of the last answer; 0 without one.
    pub token: u64,
    /// How long the word holds, from when the token was made.
    pub lease: Duration,
    /// The version of the insert's shard map.
    pub map_version: u64,
    /// The shards of which the insert sends the node all rows.
    pub owned: ShardSet,
    /// What the insert sent past the node before that, and the node has not noted yet.
    pub passed: Vec<PassedOver>,
    /// The number of the nodes that began with this map, the node among them; 0 if the insert cannot vouch for that.
    pub founding: u64,
    /// What it keeps for the node and has not handed over.
    pub missing: Missing,
    /// Whether the insert acknowledges nothing more that the node lacks: it stops, or it never does.
    pub leaving: bool,
}

/// The place of a report among those of an insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportTurn {
    /// Another number in each process of the insert.
    pub life: u64,
    /// Counted in that process, whichever node the report is for.
    pub number: u64,
}

impl ReportTurn {
    /// Whether the other was made later by the same process.
    pub fn is_before(self, other: Self) -> bool {
        self.life == other.life && self.number < other.number
    }
}

/// Shards that a node owns, and did not own by a map of the insert before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// The insert's number of the change of its map by which the node got them.
    pub change: u64,
    /// Which they are.
    pub shards: ShardSet,
}

/// Rows that a node lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Shards that hold all of them.
    pub shards: ShardSet,
    /// A range of time that holds all of them; empty if the node lacks nothing.
    pub range: TimeRange,
}

impl Missing {
    /// Nothing is missing.
    pub fn nothing() -> Self {
        Self { shards: ShardSet::empty(), range: TimeRange::EMPTY }
    }

    /// Whether nothing is missing.
    pub fn is_nothing(&self) -> bool {
        self.range.is_empty()
    }
}

/// How a node began, as far as it knows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// It has owned shards by several maps, or has lost something, or does not know: what was there before it owned its shards may be elsewhere.
    #[default]
    Later,
    /// It was empty when it first heard of an insert, and has heard of the insert's map only.
    Young,
    /// It was a single node with samples, and has heard of the insert's map only.
    Alone,
    /// An insert vouched for it, with this number.
    Founded(u64),
}

impl Origin {
    /// As a number.
    pub fn number(self) -> u64 {
        match self {
            Self::Later => 0,
            Self::Young => 1,
            Self::Alone => 2,
            Self::Founded(number) => number,
        }
    }

    /// Of a number.
    pub fn of(number: u64) -> Self {
        match number {
            0 => Self::Later,
            1 => Self::Young,
            2 => Self::Alone,
            number => Self::Founded(number),
        }
    }
}

/// What a node answers to a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportAnswer {
    /// Who the node is: a number that lies with its data, 0 for a node without any.
    pub node: u128,
    /// How it began.
    pub origin: Origin,
    /// For the next report. Never 0, and no other answer of the node had it.
    pub token: u64,
    /// Why the node takes no rows at the moment, if it does not.
    pub read_only: Option<String>,
}
