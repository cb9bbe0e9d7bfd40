//! States of groups as a stream.

use std::sync::Arc;

use model::{KeyBuilder, SeriesId, SeriesKey, Tenant};
use parking_lot::Mutex;
use storage_api::{Effort, SelectError, SeriesChunk, SeriesData, SeriesStream};

use crate::{functions::fold::Fold, labels::Labels};

/// So many groups in a chunk.
const CHUNK_GROUPS: usize = 256;

/// A group and the state of its aggregate.
pub struct Group {
    /// Its labels.
    pub key: SeriesKey,
    /// The columns of the state.
    pub state: Vec<f64>,
}

/// All groups of a fold.
pub struct GroupStream {
    groups: Mutex<(usize, std::vec::IntoIter<(SeriesKey, Fold)>)>,
    series_total: Option<u64>,
    samples: u64,
}

impl GroupStream {
    /// The groups, which came of so many series and samples.
    pub fn new(groups: Vec<(SeriesKey, Fold)>, series_total: Option<u64>, samples: u64) -> Self {
        Self { groups: Mutex::new((0, groups.into_iter())), series_total, samples }
    }
}

/// Labels of a group or a row as the key by which they are sent.
pub fn key_of(tenant: Tenant, labels: &Labels) -> Result<SeriesKey, SelectError> {
    if labels.is_empty() {
        return Ok(SeriesKey::default());
    }
    let mut builder = KeyBuilder::new();
    labels.iter().for_each(|(name, value)| builder.push(name, value));
    builder.build(tenant).map_err(|why| SelectError::Corrupt(format!("a group has impossible labels: {why}")))
}

impl SeriesStream for GroupStream {
    fn next(&self) -> Result<Option<Box<dyn SeriesChunk>>, SelectError> {
        let (position, groups) = &mut *self.groups.lock();
        let group = |(key, fold): (SeriesKey, Fold)| Group { key, state: fold.into_state() };
        let chunk: Vec<Group> = groups.by_ref().take(CHUNK_GROUPS).map(group).collect();
        if chunk.is_empty() {
            return Ok(None);
        }
        let at = *position;
        *position += chunk.len();
        Ok(Some(Box::new(ResultChunk { position: at as u64, rows: chunk })))
    }

    fn series_total(&self) -> Option<u64> {
        self.series_total
    }

    fn effort(&self) -> Effort {
        Effort { samples: self.samples, ..Effort::default() }
    }
}

/// Some groups or rows.
pub struct ResultChunk {
    /// The place of the first.
    pub position: u64,
    /// What each holds.
    pub rows: Vec<Group>,
}

impl SeriesChunk for ResultChunk {
    fn position(&self) -> u64 {
        self.position
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn is_partial_result(&self) -> bool {
        true
    }

    fn id(&self, index: usize) -> SeriesId {
        SeriesId::of(&self.rows[index].key)
    }

    fn key(&self, index: usize, key: &mut SeriesKey) -> Result<(), SelectError> {
        key.clone_from(&self.rows[index].key);
        Ok(())
    }

    fn read(&mut self, index: usize, data: &mut SeriesData) -> Result<(), SelectError> {
        data.times = Arc::default();
        data.heads.clear();
        data.kind = None;
        data.values.clone_from(&self.rows[index].state);
        Ok(())
    }
}
