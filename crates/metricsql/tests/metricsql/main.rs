//! The language, from outside the crate.

mod canonical;
mod errors;
mod formats;
mod fuzz;
mod shared;
mod templates;
