//! The index of a part against the naive answers.

use std::collections::BTreeMap;
use std::path::Path;

use disk::{Corrupt, Map};
use index::{CompiledSelector, IndexWriter, KeyNumbers, PartIndex};
use model::{SeriesId, SeriesKey, Tenant};
use proptest::prelude::*;
use roaring::RoaringBitmap;

use crate::oracle::{self, World};

pub fn write<'a>(keys: impl IntoIterator<Item = &'a SeriesKey>) -> Vec<u8> {
    let mut writer = IndexWriter::new();
    keys.into_iter().for_each(|key| writer.add(key));
    let mut bytes = Vec::new();
    let summary = writer
        .finish(&mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })
        .expect("memory refuses nothing");
    assert_eq!(summary.bytes, bytes.len() as u64);
    bytes
}

/// Writes series that come by the numbers of their source, which makes keys only where it must.
pub fn write_numbered(series: impl IntoIterator<Item = (KeyNumbers, SeriesKey)>) -> Vec<u8> {
    let mut writer = IndexWriter::new();
    for (numbers, key) in series {
        let id = SeriesId::of(&key);
        if writer.add_numbered(3, numbers, id).is_none() {
            writer.add_and_learn(3, numbers, &key, id);
        }
    }
    let mut bytes = Vec::new();
    let out = &mut |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok(())
    };
    writer.finish(out).expect("memory refuses nothing");
    bytes
}

/// The numbers of a part say as much as its keys.
fn check_numbers(part: &PartIndex, world: &World) {
    let mut cursor = part.keys(0);
    let mut series = Vec::new();
    let mut key = SeriesKey::default();
    while let Some((number, numbers)) = cursor.next_numbers().expect("a sound index") {
        // Not every key is made: the next one does not need the one before.
        if number % 3 > 0 {
            cursor.last_key(&mut key).expect("a sound index");
            assert_eq!(&key, &world[&number]);
        }
        series.push((numbers, world[&number].clone()));
    }
    assert_eq!(write_numbered(series), write(world.values()));
}

pub fn open(bytes: Vec<u8>) -> Result<PartIndex, Corrupt> {
    PartIndex::open(Map::from(bytes), Path::new("part/index"))
}

fn numbered<'a>(keys: impl IntoIterator<Item = &'a SeriesKey>) -> World {
    (0..).zip(keys.into_iter().cloned()).collect()
}

fn check_series(part: &PartIndex, world: &World) {
    assert_eq!(part.series_count() as usize, world.len());
    let mut cursor = part.keys(0);
    let mut key = SeriesKey::default();
    for (number, want) in world {
        assert_eq!(cursor.next().expect("a sound index"), Some((*number, want)));
        part.key(*number, &mut key).expect("a sound index");
        assert_eq!(&key, want);
        assert_eq!(part.id(*number).expect("a sound index"), SeriesId::of(want));
    }
    assert!(cursor.next().expect("a sound index").is_none());
    let ids = part.ids(0..part.series_count()).expect("a sound index");
    assert!(ids.iter().eq(world.values().map(SeriesId::of)));
    let mut tenants: Vec<(Tenant, std::ops::Range<u32>)> = Vec::new();
    for (number, key) in world {
        match tenants.last_mut().filter(|(tenant, _)| *tenant == key.tenant()) {
            Some((_, range)) => range.end += 1,
            None => tenants.push((key.tenant(), *number..number + 1)),
        }
    }
    assert_eq!(part.tenants().expect("a sound index"), tenants);
    check_numbers(part, world);
    assert!(part.key(part.series_count(), &mut key).is_err());
    assert!(part.id(part.series_count()).is_err());
}

fn check_labels(part: &PartIndex, world: &World, tenant: Tenant, within: Option<&RoaringBitmap>) {
    let want = oracle::cardinality(world, tenant, within);
    assert_eq!(part.label_names(tenant, within).expect("a sound index"), oracle::names(&want));
    for name in oracle::NAMES.into_iter().chain(["pod", "node", "device", "absent"]) {
        let want = oracle::values(&want, name);
        for limit in [usize::MAX, 2] {
            let found = part.label_values(tenant, name, within, limit).expect("a sound index");
            assert_eq!(found, want[..want.len().min(limit)], "{name}");
        }
    }
    let mut counts = BTreeMap::new();
    let mut last = None;
    part.cardinality(tenant, within, &mut |name, value, count| {
        let pair = (name.to_string(), value.to_string());
        assert!(last.as_ref().is_none_or(|last| *last < pair), "in order");
        last = Some(pair.clone());
        counts.insert(pair, count);
    })
    .expect("a sound index");
    assert_eq!(counts, want);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn small_worlds(
        keys in oracle::keys(60),
        tenant in oracle::tenant(),
        selectors in prop::collection::vec(oracle::selector(), 6),
        seeks in prop::collection::vec(0..60u32, 6),
    ) {
        let world = numbered(&keys);
        let part = open(write(&keys)).expect("a sound index");
        part.verify().expect("a sound index");
        check_series(&part, &world);
        check_labels(&part, &world, tenant, None);
        for selector in selectors {
            let compiled = CompiledSelector::compile(&selector).expect("good matchers");
            let found = part.search(tenant, &compiled).expect("a sound index");
            prop_assert_eq!(&found, &oracle::search(&world, tenant, &selector), "{:?}", selector);
            check_labels(&part, &world, tenant, Some(&found));
        }
        let mut cursor = part.keys(0);
        for seek in seeks {
            cursor.seek(seek);
            let want = world.get(&seek).map(|key| (seek, key));
            prop_assert_eq!(cursor.next().expect("a sound index"), want);
        }
    }
}

#[test]
fn a_cluster() {
    let keys = crate::oracle::cluster(6_000, 3);
    let world = numbered(&keys);
    let bytes = write(&keys);
    let part = open(bytes).expect("a sound index");
    part.verify().expect("a sound index");
    check_series(&part, &world);
    check_labels(&part, &world, Tenant::DEFAULT, None);
    for selector in oracle::kubernetes_selectors() {
        let compiled = CompiledSelector::compile(&selector).expect("good matchers");
        let found = part.search(Tenant::DEFAULT, &compiled).expect("a sound index");
        assert_eq!(found, oracle::search(&world, Tenant::DEFAULT, &selector), "{selector:?}");
        check_labels(&part, &world, Tenant::DEFAULT, Some(&found));
    }
    assert!(part.search(Tenant::new(1, 0), &compile_all()).expect("a sound index").is_empty());
}

fn compile_all() -> CompiledSelector {
    CompiledSelector::compile(&model::Selector::everything()).expect("no matcher")
}

/// A cluster costs few bytes a series, the 16 of the ids included.
#[test]
fn an_index_is_small() {
    for (series, bytes_max) in [(10_000, 36), (40_000, 32)] {
        let keys = crate::oracle::cluster(series, 5);
        let bytes = write(&keys).len();
        assert!(bytes <= keys.len() * bytes_max, "{bytes} bytes for {} series", keys.len());
    }
}

#[test]
fn no_series_is_an_index_too() {
    let part = open(write([])).expect("a sound index");
    part.verify().expect("a sound index");
    check_series(&part, &World::new());
    assert!(part.search(Tenant::DEFAULT, &compile_all()).expect("a sound index").is_empty());
    assert!(part.label_names(Tenant::DEFAULT, None).expect("a sound index").is_empty());
}
