//! The secret of the label hashes: made once per data folder, so that nobody outside can make raw label bytes collide.

use std::path::Path;

use disk::{Corrupt, Disk};

use crate::manifest::LoadError;

/// Length of the secret.
pub const SECRET_BYTES: usize = 32;
const MAGIC: [u8; 8] = *b"BSLTSECR";
const FILE_BYTES: usize = 8 + SECRET_BYTES + 4;

/// Reads the secret, or makes it from `random` and writes it.
pub fn load_or_create(
    disk: &dyn Disk,
    path: &Path,
    random: impl FnOnce() -> [u8; SECRET_BYTES],
) -> Result<[u8; SECRET_BYTES], LoadError> {
    if disk.exists(path).map_err(LoadError::Disk)? {
        let bytes = disk.read(path, FILE_BYTES as u64).map_err(LoadError::Disk)?;
        return parse(&bytes).ok_or_else(|| {
            LoadError::Corrupt(Corrupt::new(path, 0, "not a secret, or damaged; without it a new one can be made"))
        });
    }
    let secret = random();
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&secret);
    bytes.extend_from_slice(&disk::crc32c(&bytes).to_le_bytes());
    disk::publish_file(disk, path, &bytes).map_err(LoadError::Disk)?;
    Ok(secret)
}

fn parse(bytes: &[u8]) -> Option<[u8; SECRET_BYTES]> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    let secret = body.strip_prefix(&MAGIC)?;
    (disk::crc32c(body).to_le_bytes() == *crc).then(|| secret.try_into().ok()).flatten()
}
