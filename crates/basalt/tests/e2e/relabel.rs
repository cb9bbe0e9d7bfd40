//! Relabeling, limits on labels and on the rate, through the real program; the rules' outcome beside that of VictoriaMetrics where it is installed.

use std::{fs, path::Path, process::Command};

use testkit::{http::Client, process::Process};

use crate::{
    ledger::{Labels, Ledger},
    prometheus::{free_port, is_there, wait_until},
    server::{Basalt, PATIENCE, folder, usual_flags},
    wire::{BodyWriter, labels},
};

/// 2026-01-02T00:00:00Z
const START_MS: i64 = 1_767_312_000_000;

fn body(series: &[Labels]) -> BodyWriter {
    let mut body = BodyWriter::default();
    for (at, labels) in series.iter().enumerate() {
        body.series(labels, &[(START_MS + at as i64, at as f64)]);
    }
    body
}

fn start(data: &Path, rules: &Path, flags: &[&str]) -> Basalt {
    let config = format!("-relabelConfig={}", rules.display());
    let flags: Vec<&str> = [config.as_str()].into_iter().chain(flags.iter().copied()).collect();
    Basalt::start(data, &flags)
}

/// The series that there are, as text.
fn series(basalt: &Basalt) -> Vec<String> {
    let found = basalt.export(r#"{__name__!=""}"#);
    let show = |labels: &Labels| labels.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ");
    found.0.keys().map(show).collect()
}

#[test]
fn a_reload_holds_for_known_series_and_a_broken_file_changes_nothing() {
    let (data, home) = (folder(), folder());
    let rules = home.path().join("relabel.yml");
    fs::write(
        &rules,
        "- {action: drop_metrics, regex: noise}\n- {target_label: site, replacement: '%{BASALT_SITE}'}\n",
    )
    .expect("a file");
    let mut command = Command::new(crate::server::PROGRAM);
    command.args(usual_flags(data.path())).arg(format!("-relabelConfig={}", rules.display())).arg("-reloadAuthKey=k");
    let basalt = Basalt::spawn({
        command.env("BASALT_SITE", "north");
        command
    });
    let rows = [labels(&[("__name__", "noise")]), labels(&[("__name__", "up"), ("job", "a")])];
    let write = |basalt: &Basalt| {
        let response = basalt.write(&body(&rows).body);
        assert_eq!((response.status, response.header("x-basalt-refused")), (204, None));
    };
    write(&basalt);
    assert_eq!(series(&basalt), ["__name__=up job=a site=north"]);
    assert_eq!(basalt.metric("vm_relabel_metrics_dropped_total"), 1.0);
    assert_eq!(basalt.metric("vm_relabel_config_last_reload_successful"), 1.0);

    fs::write(&rules, "- {action: keep}\n").expect("the file");
    assert_eq!(basalt.get("/-/reload").status, 401);
    let answer = basalt.get("/-/reload?authKey=k");
    assert!(answer.status == 500 && answer.text().contains("entry 1, field `source_labels`"), "{}", answer.text());
    assert_eq!(basalt.metric("vm_relabel_config_last_reload_successful"), 0.0);
    basalt.process.wait_for_line("the rules that were read before stay", PATIENCE).expect("it says so");
    write(&basalt);
    assert_eq!(series(&basalt).len(), 1);

    fs::write(&rules, "- {target_label: site, replacement: south}\n").expect("the file");
    let hangup = Command::new("kill").args(["-HUP", &basalt.process.pid().to_string()]).status();
    assert!(hangup.expect("kill runs").success());
    basalt.process.wait_for_line("successfully reloaded -relabelConfig", PATIENCE).expect("it says so");
    assert_eq!(basalt.metric("vm_relabel_config_last_reload_successful"), 1.0);
    write(&basalt);
    let want = ["__name__=noise site=south", "__name__=up job=a site=north", "__name__=up job=a site=south"];
    assert_eq!(series(&basalt), want);
    // A replay of the log does not relabel.
    basalt.kill9();
    let basalt = Basalt::start(data.path(), &[]);
    assert_eq!(series(&basalt), want);
}

#[test]
fn a_broken_file_is_found_at_the_start_and_by_a_dry_run() {
    let (data, home) = (folder(), folder());
    let rules = home.path().join("relabel.yml");
    let run = |arguments: &[String]| {
        let output = Command::new(crate::server::PROGRAM).args(arguments).output().expect("it starts");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let mut flags = usual_flags(data.path());
    flags.push(format!("-relabelConfig={}", rules.display()));
    for (text, part) in [
        ("- {regex: a, action: polish}\n", "line 1, entry 1, field `action`: there is no action \"polish\""),
        ("- {target_label: a, replacement: '%{BASALT_NOWHERE}'}\n", "the environment has no BASALT_NOWHERE"),
    ] {
        fs::write(&rules, text).expect("a file");
        for more in [&[][..], &["-dryRun".to_string()]] {
            let (code, said) = run(&[&flags[..], more].concat());
            assert!(code == Some(1) && said.contains(part) && said.contains("relabel.yml"), "{code:?} {said}");
        }
    }
    fs::write(&rules, "- {action: labeldrop, regex: a}\n").expect("the file");
    let (code, said) = run(&[&flags[..], &["-dryRun".to_string()]].concat());
    assert!(code == Some(0) && said.contains("configuration is good"), "{said}");
    fs::remove_file(&rules).expect("it is there");
    let (code, said) = run(&flags);
    assert!(code == Some(1) && said.contains("-relabelConfig") && said.contains("cannot read"), "{said}");
}

#[test]
fn limits_are_held_against_what_relabeling_leaves() {
    let (data, home) = (folder(), folder());
    let rules = home.path().join("relabel.yml");
    fs::write(&rules, "- {action: labeldrop, regex: 'tmp.*'}\n").expect("a file");
    let flags = ["-maxLabelsPerTimeseries=3", "-maxLabelNameLen=12", "-maxLabelValueLen=4", "-usePromCompatibleNaming"];
    let basalt = start(data.path(), &rules, &flags);
    let rows = [
        labels(&[("__name__", "a.b"), ("tmp_with_a_long_name", "and a long value"), ("tmp", "1"), ("x.y", "2")]),
        labels(&[("__name__", "m"), ("a", "1"), ("b", "2"), ("c", "3")]),
        labels(&[("__name__", "m"), ("a_longer_name", "1")]),
        labels(&[("__name__", "m"), ("v", "12345")]),
    ];
    let response = basalt.write(&body(&rows).body);
    let refused = response.header("x-basalt-refused").expect("something was refused");
    for reason in ["too_many_labels=1", "too_long_label_name=1", "too_long_label_value=1"] {
        assert!(refused.contains(reason), "{refused}");
    }
    assert_eq!(series(&basalt), ["__name__=a_b x_y=2"]);
}

#[test]
fn what_comes_too_fast_is_told_to_come_again() {
    let data = folder();
    let basalt = Basalt::start(data.path(), &["-maxIngestionRate=10", "-insert.maxQueueDuration=1s"]);
    let mut first = BodyWriter::default();
    first.series(&labels(&[("__name__", "m")]), &(0..1000).map(|n| (START_MS + n, n as f64)).collect::<Vec<_>>());
    assert_eq!(basalt.write(&first.body).status, 204);
    let late = basalt.write(&first.body);
    assert!(late.status == 503 && late.header("retry-after").is_some(), "{}", late.text());
    assert!(late.text().contains("-maxIngestionRate=10"), "{}", late.text());
    assert_eq!(basalt.metric("vm_max_ingestion_rate_limit_reached_total"), 1.0);
    assert_eq!(basalt.export("m"), first.ledger);
}

/// Rules whose meaning VictoriaMetrics 1.79 knows already, and which leave every series its own name.
const RULES: &str = r#"
- {source_labels: [instance], regex: '([^:]+):(\d+)', target_label: host, replacement: '${1}_$2$$'}
- {source_labels: [job, missing], separator: '/', target_label: both}
- {action: replace_all, source_labels: [path], target_label: path, regex: '[/-]', replacement: '_'}
- {action: replace_all, source_labels: [job], target_label: doubled, regex: '(.)', replacement: '$1$1'}
- {action: hashmod, source_labels: [instance, job], modulus: 97, target_label: shard}
- {action: labelmap, regex: 'meta_(.+)', replacement: 'm_$1'}
- {action: labelmap_all, regex: '\.', replacement: ':'}
- {action: labeldrop, regex: 'meta_.*'}
- {action: uppercase, source_labels: [job], target_label: upper}
- {action: lowercase, source_labels: [upper, path], target_label: lower}
- {if: '{job="b",path!=""}', target_label: marked, replacement: 'yes'}
- {if: '{__name__=~"drop.*"}', action: drop}
- {action: drop_if_equal, source_labels: [x, y]}
- {action: graphite, match: '*.*.c*', labels: {__name__: 'g_$1', second: '${2}', third: 'c$3', whole: '$0'}}
- {source_labels: [job], target_label: __note}
- {source_labels: [__note], regex: 'a', target_label: noted, replacement: 'a $1 $9'}
- {source_labels: [job], regex: 'a|ab', target_label: half, replacement: whole}
- {target_label: $1never, source_labels: [job], regex: '(never)'}
"#;

fn rows() -> Vec<Labels> {
    let mut rows = Vec::new();
    for (number, name) in ["up", "drop_me", "a.b.c", "a.b.cde", "a..c", "größe", "x.y.z"].into_iter().enumerate() {
        for job in ["a", "ab", "b", "Ä"] {
            let (row, one) = (format!("n{number}"), (number % 3).to_string());
            rows.push(labels(&[
                ("__name__", name),
                ("job", job),
                ("row", &row),
                ("instance", "host-1.example:9100"),
                ("path", "/a-b/c"),
                ("meta_pod.name", "p"),
                ("x", &one),
                ("y", "1"),
            ]));
            rows.push(labels(&[("__name__", name), ("job", job), ("row", &row), ("instance", "bare"), ("x", "z")]));
        }
    }
    rows
}

#[test]
fn rules_do_what_they_do_in_victoriametrics() {
    if !is_there("victoria-metrics") {
        return;
    }
    let (data, other, home) = (folder(), folder(), folder());
    let rules = home.path().join("relabel.yml");
    fs::write(&rules, RULES).expect("a file");
    let port = free_port();
    let arguments = [
        format!("-storageDataPath={}", other.path().display()),
        format!("-httpListenAddr={port}"),
        format!("-relabelConfig={}", rules.display()),
        "-retentionPeriod=100y".to_string(),
    ];
    let rival = Process::start("victoria-metrics", arguments).expect("it starts");
    rival.wait_for_line("pprof handlers are exposed", PATIENCE).expect("it listens");
    let basalt = start(data.path(), &rules, &[]);
    let sent = body(&rows());
    assert_eq!(basalt.write(&sent.body).status, 204);
    let packed = snap::raw::Encoder::new().compress_vec(&sent.body).expect("snappy packs everything");
    let mut client = Client::new(port).with_timeout(PATIENCE);
    let answer = client.post("/api/v1/write", "application/x-protobuf", Some("snappy"), &packed).expect("it answers");
    assert_eq!(answer.status, 204);
    let selector = "%7B__name__!=%22%22%7D";
    let of_rival = || {
        let answer = Client::new(port).with_timeout(PATIENCE).get(&format!("/api/v1/export?match[]={selector}"));
        Ledger::from_export(&answer.expect("it answers").text())
    };
    let ours = basalt.export(selector);
    wait_until("the rows can be seen", || of_rival().samples() >= ours.samples());
    let theirs = of_rival();
    for labels in theirs.0.keys().filter(|labels| !ours.0.contains_key(*labels)) {
        eprintln!("only there: {labels:?}");
    }
    for labels in ours.0.keys().filter(|labels| !theirs.0.contains_key(*labels)) {
        eprintln!("only here: {labels:?}");
    }
    assert!(ours == theirs, "{} and {} series", ours.0.len(), theirs.0.len());
}
