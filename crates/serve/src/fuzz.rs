//! Entry points for fuzzers: whatever the bytes, nothing panics.

use crate::{remote_read, selector, time};

/// Takes `data` as a selector, as a time and as a duration.
pub fn fuzz_selector(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(selector) = selector::parse(&text) {
        assert!(selector.any_of.iter().all(|set| !set.is_empty()));
    }
    let _ = time::parse_time(&text, 1_767_323_045_678);
    let _ = time::parse_duration(&text);
}

/// Takes `data` as an unpacked request of the remote-read protocol.
pub fn fuzz_read_request(data: &[u8]) {
    remote_read::fuzz_read_request(data);
}
