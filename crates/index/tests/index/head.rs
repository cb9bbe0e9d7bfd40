//! The index of the head against the naive answers, alone and with several threads at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use index::{CompiledSelector, HeadIndex};
use model::{KeyBuilder, MatchOp, Matcher, Selector, SeriesKey, Tenant};
use proptest::prelude::*;
use roaring::RoaringBitmap;

use crate::oracle::{self, World};
use crate::part::{write, write_numbered};

fn compile(selector: &Selector) -> CompiledSelector {
    CompiledSelector::compile(selector).expect("good matchers")
}

fn check_series(head: &HeadIndex, world: &World, slots: u32) {
    assert_eq!(head.series_count(), world.len());
    let mut key = SeriesKey::default();
    for slot in 0..slots {
        let want = world.get(&slot);
        assert_eq!(head.key(slot, &mut key), want.is_some());
        assert!(want.is_none_or(|want| *want == key));
    }
    let mut tenants: Vec<Tenant> = world.values().map(SeriesKey::tenant).collect();
    tenants.sort_unstable();
    tenants.dedup();
    assert_eq!(head.tenants(), tenants);
    check_order(head, world, &(0..slots).collect());
}

fn check_order(head: &HeadIndex, world: &World, slots: &RoaringBitmap) {
    let mut want: Vec<(&SeriesKey, u32)> =
        world.iter().filter(|(slot, _)| slots.contains(**slot)).map(|(slot, key)| (key, *slot)).collect();
    want.sort_unstable();
    let order = head.in_key_order(slots);
    assert!(order.iter().eq(want.iter().map(|(_, slot)| slot)));
    // The numbers that the head has for the pieces of keys say as much as the keys.
    let mut numbers = Vec::new();
    head.key_numbers(&order, &mut numbers);
    let series = numbers.into_iter().zip(&want).map(|(numbers, (key, _))| (numbers.expect("a series"), (*key).clone()));
    assert_eq!(write_numbered(series), write(want.iter().map(|(key, _)| *key)));
}

fn check_labels(head: &HeadIndex, world: &World, tenant: Tenant, within: Option<&RoaringBitmap>) {
    let want = oracle::cardinality(world, tenant, within);
    assert_eq!(head.label_names(tenant, within), oracle::names(&want));
    for name in oracle::NAMES.into_iter().chain(["pod", "node", "device", "absent"]) {
        let want = oracle::values(&want, name);
        for limit in [usize::MAX, 2] {
            assert_eq!(head.label_values(tenant, name, within, limit), want[..want.len().min(limit)], "{name}");
        }
    }
    let mut counts = BTreeMap::new();
    let mut last = None;
    head.cardinality(tenant, within, &mut |name, value, count| {
        let pair = (name.to_string(), value.to_string());
        assert!(last.as_ref().is_none_or(|last| *last < pair), "in order");
        last = Some(pair.clone());
        counts.insert(pair, count);
    });
    assert_eq!(counts, want);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn small_worlds(
        rounds in prop::collection::vec((oracle::keys(25), prop::collection::vec(any::<bool>(), 40)), 1..5),
        tenant in oracle::tenant(),
        selectors in prop::collection::vec(oracle::selector(), 5),
    ) {
        let (head, of_keys) = (HeadIndex::new(), HeadIndex::of_keys());
        let mut world = World::new();
        for (keys, keep) in rounds {
            // A key stands in one slot only, as in the head.
            let new: Vec<_> = keys.iter().filter(|key| !world.values().any(|have| have == *key)).collect();
            let free: Vec<u32> = (0..).filter(|slot| !world.contains_key(slot)).take(new.len()).collect();
            head.insert_many(free.iter().copied().zip(new.iter().copied()));
            of_keys.insert_many(free.iter().copied().zip(new.iter().copied()));
            world.extend(free.into_iter().zip(new.into_iter().cloned()));
            check_series(&head, &world, 130);
            check_series(&of_keys, &world, 130);
            check_labels(&head, &world, tenant, None);
            for selector in &selectors {
                let found = head.search(tenant, &compile(selector));
                prop_assert_eq!(&found, &oracle::search(&world, tenant, selector), "{:?}", selector);
                check_labels(&head, &world, tenant, Some(&found));
            }
            let gone: RoaringBitmap = (0u32..).zip(&keep).filter(|(_, keep)| !**keep).map(|(slot, _)| slot).collect();
            head.remove_many(&gone);
            of_keys.remove_many(&gone);
            world.retain(|slot, _| !gone.contains(*slot));
            check_series(&head, &world, 130);
            check_series(&of_keys, &world, 130);
        }
        head.remove_many(&(0..1000).collect());
        check_series(&head, &World::new(), 130);
        check_labels(&head, &World::new(), tenant, None);
    }
}

#[test]
fn a_cluster() {
    let keys = crate::kubernetes::keys(6_000, 3);
    let head = HeadIndex::new();
    let mut world = World::new();
    for (slot, key) in (0..).map(|i| i * 3).zip(&keys) {
        head.insert(slot, key);
        world.insert(slot, key.clone());
    }
    check_series(&head, &world, 18_010);
    check_labels(&head, &world, Tenant::DEFAULT, None);
    let some: RoaringBitmap = (0..18_010).filter(|slot| slot % 7 > 2).collect();
    check_order(&head, &world, &some);
    for selector in oracle::kubernetes_selectors() {
        let found = head.search(Tenant::DEFAULT, &compile(&selector));
        assert_eq!(found, oracle::search(&world, Tenant::DEFAULT, &selector), "{selector:?}");
        check_labels(&head, &world, Tenant::DEFAULT, Some(&found));
    }
}

