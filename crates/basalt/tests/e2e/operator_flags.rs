//! Flags of whoever runs the process: configuration from elsewhere, what is sent elsewhere, what is logged.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    process::Command,
};

use crate::{
    prometheus::wait_until,
    queries::{at_end, cluster},
    server::{Basalt, PATIENCE, PROGRAM, folder, usual_flags},
    stub::Stub,
    wire::{BodyWriter, labels},
};

fn write(basalt: &Basalt, name: &str) {
    let mut body = BodyWriter::default();
    body.series(&labels(&[("__name__", name), ("a", "x")]), &[(1_767_312_000_000, 1.0)]);
    assert_eq!(basalt.write(&body.body).status, 204);
}

#[test]
fn rules_and_secrets_come_from_servers() {
    let rules = Stub::start(|asked| match asked {
        "get /rules.yml http/1.1" => (200, "- {target_label: from, replacement: server}".to_string()),
        "get /key http/1.1" => (200, "s3cret\n".to_string()),
        _ => (404, String::new()),
    });
    let folder = folder();
    let at = |path: &str| format!("http://localhost:{}{path}", rules.address.port());
    let flags = [format!("-relabelConfig={}", at("/rules.yml")), format!("-flagsAuthKey={}", at("/key"))];
    let basalt = Basalt::start(folder.path(), &flags.each_ref().map(String::as_str));
    write(&basalt, "m");
    assert_eq!(basalt.export(r#"m{from="server"}"#).samples(), 1);
    assert_eq!(basalt.get("/flags?authKey=s3cret").status, 200);
    assert_eq!(basalt.get(&format!("/flags?authKey={}", at("/key"))).status, 401);
    assert_eq!(basalt.get("/-/reload").status, 200);
    assert_eq!(rules.asked().len(), 3, "the rules were fetched again");

    let missing = format!("-relabelConfig={}", at("/nothing"));
    let run = Command::new(PROGRAM).args(usual_flags(folder.path())).arg(missing).arg("-dryRun").output();
    let run = run.expect("it starts");
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.code() == Some(1) && said.contains("404"), "{said}");
}

#[test]
fn the_process_sends_its_metrics_to_others() {
    let (one, other) = (folder(), folder());
    let taker = Basalt::start(other.path(), &[]);
    let stub = Stub::start(|_| (204, String::new()));
    let flags = [
        format!("-pushmetrics.url=http://{}/api/v1/import/prometheus", taker.address),
        format!("-pushmetrics.url=http://user:hushhush@{}/push", stub.address),
        "-pushmetrics.interval=100ms".to_string(),
        "-pushmetrics.extraLabel=instance=\"a:1\"".to_string(),
        "-pushmetrics.header=X-From: here".to_string(),
        "-metricsAuthKey=k".to_string(),
    ];
    let basalt = Basalt::start(one.path(), &flags.each_ref().map(String::as_str));
    wait_until("three pushes are stored", || taker.export(r#"vm_app_uptime_seconds{instance="a:1"}"#).samples() >= 3);
    let (first, head, body) = stub.asked().first().cloned().expect("it was asked too");
    assert_eq!(first, "post /push http/1.1");
    for line in ["x-from: here", "content-encoding: gzip", "authorization: basic dxnlcjpodxnoahvzaa=="] {
        assert!(head.iter().any(|have| have == line), "{line}: {head:?}");
    }
    assert_eq!(body[..2], [0x1f, 0x8b]);
    let shown = basalt.ok("/flags");
    assert!(shown.contains("-pushmetrics.url=\"secret\"") && !shown.contains("hushhush"), "{shown}");

    let plain = format!("-pushmetrics.url=http://{}/push", stub.address);
    basalt.stop();
    let before = stub.asked().len();
    let basalt = Basalt::start(one.path(), &[&plain, "-pushmetrics.disableCompression"]);
    wait_until("it pushes plainly", || stub.asked().len() > before);
    assert!(stub.asked()[before].2.starts_with(b"vm_"));
    basalt.stop();
}

#[test]
fn who_asks_about_alerts_is_led_to_vmalert() {
    let vmalert = Stub::start(|asked| match asked {
        "get /base/api/v1/rules?type=alert http/1.1" => (200, "{\"from\":\"vmalert\"}".to_string()),
        "get /base/vmalert/groups http/1.1" => (418, "tea".to_string()),
        _ => (404, String::new()),
    });
    let folder = folder();
    let flag = format!("-vmalert.proxyURL=http://{}/base", vmalert.address);
    let basalt = Basalt::start(folder.path(), &[&flag]);
    for path in ["/api/v1/rules?type=alert", "/select/0/prometheus/api/v1/rules?type=alert"] {
        let answer = basalt.get(path);
        assert_eq!((answer.status, answer.text().as_str()), (200, "{\"from\":\"vmalert\"}"), "{path}");
        assert_eq!(answer.header("x-stub"), Some("yes"));
    }
    assert_eq!(basalt.get("/vmalert/groups").status, 418);
    assert_eq!(basalt.get("/alerts").status, 404);
    assert!(basalt.ok("/flags").contains("-vmalert.proxyURL=\"secret\""));
    basalt.stop();
    let basalt = Basalt::start(folder.path(), &[]);
    assert_eq!(basalt.ok("/api/v1/rules"), "{\"status\":\"success\",\"data\":{\"groups\":[]}}");
    let answer = basalt.get("/vmalert/groups");
    assert!(answer.status == 400 && answer.text().contains("-vmalert.proxyURL"), "{}", answer.text());
}

#[test]
fn a_balancer_says_whom_it_speaks_for() {
    let folder = folder();
    let flags = ["-httpListenAddr=127.0.0.1:0", "-httpListenAddr.useProxyProtocol=false,true"];
    let basalt = Basalt::start(folder.path(), &flags);
    let started = || basalt.process.lines().iter().filter(|line| line.contains("started server at")).count();
    wait_until("both addresses are open", || started() == 2);
    let line = basalt.process.lines().into_iter().rfind(|line| line.contains("started server at")).expect("a line");
    let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
    let ask = |head: &str| {
        let mut socket = TcpStream::connect(address).expect("it listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let request = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        socket.write_all(format!("{head}{request}").as_bytes()).expect("it reads");
        let mut answer = Vec::new();
        // Without the head the connection ends, with or without an error.
        let _ = socket.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    assert!(ask("PROXY TCP4 1.2.3.4 5.6.7.8 90 91\r\n").ends_with("OK"));
    assert_eq!(ask(""), "");
    assert_eq!(basalt.ok("/health"), "OK", "the other address is asked without");
}

/// Where a door listens that announced itself so.
pub fn door(basalt: &Basalt, said: &str) -> String {
    let line = basalt.process.wait_for_line(said, PATIENCE).expect("it says so");
    line.rsplit('"').nth(1).expect("an address in quotes").to_string()
}

#[test]
fn balancers_may_stand_before_every_door() {
    let folder = folder();
    let doors = ["graphite", "influx", "opentsdb", "opentsdbHTTP"];
    let flags: Vec<String> = doors
        .iter()
        .flat_map(|door| [format!("-{door}ListenAddr=127.0.0.1:0"), format!("-{door}ListenAddr.useProxyProtocol")])
        .collect();
    let basalt = Basalt::start(folder.path(), &flags.iter().map(String::as_str).collect::<Vec<_>>());
    let json = r#"{"metric":"m","timestamp":1767312000,"value":1,"tags":{"by":"opentsdbHTTP"}}"#;
    let put = format!(
        "POST /api/put HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{json}",
        json.len()
    );
    for (said, by, line) in [
        ("started TCP Graphite server", "graphite", "m;by=graphite 1 1767312000\n"),
        ("started TCP Influx server", "influx", "m,by=influx f=1 1767312000000000000\n"),
        ("started TCP OpenTSDB collector", "opentsdb", "put m 1767312000 1 by=opentsdb\n"),
        ("started HTTP OpenTSDB server", "opentsdbHTTP", &put),
    ] {
        let address = door(&basalt, said);
        for (head, wrong) in [("", " wrong"), ("PROXY TCP4 1.2.3.4 5.6.7.8 90 91\r\n", "")] {
            let mut socket = TcpStream::connect(&address).expect("it listens");
            let said = format!("{head}{}", line.replace(by, &format!("{by}{}", wrong.trim())));
            socket.write_all(said.as_bytes()).expect("it reads");
            socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            // Who speaks HTTP hears an answer, and says itself that the connection ends there.
            let ended = if by == "opentsdbHTTP" { Ok(()) } else { socket.shutdown(Shutdown::Write) };
            let heard = socket.read_to_end(&mut Vec::new());
            // Who is sent away may find the connection gone.
            if wrong.is_empty() {
                ended.and(heard.map(drop)).expect("it is open until it was read");
            }
        }
        wait_until("the line is stored", || basalt.export(&format!("{{by=\"{by}\"}}")).samples() == 1);
        assert_eq!(basalt.export(&format!("{{by=\"{by}wrong\"}}")).samples(), 0, "who says nothing is sent away");
        let name = said.split(' ').nth(2).expect("a name").to_lowercase();
        let name = if by == "opentsdbHTTP" { "opentsdbhttp".to_string() } else { name };
        let accepted = format!("vm_tcplistener_accepts_total{{name=\"{name}\", addr=\"{address}\"}}");
        assert_eq!(basalt.metric(&accepted), 2.0);
    }
    basalt.stop();
}

#[test]
fn secrets_in_files_may_change() {
    let folder = folder();
    let file = |name: &str| folder.path().join(name);
    fs::write(file("key"), "one\n").expect("a file");
    fs::write(file("word"), "first").expect("a file");
    let flags = [
        "-httpAuth.username=user".to_string(),
        format!("-httpAuth.password=file://{}", file("word").display()),
        format!("-snapshotAuthKey=file://{}", file("key").display()),
    ];
    let basalt = Basalt::start(&folder.path().join("data"), &flags.each_ref().map(String::as_str));
    let by_key = |key: &str| basalt.get(&format!("/snapshot/list?authKey={key}")).status;
    // "user:first" and "user:second"
    let by_word = |word: &str| {
        let headers = [("Authorization", word)];
        basalt.client().request("GET", "/flags", &headers, b"").expect("it answers").status
    };
    let (first, second) = ("Basic dXNlcjpmaXJzdA==", "Basic dXNlcjpzZWNvbmQ=");
    assert_eq!((by_key("one"), by_key("two"), by_word(first), by_word(second)), (200, 401, 200, 401));
    fs::write(file("key"), "two\n").expect("a file");
    fs::write(file("word"), "second").expect("a file");
    wait_until("the new ones hold", || by_key("two") == 200 && by_word(second) == 200);
    assert_eq!((by_key("one"), by_word(first)), (401, 401));
    fs::write(file("key"), "").expect("a file");
    basalt.process.wait_for_line("cannot read -snapshotAuthKey again", PATIENCE).expect("it says so");
    assert_eq!((by_key("two"), by_key("")), (200, 401), "an empty file opens nothing");
}

#[test]
fn flags_are_hidden_that_somebody_names() {
    let folder = folder();
    let flags = ["-secret.flags=selfScrapeJob,-loggerTimezone", "-selfScrapeJob=hidden", "-loggerTimezone=Asia/Tokyo"];
    let basalt = Basalt::start(folder.path(), &flags);
    for path in ["/flags", "/metrics"] {
        let shown = basalt.ok(path);
        assert!(!shown.contains("hidden") && !shown.contains("Tokyo"), "{path}");
    }
    assert!(basalt.ok("/flags").contains("-selfScrapeJob=\"secret\""));
}

#[test]
fn new_series_are_logged_when_somebody_asks() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &["-logNewSeries"]);
    write(&basalt, "always");
    basalt.process.wait_for_line("new series: always{a=\"x\"}", PATIENCE).expect("it is logged");
    basalt.stop();
    let basalt = Basalt::start(folder.path(), &["-logNewSeriesAuthKey=k"]);
    write(&basalt, "before");
    assert_eq!(basalt.get("/internal/log_new_series").status, 401);
    assert!(basalt.ok("/internal/log_new_series?authKey=k&seconds=600").contains("logEndTime"));
    write(&basalt, "after");
    basalt.process.wait_for_line("new series: after{a=\"x\"}", PATIENCE).expect("it is logged");
    assert!(!basalt.process.lines().iter().any(|line| line.contains("new series: before")));
}

#[test]
fn rows_are_logged_when_somebody_asks() {
    let folder = folder();
    let rules = folder.path().join("rules.yml");
    fs::write(
        &rules,
        "- {action: drop, source_labels: [__name__], regex: 'no.*'}\n- {target_label: b, replacement: y}",
    )
    .expect("a file");
    let flag = format!("-relabelConfig={}", rules.display());
    let basalt = Basalt::start(&folder.path().join("data"), &[&flag, "-logIngestedRows", "-maxLabelValueLen=4"]);
    for name in ["m", "none", "longer"] {
        write(&basalt, name);
    }
    for line in [
        "ingested by promremotewrite for 0:0: m{a=\"x\",b=\"y\"} 1@1767312000000",
        "dropped by rules, by promremotewrite for 0:0: none",
        "refused as too_long_label_value, by promremotewrite for 0:0: longer",
    ] {
        basalt.process.wait_for_line(line, PATIENCE).expect("it is logged");
    }
    assert_eq!(basalt.metric("vm_new_timeseries_created_total"), 1.0);
    basalt.stop();
    let basalt = Basalt::start(&folder.path().join("data"), &[]);
    write(&basalt, "m");
    assert!(!basalt.process.lines().iter().any(|line| line.contains("ingested by")));
}

#[test]
fn relabeling_is_shown_and_nothing_stored() {
    let folder = folder();
    let rules = folder.path().join("rules.yml");
    fs::write(&rules, "- {target_label: b, replacement: y}").expect("a file");
    let flag = format!("-relabelConfig={}", rules.display());
    let basalt = Basalt::start(&folder.path().join("data"), &[&flag, "-relabelDebug"]);
    write(&basalt, "m");
    let line = basalt.process.wait_for_line("-relabelDebug: m{a=\"x\"} becomes", PATIENCE).expect("it is logged");
    assert!(line.contains("m{a=\"x\",b=\"y\"}"), "{line}");
    assert_eq!(basalt.export("m").samples(), 0);
}

#[test]
fn queries_that_held_much_are_logged() {
    let (_folder, basalt) = cluster(&["-search.logQueryMemoryUsage=1KB"]);
    at_end(&basalt, "kube_node_info");
    let line = basalt.process.wait_for_line("more than -search.logQueryMemoryUsage=1000", PATIENCE);
    assert!(line.expect("it is logged").contains("kube_node_info"));
}

fn run(arguments: &[&str]) -> (String, String) {
    let output = Command::new(PROGRAM).args(arguments).output().expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(output.stdout), text(output.stderr))
}

/// Runs the program in a way that ends with one error, after one line of another level.
fn failing(more: &[&str]) -> (String, String) {
    let folder = folder();
    fs::write(folder.path().join("data"), "no folder").expect("a file");
    let path = format!("-storageDataPath={}", folder.path().join("data").display());
    run(&[&["-httpListenAddr=127.0.0.1:0", &path, "-precisionBits=60"], more].concat())
}

#[test]
fn the_log_looks_as_it_is_wanted() {
    let (out, log) = failing(&[]);
    assert!(out.is_empty() && log.contains("\tinfo\t") && log.contains("\terror\t"), "{log}");
    let (_, log) = failing(&["-loggerLevel=ERROR"]);
    assert!(!log.contains("\tinfo\t") && log.contains("\terror\t"), "{log}");
    let (out, log) = failing(&["-loggerOutput=stdout"]);
    assert!(out.contains("\terror\t") && log.is_empty(), "{log}");
    let (_, log) = failing(&["-loggerDisableTimestamps"]);
    assert!(log.lines().any(|line| line.starts_with("error\t")), "{log}");
    let (_, log) = failing(&["-loggerFormat=json", "-loggerJSONFields=ts:time,msg:message"]);
    let line: serde_json::Value = serde_json::from_str(log.lines().last().expect("a line")).expect("JSON");
    assert!(line["time"].is_string() && line["message"].is_string() && line["ts"].is_null(), "{line}");
}

#[test]
fn addresses_of_version_6_are_listened_at_where_only_a_port_is_given() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &["-enableTCP6", "-graphiteListenAddr=:0"]);
    basalt.process.wait_for_line("started TCP Graphite server at \"[::]:", PATIENCE).expect("it listens");
}
