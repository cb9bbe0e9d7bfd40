//! The naive answers: a scan over all series, with regular expressions of the library, anchored by hand.

use std::collections::{BTreeMap, BTreeSet};

use model::{MatchOp, Matcher, Selector, SeriesKey, Tenant};
use proptest::prelude::*;
use regex_automata::meta::Regex;
use roaring::RoaringBitmap;

/// Series by number or slot.
pub type World = BTreeMap<u32, SeriesKey>;

pub fn value(key: &SeriesKey, name: &str) -> String {
    key.label(name).map(|value| value.into_owned()).unwrap_or_default()
}

/// One condition, with its expression made once.
struct Condition<'a> {
    matcher: &'a Matcher,
    regex: Option<Regex>,
}

impl<'a> Condition<'a> {
    fn new(matcher: &'a Matcher) -> Self {
        let is_regex = matches!(matcher.op, MatchOp::Regex | MatchOp::NotRegex);
        let regex = |text: &str| Regex::new(&format!("^(?s:{text})$")).unwrap_or_else(|e| panic!("{text}: {e}"));
        Self { matcher, regex: is_regex.then(|| regex(&matcher.value)) }
    }

    fn holds(&self, key: &SeriesKey) -> bool {
        let value = value(key, &self.matcher.name);
        let matches = self.regex.as_ref().map_or(value == self.matcher.value, |regex| regex.is_match(&value));
        matches != matches!(self.matcher.op, MatchOp::NotEqual | MatchOp::NotRegex)
    }
}

pub fn search(world: &World, tenant: Tenant, selector: &Selector) -> RoaringBitmap {
    let sets: Vec<Vec<Condition<'_>>> =
        selector.any_of.iter().map(|set| set.iter().map(Condition::new).collect()).collect();
    let selected = |key: &SeriesKey| sets.iter().any(|set| set.iter().all(|condition| condition.holds(key)));
    world.iter().filter(|(_, key)| key.tenant() == tenant && selected(key)).map(|(number, _)| *number).collect()
}

pub fn cardinality(world: &World, tenant: Tenant, within: Option<&RoaringBitmap>) -> BTreeMap<(String, String), u64> {
    let mut counts = BTreeMap::new();
    for (number, key) in world {
        if key.tenant() == tenant && within.is_none_or(|within| within.contains(*number)) {
            for (name, value) in key.labels() {
                *counts.entry((name.into_owned(), value.into_owned())).or_insert(0) += 1;
            }
        }
    }
    counts
}

