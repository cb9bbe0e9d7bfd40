//! Which node answers for which shard.
//!
//! 1. Of a shard that only one node holds, that node has everything there is.
//! 2. Of a shard that several hold, one answers for all where copies count once, it is complete, and all who hold it have the same token: then what the
//!    others have it has too (see `storage_api::ShardWord`). Complete ones take turns.
//! 3. All other shards are asked of all nodes, and what comes is merged: where a map changed within the range, where a node catches up, where copies do not
//!    collapse.
//! 4. Nodes are asked before it is known what they say, by what they said last. What they say with the answer decides whether that was right.
//!
//! The answer is therefore always the one that merging everything of all nodes would give that are there.

use model::SHARDS;
use storage_api::{ShardSet, ShardWord};

/// Who is asked for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// By node, the shards for which it is asked alone.
    alone: Vec<ShardSet>,
    /// The shards for which all are asked.
    merged: ShardSet,
}

impl Assignment {
    /// All nodes are asked for these shards.
    pub fn merging(nodes: usize, shards: ShardSet) -> Self {
        Self { alone: vec![ShardSet::empty(); nodes], merged: shards }
    }

    /// By what the nodes say that are there. `collapses` is whether copies count once.
    pub fn of(words: &[Option<ShardWord>], collapses: bool) -> Self {
        let (mut held, mut owned) = (ShardSet::empty(), ShardSet::empty());
        for word in words.iter().flatten() {
            held.unite(&word.holds);
            owned.unite(&word.owns());
        }
        let may = |(node, word): (usize, &Option<ShardWord>)| {
            let Some(word) = word else { return ShardSet::empty() };
            let able = ShardSet::all().without(&cannot(node, words, collapses));
            // Of what nobody has anything of yet, who will have it is the one to ask.
            able.without(&owned.without(&held).without(&word.owns()))
        };
        let able: Vec<ShardSet> = words.iter().enumerate().map(may).collect();
        let mut all = Self::merging(words.len(), ShardSet::empty());
        for shard in 0..SHARDS as u16 {
            let count = able.iter().filter(|able| able.has(shard)).count();
            let turn = usize::from(shard) % count.max(1);
            let mut candidates = able.iter().enumerate().filter(|(_, able)| able.has(shard));
            match candidates.nth(turn) {
                Some((node, _)) => all.alone[node].insert(shard),
                None => all.merged.insert(shard),
            }
        }
        all
    }

    /// Only as far as these shards go.
    #[must_use]
    pub fn only(mut self, shards: &ShardSet) -> Self {
        let others = ShardSet::all().without(shards);
        self.alone.iter_mut().for_each(|alone| *alone = alone.without(&others));
        self.merged = self.merged.without(&others);
        self
    }

    /// The shards for which a node is asked alone.
    pub fn alone(&self, node: usize) -> &ShardSet {
        &self.alone[node]
    }

    /// The shards for which all are asked.
    pub fn merged(&self) -> &ShardSet {
        &self.merged
    }

    /// The shards of a node for which it was wrong to ask it alone.
    pub fn wrong(&self, node: usize, words: &[Option<ShardWord>], collapses: bool) -> ShardSet {
        self.alone[node].and(&cannot(node, words, collapses))
    }
}

