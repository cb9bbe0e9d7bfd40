//! Gives shards to places so that each place gets its share, and that hardly any shard moves when places come and go.
//!
//! 1. Every pair of a shard and a place has a score, a hash of both: nobody's score changes when another place comes or goes.
//! 2. A place takes no more than its share and a little more ([`SLACK_PERCENT`]), so that chance does not load one place with half again as much.
//! 3. Pairs are gone through by descending score; a pair holds if the shard still wants a place and the place still has room. As shards and places go by
//!    the same scores, no shard and no place would both be better off otherwise: what changes when a place comes is what it wins, and little more. With up
//!    to nine places that is a twentieth more on average; with thirty, whose shares have one or two shards to spare, a quarter (three copies) or a half (one).
//! 4. A shard that found no room (which takes many copies on few places) gets its best places in spite of their shares.

/// Shares are exceeded by so much at most.
const SLACK_PERCENT: usize = 5;

/// A place that takes shards.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its part of the whole, relative to those of the other places.
    pub weight: usize,
}

/// For each of `shards`, in their order, `copies` different places by descending score. There are at least so many places.
pub fn assign(shards: &[u16], places: &[Place], copies: usize, score: impl Fn(u16, usize) -> u64) -> Vec<Vec<u16>> {
    assert!(
        copies <= places.len() && places.len() <= usize::from(u16::MAX),
        "BUG: {copies} copies, {} places",
        places.len()
    );
    let weights: usize = places.iter().map(|place| place.weight).sum();
    let share =
        |place: &Place| (shards.len() * copies * place.weight * (100 + SLACK_PERCENT)).div_ceil(weights.max(1) * 100);
    let mut room: Vec<usize> = places.iter().map(|place| share(place).min(shards.len())).collect();
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
