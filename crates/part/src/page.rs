//! A page of block heads: those of some neighbouring series.
//!
//! ```text
//! page   = series count: varint | series … | CRC-32C of all before: u32
//! series = block count: varint | block …
//! block  = flags: u8 | [kind: u8] | time | values | summary
//! time   = nothing (as the block at the same place of the series before)
//!        | number in the time directory: varint (shared)
//!        | offset from the cursor: zigzag | length | count | first: zigzag | last - first: varint
//! values = length: varint | bytes (inline) | offset from the cursor: zigzag | length: varint
//! ```
//!
//! The cursor starts at the page's own start in the columns file, which stands in the page directory, and moves to the end of each span that
//! lies at or behind it.

use codec::{
    Summary,
    bytes::{Malformed, Reader, put_varint, put_zigzag},
};
use model::ValueKind;

use crate::{
    BLOCK_SAMPLES_MAX, PAGE_SERIES_MAX,
    block::{BlockHead, Span, TimeSource, TimeSpan, ValueSource},
    time_directory::narrow,
};

/// Values of up to so many bytes stand in the page.
pub const INLINE_BYTES_MAX: usize = 12;
/// No series has more blocks in one part.
pub const BLOCKS_MAX: usize = 1 << 20;

const TIME_AS_BEFORE: u8 = 1;
const TIME_SHARED: u8 = 1 << 1;
const INLINE: u8 = 1 << 2;
const ABOVE: u8 = 1 << 3;
const EQUAL_TIMES: u8 = 1 << 4;
const KIND: u8 = 1 << 5;

/// A page that is written.
#[derive(Debug, Default)]
pub struct PageWriter {
    bytes: Vec<u8>,
    series: usize,
    blocks: usize,
    block_bytes: Vec<u8>,
    cursor: u64,
    start: u64,
    before: Vec<TimeSpan>,
    current: Vec<TimeSpan>,
}

impl PageWriter {
    /// An empty page whose columns start at `cursor`.
    pub fn start(&mut self, cursor: u64) {
        debug_assert!(self.series == 0, "BUG: the page before was not finished");
        self.cursor = cursor;
        self.start = cursor;
        self.before.clear();
    }

    /// How many series it holds.
    pub fn series(&self) -> usize {
        self.series
    }

    /// Adds a block to the series that is written.
    pub fn add_block(&mut self, source: TimeSource, head: &BlockHead, inline: &[u8]) {
        let out = &mut self.block_bytes;
        let as_before = self.before.get(self.blocks) == Some(&head.time);
        let shared = matches!(source, TimeSource::Shared(_)) && !as_before;
        let mut flags = if as_before { TIME_AS_BEFORE } else { 0 };
        flags |= if shared { TIME_SHARED } else { 0 };
        flags |= if matches!(head.values, ValueSource::Inline { .. }) { INLINE } else { 0 };
        flags |= if head.above { ABOVE } else { 0 };
        flags |= if head.equal_times { EQUAL_TIMES } else { 0 };
        flags |= if head.kind == ValueKind::Float { 0 } else { KIND };
        out.push(flags);
        if flags & KIND != 0 {
            out.push(head.kind as u8);
        }
        match source {
            _ if as_before => {}
            TimeSource::Shared(number) => put_varint(out, u64::from(number)),
            TimeSource::Own(time) => {
                put_span(out, time.span, &mut self.cursor);
                put_varint(out, u64::from(time.count));
                put_zigzag(out, time.first);
                put_varint(out, time.last.wrapping_sub(time.first) as u64);
            }
        }
        match head.values {
            ValueSource::Columns(span) => put_span(out, span, &mut self.cursor),
            ValueSource::Inline { .. } => {
                put_varint(out, inline.len() as u64);
                out.extend_from_slice(inline);
            }
        }
        head.summary.write(out);
        self.current.push(head.time);
        self.blocks += 1;
    }

    /// Ends the series that is written.
    pub fn end_series(&mut self) {
        put_varint(&mut self.bytes, self.blocks as u64);
        self.bytes.append(&mut self.block_bytes);
        std::mem::swap(&mut self.before, &mut self.current);
        self.current.clear();
        self.series += 1;
        self.blocks = 0;
    }

    /// Appends the page to `out` and empties itself. Gives where its columns start and how many series it holds.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> (u64, usize) {
        let begin = out.len();
        put_varint(out, self.series as u64);
        out.append(&mut self.bytes);
        let crc = disk::crc32c(&out[begin..]);
        out.extend_from_slice(&crc.to_le_bytes());
        (self.start, std::mem::take(&mut self.series))
    }
}

fn put_span(out: &mut Vec<u8>, span: Span, cursor: &mut u64) {
    put_zigzag(out, span.offset.wrapping_sub(*cursor) as i64);
    put_varint(out, u64::from(span.len));
    if span.offset >= *cursor {
        *cursor = span.end();
    }
}

