//! A file of rules as typed fields, not yet checked against one another.

use std::rc::Rc;

use crate::{
    CONFIG_BYTES_MAX, ConfigError, RULES_MAX,
    yaml::{self, Key, Node, Value},
};

/// The fields of a rule as they were written.
#[derive(Debug, Default)]
pub struct Entry {
    /// Its number, from 1.
    pub number: usize,
    /// Its line, from 1.
    pub line: usize,
    /// `action`
    pub action: Option<String>,
    /// `if`, one selector or several.
    pub conditions: Option<Vec<String>>,
    /// `source_labels`
    pub source_labels: Vec<String>,
    /// `separator`
    pub separator: Option<String>,
    /// `target_label`
    pub target_label: Option<String>,
    /// `regex`; several were joined.
    pub regex: Option<String>,
    /// `modulus`
    pub modulus: Option<u64>,
    /// `replacement`
    pub replacement: Option<String>,
    /// `match`
    pub graphite_match: Option<String>,
    /// `labels`
    pub graphite_labels: Vec<(String, String)>,
}

impl Entry {
    /// An error about a field of this rule.
    pub fn wrong(&self, file: &str, field: &str, why: impl Into<String>) -> ConfigError {
        ConfigError {
            file: file.to_string(),
            line: self.line,
            entry: self.number,
            field: Some(field.to_string()),
            why: why.into(),
        }
    }
}

/// Reads all rules of a file.
pub fn read(file: &str, text: &str) -> Result<Vec<Entry>, ConfigError> {
    let whole = |line, why: String| ConfigError { file: file.to_string(), line, entry: 0, field: None, why };
    if text.len() > CONFIG_BYTES_MAX {
        return Err(whole(0, format!("{} bytes long, at most {CONFIG_BYTES_MAX} are taken", text.len())));
    }
    let root = yaml::read(text).map_err(|error| whole(error.line, error.why))?;
    match &root.value {
        Value::Null => Ok(Vec::new()),
        Value::List(items) if items.len() > RULES_MAX => {
            Err(whole(root.line, format!("{} rules, at most {RULES_MAX} are taken", items.len())))
        }
        Value::List(items) => items.iter().enumerate().map(|(at, item)| entry(file, at + 1, item)).collect(),
        _ => Err(whole(root.line, "want a list of rules, each beginning with `- `".to_string())),
    }
}

fn entry(file: &str, number: usize, node: &Node) -> Result<Entry, ConfigError> {
    let mut entry = Entry { number, line: node.line, ..Entry::default() };
    let Value::Map(fields) = &node.value else {
        let why = "want a rule, that is, fields with values".to_string();
        return Err(ConfigError { file: file.to_string(), line: node.line, entry: number, field: None, why });
    };
    for (key, value) in fields {
        take(&mut entry, key, value).map_err(|why| ConfigError {
            file: file.to_string(),
            line: key.line,
            entry: number,
            field: Some(key.name.clone()),
            why,
        })?;
    }
    Ok(entry)
}

fn take(entry: &mut Entry, key: &Key, value: &Rc<Node>) -> Result<(), String> {
    match key.name.as_str() {
        "action" => entry.action = text(value)?,
        "if" => entry.conditions = one_or_more(value)?,
        "source_labels" => entry.source_labels = one_or_more(value)?.unwrap_or_default(),
        "separator" => entry.separator = text(value)?,
        "target_label" => entry.target_label = text(value)?,
        "regex" => entry.regex = one_or_more(value)?.map(|alternatives| alternatives.join("|")),
        "modulus" => entry.modulus = text(value)?.map(|text| number(&text)).transpose()?,
        "replacement" => entry.replacement = text(value)?,
        "match" => entry.graphite_match = text(value)?,
        "labels" => entry.graphite_labels = pairs(value)?,
        _ => return Err("there is no such field".to_string()),
    }
    Ok(())
}

fn text(node: &Node) -> Result<Option<String>, String> {
    match &node.value {
        Value::Null => Ok(None),
        Value::Text(text) => Ok(Some(text.clone())),
        _ => Err("want a text".to_string()),
    }
}

fn one_or_more(node: &Node) -> Result<Option<Vec<String>>, String> {
    match &node.value {
        Value::Null => Ok(None),
        Value::Text(text) => Ok(Some(vec![text.clone()])),
        Value::List(items) => {
            let texts = items.iter().map(|item| text(item)?.ok_or_else(|| "an item is empty".to_string()));
            Ok(Some(texts.collect::<Result<_, _>>()?))
        }
        Value::Map(_) => Err("want a text or a list of texts".to_string()),
    }
}

fn pairs(node: &Node) -> Result<Vec<(String, String)>, String> {
    match &node.value {
        Value::Null => Ok(Vec::new()),
        Value::Map(entries) => {
            let pair = |(key, node): &(Key, Rc<Node>)| Ok((key.name.clone(), text(node)?.unwrap_or_default()));
            entries.iter().map(pair).collect()
        }
        _ => Err("want names with texts".to_string()),
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("want a whole number, not {text:?}"))
}
