//! The store against a naive model: in daily life, under faults, and with each of its promises broken on purpose.

mod compat;
mod copying;
mod driver;
mod histories;
mod life;
mod mutants;
mod returning;
mod select;
mod surroundings;
mod together;
