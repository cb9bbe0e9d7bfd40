//! How often metric names are asked for, over many nodes.
//!
//! A request reaches all nodes that hold series of it, and each counts it. So the largest count is the one that comes nearest.

use std::sync::Arc;

use model::Tenant;
use rpc::Node;
use storage_api::{AdminError, Asked, BoxFuture, CountNames, NamesAsked};

use crate::Gather;

impl CountNames for Gather {
    fn names_asked<'a>(&'a self, tenant: Tenant, names: Vec<String>) -> BoxFuture<'a, Result<NamesAsked, AdminError>> {
        Box::pin(async move {
            let names: Arc<[String]> = names.into();
            let wanted = names.len();
            let question = move |node: Arc<Node>| {
                let names = Arc::clone(&names);
                async move { node.names_asked(tenant, &names).await }
            };
            Ok(together(wanted, &self.every(question).await?))
        })
    }

    fn reset_names_asked<'a>(&'a self, now_ms: i64) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(
            async move { self.every(move |node| async move { node.reset_names_asked(now_ms).await }).await.map(drop) },
        )
    }
}

fn together(wanted: usize, nodes: &[NamesAsked]) -> NamesAsked {
    // A node that counts nothing says 0.
    let since = nodes.iter().map(|node| node.since_s).filter(|since| *since > 0).min();
    let mut all = NamesAsked {
        since_s: since.unwrap_or_default(),
        entries: nodes.iter().map(|node| node.entries).max().unwrap_or_default(),
        bytes: nodes.iter().map(|node| node.bytes).sum(),
        asked: vec![Asked::default(); wanted],
    };
    for node in nodes {
        for (asked, theirs) in all.asked.iter_mut().zip(&node.asked) {
            asked.requests = asked.requests.max(theirs.requests);
            asked.last_s = asked.last_s.max(theirs.last_s);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_counts_stand_for_all_nodes() {
        let node = |since_s, asked: &[(u64, i64)]| NamesAsked {
            since_s,
            entries: asked.len() as u64,
            bytes: 10,
            asked: asked.iter().map(|(requests, last_s)| Asked { requests: *requests, last_s: *last_s }).collect(),
        };
        let all =
            together(3, &[node(70, &[(3, 9), (0, 0), (1, 4)]), node(0, &[]), node(50, &[(2, 12), (0, 0), (5, 1)])]);
        assert_eq!(all, NamesAsked { bytes: 30, ..node(50, &[(3, 12), (0, 0), (5, 4)]) });
    }
}
