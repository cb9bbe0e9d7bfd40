//! The disk seen from outside.

mod map;
mod publish;
mod real;
