//! The index of the head.
fn main() {}
