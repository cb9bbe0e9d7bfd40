//! Functions that make several series of one: one for each value of a label.

use std::collections::BTreeMap;

use super::{metricsql::quantile_of_sorted, window::Window};
use crate::{api::QueryError, frame::ABSENT, vmrange};

/// A series gives at most so many.
const SERIES_MAX: usize = 10_000;

/// Which function.
#[derive(Debug, Clone)]
pub enum Spread {
    /// `histogram_over_time`.
    Histogram,
    /// `count_values_over_time`; the label that gets the value.
    CountValues(String),
    /// `quantiles_over_time`.
    Quantiles {
        /// The label that gets the quantile.
        label: String,
        /// The quantiles and how they were written.
        phis: Vec<(f64, String)>,
    },
}

/// What tells the series that come out: a bucket, the bits of a value, the place of a quantile.
type Place = u64;

/// The series that come out of one.
#[derive(Debug, Default)]
pub struct Spreading {
    columns: BTreeMap<Place, Vec<f64>>,
    sorted: Vec<f64>,
}

impl Spread {
    /// The label by which the series differ.
    pub fn label(&self) -> &str {
        match self {
            Self::Histogram => vmrange::LABEL,
            Self::CountValues(label) | Self::Quantiles { label, .. } => label,
        }
    }

    fn text(&self, place: Place) -> String {
        match self {
            Self::Histogram => vmrange::range_of(place as usize),
            Self::CountValues(_) => general(f64::from_bits(place)),
            Self::Quantiles { phis, .. } => phis.get(place as usize).map_or_else(String::new, |(_, text)| text.clone()),
        }
    }
}

impl Spreading {
    /// Takes a window of a series that has `points` in all.
    pub fn add(&mut self, spread: &Spread, window: &Window<'_>, points: usize) -> Result<(), QueryError> {
        match spread {
            Spread::Histogram => {
                for bucket in window.values.iter().filter_map(|value| vmrange::bucket_of(*value)) {
                    self.count(bucket as Place, window.index, points)?;
                }
            }
            Spread::CountValues(_) => {
                for value in window.values {
                    self.count(value.to_bits(), window.index, points)?;
                }
            }
            Spread::Quantiles { phis, .. } if !window.values.is_empty() => {
                self.sorted.clear();
                self.sorted.extend_from_slice(window.values);
                self.sorted.sort_unstable_by(f64::total_cmp);
                for (place, (phi, _)) in phis.iter().enumerate() {
                    let value = quantile_of_sorted(*phi, &self.sorted);
                    column(&mut self.columns, place as Place, points)?[window.index] = value;
                }
            }
            Spread::Quantiles { .. } => {}
        }
        Ok(())
    }

    fn count(&mut self, place: Place, index: usize, points: usize) -> Result<(), QueryError> {
        let count = &mut column(&mut self.columns, place, points)?[index];
        *count = if count.is_nan() { 1.0 } else { *count + 1.0 };
        Ok(())
    }

    /// Gives the series, each with the value of its label, and is empty again.
    pub fn take(&mut self, spread: &Spread) -> Vec<(String, Vec<f64>)> {
        std::mem::take(&mut self.columns).into_iter().map(|(place, values)| (spread.text(place), values)).collect()
    }
}

fn column(columns: &mut BTreeMap<Place, Vec<f64>>, place: Place, points: usize) -> Result<&mut Vec<f64>, QueryError> {
    if columns.len() >= SERIES_MAX && !columns.contains_key(&place) {
        return Err(QueryError::Limit(format!(
            "a series has more than {SERIES_MAX} different values; narrow the time range, or round the values"
        )));
    }
    Ok(columns.entry(place).or_insert_with(|| vec![ABSENT; points]))
}

/// The shortest text of a number, with an exponent of at least two digits below 1e-4 and from 1e21 on or beyond its digits.
pub fn general(value: f64) -> String {
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        _ if !value.is_finite() => if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        }
        .into(),
        -4..=20 => format!("{value}"),
        exponent => format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_short() {
        assert_eq!(
            ["0.5", "1234567", "1e+21", "1e-05", "-Inf"].map(String::from),
            [0.5, 1_234_567.0, 1e21, 1e-5, f64::NEG_INFINITY].map(general)
        );
    }
}
