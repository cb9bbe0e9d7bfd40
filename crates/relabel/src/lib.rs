//! Relabeling: rules that change the labels of a series before it is stored, or drop it.
//!
//! 1. [`Relabeler::parse`] reads a YAML list of rules ([`yaml`], [`config`]) and checks and compiles each of them once ([`compile`]); an error names
//!    the file, the rule, its line and the field.
//! 2. [`Relabeler::apply`] takes the labels of a series through the rules one by one ([`apply`]): a rule whose `if` does not hold changes nothing,
//!    unless its action is to keep, which then drops.
//! 3. At the end labels without a value are gone, and so are those whose names begin with `__`, which only carry notes from rule to rule;
//!    `__name__` stays.
//!
//! The actions are those of Prometheus and VictoriaMetrics; where both have one and differ (the hash of `hashmod`), it is VictoriaMetrics'.
//!
//! Architecture invariant: pure; knows nothing of files, protocols or the store, and reads selectors only through the function it is given.

mod apply;
mod compile;
mod condition;
mod config;
mod error;
pub mod fuzz;
mod graphite;
mod labels;
mod pattern;
mod rule;
mod template;
mod yaml;

use model::{KeyBuilder, Selector};

pub use error::ConfigError;

use crate::{labels::Labels, rule::Rule};

/// A file with more rules than this is refused.
pub const RULES_MAX: usize = 10_000;
/// A file longer than this is refused.
pub const CONFIG_BYTES_MAX: usize = 16 << 20;

/// Reads the selectors of `if`.
pub type ParseSelector<'a> = &'a dyn Fn(&str) -> Result<Selector, String>;

/// Rules, ready to be applied.
#[derive(Debug)]
pub struct Relabeler {
    rules: Vec<Rule>,
}

/// What became of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It stays, with the labels as they are now.
    Keep,
    /// A rule dropped it, or left it without labels.
    Drop,
    /// The rules blew up its labels beyond every limit.
    TooLong,
}

impl Relabeler {
    /// Reads the text of a file called `file`.
    pub fn parse(file: &str, text: &str, parse_selector: ParseSelector<'_>) -> Result<Self, ConfigError> {
        let entries = config::read(file, text)?;
        let rules = entries.iter().map(|entry| compile::rule(file, entry, parse_selector));
        Ok(Self { rules: rules.collect::<Result<_, _>>()? })
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Takes the labels of a series through all rules.
    pub fn apply(&self, labels: &mut KeyBuilder) -> Outcome {
        self.walk(labels, |_| {})
    }

    /// As [`Relabeler::apply`], and gives the labels that each rule left, those included that are only notes for later rules. A rule that drops the
    /// series leaves none.
    pub fn explain(&self, labels: &mut KeyBuilder) -> (Outcome, Vec<Vec<(String, String)>>) {
        let mut steps = Vec::new();
        let outcome = self.walk(labels, |list| {
            steps.push(list.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect());
        });
        if outcome == Outcome::Drop && steps.len() < self.rules.len() {
            steps.push(Vec::new());
        }
        (outcome, steps)
    }

    fn walk(&self, labels: &mut KeyBuilder, mut each: impl FnMut(&Labels<'_>)) -> Outcome {
        if self.rules.is_empty() {
            return Outcome::Keep;
        }
        let before = std::mem::take(labels);
        let mut list = Labels::of(&before);
        for rule in &self.rules {
            if !rule.apply(&mut list) {
                return Outcome::Drop;
            }
            if list.overflowed() {
                return Outcome::TooLong;
            }
            each(&list);
        }
        list.write(labels);
        if labels.is_empty() { Outcome::Drop } else { Outcome::Keep }
    }
}
