//! Series of an answer from node to node.
//!
//! ```text
//! message: | what u8 | body |                   what: 0 chunk, 1 the end: | lacks u8 | samples looked at varint |, 2 partial results
//! chunk:   | reset u8 | series varint | then each:
//!   | id 16 | key: bytes shared with the one before varint, length varint, bytes | kind u8, + 0x80 if nothing was held back before its samples |
//!   | column varint: 0 a new one, else 1 + its number |
//!     new:  | count varint | blocks of up to 8192 times, each its length varint and its bytes (see `codec::times`) |
//!   | values varint | values: 8 bytes each |
//!   | heads varint | then each: before varint, first time zigzag, length zigzag, summary (see `codec::summary`) |
//! results: | rows or groups varint | then each: | key, as above | numbers varint | their bytes: length varint, bytes (see `wire::numbers`) |
//! ```
//!
//! 1. Series of a scrape target share their times, so a column goes over the wire once in an answer; both sides number columns as they come. When
//!    their list is full, the sender says so (`reset`) and both begin again.
//! 2. Keys stand in order, so each is told from the one before it in the same chunk.
//! 3. An answer without its end was cut off.
//! 4. A message holds series or partial results, never both.

use std::{collections::HashMap, ops::Range, sync::Arc};

use bytes::Bytes;
use codec::{
    MAX_BLOCK_SAMPLES, Summary,
    bytes::{Malformed, Reader, put_len_prefixed, put_varint, put_zigzag},
    decode_times, encode_times,
};
use model::{MAX_KEY_BYTES, SeriesId, SeriesKey, ValueKind};
use storage_api::{PlacedHead, SeriesData};

use super::numbers::{pack, unpack};

const CHUNK: u8 = 0;
const END: u8 = 1;
const RESULTS: u8 = 2;
/// In the kind of a series: there are no samples before those that were sent.
const NOTHING_BEFORE: u8 = 0x80;
/// Columns, and timestamps in them, that both sides remember of an answer.
const COLUMNS_MAX: usize = 1 << 14;
const TIMES_MAX: usize = 8 << 20;
/// Room is made for so many series before the first is read.
const SERIES_RESERVED: usize = 1 << 12;
/// Numbers of partial results in a message. Equal ones in a row take no room in it, but in memory; a sender ends a message long before, or has one result in it.
pub const NUMBERS_MAX: usize = 8 << 20;
/// Of a head: it takes that many bytes at least.
const HEAD_BYTES_MIN: u64 = 6;

/// Writes the chunks of one answer.
#[derive(Debug, Default)]
pub struct ChunkWriter {
    /// Numbers of columns by their address; `held` sees to it that no address is given to another one.
    columns: HashMap<usize, u64>,
    held: Vec<Arc<Vec<i64>>>,
    times: usize,
    reset: bool,
    key: Vec<u8>,
    series: u64,
    /// Whether it is partial results that stand in the message.
    holds_results: bool,
    body: Vec<u8>,
    block: Vec<u8>,
}

impl ChunkWriter {
    /// Bytes of the chunk so far.
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// Whether what is to be added next, results or series, needs a message of its own.
    pub fn must_end(&self, results: bool) -> bool {
        self.series > 0 && self.holds_results != results
    }

    /// Adds a partial result.
    pub fn push_result(&mut self, key: &SeriesKey, numbers: &[f64]) {
        assert!(!self.must_end(true), "BUG: results among series");
        self.holds_results = true;
        self.series += 1;
        self.push_key(key);
        put_varint(&mut self.body, numbers.len() as u64);
        self.block.clear();
        pack(numbers, &mut self.block);
        put_len_prefixed(&mut self.body, &self.block);
    }

    fn push_key(&mut self, key: &SeriesKey) {
        let shared = self.key.iter().zip(key.as_bytes()).take_while(|(one, other)| one == other).count();
        put_varint(&mut self.body, shared as u64);
        put_len_prefixed(&mut self.body, &key.as_bytes()[shared..]);
        self.key.truncate(shared);
        self.key.extend_from_slice(&key.as_bytes()[shared..]);
    }

    /// Adds a series. `has_before` is whether it may have samples that were not to be sent.
    pub fn push(&mut self, id: SeriesId, key: &SeriesKey, data: &SeriesData, has_before: bool) {
        assert!(!self.must_end(false), "BUG: series among results");
        if self.series == 0 && (self.columns.len() >= COLUMNS_MAX / 2 || self.times >= TIMES_MAX / 2) {
            self.columns.clear();
            self.held.clear();
            (self.times, self.reset) = (0, true);
        }
        self.series += 1;
        self.body.extend_from_slice(&id.0.to_le_bytes());
        self.push_key(key);
        let before = if has_before { 0 } else { NOTHING_BEFORE };
        self.body.push(data.kind.map_or(0, |kind| kind as u8) | before);
        self.push_times(&data.times);
        let out = &mut self.body;
        put_varint(out, data.values.len() as u64);
        out.reserve(data.values.len() * 8);
        data.values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
        put_varint(out, data.heads.len() as u64);
        for head in &data.heads {
            put_varint(out, head.before as u64);
            put_zigzag(out, head.first_time);
            put_zigzag(out, head.last_time.wrapping_sub(head.first_time));
            head.summary.write(out);
        }
    }

