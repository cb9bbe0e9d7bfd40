//! Aggregates that take series one by one, so that a sum over a million series holds one row.
//!
//! 1. [`FoldKind::of`] tells whether an aggregate is one of these.
//! 2. A [`Fold`] is the state of one group: up to four columns, one place for each point around the samples of the group.
//! 3. [`Fold::add`] takes a series, [`Fold::merge`] another state, [`Fold::finish`] gives the group's values. The same series in the same batches, merged
//!    in the same order, give the same bits, whatever thread did which batch.
//! 4. Dialect `promql`: sums are compensated after Neumaier; a mean whose sum would overflow goes on as a running mean; NaN is a value. Dialect
//!    `metricsql`: plain sums, NaN is no sample.

use std::ops::Range;

use crate::{
    api::Dialect,
    frame::{ABSENT, is_absent},
    values::{Values, span_of},
};

/// A state that came over all points is narrowed if so small a share of them has samples.
const NARROWED_SHARE_MAX: usize = 2;

/// An aggregate that folds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FoldKind {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Group,
    Stddev,
    Stdvar,
    /// Sum of squares.
    Sum2,
    Geomean,
    /// The first series.
    Any,
}

impl FoldKind {
    /// The kind of the aggregate of this name, if it folds.
    pub fn of(dialect: Dialect, name: &str) -> Option<Self> {
        let kind = match name {
            "sum" => Self::Sum,
            "avg" => Self::Avg,
            "min" => Self::Min,
            "max" => Self::Max,
            "count" => Self::Count,
            "group" => Self::Group,
            "stddev" => Self::Stddev,
            "stdvar" => Self::Stdvar,
            "sum2" => Self::Sum2,
            "geomean" => Self::Geomean,
            "any" => Self::Any,
            _ => return None,
        };
        let is_extension = matches!(kind, Self::Sum2 | Self::Geomean | Self::Any);
        (dialect == Dialect::MetricsQl || !is_extension).then_some(kind)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::Count => "count",
            Self::Group => "group",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::Sum2 => "sum2",
            Self::Geomean => "geomean",
            Self::Any => "any",
        }
    }

    /// Whether the result has all labels of the first series of the group, and not those of the group.
    pub fn keeps_labels(self) -> bool {
        self == Self::Any
    }

    /// Whether a group whose series have no samples is no group, although they are taken one by one (dialect `metricsql`, where it is one for all others).
    pub fn leaves_silent_out(self, dialect: Dialect) -> bool {
        dialect == Dialect::MetricsQl && matches!(self, Self::Stddev | Self::Stdvar)
    }

    fn columns(self, dialect: Dialect) -> usize {
        match (self, dialect) {
            (Self::Any, _) => 0,
            (Self::Count | Self::Group | Self::Min | Self::Max | Self::Sum2, _) => 1,
            (Self::Sum, Dialect::MetricsQl) => 1,
            (Self::Sum, Dialect::PromQl) => 2,
            (Self::Avg, Dialect::MetricsQl) => 2,
            (Self::Geomean | Self::Stddev | Self::Stdvar, _) => 3,
            (Self::Avg, Dialect::PromQl) => 4,
        }
    }
}

/// The state of one group.
#[derive(Debug, Clone)]
pub struct Fold {
    kind: FoldKind,
    dialect: Dialect,
    points: usize,
    /// The first point that the state covers, and how many it does: those around the samples so far.
    first: usize,
    width: usize,
    /// Columns one behind the other; what they are depends on kind and dialect. The first is [`ABSENT`] where there was no sample yet.
    state: Vec<f64>,
    /// How many series it took; a state that came counts as one.
    series: usize,
}

impl Fold {
    /// The state without any series.
    pub fn new(kind: FoldKind, dialect: Dialect, points: usize) -> Self {
        Self { kind, dialect, points, first: 0, width: 0, state: Vec::new(), series: 0 }
    }

