//! Everything in one process: receive → store ← serve.
//!
//! 1. Bind every address, so that a taken port is found out before anything is opened.
//! 2. Open the store, which replays its log.
//! 3. Serve until SIGINT or SIGTERM.
//!    With `-http.shutdownDelay`, probes are answered badly for so long before anything else happens, so that balancers look elsewhere.
//! 4. Drain requests, then flush and close the store; exit 0.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use basalt_http::{Handler, MetricsSource, MetricsText, Request, Response, StatusCode, plain, stop_signal};
use disk::RealDisk;
use model::{Clock, SystemClock};
use query::Engine;
use receive::{Door, Receiver};
use serve::{Endpoint, Server};
use storage_api::{Admin, Refusal};
use store::{Reporter, Severity, Store};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::{JoinError, spawn_blocking},
};

use super::Failure;
use crate::{
    front::Front,
    machine,
    reload::{self, Reloads},
    settings::Settings,
};

/// Threads for work that blocks: queries are bounded by their gate, this bounds what an operator asks for.
const BLOCKING_THREADS_MAX: usize = 128;
/// Blocking work that does not end by itself after a stop is left behind.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Runs the role until it is told to stop.
pub fn single(settings: Settings) -> Result<(), Failure> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().max_blocking_threads(BLOCKING_THREADS_MAX).build();
    let runtime = runtime.map_err(|why| Failure(format!("cannot start worker threads: {why}")))?;
    let ended = runtime.block_on(run(settings));
    runtime.shutdown_timeout(STOP_PATIENCE);
    ended
}

async fn run(settings: Settings) -> Result<(), Failure> {
    let mut signals = Signals::register()?;
    let mut listeners = Vec::new();
    for listen in &settings.listen {
        listeners.push(listen.bind().await.map_err(Failure)?);
    }
    let doors = settings.doors.bind().await.map_err(Failure)?;
    let (server_options, stop_delay) = (settings.server.clone(), settings.stop_delay);
    let (front_options, self_scrape) = (settings.front.clone(), settings.self_scrape.clone());
    let (store, single, reloads) = spawn_blocking(move || open(settings)).await.map_err(panicked)??;
    let receiver = Arc::clone(&single.receiver);
    let front = Arc::new(Front::new(single, front_options, Arc::clone(&reloads)));

    let (stopper, stop) = stop_signal();
    let mut servers = Vec::new();
    for listener in listeners {
        log::info!("started server at {}://{}/", listener.scheme(), listener.address());
        let serving = basalt_http::serve(listener, server_options.clone(), Arc::clone(&front), stop.clone());
        servers.push(tokio::spawn(serving));
    }
    servers.extend(doors.open(&receiver, &server_options, &stop));
    if !self_scrape.interval.is_zero() {
        servers.push(tokio::spawn(self_scrape.run(Arc::clone(&front), stop.clone())));
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
    let closing = spawn_blocking(move || store.close());
    closing.await.map_err(panicked)?.map_err(|why| Failure(format!("cannot close the storage: {why}")))?;
    log::info!("the storage is closed");
    Ok(())
}

/// Opens the store and puts doors and API in front of it.
fn open(mut settings: Settings) -> Result<(Arc<Store>, Single, Arc<Reloads>), Failure> {
    settings.receive.rules.relabeler = reload::read_relabeling(&settings.relabel_config).map_err(Failure)?;
    let began = Instant::now();
    let path = settings.data_path.clone();
    let failed = |why: &dyn std::fmt::Display| Failure(format!("cannot open storage {:?}: {why}", path.display()));
    let disk = RealDisk::open(&path).map_err(|why| failed(&why))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = Store::open(Arc::new(disk), settings.store, Arc::clone(&clock), Reporter::new(report));
    let store = Arc::new(store.map_err(|why| failed(&why))?);
    let stats = store.stats();
    log::info!(
        "successfully opened storage \"{}\" in {:.3} seconds; parts: {}, samples: {}, samples in memory: {}",
        path.display(),
        began.elapsed().as_secs_f64(),
        stats.parts,
        stats.part_samples,
        stats.head_samples,
    );

    let receiver = Arc::new(Receiver::new(store.clone(), Arc::clone(&clock), &settings.receive));
    let refused = Refused { receiver: Arc::clone(&receiver), store: store.clone() };
    let reloads = Arc::new(Reloads::new(settings.relabel_config, Arc::clone(&receiver)));
    let process = machine::Process::begin(settings.memory_allowed_bytes);
    let sources: Vec<Arc<dyn MetricsSource>> =
        vec![receiver.clone(), Arc::new(refused), reloads.clone(), Arc::new(process)];
    let engine = Arc::new(Engine::new(store.clone(), Arc::clone(&clock), settings.engine));
    let server = Server::new(engine, store.clone(), store.clone(), clock, sources, settings.serve);
    Ok((store, Single { receiver, server }, reloads))
}

/// What the store has to tell becomes log lines.
fn report(severity: Severity, message: &str) {
    match severity {
        Severity::Info => log::info!("{message}"),
        Severity::Warning => log::warn!("{message}"),
        Severity::Error => log::error!("{message}"),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
fn panicked(error: JoinError) -> Failure {
    Failure(format!("a task ended badly: {error}"))
}

/// Leads every request to a door or an endpoint.
struct Single {
    receiver: Arc<Receiver>,
    server: Server,
}

impl Handler for Single {
    async fn handle(&self, request: Request) -> Response {
        let path = request.path();
        if let Some(found) = Door::find(path) {
            return match found {
                Ok(entrance) => self.receiver.receive(entrance, request).await,
                Err(tenant) => plain(StatusCode::BAD_REQUEST, tenant.to_string()),
            };
        }
        match Endpoint::find(path) {
            Some(Ok(entrance)) => self.server.serve(entrance, request).await,
            Some(Err(tenant)) => plain(StatusCode::BAD_REQUEST, tenant.to_string()),
            // VictoriaMetrics answers so, and not 404.
            None => plain(StatusCode::BAD_REQUEST, format!("unsupported path requested: {path:?}")),
        }
    }
}

/// Samples that were refused at the doors and in the store, by reason.
struct Refused {
    receiver: Arc<Receiver>,
    store: Arc<Store>,
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
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn register() -> Result<Self, Failure> {
        let register = |kind| signal(kind).map_err(|why| Failure(format!("cannot wait for signals: {why}")));
        Ok(Self {
            interrupt: register(SignalKind::interrupt())?,
            terminate: register(SignalKind::terminate())?,
            hangup: register(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal that ends the process. SIGHUP reads anew what can be.
    async fn next(&mut self, reloads: &Arc<Reloads>) -> &'static str {
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
