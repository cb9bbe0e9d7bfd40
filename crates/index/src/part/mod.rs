//! The index of a part.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::{Corrupt, Map};
use model::{SeriesId, SeriesKey, Tenant};
use roaring::RoaringBitmap;

use crate::CompiledSelector;

/// Makes the index of a part.
#[derive(Debug, Default)]
pub struct IndexWriter {
    keys: Vec<SeriesKey>,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexSummary {
    /// Bytes given out.
    pub bytes: u64,
    /// Series in the index.
    pub series: u32,
}

impl IndexWriter {
    /// A writer of no series yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next series: number 0, 1, 2, …, in ascending order of keys.
    pub fn add(&mut self, key: &SeriesKey) {
        self.add_with_id(key, SeriesId::of(key));
    }

    /// As [`IndexWriter::add`] for a key whose id is known.
    pub fn add_with_id(&mut self, key: &SeriesKey, _id: SeriesId) {
        assert!(self.keys.last().is_none_or(|last| last < key), "BUG: keys must ascend");
        self.keys.push(key.clone());
    }

    /// How many series were added.
    pub fn series(&self) -> u32 {
        self.keys.len() as u32
    }

    /// Bytes of memory in use.
    pub fn bytes(&self) -> usize {
        self.keys.iter().map(|key| key.as_bytes().len()).sum()
    }

    /// Gives out the index piece by piece.
    pub fn finish(self, out: &mut dyn FnMut(&[u8]) -> Result<(), disk::Error>) -> Result<IndexSummary, disk::Error> {
        let mut all = Vec::new();
        for key in &self.keys {
            all.extend_from_slice(&(key.as_bytes().len() as u32).to_le_bytes());
            all.extend_from_slice(key.as_bytes());
        }
        all.extend_from_slice(&disk::crc32c(&all).to_le_bytes());
        out(&all)?;
        Ok(IndexSummary { bytes: all.len() as u64, series: self.keys.len() as u32 })
    }
}

/// Reads the index of a part. A clone shares it.
#[derive(Debug, Clone)]
pub struct PartIndex {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    keys: Vec<SeriesKey>,
    ids: Vec<u8>,
    path: PathBuf,
}

/// The ids of a range of series.
#[derive(Debug, Clone, Copy)]
pub struct Ids<'a>(&'a [u8]);

impl<'a> Ids<'a> {
    /// How many.
    pub fn len(&self) -> usize {
        self.0.len() / 16
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The id at this place of the range.
    pub fn get(&self, at: usize) -> Option<SeriesId> {
        let bytes = self.0.get(at * 16..at * 16 + 16)?;
        Some(SeriesId(u128::from_le_bytes(bytes.try_into().ok()?)))
    }

    /// All in order.
    pub fn iter(&self) -> impl Iterator<Item = SeriesId> + 'a {
        self.0.as_chunks::<16>().0.iter().map(|bytes| SeriesId(u128::from_le_bytes(*bytes)))
    }
}

impl PartIndex {
    /// Opens the index that `map` holds; `path` is for messages.
    pub fn open(map: Map, path: &Path) -> Result<Self, Corrupt> {
        let bad = |what| Corrupt::new(path, 0, what);
        let (mut body, crc) = map.split_last_chunk::<4>().ok_or_else(|| bad("index is too short"))?;
        if disk::crc32c(body) != u32::from_le_bytes(*crc) {
            return Err(bad("index checksum differs"));
        }
        let mut keys = Vec::new();
        while let Some((len, rest)) = body.split_first_chunk::<4>() {
            let (key, rest) =
                rest.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or_else(|| bad("key is cut off"))?;
            keys.push(SeriesKey::from_bytes(key.to_vec()).map_err(|_| bad("malformed key"))?);
            body = rest;
        }
        let ids = keys.iter().flat_map(|key| SeriesId::of(key).0.to_le_bytes()).collect();
        Ok(Self { inner: Arc::new(Inner { keys, ids, path: path.to_path_buf() }) })
    }

    /// How many series the part has.
    pub fn series_count(&self) -> u32 {
        self.inner.keys.len() as u32
    }

    /// Puts the key of a series in the place of `out`, whose memory is reused.
    pub fn key(&self, number: u32, out: &mut SeriesKey) -> Result<(), Corrupt> {
        let key = self.inner.keys.get(number as usize);
        *out = key.cloned().ok_or_else(|| Corrupt::new(&self.inner.path, 0, format!("no series {number}")))?;
        Ok(())
    }

