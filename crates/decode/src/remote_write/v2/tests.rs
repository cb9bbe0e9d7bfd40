//! The reader against `prost`.

use proptest::{collection::vec, prelude::*};
use prost::Message;

use super::*;
use crate::rows::tests::{Batches, ready, show};

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(string, repeated, tag = "4")]
    symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(uint32, repeated, tag = "1")]
    labels_refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    histograms: Vec<Histogram>,
    #[prost(message, repeated, tag = "4")]
    exemplars: Vec<Sample>,
    #[prost(message, optional, tag = "5")]
    metadata: Option<Metadata>,
    #[prost(int64, tag = "6")]
    created_timestamp: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Histogram {
    #[prost(uint64, tag = "1")]
    count: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Metadata {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(uint32, tag = "3")]
    help: u32,
    #[prost(uint32, tag = "4")]
    unit: u32,
}

fn by_reader(body: &[u8]) -> Result<(Vec<String>, Refusals), String> {
    let (mut reader, mut rows, mut batches) = (Reader::default(), Rows::default(), Batches::default());
    let read = ready(reader.read(body, &mut rows, &mut batches));
    read.map_err(|error| format!("{error:?}"))?;
    batches.0.extend(show(&rows));
    Ok((batches.0, *reader.refused()))
}

/// What the message says, row by row; `None` if its references lead nowhere.
fn by_prost(request: &Request) -> Option<(Vec<String>, Refusals)> {
    let mut refused = Refusals::default();
    let mut shown = Vec::new();
    for series in &request.timeseries {
        refused.add(Refusal::Histogram, series.histograms.len() as u64);
        refused.add(Refusal::Exemplar, series.exemplars.len() as u64);
        let symbol = |number: &u32| request.symbols.get(*number as usize);
        let symbols: Option<Vec<_>> = series.labels_refs.iter().map(symbol).collect();
        let symbols = symbols?;
        let (pairs, rest) = symbols.as_chunks::<2>();
        if !rest.is_empty() {
            return None;
        }
        let pairs: Vec<_> = pairs.iter().map(|[name, value]| format!("{name}={value}")).collect();
        let samples: Vec<_> = series.samples.iter().map(|s| format!("{}@{}", s.value, s.timestamp)).collect();
        if !samples.is_empty() {
            shown.push(format!("{} {}", pairs.join(","), samples.join(" ")));
        }
    }
    Some((shown, refused))
}

fn time() -> impl Strategy<Value = i64> {
    prop_oneof![1_700_000_000_000..1_800_000_000_000i64, any::<i64>(), Just(0)]
}

fn request() -> impl Strategy<Value = Request> {
    let sample = (any::<f64>(), time()).prop_map(|(value, timestamp)| Sample { value, timestamp });
    let series = (vec(0..9u32, 0..8), vec(sample, 0..4), 0..2usize, 0..2usize, any::<bool>()).prop_map(
        |(labels_refs, samples, histograms, exemplars, created)| TimeSeries {
            labels_refs,
            samples,
            histograms: vec![Histogram { count: 7 }; histograms],
            exemplars: vec![Sample { value: 1.0, timestamp: 2 }; exemplars],
            metadata: None,
            created_timestamp: i64::from(created),
        },
    );
    (vec("[a-z€]{0,3}", 6..9), vec(series, 0..5)).prop_map(|(symbols, timeseries)| Request { symbols, timeseries })
}

proptest! {
    #[test]
    fn bodies_read_alike(request in request(), series_first in any::<bool>()) {
        let mut body = request.encode_to_vec();
        if series_first {
            let symbols = Request { timeseries: Vec::new(), ..request.clone() }.encode_to_vec();
            body = [Request { symbols: Vec::new(), ..request.clone() }.encode_to_vec(), symbols].concat();
        }
        // The decoder's word counts: the encoder leaves minus zero away.
        match by_prost(&Request::decode(&body[..]).expect("a good body")) {
            Some(want) => prop_assert_eq!(by_reader(&body), Ok(want)),
            None => prop_assert!(by_reader(&body).is_err()),
        }
    }
}

fn strings(symbols: &[&str]) -> Vec<String> {
    symbols.iter().map(|symbol| symbol.to_string()).collect()
}

#[test]
fn metadata_is_told_once_and_of_families() {
    let sample = vec![Sample { value: 1.0, timestamp: 5 }];
    let series = |labels_refs: Vec<u32>, kind, help| TimeSeries {
        labels_refs,
        samples: sample.clone(),
        metadata: Some(Metadata { kind, help, unit: 0 }),
        ..TimeSeries::default()
    };
    let request = Request {
        symbols: strings(&["", "__name__", "h_bucket", "le", "1", "2", "Help.", "up"]),
        timeseries: vec![
            series(vec![1, 2, 3, 4], 3, 6),
            series(vec![1, 2, 3, 5], 3, 6),
            series(vec![1, 7], 2, 0),
            series(vec![1, 7], 0, 0),
        ],
    };
    let (shown, _) = by_reader(&request.encode_to_vec()).expect("a good body");
    assert_eq!(shown[4..], ["h is histogram: Help.", "up is gauge:"]);
    assert_eq!(shown[0], "__name__=h_bucket,le=1 1@5");
    let broken = Request { timeseries: vec![series(vec![1, 7], 2, 99)], ..request };
    assert!(by_reader(&broken.encode_to_vec()).is_err_and(|error| error.contains("not there")));
}

#[test]
fn a_long_body_goes_in_batches_and_a_broken_one_not_at_all() {
    let long = "x".repeat(100_000);
    let series = TimeSeries {
        labels_refs: vec![0, 1],
        samples: vec![Sample { value: 1.0, timestamp: 5 }],
        ..TimeSeries::default()
    };
    let mut request = Request { symbols: vec!["a".into(), long], timeseries: vec![series.clone(); 200] };
    let read = |request: &Request| {
        let (mut reader, mut rows, mut batches) = (Reader::default(), Rows::default(), Batches::default());
        let read = ready(reader.read(&request.encode_to_vec(), &mut rows, &mut batches));
        (read.is_ok(), batches.0.len(), rows.series().len())
    };
    let (good, sent, left) = read(&request);
    assert!(good && sent > 0 && sent + left == 200);
    request.timeseries.push(TimeSeries { labels_refs: vec![0], ..series });
    assert_eq!(read(&request).1, 0, "nothing goes before the rest was checked");
    assert!(!read(&request).0);
}
