//! Every door lets samples in: written by its own protocol, read back by `/api/v1/export`.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream, UdpSocket},
    time::Instant,
};

use crate::{
    server::{Basalt, PATIENCE, folder},
    wire::field,
};

/// 2026-01-02T00:00:00Z
const TIME_MS: i64 = 1_767_312_000_000;

/// Everything of a test, as lines in order.
fn export(basalt: &Basalt, test: &str) -> Vec<String> {
    let body = basalt.ok(&format!("/api/v1/export?end=2200&match[]={{test=\"{test}\"}}"));
    let mut lines: Vec<String> = body.lines().map(str::to_string).collect();
    lines.sort();
    lines
}

/// A line of an export with one sample at the time of all tests.
fn line(labels: &str, value: &str) -> String {
    format!("{{\"metric\":{{{labels}}},\"values\":[{value}],\"timestamps\":[{TIME_MS}]}}")
}

struct Case {
    test: &'static str,
    path: &'static str,
    content_type: &'static str,
    body: Vec<u8>,
    status: u16,
    lines: Vec<String>,
}

fn case(test: &'static str, path: &'static str, body: impl Into<Vec<u8>>, status: u16, lines: Vec<String>) -> Case {
    Case { test, path, content_type: "text/plain", body: body.into(), status, lines }
}

