//! What the flags say about other nodes.

use std::{
    net::IpAddr,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use route::{Discovery, NodeList, NodesError, Replication, Sources};
use rpc::{ClientTls, NodeOptions, Role as NodeRole, ServerTls};
use storage_api::BoxFuture;
use tokio::task::spawn_blocking;

use crate::{
    files,
    flags::{Flags, UsageError},
    listeners::check_flag,
    roles::Role,
};

/// Certificates and keys are shorter.
const PEM_BYTES_MAX: usize = 1 << 20;
/// A file with names of nodes is shorter.
const NODES_BYTES_MAX: usize = 1 << 20;
/// Stands for the port of nodes that are only looked at.
const ANY_PORT: u16 = 1;
/// Rows are stored, and small questions answered, in this time.
const CALL_TIME_MAX: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// The values of `-storageNode`.
    pub nodes: Vec<String>,
    /// Which of them are used.
    pub filter: String,
    /// How often they are looked up.
    pub discovery_interval: Duration,
    /// How many copies there are.
    pub replication: Replication,
    /// Where a storage takes rows.
    pub insert_address: String,
    /// Where a storage or a single node answers.
    pub select_address: String,
    /// Where an insert takes rows of inserts, or a select answers selects.
    pub native_address: String,
    /// How long a connection may take.
    pub connect_time_max: Duration,
    /// How long a node may be silent.
    pub silence_max: Duration,
    /// Whether slow nodes are not waited for.
    pub skip_slow: bool,
    /// So many bytes come in a second to a node that is filled up.
    pub refill_bytes_per_second: u64,
    /// Of each such interval one sample is answered.
    pub dedup_interval_ms: i64,
    tls: Option<TlsFiles>,
}

#[derive(Debug, Clone)]
struct TlsFiles {
    certificates: String,
    key: String,
    ca: String,
    server_name: String,
}

impl ClusterOptions {
    /// Reads the flags.
    pub fn from_flags(flags: &Flags) -> Result<Self, UsageError> {
        let factors = flags.list("replicationFactor");
        let groups = flags.number("globalReplicationFactor") as usize;
        let tls = TlsFiles {
            certificates: flags.text("cluster.tlsCertFile").to_string(),
            key: flags.text("cluster.tlsKeyFile").to_string(),
            ca: flags.text("cluster.tlsCAFile").to_string(),
            server_name: flags.text("cluster.tlsServerName").to_string(),
        };
        Ok(Self {
            nodes: flags.list("storageNode").into_iter().filter(|node| !node.trim().is_empty()).collect(),
            filter: flags.text("storageNode.filter").to_string(),
            discovery_interval: flags.duration("storageNode.discoveryInterval"),
            replication: Replication::parse(&factors, groups).map_err(|why| UsageError(why.0))?,
            insert_address: flags.text("vminsertAddr").to_string(),
            select_address: flags.text("vmselectAddr").to_string(),
            native_address: flags.text("clusternativeListenAddr").to_string(),
            connect_time_max: flags.duration("vmstorageDialTimeout"),
            silence_max: flags.duration("vmstorageUserTimeout"),
            refill_bytes_per_second: flags.bytes("storage.refillMaxRate"),
            skip_slow: flags.switch("search.skipSlowReplicas"),
            dedup_interval_ms: i64::try_from(flags.duration("dedup.minScrapeInterval").as_millis()).unwrap_or(i64::MAX),
            tls: flags.switch("cluster.tls").then_some(tls),
        })
    }

    /// Whether a node of a role can start with these flags, as far as they alone say. Files and names of hosts are not asked.
    pub fn check(&self, role: Role) -> Result<(), UsageError> {
        let inserts = ("vminsertAddr", &self.insert_address);
        let selects = ("vmselectAddr", &self.select_address);
        let native = ("clusternativeListenAddr", &self.native_address);
        let ports = match role {
            Role::Single => vec![selects],
            Role::Storage => vec![inserts, selects],
            Role::Insert | Role::Select => vec![native],
        };
        for (flag, address) in ports.into_iter().filter(|(_, address)| !address.is_empty()) {
            check_flag(flag, address)?;
        }
        if !matches!(role, Role::Insert | Role::Select) {
            return Ok(());
        }
        let discovery = self.discovery(ANY_PORT).map_err(UsageError)?;
        let wrong = |why: NodesError| UsageError(why.0);
        match (role, named(&discovery)) {
            (Role::Insert, Some(list)) => self.replication.check(&list.map_err(wrong)?).map_err(wrong),
            (_, Some(list)) => list.map(drop).map_err(wrong),
            (_, None) => Ok(()),
        }
    }

