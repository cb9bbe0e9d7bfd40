//! Functions that go over the values of a window once.

/// Stands for no sample.
const NONE: f64 = f64::NAN;

/// The sum, or none of nothing.
pub fn sum(values: &[f64]) -> f64 {
    if values.is_empty() { NONE } else { values.iter().sum() }
}

/// The sum of the squares.
pub fn sum_squares(values: &[f64]) -> f64 {
    if values.is_empty() { NONE } else { values.iter().map(|value| value * value).sum() }
}

/// The mean.
pub fn avg(values: &[f64]) -> f64 {
    sum(values) / values.len() as f64
}

/// The least value.
pub fn min(values: &[f64]) -> f64 {
    values.iter().copied().reduce(|min, value| if value < min { value } else { min }).unwrap_or(NONE)
}

/// The greatest value.
pub fn max(values: &[f64]) -> f64 {
    values.iter().copied().reduce(|max, value| if value > max { value } else { max }).unwrap_or(NONE)
}

/// How many.
pub fn count(values: &[f64]) -> f64 {
    if values.is_empty() { NONE } else { values.len() as f64 }
}

/// 1 if there is one.
pub fn present(values: &[f64]) -> f64 {
    if values.is_empty() { NONE } else { 1.0 }
}

/// 1 if there is none.
pub fn absent(values: &[f64]) -> f64 {
    if values.is_empty() { 1.0 } else { NONE }
}

/// The root of the product.
pub fn geomean(values: &[f64]) -> f64 {
    if values.is_empty() {
        return NONE;
    }
    values.iter().product::<f64>().powf(1.0 / values.len() as f64)
}

/// How many fulfil a condition.
pub fn count_where(values: &[f64], fulfils: impl Fn(f64) -> bool) -> f64 {
    if values.is_empty() { NONE } else { values.iter().filter(|value| fulfils(**value)).count() as f64 }
}

/// Which part fulfils a condition.
pub fn share_where(values: &[f64], fulfils: impl Fn(f64) -> bool) -> f64 {
    count_where(values, fulfils) / values.len() as f64
}

/// The sum of those that fulfil a condition.
pub fn sum_where(values: &[f64], fulfils: impl Fn(f64) -> bool) -> f64 {
    // Begins at +0: the sum of no floats is -0 otherwise.
    if values.is_empty() {
        NONE
    } else {
        values.iter().filter(|value| fulfils(**value)).fold(0.0, |sum, value| sum + value)
    }
}
