//! What must happen in single situations, and the insert that all tests use.

use std::{sync::Arc, time::Duration};

use model::{KeyBuilder, METRIC_NAME, Sample, SeriesKey, Tenant, ValueKind};
use route::{
    Acknowledge, NodeList, Options, Replication, Router, ShardMap,
    hints::{HintOptions, HintStore},
};
use storage_api::{Batch, EncodedSeries, Encoding, Insert, InsertError, Inserted, MetricMetadata, Refusal, Resolved};
use testkit::SimDisk;
use tokio::time::{Instant, sleep};
use wal::Commits;

use crate::{
    network::{Network, World, name},
    storage::{Storage, Stored},
};

/// Label bytes that are the name of the metric.
struct Names;

impl Encoding for Names {
    fn scope(&self) -> &[u8] {
        b"names"
    }

    fn generation(&self) -> u32 {
        1
    }

    fn resolve(&self, bytes: &[u8], labels: &mut KeyBuilder) -> Resolved {
        labels.push(METRIC_NAME, std::str::from_utf8(bytes).expect("a name"));
        Resolved::Keep
    }
}

/// The canonical key of a series.
pub fn key(metric: &str) -> SeriesKey {
    let mut labels = KeyBuilder::new();
    labels.push(METRIC_NAME, metric);
    labels.build(Tenant::DEFAULT).expect("a key")
}

/// What a node stores of a row.
pub fn stored(rows: &[(String, i64, f64)]) -> Vec<Stored> {
    rows.iter().map(|(metric, time, value)| (key(metric).into_bytes(), *time, value.to_bits())).collect()
}

/// Sends rows.
pub async fn insert(router: &Router, rows: &[(String, i64, f64)]) -> Result<Inserted, InsertError> {
    insert_with(router, rows, &[]).await
}

