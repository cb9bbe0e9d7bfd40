//! Events of New Relic's infrastructure agent.
//!
//! ```text
//! [{"EntityID":7,"IsAgent":true,"Events":[{"eventType":"SystemSample","timestamp":1700000000,"entityKey":"h","cpuPercent":25.1}]}]
//! ```
//!
//! 1. Every number of an event becomes a series named by its key; every text becomes a label of all of them.
//! 2. Times are seconds or milliseconds; an event without one came now.

use std::borrow::Cow;

use crate::{
    Malformed,
    json::{Json, Kind},
    rows::{NAME, ReadError, Rows, Sink, Skipped},
};

/// Times below are seconds.
const SECONDS_BELOW: f64 = (1u64 << 32) as f64;
/// No event has more numbers.
const NUMBERS_MAX: usize = 10_000;

/// Reads a body that came at `now`. Events that cannot be read are counted and left out.
pub async fn read<S: Sink>(
    body: &[u8],
    now: i64,
    rows: &mut Rows,
    sink: &mut S,
) -> Result<Skipped, ReadError<S::Error>> {
    let mut json = Json::new(body)?;
    let mut skipped = Skipped::default();
    let mut entities = json.array()?;
    while json.item(&mut entities)? {
        let mut members = json.object()?;
        while let Some(key) = json.key(&mut members)? {
            if key != "Events" || json.peek()? == Kind::Null {
                json.skip()?;
                continue;
            }
            let mut events = json.array()?;
            while json.item(&mut events)? {
                skipped.attempt(&mut json, rows, |json, rows| event(json, now, rows))?;
                if rows.is_full() {
                    sink.flush(rows).await.map_err(ReadError::Sink)?;
                }
            }
        }
    }
    json.end()?;
    Ok(skipped)
}

fn event(json: &mut Json<'_>, now: i64, rows: &mut Rows) -> Result<(), Malformed> {
    let mut numbers: Vec<(Cow<'_, str>, f64)> = Vec::new();
    let mut time = now;
    let mut members = json.object()?;
    while let Some(key) = json.key(&mut members)? {
        match json.peek()? {
            Kind::Number if key == "timestamp" => {
                let number = json.float()?;
                time = (if number < SECONDS_BELOW { number * 1000.0 } else { number }) as i64;
            }
            Kind::Number if numbers.len() >= NUMBERS_MAX => return json.wrong("an event with too many numbers"),
            Kind::Number => numbers.push((key, json.float()?)),
            Kind::String => {
                let value = json.string()?;
                rows.label(key.as_bytes(), value.as_bytes());
            }
            _ => json.skip()?,
        }
    }
    let labels = rows.prefix();
    for (name, value) in &numbers {
        if name.is_empty() {
            return json.wrong("a number without a name");
        }
        rows.label(NAME, name.as_bytes());
        rows.repeat(labels.clone());
        rows.sample(time, *value);
        rows.finish()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::{Batches, ready, show};

    fn run(body: &str) -> Result<(Vec<String>, u64), ReadError<()>> {
        let (mut rows, mut batches) = (Rows::default(), Batches::default());
        let skipped = ready(read(body.as_bytes(), 99, &mut rows, &mut batches))?;
        Ok((show(&rows), skipped.points))
    }

    #[test]
    fn numbers_become_series() {
        let body = r#"[
            {"EntityID":28257883748326179,"IsAgent":true,"Events":[
                {"eventType":"SystemSample","timestamp":1690286061,"entityKey":"h","dc":"1","writes":-34.21,"up":762376,"x":null},
                {"eventType":"P","timestamp":1690286061987,"up":1},
                7
            ],"ReportingAgentID":2},
            {"Events":null}, {"Events":[{"n":1}]}
        ]"#;
        let (rows, skipped) = run(body).expect("a good body");
        let labels = "eventType=SystemSample,entityKey=h,dc=1";
        assert_eq!(
            rows,
            [
                format!("__name__=writes,{labels} -34.21@1690286061000"),
                format!("__name__=up,{labels} 762376@1690286061000"),
                "__name__=up,eventType=P 1@1690286061987".to_string(),
                "__name__=n 1@99".to_string(),
            ]
        );
        assert_eq!(skipped, 1);
        for broken in ["", "123", "[foo]", r#"{"foo":123}"#, r#"[{"Events":[{"#] {
            assert!(run(broken).is_err(), "{broken}");
        }
        assert_eq!(run("[]"), Ok((vec![], 0)));
    }
}