/// The names that are counted.
pub fn names(counts: &BTreeMap<(String, String), u64>) -> Vec<String> {
    counts.keys().map(|(name, _)| name.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The values of a name that are counted.
pub fn values(counts: &BTreeMap<(String, String), u64>, name: &str) -> Vec<String> {
    counts.keys().filter(|(have, _)| have == name).map(|(_, value)| value.clone()).collect()
}

/// Few names and values, so that they meet often.
pub const NAMES: [&str; 7] = ["__name__", "le", "a", "b", "job", "z", "ä\u{1}"];
const VALUES: [&str; 14] =
    ["", "a", "ab", "abc", "abcd", "b", "x-1", "x-2", "x-10", "0.5", "+Inf", "new\nline", "\u{0}\u{1}", "äöü"];
const PATTERNS: [&str; 31] = [
    ".*",
    ".+",
    "",
    "a",
    "a|b",
    "a|",
    "|x-1",
    "a.*",
    "ab.+",
    ".*b.*",
    ".*bc",
    "x-[12]",
    "x-\\d+",
    "(a|x).*",
    "a?b?",
    ".*-1.*",
    ".*ine",
    "new.line",
    "[^a]*",
    "ä.*",
    ".*ö.*",
    "(?i)A",
    "(?i)AB.*",
    "abc|abcd|nope",
    "nope",
    "nope.*",
    ".*abc.*",
    ".*abc.*d",
    "x.*1.*|b",
    "\\+Inf|0\\.5",
    "[0-9.]+",
];

pub fn tenant() -> impl Strategy<Value = Tenant> {
    prop_oneof![4 => Just(Tenant::new(0, 0)), 1 => Just(Tenant::new(0, 1)), 1 => Just(Tenant::new(7, 0))]
}

pub fn key() -> impl Strategy<Value = SeriesKey> {
    let labels = prop::collection::btree_map(prop::sample::select(&NAMES[..]), prop::sample::select(&VALUES[..]), 1..6);
    (tenant(), labels).prop_filter_map("a series needs a label", |(tenant, labels)| {
        let mut builder = model::KeyBuilder::new();
        labels.iter().for_each(|(name, value)| builder.push(name, value));
        builder.build(tenant).ok()
    })
}

pub fn keys(max: usize) -> impl Strategy<Value = BTreeSet<SeriesKey>> {
    prop::collection::btree_set(key(), 0..max)
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let names = prop_oneof![9 => prop::sample::select(&NAMES[..]), 1 => Just("absent")];
    let equal = prop::sample::select(vec![MatchOp::Equal, MatchOp::NotEqual]);
    let regex = prop::sample::select(vec![MatchOp::Regex, MatchOp::NotRegex]);
    let literal = (equal, prop::sample::select(&VALUES[..]));
    let pattern = (regex, prop::sample::select(&PATTERNS[..]));
    (names, prop_oneof![literal, pattern]).prop_map(|(name, (op, value))| Matcher::new(name, op, value))
}

pub fn selector() -> impl Strategy<Value = Selector> {
    let set = prop::collection::vec(matcher(), 0..4);
    prop::collection::vec(set, 0..3).prop_map(|any_of| Selector { any_of })
}

/// Selectors that matter on [`crate::kubernetes`] series.
pub fn kubernetes_selectors() -> Vec<Selector> {
    use MatchOp::{Equal, NotEqual, NotRegex, Regex};
    let sets: &[&[(&str, MatchOp, &str)]] = &[
        &[],
        &[("__name__", Equal, "container_metric_number_7_bytes")],
        &[("__name__", Regex, "container_metric_number_1.*")],
        &[("__name__", Regex, "container_metric_number_1.*"), ("namespace", Equal, "team-3-production")],
        &[("__name__", Equal, "kube_pod_status_number_3"), ("pod", Regex, ".*service-1.*-[0-9a]+.*")],
        &[("namespace", Regex, "team-(1|2|3)-production"), ("pod", Regex, ".*-a.*")],
        &[("pod", Regex, "service-17-.*")],
        &[("pod", Regex, ".*-deployment-.*f")],
        &[("pod", NotRegex, "service-.*")],
        &[("pod", Equal, "")],
        &[("pod", NotEqual, ""), ("le", Equal, "")],
        &[("le", Regex, "0\\..*"), ("destination_service", Regex, "service-1.*")],
        &[("le", NotEqual, "+Inf"), ("namespace", NotEqual, "team-3-production")],
        &[("uid", Regex, "[0-4].*"), ("phase", Regex, "Running|Failed")],
        &[("image", Regex, ".*sha256:0+1.*"), ("container", NotRegex, "service-1.*")],
        &[("cluster", Equal, "production-eu-central-1"), ("job", NotRegex, "kubelet|istio-proxies")],
        &[("device", Regex, "device-[0-9]"), ("node", Regex, "ip-10-0-1.*")],
        &[("namespace", Equal, "nowhere")],
        &[("instance", Regex, ".*"), ("node", Regex, ".+"), ("nope", Equal, "")],
    ];
    let set = |set: &&[(&str, MatchOp, &str)]| set.iter().map(|(n, o, v)| Matcher::new(*n, *o, *v)).collect();
    let mut selectors: Vec<Selector> = sets.iter().map(set).map(Selector::all_of).collect();
    selectors.push(Selector { any_of: sets[3..6].iter().map(set).collect() });
    selectors
}

/// Series of several tenants with and without metric name, labels and bounds.
pub fn mixed_keys() -> BTreeSet<SeriesKey> {
    let mut keys = BTreeSet::new();
    for number in 0..300usize {
        let mut builder = model::KeyBuilder::new();
        for (at, name) in NAMES.iter().enumerate() {
            builder.push(name, VALUES[(number * (at * 2 + 1) / (at + 1)) % VALUES.len()]);
        }
        keys.extend(builder.build(Tenant::new(number as u32 % 3 / 2, 0)));
    }
    keys
}

/// The keys of a cluster in ascending order.
pub fn cluster(count: usize, seed: u64) -> Vec<SeriesKey> {
    let mut keys = crate::kubernetes::keys(count, seed);
    keys.sort_unstable();
    keys
}