/// The shards for which a node cannot answer alone: another one has something of them that it may lack.
fn cannot(node: usize, words: &[Option<ShardWord>], collapses: bool) -> ShardSet {
    let Some(own) = &words[node] else { return ShardSet::all() };
    let whole = if collapses { own.complete.and(&own.holds) } else { ShardSet::empty() };
    let mut cannot = ShardSet::empty();
    for other in words.iter().enumerate().filter(|(place, _)| *place != node).filter_map(|(_, other)| other.as_ref()) {
        cannot.unite(&other.holds.without(&whole.and(&own.owned_alike(other))));
    }
    cannot
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(shards: &[u16]) -> ShardSet {
        let mut set = ShardSet::empty();
        shards.iter().for_each(|shard| set.insert(*shard));
        set
    }

    fn word(holds: &[u16], complete: &[u16], owned: &[(u64, &[u16])]) -> Option<ShardWord> {
        let owned = owned.iter().map(|(token, shards)| (*token, set(shards))).collect();
        Some(ShardWord { holds: set(holds), complete: set(complete), owned })
    }

    #[test]
    fn one_holder_answers_alone_and_equal_copies_take_turns() {
        let words = [
            word(&[1, 2, 3, 5], &[1, 2, 3, 5], &[(7, &[2, 3, 5])]),
            word(&[2, 3, 4, 5], &[2, 3, 4], &[(7, &[2, 3]), (8, &[5])]),
            None,
        ];
        let all = Assignment::of(&words, true);
        assert!(all.alone(0).has(1), "nobody else has anything of it");
        assert!(all.alone(0).has(2) && all.alone(1).has(3), "both are whole and take turns");
        assert!(all.merged().has(5), "one of them became an owner at another time");
        let raw = Assignment::of(&words, false);
        assert!(raw.merged().has(2) && raw.alone(1).has(4), "copies that do not collapse both show");
        assert!(all.alone(2).is_empty(), "who is not there is not asked");
    }

    #[test]
    fn what_nodes_say_decides_whether_it_was_right_to_ask_one() {
        let before = [word(&[1], &[], &[]), word(&[], &[], &[])];
        let asked = Assignment::of(&before, false);
        assert!(asked.wrong(0, &before, false).is_empty());
        let moved = [word(&[1], &[], &[]), word(&[1], &[], &[])];
        assert_eq!(asked.wrong(0, &moved, false), set(&[1]), "another node has something of it by now");
        let gone = [word(&[], &[], &[]), word(&[1], &[], &[])];
        assert_eq!(asked.wrong(0, &gone, false), set(&[1]));
        let only = Assignment::of(&moved, false).only(&set(&[1]));
        assert!(only.alone(0).is_empty() && only.alone(1).is_empty() && *only.merged() == set(&[1]));
    }

    proptest! {
        /// Rows of three shards go to owners that change; nodes miss changes; whoever is asked alone has all rows that anybody has.
        #[test]
        fn who_answers_alone_has_what_all_have(
            steps in prop::collection::vec((0..3_u16, prop::collection::vec(0..3_usize, 1..3), 0..3_usize), 1..30),
        ) {
            let mut rows = [[0_u64; 3]; 3];
            let mut owners: Vec<Vec<usize>> = vec![vec![0, 1]; 3];
            // What a node remembers: by shard its token, which grows by each map that it hears of.
            let mut tokens = [[1_u64; 3]; 3];
            (0..3).for_each(|shard| tokens[2][shard] = 0);
            for (number, (shard, next, misses)) in steps.into_iter().enumerate() {
                let shard = usize::from(shard);
                if number % 3 == 2 {
                    owners[shard] = next;
                    for (node, token) in tokens.iter_mut().enumerate().filter(|(node, _)| *node != misses) {
                        let owns = owners[shard].contains(&node);
                        token[shard] = if owns { token[shard] * 31 + number as u64 + 2 } else { 0 };
                    }
                    // A node that is taken in is told so before it gets rows.
                    if owners[shard].contains(&misses) && tokens[misses][shard] == 0 {
                        tokens[misses][shard] = number as u64 + 1_000;
                    }
                }
                for node in &owners[shard] {
                    rows[*node][shard] |= 1 << number;
                }
            }
            let words: Vec<Option<ShardWord>> = (0..3_usize)
                .map(|node| {
                    let held: Vec<u16> = (0..3).filter(|shard| rows[node][usize::from(*shard)] != 0).collect();
                    let owned: Vec<(u64, Vec<u16>)> = (0..3_u16)
                        .filter(|shard| tokens[node][usize::from(*shard)] != 0)
                        .map(|shard| (tokens[node][usize::from(shard)], vec![shard]))
                        .collect();
                    let owned: Vec<(u64, &[u16])> = owned.iter().map(|(token, of)| (*token, &of[..])).collect();
                    word(&held, &[0, 1, 2], &owned)
                })
                .collect();
            let all = Assignment::of(&words, true);
            for shard in 0..3_u16 {
                let at = usize::from(shard);
                let everything = rows.iter().fold(0, |all, of| all | of[at]);
                if let Some(node) = (0..3).find(|node| all.alone(*node).has(shard)) {
                    prop_assert_eq!(rows[node][at], everything, "shard {} of node {}", shard, node);
                    prop_assert!(all.wrong(node, &words, true).is_empty());
                }
            }
        }
    }
}
