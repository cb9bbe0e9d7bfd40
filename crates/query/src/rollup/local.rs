//! Whether the values of windows are the same wherever the query begins and ends, so that some may be taken from a former answer.
//!
//! A value is *local* if every evaluation whose windows hold that one gives it the same bits, whatever it reads before and behind. Three evaluations are
//! compared: the former one, the one of the points that are missing, and the one of all points that is not made.
//!
//! 1. Functions of nothing but the samples inside a window are local. Sums are, unless windows overlap so much that they come from sums over the whole
//!    column; then all values must be whole numbers, of which every sum is exact.
//! 2. In dialect `metricsql` it follows from the first intervals of the column that was read how far away the sample before a window may lie, and how long a
//!    window without length is. No choice of intervals of the column gives less or more than [`reaches`]; only if no sample lies between the two, the window is local.
//!    As a column may have other intervals elsewhere, this must hold for the reach of all columns of a selector together ([`Reach`]).
//! 3. The falls of a counter are taken out of the whole column, which may round otherwise if the column begins elsewhere: all values must be whole numbers then.
//! 4. A change over a window with nothing before it looks further back and forward ([`Kind::Change`]); what of it may differ is not local.
//!
//! Whoever evaluates the missing points sees to it that a series that has no sample before its first window has none in the whole range.

use super::{
    metricsql::Function as M,
    prepare::never_falls,
    promql::Function as P,
    recipe::{Change, Recipe, Then, What},
    sums,
    window::{Bounds, Layout, Length, Spacing, stretched_within},
};

/// What a value depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The samples inside the window.
    Inside,
    /// Their sum.
    Sum,
    /// The last sample of a window whose length follows from the column.
    Last,
    /// Those inside, and the one before if it is near.
    Rate,
    /// As `Rate`; without one before also those further away.
    Change,
}

impl Kind {
    /// Whether it looks at samples outside of the window.
    pub fn looks_around(self) -> bool {
        matches!(self, Self::Last | Self::Rate | Self::Change)
    }

    /// Whether a series has samples behind `known_to`, but none in the last window that ends there, though it has some before: what is known up to there did not know
    /// that it comes back, nor how long it was away. `has_before` says whether it has samples before the column.
    pub fn comes_back(self, times: &[i64], length: i64, known_to: i64, has_before: bool) -> bool {
        let known = times.partition_point(|time| *time <= known_to);
        if !self.looks_around() || known == times.len() {
            return false;
        }
        match times[..known].last() {
            None => has_before,
            Some(last) => self != Self::Last && *last <= known_to.saturating_sub(length),
        }
    }
}

/// Greater values may have another mean.
const AVERAGED_MAX: f64 = 1e290;
/// The sum of all values of a counter that falls is less, so that sums of two such columns are exact.
const WHOLE_SUM_MAX: f64 = 2_251_799_813_685_248.0;

/// What the values of a recipe depend on; `None` if they may depend on anything.
pub fn kind(recipe: &Recipe, layout: &Layout) -> Option<Kind> {
    let [output] = recipe.outputs.as_slice() else { return None };
    if output.tag.is_some() || !recipe.numbers.0.is_empty() {
        return None;
    }
    match (&output.what, layout.length) {
        (What::Promql(function), Length::Fixed(_)) => of_promql(*function),
        (What::Metricsql(function), Length::Spaced(spacing)) if spacing.lookback == 0 => {
            of_metricsql(*function, recipe, &spacing)
        }
        _ => None,
    }
}

fn of_promql(function: P) -> Option<Kind> {
    match function {
        P::Sum | P::Avg | P::Min | P::Max => Some(Kind::Sum),
        P::Instant
        | P::Changes
        | P::Count
        | P::Delta
        | P::First
        | P::Idelta
        | P::Increase
        | P::Irate
        | P::Last
        | P::Present
        | P::Rate
        | P::Resets
        | P::Stddev
        | P::Stdvar => Some(Kind::Inside),
        _ => None,
    }
}

fn of_metricsql(function: M, recipe: &Recipe, spacing: &Spacing) -> Option<Kind> {
    let has_length = spacing.said.is_some_and(|length| length > 0);
    let is_plain = recipe.change == Change::None;
    let is_counter = matches!(recipe.change, Change::Counter { gap_max: 0, then: Then::Keep });
    match function {
        M::Default if recipe.is_default && !has_length => Some(Kind::Last),
        M::DerivFast if has_length && is_counter => Some(Kind::Rate),
        M::Delta if is_counter && (has_length || !spacing.may_adjust) => Some(Kind::Change),
        _ if !is_plain || (!has_length && spacing.may_adjust) => None,
        M::Sum | M::Avg => Some(Kind::Sum),
        M::Count
        | M::Default
        | M::First
        | M::Max
        | M::Min
        | M::Present
        | M::Stddev
        | M::Stdvar
        | M::Tfirst
        | M::Tlast => Some(Kind::Inside),
        _ => None,
    }
}

/// What windows tell of the samples before them, over all columns of a selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// No column sees less far, whichever of its intervals that is told from.
    least: i64,
    /// None sees as far, or further.
    most: i64,
    /// The furthest sample that was seen.
    near: i64,
    /// The nearest sample that was not.
    far: i64,
}

impl Default for Reach {
    fn default() -> Self {
        Self { least: i64::MAX, most: i64::MIN, near: i64::MIN, far: i64::MAX }
    }
}

