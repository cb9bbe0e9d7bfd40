//! The walk against `prost`, on messages of every form and on broken ones.

mod message;

use std::time::Duration;

use decode::{
    LabelLimits, Unpacked,
    fuzz::{fuzz_remote_write, fuzz_unpack},
    remote_write::{RemoteWriteLabels, Rows},
    rows::ExtraLabels,
};
use message::{Label, MetricMetadata, Sample, TimeSeries, WriteRequest};
use model::KeyBuilder;
use proptest::{collection::vec, prelude::*};
use prost::Message;
use storage_api::{Encoding, Refusal, Resolved};

/// Label bytes, and times with the bits of values.
type Read = (Vec<u8>, Vec<(i64, u64)>);

/// What a body says, with labels as the bytes that they are.
#[derive(Debug, PartialEq, Default)]
struct Content {
    series: Vec<Read>,
    metadata: Vec<(String, String, String, String)>,
    refused: [u64; 3],
}

const KINDS: [&str; 8] = ["unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"];

fn by_walk(bytes: &[u8]) -> Result<Content, String> {
    let mut body = Unpacked::default();
    body.set(bytes);
    let mut rows = Rows::default();
    rows.decode(&mut body).map_err(|error| error.to_string())?;
    let mut content = Content::default();
    let mut start = 0;
    for series in rows.series() {
        let labels = &body.bytes()[series.labels_start as usize..][..series.labels_len as usize];
        let samples = &rows.samples()[start..series.samples_end as usize];
        start = series.samples_end as usize;
        content.series.push((labels.to_vec(), samples.iter().map(|s| (s.time, s.value.to_bits())).collect()));
    }
    let texts = |m: &storage_api::MetricMetadata<'_>| (m.kind.into(), m.metric.into(), m.help.into(), m.unit.into());
    content.metadata = rows.metadata(&body).iter().map(texts).collect();
    content.refused =
        [Refusal::NoLabels, Refusal::Exemplar, Refusal::Histogram].map(|reason| rows.refused().get(reason));
    Ok(content)
}

fn by_prost(bytes: &[u8]) -> Result<Content, String> {
    let request = WriteRequest::decode(bytes).map_err(|error| error.to_string())?;
    let mut content = Content::default();
    for series in request.timeseries {
        content.refused[1] += series.exemplars.len() as u64;
        content.refused[2] += series.histograms.len() as u64;
        if series.labels.is_empty() {
            content.refused[0] += series.samples.len() as u64;
        } else if !series.samples.is_empty() {
            // Prost writes a repeated field contiguously and with the shortest lengths.
            let labels = TimeSeries { labels: series.labels, ..TimeSeries::default() }.encode_to_vec();
            let samples = series.samples.iter().map(|s| (s.timestamp, s.value.to_bits())).collect();
            content.series.push((labels, samples));
        }
    }
    for entry in request.metadata {
        let kind = usize::try_from(entry.kind).ok().and_then(|kind| KINDS.get(kind)).unwrap_or(&KINDS[0]);
        content.metadata.push((kind.to_string(), entry.metric_family_name, entry.help, entry.unit));
    }
    Ok(content)
}

fn label_bytes() -> impl Strategy<Value = Vec<u8>> {
    ("[a-z_]{0,12}", "\\PC{0,200}").prop_map(|(name, value)| Label { name, value }.encode_to_vec())
}

fn sample() -> impl Strategy<Value = Sample> {
    let value = prop_oneof![any::<f64>(), Just(0.0), any::<u64>().prop_map(f64::from_bits)];
    let timestamp = prop_oneof![1_700_000_000_000..1_800_000_000_000i64, any::<i64>(), Just(0)];
    (value, timestamp).prop_map(|(value, timestamp)| Sample { value, timestamp })
}

fn series() -> impl Strategy<Value = TimeSeries> {
    let blob = || vec(vec(any::<u8>(), 0..20), 0..2);
    (vec(label_bytes(), 0..5), vec(sample(), 0..4), blob(), blob())
        .prop_map(|(labels, samples, exemplars, histograms)| TimeSeries { labels, samples, exemplars, histograms })
}

