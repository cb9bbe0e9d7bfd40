//! A small fleet of Kubernetes-shaped series: label bytes as remote write has them, values in the study's classes, one time per target and scrape.

#![allow(dead_code, reason = "each bench uses its part")]

use model::{KeyBuilder, Sample, Tenant, ValueKind};
use storage_api::{Batch, EncodedSeries, Encoding, Resolved};

pub const SERIES_A_TARGET: usize = 250;
const SCRAPE_MS: i64 = 15_000;
const START_MS: i64 = 1_700_000_000_000;

/// Time that this thread has spent on a processor: what others do on the machine is left out but for their use of its caches.
#[derive(Clone, Copy)]
pub struct CpuTime(u64);

impl CpuTime {
    #[expect(unsafe_code, reason = "the standard library does not tell a thread's time")]
    pub fn now() -> Self {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the pointer is to a live timespec.
        let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
        assert_eq!(failed, 0, "the clock of a thread can be read");
        Self(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
    }

    pub fn elapsed_ns(self) -> f64 {
        (Self::now().0 - self.0) as f64
    }
}

/// Starts loading the cache line in which `place` begins.
#[expect(unsafe_code, reason = "the intrinsic takes a raw pointer")]
pub fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the pointer comes from a live reference, and the instruction reads nothing that the program could see.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// A xorshift generator: the same numbers in every run.
#[derive(Clone)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    /// Between 0 and 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

/// The series and what they are at now.
pub struct Fleet {
    pub bytes: Vec<u8>,
    pub spans: Vec<(usize, usize)>,
    values: Vec<Value>,
    targets: Vec<i64>,
    scrape: i64,
    jitter: bool,
    rng: Rng,
}

#[derive(Clone, Copy)]
enum Value {
    Constant(f64),
    /// Integer counter: value, mean step, chance of a step in percent.
    Counter(f64, f64, u64),
    /// Decimal gauge: mantissa and divisor.
    Decimal(f64, f64),
    /// Seconds with nine digits.
    Seconds(f64),
    Float,
}

impl Fleet {
    pub fn new(series: usize, jitter: bool) -> Self {
        let mut rng = Rng::new(series as u64);
        let mut bytes = Vec::with_capacity(series * 450);
        let mut spans = Vec::with_capacity(series);
        let mut values = Vec::with_capacity(series);
        for number in 0..series {
            let start = bytes.len();
            put_labels(number / SERIES_A_TARGET, number % SERIES_A_TARGET, &mut bytes);
            spans.push((start, bytes.len()));
            values.push(value(&mut rng));
        }
        let targets = (0..series.div_ceil(SERIES_A_TARGET)).map(|_| rng.below(SCRAPE_MS as u64) as i64).collect();
        Self { bytes, spans, values, targets, scrape: 0, jitter, rng }
    }

    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Goes on to the next scrape.
    pub fn advance(&mut self) -> Scrape {
        self.scrape += 1;
        let rng = &mut self.rng;
        let mut times = Vec::with_capacity(self.targets.len());
        for target in &self.targets {
            let jitter = if self.jitter { rng.below(11) as i64 - 5 } else { 0 };
            times.push(START_MS + self.scrape * SCRAPE_MS + target + jitter);
        }
        let values = self.values.iter_mut().map(|value| value.advance(rng)).collect();
        Scrape { times, values }
    }
}

/// One value of every series.
pub struct Scrape {
    times: Vec<i64>,
    values: Vec<f64>,
}

impl Scrape {
    pub fn sample(&self, series: usize) -> Sample {
        Sample { time: self.times[series / SERIES_A_TARGET], value: self.values[series] }
    }
}

impl Value {
    fn advance(&mut self, rng: &mut Rng) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Counter(value, step, chance) => {
                if rng.below(100) < *chance {
                    *value += (*step * (0.5 + rng.unit())).ceil();
                }
                *value
            }
            Self::Decimal(mantissa, divisor) => {
                *mantissa += (rng.unit() * 20.0).floor() - 10.0;
                *mantissa / *divisor
            }
            Self::Seconds(nanoseconds) => {
                *nanoseconds += (rng.unit() * 3e9).floor();
                *nanoseconds / 1e9
            }
            Self::Float => rng.unit() * 1e3,
        }
    }
}

