//! Reads a part.
//!
//! 1. Opening reads the footer and the page directory, and checks both files' headers and lengths: cost does not grow with the samples.
//! 2. A search gives series numbers (from the label index, or remembered: see [`searches`](crate::searches)).
//! 3. A page of heads is decoded for the series; heads say which blocks touch the time range.
//! 4. Time and value columns are decoded block by block, each after its checksum.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use codec::{
    bytes::{Malformed, Reader},
    values::Scratch,
};
use disk::{Corrupt, Disk, Map};
use index::{CompiledSelector, PartIndex};
use model::{SHARDS, Tenant};
use roaring::RoaringBitmap;

use crate::{
    COLUMNS_FILE, COLUMNS_MAGIC, HEADER_BYTES, INDEX_FILE, INDEX_MAGIC, PAGE_SERIES_MAX, TRAILER_BYTES, WrongHeader,
    block::{BlockHead, CHECKSUM_BYTES, Span, TimeSpan, ValueSource},
    check_header,
    error::PartError,
    meta::PartMeta,
    page::Page,
    searches::Searches,
    time_directory::{narrow, read_time_directory},
};

/// So many spare blocks are kept for later ones.
const SPARE_BLOCKS_MAX: usize = 32;

/// An open part. Readers share it; it stays readable until the last of them is gone, also after its files were unlinked.
pub struct Part {
    folder: PathBuf,
    meta: PartMeta,
    columns: Map,
    index: Map,
    labels: PartIndex,
    pages: Vec<PageEntry>,
    shared_times: OnceLock<Vec<TimeSpan>>,
    shared_times_at: Section,
    searches: Option<Arc<Searches>>,
    shards: OnceLock<[u64; SHARDS / 64]>,
}

#[derive(Debug, Clone, Copy)]
struct PageEntry {
    first_series: u32,
    series: u32,
    at: u64,
    len: u32,
    columns_start: u64,
}

#[derive(Debug, Clone, Copy)]
struct Section {
    offset: u64,
    len: u64,
    crc: u32,
}

/// What reading needs besides the part, reused from block to block.
#[derive(Default)]
pub struct ReadScratch {
    codec: Scratch,
    /// Blocks of the series read last: the next higher bucket is stored as a difference to them.
    lower: Vec<LowerBlock>,
    lower_of: Option<(u64, u32)>,
    /// Spare memory for blocks.
    spare: Vec<Vec<f64>>,
}

struct LowerBlock {
    number: usize,
    values: Vec<f64>,
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(searches) = &self.searches {
            searches.forget(self.meta.id);
        }
    }
}

impl Part {
    /// Opens the part in `folder`.
    pub fn open(disk: &dyn Disk, folder: &Path) -> Result<Self, PartError> {
        let index = disk.map(&folder.join(INDEX_FILE))?;
        let columns = disk.map(&folder.join(COLUMNS_FILE))?;
        Self::from_maps(folder, index, columns)
    }

    /// Opens a part from the bytes of its two files.
    pub fn from_maps(folder: &Path, index: Map, columns: Map) -> Result<Self, PartError> {
        let index_path = folder.join(INDEX_FILE);
        let columns_path = folder.join(COLUMNS_FILE);
        let damaged = |path: &Path, what: String| Corrupt::new(path, 0, what);
        match (check_header(&index, INDEX_MAGIC), check_header(&columns, COLUMNS_MAGIC)) {
            (Ok(()), Ok(())) => {}
            // One file alone is not believed: a flipped bit may say so, too.
            (Err(WrongHeader::Newer(found)), Err(WrongHeader::Newer(other))) if found == other => {
                return Err(PartError::Newer { folder: folder.to_owned(), found });
            }
            (Err(wrong), _) => return Err(damaged(&index_path, wrong.into_text()).into()),
            (_, Err(wrong)) => return Err(damaged(&columns_path, wrong.into_text()).into()),
        }
        let footer = Footer::read(&index).map_err(|what| damaged(&index_path, what))?;
        if footer.meta.columns_bytes != columns.len() as u64 {
            let what = format!("{} bytes long, written were {}", columns.len(), footer.meta.columns_bytes);
            return Err(damaged(&columns_path, what).into());
        }
        let pages = read_page_directory(&index, footer.pages, footer.meta.series)
            .map_err(|error| Corrupt::new(&index_path, footer.pages.offset, error.what))?;
        let labels = index
            .get(footer.labels.0 as usize..(footer.labels.0 + footer.labels.1) as usize)
            .ok_or_else(|| damaged(&index_path, "the label index lies outside of the file".into()))?;
        let labels = PartIndex::open(labels, &index_path)?;
        if labels.series_count() != footer.meta.series {
            return Err(damaged(&index_path, "label index and footer count different series".into()).into());
        }
        columns.advise_random();
        Ok(Self {
            folder: folder.to_owned(),
            meta: footer.meta,
            columns,
            index,
            labels,
            pages,
            shared_times: OnceLock::new(),
            shared_times_at: footer.times,
            searches: None,
            shards: OnceLock::new(),
        })
    }

