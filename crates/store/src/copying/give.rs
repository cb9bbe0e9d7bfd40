//! Copies for another store.
//!
//! 1. The part is opened in its snapshot, where no merge removes it.
//! 2. A merge of this part alone writes what belongs to the shards into new parts, whose blocks are taken over as they stand. What tombstones hide, or what
//!    has expired, stays behind.
//! 3. The files of the new parts are handed out and removed. No manifest ever names them; what a crash leaves is swept away at the next start.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use model::TimeRange;
use part::{
    COLUMNS_FILE, INDEX_FILE, Part, PartError, PartMeta, WriterOptions,
    merge::{Hidden, MergeInput},
};
use roaring::RoaringBitmap;
use storage_api::{AdminError, CopyPiece, GiveShards, ShardSet};

use crate::{Store, error::StoreError, inner::Inner, layout, manifest::Manifest, snapshots};

/// Bytes in one piece.
const PIECE_BYTES: usize = 256 << 10;

impl GiveShards for Store {
    fn snapshot_parts(&self, snapshot: &str) -> Result<Vec<u64>, AdminError> {
        let manifest = manifest_of(&self.inner, snapshot)?;
        Ok(manifest.parts.iter().map(|meta| meta.id).collect())
    }

    fn copy_part(
        &self,
        snapshot: &str,
        part: u64,
        shards: &ShardSet,
        take: &mut dyn FnMut(CopyPiece<'_>) -> Result<(), AdminError>,
    ) -> Result<(), AdminError> {
        let manifest = manifest_of(&self.inner, snapshot)?;
        let folder = folder_of(snapshot).join(layout::part(part));
        let failed = |error: &dyn std::fmt::Display| AdminError::Failed(format!("cannot copy part {part}: {error}"));
        let part = Part::open(&*self.inner.disk, &folder).map_err(|error| failed(&error))?;
        let copies = Copies { inner: &self.inner, metas: self.inner.write_copies(&manifest, part, shards)? };
        copies.metas.iter().try_for_each(|meta| hand_out(&self.inner, meta, take))
    }
}

fn folder_of(snapshot: &str) -> PathBuf {
    Path::new(layout::SNAPSHOTS).join(snapshot)
}

/// The manifest of a snapshot, whose name comes from outside.
fn manifest_of(inner: &Inner, snapshot: &str) -> Result<Manifest, AdminError> {
    let failed =
        |error: &dyn std::fmt::Display| AdminError::Failed(format!("cannot read snapshot {snapshot}: {error}"));
    let all = snapshots::list(&*inner.disk).map_err(|error| failed(&error))?;
    let missing = || AdminError::NotFound(format!("there is no snapshot {snapshot:?}"));
    if !all.iter().any(|have| have == snapshot) {
        return Err(missing());
    }
    let manifest = Manifest::load(&*inner.disk, &folder_of(snapshot).join(layout::MANIFEST));
    manifest.map_err(|error| failed(&StoreError::from(error)))?.ok_or_else(missing)
}

/// Parts that are only there to be handed out.
struct Copies<'a> {
    inner: &'a Inner,
    metas: Vec<PartMeta>,
}

impl Drop for Copies<'_> {
    fn drop(&mut self) {
        for meta in &self.metas {
            // What cannot be removed now is swept away at the next start.
            let _ = self.inner.disk.remove_dir_all(&layout::part(meta.id));
        }
    }
}

impl Inner {
    /// Writes what a part of a snapshot holds of the shards into parts that nobody knows.
    fn write_copies(&self, manifest: &Manifest, part: Part, shards: &ShardSet) -> Result<Vec<PartMeta>, AdminError> {
        let damaged = |error: PartError| AdminError::Failed(error.to_string());
        let foreign = foreign_series(&part, shards).map_err(damaged)?;
        if foreign.len() == u64::from(part.meta().series) {
            return Ok(Vec::new());
        }
        let mut hidden = vec![Hidden { series: Arc::new(foreign), range: TimeRange::ALL }];
        for tombstone in manifest.tombstones.iter().filter(|tombstone| tombstone.touches(part.meta())) {
            let series = part.search(tombstone.tenant, &tombstone.compiled).map_err(damaged)?;
            hidden.push(Hidden { series, range: tombstone.range });
        }
        // As dense as it is, so that nothing is encoded anew.
        let options = WriterOptions::new(0, part.meta().effort);
        self.rewrite(MergeInput { part: Arc::new(part), hidden }, options)
    }
}

/// The series of a part that belong to other shards.
fn foreign_series(part: &Part, shards: &ShardSet) -> Result<RoaringBitmap, PartError> {
    let ids = part.labels().ids(0..part.meta().series)?;
    let foreign = ids.iter().zip(0u32..).filter(|(id, _)| !shards.contains(*id)).map(|(_, number)| number);
    Ok(foreign.collect())
}

fn hand_out(
    inner: &Inner,
    meta: &PartMeta,
    take: &mut dyn FnMut(CopyPiece<'_>) -> Result<(), AdminError>,
) -> Result<(), AdminError> {
    take(CopyPiece::Begin { index_bytes: meta.index_bytes, columns_bytes: meta.columns_bytes })?;
    for (file, len) in [(INDEX_FILE, meta.index_bytes), (COLUMNS_FILE, meta.columns_bytes)] {
        let path = layout::part(meta.id).join(file);
        let map = inner.disk.map(&path).map_err(|error| AdminError::Failed(error.to_string()))?;
        if map.len() as u64 != len {
            let (path, have) = (path.display(), map.len());
            return Err(AdminError::Failed(format!("{path} is {have} bytes long, written were {len}")));
        }
        map.chunks(PIECE_BYTES).try_for_each(|bytes| take(CopyPiece::Bytes(bytes)))?;
    }
    Ok(())
}
