//! The store alone, without a network: what each step of a sample's life costs.
//!
//! 1. Bodies of traffic are decoded and inserted in a data folder on the real disk, scrape by scrape. The thread's own CPU time goes to *walk* (decoding) and
//!    *insert* (lookup, log, append), what the rest of the process takes to *background*.
//! 2. When all is in, everything is flushed and merged into dense parts; background CPU until then, divided by the samples, is what flush and merge cost a sample
//!    over its life.
//! 3. The folder's bytes are divided by the samples; the store is killed (by leaving it) with a full log and opened again; some selects are timed.
//!
//! 4. How long each insert took by the clock, and with `--readers` how long selects of one metric took meanwhile, shows what flushes and merges make others wait.
//!
//! `--series`, `--scrapes`, `--jitter`, `--churn` (replacements), `--ack` (power, process, none), `--samples-per-request`, `--select-days` (a separate folder of so many
//! day partitions).

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use decode::{
    LabelLimits, Unpacked,
    remote_write::{RemoteWriteLabels, Rows},
    rows::ExtraLabels,
};
use disk::RealDisk;
use model::{Matcher, Selector, SeriesKey, SystemClock, Tenant, TimeRange};
use storage_api::{Admin, Batch, Insert, SamplesWanted, Select, SelectRequest, SeriesData};
use store::{Ack, Options, Reporter, Severity, Store};
use traffic::{Churn, Shape, Traffic, flags::Flags};

/// More than this are never asked for.
const BODY_BYTES_MAX: usize = 256 << 20;

