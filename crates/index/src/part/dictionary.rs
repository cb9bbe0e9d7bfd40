//! The label names and values of a part.
//!
//! 1. The names are few and are read into memory when one is first asked for.
//! 2. The values of a name stand sorted in blocks; the first of a block is whole, each other one is what differs from the value before.
//!    A value's number is its place among the values of its name.
//! 3. Looking a value up is a binary search over the first values of blocks, then a walk through one block that compares only bytes that the
//!    value before did not decide already. The same search finds the range of values with a prefix, so that no other structure is needed.
//! 4. A pattern gets the values of its prefix's range in pieces of some kilobytes ([`crate::selector::Piece`]).

use std::ops::Range;
use std::sync::OnceLock;

use disk::Corrupt;

use super::file::IndexFile;
use super::layout::{Section, TERM_BLOCK_BYTES, VALUES_PER_BLOCK};
use super::postings::Posting;
use crate::key_parts::put_text;
use crate::selector::{Pattern, Piece};
use crate::varint::Reader;

/// A label name of the part.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) text: String,
    /// As it stands in keys, with its closing zero.
    pub(super) key_text: Vec<u8>,
    /// How many values it has.
    pub(super) values: u32,
    /// Number of its first value among all values of all names.
    pub(super) first_term: u32,
    first_block: u32,
    postings: Range<usize>,
}

/// The names, read on first use.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    names: OnceLock<Vec<Name>>,
}

impl Dictionary {
    /// All names in order.
    pub(super) fn names<'a>(&'a self, file: &IndexFile) -> Result<&'a [Name], Corrupt> {
        if let Some(names) = self.names.get() {
            return Ok(names);
        }
        let names = read_names(file)?;
        Ok(self.names.get_or_init(|| names))
    }

    /// A name by its text, with its number.
    pub(super) fn find<'a>(&'a self, file: &IndexFile, text: &str) -> Result<Option<(u32, &'a Name)>, Corrupt> {
        let names = self.names(file)?;
        let found = names.binary_search_by(|name| name.text.as_str().cmp(text));
        Ok(found.ok().map(|at| (at as u32, &names[at])))
    }
}

fn read_names(file: &IndexFile) -> Result<Vec<Name>, Corrupt> {
    let bytes = file.all(Section::Names)?;
    let mut reader = Reader::new(bytes);
    // A name takes five bytes or more.
    let mut names: Vec<Name> = Vec::with_capacity((file.counts.names as usize).min(bytes.len() / 5));
    let (mut terms, mut blocks) = (0u32, 0u32);
    while !reader.is_empty() {
        let offset = bytes.len() - reader.rest().len();
        let bad = |what| file.corrupt(Section::Names, offset, what);
        let name = read_name(&mut reader, terms, blocks).ok_or_else(|| bad("a name makes no sense"))?;
        if names.last().is_some_and(|last| last.text >= name.text) {
            return Err(bad("names are out of order"));
        }
        terms = terms.checked_add(name.values).ok_or_else(|| bad("too many values"))?;
        blocks += name.values.div_ceil(VALUES_PER_BLOCK);
        names.push(name);
    }
    let counts = file.counts;
    if (names.len(), terms, blocks) != (counts.names as usize, counts.terms, counts.term_blocks) {
        return Err(file.corrupt(
            Section::Names,
            0,
            "there are other numbers of names and values than the footer says",
        ));
    }
    Ok(names)
}

fn read_name(reader: &mut Reader<'_>, first_term: u32, first_block: u32) -> Option<Name> {
    let text = std::str::from_utf8(reader.counted_bytes()?).ok()?.to_string();
    let values = reader.number_u32()?;
    let start = usize::try_from(reader.number()?).ok()?;
    let postings = start..start.checked_add(usize::try_from(reader.number()?).ok()?)?;
    let mut key_text = Vec::with_capacity(text.len() + 1);
    put_text(&mut key_text, text.as_bytes());
    (!text.is_empty() && values > 0).then_some(Name { text, key_text, values, first_term, first_block, postings })
}

