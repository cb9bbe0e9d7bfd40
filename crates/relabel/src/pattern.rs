//! Regular expressions of rules, with the meaning that they have in Prometheus and VictoriaMetrics.

use regex_automata::{
    meta::Regex,
    util::{captures::Captures, syntax},
};

/// Memory that a compiled expression may take.
const COMPILED_BYTES_MAX: usize = 32 << 20;

/// A compiled expression.
#[derive(Debug)]
pub struct Pattern {
    regex: Regex,
}

impl Pattern {
    /// An expression that must match a whole text.
    pub fn whole(text: &str) -> Result<Self, String> {
        // `a)(b` is wrong, though it would be right inside of the group.
        index::parse_regex(text)?;
        Self::new(&format!("^(?:{text})$"))
    }

    /// An expression that may match anywhere in a text.
    pub fn anywhere(text: &str) -> Result<Self, String> {
        Self::new(text)
    }

    fn new(text: &str) -> Result<Self, String> {
        let hir = index::parse_regex(text)?;
        let config = Regex::config()
            .nfa_size_limit(Some(COMPILED_BYTES_MAX))
            .onepass_size_limit(Some(COMPILED_BYTES_MAX))
            .hybrid_cache_capacity(COMPILED_BYTES_MAX / 8);
        let built = Regex::builder().configure(config).syntax(syntax::Config::new()).build_from_hir(&hir);
        let regex = built.map_err(|error| match error.size_limit() {
            Some(bytes) => format!("compiled it is over {bytes} bytes long"),
            None => error.to_string(),
        })?;
        Ok(Self { regex })
    }

    /// Whether it matches.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The groups of its match.
    pub fn captures(&self, text: &str) -> Option<Captures> {
        let mut captures = self.regex.create_captures();
        self.regex.captures(text, &mut captures);
        captures.is_match().then_some(captures)
    }

    /// The groups of all its matches, from left to right.
    pub fn all_captures<'t>(&'t self, text: &'t str) -> impl Iterator<Item = Captures> + 't {
        self.regex.captures_iter(text)
    }

    /// The number of a named group.
    pub fn group(&self, name: &str) -> Option<usize> {
        self.regex.group_info().to_index(regex_automata::PatternID::ZERO, name)
    }
}