fn text_cases() -> Vec<Case> {
    vec![
        case(
            "json",
            "/api/v1/import?extra_label=test=json",
            format!("{{\"metric\":{{\"__name__\":\"m\"}},\"values\":[1.5],\"timestamps\":[{TIME_MS}]}}\n"),
            204,
            vec![line(r#""__name__":"m","test":"json""#, "1.5")],
        ),
        case(
            "csv",
            "/api/v1/import/csv?extra_label=test=csv&format=1:label:a,2:metric:m,3:time:unix_s",
            format!("x,0.1,{}\n", TIME_MS / 1000),
            204,
            vec![line(r#""__name__":"m","a":"x","test":"csv""#, "0.1")],
        ),
        case(
            "text",
            "/insert/0/prometheus/api/v1/import/prometheus?extra_label=test=text",
            format!("# TYPE m counter\nm{{a=\"x\"}} 7 {TIME_MS}"),
            204,
            vec![line(r#""__name__":"m","a":"x","test":"text""#, "7")],
        ),
        case(
            "push",
            "/api/v1/import/prometheus/metrics/job/j/test/push",
            format!("m 7 {TIME_MS}\n"),
            200,
            vec![line(r#""__name__":"m","job":"j","test":"push""#, "7")],
        ),
        case(
            "influx",
            "/api/v2/write?db=d&precision=ms",
            format!("m,test=influx f=1,g=2i {TIME_MS}\n"),
            204,
            vec![
                line(r#""__name__":"m_f","db":"d","test":"influx""#, "1"),
                line(r#""__name__":"m_g","db":"d","test":"influx""#, "2"),
            ],
        ),
    ]
}

fn agent_cases() -> Vec<Case> {
    let time = TIME_MS / 1000;
    let point = [&[0x19][..], &(TIME_MS as u64 * 1_000_000).to_le_bytes(), &[0x21], &2.5f64.to_le_bytes()].concat();
    let attribute = [field(0x0a, b"test"), field(0x12, &field(0x0a, b"otlp"))].concat();
    let metric = [field(0x0a, b"m"), field(0x2a, &field(0x0a, &point))].concat();
    let resource = field(0x0a, &field(0x0a, &attribute));
    let otlp = field(0x0a, &[resource, field(0x12, &field(0x12, &metric))].concat());
    vec![
        case(
            "opentsdb",
            "/opentsdb/api/put",
            format!("{{\"metric\":\"m\",\"timestamp\":{time},\"value\":1,\"tags\":{{\"test\":\"opentsdb\"}}}}"),
            204,
            vec![line(r#""__name__":"m","test":"opentsdb""#, "1")],
        ),
        Case {
            content_type: "application/x-protobuf",
            ..case("otlp", "/opentelemetry/v1/metrics", otlp, 200, vec![line(r#""__name__":"m","test":"otlp""#, "2.5")])
        },
        case(
            "datadog1",
            "/datadog/api/v1/series",
            format!("{{\"series\":[{{\"metric\":\"m\",\"points\":[[{time},1]],\"tags\":[\"test:datadog1\"]}}]}}"),
            202,
            vec![line(r#""__name__":"m","test":"datadog1""#, "1")],
        ),
        case(
            "datadog2",
            "/datadog/api/v2/series",
            format!(
                "{{\"series\":[{{\"metric\":\"m\",\"points\":[{{\"timestamp\":{time},\"value\":1}}],\"tags\":[\"test:datadog2\"]}}]}}"
            ),
            202,
            vec![line(r#""__name__":"m","test":"datadog2""#, "1")],
        ),
        case(
            "newrelic",
            "/newrelic/infra/v2/metrics/events/bulk",
            format!("[{{\"Events\":[{{\"test\":\"newrelic\",\"timestamp\":{time},\"cpu\":1}}]}}]"),
            202,
            vec![line(r#""__name__":"cpu","test":"newrelic""#, "1")],
        ),
        case(
            "zabbix",
            "/zabbixconnector/api/v1/history?extra_label=test=zabbix",
            format!("{{\"name\":\"m\",\"clock\":{time},\"ns\":0,\"value\":1,\"type\":0}}\n"),
            200,
            vec![line(r#""__name__":"m","test":"zabbix""#, "1")],
        ),
    ]
}

#[test]
fn what_comes_in_at_any_door_goes_out_again() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &[]);
    for Case { test, path, content_type, body, status, lines } in text_cases().into_iter().chain(agent_cases()) {
        let zstd = zstd::bulk::compress(&body, 1).expect("zstd packs everything");
        for (encoding, body) in [(None, &body), (Some("zstd"), &zstd)] {
            let response = basalt.client().post(path, content_type, encoding, body).expect("the server answers");
            assert_eq!(response.status, status, "{path}: {}", response.text());
            assert_eq!(response.header("x-basalt-refused"), None, "{path}");
        }
        assert_eq!(export(&basalt, test), lines, "{path}");
    }
    assert_eq!(basalt.metric("vm_rows_inserted_total{type=\"influx\"}"), 4.0);
    assert_eq!(basalt.metric("vm_rows_inserted_total{type=\"opentelemetry\"}"), 2.0);
    basalt.stop();
}

#[test]
fn remote_write_2_is_told_what_was_written() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &[]);
    let symbols = [&b""[..], b"__name__", b"m", b"test", b"v2"].map(|symbol| field(0x22, symbol)).concat();
    let mut sample = [&[0x09][..], &1.5f64.to_le_bytes(), &[0x10]].concat();
    let mut time = TIME_MS as u64;
    while time >= 0x80 {
        sample.push(time as u8 | 0x80);
        time >>= 7;
    }
    sample.push(time as u8);
    let series = [field(0x0a, &[1, 2, 3, 4]), field(0x12, &sample), field(0x1a, b"")].concat();
    let body = [symbols, field(0x2a, &series)].concat();
    let packed = snap::raw::Encoder::new().compress_vec(&body).expect("snappy packs everything");
    let version_2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    let response = basalt.client().post("/api/v1/write", version_2, Some("snappy"), &packed);
    let response = response.expect("the server answers");
    assert_eq!(response.status, 204, "{}", response.text());
    assert_eq!(response.header("x-prometheus-remote-write-samples-written"), Some("1"));
    assert_eq!(response.header("x-prometheus-remote-write-histograms-written"), Some("0"));
    assert_eq!(response.header("x-basalt-refused"), Some("native_histogram=1"));
    assert_eq!(export(&basalt, "v2"), [line(r#""__name__":"m","test":"v2""#, "1.5")]);
    let unknown = "application/x-protobuf;proto=io.prometheus.write.v9.Request";
    let response = basalt.client().post("/api/v1/write", unknown, Some("snappy"), &packed);
    assert_eq!(response.expect("the server answers").status, 415);
}

/// The address that a log line names between quotes.
fn address(basalt: &Basalt, said: &str) -> SocketAddr {
    let line = basalt.process.wait_for_line(said, PATIENCE).expect("the line comes");
    let quoted = line.rsplit('"').nth(1).expect("an address in quotes");
    quoted.trim_end_matches('\\').parse().expect("an address")
}

/// Asks until the lines are there: nobody is told when they are.
fn wait_for(basalt: &Basalt, test: &str, lines: &[String]) {
    let asked = Instant::now();
    while export(basalt, test) != lines {
        assert!(asked.elapsed() < PATIENCE, "{test}: {:?}", export(basalt, test));
        std::thread::yield_now();
    }
}

#[test]
fn lines_come_over_tcp_and_udp() {
    let folder = folder();
    let flags = ["graphite", "influx", "opentsdb", "opentsdbHTTP"].map(|door| format!("-{door}ListenAddr=127.0.0.1:0"));
    let basalt = Basalt::start(folder.path(), &flags.each_ref().map(String::as_str));
    let time = TIME_MS / 1000;
    for (said, sent, test, labels) in [
        (
            "started TCP Graphite server at",
            format!("m;test=graphite 1 {time}\nbad\n"),
            "graphite",
            r#""__name__":"m","test":"graphite""#,
        ),
        (
            "started TCP Influx server at",
            format!("m,test=lines f=1 {TIME_MS}"),
            "lines",
            r#""__name__":"m_f","test":"lines""#,
        ),
        (
            "started TCP OpenTSDB collector at",
            format!("put m {time} 1 test=put\r\n"),
            "put",
            r#""__name__":"m","test":"put""#,
        ),
    ] {
        let address = address(&basalt, said);
        let mut socket = TcpStream::connect(address).expect("the door is open");
        // In two pieces, that no reader may take for two lines.
        let (start, end) = sent.as_bytes().split_at(5);
        socket.write_all(start).expect("the server reads");
        socket.write_all(end).expect("the server reads");
        drop(socket);
        wait_for(&basalt, test, &[line(labels, "1")]);

        let datagrams = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let by_udp = sent.replace(test, "udp").replace("m;", "u;").replace("m,", "u,").replace("put m", "put u");
        datagrams.send_to(by_udp.as_bytes(), address).expect("datagrams are sent");
    }
    let udp = ["u", "u_f"].map(|name| line(&format!(r#""__name__":"{name}","test":"udp""#), "1"));
    wait_for(&basalt, "udp", &udp);
    assert!(basalt.metric("vm_rows_invalid_total{type=\"graphite\"}") >= 1.0);

    for said in ["started TCP OpenTSDB collector at", "started HTTP OpenTSDB server at"] {
        let body = format!("{{\"metric\":\"m\",\"timestamp\":{time},\"value\":2,\"tags\":{{\"test\":\"http\"}}}}");
        let mut client = testkit::http::Client::new(address(&basalt, said)).with_timeout(PATIENCE);
        let response = client.post("/api/put", "application/json", None, body.as_bytes()).expect("the server answers");
        assert_eq!(response.status, 204, "{}", response.text());
        assert_eq!(client.get("/metrics").expect("the server answers").status, 400);
    }
    assert_eq!(export(&basalt, "http"), [line(r#""__name__":"m","test":"http""#, "2")]);
    basalt.stop();
}