fn request() -> impl Strategy<Value = WriteRequest> {
    let entry = (-1..9i32, "[a-z]{0,9}", "\\PC{0,30}", "[a-z]{0,5}");
    let entry = entry.prop_map(|(kind, metric_family_name, help, unit)| MetricMetadata {
        kind,
        metric_family_name,
        help,
        unit,
    });
    (vec(series(), 0..6), vec(entry, 0..3)).prop_map(|(timeseries, metadata)| WriteRequest { timeseries, metadata })
}

/// Splits a message into its fields.
fn fields(message: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = message;
    let mut out = Vec::new();
    while !rest.is_empty() {
        let before = rest;
        let (tag, wire) = prost::encoding::decode_key(&mut rest).expect("a good message");
        prost::encoding::skip_field(wire, tag, &mut rest, Default::default()).expect("a good message");
        out.push(before[..before.len() - rest.len()].to_vec());
    }
    out
}

/// A body whose series have their fields in the order that `seed` says, with unknown fields in between.
fn shuffled(request: &WriteRequest, mut seed: u64) -> Vec<u8> {
    let mut next = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    const UNKNOWN: &[&[u8]] = &[&[0x78, 0x05], &[0x7a, 0x02, 0x0a, 0x01], &[0x7b, 0x0a, 0x01, 0x61, 0x7c]];
    let mut body = Vec::new();
    for series in &request.timeseries {
        let mut parts = fields(&series.encode_to_vec());
        (1..parts.len()).for_each(|n| parts.swap(n, next() % (n + 1)));
        if next() % 2 == 0 {
            parts.insert(next() % (parts.len() + 1), UNKNOWN[next() % UNKNOWN.len()].to_vec());
        }
        body.push(0x0a);
        prost::encoding::encode_varint(parts.iter().map(Vec::len).sum::<usize>() as u64, &mut body);
        parts.iter().for_each(|part| body.extend_from_slice(part));
    }
    body
}

