//! Gives all servers the same traffic, which ends now.
//!
//! 1. The traffic is recorded piece by piece, so that a day of it needs no room for a day of bodies.
//! 2. Each piece goes to every server. In the end all flush and merge, and are left until they are idle ([`feed`]).

use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Plan;
use crate::replay::replay;
use crate::server::Server;
use crate::shape::STEP_MS_DEFAULT;
use crate::{Shape, Traffic, recording};

/// Samples in a piece: about 100 MB of bodies.
const PIECE_SAMPLES: u64 = 2_000_000;

/// What the servers hold.
#[derive(Debug, Clone, Copy)]
pub struct Fed {
    /// Samples in each server.
    pub samples: u64,
    /// Right behind the last scrape.
    pub end_s: i64,
}

/// Feeds the plan's traffic to the servers.
pub fn feed(plan: &Plan, servers: &[&Server], folder: &Path, mut progress: impl FnMut(&str)) -> io::Result<Fed> {
    let fed = send(plan, servers, folder, &mut progress)?;
    settle(plan, servers.iter().copied(), progress)?;
    Ok(fed)
}

/// Has all servers flush and merge, and waits until they are idle.
pub fn settle<'a>(
    plan: &Plan,
    servers: impl IntoIterator<Item = &'a Server>,
    mut progress: impl FnMut(&str),
) -> io::Result<()> {
    for server in servers {
        progress("flushing and merging");
        if !server.flush_and_merge(&plan.patience)? {
            return Err(io::Error::other("background work has not ended in time"));
        }
    }
    Ok(())
}

/// Sends the plan's traffic to the servers, which need not be those that keep it.
pub fn send(plan: &Plan, servers: &[&Server], folder: &Path, mut progress: impl FnMut(&str)) -> io::Result<Fed> {
    let end_ms = now_ms()? / STEP_MS_DEFAULT * STEP_MS_DEFAULT;
    let mut traffic = Traffic::new(Shape {
        seed: plan.seed,
        series: plan.series,
        start_ms: end_ms - plan.scrapes as i64 * STEP_MS_DEFAULT,
        samples_per_request: plan.samples_per_request,
        ..Shape::default()
    });
    let path = folder.join("piece.bodies");
    let piece = (PIECE_SAMPLES / plan.series as u64).max(1);
    let mut samples = 0;
    for first in (0..plan.scrapes).step_by(piece as usize) {
        progress(&format!("feeding scrape {first} of {}", plan.scrapes));
        let last = (first + piece).min(plan.scrapes);
        let recorded = recording::record(&mut traffic, first..last, &path)?.samples;
        for server in servers {
            let acknowledged = replay(&path, server, plan.connections)?.samples;
            if acknowledged != recorded {
                return Err(io::Error::other(format!("{acknowledged} of {recorded} samples were acknowledged")));
            }
        }
        samples += recorded;
    }
    std::fs::remove_file(&path)?;
    Ok(Fed { samples, end_s: end_ms / 1_000 })
}

fn now_ms() -> io::Result<i64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    i64::try_from(since.as_millis()).map_err(io::Error::other)
}
