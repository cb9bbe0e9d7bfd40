//! What stands behind the doors and the API of a role.
//!
//! 1. `single`: a store. With `-vmselectAddr` other nodes may ask it.
//! 2. `storage`: a store that other nodes write to and ask. Its doors are closed: samples come by way of inserts.
//! 3. `select`: storage nodes, of which it gathers answers. It takes no samples. With `-clusternativeListenAddr` other selects may ask it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use basalt_http::{MetricsSource, MetricsText};
use disk::{Disk, RealDisk};
use gather::{Copies, CopyGroup, Gather, GatherOptions, Members};
use model::Clock;
use query::PartialAnswers;
use route::{Discovery, NodeList, ShardMap};
use rpc::{Node, NodeListener, NodeOptions, Role as NodeRole, Service};
use serve::Counting;
use storage_api::{Admin, Batch, BoxFuture, CountNames, Insert, InsertError, Inserted, Select};
use store::{Reporter, Severity, Store};
use tokio::runtime::Handle;

use super::{
    Failure, Role, names_file::NamesFile, owned_shards::OwnedShards, ownership, refill::Refill, reports::Reports,
    retention_guard::RetentionGuard, storage::StorageNode,
};
use crate::{
    cluster::{self, ClusterOptions},
    links::Links,
    settings::Settings,
};

/// The port of a storage that selects mean if they name none.
const SELECT_PORT: u16 = 8401;

/// See the module.
pub struct Backend {
    /// Takes samples.
    pub insert: Arc<dyn Insert>,
    /// Answers queries.
    pub select: Arc<dyn Select>,
    /// Does what an operator wants.
    pub admin: Arc<dyn Admin>,
    /// What `/metrics` shows of it.
    pub sources: Vec<Arc<dyn MetricsSource>>,
    /// What other nodes may ask of it.
    pub service: Arc<Service>,
    /// What a storage is among other nodes.
    pub node: Option<Arc<StorageNode>>,
    /// How often metric names are asked for.
    pub names_asked: Option<Arc<dyn CountNames>>,
    /// Where that is kept.
    pub names: Option<NamesFile>,
    /// Speaks with other nodes, if there may be any.
    pub links: Option<Links>,
    store: Option<Arc<Store>>,
}

/// An address for other nodes that is bound.
pub struct NodePort {
    /// What its log line says before the address.
    pub says: &'static str,
    /// Whether it is meant for inserts.
    pub takes_rows: bool,
    /// The port.
    pub listener: NodeListener,
}

/// Binds the addresses at which other nodes may come.
pub async fn bind(role: Role, options: &ClusterOptions) -> Result<Vec<NodePort>, Failure> {
    let inserts = ("accepting vminsert conns at", true, options.insert_address.as_str());
    let selects = ("accepting vmselect conns at", false, options.select_address.as_str());
    let native = ("accepting vmselect conns at", false, options.native_address.as_str());
    let wanted = match role {
        Role::Single => vec![selects],
        Role::Storage => vec![inserts, selects],
        Role::Select => vec![native],
        // It has no backend, and ports of its own.
        Role::Insert => vec![],
    };
    let mut ports = Vec::new();
    for (says, takes_rows, address) in wanted.into_iter().filter(|(.., address)| !address.is_empty()) {
        let tls = options.server_tls().map_err(Failure)?;
        let listener = NodeListener::bind(address, tls).await.map_err(Failure)?;
        ports.push(NodePort { says, takes_rows, listener });
    }
    Ok(ports)
}

