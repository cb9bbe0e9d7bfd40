//! The series of many sources as one list in key order.
//!
//! 1. Each source (a part, the head) gives its series' ids in key order.
//! 2. The first source makes the list. For each further one the id that follows in the list is tried first: parts of neighbouring days mostly have the same series.
//!    Else a table of ids answers.
//! 3. Series that no source before had are merged into the list by key. Only for these, and for those beside them in the list, keys are read.
//! 4. In the end every source knows the place in the list of each of its series.

use std::collections::HashMap;

use model::{SeriesId, SeriesKey};
use storage_api::SelectError;

/// A source of series.
pub trait SeriesSource {
    /// How many series.
    fn len(&self) -> usize;
    /// The id of a series by its place in the source.
    fn id(&self, at: usize) -> SeriesId;
    /// The key of a series by its place in the source.
    fn read_key(&self, at: usize, key: &mut SeriesKey) -> Result<(), SelectError>;
}

/// The list.
#[derive(Debug, Default)]
pub struct Union {
    /// Ids in key order.
    pub ids: Vec<SeriesId>,
    /// For each place in the list a source and a place in it where the key can be read.
    pub origin: Vec<(u32, u32)>,
    /// For each source the place in the list of each of its series.
    pub ranks: Vec<Vec<u32>>,
}

struct Builder<'a> {
    sources: &'a [&'a dyn SeriesSource],
    /// Series by number of arrival.
    ids: Vec<SeriesId>,
    origin: Vec<(u32, u32)>,
    /// Arrival numbers in key order.
    order: Vec<u32>,
    /// The inverse of `order`.
    place: Vec<u32>,
    table: HashMap<SeriesId, u32, IdHash>,
}

/// Joins the sources.
pub fn unite(sources: &[&dyn SeriesSource]) -> Result<Union, SelectError> {
    let mut builder = Builder {
        sources,
        ids: Vec::new(),
        origin: Vec::new(),
        order: Vec::new(),
        place: Vec::new(),
        table: HashMap::default(),
    };
    let mut by_size: Vec<usize> = (0..sources.len()).collect();
    by_size.sort_by_key(|at| std::cmp::Reverse(sources[*at].len()));
    let mut arrivals: Vec<Vec<u32>> = vec![Vec::new(); sources.len()];
    for (turn, at) in by_size.iter().enumerate() {
        arrivals[*at] = builder.add(*at, turn + 1 < by_size.len())?;
    }
    for arrival in arrivals.iter_mut().flatten() {
        *arrival = builder.place[*arrival as usize];
    }
    Ok(Union {
        ids: builder.order.iter().map(|arrival| builder.ids[*arrival as usize]).collect(),
        origin: builder.order.iter().map(|arrival| builder.origin[*arrival as usize]).collect(),
        ranks: arrivals,
    })
}

