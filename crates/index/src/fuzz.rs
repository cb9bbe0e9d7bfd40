//! Entry points for fuzzers: any bytes, no panic, bounded memory and time.
//!
//! Strategy: bytes are opened as they are, and again with their checksums made to fit, so that what lies behind the checksums is reached; then
//! everything is asked that can be asked.
//! Invariants: an answer names only series, and only tenants, that the index has; a key that is made is canonical (which making it asserts).

use std::path::Path;
use std::sync::LazyLock;

use disk::{Corrupt, Map};
use model::{MatchOp, Matcher, Selector, SeriesKey, Tenant};

use crate::{CompiledSelector, PartIndex};

/// Keys that are made of one input.
const KEYS_MAX: u32 = 2_000;
/// Patterns longer than this only cost time.
const PATTERN_BYTES_MAX: usize = 200;

/// The index of a part.
pub fn fuzz_part_index(data: &[u8]) {
    let mut bytes = data.to_vec();
    let _ = ask(&bytes);
    crate::part::reseal(&mut bytes);
    let _ = ask(&bytes);
}

fn ask(bytes: &[u8]) -> Result<(), Corrupt> {
    static SELECTORS: LazyLock<Vec<CompiledSelector>> = LazyLock::new(|| {
        let one = |name: &str, op, value: &str| Selector::all_of(vec![Matcher::new(name, op, value)]);
        let selectors = [
            Selector::everything(),
            one("__name__", MatchOp::Regex, ".*_[a-m].*"),
            one("le", MatchOp::NotEqual, "1"),
            one("job", MatchOp::Equal, "kubelet"),
            one("pod", MatchOp::Regex, "service-1.*"),
            one("namespace", MatchOp::NotRegex, ".*produc.*1"),
            one("device", MatchOp::Equal, ""),
        ];
        selectors.iter().map(|selector| CompiledSelector::compile(selector).expect("BUG: a good selector")).collect()
    });
    let part = PartIndex::open(Map::from(bytes.to_vec()), Path::new("fuzz"))?;
    let mut key = SeriesKey::default();
    // One question's damage must not hide another's.
    for selector in &*SELECTORS {
        if let Ok(found) = part.search(Tenant::DEFAULT, selector) {
            assert!(found.max().is_none_or(|last| last < part.series_count()), "BUG: an unknown series was found");
            let _ = part.label_names(Tenant::DEFAULT, Some(&found));
            let _ = part.label_values(Tenant::DEFAULT, "pod", Some(&found), 100);
        }
    }
    for name in part.label_names(Tenant::DEFAULT, None).unwrap_or_default() {
        let _ = part.label_values(Tenant::DEFAULT, &name, None, 100);
    }
    let _ = part.cardinality(Tenant::DEFAULT, None, &mut |_, _, _| {});
    let mut cursor = part.keys(0);
    while let Ok(Some((number, _))) = cursor.next() {
        if number > KEYS_MAX {
            break;
        }
    }
    for number in (0..part.series_count().min(KEYS_MAX)).step_by(37) {
        let _ = part.key(number, &mut key);
        let _ = part.id(number);
    }
    for (_, series) in part.tenants()? {
        assert!(series.end <= part.series_count(), "BUG: a tenant has unknown series");
    }
    part.verify()
}

/// A regular expression and a value, apart by the first zero byte.
pub fn fuzz_pattern(data: &[u8]) {
    let mut halves = data.splitn(2, |byte| *byte == 0).map(String::from_utf8_lossy);
    let (pattern, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
    if pattern.len() > PATTERN_BYTES_MAX {
        return;
    }
    let select = |op| CompiledSelector::compile(&Selector::all_of(vec![Matcher::new("a", op, &*pattern)]));
    let (Ok(yes), Ok(no)) = (select(MatchOp::Regex), select(MatchOp::NotRegex)) else { return };
    let mut builder = model::KeyBuilder::new();
    builder.push("__name__", "m");
    builder.push("a", &value);
    if let Ok(key) = builder.build(Tenant::DEFAULT) {
        assert_ne!(yes.matches(&key), no.matches(&key), "BUG: a pattern and its negation agree");
    }
}
