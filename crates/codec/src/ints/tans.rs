//! Static tANS: entropy coding of the top four bits of packed numbers, without a table per block.
//!
//! 1. A symbol is the four bits above a vector's shift. Which of the static tables describes their distribution best
//!    is one byte in the vector; the tables themselves are in the program ([`tans_tables`]).
//! 2. All vectors of a group share one stream and eight states, symbol i of a vector belonging to state i % 8. A state
//!    goes from one vector to the next whatever their tables are, since all tables have 512 states.
//! 3. The encoder runs backwards, last symbol first, from state 0; the decoder runs forwards and must end at state 0
//!    in all lanes with no bit left, or the bytes are damaged.
//!
//! ```text
//! stream:  | 8 states, 9 bits each = 9 bytes | bits of symbol 0, 1, 2, … , lowest bits first, rounded up to bytes |
//! ```
//!
//! [`tans_tables`]: super::tans_tables

use super::stream::GROUP_SAMPLES;
use super::tans_tables::{COUNTS, TABLES};
use crate::VECTOR_SAMPLES;
use crate::bitpack::Vector;
use crate::bytes::{Malformed, Reader};
use crate::wide::wide;

/// Bits of a symbol.
pub(crate) const SYMBOL_BITS: u32 = 4;
/// How many symbols there are.
pub(crate) const SYMBOLS: usize = 1 << SYMBOL_BITS;
/// Bits of a state.
const STATE_BITS: u32 = 9;
/// How many states there are.
pub(crate) const STATES: usize = 1 << STATE_BITS;
/// States that run side by side, so that their lookups overlap.
const LANES: usize = 8;
/// Bytes of the states in front of a stream.
const STATES_LEN: usize = LANES * STATE_BITS as usize / 8;
/// The longest stream: no symbol takes more bits than a state has.
const STREAM_LEN_MAX: usize = STATES_LEN + GROUP_SAMPLES * STATE_BITS as usize / 8;
/// Zeros behind the stream, so that a decoder may look ahead without asking.
const PADDING: usize = 16;
/// Fraction bits of a cost.
pub(crate) const COST_BITS: u32 = 8;

/// Walks the states so that each symbol's are spread evenly; odd, so that all are visited.
const SPREAD: usize = STATES / 2 + STATES / 8 + 3;

/// The decoder's side: for every state the bits to read (8 bits; four of them add up without a carry), its symbol and
/// the state that the bits are added to.
type DecodeTable = [u32; STATES];

const ENTRY_BITS_MASK: u32 = 0xff;
const ENTRY_SYMBOL_SHIFT: u32 = 8;
const ENTRY_BASE_SHIFT: u32 = 16;

/// The encoder's side.
#[derive(Clone, Copy)]
struct EncodeTable {
    /// (state + this) >> 16 is the number of bits to write.
    bits: [u32; SYMBOLS],
    /// Added to the state's upper bits it indexes `next`.
    find: [i16; SYMBOLS],
    next: [u16; STATES],
}

static DECODE: [DecodeTable; TABLES] = {
    let mut tables = [[0; STATES]; TABLES];
    let mut table = 0;
    while table < TABLES {
        tables[table] = decode_table(&COUNTS[table]);
        table += 1;
    }
    tables
};

static ENCODE: [EncodeTable; TABLES] = {
    let mut tables = [EncodeTable { bits: [0; SYMBOLS], find: [0; SYMBOLS], next: [0; STATES] }; TABLES];
    let mut table = 0;
    while table < TABLES {
        tables[table] = encode_table(&COUNTS[table]);
        table += 1;
    }
    tables
};

/// What a symbol costs in each table, in bits with [`COST_BITS`] fraction bits.
pub(crate) static COSTS: [[i16; SYMBOLS]; TABLES] = {
    let mut costs = [[0; SYMBOLS]; TABLES];
    let mut table = 0;
    while table < TABLES {
        let mut symbol = 0;
        while symbol < SYMBOLS {
            costs[table][symbol] = cost(COUNTS[table][symbol]);
            symbol += 1;
        }
        table += 1;
    }
    costs
};

/// The mean symbol of each table, times 256; ascending.
pub(crate) static MEANS: [u32; TABLES] = {
    let mut means = [0; TABLES];
    let mut table = 0;
    while table < TABLES {
        let mut symbol = 0;
        while symbol < SYMBOLS {
            means[table] += (COUNTS[table][symbol] as usize * symbol) as u32;
            symbol += 1;
        }
        means[table] = means[table] * 256 / STATES as u32;
        table += 1;
    }
    means
};

