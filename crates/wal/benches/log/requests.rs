//! Traffic as the log gets it: slots in order of first sight, times, values.

use model::{KeyBuilder, Tenant};
use traffic::{Shape, Traffic};

/// As Prometheus sends them.
pub const SAMPLES_PER_REQUEST: usize = 2000;

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
        let mut traffic = Traffic::new(Shape { series, ..Shape::default() });
        let scrapes = (0..scrapes)
            .map(|scrape| {
                let mut requests = vec![Request::default()];
                traffic.scrape(scrape, |sample| {
                    if requests.last().is_none_or(|request| request.slots.len() == SAMPLES_PER_REQUEST) {
                        requests.push(Request::default());
                    }
                    if let Some(request) = requests.last_mut() {
                        request.slots.push(sample.series);
                        request.times.push(sample.timestamp_ms);
                        request.values.push(sample.value);
                    }
                });
                requests
            })
            .collect();
        let mut builder = KeyBuilder::new();
        let keys = (0..traffic.series_count())
            .map(|series| {
                builder.clear();
                traffic.labels(series).for_each(|(name, value)| builder.push(name, value));
                builder.build(Tenant::DEFAULT).expect("labels of a scrape").into_bytes()
            })
            .collect();
        Requests { keys, scrapes }
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
