//! Entry points for fuzzers: whatever the bytes, nothing panics.

use crate::{selector, time};

/// Takes `data` as a selector, as a time and as a duration.
pub fn fuzz_selector(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(selector) = selector::parse(&text) {
        assert!(selector.any_of.iter().all(|set| !set.is_empty()));
    }
    let _ = time::parse_time(&text, 1_767_323_045_678);
    let _ = time::parse_duration(&text);
}
