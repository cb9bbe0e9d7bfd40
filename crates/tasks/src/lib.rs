//! How tasks share the threads that they run on.
//!
//! Architecture invariant: knows nothing of what they do.

mod aside;
mod together;

pub use aside::{begin, may_step_aside};
pub use together::together;
