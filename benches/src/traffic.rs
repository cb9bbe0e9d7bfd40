//! The generator: scrape after scrape of all targets.
//!
//! 1. The world moves on strictly scrape by scrape: each series has 16 bytes of state that one hash of (seed, scrape,
//!    series) moves forward. Asked for an earlier scrape, it starts over; asked for a later one, it runs there. So the
//!    value of a series at a scrape does not depend on how it was asked for.
//! 2. A scrape goes through the targets in order; in each, block by block: replace the pod if it is time, step the values,
//!    then emit what Prometheus would send: samples, or stale markers where a series just vanished.
//! 3. Failed scrapes, missing blocks, restarts, replacements and lateness are hashes as well, so that the values are the
//!    same with and without gaps, jitter and lateness.

use crate::layout::{Block, Layout};
use crate::noise::{Dice, Tables, fold, hash};
use crate::shape::Shape;
use crate::value::{Class, Running, State};

/// Prometheus' stale marker: one particular NaN.
pub const STALE_MARKER_BITS: u64 = 0x7ff0_0000_0000_0002;

/// A run of failed scrapes is at most this long.
const OUTAGE_SCRAPES_MAX: u32 = 4;
/// A fifth of the blocks restart now and then, about twice in 8,192 scrapes.
const RESTARTING_SHARE: f64 = 0.2;
const RESTART_CHANCE: f64 = 2.0 / 8_192.0;

const PURPOSE_JITTER: u64 = 1 << 56;
const PURPOSE_OUTAGE: u64 = 2 << 56;
const PURPOSE_ABSENCE: u64 = 3 << 56;
const PURPOSE_RESTART: u64 = 4 << 56;
const PURPOSE_REPLACE: u64 = 5 << 56;
const PURPOSE_RESTARTING: u64 = 6 << 56;

/// One sample of one series.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// The series' number.
    pub series: u32,
    /// How often the pod behind it has been replaced: number and generation together are the identity.
    pub generation: u32,
    /// When it was scraped.
    pub timestamp_ms: i64,
    /// What was scraped, or the stale marker.
    pub value: f64,
}

/// The generator for one [`Shape`].
#[derive(Debug)]
pub struct Traffic {
    shape: Shape,
    layout: Layout,
    tables: Tables,
    states: Vec<State>,
    /// The scrape that the states stand before.
    next: u64,
    values: Vec<f64>,
}

impl Traffic {
    /// Lays out all series; some hundred nanoseconds and about 30 bytes each.
    pub fn new(shape: Shape) -> Self {
        shape.check();
        let layout = Layout::new(&shape);
        let states = vec![State::default(); shape.series];
        let mut traffic = Self { shape, layout, tables: Tables::new(), states, next: 0, values: Vec::new() };
        traffic.rewind();
        traffic
    }

    /// What was asked for.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Series that exist at any one moment.
    pub fn series_count(&self) -> usize {
        self.states.len()
    }

    /// Scrape targets.
    pub fn target_count(&self) -> usize {
        self.layout.targets.len()
    }

    /// Series of one target, in order.
    pub fn target_series(&self, target: usize) -> std::ops::Range<usize> {
        let target = &self.layout.targets[target];
        let blocks = &self.layout.blocks[target.first_block as usize..target.end_block as usize];
        let last = blocks.last().expect("a target has a block");
        blocks[0].first_series as usize..self.layout.series_of(last).end
    }

    /// Labels of a series, sorted by name, as of the last scrape that was asked for (churn changes them).
    pub fn labels(&self, series: usize) -> impl Iterator<Item = (&str, &str)> {
        self.layout.labels(series as u32)
    }

    /// How often the pod behind a series has been replaced, as of the last scrape that was asked for.
    pub fn generation(&self, series: usize) -> u32 {
        self.layout.generation(series as u32)
    }

    /// What a codec makes of a series.
    pub fn class(&self, series: usize) -> Class {
        self.layout.class(series as u32)
    }

