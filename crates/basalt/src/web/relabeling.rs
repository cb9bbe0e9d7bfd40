//! `/metric-relabel-debug`, `/target-relabel-debug`: what rules make of a series, step by step, for who writes them. Nothing is stored.
//!
//! The arguments are `metric`, a series as a selector writes it, and `relabel_configs`, rules as in a file of them; with `format=json` the answer is for
//! programs. Both pages do the same: what a target is made of comes from scraping, which this process does not do.

use std::fmt::Write;

use basalt_http::{Request, Response, StatusCode, json, plain, text};
use model::{KeyBuilder, MatchOp};
use relabel::{Outcome, Relabeler};

/// Behind the title.
const FORM: &str = "<form><p>Series<br><input name=metric size=100 value=\"";
const RULES: &str = "\"></p><p>Rules<br><textarea name=relabel_configs rows=12 cols=100>";
const END_OF_FORM: &str = "</textarea></p><button>Try</button></form>";

/// What became of a series.
struct Tried {
    before: String,
    steps: Vec<String>,
    after: String,
}

/// Answers a request for one of the pages.
pub fn page(request: &Request) -> Response {
    let params = request.query_params();
    let (metric, rules) = (params.get("metric").unwrap_or(""), params.get("relabel_configs").unwrap_or(""));
    let tried = if metric.is_empty() && rules.is_empty() { None } else { Some(attempt(metric, rules)) };
    match (params.get("format"), tried) {
        (Some("json"), Some(Ok(tried))) => json(StatusCode::OK, tried.to_json()),
        (Some("json"), Some(Err(why))) => {
            json(StatusCode::OK, format!("{{\"status\":\"error\",\"error\":{}}}", quoted(&why)))
        }
        (Some("json"), None) => plain(StatusCode::BAD_REQUEST, "missing arguments metric and relabel_configs"),
        (_, tried) => {
            let shown = tried.map_or(String::new(), |tried| match tried {
                Ok(tried) => tried.to_html(),
                Err(why) => format!("<p>{}</p>", escaped(&why)),
            });
            let page = format!(
                "<!doctype html><title>Relabeling</title><h1>Relabeling</h1>{FORM}{}{RULES}{}{END_OF_FORM}{shown}",
                escaped(metric),
                escaped(rules)
            );
            text(StatusCode::OK, "text/html; charset=utf-8", page)
        }
    }
}

fn attempt(metric: &str, rules: &str) -> Result<Tried, String> {
    let selector = |text: &str| serve::selector::parse(text).map_err(|error| error.to_string());
    let relabeler = Relabeler::parse("relabel_configs", rules, &selector).map_err(|error| error.to_string())?;
    let mut labels = labels(metric)?;
    let before = shown(labels.iter());
    let (outcome, steps) = relabeler.explain(&mut labels);
    let after = match outcome {
        Outcome::Keep => shown(labels.iter()),
        Outcome::Drop => String::new(),
        Outcome::TooLong => return Err("the rules make more or longer labels than any limit lets through".to_string()),
    };
    let texts = |step: &Vec<(String, String)>| shown(step.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    Ok(Tried { before, steps: steps.iter().map(texts).collect(), after })
}

/// The labels of a series that is written as a selector.
fn labels(metric: &str) -> Result<KeyBuilder, String> {
    let text = metric.trim();
    let selector = serve::selector::parse(text).map_err(|why| format!("cannot read the series {text:?}: {why}"))?;
    let [matchers] = &selector.any_of[..] else {
        return Err(format!("{text:?} is not one series"));
    };
    let mut labels = KeyBuilder::new();
    for matcher in matchers {
        if matcher.op != MatchOp::Equal {
            return Err(format!("a series has labels such as name=\"value\", not {matcher}"));
        }
        labels.push(&matcher.name, &matcher.value);
    }
    Ok(labels)
}

fn shown<'l>(labels: impl Iterator<Item = (&'l str, &'l str)>) -> String {
    let pairs: Vec<String> = labels.map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(","))
}

impl Tried {
    fn to_json(&self) -> String {
        let mut out = format!("{{\"status\":\"success\",\"originalLabels\":{},\"steps\":[", quoted(&self.before));
        let mut before = &self.before;
        for (at, after) in self.steps.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let (inside, outside, rule) = (quoted(before), quoted(after), at + 1);
            write!(out, "{comma}{{\"rule\":\"{rule}\",\"inLabels\":{inside},\"outLabels\":{outside}}}")
                .expect("BUG: writing to a string cannot fail");
            before = after;
        }
        out + &format!("],\"resultingLabels\":{}}}", quoted(&self.after))
    }

    fn to_html(&self) -> String {
        let mut out = format!("<ol><li value=0><code>{}</code>", escaped(&self.before));
        for step in &self.steps {
            out += &format!("<li><code>{}</code>", escaped(step));
        }
        let end = if self.after.is_empty() { "dropped" } else { &self.after };
        out + &format!("</ol><p>Stored: <code>{}</code></p>", escaped(end))
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => write!(out, "\\u{:04x}", u32::from(c)).expect("BUG: writing to a string cannot fail"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_shown() {
        let rules = "- {target_label: __note, replacement: x}\n- {source_labels: [__note], target_label: b}\n- {action: labeldrop, regex: a}";
        let tried = attempt("m{a=\"1\"}", rules).expect("good");
        assert_eq!(tried.steps.len(), 3);
        assert!(tried.steps[0].contains("__note=\"x\""), "{:?}", tried.steps);
        assert_eq!(tried.after, "{__name__=\"m\",b=\"x\"}");
        assert!(tried.to_json().contains("\"resultingLabels\":\"{__name__=\\\"m\\\",b=\\\"x\\\"}\""));
        let dropped = attempt("m", "- {action: drop, source_labels: [__name__], regex: m}").expect("good");
        assert_eq!((dropped.steps.len(), dropped.after.as_str()), (1, ""));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (metric, rules, part) in [
            ("m{a!=\"1\"}", "", "a series has labels"),
            ("{", "", "cannot read the series"),
            ("m", "- {action: fly}", "fly"),
        ] {
            let why = attempt(metric, rules).map(|_| ()).expect_err("wrong");
            assert!(why.contains(part), "{why}");
        }
        assert_eq!(escaped("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }
}
