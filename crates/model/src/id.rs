//! The canonical id of a series: the same on every node and after every restart.

use std::fmt;

use crate::key::SeriesKey;

/// How many virtual shards the series of a cluster are spread over.
pub const SHARDS: usize = 1024;

/// A 128-bit hash of the canonical key. Version 1 is the first 16 bytes, little endian, of BLAKE3 over the key's bytes.
///
/// Parts and nodes join series by id without reading keys again, so nobody outside may be able to make two keys with one id: the hash is a
/// cryptographic one, computed once per new series. Whoever holds both keys anyway still compares them
/// (docs/decisions/2026-11-20-series-ids-by-blake3.md).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesId(pub u128);

impl SeriesId {
    /// The id of a canonical key.
    pub fn of(key: &SeriesKey) -> Self {
        Self::of_bytes(key.as_bytes())
    }

    /// The id of the bytes of a canonical key.
    pub fn of_bytes(key: &[u8]) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&blake3::hash(key).as_bytes()[..16]);
        Self(u128::from_le_bytes(id))
    }

    /// The virtual shard that the series belongs to, below [`SHARDS`]: the top bits of the id.
    pub fn shard(self) -> u16 {
        const { assert!(SHARDS == 1 << 10) };
        (self.0 >> (128 - 10)) as u16
    }
}

impl fmt::Debug for SeriesId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_pinned() {
        // Parts and nodes of every later version depend on this value.
        assert_eq!(format!("{:?}", SeriesId::of_bytes(b"basalt")), "7f735380c97d844abe5fb33104cf7166");
    }

    #[test]
    fn shards_cover_the_whole_range() {
        assert_eq!(SeriesId(0).shard(), 0);
        assert_eq!(usize::from(SeriesId(u128::MAX).shard()), SHARDS - 1);
    }
}
