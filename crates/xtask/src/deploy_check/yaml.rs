//! YAML as JSON values: what Kubernetes, Prometheus and Grafana read of it.
//!
//! It is stricter than they are: a name that stands twice in a map, an alias, and a plain `yes` or `0644`, which mean one thing in YAML 1.1 and
//! another in 1.2, are complaints.

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};
use serde_json::{Map, Number, Value};

/// Lists and maps inside each other.
const DEPTH_MAX: usize = 64;
/// Plain words that are booleans to one version of YAML and texts to another.
const AMBIGUOUS: &[&str] = &["y", "n", "yes", "no", "on", "off"];

/// Reads all documents of a text; empty ones are left out. The error names the line.
pub fn documents(text: &str) -> Result<Vec<Value>, String> {
    let mut loader = Loader { parser: Parser::new_from_str(text) };
    let mut found = Vec::new();
    loop {
        let (event, span) = loader.next()?;
        match event {
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            Event::StreamEnd => return Ok(found),
            event => {
                let document = loader.value(event, span, 0)?;
                if !document.is_null() {
                    found.push(document);
                }
            }
        }
    }
}

/// Reads the one document of a text.
pub fn document(text: &str) -> Result<Value, String> {
    let mut found = documents(text)?;
    match (found.pop(), found.is_empty()) {
        (Some(document), true) => Ok(document),
        (Some(_), false) => Err("more than one document".to_string()),
        (None, _) => Ok(Value::Null),
    }
}

struct Loader<'a> {
    parser: Parser<'a, StrInput<'a>>,
}

impl<'a> Loader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), String> {
        match self.parser.next_event() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => Err(format!("line {}: {}", error.marker().line(), error.info())),
            None => Err("it ends too early".to_string()),
        }
    }

    fn value(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Value, String> {
        let line = span.start.line();
        if depth > DEPTH_MAX {
            return Err(format!("line {line}: more than {DEPTH_MAX} lists and maps inside each other"));
        }
        match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) => plain(&text).map_err(|why| format!("line {line}: {why}")),
            Event::Scalar(text, ..) => Ok(Value::String(text.into_owned())),
            Event::SequenceStart(..) => self.list(depth),
            Event::MappingStart(..) => self.map(depth),
            other => Err(format!("line {line}: unexpected {other:?}")),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::Array(items)),
                (event, span) => items.push(self.value(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, String> {
        let mut entries = Map::new();
        loop {
            let (event, span) = self.next()?;
            let line = span.start.line();
            let name = match event {
                Event::MappingEnd => return Ok(Value::Object(entries)),
                Event::Scalar(text, ..) => text.into_owned(),
                other => return Err(format!("line {line}: {other:?} as the name of an entry")),
            };
            let (event, span) = self.next()?;
            let value = self.value(event, span, depth + 1)?;
            if entries.insert(name.clone(), value).is_some() {
                return Err(format!("line {line}: {name:?} stands there twice"));
            }
        }
    }
}

/// What a scalar without quotes means.
fn plain(text: &str) -> Result<Value, String> {
    match text {
        "" | "~" | "null" => return Ok(Value::Null),
        "true" => return Ok(Value::Bool(true)),
        "false" => return Ok(Value::Bool(false)),
        _ => {}
    }
    if AMBIGUOUS.contains(&text.to_ascii_lowercase().as_str()) {
        return Err(format!("{text:?} without quotes is a boolean to some and a text to others"));
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("{text:?} without quotes is octal to some and decimal to others"));
    }
    let is_number = digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    let whole = || text.parse::<i64>().ok().map(Number::from);
    let broken = || text.parse::<f64>().ok().and_then(Number::from_f64);
    let number = if is_number { whole().or_else(broken) } else { None };
    Ok(number.map_or_else(|| Value::String(text.to_string()), Value::Number))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scalars_are_what_others_take_them_for() {
        let text = "a: 1\nb: -2.5\nc: \"1\"\nd: 1.2.3\ne:\nf: true\ng: [x, 10m]\nh: |\n  two\n  lines\ni: 1e3\n";
        let want = json!({
            "a": 1, "b": -2.5, "c": "1", "d": "1.2.3", "e": null, "f": true, "g": ["x", "10m"], "h": "two\nlines\n",
            "i": 1000.0
        });
        assert_eq!(document(text), Ok(want));
        assert_eq!(documents("---\na: 1\n---\n# nothing\n---\nb: 2\n"), Ok(vec![json!({"a": 1}), json!({"b": 2})]));
    }

    #[test]
    fn what_is_ambiguous_is_refused_with_its_line() {
        for (text, part) in [
            ("x: 1\na: yes\n", "line 2"),
            ("a: 0644\n", "octal"),
            ("a: 1\na: 2\n", "twice"),
            ("a: &x 1\nb: *x\n", "Alias"),
            ("a: [1\n", "line"),
        ] {
            let why = documents(text).expect_err(text);
            assert!(why.contains(part), "{text:?}: {why}");
        }
    }
}
