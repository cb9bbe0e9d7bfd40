//! Doors through which samples come in over HTTP.
//!
//! 1. [`Door::find`] knows a door by its path, and whose samples come through it.
//! 2. Memory for the body is taken from a fixed budget as its bytes come ([`budget`]), so that slow senders cost what they sent and keep nobody
//!    else out.
//! 3. The body waits for its turn at a gate: so many inserts compute at once, the others queue for a bounded time.
//! 4. It is unpacked and walked in memory that goes from request to request ([`workspace`]), and handed to [`Insert`].
//!    What its labels mean is settled by the encoding of its protocol under the rules that hold for all doors ([`rules`]).
//! 5. As soon as the store only waits for the disk, the place at the gate goes to the next request, so that many requests share one fsync.
//! 6. The answer says what was refused and why; what cannot be taken now is answered 503 with `Retry-After`, never 429, which Prometheus by
//!    default takes as leave to throw the samples away.
//!
//! Architecture invariant: knows nothing of who stands behind [`Insert`].

mod answer;
mod body;
mod budget;
mod datadog;
mod door;
mod imports;
mod influx;
mod ingested_log;
mod lines;
mod listen;
mod native;
mod new_series;
mod newrelic;
mod opentelemetry;
mod opentsdb;
mod options;
mod pushgateway;
mod rate;
mod rejection;
mod remote_write;
mod rules;
mod session;
mod stats;
mod stream;
#[cfg(test)]
mod testing;
mod throttles;
mod told;
mod whole;
mod workspace;
mod zabbix;

use std::{sync::Arc, time::Instant};

use basalt_http::{Gate, MetricsSource, MetricsText, Request, Response, StatusCode, json};
use decode::{
    remote_write::RemoteWriteLabels,
    rows::{Duplicates, ExtraLabels, PairLabels},
};
use model::Clock;
use relabel::Relabeler;
use storage_api::{Insert, Refusal, Refusals};

pub use decode::LabelLimits;
pub(crate) use door::Entered;
pub use door::{Door, Entrance};
pub use listen::{LineListener, LineProtocol};
pub use options::{DoorOptions, Options};
pub use rejection::Rejection;
pub use rules::RuleOptions;

use crate::{
    budget::BodyBudget, new_series::NewSeriesLog, rate::IngestionRate, rules::CurrentRules, stats::Stats,
    throttles::Throttles, told::Told, workspace::Pool,
};

/// What agents want to hear.
const STATUS_OK: &str = r#"{"status":"ok"}"#;
/// Inserts that wait at the gate; their bodies are in the budget already.
const WAITING_MAX: usize = 10_000;

