//! Integer columns: a block of `i64` as vectors of 256 residuals, each vector in its own best form.
//!
//! 1. [`stream`] takes the block: it chooses what a residual is (the number itself, its delta, its delta of deltas),
//!    divides by the common divisor and cuts the residuals into vectors, and groups of eight vectors.
//! 2. [`residual`] makes residuals from numbers and numbers from residuals.
//! 3. [`plan`] finds the cheapest form of one vector from a histogram of bit widths; nothing is sorted.
//! 4. [`vector`] writes and reads one vector in that form.
//! 5. [`squeeze`] asks whether [`tans`] makes it smaller: the top four bits of each number through a static table.
//!
//! All arithmetic wraps: a residual is exact modulo 2^64, so every `i64` comes back, whatever the kind.

mod divisor;
mod plan;
mod residual;
mod squeeze;
mod stream;
mod tans;
mod tans_tables;
mod vector;

pub(crate) use stream::{Coder, FLAGS_MASK, IntScratch, decode, encode};
