//! The head: the newest samples in memory, and which series they belong to.
//!
//! A batch of rows comes by here so:
//!
//! 1. [`Head::resolve`] says which series each row belongs to. Label bytes that were seen before are known by their keyed hash; others are
//!    parsed, make a series if there is none yet, and are remembered.
//! 2. The store logs the rows under the series' *slots*, small numbers that stand for series while they are in memory.
//! 3. [`Generation::append`] takes the rows as columns of slots, times and values. From here on every snapshot shows them.
//! 4. A background thread seals full tails of the generation into runs of a few bytes a sample.
//! 5. At a flush the store starts another generation, writes the old one as parts, drops it, and lets the head evict idle series.
//!
//! Architecture invariant: knows nothing of files, of the log, of parts, or of HTTP.

mod chunked;
mod encodings;
mod epochs;
mod generation;
mod head;
mod held;
mod numbered;
mod prefetch;
mod run;
mod seq;
mod series;
mod slots;
mod tail;
mod tail_pool;

pub use encodings::ResolvedRow;
pub use epochs::SlotGuard;
pub use generation::{Generation, GenerationView, Loading};
pub use head::{Evicted, Head, HeadBytes, HeadFull, HeadOptions, Pin, ResolveScratch};
pub use model::Columns;
pub use seq::SeqRange;
pub use series::{AdmitAll, NewSeriesGate};

/// Slots are numbered below this.
pub const SLOTS_MAX: usize = 1 << 26;
