//! Checks a whole data folder without changing it.
//!
//! Every part that the manifest names is read through, every record of the log decoded, and manifest, secret and metadata are read. The folder must not be
//! in use.

use std::path::Path;

use disk::Disk;
use part::Part;
use storage_api::Verification;
use wal::ReplaySink;

use crate::{error::StoreError, layout, manifest::Manifest, metadata::MetadataTable, secret};

/// Takes records and forgets them; only whether they decode is of interest.
struct Count;

impl ReplaySink for Count {
    fn define(&self, keys: &mut dyn Iterator<Item = &[u8]>, slots: &mut Vec<u32>) {
        slots.extend(keys.enumerate().map(|(number, _)| number as u32));
    }

    fn samples(&self, _: &[u32], _: &[i64], _: &[f64]) {}

    fn tombstone(&self, _: &[u8]) {}

    fn metadata(&self, _: &[u8]) {}
}

/// Reads everything. Damage is listed; an error means that the check itself could not be done.
pub fn verify(disk: &dyn Disk) -> Result<Verification, StoreError> {
    let _lock = disk.lock(Path::new(layout::LOCK))?;
    let mut found = Verification::default();
    let manifest = match Manifest::load(disk, Path::new(layout::MANIFEST)) {
        Ok(manifest) => manifest.unwrap_or_default(),
        Err(error) => {
            found.damage.push(StoreError::from(error).to_string());
            return Ok(found);
        }
    };
    for meta in &manifest.parts {
        found.parts += 1;
        let checked = Part::open(disk, &layout::part(meta.id)).and_then(|part| {
            if part.meta() == meta {
                part.verify()
            } else {
                let folder = layout::part(meta.id);
                Err(disk::Corrupt::new(folder, 0, "differs from what the manifest says").into())
            }
        });
        match checked {
            Ok(verified) => found.samples += verified.samples,
            Err(error) => found.damage.push(error.to_string()),
        }
    }
    if disk.exists(Path::new(layout::WAL))? {
        let log = wal::replay(disk, Path::new(layout::WAL), manifest.wal_floor, 1, &Count)?;
        found.log_records = log.records;
        found.damage.extend(log.damaged.iter().map(ToString::to_string));
    }
    if let Err(error) = MetadataTable::load(disk, Path::new(layout::METADATA)) {
        found.damage.push(StoreError::from(error).to_string());
    }
    if disk.exists(Path::new(layout::SECRET))?
        && let Err(error) = secret::load_or_create(disk, Path::new(layout::SECRET), || [0; secret::SECRET_BYTES])
    {
        found.damage.push(StoreError::from(error).to_string());
    }
    Ok(found)
}
