//! The fault plan: which operation goes wrong, and how.

use std::fmt;
use std::io;

use crate::Rng;

/// The kinds of operations on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is the method of `Disk` or `DiskFile` of its name")]
pub enum Op {
    Create,
    Reopen,
    Append,
    Reserve,
    Sync,
    SyncDir,
    Rename,
    HardLink,
    RemoveFile,
    RemoveDirAll,
    CreateDirAll,
    Map,
    Read,
    List,
    Exists,
    Len,
    FreeBytes,
    Lock,
}

impl Op {
    /// Every operation.
    pub const ALL: [Op; 18] = [
        Op::Create,
        Op::Reopen,
        Op::Append,
        Op::Reserve,
        Op::Sync,
        Op::SyncDir,
        Op::Rename,
        Op::HardLink,
        Op::RemoveFile,
        Op::RemoveDirAll,
        Op::CreateDirAll,
        Op::Map,
        Op::Read,
        Op::List,
        Op::Exists,
        Op::Len,
        Op::FreeBytes,
        Op::Lock,
    ];

    /// The operations that change what is on the disk.
    pub const CHANGING: [Op; 11] = [
        Op::Create,
        Op::Reopen,
        Op::Append,
        Op::Reserve,
        Op::Sync,
        Op::SyncDir,
        Op::Rename,
        Op::HardLink,
        Op::RemoveFile,
        Op::RemoveDirAll,
        Op::CreateDirAll,
    ];

    /// The verb as it reads after "cannot".
    pub(super) fn verb(self) -> &'static str {
        match self {
            Op::Create => "create",
            Op::Reopen => "reopen",
            Op::Append => "append to",
            Op::Reserve => "reserve room for",
            Op::Sync => "sync",
            Op::SyncDir => "sync folder",
            Op::Rename => "rename",
            Op::HardLink => "link",
            Op::RemoveFile => "remove",
            Op::RemoveDirAll => "remove folder",
            Op::CreateDirAll => "create folder",
            Op::Map => "map",
            Op::Read => "read",
            Op::List => "list",
            Op::Exists => "look for",
            Op::Len => "measure",
            Op::FreeBytes => "measure free space of",
            Op::Lock => "lock",
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb())
    }
}

/// One thing that goes wrong: on which operations, when, and how.
///
/// Without further words it is every matching operation, and the error is EIO:
/// `Fault::on(Op::Sync).path("wal/*").nth(3).drop_dirty()`.
#[derive(Clone, Debug)]
pub struct Fault {
    ops: Vec<Op>,
    path: Option<String>,
    when: When,
    errno: i32,
    how: How,
}

#[derive(Clone, Debug)]
enum When {
    Always,
    /// Once, at the match that brings the number to 0.
    In(u64),
    Chance(f64),
    Over,
}

/// How the operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// Nothing of it happened.
    Refuse,
    /// An append that wrote a part before the error.
    WriteShort,
    /// A sync after which the kernel believes that everything was written.
    DropDirty,
}

impl Fault {
    /// A fault of operations of one kind.
    pub fn on(op: Op) -> Fault {
        Fault::on_any(&[op])
    }

    /// A fault of operations of any of these kinds.
    pub fn on_any(ops: &[Op]) -> Fault {
        Fault { ops: ops.to_vec(), path: None, when: When::Always, errno: libc::EIO, how: How::Refuse }
    }

    /// Only on paths like this one; `*` stands for any characters. For a rename or link both names
    /// are looked at, for an open file the name that it was opened by.
    pub fn path(mut self, pattern: &str) -> Fault {
        self.path = Some(pattern.to_owned());
        self
    }

    /// Only the `n`-th matching operation from now on; the first is 1.
    pub fn nth(mut self, n: u64) -> Fault {
        assert!(n > 0, "BUG: operations count from 1");
        self.when = When::In(n);
        self
    }

    /// Each matching operation with this probability.
    pub fn probability(mut self, probability: f64) -> Fault {
        self.when = When::Chance(probability);
        self
    }

    /// Which error the caller sees.
    pub fn errno(mut self, errno: i32) -> Fault {
        self.errno = errno;
        self
    }

    /// An append writes some part of its bytes before it fails.
    pub fn write_short(mut self) -> Fault {
        self.how = How::WriteShort;
        self
    }

    /// A sync fails once and takes what it should have written with it: the kernel has marked the
    /// pages clean, so that a later sync succeeds without those bytes being durable.
    pub fn drop_dirty(mut self) -> Fault {
        self.how = How::DropDirty;
        self
    }

    fn matches(&self, op: Op, paths: [&str; 2]) -> bool {
        let pattern_fits = |pattern: &str| paths.iter().any(|path| glob(pattern, path));
        self.ops.contains(&op) && self.path.as_deref().is_none_or(pattern_fits)
    }

    fn strikes(&mut self, rng: &mut Rng) -> bool {
        match &mut self.when {
            When::Always => true,
            When::Chance(probability) => rng.chance(*probability),
            When::Over => false,
            When::In(left) => {
                *left -= 1;
                let now = *left == 0;
                if now {
                    self.when = When::Over;
                }
                now
            }
        }
    }
}

/// All faults that are planned, in the order in which they were.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    faults: Vec<Fault>,
}

impl Plan {
    pub(super) fn add(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.faults.clear();
    }

    /// The fault that strikes this operation, the earliest planned if there are several.
    pub(super) fn strike(&mut self, op: Op, paths: [&str; 2], rng: &mut Rng) -> Option<(How, io::Error)> {
        let mut struck = None;
        // All of them look at the operation, so that each counts its own matches.
        for fault in &mut self.faults {
            if fault.matches(op, paths) && fault.strikes(rng) && struck.is_none() {
                struck = Some((fault.how, io::Error::from_raw_os_error(fault.errno)));
            }
        }
        self.faults.retain(|fault| !matches!(fault.when, When::Over));
        struck
    }
}

/// Whether `text` is like `pattern`, in which `*` stands for any characters.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        // The leftmost place is never worse than a later one.
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let yes = [("a", "a"), ("", ""), ("*", ""), ("*", "a/b"), ("wal/*", "wal/7"), ("*.tmp", "p/x.tmp")];
        for (pattern, text) in yes.into_iter().chain([("a*b*c", "aXbYbc"), ("*b*", "abc"), ("a*a", "aa")]) {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("a", "ab"), ("", "a"), ("wal/*", "wa"), ("*.tmp", "x.tmp2"), ("a*a", "a"), ("a*b*c", "ac")]
        {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn the_nth_match_strikes_once() {
        let mut plan = Plan::default();
        let mut rng = Rng::new(0);
        plan.add(Fault::on(Op::Sync).path("wal/*").nth(2).errno(libc::ENOSPC));
        let mut strike = |op, path| plan.strike(op, [path, ""], &mut rng).map(|(_, error)| error.kind());
        assert_eq!(strike(Op::Sync, "wal/1"), None);
        assert_eq!(strike(Op::Append, "wal/1"), None);
        assert_eq!(strike(Op::Sync, "part/1"), None);
        assert_eq!(strike(Op::Sync, "wal/2"), Some(io::ErrorKind::StorageFull));
        assert_eq!(strike(Op::Sync, "wal/2"), None);
    }
}
