//! Takes samples and spreads them: receive → route → rpc client.
//!
//! 1. Bind every address, so that a taken port is found out before anything is opened.
//! 2. Open the folder of hints, if there are copies that could be missing or there is one, and find the storage nodes.
//! 3. Serve until SIGINT or SIGTERM; look for storage nodes anew meanwhile.
//! 4. Drain requests, then say good-bye to the storage nodes; hints stay for the next start. Exit 0.

mod metrics;
mod pages;
mod settings;

use std::{
    hash::{BuildHasher, RandomState},
    path::Path,
    sync::Arc,
    time::Duration,
};

use basalt_http::{MetricsSource, stop_signal};
use disk::RealDisk;
use model::{Clock, SystemClock};
use receive::Receiver;
use route::{
    ByLabels, Connect, Discovery, NodeLink, NodeName, Replication, Router,
    hints::{self, HintStore},
};
use rpc::{Node, NodeListener, NodeOptions, Role as NodeRole, Service};
use storage_api::ShardWord;

use super::{
    Failure,
    single::{Signals, panicked},
};
use crate::{
    allocator,
    cluster::{self, ClusterOptions},
    front::{Front, FrontStats},
    logging::Messages,
    machine,
    reload::{self, Reloads},
    secrets,
    settings::Settings,
};
use metrics::RouterMetrics;
use pages::Pages;
pub use settings::InsertSettings;

/// The port of storage nodes that is meant where a name has none.
const NODE_PORT: u16 = 8400;
/// Blocking work that does not end by itself after a stop is left behind.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// Files of hints are read and removed by so many threads.
const BLOCKING_THREADS_MAX: usize = 64;

/// Runs the role until it is told to stop.
pub fn insert(settings: Settings) -> Result<(), Failure> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(machine::link_threads());
    let runtime = runtime.enable_all().max_blocking_threads(BLOCKING_THREADS_MAX).build();
    let runtime = runtime.map_err(|why| Failure(format!("cannot start worker threads: {why}")))?;
    let ended = runtime.block_on(run(settings));
    runtime.shutdown_timeout(STOP_PATIENCE);
    ended
}

async fn run(mut settings: Settings) -> Result<(), Failure> {
    let mut signals = Signals::register()?;
    let mut listeners = Vec::new();
    for listen in &settings.listen {
        listeners.push(listen.bind().await.map_err(Failure)?);
    }
    let doors = settings.doors.bind().await.map_err(Failure)?;
    let level = bind_level(&settings.cluster).await?;
    let discovery = settings.cluster.discovery(NODE_PORT).map_err(Failure)?;
    let router = Arc::new(router(&settings)?);
    let nodes = cluster::list(&discovery).await.map_err(Failure)?;
    if let Err(why) = router.set_nodes(&nodes, &settings.cluster.replication).await {
        // Nobody should wait for the word of an insert that does not run.
        router.close().await;
        return Err(Failure(why));
    }

    settings.receive.rules.relabeler = reload::read_relabeling(&settings.relabel_config).map_err(Failure)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let by_labels = Arc::new(ByLabels::new(router.clone()));
    let receiver = Arc::new(Receiver::new(by_labels, clock, &settings.receive));
    let reloads = Arc::new(Reloads::new(settings.relabel_config.clone(), Arc::clone(&receiver)));
    let stats = Arc::new(FrontStats::default());
    let mut sources: Vec<Arc<dyn MetricsSource>> = vec![stats.clone(), Arc::new(Messages)];
    sources.extend(listeners.iter().map(|listener| listener.stats() as Arc<dyn MetricsSource>));
    sources.extend(doors.sources());
    sources.extend([
        receiver.clone() as Arc<dyn MetricsSource>,
        Arc::new(RouterMetrics::new(Arc::clone(&router), Arc::clone(&receiver))),
        reloads.clone(),
        Arc::new(machine::Process::begin(settings.memory_allowed_bytes)),
    ]);
    let pages = Pages {
        receiver: Arc::clone(&receiver),
        sources,
        flags: settings.serve.flags.clone(),
        tenant_by_headers: settings.insert.tenant_by_headers,
        stats: Arc::clone(&stats),
    };
    let front = Arc::new(Front::new(pages, settings.front.clone(), Arc::clone(&reloads), stats));

    let upkeep = tokio::spawn(Arc::clone(&router).run_upkeep());
    let watch = tokio::spawn(watch(
        Arc::clone(&router),
        discovery,
        settings.cluster.replication.clone(),
        settings.cluster.discovery_interval,
    ));
    let (stopper, stop) = stop_signal();
    let mut servers = Vec::new();
    for listener in listeners {
        log::info!("started server at {}://{}/", listener.scheme(), listener.address());
        let serving = basalt_http::serve(listener, settings.server.clone(), Arc::clone(&front), stop.clone());
        servers.push(tokio::spawn(serving));
    }
    if let Some(level) = level {
        log::info!("started TCP clusternative server at \"{}\"", level.address());
        let service = Service::new(NodeRole::Insert, cluster::epoch()).with_insert(router.clone());
        let service = Arc::new(service.with_reports(router.clone(), Arc::new(|_| ShardWord::unknown())));
        let mut stop = stop.clone();
        servers.push(tokio::spawn(async move {
            if let Err(why) = level.serve(service, async move { stop.stopped().await }).await {
                log::error!("{why}");
            }
        }));
    }
    servers.extend(doors.open(&receiver, &settings.server, &stop));
    servers.push(tokio::spawn(secrets::watch(settings.secrets.clone(), stop.clone())));
    servers.push(tokio::spawn(allocator::upkeep(stop.clone())));
    if !settings.self_scrape.interval.is_zero() {
        servers.push(tokio::spawn(settings.self_scrape.clone().run(Arc::clone(&front), stop.clone())));
    }
    if settings.push.is_wanted() {
        servers.push(tokio::spawn(settings.push.clone().run(Arc::clone(&front), stop.clone())));
    }
    let signal = signals.next(&reloads).await;
    log::info!("received {signal}, stopping");
    if !settings.stop_delay.is_zero() {
        front.leave();
        log::info!("probes are answered with 503 for {:?} before requests are drained", settings.stop_delay);
        tokio::time::sleep(settings.stop_delay).await;
    }
    stopper.stop();
    for server in servers {
        server.await.map_err(panicked)?;
    }
    watch.abort();
    upkeep.abort();
    router.close().await;
    log::info!("the insert node has stopped");
    Ok(())
}

