//! Which blocks of a dense part are worth trying pco on.
//!
//! pco costs some ten times what packing with tANS does, and on most Kubernetes traffic it wins nothing; where it does win, it does so for whole metrics, and series of
//! one metric are neighbours. So after some trials in a row that won nothing only one block in so many is tried, until one wins. Blocks that are short never win
//! (codec study 1.5: pco wants two thousand values and more).

use codec::{Effort, ValueCodec};

/// Shorter blocks are not tried.
const VALUES_MIN: usize = 512;
/// After so many trials in vain …
const VAIN_MAX: u32 = 8;
/// … only every so manieth block is tried.
const PROBE_EVERY: u32 = 32;

/// Remembers how the last trials went.
#[derive(Debug, Default)]
pub struct ColdTrials {
    vain: u32,
    skipped: u32,
}

impl ColdTrials {
    /// The effort for the next block of a dense part.
    pub fn effort(&mut self, values: usize) -> Effort {
        if values < VALUES_MIN {
            return Effort::Merge;
        }
        if self.vain < VAIN_MAX || self.skipped >= PROBE_EVERY {
            self.skipped = 0;
            return Effort::Cold;
        }
        self.skipped += 1;
        Effort::Merge
    }

    /// Takes note of what came of a block that was tried.
    pub fn tried(&mut self, codec: ValueCodec) {
        let won = matches!(codec, ValueCodec::DecimalPco | ValueCodec::FloatPco);
        self.vain = if won { 0 } else { self.vain.saturating_add(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_get_rare_in_vain_and_frequent_when_one_wins() {
        let mut trials = ColdTrials::default();
        let mut run = |blocks: u32, codec| {
            let efforts: Vec<Effort> = (0..blocks)
                .map(|_| {
                    let effort = trials.effort(VALUES_MIN);
                    if effort == Effort::Cold {
                        trials.tried(codec);
                    }
                    effort
                })
                .collect();
            efforts.into_iter().filter(|effort| *effort == Effort::Cold).count()
        };
        assert_eq!(run(VAIN_MAX + 10 * (PROBE_EVERY + 1), ValueCodec::Decimal), VAIN_MAX as usize + 10);
        assert!(run(PROBE_EVERY + 100, ValueCodec::DecimalPco) >= 100);
        assert_eq!(ColdTrials::default().effort(VALUES_MIN - 1), Effort::Merge);
    }
}
