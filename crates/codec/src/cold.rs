//! The cold form: a block through `pco`, for parts that are written once and read seldom.
//!
//! 1. pco's wrapped format is used, whose chunk and page have no framing of their own: | version | chunk meta | page |.
//! 2. The count is the caller's, so damaged bytes cannot make the decoder write more than it has room for.

use pco::ChunkConfig;
use pco::data_types::Number;
use pco::errors::PcoResult;
use pco::wrapped::{FileCompressor, FileDecompressor};

use crate::bytes::{Malformed, Reader};

/// pco's effort; its default, beyond which files hardly shrink.
const LEVEL: usize = 8;

/// Appends the numbers; says whether pco could (it can, unless it is misused).
pub(crate) fn write<T: Number>(numbers: &[T], out: &mut Vec<u8>) -> bool {
    let config = ChunkConfig::default().with_compression_level(LEVEL);
    let compressor = FileCompressor::default();
    let mut written = || {
        compressor.write_header(&mut *out)?;
        let mut chunk = compressor.chunk_compressor(numbers, &config)?;
        chunk.write_meta(&mut *out)?;
        chunk.write_page(0, &mut *out)?;
        PcoResult::Ok(())
    };
    written().is_ok()
}

/// Fills `numbers` from the rest of the input.
pub(crate) fn read<T: Number>(reader: &mut Reader<'_>, numbers: &mut [T]) -> Result<(), Malformed> {
    let refused = reader.malformed("pco block");
    let bytes = reader.bytes(reader.remaining())?;
    let decoded = FileDecompressor::new(bytes).and_then(|(file, rest)| {
        let (mut chunk, rest) = file.chunk_decompressor::<T, _>(rest)?;
        let mut page = chunk.page_decompressor(rest, numbers.len())?;
        let progress = page.read(numbers)?;
        Ok(progress.finished && page.into_src().is_empty())
    });
    if decoded == Ok(true) { Ok(()) } else { Err(refused) }
}
