//! Many senders at once, and the same data twice.

use std::thread;

use super::number;
use crate::{
    server::{Basalt, folder},
    wire::{labels, series},
};

/// 2026-01-20T00:00:00Z
const START: i64 = 1_768_867_200;
/// One connection for each cluster that sends.
const SENDERS: usize = 300;
const BODIES: i64 = 10;
const SERIES_PER_SENDER: usize = 10;
const MEMORY_BYTES_MAX: u64 = 128 << 20;

#[test]
fn a24_three_hundred_clusters_send_at_once_and_one_query_sees_all() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &[]);
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            let basalt = &basalt;
            scope.spawn(move || {
                let mut client = basalt.client();
                let cluster = format!("cluster-{sender}");
                for number in 0..BODIES {
                    let mut body = Vec::new();
                    for node in 0..SERIES_PER_SENDER {
                        let name = [("__name__", "up"), ("cluster", &cluster), ("node", &node.to_string())];
                        body.extend(series(&labels(&name), [((START + number * 15) * 1000, 1.0)].into_iter()));
                    }
                    let packed = snap::raw::Encoder::new().compress_vec(&body).expect("snappy packs everything");
                    let answer = client.post("/api/v1/write", "application/x-protobuf", Some("snappy"), &packed);
                    assert_eq!(answer.expect("the server answers").status, 204);
                }
            });
        }
    });
    let end = START + (BODIES - 1) * 15;
    assert_eq!(number(&basalt, "count(count by (cluster) (up))", end), SENDERS as f64);
    let samples = SENDERS as i64 * SERIES_PER_SENDER as i64 * BODIES;
    assert_eq!(number(&basalt, "sum(count_over_time(up[1h]))", end), samples as f64);
    let peak = basalt.process.peak_rss_bytes().expect("it runs");
    assert!(peak < MEMORY_BYTES_MAX, "{peak} bytes of memory at most");
}

#[test]
fn a27_what_comes_by_two_ways_counts_once() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &[]);
    let name = labels(&[("__name__", "requests_total"), ("job", "shop")]);
    let body = series(&name, (0..1000).map(|n| ((START + n * 15) * 1000, n as f64)));
    let packed = snap::raw::Encoder::new().compress_vec(&body).expect("snappy packs everything");
    let size = |basalt: &Basalt| {
        basalt.ok("/internal/force_flush");
        basalt.ok("/internal/force_merge?wait=1");
        ["inmemory", "small", "big"]
            .map(|kind| basalt.metric(&format!("vm_data_size_bytes{{type=\"storage/{kind}\"}}")))
            .iter()
            .sum::<f64>()
    };
    let mut sizes = Vec::new();
    for path in ["/api/v1/write", "/insert/0/prometheus/api/v1/write", "/prometheus/api/v1/write"] {
        let answer = basalt.client().post(path, "application/x-protobuf", Some("snappy"), &packed);
        assert_eq!(answer.expect("the server answers").status, 204, "{path}");
        assert_eq!(number(&basalt, "count_over_time(requests_total[1d])", START + 15_000), 1000.0, "{path}");
        sizes.push(size(&basalt));
    }
    assert!(sizes.iter().all(|size| *size == sizes[0]), "bytes on disk after each way: {sizes:?}");
}
