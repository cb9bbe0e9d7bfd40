//! Puts what the writer kept in order and gives it out as sections.
//!
//! 1. Names are sorted, then the values of each: a term's number is its place among all pairs of name and value.
//! 2. Origins are sorted as tuples of those numbers, which is the order of their bytes in keys; so inside a family, and in every list and
//!    posting, origins ascend.
//! 3. Each section is written from what is at hand; the ids go first, because they are the largest and are then no longer in memory.

use std::collections::HashMap;

use super::file::Counts;
use super::layout::{ENTRIES_PER_BLOCK, LIST_BLOCK_BYTES, ORIGINS_PER_BLOCK, Section, VALUES_PER_BLOCK};
use super::postings::put_posting;
use super::sink::{Out, Sink};
use super::writer::{IndexSummary, IndexWriter};
use crate::bits::Bits;
use crate::varint;

type Result<T> = std::result::Result<T, disk::Error>;

pub(super) fn emit(mut writer: IndexWriter, out: Out<'_>) -> Result<IndexSummary> {
    let series = writer.series();
    let mut sink = Sink::new(out);
    sink.begin(Section::Ids);
    sink.put(&writer.ids)?;
    sink.end();
    writer.ids = Vec::new();
    let terms = TermOrder::new(&mut writer);
    let origins = OriginOrder::new(&mut writer, &terms);
    let term_blocks = put_values(&writer, &terms, &mut sink)?;
    put_postings(&writer, &terms, &origins, term_blocks, &mut sink)?;
    let shapes = put_shapes(&writer, &terms, &origins, &mut sink)?;
    put_origins(&writer, &terms, &origins, &shapes, &mut sink)?;
    put_lists(&writer, &terms, &origins, &mut sink)?;
    let tenants = put_families(&writer, &terms, &mut sink)?;
    let counts = Counts {
        series,
        names: terms.names.len() as u32,
        terms: terms.order.len() as u32,
        term_blocks: terms.blocks(),
        shapes: shapes.count,
        origins: origins.order.len() as u32,
        lists: writer.lists.len() as u32,
        runs: writer.families.len() as u32,
        tenants,
    };
    let bytes = sink.finish(&counts.to_array())?;
    Ok(IndexSummary { bytes, series, origins: counts.origins, terms: counts.terms })
}

/// Sorted names and terms.
struct TermOrder {
    names: Vec<SortedName>,
    /// The interner's number of each term in order.
    order: Vec<u32>,
    /// The place of each of the interner's terms.
    place: Vec<u32>,
    /// The place of the name of each term in order.
    name_of: Vec<u32>,
}

struct SortedName {
    /// The interner's number.
    name: u32,
    first_term: u32,
    values: u32,
}

impl SortedName {
    fn terms(&self) -> std::ops::Range<u32> {
        self.first_term..self.first_term + self.values
    }
}

impl TermOrder {
    fn new(writer: &mut IndexWriter) -> Self {
        writer.interner.freeze();
        let interner = &writer.interner;
        let mut counts = vec![0u32; interner.names()];
        (0..interner.terms() as u32).for_each(|term| counts[interner.name_of(term) as usize] += 1);
        let mut by_text: Vec<u32> = (0..interner.names() as u32).filter(|name| counts[*name as usize] > 0).collect();
        by_text.sort_unstable_by_key(|name| interner.name_text(*name));
        let mut names = Vec::with_capacity(by_text.len());
        let mut next = vec![0u32; interner.names()];
        let mut first_term = 0;
        for name in by_text {
            let values = counts[name as usize];
            names.push(SortedName { name, first_term, values });
            next[name as usize] = first_term;
            first_term += values;
        }
        let mut order = vec![0u32; interner.terms()];
        for term in 0..interner.terms() as u32 {
            let slot = &mut next[interner.name_of(term) as usize];
            order[*slot as usize] = term;
            *slot += 1;
        }
        let mut name_of = vec![0u32; interner.terms()];
        for (place, name) in (0..).zip(&names) {
            let range = name.first_term as usize..(name.first_term + name.values) as usize;
            name_of[range.clone()].fill(place);
            order[range].sort_unstable_by(|a, b| interner.value(*a).cmp(interner.value(*b)));
        }
        let mut place = vec![0u32; interner.terms()];
        (0..).zip(&order).for_each(|(at, term)| place[*term as usize] = at);
        Self { names, order, place, name_of }
    }

