//! Takes series one after the other through a recipe.
//!
//! 1. Samples that do not count are left out; what that leaves has a column of times of its own.
//! 2. The values are changed if the recipe says so.
//! 3. The bounds of the windows are looked up by the column of times, or found.
//! 4. Each output sees all windows: by a kernel of its own if it has one (`kernels`), else window by window.

use std::{borrow::Cow, sync::Arc};

use storage_api::PlacedHead;

use super::{
    edges, heads, kernels, local,
    prepare::{change, clean},
    promql::{Function as PromqlFunction, check_factors},
    recipe::{Change, Recipe, Tag, What},
    spread::{Spread, Spreading},
    window::{Bounds, BoundsCache, Layout, for_each_window},
};
use crate::{api::QueryError, frame::ABSENT};

/// Takes series through a recipe.
pub struct Roller<'a> {
    recipe: &'a Recipe,
    layout: &'a Layout,
    cache: BoundsCache,
    out: Vec<f64>,
    spreading: Spreading,
    locality: Option<Locality>,
}

/// Whether all values so far are the same wherever the query begins and ends.
struct Locality {
    kind: local::Kind,
    /// How far before the first window is read.
    silence: i64,
    /// The points up to here are known.
    known_to: Option<i64>,
    /// Whether the series has samples before those that were read.
    has_before: bool,
    holds: bool,
    reach: local::Reach,
}

/// Gets a series that came out. It may take the values; what it leaves is used again.
pub type Emit<'e> = dyn FnMut(Tag<'_>, &mut Vec<f64>) -> Result<(), QueryError> + 'e;

impl<'a> Roller<'a> {
    /// For series whose windows lie as `layout` says.
    pub fn new(recipe: &'a Recipe, layout: &'a Layout) -> Self {
        let cache = BoundsCache::default();
        Self { recipe, layout, cache, out: Vec::new(), spreading: Spreading::default(), locality: None }
    }

    /// About how many bytes it holds from one series to the next.
    pub fn bytes(&self) -> usize {
        self.cache.bytes(self.layout) + self.out.capacity() * size_of::<f64>()
    }

    /// Looks at each series whether its values are local (see [`local`]).
    pub fn watch(&mut self, kind: local::Kind, silence: i64, known_to: Option<i64>) {
        self.locality =
            Some(Locality { kind, silence, known_to, has_before: false, holds: true, reach: local::Reach::default() });
    }

    /// Tells of the next series whether it has samples before those that were read.
    pub fn came_before(&mut self, has_before: bool) {
        if let Some(locality) = &mut self.locality {
            locality.has_before = has_before;
        }
    }

    /// How far windows so far look around, if all values so far are local.
    pub fn reach(&self) -> Option<local::Reach> {
        self.locality.as_ref().filter(|locality| locality.holds).map(|locality| locality.reach)
    }

    fn look(&mut self, bounds: &Bounds, times: &[i64], values: &[f64]) {
        let Some(Locality { kind, silence, known_to, has_before, holds, reach }) = &mut self.locality else { return };
        let of_column = bounds.reach(|| local::reach_of(*kind, self.layout, bounds, times, *silence));
        *reach = reach.and(of_column.unwrap_or_default());
        *holds = *holds
            && of_column.is_some()
            && !known_to.is_some_and(|known_to| kind.comes_back(times, bounds.length, known_to, *has_before))
            && local::values_are_local(*kind, self.recipe, self.layout, bounds, values);
    }

    /// Takes a series. Its values may be changed.
    pub fn roll(
        &mut self,
        times: &Arc<Vec<i64>>,
        values: &mut Vec<f64>,
        emit: &mut Emit<'_>,
    ) -> Result<(), QueryError> {
        let cleaned = clean(self.recipe.cleaning, times, values);
        let bounds = match &cleaned {
            Some(times) => Arc::new(Bounds::find(self.layout, times)),
            None => self.cache.get(self.layout, times),
        };
        let times: &[i64] = cleaned.as_deref().unwrap_or(times);
        self.look(&bounds, times, values);
        change(self.recipe.change, times, values);
        let (recipe, points) = (self.recipe, self.layout.points);
        for output in &recipe.outputs {
            if let What::Spread(spread) = &output.what {
                self.spread(spread, &bounds, (times, values), emit)?;
                continue;
            }
            if let What::Promql(PromqlFunction::DoubleExponentialSmoothing) = output.what {
                check_factors(&recipe.numbers, &bounds)?;
            }
            self.out.clear();
            self.out.reserve(points);
            self.fill(&output.what, &bounds, times, values);
            let tag = output.tag.map_or(Tag::None, |tag| Tag::Label("rollup", tag));
            emit(tag, &mut self.out)?;
        }
        Ok(())
    }

