//! The bytes of one file: what processes see, and what is on the platters.
//!
//! 1. `cache` is the page cache: what every reader sees while the machine runs.
//! 2. `disk` is what was written back by a sync.
//! 3. Files only grow at their end, or into the zeros that were reserved there, so what is dirty is one range, from `dirty_from` to the end of
//!    the cache. A sync copies it over; a sync that fails and drops forgets it, which leaves a hole
//!    that no later sync fills.
//! 4. At a power cut the dirty range survives whole, in part, by scattered sectors, or not at all.

use std::ops::Range;
use std::sync::{Arc, Weak};

use disk::Map;

use crate::Rng;

/// What a drive writes whole or not at all.
const SECTOR_BYTES: usize = 512;

#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    pub(super) cache: Vec<u8>,
    pub(super) disk: Vec<u8>,
    dirty_from: usize,
    /// A cut that no sync has made durable: the platters still have what stood behind it.
    cut_at: Option<usize>,
    /// How many names lead here, as processes see it.
    pub(super) links: usize,
    maps: Vec<(Weak<()>, usize)>,
}

/// The bytes behind a map, which tell the file when nobody holds them any more.
struct Watched {
    bytes: Vec<u8>,
    _in_use: Arc<()>,
}

impl AsRef<[u8]> for Watched {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Contents {
    /// A file whose bytes are all durable.
    pub(super) fn durable(bytes: Vec<u8>) -> Contents {
        Contents { disk: bytes.clone(), dirty_from: bytes.len(), cache: bytes, ..Contents::default() }
    }

    /// Writes at the end, or over zeros that were reserved.
    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        overlay_bytes(&mut self.cache, at, bytes);
        self.dirty_from = self.dirty_from.min(at);
    }

    /// Makes the file longer by zeros.
    pub(super) fn reserve(&mut self, len: usize) {
        self.cache.resize(self.cache.len().max(len), 0);
    }

    /// Shortens the file, as yet only in the cache.
    pub(super) fn cut(&mut self, keep: usize) {
        assert!(keep <= self.cache.len(), "BUG: a cut makes a file shorter");
        self.cache.truncate(keep);
        self.dirty_from = self.dirty_from.min(keep);
        self.cut_at = Some(self.cut_at.map_or(keep, |earlier| earlier.min(keep)));
    }

    /// The longest map that somebody still holds.
    pub(super) fn mapped(&mut self) -> usize {
        self.maps.retain(|(in_use, _)| in_use.strong_count() > 0);
        self.maps.iter().map(|(_, len)| *len).max().unwrap_or(0)
    }

    pub(super) fn forget_maps(&mut self) {
        self.maps.clear();
    }

    pub(super) fn map(&mut self) -> Map {
        let in_use = Arc::new(());
        self.mapped();
        self.maps.push((Arc::downgrade(&in_use), self.cache.len()));
        Map::from_owner(Watched { bytes: self.cache.clone(), _in_use: in_use })
    }

    /// Writes everything dirty to the platters.
    pub(super) fn sync(&mut self) {
        // Shorter after a cut, longer after a sync that dropped what it should have written.
        self.disk.resize(self.dirty_from, 0);
        self.cut_at = None;
        self.disk.extend_from_slice(&self.cache[self.dirty_from..]);
        self.dirty_from = self.cache.len();
    }

    /// A sync that failed on the way: some sectors arrived, and the kernel will write none again.
    pub(super) fn drop_dirty(&mut self, rng: &mut Rng) {
        self.disk = self.after_cut(rng);
        self.dirty_from = self.cache.len();
        self.cut_at = None;
    }

    /// Whether a power cut now would certainly leave exactly what readers see.
    pub(super) fn is_durable(&self) -> bool {
        self.disk == self.cache
    }

    /// Changes a byte for everybody, as a drive does that decays.
    pub(super) fn damage(&mut self, offset: usize, xor: u8) {
        assert!(offset < self.cache.len(), "BUG: byte {offset} of {}", self.cache.len());
        self.cache[offset] ^= xor;
        if let Some(byte) = self.disk.get_mut(offset) {
            *byte ^= xor;
        }
    }

    /// Shortens the file for everybody at once.
    pub(super) fn truncate(&mut self, len: usize) {
        self.cut(len);
        self.disk.truncate(len);
        self.cut_at = None;
    }

    /// Replaces all bytes, durably.
    pub(super) fn replace(&mut self, bytes: &[u8]) {
        *self = Contents { links: self.links, ..Contents::durable(bytes.to_vec()) };
    }

    /// The file after the power came back, when this many names lead to it.
    pub(super) fn survivor(&self, links: usize, rng: &mut Rng) -> Contents {
        Contents { links, ..Contents::durable(self.after_cut(rng)) }
    }

    fn after_cut(&self, rng: &mut Rng) -> Vec<u8> {
        let mut image = self.disk.clone();
        if let Some(cut) = self.cut_at.filter(|_| rng.chance(0.5)) {
            image.truncate(cut);
        }
        let dirty = self.dirty_from..self.cache.len();
        if dirty.is_empty() {
            return image;
        }
        match rng.below(4) {
            0 => {}
            1 => overlay(&mut image, &self.cache, dirty),
            2 => {
                let end = dirty.start + rng.index(dirty.len() + 1);
                overlay(&mut image, &self.cache, dirty.start..end);
            }
            _ => self.scatter(&mut image, dirty, rng),
        }
        image
    }

