//! Clusters beside a single node: the same samples, the same queries, the same answers.
//!
//! 1. A single node and clusters of three storages, with one copy of each series and with two, get the [`data`] in its uneven form.
//! 2. Every query of the lists of both dialects is asked of all of them in several ways ([`WAYS`]).
//! 3. Series, their order, labels and times must be equal, and refusals must say the same. Values may differ by [`PART_MAX`], since parts of sums are added
//!    in another order where several nodes have them; those in [`JUDGED`] by more.
//! 4. At the end storages must have evaluated a good part of it: else selects alone would have been compared.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use super::{
    Check, MINUTE, SHOWN_MAX,
    answer::{Answer, Labels},
    data,
    list::{self, Judged, Question},
    server::{Asker, Server},
};

const FLAGS: &str =
    "-storageDataPath=$DATADIR -httpListenAddr=127.0.0.1:$PORT -retentionPeriod=100y -search.latencyOffset=0s";
/// Values may differ by this part of them.
const PART_MAX: f64 = 1e-12;
/// Queries whose values may differ by more.
const JUDGED: &str = "testdata/metricsql/cluster/judged.txt";
const STORAGES: u8 = 3;
/// Questions are asked by so many at once.
const THREADS: usize = 2;
/// So many of the sub-plans that storages were asked for must be in force.
const IN_FORCE_MIN: f64 = 0.4;

/// A check, and further arguments of its request: without `nocache=1` points of the range come from the cache or go into it.
const WAYS: [(Check, &str); 3] = [
    (Check { name: "range", start: data::ASKED - 30 * MINUTE, end: data::ASKED, step: MINUTE }, "nocache=1"),
    (Check { name: "kept", start: data::ASKED - 120 * MINUTE, end: data::ASKED, step: 7 * MINUTE }, "nocache=0"),
    (Check { name: "instant", start: data::ASKED, end: data::ASKED, step: 0 }, "nocache=1"),
];

/// Asks a single node and clusters everything; fails where they differ.
pub fn run(root: &Path, program: &str) -> Result<(), String> {
    let single = Server::start(&format!("exec {program} single {FLAGS}"))?;
    let clusters = [1, 2].map(|copies| Server::cluster(program, STORAGES, copies));
    let [one_copy, two_copies] = clusters;
    let clusters = [one_copy?, two_copies?];
    for part in data::uneven() {
        single.write(&part)?;
        clusters.iter().try_for_each(|cluster| cluster.write(&part))?;
    }
    let mut questions: Vec<(&str, Question)> = Vec::new();
    for (dialect, folder) in [("metricsql", "testdata/metricsql"), ("promql", "testdata/promql/lists")] {
        questions.extend(list::lists(&root.join(folder))?.into_iter().map(|question| (dialect, question)));
    }
    let judged = Judged::read(&root.join(JUDGED))?;
    let next = AtomicUsize::new(0);
    let ask = || -> Result<Vec<String>, String> {
        let (mut single, mut others) = (single.asker(), clusters.each_ref().map(Server::asker));
        let mut failures = Vec::new();
        while let Some((dialect, question)) = questions.get(next.fetch_add(1, Ordering::Relaxed)) {
            failures.extend(complaint(&mut single, &mut others, &judged, (dialect, question))?);
        }
        Ok(failures)
    };
    let found: Vec<Result<Vec<String>, String>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked".to_string())?).collect()
    });
    let mut failures: Vec<String> = found.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    failures.sort();
    for cluster in &clusters {
        failures.extend(work_of_storages(&mut cluster.asker()).err());
    }
    println!(
        "clusters: {} queries, {} checks; {} complaints",
        questions.len(),
        questions.len() * WAYS.len() * clusters.len(),
        failures.len()
    );
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

