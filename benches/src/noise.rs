//! Seeded noise without state.
//!
//! 1. Every random number is a hash of (seed, scrape, series), so that no generator state is carried and any part of the
//!    world can be asked for alone.
//! 2. Distributions are drawn from it by tables that are built once: a normal quantile table with linear interpolation,
//!    and inverse cumulative tables for small Poisson rates.
//! 3. Only additions, multiplications and divisions are used, never the platform's `exp` or `ln`: the same seed gives
//!    the same bits with every libc.

use std::f64::consts::{LN_2, LOG2_E};

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const SALT: u64 = 0xd6e8_feb8_6659_fd93;

/// Folds two words into one: the 128-bit product, its halves xored.
pub(crate) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

/// A well-mixed word from two.
pub(crate) fn hash(a: u64, b: u64) -> u64 {
    let x = a ^ b.wrapping_mul(GOLDEN).wrapping_add(SALT);
    let y = fold(x ^ SALT, x.rotate_left(29) ^ GOLDEN);
    fold(y ^ a, y ^ SALT)
}

/// A sequence of independent words that starts at one hash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(a: u64, b: u64) -> Self {
        Self(hash(a, b))
    }

    pub(crate) fn word(&mut self) -> u64 {
        let word = self.0;
        self.0 = fold(word ^ GOLDEN, word.wrapping_add(SALT));
        word
    }

    /// Uniform in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        unit(self.word())
    }

    /// Uniform in 0..n.
    pub(crate) fn below(&mut self, n: u32) -> u32 {
        ((u128::from(self.word()) * u128::from(n)) >> 64) as u32
    }

    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }
}

/// The 53 upper bits as a number in [0, 1).
pub(crate) fn unit(word: u64) -> f64 {
    (word >> 11) as f64 / (1u64 << 53) as f64
}

/// `e` to the `x` with an error below 1e-13, by arithmetic that IEEE 754 defines exactly.
pub(crate) fn exp(x: f64) -> f64 {
    const TERMS: i32 = 14;
    let scaled = (x * LOG2_E).clamp(-1000.0, 1000.0);
    let whole = if scaled < 0.0 { scaled as i64 - 1 } else { scaled as i64 };
    let rest = (scaled - whole as f64) * LN_2;
    let mut sum = 1.0;
    for term in (1..TERMS).rev() {
        sum = 1.0 + sum * rest / f64::from(term);
    }
    sum * f64::from_bits(((1023 + whole) as u64) << 52)
}

const NORMAL_BITS: u32 = 12;
const NORMAL_CELLS: usize = 1 << NORMAL_BITS;

/// Poisson rates below this are drawn from a table, above it from the normal distribution.
const POISSON_TABLE_RATE_MAX: f64 = 20.0;
/// Rates below this are a single biased coin.
const POISSON_TABLE_RATE_MIN: f64 = 0.05;
const POISSON_RATE_STEP: f64 = 1.2;
const POISSON_BITS: u32 = 11;
const POISSON_CELLS: usize = 1 << POISSON_BITS;

/// Inverse cumulative distributions, built once per generator (about 90 KB).
#[derive(Debug)]
pub(crate) struct Tables {
    normal: Vec<f32>,
    poisson: Vec<[u8; POISSON_CELLS]>,
}

impl Tables {
    pub(crate) fn new() -> Self {
        let mut poisson = Vec::new();
        let mut rate = POISSON_TABLE_RATE_MIN;
        while rate < POISSON_TABLE_RATE_MAX {
            poisson.push(poisson_quantiles(rate));
            rate *= POISSON_RATE_STEP;
        }
        Self { normal: normal_quantiles(), poisson }
    }

    /// A standard normal number from 32 random bits; cut off at ±4.
    pub(crate) fn normal(&self, bits: u32) -> f64 {
        let cell = (bits >> (32 - NORMAL_BITS)) as usize;
        let rest = bits << NORMAL_BITS;
        let (low, high) = (f64::from(self.normal[cell]), f64::from(self.normal[cell + 1]));
        low + (high - low) * (f64::from(rest) / 4_294_967_296.0)
    }