    fn blocks(&self) -> u32 {
        self.names.iter().map(|name| name.values.div_ceil(VALUES_PER_BLOCK)).sum()
    }

    /// The place of a term among the values of its name.
    fn ordinal(&self, place: u32) -> u32 {
        place - self.names[self.name_of[place as usize] as usize].first_term
    }
}

/// Sorted origins.
struct OriginOrder {
    /// The writer's number of each origin in order.
    order: Vec<u32>,
    /// The place of each of the writer's origins.
    place: Vec<u32>,
}

impl OriginOrder {
    fn new(writer: &mut IndexWriter, terms: &TermOrder) -> Self {
        writer.origins.renumber(&terms.place);
        let origins = &writer.origins;
        let mut order: Vec<u32> = (0..origins.len() as u32).collect();
        // Origins came in ascending order inside of each family, and this sort is the faster the longer such runs are.
        order.sort_by(|a, b| origins.terms(*a).cmp(origins.terms(*b)));
        let mut place = vec![0u32; order.len()];
        (0..).zip(&order).for_each(|(at, origin)| place[*origin as usize] = at);
        Self { order, place }
    }
}

/// Writes the values; says where the blocks begin.
fn put_values(writer: &IndexWriter, terms: &TermOrder, sink: &mut Sink<'_>) -> Result<Vec<u64>> {
    sink.begin(Section::Values);
    let mut starts = Vec::with_capacity(terms.blocks() as usize + 1);
    let mut block = Vec::new();
    for name in &terms.names {
        let mut before: &[u8] = &[];
        for (ordinal, term) in (0u32..).zip(&terms.order[name.first_term as usize..][..name.values as usize]) {
            let value = writer.interner.value(*term);
            if ordinal.is_multiple_of(VALUES_PER_BLOCK) {
                sink.put(&block)?;
                block.clear();
                starts.push(sink.offset());
                varint::put(&mut block, value.len() as u64);
                block.extend_from_slice(value);
            } else {
                let shared = before.iter().zip(value).take_while(|(a, b)| a == b).count();
                varint::put(&mut block, shared as u64);
                varint::put(&mut block, (value.len() - shared) as u64);
                block.extend_from_slice(&value[shared..]);
            }
            before = value;
        }
    }
    sink.put(&block)?;
    starts.push(sink.offset());
    sink.end();
    Ok(starts)
}

/// Writes the postings of terms and names, the term blocks, and the names.
fn put_postings(
    writer: &IndexWriter,
    terms: &TermOrder,
    origins: &OriginOrder,
    value_starts: Vec<u64>,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let postings = AllPostings::new(writer, terms, origins);
    sink.begin(Section::Postings);
    let mut blocks = Vec::with_capacity(value_starts.len() * 16);
    let mut value_starts = value_starts.into_iter();
    let mut buffer = Vec::new();
    let mut put_block_start = |blocks: &mut Vec<u8>, offset: u64| {
        blocks.extend_from_slice(&value_starts.next().expect("BUG: a block without values").to_le_bytes());
        blocks.extend_from_slice(&offset.to_le_bytes());
    };
    for name in &terms.names {
        // Metric names lead to families and bounds stand in lists; both have no postings.
        let has_postings = !is_special(writer, name.name);
        for (ordinal, term) in name.terms().enumerate() {
            if (ordinal as u32).is_multiple_of(VALUES_PER_BLOCK) {
                put_block_start(&mut blocks, sink.offset());
            }
            if has_postings {
                buffer.clear();
                put_posting(&mut buffer, postings.of(term));
                sink.put(&buffer)?;
            }
        }
    }
    put_block_start(&mut blocks, sink.offset());
    let mut names = Vec::new();
    for name in &terms.names {
        buffer.clear();
        if !is_special(writer, name.name) {
            put_posting(&mut buffer, &postings.of_name(name, origins.order.len()));
        }
        let text = writer.interner.name_text(name.name);
        varint::put(&mut names, text.len() as u64);
        names.extend_from_slice(text);
        varint::put(&mut names, u64::from(name.values));
        varint::put(&mut names, sink.offset());
        varint::put(&mut names, buffer.len() as u64);
        sink.put(&buffer)?;
    }
    sink.end();
    put_section(sink, Section::TermBlocks, &blocks)?;
    put_section(sink, Section::Names, &names)
}

fn is_special(writer: &IndexWriter, name: u32) -> bool {
    name == writer.metric_name || name == writer.bound_name
}

