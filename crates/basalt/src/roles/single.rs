//! A process with doors and API: receive → backend ← serve. What the backend is makes the role (`backend`).
//!
//! 1. Bind every address, so that a taken port is found out before anything is opened.
//! 2. Open the backend; a store replays its log.
//! 3. Serve until SIGINT or SIGTERM.
//!    With `-http.shutdownDelay`, probes are answered badly for so long before anything else happens, so that balancers look elsewhere.
//! 4. Drain requests, then close the backend, which flushes a store; exit 0.

use std::{sync::Arc, time::Duration};

use basalt_http::{Handler, MetricsSource, MetricsText, Request, Response, StatusCode, json, plain, stop_signal};
use gather::AllTenants;
use model::{Clock, SystemClock, TimeRange};
use query::Engine;
use receive::{Door, Receiver};
use serve::{Endpoint, Server};
use storage_api::{Admin, Refusal};
use tokio::{
    runtime::Handle,
    signal::unix::{Signal, SignalKind, signal},
    task::{JoinError, spawn_blocking},
};

use super::{
    Failure, Role,
    backend::{self, Backend, NodePort},
    storage::StorageNode,
};
use crate::{
    allocator,
    front::{Front, FrontStats, Wrong},
    logging::Messages,
    machine,
    reload::{self, Reloads},
    secrets,
    settings::Settings,
    web::Web,
};

/// Threads for work that blocks: queries are bounded by their gate, this bounds what an operator asks for.
const BLOCKING_THREADS_MAX: usize = 128;
/// Where an operator asks for the names of new series.
const LOG_NEW_SERIES: &str = "/internal/log_new_series";
/// The tenants of a cluster.
const TENANTS: &str = "/admin/tenants";
/// Blocking work that does not end by itself after a stop is left behind.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Runs the role until it is told to stop.
pub fn single(role: Role, settings: Settings) -> Result<(), Failure> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if role == Role::Storage {
        runtime.worker_threads(machine::link_threads());
    }
    let runtime = runtime.enable_all().max_blocking_threads(BLOCKING_THREADS_MAX).build();
    let runtime = runtime.map_err(|why| Failure(format!("cannot start worker threads: {why}")))?;
    let ended = runtime.block_on(run(role, settings));
    runtime.shutdown_timeout(STOP_PATIENCE);
    ended
}

async fn run(role: Role, settings: Settings) -> Result<(), Failure> {
    let mut signals = Signals::register()?;
    let mut listeners = Vec::new();
    for listen in &settings.listen {
        listeners.push(listen.bind().await.map_err(Failure)?);
    }
    let doors = settings.doors.bind().await.map_err(Failure)?;
    let node_ports = backend::bind(role, &settings.cluster).await?;
    let (server_options, stop_delay) = (settings.server.clone(), settings.stop_delay);
    let (front_options, self_scrape) = (settings.front.clone(), settings.self_scrape.clone());
    let (push, secrets) = (settings.push.clone(), settings.secrets.clone());
    let stats = Arc::new(FrontStats::default());
    let mut sources: Vec<Arc<dyn MetricsSource>> = vec![stats.clone(), Arc::new(Messages)];
    sources.extend(listeners.iter().map(|listener| listener.stats() as Arc<dyn MetricsSource>));
    sources.extend(doors.sources());
    let opening = Opening { stats: Arc::clone(&stats), sources };
    let opened = spawn_blocking(move || open(role, settings, opening)).await.map_err(panicked)??;
    let Opened { backend, single, reloads } = opened;
    let receiver = Arc::clone(&single.receiver);
    if let Some(node) = &backend.node {
        node.refill.resume();
    }
    let front = Arc::new(Front::new(single, front_options, Arc::clone(&reloads), stats));

    let (stopper, stop) = stop_signal();
    let mut servers = Vec::new();
    for listener in listeners {
        log::info!("started server at {}://{}/", listener.scheme(), listener.address());
        let serving = basalt_http::serve(listener, server_options.clone(), Arc::clone(&front), stop.clone());
        servers.push(tokio::spawn(serving));
    }
    servers.extend(doors.open(&receiver, &server_options, &stop));
    for NodePort { says, takes_rows, listener } in node_ports {
        log::info!("{says} {}", listener.address());
        let (service, mut stop) = (Arc::clone(&backend.service), stop.clone());
        let serving = async move {
            if let Err(why) = listener.serve(service, async move { stop.stopped().await }).await {
                log::error!("{why}");
            }
        };
        // Rows are worked on where they come in, by all workers; questions are handed to threads that may block.
        let links = backend.links.as_ref().filter(|_| !takes_rows);
        let runtime = links.map_or_else(Handle::current, |links| links.handle().clone());
        servers.push(runtime.spawn(serving));
    }
    servers.push(tokio::spawn(secrets::watch(secrets, stop.clone())));
    servers.push(tokio::spawn(allocator::upkeep(stop.clone())));
    if let Some(names) = backend.names.clone() {
        servers.push(tokio::spawn(names.run(stop.clone())));
    }
    if !self_scrape.interval.is_zero() {
        servers.push(tokio::spawn(self_scrape.run(Arc::clone(&front), stop.clone())));
    }
    if push.is_wanted() {
        servers.push(tokio::spawn(push.run(Arc::clone(&front), stop.clone())));
    }
    let signal = signals.next(&reloads).await;
    log::info!("received {signal}, stopping");
    if !stop_delay.is_zero() {
        front.leave();
        log::info!("probes are answered with 503 for {stop_delay:?} before requests are drained");
        tokio::time::sleep(stop_delay).await;
    }
    stopper.stop();
    for server in servers {
        server.await.map_err(panicked)?;
    }
    spawn_blocking(backend.closing()).await.map_err(panicked)?
}

