//! Series of several nodes as one stream.
//!
//! 1. Each node's series come in the one order of series, chunk by chunk. The least key among the nodes' next ones is the next of all; nodes that have the same
//!    key have the same series.
//! 2. A thread that takes a chunk from here only takes keys; samples are read, and joined where several nodes have them, by the thread that holds the chunk.
//! 3. A node that breaks off in the middle is missing from there on. That is no harm if the others have everything; else the answer is partial, or there is
//!    none.

use std::sync::Arc;

use model::{KeyBuilder, SeriesId, SeriesKey};
use parking_lot::Mutex;
use rpc::{RemoteSeries, RemoteStream, read_key};
use storage_api::{Budget, LabelsWanted, PlacedHead, SelectError, SeriesChunk, SeriesData, SeriesStream};

use crate::{coverage::Coverage, join::Joining, select::Again};

/// Series are handed out in chunks of so many.
const CHUNK_SERIES: usize = 64;

/// See the module.
pub struct Merge {
    incoming: Mutex<Incoming>,
    series_total: Option<u64>,
    budget: Budget,
    shared: Arc<Shared>,
}

/// What all chunks of an answer need.
pub struct Shared {
    /// How samples are joined.
    pub joining: Joining,
    /// The labels that the caller reads.
    pub labels: LabelsWanted,
    /// Asks for one series once more.
    pub again: Again,
}

struct Incoming {
    sources: Vec<Source>,
    coverage: Coverage,
    handed_out: u64,
}

struct Source {
    node: usize,
    stream: RemoteStream,
    chunk: Option<RemoteSeries>,
    at: usize,
    ended: bool,
}

impl Merge {
    /// The streams of nodes, by their places. `copies` is how many nodes have each series.
    pub fn new(
        streams: Vec<(usize, RemoteStream)>,
        coverage: Coverage,
        copies: usize,
        budget: Budget,
        shared: Shared,
    ) -> Self {
        let total = streams.iter().map(|(_, stream)| stream.total()).sum::<Option<u64>>();
        let copies = copies.min(streams.len()).max(1) as u64;
        let source = |(node, stream)| Source { node, stream, chunk: None, at: 0, ended: false };
        let sources = streams.into_iter().map(source).collect();
        Self {
            incoming: Mutex::new(Incoming { sources, coverage, handed_out: 0 }),
            series_total: total.map(|total| total.div_ceil(copies)),
            budget,
            shared: Arc::new(shared),
        }
    }
}

impl SeriesStream for Merge {
    fn next(&self) -> Result<Option<Box<dyn SeriesChunk>>, SelectError> {
        self.budget.check()?;
        let mut incoming = self.incoming.lock();
        let position = incoming.handed_out;
        let mut series = Vec::with_capacity(CHUNK_SERIES);
        while series.len() < CHUNK_SERIES {
            match incoming.next_series()? {
                Some(copies) => series.push(copies),
                None => break,
            }
        }
        incoming.handed_out += series.len() as u64;
        self.budget.check_series(incoming.handed_out)?;
        if series.is_empty() {
            return Ok(None);
        }
        let buffers = Vec::new();
        Ok(Some(Box::new(Chunk { position, series, shared: Arc::clone(&self.shared), buffers })))
    }

    fn series_total(&self) -> Option<u64> {
        self.series_total
    }
}

/// Where a series is: in a chunk of a node, or in those of several.
type Copies = Vec<(usize, RemoteSeries, usize)>;

impl Incoming {
    fn next_series(&mut self) -> Result<Option<Copies>, SelectError> {
        for at in 0..self.sources.len() {
            self.fill(at)?;
        }
        let least = self.sources.iter().filter_map(Source::key).min();
        let Some(least) = least else { return Ok(None) };
        let with_it: Vec<usize> = (0..self.sources.len()).filter(|at| self.sources[*at].key() == Some(least)).collect();
        Ok(Some(with_it.into_iter().map(|at| self.sources[at].take()).collect()))
    }

    /// Sees to it that a source has its next series at hand, if there is one.
    fn fill(&mut self, at: usize) -> Result<(), SelectError> {
        let source = &mut self.sources[at];
        while !source.ended && source.chunk.as_ref().is_none_or(|chunk| source.at >= chunk.len()) {
            match source.stream.next_series() {
                Ok(Some((_, chunk))) => (source.chunk, source.at) = (Some(chunk), 0),
                Ok(None) => (source.chunk, source.ended) = (None, true),
                Err(error) => {
                    (source.chunk, source.ended) = (None, true);
                    self.coverage.missing(source.node, error)?;
                    self.coverage.check()?;
                }
            }
        }
        Ok(())
    }
}

impl Source {
    fn key(&self) -> Option<&[u8]> {
        let chunk = self.chunk.as_ref()?;
        (self.at < chunk.len()).then(|| chunk.key(self.at))
    }

    fn take(&mut self) -> (usize, RemoteSeries, usize) {
        let chunk = self.chunk.as_ref().expect("BUG: a series is taken from where there is none");
        self.at += 1;
        (self.node, Arc::clone(chunk), self.at - 1)
    }
}

