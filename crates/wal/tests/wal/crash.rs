//! Histories of a log on a hostile disk.
//!
//! Strategy: a seed decides a history of several lives. A life appends, waits, rotates, syncs, removes what counts as
//! published, and meets planned faults; it ends with a power cut or a kill, between two calls or inside one. Then the
//! log is replayed and the next life begins on what was found.
//!
//! Invariants, after every end:
//! 1. Every sample whose ticket resolved with success, and that is not published, is replayed (power cuts: if tickets
//!    mean durability, or if it was synced since; kills: always, if tickets mean anything).
//! 2. Nothing is replayed that was not logged, nothing twice.
//! 3. A replayed tombstone stands behind the samples logged before it and before those logged after it.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use testkit::{Fault, Op, Rng, SimDisk};
use wal::{Ack, Ticket, Wal};

use crate::common::{Event, deterministic, dir, key_of, replay_from};

const SERIES: u32 = 24;
const LIVES_MAX: u64 = 4;
const STEPS_MAX: u64 = 30;

/// Something that was appended.
struct Logged {
    events: Vec<Event>,
    segment: u64,
    ticket: Option<Ticket>,
    acked: bool,
    synced: bool,
}

/// One history.
struct History {
    rng: Rng,
    ack: Ack,
    /// Everything ever logged, in order; what is published or known to be lost is taken out.
    logged: Vec<Logged>,
    /// Makes every sample one of its kind.
    next_time: i64,
    /// The first segment that is not published.
    from: u64,
    /// A sync failed since the machine started, so that it may say yes to the next one for nothing.
    sync_failed: bool,
}

impl History {
    fn new(seed: u64) -> History {
        let mut rng = Rng::new(seed);
        let ack = *rng.pick(&[Ack::Power, Ack::Power, Ack::Process, Ack::None]);
        History { rng, ack, logged: Vec::new(), next_time: 0, from: 0, sync_failed: false }
    }

    /// Lives through the history; panics where an invariant is broken.
    fn run(mut self, disk: SimDisk) {
        let mut disk = disk;
        for life in 0..1 + self.rng.below(LIVES_MAX) {
            let (report, _) = replay_from(&disk, self.from, 1);
            match self.open(&disk, report.next_number) {
                Ok(wal) => {
                    // Opening made durable what was replayed.
                    self.logged.iter_mut().for_each(|logged| logged.synced |= !self.sync_failed);
                    self.live(&disk, &wal, life);
                    self.sync_failed |= wal.stats().failures > 0;
                }
                Err(_) => self.sync_failed = true,
            }
            let is_cut = self.rng.chance(0.6);
            self.sync_failed &= !is_cut;
            disk = if is_cut { disk.cut_power() } else { disk.kill() };
            self.judge(&disk, is_cut);
        }
    }

    fn open(&mut self, disk: &SimDisk, number: u64) -> wal::Result<Wal> {
        if self.rng.chance(0.5) {
            self.plan_fault(disk);
        }
        let options = wal::Options { ack: self.ack, ..deterministic() };
        Wal::create(std::sync::Arc::new(disk.clone()), dir(), number, options)
    }

    fn plan_fault(&mut self, disk: &SimDisk) {
        let nth = 1 + self.rng.below(8);
        if self.rng.chance(0.1) {
            disk.inject(Fault::on(Op::Reserve).nth(1 + nth / 3));
        }
        match self.rng.below(9) {
            0..3 => disk.inject(Fault::on(Op::Sync).path("wal/*").nth(nth).drop_dirty()),
            3 => disk.inject(Fault::on(Op::Sync).path("wal/*").nth(nth)),
            4 => disk.inject(Fault::on(Op::Append).nth(nth).write_short()),
            5 => disk.inject(Fault::on(Op::SyncDir).path("wal").nth(1 + nth / 3)),
            6 => disk.inject(Fault::on(Op::Create).nth(1 + nth / 3)),
            7 => disk.set_free_bytes(8192 + self.rng.below(20_000)),
            _ => disk.stop_after(self.rng.below(40)),
        }
    }

    fn live(&mut self, disk: &SimDisk, wal: &Wal, life: u64) {
        for _ in 0..self.rng.below(STEPS_MAX) {
            match self.rng.below(20) {
                0..8 => self.append(wal, life),
                8..13 => self.wait(),
                13 => self.tombstone(wal),
                14..16 => {
                    let _ = wal.rotate();
                }
                16 => self.sync(wal),
                17 => self.publish(wal),
                _ => self.look(disk),
            }
            if self.rng.chance(0.2) {
                self.settle(wal);
            }
        }
    }

    fn append(&mut self, wal: &Wal, life: u64) {
        let mut samples = Vec::new();
        for _ in 0..1 + self.rng.below(12) {
            self.next_time += 1;
            let series = self.rng.below(u64::from(SERIES)) as u32;
            let value = if self.rng.chance(0.7) { self.rng.below(1000) as f64 } else { self.rng.unit() };
            samples.push((series, self.next_time, value));
        }
        // Every life numbers its slots in its own way.
        let slot_of = |series: u32| (series * 5 + life as u32) % 64;
        let slots: Vec<u32> = samples.iter().map(|sample| slot_of(sample.0)).collect();
        let times: Vec<i64> = samples.iter().map(|sample| sample.1).collect();
        let values: Vec<f64> = samples.iter().map(|sample| sample.2).collect();
        let key = &mut |slot: u32, out: &mut Vec<u8>| {
            let series = (0..SERIES).find(|series| slot_of(*series) == slot).expect("a slot of this life");
            out.extend_from_slice(&key_of(series));
        };
        let ticket = wal.append_samples(&slots, &times, &values, key);
        self.note(wal, crate::common::events_of(&samples), ticket);
    }

