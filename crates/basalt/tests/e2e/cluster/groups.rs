//! Storages in groups, each series in two of them: a whole group may be away.

use serde_json::Value;

use super::nodes::{address_behind, start_role};
use crate::{
    prometheus::wait_until,
    server::{Basalt, folder},
    wire::{BodyWriter, labels},
};

const TIME: i64 = 1_767_312_000_000;
const SERIES: usize = 200;

fn write(insert: &Basalt, scrape: i64) -> u16 {
    let mut body = BodyWriter::default();
    for series in 0..SERIES {
        let labels = labels(&[("__name__", "grouped"), ("series", &series.to_string())]);
        body.series(&labels, &[(TIME + scrape * 15_000, 0.1)]);
    }
    insert.write(&body.body).status
}

/// Whether the answer is partial, and how many series it counts.
fn count(select: &Basalt) -> (Option<bool>, String) {
    let query = format!("/select/0/prometheus/api/v1/query?nocache=1&query=count(grouped)&time={}", TIME / 1000 + 30);
    let answer: Value = serde_json::from_str(&select.ok(&query)).expect("JSON");
    let count = answer["data"]["result"][0]["value"][1].as_str().unwrap_or("0");
    (answer["isPartial"].as_bool(), count.to_string())
}

#[test]
fn a_group_may_be_away_when_each_series_is_in_two() {
    let folders: Vec<_> = (0..4).map(|_| folder()).collect();
    let start = |number: usize| {
        let host = format!("127.0.1.{}:0", number + 1);
        let flags = [
            format!("-storageDataPath={}", folders[number].path().display()),
            "-retentionPeriod=100y".to_string(),
            format!("-vminsertAddr={host}"),
            format!("-vmselectAddr={host}"),
        ];
        start_role("storage", &flags)
    };
    let mut storages: Vec<Option<Basalt>> = (0..4).map(|number| Some(start(number))).collect();
    let list = |text: &str| {
        let address = |(number, storage): (usize, &Option<Basalt>)| {
            let storage = storage.as_ref().expect("it runs");
            format!("g{}/{}", number / 2, address_behind(storage, text))
        };
        format!("-storageNode={}", storages.iter().enumerate().map(address).collect::<Vec<_>>().join(","))
    };
    let hints = folder();
    let factor = "-globalReplicationFactor=2".to_string();
    let hints = format!("-hints.path={}", hints.path().display());
    let insert = start_role("insert", &[list("accepting vminsert conns at"), factor.clone(), hints]);
    let select = start_role("select", &[list("accepting vmselect conns at"), factor]);
    assert_eq!(write(&insert, 0), 204);
    let rows =
        |storage: &Option<Basalt>| storage.as_ref().expect("it runs").metric("vm_rows_added_to_storage_total") as usize;
    let by_group: Vec<usize> = storages.chunks(2).map(|group| group.iter().map(rows).sum()).collect();
    assert_eq!(by_group, [SERIES, SERIES], "each group has every series once");
    wait_until("all is complete", || count(&select) == (Some(false), SERIES.to_string()));
    for storage in &mut storages[2..] {
        storage.take().expect("it runs").kill9();
    }
    assert_eq!(write(&insert, 1), 204, "one group has it, and there are hints for the other");
    assert_eq!(count(&select), (Some(false), SERIES.to_string()), "the other group has everything");
    let whole = select.ok("/select/0/prometheus/api/v1/export?match[]=grouped&start=1");
    assert_eq!(whole.lines().count(), SERIES, "what must not lack anything is answered too");
    let names = select.ok("/select/0/prometheus/api/v1/series?match[]=grouped&start=1");
    assert_eq!(names.matches("__name__").count(), SERIES);
    storages[0].take().expect("it runs").kill9();
    let (is_partial, counted) = count(&select);
    assert!(is_partial == Some(true) && counted != SERIES.to_string(), "{counted}");
}
