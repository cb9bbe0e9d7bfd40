//! What was written is read back to the bit, through flushes, merges, stops and kills.

use std::collections::BTreeMap;

use traffic::{Churn, Shape, Traffic};

use crate::{
    ledger::{Labels, Ledger},
    server::{Basalt, folder},
    wire::{BodyWriter, labels},
};

/// 2026-01-02T00:00:00Z
const START_MS: i64 = 1_767_312_000_000;

/// Values that lossy stores bend.
const VALUES: &[f64] = &[
    0.0,
    -0.0,
    1.0,
    -1.5,
    0.1,
    0.30000000000000004,
    1e-310,
    5e-324,
    f64::MAX,
    f64::MIN_POSITIVE,
    9_007_199_254_740_993.0,
    1e22,
    123_456_789.123_456_7,
    f64::INFINITY,
    f64::NEG_INFINITY,
    std::f64::consts::PI,
];

#[test]
fn every_value_and_label_comes_back_to_the_bit() {
    let folder = folder();
    let mut sent = BodyWriter::default();
    for (number, name) in ["a", "B_c", "größe", "with blank", "quote\"and\\slash", "line\nbreak"].iter().enumerate() {
        let samples: Vec<_> =
            VALUES.iter().enumerate().map(|(n, v)| (START_MS + (n * 1000 + number) as i64, *v)).collect();
        sent.series(&labels(&[("__name__", name), ("v", &format!("x{name}€")), ("test", "values")]), &samples);
    }
    let stale = f64::from_bits(0x7ff0_0000_0000_0002);
    sent.series(
        &labels(&[("only", "name"), ("test", "values")]),
        &[(START_MS, f64::NAN), (START_MS + 1, stale), (START_MS + 2, 2.0)],
    );
    let selector = r#"{test="values"}"#;

    let basalt = Basalt::start(folder.path(), &[]);
    let response = basalt.write(&sent.body);
    assert_eq!((response.status, response.header("x-basalt-refused")), (204, None), "{}", response.text());
    assert_eq!(basalt.export(selector), sent.ledger, "from memory");
    basalt.stop();

    let basalt = Basalt::start(folder.path(), &[]);
    assert_eq!(basalt.export(selector), sent.ledger, "after a stop");
    basalt.ok("/internal/force_flush");
    assert_eq!(basalt.export(selector), sent.ledger, "from a part");
    basalt.kill9();

    let basalt = Basalt::start(folder.path(), &[]);
    assert_eq!(basalt.export(selector), sent.ledger, "after a kill");
}

/// Kubernetes-shaped bodies, and what is in them.
pub fn recorded(shape: &Shape, scrapes: std::ops::Range<u64>) -> (Vec<Vec<u8>>, Ledger) {
    let mut bodies = Vec::new();
    Traffic::new(shape.clone()).requests(scrapes.clone(), |body| bodies.push(body.to_vec()));
    let mut traffic = Traffic::new(shape.clone());
    let mut ledger = Ledger::default();
    let mut names: BTreeMap<(u32, u32), Labels> = BTreeMap::new();
    for scrape in scrapes {
        let mut samples = Vec::new();
        traffic.scrape(scrape, |sample| samples.push(sample));
        for sample in samples {
            let labels = names.entry((sample.series, sample.generation)).or_insert_with(|| {
                assert_eq!(traffic.generation(sample.series as usize), sample.generation, "no churn in these shapes");
                let pairs = traffic.labels(sample.series as usize);
                pairs.map(|(name, value)| (name.to_string(), value.to_string())).collect()
            });
            ledger.add(labels, sample.timestamp_ms, sample.value);
        }
    }
    (bodies, ledger)
}

#[test]
fn kubernetes_traffic_comes_back_through_flush_merge_and_kill() {
    let folder = folder();
    let shape = Shape { series: 3000, samples_per_request: 500, gaps: 0.02, ..Shape::default() };
    let (bodies, sent) = recorded(&shape, 0..12);
    let everything = r#"{__name__=~".%2b"}"#;
    let basalt = Basalt::start(folder.path(), &[]);
    for (number, body) in bodies.iter().enumerate() {
        assert_eq!(basalt.write(body).status, 204);
        if number == bodies.len() / 3 || number == 2 * bodies.len() / 3 {
            basalt.ok("/internal/force_flush");
        }
    }
    assert_eq!(basalt.metric("vm_rows_inserted_total{type=\"promremotewrite\"}"), sent.samples() as f64);
    basalt.export(everything).check(&sent, &sent);
    basalt.kill9();

    let basalt = Basalt::start(folder.path(), &[]);
    basalt.export(everything).check(&sent, &sent);
    basalt.ok("/internal/force_flush");
    basalt.ok("/internal/force_merge?wait=1");
    basalt.export(everything).check(&sent, &sent);
    for body in &bodies {
        assert_eq!(basalt.write(body).status, 204);
    }
    basalt.export(everything).check(&sent, &sent);
    basalt.stop();

    let basalt = Basalt::start(folder.path(), &[]);
    basalt.export(everything).check(&sent, &sent);
    let count = basalt.ok("/api/v1/series/count");
    assert!(count.contains(&format!("[{}]", sent.0.len())), "{count}");
}

#[test]
fn tenants_do_not_see_one_another() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &[]);
    for (tenant, value) in [("0", 1.0), ("7", 2.0), ("7:9", 3.0)] {
        let mut body = BodyWriter::default();
        body.series(&labels(&[("__name__", "m")]), &[(START_MS, value)]);
        let packed = snap::raw::Encoder::new().compress_vec(&body.body).expect("snappy packs everything");
        let path = format!("/insert/{tenant}/prometheus/api/v1/write");
        let response =
            basalt.client().post(&path, "application/x-protobuf", None, &packed).expect("the server answers");
        assert_eq!(response.status, 204);
    }
    for (path, value) in [
        ("/api/v1/export?match[]=m", "[1]"),
        ("/select/0:0/prometheus/api/v1/export?match[]=m", "[1]"),
        ("/select/7/prometheus/api/v1/export?match[]=m", "[2]"),
        ("/select/7:9/prometheus/api/v1/export?match[]=m", "[3]"),
    ] {
        let lines = basalt.ok(path);
        assert!(lines.lines().count() == 1 && lines.contains(&format!("\"values\":{value}")), "{path}: {lines}");
    }
    assert_eq!(basalt.ok("/select/8/prometheus/api/v1/export?match[]=m"), "");
}

#[test]
fn late_and_churning_series_lose_nothing() {
    let folder = folder();
    let churn = Churn { replacements: 3, scrapes: 12 };
    let shape = Shape { series: 1000, churn: Some(churn), late: 0.05, samples_per_request: 300, ..Shape::default() };
    let basalt = Basalt::start(folder.path(), &["-storage.ack=process"]);
    let mut samples = 0;
    Traffic::new(shape).requests_with(0..12, |request| {
        samples += request.samples;
        let response = basalt.write(request.body);
        assert_eq!((response.status, response.header("x-basalt-refused")), (204, None));
    });
    let everything = r#"{__name__=~".%2b"}"#;
    let before = basalt.export(everything);
    assert_eq!(before.samples(), samples);
    basalt.kill9();
    let basalt = Basalt::start(folder.path(), &["-storage.ack=process"]);
    basalt.ok("/internal/force_flush");
    let after = basalt.export(everything);
    assert_eq!(after, before);
}
