//! The sixteen bytes before every payload.
//!
//! 1. A frame has a checksum of its own, seeded with the segment's salt and the offset of the frame in the file. So
//!    a frame that checks out was written here, in this segment; its length can be believed even if the payload is
//!    damaged, and then exactly one record is lost.
//! 2. After a damaged frame the reader tries every following offset. The seeds make it practically impossible that
//!    bytes inside a payload, or an old copy of a record, pass for a frame.
//! 3. The payload's checksum stands in the frame and is plain: an authentic frame vouches for it.

use disk::{crc32c, crc32c_append};

/// The bytes of a frame.
pub(crate) const FRAME_BYTES: usize = 16;
/// No payload is longer.
pub const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// What a record holds. The numbers are part of the format; 0 is never used, so that zeros are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Slots with their series' keys and base values.
    Definitions = 1,
    /// Float samples.
    Floats = 2,
    /// A deletion, opaque.
    Tombstone = 3,
    /// Metric metadata, opaque.
    Metadata = 4,
    // 5 and up are free: histogram samples, samples with start times. A program that writes a new kind writes a new
    // format version, because an older one would drop acknowledged samples.
}

impl Kind {
    /// The kind with this number.
    pub(crate) fn from_number(number: u8) -> Option<Kind> {
        match number {
            1 => Some(Kind::Definitions),
            2 => Some(Kind::Floats),
            3 => Some(Kind::Tombstone),
            4 => Some(Kind::Metadata),
            _ => None,
        }
    }
}

/// A record's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The kind's number, known or not.
    pub kind: u8,
    /// The bytes behind the frame.
    pub payload_bytes: u32,
    /// Their checksum.
    pub payload_crc: u32,
}

impl Frame {
    /// The frame for `payload`.
    pub(crate) fn of(kind: Kind, payload: &[u8]) -> Frame {
        assert!(payload.len() <= PAYLOAD_BYTES_MAX, "BUG: payload of {} bytes", payload.len());
        Frame { kind: kind as u8, payload_bytes: payload.len() as u32, payload_crc: crc32c(payload) }
    }

    /// The bytes of the frame at `offset` in a segment with this salt.
    pub(crate) fn to_bytes(self, salt: u64, offset: u64) -> [u8; FRAME_BYTES] {
        let mut bytes = [0; FRAME_BYTES];
        bytes[..4].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[4] = self.kind;
        bytes[8..12].copy_from_slice(&self.payload_crc.to_le_bytes());
        let checksum = checksum(&bytes[..12], salt, offset);
        bytes[12..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the frame in `bytes`, which stand at `offset`; `None` if there is none.
    #[inline]
    pub(crate) fn read(bytes: &[u8], salt: u64, offset: u64) -> Option<Frame> {
        let bytes = bytes.first_chunk::<FRAME_BYTES>()?;
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let frame = Frame { kind: bytes[4], payload_bytes: u32_at(0), payload_crc: u32_at(8) };
        // The cheap tests first: resynchronising asks this at every byte of what is damaged.
        let plausible = frame.kind != 0 && bytes[5..8] == [0; 3] && frame.payload_bytes as usize <= PAYLOAD_BYTES_MAX;
        (plausible && u32_at(12) == checksum(&bytes[..12], salt, offset)).then_some(frame)
    }

    /// Whether `payload` is what was framed.
    pub(crate) fn vouches_for(&self, payload: &[u8]) -> bool {
        crc32c(payload) == self.payload_crc
    }
}

fn checksum(frame: &[u8], salt: u64, offset: u64) -> u32 {
    let seed = crc32c_append(crc32c(&salt.to_le_bytes()), &offset.to_le_bytes());
    crc32c_append(seed, frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_valid_at_its_place_in_its_segment_only() {
        let frame = Frame::of(Kind::Floats, b"payload");
        let bytes = frame.to_bytes(7, 8192);
        assert_eq!(Frame::read(&bytes, 7, 8192), Some(frame));
        assert_eq!(Frame::read(&bytes, 8, 8192), None);
        assert_eq!(Frame::read(&bytes, 7, 8193), None);
        assert_eq!(Frame::read(&bytes[..15], 7, 8192), None);
        assert_eq!(Frame::read(&[0; 16], 7, 8192), None);
        assert!(frame.vouches_for(b"payload") && !frame.vouches_for(b"payloads"));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = Frame::of(Kind::Tombstone, &[9; 300]).to_bytes(1, 2);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Frame::read(&bad, 1, 2), None, "bit {bit}");
        }
    }

    #[test]
    fn kinds_keep_their_numbers() {
        for (kind, number) in [(Kind::Definitions, 1), (Kind::Floats, 2), (Kind::Tombstone, 3), (Kind::Metadata, 4)] {
            assert_eq!(kind as u8, number);
            assert_eq!(Kind::from_number(number), Some(kind));
        }
        assert_eq!(Kind::from_number(0), None);
    }
}