    /// A state that was made elsewhere. If it has another form, of how many numbers it is.
    pub fn from_state(kind: FoldKind, dialect: Dialect, points: usize, state: Vec<f64>) -> Result<Self, usize> {
        let fits = state.len() == kind.columns(dialect) * points && !kind.keeps_labels();
        if !fits {
            return Err(state.len());
        }
        let span = span_of(&state[..points]);
        let mut whole = Self { kind, dialect, points, first: 0, width: points, state, series: 1 };
        if span.len() * NARROWED_SHARE_MAX <= points {
            whole.place(span);
        }
        Ok(whole)
    }

    /// The spread of a series that is the only one of its group is 0, also of an infinite one (dialect `metricsql`). Beside another series an infinite
    /// value has none, even where that one has no sample; how many series there are is known when all are there.
    fn settle_infinite(&mut self) {
        if self.series <= 1 || !matches!(self.kind, FoldKind::Stddev | FoldKind::Stdvar) {
            return;
        }
        let (means, rest) = self.state.split_at_mut(self.width);
        let infinite = means.iter().zip(rest).filter(|(mean, _)| mean.is_infinite());
        infinite.for_each(|(_, squares)| *squares = f64::NAN);
    }

    /// The columns of the state over all points, for [`Self::from_state`].
    pub fn into_state(mut self) -> Vec<f64> {
        self.settle_infinite();
        if self.width < self.points {
            self.place(0..self.points);
        }
        self.state
    }

