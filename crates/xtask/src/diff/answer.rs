//! Answers, and what tells two of them apart.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Check, list::Question, server::Asker};

/// Values differ if they do by more than this part of them: VictoriaMetrics keeps 15 digits at best, fewer beside great ones.
const PART_MAX: f64 = 5e-6;
/// Values above this may be times.
const UNIX_TIME_MIN: f64 = 1e9;
/// Times differ if they do by more than this part of them.
const TIME_PART_MAX: f64 = 1e-12;
/// Values this near to each other are equal: what is left where two great ones were subtracted.
const DISTANCE_MAX: f64 = 1e-9;

pub type Labels = BTreeMap<String, String>;

/// What a server said.
#[derive(Debug)]
pub enum Answer {
    /// Series in their order, with their samples.
    Series(Vec<(Labels, Vec<(i64, f64)>)>),
    /// It refused.
    Error(String),
}

impl Answer {
    /// Asks a server; `more` are further arguments.
    pub fn ask(server: &mut Asker, text: &str, check: &Check, more: &str) -> Result<Self, String> {
        let seconds = |millis: i64| format!("{}.{:03}", millis / 1_000, millis % 1_000);
        let (path, times) = match check.step {
            0 => ("/api/v1/query", format!("time={}", seconds(check.end))),
            step => (
                "/api/v1/query_range",
                format!("start={}&end={}&step={}", seconds(check.start), seconds(check.end), seconds(step)),
            ),
        };
        let body = server.form(path, &format!("{times}&{more}&query={}", encoded(text)))?;
        let value: Value = serde_json::from_slice(&body)
            .map_err(|_| format!("{text}: no answer of the API: {}", String::from_utf8_lossy(&body)))?;
        if value["status"] != "success" {
            return Ok(Self::Error(value["error"].as_str().unwrap_or_default().to_string()));
        }
        let data = &value["data"];
        if let ("scalar" | "string", [_, _]) =
            (data["resultType"].as_str().unwrap_or_default(), data["result"].as_array().map_or(&[][..], Vec::as_slice))
        {
            return Ok(Self::Series(vec![(Labels::new(), vec![sample(&data["result"])])]));
        }
        let series = data["result"].as_array().map_or(&[][..], Vec::as_slice).iter();
        Ok(Self::Series(series.map(|one| (labels(&one["metric"]), samples(one))).collect()))
    }
}

fn labels(metric: &Value) -> Labels {
    let labels = metric.as_object().into_iter().flatten();
    labels.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_string())).collect()
}

fn samples(series: &Value) -> Vec<(i64, f64)> {
    match series["values"].as_array() {
        Some(values) => values.iter().map(sample).collect(),
        None => vec![sample(&series["value"])],
    }
}

fn sample(pair: &Value) -> (i64, f64) {
    let millis = (pair[0].as_f64().unwrap_or(f64::NAN) * 1e3).round() as i64;
    (millis, pair[1].as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN))
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// How an answer differs from the witness's; `None` if it does not.
pub fn difference(question: &Question, want: &Answer, have: &Answer, check: &Check) -> Option<String> {
    let (want, have) = match (want, have, question.fails) {
        (Answer::Error(_), Answer::Error(_), true) => return None,
        (_, Answer::Series(_), true) => return Some("is answered, but should be refused".into()),
        (Answer::Series(_), Answer::Error(why), true) => return Some(format!("only we refuse it: {why}")),
        (Answer::Error(one), Answer::Error(other), false) => return Some(format!("both refuse it: {one} / {other}")),
        (Answer::Error(why), Answer::Series(_), false) => return Some(format!("the witness refuses it: {why}")),
        (Answer::Series(_), Answer::Error(why), false) => return Some(format!("we refuse it: {why}")),
        (Answer::Series(want), Answer::Series(have), false) => (want, have),
    };
    let is_time =
        ["time(", "timestamp", "_time(", "start(", "end(", "now("].iter().any(|name| question.text.contains(name));
    for (labels, samples) in want {
        let Some((_, others)) = have.iter().find(|(others, _)| others == labels) else {
            return Some(format!("no {labels:?}, of {} series; we have {}", want.len(), have.len()));
        };
        if let Some(why) = first_difference(samples, others, is_time) {
            return Some(format!("{labels:?}: {why}"));
        }
    }
    if have.len() > want.len() {
        let new = have.iter().find(|(labels, _)| want.iter().all(|(others, _)| others != labels));
        return Some(format!("{} series too many: {:?}", have.len() - want.len(), new.map(|(labels, _)| labels)));
    }
    let is_ordered = check.step == 0 && question.text.starts_with("sort");
    let order =
        |series: &[(Labels, Vec<(i64, f64)>)]| series.iter().map(|(labels, _)| labels.clone()).collect::<Vec<_>>();
    (is_ordered && order(want) != order(have)).then(|| "another order".into())
}

fn first_difference(want: &[(i64, f64)], have: &[(i64, f64)], is_time: bool) -> Option<String> {
    for (time, value) in want {
        match have.iter().find(|(other, _)| other == time) {
            None => {
                return Some(format!("{value} at {time} is missing, of {} points; we have {}", want.len(), have.len()));
            }
            Some((_, other)) if !is_same(*value, *other, is_time) => {
                return Some(format!("{value} at {time}, but {other} here"));
            }
            Some(_) => {}
        }
    }
    let new = have.iter().find(|(time, _)| want.iter().all(|(other, _)| other != time));
    new.map(|(time, value)| {
        format!("{value} at {time} is too much, of {} points; the witness has {}", have.len(), want.len())
    })
}

fn is_same(one: f64, other: f64, is_time: bool) -> bool {
    let part = if is_time && one.abs() > UNIX_TIME_MIN { TIME_PART_MAX } else { PART_MAX };
    if one == other || (one.is_nan() && other.is_nan()) {
        return true;
    }
    let distance = (one - other).abs();
    one.is_finite() && other.is_finite() && (distance <= DISTANCE_MAX || distance <= part * one.abs().max(other.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(samples: &[(i64, f64)]) -> Answer {
        Answer::Series(vec![(Labels::new(), samples.to_vec())])
    }

    fn differ(fails: bool, want: &Answer, have: &Answer) -> bool {
        let question = Question { place: String::new(), text: "m".into(), fails };
        difference(&question, want, have, &super::super::CHECKS[0]).is_some()
    }

    #[test]
    fn points_are_compared_one_by_one() {
        let want = one(&[(1, 1.0), (2, f64::NAN)]);
        assert!(!differ(false, &want, &one(&[(1, 1.000_001), (2, f64::NAN)])));
        assert!(differ(false, &want, &one(&[(1, 1.001), (2, f64::NAN)])));
        assert!(differ(false, &want, &one(&[(1, 1.0)])));
        assert!(differ(false, &want, &one(&[(1, 1.0), (2, f64::NAN), (3, 0.0)])));
        assert!(differ(false, &want, &Answer::Series(Vec::new())));
    }

    #[test]
    fn a_refusal_of_both_counts_only_where_it_is_expected() {
        let error = || Answer::Error("no".into());
        assert!(differ(false, &error(), &error()) && !differ(true, &error(), &error()));
        assert!(differ(true, &error(), &one(&[])) && differ(true, &one(&[]), &error()));
        assert!(differ(false, &error(), &one(&[])) && differ(false, &one(&[]), &error()));
    }
}
