//! The language, from outside the crate.

mod canonical;
mod errors;
mod formats;
mod fuzz;
mod generate;
mod oracle;
mod property;
mod shared;
mod templates;
