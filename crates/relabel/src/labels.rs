//! The labels of a series while rules work on them.

use std::borrow::Cow;

use model::{KeyBuilder, METRIC_NAME};

/// No rule makes a longer value.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
/// No rule makes more labels.
const LABELS_MAX: usize = 10_000;
/// Labels whose names begin so carry notes between rules and are not stored.
const NOTE_PREFIX: &str = "__";

/// Names with values, each name once, none without a value; in the order in which they came.
#[derive(Debug)]
pub struct Labels<'a> {
    list: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    overflowed: bool,
}

impl<'a> Labels<'a> {
    /// The labels in a builder.
    pub fn of(builder: &'a KeyBuilder) -> Self {
        let list = builder.iter().map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value))).collect();
        Self { list, overflowed: false }
    }

    /// The value of a label; empty without it.
    pub fn get(&self, name: &str) -> &str {
        self.list.iter().find(|(have, _)| have == name).map_or("", |(_, value)| value)
    }

    /// Gives a label a value; an empty one takes the label away.
    pub fn set(&mut self, name: &str, value: String) {
        if value.len() > VALUE_BYTES_MAX || name.len() > VALUE_BYTES_MAX {
            self.overflowed = true;
            return;
        }
        let at = self.list.iter().position(|(have, _)| have == name);
        match at {
            Some(at) if value.is_empty() => drop(self.list.remove(at)),
            Some(at) => self.list[at].1 = Cow::Owned(value),
            None if value.is_empty() || name.is_empty() => {}
            None if self.list.len() == LABELS_MAX => self.overflowed = true,
            None => self.list.push((Cow::Owned(name.to_string()), Cow::Owned(value))),
        }
    }

    /// Keeps the labels whose names are wanted.
    pub fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        self.list.retain(|(name, _)| wanted(name));
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether a rule made more or longer labels than any limit lets through.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Says that a rule would have made a value that is too long.
    pub fn overflow(&mut self) {
        self.overflowed = true;
    }

    /// Adds what is to be stored to a builder.
    pub fn write(&self, builder: &mut KeyBuilder) {
        let stored = self.iter().filter(|(name, _)| *name == METRIC_NAME || !name.starts_with(NOTE_PREFIX));
        stored.for_each(|(name, value)| builder.push(name, value));
    }
}
