//! Time columns shared by content: all series of a scrape target usually have the same one.
//!
//! 1. The first block with some times writes the column; its head names it in full.
//! 2. The second block with the same times finds it by a 128-bit hash of the times, and promotes it into the directory.
//! 3. From then on heads name it by its number there.
//!
//! So a column that nobody shares costs no directory entry. The table of hashes is bounded: when it is full it is emptied, which costs
//! bytes but never correctness.

use codec::bytes::{Malformed, Reader, put_varint, put_zigzag};

use crate::{
    block::{Span, TimeSource, TimeSpan},
    by_hash::{self, ByHash},
};

/// So many different columns are remembered while a part is written; about 12 MiB.
const REMEMBERED_MAX: usize = 1 << 18;

#[derive(Debug, Clone, Copy)]
enum Known {
    Once(TimeSpan),
    Shared(u32),
}

/// Collects the columns of a part that is written.
#[derive(Debug, Default)]
pub struct TimeDirectoryWriter {
    known: ByHash<Known>,
    shared: Vec<TimeSpan>,
    /// The column before and its hash: series of one target stand side by side.
    last: (Vec<i64>, u128),
}

impl TimeDirectoryWriter {
    /// Finds the column of `times`, or writes it by `write`, which appends the encoded column to the file.
    pub fn place<E>(
        &mut self,
        times: &[i64],
        write: impl FnOnce(&[i64]) -> Result<Span, E>,
    ) -> Result<(TimeSource, TimeSpan), E> {
        if self.last.0 != times {
            self.last.0.clear();
            self.last.0.extend_from_slice(times);
            self.last.1 = hash_of(times);
        }
        let hash = self.last.1;
        if let Some(found) = self.find(hash) {
            return Ok(found);
        }
        let span =
            TimeSpan { span: write(times)?, count: times.len() as u32, first: times[0], last: times[times.len() - 1] };
        if self.known.len() >= REMEMBERED_MAX {
            self.known.clear();
        }
        self.known.insert(hash, Known::Once(span));
        Ok((TimeSource::Own(span), span))
    }

    /// Finds the column whose times have this hash, which is shared from now on.
    pub fn find(&mut self, hash: u128) -> Option<(TimeSource, TimeSpan)> {
        let known = self.known.get_mut(&hash)?;
        let number = match *known {
            Known::Shared(number) => number,
            Known::Once(span) => {
                let number = self.shared.len() as u32;
                self.shared.push(span);
                *known = Known::Shared(number);
                number
            }
        };
        Some((TimeSource::Shared(number), self.shared[number as usize]))
    }

    /// The hash of the times that were placed last.
    pub fn last_hash(&self) -> u128 {
        self.last.1
    }

    /// Appends the directory.
    pub fn finish(self, out: &mut Vec<u8>) {
        put_varint(out, self.shared.len() as u64);
        let (mut offset, mut first) = (0, 0);
        for column in &self.shared {
            put_zigzag(out, column.span.offset.wrapping_sub(offset) as i64);
            put_varint(out, u64::from(column.span.len));
            put_varint(out, u64::from(column.count));
            put_zigzag(out, column.first.wrapping_sub(first));
            put_varint(out, column.last.wrapping_sub(column.first) as u64);
            (offset, first) = (column.span.offset, column.first);
        }
    }
}

/// Reads a directory.
pub fn read_time_directory(bytes: &[u8]) -> Result<Vec<TimeSpan>, Malformed> {
    let mut reader = Reader::new(bytes);
    let columns = reader.varint()? as usize;
    if columns > bytes.len() {
        return Err(Malformed { what: "more time columns than bytes", offset: 0 });
    }
    let mut shared = Vec::with_capacity(columns);
    let (mut offset, mut first) = (0u64, 0i64);
    for _ in 0..columns {
        offset = offset.wrapping_add(reader.zigzag()? as u64);
        let len = narrow(&mut reader, "time column too long")?;
        let count = narrow(&mut reader, "too many times")?;
        first = first.wrapping_add(reader.zigzag()?);
        let last = first.wrapping_add(reader.varint()? as i64);
        shared.push(TimeSpan { span: Span { offset, len }, count, first, last });
    }
    if !reader.is_empty() {
        return Err(Malformed { what: "bytes behind the time directory", offset: reader.position() });
    }
    Ok(shared)
}

pub(crate) fn narrow(reader: &mut Reader<'_>, what: &'static str) -> Result<u32, Malformed> {
    let offset = reader.position();
    u32::try_from(reader.varint()?).map_err(|_| Malformed { what, offset })
}

fn hash_of(times: &[i64]) -> u128 {
    // In pieces, because bytes have to be made of them.
    let mut bytes = [0u8; 8 * 64];
    let mut hash = times.len() as u128;
    for chunk in times.chunks(64) {
        for (slot, time) in bytes.chunks_exact_mut(8).zip(chunk) {
            slot.copy_from_slice(&time.to_le_bytes());
        }
        let before = (hash >> 64) as u64 ^ hash as u64;
        hash = hash.rotate_left(41) ^ by_hash::hash_of(&bytes[..chunk.len() * 8], before);
    }
    hash
}
