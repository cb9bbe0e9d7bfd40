//! The head as the store uses it: label bytes in, slots out, searchable, evicted, from many threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use head::{AdmitAll, Columns, Evicted, Head, HeadOptions, NewSeriesGate, ResolveScratch, ResolvedRow};
use index::CompiledSelector;
use model::{KeyBuilder, Selector, SeriesId, SeriesKey, Tenant, ValueKind};
use storage_api::{Batch, EncodedSeries, Encoding, Refusal, Resolved};

/// `name=value,name=value`; `drop` and `bad` are what they say; a prefix of `~` is another way to write the same.
struct Text {
    generation: u32,
    resolved: AtomicUsize,
}

impl Text {
    fn new(generation: u32) -> Self {
        Self { generation, resolved: AtomicUsize::new(0) }
    }
}

impl Encoding for Text {
    fn scope(&self) -> &[u8] {
        b"text"
    }

    fn generation(&self) -> u32 {
        self.generation
    }

    fn resolve(&self, bytes: &[u8], labels: &mut KeyBuilder) -> Resolved {
        self.resolved.fetch_add(1, Ordering::Relaxed);
        let text = std::str::from_utf8(bytes).expect("tests write text");
        match text.trim_start_matches('~') {
            "drop" => return Resolved::Drop,
            "bad" => return Resolved::Refuse(Refusal::TooManyLabels),
            pairs => {
                for (name, value) in pairs.split(',').filter_map(|pair| pair.split_once('=')) {
                    labels.push(name, value);
                }
            }
        }
        Resolved::Keep
    }
}

fn new_head() -> Head {
    Head::new(&HeadOptions { secret: [3; 32], encodings_max: 10_000, is_searched: true })
}

fn resolve(
    head: &Head,
    guard: &head::SlotGuard<'_>,
    encoding: &Text,
    rows: &[&str],
    scratch: &mut ResolveScratch,
    gate: &dyn NewSeriesGate,
) -> Vec<ResolvedRow> {
    let bytes = rows.concat().into_bytes();
    let mut start = 0;
    let series: Vec<EncodedSeries> = rows
        .iter()
        .map(|row| {
            let labels_start = start;
            start += row.len() as u32;
            EncodedSeries { labels_start, labels_len: row.len() as u32, samples_end: 0, kind: ValueKind::Float }
        })
        .collect();
    let batch =
        Batch { tenant: Tenant::DEFAULT, encoding, bytes: &bytes, series: &series, samples: &[], metadata: &[] };
    head.resolve(guard, &batch, scratch, gate).expect("room for series").to_vec()
}

fn send(head: &Head, encoding: &Text, rows: &[&str]) -> Vec<ResolvedRow> {
    resolve(head, &head.guard(), encoding, rows, &mut ResolveScratch::default(), &AdmitAll)
}

fn found(head: &Head) -> Vec<u32> {
    let all = CompiledSelector::compile(&Selector { any_of: vec![Vec::new()] }).expect("a selector");
    head.index().search(Tenant::DEFAULT, &all).into_iter().collect()
}

#[test]
fn rows_are_parsed_once_and_mean_the_same_ever_after() {
    let (head, text) = (new_head(), Text::new(1));
    let rows = ["a=1,b=2", "drop", "b=2,a=1", "bad", "", "a=1,a=2", "~a=1,b=2"];
    let want = [
        ResolvedRow::Slot(0),
        ResolvedRow::Drop,
        ResolvedRow::Slot(0),
        ResolvedRow::Refuse(Refusal::TooManyLabels),
        ResolvedRow::Refuse(Refusal::NoLabels),
        ResolvedRow::Refuse(Refusal::InvalidLabels),
        ResolvedRow::Slot(0),
    ];
    assert_eq!(send(&head, &text, &rows), want);
    assert_eq!(text.resolved.load(Ordering::Relaxed), rows.len());
    assert_eq!(send(&head, &text, &rows), want);
    assert_eq!(text.resolved.load(Ordering::Relaxed), rows.len(), "all outcomes are remembered");
    let reloaded = Text::new(2);
    assert_eq!(send(&head, &reloaded, &rows), want);
    assert_eq!(reloaded.resolved.load(Ordering::Relaxed), rows.len(), "another configuration is asked anew");
    assert_eq!((head.series_count(), head.series_created(), found(&head)), (1, 1, vec![0]));
    let mut key = SeriesKey::default();
    assert!(head.write_key(0, &mut key) && key.label("b").as_deref() == Some("2"));
    assert_eq!((head.id(0), head.kind(0)), (SeriesId::of(&key), ValueKind::Float));
}

#[test]
fn what_depends_on_time_is_not_remembered() {
    struct Switch(AtomicBool);
    impl NewSeriesGate for Switch {
        fn admit(&self, _: SeriesId, _: &SeriesKey) -> Result<(), Refusal> {
            if self.0.load(Ordering::Relaxed) { Ok(()) } else { Err(Refusal::DailySeries) }
        }
    }
    let (head, text, gate) = (new_head(), Text::new(1), Switch(AtomicBool::new(false)));
    let mut scratch = ResolveScratch::default();
    let mut send = || resolve(&head, &head.guard(), &text, &["a=1", "drop", "b=1"], &mut scratch, &gate);
    let refused = ResolvedRow::Refuse(Refusal::DailySeries);
    assert_eq!(send(), [refused, ResolvedRow::Drop, refused]);
    gate.0.store(true, Ordering::Relaxed);
    assert_eq!(send(), [ResolvedRow::Slot(0), ResolvedRow::Drop, ResolvedRow::Slot(1)]);
}

