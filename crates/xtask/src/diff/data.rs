//! The samples that both servers get: four hours of a small service, and series that are odd in one way each.
//!
//! 1. Three instances are scraped every 15 s, each a little beside the whole second, so that no sample lies on the border of a window.
//! 2. Instance 1 restarts twice; instance 2 is down for a while, which stale markers tell.
//! 3. The odd series (`odd_…`) are sparse, dense, short, late, reset, gone and come again, or hold no ordinary numbers.

use testkit::Rng;

use super::wire::Series;

/// 2024-01-01, in milliseconds.
const START: i64 = 1_704_067_200_000;
const SCRAPE: i64 = 15_000;
const SCRAPES: usize = 960;
/// When queries are asked: before the end, so that negative offsets see samples, too.
pub const ASKED: i64 = START + 4 * 3_600_000 - 1_800_000;
/// What is sent at once: some servers refuse samples that are an hour older than the newest.
const PART: i64 = 1_800_000;
/// Instances of the service.
const INSTANCES: usize = 3;
const INSTANCES_UNEVEN: usize = 5;
/// What the names of series end with whose values are whole for a reason.
const WHOLE: &[&str] = &["up", "_is_holiday", "_num_cpus", "_bucket", "_count", "_special_values", "_sensor"];
/// A stale marker.
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);
const DOWN: std::ops::Range<usize> = 560..588;
const RESTARTS: [usize; 2] = [400, 690];

/// The samples, in parts by time.
pub fn parts() -> Vec<Vec<Series>> {
    by_time(&[service(INSTANCES), odd()].concat())
}

/// The same of more instances, with values that are tenths of what they were, so that it shows in which order they are added.
pub fn uneven() -> Vec<Vec<Series>> {
    let mut all = [service(INSTANCES_UNEVEN), odd()].concat();
    for series in &mut all {
        let name = series.labels.iter().find(|(label, _)| label == "__name__").map_or("", |(_, name)| name.as_str());
        // What counts, or is yes or no, means something only as it stands.
        if WHOLE.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        // Markers are no numbers, and stay.
        series.samples.iter_mut().filter(|(_, value)| value.is_finite()).for_each(|(_, value)| *value *= 0.1);
    }
    by_time(&all)
}

fn by_time(all: &[Series]) -> Vec<Vec<Series>> {
    let first = START - PART;
    (0..10)
        .map(|part| {
            let (from, to) = (first + part * PART, first + (part + 1) * PART);
            let cut = |series: &Series| {
                let samples = series.samples.iter().copied().filter(|(time, _)| (from..to).contains(time)).collect();
                Series { labels: series.labels.clone(), samples }
            };
            all.iter().map(cut).filter(|series| !series.samples.is_empty()).collect()
        })
        .filter(|part: &Vec<Series>| !part.is_empty())
        .collect()
}

/// The series of one instance.
struct Instance {
    number: usize,
    rng: Rng,
    times: Vec<i64>,
    series: Vec<Series>,
}

fn service(instances: usize) -> Vec<Series> {
    (0..instances)
        .flat_map(|number| {
            let mut rng = Rng::new(42 + number as u64);
            let late = number as i64 * 1_300;
            let times = (0..SCRAPES).map(|at| START + at as i64 * SCRAPE + late + 20 + rng.below(40) as i64).collect();
            let mut instance = Instance { number, rng, times, series: Vec::new() };
            instance.gauges();
            instance.counters();
            instance.histograms();
            instance.series
        })
        .collect()
}

impl Instance {
    fn is_down(&self, at: usize) -> bool {
        self.number == 2 && DOWN.contains(&at)
    }

    fn restarts(&self, at: usize) -> bool {
        self.number == 1 && RESTARTS.contains(&at)
    }

    /// Adds a series with a value a scrape; `None` is no sample.
    fn add(&mut self, name: &str, labels: &[(&str, &str)], values: &[Option<f64>]) {
        let instance = format!("demo.example:{}", 10_000 + self.number);
        let own = [("__name__", name), ("instance", &instance), ("job", "demo")];
        let labels =
            own.iter().chain(labels).map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect();
        let mut samples = Vec::new();
        for (at, value) in values.iter().enumerate() {
            let value = match (self.is_down(at) && name != "up", at > 0 && self.is_down(at - 1)) {
                (true, true) => None,
                (true, false) => Some(STALE),
                (false, _) => *value,
            };
            samples.extend(value.map(|value| (self.times[at], value)));
        }
        self.series.push(Series { labels, samples });
    }

    /// A value that wanders.
    fn gauge(&mut self, start: f64, step: f64) -> Vec<Option<f64>> {
        let mut value = start;
        let mut next = || {
            value = (value + (self.rng.unit() - 0.5) * 2.0 * step).clamp(start / 2.0, start * 1.5);
            Some(value.round())
        };
        (0..SCRAPES).map(|_| next()).collect()
    }

