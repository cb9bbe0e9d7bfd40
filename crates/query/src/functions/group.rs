//! Which series an aggregate puts together.
//!
//! `by (…)` keeps the labels that are named, `without (…)` all others but the metric name; nothing keeps none. A group is found by the text of the
//! labels that are kept, so that a series of a known group costs no allocation.

use hashbrown::HashMap;
use metricsql::Grouping;
use model::METRIC_NAME;

use crate::labels::{Labels, LabelsWriter};

/// The labels of the group that `labels` belong to.
pub fn group_labels(grouping: Option<&Grouping>, labels: &Labels) -> Labels {
    let mut writer = LabelsWriter::default();
    Names::new(grouping).write(labels.iter(), &mut writer);
    writer.finish()
}

/// The groups met so far, numbered from 0.
#[derive(Debug)]
pub struct Groups {
    names: Names,
    writer: LabelsWriter,
    numbers: HashMap<Box<str>, usize>,
    labels: Vec<Labels>,
}

impl Groups {
    /// No groups yet.
    pub fn new(grouping: Option<&Grouping>) -> Self {
        Self {
            names: Names::new(grouping),
            writer: LabelsWriter::default(),
            numbers: HashMap::new(),
            labels: Vec::new(),
        }
    }

    /// The number of the group of a series whose labels ascend by name; `None` if it would be a new one and there are `limit` already.
    pub fn number<'a>(&mut self, labels: impl Iterator<Item = (&'a str, &'a str)>, limit: usize) -> Option<usize> {
        self.writer.clear();
        self.names.write(labels, &mut self.writer);
        if let Some(number) = self.numbers.get(self.writer.key()) {
            return Some(*number);
        }
        let number = self.labels.len();
        if number >= limit {
            return None;
        }
        self.numbers.insert(self.writer.key().into(), number);
        self.labels.push(self.writer.finish());
        Some(number)
    }

    /// The labels of a group.
    pub fn labels(&self, number: usize) -> &Labels {
        &self.labels[number]
    }

    /// The labels of all groups, by number.
    pub fn into_labels(self) -> Vec<Labels> {
        self.labels
    }
}

/// Names of labels that are kept or left out, ascending.
#[derive(Debug, Clone)]
pub(super) enum Names {
    Only(Vec<String>),
    AllBut(Vec<String>),
}

impl Names {
    pub(super) fn new(grouping: Option<&Grouping>) -> Self {
        match grouping {
            None => Self::Only(Vec::new()),
            Some(Grouping::By(names)) => Self::only(names),
            Some(Grouping::Without(names)) => Self::all_but(names.iter().map(String::as_str).chain([METRIC_NAME])),
        }
    }

    pub(super) fn only<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Self {
        Self::Only(ascending(names))
    }

    pub(super) fn all_but<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Self {
        Self::AllBut(ascending(names))
    }

    /// Writes those of the labels that are kept.
    pub(super) fn write<'a>(&self, labels: impl Iterator<Item = (&'a str, &'a str)>, writer: &mut LabelsWriter) {
        let (Self::Only(names) | Self::AllBut(names)) = self;
        let keeps_named = matches!(self, Self::Only(_));
        if keeps_named && names.is_empty() {
            return;
        }
        let mut names = names.iter().peekable();
        for (name, value) in labels {
            while names.next_if(|first| first.as_str() < name).is_some() {}
            let is_named = names.peek().is_some_and(|first| first.as_str() == name);
            if is_named == keeps_named {
                writer.push(name, value);
            }
        }
    }
}

fn ascending<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().map(|name| name.as_ref().to_string()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[a-d]|__name__", 0..4)
    }

    proptest! {
        #[test]
        fn groups_have_the_labels_that_are_asked_for(
            series in prop::collection::vec(prop::collection::vec(("[a-d]|__name__", "[xy]"), 0..4), 1..8),
            names in names(),
            kind in 0..3,
        ) {
            let grouping = match kind {
                0 => None,
                1 => Some(Grouping::By(names.clone())),
                _ => Some(Grouping::Without(names.clone())),
            };
            let mut groups = Groups::new(grouping.as_ref());
            for pairs in series {
                let labels: Labels = pairs.into_iter().collect();
                let mut want = labels.clone();
                want.retain(|name| match kind {
                    0 => false,
                    1 => names.iter().any(|have| have == name),
                    _ => name != METRIC_NAME && names.iter().all(|have| have != name),
                });
                let number = groups.number(labels.iter(), usize::MAX).expect("there is no limit");
                prop_assert_eq!(groups.labels(number), &want);
                prop_assert_eq!(group_labels(grouping.as_ref(), &labels), want);
                prop_assert_eq!(groups.number(labels.iter(), 0), Some(number));
            }
            let distinct: std::collections::BTreeSet<_> = groups.labels.iter().collect();
            prop_assert_eq!(distinct.len(), groups.labels.len());
        }
    }
}
