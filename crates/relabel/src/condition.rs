//! `if`: the series that a rule is for.

use model::{MatchOp, Matcher, Selector};

use crate::{labels::Labels, pattern::Pattern};

/// Selectors, of which one must match.
#[derive(Debug)]
pub struct Condition {
    any_of: Vec<Vec<Test>>,
}

#[derive(Debug)]
struct Test {
    name: String,
    negated: bool,
    wanted: Wanted,
}

#[derive(Debug)]
enum Wanted {
    Equal(String),
    Like(Pattern),
}

impl Condition {
    /// A condition without a selector, to which some are added.
    pub fn new() -> Self {
        Self { any_of: Vec::new() }
    }

    /// Adds a selector.
    pub fn add(&mut self, selector: &Selector) -> Result<(), String> {
        for set in &selector.any_of {
            self.any_of.push(set.iter().map(test).collect::<Result<_, _>>()?);
        }
        Ok(())
    }

    /// Whether a series is meant.
    pub fn holds(&self, labels: &Labels<'_>) -> bool {
        self.any_of.iter().any(|set| set.iter().all(|test| test.holds(labels)))
    }
}

fn test(matcher: &Matcher) -> Result<Test, String> {
    let like = || {
        let wrong = |why| format!("cannot read the regular expression of {matcher}: {why}");
        Pattern::whole(&matcher.value).map(Wanted::Like).map_err(wrong)
    };
    let (negated, wanted) = match matcher.op {
        MatchOp::Equal => (false, Wanted::Equal(matcher.value.clone())),
        MatchOp::NotEqual => (true, Wanted::Equal(matcher.value.clone())),
        MatchOp::Regex => (false, like()?),
        MatchOp::NotRegex => (true, like()?),
    };
    Ok(Test { name: matcher.name.clone(), negated, wanted })
}

impl Test {
    fn holds(&self, labels: &Labels<'_>) -> bool {
        let value = labels.get(&self.name);
        let fits = match &self.wanted {
            Wanted::Equal(wanted) => value == wanted,
            Wanted::Like(pattern) => pattern.is_match(value),
        };
        fits != self.negated
    }
}
