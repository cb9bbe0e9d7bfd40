//! Selectors, prepared once and then asked on the head and on every part.
//!
//! 1. Each matcher becomes a test of non-empty values, a flag for the empty value (which stands for a missing label), and a negation.
//! 2. `=`, `!=` and regular expressions that mean finitely many texts become sorted lists of literals.
//! 3. Matchers that always hold are dropped, sets with a matcher that never holds are dropped as a whole.

mod literals;
mod pattern;
mod piece;
mod re2;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use model::{MatchOp, Matcher, Selector, SeriesKey};
use xxhash_rust::xxh3::xxh3_128_with_seed;

pub(crate) use pattern::Pattern;
pub(crate) use piece::Piece;
pub use re2::parse as parse_regex;

/// Matchers of all sets of one selector.
const MATCHERS_MAX: usize = 10_000;

/// A matcher that cannot be prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadMatcher {
    /// The matcher as it was asked.
    pub matcher: String,
    /// What is wrong with it, in one line.
    pub reason: String,
}

impl fmt::Display for BadMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use matcher {}: {}", self.matcher, self.reason)
    }
}

impl std::error::Error for BadMatcher {}

/// A [`Selector`] with its regular expressions compiled and their literals extracted.
#[derive(Debug)]
pub struct CompiledSelector {
    any_of: Vec<Vec<CompiledMatcher>>,
    fingerprint: u128,
}

impl CompiledSelector {
    /// Prepares a selector.
    pub fn compile(selector: &Selector) -> Result<Self, BadMatcher> {
        let matchers: usize = selector.any_of.iter().map(Vec::len).sum();
        if matchers > MATCHERS_MAX {
            let reason = format!("it is one of {matchers} in a selector, at most {MATCHERS_MAX} are taken");
            let first = selector.any_of.iter().flatten().next().map_or_else(String::new, Matcher::to_string);
            return Err(BadMatcher { matcher: first, reason });
        }
        let mut any_of = Vec::with_capacity(selector.any_of.len());
        for set in &selector.any_of {
            any_of.extend(compile_set(set)?);
        }
        Ok(Self { any_of, fingerprint: fingerprint(selector) })
    }

    /// Equal for selectors that differ only in the order or repetition of matchers and sets; for caches inside of this process, as its secret
    /// changes with every start.
    pub fn fingerprint(&self) -> u128 {
        self.fingerprint
    }

    /// Whether a series with this key is selected. The tenant is not looked at.
    pub fn matches(&self, key: &SeriesKey) -> bool {
        let holds = |matcher: &CompiledMatcher| {
            let value = key.label(&matcher.name);
            matcher.matches(value.as_deref().unwrap_or(""))
        };
        self.any_of.iter().any(|set| set.iter().all(holds))
    }

    /// The sets of matchers that can hold.
    pub(crate) fn sets(&self) -> &[Vec<CompiledMatcher>] {
        &self.any_of
    }
}

/// One prepared condition.
#[derive(Debug)]
pub(crate) struct CompiledMatcher {
    pub(crate) name: String,
    /// Turns the answer of `accepts_empty` and `test`.
    pub(crate) negated: bool,
    /// The answer for the empty value, before negation.
    pub(crate) accepts_empty: bool,
    /// The answer for other values, before negation.
    pub(crate) test: Test,
}

/// A test of values that are not empty.
#[derive(Debug)]
pub(crate) enum Test {
    /// One of these, sorted.
    Literals(Vec<String>),
    Pattern(Box<Pattern>),
}

impl Test {
    pub(crate) fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Literals(literals) => literals.binary_search_by(|literal| literal.as_bytes().cmp(value)).is_ok(),
            Self::Pattern(pattern) => pattern.matches(value),
        }
    }
}

impl CompiledMatcher {
    pub(crate) fn matches(&self, value: &str) -> bool {
        let accepts = if value.is_empty() { self.accepts_empty } else { self.test.matches(value.as_bytes()) };
        accepts != self.negated
    }

    /// Whether it holds for series without the label.
    pub(crate) fn matches_empty(&self) -> bool {
        self.accepts_empty != self.negated
    }
}

/// What a matcher comes to.
enum Outcome {
    Always,
    Never,
    Sometimes(CompiledMatcher),
}

fn compile_set(set: &[Matcher]) -> Result<Option<Vec<CompiledMatcher>>, BadMatcher> {
    let mut compiled = Vec::with_capacity(set.len());
    let mut possible = true;
    for matcher in set {
        let bad = |reason| BadMatcher { matcher: matcher.to_string(), reason };
        match compile_matcher(matcher).map_err(bad)? {
            Outcome::Always => {}
            Outcome::Never => possible = false,
            Outcome::Sometimes(matcher) => compiled.push(matcher),
        }
    }
    Ok(possible.then_some(compiled))
}

