//! Makes the keys of series from what the index holds of them.
//!
//! 1. The family gives tenant and metric name, the list gives origin and bound.
//! 2. Origins of neighbours have their first labels in common: only from the first label that differs on is the key made anew.
//! 3. The texts of values that were used lately are kept, by a few bits of their number; other values of a name are walked to from the one that was read last.
//!
//! A key that is made is canonical whatever the file says: names ascend because their places do, values are checked to be non-empty UTF-8, the
//! bound is put into its form here, and length and emptiness are checked last.

use std::collections::HashMap;

use disk::Corrupt;
use model::{MAX_KEY_BYTES, SeriesKey};

use super::dictionary::ValueWalk;
use super::layout::Section;
use super::lists::{Entry, ListCursor};
use super::origins::OriginReader;
use super::{Inner, PartIndex};
use crate::key_numbers::KeyNumbers;
use crate::key_parts::{bound_suffix, put_family, put_text};

/// Texts that a walk keeps; a power of two.
const KEPT_TEXTS: usize = 2_048;
/// A key has about so many labels, each with a text that may come again.
const LABELS_USUAL: usize = 16;

/// Walks the keys of a part in order.
#[derive(Debug)]
pub struct KeyCursor {
    index: PartIndex,
    next: u32,
    maker: KeyMaker,
    key: SeriesKey,
}

impl KeyCursor {
    pub(super) fn new(index: PartIndex, next: u32, keys: usize) -> Self {
        let kept_texts = keys.saturating_mul(LABELS_USUAL).min(KEPT_TEXTS).next_power_of_two();
        Self { index, next, maker: KeyMaker::new(kept_texts), key: SeriesKey::default() }
    }

    /// Puts the key of a series in the place of `out`. The nearer it is behind the one before, the cheaper.
    pub fn key(&mut self, number: u32, out: &mut SeriesKey) -> Result<(), Corrupt> {
        self.maker.make(&self.index.inner, number, out)
    }

    /// The next series and its key; nothing behind the last.
    #[expect(clippy::should_implement_trait, reason = "the key is lent")]
    pub fn next(&mut self) -> Result<Option<(u32, &SeriesKey)>, Corrupt> {
        if self.next >= self.index.series_count() {
            return Ok(None);
        }
        self.maker.make(&self.index.inner, self.next, &mut self.key)?;
        self.next += 1;
        Ok(Some((self.next - 1, &self.key)))
    }

    /// The next series and the numbers of its key's pieces; nothing behind the last. The key itself is not made.
    pub fn next_numbers(&mut self) -> Result<Option<(u32, KeyNumbers)>, Corrupt> {
        if self.next >= self.index.series_count() {
            return Ok(None);
        }
        let (family, entry) = self.maker.enter(&self.index.inner, self.next)?;
        self.next += 1;
        let numbers = KeyNumbers { family, origin: entry.origin, bound: entry.bound.checked_sub(1) };
        Ok(Some((self.next - 1, numbers)))
    }

    /// Puts the key of the series that was given last in the place of `out`.
    pub fn last_key(&mut self, out: &mut SeriesKey) -> Result<(), Corrupt> {
        self.maker.make_entered(&self.index.inner, out)
    }

    /// Goes to another series; forward to a near one is the cheapest.
    pub fn seek(&mut self, number: u32) {
        self.next = number;
    }
}

/// Makes keys, remembering the last one.
#[derive(Debug)]
pub(super) struct KeyMaker {
    family: Option<OpenFamily>,
    origins: OriginReader,
    /// The origin whose labels stand in `key`, with where each begins.
    origin: Option<u32>,
    names: Vec<u32>,
    values: Vec<u32>,
    label_starts: Vec<usize>,
    origin_end: usize,
    key: Vec<u8>,
    value: Vec<u8>,
    texts: Vec<(u32, Vec<u8>)>,
    /// By name, where its values were read last.
    walks: Vec<ValueWalk>,
    bounds: HashMap<u32, Vec<u8>>,
}

/// The family of the last key.
#[derive(Debug)]
struct OpenFamily {
    /// Its place among the families.
    at: u32,
    /// What the list says of the series that was entered last.
    entry: Entry,
    series: std::ops::Range<u32>,
    list: u32,
    cursor: ListCursor,
    next: u32,
}

impl KeyMaker {
    pub(super) fn new(kept_texts: usize) -> Self {
        Self {
            family: None,
            origins: OriginReader::default(),
            origin: None,
            names: Vec::new(),
            values: Vec::new(),
            label_starts: Vec::new(),
            origin_end: 0,
            key: Vec::new(),
            value: Vec::new(),
            texts: vec![(u32::MAX, Vec::new()); kept_texts],
            walks: Vec::new(),
            bounds: HashMap::new(),
        }
    }

    /// Puts the key of a series in the place of `out`. After an error this maker starts afresh.
    pub(super) fn make(&mut self, index: &Inner, number: u32, out: &mut SeriesKey) -> Result<(), Corrupt> {
        self.enter(index, number)?;
        self.make_entered(index, out)
    }

    /// Finds the pieces of a key: the place of its family, and what the family's list says. After an error this maker starts afresh.
    fn enter(&mut self, index: &Inner, number: u32) -> Result<(u32, Entry), Corrupt> {
        let entered = self.try_enter(index, number);
        self.start_afresh_after(&entered);
        entered
    }

