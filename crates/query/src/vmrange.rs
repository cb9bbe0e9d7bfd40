//! Buckets of VictoriaMetrics' histograms: 18 of equal ratio for every power of ten from 1e-9 to 1e18, one below and one above.

use std::sync::OnceLock;

/// The label that names a bucket's range.
pub const LABEL: &str = "vmrange";

const LOWEST_POWER: i32 = -9;
const HIGHEST_POWER: i32 = 18;
const BUCKETS_A_POWER: i32 = 18;
const INNER: usize = ((HIGHEST_POWER - LOWEST_POWER) * BUCKETS_A_POWER) as usize;

/// The bucket of a value; values that are negative or no numbers have none.
pub fn bucket_of(value: f64) -> Option<usize> {
    if value.is_nan() || value < 0.0 {
        return None;
    }
    let place = (value.log10() - f64::from(LOWEST_POWER)) * f64::from(BUCKETS_A_POWER);
    if place < 0.0 {
        return Some(0);
    }
    if place >= INNER as f64 {
        return Some(INNER + 1);
    }
    let number = place as usize;
    // A power of ten belongs to the bucket below.
    let is_border = place == number as f64 && number > 0;
    Some(if is_border { number } else { number + 1 })
}

/// The text of a bucket.
pub fn range_of(bucket: usize) -> String {
    let bounds = bounds();
    match bucket {
        0 => format!("0...{}", bounds[0]),
        bucket if bucket > INNER => format!("{}...+Inf", exponential(10f64.powi(HIGHEST_POWER))),
        bucket => format!("{}...{}", bounds[bucket - 1], bounds[bucket]),
    }
}

fn bounds() -> &'static [String] {
    static BOUNDS: OnceLock<Vec<String>> = OnceLock::new();
    BOUNDS.get_or_init(|| {
        // Multiplied up as the rival does, since the last digit depends on it.
        let ratio = 10f64.powf(1.0 / f64::from(BUCKETS_A_POWER));
        let first = 10f64.powi(LOWEST_POWER);
        let bounds = std::iter::successors(Some(first), |bound| Some(bound * ratio));
        bounds.take(INNER + 1).map(exponential).collect()
    })
}

/// Three digits behind the point, an exponent with a sign and two digits at least.
fn exponential(value: f64) -> String {
    let text = format!("{value:.3e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_find_their_ranges() {
        let range = |value| bucket_of(value).map(range_of);
        assert_eq!(range(0.0).as_deref(), Some("0...1.000e-09"));
        assert_eq!(range(1.0).as_deref(), Some("8.799e-01...1.000e+00"));
        assert_eq!(range(1.05).as_deref(), Some("1.000e+00...1.136e+00"));
        assert_eq!(range(42.0).as_deref(), Some("4.084e+01...4.642e+01"));
        assert_eq!(range(1e19).as_deref(), Some("1.000e+18...+Inf"));
        assert_eq!((range(-1.0), range(f64::NAN)), (None, None));
    }
}
