//! Asks for series until each shard is answered for.
//!
//! 1. Each node gets up to two questions at once: one for the shards for which it is asked alone, with the sub-plan if there is one, and one for samples of
//!    the shards for which all are asked. Who is asked for what follows from what the nodes said last ([`Assignment`]); the first time they are asked
//!    for their word before.
//! 2. With its answer each node gives its word again. An answer that was asked of the wrong node alone is dropped.
//! 3. What is not answered for then, because of that or because a node is away, is asked again of those that are there, by their words. In the last round all
//!    of them are asked for all of it.
//! 4. A node that is slower than the others by far is given up if they have everything: see [`Patience`].
//! 5. States of groups are taken in as a whole before they count, because nothing could stand in for a node that breaks off in the middle of them. Series are
//!    handed on as they come; `merge` finds others for a node that breaks off.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rpc::{Node, RemoteSeries, RemoteStream, RpcError};
use storage_api::{SamplesWanted, SelectError, SelectRequest, ShardSet, ShardWord};
use tokio::runtime::Handle;

use crate::{
    Gather, Members,
    ask::{Answers, ask_each},
    assign::Assignment,
    coverage::Coverage,
};

/// In the last round all nodes are asked for everything that is not answered for.
const ROUNDS_MAX: usize = 4;
/// So many queries may give up a slow node before others have earned it: each earns a tenth.
const GIVEN_UP_MAX: u64 = 10;
const EARNED_BY_TENTHS: u64 = 1;

/// Part of the answer: what a node has of some shards.
pub struct Piece {
    /// Which node.
    pub node: usize,
    /// The shards.
    pub shards: ShardSet,
    /// Whether other nodes were asked for them too.
    pub is_merged: bool,
    /// What came already.
    pub ready: VecDeque<RemoteSeries>,
    /// What is to come.
    pub stream: RemoteStream,
}

/// How long one waits for the last nodes, when the others have everything: a multiple of how long these took, and some more. It is bounded how many
/// queries do so, lest a cluster that is slow as a whole does everything twice.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The multiple.
    pub times: u32,
    /// And so much more.
    pub more: Duration,
}

impl Patience {
    /// `-search.skipSlowReplicas` or not.
    pub fn of(skips_slow: bool) -> Self {
        match skips_slow {
            true => Self { times: 1, more: Duration::from_millis(5) },
            false => Self { times: 3, more: Duration::from_millis(50) },
        }
    }

    /// When it ends, if the others have taken so long.
    fn end(self, taken: Duration) -> Duration {
        taken * self.times + self.more
    }
}

/// How many queries may give up a slow node, in tenths.
#[derive(Debug)]
pub struct GivingUp(AtomicU64);

impl Default for GivingUp {
    fn default() -> Self {
        Self(AtomicU64::new(GIVEN_UP_MAX * 10))
    }
}

impl GivingUp {
    fn earn(&self) {
        let more = |have: u64| (have < GIVEN_UP_MAX * 10).then_some(have + EARNED_BY_TENTHS);
        // It is full.
        let _ = self.0.fetch_update(Relaxed, Relaxed, more);
    }

    fn may(&self) -> bool {
        self.0.fetch_update(Relaxed, Relaxed, |have| have.checked_sub(10)).is_ok()
    }
}

/// What a node answers in a round.
struct Answer {
    word: ShardWord,
    pieces: Vec<Piece>,
}

/// The questions of a round.
struct Questions {
    /// With the sub-plan, if there is one.
    alone: SelectRequest,
    /// For samples.
    merged: SelectRequest,
    assignment: Assignment,
}

/// What is asked for, and what is there of it.
pub struct Rounds<'a> {
    gather: &'a Gather,
    members: Arc<Members>,
    request: Arc<SelectRequest>,
    collapses: bool,
    words: Vec<Option<ShardWord>>,
    /// Who is not asked again.
    given_up: Vec<bool>,
    settled: ShardSet,
    pieces: Vec<Piece>,
}

