//! Sends a recording to a server over several keep-alive connections.
//!
//! 1. One thread reads the file ahead of the connections, by some bodies.
//! 2. A body goes to the connection that its place in the scrape names: the samples of a series stay on one connection and
//!    in order, as they do with Prometheus' shards.
//! 3. `429` and `503` are obeyed: wait, send again, count. Any other refusal ends the replay.

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::figures::percentile;
use crate::recording::{Reader, Record};
use crate::server::Server;

/// Bodies that wait before each connection.
const BODIES_WAITING_MAX: usize = 8;
/// Attempts for one body before the replay gives up.
const ATTEMPTS_MAX: u32 = 600;
const RETRY_WAIT: Duration = Duration::from_millis(100);
const STATUS_TOO_MANY: u16 = 429;
const STATUS_UNAVAILABLE: u16 = 503;

/// How a replay went.
#[derive(Debug, Default, Clone)]
pub struct Replay {
    /// Samples in acknowledged requests.
    pub samples: u64,
    /// Time from the first byte sent to the answer, of each acknowledged attempt, sorted.
    pub latencies: Vec<Duration>,
    /// Attempts that the server put off.
    pub retries: u64,
    /// From the first request to the last answer.
    pub wall: Duration,
}

impl Replay {
    /// The latency that `share` of the requests stay within.
    pub fn latency(&self, share: f64) -> Duration {
        percentile(&self.latencies, share)
    }

    fn join(&mut self, other: Self) {
        self.samples += other.samples;
        self.latencies.extend(other.latencies);
        self.retries += other.retries;
    }
}

/// Sends all of `recording` to the server's remote write endpoint.
pub fn replay(recording: &Path, server: &Server, connections: usize) -> io::Result<Replay> {
    assert!(connections > 0, "a replay needs a connection");
    let reader = Reader::open(recording)?;
    let begin = Instant::now();
    let mut whole = Replay::default();
    scope(|scope| {
        let (mut senders, mut workers) = (Vec::new(), Vec::new());
        for _ in 0..connections {
            let (sender, bodies) = sync_channel(BODIES_WAITING_MAX);
            senders.push(sender);
            let client = server.client();
            workers.push(scope.spawn(move || send_all(client, &bodies)));
        }
        let read = hand_out(reader, &senders);
        // The connections end when nothing can come any more.
        drop(senders);
        for worker in workers {
            whole.join(worker.join().expect("a connection's thread ended with a panic")?);
        }
        read
    })?;
    whole.wall = begin.elapsed();
    whole.latencies.sort_unstable();
    Ok(whole)
}

fn hand_out(reader: impl Iterator<Item = io::Result<Record>>, connections: &[SyncSender<Record>]) -> io::Result<()> {
    for record in reader {
        let record = record?;
        let connection = record.place as usize % connections.len();
        if connections[connection].send(record).is_err() {
            // The connection failed and reports why itself.
            return Ok(());
        }
    }
    Ok(())
}

fn send_all(mut client: Client, bodies: &Receiver<Record>) -> io::Result<Replay> {
    let mut done = Replay::default();
    for record in bodies {
        send_one(&mut client, &record, &mut done)?;
    }
    Ok(done)
}

fn send_one(client: &mut Client, record: &Record, done: &mut Replay) -> io::Result<()> {
    for _ in 0..ATTEMPTS_MAX {
        let begin = Instant::now();
        let answer = client.write("/api/v1/write", &record.body)?;
        if matches!(answer.status, STATUS_TOO_MANY | STATUS_UNAVAILABLE) {
            done.retries += 1;
            sleep(RETRY_WAIT);
            continue;
        }
        answer.success()?;
        done.latencies.push(begin.elapsed());
        done.samples += u64::from(record.samples);
        return Ok(());
    }
    Err(io::Error::other("the server put a request off for too long"))
}
