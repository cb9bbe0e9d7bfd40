//! Queries against a real store.

mod driver;
mod script;
mod scripts;
