//! A receiver in front of a store that remembers what it was given, for the tests of doors.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use basalt_http::{HeaderName, HeaderValue, Method, Request};
use model::{Clock, KeyBuilder};
use storage_api::{Batch, BoxFuture, Insert, InsertError, Inserted, Resolved};
use tokio::sync::Semaphore;

use crate::{Door, DoorOptions, Options, Receiver, RuleOptions};

/// What the clock says.
pub const NOW: i64 = 1_800_000_000_000;

#[derive(Debug)]
struct Standing;

impl Clock for Standing {
    fn now_ms(&self) -> i64 {
        NOW
    }
}

/// Keeps rows as text; waits for a permit before it acknowledges.
pub struct Remembering {
    pub rows: Mutex<Vec<String>>,
    pub durable: Semaphore,
    outcome: Result<(), InsertError>,
}

impl Insert for Remembering {
    fn insert<'a>(&'a self, batch: Batch<'a>) -> BoxFuture<'a, Result<Inserted, InsertError>> {
        let mut inserted = Inserted::default();
        let mut start = 0;
        for series in batch.series {
            let labels = &batch.bytes[series.labels_start as usize..][..series.labels_len as usize];
            let samples = &batch.samples[start..series.samples_end as usize];
            start = series.samples_end as usize;
            let mut builder = KeyBuilder::new();
            match batch.encoding.resolve(labels, &mut builder) {
                Resolved::Refuse(reason) => inserted.refused.add(reason, samples.len() as u64),
                _ => {
                    inserted.samples += samples.len() as u64;
                    let labels: Vec<_> = builder.iter().map(|(name, value)| format!("{name}={value}")).collect();
                    let samples: Vec<_> = samples.iter().map(|s| format!("{}@{}", s.value, s.time)).collect();
                    let row = format!("{} {} {}", batch.tenant, labels.join(","), samples.join(" "));
                    self.rows.lock().expect("nobody panics").push(row);
                }
            }
        }
        for entry in batch.metadata {
            let row = format!("{} {} {}", batch.tenant, entry.metric, entry.kind);
            self.rows.lock().expect("nobody panics").push(row);
        }
        Box::pin(async move {
            self.durable.acquire().await.expect("never closed").forget();
            self.outcome.clone().map(|()| inserted)
        })
    }
}

impl Remembering {
    /// What came since the last time.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.rows.lock().expect("nobody panics"))
    }
}

pub fn store(permits: usize, outcome: Result<(), InsertError>) -> Arc<Remembering> {
    Arc::new(Remembering { rows: Mutex::default(), durable: Semaphore::new(permits), outcome })
}

pub fn options() -> Options {
    Options {
        body_bytes_max: 10_000,
        concurrent_max: 1,
        queue_wait_max: Duration::from_secs(1),
        bodies_bytes_max: 100_000,
        rules: RuleOptions::default(),
        samples_per_second_max: 0,
        log_new_series: false,
        log_rows: false,
        doors: DoorOptions { line_bytes_max: 1 << 20, ..DoorOptions::default() },
    }
}

pub fn receiver(store: &Arc<Remembering>) -> Arc<Receiver> {
    receiver_with(store, &options())
}

pub fn receiver_with(store: &Arc<Remembering>, options: &Options) -> Arc<Receiver> {
    Arc::new(Receiver::new(Arc::clone(store) as Arc<dyn Insert>, Arc::new(Standing), options))
}

pub fn post(address: &str, body: impl Into<Vec<u8>>) -> Request {
    Request::in_memory(Method::POST, address, body.into())
}

pub fn with(mut request: Request, name: HeaderName, value: &'static str) -> Request {
    request.head.headers.insert(name, HeaderValue::from_static(value));
    request
}

/// Status, what was refused or when to come again, body.
pub async fn ask(receiver: &Receiver, request: Request) -> (u16, String, String) {
    let entrance = Door::find(request.path()).expect("a door").expect("a tenant");
    let response = receiver.receive(entrance, request).await;
    let header =
        |name: &str| response.headers().get(name).map_or("", |value| value.to_str().expect("text")).to_string();
    let said = format!("{}{}", header("x-basalt-refused"), header("retry-after"));
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a whole body");
    (status, said, String::from_utf8(body).expect("text"))
}