    /// Remembers what is searched here among the searches of other parts, all of which have other numbers.
    #[must_use]
    pub fn remembering(mut self, searches: &Arc<Searches>) -> Self {
        self.searches = Some(Arc::clone(searches));
        self
    }

    /// What is known of the part.
    pub fn meta(&self) -> &PartMeta {
        &self.meta
    }

    /// Where it stands.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Labels and ids of its series.
    pub fn labels(&self) -> &PartIndex {
        &self.labels
    }

    /// A bit for each virtual shard of which it has series.
    pub fn shards(&self) -> Result<&[u64; SHARDS / 64], PartError> {
        if let Some(shards) = self.shards.get() {
            return Ok(shards);
        }
        let mut shards = [0; SHARDS / 64];
        let ids = self.labels.ids(0..self.labels.series_count())?;
        for id in (0..self.labels.series_count() as usize).map_while(|number| ids.get(number)) {
            let shard = id.shard();
            shards[usize::from(shard) / 64] |= 1 << (shard % 64);
        }
        Ok(self.shards.get_or_init(|| shards))
    }

    /// How many pages of heads it has.
    pub fn pages(&self) -> usize {
        self.pages.len()
    }

    /// The series of a tenant that a selector means.
    pub fn search(&self, tenant: Tenant, selector: &CompiledSelector) -> Result<Arc<RoaringBitmap>, PartError> {
        let Some(searches) = &self.searches else { return Ok(Arc::new(self.labels.search(tenant, selector)?)) };
        let fingerprint = selector.fingerprint();
        if let Some(found) = searches.get(self.meta.id, tenant, fingerprint) {
            return Ok(found);
        }
        let found = Arc::new(self.labels.search(tenant, selector)?);
        searches.remember(self.meta.id, tenant, fingerprint, &found);
        Ok(found)
    }

    /// The number of the page with the heads of series `number`.
    pub fn page_of(&self, number: u32) -> usize {
        self.pages.partition_point(|page| page.first_series <= number) - 1
    }

    /// Decodes a page of heads into `page`.
    pub fn read_page(&self, number: usize, page: &mut Page) -> Result<(), PartError> {
        let entry = self.pages[number];
        let shared = self.shared_times()?;
        let index: &[u8] = &self.index;
        let read = match index.get(entry.at as usize..entry.at as usize + entry.len as usize) {
            Some(bytes) => page.read(bytes, entry.first_series, entry.series as usize, entry.columns_start, shared),
            None => Err(Malformed { what: "the page lies outside of the file", offset: 0 }),
        };
        read.map_err(|error| self.damaged(INDEX_FILE, entry.at + error.offset as u64, error.what))
    }

    fn shared_times(&self) -> Result<&[TimeSpan], PartError> {
        if let Some(shared) = self.shared_times.get() {
            return Ok(shared);
        }
        let at = self.shared_times_at;
        let read = section(&self.index, at).and_then(|bytes| read_time_directory(&bytes));
        let shared = read.map_err(|error| self.damaged(INDEX_FILE, at.offset, error.what))?;
        Ok(self.shared_times.get_or_init(|| shared))
    }

    fn damaged(&self, file: &str, offset: u64, what: impl Into<String>) -> PartError {
        Corrupt::new(self.folder.join(file), offset, what).into()
    }

