//! The forms of the head that were not taken, made well enough to be compared.
//!
//! 1. A flat log without chains, turned into columns by a stable radix sort over the slots.
//! 2. Append-only chunks for each series: 32-byte pieces of an arena, each sample written where its series ended, with prefetch ahead.

use std::hint::black_box;

use crate::common::{CpuTime, Fleet, Rng, prefetch};

/// Rows of the log that is sorted at once.
const LOG_ROWS: usize = 2 << 20;
const SCRAPES: usize = 16;
const AHEAD: usize = 16;

pub fn run(fleet: &mut Fleet) {
    let steady: Vec<u32> = (0..fleet.len() as u32).collect();
    let mut random = steady.clone();
    Rng::new(11).shuffle(&mut random);
    for (what, order) in [("steady", &steady), ("random", &random)] {
        flat_log(fleet, order, what);
        chunks(fleet, order, what);
    }
}

fn flat_log(fleet: &mut Fleet, order: &[u32], what: &str) {
    let mut log = Log::default();
    let (mut append, mut sort, mut rows) = (0.0, 0.0, 0);
    for _ in 0..SCRAPES {
        let scrape = fleet.advance();
        for part in order.chunks(2000) {
            let samples: Vec<_> = part.iter().map(|slot| scrape.sample(*slot as usize)).collect();
            let start = CpuTime::now();
            for (slot, sample) in part.iter().zip(&samples) {
                log.slots.push(*slot);
                log.times.push(sample.time);
                log.values.push(sample.value);
            }
            append += start.elapsed_ns();
            rows += part.len();
        }
        if log.slots.len() + order.len() > LOG_ROWS {
            let start = CpuTime::now();
            black_box(log.sorted(order.len()));
            sort += start.elapsed_ns();
            log.clear();
        }
    }
    println!(
        "flat log, {what} order: append {:.1} ns a row, radix to columns {:.1}",
        append / rows as f64,
        sort / rows as f64
    );
}

#[derive(Default)]
struct Log {
    slots: Vec<u32>,
    times: Vec<i64>,
    values: Vec<f64>,
}

impl Log {
    fn clear(&mut self) {
        self.slots.clear();
        self.times.clear();
        self.values.clear();
    }

    /// Two passes over 11 bits each carry row numbers; a third fetches the columns.
    fn sorted(&self, slots: usize) -> Self {
        const DIGIT: u32 = 11;
        let mut order: Vec<u32> = (0..self.slots.len() as u32).collect();
        let mut next = order.clone();
        for shift in (0..usize::BITS - slots.leading_zeros()).step_by(DIGIT as usize) {
            let digit = |row: u32| (self.slots[row as usize] >> shift) as usize & ((1 << DIGIT) - 1);
            let mut starts = vec![0_u32; 1 << DIGIT];
            order.iter().for_each(|row| starts[digit(*row)] += 1);
            let mut sum = 0;
            for start in &mut starts {
                sum += std::mem::replace(start, sum);
            }
            for row in &order {
                let place = &mut starts[digit(*row)];
                next[*place as usize] = *row;
                *place += 1;
            }
            std::mem::swap(&mut order, &mut next);
        }
        let rows = || order.iter().map(|row| *row as usize);
        Self {
            slots: rows().map(|row| self.slots[row]).collect(),
            times: rows().map(|row| self.times[row]).collect(),
            values: rows().map(|row| self.values[row]).collect(),
        }
    }
}

const PIECE: usize = 32;

/// What a series must remember to write its next sample.
#[derive(Clone, Copy, Default)]
struct State {
    time: i64,
    step: i64,
    value: f64,
    /// Number of the piece that is written, plus one.
    piece: u32,
    used: u8,
}

/// A piece: 28 bytes of samples and the number of the piece before.
#[derive(Clone, Copy)]
#[repr(align(32))]
struct Piece([u8; PIECE]);

struct Chunks {
    states: Vec<State>,
    pieces: Vec<Piece>,
}

impl Chunks {
    /// A control byte, the change of the time step, and an integer difference or the changed bits.
    fn append(&mut self, slot: usize, time: i64, value: f64) {
        let state = &mut self.states[slot];
        let mut sample = [0_u8; 24];
        let mut at = 1;
        let step = time - state.time;
        at += put_varint(zigzag(step - state.step), &mut sample[at..]);
        let difference = value - state.value;
        let as_int = difference as i64;
        if value.to_bits() == state.value.to_bits() {
            sample[0] = 0;
        } else if as_int as f64 == difference && value.fract() == 0.0 && as_int.unsigned_abs() < 1 << 50 {
            sample[0] = 1;
            at += put_varint(zigzag(as_int), &mut sample[at..]);
        } else {
            let bits = value.to_bits() ^ state.value.to_bits();
            let skipped = bits.trailing_zeros() / 8;
            let bytes = 8 - skipped - bits.leading_zeros() / 8;
            sample[0] = 2 | (skipped as u8) << 2 | (bytes as u8) << 5;
            sample[at..at + 8].copy_from_slice(&(bits >> (skipped * 8)).to_le_bytes());
            at += bytes as usize;
        }
        (state.step, state.time, state.value) = (step, time, value);
        for byte in &sample[..at] {
            if state.piece == 0 || usize::from(state.used) == PIECE - 4 {
                let mut piece = Piece([0; PIECE]);
                piece.0[PIECE - 4..].copy_from_slice(&state.piece.to_le_bytes());
                self.pieces.push(piece);
                (state.piece, state.used) = (self.pieces.len() as u32, 0);
            }
            self.pieces[state.piece as usize - 1].0[usize::from(state.used)] = *byte;
            state.used += 1;
        }
    }
}

fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

fn put_varint(mut number: u64, out: &mut [u8]) -> usize {
    let mut at = 0;
    while number >= 0x80 {
        out[at] = number as u8 | 0x80;
        number >>= 7;
        at += 1;
    }
    out[at] = number as u8;
    at + 1
}

fn chunks(fleet: &mut Fleet, order: &[u32], what: &str) {
    let mut chunks = Chunks { states: vec![State::default(); order.len()], pieces: Vec::new() };
    let (mut append, mut rows) = (0.0, 0);
    for _ in 0..SCRAPES {
        let scrape = fleet.advance();
        for part in order.chunks(2000) {
            let samples: Vec<_> = part.iter().map(|slot| scrape.sample(*slot as usize)).collect();
            let start = CpuTime::now();
            for (i, (slot, sample)) in part.iter().zip(&samples).enumerate() {
                if let Some(far) = part.get(i + 2 * AHEAD) {
                    prefetch(&chunks.states[*far as usize]);
                }
                if let Some(near) = part.get(i + AHEAD) {
                    let piece = chunks.states[*near as usize].piece as usize;
                    if let Some(piece) = piece.checked_sub(1).and_then(|piece| chunks.pieces.get(piece)) {
                        prefetch(piece);
                    }
                }
                chunks.append(*slot as usize, sample.time, sample.value);
            }
            append += start.elapsed_ns();
            rows += part.len();
        }
    }
    let bytes = chunks.states.len() * size_of::<State>() + chunks.pieces.len() * PIECE;
    println!(
        "chunks a series, {what} order: append {:.1} ns a row; {:.2} bytes a row after {SCRAPES} samples a series, {:.2} of them states",
        append / rows as f64,
        bytes as f64 / rows as f64,
        (chunks.states.len() * size_of::<State>()) as f64 / rows as f64,
    );
}
