//! Which series of a part a selector means.
//!
//! 1. The matchers of a set are split: those of the metric name narrow the families, those of `le` the bounds, all others the origins
//!    ([`crate::search`]).
//! 2. In the list of each family that is left, the blocks are read that can hold a wanted origin, or all if many are wanted. Families with the
//!    same list share the work.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ops::Range;

use disk::Corrupt;
use model::{BUCKET_BOUND, METRIC_NAME, Tenant};
use roaring::RoaringBitmap;

use super::Inner;
use super::dictionary::Name;
use super::layout::Section;
use super::lists::List;
use super::origins::OriginReader;
use super::runs::TenantSpan;
use crate::bits::{Bits, Collector};
use crate::search::{Space, Values, evaluate};
use crate::selector::{CompiledMatcher, CompiledSelector, Pattern};

/// Going through wanted origins in step with a list costs as much for each of them as it costs to test this many entries.
const STEP_COST: u64 = 4;
/// Origins are narrowed by their families if these have at most one in this many of all.
const NARROW_SHARE: u64 = 4;

pub(super) fn search(index: &Inner, tenant: Tenant, selector: &CompiledSelector) -> Result<RoaringBitmap, Corrupt> {
    let Some(span) = index.tenant(tenant)? else { return Ok(RoaringBitmap::new()) };
    let mut found = Collector::new(index.file.counts.series);
    for set in selector.sets() {
        search_set(index, span, set, &mut found)?;
    }
    Ok(found.finish())
}

fn search_set(index: &Inner, span: &TenantSpan, set: &[CompiledMatcher], found: &mut Collector) -> Result<(), Corrupt> {
    let of = |name: Option<&str>| -> Vec<&CompiledMatcher> {
        let special = |have: &str| have == METRIC_NAME || have == BUCKET_BOUND;
        set.iter().filter(|m| name.map_or(!special(&m.name), |name| m.name == name)).collect()
    };
    let families = match of(Some(METRIC_NAME)).as_slice() {
        [] => None,
        matchers => evaluate(&Families { index, span }, matchers)?,
    };
    let bounds = match of(Some(BUCKET_BOUND)).as_slice() {
        [] => None,
        matchers => evaluate(&Bounds { index }, matchers)?,
    };
    let empty = |set: &Option<RoaringBitmap>| set.as_ref().is_some_and(RoaringBitmap::is_empty);
    if empty(&families) || empty(&bounds) {
        return Ok(());
    }
    let origins = match of(None).as_slice() {
        [] => None,
        matchers => evaluate(&Origins { index, families: families.as_ref() }, matchers)?,
    };
    if empty(&origins) {
        return Ok(());
    }
    if origins.is_none() && bounds.is_none() {
        let Some(families) = families else {
            found.add(span.series.clone());
            return Ok(());
        };
        for at in families {
            found.add(index.series_of(at, &index.run(at)?)?);
        }
        return Ok(());
    }
    let mut wanted = Wanted {
        origins,
        origin_bits: OnceCell::new(),
        bounds: bounds.map(|bounds| Bits::of(&bounds, bounds.max().map_or(0, |max| max + 1))),
        spans: HashMap::new(),
        ranges: Vec::new(),
    };
    match families {
        None => span.runs.clone().try_for_each(|at| wanted.collect(index, at, found)),
        Some(families) => families.iter().try_for_each(|at| wanted.collect(index, at, found)),
    }
}

/// What is looked for in lists.
struct Wanted {
    origins: Option<RoaringBitmap>,
    origin_bits: OnceCell<Bits>,
    bounds: Option<Bits>,
    /// What was found in each list: a range of `ranges`.
    spans: HashMap<u32, Range<usize>>,
    ranges: Vec<Range<u32>>,
}

impl Wanted {
    /// Adds the wanted series of a family.
    fn collect(&mut self, index: &Inner, at: u32, found: &mut Collector) -> Result<(), Corrupt> {
        let run = index.run(at)?;
        let (series, list) = index.list_of(at, &run)?;
        let ranges = match self.spans.get(&run.list) {
            Some(span) => span.clone(),
            None => {
                let start = self.ranges.len();
                self.search_list(index, &list)?;
                self.spans.insert(run.list, start..self.ranges.len());
                start..self.ranges.len()
            }
        };
        // A list is as long as its family, so no position leads out of it.
        for positions in &self.ranges[ranges] {
            found.add(series.start + positions.start..series.start + positions.end);
        }
        Ok(())
    }

