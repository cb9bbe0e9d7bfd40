//! Gives the bytes of an index out, section by section, and keeps their checksums.

use disk::crc32c;

use super::layout::{CHECKSUM_BYTES, CHUNK_BYTES, MAGIC, Section, TRAILER_BYTES, VERSION};

/// Bytes that are collected before they are given out.
const BUFFER_BYTES: usize = 16 * CHUNK_BYTES;

/// Where the bytes go.
pub(super) type Out<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), disk::Error>;

pub(super) struct Sink<'a> {
    out: Out<'a>,
    buffer: Vec<u8>,
    /// Bytes before the buffer; a multiple of [`CHUNK_BYTES`] until the end.
    written: u64,
    checksums: Vec<u8>,
    sections: Vec<(u64, u64)>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(out: Out<'a>) -> Self {
        Self {
            out,
            buffer: Vec::with_capacity(BUFFER_BYTES + CHUNK_BYTES),
            written: 0,
            checksums: Vec::new(),
            sections: Vec::with_capacity(Section::COUNT),
        }
    }

    /// Begins the next section.
    pub(super) fn begin(&mut self, section: Section) {
        assert_eq!(self.sections.len(), section as usize, "BUG: sections out of order");
        self.sections.push((self.at(), 0));
    }

    /// Ends the section that was begun last.
    pub(super) fn end(&mut self) {
        let at = self.at();
        let (start, len) = self.sections.last_mut().expect("BUG: no section was begun");
        *len = at - *start;
    }

    /// How far into the section the next byte will stand.
    pub(super) fn offset(&self) -> u64 {
        self.at() - self.sections.last().map_or(0, |(start, _)| *start)
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), disk::Error> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES { self.flush_whole_chunks() } else { Ok(()) }
    }

    fn at(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn flush_whole_chunks(&mut self) -> Result<(), disk::Error> {
        let whole = self.buffer.len() / CHUNK_BYTES * CHUNK_BYTES;
        for chunk in self.buffer[..whole].chunks(CHUNK_BYTES) {
            self.checksums.extend_from_slice(&crc32c(chunk).to_le_bytes());
        }
        (self.out)(&self.buffer[..whole])?;
        self.written += whole as u64;
        self.buffer.drain(..whole);
        Ok(())
    }

    /// Writes the footer behind the last section; says how many bytes the index has.
    pub(super) fn finish(mut self, counts: &[u32]) -> Result<u64, disk::Error> {
        assert_eq!(self.sections.len(), Section::COUNT, "BUG: a section is missing");
        self.flush_whole_chunks()?;
        if !self.buffer.is_empty() {
            self.checksums.extend_from_slice(&crc32c(&self.buffer).to_le_bytes());
        }
        let mut footer = std::mem::take(&mut self.checksums);
        debug_assert_eq!(footer.len() % CHECKSUM_BYTES, 0);
        let directory_start = footer.len();
        for (start, len) in &self.sections {
            footer.extend_from_slice(&start.to_le_bytes());
            footer.extend_from_slice(&len.to_le_bytes());
        }
        counts.iter().for_each(|count| footer.extend_from_slice(&count.to_le_bytes()));
        let directory_bytes = (footer.len() - directory_start) as u32;
        footer.extend_from_slice(&directory_bytes.to_le_bytes());
        footer.extend_from_slice(&VERSION.to_le_bytes());
        let checksum = crc32c(&footer);
        // The version stands in front of the checksum that covers it, and both stand where every version will look for them.
        footer.extend_from_slice(&checksum.to_le_bytes());
        footer.extend_from_slice(&MAGIC);
        debug_assert!(footer.len() >= directory_start + directory_bytes as usize + TRAILER_BYTES);
        (self.out)(&self.buffer)?;
        (self.out)(&footer)?;
        Ok(self.at() + footer.len() as u64)
    }
}
