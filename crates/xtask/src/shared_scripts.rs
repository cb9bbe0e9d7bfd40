//! Query scripts of others that lie beside the checkout, in `../shared`: they run where they are, against the release build, and only where they are.
//!
//! 1. Prometheus' own scripts in dialect `promql`. All evaluations of floats must pass; native histograms are not stored.
//! 2. A list of MetricsQL queries, beside Debian's VictoriaMetrics. It is older than the version that Basalt follows: what is known to differ stands in
//!    `testdata/metricsql/sample/judged.txt` under the rule that decides, and anything else fails.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::diff::Judged;

const SERVER_FLAGS: &str =
    "-storageDataPath=$DATADIR -httpListenAddr=127.0.0.1:$PORT -retentionPeriod=100y -search.latencyOffset=0s";

/// Runs both; says so where there is nothing to run.
pub fn run(root: &Path) -> Result<(), String> {
    let shared = root.join("../shared");
    let scripts = scripts(&shared.join("promql"));
    if scripts.is_empty() {
        println!("no scripts beside the checkout");
        return Ok(());
    }
    let program = root.join("target/release/basalt");
    let server = format!("exec {} single {SERVER_FLAGS}", program.display());
    let mut promql = Command::new("python3");
    promql.arg(shared.join("tools/promqltest.py")).arg("--floats").arg("--fresh-cmd");
    promql.arg(format!("{server} -search.dialect=promql")).args(&scripts);
    if !finish(&mut promql)? {
        return Err("a script of Prometheus fails".to_string());
    }
    beside_victoria_metrics(root, &shared, server)
}

/// Asks both the queries of the list; fails where they differ and no rule is known that decides.
fn beside_victoria_metrics(root: &Path, shared: &Path, server: String) -> Result<(), String> {
    let list = shared.join("promql/metricsql-sample.txt");
    let report = root.join("target/metricsql-sample.json");
    let mut differ = Command::new("python3");
    differ.arg(shared.join("tools/diffql.py")).arg("--ref-cmd").arg(format!("exec victoria-metrics {SERVER_FLAGS}"));
    differ.arg("--target-cmd").arg(server).arg("--queries").arg(&list).arg("--report").arg(&report);
    // It says that something differs, which is so; what differs stands in its report.
    finish(&mut differ)?;
    let text = fs::read_to_string(&report).map_err(|why| format!("cannot read {}: {why}", report.display()))?;
    let report: Value = serde_json::from_str(&text).map_err(|why| format!("the differ's report is no JSON: {why}"))?;
    let judged = Judged::read(&root.join("testdata/metricsql/sample/judged.txt"))?;
    let (known, new) = sorted_out(&report, &judged);
    println!("{}: {known} queries differ as judged, {} otherwise", list.display(), new.len());
    if new.is_empty() { Ok(()) } else { Err(new.join("\n")) }
}

/// How many queries differ as is known, and in which checks others do.
fn sorted_out(report: &Value, judged: &Judged) -> (usize, Vec<String>) {
    let files = report.as_object().into_iter().flat_map(|files| files.values());
    let failures = files.flat_map(|file| file["failures"].as_array().into_iter().flatten());
    let (mut known, mut new) = (0, Vec::new());
    for failure in failures {
        let query = failure["query"].as_str().unwrap_or_default();
        let checks = failure["checks"].as_object().into_iter().flatten();
        let strange: Vec<_> = checks.filter(|(check, _)| !judged.covers(query, check)).collect();
        known += usize::from(strange.is_empty());
        new.extend(strange.iter().map(|(check, found)| format!("{query}: {check}: {}", found["reason"])));
    }
    (known, new)
}

/// The scripts in a folder, by name; none if there is no such folder.
fn scripts(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let is_script = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "test");
    let mut scripts: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_script).collect();
    scripts.sort();
    scripts
}

fn finish(command: &mut Command) -> Result<bool, String> {
    let status = command.status().map_err(|why| format!("cannot run {command:?}: {why}"))?;
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_rule_covers_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("judged.txt");
        fs::write(&path, "## one\n#! checks=instant\na\n## two\nb\n").expect("written");
        let judged = Judged::read(&path).expect("a file that can be read");
        let failure =
            |query: &str, check: &str| serde_json::json!({"query": query, "checks": {check: {"reason": "why"}}});
        let failures = [failure("a", "instant"), failure("a", "range"), failure("b", "range"), failure("c", "range")];
        let (known, new) = sorted_out(&serde_json::json!({"list": {"failures": failures}}), &judged);
        assert_eq!((known, new), (2, vec!["a: range: \"why\"".to_string(), "c: range: \"why\"".to_string()]));
    }
}
