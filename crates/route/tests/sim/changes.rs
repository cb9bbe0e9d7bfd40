//! What a change of the list of nodes does, while the insert runs and from one of its processes to the next.

use std::{sync::Arc, time::Duration};

use route::{NodeList, NodeName, Replication, Router};
use testkit::SimDisk;
use tokio::time::sleep;

use crate::{
    network::{Network, World},
    scenes::{copies, drained, insert, list, map, options, router, rows, stored, without_nodes},
};

/// Nodes by their names.
fn listed(names: &[&str]) -> NodeList {
    NodeList::new(names.iter().map(|name| NodeName::parse(name, 8400).expect("a name")).collect()).expect("a list")
}

/// How many of the rows a node claims to have all of.
fn claimed(world: &World, node: usize, rows: &[(String, i64, f64)]) -> usize {
    let (now, state) = (world.now(), world.lock());
    stored(rows).iter().filter(|sample| state.nodes[node].claims(now, sample)).count()
}

/// Those that do not go to the third of four nodes.
fn past_the_third(rows: Vec<(String, i64, f64)>) -> Vec<(String, i64, f64)> {
    let map = map(4, 2);
    let is_past = |row: &(String, i64, f64)| {
        let id = model::SeriesId::of_bytes(&stored(std::slice::from_ref(row))[0].0);
        !map.owners_of(id).contains(&2)
    };
    rows.into_iter().filter(is_past).collect()
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_at_another_port_after_a_restart_gets_the_hints_that_were_kept_for_it() {
    let (world, disk) = (World::new(1, 2), SimDisk::new(1));
    let first = router(&world, 0, &disk, options(), 2).await;
    world.lock().nodes[1].is_up = false;
    let missed = rows(0..50, 1);
    insert(&first, &missed).await.expect("one copy and hints");
    drop(first);
    world.lock().nodes[1].restart(7);
    world.lock().nodes[1].port = 8410;
    // What it takes gets lost for now.
    world.lock().nodes[1].read_only = true;
    let second = without_nodes(&world, 0, &disk.kill(), options());
    let moved = listed(&["node-0:8400", "node-1:8410"]);
    assert_eq!(second.set_nodes(&moved, &Replication::copies(2)).await, Ok(true));
    for _ in 0..20 {
        sleep(Duration::from_millis(250)).await;
        assert_eq!(claimed(&world, 1, &missed), 0, "it lacks them");
    }
    world.lock().nodes[1].read_only = false;
    drained(&second).await;
    assert_eq!((copies(&world, &missed), claimed(&world, 1, &missed)), (vec![2; 50], 50));
}

#[tokio::test(start_paused = true)]
async fn hints_that_may_be_for_either_of_two_nodes_are_not_left_behind() {
    let (world, disk) = (World::new(2, 2), SimDisk::new(2));
    let first = router(&world, 0, &disk, options(), 2).await;
    world.lock().nodes[1].is_up = false;
    insert(&first, &rows(0..50, 1)).await.expect("one copy and hints");
    drop(first);
    let second = without_nodes(&world, 0, &disk.kill(), options());
    let two = listed(&["node-0:8400", "node-1:8410", "node-1:8411"]);
    let refused = second.set_nodes(&two, &Replication::copies(2)).await;
    assert!(
        refused.as_ref().is_err_and(|why| why.contains("node-1:8400") && why.contains("node-1:841")),
        "{refused:?}"
    );
    world.lock().nodes[1].restart(7);
    assert_eq!(second.set_nodes(&list(2), &Replication::copies(2)).await, Ok(true));
    drained(&second).await;
    assert_eq!(copies(&world, &rows(0..50, 1)), [2; 50]);
}

#[tokio::test(start_paused = true)]
async fn a_port_that_changes_while_the_insert_runs_is_gone_over_to() {
    let (world, disk) = (World::new(3, 2), SimDisk::new(3));
    let router = router(&world, 0, &disk, options(), 2).await;
    insert(&router, &rows(0..50, 1)).await.expect("both are there");
    let missed = rows(0..50, 2);
    for (turn, port) in [8410, 8420].into_iter().enumerate() {
        world.lock().nodes[1].is_up = false;
        insert(&router, &missed).await.expect("one copy and hints");
        world.lock().nodes[1].restart(turn as u64);
        world.lock().nodes[1].port = port;
        let moved = listed(&["node-0:8400", &format!("node-1:{port}")]);
        assert_eq!(router.set_nodes(&moved, &Replication::copies(2)).await, Ok(true));
        assert_eq!(router.set_nodes(&moved, &Replication::copies(2)).await, Ok(false));
        drained(&router).await;
        assert_eq!((copies(&world, &missed), claimed(&world, 1, &missed)), (vec![2; 50], 50));
        let stats = router.stats();
        assert!(stats.nodes.len() == 2 && stats.nodes.iter().any(|node| node.name == format!("node-1:{port}")));
    }
    router.close().await;
    assert!(world.lock().nodes.iter().all(|node| node.standing.remembered().is_empty()), "it said good-bye");
}

#[tokio::test(start_paused = true)]
async fn a_port_that_changes_is_gone_over_to_also_where_no_hints_are_kept() {
    let world = World::new(9, 2);
    let network = Arc::new(Network { world: Arc::clone(&world), insert: 0 });
    let router = Router::new([9; 32], network, None, options()).expect("a router");
    assert_eq!(router.set_nodes(&list(2), &Replication::copies(1)).await, Ok(true));
    insert(&router, &rows(0..50, 1)).await.expect("both are there");
    world.lock().nodes[1].port = 8410;
    assert!(insert(&router, &rows(0..50, 2)).await.is_err(), "it is not there any more");
    let moved = listed(&["node-0:8400", "node-1:8410"]);
    assert_eq!(router.set_nodes(&moved, &Replication::copies(1)).await, Ok(true));
    sleep(Duration::from_secs(5)).await;
    insert(&router, &rows(0..50, 2)).await.expect("both are there");
    assert_eq!((copies(&world, &rows(0..50, 2)), router.stats().nodes.len()), (vec![1; 50], 2));
}

#[tokio::test(start_paused = true)]
async fn a_node_is_not_told_that_it_owns_what_it_was_not_told_that_went_past_it() {
    let (world, disk) = (World::new(10, 3), SimDisk::new(10));
    let router = router(&world, 0, &disk, options(), 2).await;
    world.lock().nodes[2].is_up = false;
    for nodes in [2, 3] {
        assert_eq!(router.set_nodes(&list(nodes), &Replication::copies(2)).await, Ok(true));
        insert(&router, &rows(0..50, 1)).await.expect("two are there");
    }
    // A request is under way for long while the port of a node changes; then the other one comes back.
    world.lock().parted.insert((0, 0));
    let sending = Arc::clone(&router);
    let sending = tokio::spawn(async move { insert(&sending, &rows(0..50, 2)).await });
    sleep(Duration::from_millis(100)).await;
    world.lock().nodes[1].port = 8410;
    let moved = listed(&["node-0", "node-1:8410", "node-2"]);
    let changing = Arc::clone(&router);
    let changing = tokio::spawn(async move { changing.set_nodes(&moved, &Replication::copies(2)).await });
    sleep(Duration::from_millis(100)).await;
    world.lock().nodes[2].heard.clear();
    world.lock().nodes[2].restart(7);
    sleep(Duration::from_secs(30)).await;
    world.lock().parted.clear();
    assert_eq!(changing.await.expect("no panic"), Ok(true));
    let _ = sending.await.expect("no panic");
    let state = world.lock();
    let first = state.nodes[2].heard.iter().find(|report| !report.owned.is_empty()).expect("it is in the list");
    assert!(!first.passed.is_empty(), "it was not there when rows went past it");
}

#[tokio::test(start_paused = true)]
async fn a_restart_with_another_list_waits_for_nodes_that_have_a_lease_of_before() {
    let (world, disk) = (World::new(4, 4), SimDisk::new(4));
    let first = without_nodes(&world, 0, &disk, options());
    first.set_nodes(&list(3), &Replication::copies(2)).await.expect("a map");
    insert(&first, &rows(0..100, 1)).await.expect("all are there");
    sleep(Duration::from_millis(700)).await;
    assert!((0..3).all(|node| claimed(&world, node, &rows(0..100, 1)) > 0), "they have leases");
    drop(first);
    // Each node that stays in the list loses some shards to the one that is added; this one hears nothing of it.
    world.lock().parted.insert((0, 2));
    let second = without_nodes(&world, 0, &disk.kill(), options());
    second.set_nodes(&list(4), &Replication::copies(2)).await.expect("a map");
    let gone_past = past_the_third(rows(0..300, 2));
    insert(&second, &gone_past).await.expect("their owners are there");
    assert_eq!(claimed(&world, 2, &gone_past), 0, "it gets no rows of these any more");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_forgot_the_insert_hears_of_what_it_loses_before_rows_go_past_it() {
    let (world, disk) = (World::new(7, 4), SimDisk::new(7));
    let [first, other] = [0, 1].map(|insert| {
        let disk = if insert == 0 { disk.clone() } else { SimDisk::new(8) };
        without_nodes(&world, insert, &disk, options())
    });
    for router in [&first, &other] {
        router.set_nodes(&list(3), &Replication::copies(2)).await.expect("a map");
    }
    sleep(Duration::from_millis(200)).await;
    first.close().await;
    drop(first);
    // It waits for the word of the other one only.
    world.lock().parted.insert((0, 2));
    let second = without_nodes(&world, 0, &disk.kill(), options());
    let unheard = second.set_nodes(&list(4), &Replication::copies(2)).await;
    assert!(unheard.as_ref().is_err_and(|why| why.contains("node-2")), "{unheard:?}");
    second.set_nodes(&list(3), &Replication::copies(2)).await.expect("it loses nothing");
    assert!(second.set_nodes(&list(4), &Replication::copies(2)).await.is_err());
    world.lock().parted.clear();
    sleep(Duration::from_secs(1)).await;
    second.set_nodes(&list(4), &Replication::copies(2)).await.expect("it has answered");
    let gone_past = past_the_third(rows(0..300, 2));
    insert(&second, &gone_past).await.expect("all are there");
    assert_eq!(claimed(&world, 2, &gone_past), 0, "it gets no rows of these any more");
}

#[tokio::test(start_paused = true)]
async fn a_node_is_added_however_seldom_the_list_is_looked_at() {
    let (world, disk) = (World::new(6, 3), SimDisk::new(6));
    let router = without_nodes(&world, 0, &disk, options());
    let upkeep = tokio::spawn(Arc::clone(&router).run_upkeep());
    router.set_nodes(&list(2), &Replication::copies(2)).await.expect("a map");
    sleep(Duration::from_millis(200)).await;
    world.lock().nodes[2].is_up = false;
    let away = router.set_nodes(&list(3), &Replication::copies(2)).await;
    assert!(away.is_err_and(|why| why.contains("node-2")), "it has not answered");
    world.lock().nodes[2].restart(7);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(router.set_nodes(&list(3), &Replication::copies(2)).await, Ok(true));
    let later = rows(0..100, 2);
    insert(&router, &later).await.expect("all are there");
    assert_eq!(copies(&world, &later), [2; 100]);
    upkeep.abort();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_away_when_it_leaves_the_list_hears_of_it_whenever_it_is_back() {
    let (world, disk) = (World::new(5, 3), SimDisk::new(5));
    let first = router(&world, 0, &disk, options(), 2).await;
    insert(&first, &rows(0..100, 1)).await.expect("all are there");
    // It says good-bye: nobody has to wait for its word.
    first.close().await;
    drop(first);
    world.lock().nodes[2].is_up = false;
    let second = router(&world, 0, &disk.kill(), options(), 2).await;
    let upkeep = tokio::spawn(Arc::clone(&second).run_upkeep());
    second.set_nodes(&list(2), &Replication::copies(2)).await.expect("a map");
    let later = rows(0..100, 2);
    insert(&second, &later).await.expect("both are there");
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(second.stats().nodes.len(), 2, "nobody has to know that it is away");
    world.lock().nodes[2].restart(7);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(claimed(&world, 2, &later), 0, "they went past it");
    // Then nothing more is said to it.
    world.lock().nodes[2].taken_for.clear();
    sleep(Duration::from_secs(60)).await;
    assert!(world.lock().nodes[2].taken_for.is_empty());
    upkeep.abort();
}