impl<'a> Rounds<'a> {
    /// Asks for the series of a request.
    pub fn new(gather: &'a Gather, members: Arc<Members>, request: Arc<SelectRequest>) -> Self {
        let nodes = members.nodes().len();
        let collapses = gather.collapses(&members);
        let (words, given_up) = (vec![None; nodes], vec![false; nodes]);
        let settled = ShardSet::empty();
        Self { gather, members, request, collapses, words, given_up, settled, pieces: Vec::new() }
    }

    /// All pieces of the answer.
    pub async fn run(mut self, coverage: &mut Coverage) -> Result<Vec<Piece>, SelectError> {
        let mut assignment = match self.gather.remembered(&self.members) {
            Some(assignment) => Assignment::clone(&assignment),
            None => self.ask_words(coverage).await?,
        };
        for round in 1..=ROUNDS_MAX {
            let open = ShardSet::all().without(&self.settled);
            assignment = match round {
                ROUNDS_MAX => Assignment::merging(self.words.len(), open),
                _ => assignment.only(&open),
            };
            self.gather.stats.rounds.fetch_add(1, Relaxed);
            self.round(round, &assignment, coverage).await?;
            assignment = Assignment::of(&self.words, self.collapses);
            if self.settled == ShardSet::all() {
                break;
            }
        }
        if self.settled != ShardSet::all() {
            let why = "storage nodes go away while they are asked, one after the other";
            return Err(SelectError::Unavailable(why.into()));
        }
        self.gather.remember(&self.members, assignment);
        self.pieces.sort_by_key(|piece| (piece.node, piece.is_merged));
        Ok(self.pieces)
    }

    /// The first time it is not known who has what.
    async fn ask_words(&mut self, coverage: &mut Coverage) -> Result<Assignment, SelectError> {
        let range = self.request.range;
        let question = move |_, node: Arc<Node>| async move { node.shards(range).await };
        let mut answers = ask_each(&self.gather.runtime, &self.members, |_| true, question);
        while let Some((node, answer)) = answers.next().await {
            match answer {
                Ok(word) => self.words[node] = Some(word),
                Err(error) => self.is_away(node, error, coverage)?,
            }
        }
        Ok(Assignment::of(&self.words, self.collapses))
    }

    fn is_away(&mut self, node: usize, error: RpcError, coverage: &mut Coverage) -> Result<(), SelectError> {
        self.gather.is_away(&self.members, node, &error);
        (self.words[node], self.given_up[node]) = (None, true);
        self.pieces.retain(|piece| piece.node != node);
        // What stands in no piece any more is asked again.
        let mut kept = ShardSet::empty();
        self.pieces.iter().for_each(|piece| kept.unite(&piece.shards));
        self.settled = self.settled.and(&kept);
        coverage.missing(node, error)
    }

    async fn round(
        &mut self,
        round: usize,
        assignment: &Assignment,
        coverage: &mut Coverage,
    ) -> Result<(), SelectError> {
        let questions = self.questions(assignment);
        let question = move |place: usize, node: Arc<Node>| answer(place, node, Arc::clone(&questions));
        // In the first round all are asked, since all have to say what they have.
        let has_part = |node: usize| !assignment.alone(node).is_empty() || !assignment.merged().is_empty();
        let is_asked = |(node, given_up): (usize, &bool)| !given_up && (round == 1 || has_part(node));
        let asked: Vec<bool> = self.given_up.iter().enumerate().map(is_asked).collect();
        let mut answers = ask_each(&self.gather.runtime, &self.members, |node| asked[node], question);
        let mut came: Vec<(usize, Answer)> = Vec::new();
        let mut clock = Clock::new(self.gather, round == 1);
        while let Some(next) = clock.next(&mut answers, coverage).await {
            match next {
                Next::Answer(node, answer) => match *answer {
                    Ok(answer) => {
                        coverage.answered(node, answer.word.complete.clone());
                        // What it said before may have been said by a process that is gone.
                        self.words[node] = Some(answer.word.clone());
                        came.push((node, answer));
                    }
                    Err(error) => self.is_away(node, error, coverage)?,
                },
                Next::GiveUp => {
                    let slow: Vec<usize> = (0..self.words.len())
                        .filter(|node| {
                            asked[*node] && !self.given_up[*node] && came.iter().all(|(have, _)| have != node)
                        })
                        .collect();
                    for node in slow {
                        // It may be slow, or away.
                        self.members.nodes()[node].look();
                        self.given_up[node] = true;
                        self.words[node] = None;
                        coverage.missing(node, too_slow(&self.members.nodes()[node]))?;
                    }
                    break;
                }
            }
        }
        let checked = coverage.check();
        self.gather.count(&checked, coverage);
        checked?;
        self.settle(assignment, came);
        Ok(())
    }

