//! What writing into a cluster costs, beside a single node that gets the same bodies in the same run.
//!
//! 1. *new* and *known* go into a single node, then into an insert before two storages with one copy of each series, then into a single node again and into
//!    VictoriaMetrics': CPU of all processes until everything is flushed, and the memory of all. The cluster is set beside the mean of the single nodes before
//!    and after it; what these differ by is the noise. VictoriaMetrics' cluster, which Debian has no package of, spends [`RIVAL_CLUSTER`] times its single
//!    node's CPU on this traffic, by figures measured before.
//! 2. With two copies of each series both storages get *new*; then one is away while *missed* is written, ten minutes of load at an interval of 15 s; then it is
//!    started, and its hints drain while *beside* is written, over and over if it is small. How long that takes, how fast bodies are taken meanwhile, and how
//!    fast those of *after* are.

use std::{
    fmt::Write,
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::processes::Cluster;
use crate::{
    figures::median,
    machine,
    paired::Plan,
    recording,
    replay::replay,
    server::{Server, VICTORIA_METRICS_COMMAND},
    traffic::Traffic,
};

/// A tick at least: a tiny run must not divide by zero.
const CPU_S_MIN: f64 = 0.01;
const STORAGES: usize = 2;
/// CPU of VictoriaMetrics' cluster over that of its single node: 1.5 to 1.6.
const RIVAL_CLUSTER: f64 = 1.55;
const POLL: Duration = Duration::from_millis(20);
/// Hints that are not drained by then never will be.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(600);
/// Ten minutes.
const MISSED_SCRAPES: u64 = 40;
/// Hints are drained before as many are written, as a rule.
const BESIDE_SCRAPES: u64 = 120;
const AFTER_SCRAPES: u64 = 40;

/// The recorded bodies of all phases, each following in time on the one before.
#[derive(Debug)]
pub struct Recordings {
    new: PathBuf,
    known: PathBuf,
    missed: PathBuf,
    beside: PathBuf,
    after: PathBuf,
}

/// Records what the plan asks for into `folder`.
pub fn record(plan: &Plan, folder: &Path) -> io::Result<Recordings> {
    let mut traffic = Traffic::new(plan.shape());
    let mut end = 0;
    let mut phase = |name: &str, scrapes: u64| {
        let path = folder.join(name).with_extension("bodies");
        recording::record(&mut traffic, end..end + scrapes, &path)?;
        end += scrapes;
        Ok::<_, io::Error>(path)
    };
    let scrapes = u64::from(plan.scrapes);
    Ok(Recordings {
        new: phase("new", scrapes)?,
        known: phase("known", scrapes)?,
        missed: phase("missed", MISSED_SCRAPES)?,
        beside: phase("beside", BESIDE_SCRAPES)?,
        after: phase("after", AFTER_SCRAPES)?,
    })
}

/// One round.
#[derive(Debug, Clone)]
pub struct Round {
    /// Of *new* and of *known*: what was spent on each.
    pub cpu_s: [Spent; 2],
    /// Samples of each.
    pub samples: [u64; 2],
    /// The most memory of the single node, of all nodes together, and of VictoriaMetrics' single node.
    pub memory_bytes: [u64; 3],
    /// Samples that one storage had missed, and how long they took to come to it.
    pub drained: (u64, Duration),
    /// Samples a second that were taken until hints were drained, and afterwards.
    pub rates: [f64; 2],
}

/// CPU seconds of one phase.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    /// Of the single nodes before and after the cluster.
    pub single: [f64; 2],
    /// Of all nodes of the cluster.
    pub cluster: f64,
    /// Of VictoriaMetrics' single node.
    pub rival: f64,
}

impl Spent {
    fn single(&self) -> f64 {
        self.single.iter().sum::<f64>() / self.single.len() as f64
    }
}

