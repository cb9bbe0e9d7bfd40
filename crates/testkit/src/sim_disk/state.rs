//! One machine: its names and bytes, its fault plan, and the record of what was asked of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use super::fault::{How, Op, Plan, glob};
use super::tree::{DirOrder, NodeId, Tree, os};
use crate::Rng;

/// Events that are kept; a longer history only counts on.
const MAX_EVENTS: usize = 1 << 20;
/// Nodes that nothing leads to are forgotten when there are this many more than last time.
const GARBAGE_NODES: usize = 256;

/// An operation as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Counts from 1.
    pub number: u64,
    /// What was asked.
    pub op: Op,
    /// Of which file or folder; for an open file the name that it was opened by.
    pub path: String,
    /// The second name of a rename or link.
    pub to: Option<String>,
    /// The bytes of an append.
    pub bytes: usize,
    /// Whether the caller was told that it succeeded.
    pub ok: bool,
}

impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {:?}", self.number, self.op, self.path)?;
        if let Some(to) = &self.to {
            write!(f, " to {to:?}")?;
        }
        if self.op == Op::Append {
            write!(f, " {} bytes", self.bytes)?;
        }
        f.write_str(if self.ok { "" } else { " FAILED" })
    }
}

/// What is asked of the disk.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) op: Op,
    pub(super) path: &'a Path,
    pub(super) to: Option<&'a Path>,
    pub(super) bytes: usize,
}

impl Call<'_> {
    fn paths(&self) -> [&str; 2] {
        [self.path, self.to.unwrap_or(self.path)].map(|path| path.to_str().unwrap_or(""))
    }
}

/// How far an operation gets.
pub(super) enum Fate {
    /// It goes through.
    Act,
    /// The caller gets this error, after the operation went wrong in this way.
    Fail(How, io::Error),
    /// The machine stops in the middle: the operation may have taken place, nobody learns of it.
    Stop { done: bool },
}

/// Why a machine no longer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Power {
    On,
    /// It stopped by itself and waits to be restarted.
    Stopped,
    /// It was restarted as another [`super::SimDisk`].
    Gone,
}

#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) rng: Rng,
    pub(super) power: Power,
    pub(super) tree: Tree,
    pub(super) plan: Plan,
    pub(super) locked: BTreeSet<NodeId>,
    pub(super) open: BTreeMap<NodeId, usize>,
    /// All bytes that there is room for, if that is limited.
    pub(super) capacity: Option<u64>,
    pub(super) ignored_syncs: Vec<String>,
    pub(super) order: Option<DirOrder>,
    pub(super) stop_after: Option<u64>,
    pub(super) events: Vec<Event>,
    pub(super) counts: BTreeMap<Op, u64>,
    operations: u64,
    garbage_limit: usize,
}

impl State {
    pub(super) fn new(seed: u64) -> State {
        State {
            rng: Rng::new(seed),
            power: Power::On,
            tree: Tree::new(),
            plan: Plan::default(),
            locked: BTreeSet::new(),
            open: BTreeMap::new(),
            capacity: None,
            ignored_syncs: Vec::new(),
            order: None,
            stop_after: None,
            events: Vec::new(),
            counts: BTreeMap::new(),
            operations: 0,
            garbage_limit: GARBAGE_NODES,
        }
    }

    /// Decides what happens to an operation.
    pub(super) fn admit(&mut self, call: Call<'_>) -> io::Result<Fate> {
        if self.power != Power::On {
            return Err(stopped());
        }
        if let Some(left) = &mut self.stop_after {
            if *left == 0 {
                self.power = Power::Stopped;
                return Ok(Fate::Stop { done: self.rng.chance(0.5) });
            }
            *left -= 1;
        }
        Ok(match self.plan.strike(call.op, call.paths(), &mut self.rng) {
            Some((how, error)) => Fate::Fail(how, error),
            None => Fate::Act,
        })
    }

    pub(super) fn record(&mut self, call: Call<'_>, ok: bool) {
        self.operations += 1;
        *self.counts.entry(call.op).or_insert(0) += 1;
        if self.events.len() < MAX_EVENTS {
            let text = |path: &Path| path.to_string_lossy().into_owned();
            self.events.push(Event {
                number: self.operations,
                op: call.op,
                path: text(call.path),
                to: call.to.map(text),
                bytes: call.bytes,
                ok,
            });
        }
    }

    pub(super) fn free_bytes(&self) -> Option<u64> {
        self.capacity.map(|capacity| capacity.saturating_sub(self.tree.used_bytes()))
    }

    pub(super) fn is_sync_ignored(&self, path: &Path) -> bool {
        let path = path.to_str().unwrap_or("");
        self.ignored_syncs.iter().any(|pattern| glob(pattern, path))
    }

    /// Writes as much as there is room for.
    pub(super) fn write(&mut self, node: NodeId, at: usize, bytes: &[u8]) -> io::Result<()> {
        let room = self.longest(node)?.saturating_sub(at);
        let fits = &bytes[..bytes.len().min(room)];
        self.tree.file(node)?.write(at, fits);
        if fits.len() < bytes.len() { Err(os(libc::ENOSPC)) } else { Ok(()) }
    }

    /// Makes a file as long as there is room for.
    pub(super) fn reserve(&mut self, node: NodeId, len: usize) -> io::Result<()> {
        let fits = len.min(self.longest(node)?);
        self.tree.file(node)?.reserve(fits);
        if fits < len { Err(os(libc::ENOSPC)) } else { Ok(()) }
    }

    /// How long a file can become.
    fn longest(&mut self, node: NodeId) -> io::Result<usize> {
        let free = self.free_bytes().map_or(usize::MAX, |free| usize::try_from(free).unwrap_or(usize::MAX));
        Ok(self.tree.file(node)?.cache.len().saturating_add(free))
    }

