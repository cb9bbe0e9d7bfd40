//! `action: graphite`: a metric name with dots, taken apart by a pattern with stars.
//!
//! A star takes the characters up to the next literal part of the pattern, or to the end, and never a dot. What the stars took is `$1`, `$2`, …, the whole
//! name is `$0`.

use crate::{labels::Labels, template::Template};

/// Stars in a pattern; more are no use, and what they take is looked up by number.
pub const STARS_MAX: usize = 100;

/// A pattern and the labels that are made of what it takes.
#[derive(Debug)]
pub struct Graphite {
    /// What stands before, between and behind the stars.
    literals: Vec<String>,
    labels: Vec<(String, Template)>,
}

impl Graphite {
    /// Takes a pattern apart.
    pub fn new(pattern: &str, labels: &[(String, String)]) -> Result<Self, String> {
        let literals: Vec<String> = pattern.split('*').map(str::to_string).collect();
        if literals.len() > STARS_MAX + 1 {
            return Err(format!("{} stars, at most {STARS_MAX} are taken", literals.len() - 1));
        }
        let labels = labels.iter().map(|(name, value)| (name.clone(), Template::new(value, None))).collect();
        Ok(Self { literals, labels })
    }

    /// What the stars take of `name`, the whole name first; nothing if it does not match.
    fn captures<'t>(&self, name: &'t str) -> Option<Vec<&'t str>> {
        let mut taken = vec![name];
        let (first, others) = self.literals.split_first().expect("BUG: splitting gives at least one piece");
        let mut rest = name.strip_prefix(first.as_str())?;
        for (at, literal) in others.iter().enumerate() {
            let is_last = at + 1 == others.len();
            let end = if is_last { rest.len().checked_sub(literal.len())? } else { rest.find(literal.as_str())? };
            // The end of the last star may lie inside of a character.
            let (star, behind) = rest.split_at_checked(end)?;
            rest = behind.strip_prefix(literal.as_str())?;
            if star.contains('.') {
                return None;
            }
            taken.push(star);
        }
        rest.is_empty().then_some(taken)
    }

    /// Sets the labels if the metric's name matches.
    pub fn apply(&self, labels: &mut Labels<'_>) {
        let name = labels.get(model::METRIC_NAME).to_string();
        let Some(taken) = self.captures(&name) else {
            return;
        };
        for (label, template) in &self.labels {
            let mut value = String::new();
            if !template.expand(&mut value, &|number| taken.get(number).copied().unwrap_or(""), labels) {
                return labels.overflow();
            }
            labels.set(label, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_take_what_lies_between_dots() {
        for (pattern, name, want) in [
            ("a.b", "a.b", Some(vec!["a.b"])),
            ("a.b", "a.b.c", None),
            ("*", "abc", Some(vec!["abc", "abc"])),
            ("*", "a.b", None),
            ("*.b", ".b", Some(vec![".b", ""])),
            (
                "*.*.*.total",
                "auth.us-west-2.login.total",
                Some(vec!["auth.us-west-2.login.total", "auth", "us-west-2", "login"]),
            ),
            ("app*prod.requests", "app42prod.requests", Some(vec!["app42prod.requests", "42"])),
            ("a*", "b", None),
            ("a*a", "a", None),
            ("a*bc*", "axbcyz", Some(vec!["axbcyz", "x", "yz"])),
            ("*ä", "xö", None),
        ] {
            assert_eq!(Graphite::new(pattern, &[]).expect("few stars").captures(name), want, "{pattern} {name}");
        }
        assert!(Graphite::new(&"*".repeat(STARS_MAX + 1), &[]).is_err());
    }
}