    /// A value that grows until the instance restarts.
    fn counter(&mut self, per_scrape: f64) -> Vec<Option<f64>> {
        let mut total = 0.0;
        (0..SCRAPES)
            .map(|at| {
                total = if self.restarts(at) { 0.0 } else { total };
                total += -self.rng.unit().max(1e-9).ln() * per_scrape;
                Some(total)
            })
            .collect()
    }

    fn gauges(&mut self) {
        for (kind, value) in [("buffers", 9e7), ("cached", 1.3e9), ("free", 2.1e9), ("used", 5.5e9)] {
            let values = self.gauge(value, value / 100.0);
            self.add("demo_memory_usage_bytes", &[("type", kind)], &values);
        }
        let each = |value: &dyn Fn(usize) -> f64| (0..SCRAPES).map(|at| Some(value(at))).collect::<Vec<_>>();
        let number = self.number as f64;
        self.add("demo_num_cpus", &[], &each(&|_| 4.0 + 4.0 * number));
        self.add("demo_disk_total_bytes", &[], &each(&|_| 2.6e11));
        let noise: Vec<f64> = (0..SCRAPES).map(|_| self.rng.unit() * 2e5).collect();
        self.add("demo_disk_usage_bytes", &[], &each(&|at| 4e10 + 9e5 * at as f64 + noise[at].round()));
        let batch = |at: usize| (START / 1_000 - 47 + at as i64 / 20 * 300 + self.number as i64) as f64;
        let runs = each(&batch);
        self.add("demo_batch_last_run_timestamp_seconds", &[], &runs);
        self.add("demo_is_holiday", &[], &each(&|at| f64::from(u8::from(at >= 700))));
        let requests = self.gauge(20.0, 6.0);
        self.add("demo_http_requests_in_progress", &[], &requests);
        let down: Vec<bool> = (0..SCRAPES).map(|at| self.is_down(at)).collect();
        self.add("up", &[], &each(&|at| f64::from(u8::from(!down[at]))));
        for level in [1, 2, 10] {
            let values: Vec<_> = (0..SCRAPES)
                .map(|_| Some(self.rng.pick(&[-2.0, 0.0, 1.0, 1.0, 3.0, 5.0]) * f64::from(level)))
                .collect();
            self.add("demo_sensor", &[("level", &level.to_string())], &values);
        }
        self.intermittent();
        self.special();
        let app = format!("app{0}.host{1}.memory_usage", self.number, self.number + 1);
        let values = self.gauge(500.0, 20.0);
        self.add(&app, &[], &values);
    }

    /// Ten minutes of samples, five without. Instance 0 marks their end, instance 2 has lone samples.
    fn intermittent(&mut self) {
        let gap = |at: usize| at % 60 >= 40;
        let values: Vec<_> = (0..SCRAPES)
            .map(|at| match (self.number, gap(at)) {
                (0, true) if !gap(at - 1) => Some(STALE),
                (_, true) => None,
                (2, false) if at % 7 != 0 => None,
                _ => Some(at as f64),
            })
            .collect();
        self.add("demo_intermittent_metric", &[], &values);
    }

    fn special(&mut self) {
        let infinite = f64::INFINITY;
        let kinds: [(&str, &[f64]); 3] = [
            ("nan", &[f64::NAN]),
            ("inf", &[infinite, -infinite, 1.0]),
            ("mixed", &[1.0, f64::NAN, -3.5, infinite, 0.0, 1e300, -1e-300]),
        ];
        for (kind, values) in kinds {
            let values: Vec<_> = (0..SCRAPES).map(|at| Some(values[at % values.len()])).collect();
            self.add("demo_special_values", &[("kind", kind)], &values);
        }
    }

    fn counters(&mut self) {
        for (mode, rate) in [("idle", 46.0), ("system", 4.5), ("user", 9.0)] {
            let values = self.counter(rate);
            self.add("demo_cpu_usage_seconds_total", &[("mode", mode)], &values);
        }
        let items: Vec<_> = self.counter(10.0).into_iter().map(|value| value.map(f64::trunc)).collect();
        self.add("demo_items_shipped_total", &[], &items);
    }

