//! The payload of a record → float samples. See [`super::encode`] for the form.

use codec::bytes::{Malformed, Reader, unzigzag};

use super::encode::{HEAD_BYTES, PAD_BYTES, SAMPLES_PER_RECORD_MAX, step};
use super::value::{self, FORMS};

/// What a reader knows of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Definition {
    /// The bits of the base value.
    pub base: u64,
    /// The slot's number to whoever reads.
    pub target: u32,
}

/// A [`Definition::target`] whose samples nobody wants.
pub const NO_SLOT: u32 = u32::MAX;

/// Decoded samples; reused from record to record.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    /// [`Definition::target`] of each sample.
    pub slots: Vec<u32>,
    /// Milliseconds since 1970.
    pub times: Vec<i64>,
    /// The values.
    pub values: Vec<f64>,
    /// Samples left out because no definition was found for their slot.
    pub undefined: u64,
}

/// Decodes `payload` into `columns`, replacing what is there. After an error the columns hold nothing of use.
pub(crate) fn decode_floats(
    payload: &[u8],
    definition: impl Fn(u32) -> Option<Definition>,
    columns: &mut Columns,
) -> Result<(), Malformed> {
    let mut head = Reader::new(payload);
    let count = head.u32()? as usize;
    let first_time = head.u64()? as i64;
    if count == 0 || count > SAMPLES_PER_RECORD_MAX {
        return Err(Malformed { what: "number of samples", offset: 0 });
    }
    let tags = head.bytes(count)?;
    let data = head.rest();
    let data_at = HEAD_BYTES + count;
    let broken = |what, at: usize| Malformed { what, offset: data_at + at };

    columns.slots.resize(count, 0);
    columns.times.resize(count, 0);
    columns.values.resize(count, 0.0);
    columns.undefined = 0;
    let (slots, times, values) = (&mut columns.slots[..], &mut columns.times[..], &mut columns.values[..]);

    let mut kept = 0;
    let mut at = 0;
    let mut all_bytes = 0;
    let mut slot_next = 0_u32;
    let mut slot_last;
    let mut time = first_time;
    let mut time_step = 0_i64;
    for &tag in tags {
        let step = tag >> 5;
        slot_last = slot_next;
        if step != step::NEXT {
            match step {
                step::NEXT_TIME => {}
                step::SLOT | step::SLOT_TIME => {
                    let moved = varint(data, &mut at).ok_or_else(|| broken("slot", at))?;
                    slot_last = slot_next.wrapping_add(unzigzag(moved) as u32);
                }
                step::TIME | step::AGAIN => slot_last = slot_next.wrapping_sub(1),
                _ => return Err(broken("tag", at)),
            }
            match step {
                step::SLOT => {}
                step::AGAIN => time = time.wrapping_add(time_step),
                _ => {
                    let moved = varint(data, &mut at).ok_or_else(|| broken("time", at))?;
                    time_step = unzigzag(moved);
                    time = time.wrapping_add(time_step);
                }
            }
        }
        let form = FORMS[usize::from(tag & 0x1f)];
        let loaded = data.get(at..).and_then(<[u8]>::first_chunk::<8>).ok_or_else(|| broken("value", at))?;
        at += usize::from(form.bytes);
        all_bytes |= form.bytes;
        slot_next = slot_last.wrapping_add(1);
        match definition(slot_last) {
            Some(Definition { base, target }) => {
                slots[kept] = target;
                times[kept] = time;
                values[kept] = f64::from_bits(value::decode(base, form, u64::from_le_bytes(*loaded) & form.mask));
                kept += usize::from(target != NO_SLOT);
            }
            None => columns.undefined += 1,
        }
    }
    // One test for all codes: a free one shows in the bits that no length has.
    if all_bytes >= 16 || data.get(at..) != Some(&[0; PAD_BYTES]) {
        return Err(broken("end of samples", at));
    }
    columns.slots.truncate(kept);
    columns.times.truncate(kept);
    columns.values.truncate(kept);
    Ok(())
}

/// Reads a varint at `*at`. One and two bytes are what slots and times mostly take.
#[inline(always)]
fn varint(data: &[u8], at: &mut usize) -> Option<u64> {
    let bytes = data.get(*at..)?;
    match *bytes {
        [one, ..] if one < 0x80 => {
            *at += 1;
            Some(u64::from(one))
        }
        [one, two, ..] if two < 0x80 => {
            *at += 2;
            Some(u64::from(one & 0x7f) | u64::from(two) << 7)
        }
        _ => {
            let mut reader = Reader::new(bytes);
            let number = reader.varint().ok()?;
            *at += reader.position();
            Some(number)
        }
    }
}
