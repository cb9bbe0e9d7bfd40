//! Entry points for fuzzers: whatever the bytes, nothing panics and memory stays in proportion.

pub use crate::{proxy_protocol::fuzz::fuzz_proxy_head, resolve::fuzz::fuzz_answer_of_names};
