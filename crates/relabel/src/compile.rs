//! The fields of a rule → the rule: which action wants which fields, and what they mean together.

use crate::{
    ConfigError, ParseSelector,
    condition::Condition,
    config::Entry,
    graphite::Graphite,
    pattern::Pattern,
    rule::{Action, Rule, Source},
    template::Template,
};

const SEPARATOR: &str = ";";
const REPLACEMENT: &str = "$1";
const EVERYTHING: &str = "(.*)";

/// Checks and compiles a rule.
pub fn rule(file: &str, entry: &Entry, parse_selector: ParseSelector<'_>) -> Result<Rule, ConfigError> {
    let condition = condition(file, entry, parse_selector)?;
    let checked = Checked { file, entry };
    Ok(Rule { condition, action: checked.action()? })
}

fn condition(file: &str, entry: &Entry, parse_selector: ParseSelector<'_>) -> Result<Option<Condition>, ConfigError> {
    let Some(selectors) = &entry.conditions else {
        return Ok(None);
    };
    let mut condition = Condition::new();
    for text in selectors {
        let selector =
            parse_selector(text).map_err(|why| entry.wrong(file, "if", format!("cannot read {text:?}: {why}")))?;
        condition.add(&selector).map_err(|why| entry.wrong(file, "if", why))?;
    }
    Ok(Some(condition))
}

/// A rule under check.
#[derive(Clone, Copy)]
struct Checked<'a> {
    file: &'a str,
    entry: &'a Entry,
}