fn compile_matcher(matcher: &Matcher) -> Result<Outcome, String> {
    if matcher.name.is_empty() {
        return Err("the label has no name".to_string());
    }
    let negated = matches!(matcher.op, MatchOp::NotEqual | MatchOp::NotRegex);
    let sometimes = |negated, accepts_empty, test| {
        Outcome::Sometimes(CompiledMatcher { name: matcher.name.clone(), negated, accepts_empty, test })
    };
    if matches!(matcher.op, MatchOp::Equal | MatchOp::NotEqual) {
        let (empty, test) = from_texts(vec![matcher.value.clone()]);
        return Ok(sometimes(negated, empty, test));
    }
    let hir = re2::parse(&matcher.value)?;
    if literals::is_anything(&hir) {
        return Ok(if negated { Outcome::Never } else { Outcome::Always });
    }
    if literals::is_something(&hir) {
        // `.+` holds for all but the empty value.
        return Ok(sometimes(!negated, true, Test::Literals(Vec::new())));
    }
    if let Some(texts) = literals::enumerate(&hir) {
        // A text that is no UTF-8 is no value.
        let texts = texts.into_iter().filter_map(|text| String::from_utf8(text).ok()).collect();
        let (empty, test) = from_texts(texts);
        return Ok(sometimes(negated, empty, test));
    }
    let pattern = Pattern::new(&hir)?;
    let accepts_empty = pattern.matches(b"");
    Ok(sometimes(negated, accepts_empty, Test::Pattern(Box::new(pattern))))
}

fn from_texts(mut texts: Vec<String>) -> (bool, Test) {
    texts.sort_unstable();
    texts.dedup();
    let accepts_empty = texts.first().is_some_and(String::is_empty);
    if accepts_empty {
        texts.remove(0);
    }
    (accepts_empty, Test::Literals(texts))
}

fn fingerprint(selector: &Selector) -> u128 {
    static SECRET: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one("fingerprint"));
    let describe = |matcher: &Matcher| {
        let mut text = Vec::with_capacity(matcher.name.len() + matcher.value.len() + 17);
        text.push(matcher.op as u8);
        for part in [&matcher.name, &matcher.value] {
            text.extend_from_slice(&(part.len() as u64).to_le_bytes());
            text.extend_from_slice(part.as_bytes());
        }
        text
    };
    let hash_sorted = |mut parts: Vec<Vec<u8>>| {
        parts.sort_unstable();
        parts.dedup();
        xxh3_128_with_seed(&parts.concat(), *SECRET)
    };
    let sets = selector.any_of.iter().map(|set| hash_sorted(set.iter().map(describe).collect()).to_le_bytes().to_vec());
    hash_sorted(sets.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(op: MatchOp, value: &str) -> CompiledMatcher {
        match compile_matcher(&Matcher::new("a", op, value)) {
            Ok(Outcome::Sometimes(matcher)) => matcher,
            Ok(_) => panic!("{value} is decided"),
            Err(error) => panic!("{value}: {error}"),
        }
    }

    #[test]
    fn the_empty_value_stands_for_a_missing_label() {
        use MatchOp::{Equal, NotEqual, NotRegex, Regex};
        let cases = [
            (Equal, "", true, false),
            (NotEqual, "", false, true),
            (Equal, "x", false, true),
            (NotEqual, "x", true, false),
            (Regex, "x|", true, true),
            (NotRegex, "x|", false, false),
            (Regex, ".+", false, true),
            (NotRegex, ".+", true, false),
            (Regex, "x.*|", true, true),
            (NotRegex, "x.*|", false, false),
            (Regex, "(x.*)?", true, true),
            (Regex, "[xy]+.*", false, true),
            (NotRegex, "[xy]+.*", true, false),
        ];
        for (op, value, empty, x) in cases {
            let matcher = compile(op, value);
            assert_eq!((matcher.matches(""), matcher.matches("x")), (empty, x), "{op:?} {value}");
            assert_eq!(matcher.matches_empty(), empty, "{op:?} {value}");
        }
    }

    #[test]
    fn decided_matchers_vanish() {
        let selector = |op, value: &str| Selector::all_of(vec![Matcher::equal("b", "1"), Matcher::new("a", op, value)]);
        let always = CompiledSelector::compile(&selector(MatchOp::Regex, ".*")).expect("good");
        assert_eq!(always.sets().iter().map(Vec::len).collect::<Vec<_>>(), [1]);
        let never = CompiledSelector::compile(&selector(MatchOp::NotRegex, ".*")).expect("good");
        assert!(never.sets().is_empty());
    }

    #[test]
    fn fingerprints_ignore_order_and_nothing_else() {
        let print = |sets: &[&[(&str, MatchOp, &str)]]| {
            let set = |set: &&[(&str, MatchOp, &str)]| set.iter().map(|(n, o, v)| Matcher::new(*n, *o, *v)).collect();
            let selector = Selector { any_of: sets.iter().map(set).collect() };
            CompiledSelector::compile(&selector).expect("good").fingerprint()
        };
        let (a, b) = (("a", MatchOp::Equal, "1"), ("b", MatchOp::Regex, "2.*"));
        assert_eq!(print(&[&[a, b]]), print(&[&[b, a, a]]));
        assert_eq!(print(&[&[a], &[b]]), print(&[&[b], &[a]]));
        let all = [print(&[]), print(&[&[]]), print(&[&[a]]), print(&[&[b]]), print(&[&[a, b]]), print(&[&[a], &[b]])];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one), "{at}");
        }
        assert_ne!(print(&[&[a]]), print(&[&[("a", MatchOp::NotEqual, "1")]]));
    }

    #[test]
    fn a_bad_matcher_is_named() {
        let selector = Selector::all_of(vec![Matcher::new("pod", MatchOp::Regex, "a(")]);
        let error = CompiledSelector::compile(&selector).expect_err("an open group");
        assert_eq!(error.matcher, "pod=~\"a(\"");
        assert!(error.to_string().starts_with("cannot use matcher pod=~\"a(\": "), "{error}");
    }
}