struct Chunk {
    position: u64,
    series: Vec<Copies>,
    shared: Arc<Shared>,
    buffers: Vec<SeriesData>,
}

impl SeriesChunk for Chunk {
    fn position(&self) -> u64 {
        self.position
    }

    fn len(&self) -> usize {
        self.series.len()
    }

    fn id(&self, index: usize) -> SeriesId {
        let (_, chunk, at) = &self.series[index][0];
        chunk.id(*at)
    }

    fn key(&self, index: usize, key: &mut SeriesKey) -> Result<(), SelectError> {
        let (_, chunk, at) = &self.series[index][0];
        match &self.shared.labels {
            LabelsWanted::None => *key = SeriesKey::default(),
            LabelsWanted::All => read_key(chunk.key(*at), key)?,
            LabelsWanted::Only(names) => {
                read_key(chunk.key(*at), key)?;
                *key = project(key, names);
            }
        }
        Ok(())
    }

    fn read(&mut self, index: usize, data: &mut SeriesData) -> Result<(), SelectError> {
        let joining = self.shared.joining;
        let copies = &self.series[index];
        if let [(_, chunk, at)] = &copies[..]
            && joining.keeps_single()
        {
            chunk.read(*at, data);
            return Ok(());
        }
        self.buffers.resize_with(copies.len().max(self.buffers.len()), SeriesData::default);
        let buffers = &mut self.buffers[..copies.len()];
        for ((_, chunk, at), buffer) in copies.iter().zip(&mut *buffers) {
            chunk.read(*at, buffer);
        }
        if buffers.iter().all(|buffer| buffer.heads.is_empty()) {
            joining.join(buffers, data);
        } else if !concatenate(buffers, data) {
            let (_, chunk, at) = &copies[0];
            let nodes: Vec<usize> = copies.iter().map(|(node, ..)| *node).collect();
            let samples = self.shared.again.raw(chunk.key(*at), &nodes)?;
            joining.join(&samples, data);
        }
        Ok(())
    }
}

/// Puts columns with heads one behind the other, which says the same only if none reaches into another. False if one does.
fn concatenate(sources: &[SeriesData], out: &mut SeriesData) -> bool {
    let mut sources: Vec<&SeriesData> = sources.iter().filter(|source| span(source).is_some()).collect();
    sources.sort_by_key(|source| span(source));
    let overlap = |pair: &[&SeriesData]| span(pair[0]).map(|span| span.1) >= span(pair[1]).map(|span| span.0);
    if sources.windows(2).any(overlap) {
        return false;
    }
    let mut times = Vec::new();
    *out = SeriesData { kind: sources.iter().find_map(|source| source.kind), ..SeriesData::default() };
    for source in sources {
        let before = times.len();
        times.extend_from_slice(&source.times);
        out.values.extend_from_slice(&source.values);
        out.heads.extend(source.heads.iter().map(|head| PlacedHead { before: before + head.before, ..head.clone() }));
    }
    out.times = Arc::new(times);
    true
}

/// The times of the first and the last sample, those that heads stand for too.
fn span(data: &SeriesData) -> Option<(i64, i64)> {
    let firsts = data.times.first().copied().into_iter().chain(data.heads.first().map(|head| head.first_time));
    let lasts = data.times.last().copied().into_iter().chain(data.heads.last().map(|head| head.last_time));
    Some((firsts.min()?, lasts.max()?))
}

/// The key with only these labels; a series without any of them has the empty key.
fn project(full: &SeriesKey, names: &[String]) -> SeriesKey {
    let mut labels = KeyBuilder::new();
    for (name, value) in full.labels().filter(|(name, _)| names.iter().any(|wanted| wanted == name)) {
        labels.push(&name, &value);
    }
    labels.build(full.tenant()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use codec::summarize;

    use super::*;

    fn data(times: &[i64], head: Option<(usize, i64, i64)>) -> SeriesData {
        let placed = |(before, first_time, last_time)| {
            let summary = summarize(&[1.0, 2.0]);
            PlacedHead { before, first_time, last_time, summary }
        };
        SeriesData {
            times: Arc::new(times.to_vec()),
            values: times.iter().map(|time| *time as f64).collect(),
            heads: head.into_iter().map(placed).collect(),
            kind: None,
        }
    }

    #[test]
    fn columns_with_heads_are_put_together_only_where_they_do_not_overlap() {
        let mut out = SeriesData::default();
        assert!(concatenate(&[data(&[50, 60], Some((1, 52, 58))), data(&[1], Some((1, 2, 9)))], &mut out));
        assert_eq!((out.times.as_slice(), out.values.as_slice()), (&[1, 50, 60][..], &[1.0, 50.0, 60.0][..]));
        let heads: Vec<_> = out.heads.iter().map(|head| (head.before, head.first_time)).collect();
        assert_eq!(heads, [(1, 2), (2, 52)]);
        assert!(!concatenate(&[data(&[50, 60], Some((1, 52, 58))), data(&[55], None)], &mut out));
        assert!(!concatenate(&[data(&[60], Some((0, 40, 50))), data(&[], Some((0, 50, 51)))], &mut out));
        assert!(concatenate(&[data(&[60], Some((0, 40, 50))), data(&[], None)], &mut out));
    }
}
