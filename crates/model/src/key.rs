//! The canonical key of a series, whose bytes compare in the one order of series.
//!
//! 1. Tenant: account and project, 4 bytes each, big endian.
//! 2. The metric's name, as text (below); empty if the series has none.
//! 3. Every other label but `le`, by ascending name: name as text, value as text.
//! 4. If the series has `le`: a zero byte (no label name is empty), 8 bytes that order like the bound as a number (all ones if it is no number),
//!    the bound as text.
//!
//! A text is its bytes with `00` written as `01 01` and `01` as `01 02`, closed by `00`, so that plain byte comparison of whole keys orders by
//! tenant, then metric name, then labels, and puts the buckets of one histogram side by side in numeric order.

use std::{borrow::Cow, fmt};

use crate::{BUCKET_BOUND, METRIC_NAME, tenant::Tenant};

/// No key is longer than this; limits on labels keep real ones far below.
pub const MAX_KEY_BYTES: usize = 1 << 20;

const TENANT_BYTES: usize = 8;
const BOUND_BYTES: usize = 8;
/// Orders behind every number.
const NO_NUMBER: u64 = u64::MAX;

/// The canonical key of a series. `Ord` is the one order of series.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SeriesKey(Vec<u8>);

/// Bytes that are no canonical key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MalformedKey {
    /// What is wrong.
    pub what: &'static str,
    /// Where in the bytes.
    pub offset: usize,
}

impl fmt::Display for MalformedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read series key: {} at byte {}", self.what, self.offset)
    }
}

impl std::error::Error for MalformedKey {}

/// Labels that cannot name a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelError {
    /// A label without a name.
    EmptyName,
    /// A label that stands there twice.
    Duplicate(String),
    /// No label with a value is left.
    NoLabels,
    /// The key would be longer than [`MAX_KEY_BYTES`].
    TooLong(usize),
}

impl fmt::Display for LabelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyName => write!(f, "a label has an empty name"),
            Self::Duplicate(name) => write!(f, "label {name:?} stands there twice"),
            Self::NoLabels => write!(f, "a series without labels"),
            Self::TooLong(bytes) => write!(f, "labels of {bytes} bytes, at most {MAX_KEY_BYTES} are taken"),
        }
    }
}

impl std::error::Error for LabelError {}

impl SeriesKey {
    /// Takes over bytes that came from a file or the network, after checking that they are a canonical key.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, MalformedKey> {
        check(&bytes)?;
        Ok(Self(bytes))
    }

    /// Takes over bytes that a [`SeriesKey`] gave out before and that nothing can have changed since (checksummed, or held in memory).
    pub fn from_trusted(bytes: Vec<u8>) -> Self {
        debug_assert!(check(&bytes).is_ok(), "BUG: trusted bytes are no series key");
        Self(bytes)
    }

    /// The canonical bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Gives the bytes away.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Whose series it is.
    pub fn tenant(&self) -> Tenant {
        tenant_of(&self.0)
    }

    /// The labels: metric name first, `le` last, the others by name in between.
    pub fn labels(&self) -> LabelPairs<'_> {
        LabelPairs::of(&self.0)
    }

    /// The same as bytes, for who writes them on without reading them; `None` if a text may stand there in escapes.
    pub fn label_bytes(&self) -> Option<LabelBytes<'_>> {
        let rest = self.0.get(TENANT_BYTES..).unwrap_or(&[]);
        memchr::memchr(1, rest).is_none().then_some(LabelBytes { rest, named: false })
    }

    /// The value of a label; `None` if the series lacks it.
    pub fn label(&self, name: &str) -> Option<Cow<'_, str>> {
        self.labels().find(|(have, _)| have == name).map(|(_, value)| value)
    }

    /// The bytes up to where `le` stands: equal for all buckets of one histogram, and for no two other series. `None` without a numeric `le`.
    pub fn bucket_family(&self) -> Option<&[u8]> {
        // No text is empty but that of a missing metric name, so two zero bytes in a row are the end of a text and the mark of `le`.
        let start = TENANT_BYTES + memchr::memmem::find(self.0.get(TENANT_BYTES..)?, &[0, 0])? + 1;
        let bound = self.0.get(start + 1..start + 1 + BOUND_BYTES)?;
        (bound != NO_NUMBER.to_be_bytes()).then(|| &self.0[..start])
    }
}