/// Takes samples over HTTP and hands them to a store.
pub struct Receiver {
    insert: Arc<dyn Insert>,
    clock: Arc<dyn Clock>,
    log_rows: bool,
    body_bytes_max: usize,
    doors: DoorOptions,
    budget: BodyBudget,
    gate: Gate,
    pool: Pool,
    rate: IngestionRate,
    rules: CurrentRules,
    new_series: Arc<NewSeriesLog>,
    labels: Labels,
    stats: Stats,
    told: Told,
    /// By door and status.
    rejections: Throttles<(&'static str, StatusCode)>,
    /// By protocol and reason.
    refusals: Throttles<(&'static str, Refusal)>,
}

/// How labels of requests are read that add none of their own, which is most of them.
struct Labels {
    limits: LabelLimits,
    remote_write: RemoteWriteLabels,
    remote_write_2: PairLabels,
    rows: PairLabels,
}

impl Labels {
    fn new(limits: LabelLimits) -> Self {
        let none = ExtraLabels::default;
        Self {
            limits,
            remote_write: RemoteWriteLabels::new(limits, 0, none()),
            remote_write_2: PairLabels::new(limits, 0, Duplicates::Refuse, none()),
            rows: PairLabels::new(limits, 0, Duplicates::LastWins, none()),
        }
    }
}

impl Receiver {
    /// A receiver in front of a store.
    pub fn new(insert: Arc<dyn Insert>, clock: Arc<dyn Clock>, options: &Options) -> Self {
        let new_series = Arc::new(NewSeriesLog::new(Arc::clone(&clock), options.log_new_series));
        Self {
            insert,
            clock,
            log_rows: options.log_rows,
            body_bytes_max: options.body_bytes_max,
            doors: options.doors.clone(),
            budget: BodyBudget::new(options.bodies_bytes_max, options.body_bytes_max, options.queue_wait_max),
            gate: Gate::new(options.concurrent_max, WAITING_MAX, options.queue_wait_max),
            pool: Pool::new(2 * options.concurrent_max),
            rate: IngestionRate::new(options.samples_per_second_max, options.queue_wait_max),
            labels: Labels::new(options.rules.reading_limits()),
            rules: CurrentRules::new(options.rules.clone(), Arc::clone(&new_series)),
            new_series,
            stats: Stats::default(),
            told: Told::default(),
            rejections: Throttles::default(),
            refusals: Throttles::default(),
        }
    }

    /// Replaces the rules of relabeling, for requests that come in from now on.
    pub fn relabel(&self, relabeler: Option<Arc<Relabeler>>) {
        self.rules.relabel(relabeler);
    }

    /// Logs series that are seen for the first time, for so many seconds from now; gives the time when that ends, in milliseconds.
    pub fn log_new_series(&self, seconds: u64) -> i64 {
        self.new_series.log_for(seconds)
    }

    /// What was refused before it came to the store, which counts its own.
    pub fn refused(&self) -> Refusals {
        self.stats.refused()
    }

    /// Lets a request in through a door.
    pub async fn receive(&self, entrance: Entrance, request: Request) -> Response {
        let stats = self.stats.door(entrance.door);
        stats.requests.add(1);
        let begin = Instant::now();
        let peer = request.peer;
        let outcome = match entrance.enter(&request) {
            Ok(entered) => tasks::may_step_aside(self.dispatch(entered, request)).await,
            Err(rejection) => Err(rejection),
        };
        stats.durations.update(begin.elapsed());
        outcome.unwrap_or_else(|rejection| {
            stats.rejected.add(1);
            let path = entrance.door.path();
            if let Some(held_back) = self.rejections.admit((path, rejection.status())) {
                log::warn!(
                    "cannot take an insert at {path} from {peer}: {rejection} ({held_back} such lines held back)"
                );
            }
            rejection.into_response()
        })
    }

    async fn dispatch(&self, entrance: Entered, request: Request) -> Result<Response, Rejection> {
        match entrance.door {
            Door::RemoteWrite => self.remote_write(entrance, request).await,
            Door::ImportJson => self.import_json(entrance, request).await,
            Door::ImportCsv => self.import_csv(entrance, request).await,
            Door::ImportNative => self.import_native(entrance, request).await,
            Door::ImportPrometheus => self.import_prometheus(entrance, request).await,
            Door::InfluxWrite => self.influx_write(entrance, request).await,
            Door::InfluxQuery => Ok(self.influx_query()),
            Door::InfluxHealth => Ok(influx::health()),
            Door::OpenTsdbPut => self.opentsdb_put(entrance, request).await,
            Door::OpenTelemetry => self.opentelemetry(entrance, request).await,
            Door::DatadogSeries1 => self.datadog_series(entrance, datadog::Version::One, request).await,
            Door::DatadogSeries2 => self.datadog_series(entrance, datadog::Version::Two, request).await,
            Door::DatadogSketches => self.datadog_sketches(entrance, request).await,
            Door::DatadogValidate => Ok(json(StatusCode::OK, r#"{"valid":true}"#)),
            Door::DatadogCheckRun => Ok(json(StatusCode::ACCEPTED, STATUS_OK)),
            Door::DatadogIntake | Door::DatadogMetadata => Ok(json(StatusCode::OK, "{}")),
            Door::NewRelicEvents => self.newrelic_events(entrance, request).await,
            Door::NewRelicInventory => Ok(newrelic::inventory()),
            Door::NewRelicCheck => Ok(json(StatusCode::ACCEPTED, STATUS_OK)),
            Door::ZabbixHistory => self.zabbix_history(entrance, request).await,
        }
    }
}

impl MetricsSource for Receiver {
    fn write_metrics(&self, out: &mut MetricsText) {
        self.stats.write(out);
        out.line("vm_concurrent_insert_capacity", self.gate.capacity());
        out.line("vm_concurrent_insert_current", self.gate.current());
        out.line("vm_concurrent_insert_limit_reached_total", self.gate.reached());
        out.line("vm_concurrent_insert_limit_timeout_total", self.gate.refused());
        out.line("vm_slow_row_inserts_total", self.new_series.resolved());
        out.line("vm_max_ingestion_rate_limit_reached_total", self.rate.reached());
    }
}
