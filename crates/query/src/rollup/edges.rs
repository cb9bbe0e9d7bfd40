//! Functions that look at the borders of windows, over columns in which heads stand for blocks far from any border.
//!
//! 1. The store gives [`SAMPLES`] numbers on either side of each border, and as many at the begin of the series, one by one. Whatever such a function looks at is among
//!    them: first and last sample of a window, the samples beside it, and the intervals that tell how far samples usually lie apart.
//! 2. Dialect `metricsql` takes the falls of a counter out of the whole column. A head has no fall inside; from sample to head and from head to sample
//!    the walk goes on as over the samples themselves, so that what comes out has the same bits.
//! 3. Dialect `promql` adds up the falls inside of each window, in the order of time, and counts samples.

use storage_api::PlacedHead;

use super::{
    metricsql::Function as M,
    prepare::Falls,
    promql::{Function as P, extrapolated_change},
    recipe::{Change, Recipe, Then, What},
    window::{Bounds, Layout, for_each_window},
};

/// So many numbers next to each border come one by one: more than are looked at to tell how far samples usually lie apart.
pub const SAMPLES: u64 = 32;

const _: () = assert!(SAMPLES as usize > super::window::INTERVALS_LOOKED_AT + 1);

/// Whether all that is looked at lies next to the borders of windows.
pub fn looks_at_borders(recipe: &Recipe) -> bool {
    let [output] = recipe.outputs.as_slice() else { return false };
    // Behind a gap counting may begin anew, and a head does not tell of gaps.
    let changes = matches!(recipe.change, Change::None | Change::Counter { gap_max: 0, then: Then::Keep });
    let borders = match &output.what {
        What::Metricsql(function) => matches!(
            function,
            M::Default
                | M::Delta
                | M::DeltaPrometheus
                | M::DerivFast
                | M::DerivFastPrometheus
                | M::First
                | M::IncreasePure
                | M::Tfirst
                | M::Tlast
        ),
        What::Promql(function) => {
            matches!(function, P::Delta | P::First | P::Increase | P::Last | P::Rate | P::TsOfFirst | P::TsOfLast)
        }
        _ => false,
    };
    changes && borders && output.tag.is_none()
}

/// Whether falls inside of a block matter.
pub fn is_of_counters(recipe: &Recipe) -> bool {
    recipe.change != Change::None || matches!(recipe.outputs[0].what, What::Promql(P::Rate | P::Increase))
}

/// A sample or a head of a column, in the order of time.
enum Entry<'h> {
    /// The sample at this place.
    Sample(usize),
    Head(&'h PlacedHead),
}

/// Calls `visit` for all samples and heads in the order of time.
fn each<'h>(times: &[i64], heads: &'h [PlacedHead], mut visit: impl FnMut(Entry<'h>)) {
    let mut at = 0;
    for head in heads {
        let behind = at + times[at..].partition_point(|time| *time < head.first_time);
        (at..behind).for_each(|sample| visit(Entry::Sample(sample)));
        visit(Entry::Head(head));
        at = behind;
    }
    (at..times.len()).for_each(|sample| visit(Entry::Sample(sample)));
}

/// Takes the falls of a counter out of the samples.
pub fn take_out_falls(times: &[i64], values: &mut [f64], heads: &[PlacedHead]) {
    if falls(times, values, heads).is_empty() {
        return;
    }
    let mut falls: Option<Falls> = None;
    each(times, heads, |entry| match entry {
        Entry::Sample(at) => {
            let value = values[at];
            values[at] = falls.get_or_insert_with(|| Falls::from(value)).take(value);
        }
        Entry::Head(head) => {
            // Between the two nothing falls, so that the greatest sum is that of the last.
            let falls = falls.get_or_insert_with(|| Falls::from(head.summary.first));
            falls.take(head.summary.first);
            falls.take(head.summary.last);
        }
    });
}

/// A value that is less than the one before.
struct Fall {
    time_before: i64,
    before: f64,
    time: i64,
}

fn falls(times: &[i64], values: &[f64], heads: &[PlacedHead]) -> Vec<Fall> {
    let mut falls = Vec::new();
    let mut have: Option<(i64, f64)> = None;
    each(times, heads, |entry| {
        let (first, last) = match entry {
            Entry::Sample(at) => ((times[at], values[at]), (times[at], values[at])),
            Entry::Head(head) => ((head.first_time, head.summary.first), (head.last_time, head.summary.last)),
        };
        if let Some((time_before, before)) = have
            && first.1 < before
        {
            falls.push(Fall { time_before, before, time: first.0 });
        }
        have = Some(last);
    });
    falls
}

/// Appends the extrapolated change over each window (dialect `promql`).
pub fn extrapolate(
    function: P,
    layout: &Layout,
    bounds: &Bounds,
    (times, values): (&[i64], &[f64]),
    heads: &[PlacedHead],
    out: &mut Vec<f64>,
) {
    let falls = if function == P::Delta { Vec::new() } else { falls(times, values, heads) };
    for_each_window(layout, bounds, (times, values), out, |window| {
        let start = window.end - window.length;
        let inside = heads.iter().filter(|head| start < head.first_time && head.last_time <= window.end);
        let count = window.values.len() as u64 + inside.map(|head| head.summary.count).sum::<u64>();
        let inside = falls.iter().filter(|fall| start < fall.time_before && fall.time <= window.end);
        let falls = inside.map(|fall| fall.before);
        extrapolated_change(window, count, falls, function != P::Delta, function == P::Rate)
    });
}
