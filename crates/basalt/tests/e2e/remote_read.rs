//! A real Prometheus reads Basalt's samples by remote read, and a decoder of our own reads both kinds of answers.

use std::{collections::BTreeMap, fs, net::TcpListener, process::Command};

use serde_json::Value;
use testkit::{http::Client, process::Process};

use crate::{
    queries::{END, START, address, cluster},
    server::{Basalt, PATIENCE},
    wire::field,
};

/// A request for all samples of a metric; `kinds` are the types of answers, the liked ones first.
fn request(metric: &str, kinds: &[u8]) -> Vec<u8> {
    let matcher = [field(0x12, b"__name__"), field(0x1a, metric.as_bytes())].concat();
    let number = |key: u8, mut number: u64| {
        let mut out = vec![key];
        while number >= 0x80 {
            out.push(number as u8 | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
        out
    };
    let times = [number(0x08, START as u64 * 1000), number(0x10, END as u64 * 1000)].concat();
    let query = [times, field(0x1a, &matcher)].concat();
    [field(0x0a, &query), field(0x12, kinds)].concat()
}

pub fn read(basalt: &Basalt, metric: &str, kinds: &[u8]) -> testkit::http::Response {
    let packed = snap::raw::Encoder::new().compress_vec(&request(metric, kinds)).expect("snappy packs everything");
    basalt.client().post("/api/v1/read", "application/x-protobuf", Some("snappy"), &packed).expect("an answer")
}

/// The fields of a message: number and bytes; numbers as their little-endian bytes.
fn fields(mut body: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut all = Vec::new();
    while !body.is_empty() {
        let key = varint(&mut body);
        let bytes = match key & 7 {
            0 => varint(&mut body).to_le_bytes().to_vec(),
            1 => take(&mut body, 8),
            2 => {
                let len = varint(&mut body) as usize;
                take(&mut body, len)
            }
            other => panic!("a field of kind {other}"),
        };
        all.push((key >> 3, bytes));
    }
    all
}

fn take(body: &mut &[u8], len: usize) -> Vec<u8> {
    let (bytes, rest) = body.split_at(len);
    *body = rest;
    bytes.to_vec()
}

fn varint(body: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = take(body, 1)[0];
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return number;
        }
    }
}

#[test]
fn samples_and_chunks_are_answered_as_the_reader_likes() {
    let (_folder, basalt) = cluster(&[]);
    let samples = read(&basalt, "kube_node_info", &[0]);
    assert_eq!((samples.status, samples.header("content-type")), (200, Some("application/x-protobuf")));
    let body = snap::raw::Decoder::new().decompress_vec(&samples.body).expect("snappy");
    let result = &fields(&body)[0].1;
    let series = fields(result);
    assert_eq!(series.len(), 12);
    let count = |bytes: &[u8]| fields(bytes).iter().filter(|(field, _)| *field == 2).count();
    assert!(series.iter().all(|(_, bytes)| count(bytes) == 2601));

    let chunks = read(&basalt, "kube_node_info", &[1, 0]);
    let media_type = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
    assert_eq!((chunks.status, chunks.header("content-type")), (200, Some(media_type)));
    let (mut body, mut samples) = (&chunks.body[..], 0);
    while !body.is_empty() {
        let len = varint(&mut body) as usize;
        let checksum = take(&mut body, 4);
        let message = take(&mut body, len);
        assert_eq!(checksum.len(), 4);
        let series = fields(&message).into_iter().find(|(field, _)| *field == 1).expect("a series").1;
        for (_, chunk) in fields(&series).into_iter().filter(|(field, _)| *field == 2) {
            let data = fields(&chunk).into_iter().find(|(field, _)| *field == 4).expect("data").1;
            samples += usize::from(u16::from_be_bytes([data[0], data[1]]));
        }
    }
    assert_eq!(samples, 12 * 2601);
    assert_eq!(read(&basalt, "nothing", &[]).status, 200);
    let broken = basalt.client().post("/api/v1/read", "application/x-protobuf", Some("snappy"), b"xx");
    assert_eq!(broken.expect("an answer").status, 400);
}

#[test]
fn prometheus_itself_reads_the_same_samples() {
    if Command::new("prometheus").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "prometheus is missing");
        return eprintln!("prometheus is missing; nothing was tested");
    }
    let (folder, basalt) = cluster(&[]);
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let config = folder.path().join("prometheus.yml");
    let text = format!("remote_read:\n  - url: http://{}/api/v1/read\n    read_recent: true\n", basalt.address);
    fs::write(&config, text).expect("the configuration can be written");
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("prometheus").display()))
        .arg(format!("--web.listen-address={port}"));
    let prometheus = Process::spawn(command).expect("Prometheus starts");
    prometheus.wait_for_line("Server is ready to receive web requests", PATIENCE).expect("Prometheus is ready");
    let mut client = Client::new(port).with_timeout(PATIENCE);
    for (query, series, points) in [("node_cpu_seconds_total[10h50m]", 12, 12 * 2601), ("kube_node_info", 12, 12)] {
        let path = address("/api/v1/query", &[("query", query), ("time", &END.to_string())]);
        let theirs: Value = serde_json::from_str(&client.get(&path).expect("an answer").text()).expect("JSON");
        assert_eq!(theirs["status"], "success", "{theirs}");
        let ours: Value = serde_json::from_str(&basalt.ok(&format!("{path}&dialect=promql"))).expect("JSON");
        let samples = |answer: &Value| -> BTreeMap<String, Vec<Value>> {
            let all = answer["data"]["result"].as_array().expect("a list").iter();
            let points = |one: &Value| match one.get("values") {
                Some(values) => values.as_array().expect("points").clone(),
                None => vec![one["value"].clone()],
            };
            all.map(|one| (one["metric"].to_string(), points(one))).collect()
        };
        let (theirs, ours) = (samples(&theirs), samples(&ours));
        assert_eq!((theirs.len(), theirs.values().map(Vec::len).sum::<usize>()), (series, points), "{query}");
        // Version 2 of Prometheus takes in the sample at the left end of a range, version 3 does not.
        let without_start = |all: BTreeMap<String, Vec<Value>>| -> BTreeMap<String, Vec<Value>> {
            let later = |points: Vec<Value>| points.into_iter().filter(|point| point[0] != START).collect();
            all.into_iter().map(|(labels, points)| (labels, later(points))).collect()
        };
        assert_eq!(without_start(theirs), without_start(ours), "{query}");
    }
}
