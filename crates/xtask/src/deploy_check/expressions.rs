//! Expressions of dashboards and alerts, against the program itself.
//!
//! 1. Every `expr` of a dashboard or rule, and every query of a dashboard's variable, is taken as it would be sent.
//! 2. The program's own `/metrics` is stored in it twice, a minute apart, under the labels that a scraper adds.
//! 3. Each expression must have an answer in both dialects, and each of its selectors must mean at least one series.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::{files::Data, program::Program};

/// Metrics that the scraper makes, and not the program.
const OF_THE_SCRAPER: &[&str] = &["up"];
/// Words that are no metrics.
const KEYWORDS: &[&str] =
    &["and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right"];
/// Of these a list of labels in brackets follows.
const WITH_LABELS: &[&str] = &["by", "without", "on", "ignoring", "group_left", "group_right"];
/// What Grafana puts in for its variables.
const VARIABLES: &[(&str, &str)] = &[("$__rate_interval", "5m"), ("$job", ".*"), ("$instance", ".*")];
/// What a scraper adds to every series.
const SCRAPED_AS: &str = "extra_label=job=basalt&extra_label=instance=basalt:8428";

/// An expression and where it stands.
#[derive(Debug)]
pub struct Expression {
    place: String,
    text: String,
}

/// Finds all expressions.
pub fn find(files: &[Data]) -> Result<Vec<Expression>, String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with("grafana") || file.path.starts_with("alerts")) {
        let before = found.len();
        for document in &file.documents {
            collect(document, &file.path.display().to_string(), &mut found);
        }
        let is_test = file.path.starts_with("alerts/tests");
        if found.len() == before && !is_test {
            return Err(format!("{} holds no expression", file.path.display()));
        }
    }
    match found.iter().find(|expression| expression.text.contains('$')) {
        Some(unknown) => Err(format!("{}: a variable that this check does not know: {}", unknown.place, unknown.text)),
        None => Ok(found),
    }
}

fn collect(value: &Value, place: &str, found: &mut Vec<Expression>) {
    match value {
        Value::Object(entries) => {
            for (name, value) in entries {
                let text = match (name.as_str(), value) {
                    ("expr", Value::String(text)) => text.as_str(),
                    ("definition", Value::String(text)) => variable_query(text),
                    _ => {
                        collect(value, place, found);
                        continue;
                    }
                };
                let put_in = |text: String, (name, value): &(&str, &str)| text.replace(name, value);
                let text = VARIABLES.iter().fold(text.to_string(), put_in);
                found.push(Expression { place: place.to_string(), text });
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, place, found)),
        _ => {}
    }
}

/// The selector in `label_values(selector, label)`.
fn variable_query(text: &str) -> &str {
    let inner = text.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
    inner.and_then(|inner| inner.rsplit_once(',')).map_or(text, |(selector, _)| selector)
}

/// Checks expressions with a running program; gives how many selectors there are.
pub fn check(expressions: &[Expression], program: &Program) -> Result<usize, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|why| why.to_string())?.as_millis();
    for age in [60_000, 0] {
        let metrics = program.get("/metrics")?;
        program.post(&format!("/api/v1/import/prometheus?{SCRAPED_AS}&timestamp={}", now - age), &metrics)?;
    }
    let ask = |prefix: &str, query: &str| -> Result<Value, String> {
        let form = format!("time={}&nocache=1&query={}", now / 1000 + 1, percent_encoded(query));
        let answer = program.post(&format!("{prefix}/api/v1/query"), &form)?;
        serde_json::from_str(&answer).map_err(|why| format!("{query}: {why}"))
    };
    let mut complaints = Vec::new();
    let mut selectors = Vec::new();
    for expression in expressions {
        for prefix in ["", "/promql"] {
            complaints.extend(ask(prefix, &expression.text).err().map(|why| format!("{}: {why}", expression.place)));
        }
        selectors.extend(selectors_of(&expression.text).into_iter().map(|selector| (&expression.place, selector)));
    }
    selectors.sort();
    selectors.dedup();
    for (place, selector) in &selectors {
        let answer = ask("", &format!("count({selector})"))?;
        if answer["data"]["result"].as_array().is_none_or(Vec::is_empty) {
            complaints.push(format!("{place}: /metrics has no series for {selector}"));
        }
    }
    if complaints.is_empty() { Ok(selectors.len()) } else { Err(complaints.join("\n")) }
}

/// The selectors in an expression: metrics with their matchers.
fn selectors_of(expression: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric() || "_:\"[".contains(c)) {
        rest = &rest[start..];
        let first = rest.chars().next().unwrap_or(' ');
        if first == '"' || first == '[' {
            rest = behind(rest, if first == '[' { ']' } else { '"' });
            continue;
        }
        let len = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_:.".contains(c))).unwrap_or(rest.len());
        let word = &rest[..len];
        rest = rest[len..].trim_start();
        if WITH_LABELS.contains(&word) && rest.starts_with('(') {
            rest = behind(rest, ')');
        }
        // `sum by (x) (…)`: what stands before the list is an aggregate.
        let is_called = rest.starts_with('(') || ["by (", "without ("].iter().any(|list| rest.starts_with(list));
        let is_metric = !first.is_ascii_digit() && !is_called && !KEYWORDS.contains(&word);
        let after = if rest.starts_with('{') { behind(rest, '}') } else { rest };
        if is_metric && !OF_THE_SCRAPER.contains(&word) {
            found.push(format!("{word}{}", &rest[..rest.len() - after.len()]));
        }
        rest = after;
    }
    found
}

/// What stands behind a bracket that is open, or a text.
fn behind(text: &str, close: char) -> &str {
    let mut quoted = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if letter == close && !quoted => return &text[at + letter.len_utf8()..],
            '"' => quoted = !quoted,
            _ => {}
        }
    }
    ""
}

fn percent_encoded(text: &str) -> String {
    let encode =
        |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_are_found_between_everything_else() {
        for (expression, want) in [
            ("a", vec!["a"]),
            ("sum by (x, y) (rate(a_total{b=\"}\", c=~\"d\"}[5m])) > 0", vec!["a_total{b=\"}\", c=~\"d\"}"]),
            ("a{b=\"c\"} == 1 and on (job, instance) d", vec!["a{b=\"c\"}", "d"]),
            ("predict_linear(a[6h], 3 * 86400) < 1e3 * b offset 5m", vec!["a", "b"]),
            ("a / (b > 0) or vector(1)", vec!["a", "b"]),
            ("a * on (job) group_left (version) up{job=\"x\"}", vec!["a"]),
        ] {
            assert_eq!(selectors_of(expression), want, "{expression}");
        }
    }

    #[test]
    fn variables_are_put_in_and_unknown_ones_complained_about() {
        let data = |expr: &str| Data {
            path: "grafana/x.json".into(),
            documents: vec![
                json!({"panels": [{"targets": [{"expr": expr}]}], "definition": "label_values(a{b=\"c\"}, job)"}),
            ],
        };
        let texts = |expr: &str| find(&[data(expr)]).map(|all| all.into_iter().map(|one| one.text).collect::<Vec<_>>());
        assert_eq!(
            texts("rate(a{j=~\"$job\"}[$__rate_interval])"),
            Ok(vec!["a{b=\"c\"}".into(), "rate(a{j=~\".*\"}[5m])".into()])
        );
        assert!(texts("$other").is_err());
        assert!(find(&[Data { path: "alerts/x.yaml".into(), documents: vec![json!({})] }]).is_err());
    }
}
