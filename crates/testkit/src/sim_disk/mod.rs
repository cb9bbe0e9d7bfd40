//! A disk in memory that does everything a disk is allowed to do, from a seed.
//!
//! 1. While the machine runs, everybody sees what was written: that is the page cache.
//! 2. Only a sync of the file makes its bytes durable, only a sync of the folder its name.
//! 3. [`SimDisk::cut_power`] gives the disk that the machine finds after the power came back: what
//!    was durable, and of the rest some part that the seed decides. [`SimDisk::kill`] gives the one
//!    that the next process finds: everything, except that nothing is open or locked.
//! 4. Faults are planned with [`Fault`]: an operation fails, an append stops short, a sync drops
//!    what it should have written. The machine can be told to stop after a number of operations.
//! 5. Every operation is recorded, so that a test can look at their order.
//!
//! With one thread the same seed and the same calls always give the same history.

mod contents;
mod fault;
mod ops;
mod state;
mod tree;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use fault::{Fault, Op};
pub use state::Event;
use state::{Power, State};
pub use tree::DirOrder;

use crate::Rng;

type Hook = Arc<dyn Fn(Op, &Path) + Send + Sync>;

/// A hostile disk; see the head of the module. A clone is the same disk.
#[derive(Clone)]
pub struct SimDisk {
    machine: Arc<Machine>,
}

struct Machine {
    seed: u64,
    state: Mutex<State>,
    hook: Mutex<Option<Hook>>,
}