impl Backend {
    /// Opens what the role needs. Blocks; must be called inside the runtime.
    pub fn open(role: Role, settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Self, Failure> {
        match role {
            Role::Single | Role::Storage => Self::store(role, settings, clock),
            Role::Select => Self::select(settings),
            Role::Insert => panic!("BUG: an insert has no backend"),
        }
    }

    fn store(role: Role, settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Self, Failure> {
        let began = Instant::now();
        let path = &settings.data_path;
        let failed = |why: &dyn std::fmt::Display| Failure(format!("cannot open storage {:?}: {why}", path.display()));
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(path).map_err(|why| failed(&why))?);
        let store = Store::open(Arc::clone(&disk), settings.store.clone(), Arc::clone(clock), Reporter::new(report));
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
        let node_role = if role == Role::Storage { NodeRole::Storage } else { NodeRole::Single };
        if role == Role::Single {
            ownership::forget(&*disk).map_err(Failure)?;
        }
        let mut select: Arc<dyn Select> = store.clone();
        if settings.deny_outside_retention {
            select = Arc::new(RetentionGuard::new(select, Arc::clone(clock), settings.store.retention_ms));
        }
        let names = settings.track_metric_names.then(|| NamesFile::open(Arc::clone(&disk), clock.now_ms()));
        if let Some(names) = &names {
            select = Arc::new(Counting::new(select, Arc::clone(clock), Arc::clone(&names.stats)));
        }
        let partial = Arc::new(PartialAnswers::new(Arc::clone(&select), settings.engine.clone()));
        let service = Service::new(node_role, cluster::epoch()).within(settings.node_limits());
        let mut service = service.with_select(partial.clone(), store.clone());
        let names_asked = names.as_ref().map(|names| Arc::clone(&names.stats) as Arc<dyn CountNames>);
        if let Some(names_asked) = &names_asked {
            service = service.with_names(Arc::clone(names_asked));
        }
        let mut node = None;
        if role == Role::Storage {
            let asked = Arc::clone(&store);
            let is_read_only = Box::new(move || asked.stats().read_only);
            let reports = Arc::new(Reports::open(Arc::clone(&disk), is_read_only).map_err(Failure)?);
            let is_empty = stats.part_samples + stats.head_samples == 0;
            let damaged = Arc::clone(&store);
            let damages = move || damaged.damages();
            let (told, ahead) = (Arc::clone(clock), settings.store.future_retention_ms);
            let until = Box::new(move || told.now_ms().saturating_add(ahead));
            let owned = OwnedShards::open(disk, Arc::clone(&reports), is_empty, Box::new(damages), until);
            let (owned, fit) = (Arc::new(owned.map_err(Failure)?), Arc::clone(&reports));
            let filled = Arc::clone(&owned);
            service = service.with_insert(store.clone()).with_copies(store.clone());
            // What it holds the service asks the store.
            service = service.with_reports(owned.clone(), Arc::new(move |range| owned.word(range)));
            service = service.deletes_while(Arc::new(move || match fit.is_catching_up() {
                true => Err("a storage node is catching up, what is deleted now would come to it later".into()),
                false => Ok(()),
            }));
            let options = settings.cluster.node_options(NodeRole::Storage, cluster::epoch(), SELECT_PORT);
            let rate = settings.cluster.refill_bytes_per_second;
            let refill = Refill::new(Arc::clone(&reports), filled, store.clone(), options.map_err(Failure)?, rate);
            node = Some(Arc::new(StorageNode { reports, refill: Arc::new(refill) }));
        }
        let service = Arc::new(service);
        let mut sources: Vec<Arc<dyn MetricsSource>> =
            vec![Arc::new(NodeMetrics(Arc::clone(&service))), Arc::new(PartialMetrics(partial))];
        sources.extend(node.clone().map(|node| node as Arc<dyn MetricsSource>));
        let insert: Arc<dyn Insert> = if role == Role::Storage { Arc::new(NoRows("storage")) } else { store.clone() };
        let links =
            (role == Role::Storage || !settings.cluster.select_address.is_empty()).then(Links::start).transpose()?;
        let admin = store.clone();
        Ok(Self { insert, select, names_asked, names, admin, sources, service, node, links, store: Some(store) })
    }

    fn select(settings: &Settings) -> Result<Self, Failure> {
        let options = &settings.cluster;
        let epoch = cluster::epoch();
        let discovery = options.discovery(SELECT_PORT).map_err(Failure)?;
        let node_options = options.node_options(NodeRole::Select, epoch, SELECT_PORT).map_err(Failure)?;
        let list = Handle::current().block_on(cluster::list(&discovery)).map_err(Failure)?;
        let links = Links::start()?;
        let made_here = links.enter();
        let members = members(&list, options, &node_options, None).map_err(Failure)?;
        let gather_options =
            GatherOptions { skip_slow: options.skip_slow, dedup_interval_ms: options.dedup_interval_ms };
        let gather = Arc::new(Gather::new(members, gather_options));
        drop(made_here);
        links.handle().spawn(greet(Arc::clone(&gather)));
        if discovery.is_dynamic() {
            links.handle().spawn(watch(Arc::clone(&gather), discovery, list, options.clone(), node_options));
        }
        let service = Service::new(NodeRole::Select, epoch).within(settings.node_limits());
        let service = service.with_select(gather.clone(), gather.clone()).with_names(gather.clone());
        let sources = vec![Arc::new(GatherMetrics(Arc::clone(&gather))) as _];
        Ok(Self {
            insert: Arc::new(NoRows("select")),
            select: gather.clone(),
            admin: gather.clone(),
            names_asked: Some(gather),
            names: None,
            sources,
            service: Arc::new(service),
            node: None,
            links: Some(links),
            store: None,
        })
    }

    /// What has to be done at the end, on a thread that may block.
    pub fn closing(&self) -> impl FnOnce() -> Result<(), Failure> + Send + 'static {
        let (store, names) = (self.store.clone(), self.names.clone());
        move || {
            let Some(store) = store else { return Ok(()) };
            if let Some(names) = names {
                names.save();
            }
            store.close().map_err(|why| Failure(format!("cannot close the storage: {why}")))?;
            log::info!("the storage is closed");
            Ok(())
        }
    }
}

