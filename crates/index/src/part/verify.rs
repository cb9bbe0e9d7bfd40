//! Reads a whole index and compares its pieces with each other.
//!
//! 1. Every checksum.
//! 2. Every name's values ascend, are UTF-8 and not empty; every posting list can be read.
//! 3. Every key can be made, keys ascend, every id is that of its key.
//! 4. Every origin stands in the postings of exactly its terms: as many entries as origins have labels, and each label finds its origin there.

use disk::Corrupt;
use model::{BUCKET_BOUND, METRIC_NAME, SeriesId, SeriesKey};

use super::PartIndex;
use super::dictionary::Name;
use super::layout::{ID_BYTES, Section};
use super::origins::OriginReader;

pub(super) fn verify(part: &PartIndex) -> Result<(), Corrupt> {
    let index = &*part.inner;
    index.file.check_all()?;
    for name in index.dictionary.names(&index.file)? {
        check_values(part, name)?;
    }
    check_postings(part)?;
    check_keys(part)
}

fn check_values(part: &PartIndex, name: &Name) -> Result<(), Corrupt> {
    let file = &part.inner.file;
    let mut reader = name.reader();
    let mut before = String::new();
    for value in 0..name.values {
        let text = reader.text(file, value)?;
        if text <= before.as_str() {
            return Err(file.corrupt(Section::Values, 0, &format!("values of {:?} are out of order", name.text)));
        }
        before.clear();
        before.push_str(text);
    }
    Ok(())
}

fn check_postings(part: &PartIndex) -> Result<(), Corrupt> {
    let index = &*part.inner;
    let (file, end) = (&index.file, index.file.counts.origins);
    let names = index.dictionary.names(file)?;
    let bad =
        |name: &Name, what: &str| file.corrupt(Section::Postings, 0, &format!("postings of {:?} {what}", name.text));
    let (mut reader, mut labels) = (OriginReader::default(), 0);
    for (place, name) in (0u32..).zip(names) {
        if name.text == METRIC_NAME || name.text == BUCKET_BOUND {
            continue;
        }
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        name.each_posting(file, 0..name.values, |value, posting| {
            posting.each_range(end, |range| pairs.extend(range.map(|origin| (origin, value))))
        })?;
        pairs.sort_unstable();
        labels += pairs.len();
        for (origin, value) in &pairs {
            reader.load(file, *origin)?;
            if reader.value_of(place) != Some(*value) {
                return Err(bad(name, &format!("differ from origin {origin}")));
            }
        }
        let present = name.present(file)?.to_bitmap(end).ok_or_else(|| bad(name, "make no sense"))?;
        if !present.iter().eq(pairs.iter().map(|(origin, _)| *origin)) {
            return Err(bad(name, "name other origins than those of its values"));
        }
    }
    for origin in 0..end {
        reader.load(file, origin)?;
        labels = labels.wrapping_sub(reader.names().len());
    }
    match labels {
        0 => Ok(()),
        _ => Err(file.corrupt(Section::Postings, 0, "some origins lack a posting")),
    }
}

fn check_keys(part: &PartIndex) -> Result<(), Corrupt> {
    let file = &part.inner.file;
    let mut before = SeriesKey::default();
    let mut cursor = part.keys(0);
    while let Some((number, key)) = cursor.next()? {
        if *key <= before {
            return Err(file.corrupt(Section::Lists, 0, &format!("the key of series {number} is out of order")));
        }
        if part.id(number)? != SeriesId::of(key) {
            let offset = number as usize * ID_BYTES;
            return Err(file.corrupt(
                Section::Ids,
                offset,
                &format!("the id of series {number} is not that of its key"),
            ));
        }
        before.clone_from(key);
    }
    Ok(())
}
