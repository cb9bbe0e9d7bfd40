//! From numbers to residuals and back, one vector at a time.
//!
//! ```text
//! raw      d[i] = (x[i] - origin) / g
//! delta    d[i] = (x[i] - x[i-1]) / g                    x[-1] = origin
//! delta2   d[i] = ((x[i] - x[i-1]) - (x[i-1] - x[i-2])) / g   x[-1] - x[-2] = slope
//! ```
//!
//! The decoder keeps [`State`] between vectors: the number before the next one and the delta that led to it.

use super::divisor::Divisor;
use super::plan::Fold;
use crate::VECTOR_SAMPLES;
use crate::bitpack::Vector;
use crate::bytes::zigzag;
use crate::lanes::{Sums, prefix_sum, prefix_sum_twice, stretch};
use crate::wide::wide;

/// Residuals of which the middle one is taken for the middle of all.
const MIDDLE_PROBES: usize = 9;

/// What a residual is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The number itself, from the origin.
    Raw = 0,
    /// The difference to the number before.
    Delta = 1,
    /// The difference of that difference to the one before.
    Delta2 = 2,
}

impl Kind {
    /// All kinds. Delta stands first, because it wins where a probe sees no change at all: what changes behind the probes
    /// is then an exception here and there.
    pub(crate) const ALL: [Self; 3] = [Self::Delta, Self::Raw, Self::Delta2];

    /// The kind behind its number on disk.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&kind| kind as u8 == number)
    }
}

/// Where a decoder stands between two vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    /// The number before the next one; for raw residuals the origin, for ever.
    pub(crate) previous: i64,
    /// The delta that led to it; 0 unless the kind is delta2.
    pub(crate) slope: i64,
}

impl State {
    /// The state before the first number, chosen so that the first residual is like its neighbours.
    pub(crate) fn before(numbers: &[i64], kind: Kind) -> Self {
        let first = numbers[0];
        let delta = numbers.get(1).map_or(0, |second| second.wrapping_sub(first));
        match kind {
            Kind::Raw => Self { previous: first, slope: 0 },
            Kind::Delta => Self { previous: first.wrapping_sub(delta), slope: 0 },
            Kind::Delta2 => {
                let bend = match numbers {
                    [_, second, third, ..] => third.wrapping_sub(*second).wrapping_sub(delta),
                    _ => 0,
                };
                let delta = delta.wrapping_sub(bend);
                Self { previous: first.wrapping_sub(delta), slope: delta.wrapping_sub(bend) }
            }
        }
    }

    /// The state before number `start`, which is not the first of the block.
    pub(crate) fn at(numbers: &[i64], start: usize, kind: Kind, initial: Self) -> Self {
        if start == 0 || kind == Kind::Raw {
            return initial;
        }
        let previous = numbers[start - 1];
        let slope = match kind {
            Kind::Delta2 if start == 1 => previous.wrapping_sub(initial.previous),
            Kind::Delta2 => previous.wrapping_sub(numbers[start - 2]),
            Kind::Raw | Kind::Delta => 0,
        };
        Self { previous, slope }
    }
}

/// Residuals of up to 256 numbers that follow `state`.
pub(crate) fn make(
    numbers: &[i64],
    kind: Kind,
    state: State,
    divisor: Option<Divisor>,
    residuals: &mut [i64; VECTOR_SAMPLES],
) {
    match kind {
        Kind::Raw => make_raw(numbers, state, residuals),
        Kind::Delta => make_delta(numbers, state, residuals),
        Kind::Delta2 => make_delta2(numbers, state, residuals),
    }
    if let Some(divisor) = divisor {
        divide(&mut residuals[..numbers.len()], divisor);
    }
}

wide! {
    fn distance_bits(residuals: &[i64], center: i64) -> u64 {
        residuals.iter().map(|residual| 64 - u64::from(zigzag(residual.wrapping_sub(center)).leading_zeros())).sum()
    }

    fn make_raw(numbers: &[i64], state: State, residuals: &mut [i64; VECTOR_SAMPLES]) {
        for (residual, number) in residuals.iter_mut().zip(numbers) {
            *residual = number.wrapping_sub(state.previous);
        }
    }

    fn make_delta(numbers: &[i64], state: State, residuals: &mut [i64; VECTOR_SAMPLES]) {
        residuals[0] = numbers[0].wrapping_sub(state.previous);
        for (residual, pair) in residuals[1..].iter_mut().zip(numbers.windows(2)) {
            *residual = pair[1].wrapping_sub(pair[0]);
        }
    }

    fn make_delta2(numbers: &[i64], state: State, residuals: &mut [i64; VECTOR_SAMPLES]) {
        let first_delta = numbers[0].wrapping_sub(state.previous);
        residuals[0] = first_delta.wrapping_sub(state.slope);
        if let Some(second) = numbers.get(1) {
            residuals[1] = second.wrapping_sub(numbers[0]).wrapping_sub(first_delta);
        }
        for (residual, three) in residuals[2..].iter_mut().zip(numbers.windows(3)) {
            *residual = three[2].wrapping_sub(three[1]).wrapping_sub(three[1].wrapping_sub(three[0]));
        }
    }

    fn divide(residuals: &mut [i64], divisor: Divisor) {
        for residual in residuals {
            *residual = divisor.divide(*residual);
        }
    }

    fn restore_raw(folded: &Vector, fold: Fold, origin: i64, numbers: &mut Sums) {
        if fold.folded {
            for (number, &residual) in numbers.iter_mut().zip(folded) {
                *number = origin.wrapping_add(fold.residual(residual));
            }
        } else {
            let base = origin.wrapping_add(fold.base);
            for (number, &residual) in numbers.iter_mut().zip(folded) {
                *number = base.wrapping_add(residual as i64);
            }
        }
    }
}

/// How many bits these residuals are away from their middle, all together: nearly what coding them takes, and unlike
/// their range not spoilt by an outlier.
pub(crate) fn spread(residuals: &[i64]) -> u64 {
    let mut middle = [0; MIDDLE_PROBES];
    let step = residuals.len().div_ceil(MIDDLE_PROBES);
    let probes = residuals.len().div_ceil(step);
    for (slot, &residual) in middle.iter_mut().zip(residuals.iter().step_by(step)) {
        *slot = residual;
    }
    let (_, &mut center, _) = middle[..probes].select_nth_unstable(probes / 2);
    distance_bits(residuals, center)
}

/// Numbers from the folded residuals of a vector of `count`; moves `state` behind them. What follows the last number
/// is unspecified.
pub(crate) fn restore(
    folded: &Vector,
    count: usize,
    fold: Fold,
    divisor: i64,
    kind: Kind,
    state: &mut State,
    numbers: &mut Sums,
) {
    // What stands on the state's line is the same, whether it is multiplied before it is summed up or after.
    let on_line = divisor == 1;
    let start = if on_line { *state } else { State { previous: 0, slope: 0 } };
    match kind {
        Kind::Raw => restore_raw(folded, fold, start.previous, numbers),
        Kind::Delta => prefix_sum(folded, fold.folded, fold.base, start.previous, numbers),
        Kind::Delta2 => prefix_sum_twice(folded, fold.folded, fold.base, start.slope, start.previous, numbers),
    }
    if !on_line {
        stretch(numbers, divisor, state.slope, state.previous);
    }
    if kind == Kind::Delta2 {
        let before = if count > 1 { numbers[count - 2] } else { state.previous };
        state.slope = numbers[count - 1].wrapping_sub(before);
    }
    if kind != Kind::Raw {
        state.previous = numbers[count - 1];
    }
}
