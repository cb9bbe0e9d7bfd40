//! Writes a part, series by series.
//!
//! 1. Series come in key order, each with its samples sorted and without exact duplicates.
//! 2. The samples are cut into blocks at lines of time and at the greatest block size.
//! 3. A block's times are found among those already written, or written (`time_directory`).
//! 4. A block's values are encoded; of a histogram bucket as the difference to the next lower bucket where both have the same times. Values
//!    that encode to bytes already written (equal columns) become a reference to them; few bytes stand in the page.
//!    A merge hands over blocks as they stand in another part instead, where it need not change them (`taking_over`).
//! 5. Heads collect in pages that go to the index file as they fill; the label index is built beside and follows when all series are written.
//! 6. Both files are synced, the folder is renamed to its final name and its parent synced.

mod taking_over;

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use codec::{Encoded, Scratch, Summary, bytes::put_varint};
use disk::{Disk, DiskFile};
use index::{IndexWriter, KeyNumbers};
use model::{SeriesId, SeriesKey, TimeRange, ValueKind};

use self::taking_over::TakingOver;
use crate::{
    BLOCK_LINE_MS, BLOCK_SAMPLES_MAX, BUCKET_CHAIN_MAX, COLUMNS_FILE, COLUMNS_MAGIC, HEADER_BYTES, INDEX_FILE,
    INDEX_MAGIC, PAGE_SERIES, PAGE_SERIES_MAX,
    block::{BlockHead, CHECKSUM_BYTES, Span, TimeSource, TimeSpan, ValueSource},
    by_hash::{self, ByHash},
    cold_trials::ColdTrials,
    header,
    meta::{Effort, PartMeta},
    page::{INLINE_BYTES_MAX, PageWriter},
    series_name::SeriesName,
    time_directory::TimeDirectoryWriter,
};

/// Bytes are handed to the disk in pieces of about this size …
const WRITE_BYTES: usize = 256 << 10;
/// … and synced each time so many have gathered, so that the last sync is short and the log's syncs do not wait behind it.
const SYNC_BYTES: u64 = 32 << 20;
/// So many different encoded columns are remembered in search of equal ones.
const EQUAL_COLUMNS_MAX: usize = 1 << 17;

/// What a writer is told besides the samples.
#[derive(Debug, Clone, Copy)]
pub struct WriterOptions {
    /// The part's number.
    pub id: u64,
    /// How dense the columns shall be.
    pub effort: Effort,
    /// Blocks are cut at multiples of this.
    pub line_ms: i64,
    /// See [`PartMeta`].
    pub seq_min: u64,
    /// See [`PartMeta`].
    pub seq_max: u64,
    /// See [`PartMeta`].
    pub tombstones_applied: u64,
    /// See [`PartMeta`].
    pub dedup_interval_ms: i64,
}

impl WriterOptions {
    /// The options of a part with number `id`.
    pub fn new(id: u64, effort: Effort) -> Self {
        Self { id, effort, line_ms: BLOCK_LINE_MS, seq_min: 0, seq_max: 0, tombstones_applied: 0, dedup_interval_ms: 0 }
    }
}

/// A part that is written. Dropped before [`PartWriter::finish`], it leaves a folder that ends in `.tmp`, which the store sweeps away.
pub struct PartWriter<'d> {
    disk: &'d dyn Disk,
    folder: PathBuf,
    tmp: PathBuf,
    options: WriterOptions,
    columns: Output,
    index: Output,
    labels: IndexWriter,
    times: TimeDirectoryWriter,
    page: PageWriter,
    page_directory: Vec<u8>,
    pages: u64,
    page_bytes: Vec<u8>,
    equal: ByHash<Span>,
    lower: Lower,
    current: Lower,
    scratch: Scratch,
    trials: ColdTrials,
    encoded: Vec<u8>,
    key: SeriesKey,
    taking_over: TakingOver,
    meta: PartMeta,
}

/// A block without its encoded values.
struct BlockForm {
    time: TimeSpan,
    kind: ValueKind,
    above: bool,
    equal_times: bool,
    summary: Summary,
}

/// The series that was written last, if it is a histogram bucket.
#[derive(Debug, Default)]
struct Lower {
    /// Metric and other labels of the histogram.
    histogram: Option<(u32, u32)>,
    chain: usize,
    values: Vec<f64>,
    blocks: Vec<LowerBlock>,
}

#[derive(Debug)]
struct LowerBlock {
    time: TimeSpan,
    /// Where its values stand, if they are known.
    values: Option<Range<usize>>,
    /// The source, series and block that it was taken over from.
    taken_from: Option<(usize, u32, usize)>,
}