impl Name {
    fn blocks(&self) -> u32 {
        self.values.div_ceil(VALUES_PER_BLOCK)
    }

    fn block_len(&self, block: u32) -> u32 {
        (self.values - block * VALUES_PER_BLOCK).min(VALUES_PER_BLOCK)
    }

    /// Offset and bytes of a block of values; `block` counts from the name's first.
    fn values_of<'a>(&self, file: &'a IndexFile, block: u32) -> Result<(usize, &'a [u8]), Corrupt> {
        self.block_of(file, block, Section::Values)
    }

    /// Both kinds of blocks begin where the same entries say.
    fn block_of<'a>(&self, file: &'a IndexFile, block: u32, section: Section) -> Result<(usize, &'a [u8]), Corrupt> {
        let at = (self.first_block + block) as usize;
        let field = if section == Section::Values { 0 } else { 8 };
        let entries = file.bytes(Section::TermBlocks, at * TERM_BLOCK_BYTES..(at + 2) * TERM_BLOCK_BYTES)?;
        let number = |entry: usize| {
            let bytes = entries[entry * TERM_BLOCK_BYTES + field..].first_chunk();
            let number = u64::from_le_bytes(*bytes.expect("BUG: an entry holds two numbers"));
            usize::try_from(number).unwrap_or(usize::MAX)
        };
        Ok((number(0), file.bytes(section, number(0)..number(1))?))
    }

    /// The first value that is not less than `target`, and whether it is equal.
    pub(super) fn seek(&self, file: &IndexFile, target: &[u8]) -> Result<(u32, bool), Corrupt> {
        // The last block whose first value is not greater.
        let (mut low, mut high) = (0, self.blocks());
        while low < high {
            let middle = low.midpoint(high);
            let (offset, bytes) = self.values_of(file, middle)?;
            let first = Reader::new(bytes).counted_bytes();
            let first = first.ok_or_else(|| file.corrupt(Section::Values, offset, "a value is cut off"))?;
            match first.cmp(target) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok((middle * VALUES_PER_BLOCK, true)),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        let Some(block) = low.checked_sub(1) else { return Ok((0, false)) };
        let (offset, bytes) = self.values_of(file, block)?;
        let found = seek_in_block(bytes, self.block_len(block), target);
        let (at, equal) =
            found.ok_or_else(|| file.corrupt(Section::Values, offset, "a block of values makes no sense"))?;
        Ok((block * VALUES_PER_BLOCK + at, equal))
    }

    /// The numbers of the values that begin with `prefix`.
    pub(super) fn with_prefix(&self, file: &IndexFile, prefix: &[u8]) -> Result<Range<u32>, Corrupt> {
        if prefix.is_empty() {
            return Ok(0..self.values);
        }
        let start = self.seek(file, prefix)?.0;
        let mut past = prefix.to_vec();
        while let Some(last) = past.pop() {
            if last < u8::MAX {
                past.push(last + 1);
                return Ok(start..self.seek(file, &past)?.0.max(start));
            }
        }
        Ok(start..self.values)
    }

    /// Puts a value in the place of `out`.
    pub(super) fn value(&self, file: &IndexFile, value: u32, out: &mut Vec<u8>) -> Result<(), Corrupt> {
        let mut walk = ValueWalk { text: std::mem::take(out), ..ValueWalk::default() };
        let walked = walk.go(self, file, value);
        *out = walk.text;
        walked
    }

    /// Reads values, the cheaper the nearer each is behind the one before.
    pub(super) fn reader(&self) -> ValueReader<'_> {
        ValueReader { name: self, first: u32::MAX, piece: Piece::default() }
    }

    /// Appends the values of a block to a piece.
    fn decode_block(&self, file: &IndexFile, block: u32, piece: &mut Piece) -> Result<(), Corrupt> {
        let (offset, bytes) = self.values_of(file, block)?;
        let mut reader = Reader::new(bytes);
        let mut decode = || {
            piece.push(reader.counted_bytes()?);
            for _ in 1..self.block_len(block) {
                let shared = usize::try_from(reader.number()?).ok()?;
                piece.push_front_coded(shared, reader.counted_bytes()?)?;
            }
            Some(())
        };
        decode().ok_or_else(|| file.corrupt(Section::Values, offset, "a block of values makes no sense"))
    }

    /// The values that a pattern matches, as ranges of their numbers.
    pub(super) fn matching(&self, file: &IndexFile, pattern: &Pattern) -> Result<Vec<Range<u32>>, Corrupt> {
        let range = self.with_prefix(file, pattern.prefix())?;
        if pattern.is_prefix_only() {
            return Ok(vec![range]);
        }
        let mut found: Vec<Range<u32>> = Vec::new();
        let mut piece = Piece::default();
        let mut first = range.start / VALUES_PER_BLOCK * VALUES_PER_BLOCK;
        while first < range.end {
            piece.clear();
            let mut next = first;
            while next < range.end && !piece.is_full() {
                self.decode_block(file, next / VALUES_PER_BLOCK, &mut piece)?;
                next += VALUES_PER_BLOCK;
            }
            // Values beside the range lack the prefix and so do not match.
            piece.matches(pattern, |at| {
                let number = first + at as u32;
                match found.last_mut() {
                    Some(last) if last.end == number => last.end += 1,
                    _ => found.push(number..number + 1),
                }
            });
            first = next;
        }
        Ok(found)
    }

    /// The postings of the values of a range, in order.
    pub(super) fn each_posting(
        &self,
        file: &IndexFile,
        range: Range<u32>,
        mut visit: impl FnMut(u32, Posting<'_>) -> Option<()>,
    ) -> Result<(), Corrupt> {
        let mut first = range.start / VALUES_PER_BLOCK * VALUES_PER_BLOCK;
        while first < range.end {
            let block = first / VALUES_PER_BLOCK;
            let (offset, bytes) = self.block_of(file, block, Section::Postings)?;
            let mut reader = Reader::new(bytes);
            for value in first..(first + self.block_len(block)).min(range.end) {
                let posting = Posting::take(&mut reader).filter(|_| value < self.values);
                let told =
                    posting.and_then(|posting| if value < range.start { Some(()) } else { visit(value, posting) });
                told.ok_or_else(|| file.corrupt(Section::Postings, offset, "a posting list makes no sense"))?;
            }
            first += VALUES_PER_BLOCK;
        }
        Ok(())
    }

    /// The origins that have the name at all.
    pub(super) fn present<'a>(&self, file: &'a IndexFile) -> Result<Posting<'a>, Corrupt> {
        let bytes = file.bytes(Section::Postings, self.postings.clone())?;
        let posting = Posting::take(&mut Reader::new(bytes));
        posting.ok_or_else(|| file.corrupt(Section::Postings, self.postings.start, "a posting list makes no sense"))
    }
}