/// The address where other inserts may bring rows, if there is to be one.
async fn bind_level(cluster: &ClusterOptions) -> Result<Option<NodeListener>, Failure> {
    if cluster.native_address.is_empty() {
        return Ok(None);
    }
    let tls = cluster.server_tls().map_err(Failure)?;
    NodeListener::bind(&cluster.native_address, tls).await.map(Some).map_err(Failure)
}

fn router(settings: &Settings) -> Result<Router, Failure> {
    let (cluster, insert) = (&settings.cluster, &settings.insert);
    let options = cluster.node_options(NodeRole::Insert, cluster::epoch(), NODE_PORT).map_err(Failure)?;
    let hints = if needs_hints(cluster, insert)? { Some(open_hints(insert)?) } else { None };
    let network = Network { options: NodeOptions { call_time_max: insert.router.answer_max, ..options } };
    Router::new(secret(), Arc::new(network), hints, insert.router.clone()).map_err(Failure)
}

/// Where each row has one copy, none can be missing. But an insert that once had copies is who it was: it may keep some still, and what it sends past a node now the
/// node has to hear of when there are copies again.
fn needs_hints(cluster: &ClusterOptions, insert: &InsertSettings) -> Result<bool, Failure> {
    let identity = insert.hints_path.join(hints::IDENTITY);
    let failed = |why| Failure(format!("cannot see whether {:?} is there: {why}", identity.display()));
    Ok(!cluster.replication.is_single() || identity.try_exists().map_err(failed)?)
}

fn open_hints(insert: &InsertSettings) -> Result<HintStore, Failure> {
    let path: &Path = &insert.hints_path;
    let failed = |why: String| Failure(format!("cannot open the hints at {:?}: {why}", path.display()));
    let disk = RealDisk::open(path).map_err(|why| failed(why.to_string()))?;
    HintStore::open(Arc::new(disk), insert.router.hints.clone()).map_err(failed)
}

/// The key of the hash of label bytes; what it is good for ends with the process.
fn secret() -> [u8; 32] {
    let mut secret = [0; 32];
    for part in secret.chunks_exact_mut(8) {
        // The standard library keys its hash tables with the system's randomness.
        part.copy_from_slice(&RandomState::new().hash_one(()).to_le_bytes());
    }
    secret
}

/// Looks for storage nodes anew.
async fn watch(router: Arc<Router>, discovery: Discovery, replication: Replication, interval: Duration) {
    if !discovery.is_dynamic() {
        return;
    }
    let mut said = String::new();
    loop {
        tokio::time::sleep(interval.max(Duration::from_millis(100))).await;
        let changed = match cluster::list(&discovery).await {
            Ok(nodes) => router.set_nodes(&nodes, &replication).await,
            Err(why) => Err(why),
        };
        match changed {
            Ok(_) => said.clear(),
            Err(why) if why == said => {}
            Err(why) => {
                log::error!("{why}; the storage nodes that were found before stay");
                said = why;
            }
        }
    }
}

/// Ways to storage nodes over the network.
struct Network {
    options: NodeOptions,
}

impl Connect for Network {
    fn link(&self, name: &NodeName) -> Result<Arc<dyn NodeLink>, String> {
        let node = Node::new(&name.address, self.options.clone())?;
        let address = name.address.clone();
        let greeted = Arc::clone(&node);
        tokio::spawn(async move {
            match greeted.greet().await {
                Ok(_) => log::info!("successfully dialed -storageNode={address:?}"),
                Err(why) => {
                    let want = "want the -vminsertAddr of a storage that runs";
                    log::error!("cannot use -storageNode={address:?}: {why}; {want}");
                }
            }
        });
        Ok(node)
    }
}
