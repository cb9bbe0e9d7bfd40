//! Entry points for fuzzers: whatever the bytes, nothing panics and memory stays in proportion.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use model::KeyBuilder;
use storage_api::{Encoding, Resolved};

use crate::{
    LabelLimits, Packing, StreamUnpacker, Unpacked,
    csv::{Csv, CsvFormat},
    datadog::{Datadog, Version},
    firehose,
    graphite::Graphite,
    import_json::ImportJson,
    influx::{Influx, InfluxStyle, Precision},
    native::Native,
    newrelic,
    opentsdb::OpenTsdb,
    otlp::{Otlp, OtlpStyle},
    prometheus_text::PrometheusText,
    remote_write::{self, v2},
    rows::{Duplicates, ExtraLabels, LineReader, PairLabels, Rows, Sink},
    zabbix::{Zabbix, ZabbixStyle},
};

/// No fuzzed body unpacks to more.
const UNPACKED_MAX: usize = 1 << 20;
const NOW: i64 = 1_700_000_000_000;

/// Takes `data` as an unpacked remote-write body and resolves all its labels.
pub fn fuzz_remote_write(data: &[u8]) {
    let mut body = Unpacked::default();
    body.set(data);
    let mut rows = remote_write::Rows::default();
    if rows.decode(&mut body).is_err() {
        return;
    }
    let encoding = remote_write::RemoteWriteLabels::new(LabelLimits::default(), 0, ExtraLabels::default());
    let mut labels = KeyBuilder::new();
    let mut samples_start = 0;
    for series in rows.series() {
        let bytes = &body.bytes()[series.labels_start as usize..][..series.labels_len as usize];
        labels.clear();
        if encoding.resolve(bytes, &mut labels) == Resolved::Keep {
            assert!(!labels.is_empty());
        }
        assert!(series.samples_end > samples_start, "a row without samples");
        samples_start = series.samples_end;
    }
    assert_eq!(samples_start as usize, rows.samples().len());
    rows.metadata(&body);
}

/// Takes `data` as a packed body, whole and piece by piece.
pub fn fuzz_unpack(data: &[u8]) {
    let mut body = Unpacked::default();
    for packing in [Packing::Snappy, Packing::Zstd, Packing::Gzip, Packing::Deflate] {
        let whole = body.unpack(data, packing, UNPACKED_MAX).is_ok();
        assert!(!whole || body.bytes().len() <= UNPACKED_MAX);
        assert!(body.held_bytes() <= 4 * UNPACKED_MAX);
        let Some(Ok(mut unpacker)) = StreamUnpacker::new(packing) else {
            continue;
        };
        let (mut input, mut out) = (data, Vec::new());
        while !input.is_empty() && out.len() <= UNPACKED_MAX {
            let Ok(taken) = unpacker.step(input, &mut out) else { break };
            input = &input[taken..];
        }
    }
}

/// Checks rows as a store would, and takes them away.
struct Checking(PairLabels);

impl Checking {
    fn new() -> Self {
        Self(PairLabels::new(LabelLimits::default(), 0, Duplicates::LastWins, ExtraLabels::default()))
    }

    fn take(&self, rows: &mut Rows) {
        let mut labels = KeyBuilder::new();
        let mut samples_start = 0;
        for series in rows.series() {
            let bytes = &rows.bytes()[series.labels_start as usize..][..series.labels_len as usize];
            labels.clear();
            if self.0.resolve(bytes, &mut labels) == Resolved::Keep {
                assert!(!labels.is_empty());
            }
            assert!(series.samples_end > samples_start, "a row without samples");
            samples_start = series.samples_end;
        }
        assert_eq!(samples_start as usize, rows.samples().len());
        rows.metadata_entries();
        rows.clear();
    }
}

impl Sink for Checking {
    type Error = ();

    async fn flush(&mut self, rows: &mut Rows) -> Result<(), ()> {
        self.take(rows);
        Ok(())
    }
}

/// Takes `data` as lines of a protocol.
fn lines(data: &[u8], reader: &mut dyn LineReader) {
    let (mut rows, checking) = (Rows::default(), Checking::new());
    for line in data.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        let mark = rows.mark();
        if reader.read(line, &mut rows).is_err() {
            rows.rewind(mark);
        }
    }
    reader.end(&mut rows);
    checking.take(&mut rows);
}