impl fmt::Debug for SeriesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.tenant())?;
        f.debug_map().entries(self.labels()).finish()
    }
}

fn tenant_of(bytes: &[u8]) -> Tenant {
    let number = |at: usize| bytes.get(at..at + 4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    Tenant::new(number(0), number(4))
}

/// Walks the labels of a canonical key; stops at the first byte that makes no sense.
#[derive(Debug, Clone)]
pub struct LabelPairs<'a> {
    rest: &'a [u8],
    named: bool,
}

impl<'a> LabelPairs<'a> {
    /// The labels of canonical key bytes.
    pub fn of(key: &'a [u8]) -> Self {
        Self { rest: key.get(TENANT_BYTES..).unwrap_or(&[]), named: false }
    }

    fn text(&mut self) -> Option<Cow<'a, str>> {
        let (text, rest) = split_text(self.rest)?;
        self.rest = rest;
        unescape(text)
    }
}

impl<'a> Iterator for LabelPairs<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        if !self.named {
            self.named = true;
            let metric = self.text()?;
            if !metric.is_empty() {
                return Some((Cow::Borrowed(METRIC_NAME), metric));
            }
        }
        if *self.rest.first()? == 0 {
            self.rest = self.rest.get(1 + BOUND_BYTES..)?;
            return Some((Cow::Borrowed(BUCKET_BOUND), self.text()?));
        }
        Some((self.text()?, self.text()?))
    }
}

fn unescape(text: &[u8]) -> Option<Cow<'_, str>> {
    if memchr::memchr(1, text).is_none() {
        return std::str::from_utf8(text).ok().map(Cow::Borrowed);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            1 => bytes.next()?.checked_sub(1)?,
            other => *other,
        });
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    if text.as_bytes().iter().any(|byte| *byte <= 1) {
        for byte in text.bytes() {
            match byte {
                0 | 1 => out.extend_from_slice(&[1, byte + 1]),
                other => out.push(other),
            }
        }
    } else {
        out.extend_from_slice(text.as_bytes());
    }
    out.push(0);
}

/// The bits of a bound, changed so that unsigned order is numeric order.
fn bound_order(text: &str) -> u64 {
    match text.parse::<f64>() {
        Ok(bound) if !bound.is_nan() => {
            let bits = bound.to_bits();
            if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
        }
        _ => NO_NUMBER,
    }
}

/// Reads many keys one after another. Neighbours often have the same labels under different metric names; those are checked once.
#[derive(Debug, Default)]
pub struct KeyReader {
    /// What stood behind the metric name in the last good key.
    labels: Vec<u8>,
}

impl KeyReader {
    /// Like [`SeriesKey::from_bytes`].
    pub fn read(&mut self, bytes: &[u8]) -> Result<SeriesKey, MalformedKey> {
        let labels = check_metric(bytes)?;
        if labels.is_empty() || labels != self.labels {
            check_labels(bytes, labels)?;
            self.labels.clear();
            self.labels.extend_from_slice(labels);
        }
        Ok(SeriesKey(bytes.to_vec()))
    }
}

fn check(bytes: &[u8]) -> Result<(), MalformedKey> {
    check_labels(bytes, check_metric(bytes)?)
}

fn wrong<T>(what: &'static str, key: &[u8], rest: &[u8]) -> Result<T, MalformedKey> {
    Err(MalformedKey { what, offset: key.len() - rest.len() })
}

/// Checks all up to the end of the metric name; gives what stands behind it.
fn check_metric(key: &[u8]) -> Result<&[u8], MalformedKey> {
    if key.len() < TENANT_BYTES + 1 || key.len() > MAX_KEY_BYTES {
        return wrong("wrong length", key, key);
    }
    let named = &key[TENANT_BYTES..];
    match split_text(named) {
        Some((metric, labels)) if is_utf8(metric) && is_escaped(metric) => Ok(labels),
        _ => wrong("broken metric name", key, named),
    }
}