    /// Gives all samples of one scrape, target by target. Scrapes in rising order are cheapest.
    pub fn scrape(&mut self, number: u64, mut each: impl FnMut(Sample)) {
        self.run_to(number);
        self.step(|_, sample| each(sample));
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Brings the world to the moment before a scrape.
    pub(crate) fn run_to(&mut self, number: u64) {
        if number < self.next {
            self.rewind();
        }
        while self.next < number {
            self.step(|_, _| ());
        }
    }

    /// Scrapes once; `each` also sees the layout, whose labels are those of the sample's moment.
    pub(crate) fn step(&mut self, mut each: impl FnMut(&Layout, Sample)) {
        let number = self.next;
        for target in 0..self.layout.targets.len() {
            self.step_target(target, number, &mut each);
        }
        self.next += 1;
    }

    fn rewind(&mut self) {
        self.next = 0;
        let now_s = self.shape.start_ms / 1000;
        for number in 0..self.layout.blocks.len() as u32 {
            let generation = self.generation_at(&self.layout.blocks[number as usize], 0);
            if self.layout.blocks[number as usize].generation != generation {
                self.layout.relabel(number, generation);
            }
            let block = &self.layout.blocks[number as usize];
            let states = &mut self.states[self.layout.series_of(block)];
            self.layout.birth(block, true, now_s, &self.tables, states);
        }
    }

    fn step_target(&mut self, target: usize, number: u64, each: &mut impl FnMut(&Layout, Sample)) {
        let timestamp_ms = self.timestamp_ms(target, number);
        let fails = self.fails(target, number);
        let failed_before = number > 0 && self.fails(target, number - 1);
        let target = &self.layout.targets[target];
        for block in target.first_block..target.end_block {
            let mut presence = if self.layout.is_about_scrape(&self.layout.blocks[block as usize]) {
                Presence { now: true, before: true }
            } else {
                Presence {
                    now: !fails && !self.is_absent(block, number),
                    before: number > 0 && !failed_before && !self.is_absent(block, number - 1),
                }
            };
            if self.replace_if_due(block, number, timestamp_ms, presence.before, each) {
                // What was there before had other labels and has had its marker.
                presence.before = false;
            }
            self.restart_if_due(block, number);
            self.compute(block, number);
            self.emit(block, timestamp_ms, presence, fails, each);
        }
    }

    /// Returns whether the block's pod was replaced.
    fn replace_if_due(
        &mut self,
        number: u32,
        scrape: u64,
        timestamp_ms: i64,
        was_present: bool,
        each: &mut impl FnMut(&Layout, Sample),
    ) -> bool {
        let block = &self.layout.blocks[number as usize];
        let generation = self.generation_at(block, scrape);
        if generation == block.generation {
            return false;
        }
        if was_present && self.shape.stale_markers {
            emit_stale(&self.layout, block, timestamp_ms, each);
        }
        self.layout.relabel(number, generation);
        let block = &self.layout.blocks[number as usize];
        let states = &mut self.states[self.layout.series_of(block)];
        self.layout.birth(block, false, timestamp_ms / 1000, &self.tables, states);
        true
    }

    fn restart_if_due(&mut self, number: u32, scrape: u64) {
        let seed = self.shape.seed ^ u64::from(number);
        if !Dice::new(seed, PURPOSE_RESTARTING).chance(RESTARTING_SHARE)
            || !Dice::new(seed, PURPOSE_RESTART | scrape).chance(RESTART_CHANCE)
        {
            return;
        }
        let block = &self.layout.blocks[number as usize];
        let states = &mut self.states[self.layout.series_of(block)];
        for (model, state) in self.layout.models(block).zip(states) {
            model.restart(state);
        }
    }

    /// Steps all series of a block into `self.values`.
    fn compute(&mut self, number: u32, scrape: u64) {
        let block = &self.layout.blocks[number as usize];
        let key = hash(self.shape.seed, scrape);
        let mut running = Running::default();
        self.values.clear();
        let states = &mut self.states[self.layout.series_of(block)];
        for (place, (model, state)) in self.layout.models(block).zip(states).enumerate() {
            let series = u64::from(block.first_series) + place as u64;
            let word = key ^ series.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let word = fold(word, word ^ 0xe703_7ed1_a0b4_28db);
            let value = model.step(state, word, &mut running, &self.values, &self.tables);
            self.values.push(value);
        }
    }

    fn emit(
        &self,
        number: u32,
        timestamp_ms: i64,
        presence: Presence,
        fails: bool,
        each: &mut impl FnMut(&Layout, Sample),
    ) {
        let block = &self.layout.blocks[number as usize];
        if !presence.now {
            if presence.before && self.shape.stale_markers {
                emit_stale(&self.layout, block, timestamp_ms, each);
            }
            return;
        }
        let is_failure_report = fails && self.layout.is_about_scrape(block);
        for (place, &value) in self.values.iter().enumerate() {
            // Of a failed scrape Prometheus reports `up` 0, no samples, and how long it took.
            let value = if is_failure_report && place != 1 { 0.0 } else { value };
            let series = block.first_series + place as u32;
            each(&self.layout, Sample { series, generation: block.generation, timestamp_ms, value });
        }
    }

    fn timestamp_ms(&self, target: usize, number: u64) -> i64 {
        let Shape { start_ms, step_ms, jitter_ms, .. } = self.shape;
        let scheduled = start_ms + number as i64 * step_ms + self.layout.targets[target].offset_ms;
        if jitter_ms == 0 {
            return scheduled;
        }
        let width = 2 * jitter_ms as u32 + 1;
        let mut dice = Dice::new(self.shape.seed ^ (target as u64) << 32, PURPOSE_JITTER | number);
        scheduled + i64::from(dice.below(width)) - jitter_ms
    }

    /// Whether a target's scrape fails: it does within any outage that began at most three scrapes ago.
    fn fails(&self, target: usize, number: u64) -> bool {
        if self.shape.gaps == 0.0 {
            return false;
        }
        let mean_length = f64::from(OUTAGE_SCRAPES_MAX + 1) / 2.0;
        (0..u64::from(OUTAGE_SCRAPES_MAX)).any(|ago| {
            let Some(start) = number.checked_sub(ago) else { return false };
            let mut dice = Dice::new(self.shape.seed ^ (target as u64) << 32, PURPOSE_OUTAGE | start);
            dice.chance(self.shape.gaps / mean_length) && u64::from(1 + dice.below(OUTAGE_SCRAPES_MAX)) > ago
        })
    }

    /// Whether a block is missing from a scrape that went well.
    fn is_absent(&self, block: u32, number: u64) -> bool {
        self.shape.gaps > 0.0
            && Dice::new(self.shape.seed ^ u64::from(block) << 24, PURPOSE_ABSENCE | number)
                .chance(self.shape.gaps / 2.0)
    }

    /// How often a block's pod has been replaced at a scrape: evenly, each pod at its own phase.
    fn generation_at(&self, block: &Block, number: u64) -> u32 {
        let Some(churn) = self.shape.churn else { return 0 };
        if !self.layout.is_of_pod(block) {
            return 0;
        }
        let mut dice = Dice::new(self.shape.seed, PURPOSE_REPLACE | u64::from(block.subject.pod));
        let phase = u64::from(dice.below(churn.scrapes));
        ((number * u64::from(churn.replacements) + phase) / u64::from(churn.scrapes)) as u32
    }
}

/// Whether a block is in this scrape and was in the one before.
#[derive(Debug, Clone, Copy)]
struct Presence {
    now: bool,
    before: bool,
}

fn emit_stale(layout: &Layout, block: &Block, timestamp_ms: i64, each: &mut impl FnMut(&Layout, Sample)) {
    let value = f64::from_bits(STALE_MARKER_BITS);
    for series in layout.series_of(block) {
        each(layout, Sample { series: series as u32, generation: block.generation, timestamp_ms, value });
    }
}