fn read_span(reader: &mut Reader<'_>, cursor: &mut u64) -> Result<Span, Malformed> {
    let wrong = Malformed { what: "span outside of every file", offset: reader.position() };
    let offset = cursor.checked_add_signed(reader.zigzag()?).filter(|offset| *offset < 1 << 62).ok_or(wrong)?;
    let span = Span { offset, len: narrow(reader, "span too long")? };
    if span.offset >= *cursor {
        *cursor = span.end();
    }
    Ok(span)
}

/// The decoded heads of some neighbouring series.
#[derive(Debug, Clone, Default)]
pub struct Page {
    first_series: u32,
    blocks: Vec<BlockHead>,
    ends: Vec<u32>,
    inline: Vec<u8>,
}

impl Page {
    /// Number of the first series.
    pub fn first_series(&self) -> u32 {
        self.first_series
    }

    /// How many series.
    pub fn series(&self) -> usize {
        self.ends.len()
    }

    /// Whether the page holds series `number`.
    pub fn holds(&self, number: u32) -> bool {
        number >= self.first_series && ((number - self.first_series) as usize) < self.ends.len()
    }

    /// The blocks of series `number`, by time.
    pub fn blocks(&self, number: u32) -> &[BlockHead] {
        let index = (number - self.first_series) as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.blocks[start..self.ends[index] as usize]
    }

    pub(crate) fn inline(&self, start: u32, len: u32) -> &[u8] {
        &self.inline[start as usize..(start + len) as usize]
    }

    /// Decodes a page, checksum and all, in the place of this one.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        first_series: u32,
        series: usize,
        cursor: u64,
        shared: &[TimeSpan],
    ) -> Result<(), Malformed> {
        self.first_series = first_series;
        self.blocks.clear();
        self.ends.clear();
        self.inline.clear();
        let wrong = |what, offset| Err(Malformed { what, offset });
        let Some(body_len) = bytes.len().checked_sub(4) else { return wrong("page too short", 0) };
        let (body, crc) = bytes.split_at(body_len);
        if disk::crc32c(body).to_le_bytes() != crc {
            return wrong("checksum of the page does not match", 0);
        }
        let mut reader = Reader::new(body);
        if reader.varint()? != series as u64 || series > PAGE_SERIES_MAX {
            return wrong("wrong number of series in the page", 0);
        }
        let mut cursor = cursor;
        let mut before = 0..0;
        for _ in 0..series {
            let start = self.blocks.len();
            let blocks = reader.varint()? as usize;
            if blocks > BLOCKS_MAX || blocks > reader.remaining() {
                return wrong("too many blocks", reader.position());
            }
            for block in 0..blocks {
                let earlier =
                    Some(before.start + block).filter(|at| before.contains(at)).map(|at| self.blocks[at].time);
                let head = self.read_block(&mut reader, &mut cursor, earlier, shared)?;
                if head.above && (self.ends.is_empty() || earlier != Some(head.time)) {
                    return wrong("a bucket without the one below", reader.position());
                }
                self.blocks.push(head);
            }
            self.ends.push(self.blocks.len() as u32);
            before = start..self.blocks.len();
        }
        if reader.is_empty() { Ok(()) } else { wrong("bytes behind the page", reader.position()) }
    }

    fn read_block(
        &mut self,
        reader: &mut Reader<'_>,
        cursor: &mut u64,
        earlier: Option<TimeSpan>,
        shared: &[TimeSpan],
    ) -> Result<BlockHead, Malformed> {
        let at = reader.position();
        let wrong = |what| Malformed { what, offset: at };
        let flags = reader.u8()?;
        let kind = if flags & KIND == 0 { 0 } else { reader.u8()? };
        let kind = ValueKind::from_number(kind).ok_or(wrong("unknown kind of values"))?;
        let time = if flags & TIME_AS_BEFORE != 0 {
            earlier.ok_or(wrong("no block before to take the times of"))?
        } else if flags & TIME_SHARED != 0 {
            let number = reader.varint()?;
            *shared.get(number as usize).ok_or(wrong("unknown time column"))?
        } else {
            let span = read_span(reader, cursor)?;
            let count = narrow(reader, "too many times")?;
            let first = reader.zigzag()?;
            TimeSpan { span, count, first, last: first.wrapping_add(reader.varint()? as i64) }
        };
        if time.count == 0 || time.count as usize > BLOCK_SAMPLES_MAX || time.first > time.last {
            return Err(wrong("impossible time column"));
        }
        let values = if flags & INLINE == 0 {
            ValueSource::Columns(read_span(reader, cursor)?)
        } else {
            let bytes = reader.len_prefixed(INLINE_BYTES_MAX)?;
            let start = self.inline.len() as u32;
            self.inline.extend_from_slice(bytes);
            ValueSource::Inline { start, len: bytes.len() as u32 }
        };
        let summary = Summary::read(reader)?;
        if summary.count != u64::from(time.count) {
            return Err(wrong("as many values as times are wanted"));
        }
        Ok(BlockHead { time, values, kind, above: flags & ABOVE != 0, equal_times: flags & EQUAL_TIMES != 0, summary })
    }
}
