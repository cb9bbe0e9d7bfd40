//! Sums that keep what rounding takes, after Neumaier.

/// Adds a value to a sum and to what the sum has lost so far.
fn add(value: f64, (sum, lost): (f64, f64)) -> (f64, f64) {
    let next = sum + value;
    let lost = if next.is_infinite() {
        0.0
    } else if sum.abs() >= value.abs() {
        lost + ((sum - next) + value)
    } else {
        lost + ((value - next) + sum)
    };
    (next, lost)
}

/// The sum.
pub fn sum(values: &[f64]) -> f64 {
    let (sum, lost) = values.iter().fold((0.0, 0.0), |sum, value| add(*value, sum));
    if sum.is_infinite() { sum } else { sum + lost }
}

/// The mean: the sum by the count, or a running mean from where the sum would overflow.
pub fn avg(values: &[f64]) -> f64 {
    let mut sum = (values[0], 0.0);
    for (at, value) in values.iter().enumerate().skip(1) {
        let next = add(*value, sum);
        if next.0.is_infinite() {
            let count = at as f64;
            return running_mean((sum.0 / count, sum.1 / count), at, &values[at..]);
        }
        sum = next;
    }
    let count = values.len() as f64;
    sum.0 / count + sum.1 / count
}

/// Carries a mean of so many values on over further ones.
fn running_mean(mut mean: (f64, f64), count: usize, values: &[f64]) -> f64 {
    let mut count = count as f64;
    for value in values {
        count += 1.0;
        let part = (count - 1.0) / count;
        mean = add(value / count, (part * mean.0, part * mean.1));
    }
    mean.0 + mean.1
}

/// The mean squared distance from the mean, after Welford.
pub fn variance(values: &[f64]) -> f64 {
    let (mut mean, mut squares, mut count) = ((0.0, 0.0), (0.0, 0.0), 0.0);
    for value in values {
        count += 1.0;
        let distance = value - (mean.0 + mean.1);
        mean = add(distance / count, mean);
        squares = add(distance * (value - (mean.0 + mean.1)), squares);
    }
    (squares.0 + squares.1) / count
}

/// Sums of many columns at once: value and loss.
#[derive(Debug, Clone, Copy, Default)]
pub struct Compensated(f64, f64);

impl Compensated {
    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        (self.0, self.1) = add(value, (self.0, self.1));
    }

    /// The sum.
    pub fn value(self) -> f64 {
        if self.0.is_infinite() { self.0 } else { self.0 + self.1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn great_values_do_not_swallow_small_ones() {
        assert_eq!(sum(&[1.0, 1e100, 1.0, -1e100]), 2.0);
        assert_eq!(avg(&[1.0, 1e100, 1.0, -1e100]), 0.5);
        let huge = f64::MAX * 0.55;
        assert_eq!(avg(&[huge; 2]), huge);
        assert_eq!(sum(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert_eq!(variance(&[1.5990505637277868; 3]), 0.0);
    }
}
