//! What a client knows about samples: what it sent, or what it was given back.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::Value;

/// Labels of a series, sorted.
pub type Labels = BTreeMap<String, String>;

/// Samples by series and time; values as bits, so that equal means equal. `None` is what JSON cannot say: NaN.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Ledger(pub BTreeMap<Labels, BTreeMap<i64, Option<u64>>>);

impl Ledger {
    pub fn add(&mut self, labels: &Labels, time: i64, value: f64) {
        let bits = (!value.is_nan()).then(|| value.to_bits());
        let series = match self.0.get_mut(labels) {
            Some(series) => series,
            None => self.0.entry(labels.clone()).or_default(),
        };
        series.insert(time, bits);
    }

    pub fn samples(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    /// Reads the lines of an export. A sample that stands there twice fails.
    pub fn from_export(lines: &str) -> Ledger {
        let mut ledger = Ledger::default();
        for line in lines.lines() {
            let line: Value = serde_json::from_str(line).expect("a line of JSON");
            let labels: Labels = serde_json::from_value(line["metric"].clone()).expect("labels are strings");
            let values = line["values"].as_array().expect("a list");
            let times = line["timestamps"].as_array().expect("a list");
            assert_eq!(values.len(), times.len());
            let series = ledger.0.entry(labels).or_default();
            for (time, value) in times.iter().zip(values) {
                let time = time.as_i64().expect("whole milliseconds");
                let before = series.insert(time, value_bits(value));
                assert_eq!(before, None, "a sample stands there twice at {time}");
            }
        }
        ledger
    }

    /// Fails unless every sample of `acknowledged` is here, and nothing that is not in `sent`.
    pub fn check(&self, acknowledged: &Ledger, sent: &Ledger) {
        let shown = AtomicUsize::new(0);
        let complain = |what: &str, labels: &Labels, time: i64| {
            if shown.fetch_add(1, Ordering::Relaxed) < 10 {
                eprintln!("{what}: {labels:?} at {time}");
            }
        };
        each_missing(acknowledged, self, |labels, time| complain("acknowledged and lost", labels, time));
        each_missing(self, sent, |labels, time| complain("never sent", labels, time));
        let wrong = shown.into_inner();
        assert_eq!(wrong, 0, "{wrong} samples are wrong, of {} acknowledged", acknowledged.samples());
    }
}

/// Calls `each` with every sample of `of` that `from` lacks or has with another value.
fn each_missing(of: &Ledger, from: &Ledger, each: impl Fn(&Labels, i64)) {
    for (labels, samples) in &of.0 {
        let have = from.0.get(labels);
        for (time, bits) in samples {
            if have.and_then(|have| have.get(time)) != Some(bits) {
                each(labels, *time);
            }
        }
    }
}

fn value_bits(value: &Value) -> Option<u64> {
    match value {
        Value::Null => None,
        Value::String(text) if text == "Infinity" => Some(f64::INFINITY.to_bits()),
        Value::String(text) if text == "-Infinity" => Some(f64::NEG_INFINITY.to_bits()),
        number => Some(number.as_f64().unwrap_or_else(|| panic!("no number: {number}")).to_bits()),
    }
}
