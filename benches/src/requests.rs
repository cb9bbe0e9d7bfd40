//! Scrapes as the requests that Prometheus' remote write would make of them.
//!
//! 1. The samples of a scrape are packed in target order into bodies of the asked size; a scrape's last body is as small
//!    as it comes out, so that without churn, gaps and lateness the same series sit at the same place of every scrape.
//! 2. With lateness, some blocks of series are held back for some scrapes and then delivered behind the samples of a
//!    later scrape, several times and old labels mixed. What is still held at the end follows in bodies of its own:
//!    every sample of the range is delivered exactly once.

use std::collections::VecDeque;
use std::ops::Range;

use crate::body::BodyWriter;
use crate::layout::Layout;
use crate::noise::Dice;
use crate::traffic::{Sample, Traffic};

/// Samples are late by at most this many scrapes (four minutes at 15 s).
pub const LATE_SCRAPES_MAX: u32 = 16;

const PURPOSE_LATE: u64 = 7 << 56;

/// One remote write request, not yet compressed.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The scrape during which it is sent.
    pub scrape: u64,
    /// Which of that scrape's requests it is. Series keep to their place, so that a sender with several connections may
    /// choose by it.
    pub place: u32,
    /// Samples in the body.
    pub samples: usize,
    /// The protobuf message `WriteRequest`.
    pub body: &'a [u8],
}

impl Traffic {
    /// Gives the bodies for a range of scrapes, in the order in which they are sent.
    pub fn requests(&mut self, scrapes: Range<u64>, mut each: impl FnMut(&[u8])) {
        self.requests_with(scrapes, |request| each(request.body));
    }

    /// As [`Traffic::requests`], with what is known about each body.
    pub fn requests_with(&mut self, scrapes: Range<u64>, each: impl FnMut(Request<'_>)) {
        let mut sender = Sender {
            body: BodyWriter::default(),
            samples_max: self.shape().samples_per_request,
            scrape: scrapes.start,
            place: 0,
            each,
        };
        let mut held = Held::new(self.shape().seed, self.shape().late);
        self.run_to(scrapes.start);
        for scrape in scrapes {
            sender.begin(scrape);
            self.step(|layout, sample| {
                if !held.hold(layout, scrape, sample) {
                    sender.push(layout, sample);
                }
            });
            for sample in held.release() {
                sender.push(self.layout(), sample);
            }
            sender.flush();
        }
        while !held.is_empty() {
            for sample in held.release() {
                sender.push(self.layout(), sample);
            }
        }
        sender.flush();
    }
}

struct Sender<F> {
    body: BodyWriter,
    samples_max: usize,
    scrape: u64,
    place: u32,
    each: F,
}

impl<F: FnMut(Request<'_>)> Sender<F> {
    fn begin(&mut self, scrape: u64) {
        self.scrape = scrape;
        self.place = 0;
    }

    fn push(&mut self, layout: &Layout, sample: Sample) {
        self.body.push(layout, sample);
        if self.body.samples() == self.samples_max {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.body.samples() == 0 {
            return;
        }
        let Self { scrape, place, .. } = *self;
        (self.each)(Request { scrape, place, samples: self.body.samples(), body: self.body.bytes() });
        self.place += 1;
        self.body.clear();
    }
}

/// Samples that wait for their late delivery; at most [`LATE_SCRAPES_MAX`] scrapes' share.
struct Held {
    seed: u64,
    share: f64,
    /// The front is due at the end of this scrape.
    due: VecDeque<Vec<Sample>>,
}

impl Held {
    fn new(seed: u64, share: f64) -> Self {
        Self { seed, share, due: (0..=LATE_SCRAPES_MAX).map(|_| Vec::new()).collect() }
    }

    /// Keeps the sample back if its block is late in this scrape.
    fn hold(&mut self, layout: &Layout, scrape: u64, sample: Sample) -> bool {
        if self.share == 0.0 {
            return false;
        }
        let block = u64::from(layout.block_number(sample.series));
        let mut dice = Dice::new(self.seed ^ block << 24, PURPOSE_LATE | scrape);
        if !dice.chance(self.share) {
            return false;
        }
        self.due[1 + dice.below(LATE_SCRAPES_MAX) as usize].push(sample);
        true
    }

    fn release(&mut self) -> Vec<Sample> {
        self.due.push_back(Vec::new());
        self.due.pop_front().expect("the queue is never empty")
    }

    fn is_empty(&self) -> bool {
        self.due.iter().all(Vec::is_empty)
    }
}