    /// Keeps what was asked of the right nodes.
    fn settle(&mut self, assignment: &Assignment, came: Vec<(usize, Answer)>) {
        for (node, answer) in came {
            let is_right = assignment.wrong(node, &self.words, self.collapses).is_empty();
            if is_right {
                self.settled.unite(assignment.alone(node));
            }
            self.pieces.extend(answer.pieces.into_iter().filter(|piece| is_right || piece.is_merged));
        }
        self.settled.unite(assignment.merged());
        // Of what nobody who is there has anything there is nothing to ask.
        let mut held = ShardSet::empty();
        self.words.iter().flatten().for_each(|word| held.unite(&word.holds));
        self.settled.unite(&ShardSet::all().without(&held));
    }

    fn questions(&self, assignment: &Assignment) -> Arc<Questions> {
        let alone = SelectRequest::clone(&self.request);
        let samples = match (&alone.samples, self.collapses) {
            // What a head stands for may be on another node too.
            (SamplesWanted::Heads(_), true) => SamplesWanted::Raw,
            (samples, _) => samples.clone(),
        };
        let merged = SelectRequest { sub_plan: None, samples, ..alone.clone() };
        let alone = match alone.sub_plan {
            // Where it is not done, all samples serve.
            Some(_) => SelectRequest { samples: SamplesWanted::Raw, ..alone },
            None => alone,
        };
        Arc::new(Questions { alone, merged, assignment: assignment.clone() })
    }
}

fn too_slow(node: &Node) -> RpcError {
    RpcError::TimedOut(format!("{} is slower than the others, which have everything", node.address()))
}

/// The shards of a request, which may be asked for some only itself.
fn narrowed(request: &SelectRequest, shards: &ShardSet) -> ShardSet {
    request.shards.as_ref().map_or_else(|| shards.clone(), |asked| asked.and(shards))
}

/// The questions to a node, and what it says.
async fn answer(place: usize, node: Arc<Node>, asked: Arc<Questions>) -> Result<Answer, RpcError> {
    let with = |request: &SelectRequest, shards: &ShardSet| SelectRequest {
        shards: Some(narrowed(request, shards)),
        ..request.clone()
    };
    let (alone, merged) = (asked.assignment.alone(place), asked.assignment.merged());
    let alone_request = with(&asked.alone, alone);
    let merged_request = with(&asked.merged, merged);
    let asks_merged = !merged.is_empty();
    let alone_answer = node.select(&alone_request);
    let merged_answer = async {
        match asks_merged {
            true => node.select(&merged_request).await.map(Some),
            false => Ok(None),
        }
    };
    let (alone_answer, merged_answer) = tokio::try_join!(alone_answer, merged_answer)?;
    let word = alone_answer.word().clone();
    let folds = asked.alone.sub_plan.as_ref().is_some_and(|plan| !plan.aggregate.is_empty());
    let piece = |stream, shards: &ShardSet, is_merged| Piece {
        node: place,
        shards: shards.clone(),
        is_merged,
        ready: VecDeque::new(),
        stream,
    };
    let mut pieces = vec![piece(alone_answer, alone, false)];
    if folds {
        take_in(&mut pieces[0]).await?;
    }
    pieces.extend(merged_answer.map(|stream| piece(stream, merged, true)));
    Ok(Answer { word, pieces })
}

/// Takes in states to their end. Samples, where the sub-plan was not done, go on as they come.
async fn take_in(piece: &mut Piece) -> Result<(), RpcError> {
    while let Some(chunk) = piece.stream.receive().await? {
        let is_state = chunk.holds_results();
        piece.ready.push_back(chunk);
        if !is_state {
            break;
        }
    }
    Ok(())
}