#[test]
fn churn_does_not_leak() {
    let [searched, of_keys] = [HeadIndex::new(), HeadIndex::of_keys()].map(|head| churned_bytes(&head));
    assert!(of_keys < searched * 9 / 10, "{of_keys} bytes of {searched}");
}

/// Pods come and go; what they leave behind must not grow. Gives what the first take.
fn churned_bytes(head: &HeadIndex) -> usize {
    let mut after_first = 0;
    for round in 0..12 {
        let keys = crate::kubernetes::keys(5_000, 100 + round);
        head.insert_many((0..).zip(&keys));
        let bytes = head.bytes();
        assert!(bytes < 200 * keys.len(), "{bytes} bytes for {} series", keys.len());
        if round == 0 {
            after_first = bytes;
        }
        assert!(bytes < after_first * 3 / 2, "{bytes} in round {round} after {after_first} in the first");
        head.remove_many(&(0..5_000).collect());
        assert_eq!(head.series_count(), 0);
        assert!(head.label_names(Tenant::DEFAULT, None).is_empty());
    }
    after_first
}

fn key(labels: &[(&str, &str)]) -> SeriesKey {
    let mut builder = KeyBuilder::new();
    labels.iter().for_each(|(name, value)| builder.push(name, value));
    builder.build(Tenant::DEFAULT).expect("good labels")
}

/// Series of two kinds come and go, those of one kind in even slots and those of the other in odd ones, and reuse each other's numbers of all
/// sorts; a third kind stays. Whatever the moment, a search must not mix them up.
#[test]
fn searches_beside_writers_never_mix_series_up() {
    const STAYING: u32 = 500;
    let head = HeadIndex::new();
    let staying: Vec<SeriesKey> = (0..STAYING)
        .map(|i| key(&[("__name__", "m"), ("kind", "staying"), ("pod", &format!("pod-{i}-x")), ("le", "1")]))
        .collect();
    head.insert_many((0..).map(|i| 100_000 + i).zip(&staying));
    let done = AtomicBool::new(false);
    let set = |matchers: &[(&str, MatchOp, &str)]| {
        compile(&Selector::all_of(matchers.iter().map(|(n, o, v)| Matcher::new(*n, *o, *v)).collect()))
    };
    use MatchOp::{Equal, NotEqual, NotRegex, Regex};
    let stays: RoaringBitmap = (100_000..100_000 + STAYING).collect();
    std::thread::scope(|scope| {
        for writer in 0..2u32 {
            let (head, done) = (&head, &done);
            scope.spawn(move || {
                let kind = ["even", "odd"][writer as usize];
                for round in 0..60u32 {
                    let keys: Vec<SeriesKey> = (0..400)
                        .map(|i| {
                            let pod = format!("pod-{}-{kind}", (round * 31 + i) % 700);
                            let metric = format!("m{}", i % 5);
                            key(&[("__name__", &metric), ("kind", kind), ("pod", &pod), (kind, "1"), ("le", kind)])
                        })
                        .collect();
                    head.insert_many((0u32..).map(|i| i * 2 + writer).zip(&keys));
                    head.remove_many(&(0..400).map(|i| i * 2 + writer).collect());
                }
                done.store(true, Ordering::Release);
            });
        }
        for reader in 0..2 {
            let (head, done, stays) = (&head, &done, &stays);
            scope.spawn(move || {
                let none = [
                    set(&[("kind", Equal, "even"), ("even", Equal, "")]),
                    set(&[("kind", Equal, "odd"), ("pod", NotRegex, ".*-odd")]),
                    set(&[("odd", NotEqual, ""), ("even", NotEqual, "")]),
                    set(&[("pod", Regex, "pod-.*-even"), ("le", NotEqual, "even")]),
                    set(&[("kind", Regex, ".*e.*n"), ("__name__", Equal, "m")]),
                ];
                let staying = [
                    set(&[("kind", Equal, "staying")]),
                    set(&[("pod", Regex, "pod-[0-9]+-x"), ("__name__", Regex, "m.*")]),
                    set(&[("even", Equal, ""), ("odd", Equal, "")]),
                    set(&[("le", Equal, "1")]),
                    set(&[("__name__", Equal, "m"), ("le", NotRegex, "even|odd")]),
                ];
                let evens = [set(&[("kind", Equal, "even")]), set(&[("pod", Regex, ".*-[2-9].*-even")])];
                let mut rounds = 0;
                while !done.load(Ordering::Acquire) || rounds < 20 {
                    rounds += 1;
                    none.iter().for_each(|none| assert!(head.search(Tenant::DEFAULT, none).is_empty(), "{reader}"));
                    staying.iter().for_each(|selector| assert_eq!(&head.search(Tenant::DEFAULT, selector), stays));
                    for selector in &evens {
                        assert!(head.search(Tenant::DEFAULT, selector).iter().all(|slot| slot % 2 == 0));
                    }
                    let pods = head.label_values(Tenant::DEFAULT, "pod", Some(stays), usize::MAX);
                    assert_eq!(pods.len() as u32, STAYING);
                    assert_eq!(head.in_key_order(stays).len() as u32, STAYING);
                }
            });
        }
    });
    assert_eq!(head.series_count() as u32, STAYING);
}
