//! The bytes of an index where they are mapped, checked before they are believed.
//!
//! 1. Opening reads the footer only: sections, counts, and a checksum for each 16 KiB of the body; one checksum covers them all.
//! 2. Whoever wants bytes of a section names the range; the pieces under it are checked on first use and remembered as good.
//! 3. Bytes that pass may still be nonsense that somebody sealed; all decoding answers with [`Corrupt`] then.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use disk::{Corrupt, Map, crc32c};

use super::layout::{CHECKSUM_BYTES, CHUNK_BYTES, ID_BYTES, MAGIC, Section, TRAILER_BYTES, VERSION};
use crate::varint::{fixed_u32, fixed_u64};

/// How many of what an index holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) series: u32,
    pub(super) names: u32,
    pub(super) terms: u32,
    pub(super) term_blocks: u32,
    pub(super) shapes: u32,
    pub(super) origins: u32,
    pub(super) lists: u32,
    pub(super) runs: u32,
    pub(super) tenants: u32,
}

impl Counts {
    pub(super) const COUNT: usize = 9;

    pub(super) fn to_array(self) -> [u32; Self::COUNT] {
        let Self { series, names, terms, term_blocks, shapes, origins, lists, runs, tenants } = self;
        [series, names, terms, term_blocks, shapes, origins, lists, runs, tenants]
    }

    fn from_array(numbers: [u32; Self::COUNT]) -> Self {
        let [series, names, terms, term_blocks, shapes, origins, lists, runs, tenants] = numbers;
        Self { series, names, terms, term_blocks, shapes, origins, lists, runs, tenants }
    }
}

#[derive(Debug)]
pub(super) struct IndexFile {
    map: Map,
    path: PathBuf,
    sections: [Range<usize>; Section::COUNT],
    body_len: usize,
    /// A bit per piece that was found good.
    checked: Box<[AtomicU64]>,
    pub(super) counts: Counts,
}

impl IndexFile {
    pub(super) fn open(map: Map, path: &Path) -> Result<Self, Corrupt> {
        let footer = read_footer(&map).map_err(|what| {
            Corrupt::new(
                path,
                map.len().saturating_sub(TRAILER_BYTES) as u64,
                format!("cannot read index footer: {what}"),
            )
        })?;
        let (sections, body_len, counts) = footer;
        let chunks = body_len.div_ceil(CHUNK_BYTES);
        let checked = (0..chunks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { map, path: path.to_path_buf(), sections, body_len, checked, counts })
    }

    /// Damage at byte `offset` of a section.
    pub(super) fn corrupt(&self, section: Section, offset: usize, what: &str) -> Corrupt {
        let at = self.sections[section as usize].start.saturating_add(offset);
        Corrupt::new(&self.path, at as u64, format!("index, {}: {what}", section.name()))
    }

    pub(super) fn len(&self, section: Section) -> usize {
        self.sections[section as usize].len()
    }

    /// A whole section.
    pub(super) fn all(&self, section: Section) -> Result<&[u8], Corrupt> {
        self.bytes(section, 0..self.len(section))
    }

    /// Bytes of a section, checked.
    #[inline]
    pub(super) fn bytes(&self, section: Section, range: Range<usize>) -> Result<&[u8], Corrupt> {
        let whole = &self.sections[section as usize];
        if range.start > range.end || range.end > whole.len() {
            return Err(self.corrupt(section, range.start, "a reference leaves the section"));
        }
        let (start, end) = (whole.start + range.start, whole.start + range.end);
        if start < end {
            for chunk in start / CHUNK_BYTES..=(end - 1) / CHUNK_BYTES {
                let bit = 1 << (chunk % 64);
                if self.checked[chunk / 64].load(Ordering::Relaxed) & bit == 0 {
                    self.check(chunk)?;
                    self.checked[chunk / 64].fetch_or(bit, Ordering::Relaxed);
                }
            }
        }
        Ok(&self.map[start..end])
    }

    /// The fixed-width entry at place `at` of a section.
    #[inline]
    pub(super) fn entry<const WIDTH: usize>(&self, section: Section, at: usize) -> Result<&[u8; WIDTH], Corrupt> {
        let start = at.checked_mul(WIDTH).ok_or_else(|| self.corrupt(section, 0, "a number is too large"))?;
        let bytes = self.bytes(section, start..start.saturating_add(WIDTH))?;
        bytes.first_chunk().ok_or_else(|| self.corrupt(section, start, "an entry is cut off"))
    }

    /// The bytes of `section` between two neighbouring offsets that stand in the section `offsets`.
    pub(super) fn between(&self, section: Section, offsets: Section, at: usize) -> Result<(usize, &[u8]), Corrupt> {
        let start = u64::from_le_bytes(*self.entry(offsets, at)?);
        let end = u64::from_le_bytes(*self.entry(offsets, at + 1)?);
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let end = usize::try_from(end).unwrap_or(usize::MAX);
        Ok((start, self.bytes(section, start..end)?))
    }

    /// Checks every byte of the body.
    pub(super) fn check_all(&self) -> Result<(), Corrupt> {
        (0..self.body_len.div_ceil(CHUNK_BYTES)).try_for_each(|chunk| self.check(chunk))
    }

