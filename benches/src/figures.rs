//! Figures of repeated measurements: medians, percentiles, ratios within rounds.

use std::time::Duration;

/// The middle of the values; of an even number the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => (sorted[count / 2 - 1] + sorted[count / 2]) / 2.0,
    }
}

/// What `share` of the sorted times stay within; nothing of no times.
pub(crate) fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let place = (share * sorted.len() as f64) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Ratios within rounds; rounds in which there is none (nothing over nothing) are left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ratio {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Ratio {
    /// Of each round's first figure over its second; nothing if no round has a ratio.
    pub(crate) fn of(over: &[f64], under: &[f64]) -> Option<Self> {
        let mut ratios: Vec<f64> = over.iter().zip(under).map(|(over, under)| over / under).collect();
        ratios.retain(|ratio| ratio.is_finite());
        ratios.sort_by(f64::total_cmp);
        let (least, most) = (*ratios.first()?, *ratios.last()?);
        Some(Self { median: median(&ratios), least, most })
    }
}

/// The median of the ratios within rounds, and their range.
pub(crate) fn spread(over: &[f64], under: &[f64]) -> String {
    match Ratio::of(over, under) {
        Some(Ratio { median, least, most }) => format!("{median:.2} ({least:.2} – {most:.2})"),
        None => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ratios() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(spread(&[2.0, 9.0, 4.0], &[1.0, 3.0, 4.0]), "2.00 (1.00 – 3.00)");
        assert_eq!(spread(&[0.0], &[0.0]), "–");
    }

    #[test]
    fn times_are_taken_at_their_share() {
        let times: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 0.5), Duration::from_millis(51));
        assert_eq!(percentile(&times, 0.99), Duration::from_millis(100));
        assert_eq!(percentile(&[], 0.99), Duration::ZERO);
    }
}
