//! What people asked of the whole, as scenarios in short form: history, size, senders, and Prometheus on either side.
//!
//! The numbers in the tests' descriptions (A1, A2, …) are those of the list of scenarios.

mod federation;
mod history;
mod outage;
mod senders;

use serde_json::Value;

use crate::{
    ledger::Labels,
    queries::{address, answer, good},
    server::Basalt,
    wire::series,
};

const DAY_S: i64 = 86_400;
/// Samples in a body, about.
const SAMPLES_PER_BODY: usize = 20_000;

/// Writes a series whose samples are `value(time)` every `step_s` seconds from the first to the last time.
fn put(basalt: &Basalt, labels: &Labels, (start_s, end_s, step_s): (i64, i64, i64), value: impl Fn(i64) -> f64) {
    let times: Vec<i64> = (start_s..=end_s).step_by(step_s as usize).collect();
    for some in times.chunks(SAMPLES_PER_BODY) {
        let body = series(labels, some.iter().map(|time| (time * 1000, value(*time))));
        let response = basalt.write(&body);
        assert_eq!((response.status, response.header("x-basalt-refused")), (204, None), "{}", response.text());
    }
}

/// The first value of an answer to an instant query.
fn number(basalt: &Basalt, query: &str, time_s: i64) -> f64 {
    let answer = good(basalt, "/api/v1/query", &[("query", query), ("time", &time_s.to_string())]);
    let value = answer["data"]["result"][0]["value"][1].as_str().and_then(|text| text.parse().ok());
    value.unwrap_or_else(|| panic!("{query}: {answer}"))
}

/// An answer's bytes without the statistics of the run that made it.
fn bytes(basalt: &Basalt, path: &str, arguments: &[(&str, &str)]) -> String {
    let text = basalt.ok(&address(path, arguments));
    text.split_once(",\"stats\":").map_or(text.clone(), |(answer, _)| answer.to_string())
}

/// The error of a query that has to be refused with this status.
fn refusal(basalt: &Basalt, path: &str, arguments: &[(&str, &str)], want: u16) -> String {
    let (status, body): (u16, Value) = answer(basalt, path, arguments);
    assert_eq!(status, want, "{body}");
    body["error"].as_str().expect("an error has a text").to_string()
}
