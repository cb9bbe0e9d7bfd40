//! `/federate`, scraped by a real Prometheus: every sample arrives, once and with its own time, and what is gone goes.

use std::{
    collections::BTreeSet,
    fs, thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;
use testkit::{http::Client, process::Process};

use crate::{
    prometheus::{free_port, is_there, wait_until},
    queries::address,
    server::{Basalt, PATIENCE, folder},
    wire::{BodyWriter, labels},
};

/// The data changes more slowly than it is scraped, as with 15 s and a scrape interval below that.
const BETWEEN_SAMPLES: Duration = Duration::from_millis(500);
const SAMPLES: usize = 6;
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// Times and values of a selector's series, of either server.
fn points(client: &mut Client, selector: &str) -> BTreeSet<(i64, String)> {
    let query = format!("{selector}[5m]");
    let path = address("/api/v1/query", &[("query", &query), ("dialect", "promql")]);
    let answer: Value = serde_json::from_str(&client.get(&path).expect("an answer").text()).expect("JSON");
    let result = answer["data"]["result"].as_array().cloned().unwrap_or_default();
    let points = result.iter().flat_map(|one| one["values"].as_array().cloned().unwrap_or_default());
    points.map(|point| ((point[0].as_f64().unwrap_or(0.0) * 1e3).round() as i64, point[1].to_string())).collect()
}

#[test]
fn a7_prometheus_scrapes_every_sample_once_and_sees_series_go() {
    if !is_there("prometheus") {
        return;
    }
    let (data, home) = (folder(), folder());
    let basalt = Basalt::start(data.path(), &[]);
    let own = free_port();
    let config = home.path().join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}\nscrape_configs:\n  - job_name: federate\n    honor_labels: true\n    \
         metrics_path: /federate\n    params: {{'match[]': ['{{__name__=~\".+\",pod=\"api-1\"}}']}}\n    \
         static_configs: [{{targets: ['{}']}}]\n",
        basalt.address
    );
    fs::write(&config, text).expect("the configuration can be written");
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", home.path().join("data").display()),
        format!("--web.listen-address={own}"),
    ];
    let process = Process::start("prometheus", arguments).expect("it starts");
    process.wait_for_line("Server is ready to receive web requests", PATIENCE).expect("Prometheus is ready");
    let mut prometheus = Client::new(own).with_timeout(PATIENCE);

    let name =
        |pod: &str| labels(&[("__name__", "requests_total"), ("pod", pod), ("job", "shop"), ("instance", "a:1")]);
    let mut sent = BTreeSet::new();
    for number in 0..SAMPLES {
        let (time, due) = (now_ms(), Instant::now() + BETWEEN_SAMPLES);
        let mut body = BodyWriter::default();
        body.series(&name("api-1"), &[(time, number as f64)]).series(&name("api-2"), &[(time, number as f64)]);
        assert_eq!(basalt.write(&body.body).status, 204);
        sent.insert((time, format!("\"{number}\"")));
        let arrived = |prometheus: &mut Client| points(prometheus, "requests_total{job=\"shop\",instance=\"a:1\"}");
        wait_until("it is scraped", || arrived(&mut prometheus).contains(&(time, format!("\"{number}\""))));
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    assert_eq!(points(&mut prometheus, "requests_total"), sent, "every sample once, of the pod that was asked for");
    assert_eq!(points(&mut basalt.client(), "requests_total{pod=\"api-1\"}"), sent);

    let federated = |basalt: &Basalt| basalt.ok("/federate?match[]={__name__=~\".%2b\",pod=\"api-1\"}");
    assert!(federated(&basalt).contains("requests_total{"));
    let mut gone = BodyWriter::default();
    gone.series(&name("api-1"), &[(now_ms(), STALE)]);
    assert_eq!(basalt.write(&gone.body).status, 204);
    assert_eq!(federated(&basalt), "", "a series that ended is not shown");
    drop(process);
}
