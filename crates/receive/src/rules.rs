//! What every door does with labels once they are read: names that Prometheus allows, relabeling, limits.
//!
//! 1. A request takes the [`Rules`] that hold when it comes in, and hands its rows to the store with [`Ruled`] around the encoding of its protocol.
//! 2. The store asks for the meaning of label bytes once per generation of the rules and remembers the answer, "drop" and "refuse" too.
//! 3. A reload makes rules of the next generation, so that every encoding is resolved anew when it is next seen.

use std::sync::Arc;

use decode::LabelLimits;
use model::{KeyBuilder, METRIC_NAME};
use parking_lot::RwLock;
use relabel::{Outcome, Relabeler};
use storage_api::{Encoding, MetricMetadata, Refusal, Resolved};

use crate::new_series::{NewSeriesLog, shown};

/// Labels that are read, at least, when relabeling may take some of them away before they are counted.
const LABELS_READ: usize = 1000;
/// Bytes of a label name that are read, at least, when relabeling may shorten it.
const NAME_BYTES_READ: usize = 64 << 10;
/// Bytes of a label value that are read, at least, when relabeling may shorten it.
const VALUE_BYTES_READ: usize = 256 << 10;

/// What is done with labels.
#[derive(Debug, Clone, Default)]
pub struct RuleOptions {
    /// The longest labels that are stored.
    pub limits: LabelLimits,
    /// Whether characters that Prometheus once did not allow in names become underscores.
    pub prometheus_names: bool,
    /// The rules of relabeling, if there are any.
    pub relabeler: Option<Arc<Relabeler>>,
    /// Whether series that relabeling changes are logged before and after it, and not stored.
    pub relabel_debug: bool,
    /// Whether what senders tell about metrics is left aside.
    pub without_metadata: bool,
}

/// One generation of rules.
#[derive(Debug)]
pub struct Rules {
    generation: u32,
    options: RuleOptions,
    new_series: Arc<NewSeriesLog>,
}

/// An encoding under rules.
pub struct Ruled<'a> {
    encoding: &'a dyn Encoding,
    rules: &'a Rules,
}

/// Rules that can be replaced while requests go on with those that they began with.
#[derive(Debug)]
pub struct CurrentRules(RwLock<Arc<Rules>>);

impl CurrentRules {
    /// The first generation.
    pub fn new(options: RuleOptions, new_series: Arc<NewSeriesLog>) -> Self {
        Self(RwLock::new(Arc::new(Rules { generation: 1, options, new_series })))
    }

    /// The rules that hold now.
    pub fn get(&self) -> Arc<Rules> {
        Arc::clone(&self.0.read())
    }

    /// Replaces the rules of relabeling.
    pub fn relabel(&self, relabeler: Option<Arc<Relabeler>>) {
        let mut current = self.0.write();
        let options = RuleOptions { relabeler, ..current.options.clone() };
        let new_series = Arc::clone(&current.new_series);
        *current = Arc::new(Rules { generation: current.generation.wrapping_add(1), options, new_series });
    }
}

impl RuleOptions {
    /// The limits under which a door reads labels: those that are configured, unless relabeling comes between reading and storing.
    pub fn reading_limits(&self) -> LabelLimits {
        if self.relabeler.is_none() {
            return self.limits;
        }
        LabelLimits {
            labels_max: self.limits.labels_max.max(LABELS_READ),
            name_bytes_max: self.limits.name_bytes_max.max(NAME_BYTES_READ),
            value_bytes_max: self.limits.value_bytes_max.max(VALUE_BYTES_READ),
        }
    }
}

impl Rules {
    /// Puts the rules around the encoding of a protocol.
    pub fn around<'a>(&'a self, encoding: &'a dyn Encoding) -> Ruled<'a> {
        Ruled { encoding, rules: self }
    }

