//! A rule, compiled.

use std::borrow::Cow;

use crate::{condition::Condition, graphite::Graphite, labels::Labels, pattern::Pattern, template::Template};

/// What to do, and with which series.
#[derive(Debug)]
pub struct Rule {
    pub condition: Option<Condition>,
    pub action: Action,
}

/// The values of some labels as one text.
#[derive(Debug)]
pub struct Source {
    pub labels: Vec<String>,
    pub separator: String,
}

/// What to do. Where there is a `keep`, its opposite is to drop.
#[derive(Debug)]
pub enum Action {
    /// Sets a label if the source matches as a whole.
    Replace { source: Source, pattern: Pattern, target: Template, replacement: Template },
    /// Sets a label to the source with every match replaced.
    ReplaceAll { source: Source, pattern: Pattern, target: String, replacement: Template },
    /// Keeps or drops series whose source matches; all of them without a pattern.
    Filter { keep: bool, source: Source, pattern: Option<Pattern> },
    /// Keeps or drops series whose labels have one and the same value.
    FilterEqual { keep: bool, labels: Vec<String> },
    /// Keeps or drops series whose source is the value of a label.
    FilterSame { keep: bool, source: Source, target: String },
    /// Keeps or drops series with a label that contains the values of others.
    FilterContains { keep: bool, labels: Vec<String>, target: String },
    /// Sets a label to the remainder of the source's hash.
    HashMod { source: Source, modulus: u64, target: String },
    /// Copies labels whose names match to other names.
    LabelMap { pattern: Pattern, replacement: Template },
    /// Renames labels by replacing every match in their names.
    LabelMapAll { pattern: Pattern, replacement: Template },
    /// Keeps or drops labels whose names match.
    FilterLabels { keep: bool, pattern: Pattern },
    /// Sets a label to the source in other letters.
    ChangeCase { upper: bool, source: Source, target: String },
    /// Takes a metric name with dots apart.
    Graphite(Graphite),
}

impl Source {
    /// The values, joined.
    pub fn value<'l>(&self, labels: &'l Labels<'_>) -> Cow<'l, str> {
        match &self.labels[..] {
            [] => Cow::Borrowed(""),
            [one] => Cow::Borrowed(labels.get(one)),
            [first, others @ ..] => {
                let mut value = labels.get(first).to_string();
                for name in others {
                    value.push_str(&self.separator);
                    value.push_str(labels.get(name));
                }
                Cow::Owned(value)
            }
        }
    }
}