    /// Walks the keys from series `from` on.
    pub fn keys(&self, from: u32) -> KeyCursor {
        KeyCursor { index: self.clone(), next: from, key: SeriesKey::default() }
    }

    /// The id of a series.
    pub fn id(&self, number: u32) -> Result<SeriesId, Corrupt> {
        self.ids(number..number + 1)?.get(0).ok_or_else(|| Corrupt::new(&self.inner.path, 0, "no such series"))
    }

    /// The ids of a range of series.
    pub fn ids(&self, range: Range<u32>) -> Result<Ids<'_>, Corrupt> {
        let bytes = self.inner.ids.get(range.start as usize * 16..range.end as usize * 16);
        bytes.map(Ids).ok_or_else(|| Corrupt::new(&self.inner.path, 0, format!("no series {range:?}")))
    }

    /// The tenants and the series of each.
    pub fn tenants(&self) -> Result<Vec<(Tenant, Range<u32>)>, Corrupt> {
        let mut tenants: Vec<(Tenant, Range<u32>)> = Vec::new();
        for (number, key) in (0..).zip(&self.inner.keys) {
            match tenants.last_mut().filter(|(tenant, _)| *tenant == key.tenant()) {
                Some((_, range)) => range.end = number + 1,
                None => tenants.push((key.tenant(), number..number + 1)),
            }
        }
        Ok(tenants)
    }

    /// The series of a tenant that are selected.
    pub fn search(&self, tenant: Tenant, selector: &CompiledSelector) -> Result<RoaringBitmap, Corrupt> {
        let selected = |key: &SeriesKey| key.tenant() == tenant && selector.matches(key);
        Ok((0..).zip(&self.inner.keys).filter(|(_, key)| selected(key)).map(|(number, _)| number).collect())
    }

    /// The label names of a tenant's series, or of those of them that are `within`, sorted.
    pub fn label_names(&self, tenant: Tenant, within: Option<&RoaringBitmap>) -> Result<Vec<String>, Corrupt> {
        let mut names = BTreeSet::new();
        self.cardinality(tenant, within, &mut |name, _, _| drop(names.insert(name.to_string())))?;
        Ok(names.into_iter().collect())
    }

    /// The values of a label, sorted, at most `limit`.
    pub fn label_values(
        &self,
        tenant: Tenant,
        name: &str,
        within: Option<&RoaringBitmap>,
        limit: usize,
    ) -> Result<Vec<String>, Corrupt> {
        let mut values = Vec::new();
        self.cardinality(tenant, within, &mut |have, value, _| {
            if have == name && values.len() < limit {
                values.push(value.to_string());
            }
        })?;
        Ok(values)
    }

    /// Tells of each label pair how many series have it, in order of name and value.
    pub fn cardinality(
        &self,
        tenant: Tenant,
        within: Option<&RoaringBitmap>,
        visit: &mut dyn FnMut(&str, &str, u64),
    ) -> Result<(), Corrupt> {
        let mut counts = BTreeMap::new();
        for (number, key) in (0..).zip(&self.inner.keys) {
            if key.tenant() == tenant && within.is_none_or(|within| within.contains(number)) {
                for (name, value) in key.labels() {
                    *counts.entry((name, value)).or_insert(0) += 1;
                }
            }
        }
        counts.iter().for_each(|((name, value), count)| visit(name, value, *count));
        Ok(())
    }

    /// Reads and checks everything.
    pub fn verify(&self) -> Result<(), Corrupt> {
        Ok(())
    }
}

/// Walks the keys of a part in order.
#[derive(Debug)]
pub struct KeyCursor {
    index: PartIndex,
    next: u32,
    key: SeriesKey,
}

impl KeyCursor {
    /// The next series and its key; nothing behind the last.
    #[expect(clippy::should_implement_trait, reason = "the key is lent")]
    pub fn next(&mut self) -> Result<Option<(u32, &SeriesKey)>, Corrupt> {
        if self.next >= self.index.series_count() {
            return Ok(None);
        }
        self.index.key(self.next, &mut self.key)?;
        self.next += 1;
        Ok(Some((self.next - 1, &self.key)))
    }
}
