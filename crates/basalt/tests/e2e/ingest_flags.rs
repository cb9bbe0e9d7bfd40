//! Every flag of a door has an effect that its sender can see.

use crate::{
    server::{Basalt, PATIENCE, folder},
    wire::field,
};

/// 2026-01-02T00:00:30.500Z
const TIME_MS: i64 = 1_767_312_030_500;
/// The minute in which that lies.
const MINUTE_MS: i64 = 1_767_312_000_000;

/// Sends a body; gives the status.
fn post(basalt: &Basalt, path: &str, body: impl AsRef<[u8]>) -> u16 {
    basalt.client().post(path, "text/plain", None, body.as_ref()).expect("the server answers").status
}

/// Names, labels and times of what a test stored, as an export has them.
fn stored(basalt: &Basalt, test: &str) -> Vec<String> {
    let body = basalt.ok(&format!("/api/v1/export?end=2200&match[]={{test=\"{test}\"}}"));
    let mut lines: Vec<String> = body.lines().map(str::to_string).collect();
    lines.sort();
    lines
}

fn row(labels: &str, time: i64) -> String {
    format!("{{\"metric\":{{{labels}}},\"values\":[1],\"timestamps\":[{time}]}}")
}

fn otlp(test: &str, name: &[u8]) -> Vec<u8> {
    let point = [&[0x19][..], &(TIME_MS as u64 * 1_000_000).to_le_bytes(), &[0x21], &1f64.to_le_bytes()].concat();
    let attribute = |key: &[u8], value: &[u8]| [field(0x0a, key), field(0x12, &field(0x0a, value))].concat();
    let point = [point, field(0x3a, &attribute(b"test", test.as_bytes()))].concat();
    let metric = [field(0x0a, name), field(0x1a, b"By"), field(0x2a, &field(0x0a, &point))].concat();
    let resource = field(0x0a, &field(0x0a, &attribute(b"pod", b"p")));
    field(0x0a, &[resource, field(0x12, &field(0x12, &metric))].concat())
}