impl<'d> PartWriter<'d> {
    /// Starts a part that will stand in `folder`.
    pub fn create(disk: &'d dyn Disk, folder: &Path, options: WriterOptions) -> Result<Self, disk::Error> {
        assert!(options.line_ms > 0, "BUG: blocks are cut at lines a positive time apart");
        let mut tmp = folder.as_os_str().to_owned();
        tmp.push(".tmp");
        let tmp = PathBuf::from(tmp);
        if disk.exists(&tmp)? {
            disk.remove_dir_all(&tmp)?;
        }
        disk.create_dir_all(&tmp)?;
        let mut columns = Output::new(disk.create(&tmp.join(COLUMNS_FILE))?);
        let mut index = Output::new(disk.create(&tmp.join(INDEX_FILE))?);
        columns.put(&header(COLUMNS_MAGIC))?;
        index.put(&header(INDEX_MAGIC))?;
        let mut page = PageWriter::default();
        page.start(HEADER_BYTES as u64);
        Ok(Self {
            disk,
            folder: folder.to_owned(),
            tmp,
            options,
            columns,
            index,
            labels: IndexWriter::new(),
            times: TimeDirectoryWriter::default(),
            page,
            page_directory: Vec::new(),
            pages: 0,
            page_bytes: Vec::new(),
            equal: ByHash::default(),
            lower: Lower::default(),
            current: Lower::default(),
            scratch: Scratch::default(),
            trials: ColdTrials::default(),
            encoded: Vec::new(),
            key: SeriesKey::default(),
            taking_over: TakingOver::default(),
            meta: PartMeta {
                id: options.id,
                range: TimeRange::EMPTY,
                samples: 0,
                series: 0,
                seq_min: options.seq_min,
                seq_max: options.seq_max,
                tombstones_applied: options.tombstones_applied,
                columns_bytes: 0,
                index_bytes: 0,
                effort: options.effort,
                dedup_interval_ms: options.dedup_interval_ms,
            },
        })
    }

    /// How many series were added.
    pub fn series(&self) -> u32 {
        self.meta.series
    }

    /// Bytes written so far, for limits on the size of a part.
    pub fn bytes(&self) -> u64 {
        self.columns.position() + self.index.position()
    }

    /// Adds the next series, whose id is that of its key. Its samples are sorted by time and not empty.
    pub fn add_series(
        &mut self,
        key: &SeriesKey,
        id: SeriesId,
        times: &[i64],
        values: &[f64],
    ) -> Result<(), disk::Error> {
        let placed = self.labels.add_with_id(key, id);
        self.add_placed(placed, times, values)
    }

    /// Adds the next series. Its key is only made if the numbers of its source do not say enough.
    pub fn add_named<E: From<disk::Error>>(
        &mut self,
        name: &mut SeriesName<'_, E>,
        times: &[i64],
        values: &[f64],
    ) -> Result<(), E> {
        let placed = self.place(name)?;
        Ok(self.add_placed(placed, times, values)?)
    }

    fn place<E>(&mut self, name: &mut SeriesName<'_, E>) -> Result<KeyNumbers, E> {
        if let Some(placed) = self.labels.add_numbered(name.source, name.numbers, name.id) {
            return Ok(placed);
        }
        (name.key)(&mut self.key)?;
        Ok(self.labels.add_and_learn(name.source, name.numbers, &self.key, name.id))
    }

    /// Adds the samples of the series that was put there in the label index.
    fn add_placed(&mut self, placed: KeyNumbers, times: &[i64], values: &[f64]) -> Result<(), disk::Error> {
        assert!(
            !times.is_empty() && times.len() == values.len(),
            "BUG: a series needs as many times as values, and one"
        );
        debug_assert!(times.is_sorted(), "BUG: samples are not sorted by time");
        let chained = self.begin_series(placed)?;
        self.add_rows(times, values, 0..times.len(), chained)?;
        self.end_series(values);
        self.meta.samples += times.len() as u64;
        self.meta.range = self.meta.range.cover(TimeRange::new(times[0], times[times.len() - 1]));
        Ok(())
    }

    /// Adds some of the rows of a series.
    fn add_rows(
        &mut self,
        times: &[i64],
        values: &[f64],
        rows: Range<usize>,
        chained: bool,
    ) -> Result<(), disk::Error> {
        let mut start = rows.start;
        while start < rows.end {
            let end = block_end(&times[..rows.end], start, self.options.line_ms);
            self.add_block(&times[start..end], &values[start..end], start, chained)?;
            start = end;
        }
        Ok(())
    }

