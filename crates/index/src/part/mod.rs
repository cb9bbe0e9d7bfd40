//! The index of a part: written once, from keys in ascending order, then mapped and read.
//!
//! 1. A series is a *family* (tenant and metric name), an *origin* (its other labels) and perhaps a *bound* (`le`); see [`crate::key_parts`].
//!    Terms lead to origins; families are runs of neighbouring series and refer to lists of origins; equal lists are stored once.
//! 2. A search narrows families by the metric name, origins by all other labels, bounds by `le`, and then looks where they meet in the lists.
//!
//! The format is drawn in docs/formats/index.md, and why it is this one is in docs/decisions/2026-11-20-index-by-origins.md.

mod cursor;
mod dictionary;
mod emit;
mod file;
mod interner;
mod labels;
mod layout;
mod lists;
mod origins;
mod postings;
mod runs;
mod search;
mod sink;
mod verify;
mod writer;

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use disk::{Corrupt, Map};
use model::{BUCKET_BOUND, METRIC_NAME, SeriesId, SeriesKey, Tenant};
use roaring::RoaringBitmap;

use crate::CompiledSelector;
use dictionary::{Dictionary, Name};
use file::IndexFile;
use layout::{ID_BYTES, Section};
use runs::TenantSpan;

pub use cursor::KeyCursor;
pub(crate) use file::reseal;
pub use writer::{IndexSummary, IndexWriter};

/// Reads the index of a part. A clone shares it.
///
/// Opening reads the footer; everything else is read, and its checksums are looked at, when it is first asked for.
#[derive(Debug, Clone)]
pub struct PartIndex {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: IndexFile,
    dictionary: Dictionary,
    tenants: OnceLock<Vec<TenantSpan>>,
}

/// The ids of a range of series.
#[derive(Debug, Clone, Copy)]
pub struct Ids<'a>(&'a [u8]);

impl<'a> Ids<'a> {
    /// How many.
    pub fn len(&self) -> usize {
        self.0.len() / ID_BYTES
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The id at this place of the range.
    #[inline]
    pub fn get(&self, at: usize) -> Option<SeriesId> {
        let bytes = self.0.as_chunks::<ID_BYTES>().0.get(at)?;
        Some(SeriesId(u128::from_le_bytes(*bytes)))
    }

    /// All in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = SeriesId> + 'a {
        self.0.as_chunks::<ID_BYTES>().0.iter().map(|bytes| SeriesId(u128::from_le_bytes(*bytes)))
    }
}

impl PartIndex {
    /// Opens the index that `map` holds; `path` is for messages.
    pub fn open(map: Map, path: &Path) -> Result<Self, Corrupt> {
        let file = IndexFile::open(map, path)?;
        let inner = Inner { file, dictionary: Dictionary::default(), tenants: OnceLock::new() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// How many series the part has.
    pub fn series_count(&self) -> u32 {
        self.inner.file.counts.series
    }

    /// Puts the key of a series in the place of `out`, whose memory is reused. For many keys a cursor is faster.
    pub fn key(&self, number: u32, out: &mut SeriesKey) -> Result<(), Corrupt> {
        cursor::KeyMaker::new(0).make(&self.inner, number, out)
    }

    /// Walks the keys from series `from` on.
    pub fn keys(&self, from: u32) -> KeyCursor {
        KeyCursor::new(self.clone(), from, usize::MAX >> 1)
    }

    /// Reads about so many keys, ascending, with gaps.
    pub fn some_keys(&self, keys: usize) -> KeyCursor {
        KeyCursor::new(self.clone(), 0, keys)
    }

    /// The id of a series.
    pub fn id(&self, number: u32) -> Result<SeriesId, Corrupt> {
        let bytes: &[u8; ID_BYTES] = self.inner.file.entry(Section::Ids, number as usize)?;
        Ok(SeriesId(u128::from_le_bytes(*bytes)))
    }

    /// The ids of a range of series.
    pub fn ids(&self, range: Range<u32>) -> Result<Ids<'_>, Corrupt> {
        let range = range.start as usize * ID_BYTES..range.end as usize * ID_BYTES;
        self.inner.file.bytes(Section::Ids, range).map(Ids)
    }

    /// The tenants and the series of each, ascending.
    pub fn tenants(&self) -> Result<Vec<(Tenant, Range<u32>)>, Corrupt> {
        Ok(self.inner.tenants()?.iter().map(|span| (span.tenant, span.series.clone())).collect())
    }

    /// The series of a tenant that are selected.
    pub fn search(&self, tenant: Tenant, selector: &CompiledSelector) -> Result<RoaringBitmap, Corrupt> {
        search::search(&self.inner, tenant, selector)
    }

    /// The label names of a tenant's series, or of those of them that are `within`, sorted.
    pub fn label_names(&self, tenant: Tenant, within: Option<&RoaringBitmap>) -> Result<Vec<String>, Corrupt> {
        labels::names(&self.inner, tenant, within)
    }

    /// The values that a label has in a tenant's series, or in those of them that are `within`, sorted, at most `limit`.
    pub fn label_values(
        &self,
        tenant: Tenant,
        name: &str,
        within: Option<&RoaringBitmap>,
        limit: usize,
    ) -> Result<Vec<String>, Corrupt> {
        labels::values(&self.inner, tenant, name, within, limit)
    }

    /// Tells of each label pair how many of a tenant's series, or of those of them that are `within`, have it; by name and value.
    pub fn cardinality(
        &self,
        tenant: Tenant,
        within: Option<&RoaringBitmap>,
        visit: &mut dyn FnMut(&str, &str, u64),
    ) -> Result<(), Corrupt> {
        labels::cardinality(&self.inner, tenant, within, visit)
    }

    /// Reads and checks everything: checksums, order, ids against keys, and that each part of the index agrees with the others.
    pub fn verify(&self) -> Result<(), Corrupt> {
        verify::verify(self)
    }
}

impl Inner {
    /// The label that holds metric names; an error if it is needed and not there.
    fn metric_name(&self) -> Result<&Name, Corrupt> {
        let found = self.dictionary.find(&self.file, METRIC_NAME)?;
        found.map(|(_, name)| name).ok_or_else(|| self.file.corrupt(Section::Names, 0, "there are no metric names"))
    }

    fn bound_name(&self) -> Result<&Name, Corrupt> {
        let found = self.dictionary.find(&self.file, BUCKET_BOUND)?;
        found.map(|(_, name)| name).ok_or_else(|| self.file.corrupt(Section::Names, 0, "there are no bounds"))
    }
}
