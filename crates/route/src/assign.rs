//! Gives shards to places so that each place gets its share, and that hardly any shard moves when places come and go.
//!
//! 1. Every pair of a shard and a place has a score that depends on these two alone: nobody's score changes when another place comes or goes.
//! 2. A place takes no more than its share and a little more ([`room`]), so that chance does not load one place with half again as much.
//! 3. Pairs are gone through by descending score; a pair holds if the shard still wants a place and the place still has room. As shards and places go by
//!    the same scores, no shard and no place would both be better off otherwise: what changes when a place comes is what it wins, and what moves up into
//!    the room that this leaves at the others.
//! 4. A shard that found no room (which takes many copies on few places) gets its best places in spite of their shares.
//!
//! Scores, room and their effect on what moves: `docs/decisions/2026-11-22-ranks-in-the-shard-map.md`.

/// Shares are exceeded by so much…
const SPARE_PERCENT: usize = 5;

/// … or by 2.4 shards where that is more: with next to no room to spare every shard that moves makes others move.
const SPARE_LEAST: usize = ONE * 24 / 10;

/// Room is reckoned in parts of a shard.
const ONE: usize = 1 << 16;

/// A place that takes shards.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its part of the whole, relative to those of the other places.
    pub weight: usize,
    /// Made of its name. Decides whether a fraction of a shard rounds its room up: if all were rounded alike, one place more could take a shard from each
    /// of the others at once.
    pub rounding: u16,
}

/// How many of `wanted` copies go to a place, whose weight is part of `weights`.
fn room(place: &Place, wanted: usize, weights: usize) -> usize {
    let share = wanted * place.weight * ONE / weights.max(1);
    (share + (share * SPARE_PERCENT / 100).max(SPARE_LEAST) + usize::from(place.rounding)) / ONE
}

/// For each of `shards`, in their order, `copies` different places by descending score. There are at least so many places.
pub fn assign(shards: &[u16], places: &[Place], copies: usize, score: impl Fn(u16, usize) -> u64) -> Vec<Vec<u16>> {
    assert!(
        copies <= places.len() && places.len() <= usize::from(u16::MAX),
        "BUG: {copies} copies, {} places",
        places.len()
    );
    let weights: usize = places.iter().map(|place| place.weight).sum();
    let room = |place: &Place| room(place, shards.len() * copies, weights).min(shards.len());
    let mut room: Vec<usize> = places.iter().map(room).collect();
    let mut owners = vec![Vec::with_capacity(copies); shards.len()];

    let pairs = (0..shards.len()).flat_map(|shard| (0..places.len()).map(move |place| (shard, place)));
    let mut ranked: Vec<(u64, u32, u16)> =
        pairs.map(|(shard, place)| (score(shards[shard], place), shard as u32, place as u16)).collect();
    ranked.sort_unstable_by(|a, b| b.cmp(a));
    for (_, shard, place) in &ranked {
        let (owners, room) = (&mut owners[*shard as usize], &mut room[usize::from(*place)]);
        if owners.len() < copies && *room > 0 {
            owners.push(*place);
            *room -= 1;
        }
    }
    for (_, shard, place) in &ranked {
        let owners = &mut owners[*shard as usize];
        if owners.len() < copies && !owners.contains(place) {
            owners.push(*place);
        }
    }
    owners
}
