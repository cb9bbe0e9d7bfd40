//! Encodings against a plain map, with known hashes of everything; limits; eviction.

use std::collections::HashMap;

use model::{SeriesId, ValueKind};
use proptest::prelude::*;
use storage_api::Refusal;

use super::*;
use crate::epochs::FIRST_EPOCH;

const TENANT: Tenant = Tenant::DEFAULT;

/// A body with one row for each name.
fn body(names: &[u16]) -> (Vec<u8>, Vec<EncodedSeries>) {
    let mut bytes = Vec::new();
    let mut series = Vec::new();
    for name in names {
        let start = bytes.len() as u32;
        bytes.extend_from_slice(format!("series number {name}").repeat(1 + usize::from(*name) % 30).as_bytes());
        let labels_len = bytes.len() as u32 - start;
        series.push(EncodedSeries { labels_start: start, labels_len, samples_end: 0, kind: ValueKind::Float });
    }
    (bytes, series)
}

/// Encodings and slots, with the naive truth about them.
struct Double {
    encodings: Encodings,
    slots: Slots,
    epochs: crate::epochs::Epochs,
    epoch: u32,
    /// What each name means; the same for ever but for slots.
    meanings: HashMap<u16, ResolvedRow>,
    lookup: Lookup,
}

impl Double {
    fn new(entries_max: usize) -> Self {
        Self {
            encodings: Encodings::new(&[9; 32], entries_max),
            slots: Slots::new(),
            epochs: crate::epochs::Epochs::new(),
            epoch: FIRST_EPOCH,
            meanings: HashMap::new(),
            lookup: Lookup::default(),
        }
    }

    /// What a name means; made at the first call.
    fn meaning(&mut self, name: u16) -> ResolvedRow {
        let (slots, epoch) = (&self.slots, self.epoch);
        *self.meanings.entry(name).or_insert_with(|| match name % 7 {
            0 => ResolvedRow::Drop,
            1 => ResolvedRow::Refuse(Refusal::ALL[usize::from(name) % Refusal::ALL.len()]),
            _ => ResolvedRow::Slot(slots.take(SeriesId(1), ValueKind::Float, epoch).expect("a slot")),
        })
    }

    /// Looks a batch up and resolves what is missed. Returns the names that were missed.
    fn send(&mut self, names: &[u16]) -> Vec<u16> {
        let (bytes, series) = body(names);
        let hasher = self.encodings.hasher(TENANT, 1, b"test");
        self.encodings.look_up(hasher, &bytes, &series, self.epoch, &self.slots, &mut self.lookup);
        let missed: Vec<usize> = self.lookup.missed.iter().map(|missed| missed.row as usize).collect();
        assert!(missed.is_sorted_by(|a, b| a < b));
        for row in &missed {
            self.lookup.rows[*row] = self.meaning(names[*row]);
        }
        self.encodings.remember(&mut self.lookup, self.epoch, |_| true);
        for (row, name) in names.iter().enumerate() {
            let want = self.meaning(*name);
            assert_eq!(self.lookup.rows[row], want, "row {row} of {names:?}");
        }
        missed.iter().map(|row| names[*row]).collect()
    }

    /// Frees the slot of a name as an eviction does.
    fn evict(&mut self, name: u16) {
        let Some(ResolvedRow::Slot(slot)) = self.meanings.get(&name).copied() else { return };
        assert!(self.slots.free(slot, u32::MAX >> 1));
        self.meanings.remove(&name);
        self.slots.quarantine(vec![slot], &self.epochs);
    }

    fn sweep(&mut self) {
        self.encodings.sweep(self.epoch, |slot| self.slots.is_freed(slot));
        self.epochs.advance();
        self.slots.release(&self.epochs, |_| true);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Send(Vec<u16>),
    Evict(u16),
    Age,
    Sweep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let names = prop_oneof![
        prop::collection::vec(0..300_u16, 1..120),
        // The order that senders repeat, with some of it left out.
        (0..200_u16, 1..100_u16, 0..5_u16).prop_map(|(start, len, gap)| {
            (start..start + len).filter(|name| gap == 0 || name % (gap + 3) != 0).collect()
        }),
    ];
    let step = prop_oneof![
        6 => names.prop_map(Step::Send),
        2 => (0..300_u16).prop_map(Step::Evict),
        1 => Just(Step::Age),
        1 => Just(Step::Sweep),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_row_means_what_it_means(steps in steps(), entries_max in prop_oneof![Just(20_usize), Just(1000)]) {
        let mut double = Double::new(entries_max);
        for step in steps {
            match step {
                Step::Send(names) => drop(double.send(&names)),
                Step::Evict(name) => double.evict(name),
                Step::Age => double.epoch += 1,
                Step::Sweep => double.sweep(),
            }
            prop_assert!(double.encodings.len() <= entries_max);
        }
    }
}

#[test]
fn what_was_seen_is_known_in_any_order_and_context() {
    let mut double = Double::new(1000);
    let all: Vec<u16> = (0..300).collect();
    assert_eq!(double.send(&all), all);
    assert_eq!(double.send(&all), []);
    let backwards: Vec<u16> = all.iter().rev().copied().collect();
    assert_eq!(double.send(&backwards), []);
    assert_eq!(double.send(&all[100..]), []);
    let (bytes, series) = body(&all);
    let hasher = double.encodings.hasher(Tenant::new(1, 0), 1, b"test");
    double.encodings.look_up(hasher, &bytes, &series, double.epoch, &double.slots, &mut double.lookup);
    assert_eq!(double.lookup.missed.len(), all.len(), "another tenant's bytes mean something else");
}

#[test]
fn guesses_survive_inserted_and_missing_rows() {
    let mut double = Double::new(1000);
    let all: Vec<u16> = (0..100).collect();
    double.send(&all);
    let mut changed = all.clone();
    changed.remove(50);
    changed.insert(20, 200);
    assert_eq!(double.send(&changed), [200]);
    let inner = double.encodings.inner.read();
    let numbers = &double.lookup.entries;
    let linked = |pair: &[u32]| inner.entries.get(pair[0]).is_some_and(|entry| entry.next() == pair[1]);
    assert!(numbers.windows(2).all(linked), "the order of the last batch is the one that is guessed");
}

#[test]
fn a_freed_slot_is_never_found_again() {
    let mut double = Double::new(1000);
    double.send(&[2, 3, 4]);
    double.evict(3);
    assert_eq!(double.send(&[2, 3, 4]), [3], "before the sweep");
    double.evict(3);
    double.sweep();
    let Some(ResolvedRow::Slot(slot)) = Some(double.meaning(9)) else { panic!("a series") };
    assert_eq!(slot, 1, "the number is used again");
    assert_eq!(double.send(&[2, 3, 4]), [3], "after the sweep, with the number in use");
}

#[test]
fn what_nobody_uses_is_forgotten() {
    let mut double = Double::new(1000);
    double.send(&[2, 3, 4]);
    for _ in 0..=AGES_KEPT {
        double.epoch += 1;
        double.send(&[3]);
        double.sweep();
    }
    assert_eq!(double.encodings.len(), 1);
    assert_eq!(double.send(&[2, 3, 4]), [2, 4]);
}

#[test]
fn at_the_limit_old_entries_make_room() {
    let mut double = Double::new(100);
    double.send(&(0..100).collect::<Vec<_>>());
    double.epoch += 1;
    let young: Vec<u16> = (0..50).collect();
    double.send(&young);
    double.send(&(200..250).collect::<Vec<_>>());
    assert_eq!(double.encodings.len(), 100);
    assert_eq!(double.send(&young), [], "entries that were used lately stay");
}
