//! How the values of a series go on from scrape to scrape.
//!
//! 1. A series has a [`Model`] (from the catalog) and 16 bytes of [`State`].
//! 2. [`Model::birth`] sets the state up from the series' own hash: how busy it is, how old its counter is.
//! 3. [`Model::step`] takes one hash for (seed, series, scrape), moves the state on by one scrape and gives the value.
//!    Counters and gauges are integers of their own unit inside, so that their decimals are exact.
//! 4. Series of one block are stepped in order: a histogram's buckets add up as they pass, `_count` and `_sum` follow
//!    from them, and a mirror repeats an earlier series of its block.

use crate::noise::{Dice, Tables, exp, fold, unit};

/// What a codec makes of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// The same value always, or for thousands of scrapes.
    Constant,
    /// Whole numbers, or hundredths, that grow and reset.
    Counter,
    /// A cumulative histogram bucket.
    Bucket,
    /// A gauge of bytes or of few decimal digits.
    Gauge,
    /// A number that uses most of a double's bits.
    Float,
}

/// One series' place in its model.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct State {
    /// The value in the model's unit (for [`Model::Real`] the bits of a double).
    level: i64,
    /// Events a scrape, or where a gauge is at home.
    rate: f32,
    /// Poisson class; for bursts the upper bit says "on".
    aux: u32,
}

/// A gauge's unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Unit {
    /// Memory pages of 4096 bytes.
    Pages,
    /// Whole numbers.
    Ones,
    /// Two decimal digits.
    Hundredths,
    /// Three decimal digits.
    Thousandths,
}

/// The law of one series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Model {
    /// One of these, for ever.
    Fixed(&'static [f64]),
    /// The second at which the subject was created.
    Created,
    /// One of these, chosen anew every few thousand scrapes.
    Seldom(&'static [f64]),
    /// Independent events, this many a scrape in the median series.
    Requests(f32),
    /// A lognormal amount a scrape, this much in the median series.
    Bytes(f32),
    /// Events that come in phases of some minutes.
    Bursts(f32),
    /// A rare event.
    Errors,
    /// Used CPU time in hundredths of seconds; the share of a core in the median series.
    Ticks(f32),
    /// The `index`-th of `count` buckets; `rate` observations a scrape in the median histogram.
    Bucket { index: u8, count: u8, rate: f32 },
    /// `_count` of the buckets before it.
    HistogramCount,
    /// `_sum` of the buckets before it, in hundredths.
    HistogramSum,
    /// The same as the series that stands this many places before it.
    Mirror(u8),
    /// Wanders about its home: which is `home` in the median series, by `wobble` (relative) in a share `activity` of
    /// the scrapes, within 0 and `most`.
    Gauge { unit: Unit, home: f32, wobble: f32, activity: f32, most: f32 },
    /// CPU time in nanoseconds; the share of a core in the median series.
    Nanos(f32),
    /// A duration in nanoseconds that is measured anew each time; its median in seconds.
    Took(f32),
    /// An arbitrary double around this.
    Real(f32),
}

/// What the series of one block hand on to each other inside a scrape.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Running {
    observations: i64,
    sum_growth: i64,
}

const PAGE_BYTES: f64 = 4096.0;
const STEP_SECONDS: f32 = 15.0;
const BURSTING: u32 = 1 << 31;
/// A "constant" that changes does it about every 2,000 scrapes (eight hours).
const SELDOM_CHANCE: f64 = 1.0 / 2_000.0;
const BURST_START_CHANCE: f64 = 0.025;
const BURST_END_CHANCE: f64 = 0.06;
const GAUGE_PULL: f64 = 0.05;
/// A counter that exists before the run began is up to this many scrapes old (30 days).
const AGE_SCRAPES_MAX: f64 = 172_800.0;
const AGE_SCRAPES_MIN: f64 = 2_000.0;

impl Model {
    pub(crate) fn class(self) -> Class {
        match self {
            Self::Fixed(_) | Self::Created | Self::Seldom(_) => Class::Constant,
            Self::Requests(_) | Self::Bytes(_) | Self::Bursts(_) | Self::Errors | Self::Ticks(_) => Class::Counter,
            Self::HistogramCount | Self::HistogramSum | Self::Mirror(_) => Class::Counter,
            Self::Bucket { .. } => Class::Bucket,
            Self::Gauge { .. } => Class::Gauge,
            Self::Nanos(_) | Self::Took(_) | Self::Real(_) => Class::Float,
        }
    }

    /// Whether a restart of its process sets the series to zero.
    fn is_cumulative(self) -> bool {
        matches!(
            self,
            Self::Requests(_)
                | Self::Bytes(_)
                | Self::Bursts(_)
                | Self::Errors
                | Self::Ticks(_)
                | Self::Nanos(_)
                | Self::Bucket { .. }
                | Self::HistogramSum
        )
    }