    fn push_times(&mut self, times: &Arc<Vec<i64>>) {
        let out = &mut self.body;
        let address = Arc::as_ptr(times).addr();
        if let Some(number) = self.columns.get(&address) {
            put_varint(out, number + 1);
            return;
        }
        put_varint(out, 0);
        put_varint(out, times.len() as u64);
        for block in times.chunks(MAX_BLOCK_SAMPLES) {
            self.block.clear();
            encode_times(block, &mut self.block);
            put_len_prefixed(out, &self.block);
        }
        self.columns.insert(address, self.held.len() as u64);
        self.held.push(Arc::clone(times));
        self.times += times.len();
    }

    /// The chunk as a message; the next one begins empty.
    pub fn take(&mut self) -> Bytes {
        let mut message = Vec::with_capacity(self.body.len() + 16);
        match self.holds_results {
            true => message.push(RESULTS),
            false => message.extend_from_slice(&[CHUNK, u8::from(self.reset)]),
        }
        put_varint(&mut message, self.series);
        message.extend_from_slice(&self.body);
        self.body.clear();
        self.key.clear();
        self.reset &= self.holds_results;
        (self.series, self.holds_results) = (0, false);
        message.into()
    }
}

/// The message that ends an answer, for which so many samples were looked at to make partial results.
pub fn end(lacks: bool, samples: u64) -> Bytes {
    let mut message = vec![END, u8::from(lacks)];
    put_varint(&mut message, samples);
    message.into()
}

/// A message of an answer.
#[derive(Debug)]
pub enum Frame {
    /// Series.
    Chunk(Chunk),
    /// There are no more.
    End {
        /// Data of further nodes are missing.
        lacks: bool,
        /// Samples that were looked at to make partial results.
        samples: u64,
    },
}

/// Some neighbouring series, whose values are still as they came.
#[derive(Debug)]
pub struct Chunk {
    bytes: Bytes,
    keys: Vec<u8>,
    series: Vec<Entry>,
    results: Option<Vec<Vec<f64>>>,
}

#[derive(Debug)]
struct Entry {
    id: SeriesId,
    kind: Option<ValueKind>,
    key: Range<usize>,
    times: Arc<Vec<i64>>,
    values: Range<usize>,
    heads: Vec<PlacedHead>,
    nothing_before: bool,
}

impl Chunk {
    /// How many series.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether it holds partial results.
    pub fn holds_results(&self) -> bool {
        self.results.is_some()
    }

    /// Whether a series may have samples before those that were sent.
    pub fn has_before(&self, index: usize) -> bool {
        !self.series[index].nothing_before
    }

    /// Id of a series.
    pub fn id(&self, index: usize) -> SeriesId {
        self.series[index].id
    }

    /// The bytes of its key.
    pub fn key(&self, index: usize) -> &[u8] {
        &self.keys[self.series[index].key.clone()]
    }

    /// Its samples.
    pub fn read(&self, index: usize, data: &mut SeriesData) {
        let entry = &self.series[index];
        data.times = Arc::clone(&entry.times);
        data.kind = entry.kind;
        data.heads.clone_from(&entry.heads);
        if let Some(results) = &self.results {
            data.values.clone_from(&results[index]);
            return;
        }
        data.values.clear();
        let values = self.bytes[entry.values.clone()].as_chunks::<8>().0;
        data.values.extend(values.iter().map(|value| f64::from_le_bytes(*value)));
    }
}

/// Reads the messages of one answer, in order.
#[derive(Debug, Default)]
pub struct ChunkReader {
    columns: Vec<Arc<Vec<i64>>>,
    times: usize,
}

