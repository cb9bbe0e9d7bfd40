//! The names: folders as processes see them, and as they are on the platters.
//!
//! 1. Every folder has its entries twice, in the cache and on the disk. A change is made to the
//!    cache at once and noted as *pending* in the folder that has to be synced for it: for a rename
//!    the one that the name moves into.
//! 2. A sync of a folder writes its pending changes to the disk entries.
//! 3. At a power cut some of the pending changes survive. A change brings along every earlier one
//!    of the same name, and a rename is one change of both names, as in every journal.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};

use super::contents::Contents;
use crate::Rng;

pub(super) type NodeId = u64;
pub(super) const ROOT: NodeId = 0;

/// Which of the changes that were not synced survive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirOrder {
    /// Per folder the first few, in the order in which they were made.
    Prefix,
    /// Any of them.
    Subset,
}

#[derive(Clone, Debug)]
enum Node {
    Dir(Dir),
    File(Contents),
}

#[derive(Clone, Debug, Default)]
struct Dir {
    cache: BTreeMap<String, NodeId>,
    disk: BTreeMap<String, NodeId>,
}

/// A name appears or goes.
#[derive(Clone, Debug)]
struct Edit {
    dir: NodeId,
    name: String,
    node: NodeId,
    appears: bool,
}

#[derive(Clone, Debug)]
struct Pending {
    home: NodeId,
    edits: Vec<Edit>,
    /// A sync of its folder failed and dropped it: no later sync will write it.
    dropped: bool,
}

/// Where a path leads: the folder, the name in it, and what is there.
pub(super) struct Place {
    pub(super) dir: NodeId,
    pub(super) name: String,
    pub(super) node: Option<NodeId>,
}

#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<NodeId, Node>,
    next: NodeId,
    pending: Vec<Pending>,
}

