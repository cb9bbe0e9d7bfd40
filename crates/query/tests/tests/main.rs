//! Queries against a real store.

mod driver;
mod equal;
mod evaluate;
mod fuzz;
mod limits;
mod naive;
mod refresh;
mod script;
mod scripts;
