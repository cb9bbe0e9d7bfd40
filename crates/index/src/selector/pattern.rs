//! One regular expression, ready to be asked about many values.
//!
//! 1. The tree of the pattern gives up its literals ([`super::literals`]); some patterns are no more than that and never need an automaton.
//! 2. Else a dense automaton is built, if it stays small: a table lookup per byte, and no state that threads would have to share.
//! 3. Else the general engine of `regex-automata` answers, whose memory is bounded too.
//!
//! Both automata are anchored at both ends, so that a value that cannot match any more is given up at once.

use memchr::memmem::Finder;
use regex_automata::Input;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::meta;
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::{Hir, Look};

use super::literals::{self, INNER_BYTES_MIN};

/// The table of a dense automaton; with typical patterns it has some kilobytes.
const DENSE_BYTES_MAX: usize = 1 << 20;
/// What building it may use.
const DENSE_WORK_BYTES_MAX: usize = 4 << 20;
/// The states of a pattern before they are made deterministic.
const NFA_BYTES_MAX: usize = 32 << 20;
/// The cache of the general engine.
const LAZY_BYTES_MAX: usize = 4 << 20;

/// A regular expression that must match whole values.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// Every value that matches begins with this.
    prefix: Vec<u8>,
    /// Every value that matches contains this.
    inner: Option<Finder<'static>>,
    decider: Decider,
}

#[derive(Debug)]
enum Decider {
    /// The prefix: `foo.*`.
    Prefix,
    /// The inner literal: `.*foo.*`.
    Inner,
    Dense(Box<Dense>),
    General(Box<meta::Regex>),
}

impl Pattern {
    /// Prepares a parsed pattern.
    pub(super) fn new(hir: &Hir) -> Result<Self, String> {
        let prefix = literals::prefix(hir);
        let inner = literals::inner(hir).filter(|text| text.len() >= INNER_BYTES_MIN && !prefix.starts_with(text));
        let decider = match shape(hir) {
            Shape::Prefix => Decider::Prefix,
            Shape::Contains(literal) => {
                let inner = Some(Finder::new(&literal).into_owned());
                return Ok(Self { prefix: Vec::new(), inner, decider: Decider::Inner });
            }
            Shape::Other => decider(hir)?,
        };
        Ok(Self { prefix, inner: inner.map(|text| Finder::new(&text).into_owned()), decider })
    }

    /// What every match begins with; empty if that is unknown.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Whether every value that begins with the prefix matches.
    pub(crate) fn is_prefix_only(&self) -> bool {
        matches!(self.decider, Decider::Prefix)
    }

    /// A substring that every match contains, beyond the prefix.
    pub(crate) fn inner(&self) -> Option<&Finder<'static>> {
        self.inner.as_ref()
    }

    /// The automaton, if it alone decides.
    pub(super) fn dense(&self) -> Option<&Dense> {
        match &self.decider {
            Decider::Dense(dense) if self.inner.is_none() => Some(dense),
            _ => None,
        }
    }

    /// Whether the value as a whole matches.
    pub(crate) fn matches(&self, value: &[u8]) -> bool {
        if !value.starts_with(&self.prefix) {
            return false;
        }
        if let Some(inner) = &self.inner
            && inner.find(value).is_none()
        {
            return false;
        }
        self.decides(value)
    }

    /// Whether a value matches that is known to have the prefix and to contain the inner literal.
    pub(crate) fn decides(&self, value: &[u8]) -> bool {
        match &self.decider {
            Decider::Prefix | Decider::Inner => true,
            Decider::Dense(dense) => dense.matches(value),
            Decider::General(regex) => regex.is_match(Input::new(value).anchored(Anchored::Yes)),
        }
    }
}

enum Shape {
    Prefix,
    Contains(Vec<u8>),
    Other,
}

fn shape(hir: &Hir) -> Shape {
    use regex_syntax::hir::HirKind::{Concat, Literal};
    let Concat(parts) = hir.kind() else { return Shape::Other };
    match parts.as_slice() {
        [literal, rest] if matches!(literal.kind(), Literal(_)) && literals::is_anything(rest) => Shape::Prefix,
        [before, literal, after] if literals::is_anything(before) && literals::is_anything(after) => {
            match literal.kind() {
                Literal(literal) => Shape::Contains(literal.0.to_vec()),
                _ => Shape::Other,
            }
        }
        _ => Shape::Other,
    }
}

fn decider(hir: &Hir) -> Result<Decider, String> {
    // The closing assertion stands inside of the automaton: without it `a|ab` would stop at `a` and never see that `ab` matches as a whole.
    let anchored = Hir::concat(vec![hir.clone(), Hir::look(Look::End)]);
    let config =
        thompson::Config::new().utf8(false).which_captures(WhichCaptures::None).nfa_size_limit(Some(NFA_BYTES_MAX));
    let nfa = thompson::Compiler::new().configure(config).build_from_hir(&anchored).map_err(|e| e.to_string())?;
    if let Some(dense) = Dense::build(&nfa) {
        return Ok(Decider::Dense(Box::new(dense)));
    }
    let config = meta::Config::new()
        .utf8_empty(false)
        .which_captures(WhichCaptures::None)
        .nfa_size_limit(Some(NFA_BYTES_MAX))
        .hybrid_cache_capacity(LAZY_BYTES_MAX);
    let regex = meta::Builder::new().configure(config).build_from_hir(&anchored).map_err(|e| e.to_string())?;
    Ok(Decider::General(Box::new(regex)))
}

