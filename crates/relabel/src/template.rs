//! Replacements: `$1`, `${1}`, `$name`, `${name}` stand for groups of the match, `{{label}}` for the value of a label, `$$` for a dollar.
//!
//! As in Go, `$1x` means a group called `1x`; a group that is not there is empty, and a dollar before anything else is a dollar.

use crate::{
    labels::{Labels, VALUE_BYTES_MAX},
    pattern::Pattern,
};

/// A replacement, taken apart.
#[derive(Debug, PartialEq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, PartialEq)]
enum Part {
    Text(String),
    Group(usize),
    Label(String),
}

/// The value of a group by its number.
pub type Group<'a> = &'a dyn Fn(usize) -> &'a str;

impl Template {
    /// Takes a replacement apart; the groups are those of `pattern`, if there is one.
    pub fn new(text: &str, pattern: Option<&Pattern>) -> Self {
        let mut template = Self { parts: Vec::new() };
        let mut rest = text;
        while let Some(at) = rest.find(['$', '{']) {
            template.push_text(&rest[..at]);
            rest = &rest[at..];
            let taken =
                if rest.starts_with('$') { template.take_group(rest, pattern) } else { template.take_label(rest) };
            rest = &rest[taken..];
        }
        template.push_text(rest);
        template
    }

    /// Takes what the dollar at the start of `text` means; gives its length.
    fn take_group(&mut self, text: &str, pattern: Option<&Pattern>) -> usize {
        let behind = &text[1..];
        if behind.starts_with('$') {
            self.push_text("$");
            return 2;
        }
        let (name, len) = match behind.strip_prefix('{') {
            Some(inner) => match inner.split_once('}') {
                Some((name, _)) if is_name(name) => (name, name.len() + 3),
                _ => ("", 1),
            },
            None => {
                let end = behind.find(|c: char| !is_name_char(c)).unwrap_or(behind.len());
                (&behind[..end], end + 1)
            }
        };
        if name.is_empty() {
            self.push_text("$");
            return 1;
        }
        let named = || pattern.and_then(|pattern| pattern.group(name));
        if let Some(group) = name.parse().ok().or_else(named) {
            self.parts.push(Part::Group(group));
        }
        len
    }

    /// Takes `{{label}}` at the start of `text`, or a brace that is only a brace; gives its length.
    fn take_label(&mut self, text: &str) -> usize {
        let name = text.strip_prefix("{{").and_then(|rest| rest.split_once("}}")).map(|(name, _)| name);
        match name {
            Some(name) => {
                self.parts.push(Part::Label(name.to_string()));
                name.len() + 4
            }
            None => {
                self.push_text("{");
                1
            }
        }
    }

    fn push_text(&mut self, text: &str) {
        match self.parts.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Text(before)) => before.push_str(text),
            _ => self.parts.push(Part::Text(text.to_string())),
        }
    }

    /// Appends the replacement; false if it would be too long.
    pub fn expand(&self, out: &mut String, group: Group<'_>, labels: &Labels<'_>) -> bool {
        for part in &self.parts {
            out.push_str(match part {
                Part::Text(text) => text,
                Part::Group(number) => group(*number),
                Part::Label(name) => labels.get(name),
            });
            if out.len() > VALUE_BYTES_MAX {
                return false;
            }
        }
        true
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_name_char)
}

fn is_name_char(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use model::KeyBuilder;

    use super::*;

    #[test]
    fn groups_and_labels_are_filled_in() {
        let pattern = Pattern::whole("(?P<first>.)(.)(x)?").expect("a good expression");
        let mut builder = KeyBuilder::new();
        builder.push("job", "$1");
        let labels = Labels::of(&builder);
        let groups = ["ab", "a", "b", ""];
        for (template, want) in [
            ("", ""),
            ("plain", "plain"),
            ("$1-$2", "a-b"),
            ("${1}x$2x${2}x", "axbx"),
            ("${first}$first", "aa"),
            ("$0$9$unknown${nothing}", "ab"),
            ("$$1 $ ${ ${} $- {x} }}", "$1 $ ${ ${} $- {x} }}"),
            ("{{job}}{{none}}-{{", "$1-{{"),
            ("$1{{job}}", "a$1"),
        ] {
            let mut out = String::new();
            let group = |number: usize| groups.get(number).copied().unwrap_or("");
            assert!(Template::new(template, Some(&pattern)).expand(&mut out, &group, &labels));
            assert_eq!(out, want, "{template}");
        }
    }
}