/// log2(512 / count) in fixed point, by squaring the mantissa once per fraction bit.
const fn cost(count: u16) -> i16 {
    let whole = count.ilog2();
    let mut mantissa = (count as u64) << (31 - whole);
    let mut log = whole;
    let mut bit = 0;
    while bit < COST_BITS {
        mantissa = (mantissa * mantissa) >> 31;
        log <<= 1;
        if mantissa >= 2 << 31 {
            mantissa >>= 1;
            log |= 1;
        }
        bit += 1;
    }
    ((STATE_BITS << COST_BITS) - log) as i16
}

const fn spread(counts: &[u16; SYMBOLS]) -> [u8; STATES] {
    let mut symbols = [0; STATES];
    let (mut state, mut symbol) = (0, 0);
    while symbol < SYMBOLS {
        let mut left = counts[symbol];
        while left > 0 {
            symbols[state] = symbol as u8;
            state = (state + SPREAD) % STATES;
            left -= 1;
        }
        symbol += 1;
    }
    assert!(state == 0, "every state was visited once");
    symbols
}

const fn decode_table(counts: &[u16; SYMBOLS]) -> DecodeTable {
    let symbols = spread(counts);
    let mut ranks = *counts;
    let mut table = [0; STATES];
    let mut state = 0;
    while state < STATES {
        let symbol = symbols[state] as usize;
        let rank = ranks[symbol] as u32;
        ranks[symbol] += 1;
        let bits = STATE_BITS - rank.ilog2();
        let base = (rank << bits) - STATES as u32;
        table[state] = bits | (symbol as u32) << ENTRY_SYMBOL_SHIFT | base << ENTRY_BASE_SHIFT;
        state += 1;
    }
    table
}

const fn encode_table(counts: &[u16; SYMBOLS]) -> EncodeTable {
    let symbols = spread(counts);
    let mut table = EncodeTable { bits: [0; SYMBOLS], find: [0; SYMBOLS], next: [0; STATES] };
    let mut starts = [0_u16; SYMBOLS];
    let (mut symbol, mut start) = (0, 0);
    while symbol < SYMBOLS {
        let count = counts[symbol];
        // The most bits that leave the state's upper part in count..2·count; below the threshold it is one less.
        let bits = if count > 1 { STATE_BITS - (count - 1).ilog2() } else { STATE_BITS };
        table.bits[symbol] = (bits << 16).wrapping_sub((count as u32) << bits);
        table.find[symbol] = start as i16 - count as i16;
        starts[symbol] = start;
        start += count;
        symbol += 1;
    }
    let mut state = 0;
    while state < STATES {
        let symbol = symbols[state] as usize;
        table.next[starts[symbol] as usize] = state as u16;
        starts[symbol] += 1;
        state += 1;
    }
    table
}

/// Reads the number of a table.
pub(crate) fn checked_table(reader: &mut Reader<'_>) -> Result<u8, Malformed> {
    let table = reader.u8()?;
    if usize::from(table) < TABLES { Ok(table) } else { Err(reader.malformed("number of a tANS table")) }
}

/// The symbols of a group, vector after vector, until they can be written backwards.
#[derive(Debug)]
pub(crate) struct Symbols {
    symbols: Vec<u8>,
    /// Table and number of symbols of each vector.
    vectors: Vec<(u8, u16)>,
    /// Bits and their number (lowest four bits) in order of writing, the last symbol first.
    emitted: Vec<u16>,
    buffer: Box<[u8; STREAM_LEN_MAX + PADDING]>,
}

impl Default for Symbols {
    fn default() -> Self {
        Self {
            symbols: Vec::new(),
            vectors: Vec::new(),
            emitted: Vec::new(),
            buffer: Box::new([0; STREAM_LEN_MAX + PADDING]),
        }
    }
}

impl Symbols {
    /// Appends a vector's symbols: four bits above `shift` of each number.
    pub(crate) fn push(&mut self, table: u8, numbers: &[u64], shift: u32) {
        self.vectors.push((table, numbers.len() as u16));
        take_symbols(numbers, shift, &mut self.symbols);
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }

    /// Appends the stream of all symbols and forgets them.
    pub(crate) fn write_stream(&mut self, out: &mut Vec<u8>) {
        assert!(self.symbols.len() <= GROUP_SAMPLES, "a stream belongs to one group");
        self.emitted.clear();
        self.emitted.resize(self.symbols.len(), 0);
        let mut states = [STATES as u32; LANES];
        let mut end = self.symbols.len();
        for &(table, count) in self.vectors.iter().rev() {
            let start = end - usize::from(count);
            encode(&ENCODE[usize::from(table)], &self.symbols[start..end], &mut states, &mut self.emitted[start..end]);
            end = start;
        }
        let mut bits = BitWriter { buffer: &mut self.buffer, held: 0, held_bits: 0, len: 0 };
        for state in states {
            bits.put(u64::from(state) - STATES as u64, STATE_BITS);
        }
        put_all(&self.emitted, &mut bits);
        let len = bits.finish();
        out.extend_from_slice(&self.buffer[..len]);
        self.symbols.clear();
        self.vectors.clear();
    }
}

