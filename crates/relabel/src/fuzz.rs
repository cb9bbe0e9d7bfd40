//! Entry points for fuzzers: whatever the bytes, nothing panics, and no label is longer than allowed.

use model::{KeyBuilder, Matcher, Selector};

use crate::{Outcome, Relabeler};

/// Takes `data` as a file of rules and applies it to a few series.
pub fn fuzz_rules(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let selector = |text: &str| Ok(Selector::all_of(vec![Matcher::equal(model::METRIC_NAME, text)]));
    let Ok(relabeler) = Relabeler::parse("fuzz", &text, &selector) else {
        return;
    };
    for series in [
        &[("__name__", "up"), ("job", "node"), ("instance", "a.b.c:9100")][..],
        &[("__name__", "a.b.c-d"), ("größe", "zürich\nzwei"), ("__note", "x")],
        &[("only", "$1{{job}}")],
    ] {
        let mut labels = KeyBuilder::new();
        series.iter().for_each(|(name, value)| labels.push(name, value));
        if relabeler.apply(&mut labels) == Outcome::Keep {
            assert!(!labels.is_empty() && labels.len() <= 10_000);
            assert!(labels.iter().all(|(name, value)| !name.is_empty() && value.len() <= 1 << 20));
        }
    }
}
