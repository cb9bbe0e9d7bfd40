//! Answers of the Prometheus API, as far as two servers' answers must be compared.
//!
//! 1. Vectors, matrices, label values and series all become named rows of points: the name is the label set in one
//!    order, or the label's value; rows without points are only names.
//! 2. Two answers agree if the names are the same, each row has points at the same times, and values are equal within
//!    a tolerance: sums may be taken in another order, and the rival keeps fewer digits.

use std::collections::BTreeMap;

use serde_json::Value;

/// Times come with milliseconds.
const TIME_TOLERANCE_S: f64 = 0.000_5;

/// An answer's rows by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    rows: BTreeMap<String, Vec<Point>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    time_s: f64,
    value: f64,
}

impl Answer {
    /// Reads the body of a successful answer.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        let whole: Value = serde_json::from_slice(body).map_err(|error| format!("the answer is no JSON: {error}"))?;
        let data = &whole["data"];
        let listed = data.as_array().or_else(|| data["result"].as_array());
        let mut rows = BTreeMap::new();
        for row in listed.ok_or("the answer has no list")? {
            let (name, points) = read_row(row)?;
            if rows.insert(name.clone(), points).is_some() {
                return Err(format!("{name} stands in the answer twice"));
            }
        }
        Ok(Self { rows })
    }

    /// Series, or label values.
    pub fn series(&self) -> usize {
        self.rows.len()
    }

    /// Points of all series together.
    pub fn points(&self) -> usize {
        self.rows.values().map(Vec::len).sum()
    }

    /// What is different in another answer; nothing if they agree. Values may be apart by `tolerance`, relative to the
    /// larger one.
    pub fn difference(&self, other: &Self, tolerance: f64) -> Option<String> {
        let missing = self.rows.keys().find(|name| !other.rows.contains_key(*name));
        let more = other.rows.keys().find(|name| !self.rows.contains_key(*name));
        if missing.is_some() || more.is_some() {
            let example = missing.or(more).map_or("", String::as_str);
            return Some(format!("{} and {} series, one only has {example}", self.series(), other.series()));
        }
        let differing: Vec<String> = self
            .rows
            .iter()
            .filter_map(|(name, points)| {
                Some(format!("{name}: {}", row_difference(points, &other.rows[name], tolerance)?))
            })
            .collect();
        let first = differing.first()?;
        Some(format!("{} of {} series, first {first}", differing.len(), self.series()))
    }
}

fn read_row(row: &Value) -> Result<(String, Vec<Point>), String> {
    if let Some(text) = row.as_str() {
        return Ok((text.to_owned(), Vec::new()));
    }
    let labels = if row["metric"].is_object() { &row["metric"] } else { row };
    let labels = labels.as_object().ok_or("a row of the answer has no labels")?;
    let sorted: BTreeMap<&String, &Value> = labels.iter().collect();
    let name: Vec<String> = sorted.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let points = match (row["values"].as_array(), &row["value"]) {
        (Some(values), _) => values.iter().map(read_point).collect::<Result<_, _>>()?,
        (None, Value::Null) => Vec::new(),
        (None, value) => vec![read_point(value)?],
    };
    Ok((format!("{{{}}}", name.join(",")), points))
}

fn read_point(point: &Value) -> Result<Point, String> {
    let time_s = point[0].as_f64();
    let value = point[1].as_str().and_then(|text| text.parse().ok());
    let (time_s, value) = time_s.zip(value).ok_or_else(|| format!("{point} is no point"))?;
    Ok(Point { time_s, value })
}

fn row_difference(ours: &[Point], theirs: &[Point], tolerance: f64) -> Option<String> {
    if ours.len() != theirs.len() {
        return Some(format!("{} and {} points", ours.len(), theirs.len()));
    }
    ours.iter().zip(theirs).find_map(|(ours, theirs)| {
        if (ours.time_s - theirs.time_s).abs() > TIME_TOLERANCE_S {
            return Some(format!("points at {} and {}", ours.time_s, theirs.time_s));
        }
        let is_near = is_near(ours.value, theirs.value, tolerance);
        (!is_near).then(|| format!("at {} the values {} and {}", ours.time_s, ours.value, theirs.value))
    })
}

fn is_near(ours: f64, theirs: f64, tolerance: f64) -> bool {
    let both_nan = ours.is_nan() && theirs.is_nan();
    both_nan || ours == theirs || (ours - theirs).abs() <= tolerance * ours.abs().max(theirs.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(data: &str) -> Answer {
        Answer::read(format!("{{\"status\":\"success\",\"data\":{data}}}").as_bytes()).expect("an answer")
    }

    fn matrix(values: &str) -> Answer {
        answer(&format!(
            "{{\"resultType\":\"matrix\",\"result\":[{{\"metric\":{{\"a\":\"b\"}},\"values\":{values}}}]}}"
        ))
    }

    #[test]
    fn every_kind_of_answer_is_read() {
        let vector = answer(r#"{"resultType":"vector","result":[{"metric":{"b":"1","a":"2"},"value":[5,"7"]}]}"#);
        assert_eq!((vector.series(), vector.points()), (1, 1));
        assert_eq!(vector.rows.keys().next().map(String::as_str), Some(r#"{a="2",b="1"}"#));
        assert_eq!(matrix(r#"[[1,"2"],[2,"NaN"]]"#).points(), 2);
        assert_eq!(answer(r#"["x","y"]"#).series(), 2);
        assert_eq!(answer(r#"[{"__name__":"up"}]"#).series(), 1);
        assert!(Answer::read(b"{").is_err());
        assert!(Answer::read(br#"{"data":["x","x"]}"#).is_err());
    }

    #[test]
    fn differences_are_found() {
        let ours = matrix(r#"[[1,"2"],[2,"3"]]"#);
        assert_eq!(ours.difference(&matrix(r#"[[1,"2"],[2,"3.000000001"]]"#), 1e-9), None);
        for other in [r#"[[1,"2"]]"#, r#"[[1,"2"],[2,"3.1"]]"#, r#"[[1,"2"],[3,"3"]]"#, r#"[[1,"2"],[2,"NaN"]]"#] {
            assert!(ours.difference(&matrix(other), 1e-9).is_some(), "{other}");
        }
        assert!(answer(r#"["x"]"#).difference(&answer(r#"["y"]"#), 0.0).is_some());
        assert!(answer(r#"["x"]"#).difference(&answer(r#"["x","y"]"#), 0.0).is_some());
    }
}