    /// The length arrived, wholly or in part, but only some of the sectors below it.
    fn scatter(&self, image: &mut Vec<u8>, dirty: Range<usize>, rng: &mut Rng) {
        let whole = rng.chance(0.5);
        let len = if whole { dirty.end } else { dirty.start + rng.index(dirty.len() + 1) };
        image.resize(image.len().max(len), 0);
        let probability = *rng.pick(&[0.2, 0.5, 0.8]);
        let mut start = dirty.start;
        while start < len {
            let end = (start + 1).next_multiple_of(SECTOR_BYTES).min(len);
            if rng.chance(probability) {
                overlay(image, &self.cache, start..end);
            }
            start = end;
        }
    }
}

/// Copies `range` of `from` to the same place of `image`.
fn overlay(image: &mut Vec<u8>, from: &[u8], range: Range<usize>) {
    overlay_bytes(image, range.start, &from[range]);
}

fn overlay_bytes(image: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    image.resize(image.len().max(end), 0);
    image[at..end].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(durable: usize, dirty: usize) -> Contents {
        let mut file = Contents::default();
        file.write(0, &vec![1; durable]);
        file.sync();
        file.write(durable, &vec![2; dirty]);
        file
    }

    #[test]
    fn synced_bytes_always_survive() {
        let file = written(700, 3000);
        for seed in 0..500 {
            let after = file.survivor(1, &mut Rng::new(seed));
            assert!(after.cache.len() >= 700 && after.cache.len() <= 3700);
            assert_eq!(after.cache[..700], [1; 700], "seed {seed}");
            assert!(after.cache[700..].iter().all(|&byte| byte == 2 || byte == 0));
            assert!(after.is_durable());
        }
    }

    #[test]
    fn unsynced_bytes_survive_in_every_way() {
        let file = written(700, 3000);
        let after: Vec<_> = (0..500).map(|seed| file.survivor(1, &mut Rng::new(seed)).cache).collect();
        let holed = |bytes: &Vec<u8>| bytes.len() == 3700 && bytes.contains(&0);
        assert!(after.iter().any(|bytes| bytes.len() == 700), "none of them");
        assert!(after.contains(&file.cache), "all of them");
        assert!(after.iter().any(|bytes| bytes.len() > 700 && bytes.len() < 3700), "a part of the length");
        assert!(after.iter().any(holed), "the length without all sectors");
        // A hole begins and ends at sectors, or where the dirty range does.
        for bytes in &after {
            let edge = |at: &usize| (bytes[*at] == 0) != (bytes[at - 1] == 0);
            assert!((701..bytes.len()).filter(edge).all(|at| at % SECTOR_BYTES == 0));
        }
    }

    #[test]
    fn a_failed_sync_leaves_a_hole_that_no_later_sync_fills() {
        let lost = (0..50).filter(|&seed| {
            let mut file = written(0, 2000);
            file.drop_dirty(&mut Rng::new(seed));
            file.write(2000, &[3; 100]);
            file.sync();
            assert_eq!(file.cache[..2000], [2; 2000], "readers see it as long as the machine runs");
            let after = file.survivor(1, &mut Rng::new(seed)).cache;
            assert_eq!(after[2000..], [3; 100]);
            after[..2000].contains(&0)
        });
        assert!(lost.count() > 10);
    }

    #[test]
    fn bytes_behind_a_cut_may_come_back_until_a_sync() {
        let mut file = written(1000, 0);
        file.cut(400);
        let lens: Vec<_> = (0..50).map(|seed| file.survivor(1, &mut Rng::new(seed)).cache.len()).collect();
        assert!(lens.contains(&400) && lens.contains(&1000));
        file.sync();
        assert!((0..50).all(|seed| file.survivor(1, &mut Rng::new(seed)).cache == [1; 400]));
    }

    #[test]
    fn what_lies_over_reserved_room_survives_when_it_is_synced() {
        let mut file = written(700, 0);
        file.reserve(5000);
        file.sync();
        file.write(700, &[2; 3000]);
        let before: Vec<_> = (0..500).map(|seed| file.survivor(1, &mut Rng::new(seed)).cache).collect();
        assert!(before.iter().all(|bytes| bytes.len() == 5000 && bytes[..700] == [1; 700]));
        assert!(before.iter().any(|bytes| bytes[700..3700] == [0; 3000]), "none of it");
        assert!(before.iter().any(|bytes| bytes[700..3700] == [2; 3000]), "all of it");
        file.sync();
        let after = [&[1; 700][..], &[2; 3000], &[0; 1300]].concat();
        assert!((0..50).all(|seed| file.survivor(1, &mut Rng::new(seed)).cache == after));
    }

    #[test]
    fn a_map_is_seen_until_its_last_slice_is_gone() {
        let mut file = written(10, 0);
        let slice = file.map().slice(2..4);
        assert_eq!(file.mapped(), 10);
        drop(slice);
        assert_eq!(file.mapped(), 0);
    }
}
