//! The manifest: which parts count, from which segment on the log does, and what is deleted.
//!
//! 1. It is written whole, to a file beside, and renamed over the old one: a reader finds one or the other.
//! 2. Whatever stands in `parts` and not in the manifest is left over from work that was cut short, and is swept away.
//! 3. Whatever stands in the log before its first segment is in parts, and is removed.

use std::path::Path;

use codec::bytes::{Malformed, Reader, put_varint};
use disk::{Corrupt, Disk};
use part::PartMeta;

use crate::tombstone::Tombstone;

/// Version of the manifest and with it of the whole data folder.
pub const FORMAT_VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"BSLTMANI";
/// No manifest is longer: some million parts.
pub const MANIFEST_BYTES_MAX: u64 = 256 << 20;

/// What is durable.
#[derive(Debug, Clone, Default)]
pub struct Manifest {
    /// The next part gets this number.
    pub next_part: u64,
    /// The first segment of the log that still counts.
    pub wal_floor: u64,
    /// Rows of that segment arrived no earlier than this.
    pub floor_seq: u64,
    /// The parts.
    pub parts: Vec<PartMeta>,
    /// The deletions that may still hide rows.
    pub tombstones: Vec<Tombstone>,
}

impl Manifest {
    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        put_varint(&mut out, self.next_part);
        put_varint(&mut out, self.wal_floor);
        put_varint(&mut out, self.floor_seq);
        put_varint(&mut out, self.parts.len() as u64);
        for part in &self.parts {
            part.write(&mut out);
        }
        put_varint(&mut out, self.tombstones.len() as u64);
        for tombstone in &self.tombstones {
            tombstone.write(&mut out);
        }
        let crc = disk::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the bytes of the file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        if bytes.get(..8) != Some(&MAGIC[..]) {
            return Err("wrong magic: not a manifest".into());
        }
        let Some(version) = bytes.get(8..12) else { return Err("the file is shorter than its header".into()) };
        let version = u32::from_le_bytes([version[0], version[1], version[2], version[3]]);
        if version != FORMAT_VERSION {
            return Err(format!(
                "the data folder has format version {version}, this program reads up to {FORMAT_VERSION}"
            ));
        }
        let Some((body, crc)) = bytes.split_last_chunk::<4>() else { return Err("the file is cut".into()) };
        if disk::crc32c(body).to_le_bytes() != *crc {
            return Err("the checksum does not match".into());
        }
        Self::parse(body).map_err(|error| error.to_string())
    }

    fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        reader.bytes(12)?;
        let mut manifest = Self {
            next_part: reader.varint()?,
            wal_floor: reader.varint()?,
            floor_seq: reader.varint()?,
            ..Self::default()
        };
        for _ in 0..reader.varint()? {
            manifest.parts.push(PartMeta::read(&mut reader)?);
        }
        for _ in 0..reader.varint()? {
            manifest.tombstones.push(Tombstone::read(&mut reader)?);
        }
        reader.finish()?;
        Ok(manifest)
    }

    /// Makes this the manifest.
    pub fn publish(&self, disk: &dyn Disk, path: &Path) -> Result<(), disk::Error> {
        disk::publish_file(disk, path, &self.to_bytes())
    }

    /// Reads the manifest; `None` if there is none yet.
    pub fn load(disk: &dyn Disk, path: &Path) -> Result<Option<Self>, LoadError> {
        if !disk.exists(path).map_err(LoadError::Disk)? {
            return Ok(None);
        }
        let bytes = disk.read(path, MANIFEST_BYTES_MAX).map_err(LoadError::Disk)?;
        Self::from_bytes(&bytes).map(Some).map_err(|what| LoadError::Corrupt(Corrupt::new(path, 0, what)))
    }
}

/// Why a manifest could not be read.
#[derive(Debug)]
pub enum LoadError {
    /// The disk failed.
    Disk(disk::Error),
    /// The bytes make no sense.
    Corrupt(Corrupt),
}

#[cfg(test)]
mod tests {
    use model::{Selector, Tenant, TimeRange};
    use part::Effort;

    use super::*;

    #[test]
    fn a_manifest_comes_back_and_damage_is_seen() {
        let meta = |id| PartMeta {
            id,
            range: TimeRange::new(1, 2),
            samples: 3,
            series: 4,
            seq_min: 5,
            seq_max: 6,
            tombstones_applied: 0,
            columns_bytes: 7,
            index_bytes: 8,
            effort: Effort::Flush,
            dedup_interval_ms: 0,
        };
        let tombstone = Tombstone::new(7, Tenant::DEFAULT, Selector::everything(), TimeRange::ALL);
        let manifest = Manifest {
            next_part: 3,
            wal_floor: 9,
            floor_seq: 7,
            parts: vec![meta(1), meta(2)],
            tombstones: vec![tombstone.expect("it is understood")],
        };
        let bytes = manifest.to_bytes();
        let read = Manifest::from_bytes(&bytes).expect("it comes back");
        assert_eq!((read.parts, read.next_part, read.wal_floor), (manifest.parts, 3, 9));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            assert!(Manifest::from_bytes(&bad).is_err(), "byte {at}");
        }
        let mut newer = bytes;
        newer[8] = 2;
        assert!(Manifest::from_bytes(&newer).expect_err("newer").contains("format version 2"));
    }
}
