//! Opening a data folder.
//!
//! 1. Lock the folder; read secret, manifest and metadata; complain about what does not belong there.
//! 2. Open the parts that the manifest names; set damaged ones aside; sweep away what work that was cut short left behind.
//! 3. Replay the log from the first segment that counts into a first generation, and go on in a new segment.

use std::{
    collections::{HashSet, VecDeque},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64},
    },
};

use disk::Disk;
use head::{Head, HeadOptions};
use model::Clock;
use parking_lot::{Condvar, Mutex, RwLock};
use part::{Part, PartError, Searches};
use wal::Wal;

use crate::{
    arrivals::Arrivals,
    background::Signals,
    counters::{Counters, add},
    error::StoreError,
    events::Reporter,
    inner::{Epoch, Inner, Published},
    layout,
    limits::SeriesLimit,
    manifest::Manifest,
    metadata::MetadataTable,
    options::Options,
    quarantine,
    read_only::ReadOnly,
    replay::{replay, threads},
    returning::Returning,
    secret, snapshots,
    state::{OpenGeneration, Shared},
    versions::Versions,
};

/// Opens a data folder for reading and writing.
pub fn open(
    disk: Arc<dyn Disk>,
    options: Options,
    clock: Arc<dyn Clock>,
    report: Reporter,
) -> Result<Inner, StoreError> {
    let lock = disk.lock(Path::new(layout::LOCK))?;
    refuse_foreign(&*disk)?;
    report_strangers(&*disk, &report)?;
    for folder in [layout::WAL, layout::PARTS, layout::SNAPSHOTS, layout::QUARANTINE] {
        disk::create_dir_durable(&*disk, Path::new(folder))?;
    }
    let manifest = Manifest::load(&*disk, Path::new(layout::MANIFEST))?.unwrap_or_default();
    let metadata = MetadataTable::load(&*disk, Path::new(layout::METADATA))?;
    let secret = secret::load_or_create(&*disk, Path::new(layout::SECRET), random)?;
    let head = Arc::new(Head::new(&HeadOptions { secret, encodings_max: options.encodings_max(), is_searched: true }));
    snapshots::sweep(&*disk)?;
    let counters = Counters::default();
    let searches = Arc::new(Searches::new(options.searches_bytes()));
    let opened = open_parts(&*disk, &manifest, &searches, &counters, &report)?;
    let first = Arc::new(OpenGeneration::new(1, manifest.floor_seq, clock.now_ms(), &head));
    let tombstones: Vec<_> = manifest.tombstones.iter().cloned().map(Arc::new).collect();
    let next_part = sweep_parts(&*disk, &manifest)?;

    let shared = Shared::default();
    shared.change(|state| {
        state.parts = opened;
        state.generations = vec![Arc::clone(&first)];
        state.tombstones = tombstones.clone();
    });
    let published = Published {
        parts: shared.get().parts.iter().map(|part| part.meta().clone()).collect(),
        tombstones,
        wal_floor: manifest.wal_floor,
        floor_seq: manifest.floor_seq,
    };
    let returning = Returning::of(&shared.get().parts, &options, clock.now_ms());
    let replayed = replay(&*disk, &manifest, &head, &first, &metadata, &counters, &report)?;
    let wal_options = wal::Options { ack: options.ack, commits: options.commits, ..wal::Options::default() };
    let wal = Wal::create(Arc::clone(&disk), layout::WAL.into(), replayed.next_segment, wal_options)?;

    let inner = Inner {
        epoch: RwLock::new(Epoch { seq: replayed.seq, generation: first, records: 0 }),
        closed: Mutex::new(VecDeque::new()),
        published: Mutex::new(published),
        next_part: AtomicU64::new(next_part),
        merging: Mutex::new(HashSet::new()),
        merge_done: Condvar::new(),
        arrivals: Arrivals::since(clock.now_ms()),
        flushing: Mutex::new(()),
        snapshots: Mutex::new(0),
        snapshots_hour: AtomicI64::new(i64::MIN),
        metadata,
        hourly: SeriesLimit::hourly(options.max_hourly_series),
        daily: SeriesLimit::daily(options.max_daily_series),
        versions: Versions::default(),
        returning: RwLock::new(returning),
        searches,
        counters,
        healed: AtomicU64::new(0),
        read_only: ReadOnly::default(),
        free_bytes: AtomicU64::new(u64::MAX),
        unreadable_seen: AtomicU64::new(0),
        head_bytes_seen: AtomicU64::new(0),
        replay_threads: threads() as u64,
        signals: Signals::default(),
        closing: AtomicBool::new(false),
        disk,
        clock,
        options,
        report,
        shared,
        head,
        wal,
        _lock: lock,
    };
    for tombstone in replayed.tombstones {
        let known = inner.published.lock().tombstones.iter().any(|have| have.seq == tombstone.seq);
        if !known {
            inner.add_tombstone(tombstone);
        }
    }
    inner.look_at_space();
    Ok(inner)
}