/// Walks the values of one name: the nearer a value stands behind the one before, the cheaper it is.
#[derive(Debug, Default)]
pub(super) struct ValueWalk {
    /// The value at hand; nothing before the first and after an error.
    at: Option<u32>,
    /// Where in the section the value behind it stands, up to the end of its block.
    rest: Range<usize>,
    text: Vec<u8>,
}

impl ValueWalk {
    /// A value, which is not empty and UTF-8.
    pub(super) fn text(&mut self, name: &Name, file: &IndexFile, value: u32) -> Result<&[u8], Corrupt> {
        if self.at != Some(value) {
            self.go(name, file, value)?;
        }
        Ok(&self.text)
    }

    fn go(&mut self, name: &Name, file: &IndexFile, value: u32) -> Result<(), Corrupt> {
        if value >= name.values {
            self.at = None;
            return Err(file.corrupt(Section::Values, 0, "a value is referred to that is not there"));
        }
        let block = value / VALUES_PER_BLOCK;
        let bad = |offset| file.corrupt(Section::Values, offset, "a block of values makes no sense");
        let (mut reader, steps) = match self.at.take() {
            Some(at) if at < value && at / VALUES_PER_BLOCK == block => {
                (Reader::new(file.bytes(Section::Values, self.rest.clone())?), value - at)
            }
            _ => {
                let (offset, bytes) = name.values_of(file, block)?;
                self.rest = offset..offset + bytes.len();
                let mut reader = Reader::new(bytes);
                self.text.clear();
                self.text.extend_from_slice(reader.counted_bytes().ok_or_else(|| bad(offset))?);
                (reader, value % VALUES_PER_BLOCK)
            }
        };
        self.step(&mut reader, steps).ok_or_else(|| bad(self.rest.start))?;
        self.rest.start = self.rest.end - reader.rest().len();
        if self.text.is_empty() || std::str::from_utf8(&self.text).is_err() {
            return Err(file.corrupt(Section::Values, self.rest.start, "a value is empty or no UTF-8"));
        }
        self.at = Some(value);
        Ok(())
    }

