//! Storages behind a network that swallows what is sent to one of them: no connection is refused or ended, there is just no answer any more.
//!
//! 1. Each storage is a host of its own, joined to that of the inserts, the selects and the clients by a cable (`testkit::apart`).
//! 2. Cables are cut and joined in turn while senders and readers work. With two copies each write is acknowledged and each answer whole
//!    meanwhile, and none takes longer than it takes to find out that a storage is silent.
//! 3. Nodes that start meanwhile say within `-vmstorageDialTimeout` that a storage cannot be reached. The system itself would try for two minutes.
//! 4. When the cables are joined, hints are handed over, and everything that was acknowledged is on two storages.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use testkit::{
    Rng,
    apart::{FarHost, Own, with_own},
};

use super::{
    load::{Ends, METRIC, SENDERS, Sender, Watch, check_copies, merge, read},
    nodes::{Doors, address_behind, is_settled, start_role},
};
use crate::{
    ledger::Ledger,
    prometheus::wait_until,
    server::{Basalt, folder, program},
};

const STORAGES: u8 = 3;
const COPIES: usize = 2;
/// Batches that are acknowledged before and after each change.
const BATCHES: u64 = 60;
/// A storage that says nothing for so long is away.
const SILENCE: Duration = Duration::from_millis(1500);
const DIALING: Duration = Duration::from_millis(700);
/// A request finds out that a storage is silent, and that it cannot be dialed either. The rest is for a busy machine.
const REQUEST_MAX: Duration = Duration::from_secs(5);

struct Storage {
    host: FarHost,
    node: Basalt,
    /// Where inserts and selects reach it.
    inserts: String,
    selects: String,
    _folder: TempDir,
}

impl Storage {
    fn start(host: FarHost) -> Self {
        let folder = folder();
        let mut command = host.command(program());
        command.args(["storage".to_string(), format!("-storageDataPath={}", folder.path().display())]);
        command.arg("-retentionPeriod=100y");
        let address = host.address();
        command.args(["httpListenAddr", "vminsertAddr", "vmselectAddr"].map(|flag| format!("-{flag}={address}:0")));
        let node = Basalt::spawn(command);
        let inserts = address_behind(&node, "accepting vminsert conns at");
        let selects = address_behind(&node, "accepting vmselect conns at");
        Self { host, node, inserts, selects, _folder: folder }
    }
}

/// Flags of inserts and of selects, which reach storages at these addresses.
fn flags<'a>(addresses: impl Iterator<Item = &'a String>, more: &[String]) -> Vec<String> {
    let addresses: Vec<&str> = addresses.map(String::as_str).collect();
    let mut flags = vec![
        format!("-storageNode={}", addresses.join(",")),
        format!("-replicationFactor={COPIES}"),
        format!("-vmstorageUserTimeout={SILENCE:?}"),
        format!("-vmstorageDialTimeout={DIALING:?}"),
    ];
    flags.extend_from_slice(more);
    flags
}

/// A cluster of far storages.
struct Far<'a> {
    storages: &'a [Storage],
    insert: &'a Basalt,
    watch: &'a Watch,
}

impl Far<'_> {
    fn work(&self) {
        let target = self.watch.batches() + BATCHES;
        wait_until("batches are acknowledged", || self.watch.batches() >= target);
    }

    fn settle(&self) {
        let storages: Vec<&Basalt> = self.storages.iter().map(|storage| &storage.node).collect();
        wait_until("nothing is lacking", || is_settled(&storages, &[self.insert]));
    }

    /// What the insert says of a storage.
    fn says(&self, metric: &str, storage: &Storage) -> f64 {
        self.insert.metric(&format!("{metric}{{name=\"vminsert\", addr=\"{}\"}}", storage.inserts))
    }

    /// Cuts the cable of a storage for a while; `meanwhile` is done when the insert keeps hints for it.
    fn part(&self, storage: &Storage, meanwhile: impl FnOnce()) {
        storage.host.cut().expect("a cable can be cut");
        let address: SocketAddr = storage.inserts.parse().expect("an address");
        let silent = TcpStream::connect_timeout(&address, Duration::from_millis(100)).expect_err("nobody answers");
        assert_eq!(silent.kind(), io::ErrorKind::TimedOut, "nobody is told: {silent}");
        wait_until("the insert keeps hints", || self.says("vm_rpc_rows_hinted_total", storage) > 0.0);
        assert_eq!(self.says("vm_rpc_vmstorage_is_reachable", storage), 0.0);
        self.work();
        meanwhile();
        let joined = Instant::now();
        storage.host.join().expect("a cable can be joined");
        self.settle();
        println!("{address} is whole {:?} after it is back", joined.elapsed());
        assert!(self.says("vm_rpc_hint_rows_drained_total", storage) > 0.0);
    }
}

