//! One contestant through all phases.
//!
//! 1. Fresh folder, server up: *new*, *known*, *sent again* (the known bodies once more), each until it is flushed; then
//!    memory and bytes written; then the forced merge, and the folder's size.
//! 2. Another fresh folder, server up anew: *churn*, and the same figures.
//! 3. A third one: *new* and *known* without any flush on request, `kill -9`, and the time and CPU until the next start is ready.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::{Contestant, Plan, Recordings};
use crate::replay::replay;
use crate::server::{Family, Server};

/// A tick at least: a tiny run must not divide by zero.
const CPU_S_MIN: f64 = 0.01;

/// What a server is fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Series that it has never seen.
    New,
    /// The same series, following in time.
    Known,
    /// Bodies that it has acknowledged already.
    Again,
    /// Every pod is replaced several times.
    Churn,
}

impl Phase {
    /// All phases in the order in which they run.
    pub const ALL: [Self; 4] = [Self::New, Self::Known, Self::Again, Self::Churn];

    /// As the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Known => "known",
            Self::Again => "sent again",
            Self::Churn => "churn",
        }
    }
}

/// One phase of one contestant.
#[derive(Debug, Clone)]
pub struct PhaseResult {
    /// Samples acknowledged.
    pub samples: u64,
    /// CPU of the server until everything was flushed and its background work had ended.
    pub cpu_s: f64,
    /// CPU until it was idle of its own accord, when it may still hold samples in memory.
    pub cpu_unflushed_s: f64,
    /// Median time to the answer.
    pub p50: Duration,
    /// The time that 99 % of the answers stayed within.
    pub p99: Duration,
    /// From the first request to the last answer.
    pub wall: Duration,
    /// Requests that the server put off.
    pub retries: u64,
    /// Whether background work ended within the wait.
    pub is_settled: bool,
}

impl PhaseResult {
    /// Of a phase that the server takes no part in.
    fn nothing() -> Self {
        Self {
            samples: 0,
            cpu_s: CPU_S_MIN,
            cpu_unflushed_s: CPU_S_MIN,
            p50: Duration::ZERO,
            p99: Duration::ZERO,
            wall: Duration::ZERO,
            retries: 0,
            is_settled: true,
        }
    }

    /// What the comparison is about.
    pub fn samples_per_cpu_s(&self) -> f64 {
        self.samples as f64 / self.cpu_s
    }
}

/// What one server's life gave beside its phases.
#[derive(Debug, Clone, Copy)]
pub struct Footprint {
    /// The most memory that was ever resident.
    pub memory_peak_bytes: u64,
    /// Bytes that went to disk before the forced merge.
    pub written_bytes: u64,
    /// The folder after flush and merge.
    pub disk_bytes: u64,
    /// Different samples that it was given.
    pub samples: u64,
    /// Samples in its parts after the merge, as it counts them itself.
    pub stored: f64,
    /// CPU of its whole life, forced merge included.
    pub cpu_s: f64,
}

/// How a server came back after it was killed.
#[derive(Debug, Clone, Copy)]
pub struct Restart {
    /// From the start of the process until it was ready.
    pub ready_in: Duration,
    /// CPU until its background work had ended.
    pub cpu_s: f64,
}

/// One contestant in one round.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// In the order of [`Phase::ALL`].
    pub phases: [PhaseResult; 4],
    /// Of the server that got new, known and sent again.
    pub steady: Footprint,
    /// Of the server that got churn.
    pub churn: Footprint,
    /// Of the server that was killed.
    pub restart: Restart,
}

/// Runs every contestant over the recordings, `plan.pairs` times; `outcomes[round][contestant]`.
pub fn run(
    plan: &Plan,
    contestants: &[Contestant],
    recordings: &Recordings,
    folder: &Path,
    mut progress: impl FnMut(&str),
) -> io::Result<Vec<Vec<Outcome>>> {
    let mut rounds = Vec::with_capacity(plan.pairs);
    for round in 0..plan.pairs {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; contestants.len()];
        for turn in 0..contestants.len() {
            let place = (turn + round) % contestants.len();
            let contestant = &contestants[place];
            progress(&format!("round {} of {}: {}", round + 1, plan.pairs, contestant.name));
            let outcome = run_one(plan, contestant, recordings, folder)
                .map_err(|error| io::Error::other(format!("{}: {error}", contestant.name)))?;
            outcomes[place] = Some(outcome);
        }
        rounds.push(outcomes.into_iter().flatten().collect());
    }
    Ok(rounds)
}