pub(super) fn os(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

impl Tree {
    pub(super) fn new() -> Tree {
        Tree { nodes: BTreeMap::from([(ROOT, Node::Dir(Dir::default()))]), next: ROOT + 1, pending: Vec::new() }
    }

    fn dir(&self, id: NodeId) -> io::Result<&Dir> {
        match &self.nodes[&id] {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => Err(os(libc::ENOTDIR)),
        }
    }

    fn dir_mut(&mut self, id: NodeId) -> &mut Dir {
        match self.nodes.get_mut(&id) {
            Some(Node::Dir(dir)) => dir,
            _ => panic!("BUG: node {id} is no folder"),
        }
    }

    pub(super) fn is_dir(&self, id: NodeId) -> bool {
        matches!(self.nodes[&id], Node::Dir(_))
    }

    /// The file behind a node; a folder is refused as open(2) refuses it.
    pub(super) fn file(&mut self, id: NodeId) -> io::Result<&mut Contents> {
        match self.nodes.get_mut(&id) {
            Some(Node::File(contents)) => Ok(contents),
            Some(Node::Dir(_)) => Err(os(libc::EISDIR)),
            None => panic!("BUG: node {id} is gone"),
        }
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<NodeId> {
        path.components().try_fold(ROOT, |id, component| {
            self.dir(id)?.cache.get(name_of(component)?).copied().ok_or_else(|| os(libc::ENOENT))
        })
    }

    pub(super) fn place(&self, path: &Path) -> io::Result<Place> {
        let last = path.components().next_back().ok_or_else(|| os(libc::EINVAL))?;
        let dir = self.find(path.parent().unwrap_or(Path::new("")))?;
        let name = name_of(last)?.to_owned();
        let node = self.dir(dir)?.cache.get(&name).copied();
        Ok(Place { dir, name, node })
    }

    /// The names in a folder with their nodes.
    pub(super) fn entries(&self, id: NodeId) -> io::Result<Vec<(String, NodeId)>> {
        Ok(self.dir(id)?.cache.iter().map(|(name, id)| (name.clone(), *id)).collect())
    }

    /// The bytes of all files that have a name.
    pub(super) fn used_bytes(&self) -> u64 {
        let sizes = self.nodes.values().map(|node| match node {
            Node::File(file) if file.links > 0 => file.cache.len() as u64,
            _ => 0,
        });
        sizes.sum()
    }

    pub(super) fn create_file(&mut self, place: Place) -> NodeId {
        self.create(place, Node::File(Contents::default()))
    }

    pub(super) fn create_dir(&mut self, place: Place) -> NodeId {
        self.create(place, Node::Dir(Dir::default()))
    }

    fn create(&mut self, place: Place, node: Node) -> NodeId {
        let id = self.next;
        self.next += 1;
        self.nodes.insert(id, node);
        self.link(place, id);
        id
    }

    pub(super) fn link(&mut self, place: Place, node: NodeId) {
        let edit = self.appear(place, node);
        self.pend(edit.dir, vec![edit]);
    }

    pub(super) fn unlink(&mut self, place: Place) {
        let edit = self.vanish(place);
        self.pend(edit.dir, vec![edit]);
    }

    /// Moves what is at `from` to `to`, over what may be there.
    pub(super) fn rename(&mut self, from: Place, to: Place) {
        let node = from.node.expect("BUG: the caller found it");
        if let Some(replaced) = to.node {
            self.count_links(replaced, -1);
        }
        let home = to.dir;
        let edits = vec![self.vanish(from), self.appear(to, node)];
        self.pend(home, edits);
    }

    fn appear(&mut self, place: Place, node: NodeId) -> Edit {
        self.dir_mut(place.dir).cache.insert(place.name.clone(), node);
        self.count_links(node, 1);
        Edit { dir: place.dir, name: place.name, node, appears: true }
    }

    fn vanish(&mut self, place: Place) -> Edit {
        let node = self.dir_mut(place.dir).cache.remove(&place.name).expect("BUG: the caller found it");
        self.count_links(node, -1);
        Edit { dir: place.dir, name: place.name, node, appears: false }
    }

    fn count_links(&mut self, node: NodeId, change: isize) {
        if let Some(Node::File(file)) = self.nodes.get_mut(&node) {
            file.links = file.links.checked_add_signed(change).expect("BUG: links were miscounted");
        }
    }

    fn pend(&mut self, home: NodeId, edits: Vec<Edit>) {
        self.pending.push(Pending { home, edits, dropped: false });
    }

    /// Makes the changes that wait in a folder durable.
    pub(super) fn sync_dir(&mut self, id: NodeId) {
        let chosen = self.pending.iter().map(|change| change.home == id && !change.dropped).collect();
        self.commit(chosen, None);
    }

    /// A sync of a folder that failed: no later one writes what waited in it.
    pub(super) fn drop_dirty(&mut self, id: NodeId) {
        for change in self.pending.iter_mut().filter(|change| change.home == id) {
            change.dropped = true;
        }
    }

    /// Whether a path and all names that lead to it would survive any power cut.
    pub(super) fn is_durable(&self, path: &Path) -> bool {
        let mut id = ROOT;
        for component in path.components() {
            let Ok(name) = name_of(component) else { return false };
            let Ok(dir) = self.dir(id) else { return false };
            let touched = |edit: &Edit| edit.dir == id && edit.name == name;
            if self.pending.iter().flat_map(|change| &change.edits).any(touched) {
                return false;
            }
            match dir.disk.get(name) {
                Some(next) => id = *next,
                None => return false,
            }
        }
        true
    }

    /// Writes the chosen changes and those that they bring along to the disk entries, in order.
    fn commit(&mut self, mut chosen: Vec<bool>, order: Option<DirOrder>) {
        let mut names = BTreeSet::new();
        let mut homes = BTreeSet::new();
        for (at, change) in self.pending.iter().enumerate().rev() {
            let name_is_needed = |edit: &Edit| names.contains(&(edit.dir, edit.name.as_str()));
            chosen[at] |= change.edits.iter().any(name_is_needed);
            chosen[at] |= order == Some(DirOrder::Prefix) && homes.contains(&change.home);
            if chosen[at] {
                homes.insert(change.home);
                names.extend(change.edits.iter().map(|edit| (edit.dir, edit.name.as_str())));
            }
        }
        let mut chosen = chosen.into_iter();
        let all = std::mem::take(&mut self.pending);
        let (commit, keep): (Vec<_>, Vec<_>) = all.into_iter().partition(|_| chosen.next() == Some(true));
        self.pending = keep;
        for edit in commit.into_iter().flat_map(|change| change.edits) {
            let entries = &mut self.dir_mut(edit.dir).disk;
            if edit.appears {
                entries.insert(edit.name, edit.node);
            } else {
                let gone = entries.remove(&edit.name);
                assert_eq!(gone, Some(edit.node), "BUG: changes of one name were written out of order");
            }
        }
    }

    /// What is found after a power cut.
    pub(super) fn survivor(mut self, order: DirOrder, rng: &mut Rng) -> Tree {
        let chosen = self.choose_survivors(order, rng);
        self.commit(chosen, Some(order));
        let reachable = self.reachable(|dir| dir.disk.values().copied().collect());
        let mut after = Tree { nodes: BTreeMap::new(), next: self.next, pending: Vec::new() };
        for (id, node) in self.nodes.into_iter().filter(|(id, _)| reachable.contains_key(id)) {
            let node = match node {
                Node::Dir(dir) => Node::Dir(Dir { cache: dir.disk.clone(), disk: dir.disk }),
                Node::File(file) => Node::File(file.survivor(reachable[&id], rng)),
            };
            after.nodes.insert(id, node);
        }
        after
    }

    fn choose_survivors(&self, order: DirOrder, rng: &mut Rng) -> Vec<bool> {
        // Now and then all or none, which chance alone would hardly give when many are pending.
        let probability = *rng.pick(&[0.0, 0.5, 0.5, 0.8, 1.0]);
        let mut ended = BTreeSet::new();
        let survives = self.pending.iter().map(|change| {
            let survives = rng.chance(probability);
            if order == DirOrder::Prefix && !survives {
                ended.insert(change.home);
            }
            survives && !ended.contains(&change.home)
        });
        survives.collect()
    }

    /// The nodes that can be reached from the root, with the number of names of each.
    fn reachable(&self, children: impl Fn(&Dir) -> Vec<NodeId>) -> BTreeMap<NodeId, usize> {
        let mut names = BTreeMap::new();
        let mut todo = vec![ROOT];
        while let Some(id) = todo.pop() {
            let count = names.entry(id).or_insert(0);
            *count += 1;
            if let (1, Node::Dir(dir)) = (*count, &self.nodes[&id]) {
                todo.extend(children(dir));
            }
        }
        names
    }

    /// The process that held maps is gone, and its maps with it.
    pub(super) fn forget_maps(&mut self) {
        for node in self.nodes.values_mut() {
            if let Node::File(file) = node {
                file.forget_maps();
            }
        }
    }

    pub(super) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Forgets the nodes that nothing leads to any more.
    pub(super) fn collect_garbage(&mut self, open: impl Iterator<Item = NodeId>) {
        let mut keep = self.reachable(|dir| dir.cache.values().chain(dir.disk.values()).copied().collect());
        // What a pending change may bring back keeps all that is below it.
        let pending: Vec<_> = self.pending.iter().flat_map(|change| &change.edits).collect();
        let mut todo: Vec<_> = open.chain(pending.iter().flat_map(|edit| [edit.dir, edit.node])).collect();
        while let Some(id) = todo.pop() {
            if keep.insert(id, 1).is_none()
                && let Node::Dir(dir) = &self.nodes[&id]
            {
                todo.extend(dir.cache.values().chain(dir.disk.values()));
            }
        }
        self.nodes.retain(|id, _| keep.contains_key(id));
    }
}

fn name_of(component: Component<'_>) -> io::Result<&str> {
    component.as_os_str().to_str().ok_or_else(|| os(libc::EINVAL))
}
