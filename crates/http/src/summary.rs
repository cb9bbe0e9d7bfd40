//! How long requests take: sum, count, and quantiles over the last minutes, as VictoriaMetrics' summaries have them.
//!
//! Durations are counted in buckets, eight to each doubling, so that a quantile is off by a sixteenth at most. Two sets of buckets take turns, each for
//! half of the window: a quantile is that of the running half and the one before. Nothing is allocated before the first duration.

use std::{
    fmt::Display,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::metrics::MetricsText;

/// Half of the time that quantiles are of.
const HALF_WINDOW: Duration = Duration::from_secs(150);
/// Buckets in a doubling.
const PARTS: usize = 8;
/// Below this each microsecond has a bucket.
const EXACT_MAX: u64 = 2 * PARTS as u64;
/// The longest durations are about an hour; longer ones count as that.
const BUCKETS: usize = EXACT_MAX as usize + 28 * PARTS;
const QUANTILES: [(f64, &str); 5] = [(0.5, "0.5"), (0.9, "0.9"), (0.97, "0.97"), (0.99, "0.99"), (1.0, "1")];

/// See the module.
#[derive(Debug)]
pub struct Summary {
    born: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sum: Duration,
    count: u64,
    /// The number of the running half.
    half: u64,
    now: Option<Box<Half>>,
    before: Option<Box<Half>>,
}

#[derive(Debug)]
struct Half {
    counts: [u32; BUCKETS],
    longest_us: u64,
}

impl Default for Summary {
    fn default() -> Self {
        Self { born: Instant::now(), state: Mutex::default() }
    }
}

impl Summary {
    /// Counts a duration.
    pub fn update(&self, took: Duration) {
        self.update_at(self.half(), took);
    }

    fn half(&self) -> u64 {
        self.born.elapsed().as_secs() / HALF_WINDOW.as_secs()
    }

    fn update_at(&self, half: u64, took: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.turn(half);
        state.sum += took;
        state.count += 1;
        let us = took.as_micros().try_into().unwrap_or(u64::MAX);
        let now = state.now.get_or_insert_with(|| Box::new(Half { counts: [0; BUCKETS], longest_us: 0 }));
        let count = &mut now.counts[bucket(us)];
        *count = count.saturating_add(1);
        now.longest_us = now.longest_us.max(us);
    }

    /// Writes sum and count, and quantiles if there was anything in the window; `labels` come without braces.
    pub fn write(&self, name: &str, labels: impl Display, out: &mut MetricsText) {
        self.write_at(self.half(), name, labels, out);
    }

    fn write_at(&self, half: u64, name: &str, labels: impl Display, out: &mut MetricsText) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.turn(half);
        for (quantile, text) in QUANTILES {
            if let Some(seconds) = state.quantile(quantile) {
                out.line(format_args!("{name}{{{labels}, quantile=\"{text}\"}}"), seconds);
            }
        }
        out.line(format_args!("{name}_sum{{{labels}}}"), state.sum.as_secs_f64());
        out.line(format_args!("{name}_count{{{labels}}}"), state.count);
    }
}

impl State {
    /// Makes `half` the running one.
    fn turn(&mut self, half: u64) {
        match half.saturating_sub(self.half) {
            0 => return,
            1 => self.before = self.now.take(),
            _ => (self.before, self.now) = (None, None),
        }
        self.half = half;
    }

    fn quantile(&self, quantile: f64) -> Option<f64> {
        let halves = || self.now.iter().chain(&self.before);
        let total: u64 = halves().flat_map(|half| &half.counts).map(|count| u64::from(*count)).sum();
        let longest = halves().map(|half| half.longest_us).max().filter(|_| total > 0)?;
        let rank = ((total as f64 * quantile).ceil() as u64).clamp(1, total);
        let mut seen = 0;
        let at = (0..BUCKETS).find(|at| {
            seen += halves().map(|half| u64::from(half.counts[*at])).sum::<u64>();
            seen >= rank
        });
        let us = if rank == total { longest } else { middle(at.unwrap_or(BUCKETS - 1)).min(longest) };
        Some(us as f64 / 1e6)
    }
}

/// The bucket of a duration.
fn bucket(us: u64) -> usize {
    if us < EXACT_MAX {
        return us as usize;
    }
    let doublings = us.ilog2() - PARTS.ilog2();
    let part = (us >> doublings) as usize & (PARTS - 1);
    (doublings as usize * PARTS + PARTS + part).min(BUCKETS - 1)
}

/// The middle of a bucket.
fn middle(bucket: usize) -> u64 {
    if bucket < EXACT_MAX as usize {
        return bucket as u64;
    }
    let (doublings, part) = (bucket / PARTS - 1, bucket % PARTS);
    let (start, width) = (((PARTS + part) as u64) << doublings, 1u64 << doublings);
    start + width / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_and_hold_their_middle() {
        let mut last = 0;
        for us in (0..100_000).chain((100_000..3_000_000_000).step_by(1_000_003)) {
            let at = bucket(us);
            assert!(at == last || at == last + 1 || us >= 100_000, "{us}: {last} then {at}");
            assert!(at >= last);
            if at < BUCKETS - 1 {
                let off = middle(at).abs_diff(us) as f64;
                assert!(off <= us as f64 / 16.0 + 0.5, "{us} stands for {}", middle(at));
            }
            last = at;
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    fn lines(summary: &Summary, half: u64) -> String {
        let mut out = MetricsText::default();
        summary.write_at(half, "d", "path=\"x\"", &mut out);
        out.into_string()
    }

    #[test]
    fn quantiles_are_of_the_last_minutes_and_counts_of_all() {
        let summary = Summary::default();
        assert_eq!(lines(&summary, 0), "d_sum{path=\"x\"} 0\nd_count{path=\"x\"} 0\n");
        for ms in 1..=99 {
            summary.update_at(0, Duration::from_millis(ms));
        }
        summary.update_at(1, Duration::from_secs(3));
        let text = lines(&summary, 1);
        let quantile = |q: &str| {
            let name = format!("d{{path=\"x\", quantile=\"{q}\"}} ");
            text.lines()
                .find_map(|line| line.strip_prefix(&name))
                .expect("a quantile")
                .parse::<f64>()
                .expect("a number")
        };
        assert!((quantile("0.5") - 0.050).abs() < 0.004 && (quantile("0.97") - 0.097).abs() < 0.007, "{text}");
        assert_eq!(quantile("1"), 3.0);
        assert!(text.ends_with("d_sum{path=\"x\"} 7.95\nd_count{path=\"x\"} 100\n"), "{text}");
        assert!(lines(&summary, 2).contains("quantile=\"0.5\"} 3\n"), "only the newer half is left");
        assert!(!lines(&summary, 3).contains("quantile"));
        assert!(lines(&summary, 9).ends_with("d_count{path=\"x\"} 100\n"));
    }
}
