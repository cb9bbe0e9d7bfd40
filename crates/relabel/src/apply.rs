//! What each action does to labels.

use regex_automata::util::captures::Captures;
use xxhash_rust::xxh64::xxh64;

use crate::{
    labels::Labels,
    pattern::Pattern,
    rule::{Action, Rule, Source},
    template::Template,
};

impl Rule {
    /// Applies the rule; false if the series is dropped.
    pub fn apply(&self, labels: &mut Labels<'_>) -> bool {
        if self.condition.as_ref().is_some_and(|condition| !condition.holds(labels)) {
            // What is not meant by a rule that keeps is dropped, as if the condition were its pattern.
            return !matches!(self.action, Action::Filter { keep: true, .. });
        }
        match &self.action {
            Action::Filter { keep, source, pattern } => {
                let fits = pattern.as_ref().is_none_or(|pattern| pattern.is_match(&source.value(labels)));
                return fits == *keep;
            }
            Action::FilterEqual { keep, labels: names } => {
                let first = labels.get(&names[0]);
                return names.iter().all(|name| labels.get(name) == first) == *keep;
            }
            Action::FilterSame { keep, source, target } => {
                return (source.value(labels) == labels.get(target)) == *keep;
            }
            Action::FilterContains { keep, labels: names, target } => {
                let whole = labels.get(target);
                return names.iter().all(|name| whole.contains(labels.get(name))) == *keep;
            }
            change => change.change(labels),
        }
        !labels.is_empty()
    }
}

impl Action {
    fn change(&self, labels: &mut Labels<'_>) {
        match self {
            Self::Replace { source, pattern, target, replacement } => {
                replace(labels, source, pattern, target, replacement);
            }
            Self::ReplaceAll { source, pattern, target, replacement } => {
                let before = source.value(labels).into_owned();
                match replaced_all(&before, pattern, replacement, labels) {
                    Replaced::Nothing => {}
                    Replaced::By(value) => labels.set(target, value),
                    Replaced::TooLong => labels.overflow(),
                }
            }
            Self::HashMod { source, modulus, target } => {
                let hash = xxh64(source.value(labels).as_bytes(), 0);
                labels.set(target, (hash % modulus).to_string());
            }
            Self::LabelMap { pattern, replacement } => label_map(labels, pattern, replacement),
            Self::LabelMapAll { pattern, replacement } => label_map_all(labels, pattern, replacement),
            Self::FilterLabels { keep, pattern } => labels.retain(|name| pattern.is_match(name) == *keep),
            Self::ChangeCase { upper, source, target } => {
                let value = source.value(labels);
                let changed = if *upper { value.to_uppercase() } else { value.to_lowercase() };
                labels.set(target, changed);
            }
            Self::Graphite(graphite) => graphite.apply(labels),
            Self::Filter { .. } | Self::FilterEqual { .. } | Self::FilterSame { .. } | Self::FilterContains { .. } => {
                unreachable!("BUG: filters change nothing")
            }
        }
    }
}

/// The text of a group.
fn group<'t>(text: &'t str, captures: &Captures, number: usize) -> &'t str {
    captures.get_group(number).map_or("", |span| &text[span.start..span.end])
}

fn replace(labels: &mut Labels<'_>, source: &Source, pattern: &Pattern, target: &Template, replacement: &Template) {
    let value = source.value(labels);
    let Some(captures) = pattern.captures(&value) else {
        return;
    };
    let (mut name, mut new) = (String::new(), String::new());
    let fits = target.expand(&mut name, &|number| group(&value, &captures, number), labels)
        && replacement.expand(&mut new, &|number| group(&value, &captures, number), labels);
    drop(value);
    if fits { labels.set(&name, new) } else { labels.overflow() }
}

enum Replaced {
    /// There was no match.
    Nothing,
    By(String),
    TooLong,
}

fn replaced_all(text: &str, pattern: &Pattern, replacement: &Template, labels: &Labels<'_>) -> Replaced {
    let mut out = String::new();
    let mut done = None;
    for captures in pattern.all_captures(text) {
        let whole = captures.get_match().expect("BUG: the captures are of a match");
        out.push_str(&text[done.unwrap_or(0)..whole.start()]);
        if !replacement.expand(&mut out, &|number| group(text, &captures, number), labels) {
            return Replaced::TooLong;
        }
        done = Some(whole.end());
    }
    match done {
        None => Replaced::Nothing,
        Some(end) => {
            out.push_str(&text[end..]);
            Replaced::By(out)
        }
    }
}

fn label_map(labels: &mut Labels<'_>, pattern: &Pattern, replacement: &Template) {
    let mut copies = Vec::new();
    let mut fits = true;
    for (name, value) in labels.iter() {
        if let Some(captures) = pattern.captures(name) {
            let mut new = String::new();
            fits &= replacement.expand(&mut new, &|number| group(name, &captures, number), labels);
            copies.push((new, value.to_string()));
        }
    }
    if !fits {
        return labels.overflow();
    }
    copies.into_iter().for_each(|(name, value)| labels.set(&name, value));
}

fn label_map_all(labels: &mut Labels<'_>, pattern: &Pattern, replacement: &Template) {
    let mut renamed = Vec::new();
    let mut fits = true;
    for (name, value) in labels.iter() {
        match replaced_all(name, pattern, replacement, labels) {
            Replaced::Nothing => {}
            Replaced::By(new) => renamed.push((name.to_string(), new, value.to_string())),
            Replaced::TooLong => fits = false,
        }
    }
    if !fits {
        return labels.overflow();
    }
    for (old, _, _) in &renamed {
        labels.set(old, String::new());
    }
    renamed.into_iter().for_each(|(_, new, value)| labels.set(&new, value));
}
