//! Functions of Helm that the chart uses.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Number, Value};

use super::eval::holds;

/// From here on Go writes numbers as `1e+06`.
const PLAIN_NUMBER_END: f64 = 1_000_000.0;

/// Calls a function.
pub fn call(name: &str, arguments: &[Value]) -> Result<Value, String> {
    let called = match (name, arguments) {
        ("and", [.., last]) => arguments.iter().find(|value| !holds(value)).unwrap_or(last).clone(),
        ("or", [.., last]) => arguments.iter().find(|value| holds(value)).unwrap_or(last).clone(),
        ("not", [value]) => Value::Bool(!holds(value)),
        ("eq", [one, other]) => Value::Bool(one == other),
        ("ne", [one, other]) => Value::Bool(one != other),
        ("default", [fallback, value]) => if holds(value) { value } else { fallback }.clone(),
        ("ternary", [yes, no, condition]) => if holds(condition) { yes } else { no }.clone(),
        ("kindIs", [Value::String(kind), value]) => Value::Bool(kind_of(value) == kind),
        ("contains", [Value::String(part), Value::String(text)]) => Value::Bool(text.contains(part)),
        ("quote", [value]) => Value::String(Value::String(plain(value)?).to_string()),
        ("toJson", [value]) => Value::String(value.to_string()),
        ("toYaml", [value]) => Value::String(yaml(value)),
        ("nindent", [Value::Number(blanks), Value::String(text)]) => indent(blanks, text)?,
        ("trunc", [Value::Number(len), Value::String(text)]) => {
            let len = len.as_u64().ok_or("trunc wants a length")? as usize;
            Value::String(text.chars().take(len).collect())
        }
        ("trimSuffix", [Value::String(suffix), Value::String(text)]) => {
            Value::from(text.strip_suffix(suffix.as_str()).unwrap_or(text))
        }
        ("replace", [Value::String(from), Value::String(to), Value::String(text)]) => {
            Value::String(text.replace(from, to))
        }
        ("printf", [Value::String(format), values @ ..]) => Value::String(printf(format, values)?),
        // It only has to change with the text; Helm's own sum is another one.
        ("sha256sum", [Value::String(text)]) => {
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            Value::String(format!("{:016x}", hasher.finish()))
        }
        _ => return Err(format!("unknown function, or wrong arguments: {name} {arguments:?}")),
    };
    Ok(called)
}

/// A value as output writes it.
pub fn plain(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(is) => Ok(is.to_string()),
        Value::Number(number) if number.as_f64().is_some_and(|number| number.abs() >= PLAIN_NUMBER_END) => {
            Err(format!("Go writes {number} as 1e+06 and the like; toJson helps"))
        }
        Value::Number(number) => Ok(number.to_string()),
        other => Err(format!("{other} is not written as it is")),
    }
}

fn printf(format: &str, values: &[Value]) -> Result<String, String> {
    let mut values = values.iter();
    let mut out = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        match (letter, letter == '%') {
            (_, true) => match letters.next() {
                Some('%') => out.push('%'),
                Some(verb @ ('s' | 'v' | 'd')) => {
                    let value = values.next().ok_or_else(|| format!("{format:?} has too few arguments"))?;
                    if verb == 's' && !value.is_string() || verb == 'd' && !value.is_i64() {
                        return Err(format!("%{verb} of {value}"));
                    }
                    out.push_str(&plain(value)?);
                }
                other => return Err(format!("{other:?} behind % in {format:?}")),
            },
            (letter, false) => out.push(letter),
        }
    }
    if values.next().is_some() { Err(format!("{format:?} has too many arguments")) } else { Ok(out) }
}

fn indent(blanks: &Number, text: &str) -> Result<Value, String> {
    let blanks = " ".repeat(blanks.as_u64().ok_or("nindent wants a count")? as usize);
    let lines: Vec<String> = text.split('\n').map(|line| format!("{blanks}{line}")).collect();
    Ok(Value::String(format!("\n{}", lines.join("\n"))))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}

/// A value as YAML, without a line end behind it.
fn yaml(value: &Value) -> String {
    let mut lines = Vec::new();
    write_yaml(value, "", "", &mut lines);
    lines.join("\n")
}

/// Writes a value behind `lead` on its first line, with its further lines behind `margin`.
fn write_yaml(value: &Value, lead: &str, margin: &str, lines: &mut Vec<String>) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            for (number, (name, value)) in entries.iter().enumerate() {
                let lead = if number == 0 { lead } else { margin };
                let name = scalar(&Value::from(name.as_str()));
                if is_nested(value) {
                    lines.push(format!("{lead}{name}:"));
                    let margin = format!("{margin}  ");
                    write_yaml(value, &margin, &margin, lines);
                } else {
                    lines.push(format!("{lead}{name}: {}", scalar(value)));
                }
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (number, item) in items.iter().enumerate() {
                let lead = if number == 0 { lead } else { margin };
                write_yaml(item, &format!("{lead}- "), &format!("{margin}  "), lines);
            }
        }
        other => lines.push(format!("{lead}{}", scalar(other))),
    }
}

fn is_nested(value: &Value) -> bool {
    matches!(value, Value::Object(_) | Value::Array(_)) && holds(value)
}

/// Texts stay bare where nobody can take them for something else.
fn scalar(value: &Value) -> String {
    let Value::String(text) = value else {
        return value.to_string();
    };
    let is_word = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-/".contains(letter));
    let is_text = super::super::yaml::document(text).is_ok_and(|read| read.is_string());
    if is_word && is_text { text.clone() } else { value.to_string() }
}