/// Runs one round with a program.
pub fn run(plan: &Plan, program: &str, recordings: &Recordings, folder: &Path) -> io::Result<Round> {
    let phases = [recordings.new.as_path(), recordings.known.as_path()];
    let mut round = Round {
        cpu_s: [Spent::default(); 2],
        samples: [0; 2],
        memory_bytes: [0; 3],
        drained: (0, Duration::ZERO),
        rates: [0.0; 2],
    };
    let own =
        format!("{program} single -retentionPeriod=100y -httpListenAddr=127.0.0.1:$PORT -storageDataPath=$DATADIR");
    let single = |round: &mut Round, turn: usize| {
        let (spent, memory_bytes) = alone(plan, &own, &phases, folder, &mut round.samples)?;
        round.cpu_s.iter_mut().zip(spent).for_each(|(phase, spent)| phase.single[turn] = spent);
        round.memory_bytes[0] = memory_bytes;
        Ok::<_, io::Error>(())
    };
    single(&mut round, 0)?;
    {
        let home = tempfile::tempdir_in(folder)?;
        let cluster = Cluster::start(program, home.path(), STORAGES, 1)?;
        for (at, phase) in phases.iter().enumerate() {
            let before = cluster.cpu_s()?;
            replay(phase, &cluster.insert, plan.connections)?;
            cluster.flush(&plan.patience)?;
            round.cpu_s[at].cluster = (cluster.cpu_s()? - before).max(CPU_S_MIN);
        }
        round.memory_bytes[1] = cluster.memory_peak_bytes()?;
    }
    single(&mut round, 1)?;
    let (spent, memory_bytes) = alone(plan, VICTORIA_METRICS_COMMAND, &phases, folder, &mut round.samples)?;
    round.cpu_s.iter_mut().zip(spent).for_each(|(phase, spent)| phase.rival = spent);
    round.memory_bytes[2] = memory_bytes;
    drain(plan, program, recordings, folder, &mut round)?;
    Ok(round)
}

/// CPU that a server alone spends on each phase, and the most memory that it had.
fn alone(
    plan: &Plan,
    command: &str,
    phases: &[&Path; 2],
    folder: &Path,
    samples: &mut [u64; 2],
) -> io::Result<([f64; 2], u64)> {
    let home = tempfile::tempdir_in(folder)?;
    let server = Server::start(command, &home.path().join("single"))?;
    let mut spent = [0.0; 2];
    for (at, phase) in phases.iter().enumerate() {
        let before = server.cpu_s()?;
        samples[at] = replay(phase, &server, plan.connections)?.samples;
        server.flush(&plan.patience)?;
        spent[at] = (server.cpu_s()? - before).max(CPU_S_MIN);
    }
    Ok((spent, server.memory_peak_bytes()?))
}

fn drain(plan: &Plan, program: &str, recordings: &Recordings, folder: &Path, round: &mut Round) -> io::Result<()> {
    let home = tempfile::tempdir_in(folder)?;
    let mut cluster = Cluster::start(program, home.path(), STORAGES, STORAGES)?;
    // A node that is killed before it knows the insert would get no hints.
    wait(|| {
        let storages = cluster.storages.iter().flatten();
        let known = storages.map(|storage| storage.metric_sum("basalt_inserts_known"));
        known.sum::<io::Result<f64>>().map(|known| known >= STORAGES as f64)
    })?;
    replay(&recordings.new, &cluster.insert, plan.connections)?;
    cluster.kill(0)?;
    replay(&recordings.missed, &cluster.insert, plan.connections)?;
    round.drained.0 = cluster.insert.metric_sum("vm_rpc_rows_hinted_total")? as u64;
    cluster.revive(0)?;
    let insert = &cluster.insert;
    let taken = || insert.metric_sum("vm_rows_inserted_total{");
    let (begin, before, is_drained) = (Instant::now(), taken()?, AtomicBool::new(false));
    let (drained, meanwhile) = thread::scope(|scope| {
        let writing = scope.spawn(|| {
            while !is_drained.load(Ordering::Relaxed) {
                replay(&recordings.beside, insert, plan.connections)?;
            }
            Ok::<_, io::Error>(())
        });
        let drained = wait(|| Ok(insert.metric_sum("vm_rpc_hints_pending{")? == 0.0));
        let drained = drained.and_then(|()| Ok((begin.elapsed(), taken()?)));
        is_drained.store(true, Ordering::Relaxed);
        writing.join().expect("the sender's thread ended with a panic")?;
        drained
    })?;
    let after = replay(&recordings.after, insert, plan.connections)?;
    round.drained.1 = drained;
    let rate = |samples: f64, time: Duration| samples / time.as_secs_f64();
    round.rates = [rate(meanwhile - before, drained), rate(after.samples as f64, after.wall)];
    Ok(())
}