impl SimDisk {
    /// An empty disk. The seed decides everything that chance decides.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk::with(seed, State::new(seed))
    }

    fn with(seed: u64, state: State) -> SimDisk {
        SimDisk { machine: Arc::new(Machine { seed, state: Mutex::new(state), hook: Mutex::new(None) }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked on purpose may go on to look at what is there.
        self.machine.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts the power: what the machine finds when it is back. This disk and all that was opened on
    /// it answer with errors from now on.
    pub fn cut_power(&self) -> SimDisk {
        SimDisk::with(self.machine.seed, {
            let state = self.take();
            state.after_power_cut(state.rng.clone())
        })
    }

    /// Kills the process: what the next one finds. Nothing written is lost, nothing is open, no
    /// lock is held. This disk answers with errors from now on.
    pub fn kill(&self) -> SimDisk {
        SimDisk::with(self.machine.seed, self.take().after_kill())
    }

    /// What the machine would find if the power were cut now, with the outcome that `seed` decides.
    /// This disk goes on: so one history can be tried at many points with many outcomes.
    pub fn what_if_cut(&self, seed: u64) -> SimDisk {
        SimDisk::with(seed, self.state().after_power_cut(Rng::new(seed)))
    }

    fn take(&self) -> State {
        let mut state = self.state();
        assert!(state.power != Power::Gone, "BUG: this machine was restarted before");
        let mut gone = State::new(0);
        gone.power = Power::Gone;
        std::mem::replace(&mut state, gone)
    }

    /// Plans a fault. It is over when the machine restarts.
    pub fn inject(&self, fault: Fault) {
        self.state().plan.add(fault);
    }

    /// Fails the `n`-th operation of a kind from now on, counted from 1.
    pub fn fail_nth(&self, op: Op, n: u64, errno: i32) {
        self.inject(Fault::on(op).nth(n).errno(errno));
    }

    /// Fails every operation that changes something with this probability (EIO).
    pub fn fail_with_probability(&self, probability: f64) {
        self.inject(Fault::on_any(&Op::CHANGING).probability(probability));
    }

    /// Fails every read and map of paths like this one (EIO).
    pub fn fail_reads_of(&self, pattern: &str) {
        self.inject(Fault::on_any(&[Op::Read, Op::Map]).path(pattern));
    }

    /// Forgets all planned faults.
    pub fn clear_faults(&self) {
        self.state().plan.clear();
    }

    /// Leaves room for this many more bytes; what is removed makes room again.
    pub fn set_free_bytes(&self, bytes: u64) {
        let mut state = self.state();
        state.capacity = Some(state.tree.used_bytes().saturating_add(bytes));
    }

    /// Says yes to syncs of files and folders like this one without making anything durable: a test
    /// that stays green with it does not test that sync. Lasts over restarts.
    pub fn ignore_sync(&self, pattern: &str) {
        self.state().ignored_syncs.push(pattern.to_owned());
    }

    /// Fixes what happens at power cuts to names that were not synced; else each draws its own.
    pub fn set_dir_order(&self, order: DirOrder) {
        self.state().order = Some(order);
    }

    /// Lets the machine stop after `operations` more: the next one may or may not take place, and
    /// all after it fail. Then [`SimDisk::cut_power`] or [`SimDisk::kill`] restart it.
    pub fn stop_after(&self, operations: u64) {
        self.state().stop_after = Some(operations);
    }

    /// Whether the machine came to the end that [`SimDisk::stop_after`] set.
    pub fn has_stopped(&self) -> bool {
        self.state().power != Power::On
    }

    /// Calls `hook` before every operation, with no lock of this disk held. Restarts end it.
    pub fn on_operation(&self, hook: impl Fn(Op, &Path) + Send + Sync + 'static) {
        *self.machine.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(hook));
    }

    /// What was asked of this machine since it started.
    pub fn events(&self) -> Vec<Event> {
        self.state().events.clone()
    }

    /// The events as text, a line each, for the message of a failing test.
    pub fn trace(&self) -> String {
        self.state().events.iter().map(|event| format!("{event}\n")).collect()
    }

    /// How often an operation was asked for since the start.
    pub fn count(&self, op: Op) -> u64 {
        self.state().counts.get(&op).copied().unwrap_or(0)
    }

    /// How many operations were asked for since the start.
    pub fn operations(&self) -> u64 {
        self.state().counts.values().sum()
    }

    /// Flips one bit of a file, on the disk and in the cache; the seed chooses which of the byte.
    pub fn flip_bit(&self, path: impl AsRef<Path>, offset: u64) {
        let bit = self.state().rng.below(8);
        self.damage(path, offset, 1 << bit);
    }

    /// Changes the bits of one byte that are set in `xor`.
    pub fn damage(&self, path: impl AsRef<Path>, offset: u64, xor: u8) {
        let offset = usize::try_from(offset).expect("BUG: an offset in memory");
        self.with_file(path.as_ref(), |file| file.damage(offset, xor));
    }

    /// Cuts a file to its first `len` bytes, durably.
    pub fn truncate(&self, path: impl AsRef<Path>, len: u64) {
        let len = usize::try_from(len).expect("BUG: a length in memory");
        self.with_file(path.as_ref(), |file| file.truncate(len));
    }

    /// Puts a file there, durably, over what may be there; not recorded, never failing.
    pub fn plant(&self, path: impl AsRef<Path>, bytes: &[u8]) {
        let path = path.as_ref();
        self.state().plant(path, bytes).unwrap_or_else(|error| panic!("cannot plant {path:?}: {error}"));
    }

    fn with_file<T>(&self, path: &Path, act: impl FnOnce(&mut contents::Contents) -> T) -> T {
        let mut state = self.state();
        let found = state.tree.find(path).and_then(|node| state.tree.file(node));
        act(found.unwrap_or_else(|error| panic!("no file {path:?}: {error}")))
    }

    /// The bytes of a file as processes see them, not recorded.
    pub fn contents(&self, path: impl AsRef<Path>) -> Vec<u8> {
        self.with_file(path.as_ref(), |file| file.cache.clone())
    }

    /// Whether a file would be found after any power cut, under this name and with these bytes.
    pub fn is_durable(&self, path: impl AsRef<Path>) -> bool {
        let path = path.as_ref();
        self.with_file(path, |file| file.is_durable()) && self.state().tree.is_durable(path)
    }

    /// The paths of all files, sorted; not recorded.
    pub fn files(&self) -> Vec<PathBuf> {
        let state = self.state();
        let mut files = Vec::new();
        let mut todo = vec![(PathBuf::new(), tree::ROOT)];
        while let Some((path, node)) = todo.pop() {
            match state.tree.entries(node) {
                Ok(entries) => todo.extend(entries.into_iter().map(|(name, node)| (path.join(name), node))),
                Err(_) => files.push(path),
            }
        }
        files.sort();
        files
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimDisk(seed {})", self.machine.seed)
    }
}
