//! Which series of the head a selector means.
//!
//! 1. As in a part, matchers narrow families, origins and bounds ([`crate::search`]); here each question takes the lock for a moment, and values
//!    are copied in pieces for patterns to run on.
//! 2. Then the slots of the families, of the origins, or all slots are looked at, whichever are fewest.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::ops::Range;

use model::{BUCKET_BOUND, METRIC_NAME, Tenant};
use roaring::RoaringBitmap;

use super::posting::Posting;
use super::state::{NONE, Slot, State};
use super::{HeadIndex, READS_PER_LOCK};
use crate::bits::{Bits, Collector};
use crate::search::{Space, Values, evaluate};
use crate::selector::{CompiledMatcher, CompiledSelector, Pattern, Piece};

/// Origins are narrowed by their families if these have at most one series for this many origins.
const NARROW_SHARE: u64 = 4;

pub(super) fn search(index: &HeadIndex, tenant: Tenant, selector: &CompiledSelector) -> RoaringBitmap {
    let (_search, state) = index.begin_search();
    let Some(of_tenant) = state.tenants.get(&tenant) else { return RoaringBitmap::new() };
    let moment = Moment { index, families: of_tenant.families.clone(), origins: OnceCell::new() };
    // What was there at the beginning bounds every answer; most searches need no copy of it.
    let needs_origins = selector.sets().iter().flatten().any(|m| m.name != METRIC_NAME && m.name != BUCKET_BOUND);
    if needs_origins {
        let _ = moment.origins.set(state.live_origins.clone());
    }
    let mut found = Collector::new(state.slots_end());
    if selector.sets().iter().any(Vec::is_empty) {
        return of_tenant.slots.clone();
    }
    drop(state);
    for set in selector.sets() {
        moment.search_set(set, &mut found);
    }
    found.finish()
}

/// What there was when a search began.
struct Moment<'a> {
    index: &'a HeadIndex,
    /// The families of the tenant.
    families: RoaringBitmap,
    origins: OnceCell<RoaringBitmap>,
}

fn get<T>(result: Result<T, Infallible>) -> T {
    let Ok(value) = result;
    value
}

impl Moment<'_> {
    fn search_set(&self, set: &[CompiledMatcher], found: &mut Collector) {
        let of = |name: Option<&str>| -> Vec<&CompiledMatcher> {
            let special = |have: &str| have == METRIC_NAME || have == BUCKET_BOUND;
            set.iter().filter(|m| name.map_or(!special(&m.name), |name| m.name == name)).collect()
        };
        let families = match of(Some(METRIC_NAME)).as_slice() {
            [] => None,
            matchers => get(evaluate(&Families(self), matchers)).map(|found| found & &self.families),
        };
        let bounds = match of(Some(BUCKET_BOUND)).as_slice() {
            [] => None,
            matchers => {
                let bounds = Bounds::new(self.index);
                get(evaluate(&bounds, matchers)).map(|found| found & &bounds.all)
            }
        };
        let origins = match of(None).as_slice() {
            [] => None,
            _ if [&families, &bounds].into_iter().flatten().any(RoaringBitmap::is_empty) => None,
            matchers => {
                let all = self.origins.get().expect("BUG: the origins of the beginning are not known");
                let space = Origins { index: self.index, all, families: families.as_ref() };
                get(evaluate(&space, matchers)).map(|found| found & all)
            }
        };
        if [&families, &bounds, &origins].into_iter().flatten().any(RoaringBitmap::is_empty) {
            return;
        }
        Wanted::new(self, families, origins, bounds).collect(found);
    }
}

/// What is looked for in slots.
struct Wanted<'a> {
    index: &'a HeadIndex,
    families: RoaringBitmap,
    family_bits: Bits,
    origins: Option<(RoaringBitmap, Bits)>,
    bounds: Option<Bits>,
}

/// Where to look for slots.
enum Plan {
    ByFamily,
    ByOrigin,
    All,
}

impl<'a> Wanted<'a> {
    fn new(
        moment: &Moment<'a>,
        families: Option<RoaringBitmap>,
        origins: Option<RoaringBitmap>,
        bounds: Option<RoaringBitmap>,
    ) -> Self {
        let bits = |set: &RoaringBitmap| Bits::of(set, set.max().map_or(0, |max| max + 1));
        let families = families.unwrap_or_else(|| moment.families.clone());
        let family_bits = bits(&families);
        let origins = origins.map(|origins| {
            let bits = bits(&origins);
            (origins, bits)
        });
        Self { index: moment.index, family_bits, families, origins, bounds: bounds.map(|set| bits(&set)) }
    }

