//! Decodes some neighbouring series of an answer.
//!
//! 1. For each source that has the series, the heads of its blocks say which of them touch the range.
//! 2. If no two of these blocks overlap, and nothing hides or thins out rows, blocks are decoded one behind the other; where the request allows it, a head stands for its block,
//!    unless samples at a border of windows are wanted one by one; the joined time column is shared with the other series that have the same one.
//! 3. Else all rows are gathered, sorted, freed of duplicates, and thinned out.

use std::{cell::RefCell, ops::Range, sync::Arc};

use codec::Summary;
use index::KeyCursor;
use model::{Columns, KeyBuilder, SeriesId, SeriesKey, TimeRange, ValueKind};
use part::{Page, ReadScratch, TimeSpan, deduplicate, one_per_timestamp, sort_rows};
use storage_api::{Cuts, LabelsWanted, PlacedHead, SamplesWanted, SelectError, SeriesChunk, SeriesData};

use super::{
    plan::{PartSource, Plan, Source},
    search::failed,
    times::Recipe,
    union::SeriesSource,
};

/// So many workers' tools are kept for the next chunks.
const SPARE_TOOLS_MAX: usize = 64;

/// A run of the list of series.
pub struct Chunk {
    plan: Arc<Plan>,
    ranks: Range<usize>,
    /// For each source the run of its series that lie in `ranks`.
    slices: Vec<Range<usize>>,
    tools: Tools,
}

/// What decoding needs; a chunk that is done leaves it to the next one, which goes on where it stopped.
#[derive(Default)]
pub struct Tools {
    pages: Vec<Page>,
    /// Readers of keys by source; each knows the key that it read last, which the next one resembles.
    keys: RefCell<Vec<Option<KeyCursor>>>,
    /// Made when the first values are read: lists of series need none.
    scratch: Option<Box<ReadScratch>>,
    pieces: Vec<Piece>,
    rows: Columns,
    block_times: Vec<i64>,
}

impl Tools {
    fn for_sources(sources: usize) -> Self {
        let keys = RefCell::new((0..sources).map(|_| None).collect());
        Self { pages: vec![Page::default(); sources], keys, ..Self::default() }
    }
}

/// A block that touches the range.
#[derive(Clone, Copy)]
struct Piece {
    source: usize,
    number: u32,
    block: usize,
    first: i64,
    last: i64,
    /// What stands for its samples, if that may be.
    summary: Option<Summary>,
}

impl Chunk {
    /// The series from `ranks.start` on.
    pub fn new(plan: Arc<Plan>, ranks: Range<usize>) -> Self {
        let slices: Vec<_> = (0..plan.sources.len()).map(|source| plan.slice(source, &ranks)).collect();
        let tools = plan.spare_tools.lock().pop();
        let tools = tools.unwrap_or_else(|| Tools::for_sources(plan.sources.len()));
        Self { plan, ranks, slices, tools }
    }

    /// Puts the full key of the series at `rank` in the place of `key`.
    fn read_key(&self, rank: usize, key: &mut SeriesKey) -> Result<(), SelectError> {
        let (source, at) = self.plan.union.origin[rank];
        match &self.plan.sources[source as usize] {
            Source::Part(part) => {
                let mut keys = self.tools.keys.borrow_mut();
                let reader = keys[source as usize]
                    .get_or_insert_with(|| part.part.labels().some_keys(self.plan.union.ids.len()));
                reader.key(part.numbers[at as usize], key).map_err(|corrupt| failed(corrupt.into()))
            }
            Source::Head(head) => head.read_key(at as usize, key),
        }
    }

