//! How matchers become sets, the same for parts and the head, for origins, families and bounds.
//!
//! 1. A matcher finds the values of its label that pass its test: literals by lookup, patterns by their prefix and a scan.
//! 2. The members that have such a value are *only* those that can hold, or, when the matcher is a negative one or accepts a missing label, they
//!    are what everything holds *except*.
//! 3. Literals go first: if one of them finds nothing there is nothing to find. What they leave is intersected from the smallest on.
//! 4. Patterns come last. If few members are left, their values are looked at one by one instead of all values of the label.

use std::ops::Range;

use roaring::RoaringBitmap;

use crate::selector::{CompiledMatcher, Pattern, Test};

/// Looking at the value of one member costs as much as scanning this many values.
const MEMBER_COST: u64 = 4;
/// Below this many values a scan costs next to nothing.
const SCAN_VALUES_MIN: u64 = 256;

/// Values of one label, as ranges of whatever numbers they have.
pub(crate) type Values = Vec<Range<u32>>;

/// Something whose members have labels: the origins, families or bounds of an index.
pub(crate) trait Space {
    type Error;

    /// All members.
    fn universe(&self) -> Result<RoaringBitmap, Self::Error>;
    /// How many values a label has.
    fn value_count(&self, name: &str) -> Result<u64, Self::Error>;
    /// Those of the literals that are values.
    fn lookup(&self, name: &str, literals: &[String]) -> Result<Values, Self::Error>;
    /// The values that match.
    fn scan(&self, name: &str, pattern: &Pattern) -> Result<Values, Self::Error>;
    /// All other values, where that is known without a search.
    fn others(&self, name: &str, values: &Values) -> Result<Option<Values>, Self::Error>;
    /// The members that have one of these values.
    fn having(&self, name: &str, values: &Values) -> Result<RoaringBitmap, Self::Error>;
    /// The members that have the label at all.
    fn present(&self, name: &str) -> Result<RoaringBitmap, Self::Error>;
    /// A superset of the members that are of interest, if it is small and not yet taken into account.
    fn narrow(&self) -> Result<Option<RoaringBitmap>, Self::Error>;
    /// Those of the members for which the matcher holds, looked at one by one; `None` if that cannot be done.
    fn keep(&self, members: &RoaringBitmap, matcher: &CompiledMatcher) -> Result<Option<RoaringBitmap>, Self::Error>;
}

/// What a matcher says of members.
enum Outcome {
    Only(RoaringBitmap),
    Except(RoaringBitmap),
}

/// The members for which all matchers hold; `None` for all members.
pub(crate) fn evaluate<S: Space>(space: &S, matchers: &[&CompiledMatcher]) -> Result<Option<RoaringBitmap>, S::Error> {
    let mut literal_matchers = Vec::new();
    let mut pattern_matchers = Vec::new();
    for matcher in matchers {
        match &matcher.test {
            Test::Literals(literals) => {
                let values = space.lookup(&matcher.name, literals)?;
                if values.is_empty() && !matcher.negated && !matcher.accepts_empty {
                    return Ok(Some(RoaringBitmap::new()));
                }
                literal_matchers.push((*matcher, values));
            }
            Test::Pattern(pattern) => pattern_matchers.push((*matcher, &**pattern)),
        }
    }
    let outcomes = literal_matchers.iter().map(|(matcher, values)| outcome(space, matcher, values));
    let outcomes = outcomes.collect::<Result<Vec<_>, _>>()?;
    let mut found = combine(space, None, outcomes)?;
    // A scan may be spared to those that come after one that leaves little.
    pattern_matchers.sort_by_key(|(matcher, pattern)| (matcher.matches_empty(), pattern.prefix().is_empty()));
    let mut narrowed = false;
    for (matcher, pattern) in pattern_matchers {
        let values = space.value_count(&matcher.name)?;
        if !narrowed && values > SCAN_VALUES_MIN {
            narrowed = true;
            if let Some(few) = space.narrow()? {
                found = Some(found.map_or_else(|| few.clone(), |found| found & &few));
            }
        }
        let few = found.as_ref().filter(|found| values > SCAN_VALUES_MIN && found.len() * MEMBER_COST < values);
        if let Some(few) = few
            && let Some(kept) = space.keep(few, matcher)?
        {
            found = Some(kept);
        } else {
            let values = space.scan(&matcher.name, pattern)?;
            let outcome = outcome(space, matcher, &values)?;
            found = combine(space, found, vec![outcome])?;
        }
        if found.as_ref().is_some_and(RoaringBitmap::is_empty) {
            break;
        }
    }
    Ok(found)
}

/// What follows from a matcher whose test holds for `values`.
fn outcome<S: Space>(space: &S, matcher: &CompiledMatcher, values: &Values) -> Result<Outcome, S::Error> {
    let name = &matcher.name;
    let count: u64 = values.iter().map(|range| range.len() as u64).sum();
    let mostly = count > 1 && count * 2 > space.value_count(name)?;
    if mostly && let Some(others) = space.others(name, values)? {
        let others = space.having(name, &others)?;
        return Ok(match (matcher.accepts_empty, matcher.negated) {
            (false, false) => Outcome::Only(space.present(name)? - others),
            (false, true) => Outcome::Except(space.present(name)? - others),
            (true, false) => Outcome::Except(others),
            (true, true) => Outcome::Only(others),
        });
    }
    let having = space.having(name, values)?;
    Ok(match (matcher.accepts_empty, matcher.negated) {
        (false, false) => Outcome::Only(having),
        (false, true) => Outcome::Except(having),
        (true, false) => Outcome::Except(space.present(name)? - having),
        (true, true) => Outcome::Only(space.present(name)? - having),
    })
}

/// Takes outcomes into account.
fn combine<S: Space>(
    space: &S,
    found: Option<RoaringBitmap>,
    outcomes: Vec<Outcome>,
) -> Result<Option<RoaringBitmap>, S::Error> {
    let (mut only, mut except) = (Vec::from_iter(found), Vec::new());
    for outcome in outcomes {
        match outcome {
            Outcome::Only(set) => only.push(set),
            Outcome::Except(set) => except.push(set),
        }
    }
    only.sort_by_key(RoaringBitmap::len);
    let mut found = only.into_iter().reduce(|found, set| found & set);
    for set in except {
        let all = match found.take() {
            Some(found) => found,
            None => space.universe()?,
        };
        found = Some(all - set);
    }
    Ok(found)
}
