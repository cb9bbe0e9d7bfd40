//! The threads that ask for work.

use std::{
    collections::BTreeSet,
    sync::{
        atomic::Ordering,
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::Instant,
};

use serde_json::Value;
use testkit::Rng;
use traffic::{
    Traffic,
    queries::{Cache, DASHBOARD},
};

use super::Soak;
use crate::{
    ledger::Ledger,
    wire::{BodyWriter, labels},
};

/// The canary's metric.
pub const CANARY: &str = "soak_canary";
const CANARY_SERIES: usize = 20;
/// Late samples of the canary are so old at most; the retention keeps them.
const LATE_MAX_MS: u64 = 28 * 86_400_000;
/// Connections that the traffic comes by.
const CONNECTIONS: usize = 3;
/// Bodies that wait for one.
const BODIES_WAITING: usize = 16;
/// The readers look back by up to so many steps.
const SHIFT_MAX: u64 = 8;

/// Sends the traffic, each scrape in its time.
pub fn write(soak: &Soak) {
    let started = Instant::now();
    thread::scope(|scope| {
        let channels: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let (sender, receiver) = sync_channel(BODIES_WAITING);
                scope.spawn(|| send(soak, receiver));
                sender
            })
            .collect();
        Traffic::new(soak.shape.clone()).requests_with(0..soak.plan.scrapes, |request| {
            let due = soak.plan.scrape * request.scrape as u32;
            if soak.is_over() {
                return;
            }
            thread::sleep(due.saturating_sub(started.elapsed()));
            soak.now_ms.store(soak.shape.start_ms + request.scrape as i64 * soak.plan.step_ms, Ordering::SeqCst);
            // A sender ends only after it was told so, or with its test.
            let _ = channels[request.place as usize % CONNECTIONS].send((request.samples, request.body.to_vec()));
        });
    });
}

/// Sends what one connection is given.
fn send(soak: &Soak, bodies: Receiver<(usize, Vec<u8>)>) {
    let mut client = soak.basalt.client();
    for (samples, body) in bodies {
        if post(soak, &mut client, &body) {
            soak.samples.fetch_add(samples as u64, Ordering::SeqCst);
        }
    }
}

/// Whether a body was acknowledged, all of it.
fn post(soak: &Soak, client: &mut testkit::http::Client, body: &[u8]) -> bool {
    let packed = snap::raw::Encoder::new().compress_vec(body).expect("snappy packs everything");
    let Some(response) = soak.ask(client, "POST", "/api/v1/write", &packed) else {
        return false;
    };
    if let Some(refused) = response.header("x-basalt-refused") {
        soak.fail(format!("refused: {refused}"));
        return false;
    }
    true
}

/// Writes the canary's samples into the present and the past, and keeps them in the ledger.
pub fn sing(soak: &Soak, mut rng: Rng, ledger: &mut Ledger) {
    let mut client = soak.basalt.client();
    let mut batch = 0;
    while !soak.is_over() {
        let mut body = BodyWriter::default();
        let now_ms = soak.now_ms.load(Ordering::SeqCst) + batch % soak.plan.step_ms;
        for series in 0..CANARY_SERIES {
            let name = labels(&[("__name__", CANARY), ("series", &series.to_string())]);
            // Times that never meet: a second value at one time would be another sample.
            let late_ms = rng.below(LATE_MAX_MS) as i64 / 1_000_000 * 1_000_000 + batch;
            let mut samples = vec![(now_ms - soak.plan.step_ms, batch as f64 + series as f64 / 8.0)];
            if rng.chance(0.2) {
                samples.push((soak.shape.start_ms - late_ms, rng.unit()));
            }
            let known = ledger.0.get(&name);
            samples.retain(|(time, _)| known.is_none_or(|known| !known.contains_key(time)));
            body.series(&name, &samples);
        }
        if !post(soak, &mut client, &body.body) {
            return;
        }
        for (name, samples) in body.ledger.0 {
            ledger.0.entry(name).or_default().extend(samples);
        }
        batch += 1;
        thread::sleep(soak.plan.pause);
    }
}

