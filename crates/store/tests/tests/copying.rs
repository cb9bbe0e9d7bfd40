//! Copies of shards from store to store.

use std::sync::Arc;

use model::{MatchOp, Matcher, SHARDS, Selector, SeriesId, Tenant, TimeRange};
use storage_api::{Admin, AdminError, CopyPiece, GiveShards, ShardSet, TakeCopies};
use store::DAY_MS;
use testkit::{ManualClock, SimDisk};

use crate::driver::{Driver, Found, NOW, quiet};

fn open(disk: &SimDisk) -> Driver {
    let clock = Arc::new(ManualClock::new(NOW));
    Driver::open(Arc::new(disk.clone()), quiet(), &clock).expect("the store opens")
}

fn fill(driver: &Driver) {
    for round in 0..40 {
        let time = NOW - (40 - round) * 15_000;
        let buckets = (0..20).flat_map(|pod| (0..6).map(move |le| (pod, le)));
        let rows: Vec<(String, i64, f64)> = buckets
            .map(|(pod, le)| (format!("__name__=h_bucket,le={le},pod=p{pod}"), time, (round * (le + 1) + pod) as f64))
            .chain((0..30).map(|pod| (format!("__name__=m,pod=p{pod}"), time - pod % 3 * DAY_MS, round as f64 / 7.0)))
            .collect();
        let rows: Vec<_> = rows.iter().map(|(labels, time, value)| (labels.as_str(), *time, *value)).collect();
        driver.put(&rows);
        if round % 16 == 15 {
            driver.flush().expect("it can be flushed");
        }
        if round == 20 {
            driver.merge().expect("it can be merged");
        }
    }
    driver.delete(Tenant::DEFAULT, pods("p3"), TimeRange::ALL).expect("it can be deleted");
}

fn pods(pod: &str) -> Selector {
    Selector::all_of(vec![Matcher::new("pod", MatchOp::Equal, pod)])
}

/// Copies what belongs to the shards; says how many parts came over.
fn copy(from: &Driver, to: &Driver, snapshot: &str, shards: &ShardSet, arrival: u64) -> usize {
    let mut parts = 0;
    for part in from.store.snapshot_parts(snapshot).expect("the snapshot is there") {
        let mut taking = to.store.take_copy(arrival);
        let mut take = |piece: CopyPiece<'_>| {
            parts += usize::from(matches!(piece, CopyPiece::Begin { .. }));
            taking.take(piece)
        };
        from.store.copy_part(snapshot, part, shards, &mut take).expect("it can be copied");
        taking.finish().expect("it can be taken");
    }
    parts
}

fn of_shards(found: &Found, shards: &ShardSet) -> Found {
    let kept = found.iter().filter(|(key, _)| shards.contains(SeriesId::of(key)));
    kept.map(|(key, rows)| (key.clone(), rows.clone())).collect()
}

#[test]
fn what_belongs_to_some_shards_comes_over_whole_and_nothing_else() {
    let (disk, other_disk) = (SimDisk::new(1), SimDisk::new(2));
    let (from, to) = (open(&disk), open(&other_disk));
    fill(&from);
    let all = from.read_all(Tenant::DEFAULT).expect("it can be read");
    let mut half = ShardSet::empty();
    (0..SHARDS as u16).filter(|shard| shard % 3 != 0).for_each(|shard| half.insert(shard));

    let arrival = to.store.arrival();
    let snapshot = from.wait(from.store.create_snapshot()).expect("a snapshot");
    let files = disk.files().len();
    assert!(copy(&from, &to, &snapshot, &half, arrival) > 3);
    assert_eq!(disk.files().len(), files, "nothing stays behind at the giver");
    let wanted = of_shards(&all, &half);
    assert!(wanted.len() > 60 && wanted.len() < all.len());
    assert_eq!(to.read_all(Tenant::DEFAULT).expect("it can be read"), wanted);
    // What comes twice counts once, and what is deleted while copies come stays deleted.
    to.delete(Tenant::DEFAULT, pods("p5"), TimeRange::ALL).expect("it can be deleted");
    copy(&from, &to, &snapshot, &half, arrival);
    let rest = ShardSet::all().without(&half);
    copy(&from, &to, &snapshot, &rest, arrival);
    let is_p5 = |key: &model::SeriesKey| key.labels().any(|(name, value)| name == "pod" && value == "p5");
    let wanted: Found =
        all.iter().filter(|(key, _)| !is_p5(key)).map(|(key, rows)| (key.clone(), rows.clone())).collect();
    assert_eq!(to.read_all(Tenant::DEFAULT).expect("it can be read"), wanted);
    to.merge().expect("it can be merged");
    assert_eq!(to.read_all(Tenant::DEFAULT).expect("it can be read"), wanted);
    drop(to);
    let to = open(&other_disk.kill());
    assert_eq!(to.read_all(Tenant::DEFAULT).expect("it can be read"), wanted);
}

#[test]
fn a_copy_that_is_cut_short_or_wrong_changes_nothing() {
    let (disk, other_disk) = (SimDisk::new(3), SimDisk::new(4));
    let (from, to) = (open(&disk), open(&other_disk));
    fill(&from);
    let snapshot = from.wait(from.store.create_snapshot()).expect("a snapshot");
    let missing = from.store.snapshot_parts("../parts");
    assert!(matches!(missing, Err(AdminError::NotFound(_))), "{missing:?}");
    let part = from.store.snapshot_parts(&snapshot).expect("the snapshot is there")[0];
    let mut pieces = Vec::new();
    let mut keep = |piece: CopyPiece<'_>| {
        pieces.push(match piece {
            CopyPiece::Begin { index_bytes, columns_bytes } => Err((index_bytes, columns_bytes)),
            CopyPiece::Bytes(bytes) => Ok(bytes.to_vec()),
        });
        Ok(())
    };
    from.store.copy_part(&snapshot, part, &ShardSet::all(), &mut keep).expect("it can be copied");
    let send = |pieces: &[Result<Vec<u8>, (u64, u64)>]| {
        let mut taking = to.store.take_copy(0);
        for piece in pieces {
            taking.take(match piece {
                Err((index_bytes, columns_bytes)) => {
                    CopyPiece::Begin { index_bytes: *index_bytes, columns_bytes: *columns_bytes }
                }
                Ok(bytes) => CopyPiece::Bytes(bytes),
            })?;
        }
        taking.finish()
    };
    let (all, files) = (pieces.len(), other_disk.files());
    assert!(send(&pieces[..all - 1]).is_err(), "it is cut off");
    assert!(send(&pieces[1..]).is_err(), "it has no begin");
    assert!(send(&[&pieces[..], &pieces[1..2]].concat()).is_err(), "it is too long");
    let mut wrong = pieces.clone();
    if let Ok(bytes) = &mut wrong[1] {
        bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
    }
    assert!(send(&wrong).is_err(), "it is damaged");
    assert!(send(&[Err((u64::MAX, 1))]).is_err(), "nothing is so long");
    assert_eq!((to.store.stats().parts, other_disk.files()), (0, files));
    assert!(send(&pieces).is_ok_and(|samples| samples > 0));
}