    /// What is kept of what a sender tells about metrics.
    pub fn metadata<'m>(&self, told: &'m [MetricMetadata<'m>]) -> &'m [MetricMetadata<'m>] {
        if self.options.without_metadata { &[] } else { told }
    }

    /// Applies the rules to labels that were read.
    fn apply(&self, labels: &mut KeyBuilder) -> Resolved {
        let RuleOptions { limits, prometheus_names, relabeler, relabel_debug, .. } = &self.options;
        if *prometheus_names && !rename(labels) {
            return Resolved::Refuse(Refusal::InvalidLabels);
        }
        let Some(relabeler) = relabeler else {
            return Resolved::Keep;
        };
        let before = relabel_debug.then(|| shown(labels));
        let outcome = relabeler.apply(labels);
        if let Some(before) = before {
            let after = if outcome == Outcome::Keep { shown(labels) } else { format!("{outcome:?}") };
            log::info!("-relabelDebug: {before} becomes {after}");
            return Resolved::Drop;
        }
        match outcome {
            Outcome::Keep => within(limits, labels),
            Outcome::Drop => Resolved::Drop,
            Outcome::TooLong => Resolved::Refuse(Refusal::LongLabelValue),
        }
    }
}

impl Ruled<'_> {
    /// Labels as their sender wrote them, as far as they can be read.
    pub fn read(&self, bytes: &[u8], labels: &mut KeyBuilder) {
        // What comes of them is of no interest.
        let _ = self.encoding.resolve(bytes, labels);
    }

    /// What label bytes mean, for one who only wants to show it: nobody counts them as seen.
    pub fn resolve_quietly(&self, bytes: &[u8], labels: &mut KeyBuilder) -> Resolved {
        match self.encoding.resolve(bytes, labels) {
            Resolved::Keep => self.rules.apply(labels),
            other => other,
        }
    }
}

impl Encoding for Ruled<'_> {
    fn scope(&self) -> &[u8] {
        self.encoding.scope()
    }

    fn generation(&self) -> u32 {
        self.rules.generation
    }

    fn resolve(&self, bytes: &[u8], labels: &mut KeyBuilder) -> Resolved {
        let resolved = self.resolve_quietly(bytes, labels);
        if resolved == Resolved::Keep {
            self.rules.new_series.see(labels);
        }
        resolved
    }
}

/// Whether labels keep the limits.
fn within(limits: &LabelLimits, labels: &KeyBuilder) -> Resolved {
    if labels.len() > limits.labels_max {
        return Resolved::Refuse(Refusal::TooManyLabels);
    }
    let refused = labels.iter().find_map(|(name, value)| match () {
        () if name.len() > limits.name_bytes_max => Some(Refusal::LongLabelName),
        () if value.len() > limits.value_bytes_max => Some(Refusal::LongLabelValue),
        () => None,
    });
    refused.map_or(Resolved::Keep, Resolved::Refuse)
}

/// Replaces what Prometheus did not allow in names by underscores; false if two names become one.
fn rename(labels: &mut KeyBuilder) -> bool {
    let label_char = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let metric_char = |c: char| c == ':' || label_char(c);
    let fine = |(name, value): (&str, &str)| {
        if name == METRIC_NAME { value.chars().all(metric_char) } else { name.chars().all(label_char) }
    };
    if labels.iter().all(fine) {
        return true;
    }
    let allowed = |text: &str, fits: &dyn Fn(char) -> bool| -> String {
        text.chars().map(|c| if fits(c) { c } else { '_' }).collect()
    };
    let before = std::mem::take(labels);
    for (name, value) in before.iter() {
        if name == METRIC_NAME {
            labels.push(name, &allowed(value, &metric_char));
            continue;
        }
        let name = allowed(name, &label_char);
        if labels.iter().any(|(have, _)| have == name) {
            return false;
        }
        labels.push(&name, value);
    }
    true
}

#[cfg(test)]
mod tests {
    use model::{Clock, Matcher, Selector};

    use super::*;

    #[derive(Debug)]
    struct Never;

    impl Clock for Never {
        fn now_ms(&self) -> i64 {
            0
        }
    }

    fn current(options: RuleOptions) -> CurrentRules {
        CurrentRules::new(options, Arc::new(NewSeriesLog::new(Arc::new(Never), false)))
    }

    /// Labels as `a=b c=d`.
    struct Words;

    impl Encoding for Words {
        fn scope(&self) -> &[u8] {
            b"words"
        }

