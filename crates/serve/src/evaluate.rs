//! `/api/v1/query` and `/api/v1/query_range`.
//!
//! 1. The arguments become a [`query::Query`], as the rival whose dialect is asked for reads them ([`victoria`], [`prometheus`]).
//! 2. The query waits for its place at the gate, then runs on a blocking thread; when its client leaves it is cancelled.
//! 3. The same thread writes the answer if it is short. A long one becomes a stream, so that memory holds the values once and no text of them.
//! 4. Queries that took long, or much memory, are logged.

mod prometheus;
mod victoria;

use std::{sync::Arc, time::Instant};

use basalt_http::{Body, HeaderValue, Params, Permit, Response, StatusCode, header, json};
use query::{Answer, Dialect, Query, QueryError, Value};
use tokio::task::spawn_blocking;

use crate::{
    Server,
    answer::{self, Shape},
    asker::Asker,
    error::ApiError,
    packing::Outgoing,
    work::{CancelOnDrop, panicked},
};

/// Longer answers become streams.
const WHOLE_BYTES_MAX: usize = 256 << 10;

/// A query as it was asked, and what is to be done with its answer.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// What the engine is asked.
    pub(crate) query: Query,
    /// At most so many series are answered; `None` for all.
    pub(crate) limit: Option<usize>,
    /// Whether the answer says what it took.
    pub(crate) with_stats: bool,
}

/// What came out on the blocking thread.
enum Outcome {
    Text(Vec<u8>),
    Long(Box<(Answer, Shape)>),
}

impl Server {
    pub(crate) async fn instant(&self, asker: &Asker, params: &Params) -> Result<Response, ApiError> {
        let asked = match asker.dialect {
            Dialect::MetricsQl => self.instant_metricsql(asker, params)?,
            Dialect::PromQl => self.instant_promql(asker, params)?,
        };
        self.evaluate(asker, params, asked).await
    }

    pub(crate) async fn range_query(&self, asker: &Asker, params: &Params) -> Result<Response, ApiError> {
        let asked = match asker.dialect {
            Dialect::MetricsQl => self.range_metricsql(asker, params)?,
            Dialect::PromQl => self.range_promql(asker, params)?,
        };
        self.evaluate(asker, params, asked).await
    }

    async fn evaluate(&self, asker: &Asker, params: &Params, asked: Asked) -> Result<Response, ApiError> {
        let began = Instant::now();
        let deadline = asked.query.deadline;
        let guard = CancelOnDrop::new(asked.query.cancel.clone());
        let permit = self.enter(deadline).await?;
        let shape =
            Shape { dialect: asker.dialect, with_stats: asked.with_stats, stats_wanted: params.get("stats").is_some() };
        let text = asked.query.text.clone();
        let engine = Arc::clone(&self.engine);
        let memory_note = self.memory_note(asker);
        let has_nodes = self.options.has_nodes;
        let working = spawn_blocking(move || {
            let mut answer = engine.run(&asked.query)?;
            memory_note.look(&asked.query.text, answer.stats.memory_peak);
            answer.is_partial = has_nodes.then(|| asked.query.completeness.is_partial());
            cut(&mut answer, asked.limit);
            Ok::<_, QueryError>(match answer::bytes_about(&answer) {
                short if short <= WHOLE_BYTES_MAX => {
                    let mut out = Vec::with_capacity(short + answer::FRAME_BYTES);
                    answer::write(&answer, &shape, &mut out).expect("BUG: memory does not leave");
                    (Outcome::Text(out), permit)
                }
                _ => (Outcome::Long(Box::new((answer, shape))), permit),
            })
        });
        let outcome = working.await.map_err(|_| panicked());
        self.note_slow(asker, &text, began);
        let (outcome, permit) = match outcome? {
            Ok(outcome) => outcome,
            Err(error) => return Err(of_query(error, asker.dialect)),
        };
        Ok(match outcome {
            Outcome::Text(text) => json(StatusCode::OK, text),
            Outcome::Long(long) => stream(asker, *long, permit, guard),
        })
    }

    /// Logs a query that took long.
    fn note_slow(&self, asker: &Asker, text: &str, began: Instant) {
        let (slow, took) = (self.options.queries.slow, began.elapsed());
        if slow.is_zero() || took < slow {
            return;
        }
        self.slow_queries.add(1);
        log::warn!(
            "slow query according to -search.logSlowQueryDuration={slow:?}: remoteAddr={}, duration={:.3} seconds, path={}, query={text:?}",
            asker.remote_addr,
            took.as_secs_f64(),
            asker.endpoint.path(),
        );
    }
}

/// An error of the engine. Prometheus names the argument that a text without meaning stood in.
pub(crate) fn of_query(error: QueryError, dialect: Dialect) -> ApiError {
    match error {
        QueryError::Parse(why) if dialect == Dialect::PromQl => ApiError::invalid_parameter("query", why),
        other => other.into(),
    }
}

/// Cuts the answer to the wanted number of series; the engine was asked for one more, so that it is known whether there are more.
fn cut(answer: &mut Answer, limit: Option<usize>) {
    if let (Value::Vector(series) | Value::Matrix(series), Some(limit)) = (&mut answer.value, limit)
        && series.len() > limit
    {
        series.truncate(limit);
        answer.warnings.push("results truncated due to limit".to_string());
    }
}

fn stream(asker: &Asker, (answer, shape): (Answer, Shape), permit: Permit, guard: CancelOnDrop) -> Response {
    let (writer, body) = Body::stream();
    let mut out = Outgoing::new(writer, asker.packing);
    spawn_blocking(move || {
        let _permit = permit;
        // An error means that the client is gone, which is its affair.
        if answer::write(&answer, &shape, &mut out).is_ok() {
            let _ = out.finish();
        }
    });
    let mut response = Response::new(body.holding(guard));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    asker.packing.declare(&mut response);
    response
}