/// What is there before the store is.
struct Opening {
    stats: Arc<FrontStats>,
    /// What `/metrics` shows beside the store and what stands in front of it.
    sources: Vec<Arc<dyn MetricsSource>>,
}

/// What the process consists of.
struct Opened {
    backend: Backend,
    single: Single,
    reloads: Arc<Reloads>,
}

/// Opens the backend and puts doors and API in front of it.
fn open(role: Role, mut settings: Settings, opening: Opening) -> Result<Opened, Failure> {
    settings.receive.rules.relabeler = reload::read_relabeling(&settings.relabel_config).map_err(Failure)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let backend = Backend::open(role, &settings, &clock)?;
    let receiver = Arc::new(Receiver::new(Arc::clone(&backend.insert), Arc::clone(&clock), &settings.receive));
    let refused = Refused { receiver: Arc::clone(&receiver), store: Arc::clone(&backend.admin) };
    let reloads = Arc::new(Reloads::new(settings.relabel_config, Arc::clone(&receiver)));
    let process = machine::Process::begin(settings.memory_allowed_bytes);
    let Opening { stats, mut sources } = opening;
    sources.extend(backend.sources.iter().cloned());
    sources.extend([receiver.clone() as _, Arc::new(refused) as _, reloads.clone() as _, Arc::new(process) as _]);
    settings.serve.names_stats = backend.names_asked.clone();
    let (admin, web) = (Arc::clone(&backend.admin), Web::new(settings.web));
    let engine = Arc::new(Engine::new(Arc::clone(&backend.select), Arc::clone(&clock), settings.engine));
    let server = Server::new(engine, Arc::clone(&backend.select), Arc::clone(&admin), clock, sources, settings.serve);
    let of_all_tenants = server.over(Arc::new(AllTenants::new(Arc::clone(&backend.select), Arc::clone(&admin))));
    let node = backend.node.clone();
    Ok(Opened { backend, single: Single { role, receiver, server, of_all_tenants, admin, node, web, stats }, reloads })
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub(super) fn panicked(error: JoinError) -> Failure {
    Failure(format!("a task ended badly: {error}"))
}

/// Leads every request to a door or an endpoint.
struct Single {
    role: Role,
    receiver: Arc<Receiver>,
    server: Server,
    /// Answers what is asked of all tenants together.
    of_all_tenants: Server,
    admin: Arc<dyn Admin>,
    node: Option<Arc<StorageNode>>,
    web: Web,
    stats: Arc<FrontStats>,
}

impl Handler for Single {
    async fn handle(&self, request: Request) -> Response {
        let path = request.path();
        if path == LOG_NEW_SERIES {
            return log_new_series(&self.receiver, &request);
        }
        if let Some(page) = self.web.page(&request).await {
            return page;
        }
        if path == TENANTS && self.role == Role::Select {
            return tenants(&self.admin).await;
        }
        if let Some(node) = &self.node
            && let Some(page) = node.page(&request).await
        {
            return page;
        }
        // Where samples come by way of inserts, there are no doors.
        if let Some(found) = Door::find(path).filter(|_| self.role == Role::Single) {
            return match found {
                Ok(entrance) => self.receiver.receive(entrance, request).await,
                Err(tenant) => plain(StatusCode::BAD_REQUEST, tenant.to_string()),
            };
        }
        match Endpoint::find(path) {
            Some(Ok(entrance)) if entrance.of_all_tenants => self.of_all_tenants.serve(entrance, request).await,
            Some(Ok(entrance)) => self.server.serve(entrance, request).await,
            Some(Err(tenant)) => plain(StatusCode::BAD_REQUEST, tenant.to_string()),
            // VictoriaMetrics answers so, and not 404.
            None => {
                self.stats.wrong(Wrong::Unsupported);
                plain(StatusCode::BAD_REQUEST, format!("unsupported path requested: {path:?}"))
            }
        }
    }
}

/// Lists the tenants of all storage nodes.
async fn tenants(admin: &Arc<dyn Admin>) -> Response {
    let (admin, runtime) = (Arc::clone(admin), Handle::current());
    let asking = spawn_blocking(move || runtime.block_on(admin.tenants(TimeRange::ALL))).await;
    match asking {
        Ok(Ok(tenants)) => {
            let quoted: Vec<String> = tenants.iter().map(|tenant| format!("\"{tenant}\"")).collect();
            json(StatusCode::OK, format!("{{\"status\":\"success\",\"data\":[{}]}}", quoted.join(",")))
        }
        Ok(Err(why)) => plain(StatusCode::SERVICE_UNAVAILABLE, why.to_string()),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the question for tenants ended in a panic; see the log"),
    }
}

/// Logs new series for a while, a minute if the request does not say for how long.
fn log_new_series(receiver: &Receiver, request: &Request) -> Response {
    let seconds = match request.query_params().number("seconds") {
        Ok(seconds) => seconds.unwrap_or(60),
        Err(wrong) => return plain(StatusCode::BAD_REQUEST, wrong.to_string()),
    };
    let end = jiff::Timestamp::from_millisecond(receiver.log_new_series(seconds)).unwrap_or(jiff::Timestamp::MAX);
    log::info!("new series are logged until {end}");
    json(StatusCode::OK, format!("{{\"status\":\"success\",\"data\":{{\"logEndTime\":\"{end}\"}}}}"))
}

/// Samples that were refused at the doors and in the store, by reason.
struct Refused {
    receiver: Arc<Receiver>,
    store: Arc<dyn Admin>,
}

impl MetricsSource for Refused {
    fn write_metrics(&self, out: &mut MetricsText) {
        let mut refused = self.receiver.refused();
        refused.merge(&self.store.stats().refused);
        for reason in Refusal::ALL {
            out.line(format_args!("vm_rows_ignored_total{{reason=\"{}\"}}", reason.name()), refused.get(*reason));
        }
        for (period, reason) in [("hourly", Refusal::HourlySeries), ("daily", Refusal::DailySeries)] {
            out.line(format_args!("vm_{period}_series_limit_rows_dropped_total"), refused.get(reason));
        }
    }
}

/// The signals that end the process, and the one that by default would.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn register() -> Result<Self, Failure> {
        let register = |kind| signal(kind).map_err(|why| Failure(format!("cannot wait for signals: {why}")));
        Ok(Self {
            interrupt: register(SignalKind::interrupt())?,
            terminate: register(SignalKind::terminate())?,
            hangup: register(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal that ends the process. SIGHUP reads anew what can be.
    pub(super) async fn next(&mut self, reloads: &Arc<Reloads>) -> &'static str {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.hangup.recv() => {
                    let reloads = Arc::clone(reloads);
                    // It logs what came of it.
                    spawn_blocking(move || reloads.reload());
                }
            }
        }
    }
}
