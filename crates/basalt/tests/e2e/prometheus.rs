//! A real Prometheus scrapes itself and a node-exporter and remote-writes into Basalt; both must hold the same samples.
//!
//! 1. Prometheus scrapes every 250 ms until Basalt has taken some thousand samples; Basalt is killed and started again meanwhile.
//! 2. Its scraping is switched off by a reload, and its queue drains.
//! 3. Its own samples are asked for and held against Basalt's export, one by one; then its folder is dumped by `promtool`, which shows stale markers,
//!    too, and the dump is held against the export.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;
use testkit::{http::Client, process::Process};

use crate::{
    ledger::{Labels, Ledger},
    server::{Basalt, PATIENCE, PROGRAM, folder},
};

const SAMPLES_WANTED: f64 = 5000.0;

pub fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its number")
}

pub fn is_there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "{program} is missing");
    if !there {
        eprintln!("{program} is missing; nothing was tested");
    }
    there
}

fn write_config(path: &Path, scrapes: &[(&str, SocketAddr)], basalt: SocketAddr) {
    let jobs: String = scrapes
        .iter()
        .map(|(job, address)| format!("  - job_name: {job}\n    static_configs: [{{targets: ['{address}']}}]\n"))
        .collect();
    let config = format!(
        "global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}\nscrape_configs:\n{jobs}remote_write:\n  - url: http://{basalt}/api/v1/write\n    \
         metadata_config: {{send_interval: 1s}}\n    queue_config: {{batch_send_deadline: 200ms, min_backoff: 30ms}}\n"
    );
    let config = if scrapes.is_empty() { config.replace("scrape_configs:\n", "") } else { config };
    fs::write(path, config).expect("the configuration can be written");
}

pub fn basalt_at(folder: &Path, address: SocketAddr) -> Basalt {
    let mut command = Command::new(PROGRAM);
    command.arg(format!("-httpListenAddr={address}")).arg(format!("-storageDataPath={}", folder.display()));
    Basalt::spawn(command)
}

/// Waits until `done` says so, looking again and again.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// All samples that Prometheus itself has.
fn own_samples(prometheus: SocketAddr) -> Ledger {
    let mut client = Client::new(prometheus).with_timeout(PATIENCE);
    let answer = client.get("/api/v1/query?query=%7B__name__%3D~%22.%2B%22%7D%5B1h%5D").expect("Prometheus answers");
    let answer: Value = serde_json::from_str(&answer.text()).expect("JSON");
    let mut ledger = Ledger::default();
    for series in answer["data"]["result"].as_array().expect("a matrix") {
        let labels: Labels = serde_json::from_value(series["metric"].clone()).expect("labels are strings");
        for pair in series["values"].as_array().expect("samples") {
            let time = (pair[0].as_f64().expect("a time") * 1e3).round() as i64;
            let value: f64 = match pair[1].as_str().expect("a value") {
                "+Inf" => f64::INFINITY,
                "-Inf" => f64::NEG_INFINITY,
                text => text.parse().expect("a number"),
            };
            ledger.add(&labels, time, value);
        }
    }
    ledger
}

#[test]
fn prometheus_and_basalt_hold_the_same_samples() {
    if !is_there("prometheus") || !is_there("prometheus-node-exporter") {
        return;
    }
    let (data, home) = (folder(), folder());
    let (own, exporter, target) = (free_port(), free_port(), free_port());
    let mut basalt = basalt_at(data.path(), target);
    let config = home.path().join("prometheus.yml");
    let scrapes = [("prometheus", own), ("node", exporter)];
    write_config(&config, &scrapes, target);
    let _exporter =
        Process::start("prometheus-node-exporter", [format!("--web.listen-address={exporter}")]).expect("it starts");
    let mut prometheus = Process::start(
        "prometheus",
        [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", home.path().join("data").display()),
            format!("--web.listen-address={own}"),
            "--web.enable-lifecycle".to_string(),
        ],
    )
    .expect("it starts");
    let taken = |basalt: &Basalt| basalt.metric("vm_rows_inserted_total{type=\"promremotewrite\"}");
    wait_until("half of the samples are taken", || taken(&basalt) > SAMPLES_WANTED / 2.0);
    basalt.kill9();
    basalt = basalt_at(data.path(), target);
    wait_until("the other half is taken", || taken(&basalt) > SAMPLES_WANTED / 2.0);

    write_config(&config, &[], target);
    let reload = Client::new(own).post("/-/reload", "", None, b"").expect("Prometheus answers");
    assert_eq!(reload.status, 200, "{}: {:?}", reload.text(), prometheus.lines());
    let want = own_samples(own);
    assert!(want.samples() as f64 >= SAMPLES_WANTED);
    let everything = r#"{__name__=~".%2b"}"#;
    let without_markers = |mut ledger: Ledger| {
        // Prometheus does not show stale markers (nor can JSON tell them from other NaN, which it shows).
        for (labels, samples) in &mut ledger.0 {
            let shown = want.0.get(labels);
            samples.retain(|time, bits| bits.is_some() || shown.is_some_and(|shown| shown.contains_key(time)));
        }
        ledger
    };
    wait_until("the queue is drained", || without_markers(basalt.export(everything)) == own_samples(own));
    let want = own_samples(own);
    without_markers(basalt.export(everything)).check(&want, &want);
    let metadata = basalt.ok("/api/v1/metadata?metric=go_goroutines");
    assert!(metadata.contains("\"type\":\"gauge\""), "{metadata}");
    prometheus.terminate(PATIENCE).expect("it ends");
    let dumped = dump(&home.path().join("data"));
    assert!(dumped.samples() >= want.samples(), "with the stale markers of series that ended meanwhile");
    wait_until("Basalt has the markers, too", || basalt.export(everything).samples() >= dumped.samples());
    basalt.export(everything).check(&dumped, &dumped);
    println!("{} samples of {} series are equal", dumped.samples(), dumped.0.len());
}

/// All samples in the folder of a Prometheus that has ended, by `promtool tsdb dump`: `{labels} value time` in each line.
fn dump(folder: &Path) -> Ledger {
    let output = Command::new("promtool").args(["tsdb", "dump"]).arg(folder).output().expect("promtool runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut ledger = Ledger::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let mut parts = line.rsplitn(3, ' ');
        let mut next = || parts.next().unwrap_or_else(|| panic!("not a sample: {line}"));
        let (time, value, labels) = (next(), next(), next());
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        ledger.add(&dumped_labels(labels), time.parse().unwrap_or_else(|_| panic!("no time: {line}")), value);
    }
    ledger
}

/// Labels as Prometheus prints them: `{a="b", c="d"}` with values quoted as in Go, which in these tests is as in JSON.
fn dumped_labels(text: &str) -> Labels {
    let mut rest = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).expect("braces");
    let mut labels = Labels::new();
    while let Some((name, after)) = rest.split_once('=') {
        let mut value = serde_json::Deserializer::from_str(after).into_iter::<String>();
        let text = value.next().expect("a value").expect("a quoted text");
        labels.insert(name.to_string(), text);
        rest = after[value.byte_offset()..].trim_start_matches([',', ' ']);
    }
    labels
}
