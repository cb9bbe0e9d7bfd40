//! Damaged bytes are errors or answers as before, never other answers and never a panic.

use disk::Corrupt;
use index::CompiledSelector;
use model::{SeriesKey, Tenant};
use roaring::RoaringBitmap;

use crate::oracle;
use crate::part::{open, write};

/// All that can be asked of an index.
#[derive(Debug, PartialEq)]
struct Answers {
    keys: Vec<SeriesKey>,
    ids: Vec<u128>,
    tenants: usize,
    found: Vec<RoaringBitmap>,
    names: Vec<String>,
    values: Vec<Vec<String>>,
    pairs: Vec<(String, String, u64)>,
}

fn ask(bytes: Vec<u8>, selectors: &[CompiledSelector]) -> Result<Answers, Corrupt> {
    let part = open(bytes)?;
    let tenant = Tenant::DEFAULT;
    let found = selectors.iter().map(|selector| part.search(tenant, selector)).collect::<Result<Vec<_>, _>>()?;
    let mut keys = Vec::new();
    let mut cursor = part.keys(0);
    while let Some((_, key)) = cursor.next()? {
        keys.push(key.clone());
    }
    let names = part.label_names(tenant, found.last())?;
    let values = names.iter().map(|name| part.label_values(tenant, name, None, 100)).collect::<Result<_, _>>()?;
    let mut pairs = Vec::new();
    part.cardinality(tenant, None, &mut |name, value, count| pairs.push((name.into(), value.into(), count)))?;
    let ids = part.ids(0..part.series_count())?.iter().map(|id| id.0).collect();
    Ok(Answers { keys, ids, tenants: part.tenants()?.len(), found, names, values, pairs })
}

#[test]
fn every_byte_flipped_and_every_length() {
    let keys = crate::oracle::cluster(60, 9);
    let good = write(&keys);
    let selectors: Vec<_> = oracle::kubernetes_selectors()
        .iter()
        .map(|selector| CompiledSelector::compile(selector).expect("good matchers"))
        .collect();
    let want = ask(good.clone(), &selectors).expect("a sound index");
    let mut errors = 0;
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        match ask(bad, &selectors) {
            Ok(answers) => assert_eq!(answers, want, "byte {at}"),
            Err(error) => {
                errors += 1;
                assert!(error.to_string().contains("part/index"), "{error}");
            }
        }
        assert!(ask(good[..at].to_vec(), &selectors).is_err(), "cut at {at}");
    }
    assert_eq!(errors, good.len(), "every byte is under a checksum that these questions look at");
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let mut bytes = write(&crate::oracle::cluster(5, 9));
    let version = bytes.len() - 8 - 4 - 2;
    bytes[version] += 1;
    let error = open(bytes).expect_err("a newer format");
    assert!(error.to_string().contains("newer"), "{error}");
}
