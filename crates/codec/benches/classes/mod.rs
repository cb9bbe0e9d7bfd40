//! Columns of every data class, seeded: the mix of the codec study (35 % constant, 35 % integer counters, 15 %
//! histogram buckets, 10 % decimal gauges, 5 % full floats).

/// Seeded random numbers.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// In 0..1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something of this probability happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    pub fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    pub fn poisson(&mut self, mean: f64) -> f64 {
        if mean > 30.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0);
        }
        let (limit, mut product, mut count) = ((-mean).exp(), self.unit(), 0.0);
        while product > limit {
            product *= self.unit();
            count += 1.0;
        }
        count
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Constant,
    Counter,
    Bucket,
    Gauge,
    FullFloat,
}

impl Class {
    pub const ALL: [Self; 5] = [Self::Constant, Self::Counter, Self::Bucket, Self::Gauge, Self::FullFloat];
}

/// Columns of a class, `count` values each; buckets come as groups of twelve, lowest first.
pub fn columns(class: Class, how_many: usize, count: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut random = Random::new(seed ^ (class as u64) << 32);
    match class {
        Class::Constant => (0..how_many).map(|index| constant(index, count, &mut random)).collect(),
        Class::Counter => (0..how_many).map(|index| counter(index, count, &mut random)).collect(),
        Class::Bucket => {
            let mut buckets = Vec::new();
            while buckets.len() < how_many {
                buckets.extend(histogram(count, &mut random));
            }
            buckets.truncate(how_many);
            buckets
        }
        Class::Gauge => (0..how_many).map(|index| gauge(index, count, &mut random)).collect(),
        Class::FullFloat => (0..how_many).map(|index| full_float(index, count, &mut random)).collect(),
    }
}

/// Most never change, some do now and then.
fn constant(index: usize, count: usize, random: &mut Random) -> Vec<f64> {
    let change = if index % 10 < 9 { 0.0 } else { 0.002 };
    let mut value = (random.bits() % 1000) as f64;
    (0..count)
        .map(|_| {
            if random.chance(change) {
                value = (random.bits() % 1000) as f64;
            }
            value
        })
        .collect()
}

/// Bytes, requests, bursts, rare errors; a fifth of them with resets.
fn counter(index: usize, count: usize, random: &mut Random) -> Vec<f64> {
    let reset = if index.is_multiple_of(5) { 2.0 / 8192.0 } else { 0.0 };
    let scale = (2.0 * random.normal()).exp();
    let mut total = (random.bits() % 1_000_000) as f64;
    let mut active = false;
    (0..count)
        .map(|_| {
            if random.chance(reset) {
                total = 0.0;
            }
            active ^= random.chance(0.02);
            total += match index % 20 {
                0..5 => (200_000.0 * scale * random.normal().exp()).round(),
                5..12 => random.poisson(100.0 * scale),
                12..17 if active => random.poisson(40.0 * scale),
                12..17 => 0.0,
                _ => f64::from(random.chance(0.003)),
            };
            total
        })
        .collect()
}

/// Twelve cumulative buckets over one stream of requests.
fn histogram(count: usize, random: &mut Random) -> Vec<Vec<f64>> {
    let rate = 60.0 * random.normal().exp();
    let shares: Vec<f64> = (0..12).map(|bucket| (-((f64::from(bucket) - 4.0) / 2.0).powi(2)).exp()).collect();
    let all: f64 = shares.iter().sum();
    let mut totals = [0.0; 12];
    let mut buckets = vec![Vec::new(); 12];
    for _ in 0..count {
        let mut below = 0.0;
        for ((total, bucket), share) in totals.iter_mut().zip(&mut buckets).zip(&shares) {
            below += random.poisson(rate * share / all);
            *total += below;
            bucket.push(*total);
        }
    }
    buckets
}

/// One to four digits: white noise, a slow walk, percentages, multiples of a page.
fn gauge(index: usize, count: usize, random: &mut Random) -> Vec<f64> {
    let mut level = random.unit() * 1000.0;
    (0..count)
        .map(|_| {
            level += random.normal();
            match index % 4 {
                0 => ((50.0 + 6.0 * random.normal()) * 100.0).round() / 100.0,
                1 => (level * 10.0).round() / 10.0,
                2 => (random.normal() * 1000.0).round() / 10_000.0,
                _ => ((level.abs() + 100.0) * 20.0).round() * 4096.0,
            }
        })
        .collect()
}

/// Seconds with nanoseconds, and doubles without any pattern.
fn full_float(index: usize, count: usize, random: &mut Random) -> Vec<f64> {
    let mut nanos = (random.bits() % 1_000_000_000_000) as f64;
    let mut level = random.unit();
    (0..count)
        .map(|_| {
            nanos += (random.unit() * 3e9).round();
            level += random.normal() * 0.01;
            if index % 5 < 3 { nanos / 1e9 } else { level.sin() * std::f64::consts::E }
        })
        .collect()
}
