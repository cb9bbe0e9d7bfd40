//! The labels of a series while it is worked on.
//!
//! 1. All labels of a series stand in one shared text, by ascending name: length of the name, length of the value, name, value.
//! 2. A length is written in characters below `0x80`, six bits each, the lowest first, `0x40` set on all but the last. So the whole is valid UTF-8, and
//!    slicing it needs no `unsafe`.
//! 3. A clone is one reference counted up; equality and hashing look at one run of bytes; whoever changes labels writes a new text.
//!
//! The order of labels is that of their pairs, not of the bytes of the text.

use std::{
    borrow::Cow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use model::{METRIC_NAME, SeriesKey};

/// Labels by ascending name (`__name__` is one of them), without empty values. Cloning shares the text.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Labels {
    packed: Arc<str>,
    count: u32,
}

impl Labels {
    /// Labels of pairs that ascend by name; pairs with empty values are left out.
    pub fn from_sorted<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut writer = LabelsWriter::default();
        pairs.into_iter().for_each(|(name, value)| writer.push(name, value));
        writer.finish()
    }

    /// The value of a label; empty if it is not there.
    pub fn get(&self, name: &str) -> &str {
        self.iter().find(|(have, _)| *have == name).map_or("", |(_, value)| value)
    }

    /// The metric name; empty if there is none.
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME)
    }

    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) {
        let mut writer = LabelsWriter::default();
        let mut own = Some((name, value));
        for (have, text) in self.iter() {
            if have >= name
                && let Some((name, value)) = own.take()
            {
                writer.push(name, value);
            }
            if have != name {
                writer.push(have, text);
            }
        }
        if let Some((name, value)) = own {
            writer.push(name, value);
        }
        *self = writer.finish();
    }

    /// Removes a label.
    pub fn remove(&mut self, name: &str) {
        if self.iter().any(|(have, _)| have == name) {
            self.retain(|have| have != name);
        }
    }

    /// Keeps the labels of which `keep` approves the name.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        let mut writer = LabelsWriter::default();
        self.iter().filter(|(name, _)| keep(name)).for_each(|(name, value)| writer.push(name, value));
        if writer.count != self.count {
            *self = writer.finish();
        }
    }

    /// Names and values by ascending name.
    pub fn iter(&self) -> LabelsIter<'_> {
        LabelsIter { rest: &self.packed, left: self.count as usize }
    }

    /// How many labels.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Memory that the text takes.
    pub fn bytes(&self) -> usize {
        self.packed.len() + 2 * size_of::<usize>()
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.packed.hash(state);
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Labels {
    /// Takes pairs in any order; of pairs with the same name the last stays.
    fn from_iter<T: IntoIterator<Item = (N, V)>>(pairs: T) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.sort_by(|(a, _), (b, _)| a.as_ref().cmp(b.as_ref()));
        let last_of_name =
            |(at, pair): (usize, &(N, V))| pairs.get(at + 1).is_none_or(|next| next.0.as_ref() != pair.0.as_ref());
        let mut writer = LabelsWriter::default();
        for (at, pair) in pairs.iter().enumerate() {
            if last_of_name((at, pair)) {
                writer.push(pair.0.as_ref(), pair.1.as_ref());
            }
        }
        writer.finish()
    }
}

impl From<&SeriesKey> for Labels {
    fn from(key: &SeriesKey) -> Self {
        let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = key.labels().collect();
        // Only the metric name and `le` stand elsewhere in a key than they stand here, so that this is nearly a single pass.
        pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self::from_sorted(pairs.iter().map(|(name, value)| (&**name, &**value)))
    }
}

/// Writes the text of [`Labels`] from pairs that ascend by name.
#[derive(Debug, Default)]
pub struct LabelsWriter {
    packed: String,
    count: u32,
}

impl LabelsWriter {
    /// Adds a label whose name is behind all that were added before. One with an empty value counts as absent.
    pub fn push(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        put_length(&mut self.packed, name.len());
        put_length(&mut self.packed, value.len());
        self.packed.push_str(name);
        self.packed.push_str(value);
        self.count += 1;
    }

