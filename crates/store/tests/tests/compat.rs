//! Data folders of every format version that was ever shipped are read for ever.
//!
//! `testdata/folders/v<n>` is a data folder with parts and a log, and `v<n>.txt` what is in it. They were written by the version of that number and are never renewed;
//! `UPDATE_EXPECT=1` only writes one that is missing.

use std::{fmt::Write, path::PathBuf, sync::Arc};

use disk::{Disk, RealDisk};
use model::{Matcher, Selector, Tenant, TimeRange};
use testkit::{ManualClock, SimDisk};

use crate::driver::{Driver, Found, NOW, quiet};

/// The format that this program writes.
const CURRENT: u32 = 1;

fn folders() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/folders")
}

fn text_of(found: &Found) -> String {
    let mut text = String::new();
    for (key, rows) in found {
        writeln!(text, "{key:?}").expect("a string takes all");
        for (time, bits) in rows {
            writeln!(text, "  {time} {bits:016x} {}", f64::from_bits(*bits)).expect("a string takes all");
        }
    }
    text
}

/// A folder with something of everything: two days, all kinds of values, a histogram, a deletion, metadata, and rows that are only in the log.
fn write_folder(disk: Arc<dyn Disk>) {
    let driver = Driver::open(disk, quiet(), &Arc::new(ManualClock::new(NOW))).expect("the store opens");
    for step in 0..300i64 {
        let time = NOW - 30 * 3_600_000 + step * 360_000 + step % 3;
        for bucket in ["0.1", "1", "+Inf"] {
            let labels = format!("__name__=latency_bucket,job=a,le={bucket}");
            driver.put(&[(labels.as_str(), time, (step * bucket.len() as i64) as f64)]);
        }
        driver.put(&[
            ("__name__=up,job=a", time, 1.0),
            ("__name__=ratio,job=a", time, step as f64 / 8.0 + 0.01),
            ("__name__=noise,job=a", time, (step as f64).sqrt().sin()),
            ("__name__=gone,job=b", time, 1.0),
        ]);
        if step == 200 {
            driver.flush().expect("it can be flushed");
        }
    }
    driver.put(&[
        ("__name__=odd,job=a", NOW, f64::NAN),
        ("__name__=odd,job=a", NOW - 1, f64::from_bits(model::STALE_NAN_BITS)),
    ]);
    driver
        .delete(Tenant::DEFAULT, Selector::all_of(vec![Matcher::equal("job", "b")]), TimeRange::ALL)
        .expect("it is deleted");
    driver.put(&[("__name__=late,job=a", NOW - 20 * 3_600_000, -0.0)]);
}

#[test]
fn every_version_is_read() {
    let newest = folders().join(format!("v{CURRENT}"));
    if !newest.exists() && std::env::var_os("UPDATE_EXPECT").is_some() {
        write_folder(Arc::new(RealDisk::open(&newest).expect("the folder can be made")));
        let found = open_copy(CURRENT).read_all(Tenant::DEFAULT).expect("it can be read");
        RealDisk::open(folders())
            .and_then(|disk| disk::publish_file(&disk, format!("v{CURRENT}.txt").as_ref(), text_of(&found).as_bytes()))
            .expect("the text can be written");
    }
    for version in 1..=CURRENT {
        let found = open_copy(version).read_all(Tenant::DEFAULT).expect("it can be read");
        let disk = RealDisk::open(folders()).expect("the folder is there");
        let want = disk.read(format!("v{version}.txt").as_ref(), 1 << 20).expect("the text is there");
        assert_eq!(text_of(&found), String::from_utf8(want).expect("it is a text"), "version {version}");
    }
}

/// Opens a copy: a store changes its folder.
fn open_copy(version: u32) -> Driver {
    let from = RealDisk::open(folders().join(format!("v{version}"))).expect("the folder is there");
    let copy = SimDisk::new(1);
    let mut left = vec![PathBuf::new()];
    while let Some(folder) = left.pop() {
        for entry in from.list(&folder).expect("it can be listed") {
            let path = folder.join(&entry.name);
            if entry.is_dir {
                left.push(path);
            } else {
                copy.plant(&path, &from.read(&path, 1 << 24).expect("it can be read"));
            }
        }
    }
    Driver::open(Arc::new(copy), quiet(), &Arc::new(ManualClock::new(NOW))).expect("every version opens")
}
