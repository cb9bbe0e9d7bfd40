//! Without faults the simulated disk is a disk.
//!
//! Strategy: the same random operations on a [`SimDisk`] and on a folder of this machine.
//! Invariants: every answer is the same, error kinds included, and so is what is there at the end;
//! also after the process was killed, and after a power cut when everything had been synced.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use disk::{Disk, DiskFile, Entry, RealDisk, Result};
use testkit::{Rng, SimDisk};

const SEEDS: u64 = 8;
const OPERATIONS: usize = 400;
const MAX_OPEN: usize = 4;
const LIMIT: u64 = 1000;

/// A disk with the files that are open on it.
struct Machine<'a> {
    disk: &'a dyn Disk,
    open: Vec<Box<dyn DiskFile>>,
}

/// What an operation answered, as far as two disks can be compared.
#[derive(Debug, PartialEq)]
enum Answer {
    Done,
    Bytes(Vec<u8>),
    Number(u64),
    List(Vec<Entry>),
    Refused(ErrorKind),
}

fn answer<T>(result: Result<T>, done: impl FnOnce(T) -> Answer) -> Answer {
    match result {
        Ok(value) => done(value),
        Err(error) => Answer::Refused(error.source.kind()),
    }
}

fn done<T>(_: T) -> Answer {
    Answer::Done
}

/// A path among few, so that operations meet; rarely one that leaves the folder.
fn draw_path(rng: &mut Rng) -> PathBuf {
    if rng.chance(0.01) {
        return PathBuf::from(*rng.pick(&["", "..", "/x", "a/../b"]));
    }
    let depth = *rng.pick(&[1, 1, 2, 2, 3]);
    (0..depth).map(|_| *rng.pick(&["a", "b", "c"])).collect()
}

impl Machine<'_> {
    fn keep_open(&mut self, file: Result<Box<dyn DiskFile>>) -> Answer {
        answer(file, |file| {
            let len = file.len();
            self.open.push(file);
            if self.open.len() > MAX_OPEN {
                self.open.remove(0);
            }
            Answer::Number(len)
        })
    }

    /// One operation; both machines draw the same from equal generators.
    fn step(&mut self, rng: &mut Rng) -> (String, Answer) {
        let (path, other) = (draw_path(rng), draw_path(rng));
        let (path, other) = (path.as_path(), other.as_path());
        let kind = rng.below(20);
        let number = rng.below(1500);
        let disk = self.disk;
        let answer = match kind {
            0..=3 => self.keep_open(disk.create(path)),
            4 => self.keep_open(disk.reopen(path, number)),
            5..=7 => match self.open.len() {
                0 => Answer::Done,
                open => {
                    let bytes = rng.bytes(number as usize);
                    answer(self.open[number as usize % open].append(&bytes), done)
                }
            },
            8 if number < 700 => match self.open.len() {
                0 => Answer::Done,
                open => answer(self.open[number as usize % open].reserve(number * 3), done),
            },
            8 => answer(self.open.iter_mut().try_for_each(|file| file.sync()), done),
            9 => answer(disk.map(path), |map| Answer::Bytes(map.to_vec())),
            10 => answer(disk.read(path, LIMIT), Answer::Bytes),
            11..=12 => answer(disk.rename(path, other), done),
            13 => answer(disk.hard_link(path, other), done),
            14 => answer(disk.remove_file(path), done),
            15 if number < 500 => answer(disk.remove_dir_all(path), done),
            15 => answer(disk.len(path), Answer::Number),
            16 => answer(disk.create_dir_all(path), done),
            17 => answer(disk.sync_dir(path), done),
            18 => answer(disk.list(path), Answer::List),
            _ => answer(disk.exists(path), |there| Answer::Number(u64::from(there))),
        };
        (format!("{kind} {path:?} {other:?} {number}"), answer)
    }
}

/// Everything that is there, folders without bytes.
fn contents(disk: &dyn Disk) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut all = BTreeMap::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(dir) = todo.pop() {
        for entry in disk.list(&dir).unwrap() {
            let path = dir.join(entry.name);
            if entry.is_dir {
                todo.push(path.clone());
            }
            let bytes = (!entry.is_dir).then(|| disk.read(&path, u64::MAX).unwrap());
            all.insert(path, bytes);
        }
    }
    all
}

fn sync_everything(disk: &dyn Disk) {
    disk.sync_dir(Path::new("")).unwrap();
    for (path, bytes) in contents(disk) {
        match bytes {
            Some(bytes) => disk.reopen(&path, bytes.len() as u64).unwrap().sync().unwrap(),
            None => disk.sync_dir(&path).unwrap(),
        }
    }
}

#[test]
fn the_same_operations_give_the_same_answers() {
    for seed in 0..SEEDS {
        let folder = tempfile::tempdir().unwrap();
        let real = RealDisk::open(folder.path()).unwrap();
        let sim = SimDisk::new(seed);
        let mut machines = [&real as &dyn Disk, &sim].map(|disk| Machine { disk, open: Vec::new() });
        let mut rng = Rng::new(seed);
        for number in 0..OPERATIONS {
            let step = rng.next_u64();
            let [real, sim] = machines.each_mut().map(|machine| machine.step(&mut Rng::new(step)));
            assert_eq!(real, sim, "seed {seed} operation {number}");
        }
        let expect = contents(&real);
        assert_eq!(expect, contents(&sim), "seed {seed}");
        let sim = sim.kill();
        assert_eq!(expect, contents(&sim), "seed {seed} after a kill");
        sync_everything(&sim);
        for cut in 0..10 {
            assert_eq!(expect, contents(&sim.what_if_cut(cut)), "seed {seed} cut {cut}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let history = || {
        let sim = SimDisk::new(7);
        sim.fail_with_probability(0.1);
        let mut machine = Machine { disk: &sim, open: Vec::new() };
        let mut rng = Rng::new(3);
        let answers: Vec<_> = (0..OPERATIONS).map(|_| machine.step(&mut rng)).collect();
        let trace = sim.trace();
        (answers, trace, contents(&sim.cut_power()))
    };
    assert_eq!(history(), history());
}