    fn plan(&self) -> Plan {
        let state = self.index.state.read();
        let total = state.series as u64;
        let by_family: u64 = self.families.iter().take(READS_PER_LOCK).map(|at| state.family(at).slots.len()).sum();
        let by_family = if self.families.len() > READS_PER_LOCK as u64 { total } else { by_family };
        let by_origin = match &self.origins {
            None => u64::MAX,
            Some((origins, _)) if origins.len() > READS_PER_LOCK as u64 => total,
            Some((origins, _)) => origins.iter().map(|at| state.origin(at).slots.len()).sum(),
        };
        // Walking all slots goes through memory once, the others jump about.
        let all = if self.origins.is_none() && self.bounds.is_none() { u64::MAX } else { total / 4 };
        match by_family.min(by_origin).min(all) {
            cost if cost == by_family => Plan::ByFamily,
            cost if cost == by_origin => Plan::ByOrigin,
            _ => Plan::All,
        }
    }

    fn collect(&self, found: &mut Collector) {
        match (self.plan(), &self.origins) {
            (Plan::ByOrigin, Some((origins, _))) => {
                self.collect_members(origins, |state, at| &state.origin(at).slots, found);
            }
            (Plan::All, _) => self.collect_all(found),
            _ => self.collect_members(&self.families, |state, at| &state.family(at).slots, found),
        }
    }

    fn wants(&self, slot: Slot) -> bool {
        self.family_bits.contains(slot.family)
            && self.origins.as_ref().is_none_or(|(_, bits)| bits.contains(slot.origin))
            && self.bounds.as_ref().is_none_or(|bits| bits.contains(slot.bound.wrapping_add(1)))
    }

    /// Looks at the slots of families or of origins.
    fn collect_members(
        &self,
        members: &RoaringBitmap,
        slots_of: impl Fn(&State, u32) -> &Posting,
        found: &mut Collector,
    ) {
        if self.origins.is_none() && self.bounds.is_none() {
            return each_in_pieces(self.index, members.iter(), slots_of, true, |_, told| found.take(told));
        }
        let end = found.end();
        each_in_pieces(self.index, members.iter(), slots_of, false, |state, told| {
            let Told::Range(range) = told else { unreachable!("BUG: bitmaps are told in ranges") };
            for at in range.start..range.end.min(end) {
                if state.slot(at).is_some_and(|slot| self.wants(slot)) {
                    found.add(at..at + 1);
                }
            }
        });
    }

    fn collect_all(&self, found: &mut Collector) {
        let end = found.end();
        let mut next = 0;
        while next < end {
            let state = self.index.state.read();
            let past = end.min(next + READS_PER_LOCK as u32);
            for at in next..past {
                if state.slot(at).is_some_and(|slot| self.wants(slot)) {
                    found.add(at..at + 1);
                }
            }
            next = past;
        }
    }
}

/// What is in a posting: all of it at once, or a range.
enum Told<'a> {
    Bitmap(&'a RoaringBitmap),
    Range(Range<u32>),
}

impl Collector {
    fn take(&mut self, told: Told<'_>) {
        match told {
            Told::Bitmap(bitmap) => self.add_bitmap(bitmap),
            Told::Range(range) => self.add(range.start.min(self.end())..range.end.min(self.end())),
        }
    }
}

/// Numbers of a bitmap that are taken at once in the time of one that is looked at.
const BITMAP_SHARE: usize = 32;
/// Going to the next posting takes as long as looking at so many of its numbers.
const POSTING_COST: usize = 8;