impl ChunkReader {
    /// Reads a message.
    pub fn read(&mut self, bytes: &Bytes) -> Result<Frame, Malformed> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            END => {
                let (lacks, samples) = (reader.u8()? != 0, reader.varint()?);
                reader.finish()?;
                Ok(Frame::End { lacks, samples })
            }
            RESULTS => results(bytes, reader).map(Frame::Chunk),
            CHUNK => {
                if reader.u8()? != 0 {
                    self.columns.clear();
                    self.times = 0;
                }
                // A sender begins anew between two chunks as soon as half of it is full.
                if self.columns.len() > COLUMNS_MAX || self.times > TIMES_MAX {
                    return Err(reader.malformed("list of columns that is full"));
                }
                let (mut keys, mut series) = (Vec::new(), Vec::new());
                // A series takes twenty bytes at least.
                let count = reader.varint_max(reader.remaining() as u64 / 20, "count of series")?;
                series.reserve((count as usize).min(SERIES_RESERVED));
                for _ in 0..count {
                    let entry = self.entry(&mut reader, &mut keys, series.last())?;
                    series.push(entry);
                }
                reader.finish()?;
                Ok(Frame::Chunk(Chunk { bytes: bytes.clone(), keys, series, results: None }))
            }
            _ => Err(Malformed { what: "kind of message", offset: 0 }),
        }
    }

    fn entry(
        &mut self,
        reader: &mut Reader<'_>,
        keys: &mut Vec<u8>,
        before: Option<&Entry>,
    ) -> Result<Entry, Malformed> {
        let id = SeriesId(reader.u128()?);
        let key = read_key(reader, keys, before)?;
        let kind = reader.u8()?;
        let (kind, nothing_before) = (ValueKind::from_number(kind & !NOTHING_BEFORE), kind & NOTHING_BEFORE != 0);
        let times = self.column(reader)?;
        let count = reader.varint_max(reader.remaining() as u64 / 8, "count of values")? as usize;
        if count != times.len() {
            return Err(reader.malformed("values that do not go with their times"));
        }
        let values = reader.position()..reader.position() + count * 8;
        reader.bytes(count * 8)?;
        let heads = reader.varint_max(reader.remaining() as u64 / HEAD_BYTES_MIN, "count of heads")?;
        let head = |_| {
            let before = reader.varint_max(count as u64, "place of a head")? as usize;
            let first_time = reader.zigzag()?;
            let last_time = first_time.wrapping_add(reader.zigzag()?);
            Ok(PlacedHead { before, first_time, last_time, summary: Summary::read(reader)? })
        };
        let heads = (0..heads).map(head).collect::<Result<_, Malformed>>()?;
        Ok(Entry { id, kind, key, times, values, heads, nothing_before })
    }

    fn column(&mut self, reader: &mut Reader<'_>) -> Result<Arc<Vec<i64>>, Malformed> {
        let offset = reader.position();
        let number = reader.varint()?;
        if number > 0 {
            let known = usize::try_from(number - 1).ok().and_then(|number| self.columns.get(number));
            return known.cloned().ok_or(Malformed { what: "number of a column", offset });
        }
        // Each of these times has a value of eight bytes behind it.
        let count = reader.varint_max(reader.remaining() as u64 / 8, "count of times")? as usize;
        let mut times = Vec::with_capacity(count);
        while times.len() < count {
            let block = (count - times.len()).min(MAX_BLOCK_SAMPLES);
            let bytes = reader.len_prefixed(reader.remaining())?;
            decode_times(bytes, block, &mut times)?;
        }
        if !times.is_sorted() || times.len() != count {
            return Err(Malformed { what: "times out of order", offset });
        }
        self.times += times.len();
        let times = Arc::new(times);
        self.columns.push(Arc::clone(&times));
        Ok(times)
    }
}

/// Reads a key behind all others.
fn read_key(reader: &mut Reader<'_>, keys: &mut Vec<u8>, before: Option<&Entry>) -> Result<Range<usize>, Malformed> {
    let last = before.map_or(0..0, |entry| entry.key.clone());
    let shared = reader.varint_max(last.len() as u64, "length of what a key shares")? as usize;
    let rest = reader.len_prefixed(MAX_KEY_BYTES)?;
    if shared + rest.len() > MAX_KEY_BYTES {
        return Err(reader.malformed("key that is too long"));
    }
    let start = keys.len();
    keys.extend_from_within(last.start..last.start + shared);
    keys.extend_from_slice(rest);
    Ok(start..keys.len())
}

/// Reads partial results.
fn results(bytes: &Bytes, mut reader: Reader<'_>) -> Result<Chunk, Malformed> {
    // A result takes four bytes at least.
    let count = reader.varint_max(reader.remaining() as u64 / 4, "count of results")? as usize;
    let (mut keys, mut series) = (Vec::new(), Vec::<Entry>::with_capacity(count.min(SERIES_RESERVED)));
    let mut results = Vec::with_capacity(count.min(SERIES_RESERVED));
    let mut numbers_all = 0;
    for _ in 0..count {
        let key = read_key(&mut reader, &mut keys, series.last())?;
        let numbers = reader.varint_max(NUMBERS_MAX as u64, "count of numbers")? as usize;
        numbers_all += numbers;
        if numbers_all > NUMBERS_MAX {
            return Err(reader.malformed("count of all numbers"));
        }
        let packed = reader.len_prefixed(reader.remaining())?;
        results.push(unpack(packed, numbers)?);
        series.push(Entry {
            id: SeriesId::of_bytes(&keys[key.clone()]),
            kind: None,
            key,
            times: Arc::default(),
            values: 0..0,
            heads: Vec::new(),
            nothing_before: false,
        });
    }
    reader.finish()?;
    Ok(Chunk { bytes: bytes.clone(), keys, series, results: Some(results) })
}