fn put_section(sink: &mut Sink<'_>, section: Section, bytes: &[u8]) -> Result<()> {
    sink.begin(section);
    sink.put(bytes)?;
    sink.end();
    Ok(())
}

/// The origins of every term, ascending, in one array.
struct AllPostings {
    starts: Vec<u32>,
    origins: Vec<u32>,
}

impl AllPostings {
    fn new(writer: &IndexWriter, terms: &TermOrder, origins: &OriginOrder) -> Self {
        let mut starts = vec![0u32; terms.order.len() + 1];
        let mut all = 0;
        for origin in &origins.order {
            for term in writer.origins.terms(*origin) {
                starts[*term as usize + 1] += 1;
                all += 1;
            }
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut next = starts.clone();
        let mut entries = vec![0u32; all];
        for (place, origin) in (0..).zip(&origins.order) {
            for term in writer.origins.terms(*origin) {
                let at = &mut next[*term as usize];
                entries[*at as usize] = place;
                *at += 1;
            }
        }
        Self { starts, origins: entries }
    }

    fn of(&self, term: u32) -> &[u32] {
        let term = term as usize;
        &self.origins[self.starts[term] as usize..self.starts[term + 1] as usize]
    }

    /// The origins that have any value of a name.
    fn of_name(&self, name: &SortedName, origins: usize) -> Vec<u32> {
        let range = name.terms();
        let entries =
            &self.origins[self.starts[range.start as usize] as usize..self.starts[range.end as usize] as usize];
        if entries.len() > origins / 64 {
            let mut bits = Bits::new(origins as u32);
            entries.iter().for_each(|origin| bits.insert(*origin));
            return bits.iter().collect();
        }
        let mut sorted = entries.to_vec();
        sorted.sort_unstable();
        sorted
    }
}

/// The shape of every origin in order.
struct Shapes {
    of: Vec<u32>,
    count: u32,
}

/// Writes the distinct lists of names.
fn put_shapes(writer: &IndexWriter, terms: &TermOrder, origins: &OriginOrder, sink: &mut Sink<'_>) -> Result<Shapes> {
    let mut table: HashMap<Box<[u32]>, u32> = HashMap::new();
    let mut of: Vec<u32> = Vec::with_capacity(origins.order.len());
    let (mut bytes, mut starts) = (Vec::new(), Vec::new());
    let (mut names, mut names_before): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
    for origin in &origins.order {
        names.clear();
        names.extend(writer.origins.terms(*origin).iter().map(|term| terms.name_of[*term as usize]));
        let shape = match of.last() {
            Some(shape) if names == names_before => *shape,
            _ => *table.entry(names.as_slice().into()).or_insert_with(|| {
                starts.push(bytes.len() as u64);
                varint::put(&mut bytes, names.len() as u64);
                let mut least = 0;
                for name in &names {
                    varint::put(&mut bytes, u64::from(*name - least));
                    least = *name + 1;
                }
                starts.len() as u32 - 1
            }),
        };
        of.push(shape);
        std::mem::swap(&mut names, &mut names_before);
    }
    put_section(sink, Section::Shapes, &bytes)?;
    let count = starts.len() as u32;
    starts.push(bytes.len() as u64);
    put_offsets(sink, Section::ShapeOffsets, &starts)?;
    Ok(Shapes { of, count })
}

fn put_offsets(sink: &mut Sink<'_>, section: Section, offsets: &[u64]) -> Result<()> {
    sink.begin(section);
    for offset in offsets {
        sink.put(&offset.to_le_bytes())?;
    }
    sink.end();
    Ok(())
}

/// Writes each origin as what differs from the one before.
fn put_origins(
    writer: &IndexWriter,
    terms: &TermOrder,
    origins: &OriginOrder,
    shapes: &Shapes,
    sink: &mut Sink<'_>,
) -> Result<()> {
    sink.begin(Section::Origins);
    let mut starts = Vec::with_capacity(origins.order.len() / ORIGINS_PER_BLOCK as usize + 2);
    let mut record = Vec::new();
    let mut before: &[u32] = &[];
    for (place, origin) in (0u32..).zip(&origins.order) {
        let shape = shapes.of[place as usize];
        let tuple = writer.origins.terms(*origin);
        let begins_block = place.is_multiple_of(ORIGINS_PER_BLOCK);
        if begins_block {
            starts.push(sink.offset());
        }
        record.clear();
        if begins_block || shape != shapes.of[place as usize - 1] {
            varint::put(&mut record, u64::from(shape) + 1);
            tuple.iter().for_each(|term| varint::put(&mut record, u64::from(terms.ordinal(*term))));
        } else {
            varint::put(&mut record, 0);
            put_changes(&mut record, before, tuple);
        }
        sink.put(&record)?;
        before = tuple;
    }
    starts.push(sink.offset());
    sink.end();
    put_offsets(sink, Section::OriginBlocks, &starts)
}

/// Writes which labels of a tuple differ from those of the tuple before, which has the same names, and by how much: a mask of some labels a
/// time, then the distances of those whose bit is set.
fn put_changes(record: &mut Vec<u8>, before: &[u32], tuple: &[u32]) {
    for (old, new) in before.chunks(super::origins::LABELS_PER_MASK).zip(tuple.chunks(super::origins::LABELS_PER_MASK))
    {
        let mask = old.iter().zip(new).enumerate().fold(0u64, |mask, (at, (a, b))| mask | u64::from(a != b) << at);
        varint::put(record, mask);
        for (a, b) in old.iter().zip(new).filter(|(a, b)| a != b) {
            varint::put(record, varint::zigzag(i64::from(*b) - i64::from(*a)));
        }
    }
}

/// Writes the distinct lists of (origin, bound).
fn put_lists(writer: &IndexWriter, terms: &TermOrder, origins: &OriginOrder, sink: &mut Sink<'_>) -> Result<()> {
    sink.begin(Section::Lists);
    let mut starts = Vec::with_capacity(writer.lists.len() + 1);
    let mut entries = Vec::new();
    for list in 0..writer.lists.len() as u32 {
        starts.push(sink.offset());
        entries.clear();
        entries.extend(writer.lists.entries(list).map(|(origin, bound)| {
            let bound = bound.map_or(0, |term| terms.ordinal(terms.place[term as usize]) + 1);
            (origins.place[origin as usize], bound)
        }));
        debug_assert!(entries.is_sorted_by_key(|(origin, _)| *origin), "BUG: the origins of a family ascend");
        put_list(&entries, sink)?;
    }
    starts.push(sink.offset());
    sink.end();
    put_offsets(sink, Section::ListOffsets, &starts)
}

fn put_list(entries: &[(u32, u32)], sink: &mut Sink<'_>) -> Result<()> {
    let has_bounds = entries.iter().any(|(_, bound)| *bound > 0);
    let mut head = Vec::new();
    varint::put(&mut head, (entries.len() as u64) << 1 | u64::from(has_bounds));
    let mut body = Vec::new();
    let blocks = entries.chunks(ENTRIES_PER_BLOCK as usize);
    let many = blocks.len() > 1;
    head.reserve(if many { blocks.len() * LIST_BLOCK_BYTES } else { 5 });
    for block in blocks {
        let first = block[0].0;
        if many {
            head.extend_from_slice(&first.to_le_bytes());
            let place = u32::try_from(body.len()).expect("BUG: a series list of 4 GiB");
            head.extend_from_slice(&place.to_le_bytes());
        } else {
            varint::put(&mut head, u64::from(first));
        }
        let mut before = first;
        for (at, (origin, bound)) in block.iter().enumerate() {
            if at > 0 {
                varint::put(&mut body, u64::from(origin - before));
            }
            if has_bounds {
                varint::put(&mut body, u64::from(*bound));
            }
            before = *origin;
        }
    }
    sink.put(&head)?;
    sink.put(&body)
}

/// Writes families and tenants; says how many tenants there are.
fn put_families(writer: &IndexWriter, terms: &TermOrder, sink: &mut Sink<'_>) -> Result<u32> {
    let mut tenants = Vec::new();
    let mut count = 0u32;
    let mut tenant = None;
    sink.begin(Section::Runs);
    for (number, family) in (0u32..).zip(&writer.families) {
        if tenant != Some(family.tenant) {
            tenant = Some(family.tenant);
            count += 1;
            for field in [family.tenant.account, family.tenant.project, number, family.first_series] {
                tenants.extend_from_slice(&field.to_le_bytes());
            }
        }
        let metric = family.metric.map_or(0, |term| terms.ordinal(terms.place[term as usize]) + 1);
        for field in [metric, family.first_series, family.list, count - 1] {
            sink.put(&field.to_le_bytes())?;
        }
    }
    sink.end();
    put_section(sink, Section::Tenants, &tenants)?;
    Ok(count)
}