    /// Goes on by so many values of a block. Values on the way are not made: each byte is taken from the last of them that says it.
    fn step(&mut self, reader: &mut Reader<'_>, steps: u32) -> Option<()> {
        let mut passed = [(0, &[][..]); VALUES_PER_BLOCK as usize];
        let passed = passed.get_mut(..steps as usize)?;
        let (mut len, mut common) = (self.text.len(), self.text.len());
        for place in passed.iter_mut() {
            let shared = usize::try_from(reader.number()?).ok().filter(|shared| *shared <= len)?;
            let suffix = reader.counted_bytes()?;
            *place = (shared, suffix);
            (len, common) = (shared + suffix.len(), common.min(shared));
        }
        self.text.truncate(common);
        self.text.resize(len, 0);
        let mut unknown = len;
        for (shared, suffix) in passed.iter().rev().filter(|(_, suffix)| !suffix.is_empty()) {
            if *shared < unknown {
                self.text[*shared..unknown].copy_from_slice(&suffix[..unknown - shared]);
                unknown = *shared;
            }
        }
        Some(())
    }
}

/// Reads values of one name, keeping the block that was read last.
pub(super) struct ValueReader<'a> {
    name: &'a Name,
    /// The number of the first value in `piece`.
    first: u32,
    piece: Piece,
}

impl ValueReader<'_> {
    pub(super) fn text(&mut self, file: &IndexFile, value: u32) -> Result<&str, Corrupt> {
        let bad = |what| file.corrupt(Section::Values, 0, what);
        let first = value / VALUES_PER_BLOCK * VALUES_PER_BLOCK;
        if self.first != first {
            self.first = u32::MAX;
            self.piece.clear();
            if value >= self.name.values {
                return Err(bad("a value is referred to that is not there"));
            }
            self.name.decode_block(file, value / VALUES_PER_BLOCK, &mut self.piece)?;
            self.first = first;
        }
        let text = self.piece.value((value - first) as usize).filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| bad("a value is empty or not there"))?;
        std::str::from_utf8(text).map_err(|_| bad("a value is no UTF-8"))
    }
}

/// As [`Name::seek`] inside a block whose first value is less than `target`; the count of values if all are.
fn seek_in_block(bytes: &[u8], len: u32, target: &[u8]) -> Option<(u32, bool)> {
    let mut reader = Reader::new(bytes);
    let common = |a: &[u8], b: &[u8]| a.iter().zip(b).take_while(|(x, y)| x == y).count();
    // How many bytes the value at hand, which is less than the target, has in common with it.
    let mut matched = common(reader.counted_bytes()?, target);
    for at in 1..len {
        let shared = usize::try_from(reader.number()?).ok()?;
        let suffix = reader.counted_bytes()?;
        if shared > matched {
            continue;
        }
        if shared < matched {
            return Some((at, false));
        }
        let rest = &target[matched..];
        match suffix.cmp(rest) {
            std::cmp::Ordering::Less => matched += common(suffix, rest),
            std::cmp::Ordering::Equal => return Some((at, true)),
            std::cmp::Ordering::Greater => return Some((at, false)),
        }
    }
    Some((len, false))
}