    #[cold]
    fn check(&self, chunk: usize) -> Result<(), Corrupt> {
        let start = chunk * CHUNK_BYTES;
        let end = (start + CHUNK_BYTES).min(self.body_len);
        let want = fixed_u32(&self.map[self.body_len..], chunk);
        if want == Some(crc32c(&self.map[start..end])) {
            return Ok(());
        }
        Err(Corrupt::new(&self.path, start as u64, "index: checksum differs"))
    }
}

type Footer = ([Range<usize>; Section::COUNT], usize, Counts);

/// Reads what stands behind the body; the error says what is wrong.
fn read_footer(bytes: &[u8]) -> Result<Footer, &'static str> {
    let (rest, magic) = bytes.split_last_chunk().ok_or("too short")?;
    if *magic != MAGIC {
        return Err("this is no index");
    }
    let (rest, checksum) = rest.split_last_chunk().ok_or("too short")?;
    let (rest, version) = rest.split_last_chunk().ok_or("too short")?;
    if u16::from_le_bytes(*version) > VERSION {
        return Err("its format is newer than this program");
    }
    let (rest, directory_bytes) = rest.split_last_chunk().ok_or("too short")?;
    let directory_start = rest.len().checked_sub(u32::from_le_bytes(*directory_bytes) as usize).ok_or("too short")?;
    let (rest, directory) = rest.split_at(directory_start);
    if directory.len() != Section::COUNT * 16 + Counts::COUNT * 4 {
        return Err("its directory has the wrong length");
    }
    let (sections, body_len) = read_sections(directory)?;
    if body_len.div_ceil(CHUNK_BYTES).checked_mul(CHECKSUM_BYTES) != rest.len().checked_sub(body_len) {
        return Err("body and checksums have other lengths than they should");
    }
    let covered = &bytes[body_len..bytes.len() - MAGIC.len() - CHECKSUM_BYTES];
    if crc32c(covered) != u32::from_le_bytes(*checksum) {
        return Err("checksum differs");
    }
    let mut counts = [0; Counts::COUNT];
    for (at, count) in counts.iter_mut().enumerate() {
        *count = fixed_u32(&directory[Section::COUNT * 16..], at).ok_or("too short")?;
    }
    let counts = Counts::from_array(counts);
    check_lengths(&sections, counts)?;
    Ok((sections, body_len, counts))
}

/// Sections must follow each other without gap.
fn read_sections(directory: &[u8]) -> Result<([Range<usize>; Section::COUNT], usize), &'static str> {
    let mut sections = [const { 0..0 }; Section::COUNT];
    let mut end = 0usize;
    for (at, section) in sections.iter_mut().enumerate() {
        let start = fixed_u64(directory, at * 2).ok_or("too short")?;
        let len = fixed_u64(directory, at * 2 + 1).ok_or("too short")?;
        if start != end as u64 {
            return Err("a section is not where it should be");
        }
        let len = usize::try_from(len).map_err(|_| "a section is too long")?;
        *section = end..end.checked_add(len).ok_or("a section is too long")?;
        end = section.end;
    }
    Ok((sections, end))
}

/// Sections of fixed-width entries must be as long as the counts say.
fn check_lengths(sections: &[Range<usize>; Section::COUNT], counts: Counts) -> Result<(), &'static str> {
    use super::layout::{ORIGINS_PER_BLOCK, RUN_BYTES, TENANT_BYTES, TERM_BLOCK_BYTES};
    let fits = |section: Section, entries: usize, width: usize| {
        let len = sections[section as usize].len();
        if entries.checked_mul(width) == Some(len) { Ok(()) } else { Err("a section has the wrong length") }
    };
    fits(Section::Ids, counts.series as usize, ID_BYTES)?;
    fits(Section::TermBlocks, counts.term_blocks as usize + 1, TERM_BLOCK_BYTES)?;
    fits(Section::ShapeOffsets, counts.shapes as usize + 1, 8)?;
    fits(Section::OriginBlocks, counts.origins.div_ceil(ORIGINS_PER_BLOCK) as usize + 1, 8)?;
    fits(Section::ListOffsets, counts.lists as usize + 1, 8)?;
    fits(Section::Runs, counts.runs as usize, RUN_BYTES)?;
    fits(Section::Tenants, counts.tenants as usize, TENANT_BYTES)
}

/// Puts the checksums in their places that fit the bytes, so that a fuzzer gets past them. Nothing happens to bytes without a footer.
pub(crate) fn reseal(bytes: &mut [u8]) {
    let Some(checksum_at) = bytes.len().checked_sub(MAGIC.len() + CHECKSUM_BYTES) else { return };
    let Some(directory_len) = checksum_at.checked_sub(2 + 4).and_then(|at| fixed_u32(&bytes[at..], 0)) else { return };
    let Some(checksums_end) = (checksum_at - 2 - 4).checked_sub(directory_len as usize) else { return };
    // Each piece of the body has four bytes behind it.
    let chunks = checksums_end.div_ceil(CHUNK_BYTES + CHECKSUM_BYTES);
    let Some(body_len) = checksums_end.checked_sub(chunks * CHECKSUM_BYTES) else { return };
    let (body, footer) = bytes.split_at_mut(body_len);
    for (chunk, place) in body.chunks(CHUNK_BYTES).zip(footer.chunks_exact_mut(CHECKSUM_BYTES)) {
        place.copy_from_slice(&crc32c(chunk).to_le_bytes());
    }
    let checksum = crc32c(&bytes[body_len..checksum_at]);
    bytes[checksum_at..checksum_at + CHECKSUM_BYTES].copy_from_slice(&checksum.to_le_bytes());
}
