//! Takes series one after the other through a recipe.
//!
//! 1. Samples that do not count are left out; what that leaves has a column of times of its own.
//! 2. The values are changed if the recipe says so.
//! 3. The bounds of the windows are looked up by the column of times, or found.
//! 4. Each output sees all windows: by a kernel of its own if it has one (`kernels`), else window by window.

use std::{borrow::Cow, sync::Arc};

use storage_api::PlacedHead;

use super::{
    heads, kernels,
    prepare::{change, clean},
    recipe::{Recipe, Tag, What},
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
}

/// Gets a series that came out. It may take the values; what it leaves is used again.
pub type Emit<'e> = dyn FnMut(Tag<'_>, &mut Vec<f64>) -> Result<(), QueryError> + 'e;

impl<'a> Roller<'a> {
    /// For series whose windows lie as `layout` says.
    pub fn new(recipe: &'a Recipe, layout: &'a Layout) -> Self {
        Self { recipe, layout, cache: BoundsCache::default(), out: Vec::new(), spreading: Spreading::default() }
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
        change(self.recipe.change, times, values);
        let (recipe, points) = (self.recipe, self.layout.points);
        for output in &recipe.outputs {
            if let What::Spread(spread) = &output.what {
                self.spread(spread, &bounds, (times, values), emit)?;
                continue;
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
        let bounds = Bounds::find(self.layout, cleaned.as_deref().unwrap_or(times));
        self.out.clear();
        heads::fill(self.recipe, self.layout, &bounds, values, heads, &mut self.out);
        emit(Tag::None, &mut self.out)
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