    /// Puts the key of the series that was entered last in the place of `out`. After an error this maker starts afresh.
    fn make_entered(&mut self, index: &Inner, out: &mut SeriesKey) -> Result<(), Corrupt> {
        let made = self.try_make(index);
        self.start_afresh_after(&made);
        made?;
        let mut bytes = std::mem::take(out).into_bytes();
        bytes.clear();
        bytes.extend_from_slice(&self.key);
        *out = SeriesKey::from_trusted(bytes);
        Ok(())
    }

    fn start_afresh_after<T>(&mut self, done: &Result<T, Corrupt>) {
        if done.is_err() {
            self.family = None;
            self.origin = None;
        }
    }

    fn try_enter(&mut self, index: &Inner, number: u32) -> Result<(u32, Entry), Corrupt> {
        if self.family.as_ref().is_none_or(|family| !family.series.contains(&number)) {
            self.open_family(index, number)?;
        }
        let family = self.family.as_mut().expect("BUG: the family was opened");
        if number != family.next {
            family.cursor = ListCursor::new(&index.file, family.list, number - family.series.start)?;
        }
        family.entry = family.cursor.next(&index.file)?;
        family.next = number + 1;
        Ok((family.at, family.entry))
    }

    fn try_make(&mut self, index: &Inner) -> Result<(), Corrupt> {
        let entry = self.family.as_ref().expect("BUG: a key is made of a series that was not entered").entry;
        if self.origin != Some(entry.origin) {
            self.put_origin(index, entry.origin)?;
        }
        self.key.truncate(self.origin_end);
        if entry.bound > 0 {
            self.put_bound(index, entry.bound - 1)?;
        }
        let bad = |what| Err(index.file.corrupt(Section::Origins, 0, what));
        match self.key.len() {
            bytes if bytes > MAX_KEY_BYTES => bad("a series key is too long"),
            bytes if bytes == self.label_starts[0] && self.key[8..] == [0] => bad("a series has no labels"),
            _ => Ok(()),
        }
    }

    fn open_family(&mut self, index: &Inner, number: u32) -> Result<(), Corrupt> {
        let (at, run) = index.run_of(number)?;
        let series = index.series_of(at, &run)?;
        let tenant = index.tenants()?.get(run.tenant as usize);
        let tenant =
            tenant.ok_or_else(|| index.file.corrupt(Section::Runs, 0, "a family has an unknown tenant"))?.tenant;
        self.value.clear();
        if run.metric > 0 {
            index.metric_name()?.value(&index.file, run.metric - 1, &mut self.value)?;
        }
        self.key.clear();
        put_family(&mut self.key, tenant, &self.value);
        self.origin = None;
        self.label_starts.clear();
        self.label_starts.push(self.key.len());
        self.names.clear();
        self.values.clear();
        let cursor = ListCursor::new(&index.file, run.list, number - series.start)?;
        let entry = Entry { origin: u32::MAX, bound: 0 };
        self.family = Some(OpenFamily { at, entry, series, list: run.list, cursor, next: number });
        Ok(())
    }

    fn put_origin(&mut self, index: &Inner, origin: u32) -> Result<(), Corrupt> {
        self.origin = None;
        self.origins.load(&index.file, origin)?;
        let (names, values) = (self.origins.names(), self.origins.values());
        let old = self.names.iter().zip(&self.values);
        let same = names.iter().zip(values).zip(old).take_while(|(new, old)| new == old).count();
        self.key.truncate(self.label_starts[same]);
        self.label_starts.truncate(same + 1);
        let all_names = index.dictionary.names(&index.file)?;
        for (place, value) in names.iter().zip(values).skip(same) {
            let name = &all_names[*place as usize];
            if name.text == model::METRIC_NAME || name.text == model::BUCKET_BOUND {
                return Err(index.file.corrupt(Section::Shapes, 0, "an origin has a metric name or bound"));
            }
            self.key.extend_from_slice(&name.key_text);
            let term = name.first_term.wrapping_add(*value);
            let kept = term as usize & self.texts.len().wrapping_sub(1);
            match self.texts.get_mut(kept) {
                Some((have, text)) if *have == term && *value < name.values => self.key.extend_from_slice(text),
                slot => {
                    if self.walks.len() <= *place as usize {
                        self.walks.resize_with(*place as usize + 1, ValueWalk::default);
                    }
                    let text = self.walks[*place as usize].text(name, &index.file, *value)?;
                    let start = self.key.len();
                    put_text(&mut self.key, text);
                    if let Some((have, text)) = slot {
                        *have = term;
                        text.clear();
                        text.extend_from_slice(&self.key[start..]);
                    }
                }
            }
            self.label_starts.push(self.key.len());
            if self.key.len() > MAX_KEY_BYTES {
                return Err(index.file.corrupt(Section::Origins, 0, "a series key is too long"));
            }
        }
        self.names.clear();
        self.names.extend_from_slice(names);
        self.values.clear();
        self.values.extend_from_slice(values);
        self.origin_end = self.key.len();
        self.origin = Some(origin);
        Ok(())
    }

    fn put_bound(&mut self, index: &Inner, bound: u32) -> Result<(), Corrupt> {
        if let Some(suffix) = self.bounds.get(&bound) {
            self.key.extend_from_slice(suffix);
            return Ok(());
        }
        index.bound_name()?.value(&index.file, bound, &mut self.value)?;
        let text = std::str::from_utf8(&self.value).expect("BUG: values are checked to be UTF-8");
        if text.len() >= MAX_KEY_BYTES / 4 {
            return Err(index.file.corrupt(Section::Values, 0, "a bound is too long"));
        }
        let suffix = bound_suffix(text);
        self.key.extend_from_slice(&suffix);
        if self.bounds.len() < KEPT_TEXTS {
            self.bounds.insert(bound, suffix);
        }
        Ok(())
    }
}
