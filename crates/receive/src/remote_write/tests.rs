//! Remote write against a store that remembers what it was given.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use basalt_http::{MetricsSource, MetricsText};
use model::KeyBuilder;
use prost::encoding::encode_varint;
use storage_api::{BoxFuture, Insert, Refusal, Resolved};
use tokio::sync::Semaphore;

use super::*;
use crate::{Door, Entrance, Options, RuleOptions};

/// Keeps rows as text; waits for a permit before it acknowledges.
struct Remembering {
    rows: Mutex<Vec<String>>,
    durable: Semaphore,
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

fn store(permits: usize, outcome: Result<(), InsertError>) -> Arc<Remembering> {
    Arc::new(Remembering { rows: Mutex::default(), durable: Semaphore::new(permits), outcome })
}

fn receiver(store: &Arc<Remembering>) -> Arc<Receiver> {
    let options = Options {
        body_bytes_max: 10_000,
        concurrent_max: 1,
        queue_wait_max: Duration::from_secs(1),
        bodies_bytes_max: 100_000,
        rules: RuleOptions::default(),
        samples_per_second_max: 0,
    };
    Arc::new(Receiver::new(Arc::clone(store) as Arc<dyn Insert>, &options))
}

fn field(key: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![key];
    encode_varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

fn series(labels: &[(&str, &str)], value: f64, time: u64) -> Vec<u8> {
    let mut sample = vec![0x09];
    sample.extend_from_slice(&value.to_le_bytes());
    sample.push(0x10);
    encode_varint(time, &mut sample);
    let label = |(name, value): &(&str, &str)| {
        field(0x0a, &[field(0x0a, name.as_bytes()), field(0x12, value.as_bytes())].concat())
    };
    let mut inner: Vec<u8> = labels.iter().flat_map(label).collect();
    inner.extend(field(0x12, &sample));
    field(0x0a, &inner)
}

fn snappy(body: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(body).expect("snappy packs everything")
}

fn post(body: impl Into<Vec<u8>>) -> Request {
    Request::in_memory(Method::POST, "/api/v1/write", body.into())
}

fn with(mut request: Request, name: HeaderName, value: &'static str) -> Request {
    request.head.headers.insert(name, HeaderValue::from_static(value));
    request
}

const ENTRANCE: Entrance = Entrance { door: Door::RemoteWrite, tenant: Tenant { account: 7, project: 9 } };

async fn ask(receiver: &Receiver, request: Request) -> (u16, String, String) {
    let response = receiver.receive(ENTRANCE, request).await;
    let header =
        |name: &str| response.headers().get(name).map_or("", |value| value.to_str().expect("text")).to_string();
    let said = format!("{}{}", header("x-basalt-refused"), header("retry-after"));
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a whole body");
    (status, said, String::from_utf8(body).expect("text"))
}

#[tokio::test]
async fn rows_arrive_and_are_acknowledged() {
    let store = store(10, Ok(()));
    let receiver = receiver(&store);
    let body = [
        series(&[("__name__", "up"), ("job", "a")], 1.5, 1_700_000_000_000),
        series(&[("job", "\u{0}")], 2.0, 1),
        field(0x1a, &[&[0x08, 0x01][..], &field(0x12, b"up")].concat()),
    ]
    .concat();
    assert_eq!(ask(&receiver, post(snappy(&body))).await, (204, String::new(), String::new()));
    let rows = store.rows.lock().expect("nobody panics").clone();
    assert_eq!(rows, ["7:9 __name__=up,job=a 1.5@1700000000000", "7:9 job=\u{0} 2@1", "7:9 up counter"]);

    let zstd = with(post(snappy(&body)), header::CONTENT_ENCODING, "zstd");
    assert_eq!(ask(&receiver, zstd).await.0, 204, "a wrong header is forgiven");
    let mut metrics = MetricsText::default();
    receiver.write_metrics(&mut metrics);
    let metrics = metrics.into_string();
    assert!(metrics.contains("vm_rows_inserted_total{type=\"promremotewrite\"} 4\n"), "{metrics}");
    assert!(
        metrics.contains("vm_http_requests_total{path=\"/api/v1/write\", protocol=\"promremotewrite\"} 2\n"),
        "{metrics}"
    );
}

#[tokio::test]
async fn what_is_refused_is_named() {
    let store = store(10, Ok(()));
    let receiver = receiver(&store);
    let body = [
        series(&[("__name__", "up")], 1.0, 5),
        series(&[("a", "1"), ("a", "2")], 1.0, 5),
        series(&[], 1.0, 5),
        field(0x0a, &[field(0x0a, &field(0x0a, b"x")), field(0x1a, b"")].concat()),
    ]
    .concat();
    let (status, said, _) = ask(&receiver, post(snappy(&body))).await;
    assert_eq!((status, said.as_str()), (204, "invalid_labels=1, no_labels=1, exemplar=1"));
    assert_eq!(receiver.stats.refused().get(Refusal::Exemplar), 1);
    assert_eq!(receiver.stats.refused().get(Refusal::InvalidLabels), 0, "the store counts its own");
}

#[tokio::test]
async fn broken_requests_change_nothing() {
    let store = store(10, Ok(()));
    let receiver = receiver(&store);
    let good = snappy(&series(&[("a", "1")], 1.0, 5));
    let cut = good[..good.len() - 3].to_vec();
    let broken = snappy(&[series(&[("a", "1")], 1.0, 5), vec![0x0a, 0x7f]].concat());
    let long = snappy(&series(&[("a", &"x".repeat(20_000))], 1.0, 5));
    let version_2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    for (request, status, part) in [
        (post(cut), 400, "snappy"),
        (post(broken), 400, "length beyond the end at byte"),
        (post(long), 413, "at most 10000 are allowed"),
        (post(vec![0; 10_001]), 413, "longer than the allowed 10000"),
        (with(post(good.clone()), header::CONTENT_TYPE, version_2), 415, "2.0"),
        (with(post(good.clone()), header::CONTENT_ENCODING, "br"), 415, "\"br\""),
        (with(post(good.clone()), header::CONTENT_LENGTH, "99999999"), 413, "longer"),
        (Request::in_memory(Method::GET, "/api/v1/write", ""), 405, "POST"),
    ] {
        let (got, _, why) = ask(&receiver, request).await;
        assert_eq!(got, status, "{why}");
        assert!(why.contains(part), "{why}");
    }
    assert!(store.rows.lock().expect("nobody panics").is_empty());
    let version = Request::in_memory(Method::GET, "/api/v1/write?get_vm_proto_version=1", "");
    assert_eq!(ask(&receiver, version).await, (200, String::new(), "1".to_string()));
}

#[tokio::test]
async fn a_store_that_cannot_take_rows_is_a_reason_to_come_again() {
    for error in [
        InsertError::ReadOnly("disk full".into()),
        InsertError::NotDurable("fsync".into()),
        InsertError::Overloaded("flush".into()),
        InsertError::Closed,
    ] {
        let store = store(10, Err(error.clone()));
        let receiver = receiver(&store);
        let (status, said, why) = ask(&receiver, post(snappy(&series(&[("a", "1")], 1.0, 5)))).await;
        assert_eq!((status, said.as_str(), why), (503, "5", error.to_string()));
        assert_eq!(receiver.stats.rows_inserted.get(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_the_disk_keeps_nobody_from_computing() {
    let store = store(0, Ok(()));
    let receiver = receiver(&store);
    let body = snappy(&series(&[("a", "1")], 1.0, 5));
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            let (receiver, body) = (Arc::clone(&receiver), body.clone());
            tokio::spawn(async move { ask(&receiver, post(body)).await.0 })
        })
        .collect();
    while store.rows.lock().expect("nobody panics").len() < 5 {
        tokio::task::yield_now().await;
    }
    store.durable.add_permits(5);
    for request in waiting {
        assert_eq!(request.await.expect("the task ends"), 204);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_gate_is_a_reason_to_come_again() {
    let receiver = receiver(&store(0, Ok(())));
    let _turn = receiver.gate.enter().await.expect("the gate is free");
    let (status, said, why) = ask(&receiver, post(snappy(&series(&[("a", "1")], 1.0, 5)))).await;
    assert_eq!((status, said.as_str()), (503, "5"), "{why}");
    assert!(why.contains("waited 1.000 seconds"), "{why}");
}