/// A role that starts while a storage is silent says so in time.
fn starts_beside(role: &str, flags: &[String], silent: &str) -> Basalt {
    let node = start_role(role, flags);
    let said = node.process.wait_for_line(&format!("cannot use -storageNode=\"{silent}\""), 2 * REQUEST_MAX);
    let said = said.expect("it finds out in time that the storage is silent");
    assert!(said.contains(&format!("within {DIALING:?}")), "{said}");
    node
}

fn check(hosts: Vec<FarHost>) {
    let storages: Vec<Storage> = hosts.into_iter().map(Storage::start).collect();
    let (hints, other_hints) = (folder(), folder());
    let insert_flags = |hints: &TempDir| {
        let hints = format!("-hints.path={}", hints.path().display());
        flags(storages.iter().map(|storage| &storage.inserts), &[hints])
    };
    let select_flags =
        flags(storages.iter().map(|storage| &storage.selects), &["-search.latencyOffset=0s".to_string()]);
    let insert = start_role("insert", &insert_flags(&hints));
    let select = start_role("select", &select_flags);
    let doors = Doors::new(1, 1);
    doors.set_insert(0, Some(insert.address));
    doors.open_select(0, select.address);

    let mut rng = Rng::new(1);
    let watch = Watch::default();
    let far = Far { storages: &storages, insert: &insert, watch: &watch };
    far.settle();
    let mut senders: Vec<Sender> = (0..SENDERS).map(|number| Sender::new(number, rng.fork())).collect();
    let reader = rng.fork();
    thread::scope(|scope| {
        let _ends = Ends(&watch);
        watch.set_calm(true);
        for sender in &mut senders {
            scope.spawn(|| sender.run(&doors, 1, &watch));
        }
        scope.spawn(|| read(reader, &doors, &watch));
        far.work();
        far.part(&storages[0], || {
            let late = starts_beside("select", &select_flags, &storages[0].selects);
            let asked = Instant::now();
            let answer = late.ok(&format!("/api/v1/query?query=count({METRIC})"));
            assert!(answer.contains("\"isPartial\":false") && asked.elapsed() < REQUEST_MAX, "{answer}");
            // A storage that hears of an insert for the first time is complete for nothing until it has heard of it twice.
            watch.set_calm(false);
            starts_beside("insert", &insert_flags(&other_hints), &storages[0].inserts).stop();
        });
        // What was sent to the first storage while it was silent may still come; it takes nothing back.
        watch.set_calm(true);
        far.part(&storages[1], || {});
    });
    far.settle();

    let (mut sent, mut acknowledged) = (Ledger::default(), Ledger::default());
    for sender in &senders {
        merge(&mut sent, &sender.sent);
        merge(&mut acknowledged, &sender.acknowledged);
    }
    let slowest = |time: &AtomicU64| Duration::from_millis(time.load(SeqCst));
    let (query, batch) = (slowest(&watch.slowest_query_ms), slowest(&watch.slowest_batch_ms));
    let samples = acknowledged.samples();
    println!("{samples} samples acknowledged; the slowest query took {query:?}, the slowest batch {batch:?}");
    assert_eq!(watch.failures(), Vec::<String>::new());
    assert!(
        query < REQUEST_MAX && batch < REQUEST_MAX,
        "the slowest query took {query:?}, the slowest batch {batch:?}"
    );
    let selector = format!("{METRIC}&start=1");
    select.export(&selector).check(&acknowledged, &sent);
    let on_nodes: Vec<Ledger> = storages.iter().map(|storage| storage.node.export(&selector)).collect();
    check_copies(&on_nodes, &acknowledged, COPIES);
}

#[test]
fn a_storage_behind_a_silent_network_holds_nobody_up() {
    let outcome = with_own(Own::Network, || {
        let hosts: io::Result<Vec<FarHost>> = (1..=STORAGES).map(FarHost::new).collect();
        hosts.map(check)
    });
    if let Err(why) = outcome.flatten() {
        println!("left out, the machine does not allow networks of our own: {why}");
    }
}
