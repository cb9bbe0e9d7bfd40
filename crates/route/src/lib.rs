//! Series → shards → storage nodes: what an insert does with rows.
//!
//! 1. [`NodeList`] and [`Replication`] say which nodes there are and how many copies are wanted; [`Discovery`] keeps the list up to date.
//! 2. [`ShardMap`] says which nodes hold a series.
//! 3. [`Router`] takes batches, sends their rows to all owners, and acknowledges what is durable enough. The series of a batch are resolved by a head
//!    (crate `head`), whose slots are the numbers that all parts here go by.
//! 4. [`hints`] keeps what nodes lack until they have it.
//! 5. [`Standing`] is the node's side: whether it may count itself complete, by what inserts report; [`Holdings`] what it has lost and gets back.
//!
//! Architecture invariant: knows nothing of HTTP, of protocols, or of how nodes talk to one another.

mod assign;
mod by_labels;
mod debt;
mod deliver;
mod discovery;
mod founding;
mod health;
pub mod hints;
mod holdings;
mod link;
mod map;
mod node;
mod nodes;
mod numbered;
mod numbers;
mod options;
mod outgoing;
mod passed;
mod room;
mod router;
mod split;
mod standing;
mod stats;
mod whose;

pub use by_labels::{BY_LABELS, ByLabels};
pub use discovery::{Discovery, Sources};
pub use holdings::{Holdings, Source};
pub use link::{Connect, NodeLink};
pub use map::ShardMap;
pub use nodes::{COPIES_MAX, NODES_MAX, NodeList, NodeName, NodesError, Replication};
pub use options::{Acknowledge, Options};
pub use router::Router;
pub use standing::{Complete, Standing};
pub use stats::{NodeStats, RouterStats};