fn run_one(plan: &Plan, contestant: &Contestant, recordings: &Recordings, folder: &Path) -> io::Result<Outcome> {
    let steady = with_server(contestant, folder, |server| {
        let phases = [
            phase(plan, server, &recordings.new)?,
            phase(plan, server, &recordings.known)?,
            again(plan, server, recordings)?,
        ];
        // What was sent again adds nothing.
        let samples = phases[0].samples + phases[1].samples;
        Ok((phases, footprint(plan, server, samples)?))
    })?;
    let churn = with_server(contestant, folder, |server| {
        let churn = phase(plan, server, &recordings.churn)?;
        let footprint = footprint(plan, server, churn.samples)?;
        Ok((churn, footprint))
    })?;
    let restart = restart(plan, contestant, recordings, folder)?;
    let [new, known, again] = steady.0;
    Ok(Outcome { phases: [new, known, again, churn.0], steady: steady.1, churn: churn.1, restart })
}

/// Bodies once more. Prometheus refuses samples that are older than what it has: there is nothing to measure.
fn again(plan: &Plan, server: &Server, recordings: &Recordings) -> io::Result<PhaseResult> {
    if server.family() == Family::Prometheus {
        return Ok(PhaseResult::nothing());
    }
    phase(plan, server, &recordings.known)
}

/// Kills a server that holds as much in its log as it will, and starts it again.
fn restart(plan: &Plan, contestant: &Contestant, recordings: &Recordings, folder: &Path) -> io::Result<Restart> {
    let folder = tempfile::tempdir_in(folder)?;
    let data = folder.path().join("data");
    let server = Server::start(&contestant.command, &data)?;
    replay(&recordings.new, &server, plan.connections)?;
    replay(&recordings.known, &server, plan.connections)?;
    drop(server);
    let server = Server::start(&contestant.command, &data)?;
    server.settle(&plan.patience)?;
    Ok(Restart { ready_in: server.ready_in(), cpu_s: server.cpu_s()?.max(CPU_S_MIN) })
}

/// A server over an empty folder that is gone afterwards.
fn with_server<T>(
    contestant: &Contestant,
    folder: &Path,
    work: impl FnOnce(&Server) -> io::Result<T>,
) -> io::Result<T> {
    let folder = tempfile::tempdir_in(folder)?;
    let server = Server::start(&contestant.command, &folder.path().join("data"))?;
    work(&server)
}

fn phase(plan: &Plan, server: &Server, recording: &Path) -> io::Result<PhaseResult> {
    let before = server.cpu_s()?;
    let replay = replay(recording, server, plan.connections)?;
    let was_settled = server.settle(&plan.patience)?;
    let cpu_unflushed_s = (server.cpu_s()? - before).max(CPU_S_MIN);
    let is_settled = server.flush(&plan.patience)? && was_settled;
    Ok(PhaseResult {
        samples: replay.samples,
        cpu_s: (server.cpu_s()? - before).max(CPU_S_MIN),
        cpu_unflushed_s,
        p50: replay.latency(0.5),
        p99: replay.latency(0.99),
        wall: replay.wall,
        retries: replay.retries,
        is_settled,
    })
}

fn footprint(plan: &Plan, server: &Server, samples: u64) -> io::Result<Footprint> {
    let (memory_peak_bytes, written_bytes) = (server.memory_peak_bytes()?, server.written_bytes()?);
    server.flush_and_merge(&plan.patience)?;
    Ok(Footprint {
        memory_peak_bytes,
        written_bytes,
        disk_bytes: server.disk_bytes()?,
        samples,
        stored: server.stored_samples()?,
        cpu_s: server.cpu_s()?,
    })
}