/// Waits for answers.
struct Clock<'a> {
    gather: &'a Gather,
    began: Instant,
    may_give_up: bool,
    /// When those that answered had everything.
    enough: Option<Duration>,
}

enum Next {
    Answer(usize, Box<Result<Answer, RpcError>>),
    GiveUp,
}

impl<'a> Clock<'a> {
    /// Only in the first round all are asked for all, so that some may have what others do.
    fn new(gather: &'a Gather, may_give_up: bool) -> Self {
        if may_give_up {
            gather.giving_up.earn();
        }
        Self { gather, began: Instant::now(), may_give_up, enough: None }
    }

    /// The next answer; that no further one is waited for; or that all are there.
    async fn next(&mut self, answers: &mut Answers<Answer>, coverage: &Coverage) -> Option<Next> {
        if self.may_give_up && self.enough.is_none() && coverage.is_enough() {
            self.enough = Some(self.began.elapsed());
        }
        let answer = |(node, answer)| Next::Answer(node, Box::new(answer));
        let Some(taken) = self.enough else { return answers.next().await.map(answer) };
        let end = Patience::of(self.gather.options.skip_slow).end(taken);
        match tokio::time::timeout(end.saturating_sub(self.began.elapsed()), answers.next()).await {
            Ok(next) => next.map(answer),
            Err(_) if self.gather.giving_up.may() => {
                self.gather.stats.given_up.fetch_add(1, Relaxed);
                Some(Next::GiveUp)
            }
            Err(_) => answers.next().await.map(answer),
        }
    }
}

/// What came of each node that was asked to stand in.
pub type StandIns = Vec<(usize, Result<Piece, RpcError>)>;

/// Samples of these shards from all nodes but some, for which they stand in; of each what it gives, or why it gives nothing.
pub fn stand_in(
    runtime: &Handle,
    members: &Arc<Members>,
    request: &SelectRequest,
    (shards, without): (&ShardSet, &[usize]),
) -> Result<StandIns, SelectError> {
    let samples = match &request.samples {
        SamplesWanted::Heads(_) => SamplesWanted::Raw,
        other => other.clone(),
    };
    let narrow = Some(narrowed(request, shards));
    let request = SelectRequest { sub_plan: None, samples, shards: narrow, ..request.clone() };
    let request = Arc::new(request);
    let question = move |_, node: Arc<Node>| {
        let request = Arc::clone(&request);
        async move { node.select(&request).await }
    };
    let mut answers = ask_each(runtime, members, |node| !without.contains(&node), question);
    let asking = async move {
        let mut came = Vec::new();
        while let Some(answer) = answers.next().await {
            came.push(answer);
        }
        came
    };
    let came = crate::select::wait(runtime, asking);
    let came = came.ok_or_else(|| SelectError::Unavailable("the node is stopping".into()))?;
    let piece = |(node, answer): (usize, Result<RemoteStream, RpcError>)| {
        let piece = |stream| Piece { node, shards: shards.clone(), is_merged: true, ready: VecDeque::new(), stream };
        (node, answer.map(piece))
    };
    Ok(came.into_iter().map(piece).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn giving_up_is_earned() {
        let giving_up = GivingUp::default();
        assert_eq!((0..20).filter(|_| giving_up.may()).count(), 10);
        (0..9).for_each(|_| giving_up.earn());
        assert!(!giving_up.may());
        giving_up.earn();
        assert!(giving_up.may() && !giving_up.may());
        (0..1_000).for_each(|_| giving_up.earn());
        assert_eq!((0..20).filter(|_| giving_up.may()).count(), 10, "no more than so many are saved up");
    }

    #[test]
    fn patience_goes_by_how_long_the_others_took() {
        let taken = Duration::from_millis(100);
        assert_eq!(Patience::of(false).end(taken), Duration::from_millis(350));
        assert_eq!(Patience::of(true).end(taken), Duration::from_millis(105));
    }
}
