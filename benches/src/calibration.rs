//! The proof that the traffic is of the usual kind: VictoriaMetrics packs it as the design says it packs such data.
//!
//! 1. A server (Debian's `victoria-metrics`) is started over an empty folder.
//! 2. A day of traffic is sent as remote write, generated on the way by a thread of its own.
//! 3. Flush, merge, wait for the end; then the bytes of data and index are divided by the samples sent. The server's
//!    own figures tell data from index; all files of the folder are counted beside.

use std::io;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use crate::server::{Patience, Server};
use crate::{Shape, Traffic, compress};

/// Bodies that wait between generator and sender.
const BODIES_WAITING_MAX: usize = 16;
const PATIENCE: Patience = Patience { idle: Duration::from_secs(2), most: Duration::from_secs(600) };

/// What the design measured with Debian's VictoriaMetrics: bytes a sample, index included.
pub const JITTERED_BYTES_PER_SAMPLE: f64 = 1.17;
/// The same with exactly regular scrapes.
pub const ALIGNED_BYTES_PER_SAMPLE: f64 = 0.97;
/// How far the traffic may be from it.
pub const TOLERANCE: f64 = 0.10;

/// The outcome of one run.
#[derive(Debug, Clone, Copy)]
pub struct Calibration {
    /// Samples sent and accepted.
    pub samples: u64,
    /// Samples that the server counts in its parts.
    pub stored: f64,
    /// Bytes of values and timestamps.
    pub data_bytes: f64,
    /// Bytes of the index.
    pub index_bytes: f64,
    /// All files of the folder.
    pub disk_bytes: u64,
    /// CPU seconds of the server, until its background work had ended but without the forced merge.
    pub cpu_s: f64,
    /// Wall clock seconds for sending.
    pub send_s: f64,
    /// The most memory that was ever resident.
    pub memory_peak_bytes: u64,
}

impl Calibration {
    /// Data and index together, as the server counts them.
    pub fn bytes_per_sample(&self) -> f64 {
        (self.data_bytes + self.index_bytes) / self.samples as f64
    }

    /// All files in the server's folder.
    pub fn disk_bytes_per_sample(&self) -> f64 {
        self.disk_bytes as f64 / self.samples as f64
    }
}

/// Sends `scrapes` scrapes of `shape` to a fresh server in `folder` and measures what it makes of them.
pub fn run(command: &str, shape: Shape, scrapes: u64, folder: &Path) -> io::Result<Calibration> {
    let server = Server::start(command, &folder.join("data"))?;
    let begin = Instant::now();
    let samples = send(&server, shape, scrapes)?;
    let send_s = begin.elapsed().as_secs_f64();
    server.settle(&PATIENCE)?;
    let cpu_s = server.cpu_s()?;
    if !server.flush_and_merge(&PATIENCE)? {
        return Err(io::Error::other("the merge has not ended in time"));
    }
    let index_bytes = server.metric_sum("vm_data_size_bytes{type=\"indexdb")?;
    Ok(Calibration {
        samples,
        stored: server.stored_samples()?,
        data_bytes: server.metric_sum("vm_data_size_bytes{type=\"storage")?,
        index_bytes,
        disk_bytes: server.disk_bytes()?,
        cpu_s,
        send_s,
        memory_peak_bytes: server.memory_peak_bytes()?,
    })
}

fn send(server: &Server, shape: Shape, scrapes: u64) -> io::Result<u64> {
    let mut client = server.client();
    let (sender, bodies) = sync_channel::<(usize, Vec<u8>)>(BODIES_WAITING_MAX);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut encoder = snap::raw::Encoder::new();
            Traffic::new(shape).requests_with(0..scrapes, |request| {
                let mut compressed = Vec::new();
                compress(request.body, &mut encoder, &mut compressed);
                // The other end is gone only after a failed request, which is reported there.
                let _ = sender.send((request.samples, compressed));
            });
        });
        let mut samples = 0;
        for (count, body) in bodies {
            client.write("/api/v1/write", &body)?.success()?;
            samples += count as u64;
        }
        Ok(samples)
    })
}