impl Reach {
    /// Of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            least: self.least.min(other.least),
            most: self.most.max(other.most),
            near: self.near.max(other.near),
            far: self.far.min(other.far),
        }
    }

    /// Whether every column would see the same samples with the reach of any other.
    pub fn holds(self) -> bool {
        self.near < self.least && self.far >= self.most
    }

    /// A sample lies so far away; `None` if it depends on the reach whether it is seen.
    fn with(self, distance: i64, (least, most): (i64, i64)) -> Option<Self> {
        match distance {
            _ if distance < least => Some(Self { near: self.near.max(distance), ..self }),
            _ if distance >= most => Some(Self { far: self.far.min(distance), ..self }),
            _ => None,
        }
    }
}

/// What windows tell of a column of times; `None` if some are not local. `silence` is how far before the first window is read.
pub fn reach_of(kind: Kind, layout: &Layout, bounds: &Bounds, times: &[i64], silence: i64) -> Option<Reach> {
    let Length::Spaced(spacing) = layout.length else { return Some(Reach::default()) };
    if !kind.looks_around() || times.is_empty() {
        return Some(Reach::default());
    }
    let seen = reaches(&spacing, times)?;
    if seen.1.saturating_mul(2) > silence {
        return None;
    }
    match kind {
        Kind::Last => reach_of_lasts(&spacing, layout, bounds, times, (seen, silence)),
        _ => reach_of_changes(kind, layout, bounds, times, seen),
    }
}

/// How far away the sample before a window may lie at least and at most, whichever intervals of the column that is told from.
fn reaches(spacing: &Spacing, times: &[i64]) -> Option<(i64, i64)> {
    let intervals = times.windows(2).map(|pair| pair[1] - pair[0]);
    let (least, most) =
        intervals.fold((i64::MAX, 0), |(least, most), interval| (least.min(interval), most.max(interval)));
    match times.len() {
        // One sample has nothing before it.
        1 => Some((spacing.staleness_min, spacing.staleness_min)),
        _ if least <= 0 => None,
        _ => {
            let (low, high) = stretched_within(least, most);
            Some((low.max(spacing.staleness_min), high.max(spacing.staleness_min)))
        }
    }
}

/// A window without length is as long as the step, or as the sample before it may be far away.
fn reach_of_lasts(
    spacing: &Spacing,
    layout: &Layout,
    bounds: &Bounds,
    times: &[i64],
    ((least, most), silence): ((i64, i64), i64),
) -> Option<Reach> {
    // Where only one sample is left of a column, the step stands for its intervals: then that sample must lie too far away to count.
    let (_, of_step) = stretched_within(spacing.step, spacing.step);
    let alone = spacing.step.max(of_step).max(spacing.staleness_min);
    if alone > silence.saturating_add(spacing.step).saturating_sub(most) {
        return None;
    }
    let (seen, mut reach) = match times.len() {
        1 => ((spacing.step, alone), Reach::default()),
        _ => {
            let (least, most) = (spacing.step.max(least), spacing.step.max(most));
            ((least, most), Reach { least, most, ..Reach::default() })
        }
    };
    for (i, behind) in bounds.to.iter().enumerate() {
        if let Some(last) = behind.checked_sub(1) {
            reach = reach.with(layout.end(i) - times[last as usize], seen)?;
        }
    }
    Some(reach)
}

fn reach_of_changes(kind: Kind, layout: &Layout, bounds: &Bounds, times: &[i64], seen: (i64, i64)) -> Option<Reach> {
    let mut reach = match times.len() {
        1 => Reach::default(),
        _ => Reach { least: seen.0, most: seen.1, ..Reach::default() },
    };
    for i in 0..layout.points {
        let (from, to) = (bounds.from[i] as usize, bounds.to[i] as usize);
        let is_change = kind == Kind::Change && from < to;
        match from.checked_sub(1) {
            // The step of a change from the first sample on is told from the next, before which another may come yet.
            None if is_change && to - from == 1 => return None,
            None => {}
            // It counts only if a sample stands behind it, too; that none does is looked at when one comes.
            Some(_) if from == times.len() => {}
            Some(before) => {
                let distance = layout.end(i) - bounds.length - times[before];
                if is_change && distance >= seen.1 {
                    return None;
                }
                reach = reach.with(distance, seen)?;
            }
        }
    }
    Some(reach)
}

/// Whether the values of a column are such that nothing is rounded otherwise in another column that holds the same windows.
pub fn values_are_local(kind: Kind, recipe: &Recipe, layout: &Layout, bounds: &Bounds, values: &[f64]) -> bool {
    let is_promql = matches!(recipe.outputs[0].what, What::Promql(_));
    match kind {
        Kind::Sum => {
            let overlaps = bounds.length > layout.step.saturating_mul(sums::OVERLAP_MIN as i64);
            (!overlaps || sums::is_whole(values))
                && (!is_promql || values.iter().fold(true, |are, value| are & (value.abs() < AVERAGED_MAX)))
        }
        Kind::Rate | Kind::Change => never_falls(values) || are_exact_counts(values),
        Kind::Inside | Kind::Last => true,
    }
}

fn are_exact_counts(values: &[f64]) -> bool {
    let whole = values.iter().fold(true, |whole, value| whole & (*value >= 0.0) & (value.trunc() == *value));
    whole && values.iter().sum::<f64>() < WHOLE_SUM_MAX
}
