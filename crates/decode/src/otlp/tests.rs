//! Messages of `prost`, read.

use prost::Message;

use super::*;
use crate::rows::tests::{Batches, ready, show};

/// A message whose fields are given as they lie on the wire: number and encoded value.
fn message(fields: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, bytes) in fields {
        prost::encoding::encode_key(*number, prost::encoding::WireType::LengthDelimited, &mut out);
        prost::encoding::encode_varint(bytes.len() as u64, &mut out);
        out.extend_from_slice(bytes);
    }
    out
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(string, optional, tag = "1")]
    string: Option<String>,
    #[prost(bool, optional, tag = "2")]
    boolean: Option<bool>,
    #[prost(int64, optional, tag = "3")]
    int: Option<i64>,
    #[prost(double, optional, tag = "4")]
    double: Option<f64>,
    #[prost(message, optional, tag = "5")]
    array: Option<Array>,
    #[prost(message, optional, tag = "6")]
    map: Option<Map>,
    #[prost(bytes = "vec", optional, tag = "7")]
    bytes: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Array {
    #[prost(message, repeated, tag = "1")]
    values: Vec<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct Map {
    #[prost(message, repeated, tag = "1")]
    values: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct NumberPoint {
    #[prost(fixed64, tag = "3")]
    time: u64,
    #[prost(double, optional, tag = "4")]
    double: Option<f64>,
    #[prost(sfixed64, optional, tag = "6")]
    int: Option<i64>,
    #[prost(message, repeated, tag = "7")]
    attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "8")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct HistogramPoint {
    #[prost(fixed64, tag = "3")]
    time: u64,
    #[prost(fixed64, tag = "4")]
    count: u64,
    #[prost(double, optional, tag = "5")]
    sum: Option<f64>,
    #[prost(fixed64, repeated, tag = "6")]
    counts: Vec<u64>,
    #[prost(double, repeated, tag = "7")]
    bounds: Vec<f64>,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ExponentialPoint {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
    #[prost(fixed64, tag = "3")]
    time: u64,
    #[prost(fixed64, tag = "4")]
    count: u64,
    #[prost(double, optional, tag = "5")]
    sum: Option<f64>,
    #[prost(sint32, tag = "6")]
    scale: i32,
    #[prost(fixed64, tag = "7")]
    zero_count: u64,
    #[prost(message, optional, tag = "8")]
    positive: Option<Buckets>,
    #[prost(message, optional, tag = "9")]
    negative: Option<Buckets>,
    #[prost(double, tag = "14")]
    zero_threshold: f64,
}

#[derive(Clone, PartialEq, Message)]
struct Buckets {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint64, repeated, tag = "2")]
    counts: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct SummaryPoint {
    #[prost(fixed64, tag = "3")]
    time: u64,
    #[prost(fixed64, tag = "4")]
    count: u64,
    #[prost(double, tag = "5")]
    sum: f64,
    #[prost(message, repeated, tag = "6")]
    quantiles: Vec<Quantile>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Quantile {
    #[prost(double, tag = "1")]
    quantile: f64,
    #[prost(double, tag = "2")]
    value: f64,
}

const TIME: u64 = 5_000_000;

fn text(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { string: Some(value.into()), ..AnyValue::default() };
    KeyValue { key: key.into(), value: Some(value) }
}

fn points(points: &[Vec<u8>], temporality: u64) -> Vec<u8> {
    let mut out = message(&points.iter().map(|point| (1, point.clone())).collect::<Vec<_>>());
    if temporality > 0 {
        out.extend([0x10, temporality as u8]);
    }
    out
}

/// A body with metrics of one resource; the resource stands behind them, which is allowed.
fn body(metrics: &[Vec<u8>]) -> Vec<u8> {
    let resource =
        message(&[(1, text("service.name", "shop").encode_to_vec()), (1, text("a", "resource").encode_to_vec())]);
    let scope = message(&metrics.iter().map(|metric| (2, metric.clone())).collect::<Vec<_>>());
    message(&[(1, message(&[(2, scope), (1, resource)]))])
}

fn metric(name: &str, unit: &str, kind: u32, data: Vec<u8>) -> Vec<u8> {
    message(&[(1, name.into()), (2, b"Help.".to_vec()), (3, unit.into()), (kind, data)])
}

fn read(style: &OtlpStyle, body: &[u8]) -> Result<(Vec<String>, Skipped), ReadError<()>> {
    let (mut rows, mut batches) = (Rows::default(), Batches::default());
    let skipped = ready(Otlp::new(style, 99).read(body, &mut rows, &mut batches))?;
    batches.0.extend(show(&rows));
    Ok((batches.0, skipped))
}

fn rows_of(metrics: &[Vec<u8>]) -> Vec<String> {
    let (rows, skipped) = read(&OtlpStyle::default(), &body(metrics)).expect("a good body");
    assert_eq!(skipped, Skipped::default());
    rows
}

#[test]
fn numbers_become_series_with_all_attributes() {
    let of = |value: AnyValue| KeyValue { key: "v".into(), value: Some(value) };
    let int = |int: i64| AnyValue { int: Some(int), ..AnyValue::default() };
    let string = |text: &str| AnyValue { string: Some(text.into()), ..AnyValue::default() };
    let values = [
        (int(-7), "-7"),
        (AnyValue { boolean: Some(true), ..AnyValue::default() }, "true"),
        (AnyValue { double: Some(0.5), ..AnyValue::default() }, "0.5"),
        (AnyValue { bytes: Some(b"ab".to_vec()), ..AnyValue::default() }, "YWI="),
        (
            AnyValue { array: Some(Array { values: vec![int(1), string("x\"\n")] }), ..AnyValue::default() },
            r#"[1,"x\"\n"]"#,
        ),
        (
            AnyValue {
                map: Some(Map { values: vec![text("k", "v"), KeyValue { key: "n".into(), value: None }] }),
                ..AnyValue::default()
            },
            r#"{"k":"v","n":null}"#,
        ),
    ];
    for (value, want) in values {
        let point = NumberPoint { time: TIME, int: Some(-3), attributes: vec![of(value)], ..NumberPoint::default() };
        let rows = rows_of(&[metric("m", "", GAUGE, points(&[point.encode_to_vec()], 0))]);
        assert_eq!(
            rows,
            [format!("__name__=m,service.name=shop,a=resource,v={want} -3@5"), "m is gauge: Help.".into()]
        );
    }
    let stale = NumberPoint { double: Some(1.0), flags: 1, ..NumberPoint::default() };
    let now = NumberPoint { double: Some(1.5), attributes: vec![text("a", "point")], ..NumberPoint::default() };
    let sum = [points(&[stale.encode_to_vec(), now.encode_to_vec()], CUMULATIVE), vec![0x18, 1]].concat();
    let rows = rows_of(&[metric("s", "", SUM, sum)]);
    assert_eq!(rows[0], "__name__=s,service.name=shop,a=resource NaN@99");
    assert_eq!(rows[1..], ["__name__=s,service.name=shop,a=resource,a=point 1.5@99", "s is counter: Help."]);
}

#[test]
fn distributions_become_buckets() {
    let point = HistogramPoint {
        time: TIME,
        count: 6,
        sum: Some(7.5),
        counts: vec![1, 2, 3],
        bounds: vec![0.5, 10.0],
        attributes: vec![],
    };
    let labels = "service.name=shop,a=resource";
    let rows = rows_of(&[metric("h", "", HISTOGRAM, points(&[point.encode_to_vec()], CUMULATIVE))]);
    let want = [
        format!("__name__=h_count,{labels} 6@5"),
        format!("__name__=h_sum,{labels} 7.5@5"),
        format!("__name__=h_bucket,{labels},le=0.5 1@5"),
        format!("__name__=h_bucket,{labels},le=10 3@5"),
        format!("__name__=h_bucket,{labels},le=+Inf 6@5"),
        "h is histogram: Help.".to_string(),
    ];
    assert_eq!(rows, want);

    let point = ExponentialPoint {
        time: TIME,
        count: 10,
        sum: Some(20.0),
        scale: 1,
        zero_count: 1,
        zero_threshold: 0.25,
        positive: Some(Buckets { offset: 2, counts: vec![3, 0, 4] }),
        negative: Some(Buckets { offset: 0, counts: vec![2] }),
        ..ExponentialPoint::default()
    };
    let rows = rows_of(&[metric("e", "", EXPONENTIAL_HISTOGRAM, points(&[point.encode_to_vec()], CUMULATIVE))]);
    let bucket = |range: &str, count: u32| format!("__name__=e_bucket,{labels},vmrange={range} {count}@5");
    let want = [
        bucket("0.000e+00...2.500e-01", 1),
        bucket("2.000e+00...2.828e+00", 3),
        bucket("4.000e+00...5.657e+00", 4),
        bucket("-1.414e+00...-1.000e+00", 2),
    ];
    assert_eq!(rows[2..6], want);

    let quantiles = vec![Quantile { quantile: 0.99, value: 3.0 }];
    let point = SummaryPoint { time: TIME, count: 2, sum: 4.0, quantiles };
    let rows = rows_of(&[metric("q", "", SUMMARY, points(&[point.encode_to_vec()], 0))]);
    let want = [
        format!("__name__=q_sum,{labels} 4@5"),
        format!("__name__=q_count,{labels} 2@5"),
        format!("__name__=q,{labels},quantile=0.99 3@5"),
        "q is summary: Help.".to_string(),
    ];
    assert_eq!(rows, want);
}

#[test]
fn what_cannot_be_kept_is_counted() {
    let number = NumberPoint { time: TIME, double: Some(1.0), ..NumberPoint::default() }.encode_to_vec();
    let odd = HistogramPoint { counts: vec![1], bounds: vec![1.0], ..HistogramPoint::default() }.encode_to_vec();
    let metrics = [
        metric("delta", "", SUM, points(&[number.clone(), number.clone()], 1)),
        metric("", "", GAUGE, points(std::slice::from_ref(&number), 0)),
        metric("odd", "", HISTOGRAM, points(&[odd], CUMULATIVE)),
        metric("none", "", GAUGE, points(&[NumberPoint::default().encode_to_vec()], 0)),
        metric("good", "", GAUGE, points(&[number], 0)),
    ];
    let (rows, skipped) = read(&OtlpStyle::default(), &body(&metrics)).expect("a good body");
    assert!(rows[0].starts_with("__name__=good"), "{rows:?}");
    assert_eq!((skipped.points, skipped.refused.get(Refusal::DeltaTemporality)), (3, 2));
    let good = body(&metrics);
    for cut in [1, 5, good.len() / 2, good.len() - 1] {
        assert!(matches!(read(&OtlpStyle::default(), &good[..cut]), Err(ReadError::Malformed(_))), "{cut}");
    }
}

#[test]
fn names_can_be_those_of_prometheus() {
    let style = OtlpStyle { prometheus_naming: true, promote_resource_attributes: false };
    let point = NumberPoint {
        time: TIME,
        double: Some(1.0),
        attributes: vec![text("http.route", "/")],
        ..NumberPoint::default()
    };
    let sum = [points(&[point.encode_to_vec()], CUMULATIVE), vec![0x18, 1]].concat();
    let (rows, _) = read(&style, &body(&[metric("http.server.time", "s", SUM, sum)])).expect("a good body");
    let want = [
        "__name__=http_server_time_seconds_total,http_route=/ 1@5",
        "http_server_time_seconds_total is counter: Help. s",
    ];
    assert_eq!(rows, want);
}

#[test]
fn a_long_body_goes_in_batches() {
    let point = NumberPoint { time: TIME, double: Some(1.0), ..NumberPoint::default() }.encode_to_vec();
    let metric = metric("m", "", GAUGE, points(&vec![point; 100_000], 0));
    let (rows, _) = read(&OtlpStyle::default(), &body(&[metric])).expect("a good body");
    assert_eq!(rows.iter().filter(|row| row.starts_with("__name__=m")).count(), 100_000);
}