struct BitWriter<'b> {
    buffer: &'b mut [u8; STREAM_LEN_MAX + PADDING],
    held: u64,
    held_bits: u32,
    len: usize,
}

impl BitWriter<'_> {
    /// Appends up to 57 bits: whole bytes go out at once, fewer than eight bits are held.
    #[inline(always)]
    fn put(&mut self, bits: u64, count: u32) {
        self.held |= bits << self.held_bits;
        self.held_bits += count;
        // The buffer holds the longest stream; the minimum says so to the compiler.
        let at = self.len.min(STREAM_LEN_MAX);
        self.buffer[at..at + 8].copy_from_slice(&self.held.to_le_bytes());
        let bytes = self.held_bits / 8;
        self.len += bytes as usize;
        self.held >>= bytes * 8;
        self.held_bits %= 8;
    }

    fn finish(self) -> usize {
        self.len + usize::from(self.held_bits > 0)
    }
}

wide! {
    // Four symbols' bits are at most 36 and go out together.
    fn put_all(emitted: &[u16], writer: &mut BitWriter<'_>) {
        let (rows, rest) = emitted.as_chunks::<4>();
        for row in rows {
            let (mut bits, mut count) = (0, 0);
            for &emitted in row {
                bits |= u64::from(emitted >> 4) << count;
                count += u32::from(emitted & 15);
            }
            writer.put(bits, count);
        }
        for &emitted in rest {
            writer.put(u64::from(emitted >> 4), u32::from(emitted & 15));
        }
    }

    fn take_symbols(numbers: &[u64], shift: u32, symbols: &mut Vec<u8>) {
        symbols.extend(numbers.iter().map(|number| (number >> shift) as u8 & (SYMBOLS - 1) as u8));
    }

    fn encode(table: &EncodeTable, symbols: &[u8], states: &mut [u32; LANES], emitted: &mut [u16]) {
        let step = |state: &mut u32, symbol: u8, emitted: &mut u16| {
            let symbol = usize::from(symbol) % SYMBOLS;
            let bits = state.wrapping_add(table.bits[symbol]) >> 16;
            *emitted = ((*state & ((1 << bits) - 1)) << 4 | bits) as u16;
            let index = (*state >> bits).wrapping_add_signed(i32::from(table.find[symbol])) as usize;
            *state = u32::from(table.next[index % STATES]) + STATES as u32;
        };
        let (rows, rest) = symbols.as_chunks::<LANES>();
        let (emitted_rows, emitted_rest) = emitted.as_chunks_mut::<LANES>();
        for ((state, &symbol), emitted) in states.iter_mut().zip(rest).zip(emitted_rest) {
            step(state, symbol, emitted);
        }
        for (row, emitted) in rows.iter().zip(emitted_rows).rev() {
            for lane in 0..LANES {
                step(&mut states[lane], row[lane], &mut emitted[lane]);
            }
        }
    }

    // Entries are kept whole in the loop, which has no operation to spare; their symbols are cut out afterwards.
    fn decode(table: &DecodeTable, stream: &[u8; STREAM_LEN_MAX + PADDING], position: &mut Position, entries: &mut [u32]) {
        let mut states = position.states;
        let mut bit = position.bit;
        let (rows, rest) = entries.as_chunks_mut::<LANES>();
        for row in rows {
            for (entries, states) in row.as_chunks_mut::<4>().0.iter_mut().zip(states.as_chunks_mut::<4>().0) {
                // Four symbols take at most 36 bits, and 57 are there behind any bit of the first byte.
                let mut bits = look(stream, bit);
                let mut taken = 0_u32;
                for (slot, state) in entries.iter_mut().zip(states) {
                    let entry = table[*state as usize % STATES];
                    *slot = entry;
                    *state = next_state(entry, bits);
                    bits >>= entry & 63;
                    taken = taken.wrapping_add(entry);
                }
                bit += (taken & ENTRY_BITS_MASK) as usize;
            }
        }
        for (slot, state) in rest.iter_mut().zip(&mut states) {
            let entry = table[*state as usize % STATES];
            *slot = entry;
            *state = next_state(entry, look(stream, bit));
            bit += (entry & ENTRY_BITS_MASK) as usize;
        }
        position.states = states;
        position.bit = bit;
    }

    /// Or-s the symbols of `entries` above the low bits of `numbers`.
    fn put_symbols(entries: &[u32; VECTOR_SAMPLES], shift: u32, numbers: &mut Vector) {
        for (number, entry) in numbers.iter_mut().zip(entries) {
            *number |= u64::from(entry >> ENTRY_SYMBOL_SHIFT & (SYMBOLS as u32 - 1)) << shift;
        }
    }
}

