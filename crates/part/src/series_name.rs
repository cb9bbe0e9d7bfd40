//! How a series is named to who writes it.

use index::KeyNumbers;
use model::{SeriesId, SeriesKey};

/// A series of one of several sources: by its id, by the numbers that the source has for the pieces of its key, and by the key itself to who
/// cannot do with those.
pub struct SeriesName<'a, E> {
    /// The id, which is that of the key.
    pub id: SeriesId,
    /// Which source the numbers are of.
    pub source: usize,
    /// What the source calls the pieces of the key.
    pub numbers: KeyNumbers,
    /// Puts the key in the place of another.
    pub key: &'a mut dyn FnMut(&mut SeriesKey) -> Result<(), E>,
}

impl<E> std::fmt::Debug for SeriesName<'_, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, source, numbers, .. } = self;
        write!(f, "SeriesName({id:?}, {numbers:?} of source {source})")
    }
}
