//! Scripts in the form of Prometheus' `promqltest`: load series, evaluate expressions, compare.
//!
//! ```text
//! load 5m
//!   m{a="b"} 0+10x3 _ stale NaN
//! eval instant at 10m rate(m[10m])
//!   expect no_warn
//!   {a="b"} 0.03
//! eval range from 0 to 10m step 5m m
//!   m{a="b"} 0 10 20
//! eval instant at 10m rate(m)
//!   expect fail with: expected type range vector
//! clear
//! ```
//!
//! Commands between two `clear`s make a section, which has a store of its own. Evaluations that name a metric with native histograms are left out.

use std::collections::BTreeMap;

use model::STALE_NAN_BITS;
use query::{Answer, Dialect, Labels, QueryError, Value};

use crate::driver::{Driver, rows_of};

/// Numbers are equal if they differ by at most this part.
const EPSILON: f64 = 1e-6;

/// A value of a series line; `None` for a gap.
type Item = Option<f64>;

#[derive(Debug, Default)]
struct Expected {
    ordered: bool,
    fails: bool,
    /// What the error says among other things.
    fails_with: Option<String>,
    warns: Option<bool>,
    informs: Option<bool>,
    scalar: Option<f64>,
    text: Option<String>,
    series: Vec<(Labels, Vec<Item>)>,
    range: Option<(i64, i64)>,
    has_histograms: bool,
}

/// What failed in a script, each with its line.
pub fn run(dialect: Dialect, script: &str) -> (usize, Vec<String>) {
    let lines: Vec<&str> =
        script.lines().map(|line| if line.trim_start().starts_with('#') { "" } else { line.trim() }).collect();
    let (mut passed, mut failures, mut driver) = (0, Vec::new(), Driver::new());
    let mut histograms: Vec<String> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let (head, number) = (lines[at], at + 1);
        at += 1;
        let body_start = at;
        if head.starts_with("load") || head.starts_with("eval") {
            while at < lines.len() && !lines[at].is_empty() {
                at += 1;
            }
        }
        let body = &lines[body_start..at];
        if head == "clear" {
            driver = Driver::new();
            histograms.clear();
        } else if head.starts_with("load") {
            histograms.extend(load(&driver, head, body));
        } else if head.starts_with("eval") && histograms.iter().all(|name| !head.contains(name.as_str())) {
            match evaluate(&driver, dialect, head, body, histograms.is_empty()) {
                Ok(()) => passed += 1,
                Err(what) => failures.push(format!("line {number}: {head}: {what}")),
            }
        }
    }
    (passed, failures)
}

/// Loads series. Gives the names of those with native histograms, which are left out.
fn load(driver: &Driver, head: &str, body: &[&str]) -> Vec<String> {
    let step = duration(head.split_whitespace().nth(1).expect("load has a step"));
    let mut histograms = Vec::new();
    // Of two lines for the same series the last one counts.
    let mut series: BTreeMap<Labels, Vec<(i64, f64)>> = BTreeMap::new();
    for line in body {
        let (labels, rest) = metric(line);
        if rest.contains("{{") {
            histograms.push(labels.metric_name().to_string());
            continue;
        }
        let samples = items(rest).into_iter().enumerate();
        let samples = samples.filter_map(|(i, item)| item.map(|value| (i as i64 * step, value)));
        series.insert(labels, samples.collect());
    }
    for (labels, samples) in series.iter().filter(|(_, samples)| !samples.is_empty()) {
        driver.put(&labels.iter().collect::<Vec<_>>(), samples);
    }
    histograms
}

fn evaluate(driver: &Driver, dialect: Dialect, head: &str, body: &[&str], all_loaded: bool) -> Result<(), String> {
    let mut expected = expectations(head, body);
    if !all_loaded {
        // Annotations may be about the histograms.
        (expected.warns, expected.informs) = (None, None);
    }
    let (answer, start, step) = ask(driver, dialect, head);
    if let Some((from, step)) = expected.range {
        return compare(&mut expected, answer, from, step);
    }
    compare(&mut expected, answer, start, step)
}

