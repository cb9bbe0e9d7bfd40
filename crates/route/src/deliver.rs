//! How rows come to one node: by number, else by id, else by key.
//!
//! 1. Rows go in pieces of bounded size. Series that have a number at the node are named by it, the others by id.
//! 2. If the node has given one of the numbers to another series (it restarted, or freed the series meanwhile), it stores nothing and says so; the piece
//!    goes again with ids alone.
//! 3. The node answers with its numbers for what was named by id, and with the rows whose id it does not know; those go again with their keys.

use head::Head;
use model::{Sample, SeriesKey};
use storage_api::{
    InsertError, Inserted, MetricMetadata, NumberedBatch, NumberedOutcome, NumberedRow, SeriesName, check_with,
};

use crate::{
    link::NodeLink,
    numbers::Numbers,
    outgoing::{OutRow, Outgoing},
};

/// A piece has no more samples than these, unless one row has more.
const SAMPLES_PER_PIECE: usize = 64 << 10;
/// The keys of a piece take no more bytes than these, unless one key does.
const KEY_BYTES_PER_PIECE: usize = 2 << 20;

/// Sends rows to a node. The slots must be held by a pin of the head.
pub async fn deliver(
    link: &dyn NodeLink,
    numbers: &Numbers,
    head: &Head,
    out: &Outgoing,
) -> Result<Inserted, InsertError> {
    let way = Way { link, numbers, head, out };
    let mut inserted = Inserted::default();
    let metadata: Vec<MetricMetadata<'_>> = out.metadata.iter().map(|told| told.borrowed()).collect();
    let mut metadata = &metadata[..];
    let (mut first, mut start) = (0, 0);
    while first < out.rows.len() || !metadata.is_empty() {
        let rows = piece(&out.rows[first..], start);
        let end = rows.last().map_or(start, |row| row.samples_end as usize);
        way.send(rows, start, &out.samples[start..end], metadata, &mut inserted).await?;
        metadata = &[];
        (first, start) = (first + rows.len(), end);
    }
    Ok(inserted)
}

/// The rows at the front that go together.
fn piece(rows: &[OutRow], start: usize) -> &[OutRow] {
    let fits = rows.iter().take_while(|row| row.samples_end as usize - start <= SAMPLES_PER_PIECE).count();
    &rows[..fits.max(1).min(rows.len())]
}

struct Way<'a> {
    link: &'a dyn NodeLink,
    numbers: &'a Numbers,
    head: &'a Head,
    out: &'a Outgoing,
}