    /// Memory that the state takes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.state.capacity() * size_of::<f64>()
    }

    /// Takes a series; it has as many values as there are points.
    pub fn add(&mut self, values: &[f64]) {
        assert_eq!(values.len(), self.points, "BUG: a series of another grid");
        let span = span_of(values);
        self.add_from(span.start, &values[span]);
    }

    /// As [`Self::add`].
    pub fn add_values(&mut self, values: &Values) {
        assert_eq!(values.len(), self.points, "BUG: a series of another grid");
        self.add_from(values.span().start, values.held());
    }

    /// Takes a series that has no samples but these, the first at point `start`.
    fn add_from(&mut self, start: usize, values: &[f64]) {
        self.series += 1;
        if self.kind == FoldKind::Any {
            if self.series == 1 {
                (self.first, self.width, self.state) = (start, values.len(), values.to_vec());
            }
            return;
        }
        self.cover(start..start + values.len());
        let place = start.saturating_sub(self.first);
        match self.dialect {
            Dialect::MetricsQl => self.add_where(place, values, |value| !value.is_nan()),
            Dialect::PromQl => self.add_where(place, values, |value| !is_absent(value)),
        }
    }

    /// Makes the state wide enough for some points.
    fn cover(&mut self, span: Range<usize>) {
        let own = self.first..self.first + self.width;
        if span.is_empty() || (own.start <= span.start && span.end <= own.end) {
            return;
        }
        if own.is_empty() {
            return self.place(span);
        }
        // Half as much again on the side that grows, so that a group whose series come one after the other is not moved for each of them.
        let more = self.width / 2;
        let start = if span.start < own.start { span.start.min(own.start.saturating_sub(more)) } else { own.start };
        let end = if span.end > own.end { span.end.max(own.end + more).min(self.points) } else { own.end };
        self.place(start..end);
    }

    /// Moves the state to other points; what it has elsewhere is no sample.
    fn place(&mut self, span: Range<usize>) {
        let columns = self.kind.columns(self.dialect);
        let mut state = vec![0.0; columns * span.len()];
        state.iter_mut().take(span.len()).for_each(|first| *first = ABSENT);
        let both = span.start.max(self.first)..span.end.min(self.first + self.width);
        for column in (0..columns).filter(|_| !both.is_empty()) {
            let from = column * self.width + both.start - self.first;
            let to = column * span.len() + both.start - span.start;
            state[to..to + both.len()].copy_from_slice(&self.state[from..from + both.len()]);
        }
        (self.first, self.width, self.state) = (span.start, span.len(), state);
    }

    /// Takes values of which the first belongs to the state's point `place`.
    fn add_where(&mut self, place: usize, values: &[f64], is_sample: impl Fn(f64) -> bool) {
        let width = self.width;
        let (first, rest) = self.state.split_at_mut(width);
        let first = &mut first[place.min(width)..];
        let samples = (place..).zip(first.iter_mut().zip(values)).filter(|(_, (_, value))| is_sample(**value));
        match (self.kind, self.dialect) {
            (FoldKind::Any, _) => {}
            (FoldKind::Count, _) => samples.for_each(|(_, (count, _))| *count = 1.0 + or_zero(*count)),
            (FoldKind::Group, _) => samples.for_each(|(_, (one, _))| *one = 1.0),
            (FoldKind::Min, _) => samples.for_each(|(_, (min, value))| *min = smaller(*min, *value)),
            (FoldKind::Max, _) => samples.for_each(|(_, (max, value))| *max = larger(*max, *value)),
            (FoldKind::Sum2, _) => samples.for_each(|(_, (sum, value))| *sum = or_zero(*sum) + value * value),
            // Without a branch for each point: most sums are this one.
            (FoldKind::Sum, Dialect::MetricsQl) => first.iter_mut().zip(values).for_each(|(sum, value)| {
                let next = or_zero(*sum) + value;
                *sum = if is_sample(*value) { next } else { *sum };
            }),
            (FoldKind::Sum, Dialect::PromQl) => {
                samples.for_each(|(at, (sum, value))| add_compensated(sum, &mut rest[at], *value));
            }
            (FoldKind::Avg, Dialect::MetricsQl) => samples.for_each(|(at, (sum, value))| {
                *sum = or_zero(*sum) + value;
                rest[at] += 1.0;
            }),
            (FoldKind::Avg, Dialect::PromQl) => {
                samples.for_each(|(at, (sum, value))| {
                    let mut mean = Mean::load(*sum, rest, at, width);
                    mean.add(*value);
                    *sum = mean.store(rest, at, width);
                });
            }
            (FoldKind::Geomean, _) => {
                let (exponents, counts) = rest.split_at_mut(width);
                samples.for_each(|(at, (product, value))| {
                    let start = if is_absent(*product) { 1.0 } else { *product };
                    let (value, exponent) = scaled(*value, exponents[at]);
                    (*product, exponents[at]) = scaled(start * value, exponent);
                    counts[at] += 1.0;
                });
            }
            (FoldKind::Stddev | FoldKind::Stdvar, _) => {
                let (dialect, (squares, counts)) = (self.dialect, rest.split_at_mut(width));
                samples.for_each(|(at, (mean, value))| {
                    let spread = Spread { mean: or_zero(*mean), squares: squares[at], count: counts[at] };
                    let stands_alone = dialect == Dialect::MetricsQl && counts[at] == 0.0;
                    let spread = if stands_alone { Spread::of(*value) } else { spread.add(*value) };
                    (*mean, squares[at], counts[at]) = (spread.mean, spread.squares, spread.count);
                });
            }
        }
    }

    /// Takes another state of the same group.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(
            (self.kind, self.dialect, self.points),
            (other.kind, other.dialect, other.points),
            "BUG: states of different folds"
        );
        if other.series == 0 {
            return;
        }
        if self.series == 0 {
            self.clone_from(other);
            return;
        }
        self.series += other.series;
        if self.kind == FoldKind::Any {
            return;
        }
        self.cover(other.first..other.first + other.width);
        let (own, width) = (self.width, other.width);
        let (first, rest) = self.state.split_at_mut(own);
        let theirs = &other.state;
        for place in (0..width).filter(|place| !is_absent(theirs[*place])) {
            let at = other.first + place - self.first;
            let (mine, their) = (&mut first[at], theirs[place]);
            match (self.kind, self.dialect) {
                (FoldKind::Any, _) => {}
                (FoldKind::Count | FoldKind::Sum2 | FoldKind::Sum, Dialect::MetricsQl)
                | (FoldKind::Count | FoldKind::Sum2, Dialect::PromQl) => *mine = or_zero(*mine) + their,
                (FoldKind::Group, _) => *mine = 1.0,
                (FoldKind::Min, _) => *mine = smaller(*mine, their),
                (FoldKind::Max, _) => *mine = larger(*mine, their),
                (FoldKind::Sum, Dialect::PromQl) => {
                    add_compensated(mine, &mut rest[at], their);
                    rest[at] += theirs[width + place];
                }
                (FoldKind::Avg, Dialect::MetricsQl) => {
                    *mine = or_zero(*mine) + their;
                    rest[at] += theirs[width + place];
                }
                (FoldKind::Avg, Dialect::PromQl) => {
                    let mut mean = Mean::load(*mine, rest, at, own);
                    mean.merge(Mean::load(their, &theirs[width..], place, width));
                    *mine = mean.store(rest, at, own);
                }
                (FoldKind::Geomean, _) => {
                    let start = if is_absent(*mine) { 1.0 } else { *mine };
                    (*mine, rest[at]) = scaled(start * their, rest[at] + theirs[width + place]);
                    rest[own + at] += theirs[2 * width + place];
                }
                (FoldKind::Stddev | FoldKind::Stdvar, _) => {
                    let mine_so_far = Spread { mean: or_zero(*mine), squares: rest[at], count: rest[own + at] };
                    let both = mine_so_far.merge(Spread {
                        mean: their,
                        squares: theirs[width + place],
                        count: theirs[2 * width + place],
                    });
                    (*mine, rest[at], rest[own + at]) = (both.mean, both.squares, both.count);
                }
            }
        }
    }

    /// The values of the group, [`ABSENT`] where no series had a sample.
    pub fn finish(mut self) -> Values {
        self.settle_infinite();
        let width = self.width;
        // An only column is the result.
        let places = if self.kind.columns(self.dialect) <= 1 { 0 } else { width };
        for at in 0..places {
            let column = |n: usize| self.state[n * width + at];
            if is_absent(column(0)) {
                continue;
            }
            self.state[at] = match (self.kind, self.dialect) {
                (FoldKind::Sum, Dialect::PromQl) => column(0) + column(1),
                (FoldKind::Avg, Dialect::MetricsQl) => column(0) / column(1),
                (FoldKind::Avg, Dialect::PromQl) => Mean::load(column(0), &self.state[width..], at, width).value(),
                (FoldKind::Geomean, _) => {
                    let root = 1.0 / column(2);
                    column(0).powf(root) * (column(1) * root).exp2()
                }
                (FoldKind::Stdvar, _) => column(1) / column(2),
                (FoldKind::Stddev, _) => (column(1) / column(2)).sqrt(),
                _ => column(0),
            };
        }
        self.state.truncate(width);
        Values::new(self.points, self.first, self.state)
    }
}

