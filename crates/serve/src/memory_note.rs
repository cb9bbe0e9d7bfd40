//! Queries that held much memory are logged (`-search.logQueryMemoryUsage`), so that whoever asks them can be found.

use crate::{Server, asker::Asker};

/// What is said about a query, should it have held much.
#[derive(Debug)]
pub(crate) struct MemoryNote {
    /// From here on it is said; zero for never.
    bytes: u64,
    remote_addr: String,
    path: &'static str,
}

impl Server {
    /// A note about the query of a request.
    pub(crate) fn memory_note(&self, asker: &Asker) -> MemoryNote {
        MemoryNote {
            bytes: self.options.queries.memory_noted,
            remote_addr: asker.remote_addr.clone(),
            path: asker.endpoint.path(),
        }
    }
}

impl MemoryNote {
    /// Logs the query if it held more than is wanted.
    pub(crate) fn look(&self, text: &str, held: u64) {
        let Self { bytes, remote_addr, path } = self;
        if *bytes > 0 && held > *bytes {
            log::warn!(
                "the query held {held} bytes, more than -search.logQueryMemoryUsage={bytes}: remoteAddr={remote_addr}, path={path}, query={text:?}"
            );
        }
    }
}
