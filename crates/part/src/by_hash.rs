//! Tables of what stands in a part already, found by its content.
//!
//! The key is a 128-bit hash with a seed of the process, so nobody outside can make two contents with one hash; the table goes by some of its bits as
//! they are.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
    sync::LazyLock,
};

use xxhash_rust::xxh3::xxh3_128_with_seed;

/// A table by hash of content.
pub(crate) type ByHash<T> = HashMap<u128, T, BuildHasherDefault<LowBits>>;

static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one("contents of parts"));

/// The hash of some bytes, and of a number that stands for what came before them.
pub(crate) fn hash_of(bytes: &[u8], before: u64) -> u128 {
    xxh3_128_with_seed(bytes, SEED.wrapping_add(before))
}

/// Takes the low bits of a number that is a hash already.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct LowBits(u64);

impl Hasher for LowBits {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("BUG: only hashes are hashed so");
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_told_apart() {
        let mut table = ByHash::default();
        for (number, bytes) in [&b""[..], b"a", b"b", b"ab"].into_iter().enumerate() {
            assert_eq!(table.insert(hash_of(bytes, 0), number), None);
            assert_eq!(table.insert(hash_of(bytes, 1), number), None);
        }
        assert_eq!(table.get(&hash_of(b"b", 0)), Some(&2));
    }
}