    fn span(&self, span: Span) -> Result<&[u8], PartError> {
        let start = usize::try_from(span.offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(span.len as usize);
        let columns: &[u8] = &self.columns;
        let (Some(bytes), Some(crc)) = (columns.get(start..end), columns.get(end..end.saturating_add(CHECKSUM_BYTES)))
        else {
            return Err(self.damaged(COLUMNS_FILE, span.offset, "a column lies outside of the file"));
        };
        if disk::crc32c(bytes).to_le_bytes() != crc {
            return Err(self.damaged(COLUMNS_FILE, span.offset, "checksum of a column does not match"));
        }
        Ok(bytes)
    }

    /// Decodes a time column, appending to `times`.
    pub fn read_times(&self, time: &TimeSpan, times: &mut Vec<i64>) -> Result<(), PartError> {
        let start = times.len();
        let bytes = self.span(time.span)?;
        codec::times::decode_times(bytes, time.count as usize, times)
            .map_err(|error| self.damaged(COLUMNS_FILE, time.span.offset + error.offset as u64, error.what))?;
        if times[start] != time.first || times[times.len() - 1] != time.last {
            return Err(self.damaged(COLUMNS_FILE, time.span.offset, "times differ from what the head says"));
        }
        Ok(())
    }

    /// Decodes the values of block `block` of series `number`, appending to `values`. `page` holds the series.
    pub fn read_values(
        &self,
        page: &Page,
        number: u32,
        block: usize,
        scratch: &mut ReadScratch,
        values: &mut Vec<f64>,
    ) -> Result<(), PartError> {
        let start = values.len();
        let head = &page.blocks(number)[block];
        if head.above {
            let lower = self.lower(page, number - 1, block, scratch)?;
            self.decode_above(page, head, &lower, scratch, values)?;
            scratch.spare.push(lower);
        } else {
            self.decode(page, head, scratch, values)?;
        }
        if number + 1 < page.first_series() + page.series() as u32
            && page.blocks(number + 1).get(block).is_some_and(|next| next.above)
        {
            self.remember(number, block, &values[start..], scratch);
        }
        Ok(())
    }

    /// The values of the next lower bucket, from memory if that was read just before.
    fn lower(&self, page: &Page, number: u32, block: usize, scratch: &mut ReadScratch) -> Result<Vec<f64>, PartError> {
        let mut lower = scratch.spare.pop().unwrap_or_default();
        lower.clear();
        if scratch.lower_of == Some((self.meta.id, number))
            && let Some(at) = scratch.lower.iter().position(|have| have.number == block)
        {
            scratch.spare.push(lower);
            return Ok(scratch.lower.swap_remove(at).values);
        }
        // Down to the bucket that stands for itself, then up again.
        let mut bottom = number;
        while page.blocks(bottom)[block].above {
            bottom -= 1;
        }
        self.decode(page, &page.blocks(bottom)[block], scratch, &mut lower)?;
        for above in bottom + 1..=number {
            let mut next = scratch.spare.pop().unwrap_or_default();
            next.clear();
            self.decode_above(page, &page.blocks(above)[block], &lower, scratch, &mut next)?;
            scratch.spare.push(std::mem::replace(&mut lower, next));
        }
        Ok(lower)
    }

    fn remember(&self, number: u32, block: usize, values: &[f64], scratch: &mut ReadScratch) {
        if scratch.lower_of != Some((self.meta.id, number)) {
            scratch.lower_of = Some((self.meta.id, number));
            while let Some(old) = scratch.lower.pop() {
                scratch.spare.push(old.values);
            }
        }
        let mut kept = scratch.spare.pop().unwrap_or_default();
        kept.clear();
        kept.extend_from_slice(values);
        scratch.lower.push(LowerBlock { number: block, values: kept });
        scratch.spare.truncate(SPARE_BLOCKS_MAX);
    }

    /// The encoded values of a block, checked.
    pub(crate) fn value_bytes<'a>(&'a self, page: &'a Page, head: &BlockHead) -> Result<&'a [u8], PartError> {
        match head.values {
            ValueSource::Inline { start, len } => Ok(page.inline(start, len)),
            ValueSource::Columns(span) => self.span(span),
        }
    }

    fn decode(
        &self,
        page: &Page,
        head: &BlockHead,
        scratch: &mut ReadScratch,
        values: &mut Vec<f64>,
    ) -> Result<(), PartError> {
        let bytes = self.value_bytes(page, head)?;
        codec::values::decode_values(bytes, head.count(), &mut scratch.codec, values)
            .map_err(|error| self.damaged_values(head, error))
    }

    fn decode_above(
        &self,
        page: &Page,
        head: &BlockHead,
        lower: &[f64],
        scratch: &mut ReadScratch,
        values: &mut Vec<f64>,
    ) -> Result<(), PartError> {
        let bytes = self.value_bytes(page, head)?;
        if lower.len() != head.count() {
            return Err(self.damaged(INDEX_FILE, 0, "a bucket has other samples than the one below"));
        }
        codec::values::decode_values_above(bytes, lower, &mut scratch.codec, values)
            .map_err(|error| self.damaged_values(head, error))
    }

    fn damaged_values(&self, head: &BlockHead, error: Malformed) -> PartError {
        match head.values {
            ValueSource::Columns(span) => self.damaged(COLUMNS_FILE, span.offset + error.offset as u64, error.what),
            ValueSource::Inline { .. } => self.damaged(INDEX_FILE, 0, error.what),
        }
    }

    /// Lets the system take back the memory of everything mapped; called when a merge has read it through.
    pub fn release(&self) {
        self.columns.release(0..self.columns.len());
        self.index.release(0..self.index.len());
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Part").field("meta", &self.meta).finish_non_exhaustive()
    }
}

struct Footer {
    pages: Section,
    times: Section,
    labels: (u64, u64),
    meta: PartMeta,
}

impl Footer {
    fn read(index: &Map) -> Result<Self, String> {
        let Some(trailer_at) = index.len().checked_sub(TRAILER_BYTES).filter(|at| *at >= HEADER_BYTES) else {
            return Err("the file is shorter than header and trailer".into());
        };
        let trailer = &index[trailer_at..];
        if trailer[8..] != INDEX_MAGIC {
            return Err("no trailer at the end: the file was cut or never finished".into());
        }
        let word = |at: usize| u32::from_le_bytes([trailer[at], trailer[at + 1], trailer[at + 2], trailer[at + 3]]);
        let Some(footer_at) = trailer_at.checked_sub(word(0) as usize).filter(|at| *at >= HEADER_BYTES) else {
            return Err("the footer's length is wrong".into());
        };
        let footer = &index[footer_at..trailer_at];
        if disk::crc32c(footer) != word(4) {
            return Err("checksum of the footer does not match".into());
        }
        let read = Self::parse(footer).map_err(|error| error.to_string())?;
        if read.meta.index_bytes != index.len() as u64 {
            return Err(format!("{} bytes long, written were {}", index.len(), read.meta.index_bytes));
        }
        let labels_end = read.labels.0.checked_add(read.labels.1);
        if labels_end.is_none_or(|end| end > footer_at as u64) {
            return Err("the label index lies outside of the file".into());
        }
        Ok(read)
    }

