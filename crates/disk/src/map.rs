//! A read-only view of a whole file or of a range of it.
//!
//! 1. A map owns its bytes through a shared count: clones and slices are cheap and keep the
//!    mapping alive, also when the file has been removed.
//! 2. A page that the drive cannot read counts as zeros, which no checksum fits: see [`crate::unreadable_pages`].
//! 3. Pages that were read stay in the process until [`Map::release`] hands them back; a merge that
//!    reads gigabytes releases behind itself and does not grow.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::sync::Arc;

use memmap2::{Advice, Mmap, UncheckedAdvice};

use crate::{system, unreadable::Watched};

/// Bytes of a file, read only; a clone shares them.
#[derive(Clone)]
pub struct Map {
    owner: Arc<Owner>,
    start: usize,
    end: usize,
}

enum Owner {
    /// The mapping leaves the table of those that are watched before it ends: fields are dropped in this order.
    File {
        watched: Watched,
        mmap: Mmap,
    },
    Heap(Vec<u8>),
    Other(Box<dyn AsRef<[u8]> + Send + Sync>),
}

impl Owner {
    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Owner::File { mmap, .. } => mmap,
            Owner::Heap(bytes) => bytes,
            Owner::Other(bytes) => (**bytes).as_ref(),
        }
    }
}

impl Map {
    /// Maps the whole of `file`.
    #[expect(unsafe_code, reason = "a mapping is only sound while nobody cuts the file")]
    pub(crate) fn of_file(file: &File) -> io::Result<Map> {
        // SAFETY: the files of a data folder belong to the process that holds its lock; they are
        // only ever appended to, and `Disk::reopen` forbids cutting below a map that is in use.
        let mmap = unsafe { Mmap::map(file)? };
        Ok(Map::whole(Owner::File { watched: Watched::new(&mmap), mmap }))
    }

    /// Wraps bytes that something else owns, for a double that watches who still holds a map.
    ///
    /// The bytes must stay the same for as long as the owner lives.
    pub fn from_owner(owner: impl AsRef<[u8]> + Send + Sync + 'static) -> Map {
        Map::whole(Owner::Other(Box::new(owner)))
    }

    fn whole(owner: Owner) -> Map {
        let end = owner.bytes().len();
        Map { owner: Arc::new(owner), start: 0, end }
    }

    /// The bytes of `range`, counted inside this map, sharing its owner.
    ///
    /// Panics if the range does not lie inside, as slicing does; [`Map::get`] does not.
    pub fn slice(&self, range: Range<usize>) -> Map {
        match self.get(range.clone()) {
            Some(slice) => slice,
            None => panic!("BUG: range {range:?} of a map of {} bytes", self.len()),
        }
    }

    /// The bytes of `range`, counted inside this map, or nothing if they do not lie inside.
    pub fn get(&self, range: Range<usize>) -> Option<Map> {
        let inside = range.start <= range.end && range.end <= self.len();
        inside.then(|| Map {
            owner: Arc::clone(&self.owner),
            start: self.start + range.start,
            end: self.start + range.end,
        })
    }

    /// How many pages of the whole mapping could not be read so far, and stand as zeros.
    pub fn unreadable_pages(&self) -> u64 {
        match &*self.owner {
            Owner::File { watched, .. } => watched.unreadable_pages(),
            Owner::Heap(_) | Owner::Other(_) => 0,
        }
    }

    /// Gives the pages that lie wholly inside `range` back to the system; they are read again from
    /// the file when they are next touched. The range is cut to the map.
    #[expect(unsafe_code, reason = "MADV_DONTNEED discards pages; here they are copies of a file")]
    pub fn release(&self, range: Range<usize>) {
        let Owner::File { mmap, .. } = &*self.owner else { return };
        let (start, end) = self.pages_inside(range, mmap.len());
        if start >= end {
            return;
        }
        // SAFETY: the mapping is shared and read only, so no page holds anything but the file's
        // bytes, and touching a page afterwards reads the same bytes again.
        let released = unsafe { mmap.unchecked_advise_range(UncheckedAdvice::DontNeed, start, end - start) };
        // A refusal costs memory and nothing else.
        let _ = released;
    }

    /// Tells the system that reads will jump about, so that it does not read ahead.
    pub fn advise_random(&self) {
        self.advise(Advice::Random);
    }

    /// Tells the system that reads will go from front to back, so that it reads ahead.
    pub fn advise_sequential(&self) {
        self.advise(Advice::Sequential);
    }

    /// Tells the system that these bytes will be read soon.
    pub fn advise_will_need(&self) {
        self.advise(Advice::WillNeed);
    }

    /// Reads all of it into memory and reports what cannot be read, where touching it would kill the
    /// process (SIGBUS): for a check of files whose drive is not trusted.
    ///
    /// Kernels before Linux 5.14 cannot tell; there it does nothing.
    pub fn populate(&self) -> io::Result<()> {
        let (Owner::File { mmap, .. }, false) = (&*self.owner, self.is_empty()) else { return Ok(()) };
        match mmap.advise_range(Advice::PopulateRead, self.start, self.end - self.start) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            Err(error) => Err(io::Error::new(error.kind(), format!("a page of it cannot be read: {error}"))),
            Ok(()) => Ok(()),
        }
    }

    fn advise(&self, advice: Advice) {
        if let (Owner::File { mmap, .. }, false) = (&*self.owner, self.is_empty()) {
            // Advice that is refused changes no answer.
            let _ = mmap.advise_range(advice, self.start, self.end - self.start);
        }
    }

    /// The whole pages of the mapping inside `range` of this map. The last page of the file counts
    /// as whole although the file may end inside it.
    fn pages_inside(&self, range: Range<usize>, mapped: usize) -> (usize, usize) {
        let page = system::page_bytes();
        let len = self.len();
        let start = self.start + range.start.min(len);
        let end = self.start + range.end.min(len);
        let end = if end == mapped { end } else { end & !(page - 1) };
        (start.next_multiple_of(page), end)
    }
}

impl Deref for Map {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.owner.bytes()[self.start..self.end]
    }
}

impl AsRef<[u8]> for Map {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for Map {
    fn from(bytes: Vec<u8>) -> Map {
        Map::whole(Owner::Heap(bytes))
    }
}

impl Default for Map {
    fn default() -> Map {
        Map::from(Vec::new())
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &*self.owner {
            Owner::File { .. } => "file",
            Owner::Heap(_) => "heap",
            Owner::Other(_) => "other",
        };
        write!(f, "Map({kind}, {}..{})", self.start, self.end)
    }
}