    /// Makes room in a page. Says whether the series may refer to the one before as its next lower bucket.
    fn begin_series(&mut self, placed: KeyNumbers) -> Result<bool, disk::Error> {
        let histogram = placed.bound.is_some().then_some((placed.family, placed.origin));
        let same_histogram = histogram.is_some() && histogram == self.lower.histogram;
        if self.page.series() >= if same_histogram { PAGE_SERIES_MAX } else { PAGE_SERIES } {
            self.end_page()?;
        }
        let chained = same_histogram && self.lower.chain < BUCKET_CHAIN_MAX && self.page.series() > 0;
        self.current.histogram = histogram;
        self.current.chain = if chained { self.lower.chain + 1 } else { 0 };
        self.current.blocks.clear();
        Ok(chained)
    }

    /// Ends the series; `values` are those of the rows that were encoded.
    fn end_series(&mut self, values: &[f64]) {
        self.page.end_series();
        self.current.values.clear();
        if self.current.histogram.is_some() {
            self.current.values.extend_from_slice(values);
        }
        std::mem::swap(&mut self.lower, &mut self.current);
        self.meta.series = self.meta.series.checked_add(1).expect("BUG: a part takes fewer than 2^32 series");
    }

    fn add_block(&mut self, times: &[i64], values: &[f64], start: usize, chained: bool) -> Result<(), disk::Error> {
        let (source, time) = self.place_times(times)?;
        let number = self.current.blocks.len();
        self.current.blocks.push(LowerBlock { time, values: Some(start..start + values.len()), taken_from: None });

        let lower = self.lower.blocks.get(number).filter(|have| chained && have.time == time);
        let lower = lower.and_then(|have| Some(&self.lower.values[have.values.clone()?]));
        self.encoded.clear();
        let effort = match self.options.effort {
            Effort::Cold => self.trials.effort(values.len()),
            other => other.codec(),
        };
        let (encoded, above) = encode(values, lower, effort, &mut self.scratch, &mut self.encoded);
        if effort == codec::Effort::Cold {
            self.trials.tried(encoded.codec);
        }
        let equal_times = times.windows(2).any(|pair| pair[0] == pair[1]);
        let kind = ValueKind::Float;
        self.put_block(source, &BlockForm { time, kind, above, equal_times, summary: encoded.summary })
    }

    fn place_times(&mut self, times: &[i64]) -> Result<(TimeSource, TimeSpan), disk::Error> {
        let (columns, encoded) = (&mut self.columns, &mut self.encoded);
        self.times.place(times, |times| {
            encoded.clear();
            codec::times::encode_times(times, encoded);
            columns.put_span(encoded)
        })
    }

    /// Puts a block, whose encoded values are at hand, into the page, and the values into the columns if they are not few.
    fn put_block(&mut self, source: TimeSource, form: &BlockForm) -> Result<(), disk::Error> {
        let values = if self.encoded.len() <= INLINE_BYTES_MAX {
            ValueSource::Inline { start: 0, len: self.encoded.len() as u32 }
        } else {
            ValueSource::Columns(self.place_values()?)
        };
        let BlockForm { time, kind, above, equal_times, summary } = *form;
        self.page.add_block(source, &BlockHead { time, values, kind, above, equal_times, summary }, &self.encoded);
        Ok(())
    }

    /// Finds a column of equal bytes, or writes it.
    fn place_values(&mut self) -> Result<Span, disk::Error> {
        let hash = by_hash::hash_of(&self.encoded, 0);
        if let Some(span) = self.equal.get(&hash) {
            return Ok(*span);
        }
        let span = self.columns.put_span(&self.encoded)?;
        if self.equal.len() >= EQUAL_COLUMNS_MAX {
            self.equal.clear();
        }
        self.equal.insert(hash, span);
        Ok(span)
    }

    fn end_page(&mut self) -> Result<(), disk::Error> {
        if self.page.series() == 0 {
            return Ok(());
        }
        self.page_bytes.clear();
        let (start, series) = self.page.finish(&mut self.page_bytes);
        put_varint(&mut self.page_directory, series as u64);
        put_varint(&mut self.page_directory, self.page_bytes.len() as u64);
        put_varint(&mut self.page_directory, start);
        self.pages += 1;
        self.index.put(&self.page_bytes)?;
        self.page.start(self.columns.position());
        Ok(())
    }