    fn search_list(&mut self, index: &Inner, list: &List) -> Result<(), Corrupt> {
        if !list.has_bounds() && self.bounds.as_ref().is_some_and(|bounds| !bounds.contains(0)) {
            return Ok(());
        }
        let Self { origins, origin_bits, bounds, ranges, .. } = self;
        let bounds = bounds.as_ref().filter(|_| list.has_bounds());
        let first = ranges.len();
        let mut add = |position: u32, bound: u32| {
            if bounds.is_none_or(|bounds| bounds.contains(bound)) {
                match ranges[first..].last_mut() {
                    Some(last) if last.end == position => last.end += 1,
                    _ => ranges.push(position..position + 1),
                }
            }
        };
        match origins {
            Some(few) if few.len() * STEP_COST < u64::from(list.len) => {
                list.each_wanted(&index.file, few, |position, entry| add(position, entry.bound))
            }
            Some(many) => {
                let bits = origin_bits.get_or_init(|| Bits::of(many, index.file.counts.origins));
                list.each_from(&index.file, 0, |position, entry| {
                    if bits.contains(entry.origin) {
                        add(position, entry.bound);
                    }
                    true
                })
            }
            None => list.each_from(&index.file, 0, |position, entry| {
                add(position, entry.bound);
                true
            }),
        }
    }
}

/// Literals that are values of a name, as ranges of their numbers.
fn lookup(index: &Inner, name: &Name, literals: &[String]) -> Result<Values, Corrupt> {
    let mut values = Vec::new();
    for literal in literals {
        let (at, equal) = name.seek(&index.file, literal.as_bytes())?;
        if equal {
            values.push(at..at + 1);
        }
    }
    Ok(values)
}

/// What lies between ascending ranges below `end`.
fn gaps(values: &Values, end: u32) -> Values {
    let mut gaps = Vec::with_capacity(values.len() + 1);
    let mut start = 0;
    for range in values {
        if start < range.start {
            gaps.push(start..range.start);
        }
        start = range.end;
    }
    if start < end {
        gaps.push(start..end);
    }
    gaps
}

/// Looks a name up, or gives an empty answer where no member has it.
macro_rules! name_or {
    ($self:ident, $name:ident, $absent:expr) => {
        match $self.index.dictionary.find(&$self.index.file, $name)? {
            Some((_, name)) => name,
            None => return Ok($absent),
        }
    };
}

/// The answers that are the same whatever the members are.
macro_rules! common_answers {
    () => {
        type Error = Corrupt;

        fn value_count(&self, name: &str) -> Result<u64, Corrupt> {
            Ok(u64::from(name_or!(self, name, 0).values))
        }

        fn lookup(&self, name: &str, literals: &[String]) -> Result<Values, Corrupt> {
            lookup(self.index, name_or!(self, name, Vec::new()), literals)
        }

        fn scan(&self, name: &str, pattern: &Pattern) -> Result<Values, Corrupt> {
            name_or!(self, name, Vec::new()).matching(&self.index.file, pattern)
        }

        fn others(&self, name: &str, values: &Values) -> Result<Option<Values>, Corrupt> {
            Ok(Some(gaps(values, name_or!(self, name, None).values)))
        }
    };
}

struct Origins<'a> {
    index: &'a Inner,
    families: Option<&'a RoaringBitmap>,
}

