//! What query scripts run against, over HTTP: one server or one cluster, of which each script's section has a tenant for itself.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use query::{Answer, AnswerSeries, Dialect, Labels, Points, QueryError, Stats, Value};
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::{
    cluster::same,
    queries::answer,
    server::{Basalt, folder},
    wire::{BodyWriter, labels},
};

/// Where samples go and where queries are asked.
pub trait Target {
    /// Takes samples.
    fn written(&self) -> &Basalt;
    /// Answers.
    fn asked(&self) -> &Basalt;
    /// Gets the same samples, and must give the same answers.
    fn witness(&self) -> Option<&Basalt> {
        None
    }
}

/// One process does both.
pub struct Single {
    basalt: Basalt,
    _folder: TempDir,
}

impl Single {
    pub fn start() -> Self {
        let folder = folder();
        let flags = ["-search.latencyOffset=0s", "-futureRetention=100y"];
        Self { basalt: Basalt::start(folder.path(), &flags), _folder: folder }
    }
}

impl Target for Single {
    fn written(&self) -> &Basalt {
        &self.basalt
    }

    fn asked(&self) -> &Basalt {
        &self.basalt
    }
}

thread_local! {
    // It ends with the test's thread.
    static TARGET: RefCell<Option<Rc<dyn Target>>> = const { RefCell::new(None) };
    static TENANTS: Cell<u32> = const { Cell::new(0) };
}

/// All scripts of this thread run against it, a single node if nothing is said.
pub fn aim_at(target: Rc<dyn Target>) {
    TARGET.set(Some(target));
}

fn target() -> Rc<dyn Target> {
    TARGET.with_borrow_mut(|target| Rc::clone(target.get_or_insert_with(|| Rc::new(Single::start()))))
}

/// A tenant without data.
pub struct Driver {
    tenant: u32,
}

impl Driver {
    pub fn new() -> Self {
        let tenant = TENANTS.get() + 1;
        TENANTS.set(tenant);
        Self { tenant }
    }

    /// Stores samples of a series.
    pub fn put(&self, pairs: &[(&str, &str)], samples: &[(i64, f64)]) {
        let mut writer = BodyWriter::default();
        writer.series(&labels(pairs), samples);
        let packed = snap::raw::Encoder::new().compress_vec(&writer.body).expect("snappy packs everything");
        let path = format!("/insert/{}/prometheus/api/v1/write", self.tenant);
        let target = target();
        for basalt in [target.written()].into_iter().chain(target.witness()) {
            let response = basalt.client().post(&path, "application/x-protobuf", Some("snappy"), &packed);
            let response = response.expect("the server answers");
            assert!(response.is_success(), "{}: {}", response.status, response.text());
        }
    }

    pub fn instant(&self, dialect: Dialect, text: &str, time: i64) -> Result<Answer, QueryError> {
        self.ask("query", dialect, &[("query", text), ("time", &seconds(time))])
    }

    pub fn range(&self, dialect: Dialect, text: &str, times: (i64, i64, i64)) -> Result<Answer, QueryError> {
        let [start, end, step] = [times.0, times.1, times.2].map(seconds);
        self.ask("query_range", dialect, &[("query", text), ("start", &start), ("end", &end), ("step", &step)])
    }

    fn ask(&self, call: &str, dialect: Dialect, arguments: &[(&str, &str)]) -> Result<Answer, QueryError> {
        let dialect = match dialect {
            Dialect::MetricsQl => "metricsql",
            Dialect::PromQl => "promql",
        };
        let path = format!("/select/{}/prometheus/api/v1/{call}", self.tenant);
        let arguments = [arguments, &[("dialect", dialect), ("nocache", "1")]].concat();
        let target = target();
        let (status, body) = answer(target.asked(), &path, &arguments);
        if let Some(witness) = target.witness() {
            let (want_status, want) = answer(witness, &path, &arguments);
            let fields = ["status", "errorType", "data", "warnings", "infos"];
            let is_same = status == want_status && fields.iter().all(|field| same(&want[field], &body[field]));
            // What a node refuses has its address before it.
            let says_same = text(&body["error"]).ends_with(text(&want["error"]));
            assert!(
                is_same && says_same,
                "{path} {arguments:?}: {status} {body}, but the witness {want_status} {want}"
            );
        }
        if body["status"] != "success" {
            let error = text(&body["error"]);
            return Err(QueryError::Evaluation(format!("{status}: {error}")));
        }
        let texts = |name: &str| -> Vec<String> {
            body[name].as_array().into_iter().flatten().map(|text| text.to_string()).collect()
        };
        let value = value(&body["data"]);
        let (stats, warnings, infos) = (Stats::default(), texts("warnings"), texts("infos"));
        Ok(Answer { value, stats, warnings, infos, trace: None, is_partial: None, held: None })
    }
}

fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_default()
}

fn seconds(millis: i64) -> String {
    format!("{}", millis as f64 / 1e3)
}

fn value(data: &Json) -> Value {
    let result = &data["result"];
    match data["resultType"].as_str() {
        Some("scalar") => {
            let (time, value) = sample(result);
            Value::Scalar(time, value)
        }
        Some("string") => Value::Text(sample_time(result), result[1].as_str().expect("a text").to_string()),
        Some("vector") => Value::Vector(rows(result, |row| vec![sample(&row["value"])])),
        Some("matrix") => {
            let samples = |row: &Json| row["values"].as_array().expect("a list").iter().map(sample).collect();
            Value::Matrix(rows(result, samples))
        }
        other => panic!("no type of a result: {other:?}"),
    }
}

fn rows(result: &Json, samples: impl Fn(&Json) -> Vec<(i64, f64)>) -> Vec<AnswerSeries> {
    let row = |row: &Json| {
        let pairs = row["metric"].as_object().expect("labels");
        let pairs = pairs.iter().map(|(name, value)| (name.clone(), value.as_str().expect("a text").to_string()));
        let (times, values): (Vec<i64>, Vec<f64>) = samples(row).into_iter().unzip();
        AnswerSeries { labels: pairs.collect(), points: Points::Own { times: Arc::new(times), values } }
    };
    result.as_array().expect("a list").iter().map(row).collect()
}

fn sample(pair: &Json) -> (i64, f64) {
    let text = pair[1].as_str().expect("a number as text");
    (sample_time(pair), text.parse().unwrap_or_else(|_| panic!("no number: {text}")))
}

fn sample_time(pair: &Json) -> i64 {
    (pair[0].as_f64().expect("a time") * 1e3).round() as i64
}

/// Series and their samples.
pub type Rows = Vec<(Labels, Vec<(i64, f64)>)>;

pub fn rows_of(value: &Value) -> Rows {
    let samples_of = |series: &AnswerSeries| match &series.points {
        Points::Own { times, values } => {
            (series.labels.clone(), times.iter().copied().zip(values.iter().copied()).collect())
        }
        Points::Grid { .. } => panic!("answers over HTTP have their own times"),
    };
    match value {
        Value::Scalar(time, value) => vec![(Labels::default(), vec![(*time, *value)])],
        Value::Text(..) => Vec::new(),
        Value::Vector(series) | Value::Matrix(series) => series.iter().map(samples_of).collect(),
    }
}