impl Way<'_> {
    /// Sends a piece whose samples begin at `start` of all.
    async fn send(
        &self,
        rows: &[OutRow],
        start: usize,
        samples: &[Sample],
        metadata: &[MetricMetadata<'_>],
        inserted: &mut Inserted,
    ) -> Result<(), InsertError> {
        let mut outcome = self.say(rows, start, samples, metadata, |slot| self.numbers.get(slot)).await?;
        if outcome == NumberedOutcome::Stale {
            outcome = self.say(rows, start, samples, metadata, |_| None).await?;
        }
        match outcome {
            NumberedOutcome::Stale => Err(misunderstood("it does not take rows that are named by id")),
            NumberedOutcome::Taken { inserted: taken, unknown, .. } => {
                add(inserted, &taken);
                self.introduce(rows, start, samples, &unknown, inserted).await
            }
        }
    }

    /// One round: rows named by their numbers, or by id where there is none. Learns the numbers that come back.
    async fn say(
        &self,
        rows: &[OutRow],
        start: usize,
        samples: &[Sample],
        metadata: &[MetricMetadata<'_>],
        number_of: impl Fn(u32) -> Option<u32>,
    ) -> Result<NumberedOutcome, InsertError> {
        let mut asked = Vec::new();
        let mut check = 0;
        let name = |row: &OutRow| {
            let id = self.head.id(row.slot);
            let series = match number_of(row.slot) {
                Some(number) => {
                    check = check_with(check, id);
                    SeriesName::Number(number)
                }
                None => {
                    asked.push(row.slot);
                    SeriesName::Id(id)
                }
            };
            self.row(series, *row, start)
        };
        let named: Vec<NumberedRow<'_>> = rows.iter().map(name).collect();
        let batch = NumberedBatch { tenant: self.out.tenant, rows: &named, samples, check, metadata };
        let outcome = self.link.insert_numbered(batch).await?;
        if let NumberedOutcome::Taken { numbers, unknown, .. } = &outcome {
            self.learn(&asked, numbers)?;
            if unknown.iter().any(|row| *row as usize >= rows.len()) {
                return Err(misunderstood("it does not know rows that were not sent"));
            }
        }
        Ok(outcome)
    }

    /// Sends rows whose id the node does not know, with their keys.
    async fn introduce(
        &self,
        rows: &[OutRow],
        start: usize,
        samples: &[Sample],
        unknown: &[u32],
        inserted: &mut Inserted,
    ) -> Result<(), InsertError> {
        let mut left = unknown;
        while !left.is_empty() {
            let keys = self.keys(rows, left);
            let mut batch_rows = Vec::with_capacity(keys.len());
            let mut batch_samples = Vec::with_capacity(keys.len());
            for (at, key) in left.iter().zip(keys.iter()) {
                let at = *at as usize;
                let begin = at.checked_sub(1).map_or(start, |before| rows[before].samples_end as usize) - start;
                batch_samples.extend_from_slice(&samples[begin..rows[at].samples_end as usize - start]);
                let row = OutRow { slot: rows[at].slot, samples_end: batch_samples.len() as u32 };
                batch_rows.push(self.row(SeriesName::Key(key), row, 0));
            }
            let tenant = self.out.tenant;
            let batch = NumberedBatch { tenant, rows: &batch_rows, samples: &batch_samples, check: 0, metadata: &[] };
            match self.link.insert_numbered(batch).await? {
                NumberedOutcome::Taken { inserted: taken, unknown, numbers } if unknown.is_empty() => {
                    let slots: Vec<u32> = left[..keys.len()].iter().map(|at| rows[*at as usize].slot).collect();
                    self.learn(&slots, &numbers)?;
                    add(inserted, &taken);
                }
                _ => return Err(misunderstood("it does not take rows that are named by key")),
            }
            left = &left[keys.len()..];
        }
        Ok(())
    }

    /// Keys of the first of these rows, as many as go together.
    fn keys(&self, rows: &[OutRow], places: &[u32]) -> Keys {
        let mut keys = Keys::default();
        let mut key = SeriesKey::default();
        for at in places {
            let held = self.head.write_key(rows[*at as usize].slot, &mut key);
            assert!(held, "BUG: a slot was freed under a pin");
            let key = key.as_bytes();
            if keys.bytes.len() + key.len() > KEY_BYTES_PER_PIECE && keys.len() > 0 {
                break;
            }
            keys.bytes.extend_from_slice(key);
            keys.ends.push(keys.bytes.len());
        }
        keys
    }

    fn row<'s>(&self, series: SeriesName<'s>, row: OutRow, start: usize) -> NumberedRow<'s> {
        NumberedRow { series, samples_end: row.samples_end - start as u32, kind: self.head.kind(row.slot) }
    }

    fn learn(&self, slots: &[u32], numbers: &[u32]) -> Result<(), InsertError> {
        if slots.len() != numbers.len() {
            return Err(misunderstood("its numbers do not fit the rows that were sent"));
        }
        slots.iter().zip(numbers).for_each(|(slot, number)| self.numbers.set(*slot, *number));
        Ok(())
    }
}

/// Keys one behind the other: a piece names thousands.
#[derive(Default)]
struct Keys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Keys {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }
}

fn add(inserted: &mut Inserted, more: &Inserted) {
    inserted.samples += more.samples;
    inserted.dropped += more.dropped;
    inserted.refused.merge(&more.refused);
}

fn misunderstood(why: &str) -> InsertError {
    InsertError::Invalid(format!("the storage node speaks otherwise than this program: {why}"))
}