proptest! {
    #[test]
    fn good_bodies_read_alike(request in request()) {
        let body = request.encode_to_vec();
        let walked = by_walk(&body).expect("a good body");
        prop_assert_eq!(walked, by_prost(&body).expect("a good body"));
    }

    #[test]
    fn fields_in_any_order_read_alike(request in request(), seed in any::<u64>()) {
        let body = shuffled(&request, seed);
        let walked = by_walk(&body).expect("a good body");
        prop_assert_eq!(walked, by_prost(&body).expect("a good body"));
    }

    #[test]
    fn broken_bodies_fail_alike(
        request in request(),
        cut in any::<prop::sample::Index>(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let mut body = request.encode_to_vec();
        for (at, byte) in changes {
            if !body.is_empty() {
                let at = at.index(body.len());
                body[at] = byte;
            }
        }
        if !body.is_empty() {
            body.truncate(cut.index(body.len() * 2));
        }
        match (by_walk(&body), by_prost(&body)) {
            (Ok(walked), Ok(want)) => {
                // Lengths that are longer than they need be stay so in the walk's extents.
                let lens = |content: &Content| content.series.iter().map(|(_, samples)| samples.clone()).collect::<Vec<_>>();
                prop_assert_eq!(lens(&walked), lens(&want));
                prop_assert_eq!((walked.metadata, walked.refused), (want.metadata, want.refused));
            }
            (Err(_), Err(_)) => {}
            (walked, want) => prop_assert!(false, "walk: {walked:?}\nprost: {want:?}\n{body:02x?}"),
        }
    }

    #[test]
    fn label_bytes_mean_what_they_say(labels in vec(("[a-c_]{0,3}", "[a-z\u{20ac}]{0,4}"), 0..6)) {
        let bytes = labels.iter().map(|(name, value)| Label { name: name.clone(), value: value.clone() }.encode_to_vec());
        let bytes = TimeSeries { labels: bytes.collect(), ..TimeSeries::default() }.encode_to_vec();
        let mut builder = KeyBuilder::new();
        let resolved = RemoteWriteLabels::new(LabelLimits::default(), 0, ExtraLabels::default()).resolve(&bytes, &mut builder);
        let kept: Vec<_> = labels.iter().filter(|(_, value)| !value.is_empty()).cloned().collect();
        let mut names: Vec<_> = kept.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        names.dedup();
        let want = if kept.iter().any(|(name, _)| name.is_empty()) || names.len() < kept.len() {
            Resolved::Refuse(Refusal::InvalidLabels)
        } else if kept.is_empty() {
            Resolved::Refuse(Refusal::NoLabels)
        } else {
            let built: Vec<_> = builder.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            prop_assert_eq!(built, kept);
            Resolved::Keep
        };
        prop_assert_eq!(resolved, want);
    }
}

fn label(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut inner = vec![0x0a, name.len() as u8];
    inner.extend_from_slice(name);
    inner.push(0x12);
    prost::encoding::encode_varint(value.len() as u64, &mut inner);
    inner.extend_from_slice(value);
    let mut out = vec![0x0a];
    prost::encoding::encode_varint(inner.len() as u64, &mut out);
    out.extend_from_slice(&inner);
    out
}

#[test]
fn labels_over_a_limit_are_refused_by_name() {
    let limits = LabelLimits { labels_max: 2, name_bytes_max: 4, value_bytes_max: 5 };
    let encoding = RemoteWriteLabels::new(limits, 7, ExtraLabels::default());
    let resolve = |labels: &[(&[u8], &[u8])]| {
        let bytes: Vec<u8> = labels.iter().flat_map(|(name, value)| label(name, value)).collect();
        encoding.resolve(&bytes, &mut KeyBuilder::new())
    };
    assert_eq!(encoding.generation(), 7);
    assert_eq!(resolve(&[(b"a", b"1"), (b"b", b"2"), (b"c", b"")]), Resolved::Keep);
    assert_eq!(resolve(&[(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]), Resolved::Refuse(Refusal::TooManyLabels));
    assert_eq!(resolve(&[(b"abcde", b"1")]), Resolved::Refuse(Refusal::LongLabelName));
    assert_eq!(resolve(&[(b"a", b"123456")]), Resolved::Refuse(Refusal::LongLabelValue));
    assert_eq!(resolve(&[(b"a", b"\xff")]), Resolved::Refuse(Refusal::InvalidUtf8));
    assert_eq!(
        encoding.resolve(&[0x0a, 0x02, 0x0a, 0x05], &mut KeyBuilder::new()),
        Resolved::Refuse(Refusal::InvalidLabels)
    );
}

#[test]
fn errors_name_what_and_where() {
    for (body, want) in [
        (&[0x0a][..], "number without end at byte 1"),
        (&[0x0a, 0x05, 0x0a], "length beyond the end at byte 1"),
        (&[0x0a, 0x02, 0x0a, 0x05], "label beyond the end of its series at byte 4"),
        (&[0x0a, 0x03, 0x12, 0x01, 0x09], "fixed number without end at byte 5"),
        (&[0x08, 0x01], "field of another type at byte 1"),
        (&[0x00, 0x01], "wrong field number at byte 0"),
        (&[0x1a, 0x03, 0x12, 0x01, 0xff], "metadata that is not UTF-8 at byte 4"),
    ] {
        assert_eq!(by_walk(body).expect_err("a broken body"), want);
    }
}

#[test]
fn a_body_of_empty_samples_gets_no_memory() {
    let series = [&[0x0a, 0x04, 0x0a, 0x00, 0x12, 0x00][..]].concat().repeat(200_000);
    let error = by_walk(&series).expect_err("too many samples for so few bytes");
    assert!(error.starts_with("more samples than"), "{error}");
}

#[test]
fn fuzzed_bodies_break_nothing() {
    let mut traffic = traffic::Traffic::new(traffic::Shape { series: 300, ..traffic::Shape::default() });
    let mut bodies = Vec::new();
    traffic.requests(0..2, |body| bodies.push(body.to_vec()));
    let short = bodies.iter().map(|body| body[..body.len().min(4000)].to_vec());
    let corpus: Vec<Vec<u8>> = short.chain(bodies.iter().cloned()).collect();
    testkit::fuzz::run("remote-write", &corpus, Duration::from_secs(1), fuzz_remote_write);

    let body = &bodies[0][..bodies[0].len().min(20_000)];
    let snappy = snap::raw::Encoder::new().compress_vec(body).expect("snappy packs everything");
    let zstd = zstd::bulk::compress(body, 1).expect("zstd packs everything");
    testkit::fuzz::run("unpack", &[snappy, zstd], Duration::from_secs(1), fuzz_unpack);
}
