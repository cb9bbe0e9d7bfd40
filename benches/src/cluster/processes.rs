//! The nodes of a cluster as processes on the loopback.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
};

use crate::server::{Patience, Server, settle};

/// Storages behind an insert.
#[derive(Debug)]
pub struct Cluster {
    program: String,
    folder: PathBuf,
    copies: usize,
    /// Where each storage takes rows and answers.
    ports: Vec<[u16; 2]>,
    /// The storages that run.
    pub storages: Vec<Option<Server>>,
    /// Where samples come in.
    pub insert: Server,
    /// CPU seconds of processes that ended.
    ended_cpu_s: f64,
}

impl Cluster {
    /// Starts `storages` nodes with `copies` of each series, and an insert before them.
    pub fn start(program: &str, folder: &Path, storages: usize, copies: usize) -> io::Result<Self> {
        let ports = (0..storages).map(|_| Ok([free_port()?, free_port()?])).collect::<io::Result<Vec<_>>>()?;
        let storage = |number| start_storage(program, folder, &ports, number).map(Some);
        let storages = (0..storages).map(storage).collect::<io::Result<Vec<_>>>()?;
        let nodes: Vec<String> = ports.iter().map(|[rows, _]| format!("127.0.0.1:{rows}")).collect();
        let command = format!(
            "{program} insert -httpListenAddr=127.0.0.1:$PORT -hints.path=$DATADIR -replicationFactor={copies} -storageNode={}",
            nodes.join(",")
        );
        let insert = Server::start(&command, &folder.join("insert"))?;
        let (program, folder) = (program.to_owned(), folder.to_owned());
        Ok(Self { program, folder, copies, ports, storages, insert, ended_cpu_s: 0.0 })
    }

    /// Starts a select that asks all storages, with more flags.
    pub fn start_select(&self, name: &str, flags: &str) -> io::Result<Server> {
        let nodes: Vec<String> = self.ports.iter().map(|[_, queries]| format!("127.0.0.1:{queries}")).collect();
        let command = format!(
            "{} select -httpListenAddr=127.0.0.1:$PORT -replicationFactor={} {flags} -storageNode={}",
            self.program,
            self.copies,
            nodes.join(",")
        );
        Server::start(&command, &self.folder.join(name))
    }

    /// Ends a storage the hard way.
    pub fn kill(&mut self, storage: usize) -> io::Result<()> {
        if let Some(server) = self.storages[storage].take() {
            self.ended_cpu_s += server.cpu_s()?;
        }
        Ok(())
    }

    /// Starts a storage again on its folder.
    pub fn revive(&mut self, storage: usize) -> io::Result<()> {
        self.storages[storage] = Some(start_storage(&self.program, &self.folder, &self.ports, storage)?);
        Ok(())
    }

    fn running(&self) -> impl Iterator<Item = &Server> {
        self.storages.iter().flatten().chain([&self.insert])
    }

    /// CPU seconds of all processes.
    pub fn cpu_s(&self) -> io::Result<f64> {
        self.running().map(Server::cpu_s).try_fold(self.ended_cpu_s, |sum, cpu_s| Ok(sum + cpu_s?))
    }

    /// The most memory that each process that runs had, all together.
    pub fn memory_peak_bytes(&self) -> io::Result<u64> {
        self.running().map(Server::memory_peak_bytes).sum()
    }

    /// Writes out what waits in memory and waits for the end of that. All nodes are waited for at once: what they spend while they have nothing to do
    /// counts for as long as with a single node.
    pub fn flush(&self, patience: &Patience) -> io::Result<bool> {
        self.storages.iter().flatten().try_for_each(Server::begin_flush)?;
        settle(&self.running().collect::<Vec<_>>(), patience)
    }
}

fn start_storage(program: &str, folder: &Path, ports: &[[u16; 2]], number: usize) -> io::Result<Server> {
    let [rows, queries] = ports[number];
    let command = format!(
        "{program} storage -retentionPeriod=100y -httpListenAddr=127.0.0.1:$PORT -storageDataPath=$DATADIR \
         -vminsertAddr=127.0.0.1:{rows} -vmselectAddr=127.0.0.1:{queries}"
    );
    Server::start(&command, &folder.join(format!("storage-{number}")))
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