/// Tells what is in one posting after the other, holding the lock for some thousand numbers at a time. Bitmaps are told at once if `whole` says so.
fn each_in_pieces(
    index: &HeadIndex,
    owners: impl Iterator<Item = u32>,
    posting_of: impl Fn(&State, u32) -> &Posting,
    whole: bool,
    mut visit: impl FnMut(&State, Told<'_>),
) {
    let mut owners = owners.map(|owner| (owner, 0));
    let mut current = owners.next();
    while current.is_some() {
        let state = index.state.read();
        let mut work = 0;
        while work < READS_PER_LOCK
            && let Some((owner, from)) = current
        {
            // What was removed meanwhile is empty.
            let posting = posting_of(&state, owner);
            let len = posting.len() as usize;
            let stopped = match posting.bitmap() {
                Some(bitmap) if whole => {
                    work += len / BITMAP_SHARE;
                    visit(&state, Told::Bitmap(bitmap));
                    None
                }
                _ => {
                    work += len.min(READS_PER_LOCK);
                    posting.each_range(&state.memory, from, READS_PER_LOCK, |range| visit(&state, Told::Range(range)))
                }
            };
            work += POSTING_COST;
            current = stopped.map(|from| (owner, from)).or_else(|| owners.next());
        }
    }
}

/// Literals that are values of a name.
fn lookup(index: &HeadIndex, name: &str, literals: &[String]) -> Values {
    let mut values = Values::new();
    for piece in literals.chunks(READS_PER_LOCK / 8) {
        let state = index.state.read();
        let Some(name) = state.terms.find_name(name) else { return values };
        for literal in piece {
            values.extend(state.terms.find(name, literal.as_bytes()).map(|term| term..term + 1));
        }
    }
    values
}

/// The values of a name that a pattern matches.
fn scan(index: &HeadIndex, name: &str, pattern: &Pattern) -> Values {
    let mut values = Values::new();
    let mut piece = Piece::default();
    let mut terms = Vec::new();
    let mut from = pattern.prefix().to_vec();
    loop {
        piece.clear();
        terms.clear();
        {
            let state = index.state.read();
            let Some(name) = state.terms.find_name(name) else { return values };
            let sorted = &state.terms.name(name).sorted;
            sorted.copy(sorted.seek(&from), pattern.prefix(), &mut piece, &mut terms);
        }
        let Some(last) = terms.len().checked_sub(1).and_then(|last| piece.value(last)) else { return values };
        // The next piece begins behind the last value of this one, whatever comes or goes in between.
        from.clear();
        from.extend_from_slice(last);
        from.push(0);
        if pattern.is_prefix_only() {
            values.extend(terms.iter().map(|term| *term..*term + 1));
        } else {
            piece.matches(pattern, |at| values.push(terms[at]..terms[at] + 1));
        }
    }
}

/// The members of values, below `end`.
fn having(index: &HeadIndex, values: &Values, end: u32) -> RoaringBitmap {
    let mut found = Collector::new(end);
    let terms = values.iter().flat_map(Range::clone);
    each_in_pieces(index, terms, |state, term| &state.terms.term(term).members, true, |_, told| found.take(told));
    found.finish()
}

fn value_count(index: &HeadIndex, name: &str) -> u64 {
    let state = index.state.read();
    state.terms.find_name(name).map_or(0, |name| state.terms.name(name).sorted.len() as u64)
}

/// The answers that are the same whatever the members are.
macro_rules! common_answers {
    ($index:ident) => {
        type Error = Infallible;

        fn value_count(&self, name: &str) -> Result<u64, Infallible> {
            Ok(value_count(self.$index(), name))
        }

        fn lookup(&self, name: &str, literals: &[String]) -> Result<Values, Infallible> {
            Ok(lookup(self.$index(), name, literals))
        }

        fn scan(&self, name: &str, pattern: &Pattern) -> Result<Values, Infallible> {
            Ok(scan(self.$index(), name, pattern))
        }

        fn others(&self, _: &str, _: &Values) -> Result<Option<Values>, Infallible> {
            Ok(None)
        }
    };
}

struct Origins<'a> {
    index: &'a HeadIndex,
    /// Those that were there at the beginning.
    all: &'a RoaringBitmap,
    families: Option<&'a RoaringBitmap>,
}

impl Origins<'_> {
    fn index(&self) -> &HeadIndex {
        self.index
    }
}

impl Space for Origins<'_> {
    common_answers!(index);

    fn universe(&self) -> Result<RoaringBitmap, Infallible> {
        Ok(self.all.clone())
    }

    fn having(&self, _name: &str, values: &Values) -> Result<RoaringBitmap, Infallible> {
        Ok(having(self.index, values, self.all.max().map_or(0, |max| max + 1)))
    }

    fn present(&self, name: &str) -> Result<RoaringBitmap, Infallible> {
        let state = self.index.state.read();
        let name = state.terms.find_name(name);
        Ok(name.map_or_else(RoaringBitmap::new, |name| state.terms.name(name).present.clone()))
    }

    fn narrow(&self) -> Result<Option<RoaringBitmap>, Infallible> {
        let Some(families) = self.families else { return Ok(None) };
        let share = self.all.len() / NARROW_SHARE;
        let slots: u64 = {
            let state = self.index.state.read();
            families.iter().take(READS_PER_LOCK).map(|at| state.family(at).slots.len()).sum()
        };
        if slots > share || families.len() > READS_PER_LOCK as u64 {
            return Ok(None);
        }
        let mut found = Vec::new();
        let mut see = |state: &State, told: Told<'_>| {
            if let Told::Range(range) = told {
                found.extend(range.filter_map(|slot| state.slot(slot)).map(|slot| slot.origin));
            }
        };
        each_in_pieces(self.index, families.iter(), |state, at| &state.family(at).slots, false, &mut see);
        Ok(Some(found.into_iter().collect()))
    }

    fn keep(&self, members: &RoaringBitmap, matcher: &CompiledMatcher) -> Result<Option<RoaringBitmap>, Infallible> {
        let mut kept = Vec::new();
        let mut answers: HashMap<u32, bool> = HashMap::new();
        let members: Vec<u32> = members.iter().collect();
        let mut texts = Piece::default();
        for members in members.chunks(READS_PER_LOCK / 16) {
            let mut terms: Vec<u32> = Vec::with_capacity(members.len());
            let mut unknown = Vec::new();
            texts.clear();
            {
                let state = self.index.state.read();
                let name = state.terms.find_name(&matcher.name);
                for origin in members {
                    let mut tuple = state.tuple(*origin).iter().copied();
                    let term = name.and_then(|name| tuple.find(|term| state.terms.term(*term).name == name));
                    if let Some(term) = term
                        && !answers.contains_key(&term)
                    {
                        answers.insert(term, false);
                        texts.push(state.terms.text(term));
                        unknown.push(term);
                    }
                    terms.push(term.unwrap_or(NONE));
                }
            }
            for (term, text) in unknown.iter().zip(texts.values()) {
                answers.insert(*term, matcher.test.matches(text) != matcher.negated);
            }
            for (origin, term) in members.iter().zip(terms) {
                let holds = if term == NONE { matcher.matches_empty() } else { answers[&term] };
                if holds {
                    kept.push(*origin);
                }
            }
        }
        Ok(Some(kept.into_iter().collect()))
    }
}