impl Space for Origins<'_> {
    common_answers!();

    fn universe(&self) -> Result<RoaringBitmap, Corrupt> {
        let mut all = RoaringBitmap::new();
        all.insert_range(0..self.index.file.counts.origins);
        Ok(all)
    }

    fn having(&self, name: &str, values: &Values) -> Result<RoaringBitmap, Corrupt> {
        let (file, end) = (&self.index.file, self.index.file.counts.origins);
        let name = name_or!(self, name, RoaringBitmap::new());
        if let [one] = values.as_slice()
            && one.len() == 1
        {
            let mut found = RoaringBitmap::new();
            name.each_posting(file, one.clone(), |_, posting| {
                found = posting.to_bitmap(end)?;
                Some(())
            })?;
            return Ok(found);
        }
        let mut found = Collector::new(end);
        for range in values {
            name.each_posting(file, range.clone(), |_, posting| posting.each_range(end, |range| found.add(range)))?;
        }
        Ok(found.finish())
    }

    fn present(&self, name: &str) -> Result<RoaringBitmap, Corrupt> {
        let name = name_or!(self, name, RoaringBitmap::new());
        let present = name.present(&self.index.file)?.to_bitmap(self.index.file.counts.origins);
        present.ok_or_else(|| self.index.file.corrupt(Section::Postings, 0, "a posting list makes no sense"))
    }

    fn narrow(&self) -> Result<Option<RoaringBitmap>, Corrupt> {
        let (index, Some(families)) = (self.index, self.families) else { return Ok(None) };
        let share = u64::from(index.file.counts.origins) / NARROW_SHARE;
        let mut entries = 0;
        let mut lists = HashMap::new();
        for at in families {
            let run = index.run(at)?;
            if let std::collections::hash_map::Entry::Vacant(slot) = lists.entry(run.list) {
                let list = slot.insert(index.list_of(at, &run)?.1);
                entries += u64::from(list.len);
            }
            if entries > share {
                return Ok(None);
            }
        }
        let mut bits = Bits::new(index.file.counts.origins);
        for list in lists.values() {
            let mut inside = true;
            list.each_from(&index.file, 0, |_, entry| {
                inside = entry.origin < index.file.counts.origins;
                if inside {
                    bits.insert(entry.origin);
                }
                inside
            })?;
            if !inside {
                return Err(index.file.corrupt(Section::Lists, 0, "an origin is referred to that is not there"));
            }
        }
        Ok(Some(bits.to_bitmap()))
    }

    fn keep(&self, members: &RoaringBitmap, matcher: &CompiledMatcher) -> Result<Option<RoaringBitmap>, Corrupt> {
        let file = &self.index.file;
        let Some((place, name)) = self.index.dictionary.find(file, &matcher.name)? else {
            return Ok(Some(if matcher.matches_empty() { members.clone() } else { RoaringBitmap::new() }));
        };
        let mut kept = Vec::new();
        let mut reader = OriginReader::default();
        let mut text = Vec::new();
        let mut answers = HashMap::new();
        for origin in members {
            reader.load(file, origin)?;
            let holds = match reader.value_of(place) {
                None => matcher.matches_empty(),
                Some(value) => match answers.get(&value) {
                    Some(holds) => *holds,
                    None => {
                        name.value(file, value, &mut text)?;
                        let holds = matcher.test.matches(&text) != matcher.negated;
                        answers.insert(value, holds);
                        holds
                    }
                },
            };
            if holds {
                kept.push(origin);
            }
        }
        Ok(Some(kept.into_iter().collect()))
    }
}

/// The families of a tenant, whose metric names ascend.
struct Families<'a> {
    index: &'a Inner,
    span: &'a TenantSpan,
}

impl Families<'_> {
    /// The first family whose metric is not below `metric`.
    fn seek(&self, metric: u32) -> Result<u32, Corrupt> {
        let Range { start: mut low, end: mut high } = self.span.runs;
        while low < high {
            let middle = low.midpoint(high);
            if self.index.run(middle)?.metric < metric {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

impl Space for Families<'_> {
    common_answers!();

    fn universe(&self) -> Result<RoaringBitmap, Corrupt> {
        let mut all = RoaringBitmap::new();
        all.insert_range(self.span.runs.clone());
        Ok(all)
    }

    fn having(&self, _name: &str, values: &Values) -> Result<RoaringBitmap, Corrupt> {
        let mut found = RoaringBitmap::new();
        for range in values {
            found.insert_range(self.seek(range.start + 1)?..self.seek(range.end + 1)?);
        }
        Ok(found)
    }

    fn present(&self, _name: &str) -> Result<RoaringBitmap, Corrupt> {
        let mut found = RoaringBitmap::new();
        found.insert_range(self.seek(1)?..self.span.runs.end);
        Ok(found)
    }

    fn narrow(&self) -> Result<Option<RoaringBitmap>, Corrupt> {
        Ok(None)
    }

    fn keep(&self, _: &RoaringBitmap, _: &CompiledMatcher) -> Result<Option<RoaringBitmap>, Corrupt> {
        Ok(None)
    }
}

/// The values of `le`, plus one; 0 stands for its absence.
struct Bounds<'a> {
    index: &'a Inner,
}

impl Space for Bounds<'_> {
    common_answers!();

    fn universe(&self) -> Result<RoaringBitmap, Corrupt> {
        let mut all = self.present(BUCKET_BOUND)?;
        all.insert(0);
        Ok(all)
    }

    fn having(&self, _name: &str, values: &Values) -> Result<RoaringBitmap, Corrupt> {
        let mut found = RoaringBitmap::new();
        for range in values {
            found.insert_range(range.start + 1..range.end + 1);
        }
        Ok(found)
    }

    fn present(&self, name: &str) -> Result<RoaringBitmap, Corrupt> {
        let values = name_or!(self, name, RoaringBitmap::new()).values;
        let mut found = RoaringBitmap::new();
        found.insert_range(1..=values);
        Ok(found)
    }

    fn narrow(&self) -> Result<Option<RoaringBitmap>, Corrupt> {
        Ok(None)
    }

    fn keep(&self, _: &RoaringBitmap, _: &CompiledMatcher) -> Result<Option<RoaringBitmap>, Corrupt> {
        Ok(None)
    }
}