    /// Writes what is left, makes the part durable, and gives it its final name.
    pub fn finish(mut self) -> Result<PartMeta, disk::Error> {
        self.end_page()?;
        let mut footer = Vec::new();
        let mut section = Vec::new();
        put_varint(&mut section, self.pages);
        section.extend_from_slice(&self.page_directory);
        put_section(&mut self.index, &section, &mut footer)?;
        section.clear();
        self.times.finish(&mut section);
        put_section(&mut self.index, &section, &mut footer)?;

        let labels_start = self.index.position();
        let index = &mut self.index;
        self.labels.finish(&mut |bytes: &[u8]| index.put(bytes))?;
        put_varint(&mut footer, labels_start);
        put_varint(&mut footer, self.index.position() - labels_start);

        self.meta.columns_bytes = self.columns.position();
        self.columns.finish()?;
        // The footer holds the length of the file that ends with it: it is as long with any number there, so that one more look settles it.
        self.meta.index_bytes = 0;
        let base = self.index.position() + crate::TRAILER_BYTES as u64;
        let with_meta = |meta: &PartMeta| {
            let mut bytes = footer.clone();
            meta.write(&mut bytes);
            bytes
        };
        let mut bytes = with_meta(&self.meta);
        while self.meta.index_bytes != base + bytes.len() as u64 {
            self.meta.index_bytes = base + bytes.len() as u64;
            bytes = with_meta(&self.meta);
        }
        self.index.put(&bytes)?;
        self.index.put(&(bytes.len() as u32).to_le_bytes())?;
        self.index.put(&disk::crc32c(&bytes).to_le_bytes())?;
        self.index.put(&INDEX_MAGIC)?;
        self.index.finish()?;
        disk::publish_dir(self.disk, &self.tmp, &self.folder)?;
        Ok(self.meta)
    }

    /// Throws the part away.
    pub fn abandon(self) -> Result<(), disk::Error> {
        let Self { disk, tmp, columns, index, .. } = self;
        drop((columns, index));
        disk.remove_dir_all(&tmp)
    }
}

fn put_section(index: &mut Output, section: &[u8], footer: &mut Vec<u8>) -> Result<(), disk::Error> {
    put_varint(footer, index.position());
    put_varint(footer, section.len() as u64);
    footer.extend_from_slice(&disk::crc32c(section).to_le_bytes());
    index.put(section)
}

fn encode(
    values: &[f64],
    lower: Option<&[f64]>,
    effort: codec::Effort,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> (Encoded, bool) {
    let varies = values.iter().any(|value| value.to_bits() != values[0].to_bits());
    if let Some(lower) = lower.filter(|_| varies) {
        if let Some(encoded) = codec::values::encode_values_above(values, lower, effort, scratch, out) {
            return (encoded, true);
        }
        out.clear();
    }
    (codec::values::encode_values(values, effort, scratch, out), false)
}

/// Where the block that begins at `start` ends: before the next line of time, and within the greatest block.
fn block_end(times: &[i64], start: usize, line_ms: i64) -> usize {
    let limit = times.len().min(start + BLOCK_SAMPLES_MAX);
    let line = times[start].div_euclid(line_ms);
    if times[limit - 1].div_euclid(line_ms) == line {
        return limit;
    }
    start + times[start..limit].partition_point(|time| time.div_euclid(line_ms) == line)
}

/// A file that is written in large pieces.
struct Output {
    file: Box<dyn DiskFile>,
    buffer: Vec<u8>,
    written: u64,
    synced: u64,
}

impl Output {
    fn new(file: Box<dyn DiskFile>) -> Self {
        // The buffer grows with what is written: late samples are split into dozens of small parts at once.
        Self { file, buffer: Vec::new(), written: 0, synced: 0 }
    }

    fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), disk::Error> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WRITE_BYTES { self.write_out() } else { Ok(()) }
    }

    fn put_span(&mut self, bytes: &[u8]) -> Result<Span, disk::Error> {
        const { assert!(CHECKSUM_BYTES == size_of::<u32>()) };
        let span = Span { offset: self.position(), len: bytes.len() as u32 };
        self.buffer.extend_from_slice(bytes);
        self.put(&disk::crc32c(bytes).to_le_bytes())?;
        Ok(span)
    }

    fn write_out(&mut self) -> Result<(), disk::Error> {
        self.file.append(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        if self.written - self.synced >= SYNC_BYTES {
            self.file.sync()?;
            self.synced = self.written;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), disk::Error> {
        self.write_out()?;
        self.file.sync()
    }
}