    /// Finds the blocks of the series at `rank`. Gives whether tombstones may hide some of their rows.
    fn find_blocks(&mut self, rank: usize) -> Result<bool, SelectError> {
        self.tools.pieces.clear();
        let mut hidden = false;
        for (at, source) in self.plan.sources.iter().enumerate() {
            let Source::Part(source) = source else { continue };
            if !source.part.meta().range.overlaps(self.plan.read_range) {
                continue;
            }
            let Some(place) = self.place(at, rank) else { continue };
            let number = source.numbers[place];
            let page = &mut self.tools.pages[at];
            if !page.holds(number) {
                source.part.read_page(source.part.page_of(number), page).map_err(failed)?;
            }
            hidden |= source.hidden.iter().any(|hidden| hidden.series.contains(number));
            for (block, head) in page.blocks(number).iter().enumerate() {
                let (first, last) = (head.time.first, head.time.last);
                if TimeRange::new(first, last).overlaps(self.plan.read_range) {
                    let summary = self.plan.head_for(head);
                    self.tools.pieces.push(Piece { source: at, number, block, first, last, summary });
                }
            }
        }
        self.tools.pieces.sort_by_key(|piece| (piece.first, piece.last));
        Ok(hidden)
    }

    /// Where source `at` has the series of this rank.
    fn place(&self, at: usize, rank: usize) -> Option<usize> {
        let slice = self.slices[at].clone();
        let found = self.plan.union.ranks[at][slice.clone()].binary_search(&(rank as u32)).ok()?;
        Some(slice.start + found)
    }

    /// Appends the rows in memory of the series to `rows`.
    fn read_head(&self, rank: usize, rows: &mut Columns) {
        for (at, source) in self.plan.sources.iter().enumerate() {
            if let (Source::Head(source), Some(place)) = (source, self.place(at, rank)) {
                source.read(source.slots[place], self.plan.read_range, rows);
            }
        }
    }

    fn part_source<'a>(plan: &'a Plan, piece: &Piece) -> &'a PartSource {
        match &plan.sources[piece.source] {
            Source::Part(source) => source,
            Source::Head(_) => unreachable!("BUG: blocks are in parts"),
        }
    }

    /// Blocks one behind the other, then the rows in memory, which are all newer.
    fn read_in_line(&mut self, data: &mut SeriesData, in_memory: &Columns) -> Result<(), SelectError> {
        let plan = Arc::clone(&self.plan);
        let pieces = std::mem::take(&mut self.tools.pieces);
        let mut recipe = Recipe::with_capacity(pieces.len() + 1);
        let mut to_decode = Vec::with_capacity(pieces.len());
        for piece in &pieces {
            if let Some(summary) = piece.summary {
                let (first_time, last_time) = (piece.first, piece.last);
                data.heads.push(PlacedHead { before: data.values.len(), first_time, last_time, summary });
                continue;
            }
            let head = &self.tools.pages[piece.source].blocks(piece.number)[piece.block];
            let source = Self::part_source(&plan, piece);
            let (time, before) = (head.time, data.values.len());
            let page = &self.tools.pages[piece.source];
            source
                .part
                .read_values(
                    page,
                    piece.number,
                    piece.block,
                    self.tools.scratch.get_or_insert_default(),
                    &mut data.values,
                )
                .map_err(failed)?;
            let kept = self.clip(source, &time, before, data)?;
            recipe.push((source.part.meta().id, time.span.offset));
            to_decode.push((*piece, kept));
        }
        recipe.push((plan.answer_range.min as u64, plan.answer_range.max as u64));
        data.times = self.join_times(&plan, recipe, &to_decode)?;
        if !in_memory.is_empty() {
            let mut times = data.times.as_ref().clone();
            times.extend_from_slice(&in_memory.times);
            data.values.extend_from_slice(&in_memory.values);
            data.times = plan.shared_times.by_content(&times);
        }
        self.tools.pieces = pieces;
        Ok(())
    }

    /// Cuts the values of a block that were decoded last to the range. Gives which of the block's rows stay.
    fn clip(
        &mut self,
        source: &PartSource,
        time: &TimeSpan,
        before: usize,
        data: &mut SeriesData,
    ) -> Result<Range<usize>, SelectError> {
        let range = self.plan.answer_range;
        if range.covers(TimeRange::new(time.first, time.last)) {
            return Ok(0..time.count as usize);
        }
        self.tools.block_times.clear();
        source.part.read_times(time, &mut self.tools.block_times).map_err(failed)?;
        let start = self.tools.block_times.partition_point(|time| *time < range.min);
        let end = self.tools.block_times.partition_point(|time| *time <= range.max);
        data.values.truncate(before + end);
        data.values.drain(before..before + start.min(end));
        Ok(start.min(end)..end)
    }

    fn join_times(
        &mut self,
        plan: &Plan,
        recipe: Recipe,
        pieces: &[(Piece, Range<usize>)],
    ) -> Result<Arc<Vec<i64>>, SelectError> {
        if let Some(times) = plan.shared_times.joined(&recipe) {
            return Ok(times);
        }
        let mut times = Vec::with_capacity(pieces.iter().map(|(_, kept)| kept.len()).sum());
        for (piece, kept) in pieces {
            let head = &self.tools.pages[piece.source].blocks(piece.number)[piece.block];
            self.tools.block_times.clear();
            Self::part_source(plan, piece).part.read_times(&head.time, &mut self.tools.block_times).map_err(failed)?;
            times.extend_from_slice(&self.tools.block_times[kept.clone()]);
        }
        let times = Arc::new(times);
        plan.shared_times.remember(recipe, Arc::clone(&times));
        Ok(times)
    }

    /// All rows, sorted and thinned out.
    fn read_gathered(&mut self, data: &mut SeriesData, in_memory: &Columns) -> Result<(), SelectError> {
        let plan = Arc::clone(&self.plan);
        let mut rows = std::mem::take(&mut self.tools.rows);
        rows.clear();
        for piece in &self.tools.pieces {
            let source = Self::part_source(&plan, piece);
            let page = &self.tools.pages[piece.source];
            let head = &page.blocks(piece.number)[piece.block];
            let start = rows.len();
            source.part.read_times(&head.time, &mut rows.times).map_err(failed)?;
            source
                .part
                .read_values(
                    page,
                    piece.number,
                    piece.block,
                    self.tools.scratch.get_or_insert_default(),
                    &mut rows.values,
                )
                .map_err(failed)?;
            drop_hidden(source, piece.number, start, &mut rows);
        }
        rows.append(in_memory);
        sort_rows(&mut rows);
        rows.clip(plan.read_range);
        deduplicate(&mut rows, plan.dedup_interval_ms);
        rows.clip(plan.answer_range);
        if plan.request.one_per_timestamp {
            one_per_timestamp(&mut rows);
        }
        data.times = plan.shared_times.by_content(&rows.times);
        data.values.extend_from_slice(&rows.values);
        self.tools.rows = rows;
        Ok(())
    }
}

