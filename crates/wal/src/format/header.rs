//! The header area of a segment: number, format version and salt, twice.
//!
//! 1. The salt is random and seeds the checksum of every frame, so that a client who chooses label values cannot
//!    write bytes that pose as a record. Without the salt no frame can be checked.
//! 2. Therefore the header stands in two pages of the area: what spoils one sector does not cost the segment.
//! 3. Magic, version and checksum keep their places in all versions to come, so that an old program can say which
//!    version it has met.

use disk::crc32c;

/// The format version that is written, and the latest that is read.
pub(crate) const VERSION: u32 = 1;
/// The bytes before the first record.
pub(crate) const HEADER_BYTES: usize = 8192;

const MAGIC: [u8; 8] = *b"basaltwl";
const COPY_BYTES: usize = 40;
/// Where the copies stand: in different pages.
const COPIES_AT: [usize; 2] = [0, 4096];

const _: () = assert!(COPIES_AT[1] + COPY_BYTES <= HEADER_BYTES);

/// What the header of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// The segment's number, also its file's name.
    pub number: u64,
    /// Seeds the checksums of the frames.
    pub salt: u64,
}

/// Why a header cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// The file ends inside the header area.
    Short,
    /// Neither copy is whole.
    Damaged,
    /// A version that came later.
    Newer(u32),
}

impl Header {
    /// The header area.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut copy = [0; COPY_BYTES];
        copy[..8].copy_from_slice(&MAGIC);
        copy[8..12].copy_from_slice(&VERSION.to_le_bytes());
        copy[16..24].copy_from_slice(&self.number.to_le_bytes());
        copy[24..32].copy_from_slice(&self.salt.to_le_bytes());
        let checksum = crc32c(&copy[..36]);
        copy[36..].copy_from_slice(&checksum.to_le_bytes());
        let mut area = vec![0; HEADER_BYTES];
        for at in COPIES_AT {
            area[at..at + COPY_BYTES].copy_from_slice(&copy);
        }
        area
    }

    /// Reads the header area at the beginning of `file`.
    pub(crate) fn read(file: &[u8]) -> Result<Header, HeaderError> {
        if file.len() < HEADER_BYTES {
            return Err(HeaderError::Short);
        }
        let copies = COPIES_AT.map(|at| read_copy(&file[at..at + COPY_BYTES]));
        let whole = copies.iter().find(|copy| copy.is_ok());
        let newer = copies.iter().find(|copy| matches!(copy, Err(HeaderError::Newer(_))));
        match whole.or(newer) {
            Some(Ok(header)) => Ok(*header),
            Some(Err(HeaderError::Newer(version))) => Err(HeaderError::Newer(*version)),
            _ => Err(HeaderError::Damaged),
        }
    }
}

fn read_copy(copy: &[u8]) -> Result<Header, HeaderError> {
    let u32_at = |at: usize| u32::from_le_bytes(copy[at..at + 4].try_into().expect("BUG: four bytes"));
    let u64_at = |at: usize| u64::from_le_bytes(copy[at..at + 8].try_into().expect("BUG: eight bytes"));
    if copy[..8] != MAGIC || u32_at(36) != crc32c(&copy[..36]) {
        return Err(HeaderError::Damaged);
    }
    match u32_at(8) {
        VERSION => Ok(Header { number: u64_at(16), salt: u64_at(24) }),
        0 => Err(HeaderError::Damaged),
        later => Err(HeaderError::Newer(later)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header { number: 0x0123_4567_89ab_cdef, salt: 0xfeed_0000_0000_beef };

    #[test]
    fn one_damaged_copy_is_made_good_by_the_other() {
        let good = HEADER.to_bytes();
        assert_eq!(Header::read(&good), Ok(HEADER));
        for at in 0..HEADER_BYTES {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            assert_eq!(Header::read(&bad), Ok(HEADER), "byte {at}");
        }
        let mut page_lost = good.clone();
        page_lost[..4096].fill(0xff);
        assert_eq!(Header::read(&page_lost), Ok(HEADER));
        page_lost[4096..].fill(0);
        assert_eq!(Header::read(&page_lost), Err(HeaderError::Damaged));
        assert_eq!(Header::read(&good[..HEADER_BYTES - 1]), Err(HeaderError::Short));
    }

    #[test]
    fn a_later_version_is_told_from_damage() {
        let mut area = HEADER.to_bytes();
        for at in COPIES_AT {
            area[at + 8] = 9;
            let checksum = crc32c(&area[at..at + 36]);
            area[at + 36..at + 40].copy_from_slice(&checksum.to_le_bytes());
        }
        assert_eq!(Header::read(&area), Err(HeaderError::Newer(9)));
    }
}