fn or_zero(value: f64) -> f64 {
    if is_absent(value) { 0.0 } else { value }
}

/// The smaller of two; one that is absent or NaN loses.
fn smaller(have: f64, value: f64) -> f64 {
    if value < have || have.is_nan() { value } else { have }
}

/// The larger of two; one that is absent or NaN loses.
fn larger(have: f64, value: f64) -> f64 {
    if value > have || have.is_nan() { value } else { have }
}

fn add_compensated(sum: &mut f64, lost: &mut f64, value: f64) {
    if is_absent(*sum) {
        *sum = value;
    } else {
        (*sum, *lost) = compensated(value, *sum, *lost);
    }
}

/// A step of Neumaier's summation: the new sum, and what it has lost so far.
pub fn compensated(value: f64, sum: f64, lost: f64) -> (f64, f64) {
    let next = sum + value;
    if next.is_infinite() {
        (next, 0.0)
    } else if sum.abs() >= value.abs() {
        (next, lost + ((sum - next) + value))
    } else {
        (next, lost + ((value - next) + sum))
    }
}

/// A product with its exponent apart, so that neither a large nor a small one leaves the range of a float.
fn scaled(product: f64, exponent: f64) -> (f64, f64) {
    const BITS: f64 = 512.0;
    let large = BITS.exp2();
    if product.abs() >= large && product.is_finite() {
        (product / large, exponent + BITS)
    } else if product != 0.0 && product.abs() <= 1.0 / large {
        (product * large, exponent - BITS)
    } else {
        (product, exponent)
    }
}

