//! Kubernetes-shaped requests as the log gets them: slots in order of first sight, times, values.
//!
//! Containers are scraped metric by metric; a key has 13 labels and about 450 bytes. A third of the series is constant,
//! a third counts, the rest are buckets, decimals, bytes and plain floats. (The project's own traffic generator stands
//! above the store and so cannot be used below it.)

use model::{KeyBuilder, Tenant};
use testkit::Rng;

/// As Prometheus sends them.
pub const SAMPLES_PER_REQUEST: usize = 2000;

const CONTAINERS_PER_TARGET: usize = 12;
const METRICS: usize = 20;
const START_MS: i64 = 1_767_571_200_000;
const STEP_MS: i64 = 15_000;

/// The samples of one remote write request.
#[derive(Default)]
pub struct Request {
    pub slots: Vec<u32>,
    pub times: Vec<i64>,
    pub values: Vec<f64>,
}

/// Some scrapes of all targets, cut into requests.
pub struct Requests {
    /// The canonical key of each slot.
    pub keys: Vec<Vec<u8>>,
    scrapes: Vec<Vec<Request>>,
}

impl Requests {
    /// Makes them all.
    pub fn new(series: usize, scrapes: u64) -> Requests {
        let mut rng = Rng::new(1);
        let mut values: Vec<f64> = (0..series).map(|series| first_value(series, &mut rng)).collect();
        let scrapes = (0..scrapes as i64).map(|scrape| requests(scrape, &mut values, &mut rng)).collect();
        Requests { keys: keys(series), scrapes }
    }

    /// The requests of one scrape.
    pub fn of(&self, scrape: u64) -> impl Iterator<Item = &Request> {
        self.scrapes[scrape as usize].iter()
    }

    /// The requests of the first scrapes.
    pub fn up_to(&self, scrapes: u64) -> impl Iterator<Item = &Request> {
        self.scrapes[..scrapes as usize].iter().flatten()
    }
}

fn requests(scrape: i64, values: &mut [f64], rng: &mut Rng) -> Vec<Request> {
    let mut requests = vec![Request::default()];
    let mut time = 0;
    for (series, value) in values.iter_mut().enumerate() {
        if series % (CONTAINERS_PER_TARGET * METRICS) == 0 {
            time = START_MS + scrape * STEP_MS + (series as i64 * 37) % STEP_MS + rng.below(11) as i64 - 5;
        }
        *value = next_value(series, *value, rng);
        if requests.last().is_none_or(|request| request.slots.len() == SAMPLES_PER_REQUEST) {
            requests.push(Request::default());
        }
        if let Some(request) = requests.last_mut() {
            request.slots.push(series as u32);
            request.times.push(time);
            request.values.push(*value);
        }
    }
    requests
}

/// Which metric of its target a series belongs to; that decides what its values are like.
fn metric_of(series: usize) -> usize {
    series / CONTAINERS_PER_TARGET % METRICS
}

fn first_value(series: usize, rng: &mut Rng) -> f64 {
    match metric_of(series) {
        0..7 => rng.below(3) as f64,
        7..17 => rng.below(1_000_000) as f64,
        17 => rng.below(1000) as f64 / 1000.0,
        18 => (rng.below(1_000_000) * 4096) as f64,
        _ => rng.unit() * 1e3,
    }
}

fn next_value(series: usize, value: f64, rng: &mut Rng) -> f64 {
    match metric_of(series) {
        0..7 => value,
        7..14 => value + rng.below(150) as f64,
        14..17 => value + rng.below(3) as f64,
        17 => rng.below(1000) as f64 / 1000.0,
        18 => value + (rng.below(200) * 4096) as f64,
        _ => value * (0.99 + 0.02 * rng.unit()),
    }
}

fn keys(series: usize) -> Vec<Vec<u8>> {
    let mut builder = KeyBuilder::new();
    (0..series)
        .map(|series| {
            let target = series / (CONTAINERS_PER_TARGET * METRICS);
            let mut hash = Rng::new((target * CONTAINERS_PER_TARGET + series % CONTAINERS_PER_TARGET) as u64);
            let mut hex = |digits: usize| (0..digits).map(|_| format!("{:x}", hash.below(16))).collect::<String>();
            let (id, pod_id, pod) = (hex(64), hex(32), hex(5));
            let namespace = format!("team-{}", series % CONTAINERS_PER_TARGET % 5);
            let metric = format!("container_resource_usage_number_{}_total", metric_of(series));
            let path = format!("/kubepods.slice/kubepods-burstable.slice/pod{pod_id}.slice/cri-containerd-{id}.scope");
            builder.clear();
            for (name, value) in [
                ("__name__", metric.as_str()),
                ("cluster", "production-eu-central-1"),
                ("container", "server"),
                ("endpoint", "https-metrics"),
                ("id", path.as_str()),
                ("image", "registry.example.com/platform/server:v1.42.0"),
                ("instance", format!("10.0.{}.{}:10250", target / 250, target % 250).as_str()),
                ("job", "kubelet"),
                ("metrics_path", "/metrics/cadvisor"),
                ("name", id.as_str()),
                ("namespace", namespace.as_str()),
                ("node", format!("worker-{target}.example.internal").as_str()),
                ("pod", format!("server-7d9f8b6c5-{pod}").as_str()),
            ] {
                builder.push(name, value);
            }
            builder.build(Tenant::DEFAULT).expect("labels of a scrape").into_bytes()
        })
        .collect()
}
