//! Client libraries of other projects send to Basalt, ask it, and are content.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{
    operator_flags::door,
    prometheus::{is_there, wait_until},
    queries::{END, START, cluster},
    server::{Basalt, folder},
};

/// The last value of the one series that a selector gives.
fn value(basalt: &Basalt, selector: &str) -> f64 {
    let body = basalt.ok(&format!("/api/v1/export?end=2200&match[]={selector}"));
    let lines: Vec<Value> = body.lines().map(|line| serde_json::from_str(line).expect("an export is JSON")).collect();
    assert_eq!(lines.len(), 1, "{selector}: {body}");
    lines[0]["values"].as_array().and_then(|values| values.last()?.as_f64()).expect("a value")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate lies two folders down")
}

fn python() -> PathBuf {
    root().join("target/clients/bin/python")
}

/// Runs a script against the cluster's data.
fn ask(mut command: Command, basalt: &Basalt) {
    let output =
        command.arg(format!("http://{}", basalt.address)).args([START, END].map(|time| time.to_string())).output();
    let output = output.expect("the script runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output.stdout.starts_with(b"answered"), "{command:?}: {said}");
}

#[test]
fn pythons_client_of_the_api_gets_its_answers() {
    if !is_there(&python().display().to_string()) {
        return;
    }
    let (_folder, basalt) = cluster(&[]);
    let mut command = Command::new(python());
    command.arg(root().join("testdata/clients/ask.py"));
    ask(command, &basalt);
}

/// Runs a script of node, whose libraries lie in a folder of `target/clients`; the cluster's data are there.
fn ask_with_node(script: &str, libraries: &str) {
    let clients = root().join("target/clients");
    // Where no package of node can be had, `.ci/install` leaves this file.
    if clients.join("no-node").exists() {
        return eprintln!("node is missing; nothing was tested");
    }
    let libraries = clients.join(libraries);
    if !libraries.join("node_modules").exists() {
        assert!(std::env::var_os("CI").is_none(), "{} is missing", libraries.display());
        return eprintln!("{} is missing (.ci/install); nothing was tested", libraries.display());
    }
    if !is_there("node") {
        return;
    }
    let (_folder, basalt) = cluster(&[]);
    let mut command = Command::new("node");
    command.arg(root().join("testdata/clients").join(script)).arg(libraries);
    ask(command, &basalt);
}

#[test]
fn nodes_client_of_the_api_gets_its_answers() {
    ask_with_node("ask.mjs", "");
}

#[test]
fn grafanas_own_data_source_gets_its_answers() {
    ask_with_node("grafana/ask.cjs", "grafana");
}

#[test]
fn client_libraries_of_others_are_content() {
    let (root, python) = (root(), python());
    if !is_there(&python.display().to_string()) {
        return;
    }
    let folder = folder();
    let flags = ["-graphiteListenAddr=127.0.0.1:0", "-opentsdbListenAddr=127.0.0.1:0"];
    let basalt = Basalt::start(folder.path(), &flags);
    let doors = ["started UDP Graphite server", "started UDP OpenTSDB collector"].map(|said| door(&basalt, said));
    let mut command = Command::new(python);
    command.arg(root.join("testdata/clients/send.py")).arg(format!("http://{}", basalt.address)).args(doors);
    let output = command.output().expect("the script runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("sent"), "{said}");

    // Who sends lines is not told when they are stored.
    for test in ["graphyte-tcp", "graphyte-udp", "potsdb"] {
        wait_until("the line is stored", || basalt.export(&format!("{{test=\"{test}\"}}")).samples() == 1);
    }
    for (selector, want) in [
        ("{__name__=\"page.views\",test=\"datadog+client\",env=\"prod\",host=\"web-1\"}", 4.5),
        ("{__name__=\"servers.load\",test=\"graphyte-tcp\"}", 0.5),
        ("{__name__=\"servers.load\",test=\"graphyte-udp\"}", 0.5),
        ("requests{test=\"potsdb\"}", 12.0),
        ("weather_degrees{test=\"influx+client\"}", 21.5),
        ("weather_rain{test=\"influx+client\"}", 0.0),
        ("pushed{test=\"push/client\",job=\"push\",part=\"a\"}", 7.0),
        ("requests{test=\"otlp+client\",route=\"/\"}", 5.0),
        ("duration_count{test=\"otlp+client\"}", 3.0),
        ("duration_sum{test=\"otlp+client\"}", 73.1),
        ("duration_bucket{test=\"otlp+client\",le=\"5\"}", 2.0),
        ("duration_bucket{test=\"otlp+client\",le=\"%2BInf\"}", 3.0),
    ] {
        assert_eq!(value(&basalt, selector), want, "{selector}");
    }
    basalt.stop();
}