fn random() -> [u8; secret::SECRET_BYTES] {
    use std::hash::{BuildHasher, RandomState};
    let mut secret = [0; secret::SECRET_BYTES];
    for word in secret.chunks_exact_mut(8) {
        // Each state is keyed from the system's source of randomness.
        word.copy_from_slice(&RandomState::new().hash_one(0u64).to_le_bytes());
    }
    secret
}

/// Nothing is begun in the folder of another database: its files and ours could no longer be told apart.
fn refuse_foreign(disk: &dyn Disk) -> Result<(), StoreError> {
    const OTHERS: &[(&str, &[&str])] =
        &[("VictoriaMetrics", &["data", "indexdb"]), ("Prometheus", &["chunks_head", "wal"])];
    let entries = disk.list(Path::new(""))?;
    let is_folder = |name: &str| entries.iter().any(|entry| entry.name == name && entry.is_dir);
    if entries.iter().any(|entry| entry.name == layout::MANIFEST && !entry.is_dir) {
        return Ok(());
    }
    match OTHERS.iter().find(|(_, folders)| folders.iter().all(|name| is_folder(name))) {
        Some((owner, _)) => Err(StoreError::Folder(format!(
            "{} is a data folder of {owner}; nothing in it was changed. Name a folder of Basalt's own with -storageDataPath",
            disk.root().display()
        ))),
        None => Ok(()),
    }
}

fn report_strangers(disk: &dyn Disk, report: &Reporter) -> Result<(), StoreError> {
    for entry in disk.list(Path::new(""))? {
        let tmp = entry.name.strip_suffix(".tmp").unwrap_or(&entry.name);
        if !layout::KNOWN.contains(&tmp) {
            report.warning(format!("{:?} in the data folder is none of Basalt's and is left alone", entry.name));
        }
    }
    Ok(())
}

fn open_parts(
    disk: &dyn Disk,
    manifest: &Manifest,
    searches: &Arc<Searches>,
    counters: &Counters,
    report: &Reporter,
) -> Result<Vec<Arc<Part>>, StoreError> {
    let mut parts = Vec::with_capacity(manifest.parts.len());
    for meta in &manifest.parts {
        let folder = layout::part(meta.id);
        let damage = match Part::open(disk, &folder) {
            Ok(part) if part.meta() == meta => {
                parts.push(Arc::new(part.remembering(searches)));
                continue;
            }
            Ok(_) => format!("{} differs from what the manifest says", folder.display()),
            Err(PartError::Corrupt(corrupt)) => corrupt.to_string(),
            Err(PartError::Disk(error)) if error.is_not_found() => error.to_string(),
            // A disk that cannot be read now may be readable later, and what a newer program wrote is whole: nothing is moved.
            Err(error) => return Err(error.into()),
        };
        add(&counters.quarantined_parts, 1);
        report.error(format!("part {} is damaged and set aside: {damage}", layout::part_name(meta.id)));
        if disk.exists(&folder)? {
            quarantine::move_part(disk, meta.id)?;
        }
    }
    Ok(parts)
}

/// Removes folders that the manifest does not name. Gives the next number for a part.
fn sweep_parts(disk: &dyn Disk, manifest: &Manifest) -> Result<u64, StoreError> {
    let named: HashSet<u64> = manifest.parts.iter().map(|meta| meta.id).collect();
    let mut next = manifest.next_part;
    for entry in disk.list(Path::new(layout::PARTS))? {
        let id = layout::part_id(entry.name.strip_suffix(".tmp").unwrap_or(&entry.name));
        let Some(id) = id else { continue };
        next = next.max(id + 1);
        if entry.name.ends_with(".tmp") || !named.contains(&id) {
            disk.remove_dir_all(&Path::new(layout::PARTS).join(&entry.name))?;
        }
    }
    Ok(next)
}
