//! A real Prometheus sends to Basalt by one block of its configuration. Basalt is away for a while: nothing is missing afterwards.
//!
//! 1. Prometheus runs and scrapes itself, untouched by anybody.
//! 2. Two blocks of `remote_write` are added by a reload, as two inserts would be written to (A25, A27).
//! 3. Basalt is stopped, Prometheus scrapes on, Basalt comes back (A2).
//! 4. When the queues are drained both hold the same samples, each once.
//! 5. The blocks are removed; Prometheus works on.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, time::Instant};

use serde_json::Value;
use testkit::{http::Client, process::Process};

use crate::{
    prometheus::{basalt_at, free_port, is_there, wait_until},
    queries::address,
    server::{PATIENCE, folder},
};

/// Scrapes that Prometheus makes while Basalt is away, at 200 ms.
const SCRAPES_AWAY: f64 = 15.0;

fn configure(path: &Path, own: SocketAddr, targets: &[String]) {
    let blocks: String = targets
        .iter()
        .map(|url| {
            format!("  - url: {url}\n    queue_config: {{batch_send_deadline: 100ms, min_backoff: 30ms, max_backoff: 300ms}}\n")
        })
        .collect();
    let remote = if blocks.is_empty() { String::new() } else { format!("remote_write:\n{blocks}") };
    let text = format!(
        "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\nscrape_configs:\n  - job_name: prometheus\n    \
         static_configs: [{{targets: ['{own}']}}]\n{remote}"
    );
    fs::write(path, text).expect("the configuration can be written");
}

fn reload(client: &mut Client) {
    let answer = client.post("/-/reload", "", None, b"").expect("Prometheus answers");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// The counts of samples by series, of either server; `start` is the first time that counts.
fn samples(client: &mut Client, selector: &str, (start_ms, end_ms): (i64, i64)) -> BTreeMap<String, Vec<Value>> {
    let seconds = (end_ms - start_ms).div_euclid(1000) + 1;
    let query = format!("{selector}[{seconds}s]");
    let time = format!("{}.{:03}", end_ms / 1000, end_ms % 1000);
    let path = address("/api/v1/query", &[("query", &query), ("time", &time), ("dialect", "promql")]);
    let body = client.get(&path).expect("an answer").text();
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(answer["status"], "success", "{body}");
    let result = answer["data"]["result"].as_array().expect("a list").clone();
    let since = |points: &Value| -> Vec<Value> {
        let points = points.as_array().expect("points").iter();
        points.filter(|point| point[0].as_f64().is_some_and(|s| (s * 1e3).round() as i64 > start_ms)).cloned().collect()
    };
    let series = result.iter().map(|one| (one["metric"].to_string(), since(&one["values"])));
    series.filter(|(_, points)| !points.is_empty()).collect()
}

#[test]
fn a2_a25_an_outage_leaves_no_gap_and_the_way_back_is_one_block() {
    if !is_there("prometheus") {
        return;
    }
    let (data, home) = (folder(), folder());
    let (own, target) = (free_port(), free_port());
    let config = home.path().join("prometheus.yml");
    configure(&config, own, &[]);
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", home.path().join("data").display()),
        format!("--web.listen-address={own}"),
        "--web.enable-lifecycle".to_string(),
    ];
    let process = Process::start("prometheus", arguments).expect("it starts");
    process.wait_for_line("Server is ready to receive web requests", PATIENCE).expect("Prometheus is ready");
    let mut prometheus = Client::new(own).with_timeout(PATIENCE);
    let mut ask = |query: &str| -> f64 {
        let body = prometheus.get(&address("/api/v1/query", &[("query", query)])).expect("an answer").text();
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        answer["data"]["result"][0]["value"][1].as_str().and_then(|text| text.parse().ok()).unwrap_or(0.0)
    };
    let scrapes = "count_over_time(up[10m])";
    wait_until("Prometheus scrapes", || ask(scrapes) > 2.0);

    let basalt = basalt_at(data.path(), target);
    let ways = ["/api/v1/write", "/insert/0/prometheus/api/v1/write"].map(|path| format!("http://{target}{path}"));
    configure(&config, own, &ways);
    reload(&mut Client::new(own));
    let export = |basalt: &crate::server::Basalt| basalt.export("up{job=\"prometheus\"}");
    wait_until("it sends", || export(&basalt).samples() > 5);
    basalt.stop();
    let before = ask(scrapes);
    wait_until("it scrapes while nobody takes it", || ask(scrapes) >= before + SCRAPES_AWAY);
    let basalt = basalt_at(data.path(), target);
    let back = Instant::now();
    let now = ask(scrapes);
    wait_until("it goes on", || ask(scrapes) >= now + 3.0);

    // The series up tells which times both have to have.
    let taken = export(&basalt);
    let first = taken.0.values().flat_map(|samples| samples.keys()).min().copied().expect("samples");
    let last = taken.0.values().flat_map(|samples| samples.keys()).max().copied().expect("samples");
    let mut theirs = Client::new(own).with_timeout(PATIENCE);
    let want = samples(&mut theirs, "{job=\"prometheus\"}", (first, last));
    assert!(want.values().map(Vec::len).sum::<usize>() > 1000);
    wait_until("the rest has come", || samples(&mut basalt.client(), "{job=\"prometheus\"}", (first, last)) == want);
    println!("{} series are whole {} ms after the start", want.len(), back.elapsed().as_millis());

    configure(&config, own, &[]);
    reload(&mut Client::new(own));
    let now = ask(scrapes);
    wait_until("Prometheus works on alone", || ask(scrapes) >= now + 2.0);
    drop(process);
}