    /// Forgets all labels and keeps the memory.
    pub fn clear(&mut self) {
        self.packed.clear();
        self.count = 0;
    }

    /// What tells these labels from others: equal for equal labels, and for no others.
    pub fn key(&self) -> &str {
        &self.packed
    }

    /// The labels; the writer can go on to others after [`Self::clear`].
    pub fn finish(&self) -> Labels {
        Labels { packed: self.packed.as_str().into(), count: self.count }
    }
}

/// Walks labels by ascending name.
#[derive(Debug, Clone)]
pub struct LabelsIter<'a> {
    rest: &'a str,
    left: usize,
}

impl<'a> Iterator for LabelsIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name_bytes = take_length(&mut self.rest);
        let value_bytes = take_length(&mut self.rest);
        let (name, rest) = self.rest.split_at(name_bytes);
        let (value, rest) = rest.split_at(value_bytes);
        self.rest = rest;
        Some((name, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for LabelsIter<'_> {}

const LENGTH_BITS: u32 = 6;
const MORE: u8 = 1 << LENGTH_BITS;

fn put_length(out: &mut String, mut length: usize) {
    while length >= usize::from(MORE) {
        out.push(char::from(MORE | (length as u8 & (MORE - 1))));
        length >>= LENGTH_BITS;
    }
    out.push(char::from(length as u8));
}

fn take_length(rest: &mut &str) -> usize {
    let (mut length, mut shift) = (0, 0);
    for (at, byte) in rest.bytes().enumerate() {
        length |= usize::from(byte & (MORE - 1)) << shift;
        shift += LENGTH_BITS;
        if byte & MORE == 0 {
            *rest = &rest[at + 1..];
            return length;
        }
    }
    unreachable!("BUG: labels end within a length")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::{KeyBuilder, Tenant};
    use proptest::prelude::*;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().copied().collect()
    }

    #[test]
    fn labels_are_sorted_and_without_empty_values() {
        let labels = labels(&[("job", "j"), ("__name__", "m"), ("none", ""), ("Zone", "z")]);
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("Zone", "z"), ("__name__", "m"), ("job", "j")]);
        assert_eq!((labels.get("job"), labels.get("none"), labels.metric_name()), ("j", "", "m"));
    }

    #[test]
    fn the_order_is_that_of_pairs() {
        let sorted = [
            labels(&[]),
            labels(&[("a", "1")]),
            labels(&[("a", "1"), ("b", "1")]),
            labels(&[("a", "10")]),
            labels(&[("a", "2")]),
            labels(&[("aa", "1")]),
            labels(&[("b", "")]),
        ];
        assert!(sorted[..6].is_sorted());
        assert_eq!(sorted[6], sorted[0]);
    }

    #[test]
    fn a_key_gives_its_labels() {
        let mut builder = KeyBuilder::new();
        let pairs = [("le", "0.5"), ("__name__", "m"), ("Zone", "z"), ("pod", "p\u{0}\u{1}q"), ("ähnlich", "ü")];
        pairs.iter().for_each(|(name, value)| builder.push(name, value));
        let key = builder.build(Tenant::DEFAULT).expect("labels name a series");
        assert_eq!(Labels::from(&key), labels(&pairs));
    }

    proptest! {
        #[test]
        fn changes_are_those_of_a_map(
            start in prop::collection::vec(("[a-c_é]{1,3}", ".{0,3}"), 0..6),
            changes in prop::collection::vec(("[a-c_é]{1,3}", "(.{0,3}|x{60,70}|y{4090,4100})"), 0..8),
        ) {
            let mut map: BTreeMap<_, _> = start.iter().cloned().collect();
            let mut labels: Labels = start.into_iter().collect();
            for (name, value) in changes {
                labels.set(&name, &value);
                map.insert(name, value);
                map.retain(|_, value| !value.is_empty());
                prop_assert_eq!(labels.iter().collect::<Vec<_>>(), map.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect::<Vec<_>>());
                prop_assert_eq!(labels.len(), map.len());
            }
            if let Some(name) = map.keys().next().cloned() {
                labels.remove(&name);
                map.remove(&name);
            }
            prop_assert_eq!(&labels, &map.into_iter().collect::<Labels>());
        }
    }
}