/// Whether each piece begins behind the end of the one before.
fn in_line(pieces: &[Piece], in_memory: &Columns) -> bool {
    let blocks = pieces.windows(2).all(|pair| pair[0].last < pair[1].first);
    let then_memory = match (pieces.last(), in_memory.times.first()) {
        (Some(piece), Some(first)) => piece.last < *first,
        _ => true,
    };
    blocks && then_memory
}

/// Takes from blocks at the begin and on either side of each cut what may stand for their samples, until as many numbers as are wanted there come one by one.
fn decode_edges(pieces: &mut [Piece], cuts: &Cuts) {
    if cuts.edges == 0 || pieces.iter().all(|piece| piece.summary.is_none()) {
        return;
    }
    // Of other blocks it is not known how many numbers lie on which side: they count for none.
    let counts: Vec<u64> = pieces.iter().map(|piece| piece.summary.map_or(0, |summary| summary.count)).collect();
    let decode = |pieces: &mut [Piece], order: &mut dyn Iterator<Item = usize>| {
        let mut samples = 0;
        for at in order {
            if samples >= cuts.edges {
                break;
            }
            pieces[at].summary = None;
            samples += counts[at];
        }
    };
    decode(pieces, &mut (0..counts.len()));
    for cut in cuts.at.iter() {
        let behind = pieces.partition_point(|piece| piece.first <= *cut);
        decode(pieces, &mut (0..behind).rev());
        decode(pieces, &mut (behind..counts.len()));
    }
}

