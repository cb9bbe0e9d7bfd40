//! Series of several nodes as one stream.
//!
//! 1. Each node's series come in the one order of series, chunk by chunk. The least key among the nodes' next ones is the next of all; nodes that have the same
//!    key have the same series.
//! 2. A thread that takes a chunk from here only takes keys; samples are read, and joined where several nodes have them, by the thread that holds the chunk.
//! 3. Partial results go through as they came, in the order of their keys and then of the nodes: whoever asked for them merges them.
//! 4. A node that breaks off in the middle is missing from there on. That is no harm if the others have everything: they are asked for its shards, and
//!    continue behind the last series that it gave. Else the answer is partial, or there is none.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use model::{KeyBuilder, SeriesId, SeriesKey};
use parking_lot::Mutex;
use rpc::{RemoteSeries, RemoteStream, RpcError, read_key};
use storage_api::{
    Budget, Effort, LabelsWanted, PlacedHead, SelectError, SeriesChunk, SeriesData, SeriesStream, ShardSet,
};

use crate::{GatherStats, coverage::Coverage, join::Joining, rounds::Piece, select::Again};

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
    /// Asks once more.
    pub again: Again,
    /// Where it is counted.
    pub stats: Arc<GatherStats>,
}

struct Incoming {
    sources: Vec<Source>,
    coverage: Coverage,
    handed_out: u64,
    shared: Arc<Shared>,
}

struct Source {
    node: usize,
    /// What it was asked for, if nobody else was.
    alone: Option<ShardSet>,
    ready: VecDeque<RemoteSeries>,
    stream: RemoteStream,
    chunk: Option<RemoteSeries>,
    at: usize,
    ended: bool,
    /// The last key of the chunk before.
    last: Vec<u8>,
    /// Series up to this key are there already.
    skips: Option<Vec<u8>>,
}

impl Merge {
    /// The pieces of an answer.
    pub fn new(pieces: Vec<Piece>, coverage: Coverage, budget: Budget, shared: Shared) -> Self {
        let total = |merged: bool| {
            let of = pieces.iter().filter(|piece| piece.is_merged == merged);
            of.map(|piece| piece.stream.total()).sum::<Option<u64>>()
        };
        let series_total = total(false).zip(total(true)).map(|(alone, all)| alone + coverage.copies().count_once(all));
        let shared = Arc::new(shared);
        let sources = pieces.into_iter().map(Source::of).collect();
        let incoming = Mutex::new(Incoming { sources, coverage, handed_out: 0, shared: Arc::clone(&shared) });
        Self { incoming, series_total, budget, shared }
    }
}

impl Drop for Merge {
    fn drop(&mut self) {
        let effort = self.effort();
        self.shared.stats.bytes.fetch_add(effort.bytes, Relaxed);
        self.shared.stats.partial_results.fetch_add(u64::from(effort.partial_chunks > 0), Relaxed);
    }
}

impl SeriesStream for Merge {
    fn next(&self) -> Result<Option<Box<dyn SeriesChunk>>, SelectError> {
        self.budget.check()?;
        let mut incoming = self.incoming.lock();
        let position = incoming.handed_out;
        let mut series: Vec<Copies> = Vec::with_capacity(CHUNK_SERIES);
        let mut results = None;
        while series.len() < CHUNK_SERIES {
            let Some(copies) = incoming.next_series(results)? else { break };
            let holds_results = copies[0].1.holds_results();
            results = Some(holds_results);
            match holds_results {
                true => series.extend(copies.into_iter().map(|one| vec![one])),
                false => series.push(copies),
            }
        }
        incoming.handed_out += series.len() as u64;
        self.budget.check_series(incoming.handed_out)?;
        if series.is_empty() {
            return Ok(None);
        }
        let (buffers, results) = (Vec::new(), results.unwrap_or_default());
        Ok(Some(Box::new(Chunk { position, series, results, shared: Arc::clone(&self.shared), buffers })))
    }

    fn effort(&self) -> Effort {
        let mut all = Effort::default();
        for source in &self.incoming.lock().sources {
            let effort = source.stream.effort();
            all.samples += effort.samples;
            all.bytes += effort.bytes;
            all.partial_chunks += effort.partial_chunks;
        }
        all
    }

    fn series_total(&self) -> Option<u64> {
        self.series_total
    }
}

/// Where a series is: in a chunk of a node, or in those of several.
type Copies = Vec<(usize, RemoteSeries, usize)>;