        fn generation(&self) -> u32 {
            77
        }

        fn resolve(&self, bytes: &[u8], labels: &mut KeyBuilder) -> Resolved {
            for word in std::str::from_utf8(bytes).expect("text").split_whitespace() {
                let (name, value) = word.split_once('=').expect("name=value");
                labels.push(name, value);
            }
            if labels.is_empty() { Resolved::Refuse(Refusal::NoLabels) } else { Resolved::Keep }
        }
    }

    fn relabeler(rules: &str) -> Option<Arc<Relabeler>> {
        let selector = |text: &str| Ok(Selector::all_of(vec![Matcher::equal(METRIC_NAME, text)]));
        Some(Arc::new(Relabeler::parse("rules", rules, &selector).expect("good rules")))
    }

    fn resolve(rules: &Rules, bytes: &str) -> (Resolved, String) {
        let mut labels = KeyBuilder::new();
        let resolved = rules.around(&Words).resolve(bytes.as_bytes(), &mut labels);
        (resolved, labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn names_become_what_prometheus_allows() {
        let rules = current(RuleOptions { prometheus_names: true, ..RuleOptions::default() }).get();
        let want = |text: &str| (Resolved::Keep, text.to_string());
        assert_eq!(resolve(&rules, "__name__=a.b:c-d ü.x=1.5"), want("__name__=a_b:c_d __x=1.5"));
        assert_eq!(resolve(&rules, "__name__=a b=1"), want("__name__=a b=1"));
        assert_eq!(resolve(&rules, "a.b=1 a-b=2").0, Resolved::Refuse(Refusal::InvalidLabels));
    }

    #[test]
    fn limits_hold_for_what_relabeling_leaves() {
        let limits = LabelLimits { labels_max: 2, name_bytes_max: 5, value_bytes_max: 5 };
        let rules = "- {action: labeldrop, regex: 'x.*'}\n- {if: drop, action: drop}\n- {if: long, target_label: l, replacement: 123456}";
        let options = RuleOptions { limits, relabeler: relabeler(rules), ..RuleOptions::default() };
        assert!(options.reading_limits().labels_max > limits.labels_max);
        assert_eq!(RuleOptions { relabeler: None, ..options.clone() }.reading_limits(), limits);
        let rules = current(options).get();
        for (labels, want) in [
            ("a=1 b=2 xxxxxxx=3 x=1234567", Resolved::Keep),
            ("a=1 b=2 c=3", Resolved::Refuse(Refusal::TooManyLabels)),
            ("abcdef=1", Resolved::Refuse(Refusal::LongLabelName)),
            ("__name__=long", Resolved::Refuse(Refusal::LongLabelName)),
            ("a=1 b=123456", Resolved::Refuse(Refusal::LongLabelValue)),
            ("x=1", Resolved::Drop),
            ("__name__=drop", Resolved::Drop),
            ("", Resolved::Refuse(Refusal::NoLabels)),
        ] {
            assert_eq!(resolve(&rules, labels).0, want, "{labels}");
        }
    }

    #[test]
    fn a_reload_raises_the_generation_and_spares_requests_that_go_on() {
        let current = current(RuleOptions::default());
        let before = current.get();
        current.relabel(relabeler("- {target_label: a, replacement: b}"));
        let after = current.get();
        assert_eq!(resolve(&before, "x=1").1, "x=1");
        assert_eq!(resolve(&after, "x=1").1, "x=1 a=b");
        let generation = |rules: &Rules| rules.around(&Words).generation();
        assert_eq!((generation(&before), generation(&after)), (1, 2));
        assert_eq!(after.around(&Words).scope(), b"words");
    }

    #[test]
    fn debugging_stores_nothing() {
        let options = RuleOptions {
            relabeler: relabeler("- {target_label: a, replacement: b}"),
            relabel_debug: true,
            ..RuleOptions::default()
        };
        assert_eq!(resolve(&current(options).get(), "x=1").0, Resolved::Drop);
        let without_rules = RuleOptions { relabel_debug: true, ..RuleOptions::default() };
        assert_eq!(resolve(&current(without_rules).get(), "x=1").0, Resolved::Keep);
    }
}
