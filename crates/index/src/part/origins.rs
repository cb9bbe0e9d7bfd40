//! The origins of a part: which labels they have.
//!
//! Origins stand in blocks, each as what differs from the one before; a reader goes forward cheaply and starts again at a block for all else.

use disk::Corrupt;

use super::file::IndexFile;
use super::layout::{ORIGINS_PER_BLOCK, Section};
use crate::varint::{self, Reader};

/// Labels whose changes are told by one mask.
pub(super) const LABELS_PER_MASK: usize = 56;

/// Reads one origin after the other.
#[derive(Debug, Default)]
pub(super) struct OriginReader {
    /// The origin at hand and where the one behind it stands; nothing before the first and after an error.
    at: Option<(u32, usize)>,
    block_end: usize,
    shape: Option<u32>,
    names: Vec<u32>,
    values: Vec<u32>,
}

impl OriginReader {
    /// The names of the origin at hand, ascending, as places among all names.
    pub(super) fn names(&self) -> &[u32] {
        &self.names
    }

    /// The values of the origin at hand, as places among the values of each name.
    pub(super) fn values(&self) -> &[u32] {
        &self.values
    }

    /// The value of a name, if the origin at hand has it.
    pub(super) fn value_of(&self, name: u32) -> Option<u32> {
        self.names.binary_search(&name).ok().map(|at| self.values[at])
    }

    /// Goes to an origin.
    pub(super) fn load(&mut self, file: &IndexFile, origin: u32) -> Result<(), Corrupt> {
        if origin >= file.counts.origins {
            return Err(file.corrupt(Section::Origins, 0, "an origin is referred to that is not there"));
        }
        let (mut next, mut offset) = match self.at.take() {
            Some((at, offset)) if at == origin => {
                self.at = Some((at, offset));
                return Ok(());
            }
            Some((at, offset)) if at < origin && at / ORIGINS_PER_BLOCK == origin / ORIGINS_PER_BLOCK => {
                (at + 1, offset)
            }
            _ => {
                let block = origin / ORIGINS_PER_BLOCK;
                let (start, bytes) = file.between(Section::Origins, Section::OriginBlocks, block as usize)?;
                self.block_end = start + bytes.len();
                (block * ORIGINS_PER_BLOCK, start)
            }
        };
        let mut reader = Reader::new(file.bytes(Section::Origins, offset..self.block_end)?);
        while next <= origin {
            let place = self.block_end - reader.rest().len();
            self.read(file, &mut reader, place, next.is_multiple_of(ORIGINS_PER_BLOCK))?;
            next += 1;
        }
        offset = self.block_end - reader.rest().len();
        self.at = Some((origin, offset));
        Ok(())
    }

    /// Reads the origin that comes next, which stands at `place`.
    fn read(
        &mut self,
        file: &IndexFile,
        reader: &mut Reader<'_>,
        place: usize,
        begins_block: bool,
    ) -> Result<(), Corrupt> {
        let bad = || file.corrupt(Section::Origins, place, "an origin makes no sense");
        match reader.number_u32().ok_or_else(bad)? {
            0 if begins_block => return Err(bad()),
            0 => self.read_changes(reader).ok_or_else(bad)?,
            shape => {
                self.load_shape(file, shape - 1)?;
                self.values.clear();
                for _ in 0..self.names.len() {
                    self.values.push(reader.number_u32().ok_or_else(bad)?);
                }
            }
        }
        Ok(())
    }

    fn read_changes(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        for values in self.values.chunks_mut(LABELS_PER_MASK) {
            let mut mask = reader.number()?;
            while mask != 0 {
                let value = values.get_mut(mask.trailing_zeros() as usize)?;
                let step = varint::unzigzag(reader.number()?);
                *value = u32::try_from(i64::from(*value).checked_add(step)?).ok()?;
                mask &= mask - 1;
            }
        }
        Some(())
    }

    fn load_shape(&mut self, file: &IndexFile, shape: u32) -> Result<(), Corrupt> {
        if self.shape == Some(shape) {
            return Ok(());
        }
        if shape >= file.counts.shapes {
            return Err(file.corrupt(Section::Shapes, 0, "a shape is referred to that is not there"));
        }
        self.shape = None;
        let (offset, bytes) = file.between(Section::Shapes, Section::ShapeOffsets, shape as usize)?;
        read_shape(bytes, file.counts.names, &mut self.names)
            .ok_or_else(|| file.corrupt(Section::Shapes, offset, "a shape makes no sense"))?;
        self.shape = Some(shape);
        Ok(())
    }
}

/// Reads ascending names.
fn read_shape(bytes: &[u8], names_end: u32, names: &mut Vec<u32>) -> Option<()> {
    let mut reader = Reader::new(bytes);
    names.clear();
    let mut least = 0u32;
    for _ in 0..reader.number()? {
        let name = least.checked_add(reader.number_u32()?).filter(|name| *name < names_end)?;
        names.push(name);
        least = name + 1;
    }
    Some(())
}
