//! Native blocks go from Basalt to Basalt without losing a bit, and to VictoriaMetrics and back.

use std::{
    net::SocketAddr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;
use testkit::{
    http::{Client, Response},
    process::Process,
};

use crate::{
    prometheus::{free_port, is_there},
    server::{Basalt, PATIENCE, folder},
};

/// 2026-01-02T00:00:00Z
const START_MS: i64 = 1_767_312_000_000;
const EVERYTHING: &str = "end=4102444800&match[]={__name__=~\".%2B\"}";

/// A series as a line of an import.
fn line(name: &str, values: impl IntoIterator<Item = f64>) -> String {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    let times: Vec<String> = (0..values.len() as i64).map(|n| (START_MS + n * 15_000 + n % 7).to_string()).collect();
    let labels = format!("\"__name__\":\"{name}\",\"job\":\"a\\u0001b\",\"ü\":\"€\"");
    format!("{{\"metric\":{{{labels}}},\"values\":[{}],\"timestamps\":[{}]}}\n", values.join(","), times.join(","))
}

/// What one server exports, in order, and times with their values as they stand in the text.
fn lines(body: &str) -> Vec<Value> {
    let mut lines: Vec<Value> = body.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    lines.sort_by_key(|line| line["metric"].to_string());
    lines
}

fn get(client: &mut Client, path: &str) -> Response {
    let response = client.get(&path.replace('"', "%22")).expect("the server answers");
    assert!(response.is_success(), "{path}: {} {}", response.status, response.text());
    response
}

fn post(client: &mut Client, path: &str, body: &[u8]) {
    let response = client.post(path, "application/octet-stream", None, body).expect("the server answers");
    assert_eq!(response.status, 204, "{path}: {}", response.text());
    assert_eq!(response.header("x-basalt-refused"), None);
}

#[test]
fn blocks_lose_nothing_between_two_basalts() {
    let (one, other) = (folder(), folder());
    let (one, other) = (Basalt::start(one.path(), &[]), Basalt::start(other.path(), &[]));
    let odd = [0.1, 0.30000000000000004, 1e-310, 5e-324, 1e300, 9_007_199_254_740_993.0, -1.5, 123_456_789.123_456_7];
    let body = [
        line("odd", odd),
        line("counter", (0..20_000).map(|n| f64::from(n) * 3.0)),
        line("gauge", (0..20_000).map(|n| f64::from(n * 7919 % 1000) * 0.01)),
        line("constant", [5.0; 100]),
        format!(
            "{{\"metric\":{{\"__name__\":\"special\"}},\"values\":[\"Infinity\",null,\"-Infinity\",1],\"timestamps\":[{}]}}\n",
            (0..4).map(|n| (START_MS + n).to_string()).collect::<Vec<_>>().join(","),
        ),
    ];
    post(&mut one.client(), "/api/v1/import", body.concat().as_bytes());
    let want = get(&mut one.client(), &format!("/api/v1/export?{EVERYTHING}")).text();
    for version in ["1", "2"] {
        let native = get(&mut one.client(), &format!("/api/v1/export/native?{EVERYTHING}&version={version}"));
        assert_eq!(native.header("content-type"), Some("VictoriaMetrics/native"));
        post(&mut other.client(), "/api/v1/import/native", &native.body);
        let got = get(&mut other.client(), &format!("/api/v1/export?{EVERYTHING}")).text();
        assert!(lines(&got) == lines(&want), "version {version}");
    }
    let refused = one.get(&format!("/api/v1/export/native?{EVERYTHING}&version=3"));
    assert_eq!(refused.status, 400);
    let half = get(&mut one.client(), &format!("/api/v1/export/native?{EVERYTHING}")).body;
    let cut = other.client().post("/api/v1/import/native", "application/octet-stream", None, &half[..half.len() - 3]);
    assert_eq!(cut.expect("the server answers").status, 400);
}

fn victoria(folder: &Path) -> Option<(Process, SocketAddr)> {
    if !is_there("victoria-metrics") {
        return None;
    }
    let address = free_port();
    let mut command = Command::new("victoria-metrics");
    command.arg(format!("-httpListenAddr={address}")).arg(format!("-storageDataPath={}", folder.display()));
    command.args(["-retentionPeriod=100y", "-search.latencyOffset=0s"]);
    let process = Process::spawn(command).expect("VictoriaMetrics starts");
    process.wait_for_line("pprof handlers are exposed at", PATIENCE).expect("VictoriaMetrics listens");
    Some((process, address))
}

/// Asks VictoriaMetrics until it shows all series: it shows samples some time after it took them.
fn victorias(client: &mut Client, path: &str, series: usize) -> Response {
    let asked = Instant::now();
    loop {
        get(client, "/internal/force_flush");
        let shown = get(client, &format!("/api/v1/export?{EVERYTHING}")).text().lines().count();
        if shown == series {
            return get(client, path);
        }
        assert!(asked.elapsed() < PATIENCE, "VictoriaMetrics shows {shown} of {series} series");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn blocks_go_to_victoriametrics_and_back() {
    let (there, here, again) = (folder(), folder(), folder());
    let Some((_process, address)) = victoria(there.path()) else {
        return;
    };
    let basalt = Basalt::start(here.path(), &[]);
    let series = [
        line("counter", (0..10_000).map(f64::from)),
        line("gauge", (0..10_000).map(|n| f64::from(n * 7919 % 1000) * 0.25)),
        line("constant", [5.0; 3]),
        line("mixed", [1.0, 2.5, 3.0, 2.25, 100.0, -7.0, 0.0]),
    ];
    post(&mut basalt.client(), "/api/v1/import", series.concat().as_bytes());
    let want = lines(&get(&mut basalt.client(), &format!("/api/v1/export?{EVERYTHING}")).text());
    let native = get(&mut basalt.client(), &format!("/api/v1/export/native?{EVERYTHING}")).body;

    let mut victoria = Client::new(address).with_timeout(PATIENCE);
    post(&mut victoria, "/api/v1/import/native", &native);
    let shown = victorias(&mut victoria, &format!("/api/v1/export?{EVERYTHING}"), series.len()).text();
    assert!(lines(&shown) == want, "VictoriaMetrics holds something else");

    let back = get(&mut victoria, &format!("/api/v1/export/native?{EVERYTHING}")).body;
    let basalt = Basalt::start(again.path(), &[]);
    post(&mut basalt.client(), "/api/v1/import/native", &back);
    let got = get(&mut basalt.client(), &format!("/api/v1/export?{EVERYTHING}")).text();
    assert!(lines(&got) == want, "what came back is something else");
}