#[inline(always)]
const fn next_state(entry: u32, bits: u64) -> u32 {
    (entry >> ENTRY_BASE_SHIFT) + (bits & ((1 << (entry & 63)) - 1)) as u32
}

/// At least 57 bits from `bit` on.
#[inline(always)]
fn look(stream: &[u8; STREAM_LEN_MAX + PADDING], bit: usize) -> u64 {
    // The decoder never passes the longest stream; the minimum says so to the compiler.
    let byte = (bit / 8).min(STREAM_LEN_MAX);
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&stream[byte..byte + 8]);
    u64::from_le_bytes(bytes) >> (bit % 8)
}

#[derive(Debug, Clone, Copy)]
struct Position {
    states: [u32; LANES],
    bit: usize,
}

/// Reads one group's stream.
#[derive(Debug)]
pub(crate) struct Decoder {
    stream: Box<[u8; STREAM_LEN_MAX + PADDING]>,
    stream_len: usize,
    symbols_left: usize,
    position: Position,
    entries: [u32; VECTOR_SAMPLES],
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            stream: Box::new([0; STREAM_LEN_MAX + PADDING]),
            stream_len: 0,
            symbols_left: 0,
            position: Position { states: [0; LANES], bit: 0 },
            entries: [0; VECTOR_SAMPLES],
        }
    }
}

impl Decoder {
    /// Takes the stream in front of a group.
    pub(crate) fn start(&mut self, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        let bytes = reader.len_prefixed(STREAM_LEN_MAX)?;
        self.symbols_left = 0;
        self.stream_len = bytes.len();
        self.position = Position { states: [0; LANES], bit: 0 };
        if bytes.is_empty() {
            return Ok(());
        }
        if bytes.len() < STATES_LEN {
            return Err(reader.malformed("tANS stream"));
        }
        self.stream[..bytes.len()].copy_from_slice(bytes);
        self.stream[bytes.len()..].fill(0);
        self.symbols_left = GROUP_SAMPLES;
        let mut bit = 0;
        for state in &mut self.position.states {
            *state = look(&self.stream, bit) as u32 % STATES as u32;
            bit += STATE_BITS as usize;
        }
        self.position.bit = bit;
        Ok(())
    }

    /// Puts the next vector's symbols above the `shift` low bits of its numbers; fails if the group cannot have so many.
    pub(crate) fn read(&mut self, table: u8, count: usize, shift: u32, numbers: &mut Vector) -> Option<()> {
        self.symbols_left = self.symbols_left.checked_sub(count)?;
        decode(&DECODE[usize::from(table)], &self.stream, &mut self.position, &mut self.entries[..count]);
        put_symbols(&self.entries, shift, numbers);
        Some(())
    }

    /// Whether all went as the encoder wrote it.
    pub(crate) fn finish(&self, reader: &Reader<'_>) -> Result<(), Malformed> {
        if self.position.bit.div_ceil(8) == self.stream_len && self.position.states == [0; LANES] {
            Ok(())
        } else {
            Err(reader.malformed("tANS stream"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::put_len_prefixed;
    use proptest::prelude::*;

    fn round_trip(vectors: &[(u8, Vec<u64>)]) {
        let mut symbols = Symbols::default();
        for (table, numbers) in vectors {
            symbols.push(*table, numbers, 0);
        }
        let mut stream = Vec::new();
        symbols.write_stream(&mut stream);
        let mut bytes = Vec::new();
        put_len_prefixed(&mut bytes, &stream);
        let mut decoder = Decoder::default();
        let mut reader = Reader::new(&bytes);
        decoder.start(&mut reader).unwrap();
        for (table, numbers) in vectors {
            let mut back = [0; VECTOR_SAMPLES];
            decoder.read(*table, numbers.len(), 0, &mut back).unwrap();
            assert_eq!(&back[..numbers.len()], numbers);
        }
        decoder.finish(&reader).unwrap();
    }

    #[test]
    fn every_table_writes_every_symbol() {
        for table in 0..TABLES as u8 {
            round_trip(&[(table, (0..256).map(|i| i * 7 % 16).collect()), (table, vec![15; 3])]);
        }
    }

    #[test]
    fn costs_are_logarithms() {
        assert_eq!(cost(512), 0);
        assert_eq!(cost(1), 9 << COST_BITS);
        assert_eq!(cost(256), 1 << COST_BITS);
        for count in 1..=512_u16 {
            let exact = (512.0 / f64::from(count)).log2() * 256.0;
            assert!((f64::from(cost(count)) - exact).abs() < 1.01);
        }
        assert!(MEANS.is_sorted());
    }

    proptest! {
        #[test]
        fn groups_round_trip(vectors in proptest::collection::vec((0..TABLES as u8, proptest::collection::vec(0_u64..16, 1..=256)), 1..=8)) {
            round_trip(&vectors);
        }
    }
}