    fn parse(footer: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(footer);
        let mut section = || Ok(Section { offset: reader.varint()?, len: reader.varint()?, crc: reader.u32()? });
        let pages = section()?;
        let times = section()?;
        let labels = (reader.varint()?, reader.varint()?);
        Ok(Self { pages, times, labels, meta: PartMeta::read(&mut reader)? })
    }
}

fn section(index: &Map, at: Section) -> Result<Map, Malformed> {
    let wrong = |what| Malformed { what, offset: 0 };
    let end = at.offset.checked_add(at.len).ok_or(wrong("a section lies outside of the file"))?;
    let bytes = index.get(at.offset as usize..end as usize).ok_or(wrong("a section lies outside of the file"))?;
    if disk::crc32c(&bytes) != at.crc {
        return Err(wrong("checksum of a section does not match"));
    }
    Ok(bytes)
}

fn read_page_directory(index: &Map, at: Section, series: u32) -> Result<Vec<PageEntry>, Malformed> {
    let bytes = section(index, at)?;
    let mut reader = Reader::new(&bytes);
    let wrong = |what| Malformed { what, offset: 0 };
    let count = reader.varint()? as usize;
    if count > bytes.len() {
        return Err(wrong("more pages than bytes"));
    }
    let mut pages = Vec::with_capacity(count);
    let (mut first_series, mut page_at) = (0u32, HEADER_BYTES as u64);
    for _ in 0..count {
        let in_page = narrow(&mut reader, "too many series in a page")?;
        let len = narrow(&mut reader, "page too long")?;
        let columns_start = reader.varint()?;
        if in_page == 0 || in_page as usize > PAGE_SERIES_MAX || columns_start > 1 << 62 {
            return Err(wrong("impossible page"));
        }
        pages.push(PageEntry { first_series, series: in_page, at: page_at, len, columns_start });
        first_series = first_series.checked_add(in_page).ok_or(wrong("too many series"))?;
        page_at += u64::from(len);
    }
    if first_series != series || !reader.is_empty() {
        return Err(wrong("the page directory does not fit the part"));
    }
    Ok(pages)
}