    /// The state before the first scrape. `own` belongs to the series alone, `group` to its whole histogram; a series
    /// that is not `aged` starts its counters at zero.
    pub(crate) fn birth(self, own: u64, group: u64, aged: bool, now_s: i64, tables: &Tables) -> State {
        let mut dice = Dice::new(own, 1);
        let mut family = Dice::new(group, 2);
        let age = AGE_SCRAPES_MIN + (AGE_SCRAPES_MAX - AGE_SCRAPES_MIN) * family.unit();
        let spread = |sigma: f64, dice: &mut Dice| exp(sigma * tables.normal((dice.word() >> 32) as u32));
        let mut state = State::default();
        match self {
            Self::Fixed(choices) | Self::Seldom(choices) => {
                state.level = choices[dice.below(choices.len() as u32) as usize].to_bits() as i64;
            }
            Self::Created => {
                let seconds = if aged { (age * f64::from(STEP_SECONDS)) as i64 } else { 2 };
                state.level = now_s - seconds;
            }
            Self::Requests(median) | Self::Bursts(median) => {
                state.rate = (f64::from(median) * spread(1.1, &mut dice)) as f32;
                state.aux = tables.poisson_class(f64::from(state.rate));
            }
            Self::Errors => state.rate = 0.002 + 0.018 * dice.unit() as f32,
            Self::Bytes(median) => state.rate = (f64::from(median) * spread(1.5, &mut dice)) as f32,
            Self::Ticks(share) => {
                let share = (f64::from(share) * spread(0.6, &mut dice)).min(0.95);
                state.rate = share as f32 * STEP_SECONDS * 100.0;
            }
            Self::Nanos(share) => {
                let share = f64::from(share) * spread(1.0, &mut dice);
                state.rate = share as f32 * STEP_SECONDS * 1e9;
            }
            Self::Bucket { index, count, rate } => {
                let total = f64::from(rate) * spread(1.2, &mut family);
                state.rate = (total * bucket_share(index, count, &mut family)) as f32;
                state.aux = tables.poisson_class(f64::from(state.rate));
            }
            Self::Gauge { unit, home, most, .. } => {
                let home = (f64::from(home) * spread(0.7, &mut dice)).min(f64::from(most)) * unit.per_one();
                state.rate = home as f32;
                state.level = home as i64;
            }
            Self::Took(median) => state.rate = (f64::from(median) * spread(0.5, &mut dice)) as f32,
            Self::Real(median) => {
                state.rate = (f64::from(median) * spread(0.7, &mut dice)) as f32;
                state.level = f64::from(state.rate).to_bits() as i64;
            }
            Self::HistogramSum => state.rate = 400.0 * spread(1.0, &mut family) as f32,
            Self::HistogramCount | Self::Mirror(_) => {}
        }
        if aged && self.is_cumulative() {
            state.level = (f64::from(state.rate) * age) as i64;
        }
        state
    }

    /// The process behind the series began anew.
    pub(crate) fn restart(self, state: &mut State) {
        if self.is_cumulative() {
            state.level = 0;
        }
    }

