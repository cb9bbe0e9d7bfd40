//! What reports make of tokens and times.

use std::time::Duration;

use storage_api::Missing;

use super::*;

const NOW: Now = Now { node: 5, is_whole: true, until: 1_000 };

fn set(shards: &[u16]) -> ShardSet {
    let mut set = ShardSet::empty();
    shards.iter().for_each(|shard| set.insert(*shard));
    set
}

fn report(insert: u128, map_version: u64, shards: &[u16]) -> InsertReport {
    let owned = set(shards);
    let (lease, missing) = (Duration::from_secs(2), Missing::nothing());
    InsertReport {
        turn: storage_api::ReportTurn::default(),
        insert,
        knows: 0,
        token: 0,
        lease,
        map_version,
        owned,
        founding: 0,
        passed: Vec::new(),
        missing,
        leaving: false,
    }
}

#[test]
fn nodes_that_heard_the_same_have_equal_tokens() {
    let (mut one, mut other, mut late) = (Ownership::default(), Ownership::default(), Ownership::default());
    let vouched = |shards: &[u16]| InsertReport { founding: 77, ..report(1, 10, shards) };
    assert!(one.take(&vouched(&[3, 4]), &[1], &NOW) && other.take(&vouched(&[3, 5]), &[1], &NOW));
    assert!(!one.take(&report(1, 10, &[3, 4]), &[1], &NOW), "nothing new");
    assert_eq!(one.tokens[3], other.tokens[3]);
    assert!(late.take(&report(1, 11, &[4]), &[1], &NOW) && one.take(&report(1, 11, &[3, 4]), &[1], &NOW));
    assert_ne!(one.tokens[4], late.tokens[4], "one owned it before");
    assert_ne!(one.tokens[3], other.tokens[3], "the other was away while a map was in force");
    other.take(&report(1, 11, &[3, 5]), &[1], &NOW);
    assert_eq!(one.tokens[3], other.tokens[3]);
    assert_eq!(Ownership::parse(&one.text()), Some(Ownership { said: BTreeMap::new(), ..one }));
}

#[test]
fn a_node_has_everything_from_the_beginning_only_where_somebody_vouches() {
    let [mut first, mut emptied] = [Ownership::default(), Ownership::default()];
    assert_eq!(first.origin(10, true), Origin::Young);
    first.take(&report(1, 10, &[3]), &[1], &NOW);
    assert!(!first.whole_since(ALWAYS).has(3) && !first.whole_since(999).has(3) && first.whole_since(1_000).has(3));
    assert!(!first.whole_since(i64::MAX).has(4), "it does not own it");
    let vouched = InsertReport { founding: 77, knows: NOW.node, ..report(1, 10, &[3]) };
    for no in [InsertReport { knows: 9, ..vouched.clone() }, report(1, 10, &[3])] {
        assert!(!first.take(&no, &[1], &NOW), "another node is meant, or none");
    }
    assert!(!first.take(&vouched, &[1], &Now { is_whole: false, ..NOW }), "it has lost something");
    assert!(first.take(&vouched, &[1], &NOW) && first.whole_since(ALWAYS).has(3));
    assert_eq!(first.origin(10, true), Origin::Founded(77));
    // What it gets by another map was elsewhere before.
    first.take(&report(1, 11, &[3, 4]), &[1], &Now { until: 2_000, ..NOW });
    assert!(first.whole_since(ALWAYS).has(3) && !first.whole_since(1_999).has(4) && first.whole_since(2_000).has(4));
    assert_eq!(Ownership::parse(&first.text()), Some(Ownership { said: BTreeMap::new(), ..first.clone() }));
    first.fill(&first.whole_since(2_000), first.latest());
    assert!(!first.whole_since(1_999).has(4), "it was asked for before that");
    first.fill(&first.whole_since(2_000), first.latest() + 1);
    assert!(first.whole_since(ALWAYS).has(4), "it was copied");

    let mut other = Ownership::default();
    other.take(&report(1, 10, &[3]), &[1], &NOW);
    emptied.take(&report(1, 10, &[3]), &[1], &NOW);
    assert_ne!(emptied.tokens[3], other.tokens[3], "nobody has vouched that they began together");
    emptied.take(&report(1, 11, &[3]), &[1], &NOW);
    assert_eq!(emptied.origin(11, true), Origin::Later);
    assert!(!emptied.take(&InsertReport { founding: 78, ..report(1, 11, &[3]) }, &[1], &NOW));
}