/// The study's classes: 35 % constant, 35 % counters, 15 % buckets, 10 % decimal gauges, 5 % full floats.
fn value(rng: &mut Rng) -> Value {
    let spread = |rng: &mut Rng, digits: f64| 10_f64.powf(rng.unit() * digits).floor();
    match rng.below(100) {
        0..20 => Value::Constant((rng.below(4) / 3) as f64),
        20..35 => Value::Constant(spread(rng, 9.0)),
        35..44 => Value::Counter(spread(rng, 11.0), spread(rng, 6.0), 100),
        44..56 => Value::Counter(spread(rng, 7.0), spread(rng, 2.5), 100),
        56..65 => Value::Counter(spread(rng, 6.0), spread(rng, 3.0), 30),
        65..70 => Value::Counter(spread(rng, 3.0), 1.0, 2),
        70..85 => Value::Counter(spread(rng, 5.0), spread(rng, 1.5), 70),
        85..95 => Value::Decimal(spread(rng, 4.0) + 200.0, [10.0, 100.0, 1000.0][rng.below(3) as usize]),
        95..98 => Value::Seconds(spread(rng, 14.0)),
        _ => Value::Float,
    }
}

/// Twelve labels, about 430 bytes.
fn put_labels(target: usize, series: usize, out: &mut Vec<u8>) {
    let hash = (target as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (namespace, node) = (target % 57, target % 211);
    let pod = format!("checkout-service-{:02}-{:010x}-{:05x}", target % 83, hash >> 24, hash & 0xf_ffff);
    let metric = format!("container_network_transmit_packets_dropped_{:03}_total", series / 4);
    let labels = [
        ("__name__", metric),
        ("cluster", "production-eu-central-1".to_string()),
        ("container", format!("checkout-service-{:02}", target % 83)),
        ("endpoint", "https-metrics".to_string()),
        ("id", format!("/kubepods/burstable/pod{:016x}/{:08x}", hash, hash >> 32)),
        ("instance", format!("10.{}.{}.{}:10250", node, namespace, target % 251)),
        ("interface", format!("eth{}", series % 4)),
        ("job", "kubelet".to_string()),
        ("metrics_path", "/metrics/cadvisor".to_string()),
        ("namespace", format!("team-{namespace:02}-payments")),
        ("node", format!("ip-10-{node}-{namespace}-17.eu-central-1.compute.internal")),
        ("pod", pod),
    ];
    for (name, value) in &labels {
        out.extend([0x0a, (name.len() + value.len() + 4) as u8, 0x0a, name.len() as u8]);
        out.extend_from_slice(name.as_bytes());
        out.extend([0x12, value.len() as u8]);
        out.extend_from_slice(value.as_bytes());
    }
}

/// Reads the label bytes that the fleet writes.
pub struct Labels;

impl Encoding for Labels {
    fn scope(&self) -> &[u8] {
        b"bench"
    }

    fn generation(&self) -> u32 {
        1
    }

    fn resolve(&self, mut bytes: &[u8], labels: &mut KeyBuilder) -> Resolved {
        while let [0x0a, _, 0x0a, name_len, rest @ ..] = bytes {
            let (name, rest) = rest.split_at(usize::from(*name_len));
            let (value, rest) = rest[2..].split_at(usize::from(rest[1]));
            let text = |bytes| std::str::from_utf8(bytes).expect("the fleet writes UTF-8");
            labels.push(text(name), text(value));
            bytes = rest;
        }
        Resolved::Keep
    }
}

/// A request body after decompression and the walk.
#[derive(Default)]
pub struct Body {
    pub bytes: Vec<u8>,
    pub series: Vec<EncodedSeries>,
    pub samples: Vec<Sample>,
}

impl Body {
    /// Fills the body with a sample for each of these series, in this order.
    pub fn fill(&mut self, fleet: &Fleet, scrape: &Scrape, order: &[u32]) {
        self.bytes.clear();
        self.series.clear();
        self.samples.clear();
        for number in order {
            let (start, end) = fleet.spans[*number as usize];
            let labels_start = self.bytes.len() as u32;
            self.bytes.extend_from_slice(&fleet.bytes[start..end]);
            self.samples.push(scrape.sample(*number as usize));
            self.series.push(EncodedSeries {
                labels_start,
                labels_len: (end - start) as u32,
                samples_end: self.samples.len() as u32,
                kind: ValueKind::Float,
            });
        }
    }

    pub fn batch(&self) -> Batch<'_> {
        Batch {
            tenant: Tenant::DEFAULT,
            encoding: &Labels,
            bytes: &self.bytes,
            series: &self.series,
            samples: &self.samples,
            metadata: &[],
        }
    }
}
