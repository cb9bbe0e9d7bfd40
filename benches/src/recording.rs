//! Recorded requests: compressed bodies one after the other in a file, so that every contestant gets the same bytes and
//! nobody's figures contain their making.
//!
//! ```text
//! file    magic "BTRAFFIC" · version u32 · record*
//! record  samples u32 · place u32 · raw bytes u32 · compressed bytes u32 · compressed body
//! ```
//! All numbers are little-endian. A file is read as a stream, one record at a time.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::ops::Range;
use std::path::Path;

use crate::{Traffic, compress};

const MAGIC: [u8; 8] = *b"BTRAFFIC";
const VERSION: u32 = 1;
/// A larger body is a damaged file.
const BODY_BYTES_MAX: u32 = 64 << 20;
const BUFFER_BYTES: usize = 1 << 20;

/// One recorded request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Samples in the body.
    pub samples: u32,
    /// Its place among the requests of its scrape, see [`Request::place`](crate::Request::place).
    pub place: u32,
    /// Length before compression.
    pub raw_bytes: u32,
    /// The body, compressed with snappy.
    pub body: Vec<u8>,
}

/// What a recording holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests.
    pub requests: u64,
    /// Samples.
    pub samples: u64,
    /// Bytes before compression.
    pub raw_bytes: u64,
    /// Bytes of the compressed bodies.
    pub compressed_bytes: u64,
}

impl Totals {
    fn add(&mut self, record: &Record) {
        self.requests += 1;
        self.samples += u64::from(record.samples);
        self.raw_bytes += u64::from(record.raw_bytes);
        self.compressed_bytes += record.body.len() as u64;
    }
}

/// Records the requests for some scrapes.
pub fn record(traffic: &mut Traffic, scrapes: Range<u64>, path: &Path) -> io::Result<Totals> {
    let mut writer = Writer::create(path)?;
    let mut encoder = snap::raw::Encoder::new();
    let mut record = Record { samples: 0, place: 0, raw_bytes: 0, body: Vec::new() };
    let mut outcome = Ok(());
    traffic.requests_with(scrapes, |request| {
        if outcome.is_ok() {
            compress(request.body, &mut encoder, &mut record.body);
            record.samples = request.samples as u32;
            record.place = request.place;
            record.raw_bytes = request.body.len() as u32;
            outcome = writer.push(&record);
        }
    });
    outcome?;
    writer.finish()
}

/// Writes a recording.
#[derive(Debug)]
pub struct Writer {
    file: BufWriter<File>,
    totals: Totals,
}

impl Writer {
    /// Creates or replaces the file.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(BUFFER_BYTES, File::create(path)?);
        file.write_all(&MAGIC)?;
        file.write_all(&VERSION.to_le_bytes())?;
        Ok(Self { file, totals: Totals::default() })
    }

    /// Appends one request.
    pub fn push(&mut self, record: &Record) -> io::Result<()> {
        let length = u32::try_from(record.body.len()).ok().filter(|&length| length <= BODY_BYTES_MAX);
        let length = length.ok_or_else(|| io::Error::other("the body is too large to be recorded"))?;
        for number in [record.samples, record.place, record.raw_bytes, length] {
            self.file.write_all(&number.to_le_bytes())?;
        }
        self.file.write_all(&record.body)?;
        self.totals.add(record);
        Ok(())
    }

    /// Hands everything to the system and tells what was written.
    pub fn finish(mut self) -> io::Result<Totals> {
        self.file.flush()?;
        Ok(self.totals)
    }
}

/// Reads a recording from its beginning, record by record.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
}

impl Reader<BufReader<File>> {
    /// Opens a recorded file.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::new(BufReader::with_capacity(BUFFER_BYTES, File::open(path)?))
    }
}

impl<R: Read> Reader<R> {
    /// Checks the head of a recording.
    pub fn new(mut from: R) -> io::Result<Self> {
        let mut magic = [0; MAGIC.len()];
        from.read_exact(&mut magic)?;
        let version = read_u32(&mut from)?;
        if magic != MAGIC || version != VERSION {
            return Err(damaged("it is no recording of this version"));
        }
        Ok(Self { from })
    }

    fn read(&mut self) -> io::Result<Option<Record>> {
        let mut first = [0; 4];
        if !read_or_end(&mut self.from, &mut first)? {
            return Ok(None);
        }
        let samples = u32::from_le_bytes(first);
        let (place, raw_bytes) = (read_u32(&mut self.from)?, read_u32(&mut self.from)?);
        let length = read_u32(&mut self.from)?;
        if length > BODY_BYTES_MAX {
            return Err(damaged("a body is longer than any that is recorded"));
        }
        let mut body = Vec::new();
        (&mut self.from).take(u64::from(length)).read_to_end(&mut body)?;
        if body.len() != length as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(Record { samples, place, raw_bytes, body }))
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// Fills the buffer, or tells that the input ended before its first byte.
fn read_or_end(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    let got = from.by_ref().take(1).read(&mut buffer[..1])?;
    if got == 0 {
        return Ok(false);
    }
    from.read_exact(&mut buffer[1..])?;
    Ok(true)
}

fn read_u32(from: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn damaged(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("damaged recording: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    fn recorded() -> (tempfile::TempDir, std::path::PathBuf, Totals) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bodies");
        let mut traffic = Traffic::new(Shape { series: 500, samples_per_request: 200, ..Shape::default() });
        let totals = record(&mut traffic, 0..3, &path).expect("a recording");
        (folder, path, totals)
    }

    #[test]
    fn a_recording_gives_the_same_bodies() {
        let (_folder, path, totals) = recorded();
        let mut expected = Vec::new();
        let mut traffic = Traffic::new(Shape { series: 500, samples_per_request: 200, ..Shape::default() });
        traffic.requests_with(0..3, |request| expected.push((request.samples, request.place, request.body.to_vec())));
        let mut decoder = snap::raw::Decoder::new();
        let read: Vec<_> = Reader::open(&path)
            .expect("a head")
            .map(|record| {
                let record = record.expect("a record");
                let body = decoder.decompress_vec(&record.body).expect("a snappy block");
                assert_eq!(body.len(), record.raw_bytes as usize);
                (record.samples as usize, record.place, body)
            })
            .collect();
        assert_eq!(read, expected);
        assert_eq!((totals.requests, totals.samples), (9, 1_500));
    }

    #[test]
    fn a_cut_recording_is_an_error_and_no_end() {
        let (_folder, path, _) = recorded();
        let bytes = std::fs::read(path).expect("the file");
        for length in [3, 11, 14, 20, 100, bytes.len() - 1] {
            let outcome: io::Result<Vec<Record>> = Reader::new(&bytes[..length]).and_then(Iterator::collect);
            assert!(outcome.is_err(), "cut at {length}");
        }
        let huge = [&MAGIC[..], &VERSION.to_le_bytes(), &[0; 12], &u32::MAX.to_le_bytes()].concat();
        assert!(Reader::new(&huge[..]).and_then(Iterator::collect::<io::Result<Vec<_>>>).is_err());
    }
}
