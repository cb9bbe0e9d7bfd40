//! Lengths of time.

use crate::ast::Unit;

impl Unit {
    /// Its length in milliseconds, where `step_ms` is the step of the query.
    pub fn millis(self, step_ms: f64) -> f64 {
        match self {
            Self::Millisecond => 1.0,
            Self::Second => 1e3,
            Self::Minute => 60e3,
            Self::Hour => 3_600e3,
            Self::Day => 86_400e3,
            Self::Week => 7.0 * 86_400e3,
            Self::Year => 365.0 * 86_400e3,
            Self::Step => step_ms,
        }
    }

    /// How it is written.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Millisecond => "ms",
            Self::Second => "s",
            Self::Minute => "m",
            Self::Hour => "h",
            Self::Day => "d",
            Self::Week => "w",
            Self::Year => "y",
            Self::Step => "i",
        }
    }
}

/// The length of a duration in milliseconds.
///
/// A negative part makes all parts behind it negative: `3h-5m2s` is 3 hours less 5 minutes and 2 seconds.
pub fn duration_millis(parts: &[(f64, Unit)], step_ms: f64) -> f64 {
    let mut sum = 0.0;
    let mut subtracts = false;
    for (number, unit) in parts {
        subtracts |= *number < 0.0;
        let length = number.abs() * unit.millis(step_ms);
        sum += if subtracts { -length } else { length };
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_added_and_subtracted() {
        let cases: &[(&[(f64, Unit)], f64)] = &[
            (&[(1.0, Unit::Hour), (5.0, Unit::Minute)], 3_900_000.0),
            (&[(1.5, Unit::Day)], 129_600_000.0),
            (&[(10.0, Unit::Step)], 150_000.0),
            (&[(250.0, Unit::Millisecond)], 250.0),
            (&[(2.0, Unit::Hour), (-5.0, Unit::Minute)], 6_900_000.0),
            (&[(3.0, Unit::Hour), (-5.0, Unit::Minute), (2.0, Unit::Second)], 10_498_000.0),
            (&[(1.0, Unit::Week), (1.0, Unit::Year)], 372.0 * 86_400_000.0),
        ];
        for (parts, millis) in cases {
            assert_eq!(duration_millis(parts, 15_000.0), *millis, "{parts:?}");
        }
    }
}
