//! A storage node as far as inserts can tell: it keeps what it says it has, also over restarts, and forgets its numbers.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use model::{SeriesId, SeriesKey, TimeRange};
use route::{Complete, Standing};
use storage_api::{InsertError, InsertReport, Inserted, NO_NUMBER, NumberedOutcome, Refusal, ReportAnswer, check_of};

/// A sample: key, time, value.
pub type Stored = (Vec<u8>, i64, u64);

/// A row as it crosses the network.
#[derive(Debug, Clone)]
pub struct WireRow {
    pub name: WireName,
    pub samples: Vec<(i64, u64)>,
}

#[derive(Debug, Clone)]
pub enum WireName {
    Number(u32),
    Id(SeriesId),
    Key(Vec<u8>),
}

/// See the module.
pub struct Storage {
    pub samples: BTreeSet<Stored>,
    keys: HashMap<SeriesId, Vec<u8>>,
    numbers: HashMap<SeriesId, u32>,
    series: BTreeMap<u32, SeriesId>,
    next_number: u32,
    pub standing: Standing,
    /// Who it is: another one after it has lost its data.
    pub name: u128,
    /// Who reports took it for.
    pub taken_for: BTreeSet<u128>,
    /// What it was told.
    pub heard: Vec<InsertReport>,
    /// Inserts that have it in their list no more.
    bypassed_by: BTreeSet<u128>,
    pub is_up: bool,
    /// Where it listens.
    pub port: u16,
    pub read_only: bool,
    /// Samples older than this are refused.
    pub oldest: i64,
    /// Keys that were sent to it.
    pub keys_received: usize,
}

impl Storage {
    pub fn new(token: u64) -> Self {
        Self {
            samples: BTreeSet::new(),
            keys: HashMap::new(),
            numbers: HashMap::new(),
            series: BTreeMap::new(),
            next_number: 0,
            standing: Standing::new(token, &[]),
            name: u128::from(token),
            taken_for: BTreeSet::new(),
            heard: Vec::new(),
            bypassed_by: BTreeSet::new(),
            is_up: true,
            port: 8400,
            read_only: false,
            oldest: i64::MIN,
            keys_received: 0,
        }
    }

    /// What the next process finds: everything but numbers and tokens.
    pub fn restart(&mut self, token: u64) {
        self.standing = Standing::new(token, &self.standing.remembered());
        self.renumber();
        self.is_up = true;
    }

    /// Gives every series another number, as after many of them were idle.
    pub fn renumber(&mut self) {
        let mut ids: Vec<SeriesId> = self.keys.keys().copied().collect();
        ids.sort_unstable();
        ids.reverse();
        self.numbers = ids.iter().enumerate().map(|(number, id)| (*id, number as u32)).collect();
        self.series = self.numbers.iter().map(|(id, number)| (*number, *id)).collect();
        self.next_number = ids.len() as u32;
    }

    pub fn insert(&mut self, rows: &[WireRow], check: u64) -> Result<NumberedOutcome, InsertError> {
        if self.read_only {
            return Err(InsertError::ReadOnly("the disk is full".into()));
        }
        let known = |number: &u32| self.series.get(number).copied();
        let by_number: Option<Vec<SeriesId>> = rows
            .iter()
            .filter_map(|row| match &row.name {
                WireName::Number(number) => Some(known(number)),
                _ => None,
            })
            .collect();
        let fits = by_number.is_some_and(|ids| check_of(ids.into_iter()) == check);
        if !fits {
            return Ok(NumberedOutcome::Stale);
        }
        let mut inserted = Inserted::default();
        let (mut unknown, mut numbers) = (Vec::new(), Vec::new());
        for (place, row) in rows.iter().enumerate() {
            let id = match &row.name {
                WireName::Number(number) => self.series[number],
                WireName::Id(id) if self.keys.contains_key(id) => {
                    numbers.push(self.number(*id));
                    *id
                }
                WireName::Id(_) => {
                    numbers.push(NO_NUMBER);
                    unknown.push(place as u32);
                    continue;
                }
                WireName::Key(key) => {
                    let checked = SeriesKey::from_bytes(key.clone()).expect("a canonical key");
                    let id = SeriesId::of(&checked);
                    self.keys_received += 1;
                    self.keys.insert(id, key.clone());
                    numbers.push(self.number(id));
                    id
                }
            };
            let key = self.keys[&id].clone();
            for (time, value) in &row.samples {
                if *time < self.oldest {
                    inserted.refused.add(Refusal::TooOld, 1);
                } else {
                    self.samples.insert((key.clone(), *time, *value));
                    inserted.samples += 1;
                }
            }
        }
        Ok(NumberedOutcome::Taken { inserted, unknown, numbers })
    }

    fn number(&mut self, id: SeriesId) -> u32 {
        if let Some(number) = self.numbers.get(&id) {
            return *number;
        }
        let number = self.next_number;
        self.next_number += 1;
        self.numbers.insert(id, number);
        self.series.insert(number, id);
        number
    }

    pub fn report(&mut self, now: Duration, report: &InsertReport) -> ReportAnswer {
        let read_only = self.read_only.then(|| "the disk is full".to_string());
        // Who is remembered is durable at once.
        self.taken_for.insert(report.knows);
        self.heard.push(report.clone());
        if report.map_version != 0 && !report.owned.is_empty() {
            self.bypassed_by.remove(&report.insert);
        } else if report.map_version != 0 && report.leaving && self.standing.remembers(report.insert) {
            self.bypassed_by.insert(report.insert);
        }
        ReportAnswer { node: self.name, ..self.standing.take(now, report, read_only) }
    }

    /// Whether it would answer a query for a sample as one that has all of its shard.
    pub fn claims(&self, now: Duration, sample: &Stored) -> bool {
        if !self.is_up || !self.bypassed_by.is_empty() {
            return false;
        }
        match self.standing.complete(now, SeriesId::of_bytes(&sample.0).shard()) {
            Complete::Yes => true,
            Complete::Except(range) => !range.overlaps(TimeRange::new(sample.1, sample.1)),
            Complete::Unknown => false,
        }
    }
}
