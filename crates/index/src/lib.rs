//! Labels ↔ series numbers: terms, postings, matchers.
//!
//! - [`CompiledSelector`]: what is asked for, prepared once.
//! - [`IndexWriter`] makes the index of a part from its keys in ascending order, [`PartIndex`] reads it where it is mapped.
//! - [`HeadIndex`] is its twin in memory: it holds the keys of the head's series and is changed and searched at the same time.
//!
//! Series are numbers: in a part 0, 1, 2, … in the order of their keys, in the head the slots that its owner chose.
//!
//! Architecture invariant: never knows samples, nor what a series number stands for elsewhere.

mod bits;
pub mod fuzz;
mod head;
mod key_numbers;
mod key_parts;
mod part;
mod search;
mod selector;
mod varint;

pub use head::{HeadIndex, NewSeries};
pub use key_numbers::{KeyNumbers, KnownNumbers};
pub use part::{Ids, IndexSummary, IndexWriter, KeyCursor, PartIndex};
pub use selector::{BadMatcher, CompiledSelector, parse_regex};