fn ask(driver: &Driver, dialect: Dialect, head: &str) -> (Result<Answer, QueryError>, i64, i64) {
    let mut words = head.split_whitespace();
    let kind = words.by_ref().nth(1).expect("eval says how");
    // The expression is what follows the times, with its blanks as they are.
    let behind = |word: &str, count: usize| {
        let from = head.find(word).map_or(0, |at| at + word.len());
        head[from..].trim_start().splitn(count, char::is_whitespace).last().unwrap_or("").trim()
    };
    if kind == "instant" {
        let time = if head.contains(" at ") { duration(words.nth(1).expect("at has a time")) } else { 0 };
        let text = if head.contains(" at ") { behind(" at ", 2) } else { behind("instant", 1) };
        return (driver.instant(dialect, text, time), time, 1);
    }
    let word = |name: &str| head.split_whitespace().skip_while(|word| *word != name).nth(1).expect("a range has times");
    let (start, end, step) = (duration(word("from")), duration(word("to")), duration(word("step")));
    (driver.range(dialect, behind(" step ", 2), (start, end, step)), start, step)
}

fn compare(expected: &mut Expected, answer: Result<Answer, QueryError>, start: i64, step: i64) -> Result<(), String> {
    let answer = match (answer, expected.fails) {
        (Err(error), true) => {
            let (error, wanted) = (error.to_string(), expected.fails_with.as_deref().unwrap_or_default());
            return if error.contains(wanted) { Ok(()) } else { Err(format!("failed with other words: {error}")) };
        }
        (Err(error), false) => return Err(format!("failed: {error}")),
        (Ok(_), true) => return Err("did not fail".into()),
        (Ok(answer), false) => answer,
    };
    if expected.has_histograms {
        return Ok(());
    }
    for (want, have, kind) in
        [(expected.warns, &answer.warnings, "warnings"), (expected.informs, &answer.infos, "infos")]
    {
        if want.is_some_and(|want| want == have.is_empty()) {
            return Err(format!("{kind}: {have:?}"));
        }
    }
    match (&answer.value, expected.scalar, &expected.text) {
        (Value::Scalar(_, have), Some(want), _) if same(*have, want) => return Ok(()),
        (Value::Text(_, have), _, Some(want)) if have == want => return Ok(()),
        (value, Some(_), _) | (value, _, Some(_)) => return Err(format!("got {value:?}")),
        _ => {}
    }
    let mut have = rows_of(&answer.value);
    let mut place = 0;
    for (labels, items) in &expected.series {
        let want: Vec<(i64, f64)> = items
            .iter()
            .enumerate()
            .filter_map(|(i, item)| item.map(|value| (start + step * i as i64, value)))
            .collect();
        if want.is_empty() {
            continue;
        }
        let found =
            have.iter().position(|(other, _)| other == labels).ok_or_else(|| format!("no {labels:?} in {have:?}"))?;
        if expected.ordered && found != 0 {
            return Err(format!("{labels:?} is not in place {place}"));
        }
        place += 1;
        let (_, samples) = have.remove(found);
        let equal = samples.len() == want.len() && samples.iter().zip(&want).all(|(a, b)| a.0 == b.0 && same(a.1, b.1));
        if !equal {
            return Err(format!("{labels:?} is {samples:?}, want {want:?}"));
        }
    }
    if have.is_empty() { Ok(()) } else { Err(format!("too much: {have:?}")) }
}

