//! A whole cluster as processes, with a link between each two nodes that talk.
//!
//! Each storage has a host of its own (127.0.1.1, 127.0.1.2, …), because the shard map goes by hosts: inserts that reach the same storages over links of
//! their own agree about it. What a storage listens on is behind the links, and may be another port in each of its lives.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tempfile::TempDir;
use testkit::proxy::{Link, Proxy};

use crate::server::{Basalt, PATIENCE, folder, program};

/// How large it is.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub inserts: usize,
    pub storages: usize,
    pub copies: usize,
}

/// See the module.
pub struct Nodes {
    pub shape: Shape,
    pub storages: Vec<StorageNode>,
    pub inserts: Vec<InsertNode>,
    pub selects: Vec<Option<Basalt>>,
    pub doors: Arc<Doors>,
}

pub struct StorageNode {
    pub folder: TempDir,
    pub node: Option<Basalt>,
    /// From each insert, and last from all selects.
    links: Vec<Proxy>,
}

pub struct InsertNode {
    hints: TempDir,
    pub node: Option<Basalt>,
}

/// Where senders and readers find inserts and selects at the moment.
pub struct Doors {
    inserts: Mutex<Vec<Option<SocketAddr>>>,
    selects: Mutex<Vec<SelectDoor>>,
}

#[derive(Clone, Copy, Default)]
struct SelectDoor {
    address: Option<SocketAddr>,
    /// When one was told to stop last.
    closed: Option<Instant>,
}

impl Doors {
    pub fn new(inserts: usize, selects: usize) -> Self {
        Self { inserts: Mutex::new(vec![None; inserts]), selects: Mutex::new(vec![SelectDoor::default(); selects]) }
    }

    pub fn insert(&self, number: usize) -> Option<SocketAddr> {
        self.inserts.lock().unwrap_or_else(PoisonError::into_inner)[number]
    }

    pub fn select(&self, number: usize) -> Option<SocketAddr> {
        self.selects()[number].address
    }

    pub fn selects_len(&self) -> usize {
        self.selects().len()
    }

    /// Whether a select was told to stop before that.
    pub fn was_closed(&self, select: usize, before: Instant) -> bool {
        self.selects()[select].closed.is_some_and(|closed| closed <= before)
    }

    fn selects(&self) -> MutexGuard<'_, Vec<SelectDoor>> {
        self.selects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_insert(&self, number: usize, address: Option<SocketAddr>) {
        self.inserts.lock().unwrap_or_else(PoisonError::into_inner)[number] = address;
    }

    pub fn open_select(&self, number: usize, address: SocketAddr) {
        self.selects()[number].address = Some(address);
    }

    fn close_select(&self, number: usize) {
        self.selects()[number] = SelectDoor { address: None, closed: Some(Instant::now()) };
    }
}

/// Starts a node of a role.
pub fn start_role(name: &str, flags: &[String]) -> Basalt {
    let mut command = Command::new(program());
    command.arg(name).arg("-httpListenAddr=127.0.0.1:0").args(flags);
    Basalt::spawn(command)
}

/// The address that the first log line with `text` ends with, which may stand in quotes.
pub fn address_behind(node: &Basalt, text: &str) -> String {
    let line = node.process.wait_for_line(text, PATIENCE).expect("the log says so");
    let address = line.trim_end_matches('"').rsplit([' ', '"']).next().expect("a last word");
    address.to_string()
}

impl StorageNode {
    fn new(number: usize, links: usize) -> Self {
        let host = IpAddr::V4(Ipv4Addr::new(127, 0, 1, 1 + number as u8));
        let link = |link| Proxy::start(host, (number * links + link) as u64).expect("a link");
        Self { folder: folder(), node: None, links: (0..links).map(link).collect() }
    }

    /// Starts it with the usual flags and more.
    pub fn start(&mut self, more: &[&str]) {
        let mut flags = vec![
            format!("-storageDataPath={}", self.folder.path().display()),
            "-retentionPeriod=100y".to_string(),
            "-vminsertAddr=127.0.0.1:0".to_string(),
            "-vmselectAddr=127.0.0.1:0".to_string(),
        ];
        flags.extend(more.iter().map(|flag| flag.to_string()));
        let node = start_role("storage", &flags);
        let port = |text: &str| address_behind(&node, text).parse().expect("an address");
        let (inserts, selects) = (port("accepting vminsert conns at"), port("accepting vmselect conns at"));
        let (last, others) = self.links.split_last().expect("there are links");
        others.iter().for_each(|link| link.lead_to(Some(inserts)));
        last.lead_to(Some(selects));
        self.node = Some(node);
    }

    pub fn kill9(&mut self) {
        if let Some(node) = self.node.take() {
            node.kill9();
        }
        self.links.iter().for_each(|link| link.lead_to(None));
    }

    /// Stops it as an operator would.
    pub fn stop(&mut self) {
        if let Some(node) = self.node.take() {
            node.stop();
        }
        self.links.iter().for_each(|link| link.lead_to(None));
    }

    /// Gives it an empty disk. It must not run.
    pub fn lose_everything(&mut self) {
        assert!(self.node.is_none(), "a disk is taken from a node that runs");
        self.folder = folder();
    }

    /// Cuts the files of all its parts in half. It must not run.
    pub fn damage_parts(&self) {
        assert!(self.node.is_none(), "files are cut of a node that runs");
        let list = |path: PathBuf| -> Vec<PathBuf> {
            let entries = fs::read_dir(&path).expect("a folder");
            entries.map(|entry| entry.expect("an entry").path()).collect()
        };
        let files: Vec<PathBuf> = list(self.folder.path().join("parts")).into_iter().flat_map(list).collect();
        assert!(!files.is_empty(), "there are no parts");
        for path in files {
            let file = fs::OpenOptions::new().write(true).open(&path).expect("a file of a part");
            let bytes = file.metadata().expect("a length").len();
            file.set_len(bytes / 2).expect("it is cut");
        }
    }

