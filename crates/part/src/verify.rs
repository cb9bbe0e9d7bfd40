//! Reads a part through and compares everything that is said twice.

use codec::summarize;
use model::{SeriesId, SeriesKey};

use crate::{
    error::PartError,
    page::Page,
    reader::{Part, ReadScratch},
};

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verified {
    /// Series.
    pub series: u64,
    /// Samples.
    pub samples: u64,
    /// Blocks.
    pub blocks: u64,
}

impl Part {
    /// Decodes everything: keys in order and with the right ids, pages, columns, and heads that say what the samples say.
    pub fn verify(&self) -> Result<Verified, PartError> {
        let mut verified = Verified::default();
        self.verify_keys()?;
        let mut page = Page::default();
        let mut scratch = ReadScratch::default();
        let (mut times, mut values) = (Vec::new(), Vec::new());
        for number in 0..self.pages() {
            self.read_page(number, &mut page)?;
            for series in page.first_series()..page.first_series() + page.series() as u32 {
                let mut last_time = i64::MIN;
                for (block, head) in page.blocks(series).iter().enumerate() {
                    times.clear();
                    values.clear();
                    self.read_times(&head.time, &mut times)?;
                    self.read_values(&page, series, block, &mut scratch, &mut values)?;
                    let equal_times = times.windows(2).any(|pair| pair[0] == pair[1]);
                    if !times.is_sorted() || times[0] < last_time || equal_times != head.equal_times {
                        return Err(self.wrong(format!("times of series {series} are out of order")));
                    }
                    if summarize(&values) != head.summary {
                        return Err(self.wrong(format!("head of block {block} of series {series} is wrong")));
                    }
                    last_time = head.time.last;
                    verified.samples += times.len() as u64;
                    verified.blocks += 1;
                }
                verified.series += 1;
            }
        }
        if verified.samples != self.meta().samples || verified.series != u64::from(self.meta().series) {
            return Err(self.wrong("the footer counts other series or samples".into()));
        }
        self.release();
        Ok(verified)
    }

    fn verify_keys(&self) -> Result<(), PartError> {
        let mut keys = self.labels().keys(0);
        let mut before = SeriesKey::default();
        let mut series = 0;
        while let Some((number, key)) = keys.next()? {
            if before >= *key || self.labels().id(number)? != SeriesId::of(key) {
                return Err(self.wrong(format!("key of series {number} is out of order or has another id")));
            }
            before.clone_from(key);
            series += 1;
        }
        self.labels().verify()?;
        if series == self.meta().series { Ok(()) } else { Err(self.wrong("keys are missing".into())) }
    }

    fn wrong(&self, what: String) -> PartError {
        disk::Corrupt::new(self.folder(), 0, what).into()
    }
}