/// Runs a reader of whole bodies, which never waits here.
fn whole(read: impl AsyncFnOnce(&mut Rows, &mut Checking) -> bool) {
    let (mut rows, mut checking) = (Rows::default(), Checking::new());
    let mut context = Context::from_waker(Waker::noop());
    let polled = pin!(read(&mut rows, &mut checking)).poll(&mut context);
    match polled {
        Poll::Ready(true) => checking.take(&mut rows),
        Poll::Ready(false) => {}
        Poll::Pending => unreachable!("BUG: this sink does not wait"),
    }
}

/// Takes `data` as an unpacked body of remote write, version 2.
pub fn fuzz_remote_write_2(data: &[u8]) {
    whole(async |rows, sink| v2::Reader::default().read(data, rows, sink).await.is_ok());
}

/// Takes `data` as an import of JSON lines.
pub fn fuzz_import_json(data: &[u8]) {
    lines(data, &mut ImportJson);
}

/// Takes `data` as text exposition.
pub fn fuzz_prometheus_text(data: &[u8]) {
    lines(data, &mut PrometheusText::new(NOW));
}

/// Takes the first line of `data` as a format, the others as CSV.
pub fn fuzz_csv(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let format = std::str::from_utf8(&data[..end]).ok().and_then(|text| CsvFormat::parse(text).ok());
    if let Some(format) = format {
        lines(&data[end..], &mut Csv::new(format, NOW, 1));
    }
}

/// Takes `data` as Influx lines.
pub fn fuzz_influx(data: &[u8]) {
    let style = InfluxStyle::default();
    for precision in ["", "ns", "h"] {
        lines(data, &mut Influx::new(&style, "db".into(), Precision::named(precision), NOW));
    }
}

/// Takes `data` as Graphite lines.
pub fn fuzz_graphite(data: &[u8]) {
    lines(data, &mut Graphite::new(NOW, 1000));
}

/// Takes `data` as OpenTSDB's puts, as lines and as JSON.
pub fn fuzz_opentsdb(data: &[u8]) {
    let reader = OpenTsdb::new(NOW, 1000);
    lines(data, &mut { reader });
    whole(async |rows, sink| reader.read_json(data, rows, sink).await.is_ok());
}

/// Takes `data` as OpenTelemetry metrics.
pub fn fuzz_otlp(data: &[u8]) {
    for prometheus_naming in [false, true] {
        let style = OtlpStyle { prometheus_naming, ..OtlpStyle::default() };
        whole(async |rows, sink| Otlp::new(&style, NOW).read(data, rows, sink).await.is_ok());
    }
}

/// Takes `data` as Datadog's series of every form, and as sketches.
pub fn fuzz_datadog(data: &[u8]) {
    for version in [Version::One, Version::Two] {
        let reader = Datadog::new(version, NOW, true);
        whole(async |rows, sink| reader.read_json(data, rows, sink).await.is_ok());
        whole(async |rows, sink| reader.read_protobuf(data, rows, sink).await.is_ok());
    }
    let reader = Datadog::new(Version::Two, NOW, true);
    whole(async |rows, sink| reader.read_sketches(data, rows, sink).await.is_ok());
}

/// Takes `data` as Firehose's JSON, and as the bytes of its records.
pub fn fuzz_firehose(data: &[u8]) {
    let _ = firehose::read(data);
    let _ = firehose::messages(data);
}

/// Takes `data` as New Relic's events.
pub fn fuzz_newrelic(data: &[u8]) {
    whole(async |rows, sink| newrelic::read(data, NOW, rows, sink).await.is_ok());
}

/// Takes `data` as lines of the Zabbix connector.
pub fn fuzz_zabbix(data: &[u8]) {
    let style =
        ZabbixStyle { groups_value: "g".into(), empty_tags_value: "e".into(), duplicate_tags_separator: ",".into() };
    lines(data, &mut Zabbix::new(&style, NOW));
}

/// Takes `data` as a native import.
pub fn fuzz_native(data: &[u8]) {
    let (mut native, mut rows, checking) = (Native::default(), Rows::default(), Checking::new());
    let mut rest = data;
    while let Ok(taken @ 1..) = native.read(rest, &mut rows) {
        rest = &rest[taken..];
        checking.take(&mut rows);
    }
}
