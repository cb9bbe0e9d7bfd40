//! The log against the disk that loses, tears and fails.

mod common;
mod roundtrip;