#[test]
fn idle_series_go_and_their_slots_come_back_when_nobody_knows_them() {
    let (head, text) = (new_head(), Text::new(1));
    let evict = |may_reuse: bool| head.evict(|_| false, |_| {}, |_| may_reuse);
    send(&head, &text, &["a=1", "b=1", "c=1"]);
    head.advance_epoch();
    assert_eq!(evict(true), Evicted::default(), "written in the epoch before");
    head.advance_epoch();
    send(&head, &text, &["b=1"]);
    let query = head.guard();
    let mut forgotten = Vec::new();
    let in_use = |slot| slot == 2;
    assert_eq!(head.evict(in_use, |slots| forgotten.extend_from_slice(slots), |_| true).series, 1);
    assert_eq!((forgotten, found(&head)), (vec![0], vec![1, 2]));
    head.advance_epoch();
    assert_eq!(evict(true).slots_released, 0, "a query that began before may know the slot");
    assert_eq!(send(&head, &text, &["a=1"]), [ResolvedRow::Slot(3)]);
    drop(query);
    assert_eq!(evict(false).slots_released, 0, "the log may know the slot");
    head.advance_epoch();
    assert!(evict(true).slots_released >= 1);
    assert_eq!(send(&head, &text, &["d=1", "a=1"]), [ResolvedRow::Slot(0), ResolvedRow::Slot(3)]);
}

/// A reader that began while a generation was being flushed has its rows in its picture, however many flushes follow.
#[test]
fn a_series_stays_while_a_reader_may_have_rows_of_it_from_before_a_flush() {
    let (head, text) = (new_head(), Text::new(1));
    let evict = || head.evict(|_| false, |_| {}, |_| true).series;
    send(&head, &text, &["a=1"]);
    head.advance_epoch();
    let reader = head.guard();
    assert_eq!(evict(), 0, "the flush is published");
    for _ in 0..3 {
        head.advance_epoch();
        assert_eq!((evict(), found(&head)), (0, vec![0]));
    }
    drop(reader);
    assert_eq!((evict(), found(&head)), (1, vec![]));
}

#[test]
fn replayed_series_are_the_same_as_resolved_ones() {
    let (head, text) = (new_head(), Text::new(1));
    let mut labels = KeyBuilder::new();
    labels.push("a", "1");
    let key = labels.build(Tenant::DEFAULT).expect("a key");
    let slot = head.find_or_create(&head.guard(), &key, ValueKind::Float).expect("a slot");
    assert_eq!(send(&head, &text, &["a=1"]), [ResolvedRow::Slot(slot)]);
}

/// Inserts resolve and append while epochs pass and idle series are evicted: a slot means the row's series for as long as the guard lives, and
/// a row that was appended stays readable under it.
#[test]
fn eviction_never_takes_a_series_from_under_an_insert() {
    const NAMES: usize = 60;
    let (head, text) = (new_head(), Text::new(1));
    let generation = head.new_generation();
    let done = AtomicBool::new(false);
    let names: Vec<String> = (0..NAMES).map(|name| format!("name=n{name}")).collect();
    let insert = |thread: usize| {
        let mut scratch = ResolveScratch::default();
        let mut key = SeriesKey::default();
        for round in 0..600_usize {
            // A window that moves, so that series come, stay idle, and come back.
            let start = (round / 20 * 7 + thread * 3) % NAMES;
            let rows: Vec<&str> = (0..8).map(|i| names[(start + i) % NAMES].as_str()).collect();
            let guard = head.guard();
            let resolved = resolve(&head, &guard, &text, &rows, &mut scratch, &AdmitAll);
            for (row, resolved) in rows.iter().zip(&resolved) {
                let ResolvedRow::Slot(slot) = resolved else { panic!("{row} is {resolved:?}") };
                assert!(head.write_key(*slot, &mut key), "{row} in slot {slot} has no key");
                assert_eq!(key.label("name").as_deref(), row.strip_prefix("name="), "slot {slot}");
                generation.append(&guard, &[*slot], &[round as i64], &[1.0], 1);
            }
        }
    };
    let (evicted, released) = std::thread::scope(|scope| {
        let insert = &insert;
        let inserters: Vec<_> = (0..3).map(|thread| scope.spawn(move || insert(thread))).collect();
        let evictor = scope.spawn(|| {
            let mut sum = Evicted::default();
            while !done.load(Ordering::Acquire) {
                head.advance_epoch();
                let step = head.evict(|_| false, |_| {}, |_| true);
                sum.series += step.series;
                sum.slots_released += step.slots_released;
                std::thread::yield_now();
            }
            sum
        });
        for inserter in inserters {
            inserter.join().expect("an inserter");
        }
        done.store(true, Ordering::Release);
        let sum = evictor.join().expect("the evictor");
        (sum.series, sum.slots_released)
    });
    assert_eq!(generation.rows(), 3 * 600 * 8);
    assert!(released <= evicted, "{released} of {evicted}");
    assert_eq!(found(&head).len(), head.series_count());
    let mut rows = Columns::new();
    let view = generation.snapshot();
    for slot in view.slots() {
        view.read(slot, &mut rows);
    }
    assert_eq!(rows.len(), 3 * 600 * 8);
}

#[test]
fn threads_that_meet_a_new_series_agree_on_its_slot() {
    let (head, text) = (new_head(), Text::new(1));
    let rows: Vec<String> = (0..300).map(|name| format!("name=n{name}")).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let answers: Vec<Vec<ResolvedRow>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| send(&head, &text, &rows))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).collect()
    });
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!((head.series_count(), head.encodings()), (300, 300));
}
