//! The differ: the same samples in Basalt and in the program that a dialect follows, the same queries to both, all points compared.
//!
//! 1. Two servers are started on folders of their own, and both get the [`data`] by remote write.
//! 2. The queries of a folder's lists ([`list`]) are asked of both, each as several [`CHECKS`]; what comes back is compared point by point ([`answer`]).
//! 3. A query that both refuse counts as wrong, unless its list says that it is an error.
//! 4. Debian's programs are older than the versions that Basalt follows. What is known to differ stands in the folder's `judged.txt` under the name of the
//!    rule that decides; anything else fails, and so does a line of that file that no longer differs.

mod answer;
mod cluster;
mod data;
mod list;
mod server;
mod wire;

use std::{collections::BTreeMap, fs, path::Path};

use answer::{Answer, difference};
pub use list::Judged;
use list::Question;
use server::{Asker, Server};

/// The flags of VictoriaMetrics and of Basalt in its dialect.
const METRICSQL_FLAGS: &str =
    "-storageDataPath=$DATADIR -httpListenAddr=127.0.0.1:$PORT -retentionPeriod=100y -search.latencyOffset=0s";
/// Prometheus takes samples of long ago only if its file of settings says so.
const PROMETHEUS: &str = "echo 'storage: {tsdb: {out_of_order_time_window: 100y}}' >$DATADIR.yml && exec prometheus \
    --config.file=$DATADIR.yml --storage.tsdb.path=$DATADIR --web.listen-address=127.0.0.1:$PORT \
    --web.enable-remote-write-receiver --storage.tsdb.retention.time=100y";
/// Differences of one query that are shown.
const SHOWN_MAX: usize = 3;

/// When a query is asked: at one time, or over a range.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Its name in `judged.txt`.
    pub name: &'static str,
    /// In milliseconds.
    pub start: i64,
    /// In milliseconds.
    pub end: i64,
    /// In milliseconds; 0 for an instant.
    pub step: i64,
}

const MINUTE: i64 = 60_000;
const CHECKS: [Check; 5] = [
    Check { name: "fine", start: data::ASKED - 10 * MINUTE, end: data::ASKED, step: 10_000 },
    Check { name: "minutes", start: data::ASKED - 120 * MINUTE, end: data::ASKED, step: MINUTE },
    Check { name: "coarse", start: data::ASKED - 120 * MINUTE, end: data::ASKED, step: 7 * MINUTE },
    Check { name: "instant", start: data::ASKED, end: data::ASKED, step: 0 },
    Check { name: "unaligned", start: data::ASKED - 3_737_123, end: data::ASKED - 3_737_123, step: 0 },
];

/// `diff`, `diff metricsql|promql|cluster [PROGRAM]`, or `diff WITNESS OURS FOLDER` with commands for a shell, which find their port and folder in `$PORT` and `$DATADIR`.
pub fn run(root: &Path, arguments: &[&str]) -> Result<(), String> {
    let release = root.join("target/release/basalt").display().to_string();
    match arguments {
        [] => all(root, &release),
        ["metricsql"] => metricsql(root, &release),
        ["metricsql", program] => metricsql(root, program),
        ["promql"] => promql(root, &release),
        ["promql", program] => promql(root, program),
        ["cluster"] => cluster::run(root, &release),
        ["cluster", program] => cluster::run(root, program),
        [witness, ours, folder] => compare(witness, ours, Path::new(folder)),
        _ => Err("usage: cargo xtask diff [metricsql|promql|cluster [PROGRAM]] | diff WITNESS OURS FOLDER".into()),
    }
}

/// Both dialects and clusters, each also where one before it fails.
fn all(root: &Path, program: &str) -> Result<(), String> {
    let verdicts = [metricsql(root, program), promql(root, program), cluster::run(root, program)];
    let failures: Vec<String> = verdicts.into_iter().filter_map(Result::err).collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

fn metricsql(root: &Path, program: &str) -> Result<(), String> {
    let witness = format!("exec victoria-metrics {METRICSQL_FLAGS}");
    compare(&witness, &format!("exec {program} single {METRICSQL_FLAGS}"), &root.join("testdata/metricsql"))
}

fn promql(root: &Path, program: &str) -> Result<(), String> {
    let ours = format!("exec {program} single {METRICSQL_FLAGS} -search.dialect=promql");
    compare(PROMETHEUS, &ours, &root.join("testdata/promql/lists"))
}

/// Asks both servers everything; fails if something is not as `judged.txt` says.
fn compare(witness: &str, ours: &str, folder: &Path) -> Result<(), String> {
    let lists = list::lists(folder)?;
    let judged = Judged::read(&folder.join("judged.txt"))?;
    let (witness, ours) = (Server::start(witness)?, Server::start(ours)?);
    for part in data::parts() {
        witness.write(&part)?;
        ours.write(&part)?;
    }
    let (mut witness, mut ours) = (witness.asker(), ours.asker());
    let (mut found, mut failures, mut asked) = (BTreeMap::new(), Vec::new(), 0);
    for question in &lists {
        let differences = differences(&mut witness, &mut ours, question)?;
        asked += CHECKS.len();
        let (known, new): (Vec<_>, Vec<_>) =
            differences.into_iter().partition(|(check, _)| judged.covers(&question.text, check));
        if !known.is_empty() {
            found.insert(question.text.clone(), ());
        }
        if !new.is_empty() {
            let shown: Vec<String> =
                new.iter().take(SHOWN_MAX).map(|(check, why)| format!("    {check}: {why}")).collect();
            failures.push(format!("{}: {}\n{}", question.place, question.text, shown.join("\n")));
        }
    }
    let asked_texts = |text: &str| lists.iter().any(|question| question.text == text);
    for (text, rule) in judged.expected() {
        if !asked_texts(text) {
            failures.push(format!("judged.txt: {text}: no list asks this ({rule})"));
        } else if !found.contains_key(text) {
            failures.push(format!("judged.txt: {text}: does not differ any more ({rule})"));
        }
    }
    println!(
        "{}: {} queries, {asked} checks; {} differ as judged, {} complaints",
        folder.display(),
        lists.len(),
        found.len(),
        failures.len()
    );
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

fn differences(
    witness: &mut Asker,
    ours: &mut Asker,
    question: &Question,
) -> Result<Vec<(&'static str, String)>, String> {
    let mut differences = Vec::new();
    for check in &CHECKS {
        let want = Answer::ask(witness, &question.text, check, "nocache=1")?;
        let have = Answer::ask(ours, &question.text, check, "nocache=1")?;
        if let Some(why) = difference(question, &want, &have, check) {
            differences.push((check.name, why));
        }
    }
    Ok(differences)
}

/// The lines of a file that say something, with their numbers.
fn lines(path: &Path) -> Result<Vec<(usize, String)>, String> {
    let text = fs::read_to_string(path).map_err(|why| format!("cannot read {}: {why}", path.display()))?;
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim().to_string()));
    Ok(lines.filter(|(_, line)| !line.is_empty()).collect())
}