#[test]
fn a_node_that_was_passed_over_has_everything_only_from_then_on() {
    let passed = |insert, shards: &[u16]| {
        let report = report(insert, 10, shards);
        InsertReport { passed: vec![PassedOver { change: 3, shards: report.owned.clone() }], ..report }
    };
    let [mut one, mut other, mut peer] = [Ownership::default(), Ownership::default(), Ownership::default()];
    for node in [&mut one, &mut other, &mut peer] {
        node.take(&InsertReport { founding: 77, ..report(1, 10, &[3, 4]) }, &[1], &NOW);
    }
    // A map that gave the shard to others was in force while it was away.
    let later = Now { until: 2_000, ..NOW };
    assert!(one.take(&InsertReport { owned: set(&[3, 4]), ..passed(1, &[3, 9]) }, &[1], &later));
    assert!(!one.whole_since(1_999).has(3) && one.whole_since(2_000).has(3) && one.whole_since(ALWAYS).has(4));
    assert!(one.tokens[3] != peer.tokens[3] && one.tokens[4] == peer.tokens[4] && one.tokens[9] == 0);
    let again = InsertReport { owned: set(&[3, 4]), ..passed(1, &[3]) };
    assert!(!one.take(&again, &[1], &Now { until: 3_000, ..NOW }), "the answer to it was lost");
    assert_eq!(Ownership::parse(&one.text()), Some(Ownership { said: BTreeMap::new(), ..one.clone() }));
    // Two that were passed over by the same changes of two inserts, whichever is heard first.
    one.take(&passed(2, &[3]), &[1], &later);
    for insert in [2, 1] {
        other.take(&passed(insert, &[3]), &[1], &later);
    }
    assert_eq!(one.tokens[3], other.tokens[3]);
    // One that begins by such a map did not begin with the others.
    let mut young = Ownership::default();
    young.take(&passed(2, &[3]), &[1], &NOW);
    assert_eq!(young.origin(10, true), Origin::Later);
    young.take(&InsertReport { founding: 77, ..report(1, 10, &[3]) }, &[1], &NOW);
    assert!(!young.whole_since(ALWAYS).has(3));
}

#[test]
fn while_an_insert_sends_a_shard_past_the_node_it_has_it_at_no_time() {
    let mut node = Ownership::default();
    node.take(&InsertReport { founding: 77, ..report(1, 10, &[3, 4]) }, &[1, 2], &NOW);
    node.take(&report(2, 10, &[3, 4]), &[1, 2], &NOW);
    assert!(node.whole_since(ALWAYS).has(3));
    assert!(node.take(&report(1, 11, &[4]), &[1, 2], &NOW));
    assert!(!node.whole_since(NOT_NOW - 1).has(3) && node.whole_since(ALWAYS).has(4));
    assert_eq!(node.gone_past(), set(&[3]));
    node.fill(&set(&[3]), i64::MAX);
    assert!(!node.whole_since(ALWAYS).has(3), "what was copied is not all");
    assert!(!node.take(&report(1, 11, &[4]), &[1, 2], &NOW), "nothing new");
    let reread = Ownership::parse(&node.text()).expect("it is read");
    assert_eq!(reread, Ownership { said: BTreeMap::new(), ..node.clone() });
    // It stops, and the other one sends everything.
    let later = Now { until: 2_000, ..NOW };
    assert!(node.take(&report(2, 10, &[3, 4]), &[2], &later));
    assert!(!node.whole_since(1_999).has(3) && node.whole_since(2_000).has(3) && node.whole_since(ALWAYS).has(4));
}

#[test]
fn an_insert_that_has_the_node_in_its_list_no_more_goes_past_it_until_it_is_back() {
    let mut node = Ownership::default();
    for insert in [1, 2] {
        node.take(&InsertReport { founding: 77, ..report(insert, 10, &[3]) }, &[1, 2], &NOW);
    }
    let leaves = InsertReport { leaving: true, ..report(1, 11, &[]) };
    let mut never_known = node.clone();
    never_known.take(&leaves, &[2], &NOW);
    assert_eq!(never_known.bypassed_by().count(), 0, "it keeps no hints, and says so in each report");
    let (mut forgotten, later) = (node.clone(), Now { until: 2_000, ..NOW });
    for node in [&mut node, &mut forgotten] {
        node.take(&leaves, &[1, 2], &NOW);
        node.take(&report(2, 10, &[3]), &[2], &NOW);
        assert!(node.bypassed_by().eq([1]) && node.whole_since(NOT_NOW).is_empty());
    }
    assert_eq!(Ownership::parse(&node.text()), Some(Ownership { said: BTreeMap::new(), ..node.clone() }));
    let passed = vec![PassedOver { change: 5, shards: set(&[3]) }];
    node.take(&InsertReport { passed, ..report(1, 10, &[3]) }, &[1, 2], &later);
    assert!(forgotten.forget(1, 2_000) && !forgotten.forget(1, 3_000));
    for node in [&node, &forgotten] {
        assert!(node.bypassed_by().count() == 0 && !node.whole_since(1_999).has(3) && node.whole_since(2_000).has(3));
    }
    // One that stops has the node in its list.
    node.take(&InsertReport { leaving: true, ..report(1, 10, &[3]) }, &[1, 2], &later);
    assert!(node.bypassed_by().count() == 0 && node.whole_since(2_000).has(3));
}