    fn histograms(&mut self) {
        let bounds = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, f64::INFINITY];
        for (method, path, status, mean) in
            [("GET", "/api/foo", "200", 0.02), ("POST", "/api/bar", "200", 0.1), ("GET", "/api/foo", "500", 0.5)]
        {
            let labels = [("method", method), ("path", path), ("status", status)];
            let (mut counts, mut total) = ([0.0f64; 9], 0.0);
            let mut columns = vec![Vec::new(); bounds.len() + 1];
            for at in 0..SCRAPES {
                if self.restarts(at) {
                    (counts, total) = ([0.0; 9], 0.0);
                }
                for _ in 0..self.rng.below(40) {
                    let seconds = -self.rng.unit().max(1e-9).ln() * mean;
                    total += seconds;
                    counts
                        .iter_mut()
                        .zip(bounds)
                        .filter(|(_, bound)| seconds <= *bound)
                        .for_each(|(count, _)| *count += 1.0);
                }
                columns
                    .iter_mut()
                    .zip(counts.iter().chain([&total]))
                    .for_each(|(column, value)| column.push(Some(*value)));
            }
            for (bound, column) in bounds.iter().zip(&columns) {
                let le = if bound.is_finite() { bound.to_string() } else { "+Inf".into() };
                let labels = [labels[0], labels[1], labels[2], ("le", &le)];
                self.add("demo_api_request_duration_seconds_bucket", &labels, column);
            }
            self.add("demo_api_request_duration_seconds_count", &labels, &columns[8]);
            self.add("demo_api_request_duration_seconds_sum", &labels, &columns[9]);
        }
        for (range, rate) in [
            ("0...1.000e-09", 1.5),
            ("8.799e-03...1.000e-02", 15.0),
            ("1.000e-02...1.136e-02", 30.0),
            ("5.995e-02...6.813e-02", 8.0),
            ("1.000e+00...1.136e+00", 0.8),
        ] {
            let values: Vec<_> = self.counter(rate).into_iter().map(|value| value.map(f64::trunc)).collect();
            self.add("demo_response_size_bucket", &[("vmrange", range)], &values);
        }
    }
}

/// Series that are odd in one way each.
fn odd() -> Vec<Series> {
    let end = START + 4 * 3_600_000;
    let every = |step: i64, from: i64, to: i64| (from + 7..to).step_by(step as usize);
    let walk = |rng: &mut Rng, times: &mut dyn Iterator<Item = i64>| -> Vec<(i64, f64)> {
        let mut value = 50.0;
        times
            .map(|time| {
                value += (rng.below(21) as f64 - 10.0) / 4.0;
                (time, value)
            })
            .collect()
    };
    let mut rng = Rng::new(7);
    let mut all = Vec::new();
    let mut add = |name: &str, samples: Vec<(i64, f64)>| {
        all.push(Series { labels: vec![("__name__".into(), name.into()), ("k".into(), "v".into())], samples });
    };
    add("odd_one", vec![(ASKED - 40_100, 3.0)]);
    add("odd_two", vec![(ASKED - 3_900_100, 3.0), (ASKED - 100_100, 8.0)]);
    add("odd_sparse", walk(&mut rng, &mut every(420_000, START, end)));
    add("odd_dense", walk(&mut rng, &mut every(1_000, ASKED - 2_400_000, ASKED + 60_000)));
    add(
        "odd_late",
        walk(&mut rng, &mut every(SCRAPE, ASKED - 900_000, end)).iter().map(|(t, v)| (*t, v + 1e6)).collect(),
    );
    add("odd_gone", walk(&mut rng, &mut every(SCRAPE, START, ASKED - 1_000_000)));
    let grown = |time: i64| ((time - START) / 1_000) as f64;
    // A counter that loses a little now and then, and everything once an hour.
    let falls = |time: i64| grown(time) % 3_600.0 - if time / 100_000 % 3 == 0 { 30.0 } else { 0.0 };
    add("odd_falls_total", every(SCRAPE, START, end).map(|time| (time, falls(time))).collect());
    // A counter that is silent for twenty minutes, marks its end, and begins anew.
    let silent = |time: i64| (ASKED - 2_400_000..ASKED - 1_200_000).contains(&time);
    let mut reborn: Vec<(i64, f64)> = every(SCRAPE, START, end)
        .filter(|time| !silent(*time))
        .map(|time| {
            (
                time,
                if time < ASKED - 1_200_000 {
                    500.0 + grown(time)
                } else {
                    ((time - ASKED + 1_200_000) / 3_000) as f64
                },
            )
        })
        .collect();
    reborn.push((ASKED - 2_399_000, STALE));
    reborn.sort_by_key(|(time, _)| *time);
    add("odd_reborn_total", reborn);
    add("odd_flat", every(SCRAPE, START, end).map(|time| (time, 5.0)).collect());
    add("odd_zero", every(SCRAPE, START, end).map(|time| (time, 0.0)).collect());
    add("odd_negative", walk(&mut rng, &mut every(SCRAPE, START, end)).iter().map(|(t, v)| (*t, -v.abs())).collect());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_go_forward_in_time() {
        let parts = parts();
        let times = |part: &Vec<Series>| {
            let all: Vec<i64> = part.iter().flat_map(|series| series.samples.iter().map(|(time, _)| *time)).collect();
            (all.iter().min().copied().unwrap_or(0), all.iter().max().copied().unwrap_or(0))
        };
        assert!(parts.windows(2).all(|pair| times(&pair[0]).1 < times(&pair[1]).0));
        for series in parts.iter().flatten() {
            assert!(series.samples.windows(2).all(|pair| pair[0].0 < pair[1].0), "{:?}", series.labels);
        }
    }
}