/// Checks all behind the metric name.
fn check_labels(key: &[u8], labels: &[u8]) -> Result<(), MalformedKey> {
    if labels.is_empty() && key.len() == TENANT_BYTES + 1 {
        return wrong("no labels", key, labels);
    }
    let mut rest = labels;
    let mut before: &[u8] = &[];
    while rest.first().is_some_and(|first| *first != 0) {
        let at = rest;
        let Some((name, behind)) = split_text(rest) else { return wrong("broken label", key, at) };
        let Some((value, behind)) = split_text(behind) else { return wrong("broken label", key, at) };
        // Texts in a key compare as what they stand for.
        let is_reserved = name == BUCKET_BOUND.as_bytes() || name == METRIC_NAME.as_bytes();
        if value.is_empty() || is_reserved || name <= before {
            return wrong("labels out of order, reserved or without value", key, at);
        }
        before = name;
        rest = behind;
    }
    // What closes and escapes texts is ASCII, so that all of them are UTF-8 if the whole is.
    let texts = &labels[..labels.len() - rest.len()];
    if !is_utf8(texts) || !is_escaped(texts) {
        return wrong("broken label", key, labels);
    }
    if rest.is_empty() { Ok(()) } else { check_bound(key, rest) }
}

fn check_bound(key: &[u8], at: &[u8]) -> Result<(), MalformedKey> {
    let found = at.get(1 + BOUND_BYTES..).and_then(split_text);
    let Some((text, rest)) = found.filter(|(text, _)| is_escaped(text)) else {
        return wrong("broken label", key, at);
    };
    let Some(bound) = unescape(text) else { return wrong("broken label", key, at) };
    if at[1..=BOUND_BYTES] != bound_order(&bound).to_be_bytes() || bound.is_empty() {
        return wrong("wrong bucket bound", key, at);
    }
    if rest.is_empty() { Ok(()) } else { wrong("bytes behind the end", key, rest) }
}

/// A text without its closing zero, and what stands behind.
fn split_text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = find_zero(bytes)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// Texts of labels are short: eight bytes at a time find their end before a search of long texts has begun.
#[inline]
fn find_zero(bytes: &[u8]) -> Option<usize> {
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    const WORDS: usize = 8;
    let (words, _) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().take(WORDS).enumerate() {
        let word = u64::from_le_bytes(*word);
        // The lowest bit that is left belongs to the first zero byte; higher ones may lie.
        let zeros = word.wrapping_sub(LOW) & !word & HIGH;
        if zeros != 0 {
            return Some(at * 8 + zeros.trailing_zeros() as usize / 8);
        }
    }
    let start = words.len().min(WORDS) * 8;
    memchr::memchr(0, &bytes[start..]).map(|at| start + at)
}

fn is_utf8(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

/// Whether each escape in texts, closed by zeros or not, is one that [`put_text`] writes.
fn is_escaped(mut text: &[u8]) -> bool {
    while let Some(at) = memchr::memchr(1, text) {
        if !matches!(text.get(at + 1), Some(1 | 2)) {
            return false;
        }
        text = &text[at + 2..];
    }
    true
}

/// Walks the labels of a canonical key without escapes, as bytes that are UTF-8.
#[derive(Debug, Clone)]
pub struct LabelBytes<'a> {
    rest: &'a [u8],
    named: bool,
}

impl<'a> LabelBytes<'a> {
    /// What is left to walk: texts with a zero behind each, and the number of the bound.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    fn text(&mut self) -> Option<&'a [u8]> {
        let (text, rest) = split_text(self.rest)?;
        self.rest = rest;
        Some(text)
    }
}

impl<'a> Iterator for LabelBytes<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if !self.named {
            self.named = true;
            let metric = self.text()?;
            if !metric.is_empty() {
                return Some((METRIC_NAME.as_bytes(), metric));
            }
        }
        if *self.rest.first()? == 0 {
            self.rest = self.rest.get(1 + BOUND_BYTES..)?;
            return Some((BUCKET_BOUND.as_bytes(), self.text()?));
        }
        Some((self.text()?, self.text()?))
    }
}