async fn insert_with(
    router: &Router,
    rows: &[(String, i64, f64)],
    metadata: &[MetricMetadata<'_>],
) -> Result<Inserted, InsertError> {
    let mut bytes = Vec::new();
    let mut series = Vec::new();
    let mut samples = Vec::new();
    for (metric, time, value) in rows {
        let labels_start = bytes.len() as u32;
        bytes.extend_from_slice(metric.as_bytes());
        samples.push(Sample { time: *time, value: *value });
        let (labels_len, samples_end) = (metric.len() as u32, samples.len() as u32);
        series.push(EncodedSeries { labels_start, labels_len, samples_end, kind: ValueKind::Float });
    }
    let tenant = Tenant::DEFAULT;
    let batch = Batch { tenant, encoding: &Names, bytes: &bytes, series: &series, samples: &samples, metadata };
    router.insert(batch).await
}

/// How the routers of the tests are told to work.
pub fn options() -> Options {
    let hints = HintOptions { commits: Commits::WhenAsked, segment_bytes_max: 4 << 10, ..HintOptions::default() };
    Options { hints, room_wait_max: Duration::from_secs(5), ..Options::default() }
}

/// The shard map of so many nodes.
pub fn map(nodes: usize, copies: usize) -> ShardMap {
    ShardMap::new(&list(nodes), &Replication::copies(copies)).expect("a map")
}

/// So many nodes.
pub fn list(nodes: usize) -> NodeList {
    NodeList::new((0..nodes).map(name).collect()).expect("a list")
}

/// An insert whose hints are on a disk.
pub async fn router(world: &Arc<World>, insert: usize, disk: &SimDisk, options: Options, copies: usize) -> Arc<Router> {
    let router = without_nodes(world, insert, disk, options);
    let nodes = world.lock().nodes.len();
    router.set_nodes(&list(nodes), &Replication::copies(copies)).await.expect("a map");
    // Nodes that are there know this insert by then.
    sleep(Duration::from_millis(200)).await;
    router
}

/// An insert that has no list of nodes yet.
pub fn without_nodes(world: &Arc<World>, insert: usize, disk: &SimDisk, options: Options) -> Arc<Router> {
    let hints = HintStore::open(Arc::new(disk.clone()), options.hints.clone()).expect("the folder of hints");
    let network = Arc::new(Network { world: Arc::clone(world), insert });
    Arc::new(Router::new([insert as u8; 32], network, Some(hints), options).expect("a router"))
}

/// Waits until no node lacks anything.
pub async fn drained(router: &Router) {
    let began = Instant::now();
    while router.stats().nodes.iter().any(|node| node.hint_bytes > 0 || node.is_catching_up || !node.is_reachable) {
        assert!(began.elapsed() < Duration::from_secs(300), "hints are not drained: {:#?}", router.stats());
        sleep(Duration::from_millis(50)).await;
    }
    // The word that nothing is missing goes out with the next report.
    sleep(Duration::from_secs(2)).await;
}

/// A row of each of these series.
pub fn rows(names: std::ops::Range<usize>, time: i64) -> Vec<(String, i64, f64)> {
    names.map(|n| (format!("metric_{n}"), time, n as f64)).collect()
}

/// How many nodes have each of the rows.
pub fn copies(world: &World, rows: &[(String, i64, f64)]) -> Vec<usize> {
    let state = world.lock();
    stored(rows).iter().map(|sample| state.nodes.iter().filter(|node| node.samples.contains(sample)).count()).collect()
}

#[tokio::test(start_paused = true)]
async fn rows_go_to_their_owners_and_keys_once() {
    let world = World::new(1, 3);
    let router = router(&world, 0, &SimDisk::new(1), options(), 2).await;
    for time in 0..5 {
        let rows = rows(0..100, time);
        let inserted = insert(&router, &rows).await.expect("all nodes are there");
        assert_eq!(inserted, Inserted { samples: 100, ..Inserted::default() });
        assert_eq!(copies(&world, &rows), [2; 100]);
    }
    let keys = |world: &World| world.lock().nodes.iter().map(|node| node.keys_received).sum::<usize>();
    assert_eq!(keys(&world), 200);
    // A node that restarts, or gives its numbers to other series, asks for no labels.
    world.lock().nodes[0].restart(77);
    world.lock().nodes[1].renumber();
    let later = rows(0..100, 9);
    insert(&router, &later).await.expect("all nodes are there");
    assert_eq!((copies(&world, &later), keys(&world)), (vec![2; 100], 200));
    router.forget_idle_series();
    router.forget_idle_series();
    router.forget_idle_series();
    assert_eq!(router.stats().series, 0);
    insert(&router, &rows(50..150, 10)).await.expect("all nodes are there");
    assert_eq!((copies(&world, &rows(50..150, 10)), keys(&world)), (vec![2; 100], 300));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_away_gets_what_it_missed() {
    let world = World::new(2, 2);
    let disk = SimDisk::new(2);
    let first = router(&world, 0, &disk, options(), 2).await;
    insert(&first, &rows(0..50, 1)).await.expect("all nodes are there");
    world.lock().nodes[1].is_up = false;
    let missed = rows(0..80, 2);
    let began = Instant::now();
    insert(&first, &missed).await.expect("one copy and hints");
    assert!(began.elapsed() <= Duration::from_secs(2), "the lease of the node is waited for: {:?}", began.elapsed());
    let began = Instant::now();
    insert(&first, &rows(0..80, 3)).await.expect("one copy and hints");
    assert!(began.elapsed() < Duration::from_millis(100), "and no longer: {:?}", began.elapsed());
    assert_eq!(copies(&world, &missed), [1; 80]);

    // The insert dies, and with it the power; what is acknowledged is in its hints.
    drop(first);
    let disk = disk.cut_power();
    let second = router(&world, 0, &disk, options(), 2).await;
    assert!(second.stats().nodes[1].is_catching_up && second.stats().nodes[1].hint_bytes > 0);
    world.lock().nodes[1].restart(9);
    assert!(!world.lock().nodes[1].claims(world.now(), &stored(&missed)[0]), "it has not heard of the insert again");
    drained(&second).await;
    assert_eq!(copies(&world, &missed), [2; 80]);
    assert_eq!(copies(&world, &rows(0..80, 3)), [2; 80]);
    assert!(world.lock().nodes[1].claims(world.now(), &stored(&missed)[0]));
    assert_eq!(second.stats().nodes.iter().map(|node| node.hint_bytes).sum::<u64>(), 0);

    second.close().await;
    assert!(world.lock().nodes.iter().all(|node| node.standing.remembered().is_empty()), "it said good-bye");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_lost_its_data_while_no_insert_ran_hears_who_it_was() {
    let (world, disk) = (World::new(3, 2), SimDisk::new(3));
    let first = router(&world, 0, &disk, options(), 2).await;
    insert(&first, &rows(0..20, 1)).await.expect("all nodes are there");
    let was = world.lock().nodes[1].name;
    first.close().await;
    drop(first);
    world.lock().nodes[1] = Storage::new(77);
    let second = router(&world, 0, &disk.kill(), options(), 2).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(world.lock().nodes[1].taken_for.contains(&was), "the insert knew it before it said good-bye");
    drop(second);
}

#[tokio::test(start_paused = true)]
async fn what_has_too_few_copies_is_not_acknowledged() {
    let away = |world: &World| world.lock().nodes[1].is_up = false;
    let failure = |outcome: Result<Inserted, InsertError>| outcome.expect_err("not enough copies").to_string();

    let world = World::new(3, 2);
    let strict = Options { acknowledge: Acknowledge::Strict, ..options() };
    let strict = router(&world, 0, &SimDisk::new(3), strict, 2).await;
    insert(&strict, &rows(0..20, 1)).await.expect("all nodes are there");
    away(&world);
    assert!(failure(insert(&strict, &rows(0..20, 2)).await).contains("node-1:8400"));
    assert_eq!(strict.stats().nodes[1].hint_bytes, 0);

    let world = World::new(3, 2);
    let single = router(&world, 0, &SimDisk::new(3), options(), 1).await;
    away(&world);
    assert!(failure(insert(&single, &rows(0..20, 1)).await).contains("node-1:8400"), "its rows have no other copy");

    let world = World::new(3, 2);
    let full = HintOptions { disk_bytes_max: 1, ..options().hints };
    let full = router(&world, 0, &SimDisk::new(3), Options { hints: full, ..options() }, 2).await;
    away(&world);
    insert(&full, &rows(0..20, 1)).await.expect("the bound is not reached");
    assert!(failure(insert(&full, &rows(0..20, 2)).await).contains("hints take"));

    let world = World::new(3, 2);
    let disk = SimDisk::new(3);
    let broken = router(&world, 0, &disk, options(), 2).await;
    away(&world);
    disk.fail_with_probability(1.0);
    assert!(matches!(insert(&broken, &rows(0..20, 1)).await, Err(InsertError::NotDurable(_))));
    disk.clear_faults();
    insert(&broken, &rows(0..20, 1)).await.expect("the disk is good again");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_read_only_or_slow_gets_hints() {
    let world = World::new(4, 2);
    let router = router(&world, 0, &SimDisk::new(4), options(), 2).await;
    world.lock().nodes[0].read_only = true;
    insert(&router, &rows(0..20, 1)).await.expect("one copy and hints");
    assert!(router.stats().nodes[0].is_read_only && router.stats().nodes[0].is_reachable);
    world.lock().nodes[0].read_only = false;
    drained(&router).await;
    assert_eq!(copies(&world, &rows(0..20, 1)), [2; 20]);

    world.lock().parted.insert((0, 1));
    let began = Instant::now();
    insert(&router, &rows(0..20, 2)).await.expect("one copy and hints");
    assert!(began.elapsed() <= Duration::from_secs(5), "{:?}", began.elapsed());
    let began = Instant::now();
    insert(&router, &rows(0..20, 3)).await.expect("one copy and hints");
    assert!(began.elapsed() < Duration::from_millis(100), "a node that is away holds nobody up: {:?}", began.elapsed());
    world.lock().parted.clear();
    drained(&router).await;
    assert_eq!(copies(&world, &rows(0..20, 3)), [2; 20]);
}

#[tokio::test(start_paused = true)]
async fn samples_that_all_nodes_refuse_count_once() {
    let world = World::new(5, 3);
    let router = router(&world, 0, &SimDisk::new(5), options(), 2).await;
    world.lock().nodes.iter_mut().for_each(|node| node.oldest = 5);
    let mut all = rows(0..30, 9);
    all.extend(rows(0..10, 1));
    let inserted = insert(&router, &all).await.expect("all nodes are there");
    assert_eq!((inserted.samples, inserted.refused.get(Refusal::TooOld)), (30, 10));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_added_gets_its_share_and_nobody_restarts() {
    let world = World::new(6, 3);
    let hints = HintStore::open(Arc::new(SimDisk::new(6)), options().hints).expect("the folder of hints");
    let network = Arc::new(Network { world: Arc::clone(&world), insert: 0 });
    let router = Router::new([6; 32], network, Some(hints), options()).expect("a router");
    assert!(insert(&router, &rows(0..5, 1)).await.is_err(), "there are no nodes");
    let replication = Replication::copies(1);
    assert_eq!(router.set_nodes(&list(2), &replication).await, Ok(true));
    insert(&router, &rows(0..100, 1)).await.expect("both nodes are there");
    assert_eq!(router.set_nodes(&list(2), &replication).await, Ok(false));
    world.lock().nodes[2].is_up = false;
    assert!(
        router.set_nodes(&list(3), &replication).await.is_err_and(|why| why.contains("node-2")),
        "it has not answered"
    );
    world.lock().nodes[2].is_up = true;
    sleep(Duration::from_millis(700)).await;
    assert_eq!(router.set_nodes(&list(3), &replication).await, Ok(true));
    assert!(router.set_nodes(&NodeList::default(), &replication).await.is_err());
    let later = rows(0..100, 2);
    insert(&router, &later).await.expect("all nodes are there");
    assert_eq!(copies(&world, &later), [1; 100]);
    let at_third = world.lock().nodes[2].samples.len();
    assert!((15..=55).contains(&at_third), "{at_third}");
    let map = map(3, 1);
    let state = world.lock();
    for sample in stored(&later) {
        let owner = map.owners_of(model::SeriesId::of_bytes(&sample.0))[0];
        assert!(state.nodes[usize::from(owner)].samples.contains(&sample));
    }
}

/// An insert as the node of another one.
struct Below(Arc<Router>);

impl route::Connect for Below {
    fn link(&self, _: &route::NodeName) -> Result<Arc<dyn route::NodeLink>, String> {
        Ok(self.0.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_loses_shards_knows_before_others_get_their_rows() {
    for is_parted in [false, true] {
        let world = World::new(7, 3);
        let router = router(&world, 0, &SimDisk::new(7), options(), 2).await;
        insert(&router, &rows(0..100, 1)).await.expect("all nodes are there");
        sleep(Duration::from_millis(700)).await;
        assert!(world.lock().nodes[0].claims(world.now(), &stored(&rows(0..1, 1))[0]), "it has a lease");
        if is_parted {
            // What it is told gets lost until its lease is over.
            world.lock().parted.insert((0, 2));
        }
        // The third one goes, and with two of two every shard is on the two that stay.
        assert_eq!(router.set_nodes(&list(2), &Replication::copies(2)).await, Ok(true));
        let later = rows(0..100, 2);
        insert(&router, &later).await.expect("both are there");
        let now = world.now();
        let state = world.lock();
        let claimed = stored(&later).iter().filter(|sample| state.nodes[2].claims(now, sample)).count();
        assert_eq!(claimed, 0, "it gets no rows of these any more");
    }
}

#[tokio::test(start_paused = true)]
async fn inserts_can_stand_in_levels() {
    let world = World::new(8, 2);
    let below = router(&world, 0, &SimDisk::new(8), options(), 2).await;
    let above = Router::new([8; 32], Arc::new(Below(Arc::clone(&below))), None, options()).expect("a router");
    above.set_nodes(&list(1), &Replication::copies(1)).await.expect("a map");
    for time in 0..3 {
        let inserted = insert(&above, &rows(0..60, time)).await.expect("all are there");
        assert_eq!((inserted.samples, copies(&world, &rows(0..60, time))), (60, vec![2; 60]));
    }
    (0..3).for_each(|_| below.forget_idle_series());
    insert(&above, &rows(0..60, 5)).await.expect("all are there");
    assert_eq!(copies(&world, &rows(0..60, 5)), [2; 60]);
    world.lock().nodes.iter_mut().for_each(|node| node.is_up = false);
    assert!(insert(&above, &rows(0..60, 6)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_senders_tell_survives_in_hints() {
    let world = World::new(7, 2);
    let disk = SimDisk::new(7);
    let router = router(&world, 0, &disk, options(), 2).await;
    world.lock().nodes[0].is_up = false;
    let told = MetricMetadata { metric: "m", kind: "gauge", help: "h", unit: "" };
    insert_with(&router, &[], &[told]).await.expect("one copy and a hint");
    assert!(router.stats().nodes[0].hint_bytes > 0);
    world.lock().nodes[0].restart(3);
    drained(&router).await;
}
