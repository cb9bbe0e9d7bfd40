//! Clients that mean harm, or do not know better: the server stays up and answers others.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::{
    server::{Basalt, PATIENCE, folder},
    wire::{BodyWriter, labels},
};

const IDLE_CONNECTIONS: usize = 1000;

fn healthy(basalt: &Basalt) {
    let mut body = BodyWriter::default();
    body.series(&labels(&[("__name__", "fine")]), &[(1_767_312_000_000, 1.0)]);
    assert_eq!(basalt.write(&body.body).status, 204);
    assert_eq!(basalt.export("fine"), body.ledger);
}

fn post(basalt: &Basalt, encoding: &str, body: &[u8]) -> u16 {
    let response = basalt.client().post("/api/v1/write", "application/x-protobuf", Some(encoding), body);
    response.expect("the server answers").status
}

#[test]
fn broken_and_poisonous_bodies_cost_nothing() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &["-maxInsertRequestSize=4MiB", "-memory.allowedBytes=128MiB"]);
    let snappy = |body: &[u8]| snap::raw::Encoder::new().compress_vec(body).expect("snappy packs everything");
    let mut good = BodyWriter::default();
    good.series(&labels(&[("__name__", "x")]), &[(1_767_312_000_000, 1.0)]);
    let peak_before = basalt.process.peak_rss_bytes().expect("it runs");

    let bomb = snappy(&vec![0; 400 << 20]);
    let promise = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
    let cut = snappy(&good.body)[..20].to_vec();
    let empty_samples = [0x0a, 0x06, 0x0a, 0x00, 0x12, 0x00, 0x12, 0x00].repeat(500_000);
    let label_beyond = [0x0a, 0x04, 0x0a, 0xff, 0xff, 0x7f];
    let not_utf8 = [0x0a, 0x1b, 0x0a, 0x07, 0x0a, 0x01, 0xff, 0x12, 0x02, 0xfe, 0xfd, 0x12, 0x10, 0x09]
        .into_iter()
        .chain([0; 8])
        .chain([0x10, 0x80, 0xd0, 0x95, 0xff, 0xbc, 0x31])
        .collect::<Vec<u8>>();
    for (name, encoding, body, status) in [
        ("a snappy bomb", "snappy", bomb, 413),
        ("a promise of 4 GiB", "snappy", promise.to_vec(), 413),
        ("a cut body", "snappy", cut, 400),
        ("no protobuf", "snappy", snappy(&[0xff; 1000]), 400),
        ("empty samples", "snappy", snappy(&empty_samples), 400),
        ("a label of 2 MiB that is not there", "snappy", snappy(&label_beyond), 400),
        ("plain text", "snappy", b"up 1\n".to_vec(), 400),
        ("an unknown encoding", "br", snappy(&good.body), 415),
        ("a body over the limit", "snappy", vec![0; 5 << 20], 413),
        ("labels that are not UTF-8", "snappy", snappy(&not_utf8), 204),
    ] {
        assert_eq!(post(&basalt, encoding, &body), status, "{name}");
    }
    assert_eq!(basalt.metric("vm_rows_ignored_total{reason=\"invalid_utf8\"}"), 1.0);
    assert_eq!(basalt.export("x").samples(), 0, "a refused body changes nothing");
    healthy(&basalt);
    let grown = basalt.process.peak_rss_bytes().expect("it runs") - peak_before;
    assert!(grown < 64 << 20, "peak memory grew by {grown} bytes");
}

