//! What a node says of its shards, between message and type.

use storage_api::ShardWord;

use super::{
    messages::{OwnedMessage, WordMessage},
    requests::{Wrong, shards},
};

/// More tokens than shards make no sense.
const TOKENS_MAX: usize = model::SHARDS;

/// A word as it is sent.
pub fn word_message(word: &ShardWord) -> WordMessage {
    let owned = |(token, shards): &(u64, _)| OwnedMessage {
        token: *token,
        shards: storage_api::ShardSet::words(shards).to_vec(),
    };
    WordMessage {
        holds: word.holds.words().to_vec(),
        complete: word.complete.words().to_vec(),
        owned: word.owned.iter().map(owned).collect(),
    }
}

/// A word as it came. A node that gives none is one that knows nothing of shards.
pub fn word(message: Option<&WordMessage>) -> Result<ShardWord, Wrong> {
    let Some(message) = message else { return Ok(ShardWord::unknown()) };
    if message.owned.len() > TOKENS_MAX {
        return Err("more tokens than shards");
    }
    let owned = |owned: &OwnedMessage| Ok((owned.token, shards(&owned.shards)?));
    Ok(ShardWord {
        holds: shards(&message.holds)?,
        complete: shards(&message.complete)?,
        owned: message.owned.iter().map(owned).collect::<Result<_, Wrong>>()?,
    })
}

#[cfg(test)]
mod tests {
    use storage_api::ShardSet;

    use super::*;

    #[test]
    fn a_word_comes_back() {
        let mut some = ShardSet::empty();
        some.insert(1000);
        let said = ShardWord { holds: some.clone(), complete: ShardSet::all(), owned: vec![(7, some)] };
        assert_eq!(word(Some(&word_message(&said))), Ok(said));
        assert_eq!(word(None), Ok(ShardWord::unknown()));
        let odd = WordMessage { holds: vec![1], ..WordMessage::default() };
        assert!(word(Some(&odd)).is_err());
    }
}