    /// The table for a Poisson rate, for [`Tables::poisson`].
    pub(crate) fn poisson_class(&self, rate: f64) -> u32 {
        let mut class = 0;
        let mut bound = POISSON_TABLE_RATE_MIN;
        while bound * POISSON_RATE_STEP <= rate && class + 1 < self.poisson.len() {
            bound *= POISSON_RATE_STEP;
            class += 1;
        }
        class as u32
    }

    /// A Poisson number of the given rate; `class` comes from [`Tables::poisson_class`] for the same rate.
    pub(crate) fn poisson(&self, rate: f64, class: u32, bits: u32) -> u64 {
        if rate < POISSON_TABLE_RATE_MIN {
            return u64::from(f64::from(bits) < rate * 4_294_967_296.0);
        }
        if rate < POISSON_TABLE_RATE_MAX {
            return u64::from(self.poisson[class as usize][(bits >> (32 - POISSON_BITS)) as usize]);
        }
        let drawn = rate + rate.sqrt() * self.normal(bits) + 0.5;
        if drawn < 0.0 { 0 } else { drawn as u64 }
    }
}

/// Integrates the density and inverts it at 4097 equidistant probabilities.
fn normal_quantiles() -> Vec<f32> {
    const REACH: f64 = 4.0;
    const STEP: f64 = 1.0 / 4096.0;
    let density = |x: f64| exp(-0.5 * x * x);
    let steps = (2.0 * REACH / STEP) as usize;
    let mut cumulative = Vec::with_capacity(steps + 1);
    let mut sum = 0.0;
    cumulative.push(0.0);
    for i in 0..steps {
        let left = -REACH + i as f64 * STEP;
        sum += 0.5 * (density(left) + density(left + STEP)) * STEP;
        cumulative.push(sum);
    }
    let mut quantiles = Vec::with_capacity(NORMAL_CELLS + 1);
    let mut at = 0;
    for cell in 0..=NORMAL_CELLS {
        let wanted = sum * cell as f64 / NORMAL_CELLS as f64;
        while at < steps && cumulative[at + 1] < wanted {
            at += 1;
        }
        quantiles.push((-REACH + at as f64 * STEP) as f32);
    }
    quantiles
}

fn poisson_quantiles(rate: f64) -> [u8; POISSON_CELLS] {
    let mut table = [0; POISSON_CELLS];
    let mut count = 0u8;
    let mut probability = exp(-rate);
    let mut cumulative = probability;
    for (cell, slot) in table.iter_mut().enumerate() {
        let wanted = (cell as f64 + 0.5) / POISSON_CELLS as f64;
        while cumulative < wanted && count < u8::MAX {
            count += 1;
            probability *= rate / f64::from(count);
            cumulative += probability;
        }
        *slot = count;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_the_platform() {
        for i in -2000..2000 {
            let x = f64::from(i) * 0.017;
            let error = (exp(x) / x.exp() - 1.0).abs();
            assert!(error < 1e-13, "exp({x}) is off by {error}");
        }
    }

    #[test]
    fn normal_has_mean_zero_and_deviation_one() {
        let tables = Tables::new();
        let mut dice = Dice::new(7, 7);
        let count = 200_000;
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..count {
            let z = tables.normal((dice.word() >> 32) as u32);
            sum += z;
            squares += z * z;
        }
        assert!((sum / f64::from(count)).abs() < 0.01);
        assert!((squares / f64::from(count) - 1.0).abs() < 0.02);
    }

    #[test]
    fn poisson_has_its_rate_as_mean() {
        let tables = Tables::new();
        for rate in [0.01, 0.05, 0.3, 1.0, 4.7, 19.0, 25.0, 400.0] {
            let class = tables.poisson_class(rate);
            let mut dice = Dice::new(3, 3);
            let count = 200_000;
            let mut sum = 0;
            for _ in 0..count {
                sum += tables.poisson(rate, class, (dice.word() >> 32) as u32);
            }
            let mean = sum as f64 / f64::from(count);
            // A table serves the rates from its own to a fifth above it.
            assert!(mean > rate / 1.25 && mean < rate * 1.1, "rate {rate} gave mean {mean}");
        }
    }

    #[test]
    fn dice_are_fair() {
        let mut counts = [0u32; 16];
        for i in 0..160_000u64 {
            counts[Dice::new(1, i).below(16) as usize] += 1;
        }
        assert!(counts.iter().all(|&count| (9_500..10_500).contains(&count)), "{counts:?}");
    }
}