#[test]
fn idle_half_open_and_slow_clients_keep_nobody_out() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &["-maxConcurrentInserts=1"]);
    let connect = || TcpStream::connect(basalt.address).expect("the server listens");
    let idle: Vec<TcpStream> = (0..IDLE_CONNECTIONS).map(|_| connect()).collect();
    let mut slow = connect();
    slow.write_all(b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc").expect("it reads");
    let mut half = connect();
    half.write_all(b"GET /health HT").expect("it reads");
    healthy(&basalt);

    let mut gone = connect();
    gone.write_all(b"GET /api/v1/export?match[]=fine HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
    drop(gone);
    let mut nonsense = connect();
    nonsense.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    nonsense.write_all(b"\x16\x03\x01 this is no HTTP\r\n\r\n").expect("it reads");
    let mut answer = Vec::new();
    let _ = nonsense.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
    let long_head = format!("/health?x={}", "y".repeat(600 << 10));
    // The server may answer or close while the client still writes.
    let refused = basalt.client().get(&long_head).map_or(431, |response| response.status);
    assert!(matches!(refused, 414 | 431), "{refused}");
    healthy(&basalt);
    drop((idle, slow, half));
    healthy(&basalt);
    basalt.stop();
}

#[test]
fn inserts_beyond_what_can_be_computed_are_told_to_come_again() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &["-maxConcurrentInserts=1", "-insert.maxQueueDuration=1us"]);
    assert_eq!(basalt.metric("vm_concurrent_insert_capacity"), 1.0);
    const SENDERS: usize = 6;
    const LINES: usize = 5_000;
    let body = |sender: usize| -> String {
        (0..LINES)
            .map(|n| format!("m{{sender=\"{sender}\",n=\"{}\"}} {n} {}\n", n % 10, 1_767_312_000_000_i64 + n as i64))
            .collect()
    };
    let send = |body: &str| basalt.client().post("/api/v1/import/prometheus", "text/plain", None, body.as_bytes());
    let refused: usize = std::thread::scope(|scope| {
        let sending: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let send = &send;
                scope.spawn(move || {
                    let (body, mut refused) = (body(sender), 0);
                    loop {
                        let answer = send(&body).expect("the server answers");
                        if answer.status == 204 {
                            return refused;
                        }
                        assert_eq!(
                            (answer.status, answer.header("retry-after")),
                            (503, Some("5")),
                            "{}",
                            answer.text()
                        );
                        refused += 1;
                    }
                })
            })
            .collect();
        sending.into_iter().map(|thread| thread.join().expect("an answer")).sum()
    });
    assert!(refused > 0, "none of {SENDERS} senders had to wait longer than a microsecond for one place");
    assert!(basalt.metric("vm_concurrent_insert_limit_timeout_total") >= 1.0);
    assert_eq!(basalt.export("m").samples(), SENDERS * LINES, "what was refused came again, and doubled nothing");
}

#[test]
fn clients_that_do_not_read_their_answers_keep_nobody_out() {
    let folder = folder();
    let flags = ["-memory.allowedBytes=128MiB", "-search.maxConcurrentRequests=30"];
    let basalt = Basalt::start(folder.path(), &flags);
    let mut body = BodyWriter::default();
    for n in 0..20 {
        let samples: Vec<(i64, f64)> = (0..10_000).map(|at| (1_767_312_000_000 + at, at as f64 / 7.0)).collect();
        body.series(&labels(&[("__name__", "large"), ("n", &n.to_string())]), &samples);
    }
    assert_eq!(basalt.write(&body.body).status, 204);
    let peak_before = basalt.process.peak_rss_bytes().expect("it runs");
    // Each answer is some 6 MB, of which the system takes a small part.
    let silent: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut socket = TcpStream::connect(basalt.address).expect("the server listens");
            socket.write_all(b"GET /api/v1/export?match[]=large HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
            socket
        })
        .collect();
    let begun = "vm_http_requests_total{path=\"/api/v1/export\"}";
    crate::prometheus::wait_until("all of them are being answered", || basalt.metric(begun) >= 20.0);
    healthy(&basalt);
    let grown = basalt.process.peak_rss_bytes().expect("it runs") - peak_before;
    assert!(grown < 64 << 20, "peak memory grew by {grown} bytes");
    drop(silent);
    basalt.stop();
}