/// The nodes of a list. Those that stood in the list before keep their connections.
fn members(
    list: &NodeList,
    options: &ClusterOptions,
    node_options: &NodeOptions,
    before: Option<&Members>,
) -> Result<Members, String> {
    // The map says how many copies there are; who owns what a node says itself.
    let map = ShardMap::new(list, &options.replication).map_err(|why| why.0)?;
    let node = |name: &route::NodeName| {
        let known = before.and_then(|members| members.nodes().iter().find(|node| node.address() == name.address));
        known.map_or_else(|| Node::new(&name.address, node_options.clone()), |node| Ok(Arc::clone(node)))
    };
    let nodes = list.nodes().iter().map(node).collect::<Result<Vec<_>, _>>()?;
    let group = |(group, nodes)| CopyGroup { nodes, copies: options.replication.in_group(group) };
    let groups = list.groups().into_iter().map(group).collect();
    Ok(Members::new(nodes, Copies::new(groups, options.replication.groups(), map.holders())))
}

/// Says for each node whether it is there and what it should be: a wrong address shows in the log at once.
async fn greet(gather: Arc<Gather>) {
    for node in gather.members().nodes() {
        match node.greet().await {
            Ok(_) => log::info!("successfully dialed -storageNode=\"{}\"", node.address()),
            Err(why) => {
                let want = "want the -vmselectAddr of a storage that runs";
                log::error!("cannot use -storageNode=\"{}\": {why}; {want}", node.address());
            }
        }
    }
}

/// Looks from time to time whether the list has changed.
async fn watch(
    gather: Arc<Gather>,
    discovery: Discovery,
    mut list: NodeList,
    options: ClusterOptions,
    node_options: NodeOptions,
) {
    let mut ticks = tokio::time::interval(options.discovery_interval.max(std::time::Duration::from_millis(100)));
    loop {
        ticks.tick().await;
        match cluster::list(&discovery).await {
            Ok(found) if found == list => {}
            Ok(found) => match members(&found, &options, &node_options, Some(&gather.members())) {
                Ok(members) => {
                    log::info!("there are {} storage nodes now", members.nodes().len());
                    gather.replace(members);
                    list = found;
                }
                Err(why) => log::error!("the list of storage nodes stays as it was: {why}"),
            },
            Err(why) => log::warn!("the list of storage nodes stays as it was: {why}"),
        }
    }
}

/// What the store has to tell becomes log lines.
fn report(severity: Severity, message: &str) {
    match severity {
        Severity::Info => log::info!("{message}"),
        Severity::Warning => log::warn!("{message}"),
        Severity::Error => log::error!("{message}"),
    }
}

/// Refuses samples: the role takes none at its doors.
struct NoRows(&'static str);

impl Insert for NoRows {
    fn insert<'a>(&'a self, _: Batch<'a>) -> BoxFuture<'a, Result<Inserted, InsertError>> {
        Box::pin(async move {
            let role = self.0;
            Err(InsertError::ReadOnly(format!("a node of role {role} takes no samples; send them to an insert")))
        })
    }
}

/// What a node is asked by others.
struct NodeMetrics(Arc<Service>);

impl MetricsSource for NodeMetrics {
    fn write_metrics(&self, out: &mut MetricsText) {
        out.line("vm_vminsert_metrics_read_total", self.0.rows_received());
        out.line("basalt_node_calls_total", self.0.calls());
    }
}

/// What selects had evaluated here.
struct PartialMetrics(Arc<PartialAnswers>);

impl MetricsSource for PartialMetrics {
    fn write_metrics(&self, out: &mut MetricsText) {
        let stats = self.0.stats();
        out.line("basalt_sub_plans_total{kind=\"fold\"}", stats.folds.load(Relaxed));
        out.line("basalt_sub_plans_total{kind=\"rows\"}", stats.rows.load(Relaxed));
        out.line("basalt_sub_plans_total{kind=\"ignored\"}", stats.ignored.load(Relaxed));
    }
}

struct GatherMetrics(Arc<Gather>);

impl MetricsSource for GatherMetrics {
    fn write_metrics(&self, out: &mut MetricsText) {
        let stats = self.0.stats();
        let get = |counter: &AtomicU64| counter.load(Relaxed);
        out.line("basalt_gather_requests_total", get(&stats.requests));
        out.line("vm_partial_results_total", get(&stats.partial));
        out.line("basalt_gather_refused_total", get(&stats.refused));
        out.line("basalt_gather_missing_nodes_total", get(&stats.missing));
        out.line("basalt_gather_rounds_total", get(&stats.rounds));
        out.line("basalt_gather_slow_nodes_given_up_total", get(&stats.given_up));
        out.line("basalt_gather_stood_in_total", get(&stats.stood_in));
        out.line("basalt_gather_sub_plans_total", get(&stats.sub_plans));
        out.line("basalt_gather_partial_results_total", get(&stats.partial_results));
        out.line("basalt_gather_bytes_total", get(&stats.bytes));
        for metric in ["requests_total", "misses_total", "entries"] {
            // Tenants are asked of the nodes each time.
            out.line(format_args!("vm_cache_{metric}{{type=\"multitenancy/tenants\"}}"), 0);
        }
        for node in self.0.members().nodes() {
            let address = node.address();
            let stats = node.stats();
            out.line(format_args!("basalt_node_unreachable_total{{addr={address:?}}}"), get(&stats.unreachable));
            out.line(format_args!("basalt_node_received_bytes_total{{addr={address:?}}}"), get(&stats.bytes_received));
        }
    }
}
