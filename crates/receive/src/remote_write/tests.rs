//! Remote write against a store that remembers what it was given.

use std::sync::Arc;

use basalt_http::{Method, MetricsSource, MetricsText};
use prost::encoding::encode_varint;
use storage_api::{InsertError, Refusal};

use super::*;
use crate::{
    stats::Kind,
    testing::{ask, receiver, store, with},
};

const PATH: &str = "/insert/7:9/prometheus/api/v1/write";

fn post(body: impl Into<Vec<u8>>) -> Request {
    crate::testing::post(PATH, body)
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
    let capitals = with(post(snappy(&body)), header::CONTENT_ENCODING, "SNAPPY");
    assert_eq!(ask(&receiver, capitals).await.0, 204);
    let mut metrics = MetricsText::default();
    receiver.write_metrics(&mut metrics);
    let metrics = metrics.into_string();
    assert!(metrics.contains("vm_rows_inserted_total{type=\"promremotewrite\"} 6\n"), "{metrics}");
    for name in ["vm_http_requests_total", "vm_request_duration_seconds_count"] {
        let line = format!("{name}{{path=\"/api/v1/write\", protocol=\"promremotewrite\"}} 3\n");
        assert!(metrics.contains(&line), "{name}: {metrics}");
    }
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
    let unknown = "application/x-protobuf;proto=io.prometheus.write.v3.Request";
    for (request, status, part) in [
        (post(cut), 400, "snappy"),
        (post(broken), 400, "length beyond the end at byte"),
        (post(long), 413, "at most 10000 are allowed"),
        (post(vec![0; 10_001]), 413, "longer than the allowed 10000"),
        (with(post(good.clone()), header::CONTENT_TYPE, unknown), 415, "v3"),
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
async fn a_message_of_the_other_version_is_not_lost_in_silence() {
    let store = store(10, Ok(()));
    let receiver = receiver(&store);
    let version_1 = series(&[("a", "1")], 1.0, 5);
    let version_2 =
        [field(0x22, b""), field(0x22, b"a"), field(0x22, b"1"), field(0x2a, &field(0x0a, &[1, 2]))].concat();
    let content_type = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    let as_version_2 = |body: &[u8]| with(post(snappy(body)), header::CONTENT_TYPE, content_type);
    let (status, _, why) = ask(&receiver, post(snappy(&version_2))).await;
    assert!(
        status == 400 && why.contains("a message of remote write 2.0 whose content type says 1.0"),
        "{status} {why}"
    );
    let (status, _, why) = ask(&receiver, as_version_2(&version_1)).await;
    assert!(
        status == 400 && why.contains("a message of remote write 1.0 whose content type says 2.0"),
        "{status} {why}"
    );
    assert!(store.take().is_empty());
    // Fields that a version does not know are skipped beside its own, and a message may be empty.
    let both = [version_1, version_2].concat();
    for request in [post(snappy(&both)), as_version_2(&both), post(snappy(b"")), as_version_2(b"")] {
        assert_eq!(ask(&receiver, request).await.0, 204);
    }
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
        assert_eq!(receiver.stats.kind(Kind::RemoteWrite).rows_inserted.get(), 0);
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

/// A body of version 2 with two series, one of them with a histogram and an exemplar.
fn version_2_body() -> Vec<u8> {
    let symbols = ["", "__name__", "up", "job", "a", "Help."].map(|symbol| field(0x22, symbol.as_bytes())).concat();
    let sample = |time: u64| {
        let mut sample = vec![0x09];
        sample.extend_from_slice(&1.5f64.to_le_bytes());
        sample.push(0x10);
        encode_varint(time, &mut sample);
        field(0x12, &sample)
    };
    let first = [field(0x0a, &[1, 2, 3, 4]), sample(5), sample(6), field(0x2a, &[0x08, 2, 0x18, 5])].concat();
    let second = [field(0x0a, &[3, 4]), sample(7), field(0x1a, b""), field(0x22, b"")].concat();
    let twice = [field(0x0a, &[3, 4, 3, 4]), sample(7)].concat();
    [symbols, field(0x2a, &first), field(0x2a, &second), field(0x2a, &twice)].concat()
}

#[tokio::test]
async fn version_2_is_told_what_was_written() {
    let store = store(10, Ok(()));
    let receiver = receiver(&store);
    let version_2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    let request = || with(post(snappy(&version_2_body())), header::CONTENT_TYPE, version_2);
    let entrance = crate::Door::find(PATH).expect("a door").expect("a tenant");
    let response = receiver.receive(entrance, request()).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("none");
    let written = ["samples", "histograms", "exemplars"];
    let written = written.map(|what| header(&format!("x-prometheus-remote-write-{what}-written")));
    assert_eq!(written, ["3", "0", "0"]);
    assert_eq!(header("x-basalt-refused"), "invalid_labels=1, exemplar=1, native_histogram=1");
    assert_eq!(store.take(), ["7:9 __name__=up,job=a 1.5@5 1.5@6", "7:9 job=a 1.5@7", "7:9 up gauge"]);

    let broken = [version_2_body(), field(0x2a, &field(0x0a, &[9, 9]))].concat();
    let broken = with(post(snappy(&broken)), header::CONTENT_TYPE, version_2);
    assert!(ask(&receiver, broken).await.2.contains("symbol that is not there"));
    assert!(store.take().is_empty());
}

#[tokio::test]
async fn a_request_adds_labels_to_its_rows() {
    let store = store(10, Ok(()));
    let receiver = receiver(&store);
    let path = format!("{PATH}?extra_label=job=x&extra_label=dc=y");
    let body = snappy(&series(&[("__name__", "up"), ("job", "a")], 1.0, 5));
    assert_eq!(ask(&receiver, crate::testing::post(&path, body.clone())).await.0, 204);
    assert_eq!(store.take(), ["7:9 __name__=up,dc=y,job=x 1@5"]);
    let version_2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    let request = with(crate::testing::post(&path, snappy(&version_2_body())), header::CONTENT_TYPE, version_2);
    assert_eq!(ask(&receiver, request).await.0, 204);
    assert_eq!(store.take()[0], "7:9 __name__=up,dc=y,job=x 1.5@5 1.5@6");
    let broken = format!("{PATH}?extra_label=job");
    assert_eq!(ask(&receiver, crate::testing::post(&broken, body)).await.0, 400);
}
