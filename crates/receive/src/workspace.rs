//! Memory that goes from request to request.

use std::ops::{Deref, DerefMut};

use decode::{
    Unpacked,
    remote_write::{self, v2},
    rows::Rows,
};
use parking_lot::Mutex;

/// Memory that grew beyond this for one request is given back to the system.
const HELD_BYTES_MAX: usize = 8 << 20;

/// What one request needs.
#[derive(Debug, Default)]
pub struct Workspace {
    pub body: Unpacked,
    /// Rows of the first remote write.
    pub rows: remote_write::Rows,
    /// Rows of all other protocols.
    pub pairs: Rows,
    pub v2: v2::Reader,
}

impl Workspace {
    /// The unpacked body, and rows to read it into.
    pub fn body_and_rows(&mut self) -> (&[u8], &mut Rows) {
        (self.body.bytes(), &mut self.pairs)
    }
}

/// Workspaces and body buffers that wait for their next request.
#[derive(Debug)]
pub struct Pool {
    kept_max: usize,
    workspaces: Mutex<Vec<Workspace>>,
    buffers: Mutex<Vec<Vec<u8>>>,
}

/// A workspace that goes back to its pool when dropped.
#[derive(Debug)]
pub struct BorrowedWorkspace<'a> {
    pool: &'a Pool,
    workspace: Option<Workspace>,
}

/// An empty buffer that goes back to its pool when dropped.
#[derive(Debug)]
pub struct BorrowedBuffer<'a> {
    pool: &'a Pool,
    buffer: Vec<u8>,
}

impl Pool {
    /// A pool that keeps so many of each.
    pub fn new(kept_max: usize) -> Self {
        Self { kept_max, workspaces: Mutex::default(), buffers: Mutex::default() }
    }

    pub fn workspace(&self) -> BorrowedWorkspace<'_> {
        let workspace = self.workspaces.lock().pop().unwrap_or_default();
        BorrowedWorkspace { pool: self, workspace: Some(workspace) }
    }

    pub fn buffer(&self) -> BorrowedBuffer<'_> {
        let buffer = self.buffers.lock().pop().unwrap_or_default();
        BorrowedBuffer { pool: self, buffer }
    }
}

impl Deref for BorrowedWorkspace<'_> {
    type Target = Workspace;

    fn deref(&self) -> &Workspace {
        self.workspace.as_ref().expect("BUG: the workspace is there until it is dropped")
    }
}

impl DerefMut for BorrowedWorkspace<'_> {
    fn deref_mut(&mut self) -> &mut Workspace {
        self.workspace.as_mut().expect("BUG: the workspace is there until it is dropped")
    }
}

impl Drop for BorrowedWorkspace<'_> {
    fn drop(&mut self) {
        let Some(mut workspace) = self.workspace.take() else {
            return;
        };
        workspace.pairs.clear();
        let Workspace { body, rows, pairs, v2 } = &workspace;
        let held = body.held_bytes() + rows.held_bytes() + pairs.held_bytes() + v2.held_bytes();
        let mut kept = self.pool.workspaces.lock();
        if kept.len() < self.pool.kept_max && held <= HELD_BYTES_MAX {
            kept.push(workspace);
        }
    }
}

impl Deref for BorrowedBuffer<'_> {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.buffer
    }
}

impl DerefMut for BorrowedBuffer<'_> {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }
}

impl Drop for BorrowedBuffer<'_> {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut kept = self.pool.buffers.lock();
        if kept.len() < self.pool.kept_max && buffer.capacity() <= HELD_BYTES_MAX {
            kept.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_unless_there_is_too_much() {
        let pool = Pool::new(1);
        pool.buffer().extend_from_slice(&[1; 1000]);
        let again = pool.buffer();
        assert!(again.is_empty() && again.capacity() >= 1000);
        drop((again, pool.buffer()));
        assert_eq!(pool.buffers.lock().len(), 1);
        pool.buffer().reserve(HELD_BYTES_MAX + 1);
        assert_eq!(pool.buffers.lock().len(), 0);
        pool.workspace().body.set(&[1; 1000]);
        assert!(pool.workspace().body.held_bytes() >= 1000);
    }
}
