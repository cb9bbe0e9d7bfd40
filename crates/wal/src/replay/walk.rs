//! Walks the records of a segment, over damage too.
//!
//! 1. A frame that checks out leads to the next one. Whether its payload is whole is asked later, by whoever reads it.
//! 2. Where there is no frame, the next offset that has one is searched. Frames carry checksums with the segment's
//!    salt and their own offset, so what is found was written there.
//! 3. Without another frame the rest is the tail that the last write tore; if it is zeros, it is room that was made for later records.

use disk::Map;

use crate::format::{FRAME_BYTES, Frame, HEADER_BYTES, Kind};

/// A record whose frame checks out and whose payload lies inside the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// Where its frame stands.
    pub offset: usize,
    pub frame: Frame,
    pub payload: &'a [u8],
}

impl Record<'_> {
    /// Its kind, if this program knows it.
    pub(super) fn kind(&self) -> Option<Kind> {
        Kind::from_number(self.frame.kind)
    }

    /// Whether the payload is what was written.
    pub(super) fn is_whole(&self) -> bool {
        self.frame.vouches_for(self.payload)
    }

    /// The offset behind it.
    pub(super) fn end(&self) -> usize {
        self.offset + FRAME_BYTES + self.payload.len()
    }
}

/// What a walk comes across.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Record(Record<'a>),
    /// Bytes from here up to the next frame, or to the end, that are no record.
    Gap {
        offset: usize,
    },
}

/// Walks a segment from its first record to its end.
pub(super) struct Walk<'a> {
    segment: &'a [u8],
    salt: u64,
    at: usize,
}

impl<'a> Walk<'a> {
    /// Starts behind the header of `segment`.
    pub(super) fn new(segment: &'a [u8], salt: u64) -> Self {
        Self { segment, salt, at: HEADER_BYTES.min(segment.len()) }
    }

    fn frame_at(&self, at: usize) -> Option<Frame> {
        Frame::read(&self.segment[at..], self.salt, at as u64)
    }
}

/// How many bytes from `start` on are no room for later records. Zeros may also stand for what the drive cannot read.
pub(super) fn written_from(segment: &Map, start: usize) -> usize {
    let rest = &segment[start.min(segment.len())..];
    if segment.unreadable_pages() > 0 {
        return rest.len();
    }
    rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

impl<'a> Iterator for Walk<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        let offset = self.at;
        if offset == self.segment.len() {
            return None;
        }
        let Some(frame) = self.frame_at(offset) else {
            if self.segment[offset..].iter().all(|byte| *byte == 0) {
                self.at = self.segment.len();
                return None;
            }
            let next = (offset + 1..self.segment.len()).find(|at| self.frame_at(*at).is_some());
            self.at = next.unwrap_or(self.segment.len());
            return Some(Found::Gap { offset });
        };
        let start = offset + FRAME_BYTES;
        match self.segment.get(start..start + frame.payload_bytes as usize) {
            Some(payload) => {
                self.at = start + payload.len();
                Some(Found::Record(Record { offset, frame, payload }))
            }
            // The frame is authentic, so nothing but its payload can follow.
            None => {
                self.at = self.segment.len();
                Some(Found::Gap { offset })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Header;

    const SALT: u64 = 77;

    fn segment(payloads: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Header { number: 1, salt: SALT }.to_bytes();
        for payload in payloads {
            let frame = Frame::of(Kind::Metadata, payload).to_bytes(SALT, bytes.len() as u64);
            bytes.extend_from_slice(&frame);
            bytes.extend_from_slice(payload);
        }
        bytes
    }

    /// The payloads that a walk finds whole, `None` for every gap.
    fn walk(bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
        Walk::new(bytes, SALT)
            .map(|found| match found {
                Found::Record(record) => Some(record.payload.to_vec()),
                Found::Gap { .. } => None,
            })
            .collect()
    }

    #[test]
    fn a_damaged_frame_costs_its_record() {
        let good = segment(&[b"one", b"two", b"three"]);
        let all = [&b"one"[..], b"two", b"three"].map(|payload| Some(payload.to_vec()));
        assert_eq!(walk(&good), all);
        let mut bad = good.clone();
        bad[HEADER_BYTES + FRAME_BYTES + 3] ^= 1;
        assert_eq!(walk(&bad), [all[0].clone(), None, all[2].clone()]);
        assert_eq!(walk(&good[..good.len() - 1]), [all[0].clone(), all[1].clone(), None]);
        assert_eq!(walk(&good[..HEADER_BYTES]), []);
        assert_eq!(walk(&good[..5]), []);
    }

    #[test]
    fn a_record_inside_a_payload_is_no_record() {
        let inner = segment(&[b"inner"]);
        let mut outer = segment(&[&inner[HEADER_BYTES..], b"last"]);
        outer[HEADER_BYTES] ^= 1;
        assert_eq!(walk(&outer), [None, Some(b"last".to_vec())]);
    }
}