#[cfg(test)]
mod tests {
    use codec::summarize;
    use model::{KeyBuilder, Tenant};
    use proptest::prelude::*;

    use super::*;

    fn key(number: usize) -> SeriesKey {
        let mut labels = KeyBuilder::new();
        labels.push("__name__", "m");
        labels.push("pod", &format!("pod-{number:04}"));
        labels.build(Tenant::DEFAULT).expect("a key")
    }

    proptest! {
        #[test]
        fn series_come_back(
            columns in prop::collection::vec(prop::collection::btree_set(any::<i32>(), 0..40), 1..5),
            picks in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 1..40),
            cut: prop::sample::Index,
        ) {
            let columns: Vec<Arc<Vec<i64>>> =
                columns.into_iter().map(|times| Arc::new(times.into_iter().map(i64::from).collect())).collect();
            let (mut writer, mut reader) = (ChunkWriter::default(), ChunkReader::default());
            let mut sent = Vec::new();
            for (number, (column, with_head)) in picks.iter().enumerate() {
                let times = Arc::clone(column.get(&columns));
                let values: Vec<f64> = times.iter().map(|time| *time as f64 + number as f64 / 7.0).collect();
                let summary = summarize(&[1.5, 2.5, number as f64]);
                let head = PlacedHead { before: values.len() / 2, first_time: -5, last_time: 900, summary };
                let heads = if *with_head { vec![head] } else { Vec::new() };
                sent.push((key(number), SeriesData { times, values, heads, kind: Some(ValueKind::Float) }));
            }
            for half in sent.chunks(sent.len().div_ceil(2)) {
                for (number, (key, data)) in half.iter().enumerate() {
                    writer.push(SeriesId::of(key), key, data, number % 2 == 0);
                }
                let message = writer.take();
                let at = cut.index(message.len());
                prop_assert!(ChunkReader::default().read(&message.slice(..at)).is_err());
                let Frame::Chunk(chunk) = reader.read(&message).expect("it comes back") else {
                    panic!("a chunk was sent");
                };
                prop_assert_eq!(chunk.len(), half.len());
                let mut have = SeriesData::default();
                for (index, (key, data)) in half.iter().enumerate() {
                    chunk.read(index, &mut have);
                    prop_assert_eq!(chunk.key(index), key.as_bytes());
                    prop_assert_eq!((chunk.id(index), chunk.has_before(index)), (SeriesId::of(key), index % 2 == 0));
                    prop_assert_eq!(&have.times, &data.times);
                    prop_assert_eq!(&have.values, &data.values);
                    prop_assert_eq!(format!("{:?}", have.heads), format!("{:?}", data.heads));
                }
            }
            prop_assert!(reader.columns.len() <= columns.len(), "a column goes over the wire once");
        }
    }

    #[test]
    fn results_come_back_between_series() {
        let (mut writer, mut reader) = (ChunkWriter::default(), ChunkReader::default());
        let data = SeriesData { times: Arc::new(vec![5]), values: vec![1.0], ..SeriesData::default() };
        writer.push(SeriesId(1), &key(1), &data, true);
        assert!(writer.must_end(true) && !writer.must_end(false));
        let series = writer.take();
        writer.push_result(&SeriesKey::default(), &[1.0, f64::NAN, 2.5]);
        writer.push_result(&key(7), &[]);
        let results = writer.take();
        assert!(matches!(reader.read(&series), Ok(Frame::Chunk(chunk)) if !chunk.holds_results()));
        let Ok(Frame::Chunk(chunk)) = reader.read(&results) else { panic!("results were sent") };
        assert!(chunk.holds_results());
        assert_eq!((chunk.len(), chunk.key(0), chunk.key(1)), (2, &[][..], key(7).as_bytes()));
        let mut have = SeriesData::default();
        chunk.read(0, &mut have);
        assert_eq!((have.values[0], have.values[1].is_nan(), have.values[2]), (1.0, true, 2.5));
        assert!((0..results.len()).all(|at| ChunkReader::default().read(&results.slice(..at)).is_err()));
        assert!(matches!(reader.read(&end(true, 300)), Ok(Frame::End { lacks: true, samples: 300 })));
    }
}
