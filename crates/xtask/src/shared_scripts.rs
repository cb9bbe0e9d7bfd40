//! Query scripts of others that lie beside the checkout, in `../shared`: they run where they are, against the release build, and only where they are.
//!
//! 1. Prometheus' own scripts in dialect `promql`. All evaluations of floats must pass; native histograms are not stored.
//! 2. A list of MetricsQL queries, beside Debian's VictoriaMetrics. It is older than the version that Basalt follows, so that its lines are for the
//!    reader and fail nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

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
    let mut metricsql = Command::new("python3");
    metricsql.arg(shared.join("tools/diffql.py")).arg("--ref-cmd").arg(format!("exec victoria-metrics {SERVER_FLAGS}"));
    metricsql.arg("--target-cmd").arg(server).arg("--queries").arg(shared.join("promql/metricsql-sample.txt"));
    finish(&mut metricsql)?;
    Ok(())
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