    /// As [`Self::roll`], of samples beside heads of blocks that stand for further ones.
    pub fn roll_heads(
        &mut self,
        times: &Arc<Vec<i64>>,
        values: &mut Vec<f64>,
        heads: &[PlacedHead],
        emit: &mut Emit<'_>,
    ) -> Result<(), QueryError> {
        let cleaned = clean(self.recipe.cleaning, times, values);
        let times: &[i64] = cleaned.as_deref().unwrap_or(times);
        let bounds = Bounds::find(self.layout, times);
        self.out.clear();
        if heads::wanted(self.recipe) == Some(heads::Wanted::Edges) {
            self.fill_edges(&bounds, times, values, heads);
        } else {
            heads::fill(self.recipe, self.layout, &bounds, values, heads, &mut self.out);
        }
        emit(Tag::None, &mut self.out)
    }

    fn fill_edges(&mut self, bounds: &Bounds, times: &[i64], values: &mut [f64], heads: &[PlacedHead]) {
        let recipe = self.recipe;
        if recipe.change != Change::None {
            edges::take_out_falls(times, values, heads);
        }
        match &recipe.outputs[0].what {
            What::Promql(function @ (PromqlFunction::Rate | PromqlFunction::Increase | PromqlFunction::Delta)) => {
                edges::extrapolate(*function, self.layout, bounds, (times, values), heads, &mut self.out);
            }
            what => self.fill(what, bounds, times, values),
        }
    }

    fn fill(&mut self, what: &What, bounds: &Bounds, times: &[i64], values: &[f64]) {
        let (layout, out, numbers) = (self.layout, &mut self.out, &self.recipe.numbers);
        match what {
            What::Metricsql(function) => {
                if !kernels::metricsql(*function, layout, bounds, (times, values), out) {
                    for_each_window(layout, bounds, (times, values), out, |window| function.apply(numbers, window));
                }
                // Whatever NaN a function gives means that there is no sample.
                out.iter_mut().filter(|value| value.is_nan()).for_each(|value| *value = ABSENT);
            }
            What::Promql(function) => {
                if !kernels::promql(*function, layout, bounds, (times, values), out) {
                    for_each_window(layout, bounds, (times, values), out, |window| function.apply(numbers, window));
                }
            }
            What::Extended(extended) => extended.apply(layout, times, values, out),
            What::SmoothedInstant(lookback) => super::promql::smoothed_instant(layout, *lookback, times, values, out),
            What::Spread(_) => unreachable!("BUG: a spreading function has no single series"),
        }
    }

    fn spread(
        &mut self,
        spread: &Spread,
        bounds: &Bounds,
        column: (&[i64], &[f64]),
        emit: &mut Emit<'_>,
    ) -> Result<(), QueryError> {
        let (layout, spreading) = (self.layout, &mut self.spreading);
        let mut failed = None;
        self.out.clear();
        for_each_window(layout, bounds, column, &mut self.out, |window| {
            if failed.is_none() {
                failed = spreading.add(spread, window, layout.points).err();
            }
            ABSENT
        });
        let series = spreading.take(spread);
        if let Some(error) = failed {
            return Err(error);
        }
        for (value, mut values) in series {
            emit(Tag::Label(spread.label(), &value), &mut values)?;
        }
        Ok(())
    }
}

/// The labels of an output of a series.
pub fn output_labels<'l>(labels: &'l crate::Labels, tag: Tag<'_>) -> Cow<'l, crate::Labels> {
    match tag {
        Tag::None => Cow::Borrowed(labels),
        Tag::Label(name, value) => {
            let mut labels = labels.clone();
            labels.set(name, value);
            Cow::Owned(labels)
        }
    }
}