impl Checked<'_> {
    fn action(self) -> Result<Action, ConfigError> {
        let name = self.entry.action.as_deref().unwrap_or("replace").to_lowercase();
        if name == "graphite" {
            return self.graphite();
        }
        if self.entry.graphite_match.is_some() {
            return Err(self.superfluous("match", &name));
        }
        if !self.entry.graphite_labels.is_empty() {
            return Err(self.superfluous("labels", &name));
        }
        match name.as_str() {
            "replace" => self.replace(),
            "replace_all" => self.replace_all(),
            "keep" | "drop" => self.filter(&name),
            "keep_metrics" | "drop_metrics" => self.filter_metrics(&name),
            "keep_if_equal" | "drop_if_equal" => self.filter_equal(&name),
            "keepequal" | "dropequal" => self.filter_same(&name),
            "keep_if_contains" | "drop_if_contains" => self.filter_contains(&name),
            "hashmod" => self.hash_mod(),
            "labelmap" => {
                let pattern = self.whole()?;
                let replacement = self.replacement(&pattern);
                Ok(Action::LabelMap { pattern, replacement })
            }
            "labelmap_all" => {
                let pattern = self.anywhere()?;
                let replacement = self.replacement(&pattern);
                Ok(Action::LabelMapAll { pattern, replacement })
            }
            "labeldrop" | "labelkeep" => Ok(Action::FilterLabels { keep: name == "labelkeep", pattern: self.whole()? }),
            "uppercase" | "lowercase" => {
                let (source, target) = (self.source(&name)?, self.target(&name)?);
                Ok(Action::ChangeCase { upper: name == "uppercase", source, target })
            }
            _ => Err(self.entry.wrong(self.file, "action", format!("there is no action {name:?}"))),
        }
    }

    fn replace(self) -> Result<Action, ConfigError> {
        let pattern = self.whole()?;
        let target = Template::new(&self.target("replace")?, Some(&pattern));
        let replacement = self.replacement(&pattern);
        Ok(Action::Replace { source: self.any_source(), pattern, target, replacement })
    }

    fn replace_all(self) -> Result<Action, ConfigError> {
        let (source, target) = (self.source("replace_all")?, self.target("replace_all")?);
        let pattern = self.anywhere()?;
        let replacement = self.replacement(&pattern);
        Ok(Action::ReplaceAll { source, pattern, target, replacement })
    }

    fn filter(self, name: &str) -> Result<Action, ConfigError> {
        let source = if self.entry.conditions.is_some() { self.any_source() } else { self.source(name)? };
        // With a condition and no expression, the condition says it all.
        let pattern = self.entry.regex.is_some().then(|| self.whole()).transpose()?;
        Ok(Action::Filter { keep: name == "keep", source, pattern })
    }

    fn filter_metrics(self, name: &str) -> Result<Action, ConfigError> {
        if !self.entry.source_labels.is_empty() {
            return Err(self.superfluous("source_labels", name));
        }
        if self.entry.regex.is_none() && self.entry.conditions.is_none() {
            return Err(self.missing("regex", name));
        }
        let pattern = self.entry.regex.is_some().then(|| self.whole()).transpose()?;
        let source = Source { labels: vec![model::METRIC_NAME.to_string()], separator: String::new() };
        Ok(Action::Filter { keep: name == "keep_metrics", source, pattern })
    }

    fn filter_equal(self, name: &str) -> Result<Action, ConfigError> {
        if self.entry.source_labels.len() < 2 {
            let why = format!("action {name} wants at least two labels");
            return Err(self.entry.wrong(self.file, "source_labels", why));
        }
        if self.entry.target_label.is_some() {
            return Err(self.superfluous("target_label", name));
        }
        self.no_regex(name)?;
        Ok(Action::FilterEqual { keep: name == "keep_if_equal", labels: self.entry.source_labels.clone() })
    }

    fn filter_same(self, name: &str) -> Result<Action, ConfigError> {
        let (source, target) = (self.source(name)?, self.target(name)?);
        self.no_regex(name)?;
        Ok(Action::FilterSame { keep: name == "keepequal", source, target })
    }

    fn filter_contains(self, name: &str) -> Result<Action, ConfigError> {
        let (source, target) = (self.source(name)?, self.target(name)?);
        self.no_regex(name)?;
        Ok(Action::FilterContains { keep: name == "keep_if_contains", labels: source.labels, target })
    }

    fn hash_mod(self) -> Result<Action, ConfigError> {
        let (source, target) = (self.source("hashmod")?, self.target("hashmod")?);
        match self.entry.modulus {
            None => Err(self.missing("modulus", "hashmod")),
            Some(0) => Err(self.entry.wrong(self.file, "modulus", "want a number over 0")),
            Some(modulus) => Ok(Action::HashMod { source, modulus, target }),
        }
    }

    fn graphite(self) -> Result<Action, ConfigError> {
        let entry = self.entry;
        let pattern = entry.graphite_match.as_deref().filter(|text| !text.is_empty());
        let pattern = pattern.ok_or_else(|| self.missing("match", "graphite"))?;
        if entry.graphite_labels.is_empty() {
            return Err(self.missing("labels", "graphite"));
        }
        let given = [
            ("source_labels", !entry.source_labels.is_empty()),
            ("target_label", entry.target_label.is_some()),
            ("replacement", entry.replacement.is_some()),
            ("regex", entry.regex.is_some()),
        ];
        if let Some((field, _)) = given.iter().find(|(_, given)| *given) {
            return Err(self.superfluous(field, "graphite"));
        }
        let graphite = Graphite::new(pattern, &entry.graphite_labels);
        graphite.map(Action::Graphite).map_err(|why| entry.wrong(self.file, "match", why))
    }

    fn any_source(self) -> Source {
        let separator = self.entry.separator.as_deref().unwrap_or(SEPARATOR);
        Source { labels: self.entry.source_labels.clone(), separator: separator.to_string() }
    }

    fn source(self, action: &str) -> Result<Source, ConfigError> {
        if self.entry.source_labels.is_empty() {
            return Err(self.missing("source_labels", action));
        }
        Ok(self.any_source())
    }

    fn target(self, action: &str) -> Result<String, ConfigError> {
        let target = self.entry.target_label.as_deref().filter(|target| !target.is_empty());
        target.map(str::to_string).ok_or_else(|| self.missing("target_label", action))
    }

    fn whole(self) -> Result<Pattern, ConfigError> {
        let text = self.entry.regex.as_deref().unwrap_or(EVERYTHING);
        Pattern::whole(text).map_err(|why| self.bad_regex(text, &why))
    }

    fn anywhere(self) -> Result<Pattern, ConfigError> {
        let text = self.entry.regex.as_deref().unwrap_or(EVERYTHING);
        Pattern::anywhere(text).map_err(|why| self.bad_regex(text, &why))
    }

    fn replacement(self, pattern: &Pattern) -> Template {
        Template::new(self.entry.replacement.as_deref().unwrap_or(REPLACEMENT), Some(pattern))
    }

    fn no_regex(self, action: &str) -> Result<(), ConfigError> {
        if self.entry.regex.is_some() { Err(self.superfluous("regex", action)) } else { Ok(()) }
    }

    fn bad_regex(self, text: &str, why: &str) -> ConfigError {
        self.entry.wrong(self.file, "regex", format!("cannot read the regular expression {text:?}: {why}"))
    }

    fn missing(self, field: &str, action: &str) -> ConfigError {
        self.entry.wrong(self.file, field, format!("action {action} needs it"))
    }

    fn superfluous(self, field: &str, action: &str) -> ConfigError {
        self.entry.wrong(self.file, field, format!("action {action} does not take it"))
    }
}
