//! The values of a series on a grid.
//!
//! Only those from about the first sample to about the last are held: over a long range, a series that lived briefly costs what it lived. Who changes
//! all of them has them all: absent ones become held then. What only looks, or changes samples alone, leaves them as they are.

use std::{
    iter::{Chain, RepeatN, repeat_n},
    ops::{Index, Range},
    slice,
};

use crate::frame::{ABSENT, is_absent};

/// Values are copied out of a larger buffer when they are at most this share of it.
const COPIED_SHARE_MAX: usize = 2;

/// One value a point.
type Iter<'v> = Chain<Chain<RepeatN<&'v f64>, slice::Iter<'v, f64>>, RepeatN<&'v f64>>;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Values {
    points: usize,
    /// The place of the first that is held.
    first: usize,
    held: Vec<f64>,
}

impl Values {
    /// Those of a grid of `points` that stand from `first` on; the others are absent.
    pub fn new(points: usize, first: usize, held: Vec<f64>) -> Self {
        assert!(first + held.len() <= points, "BUG: more values than points");
        Self { points, first, held }
    }

    /// What stands in a buffer, which keeps its memory if only little of it is needed.
    pub fn take(buffer: &mut Vec<f64>) -> Self {
        let span = span_of(buffer);
        if span.len() * COPIED_SHARE_MAX > buffer.len() {
            return std::mem::take(buffer).into();
        }
        Self::new(buffer.len(), span.start, buffer[span].to_vec())
    }

    /// How many points the grid has.
    pub fn len(&self) -> usize {
        self.points
    }

    /// Where values are held; there is no sample elsewhere.
    pub fn span(&self) -> Range<usize> {
        self.first..self.first + self.held.len()
    }

    /// The values in [`Self::span`].
    pub fn held(&self) -> &[f64] {
        &self.held
    }

    /// As [`Self::held`], for changes after which what is absent elsewhere is still absent.
    pub fn held_mut(&mut self) -> &mut [f64] {
        &mut self.held
    }

    /// What it takes to hold all values, beyond what is held.
    pub fn bytes_missing(&self) -> usize {
        (self.points - self.held.len()) * size_of::<f64>()
    }

    /// All values, for any change. It is for the caller to ask for the memory.
    pub fn whole(&mut self) -> &mut Vec<f64> {
        if self.held.len() < self.points {
            let mut whole = Vec::with_capacity(self.points);
            whole.resize(self.first, ABSENT);
            whole.extend_from_slice(&self.held);
            whole.resize(self.points, ABSENT);
            (self.first, self.held) = (0, whole);
        }
        &mut self.held
    }

    /// All values.
    pub fn into_whole(mut self) -> Vec<f64> {
        self.whole();
        self.held
    }

    /// The first point that is held, and what is held.
    pub fn into_held(self) -> (usize, Vec<f64>) {
        (self.first, self.held)
    }

    /// The values where both hold some, side by side; one's own elsewhere become absent.
    pub fn meet<'o>(&mut self, other: &'o Self) -> (&mut [f64], &'o [f64]) {
        let (own, theirs) = (self.span(), other.span());
        let both = own.start.max(theirs.start)..own.end.min(theirs.end);
        if both.is_empty() {
            *self = Self::absent(self.points);
            return (&mut [], &[]);
        }
        let inside = both.start - own.start..both.end - own.start;
        self.held.truncate(inside.end);
        self.held[..inside.start].fill(ABSENT);
        (&mut self.held[inside.start..], &other.held[both.start - theirs.start..both.end - theirs.start])
    }

    /// Those of some points, on a grid of those.
    pub fn stretch(&self, points: Range<usize>) -> Self {
        let (first, held) = self.over(points.clone());
        let within = span_of(held);
        Self::new(points.len(), first + within.start, held[within].to_vec())
    }

    /// Absent everywhere on a grid of `points`.
    pub fn absent(points: usize) -> Self {
        Self::new(points, 0, Vec::new())
    }

    /// Those of another grid behind this one.
    pub fn append(&mut self, mut behind: Self) {
        if self.held.is_empty() {
            (self.first, self.held) = (self.points + behind.first, behind.held);
        } else if !behind.held.is_empty() {
            self.held.resize(self.points - self.first + behind.first, ABSENT);
            self.held.append(&mut behind.held);
        }
        self.points += behind.points;
    }

    /// What is held at some points, and at which of them it begins.
    pub fn over(&self, points: Range<usize>) -> (usize, &[f64]) {
        let span = self.span();
        let both = span.start.max(points.start)..span.end.min(points.end);
        if both.is_empty() {
            return (0, &[]);
        }
        (both.start - points.start, &self.held[both.start - span.start..both.end - span.start])
    }

    /// Takes away the value at a point.
    pub fn remove(&mut self, at: usize) {
        if let Some(value) = at.checked_sub(self.first).and_then(|at| self.held.get_mut(at)) {
            *value = ABSENT;
        }
    }

    /// Sets the value at a point where one was held.
    pub fn restore(&mut self, at: usize, value: f64) {
        self.held[at - self.first] = value;
    }

    /// Memory that is held.
    pub fn bytes(&self) -> usize {
        self.held.capacity() * size_of::<f64>()
    }

    /// One value a point.
    pub fn iter(&self) -> Iter<'_> {
        let behind = self.points - self.span().end;
        repeat_n(&ABSENT, self.first).chain(&self.held).chain(repeat_n(&ABSENT, behind))
    }

    /// The points with a value, with it.
    pub fn samples(&self) -> impl Iterator<Item = (usize, f64)> {
        let held = self.span().zip(self.held.iter().copied());
        held.filter(|(_, value)| !is_absent(*value))
    }

    /// The value at the first point.
    pub fn first(&self) -> Option<f64> {
        self.iter().next().copied()
    }

    /// The value at the first point, at all of a grid of `points`.
    pub fn first_everywhere(&self, points: usize) -> Self {
        vec![self.first().unwrap_or(ABSENT); points].into()
    }

    /// The value of all points from `at` on; the point before has the same.
    pub fn go_on(&mut self, at: usize, value: f64) {
        self.held.truncate(at.saturating_sub(self.first));
        if !is_absent(value) {
            self.held.resize(self.points - self.first, value);
        }
    }
}