/// Asks what people and dashboards ask.
pub fn read(soak: &Soak, mut rng: Rng) {
    let mut client = soak.basalt.client();
    let others = [
        "/api/v1/export?match[]=soak_canary{series=\"3\"}",
        "/federate?match[]={job=~\"kube.*\"}",
        "/api/v1/labels",
        "/api/v1/label/__name__/values?match[]={job=~\"kube.*\"}",
        "/api/v1/status/tsdb",
        "/api/v1/series/count",
        "/api/v1/query?query=sum(count_over_time(soak_canary[28d]))",
        "/api/v1/status/top_queries",
        "/metrics",
    ];
    while !soak.is_over() {
        let path = if rng.chance(0.25) {
            rng.pick(&others).replace('"', "%22")
        } else {
            let cache = if rng.chance(0.5) { Cache::Used } else { Cache::Unused };
            rng.pick(&DASHBOARD).path(soak.now_s(), rng.below(SHIFT_MAX) as u32, cache)
        };
        soak.ask(&mut client, "GET", &path, b"");
        thread::sleep(soak.plan.pause);
    }
}

/// Does what an operator does: flushes, merges, snapshots, deletes.
pub fn keep(soak: &Soak, mut rng: Rng) {
    let mut victims = 0;
    while !soak.is_over() {
        match rng.below(5) {
            0 => _ = soak.ask(&mut soak.basalt.client(), "GET", "/internal/force_flush", b""),
            1 => _ = soak.ask(&mut soak.basalt.client(), "GET", "/internal/force_merge?wait=1", b""),
            2 => _ = soak.ask(&mut soak.basalt.client(), "GET", "/internal/resetRollupResultCache", b""),
            3 => snapshot(soak),
            _ => {
                delete(soak, victims);
                victims += 1;
            }
        }
        thread::sleep(soak.plan.pause * 10);
    }
}

/// Makes a snapshot, sees it in the list, removes it.
fn snapshot(soak: &Soak) {
    let mut client = soak.basalt.client();
    let Some(created) = soak.ask(&mut client, "GET", "/snapshot/create", b"") else {
        return;
    };
    let created: Value = serde_json::from_str(&created.text()).unwrap_or_default();
    let Some(name) = created["snapshot"].as_str() else {
        return soak.fail(format!("no snapshot: {created}"));
    };
    if let Some(list) = soak.ask(&mut client, "GET", "/snapshot/list", b"")
        && !list.text().contains(name)
    {
        soak.fail(format!("the snapshot {name} is not in {}", list.text()));
    }
    soak.ask(&mut client, "GET", &format!("/snapshot/delete?snapshot={name}"), b"");
}

/// Writes a few series, deletes all but one of them, and looks.
fn delete(soak: &Soak, number: usize) {
    let mut client = soak.basalt.client();
    let mut body = BodyWriter::default();
    let number = number.to_string();
    for part in ["a", "b", "c"] {
        let name = labels(&[("__name__", "soak_victim"), ("number", &number), ("part", part)]);
        body.series(&name, &[(soak.shape.start_ms - 1, 1.0), (soak.now_ms.load(Ordering::SeqCst), 2.0)]);
    }
    if !post(soak, &mut client, &body.body) {
        return;
    }
    let selector = format!("soak_victim{{number=%22{number}%22,part!=%22b%22}}");
    let delete = format!("/api/v1/admin/tsdb/delete_series?match[]={selector}");
    if soak.ask(&mut client, "POST", &delete, b"").is_none() {
        return;
    }
    let export = format!("/api/v1/export?match[]=soak_victim{{number=%22{number}%22}}");
    if let Some(left) = soak.ask(&mut client, "GET", &export, b"") {
        let left: BTreeSet<_> =
            Ledger::from_export(&left.text()).0.into_keys().map(|name| name["part"].clone()).collect();
        if left != BTreeSet::from(["b".to_string()]) {
            soak.fail(format!("of victim {number} are left {left:?}"));
        }
    }
}