fn complaint(
    single: &mut Asker,
    clusters: &mut [Asker],
    judged: &Judged,
    (dialect, question): (&str, &Question),
) -> Result<Option<String>, String> {
    let mut found = Vec::new();
    for (check, arguments) in &WAYS {
        let arguments = format!("dialect={dialect}&{arguments}");
        let want = Answer::ask(single, &question.text, check, &arguments)?;
        for cluster in &mut *clusters {
            let have = Answer::ask(cluster, &question.text, check, &arguments)?;
            let why = difference(&want, &have, judged.covers(&question.text, check.name));
            found.extend(why.map(|why| format!("    {}, {}: {why}", check.name, cluster.name())));
        }
    }
    found.truncate(SHOWN_MAX);
    let head = format!("{dialect} {}: {}", question.place, question.text);
    Ok((!found.is_empty()).then(|| format!("{head}\n{}", found.join("\n"))))
}

/// How the answer of a cluster differs from that of a single node; of what is judged values are left aside.
fn difference(want: &Answer, have: &Answer, is_judged: bool) -> Option<String> {
    let (want, have) = match (want, have) {
        (Answer::Series(want), Answer::Series(have)) => (want, have),
        (Answer::Error(one), Answer::Error(other)) if one == other => return None,
        (one, other) => return Some(format!("{} there, and {} here", said(one), said(other))),
    };
    let names = |series: &[(Labels, Vec<(i64, f64)>)]| series.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    if names(want) != names(have) {
        return Some(format!("series {:?} there, and {:?} here", names(want), names(have)));
    }
    want.iter().zip(have).find_map(|((labels, want), (_, have))| {
        let times = |samples: &[(i64, f64)]| samples.iter().map(|(time, _)| *time).collect::<Vec<_>>();
        if times(want) != times(have) {
            return Some(format!("{labels:?}: points at {:?} there, and at {:?} here", times(want), times(have)));
        }
        let mut pairs = want.iter().zip(have).filter(|((_, one), (_, other))| !is_judged && !is_same(*one, *other));
        pairs.next().map(|((time, one), (_, other))| format!("{labels:?}: {one} at {time} there, and {other} here"))
    })
}

fn said(answer: &Answer) -> String {
    match answer {
        Answer::Series(series) => format!("{} series", series.len()),
        Answer::Error(why) => format!("{why:?}"),
    }
}

fn is_same(one: f64, other: f64) -> bool {
    one == other || (one.is_nan() && other.is_nan()) || (one - other).abs() <= PART_MAX * one.abs().max(other.abs())
}

/// Whether storages did a good part of what they were asked for.
fn work_of_storages(select: &mut Asker) -> Result<(), String> {
    let text = select.get("/metrics")?;
    let number = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or(0.0)
    };
    let asked_for = number("basalt_gather_sub_plans_total");
    let in_force = number("basalt_gather_partial_results_total");
    println!("{}: {in_force} of {asked_for} sub-plans were in force", select.name());
    if in_force > asked_for * IN_FORCE_MIN && in_force > 0.0 {
        return Ok(());
    }
    Err(format!("{}: only {in_force} of {asked_for} sub-plans were in force", select.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> (Labels, Vec<(i64, f64)>) {
        let labels = labels.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        (labels.collect(), samples.to_vec())
    }

    #[test]
    fn only_the_last_digits_of_values_may_differ() {
        let a = || series(&[("a", "1")], &[(1, 0.3), (2, f64::NAN)]);
        let b = || series(&[("b", "1")], &[(1, f64::INFINITY)]);
        let want = Answer::Series(vec![a(), b()]);
        let differs = |have: Vec<_>| difference(&want, &Answer::Series(have), false).is_some();
        assert!(!differs(vec![series(&[("a", "1")], &[(1, 0.1 + 0.2), (2, f64::NAN)]), b()]));
        assert!(differs(vec![series(&[("a", "1")], &[(1, 0.300_000_000_01), (2, f64::NAN)]), b()]));
        assert!(differs(vec![series(&[("a", "1")], &[(1, 0.3)]), b()]));
        assert!(differs(vec![b(), a()]), "another order");
        assert!(differs(vec![a()]) && difference(&want, &Answer::Error("no".into()), false).is_some());
        assert!(difference(&Answer::Error("no".into()), &Answer::Error("no".into()), false).is_none());
        assert!(difference(&Answer::Error("no".into()), &Answer::Error("never".into()), false).is_some());
    }
}