fn drop_hidden(source: &PartSource, number: u32, start: usize, rows: &mut Columns) {
    let ranges: Vec<TimeRange> =
        source.hidden.iter().filter(|hidden| hidden.series.contains(number)).map(|hidden| hidden.range).collect();
    if ranges.is_empty() {
        return;
    }
    rows.retain_from(start, |time| !ranges.iter().any(|range| range.contains(time)));
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let mut spare = self.plan.spare_tools.lock();
        if spare.len() < SPARE_TOOLS_MAX {
            spare.push(std::mem::take(&mut self.tools));
        }
    }
}

impl SeriesChunk for Chunk {
    fn position(&self) -> u64 {
        self.ranks.start as u64
    }

    fn len(&self) -> usize {
        self.ranks.len()
    }

    fn id(&self, index: usize) -> SeriesId {
        self.plan.union.ids[self.ranks.start + index]
    }

    fn key(&self, index: usize, key: &mut SeriesKey) -> Result<(), SelectError> {
        match &self.plan.request.labels {
            LabelsWanted::All => self.read_key(self.ranks.start + index, key),
            LabelsWanted::None => {
                *key = SeriesKey::default();
                Ok(())
            }
            LabelsWanted::Only(names) => {
                let mut full = SeriesKey::default();
                self.read_key(self.ranks.start + index, &mut full)?;
                *key = project(&full, names);
                Ok(())
            }
        }
    }

    fn has_before(&mut self, index: usize) -> Result<bool, SelectError> {
        let rank = self.ranks.start + index;
        let before = TimeRange::new(self.plan.known_range.min, self.plan.answer_range.min.saturating_sub(1));
        let plan = Arc::clone(&self.plan);
        for (at, source) in plan.sources.iter().enumerate() {
            let Some(place) = self.place(at, rank) else { continue };
            let found = match source {
                Source::Head(source) => {
                    let mut rows = Columns::default();
                    source.read(source.slots[place], before, &mut rows);
                    !rows.is_empty()
                }
                Source::Part(source) if source.part.meta().range.overlaps(before) => {
                    let (number, page) = (source.numbers[place], &mut self.tools.pages[at]);
                    if !page.holds(number) {
                        source.part.read_page(source.part.page_of(number), page).map_err(failed)?;
                    }
                    let blocks = page.blocks(number).iter();
                    blocks
                        .map(|head| TimeRange::new(head.time.first, head.time.last))
                        .any(|block| block.overlaps(before))
                }
                Source::Part(_) => false,
            };
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn read(&mut self, index: usize, data: &mut SeriesData) -> Result<(), SelectError> {
        data.values.clear();
        data.heads.clear();
        data.times = Arc::default();
        data.kind = Some(ValueKind::Float);
        if self.plan.request.samples == SamplesWanted::None {
            return Ok(());
        }
        let rank = self.ranks.start + index;
        let hidden = self.find_blocks(rank)?;
        let mut in_memory = Columns::default();
        self.read_head(rank, &mut in_memory);
        sort_rows(&mut in_memory);
        let equal_times = self.plan.request.one_per_timestamp
            && (in_memory.times.windows(2).any(|pair| pair[0] == pair[1])
                || self
                    .tools
                    .pieces
                    .iter()
                    .any(|piece| self.tools.pages[piece.source].blocks(piece.number)[piece.block].equal_times));
        let thinned = self.plan.dedup_interval_ms > 0 || equal_times;
        if hidden || thinned || !in_line(&self.tools.pieces, &in_memory) {
            return self.read_gathered(data, &in_memory);
        }
        in_memory.clip(self.plan.answer_range);
        if let SamplesWanted::Heads(cuts) = &self.plan.request.samples {
            decode_edges(&mut self.tools.pieces, cuts);
        }
        self.read_in_line(data, &in_memory)
    }
}

/// The key with only these labels.
fn project(full: &SeriesKey, names: &[String]) -> SeriesKey {
    let mut builder = KeyBuilder::new();
    for (name, value) in full.labels() {
        if names.iter().any(|wanted| *wanted == name) {
            builder.push(&name, &value);
        }
    }
    // A series without any of the labels has the empty key.
    builder.build(full.tenant()).unwrap_or_default()
}