#[test]
fn times_are_cut_and_names_made_as_flags_say() {
    let folder = folder();
    let flags = [
        "-csvTrimTimestamp=1m",
        "-influxTrimTimestamp=1m",
        "-opentsdbhttpTrimTimestamp=1m",
        "-influxMeasurementFieldSeparator=.",
        "-influxDBLabel=base",
        "-influx.databaseNames=one,two",
        "-opentelemetry.usePrometheusNaming",
        "-opentelemetry.promoteAllResourceAttributes=false",
        "-datadog.sanitizeMetricName=false",
        "-zabbixconnector.addGroupsValue=yes",
        "-zabbixconnector.addEmptyTagsValue=none",
        "-zabbixconnector.addDuplicateTagsSeparator=|",
    ];
    let basalt = Basalt::start(folder.path(), &flags);
    let seconds = TIME_MS / 1000;
    let zabbix = format!(
        "{{\"host\":{{\"host\":\"h\",\"name\":\"n\"}},\"groups\":[\"g\"],\"name\":\"m\",\"clock\":{seconds},\"ns\":0,\"value\":1,\"type\":0,\
         \"item_tags\":[{{\"tag\":\"a\",\"value\":\"1\"}},{{\"tag\":\"a\",\"value\":\"2\"}},{{\"tag\":\"e\",\"value\":\"\"}}]}}\n"
    );
    for (test, path, body, row) in [
        (
            "csv",
            "/api/v1/import/csv?extra_label=test=csv&format=1:metric:m,2:time:unix_ms",
            format!("1,{TIME_MS}"),
            row(r#""__name__":"m","test":"csv""#, MINUTE_MS),
        ),
        (
            "influx",
            "/write?db=d&precision=ms",
            format!("m,test=influx f=1 {TIME_MS}\n"),
            row(r#""__name__":"m.f","base":"d","test":"influx""#, MINUTE_MS),
        ),
        (
            "opentsdb",
            "/api/put",
            format!("{{\"metric\":\"m\",\"timestamp\":{TIME_MS},\"value\":1,\"tags\":{{\"test\":\"opentsdb\"}}}}"),
            row(r#""__name__":"m","test":"opentsdb""#, MINUTE_MS),
        ),
        (
            "datadog",
            "/datadog/api/v1/series",
            format!("{{\"series\":[{{\"metric\":\"a!b\",\"points\":[[{seconds},1]],\"tags\":[\"test:datadog\"]}}]}}"),
            row(r#""__name__":"a!b","test":"datadog""#, seconds * 1000),
        ),
        (
            "zabbix",
            "/zabbixconnector/api/v1/history?extra_label=test=zabbix",
            zabbix,
            row(
                r#""__name__":"m","group_g":"yes","host":"h","hostname":"n","tag_a":"1|2","tag_e":"none","test":"zabbix""#,
                seconds * 1000,
            ),
        ),
    ] {
        let status = post(&basalt, path, body);
        assert!((200..300).contains(&status), "{path}: {status}");
        assert_eq!(stored(&basalt, test), [row], "{path}");
    }
    assert_eq!(post(&basalt, "/opentelemetry/v1/metrics", otlp("otlp", b"a.b")), 200);
    assert_eq!(stored(&basalt, "otlp"), [row(r#""__name__":"a_b_bytes","test":"otlp""#, TIME_MS)]);
    let databases = basalt.ok("/query?q=show%20databases");
    assert!(databases.contains("[\"one\"]") && databases.contains("[\"two\"]"), "{databases}");
}

#[test]
fn influx_names_may_leave_parts_away() {
    let body = format!("m,test=t f=1 {TIME_MS}\n");
    for (flag, name) in [("-influxSkipMeasurement", "f"), ("-influxSkipSingleField", "m")] {
        let folder = folder();
        let basalt = Basalt::start(folder.path(), &[flag]);
        assert_eq!(post(&basalt, "/write?precision=ms", &body), 204);
        assert_eq!(stored(&basalt, "t"), [row(&format!(r#""__name__":"{name}","test":"t""#), TIME_MS)], "{flag}");
    }
}

#[test]
fn bodies_and_lines_have_their_limits() {
    let folder = folder();
    let flags = [
        "-import.maxLineLen=1MiB",
        "-influx.maxLineSize=1MiB",
        "-datadog.maxInsertRequestSize=100",
        "-newrelic.maxInsertRequestSize=100",
        "-opentelemetry.maxRequestSize=100",
        "-opentsdbhttp.maxInsertRequestSize=100",
    ];
    let basalt = Basalt::start(folder.path(), &flags);
    let long = "x".repeat(200);
    // Lines are measured once they do not fit into a piece of a body.
    let longer = "x".repeat(4 << 20);
    for (path, body) in [
        ("/api/v1/import", format!("{{\"metric\":{{\"__name__\":\"{longer}\"}},\"values\":[1],\"timestamps\":[1]}}\n")),
        ("/write", format!("m,a={longer} f=1\n")),
        ("/datadog/api/v1/series", format!("{{\"series\":[{{\"metric\":\"{long}\",\"points\":[[1,1]]}}]}}")),
        ("/newrelic/infra/v2/metrics/events/bulk", format!("[{{\"Events\":[{{\"a\":\"{long}\",\"b\":1}}]}}]")),
        ("/opentelemetry/v1/metrics", long.clone()),
        ("/opentsdb/api/put", format!("{{\"metric\":\"{long}\",\"value\":1,\"tags\":{{\"a\":\"b\"}}}}")),
    ] {
        let answer = basalt.client().post(path, "text/plain", None, body.as_bytes()).expect("the server answers");
        let why = answer.text();
        assert!(
            matches!(answer.status, 400 | 413) && (why.contains("100") || why.contains("1048576")),
            "{path}: {} {why}",
            answer.status
        );
    }
}

#[test]
fn lines_of_listeners_are_cut_to_their_minutes() {
    use std::io::Write;
    let folder = folder();
    let flags = [
        "-graphiteListenAddr=127.0.0.1:0",
        "-opentsdbListenAddr=127.0.0.1:0",
        "-graphiteTrimTimestamp=1m",
        "-opentsdbTrimTimestamp=1m",
    ];
    let basalt = Basalt::start(folder.path(), &flags);
    let seconds = TIME_MS / 1000;
    for (said, line) in [
        ("started TCP Graphite server at", format!("m;test=graphite 1 {seconds}\n")),
        ("started TCP OpenTSDB collector at", format!("put m {seconds} 1 test=opentsdb\n")),
    ] {
        let address = basalt.process.wait_for_line(said, PATIENCE).expect("it says so");
        let address = address.rsplit('"').nth(1).expect("an address in quotes").to_string();
        let mut socket = std::net::TcpStream::connect(address).expect("it listens");
        socket.write_all(line.as_bytes()).expect("it reads");
    }
    for test in ["graphite", "opentsdb"] {
        crate::prometheus::wait_until("the line is stored", || !stored(&basalt, test).is_empty());
        assert_eq!(stored(&basalt, test), [row(&format!(r#""__name__":"m","test":"{test}""#), MINUTE_MS)]);
    }
}