    /// Moves on by one scrape. `word` is random, `earlier` holds this scrape's values of the block so far.
    #[inline]
    pub(crate) fn step(
        self,
        state: &mut State,
        word: u64,
        running: &mut Running,
        earlier: &[f64],
        tables: &Tables,
    ) -> f64 {
        let bits = (word >> 32) as u32;
        match self {
            Self::Fixed(_) => f64::from_bits(state.level as u64),
            Self::Created => state.level as f64,
            Self::Seldom(choices) => {
                if unit(word) < SELDOM_CHANCE {
                    let chosen = fold(word, !word) as usize % choices.len();
                    state.level = choices[chosen].to_bits() as i64;
                }
                f64::from_bits(state.level as u64)
            }
            Self::Requests(_) => {
                state.level += tables.poisson(f64::from(state.rate), state.aux, bits) as i64;
                state.level as f64
            }
            Self::Bursts(_) => {
                let on = state.aux & BURSTING != 0;
                let turn = unit(fold(word, word.rotate_left(17) | 1));
                if turn < if on { BURST_END_CHANCE } else { BURST_START_CHANCE } {
                    state.aux ^= BURSTING;
                }
                if state.aux & BURSTING != 0 {
                    let class = state.aux & !BURSTING;
                    state.level += tables.poisson(f64::from(state.rate), class, bits) as i64;
                }
                state.level as f64
            }
            Self::Errors => {
                if f64::from(bits) < f64::from(state.rate) * 4_294_967_296.0 {
                    state.level += 1 + (word & 1) as i64;
                }
                state.level as f64
            }
            Self::Bytes(_) => {
                state.level += (f64::from(state.rate) * exp_fast(0.6 * tables.normal(bits))) as i64;
                state.level as f64
            }
            Self::Ticks(_) => {
                let rate = f64::from(state.rate);
                let growth = rate + 0.2 * rate * tables.normal(bits) + 0.5;
                state.level += (growth as i64).max(0);
                state.level as f64 / 100.0
            }
            Self::Bucket { index, .. } => {
                if index == 0 {
                    *running = Running::default();
                }
                let growth = tables.poisson(f64::from(state.rate), state.aux, bits) as i64;
                state.level += growth;
                running.observations += state.level;
                let middle = BUCKET_MIDDLE_HUNDREDTHS[usize::from(index)];
                running.sum_growth += growth * (middle - middle / 8 + (word & 0xffff) as i64 * (middle / 4) / 0x1_0000);
                running.observations as f64
            }
            Self::HistogramCount => running.observations as f64,
            Self::HistogramSum => {
                state.level += running.sum_growth;
                state.level as f64 / 100.0
            }
            Self::Mirror(back) => earlier[earlier.len() - usize::from(back)],
            Self::Gauge { unit, wobble, activity, most, .. } => {
                if (word as u32 as f32) < activity * 4_294_967_296.0 {
                    let home = f64::from(state.rate);
                    let level = state.level as f64;
                    let drift = GAUGE_PULL * (home - level) + f64::from(wobble) * home * tables.normal(bits);
                    let most = f64::from(most) * unit.per_one();
                    state.level = round(level + drift).clamp(0, most as i64);
                }
                unit.of(state.level)
            }
            Self::Nanos(_) => {
                let growth = f64::from(state.rate) * exp_fast(0.3 * tables.normal(bits));
                state.level += growth as i64 + (word & 0x3ff) as i64;
                state.level as f64 / 1e9
            }
            Self::Took(_) => {
                let seconds = f64::from(state.rate) * exp_fast(0.15 * tables.normal(bits));
                ((seconds * 1e9) as i64 + (word & 0x3ff) as i64) as f64 / 1e9
            }
            Self::Real(_) => {
                let home = f64::from(state.rate);
                let last = f64::from_bits(state.level as u64);
                let fine = unit(fold(word, word.rotate_left(31) | 1)) * home * 1e-5;
                let next = home * 0.3 + last * 0.7 + home * 0.1 * tables.normal(bits) + fine;
                state.level = next.to_bits() as i64;
                next
            }
        }
    }
}

impl Unit {
    fn per_one(self) -> f64 {
        match self {
            Self::Pages => 1.0 / PAGE_BYTES,
            Self::Ones => 1.0,
            Self::Hundredths => 100.0,
            Self::Thousandths => 1000.0,
        }
    }

    fn of(self, level: i64) -> f64 {
        match self {
            Self::Pages => level as f64 * PAGE_BYTES,
            Self::Ones => level as f64,
            Self::Hundredths => level as f64 / 100.0,
            Self::Thousandths => level as f64 / 1000.0,
        }
    }
}

/// What an observation in each bucket adds to the sum, in hundredths.
const BUCKET_MIDDLE_HUNDREDTHS: [i64; 12] =
    [40, 300, 750, 1_800, 3_800, 7_500, 18_000, 38_000, 75_000, 180_000, 400_000, 900_000];

/// The share of a histogram's observations that fall into one bucket: bell-shaped over the bucket numbers, with the
/// histogram's own centre and width.
fn bucket_share(index: u8, count: u8, family: &mut Dice) -> f64 {
    let centre = 1.5 + (0.65 * f64::from(count) - 1.5) * family.unit();
    let width = 0.7 + 1.1 * family.unit();
    let weight = |j: u8| {
        let distance = (f64::from(j) - centre) / width;
        exp(-0.5 * distance * distance)
    };
    weight(index) / (0..count).map(weight).sum::<f64>()
}

/// `e` to the `x` for |x| below 3, to 1e-9: the hot path's shorter series.
fn exp_fast(x: f64) -> f64 {
    let small = x / 16.0;
    let mut sum = 1.0 + small / 7.0;
    for term in [6.0, 5.0, 4.0, 3.0, 2.0, 1.0] {
        sum = 1.0 + sum * small / term;
    }
    let squared = sum * sum;
    let fourth = squared * squared;
    fourth * fourth * (fourth * fourth)
}

fn round(x: f64) -> i64 {
    if x < 0.0 { (x - 0.5) as i64 } else { (x + 0.5) as i64 }
}
