//! Fuzzing entry points: whatever the bytes are, reading them ends in an answer or an error.

use std::path::Path;

use disk::Map;

use crate::{
    page::Page,
    reader::{Part, ReadScratch},
};

/// Bytes of an index file and a columns file, one behind the other; the first four bytes say how long the index is.
pub fn fuzz_part(data: &[u8]) {
    let Some((len, files)) = data.split_first_chunk::<4>() else { return };
    let split = (u32::from_le_bytes(*len) as usize).min(files.len());
    let (index, columns) = files.split_at(split);
    let opened = Part::from_maps(Path::new("fuzz"), Map::from(index.to_vec()), Map::from(columns.to_vec()));
    let Ok(part) = opened else { return };
    // Damage behind a checksum that was made to fit must not go further than an error either.
    let _ = part.verify();
    let mut page = Page::default();
    let mut scratch = ReadScratch::default();
    for number in 0..part.pages() {
        if part.read_page(number, &mut page).is_err() {
            continue;
        }
        for series in page.first_series()..page.first_series() + page.series() as u32 {
            for (block, head) in page.blocks(series).iter().enumerate() {
                let (mut times, mut values) = (Vec::new(), Vec::new());
                let _ = part.read_times(&head.time, &mut times);
                let _ = part.read_values(&page, series, block, &mut scratch, &mut values);
            }
        }
    }
}

/// The bytes of one page of heads.
pub fn fuzz_page(data: &[u8]) {
    let Some((first, page_bytes)) = data.split_first() else { return };
    let mut page = Page::default();
    let _ = page.read(page_bytes, 0, usize::from(*first), 16, &[]);
}
