//! Every format version ever shipped is read for ever: `tests/versions/` holds a segment of each.
//!
//! `UPDATE_EXPECT=1` writes the segment of the present version, once, when it is new.

use std::path::Path;

use disk::{Disk, RealDisk};
use testkit::SimDisk;

use crate::common::{Event, append, create, deterministic, dir, events_of, is_clean, replay_from};

const NAME: &str = "0000000000000000.log";

/// Something of everything that version 1 can say.
fn requests() -> Vec<Vec<(u32, i64, f64)>> {
    let t = 1_700_000_000_000;
    vec![
        vec![(0, t, 1.0), (1, t, 0.1), (2, t + 3, f64::from_bits(model::STALE_NAN_BITS)), (40, t + 3, -7e15)],
        vec![(0, t + 15_000, 1.0), (1, t + 15_000, 0.3), (2, t + 15_000, 5.5), (40, t + 15_000, -7e15 + 300.0)],
        vec![(1, t, 0.1 + f64::EPSILON), (1, t + 10, 1e300), (1, t + 20, -0.0), (0, t - 86_400_000, 4e9)],
        vec![(5, i64::MIN, f64::INFINITY), (4, i64::MAX, f64::NEG_INFINITY)],
    ]
}

fn opaque() -> [Event; 2] {
    [Event::Tombstone(b"{a=\"b\"}".to_vec()), Event::Metadata(b"counter".to_vec())]
}

fn write_segment() -> Vec<u8> {
    let disk = SimDisk::new(1);
    let wal = create(&disk, 0, deterministic());
    for request in requests() {
        append(&wal, &request).unwrap().wait().unwrap();
    }
    wal.append_tombstone(b"{a=\"b\"}").unwrap().wait().unwrap();
    wal.append_metadata(b"counter").unwrap().wait().unwrap();
    disk.read(&dir().join(NAME), 1 << 20).unwrap()
}

/// The segments of all versions.
fn shipped() -> RealDisk {
    RealDisk::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/versions")).unwrap()
}

#[test]
fn version_1_is_read() {
    let (shipped, name) = (shipped(), Path::new("v1.log"));
    if std::env::var_os("UPDATE_EXPECT").is_some() && !shipped.exists(name).unwrap() {
        shipped.create(name).unwrap().append(&write_segment()).unwrap();
    }
    let disk = SimDisk::new(2);
    disk.create_dir_all(&dir()).unwrap();
    disk.create(&dir().join(NAME)).unwrap().append(&shipped.read(name, 1 << 20).unwrap()).unwrap();
    let (report, events) = replay_from(&disk, 0, 1);
    assert!(is_clean(&report), "{report:?}");
    let samples: Vec<Event> = requests().iter().flat_map(|request| events_of(request)).collect();
    let (opaque_found, samples_found): (Vec<_>, Vec<_>) =
        events.into_iter().partition(|event| !matches!(event, Event::Sample(..)));
    assert_eq!((samples_found, opaque_found), (samples, opaque().to_vec()));
}
