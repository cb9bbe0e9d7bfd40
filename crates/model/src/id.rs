//! The canonical id of a series: the same on every node and after every restart.

use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

use crate::key::SeriesKey;

/// How many virtual shards the series of a cluster are spread over.
pub const SHARDS: usize = 1024;

/// A 128-bit hash of the canonical key. Version 1 is XXH3-128 without a seed over the key's bytes.
///
/// Equal ids with different keys are possible in principle; whoever joins series by id compares keys where equal ids first meet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesId(pub u128);

impl SeriesId {
    /// The id of a canonical key.
    pub fn of(key: &SeriesKey) -> Self {
        Self::of_bytes(key.as_bytes())
    }

    /// The id of the bytes of a canonical key.
    pub fn of_bytes(key: &[u8]) -> Self {
        Self(xxh3_128(key))
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
        assert_eq!(format!("{:?}", SeriesId::of_bytes(b"basalt")), "bd85a9575855860749bbd8643a31ee27");
    }

    #[test]
    fn shards_cover_the_whole_range() {
        assert_eq!(SeriesId(0).shard(), 0);
        assert_eq!(usize::from(SeriesId(u128::MAX).shard()), SHARDS - 1);
    }
}
