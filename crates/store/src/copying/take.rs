//! Copies from another store.
//!
//! 1. The files of a part come in and are written into a folder under a number of our own, which no manifest names.
//! 2. When a part is there, a merge of it alone writes parts of ours: blocks are taken over as they stand, after their checksums, and count as if they had
//!    arrived when the copying began. The folder goes.
//! 3. At the end of the copy the manifest names them all at once. What a crash leaves before that is swept away at the next start.

use std::sync::{Arc, atomic::Ordering};

use disk::DiskFile;
use part::{COLUMNS_FILE, INDEX_FILE, Part, PartMeta, WriterOptions, merge::MergeInput};
use storage_api::{AdminError, CopyPiece, TakeCopies, TakeCopy};

use crate::{Store, inner::Inner, layout};

/// No file of a part is longer; what says so was not written by a store.
const FILE_BYTES_MAX: u64 = 1 << 42;

impl TakeCopies for Store {
    fn arrival(&self) -> u64 {
        self.inner.epoch.read().seq
    }

    fn take_copy(&self, arrival: u64) -> Box<dyn TakeCopy> {
        Box::new(Taking { inner: Arc::clone(&self.inner), arrival, coming: None, taken: Vec::new() })
    }
}

/// See the module.
struct Taking {
    inner: Arc<Inner>,
    arrival: u64,
    coming: Option<Coming>,
    /// Parts of ours that nobody knows yet.
    taken: Vec<PartMeta>,
}

/// A part whose bytes come in.
struct Coming {
    id: u64,
    files: [File; 2],
}

struct File {
    file: Box<dyn DiskFile>,
    /// Bytes that are still to come.
    left: u64,
}

fn failed(error: impl std::fmt::Display) -> AdminError {
    AdminError::Failed(format!("cannot take a copy: {error}"))
}

impl TakeCopy for Taking {
    fn take(&mut self, piece: CopyPiece<'_>) -> Result<(), AdminError> {
        match piece {
            CopyPiece::Begin { index_bytes, columns_bytes } => {
                if self.coming.is_some() {
                    return Err(failed("a part begins before the one before it ended"));
                }
                if index_bytes.max(columns_bytes) > FILE_BYTES_MAX {
                    return Err(failed(format!("a part of {index_bytes} and {columns_bytes} bytes")));
                }
                self.coming = Some(self.begin(index_bytes, columns_bytes).map_err(failed)?);
            }
            CopyPiece::Bytes(bytes) => {
                let Some(coming) = &mut self.coming else { return Err(failed("bytes of no part")) };
                coming.append(bytes)?;
            }
        }
        if self.coming.as_ref().is_some_and(Coming::is_whole) {
            let coming = self.coming.take().expect("BUG: a whole part is there");
            let adopted = self.adopt(&coming);
            // It is copied, or asked for again.
            let removed = self.inner.disk.remove_dir_all(&layout::part(coming.id));
            self.taken.extend(adopted?);
            removed.map_err(failed)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<u64, AdminError> {
        if self.coming.is_some() {
            return Err(failed("its last part is cut off"));
        }
        let taken = std::mem::take(&mut self.taken);
        if taken.is_empty() {
            return Ok(0);
        }
        self.inner.replace_parts(&[], &taken).map_err(failed)?;
        self.inner.note_arrivals(&taken, self.inner.clock.now_ms());
        self.inner.versions.all_changed();
        Ok(taken.iter().map(|meta| meta.samples).sum())
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        let coming = self.coming.take().map(|coming| coming.id);
        for id in self.taken.iter().map(|meta| meta.id).chain(coming) {
            // What cannot be removed now is swept away at the next start.
            let _ = self.inner.disk.remove_dir_all(&layout::part(id));
        }
    }
}

impl Coming {
    fn append(&mut self, bytes: &[u8]) -> Result<(), AdminError> {
        let mut rest = bytes;
        for file in &mut self.files {
            let here = usize::try_from(file.left).unwrap_or(usize::MAX).min(rest.len());
            file.file.append(&rest[..here]).map_err(failed)?;
            file.left -= here as u64;
            rest = &rest[here..];
        }
        if rest.is_empty() { Ok(()) } else { Err(failed("a part is longer than it was said to be")) }
    }

    fn is_whole(&self) -> bool {
        self.files.iter().all(|file| file.left == 0)
    }
}

impl Taking {
    fn begin(&self, index_bytes: u64, columns_bytes: u64) -> Result<Coming, disk::Error> {
        let id = self.inner.next_part.fetch_add(1, Ordering::Relaxed);
        let folder = layout::part(id);
        self.inner.disk.create_dir_all(&folder)?;
        let open = |name: &str, left| Ok(File { file: self.inner.disk.create(&folder.join(name))?, left });
        Ok(Coming { id, files: [open(INDEX_FILE, index_bytes)?, open(COLUMNS_FILE, columns_bytes)?] })
    }

    /// Writes the part that came in as parts of ours.
    fn adopt(&self, coming: &Coming) -> Result<Vec<PartMeta>, AdminError> {
        let part = Part::open(&*self.inner.disk, &layout::part(coming.id)).map_err(failed)?;
        let options = WriterOptions {
            seq_min: self.arrival,
            seq_max: self.arrival,
            tombstones_applied: self.arrival,
            ..WriterOptions::new(0, part.meta().effort)
        };
        self.inner.rewrite(MergeInput { part: Arc::new(part), hidden: Vec::new() }, options)
    }
}
