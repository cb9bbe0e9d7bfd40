//! Whether what answered is enough.
//!
//! 1. While all nodes answer, nothing that was acknowledged can be missing: whatever one lacks another has.
//! 2. Where some are away, others must have copies of all that they have ([`Copies::spare`]), and each shard needs a node that answered and says that it has all that
//!    was acknowledged in the range. Who keeps hints for a node tells it, so a node that lacks something does not say so (see `route`).
//! 3. Where nobody answers, there is no answer at all, not even a partial one.

use std::{fmt, sync::Arc};

use model::SHARDS;
use rpc::RpcError;
use storage_api::{Completeness, SelectError, ShardSet};

use crate::{Copies, Members};

/// Who answered, and what they say they have.
pub struct Coverage {
    members: Arc<Members>,
    /// By node; `None` for those that are missing.
    complete: Vec<Option<ShardSet>>,
    /// Why the first that is missing is.
    first_missing: Option<String>,
    completeness: Completeness,
}

impl Coverage {
    /// Nobody is missing yet, and nobody has answered.
    pub fn new(members: Arc<Members>, completeness: Completeness) -> Self {
        let complete = vec![None; members.nodes().len()];
        Self { members, complete, first_missing: None, completeness }
    }

    /// A node answered.
    pub fn answered(&mut self, node: usize, complete: ShardSet) {
        self.complete[node] = Some(complete);
    }

    /// A node did not answer, or broke off. Any error but its absence is the answer.
    pub fn missing(&mut self, node: usize, error: RpcError) -> Result<(), SelectError> {
        if !error.is_absence() {
            return Err(error.into());
        }
        self.complete[node] = None;
        self.first_missing.get_or_insert_with(|| error.to_string());
        Ok(())
    }

    /// Fails if there is no answer, or none that may be given; notes if it is partial.
    pub fn check(&self) -> Result<(), SelectError> {
        let Some(why) = &self.first_missing else { return Ok(()) };
        if self.complete.iter().all(Option::is_none) {
            return Err(SelectError::Unavailable(nobody_answers(why)));
        }
        if self.is_enough() {
            return Ok(());
        }
        if !self.completeness.may_lack() {
            let away = self.complete.iter().filter(|complete| complete.is_none()).count();
            return Err(SelectError::Unavailable(not_wanted(away, self.complete.len(), why)));
        }
        self.completeness.lack();
        Ok(())
    }

    /// How many nodes have each series.
    pub fn copies(&self) -> &Copies {
        self.members.copies()
    }

    /// The nodes that did not answer.
    pub fn away(&self) -> impl Iterator<Item = usize> + '_ {
        self.complete.iter().enumerate().filter(|(_, complete)| complete.is_none()).map(|(node, _)| node)
    }

    /// Whether the answer lacks something.
    pub fn is_partial(&self) -> bool {
        self.completeness.is_partial()
    }

    /// Whether those that answered have everything.
    pub fn is_enough(&self) -> bool {
        let answered = self.complete.iter().flatten();
        let mut covered = [0; SHARDS / 64];
        for complete in answered {
            covered.iter_mut().zip(complete.words()).for_each(|(covered, word)| *covered |= word);
        }
        self.copies().spare(|node| self.complete[node].is_none()) && covered.iter().all(|word| *word == u64::MAX)
    }
}

/// Why there is no answer.
pub fn nobody_answers(why: &dyn fmt::Display) -> String {
    format!("no storage node answers: {why}")
}

/// Why an answer without some nodes is not given.
pub fn not_wanted(away: usize, all: usize, why: &dyn fmt::Display) -> String {
    format!("{away} of {all} storage nodes are missing, and a partial answer is not wanted: {why}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rpc::{Node, NodeOptions, Role};

    use super::*;
    use crate::CopyGroup;

    fn members(nodes: usize, copies: usize) -> Arc<Members> {
        let options = NodeOptions {
            role: Role::Select,
            epoch: 1,
            connect_time_max: Duration::from_secs(1),
            silence_max: Duration::from_secs(1),
            call_time_max: Duration::from_secs(1),
            tls: None,
            default_port: 8401,
        };
        let node = |number| Node::new(&format!("127.0.0.1:{}", 1 + number), options.clone()).expect("an address");
        let group = CopyGroup { nodes: (0..nodes).collect(), copies };
        let copies = Copies::new(vec![group], 1, copies * SHARDS);
        Arc::new(Members::new((0..nodes).map(node).collect(), copies))
    }

    fn gone() -> RpcError {
        RpcError::Unreachable("gone".into())
    }

    fn all() -> ShardSet {
        ShardSet::from_words([u64::MAX; SHARDS / 64])
    }

    #[tokio::test]
    async fn a_missing_node_makes_an_answer_partial_unless_others_have_its_copies() {
        let lacks = |copies, complete: [Option<ShardSet>; 3]| {
            let completeness = Completeness::may_be_partial();
            let mut coverage = Coverage::new(members(3, copies), completeness.clone());
            for (node, complete) in complete.into_iter().enumerate() {
                match complete {
                    Some(complete) => coverage.answered(node, complete),
                    None => coverage.missing(node, gone()).expect("it may be missing"),
                }
            }
            coverage.check().map(|()| completeness.is_partial())
        };
        let nothing = ShardSet::empty;
        assert_eq!(lacks(1, [Some(nothing()), Some(nothing()), Some(nothing())]), Ok(false));
        assert_eq!(lacks(1, [Some(all()), None, Some(all())]), Ok(true));
        assert_eq!(lacks(2, [Some(all()), None, Some(nothing())]), Ok(false));
        assert_eq!(lacks(2, [Some(nothing()), None, Some(nothing())]), Ok(true), "they lack what the third has");
        assert_eq!(lacks(2, [Some(all()), None, None]), Ok(true));
        assert!(lacks(2, [None, None, None]).is_err());
    }

    #[tokio::test]
    async fn an_answer_that_must_not_lack_anything_is_refused() {
        let mut coverage = Coverage::new(members(2, 1), Completeness::required());
        coverage.answered(0, all());
        coverage.missing(1, gone()).expect("it may be missing");
        assert!(coverage.check().is_err_and(|why| why.to_string().contains("1 of 2 storage nodes")));
        let other = RpcError::Select(SelectError::BadMatcher("x".into()));
        assert!(coverage.missing(0, other).is_err(), "an error of the question is the answer");
    }
}