/// Collects labels in any order and makes the canonical key of them. Reused between series, it allocates nothing.
#[derive(Debug, Default)]
pub struct KeyBuilder {
    text: String,
    /// (start of name, start of value, end of value) in `text`
    spans: Vec<(u32, u32, u32)>,
}

impl KeyBuilder {
    /// A builder without labels.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all labels.
    pub fn clear(&mut self) {
        self.text.clear();
        self.spans.clear();
    }

    /// Adds a label. One with an empty value counts as absent.
    pub fn push(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        let start = self.text.len() as u32;
        self.text.push_str(name);
        let middle = self.text.len() as u32;
        self.text.push_str(value);
        self.spans.push((start, middle, self.text.len() as u32));
    }

    /// How many labels it holds.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The labels as they were pushed.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.spans.iter().map(|span| pair(&self.text, *span))
    }

    /// Makes the canonical key.
    pub fn build(&mut self, tenant: Tenant) -> Result<SeriesKey, LabelError> {
        let mut key = SeriesKey::default();
        self.build_into(tenant, &mut key)?;
        Ok(key)
    }

    /// Makes the canonical key in the place of `key`, whose memory is reused.
    pub fn build_into(&mut self, tenant: Tenant, key: &mut SeriesKey) -> Result<(), LabelError> {
        let text = &self.text;
        self.spans.sort_by(|a, b| pair(text, *a).0.cmp(pair(text, *b).0));
        let pairs = || self.spans.iter().map(|span| pair(text, *span));
        for (one, next) in pairs().zip(pairs().skip(1)) {
            if one.0 == next.0 {
                return Err(LabelError::Duplicate(one.0.to_string()));
            }
        }
        let out = &mut key.0;
        out.clear();
        out.extend_from_slice(&tenant.account.to_be_bytes());
        out.extend_from_slice(&tenant.project.to_be_bytes());
        put_text(out, pairs().find(|(name, _)| *name == METRIC_NAME).map_or("", |(_, value)| value));
        let mut bound = None;
        for (name, value) in pairs() {
            match name {
                "" => return Err(LabelError::EmptyName),
                METRIC_NAME => {}
                BUCKET_BOUND => bound = Some(value),
                _ => {
                    put_text(out, name);
                    put_text(out, value);
                }
            }
        }
        if let Some(bound) = bound {
            out.push(0);
            out.extend_from_slice(&bound_order(bound).to_be_bytes());
            put_text(out, bound);
        }
        match out.len() {
            _ if self.spans.is_empty() => Err(LabelError::NoLabels),
            bytes if bytes > MAX_KEY_BYTES => Err(LabelError::TooLong(bytes)),
            _ => Ok(()),
        }
    }
}

