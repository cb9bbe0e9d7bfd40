//! The log against the disk that loses, tears and fails.

mod common;
mod crash;
mod damage;
mod failure;
mod fuzzing;
mod roundtrip;
mod threads;
mod versions;
