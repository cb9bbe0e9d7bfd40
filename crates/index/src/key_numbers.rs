//! Series named by numbers instead of by their keys.
//!
//! 1. A source of series (the index of the head or of a part) has numbers for the families, origins and bounds of its keys.
//! 2. Who takes series from it in key order learns from each key that it sees what the numbers of its pieces mean, and needs no further key
//!    with the same pieces: most series have an origin that came with another metric before. Making a key of half a kilobyte, taking it apart and
//!    hashing it was a fifth of a flush with few samples a series.

use hashbrown::HashMap;

/// The numbers that a source has for the pieces of a key. They mean something only there, and while the series is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyNumbers {
    /// Of tenant and metric name.
    pub family: u32,
    /// Of the labels without metric name and `le`.
    pub origin: u32,
    /// Of the value of `le`, if there is one.
    pub bound: Option<u32>,
}

/// Nothing is known of an origin.
const UNKNOWN: u32 = u32::MAX;

/// What the numbers of one source mean to somebody who has numbers of his own.
#[derive(Debug, Default)]
pub struct KnownNumbers {
    /// The family that was seen last; families come one after the other.
    family: Option<(u32, u32)>,
    origins: Vec<u32>,
    bounds: HashMap<u32, u32>,
}

impl KnownNumbers {
    /// What all three numbers mean, if that is known and the family is the one that was seen last.
    #[inline]
    pub fn get(&self, theirs: KeyNumbers) -> Option<KeyNumbers> {
        let (_, family) = self.family.filter(|(family, _)| *family == theirs.family)?;
        let origin = self.origins.get(theirs.origin as usize).copied().filter(|origin| *origin != UNKNOWN)?;
        let bound = match theirs.bound {
            None => None,
            Some(bound) => Some(*self.bounds.get(&bound)?),
        };
        Some(KeyNumbers { family, origin, bound })
    }

    /// Learns what the numbers of a key mean.
    pub fn learn(&mut self, theirs: KeyNumbers, ours: KeyNumbers) {
        self.family = Some((theirs.family, ours.family));
        let at = theirs.origin as usize;
        if self.origins.len() <= at {
            self.origins.resize(at + 1, UNKNOWN);
        }
        self.origins[at] = ours.origin;
        if let (Some(theirs), Some(ours)) = (theirs.bound, ours.bound) {
            self.bounds.insert(theirs, ours);
        }
    }

    /// Bytes of memory in use.
    pub fn bytes(&self) -> usize {
        self.origins.capacity() * 4 + self.bounds.capacity() * 9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_known_when_all_their_pieces_were_seen() {
        let of = |family, origin, bound| KeyNumbers { family, origin, bound };
        let mut known = KnownNumbers::default();
        assert_eq!(known.get(of(0, 0, None)), None);
        known.learn(of(3, 5, Some(7)), of(0, 1, Some(2)));
        known.learn(of(3, 9, None), of(0, 4, None));
        assert_eq!(known.get(of(3, 5, None)), Some(of(0, 1, None)));
        assert_eq!(known.get(of(3, 9, Some(7))), Some(of(0, 4, Some(2))));
        for unknown in [of(2, 5, None), of(3, 6, None), of(3, 100, None), of(3, 5, Some(8))] {
            assert_eq!(known.get(unknown), None);
        }
        known.learn(of(4, 9, None), of(1, 4, None));
        assert_eq!((known.get(of(4, 5, Some(7))), known.get(of(3, 5, None))), (Some(of(1, 1, Some(2))), None));
    }
}