    /// How nodes are found whose port, if none is named, is `port`.
    pub fn discovery(&self, port: u16) -> Result<Discovery, String> {
        if self.nodes.is_empty() {
            return Err("missing -storageNode: want at least one storage node".into());
        }
        Discovery::parse(&self.nodes, &self.filter, port).map_err(|why| why.0)
    }

    /// How other nodes are reached from one of this role.
    pub fn node_options(&self, role: NodeRole, epoch: u64, default_port: u16) -> Result<NodeOptions, String> {
        Ok(NodeOptions {
            role,
            epoch,
            connect_time_max: self.connect_time_max,
            silence_max: self.silence_max,
            call_time_max: CALL_TIME_MAX,
            tls: self.tls.as_ref().map(TlsFiles::client).transpose()?,
            default_port,
        })
    }

    /// How this node shows other nodes who it is.
    pub fn server_tls(&self) -> Result<Option<ServerTls>, String> {
        self.tls.as_ref().map(TlsFiles::server).transpose()
    }
}

impl TlsFiles {
    fn client(&self) -> Result<ClientTls, String> {
        let identity = match self.certificates.is_empty() {
            true => None,
            false => Some((read("cluster.tlsCertFile", &self.certificates)?, read("cluster.tlsKeyFile", &self.key)?)),
        };
        let server_name = Some(self.server_name.clone()).filter(|name| !name.is_empty());
        Ok(ClientTls { ca: self.ca()?, identity, server_name })
    }

    fn server(&self) -> Result<ServerTls, String> {
        if self.certificates.is_empty() || self.key.is_empty() {
            return Err("-cluster.tls needs -cluster.tlsCertFile and -cluster.tlsKeyFile".into());
        }
        let certificates = read("cluster.tlsCertFile", &self.certificates)?;
        Ok(ServerTls { certificates, key: read("cluster.tlsKeyFile", &self.key)?, client_ca: self.ca()? })
    }

    fn ca(&self) -> Result<Option<Vec<u8>>, String> {
        (!self.ca.is_empty()).then(|| read("cluster.tlsCAFile", &self.ca)).transpose()
    }
}

fn read(flag: &str, path: &str) -> Result<Vec<u8>, String> {
    files::read(path, PEM_BYTES_MAX).map_err(|why| format!("-{flag}={path:?}: {why}"))
}

/// Reads files and names of nodes.
#[derive(Debug, Clone, Copy)]
pub struct SystemSources;

impl Sources for SystemSources {
    fn text<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(async move {
            let path = path.to_string();
            let environment = |name: &str| std::env::var(name).ok();
            let reading = spawn_blocking(move || files::read_text(&path, NODES_BYTES_MAX, &environment));
            reading.await.map_err(|why| why.to_string())?
        })
    }

    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, String>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await.map_err(|why| why.to_string())?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// The nodes of a list that cannot change.
fn named(discovery: &Discovery) -> Option<Result<NodeList, NodesError>> {
    if discovery.is_dynamic() {
        return None;
    }
    // It asks nobody, and so is there at once.
    match pin!(discovery.list(&SystemSources)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(list) => Some(list),
        Poll::Pending => None,
    }
}

/// The nodes as they are named at the moment.
pub async fn list(discovery: &Discovery) -> Result<NodeList, String> {
    discovery.list(&SystemSources).await.map_err(|why| why.0)
}

/// Names the run of this process.
pub fn epoch() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // Keys of the standard library's hash maps are random.
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish().max(1)
}
