//! What one query costs one server: CPU when it is asked alone, times to the answer when many ask.
//!
//! 1. Every request is a step later than the one before, as a dashboard is that refreshes itself; after an hour the first comes again.
//! 2. CPU is user plus system time of the process between two moments, over all requests of one client.
//! 3. Then several clients ask at once, each as soon as it has its answer.
//! 4. Ranges are asked for once more by one client, now with what the server remembers of former answers.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::scope;
use std::time::{Duration, Instant};

use super::{Cache, Plan, Query};
use crate::figures::percentile;
use crate::server::Server;

/// Requests move within this time, and then begin anew.
const SHIFT_WITHIN_S: i64 = 3_600;
/// A tick at least: a tiny run must not divide by zero.
const CPU_S_MIN: f64 = 0.01;

/// One query on one server in one round.
#[derive(Debug, Clone)]
pub struct Cost {
    /// CPU of the server for one query.
    pub cpu_s: f64,
    /// Times to the answer, for each number of clients in [`Plan::clients`].
    pub crowds: Vec<Crowd>,
    /// CPU for one query of a range when former answers may be used.
    pub cached_cpu_s: Option<f64>,
    /// The most memory that was resident meanwhile.
    pub memory_peak_bytes: u64,
}

/// Times to the answer when several clients asked.
#[derive(Debug, Clone, Copy)]
pub struct Crowd {
    /// Half of the answers came within.
    pub p50: Duration,
    /// 99 % of the answers came within.
    pub p99: Duration,
}

/// Asks the server the query over and over.
pub fn measure(plan: &Plan, server: &Server, query: &Query, end_s: i64) -> io::Result<Cost> {
    server.forget_memory_peak()?;
    let cpu_s = cpu_alone(plan, server, query, end_s, Cache::Unused)?;
    let crowds = plan.clients.iter().map(|&clients| {
        let times = ask(plan, server, query, end_s, clients, Cache::Unused)?;
        Ok(Crowd { p50: percentile(&times, 0.5), p99: percentile(&times, 0.99) })
    });
    let crowds = crowds.collect::<io::Result<_>>()?;
    let cached = query.is_range().then(|| cpu_alone(plan, server, query, end_s, Cache::Used));
    Ok(Cost { cpu_s, crowds, cached_cpu_s: cached.transpose()?, memory_peak_bytes: server.memory_peak_bytes()? })
}

/// CPU of the server for one query when one client asks.
fn cpu_alone(plan: &Plan, server: &Server, query: &Query, end_s: i64, cache: Cache) -> io::Result<f64> {
    let before = server.cpu_s()?;
    let times = ask(plan, server, query, end_s, 1, cache)?;
    Ok((server.cpu_s()? - before).max(CPU_S_MIN) / times.len() as f64)
}

/// The times to all answers, sorted. Every client asks at least once.
pub fn ask(
    plan: &Plan,
    server: &Server,
    query: &Query,
    end_s: i64,
    clients: usize,
    cache: Cache,
) -> io::Result<Vec<Duration>> {
    let shifts = u32::try_from(SHIFT_WITHIN_S / query.step_s()).expect("BUG: steps are longer than nothing");
    let (begin, asked) = (Instant::now(), AtomicU32::new(0));
    // With many clients each asks twice, so that the last answers are those of a busy server too.
    let queries_least = plan.queries_least.max(2 * clients);
    let is_enough = |number: u32, is_first: bool| {
        let elapsed = begin.elapsed();
        let is_long = elapsed >= plan.least && number as usize >= queries_least;
        !is_first && (is_long || elapsed >= plan.most)
    };
    let one_client = || -> io::Result<Vec<Duration>> {
        let (mut client, mut times) = (server.client(), Vec::new());
        loop {
            let number = asked.fetch_add(1, Ordering::Relaxed);
            if is_enough(number, times.is_empty()) {
                return Ok(times);
            }
            let path = query.path(end_s, shifts - 1 - number % shifts, cache);
            let sent = Instant::now();
            client.get(&path)?.success().map_err(|error| io::Error::other(format!("{}: {error}", query.name)))?;
            times.push(sent.elapsed());
        }
    };
    let mut times = scope(|scope| {
        let workers: Vec<_> = (0..clients).map(|_| scope.spawn(one_client)).collect();
        let joined = workers.into_iter().map(|worker| worker.join().expect("a client's thread ended with a panic"));
        joined.collect::<io::Result<Vec<_>>>()
    })?
    .concat();
    times.sort_unstable();
    Ok(times)
}
