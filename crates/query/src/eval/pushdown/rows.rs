//! Rows as a stream: each series of the store rolled up when it is asked for.
//!
//! 1. Some neighbouring series are taken at once, so that what is found of a column of times serves all of them.
//! 2. If the first series that has samples has fewer than its row would have values, samples are sent: all chunks go on as they came.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use model::SeriesKey;
use parking_lot::Mutex;
use storage_api::{Effort, SelectError, SeriesChunk, SeriesData, SeriesStream};

use super::{
    Remade,
    answering::Limits,
    groups::{Group, ResultChunk},
};
use crate::{api::Dialect, frame::is_absent, rollup::Roller};

/// So many series are rolled up with what was found of their columns of times.
const SERIES_AT_ONCE: usize = 1_024;
/// So many values are rolled up at once, whatever the number of series.
const VALUES_AT_ONCE: usize = 1 << 20;

const UNDECIDED: u8 = 0;
const ROWS: u8 = 1;
const SAMPLES: u8 = 2;

/// See the module.
pub struct RowStream {
    stream: Box<dyn SeriesStream>,
    remade: Remade,
    limits: Limits,
    /// What is sent.
    sends: AtomicU8,
    /// A chunk that was taken to look at it.
    looked_at: Mutex<Option<Box<dyn SeriesChunk>>>,
    samples: AtomicU64,
}

impl RowStream {
    /// Rolls up what comes.
    pub fn new(stream: Box<dyn SeriesStream>, remade: Remade, limits: Limits) -> Self {
        let (sends, samples) = (AtomicU8::new(UNDECIDED), AtomicU64::new(0));
        Self { stream, remade, limits, sends, looked_at: Mutex::default(), samples }
    }

    fn decide(&self) -> Result<u8, SelectError> {
        let mut looked_at = self.looked_at.lock();
        let decided = self.sends.load(Relaxed);
        if decided != UNDECIDED {
            return Ok(decided);
        }
        let Some(mut chunk) = self.stream.next()? else { return Ok(ROWS) };
        let mut data = SeriesData::default();
        let mut sends = ROWS;
        for index in 0..chunk.len() {
            chunk.read(index, &mut data)?;
            if !data.values.is_empty() {
                sends = if data.values.len() + data.heads.len() < self.remade.layout.points { SAMPLES } else { ROWS };
                break;
            }
        }
        self.sends.store(sends, Relaxed);
        *looked_at = Some(chunk);
        Ok(sends)
    }

    fn take(&self) -> Result<Option<Box<dyn SeriesChunk>>, SelectError> {
        match self.looked_at.lock().take() {
            Some(chunk) => Ok(Some(chunk)),
            None => self.stream.next(),
        }
    }

    fn rows(&self) -> Result<Option<Box<dyn SeriesChunk>>, SelectError> {
        let mut roller = Roller::new(&self.remade.recipe, &self.remade.layout);
        let (mut position, mut rows, mut seen) = (None, Vec::new(), 0);
        let series_max = SERIES_AT_ONCE.min(VALUES_AT_ONCE / self.remade.layout.points).max(1);
        let (mut data, mut key) = (SeriesData::default(), SeriesKey::default());
        while seen < series_max
            && let Some(mut chunk) = self.take()?
        {
            position.get_or_insert(chunk.position());
            seen += chunk.len();
            for index in 0..chunk.len() {
                chunk.read(index, &mut data)?;
                let heads: u64 = data.heads.iter().map(|head| head.summary.count).sum();
                let samples = data.values.len() as u64 + heads;
                if samples == 0 {
                    continue;
                }
                self.limits.check(samples, self.samples.fetch_add(samples, Relaxed) + samples)?;
                chunk.key(index, &mut key)?;
                self.roll(&mut roller, &mut data, |values| {
                    rows.push(Group { key: key.clone(), state: values });
                })?;
            }
        }
        Ok(position.map(|position| Box::new(ResultChunk { position, rows }) as Box<dyn SeriesChunk>))
    }

    fn roll(
        &self,
        roller: &mut Roller<'_>,
        data: &mut SeriesData,
        mut give: impl FnMut(Vec<f64>),
    ) -> Result<(), SelectError> {
        let drops_absent = self.remade.dialect == Dialect::PromQl;
        let mut emit = |_: crate::rollup::Tag<'_>, values: &mut Vec<f64>| {
            if !drops_absent || !values.iter().all(|value| is_absent(*value)) {
                give(std::mem::take(values));
            }
            Ok(())
        };
        let SeriesData { times, values, heads, .. } = data;
        let rolled = match heads.is_empty() {
            true => roller.roll(times, values, &mut emit),
            false => roller.roll_heads(times, values, heads, &mut emit),
        };
        rolled.map_err(super::answering::refused)
    }
}

impl SeriesStream for RowStream {
    fn next(&self) -> Result<Option<Box<dyn SeriesChunk>>, SelectError> {
        match self.decide()? {
            ROWS => self.rows(),
            _ => self.take(),
        }
    }

    fn series_total(&self) -> Option<u64> {
        self.stream.series_total()
    }

    fn effort(&self) -> Effort {
        let own = self.stream.effort();
        Effort { samples: own.samples + self.samples.load(Relaxed), ..own }
    }
}