fn wait(mut done: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let begin = Instant::now();
    while !done()? {
        if begin.elapsed() > DRAIN_TIME_MAX {
            return Err(io::Error::other("what was waited for does not come"));
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// The rounds as a table, their medians first.
pub fn table(plan: &Plan, rounds: &[Round]) -> String {
    let mut text = format!(
        "{} series × {} scrapes, twice, in bodies of {} samples over {} connections; 1 insert, {STORAGES} storages. Machine: {}.\n\n\
         | | median | {} |\n|---|---:|{}\n",
        plan.series,
        plan.scrapes,
        plan.samples_per_request,
        plan.connections,
        machine::describe(),
        (1..=rounds.len()).map(|round| format!("round {round}")).collect::<Vec<_>>().join(" | "),
        "---:|".repeat(rounds.len())
    );
    let mut line = |name: &str, decimals: usize, figure: &dyn Fn(&Round) -> f64| {
        let figures: Vec<f64> = rounds.iter().map(figure).collect();
        let _ = write!(text, "| {name} ");
        for figure in std::iter::once(median(&figures)).chain(figures) {
            // Writing to a text cannot fail.
            let _ = write!(text, "| {figure:.decimals$} ");
        }
        text.push_str("|\n");
    };
    for (at, phase) in ["new", "known"].into_iter().enumerate() {
        let rate = |round: &Round, cpu_s: f64| round.samples[at] as f64 / cpu_s / 1e3;
        line(&format!("{phase}: single, thousand samples per CPU-second"), 0, &|round| {
            rate(round, round.cpu_s[at].single())
        });
        line(&format!("{phase}: cluster, thousand samples per CPU-second"), 0, &|round| {
            rate(round, round.cpu_s[at].cluster)
        });
        line(&format!("{phase}: VictoriaMetrics' single node, thousand samples per CPU-second"), 0, &|round| {
            rate(round, round.cpu_s[at].rival)
        });
        line(&format!("{phase}: CPU of the cluster over that of the single node"), 2, &|round| {
            round.cpu_s[at].cluster / round.cpu_s[at].single()
        });
        line(&format!("{phase}: CPU of the single node after it over that of the one before"), 2, &|round| {
            round.cpu_s[at].single[1] / round.cpu_s[at].single[0]
        });
        line(
            &format!(
                "{phase}: samples per CPU-second over those of VictoriaMetrics' cluster ({RIVAL_CLUSTER} × its single node)"
            ),
            1,
            &|round| RIVAL_CLUSTER * round.cpu_s[at].rival / round.cpu_s[at].cluster,
        );
    }
    for (who, name) in ["the single node", "all nodes together", "VictoriaMetrics' single node"].into_iter().enumerate()
    {
        line(&format!("memory of {name}, MB"), 0, &|round| round.memory_bytes[who] as f64 / 1e6);
    }
    line("samples that a storage had missed", 0, &|round| round.drained.0 as f64);
    line("… and the seconds until it had them", 1, &|round| round.drained.1.as_secs_f64());
    line("thousand samples taken in a second meanwhile", 0, &|round| round.rates[0] / 1e3);
    line("… and without hints beside it", 0, &|round| round.rates[1] / 1e3);
    text
}