/// From the first value that is there to the last.
pub fn span_of(values: &[f64]) -> Range<usize> {
    let Some(first) = values.iter().position(|value| !is_absent(*value)) else { return 0..0 };
    let last = values.iter().rposition(|value| !is_absent(*value)).unwrap_or(first);
    first..last + 1
}

impl From<Vec<f64>> for Values {
    fn from(whole: Vec<f64>) -> Self {
        Self { points: whole.len(), first: 0, held: whole }
    }
}

impl FromIterator<f64> for Values {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        values.into_iter().collect::<Vec<f64>>().into()
    }
}

impl<'v> IntoIterator for &'v Values {
    type Item = &'v f64;
    type IntoIter = Iter<'v>;

    fn into_iter(self) -> Iter<'v> {
        self.iter()
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Index<usize> for Values {
    type Output = f64;

    fn index(&self, at: usize) -> &f64 {
        assert!(at < self.points, "BUG: a point that the grid does not have");
        at.checked_sub(self.first).and_then(|at| self.held.get(at)).unwrap_or(&ABSENT)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Values of some points, and the same with absent ones at the ends left away in part.
    fn any_values() -> impl Strategy<Value = (Vec<f64>, Values)> {
        let held = prop::collection::vec(prop_oneof![Just(ABSENT), Just(f64::NAN), -9.0..9.0], 0..8);
        (0..6_usize, held, 0..6_usize).prop_map(|(before, held, behind)| {
            let points = before + held.len() + behind;
            let whole = [vec![ABSENT; before], held.clone(), vec![ABSENT; behind]].concat();
            (whole, Values::new(points, before, held))
        })
    }

    fn bits(values: &[f64]) -> Vec<u64> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    fn whole(values: &Values) -> Vec<u64> {
        bits(&values.iter().copied().collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn what_is_not_held_is_absent((all, values) in any_values()) {
            prop_assert_eq!(whole(&values), bits(&all));
            let backwards: Vec<f64> = values.iter().rev().copied().collect();
            prop_assert_eq!(bits(&backwards), bits(&all.iter().rev().copied().collect::<Vec<_>>()));
            prop_assert_eq!((0..all.len()).map(|at| values[at].to_bits()).collect::<Vec<_>>(), bits(&all));
            let samples: Vec<_> = values.samples().map(|(at, value)| (at, value.to_bits())).collect();
            let want = bits(&all).into_iter().enumerate().filter(|(_, bits)| *bits != ABSENT.to_bits());
            prop_assert_eq!(samples, want.collect::<Vec<_>>());
            prop_assert_eq!(bits(&values.clone().into_whole()), bits(&all));
            prop_assert_eq!(whole(&Values::take(&mut all.clone())), bits(&all));
        }

        #[test]
        fn any_value_can_be_changed((mut all, mut values) in any_values(), at in any::<prop::sample::Index>()) {
            prop_assume!(!all.is_empty());
            let at = at.index(all.len());
            prop_assert_eq!(values.held().len() * 8 + values.bytes_missing(), all.len() * 8);
            values.remove(at);
            all[at] = ABSENT;
            prop_assert_eq!(whole(&values), bits(&all));
            (all[at], values.whole()[at]) = (77.0, 77.0);
            prop_assert_eq!(whole(&values), bits(&all));
        }

        #[test]
        fn a_value_goes_on((mut all, mut values) in any_values(), at in any::<prop::sample::Index>()) {
            let at = at.index(all.len() + 1);
            let value = if at > 0 { all[at - 1] } else { ABSENT };
            all[at..].fill(value);
            values.go_on(at, value);
            prop_assert_eq!(whole(&values), bits(&all));
        }

        #[test]
        fn two_meet_where_both_hold_some((all, mut values) in any_values(), (others, other) in any_values()) {
            let points = all.len().min(others.len());
            let (mut values, other) = (std::mem::take(&mut values).stretch(0..points), other.stretch(0..points));
            let (own, theirs) = values.meet(&other);
            own.iter_mut().zip(theirs).for_each(|(own, theirs)| *own = if is_absent(*own) || is_absent(*theirs) { ABSENT } else { *own * 2.0 + *theirs });
            let want = all.iter().zip(&others).map(|(own, theirs)| if is_absent(*own) || is_absent(*theirs) { ABSENT } else { *own * 2.0 + *theirs });
            prop_assert_eq!(whole(&values), bits(&want.collect::<Vec<_>>()));
        }

        #[test]
        fn a_stretch_has_its_points((all, values) in any_values(), from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
            let (from, to) = (from.index(all.len() + 1), to.index(all.len() + 1));
            let range = from.min(to)..from.max(to);
            prop_assert_eq!(whole(&values.stretch(range.clone())), bits(&all[range]));
        }
    }
}