#[test]
fn what_is_given_up_is_here_from_now_on_and_like_no_other_node() {
    let [mut one, mut other] = [Ownership::default(), Ownership::default()];
    for node in [&mut one, &mut other] {
        node.take(&report(1, 10, &[3, 4]), &[1], &NOW);
        node.give_up(&ShardSet::empty(), 2_000);
        assert_eq!(node.origin(10, true), Origin::Young, "there was nothing to give up");
        node.give_up(&set(&[3]), 2_000);
        node.take(&InsertReport { founding: 77, ..report(1, 10, &[3, 4]) }, &[1], &NOW);
        assert_eq!(node.origin(10, true), Origin::Later);
    }
    assert!(!one.whole_since(1_999).has(3) && one.whole_since(2_000).has(3) && one.tokens[3] != other.tokens[3]);
}

#[test]
fn an_insert_that_has_no_map_yet_takes_nothing_away() {
    let mut node = Ownership::default();
    node.take(&InsertReport { founding: 77, ..report(1, 10, &[3]) }, &[1], &NOW);
    // The first one has said good-bye; the next one has just begun.
    assert!(!node.take(&report(2, 0, &[]), &[2], &NOW));
    node.take(&report(2, 10, &[3]), &[2], &NOW);
    assert!(node.whole_since(ALWAYS).has(3) && node.tokens[3] == mixed(77));
}

#[test]
fn the_folder_of_a_single_node_has_everything_where_it_is_alone() {
    let disk = testkit::SimDisk::new(1);
    let mut alone = Ownership::open(&disk, false, true, 0).expect("a folder");
    let reread = Ownership::open(&disk, false, false, 0).expect("a folder");
    assert!(reread == alone, "the next process takes it for the same");
    assert_eq!(alone.origin(10, true), Origin::Alone);
    alone.take(&InsertReport { founding: 77, ..report(1, 10, &[3]) }, &[1], &NOW);
    assert!(alone.whole_since(ALWAYS).has(3) && alone.tokens[3] != mixed(77), "nobody is like it");
    let storage = Ownership::open(&testkit::SimDisk::new(1), false, false, 0).expect("a folder");
    assert_eq!(storage.origin(10, true), Origin::Later, "it was a storage before it was a single node");
}

#[test]
fn what_an_earlier_program_kept_is_read_as_late() {
    let mut old = Ownership::default();
    old.take(&report(1, 10, &[3]), &[1], &NOW);
    let text: String =
        old.text().lines().filter(|line| !line.starts_with("since")).map(|line| format!("{line}\n")).collect();
    let disk = testkit::SimDisk::new(1);
    disk.plant(FILE, text.as_bytes());
    let mut read = Ownership::open(&disk, false, false, 500).expect("it is read");
    assert!(read.whole_since(500).has(3) && !read.whole_since(499).has(3));
    assert_eq!(read.origin(10, true), Origin::Young, "it can be vouched for");
    read.take(&InsertReport { founding: 77, ..report(1, 10, &[3]) }, &[1], &NOW);
    assert!(read.whole_since(ALWAYS).has(3));
}

#[test]
fn who_was_passed_over_by_a_map_is_unlike_those_who_were_not() {
    let (mut kept, mut passed_over) = (Ownership::default(), Ownership::default());
    for node in [&mut kept, &mut passed_over] {
        node.take(&InsertReport { founding: 77, ..report(1, 10, &[3]) }, &[1, 2], &NOW);
        node.take(&report(2, 10, &[3]), &[1, 2], &NOW);
    }
    assert_eq!(kept.tokens[3], passed_over.tokens[3]);
    kept.take(&report(1, 11, &[3]), &[1, 2], &NOW);
    passed_over.take(&report(1, 0, &[]), &[1, 2], &NOW);
    assert!(passed_over.maps.len() == 1 && passed_over.tokens[3] != 0, "it has no map yet");
    passed_over.take(&report(1, 11, &[]), &[1, 2], &NOW);
    assert!(passed_over.tokens[3] != 0, "the other insert sends it here as before");
    // Back to the map of before: rows that came by the other one are on one of them only.
    kept.take(&report(1, 10, &[3]), &[1, 2], &NOW);
    passed_over.take(&report(1, 10, &[3]), &[1, 2], &NOW);
    assert_ne!(kept.tokens[3], passed_over.tokens[3]);
}

#[test]
fn what_is_lost_comes_back_with_a_token_of_its_own() {
    let mut one = Ownership::default();
    one.take(&report(1, 10, &[3]), &[1, 2], &NOW);
    let token = one.tokens[3];
    one.take(&report(1, 11, &[]), &[1, 2], &NOW);
    assert!(one.tokens[3] != token && one.tokens[3] != 0, "the other insert may still send it");
    one.take(&report(2, 11, &[]), &[1, 2], &NOW);
    assert_eq!(one.tokens[3], 0);
    one.take(&report(1, 10, &[3]), &[1, 2], &NOW);
    assert!(one.tokens[3] != 0 && one.tokens[3] != token);
    let (token, mut other) = (one.tokens[3], one.clone());
    other.differ();
    assert!(other.tokens[3] != token && other.tokens[4] == 0, "damage makes it unlike any other");
    other.take(&report(1, 12, &[4]), &[1, 2], &NOW);
    assert_ne!(other.tokens[4], mixed(12), "what comes back was damaged too");
    assert_eq!(Ownership::parse("maps zz"), None);
    assert_eq!(Ownership::parse("1 2"), None);
}