fn same(a: f64, b: f64) -> bool {
    (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= EPSILON * a.abs().max(b.abs())
}

fn expectations(head: &str, body: &[&str]) -> Expected {
    let mut expected = Expected { fails: head.starts_with("eval_fail"), ..Expected::default() };
    expected.ordered = head.starts_with("eval_ordered");
    for line in body {
        let words: Vec<&str> = line.split_whitespace().collect();
        match (words[0], words.get(1).copied()) {
            ("expect", Some("range")) => {
                let word =
                    |name: &str| words.iter().skip_while(|word| **word != name).nth(1).expect("a range has times");
                expected.range = Some((duration(word("from")), duration(word("step"))));
            }
            ("expect", Some("string")) => {
                let text = line.split_once("string").map_or("", |(_, text)| text.trim());
                expected.text = Some(text[1..text.len() - 1].into());
            }
            ("expect", Some("ordered")) => expected.ordered = true,
            ("expect", Some(kind)) if kind.starts_with("fail") => {
                expected.fails = true;
                expected.fails_with = line.split_once("with:").map(|(_, text)| text.trim().to_string());
            }
            ("expect", Some("warn")) => expected.warns = Some(true),
            ("expect", Some("no_warn")) => expected.warns = Some(false),
            ("expect", Some("info")) => expected.informs = Some(true),
            ("expect", Some("no_info")) => expected.informs = Some(false),
            (first, None) if number(first).is_some() => expected.scalar = number(first),
            _ if line.contains("{{") => expected.has_histograms = true,
            _ => {
                let (labels, rest) = metric(line);
                expected.series.push((labels, items(rest)));
            }
        }
    }
    expected
}

/// `name{label="value"} rest`.
fn metric(line: &str) -> (Labels, &str) {
    let name_end = line.find(|c: char| c == '{' || c.is_whitespace()).unwrap_or(line.len());
    let (name, mut rest) = line.split_at(name_end);
    let mut pairs = vec![("__name__".to_string(), name.to_string())];
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            rest = rest.trim_start_matches([' ', ',', '\t']);
            if let Some(behind) = rest.strip_prefix('}') {
                rest = behind;
                break;
            }
            let (name, behind) = word(rest);
            rest = behind.trim_start();
            let Some(behind) = rest.strip_prefix('=') else {
                pairs[0].1 = name;
                continue;
            };
            let (value, behind) = word(behind.trim_start());
            pairs.push((name, value));
            rest = behind;
        }
    }
    (pairs.into_iter().collect(), rest.trim())
}

/// A name, or a text in quotes.
fn word(text: &str) -> (String, &str) {
    let first = text.chars().next().expect("a label has a name and a value");
    if !matches!(first, '"' | '\'' | '`') {
        let end = text.find(['=', '}', ',', ' ']).unwrap_or(text.len());
        return (text[..end].into(), &text[end..]);
    }
    let (mut value, mut chars) = (String::new(), text.char_indices().skip(1));
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == first => return (value, &text[at + 1..]),
            '\\' if first != '`' => match chars.next().map_or(' ', |(_, c)| c) {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                c => value.push(c),
            },
            c => value.push(c),
        }
    }
    panic!("a text without end: {text}")
}

/// `1 2+3x4 _x2 stale NaN`.
fn items(text: &str) -> Vec<Item> {
    text.split_whitespace().flat_map(item).collect()
}

fn item(text: &str) -> Vec<Item> {
    let (text, count) = match text.rsplit_once('x').map(|(text, count)| (text, count.parse::<usize>())) {
        Some((text, Ok(count))) => (text, Some(count)),
        _ => (text, None),
    };
    if text == "_" {
        return vec![None; count.unwrap_or(1)];
    }
    let count = count.unwrap_or(0);
    if text == "stale" {
        return vec![Some(f64::from_bits(STALE_NAN_BITS)); count + 1];
    }
    let sign = text.char_indices().skip(1).find(|(at, c)| matches!(c, '+' | '-') && !text[..*at].ends_with(['e', 'E']));
    let (value, step) = match sign {
        Some((at, _)) => (&text[..at], number(&text[at..]).expect("a step is a number")),
        None => (text, 0.0),
    };
    let mut value = number(value).unwrap_or_else(|| panic!("no value: {text}"));
    let mut items = Vec::with_capacity(count + 1);
    for _ in 0..=count {
        items.push(Some(value));
        value += step;
    }
    items
}

fn number(text: &str) -> Option<f64> {
    let plain = text.strip_prefix('+').unwrap_or(text);
    plain.parse().ok().or_else(|| plain.ends_with(['s', 'm', 'h']).then(|| duration(plain) as f64 / 1e3))
}

/// `1h5m`, `30s`, `0`.
fn duration(text: &str) -> i64 {
    if let Ok(number) = text.parse::<i64>() {
        return number * 1_000;
    }
    let (mut millis, mut digits, mut rest) = (0, String::new(), text);
    while let Some(c) = rest.chars().next() {
        if c.is_ascii_digit() {
            digits.push(c);
            rest = &rest[1..];
            continue;
        }
        let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];
        let (unit, length) = units.iter().find(|(unit, _)| rest.starts_with(unit)).expect("a duration has a unit");
        millis += digits.parse::<i64>().expect("a duration has a number") * length;
        digits.clear();
        rest = &rest[unit.len()..];
    }
    millis
}
