//! The commands of the README and of docs/migration.md, run as they stand there; only the addresses are those of the test's servers.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use crate::{
    prometheus::is_there,
    server::{Basalt, PROGRAM, folder},
    wire::{BodyWriter, labels},
};

const ADDRESS: &str = "localhost:8428";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate lies two folders down")
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).expect("a README")
}

/// The commands of code blocks and of code in sentences that begin so.
fn commands(readme: &str, start: &str) -> Vec<String> {
    let mut found: Vec<String> = readme.lines().filter(|line| line.starts_with(start)).map(str::to_string).collect();
    found.extend(readme.split('`').filter(|code| code.starts_with(start) && !code.contains('\n')).map(str::to_string));
    found
}

fn shell(command: &str, basalt: &Basalt) -> Output {
    let command = command.replace(ADDRESS, &basalt.address.to_string());
    Command::new("sh").args(["-c", &command]).output().expect("a shell")
}

#[test]
fn the_commands_of_the_readme_do_what_it_says() {
    if !is_there("curl") {
        return;
    }
    let readme = readme();
    let run = commands(&readme, "cargo run --profile quick --");
    let arguments: Vec<&str> =
        run.first().and_then(|line| line.split_once(" -- ")).expect("how to run it").1.split(' ').collect();
    let home = folder();
    let mut command = Command::new(PROGRAM);
    command.current_dir(home.path()).args(arguments).arg("-httpListenAddr=127.0.0.1:0");
    let basalt = Basalt::spawn(command);
    assert!(home.path().join("basalt-data").is_dir(), "the folder that the README names");

    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let mut body = BodyWriter::default();
    let up = [("__name__", "up"), ("job", "prometheus"), ("instance", "localhost:9090")];
    body.series(&labels(&up), &[(now_ms - 60_000, 1.0), (now_ms - 45_000, 1.0)]);
    assert_eq!(basalt.write(&body.body).status, 204);

    let asks = commands(&readme, "curl ");
    assert!(asks.len() >= 3, "{asks:?}");
    for ask in &asks {
        let output = shell(&format!("{ask} -sS --fail-with-body"), &basalt);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{ask}: {said} {}", String::from_utf8_lossy(&output.stderr));
        match ask {
            ask if ask.contains("/api/v1/query") => {
                let answer: Value = serde_json::from_str(&said).expect("JSON");
                let result = &answer["data"]["result"];
                assert!(result.as_array().is_some_and(|all| !all.is_empty()), "{ask}: {said}");
            }
            ask if ask.contains("/api/v1/export") => assert!(said.contains("\"values\":[1,1]"), "{ask}: {said}"),
            ask => assert!(ask.contains("/api/v1/import"), "{ask} is not known to this test"),
        }
    }
    basalt.stop();
}

#[test]
fn history_comes_over_month_by_month_and_whole() {
    if !is_there("curl") || !is_there("bash") {
        return;
    }
    let page = fs::read_to_string(root().join("docs/migration.md")).expect("the page");
    let block = page.split("```\n").find(|block| block.contains("/api/v1/export/native")).expect("the loop");
    let (old_home, new_home) = (folder(), folder());
    let (old, new) = (
        Basalt::start(old_home.path(), &["-retentionPeriod=100y"]),
        Basalt::start(new_home.path(), &["-retentionPeriod=100y"]),
    );
    // The first and the last moment of each month of the loop, and the first behind it.
    let moments = [
        1_767_225_600_000,
        1_769_903_999_999,
        1_769_904_000_000,
        1_772_323_199_999,
        1_772_323_200_000,
        1_775_001_599_999,
        1_775_001_600_000,
    ];
    let samples: Vec<_> = moments.iter().map(|time| (*time, 1.5)).collect();
    let mut body = BodyWriter::default();
    body.series(&labels(&[("__name__", "old")]), &samples);
    assert_eq!(old.write(&body.body).status, 204);

    let script = |from: &str, to: &str| block.replace("victoria:8428", from).replace("basalt:8428", to);
    let run = |script: &str| Command::new("bash").args(["-c", script]).output().expect("bash runs");
    let (from, to) = (old.address.to_string(), new.address.to_string());
    let output = run(&script(&from, &to));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!said.contains("not whole") && said.matches("204 No Content").count() == 3, "{said}");
    assert_eq!(new.export("old").samples(), old.export("old").samples());
    assert_eq!(new.export("old").samples(), moments.len());

    // An export that fails is said, and ends the loop.
    let wrong = script(&from, &to).replace("-01T00:00:00Z", "-31T00:00:00Z");
    let said = String::from_utf8_lossy(&run(&wrong).stdout).into_owned();
    assert!(said.ends_with("the month 2026-01 is not whole; begin again with it\n"), "{said}");
    old.stop();
    new.stop();
}

#[test]
fn the_block_for_prometheus_is_one_that_prometheus_takes() {
    if !is_there("promtool") {
        return;
    }
    let readme = readme();
    let block = readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block of YAML");
    let block = block.split("# Grafana").next().expect("the part for Prometheus");
    let home = folder();
    let path = home.path().join("prometheus.yml");
    fs::write(&path, block).expect("the configuration can be written");
    let output = Command::new("promtool").args(["check", "config"]).arg(&path).output().expect("promtool runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(block.contains(&format!("http://{ADDRESS}/api/v1/write")));
}
