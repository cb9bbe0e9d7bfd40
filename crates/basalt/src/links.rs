//! The thread that speaks with other nodes.
//!
//! What goes out to other nodes and what comes back is moved by a thread of its own with a small runtime. A call between nodes is a chain of short steps: the question, its
//! packet, the packet of the answer, the answer. On the runtime of the doors each step would wake another of its workers, which costs more than the step (`docs/decisions/`).
//! Here they follow each other on one thread. What takes long is not done here: samples are unpacked, merged and evaluated by the threads of queries, and searched by threads
//! that may block.

use tokio::runtime::{Builder, EnterGuard, Handle, Runtime};

use crate::roles::Failure;

/// Threads that do for it what blocks: queries are bounded by the gates of who asks.
const BLOCKING_THREADS_MAX: usize = 512;

/// See the module. With it the thread ends.
pub struct Links(Option<Runtime>);

impl Links {
    /// Starts the thread.
    pub fn start() -> Result<Self, Failure> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).max_blocking_threads(BLOCKING_THREADS_MAX).thread_name("links").enable_all();
        let runtime = builder.build().map_err(|why| Failure(format!("cannot start the thread for nodes: {why}")))?;
        Ok(Self(Some(runtime)))
    }

    /// Where its work is handed to it.
    pub fn handle(&self) -> &Handle {
        self.0.as_ref().expect("BUG: it is only taken at the end").handle()
    }

    /// What is made until the guard is gone does its work there.
    pub fn enter(&self) -> EnterGuard<'_> {
        self.handle().enter()
    }
}

impl Drop for Links {
    /// May happen on a thread that must not wait.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