impl Incoming {
    /// The next series with all copies, or the next partial results of one key; `None` also if those are next that are not wanted.
    fn next_series(&mut self, results: Option<bool>) -> Result<Option<Copies>, SelectError> {
        let mut at = 0;
        // Others that stand in for a node stand behind all.
        while at < self.sources.len() {
            self.fill(at)?;
            at += 1;
        }
        let least = self.sources.iter().filter_map(Source::key).min();
        let Some(least) = least else { return Ok(None) };
        let mut with_it: Vec<usize> =
            (0..self.sources.len()).filter(|at| self.sources[*at].key() == Some(least)).collect();
        let holds_results = self.sources[with_it[0]].holds_results();
        if results.is_some_and(|wanted| wanted != holds_results) {
            return Ok(None);
        }
        with_it.retain(|at| self.sources[*at].holds_results() == holds_results);
        Ok(Some(with_it.into_iter().map(|at| self.sources[at].take()).collect()))
    }

    /// Sees to it that a source has its next series at hand, if there is one.
    fn fill(&mut self, at: usize) -> Result<(), SelectError> {
        loop {
            let source = &mut self.sources[at];
            source.skip();
            if source.ended || source.key().is_some() {
                return Ok(());
            }
            if let Err(error) = source.next_chunk() {
                self.breaks_off(at, error)?;
            }
        }
    }

    /// A node is gone in the middle.
    fn breaks_off(&mut self, at: usize, error: RpcError) -> Result<(), SelectError> {
        let source = &mut self.sources[at];
        (source.chunk, source.ended) = (None, true);
        let (node, alone) = (source.node, source.alone.take());
        let skips = std::mem::take(&mut source.last);
        self.coverage.missing(node, error)?;
        self.coverage.check()?;
        let Some(shards) = alone.filter(|_| self.coverage.copies().are_several()) else { return Ok(()) };
        let without: Vec<usize> = self.coverage.away().collect();
        self.shared.stats.stood_in.fetch_add(1, Relaxed);
        for (node, piece) in self.shared.again.stand_in(&shards, &without)? {
            match piece {
                Ok(piece) => self.sources.push(Source { skips: Some(skips.clone()), ..Source::of(piece) }),
                // It may have gone as well, and is missing then.
                Err(error) => self.coverage.missing(node, error)?,
            }
        }
        self.coverage.check()
    }
}

impl Source {
    fn of(piece: Piece) -> Self {
        let Piece { node, shards, is_merged, ready, stream } = piece;
        let alone = (!is_merged).then_some(shards);
        Self { node, alone, ready, stream, chunk: None, at: 0, ended: false, last: Vec::new(), skips: None }
    }

    fn key(&self) -> Option<&[u8]> {
        let chunk = self.chunk.as_ref()?;
        (self.at < chunk.len()).then(|| chunk.key(self.at))
    }

    fn holds_results(&self) -> bool {
        self.chunk.as_ref().is_some_and(|chunk| chunk.holds_results())
    }

    fn next_chunk(&mut self) -> Result<(), RpcError> {
        if let Some(chunk) = self.chunk.take().filter(|chunk| chunk.len() > 0) {
            self.last.clear();
            self.last.extend_from_slice(chunk.key(chunk.len() - 1));
        }
        self.at = 0;
        self.chunk = match self.ready.pop_front() {
            Some(chunk) => Some(chunk),
            None => self.stream.next_series()?.map(|(_, chunk)| chunk),
        };
        self.ended = self.chunk.is_none();
        Ok(())
    }

    /// Leaves out what another node gave before it broke off.
    fn skip(&mut self) {
        while let (Some(skips), Some(key)) = (&self.skips, self.key()) {
            if key > &skips[..] {
                self.skips = None;
                return;
            }
            self.at += 1;
        }
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
    results: bool,
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

    fn is_partial_result(&self) -> bool {
        self.results
    }

    fn id(&self, index: usize) -> SeriesId {
        let (_, chunk, at) = &self.series[index][0];
        chunk.id(*at)
    }

    fn has_before(&mut self, index: usize) -> Result<bool, SelectError> {
        Ok(self.series[index].iter().any(|(_, chunk, at)| chunk.has_before(*at)))
    }

    fn key(&self, index: usize, key: &mut SeriesKey) -> Result<(), SelectError> {
        let (_, chunk, at) = &self.series[index][0];
        match &self.shared.labels {
            _ if self.results => read_key(chunk.key(*at), key)?,
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
            && (joining.keeps_single() || self.results)
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