    fn tombstone(&mut self, wal: &Wal) {
        self.next_time += 1;
        let bytes = self.next_time.to_le_bytes();
        let ticket = wal.append_tombstone(&bytes);
        self.note(wal, vec![Event::Tombstone(bytes.to_vec())], ticket);
    }

    fn note(&mut self, wal: &Wal, events: Vec<Event>, ticket: wal::Result<Ticket>) {
        let segment = wal.active();
        match ticket {
            Ok(ticket) => {
                self.logged.push(Logged { events, segment, ticket: Some(ticket), acked: false, synced: false });
            }
            // Refused, but parts may have been written.
            Err(_) => self.logged.push(Logged { events, segment, ticket: None, acked: false, synced: false }),
        }
    }

    /// Waits for some ticket, not always the oldest.
    fn wait(&mut self) {
        let open: Vec<usize> = (0..self.logged.len()).filter(|at| self.logged[*at].ticket.is_some()).collect();
        if open.is_empty() {
            return;
        }
        let logged = &mut self.logged[*self.rng.pick(&open)];
        if let Some(ticket) = logged.ticket.take() {
            logged.acked = ticket.wait().is_ok();
        }
    }

    fn sync(&mut self, wal: &Wal) {
        if wal.sync_now().is_ok() {
            let active = wal.active();
            // What went into a segment that failed is not vouched for by the next one's sync.
            let failed = wal.stats().failures > 0;
            for logged in self.logged.iter_mut().filter(|logged| !failed && logged.segment <= active) {
                logged.synced |= logged.ticket.is_some() || logged.acked;
            }
        }
    }

    /// What the store does after a flush: the closed segments are not needed any more.
    fn publish(&mut self, wal: &Wal) {
        if let Ok(closed) = wal.rotate() {
            self.from = closed + 1;
            self.logged.retain(|logged| logged.segment > closed);
            let _ = wal.remove_through(closed);
        }
    }

    /// The way on after a failure.
    fn settle(&mut self, wal: &Wal) {
        if wal.stats().failures > 0 {
            let _ = wal.rotate();
        }
    }

    /// What would be found now?
    fn look(&mut self, disk: &SimDisk) {
        let (_, found) = replay_from(&disk.what_if_cut(self.rng.next_u64()), self.from, 2);
        self.check(&found, true);
    }

    /// Checks what is found after the end of a life; what it does not hold is gone for good.
    fn judge(&mut self, disk: &SimDisk, is_cut: bool) {
        let (_, found) = replay_from(disk, self.from, 1 + self.rng.index(3));
        self.check(&found, is_cut);
        let found: BTreeSet<&Event> = found.iter().collect();
        for logged in &mut self.logged {
            logged.events.retain(|event| found.contains(event));
            logged.ticket = None;
            logged.acked &= is_cut || self.ack == Ack::Power;
            logged.synced |= is_cut;
        }
        self.logged.retain(|logged| !logged.events.is_empty());
    }

    fn check(&self, found: &[Event], is_cut: bool) {
        let mut places = BTreeMap::new();
        for (at, event) in found.iter().enumerate() {
            assert!(places.insert(event, at).is_none(), "replayed twice: {event:?}");
        }
        let known: BTreeSet<&Event> = self.logged.iter().flat_map(|logged| &logged.events).collect();
        for event in found {
            assert!(known.contains(event), "replayed, but never logged: {event:?}");
        }
        for logged in &self.logged {
            let is_safe = logged.synced
                || logged.acked
                    && match self.ack {
                        Ack::Power => true,
                        Ack::Process => !is_cut,
                        Ack::None => false,
                    };
            for event in logged.events.iter().filter(|_| is_safe) {
                assert!(places.contains_key(event), "lost: {event:?}");
            }
        }
        self.check_order(&places);
    }

    fn check_order(&self, places: &BTreeMap<&Event, usize>) {
        let mut barrier = None;
        let mut last = None;
        for place in self.logged.iter().flat_map(|logged| &logged.events).filter_map(|event| {
            let place = *places.get(event)?;
            Some((place, matches!(event, Event::Tombstone(_))))
        }) {
            let (at, is_tombstone) = place;
            assert!(barrier.is_none_or(|barrier| barrier < at), "replayed before the tombstone that it came after");
            if is_tombstone {
                assert!(last.is_none_or(|last| last < at), "replayed behind the tombstone that it came before");
                barrier = Some(at);
            }
            last = last.max(Some(at));
        }
    }
}

fn histories(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let run = || History::new(seed).run(SimDisk::new(seed));
        if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            println!("history of seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// The first seed whose history shows that syncs like `pattern` are skipped.
fn caught(pattern: &str) -> Option<u64> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let seed = (0..2000).find(|seed| {
        let disk = SimDisk::new(*seed);
        disk.ignore_sync(pattern);
        catch_unwind(AssertUnwindSafe(|| History::new(*seed).run(disk))).is_err()
    });
    std::panic::set_hook(hook);
    seed
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_invented() {
    histories(0..4000);
}

#[test]
fn a_skipped_sync_of_a_segment_is_caught() {
    assert!(caught("wal/*").is_some());
}

#[test]
fn a_skipped_sync_of_the_folder_is_caught() {
    assert!(caught("wal").is_some());
}