    /// Changes the link from one insert, or (behind them) from the select.
    pub fn set_link(&self, from: usize, link: Link) {
        self.links[from].set(link);
    }

    pub fn set_links(&self, link: Link) {
        self.links.iter().for_each(|each| each.set(link));
    }

    /// Where the select reaches it.
    pub fn select_address(&self) -> SocketAddr {
        self.links.last().expect("there are links").address()
    }

    /// Where an insert reaches it.
    pub fn insert_address(&self, insert: usize) -> SocketAddr {
        self.links[insert].address()
    }
}

impl Nodes {
    /// All nodes of the shape, and a select.
    pub fn start(shape: Shape) -> Self {
        Self::start_with_selects(shape, 1)
    }

    /// All nodes of the shape, and so many selects, which share their links.
    pub fn start_with_selects(shape: Shape, selects: usize) -> Self {
        let storages = (0..shape.storages).map(|number| StorageNode::new(number, shape.inserts + 1)).collect();
        let inserts = (0..shape.inserts).map(|_| InsertNode { hints: folder(), node: None }).collect();
        let doors = Arc::new(Doors::new(shape.inserts, selects));
        let selects: Vec<_> = (0..selects).map(|_| None).collect();
        let mut nodes = Self { shape, storages, inserts, selects, doors };
        nodes.storages.iter_mut().for_each(|storage| storage.start(&[]));
        (0..shape.inserts).for_each(|insert| nodes.start_insert(insert));
        (0..nodes.selects.len()).for_each(|select| nodes.start_select(select));
        nodes
    }

    /// The first select.
    pub fn select(&self) -> &Basalt {
        self.selects[0].as_ref().expect("it runs")
    }

    fn usual_flags(&self, address: impl Fn(&StorageNode) -> SocketAddr) -> Vec<String> {
        let names: Vec<String> = self.storages.iter().map(|storage| address(storage).to_string()).collect();
        vec![
            format!("-storageNode={}", names.join(",")),
            format!("-replicationFactor={}", self.shape.copies),
            "-vmstorageUserTimeout=2s".to_string(),
        ]
    }

    pub fn start_insert(&mut self, number: usize) {
        self.start_insert_with(number, &[]);
    }

    /// Starts an insert with the usual flags and more.
    pub fn start_insert_with(&mut self, number: usize, more: &[&str]) {
        let mut flags = self.usual_flags(|storage| storage.insert_address(number));
        flags.push(format!("-hints.path={}", self.inserts[number].hints.path().display()));
        flags.push("-insert.maxQueueDuration=5s".to_string());
        flags.extend(more.iter().map(|flag| flag.to_string()));
        let node = start_role("insert", &flags);
        self.doors.set_insert(number, Some(node.address));
        self.inserts[number].node = Some(node);
    }

    pub fn kill9_insert(&mut self, number: usize) {
        self.doors.set_insert(number, None);
        if let Some(node) = self.inserts[number].node.take() {
            node.kill9();
        }
    }

    pub fn stop_insert(&mut self, number: usize) {
        self.doors.set_insert(number, None);
        if let Some(node) = self.inserts[number].node.take() {
            node.stop();
        }
    }

    pub fn start_select(&mut self, number: usize) {
        let mut flags = self.usual_flags(StorageNode::select_address);
        flags.push("-search.latencyOffset=0s".to_string());
        let node = start_role("select", &flags);
        self.doors.open_select(number, node.address);
        self.selects[number] = Some(node);
    }

    pub fn stop_select(&mut self, number: usize) {
        self.doors.close_select(number);
        if let Some(node) = self.selects[number].take() {
            node.stop();
        }
    }

    /// Starts whatever does not run, and opens all links.
    pub fn heal(&mut self) {
        for storage in &mut self.storages {
            storage.set_links(Link::Open);
            if storage.node.is_none() {
                storage.start(&[]);
            }
        }
        for insert in 0..self.inserts.len() {
            if self.inserts[insert].node.is_none() {
                self.start_insert(insert);
            }
        }
        for select in 0..self.selects.len() {
            if self.selects[select].is_none() {
                self.start_select(select);
            }
        }
    }

    /// Whether no node lacks anything, as far as storages and inserts know.
    pub fn is_settled(&self) -> bool {
        let storages: Option<Vec<&Basalt>> = self.storages.iter().map(|storage| storage.node.as_ref()).collect();
        let inserts: Option<Vec<&Basalt>> = self.inserts.iter().map(|insert| insert.node.as_ref()).collect();
        storages.zip(inserts).is_some_and(|(storages, inserts)| is_settled(&storages, &inserts))
    }
}

/// Whether none of these lacks anything, as far as they know.
pub fn is_settled(storages: &[&Basalt], inserts: &[&Basalt]) -> bool {
    let is_zero = |node: &Basalt, metric: &str| {
        let text = node.ok("/metrics");
        let mut values =
            text.lines().filter(|line| line.starts_with(metric)).filter_map(|line| line.rsplit(' ').next());
        values.all(|value| value == "0")
    };
    let sees_all = |insert: &Basalt| {
        let text = insert.ok("/metrics");
        let reachable =
            text.lines().filter(|line| line.starts_with("vm_rpc_vmstorage_is_reachable{") && line.ends_with(" 1"));
        reachable.count() == storages.len()
    };
    storages.iter().all(|storage| is_zero(storage, "basalt_catching_up"))
        && inserts.iter().all(|insert| is_zero(insert, "vm_rpc_hints_pending{"))
        && inserts.iter().all(|insert| sees_all(insert))
}