/// A gzip body of many members that unpacks to so many times 1 MiB of one letter.
fn gzip_of_mebibytes(count: usize) -> Vec<u8> {
    let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    member.write_all(&[b'a'; 1 << 20]).expect("gzip packs everything");
    member.finish().expect("gzip ends").repeat(count)
}

#[test]
fn broken_and_poisonous_bodies_cost_nothing_at_any_door() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &["-maxInsertRequestSize=4MiB", "-memory.allowedBytes=128MiB"]);
    healthy(&basalt);
    let peak_before = basalt.process.peak_rss_bytes().expect("it runs");
    let text = "m{a=\"b\"} 1\n".repeat(50_000);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(text.as_bytes()).expect("gzip packs everything");
    let gzip = gzip.finish().expect("gzip ends");
    let zeros = zstd::bulk::compress(&vec![b' '; 65 << 20], 1).expect("zstd packs everything");
    let promise = [&[0; 16][..], &[0xff; 4]].concat();
    let deep = "[".repeat(1 << 20);
    for (name, path, encoding, body, status) in [
        ("a label of 1 GiB", "/api/v1/import", "gzip", gzip_of_mebibytes(1024), 400),
        ("a metric of 1 GiB", "/write", "gzip", gzip_of_mebibytes(1024), 400),
        ("a cut stream", "/api/v1/import/prometheus", "gzip", gzip[..gzip.len() / 2].to_vec(), 400),
        ("tags that are not UTF-8", "/write?precision=ms", "identity", b"m,t=\xff f=1 1767312000000\n".to_vec(), 204),
        ("no protobuf", "/opentelemetry/v1/metrics", "identity", vec![0xff; 1000], 400),
        ("a zstd bomb", "/datadog/api/v1/series", "zstd", zeros, 413),
        ("a promise of 4 GiB", "/api/v1/import/native", "identity", promise, 400),
        ("endless nesting", "/opentsdb/api/put", "identity", deep.into_bytes(), 400),
        ("nothing but a brace", "/newrelic/infra/v2/metrics/events/bulk", "deflate", b"{".to_vec(), 400),
        ("an unknown encoding", "/zabbixconnector/api/v1/history", "br", b"{}".to_vec(), 415),
    ] {
        let response = basalt.client().post(path, "application/octet-stream", Some(encoding), &body);
        let response = response.expect("the server answers");
        assert_eq!(response.status, status, "{name}: {}", response.text());
    }
    assert_eq!(basalt.metric("vm_rows_ignored_total{reason=\"invalid_utf8\"}"), 1.0);
    healthy(&basalt);
    let grown = basalt.process.peak_rss_bytes().expect("it runs") - peak_before;
    assert!(grown < 96 << 20, "peak memory grew by {grown} bytes");
}

#[test]
fn idle_and_half_open_senders_of_lines_keep_nobody_out() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &["-graphiteListenAddr=127.0.0.1:0", "-maxConcurrentInserts=1"]);
    let said = basalt.process.wait_for_line("started TCP Graphite server at", PATIENCE).expect("the line comes");
    let address = said.rsplit('"').nth(1).expect("an address in quotes").trim_end_matches('\\').to_string();
    let connect = || TcpStream::connect(&address).expect("the door is open");
    let idle: Vec<TcpStream> = (0..IDLE_CONNECTIONS).map(|_| connect()).collect();
    let mut half = connect();
    half.write_all(b"half.a.line 1 17673").expect("the server reads");
    let mut endless = connect();
    // The server closes the connection of a line without end, perhaps while it is still written.
    let _ = endless.write_all(&vec![b'x'; 4 << 20]);

    connect().write_all(b"whole.line 1 1767312000\n").expect("the server reads");
    let asked = std::time::Instant::now();
    while basalt.export("{__name__=\"whole.line\"}").samples() == 0 {
        assert!(asked.elapsed() < PATIENCE, "the line does not come");
    }
    assert_eq!(basalt.export("{__name__=~\"half.*\"}").samples(), 0);
    healthy(&basalt);
    drop((idle, half, endless));
    basalt.stop();
}