/// A dense automaton with its first state.
#[derive(Debug)]
pub(super) struct Dense {
    table: dense::DFA<Vec<u32>>,
    start: StateID,
}

impl Dense {
    /// `None` if the automaton would be too big.
    fn build(nfa: &NFA) -> Option<Self> {
        let config = dense::Config::new()
            .start_kind(StartKind::Anchored)
            .match_kind(MatchKind::LeftmostFirst)
            .accelerate(false)
            .dfa_size_limit(Some(DENSE_BYTES_MAX))
            .determinize_size_limit(Some(DENSE_WORK_BYTES_MAX));
        let table = dense::Builder::new().configure(config).build_from_nfa(nfa).ok()?;
        let start = table.start_state(&start::Config::new().anchored(Anchored::Yes)).ok()?;
        Some(Self { table, start })
    }

    /// Before any value.
    pub(super) fn begin(&self) -> Trail {
        Trail { states: vec![self.start], known: 0 }
    }

    /// Whether `value` matches, which has its first `shared` bytes in common with the value that the trail was left by. Sorted values share half
    /// of their bytes and more, and what could not match after some bytes is not looked at again while they stay the same.
    #[inline]
    pub(super) fn matches_next(&self, trail: &mut Trail, shared: usize, value: &[u8]) -> bool {
        let mut known = trail.known.min(shared);
        let mut state = trail.states[known];
        if self.is_dead(state) {
            trail.known = known;
            return false;
        }
        if trail.states.len() <= value.len() {
            trail.states.resize(value.len() + 1, self.start);
        }
        for (byte, slot) in value[known..].iter().zip(&mut trail.states[known + 1..]) {
            state = self.table.next_state(state, *byte);
            *slot = state;
            known += 1;
            if self.is_dead(state) {
                trail.known = known;
                return false;
            }
        }
        trail.known = known;
        self.table.is_match_state(self.table.next_eoi_state(state))
    }

    /// Matches are only seen at the end, so a special state inside of a value is the dead one.
    #[inline]
    fn is_dead(&self, state: StateID) -> bool {
        self.table.is_special_state(state) && self.table.is_dead_state(state)
    }

    #[inline]
    fn matches(&self, value: &[u8]) -> bool {
        let mut state = self.start;
        for byte in value {
            state = self.table.next_state(state, *byte);
            if self.is_dead(state) {
                return false;
            }
        }
        self.table.is_match_state(self.table.next_eoi_state(state))
    }
}

/// The states that an automaton went through.
#[derive(Debug)]
pub(super) struct Trail {
    /// The state after so many bytes as its place says.
    states: Vec<StateID>,
    /// How many bytes of the last value were looked at.
    known: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(&crate::selector::re2::parse(text).expect("a good pattern")).expect("a pattern that fits")
    }

    fn check(text: &str, yes: &[&str], no: &[&str]) {
        let pattern = pattern(text);
        for value in yes {
            assert!(pattern.matches(value.as_bytes()), "{text} must match {value:?}");
        }
        for value in no {
            assert!(!pattern.matches(value.as_bytes()), "{text} must not match {value:?}");
        }
    }

    #[test]
    fn whole_values_are_matched() {
        check("a|ab", &["a", "ab"], &["b", "abc", "xa", ""]);
        check("a.*", &["a", "a\nb"], &["ba", ""]);
        check(".*a.*b.*", &["ab", "xaxb\n"], &["ba"]);
        check(".*foo.*", &["foo", "\nfoo\n"], &["fo"]);
        check("foo.+", &["foox"], &["foo"]);
        check("[a-c]+x|", &["abcx", ""], &["x"]);
        check("^foo$|bar", &["foo", "bar"], &["foobar"]);
        check("a$.*", &["a"], &["ab"]);
        check("(?i)prod-.*", &["PROD-1", "prod-"], &["pro"]);
        check("a\\b.*", &["a", "a b"], &["ab"]);
        check("ä.*", &["ä", "äx"], &["a"]);
        check("(?-s)a.*", &["ab"], &["a\n"]);
    }

    #[test]
    fn simple_shapes_need_no_automaton() {
        assert!(matches!(pattern("foo.*").decider, Decider::Prefix));
        assert!(matches!(pattern("foo(.*)").decider, Decider::Prefix));
        assert!(matches!(pattern(".*f.*").decider, Decider::Inner));
        assert!(matches!(pattern(".*foo").decider, Decider::Dense(_)));
        assert!(pattern("abc.*abc").inner().is_none());
    }

    #[test]
    fn what_grows_without_bound_goes_to_the_general_engine() {
        let exponential = pattern("(.*a.{14}b)*c");
        assert!(matches!(exponential.decider, Decider::General(_)));
        assert!(exponential.matches(b"a12345678901234bc"));
        assert!(!exponential.matches(b"a12345678901234bcd") && !exponential.matches(b"xa12345678901234bc\nd"));
        let too_big = Pattern::new(&crate::selector::re2::parse("(((\\pL{1000}){1000}){1000}x.*)").expect("syntax"));
        assert!(too_big.is_err());
    }
}