impl Builder<'_> {
    fn add(&mut self, at: usize, more_follow: bool) -> Result<Vec<u32>, SelectError> {
        let source = self.sources[at];
        let known = self.ids.len();
        let mut arrivals = Vec::with_capacity(source.len());
        let mut next = 0;
        for number in 0..source.len() {
            let id = source.id(number);
            let predicted = self.order.get(next).copied().filter(|arrival| self.ids[*arrival as usize] == id);
            let arrival = match predicted.or_else(|| self.table.get(&id).copied()) {
                Some(arrival) => arrival,
                None => {
                    let arrival = self.ids.len() as u32;
                    self.ids.push(id);
                    self.origin.push((at as u32, number as u32));
                    arrival
                }
            };
            if let Some(place) = self.place.get(arrival as usize) {
                next = *place as usize + 1;
            }
            arrivals.push(arrival);
        }
        let fresh: Vec<u32> = (known as u32..self.ids.len() as u32).collect();
        if fresh.is_empty() {
            return Ok(arrivals);
        }
        self.merge(&fresh)?;
        if more_follow {
            self.table.extend(fresh.iter().map(|arrival| (self.ids[*arrival as usize], *arrival)));
        }
        Ok(arrivals)
    }

    fn read_key(&self, arrival: u32, key: &mut SeriesKey) -> Result<(), SelectError> {
        let (source, number) = self.origin[arrival as usize];
        self.sources[source as usize].read_key(number as usize, key)
    }

    /// Merges sorted newcomers into the order: each looks for its place from where the one before stands, by doubling steps.
    fn merge(&mut self, fresh: &[u32]) -> Result<(), SelectError> {
        let old = std::mem::take(&mut self.order);
        let mut merged = Vec::with_capacity(old.len() + fresh.len());
        let (mut key, mut other) = (SeriesKey::default(), SeriesKey::default());
        let mut from = 0;
        for arrival in fresh {
            if from < old.len() {
                self.read_key(*arrival, &mut key)?;
                let to = self.seek(&old, from, &key, &mut other)?;
                merged.extend_from_slice(&old[from..to]);
                from = to;
            }
            merged.push(*arrival);
        }
        merged.extend_from_slice(&old[from..]);
        self.order = merged;
        self.place.resize(self.ids.len(), 0);
        for (place, arrival) in self.order.iter().enumerate() {
            self.place[*arrival as usize] = place as u32;
        }
        Ok(())
    }

    /// The first place at or behind `from` whose key is not below `key`.
    fn seek(&self, old: &[u32], from: usize, key: &SeriesKey, other: &mut SeriesKey) -> Result<usize, SelectError> {
        let mut below = |at: usize| -> Result<bool, SelectError> {
            self.read_key(old[at], other)?;
            Ok(*other < *key)
        };
        let (mut low, mut step) = (from, 1);
        while low + step <= old.len() && below(low + step - 1)? {
            low += step;
            step *= 2;
        }
        let mut high = (low + step - 1).min(old.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if below(middle)? {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

/// Ids are hashes already.
#[derive(Debug, Default, Clone, Copy)]
struct IdHash;

impl std::hash::BuildHasher for IdHash {
    type Hasher = IdHasher;

    fn build_hasher(&self) -> IdHasher {
        IdHasher(0)
    }
}

struct IdHasher(u64);

impl std::hash::Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, id: u128) {
        self.0 = id as u64;
    }
}

#[cfg(test)]
mod tests {
    use model::{KeyBuilder, Tenant};
    use proptest::prelude::*;

    use super::*;

    struct Listed {
        keys: Vec<SeriesKey>,
    }

    impl SeriesSource for Listed {
        fn len(&self) -> usize {
            self.keys.len()
        }

        fn id(&self, at: usize) -> SeriesId {
            SeriesId::of(&self.keys[at])
        }

        fn read_key(&self, at: usize, key: &mut SeriesKey) -> Result<(), SelectError> {
            key.clone_from(&self.keys[at]);
            Ok(())
        }
    }

    fn key(number: u16) -> SeriesKey {
        let mut builder = KeyBuilder::new();
        builder.push("n", &number.to_string());
        builder.build(Tenant::DEFAULT).expect("one label is a key")
    }

    proptest! {
        #[test]
        fn a_union_is_the_sorted_set(lists in prop::collection::vec(prop::collection::btree_set(0u16..200, 0..80), 0..6)) {
            let mut sources = Vec::new();
            for list in &lists {
                let mut keys: Vec<_> = list.iter().map(|number| key(*number)).collect();
                keys.sort();
                sources.push(Listed { keys });
            }
            let borrowed: Vec<&dyn SeriesSource> = sources.iter().map(|source| source as &dyn SeriesSource).collect();
            let union = unite(&borrowed).expect("reading cannot fail");
            let mut want: Vec<_> = sources.iter().flat_map(|source| source.keys.clone()).collect();
            want.sort();
            want.dedup();
            prop_assert_eq!(union.ids.clone(), want.iter().map(SeriesId::of).collect::<Vec<_>>());
            for (source, ranks) in sources.iter().zip(&union.ranks) {
                for (key, rank) in source.keys.iter().zip(ranks) {
                    prop_assert_eq!(&want[*rank as usize], key);
                }
            }
            for (rank, (source, at)) in union.origin.iter().enumerate() {
                prop_assert_eq!(&sources[*source as usize].keys[*at as usize], &want[rank]);
            }
        }
    }
}