/// Mean and sum of squared distances from it, after Welford.
#[derive(Debug, Clone, Copy)]
struct Spread {
    mean: f64,
    squares: f64,
    count: f64,
}

impl Spread {
    fn of(value: f64) -> Self {
        Self { mean: value, squares: 0.0, count: 1.0 }
    }

    fn add(self, value: f64) -> Self {
        let count = self.count + 1.0;
        // The spread of something infinite is no number, also when it stands alone (but see [`Fold::settle_infinite`]).
        if !value.is_finite() || !self.mean.is_finite() {
            return Self { mean: f64::NAN, squares: f64::NAN, count };
        }
        let distance = value - self.mean;
        let mean = self.mean + distance / count;
        Self { mean, squares: self.squares + distance * (value - mean), count }
    }

    /// After Chan, Golub and LeVeque.
    fn merge(self, other: Self) -> Self {
        if self.count == 0.0 {
            return other;
        }
        let count = self.count + other.count;
        if !self.mean.is_finite() || !other.mean.is_finite() {
            return Self { mean: f64::NAN, squares: f64::NAN, count };
        }
        let distance = other.mean - self.mean;
        Self {
            mean: self.mean + distance * (other.count / count),
            squares: self.squares + other.squares + distance * distance * (self.count * other.count / count),
            count,
        }
    }
}

/// The mean of dialect `promql`: of a compensated sum, or a running one from where the sum would overflow.
#[derive(Debug, Clone, Copy)]
struct Mean {
    /// The sum, or the mean.
    value: f64,
    lost: f64,
    count: f64,
    runs: bool,
}

impl Mean {
    fn load(first: f64, rest: &[f64], at: usize, points: usize) -> Self {
        let (lost, count, runs) = (rest[at], rest[points + at], rest[2 * points + at] != 0.0);
        Self { value: first, lost, count, runs }
    }

    fn store(self, rest: &mut [f64], at: usize, points: usize) -> f64 {
        (rest[at], rest[points + at], rest[2 * points + at]) = (self.lost, self.count, f64::from(u8::from(self.runs)));
        self.value
    }

    fn add(&mut self, value: f64) {
        self.merge(Self { value, lost: 0.0, count: 1.0, runs: false });
    }

    fn merge(&mut self, other: Self) {
        if self.count == 0.0 {
            *self = other;
            return;
        }
        if !self.runs && !other.runs {
            let (sum, lost) = compensated(other.value, self.value, self.lost);
            if !sum.is_infinite() {
                *self = Self { value: sum, lost: lost + other.lost, count: self.count + other.count, runs: false };
                return;
            }
        }
        let (own, other) = (self.running(), other.running());
        let count = own.count + other.count;
        let (mine, theirs) = (own.count / count, other.count / count);
        let (value, lost) = compensated(theirs * other.value, mine * own.value, mine * own.lost);
        *self = Self { value, lost: lost + theirs * other.lost, count, runs: true };
    }

    fn running(self) -> Self {
        if self.runs {
            return self;
        }
        Self { value: self.value / self.count, lost: self.lost / self.count, count: self.count, runs: true }
    }

    fn value(self) -> f64 {
        let mean = self.running();
        mean.value + mean.lost
    }
}