fn pair(text: &str, (start, middle, end): (u32, u32, u32)) -> (&str, &str) {
    (&text[start as usize..middle as usize], &text[middle as usize..end as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(labels: &[(&str, &str)]) -> SeriesKey {
        let mut builder = KeyBuilder::new();
        for (name, value) in labels {
            builder.push(name, value);
        }
        builder.build(Tenant::new(1, 2)).expect("labels name a series")
    }

    #[test]
    fn labels_come_back_in_canonical_order() {
        let key = key(&[("pod", "a\u{0}b\u{1}"), ("le", "+Inf"), ("empty", ""), ("__name__", "m"), ("job", "j")]);
        let labels: Vec<_> = key.labels().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
        let want = [("__name__", "m"), ("job", "j"), ("pod", "a\u{0}b\u{1}"), ("le", "+Inf")];
        assert_eq!(labels, want.map(|(n, v)| (n.to_string(), v.to_string())));
        assert_eq!(key.tenant(), Tenant::new(1, 2));
        assert_eq!(SeriesKey::from_bytes(key.clone().into_bytes()), Ok(key));
    }

    #[test]
    fn the_order_is_metric_then_labels_then_numeric_bound() {
        let sorted = [
            key(&[("job", "z")]),
            key(&[("__name__", "a"), ("job", "z")]),
            key(&[("__name__", "a\u{0}"), ("job", "a")]),
            key(&[("__name__", "ab")]),
            key(&[("__name__", "b"), ("job", "1"), ("le", "-1")]),
            key(&[("__name__", "b"), ("job", "1"), ("le", "0.5")]),
            key(&[("__name__", "b"), ("job", "1"), ("le", "2")]),
            key(&[("__name__", "b"), ("job", "1"), ("le", "10")]),
            key(&[("__name__", "b"), ("job", "1"), ("le", "+Inf")]),
            key(&[("__name__", "b"), ("job", "1"), ("le", "wide")]),
            key(&[("__name__", "b"), ("job", "1"), ("pod", "x")]),
        ];
        assert!(sorted.is_sorted(), "{sorted:?}");
        assert_eq!(sorted[4].bucket_family(), sorted[8].bucket_family());
        assert!(sorted[4].bucket_family().is_some());
        assert_eq!(sorted[9].bucket_family(), None);
        assert_eq!(sorted[10].bucket_family(), None);
        assert_eq!(sorted[3].bucket_family(), None);
    }

    #[test]
    fn labels_that_name_no_series_are_refused() {
        let mut builder = KeyBuilder::new();
        assert_eq!(builder.build(Tenant::DEFAULT), Err(LabelError::NoLabels));
        builder.push("a", "1");
        builder.push("a", "2");
        assert_eq!(builder.build(Tenant::DEFAULT), Err(LabelError::Duplicate("a".into())));
    }

    #[test]
    fn a_changed_byte_is_no_other_key_that_reads_differently() {
        let good = key(&[("__name__", "m"), ("job", "j"), ("le", "5"), ("pod", "p")]).into_bytes();
        let reads_as_itself = |bytes: Vec<u8>| {
            if let Ok(read) = SeriesKey::from_bytes(bytes.clone()) {
                let mut builder = KeyBuilder::new();
                read.labels().for_each(|(name, value)| builder.push(&name, &value));
                assert_eq!(builder.build(read.tenant()).map(SeriesKey::into_bytes), Ok(bytes));
            }
        };
        for at in 0..good.len() {
            reads_as_itself(good[..at].to_vec());
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                reads_as_itself(bad);
            }
        }
    }

    /// Any two bytes replaced by those that have a meaning in keys: what is taken is canonical, and readers that remember decide the same.
    #[test]
    fn what_is_taken_is_canonical() {
        let keys: [&[(&str, &str)]; 4] = [
            &[("__name__", "m\u{1}"), ("a\0b", "j"), ("le", "5"), ("p", "é")],
            &[("a", "1"), ("b", "2")],
            &[("__name__", "m"), ("a", "1"), ("b", "2")],
            &[("le", "x")],
        ];
        let meaningful = [0, 1, 2, 3, b'a', b'b', 0xc3, 0xff];
        let mut reader = KeyReader::default();
        let mut taken = 0;
        for good in keys.map(|labels| key(labels).into_bytes()) {
            for (one, other) in (8..good.len()).flat_map(|one| (8..good.len()).map(move |other| (one, other))) {
                for (x, y) in meaningful.iter().flat_map(|x| meaningful.iter().map(move |y| (*x, *y))) {
                    let mut bytes = good.clone();
                    (bytes[one], bytes[other]) = (x, y);
                    let read = SeriesKey::from_bytes(bytes.clone());
                    assert_eq!(reader.read(&good).map(SeriesKey::into_bytes), Ok(good.clone()));
                    assert_eq!(reader.read(&bytes), read);
                    let Ok(read) = read else { continue };
                    taken += 1;
                    let mut builder = KeyBuilder::new();
                    read.labels().for_each(|(name, value)| builder.push(&name, &value));
                    assert_eq!(builder.build(read.tenant()).map(SeriesKey::into_bytes), Ok(bytes));
                }
            }
        }
        assert!(taken > 1000, "only {taken} of the changed keys are keys");
    }
}