    /// Opens a file for appending. The cut is synced at once, as the contract of `reopen` says.
    pub(super) fn reopen(&mut self, path: &Path, keep: u64) -> io::Result<NodeId> {
        let ignored = self.is_sync_ignored(path);
        let node = self.tree.find(path)?;
        let file = self.tree.file(node)?;
        let short = || io::Error::new(io::ErrorKind::UnexpectedEof, "it has fewer bytes than are to be kept");
        let keep = usize::try_from(keep).map_err(|_| short())?;
        if file.cache.len() < keep {
            return Err(short());
        }
        if file.cache.len() > keep {
            let mapped = file.mapped();
            assert!(mapped <= keep, "BUG: {path:?} is cut to {keep} bytes under a map of {mapped}: reading it kills");
            file.cut(keep);
            if !ignored {
                file.sync();
            }
        }
        Ok(node)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (source, target) = (self.tree.place(from)?, self.tree.place(to)?);
        let node = source.node.ok_or_else(|| os(libc::ENOENT))?;
        if to != from && to.starts_with(from) {
            return Err(os(libc::EINVAL));
        }
        if from != to && from.starts_with(to) {
            return Err(os(libc::ENOTEMPTY));
        }
        let Some(replaced) = target.node else {
            self.tree.rename(source, target);
            return Ok(());
        };
        match (self.tree.is_dir(node), self.tree.is_dir(replaced)) {
            // Two names of one file: rename(2) leaves both.
            _ if node == replaced => return Ok(()),
            (true, false) => return Err(os(libc::ENOTDIR)),
            (false, true) => return Err(os(libc::EISDIR)),
            (true, true) if !self.tree.entries(replaced)?.is_empty() => return Err(os(libc::ENOTEMPTY)),
            _ => self.tree.rename(source, target),
        }
        Ok(())
    }

    pub(super) fn hard_link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.tree.find(from)?;
        let target = self.tree.place(to)?;
        if target.node.is_some() {
            return Err(os(libc::EEXIST));
        }
        if self.tree.is_dir(node) {
            return Err(os(libc::EPERM));
        }
        self.tree.link(target, node);
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        let place = self.tree.place(path)?;
        self.tree.file(place.node.ok_or_else(|| os(libc::ENOENT))?)?;
        self.tree.unlink(place);
        Ok(())
    }

    /// Removes a folder from the inside out; a failure leaves it half empty.
    pub(super) fn remove_dir_all(&mut self, path: &Path, fail_inside: bool) -> io::Result<()> {
        let node = self.tree.find(path)?;
        for (name, child) in self.tree.entries(node)? {
            if fail_inside && self.rng.chance(0.5) {
                continue;
            }
            let child_path = path.join(name);
            if self.tree.is_dir(child) {
                self.remove_dir_all(&child_path, fail_inside)?;
            } else {
                self.remove_file(&child_path)?;
            }
        }
        if !fail_inside {
            let place = self.tree.place(path)?;
            self.tree.unlink(place);
        }
        Ok(())
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let mut ancestors: Vec<&Path> = path.ancestors().filter(|path| !path.as_os_str().is_empty()).collect();
        ancestors.reverse();
        for ancestor in ancestors {
            let place = self.tree.place(ancestor)?;
            match place.node {
                Some(node) if self.tree.is_dir(node) => {}
                Some(_) if ancestor == path => return Err(os(libc::EEXIST)),
                Some(_) => return Err(os(libc::ENOTDIR)),
                None => {
                    self.tree.create_dir(place);
                }
            }
        }
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let node = self.folder(path)?;
        if !self.is_sync_ignored(path) {
            self.tree.sync_dir(node);
        }
        if self.tree.node_count() > self.garbage_limit {
            self.tree.collect_garbage(self.open.keys().copied());
            self.garbage_limit = self.tree.node_count() + GARBAGE_NODES;
        }
        Ok(())
    }

    pub(super) fn folder(&self, path: &Path) -> io::Result<NodeId> {
        let node = self.tree.find(path)?;
        if self.tree.is_dir(node) { Ok(node) } else { Err(os(libc::ENOTDIR)) }
    }

    /// Puts a file there that is durable with all names that lead to it.
    pub(super) fn plant(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let parent = path.parent().unwrap_or(Path::new(""));
        self.create_dir_all(parent)?;
        let place = self.tree.place(path)?;
        let node = match place.node {
            Some(node) => node,
            None => self.tree.create_file(place),
        };
        self.tree.file(node)?.replace(bytes);
        for folder in path.ancestors().skip(1) {
            let node = self.folder(folder)?;
            self.tree.sync_dir(node);
        }
        Ok(())
    }

    /// What the next process finds after this one was killed.
    pub(super) fn after_kill(&self) -> State {
        let mut tree = self.tree.clone();
        tree.forget_maps();
        self.restarted(tree, self.rng.clone())
    }

    /// What the machine finds after the power came back.
    pub(super) fn after_power_cut(&self, mut rng: Rng) -> State {
        let drawn = *rng.pick(&[DirOrder::Prefix, DirOrder::Subset]);
        let tree = self.tree.clone().survivor(self.order.unwrap_or(drawn), &mut rng);
        self.restarted(tree, rng)
    }

    /// What the fault plan held is over; the drive's own habits (room, ignored syncs, order) stay.
    fn restarted(&self, tree: Tree, rng: Rng) -> State {
        State {
            rng,
            tree,
            capacity: self.capacity,
            ignored_syncs: self.ignored_syncs.clone(),
            order: self.order,
            ..State::new(0)
        }
    }
}

pub(super) fn stopped() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the machine has stopped")
}