fn main() {
    if let Err(error) = run() {
        eprintln!("engine: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), String> {
    let mut flags = Flags::parse(std::env::args().skip(1))?;
    let series = flags.take("series", 100_000usize)?;
    let scrapes = flags.take("scrapes", 60u64)?;
    let jitter_ms = flags.take("jitter", 5i64)?;
    let replacements = flags.take("churn", 0u32)?;
    let samples_per_request = flags.take("samples-per-request", 2_000usize)?;
    let ack = match flags.take("ack", "power".to_string())?.as_str() {
        "power" => Ack::Power,
        "process" => Ack::Process,
        "none" => Ack::None,
        other => return Err(format!("--ack cannot be {other:?}")),
    };
    let select_days = flags.take("select-days", 0i64)?;
    let restart = flags.take("restart", false)?;
    let readers = flags.take("readers", 0usize)?;
    flags.finish()?;

    println!("{}", traffic::machine::describe());
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    if select_days > 0 {
        return select_over_days(folder.path(), series, select_days);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?.as_millis() as i64;
    let shape = Shape {
        series,
        jitter_ms,
        samples_per_request,
        start_ms: (now - scrapes as i64 * 15_000) / 15_000 * 15_000,
        churn: (replacements > 0).then_some(Churn { replacements, scrapes: scrapes as u32 }),
        ..Shape::default()
    };
    let mut traffic = Traffic::new(shape);
    let options = Options { ack, memory_allowed_bytes: 8 << 30, ..Options::default() };
    let store = open(folder.path(), &options)?;
    let mut feeder = Feeder::new(&store);
    let first = feeder.feed(&mut traffic, 0..1);
    println!("first scrape (new series):   {}", first.show());
    feeder.waits.clear();
    let mut later = Cost::default();
    let done = AtomicBool::new(false);
    let mut selects = thread::scope(|scope| {
        let threads: Vec<_> = (0..readers).map(|_| scope.spawn(|| watch(&store, &done))).collect();
        for scrape in 1..scrapes {
            later.add(&feeder.feed(&mut traffic, scrape..scrape + 1));
        }
        done.store(true, Ordering::Relaxed);
        threads.into_iter().flat_map(|thread| thread.join().expect("BUG: a reader panicked")).collect::<Vec<_>>()
    });
    println!("later scrapes (known):       {}", later.show());
    println!("inserts by the clock:        {}", show_waits(&mut feeder.waits));
    if readers > 0 {
        println!("selects meanwhile:           {}", show_waits(&mut selects));
    }
    let samples = first.samples + later.samples;
    let stats = store.stats();
    println!(
        "after feeding: {} flushes, {} merges, log {} MB, head {} MB, RSS peak {} MB",
        stats.flushes,
        stats.merges,
        stats.log_bytes >> 20,
        stats.head_bytes >> 20,
        peak_rss_mb()
    );
    println!("log bytes a sample: {:.2}", stats.log_bytes as f64 / stats.head_samples.max(1) as f64);
    if restart {
        drop(feeder);
        drop(store);
        let (start, cpu) = (Instant::now(), clock(libc::CLOCK_PROCESS_CPUTIME_ID));
        let store = open(folder.path(), &options)?;
        println!(
            "start after a kill: {:.2} s, {:.2} s of CPU, for {} series, {} samples in the log",
            start.elapsed().as_secs_f64(),
            (clock(libc::CLOCK_PROCESS_CPUTIME_ID) - cpu).as_secs_f64(),
            store.stats().series_active,
            store.stats().head_samples
        );
        return Ok(());
    }
    let start = thread_cpu();
    block_on(store.flush()).map_err(|error| error.to_string())?;
    let per_sample = |time: Duration| time.as_nanos() as f64 / samples as f64;
    // Flushes on demand run on this thread, those that a limit started on the store's.
    let seal = per_sample(threads_cpu("store-seal"));
    let flush = per_sample(thread_cpu() - start + threads_cpu("store-flush"));
    println!("log commits:                 {:.1} ns a sample", per_sample(threads_cpu("wal-commit")));
    println!("sealing in memory:           {seal:.1} ns a sample");
    println!("flush:                       {flush:.1} ns a sample");
    let stats = store.stats();
    println!(
        "  {} parts, {:.3} bytes a sample (columns {:.3}, index {:.3})",
        stats.parts,
        (stats.columns_bytes + stats.index_bytes) as f64 / stats.part_samples as f64,
        stats.columns_bytes as f64 / stats.part_samples as f64,
        stats.index_bytes as f64 / stats.part_samples as f64
    );
    let start = thread_cpu();
    block_on(store.merge("")).map_err(|error| error.to_string())?;
    let merge = per_sample(thread_cpu() - start + threads_cpu("store-merge"));
    println!("merges into the dense form:  {merge:.1} ns a sample");
    println!("all of them over its life:   {:.1} ns a sample", seal + flush + merge);
    let stats = store.stats();
    println!(
        "  {} parts, {:.4} bytes a sample (columns {:.4}, index {:.4})",
        stats.parts,
        (stats.columns_bytes + stats.index_bytes) as f64 / stats.part_samples as f64,
        stats.columns_bytes as f64 / stats.part_samples as f64,
        stats.index_bytes as f64 / stats.part_samples as f64
    );
    println!("RSS peak {} MB", peak_rss_mb());
    time_selects(&store)?;
    Ok(())
}

fn open(folder: &Path, options: &Options) -> Result<Store, String> {
    let disk = Arc::new(RealDisk::open(folder).map_err(|error| error.to_string())?);
    let report = Reporter::new(|severity, message| {
        if severity > Severity::Info {
            eprintln!("{severity:?}: {message}");
        }
    });
    Store::open(disk, options.clone(), Arc::new(SystemClock), report).map_err(|error| error.to_string())
}

/// Decodes and inserts bodies, timing both.
struct Feeder<'a> {
    store: &'a Store,
    labels: RemoteWriteLabels,
    body: Unpacked,
    rows: Rows,
    /// Of each insert, by the clock.
    waits: Vec<Duration>,
}

/// What feeding cost.
#[derive(Default)]
struct Cost {
    samples: u64,
    walk: Duration,
    insert: Duration,
    wall: Duration,
}

impl Cost {
    fn add(&mut self, more: &Self) {
        self.samples += more.samples;
        self.walk += more.walk;
        self.insert += more.insert;
        self.wall += more.wall;
    }

    fn show(&self) -> String {
        let per = |time: Duration| time.as_nanos() as f64 / self.samples.max(1) as f64;
        format!(
            "{} samples, walk {:.1} ns, insert {:.1} ns a sample of this thread's CPU, {:.1} ns wall",
            self.samples,
            per(self.walk),
            per(self.insert),
            per(self.wall)
        )
    }
}

impl<'a> Feeder<'a> {
    fn new(store: &'a Store) -> Self {
        Self {
            store,
            labels: RemoteWriteLabels::new(LabelLimits::default(), 0, ExtraLabels::default()),
            body: Unpacked::default(),
            rows: Rows::default(),
            waits: Vec::new(),
        }
    }

    fn feed(&mut self, traffic: &mut Traffic, scrapes: std::ops::Range<u64>) -> Cost {
        let mut cost = Cost::default();
        traffic.requests(scrapes, |body| {
            assert!(body.len() <= BODY_BYTES_MAX, "BUG: a body of {} bytes", body.len());
            self.body.set(body);
            let (start, wall) = (thread_cpu(), Instant::now());
            self.rows.decode(&mut self.body).expect("traffic is well formed");
            let walked = thread_cpu();
            let batch = Batch {
                tenant: Tenant::DEFAULT,
                encoding: &self.labels,
                bytes: self.body.bytes(),
                series: self.rows.series(),
                samples: self.rows.samples(),
                metadata: &[],
            };
            let asked = Instant::now();
            let inserted = block_on(self.store.insert(batch)).expect("the store takes writes");
            self.waits.push(asked.elapsed());
            assert_eq!(inserted.samples as usize, self.rows.samples().len(), "{:?}", inserted.refused);
            cost.samples += inserted.samples;
            cost.walk += walked - start;
            cost.insert += thread_cpu() - walked;
            cost.wall += wall.elapsed();
        });
        cost
    }
}

/// Selects the last minutes of one metric again and again.
fn watch(store: &Store, done: &AtomicBool) -> Vec<Duration> {
    const PAUSE: Duration = Duration::from_millis(20);
    let mut waits = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let selector = Selector::all_of(vec![Matcher::equal("__name__", "node_load1")]);
        let asked = Instant::now();
        let request = SelectRequest::raw(Tenant::DEFAULT, selector, TimeRange::ALL);
        read(store, request).expect("what is selected can be read");
        waits.push(asked.elapsed());
        thread::sleep(PAUSE);
    }
    waits
}

fn show_waits(waits: &mut [Duration]) -> String {
    waits.sort_unstable();
    let at = |share: f64| waits.get(((waits.len() as f64 - 1.0) * share) as usize).map_or(0.0, Duration::as_secs_f64);
    let [median, late, last] = [0.5, 0.99, 1.0].map(|share| at(share) * 1e3);
    format!("{} of them, median {median:.2} ms, p99 {late:.2} ms, longest {last:.2} ms", waits.len())
}

fn time_selects(store: &Store) -> Result<(), String> {
    let queries = [
        ("one metric, all samples", Selector::all_of(vec![Matcher::equal("__name__", "node_cpu_seconds_total")])),
        ("everything, all samples", Selector::everything()),
    ];
    for (name, selector) in queries {
        for samples in [SamplesWanted::None, SamplesWanted::Raw] {
            let mut request = SelectRequest::raw(Tenant::DEFAULT, selector.clone(), TimeRange::ALL);
            request.samples = samples;
            let start = thread_cpu();
            let (series, rows) = read(store, request)?;
            let spent = thread_cpu() - start;
            println!(
                "select {name}: {series} series, {rows} samples, {:.2} ms, {:.2} ns a sample",
                spent.as_secs_f64() * 1e3,
                spent.as_nanos() as f64 / rows.max(1) as f64
            );
        }
    }
    Ok(())
}

fn read(store: &Store, request: SelectRequest) -> Result<(u64, u64), String> {
    let stream = block_on(store.select(request)).map_err(|error| error.to_string())?;
    let mut data = SeriesData::default();
    let (mut series, mut rows) = (0, 0);
    while let Some(mut chunk) = stream.next().map_err(|error| error.to_string())? {
        for index in 0..chunk.len() {
            chunk.read(index, &mut data).map_err(|error| error.to_string())?;
            series += 1;
            rows += data.values.len() as u64;
        }
    }
    Ok((series, rows))
}

/// Two samples of each series in each of so many days, a part for each; then a select without samples.
fn select_over_days(folder: &Path, series: usize, days: i64) -> Result<(), String> {
    let options = Options { retention_ms: (days + 40) * store::DAY_MS, ..Options::default() };
    let store = open(folder, &options)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?.as_millis() as i64;
    for day in (0..days).rev() {
        let start_ms = (now / store::DAY_MS - day) * store::DAY_MS;
        let mut traffic = Traffic::new(Shape { series, start_ms, spread_ms: 0, jitter_ms: 0, ..Shape::default() });
        Feeder::new(&store).feed(&mut traffic, 0..1);
        block_on(store.flush()).map_err(|error| error.to_string())?;
    }
    println!("{} parts of {series} series", store.stats().parts);
    for round in 0..3 {
        let mut request = SelectRequest::raw(Tenant::DEFAULT, Selector::everything(), TimeRange::ALL);
        request.samples = SamplesWanted::None;
        let start = thread_cpu();
        let stream = block_on(store.select(request)).map_err(|error| error.to_string())?;
        let found = stream.series_total();
        let planned = thread_cpu();
        let mut key = SeriesKey::default();
        let mut bytes = 0;
        while let Some(chunk) = stream.next().map_err(|error| error.to_string())? {
            for index in 0..chunk.len() {
                chunk.key(index, &mut key).map_err(|error| error.to_string())?;
                bytes += key.as_bytes().len();
            }
        }
        let read = thread_cpu();
        println!(
            "round {round}: {found:?} series found in {:.1} ms, {bytes} bytes of keys read in {:.1} ms",
            (planned - start).as_secs_f64() * 1e3,
            (read - planned).as_secs_f64() * 1e3
        );
    }
    Ok(())
}

/// CPU time of the process's threads of this name, as the kernel counts it in ticks.
fn threads_cpu(name: &str) -> Duration {
    const TICK: Duration = Duration::from_millis(10);
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
    let ticks = stats.filter_map(|stat| {
        let (head, tail) = stat.rsplit_once(')')?;
        let mut fields = tail.split_whitespace().skip(11);
        let spent = fields.next()?.parse::<u32>().ok()? + fields.next()?.parse::<u32>().ok()?;
        head.ends_with(name).then_some(spent)
    });
    TICK * ticks.sum::<u32>()
}

fn thread_cpu() -> Duration {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

#[expect(unsafe_code, reason = "std has no CPU clocks")]
fn clock(id: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec that lives for the call.
    let failed = unsafe { libc::clock_gettime(id, &raw mut time) };
    assert_eq!(failed, 0, "BUG: a CPU clock that every Linux has");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn peak_rss_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).map_or(0, |kib| kib >> 10)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = std::pin::pin!(future);
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(done) => return done,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}