/// The families of a tenant.
struct Families<'a>(&'a Moment<'a>);

impl Families<'_> {
    fn index(&self) -> &HeadIndex {
        self.0.index
    }
}

impl Space for Families<'_> {
    common_answers!(index);

    fn universe(&self) -> Result<RoaringBitmap, Infallible> {
        Ok(self.0.families.clone())
    }

    fn having(&self, _name: &str, values: &Values) -> Result<RoaringBitmap, Infallible> {
        Ok(having(self.0.index, values, self.0.families.max().map_or(0, |max| max + 1)) & &self.0.families)
    }

    fn present(&self, _name: &str) -> Result<RoaringBitmap, Infallible> {
        let mut present = self.0.families.clone();
        let mut families = self.0.families.iter().peekable();
        while families.peek().is_some() {
            let state = self.0.index.state.read();
            // One that was removed meanwhile has no slots, whatever else is said of it.
            let unnamed = families.by_ref().take(READS_PER_LOCK).find(|at| state.family(*at).metric == NONE);
            if let Some(at) = unnamed {
                present.remove(at);
            }
        }
        Ok(present)
    }

    fn narrow(&self) -> Result<Option<RoaringBitmap>, Infallible> {
        Ok(None)
    }

    fn keep(&self, _: &RoaringBitmap, _: &CompiledMatcher) -> Result<Option<RoaringBitmap>, Infallible> {
        Ok(None)
    }
}

/// The terms of bounds, plus one; 0 stands for the absence of a bound.
struct Bounds<'a> {
    index: &'a HeadIndex,
    all: RoaringBitmap,
}

impl<'a> Bounds<'a> {
    fn new(index: &'a HeadIndex) -> Self {
        let mut all = RoaringBitmap::new();
        all.insert(0);
        let mut from = Vec::new();
        loop {
            let state = index.state.read();
            let Some(name) = state.terms.find_name(BUCKET_BOUND) else { break };
            let before = all.len();
            let mut last = None;
            for (term, text) in state.terms.from(name, &from).take(READS_PER_LOCK) {
                all.insert(term + 1);
                last = Some(text);
            }
            let Some(last) = last.filter(|_| all.len() > before) else { break };
            from.clear();
            from.extend_from_slice(last);
            from.push(0);
        }
        Self { index, all }
    }

    fn index(&self) -> &HeadIndex {
        self.index
    }
}

impl Space for Bounds<'_> {
    common_answers!(index);

    fn universe(&self) -> Result<RoaringBitmap, Infallible> {
        Ok(self.all.clone())
    }

    fn having(&self, _name: &str, values: &Values) -> Result<RoaringBitmap, Infallible> {
        Ok(values.iter().flat_map(Range::clone).map(|term| term + 1).collect())
    }

    fn present(&self, _name: &str) -> Result<RoaringBitmap, Infallible> {
        let mut present = self.all.clone();
        present.remove(0);
        Ok(present)
    }

    fn narrow(&self) -> Result<Option<RoaringBitmap>, Infallible> {
        Ok(None)
    }

    fn keep(&self, _: &RoaringBitmap, _: &CompiledMatcher) -> Result<Option<RoaringBitmap>, Infallible> {
        Ok(None)
    }
}
