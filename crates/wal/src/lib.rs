//! The write-ahead log: records ↔ segment files, group commit, replay.
//!
//! 1. Appending (`wal`, `append`, `slots`): samples become a few bytes each, as differences to the base value that their slot has in the
//!    segment; what a slot is stands in the segment once. Encoding needs no lock.
//! 2. Committing (`segment`, `commit`, `progress`, `ticket`): finished records gather in a buffer; one write and one
//!    sync serve everybody who waits. A failure poisons the segment for good.
//! 3. The bytes (`format`) are described in `docs/formats/log.md`. Every segment can be read alone, every record with its
//!    segment's definitions alone, so damage costs what it hits.
//! 4. Replaying (`replay`): all of it back, in parallel, with a report of what was damaged or torn.
//!
//! Architecture invariant: knows slots, keys and samples, never what a head or a part is, nor when a segment may go.

pub mod fuzz;

mod append;
mod commit;
mod error;
mod format;
mod names;
mod options;
mod pool;
mod progress;
mod replay;
mod segment;
mod slots;
mod stats;
mod ticket;
mod wal;

pub use error::{Result, WalError};
pub use format::decode::NO_SLOT;
pub use format::definitions::DEFINITIONS_PER_RECORD_MAX;
pub use format::encode::SAMPLES_PER_RECORD_MAX;
pub use format::frame::PAYLOAD_BYTES_MAX;
pub use format::keys::KEY_BYTES_MAX;
pub use options::{Ack, Commits, Options};
pub use replay::{ReplayReport, ReplaySink, Torn, replay, replay_segment_alone};
pub use slots::SLOTS_MAX;
pub use stats::WalStats;
pub use ticket::Ticket;
pub use wal::Wal;
