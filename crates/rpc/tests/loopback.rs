//! Two nodes over the loopback: what one asks the other answers, and what goes wrong is told as what it is.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use model::{KeyBuilder, Sample, Selector, SeriesId, SeriesKey, Tenant, TimeRange, ValueKind};
use parking_lot::Mutex;
use rpc::{ClientTls, Node, NodeLimits, NodeListener, NodeOptions, Role, RpcError, ServerTls, Service};
use storage_api::{
    Admin, AdminError, BoxFuture, Budget, Cancel, Cardinality, CardinalityRequest, Completeness, DeleteRequest,
    InsertError, InsertNumbered, Inserted, MetadataEntry, NamesRequest, NumberedBatch, NumberedOutcome, NumberedRow,
    Refusal, Select, SelectError, SelectRequest, SeriesChunk, SeriesData, SeriesName, SeriesStream, StoreStats,
    ValuesRequest, Version,
};
use tokio::sync::oneshot;

/// Series of the fake store.
const SERIES: usize = 1000;
const SAMPLES: usize = 400;

#[derive(Default)]
struct Fake {
    rows: Mutex<Vec<(SeriesId, usize)>>,
    cancelled: Arc<AtomicBool>,
    chunks: Arc<AtomicUsize>,
    /// Its series never end.
    is_endless: bool,
}

fn key(number: usize) -> SeriesKey {
    let mut labels = KeyBuilder::new();
    labels.push("__name__", "m");
    labels.push("n", &format!("{number:06}"));
    labels.build(Tenant::DEFAULT).expect("a key")
}

impl InsertNumbered for Fake {
    fn insert_numbered<'a>(&'a self, batch: NumberedBatch<'a>) -> BoxFuture<'a, Result<NumberedOutcome, InsertError>> {
        Box::pin(async move {
            let mut taken = (Inserted::default(), Vec::new(), Vec::new());
            let mut start = 0;
            for (place, row) in batch.rows.iter().enumerate() {
                let samples = row.samples_end - start;
                start = row.samples_end;
                match row.series {
                    SeriesName::Number(13) => return Ok(NumberedOutcome::Stale),
                    SeriesName::Number(_) => taken.0.samples += u64::from(samples),
                    SeriesName::Id(_) => taken.1.push(place as u32),
                    SeriesName::Key(b"full") => return Err(InsertError::ReadOnly("the disk is full".into())),
                    SeriesName::Key(key) => {
                        self.rows.lock().push((SeriesId::of_bytes(key), samples as usize));
                        taken.0.samples += u64::from(samples);
                        taken.0.refused.add(Refusal::TooOld, 2);
                        taken.2.push(7);
                    }
                }
            }
            let (inserted, unknown, numbers) = taken;
            Ok(NumberedOutcome::Taken { inserted, unknown, numbers })
        })
    }
}

struct Stream {
    next: AtomicUsize,
    end: usize,
    cancel: Cancel,
    cancelled: Arc<AtomicBool>,
    chunks: Arc<AtomicUsize>,
    times: Arc<Vec<i64>>,
}

impl SeriesStream for Stream {
    fn next(&self) -> Result<Option<Box<dyn SeriesChunk>>, SelectError> {
        if self.cancel.is_cancelled() {
            return Err(SelectError::Cancelled);
        }
        self.chunks.fetch_add(1, Ordering::Relaxed);
        let position = self.next.fetch_add(10, Ordering::Relaxed);
        Ok((position < self.end)
            .then(|| Box::new(Chunk { position, times: Arc::clone(&self.times) }) as Box<dyn SeriesChunk>))
    }

    fn series_total(&self) -> Option<u64> {
        Some(SERIES as u64)
    }
}

impl Drop for Stream {
    /// Work may be given up at any series, not only when the next chunk is asked for, and before anybody says so: where an answer can no longer be sent.
    fn drop(&mut self) {
        let is_unfinished = self.next.load(Ordering::Relaxed) < self.end;
        self.cancelled.store(is_unfinished || self.cancel.is_cancelled(), Ordering::Relaxed);
    }
}

struct Chunk {
    position: usize,
    times: Arc<Vec<i64>>,
}

impl SeriesChunk for Chunk {
    fn position(&self) -> u64 {
        self.position as u64
    }

    fn len(&self) -> usize {
        10
    }

    fn id(&self, index: usize) -> SeriesId {
        SeriesId::of(&key(self.position + index))
    }

    fn key(&self, index: usize, into: &mut SeriesKey) -> Result<(), SelectError> {
        *into = key(self.position + index);
        Ok(())
    }

    fn read(&mut self, index: usize, data: &mut SeriesData) -> Result<(), SelectError> {
        data.times = Arc::clone(&self.times);
        data.values = vec![(self.position + index) as f64; SAMPLES];
        data.kind = Some(ValueKind::Float);
        Ok(())
    }
}

impl Select for Fake {
    fn select<'a>(&'a self, request: SelectRequest) -> BoxFuture<'a, Result<Box<dyn SeriesStream>, SelectError>> {
        Box::pin(async move {
            request.budget.check_series(SERIES as u64)?;
            if request.budget.completeness.may_lack() {
                request.budget.completeness.lack();
            }
            Ok(Box::new(Stream {
                next: AtomicUsize::new(0),
                end: if self.is_endless { usize::MAX } else { SERIES },
                cancel: request.budget.cancel.clone(),
                cancelled: Arc::clone(&self.cancelled),
                chunks: Arc::clone(&self.chunks),
                times: Arc::new((0..SAMPLES as i64).map(|time| time * 15_000).collect()),
            }) as Box<dyn SeriesStream>)
        })
    }

    fn label_names<'a>(&'a self, _: NamesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        Box::pin(async move { Ok(vec!["__name__".into(), "n".into()]) })
    }

    fn label_values<'a>(&'a self, request: ValuesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        Box::pin(async move { Ok(vec![request.label]) })
    }

    fn series_count<'a>(&'a self, tenant: Tenant) -> BoxFuture<'a, Result<u64, SelectError>> {
        Box::pin(async move { Ok(u64::from(tenant.account)) })
    }

    fn versions(&self, _: Tenant, ranges: &[TimeRange]) -> Vec<Version> {
        ranges.iter().map(|range| Version(range.min as u64)).collect()
    }
}

impl Admin for Fake {
    fn flush<'a>(&'a self) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(async { Ok(()) })
    }

    fn merge<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(async move { Err(AdminError::Failed(format!("cannot merge {prefix}"))) })
    }

    fn create_snapshot<'a>(&'a self) -> BoxFuture<'a, Result<String, AdminError>> {
        Box::pin(async { Ok("s1".into()) })
    }

    fn list_snapshots(&self) -> Result<Vec<String>, AdminError> {
        Ok(vec!["s1".into()])
    }

    fn delete_snapshot(&self, name: &str) -> Result<(), AdminError> {
        Err(AdminError::NotFound(name.into()))
    }

    fn check_delete<'a>(&'a self, _: DeleteRequest) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(async { Ok(()) })
    }

    fn delete_series<'a>(&'a self, request: DeleteRequest) -> BoxFuture<'a, Result<u64, AdminError>> {
        Box::pin(async move { Ok(request.series_max) })
    }

    fn tenants<'a>(&'a self, _: TimeRange) -> BoxFuture<'a, Result<Vec<Tenant>, AdminError>> {
        Box::pin(async { Ok(vec![Tenant::new(1, 2)]) })
    }

    fn metadata<'a>(
        &'a self,
        _: Tenant,
        metric: Option<&'a str>,
        _: usize,
        completeness: &'a Completeness,
    ) -> BoxFuture<'a, Result<Vec<MetadataEntry>, AdminError>> {
        let metric = metric.unwrap_or("all").to_string();
        completeness.lack();
        let entry = MetadataEntry { metric, kind: "gauge".into(), help: "ü".into(), unit: String::new() };
        Box::pin(async { Ok(vec![entry]) })
    }

    fn cardinality<'a>(&'a self, _: CardinalityRequest) -> BoxFuture<'a, Result<Cardinality, AdminError>> {
        Box::pin(async { Ok(Cardinality { series: 5, ..Cardinality::default() }) })
    }

    fn stats(&self) -> StoreStats {
        StoreStats::default()
    }
}

/// A storage that serves until the sender is dropped.
async fn serve(fake: &Arc<Fake>, epoch: u64) -> (SocketAddr, oneshot::Sender<()>) {
    let service = Service::new(Role::Storage, epoch).with_insert(fake.clone()).with_select(fake.clone(), fake.clone());
    listen(service).await
}

async fn listen(service: Service) -> (SocketAddr, oneshot::Sender<()>) {
    let listener = NodeListener::bind("127.0.0.1:0", None).await.expect("a port");
    let address = listener.address();
    let (stopper, stopped) = oneshot::channel::<()>();
    tokio::spawn(listener.serve(Arc::new(service), async move { drop(stopped.await) }));
    (address, stopper)
}

fn options(role: Role) -> NodeOptions {
    NodeOptions {
        role,
        epoch: 5,
        connect_time_max: Duration::from_secs(3),
        silence_max: Duration::from_secs(3),
        call_time_max: Duration::from_secs(10),
        tls: None,
        default_port: 1,
    }
}

fn node(role: Role, address: SocketAddr) -> Arc<Node> {
    Node::new(&address.to_string(), options(role)).expect("an address")
}

fn raw() -> SelectRequest {
    SelectRequest::raw(Tenant::DEFAULT, Selector::everything(), TimeRange::ALL)
}

#[tokio::test]
async fn rows_go_by_number_id_and_key() {
    let fake = Arc::new(Fake::default());
    let (address, _stop) = serve(&fake, 1).await;
    let node = node(Role::Insert, address);
    let samples: Vec<Sample> = (0..5).map(|time| Sample { time, value: 0.5 }).collect();
    let key = key(3);
    let row = |series, samples_end| NumberedRow { series, samples_end, kind: ValueKind::Float };
    let named =
        [row(SeriesName::Number(4), 1), row(SeriesName::Id(SeriesId(9)), 3), row(SeriesName::Key(key.as_bytes()), 5)];
    let batch = |rows| NumberedBatch { tenant: Tenant::DEFAULT, rows, samples: &samples, check: 0, metadata: &[] };
    let Ok(NumberedOutcome::Taken { inserted, unknown, numbers }) = node.insert_numbered(batch(&named)).await else {
        panic!("the rows are taken");
    };
    assert_eq!((inserted.samples, inserted.refused.get(Refusal::TooOld)), (3, 2));
    assert_eq!((unknown, numbers), (vec![1], vec![7]));
    assert_eq!(*fake.rows.lock(), [(SeriesId::of(&key), 2)]);
    let stale = [row(SeriesName::Number(13), 5)];
    assert_eq!(node.insert_numbered(batch(&stale)).await, Ok(NumberedOutcome::Stale));
    let full = [row(SeriesName::Key(b"full"), 5)];
    let refused = node.insert_numbered(batch(&full)).await;
    assert!(matches!(&refused, Err(InsertError::ReadOnly(why)) if why.contains("the disk is full")), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn series_come_in_order_and_to_the_bit() {
    let fake = Arc::new(Fake::default());
    let (address, _stop) = serve(&fake, 1).await;
    let node = node(Role::Select, address);
    let completeness = Completeness::may_be_partial();
    let budget = Budget { completeness: completeness.clone(), ..Budget::default() };
    let stream = node.select(&SelectRequest { budget, ..raw() }).await.expect("an answer");
    let reading = move || {
        let mut found = 0;
        let (mut have, mut data) = (SeriesKey::default(), SeriesData::default());
        while let Some(mut chunk) = SeriesStream::next(&stream).expect("series") {
            assert_eq!(chunk.position(), found as u64);
            for index in 0..chunk.len() {
                chunk.key(index, &mut have).expect("a key");
                chunk.read(index, &mut data).expect("samples");
                assert_eq!((&have, chunk.id(index)), (&key(found), SeriesId::of(&key(found))));
                assert_eq!((data.times.len(), data.values.as_slice()), (SAMPLES, &[found as f64; SAMPLES][..]));
                found += 1;
            }
        }
        found
    };
    assert_eq!(tokio::task::spawn_blocking(reading).await.expect("no panic"), SERIES);
    assert!(completeness.is_partial(), "the other side said so at the end");
    let few = Budget { series_max: 5, ..Budget::default() };
    let refused = node.select(&SelectRequest { budget: few, ..raw() }).await.map(drop);
    let too_many = SelectError::TooManySeries { found: SERIES as u64, max: 5 };
    assert_eq!(refused, Err(RpcError::Select(too_many)));
}

#[tokio::test(flavor = "multi_thread")]
async fn work_ends_when_its_reader_is_gone_and_waits_while_he_is_slow() {
    // A thousand series fit into queues and windows: the work could be done before the reader is gone.
    let fake = Arc::new(Fake { is_endless: true, ..Fake::default() });
    let (address, _stop) = serve(&fake, 1).await;
    let node = node(Role::Select, address);
    let stream = node.select(&raw()).await.expect("an answer");
    drop(stream);
    let begin = Instant::now();
    while !fake.cancelled.load(Ordering::Relaxed) {
        assert!(begin.elapsed() < Duration::from_secs(30), "the work goes on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn small_questions_have_answers() {
    let fake = Arc::new(Fake::default());
    let (address, _stop) = serve(&fake, 77).await;
    let node = node(Role::Select, address);
    let names = NamesRequest {
        tenant: Tenant::DEFAULT,
        selector: Selector::everything(),
        range: TimeRange::ALL,
        limit: 9,
        budget: Budget::default(),
    };
    assert_eq!(node.label_names(&names).await.map(|found| found.texts), Ok(vec!["__name__".into(), "n".into()]));
    let values = ValuesRequest { label: "pod".into(), names };
    assert_eq!(node.label_values(&values).await.map(|found| found.texts), Ok(vec!["pod".into()]));
    assert_eq!(node.series_count(Tenant::new(42, 0)).await, Ok(42));
    let ranges = [TimeRange::new(6, 9), TimeRange::new(-3, 5), TimeRange::ALL];
    let versions = ranges.map(|range| Version(range.min as u64)).to_vec();
    assert_eq!(node.versions(Tenant::DEFAULT, &ranges).await, Ok(versions));
    assert_eq!(node.flush().await, Ok(()));
    let failed = node.merge("2026_11").await.expect_err("the fake cannot");
    assert!(failed.to_string().contains("cannot merge 2026_11"), "{failed}");
    assert_eq!((node.create_snapshot().await, node.list_snapshots().await), (Ok("s1".into()), Ok(vec!["s1".into()])));
    assert!(matches!(node.delete_snapshot("x").await, Err(RpcError::Admin(AdminError::NotFound(_)))));
    let delete = DeleteRequest {
        tenant: Tenant::DEFAULT,
        selector: Selector::everything(),
        range: TimeRange::ALL,
        series_max: 3,
    };
    assert_eq!(node.delete_series(&delete).await, Ok(3));
    assert_eq!(node.tenants(TimeRange::ALL).await, Ok(vec![Tenant::new(1, 2)]));
    let completeness = Completeness::may_be_partial();
    let entries = node.metadata(Tenant::DEFAULT, Some("up"), 5, &completeness).await.expect("entries");
    assert_eq!((entries[0].metric.as_str(), completeness.is_partial()), ("up", true));
    let question = CardinalityRequest {
        tenant: None,
        selector: Selector::everything(),
        range: TimeRange::ALL,
        top: 5,
        focus_label: None,
        series_max: 9,
    };
    assert_eq!(node.cardinality(&question).await.expect("statistics").series, 5);
}

#[tokio::test]
async fn a_node_of_another_kind_is_refused_and_named() {
    let fake = Arc::new(Fake::default());
    let (address, _stop) = listen(Service::new(Role::Select, 1).with_select(fake.clone(), fake.clone())).await;
    let error = node(Role::Insert, address).greet().await.expect_err("it takes no rows").to_string();
    assert!(error.contains("select takes no rows") && error.contains("-vminsertAddr"), "{error}");
    let (address, _stop) = listen(Service::new(Role::Insert, 1).with_insert(fake)).await;
    let error = node(Role::Select, address).greet().await.expect_err("it answers nothing").to_string();
    assert!(error.contains("insert answers no queries") && error.contains("-vmselectAddr"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_goes_away_is_told_apart_and_may_come_back() {
    let fake = Arc::new(Fake::default());
    let (address, stop) = serve(&fake, 1).await;
    let node = node(Role::Select, address);
    assert_eq!(node.hello().await.map(|hello| hello.epoch), Ok(1));
    drop(stop);
    let begin = Instant::now();
    while node.series_count(Tenant::DEFAULT).await.is_ok() {
        assert!(begin.elapsed() < Duration::from_secs(30), "it still answers");
    }
    let gone = node.series_count(Tenant::DEFAULT).await.expect_err("nobody is there");
    assert!(gone.is_absence() && gone.to_string().contains(&address.to_string()), "{gone}");
    let service = Service::new(Role::Storage, 2).with_select(fake.clone(), fake.clone());
    let listener = NodeListener::bind(&address.to_string(), None).await.expect("the port is free again");
    tokio::spawn(listener.serve(Arc::new(service), std::future::pending()));
    while node.hello().await.map(|hello| hello.epoch) != Ok(2) {
        assert!(begin.elapsed() < Duration::from_secs(30), "it does not come back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(node.series_count(Tenant::new(4, 0)).await, Ok(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_stop_no_others() {
    let fake = Arc::new(Fake { is_endless: true, ..Fake::default() });
    let (address, _stop) = serve(&fake, 1).await;
    let node = node(Role::Select, address);
    let mut unread = Vec::new();
    for _ in 0..8 {
        unread.push(node.select(&raw()).await.expect("it answers"));
    }
    let (mut made, mut stood) = (0, 0);
    while stood < 5 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = fake.chunks.load(Ordering::Relaxed);
        stood = if now == made { stood + 1 } else { 0 };
        made = now;
    }
    let count = tokio::time::timeout(Duration::from_secs(5), node.series_count(Tenant::new(4, 0))).await;
    assert_eq!(count, Ok(Ok(4)), "the windows of {} answers are full", unread.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_nobody_waited_for_leaves_nothing_for_the_next() {
    let fake = Arc::new(Fake::default());
    let (address, stop) = serve(&fake, 1).await;
    drop(stop);
    let node = node(Role::Select, address);
    let (begin, request) = (Instant::now(), raw());
    // Two questions at once: the failure of one ends the other before it has heard of its own.
    while tokio::try_join!(node.select(&request), node.select(&request)).is_ok() {
        assert!(begin.elapsed() < Duration::from_secs(30), "it still answers");
    }
    let service = Service::new(Role::Storage, 2).with_select(fake.clone(), fake.clone());
    let listener = NodeListener::bind(&address.to_string(), None).await.expect("the port is free again");
    tokio::spawn(listener.serve(Arc::new(service), std::future::pending()));
    assert_eq!(node.series_count(Tenant::new(4, 0)).await, Ok(4), "the node is there");
}

/// A certificate for `localhost` that `ca` signed, and its key, as PEM.
fn signed(ca: &rcgen::CertifiedIssuer<'_, rcgen::KeyPair>) -> (Vec<u8>, Vec<u8>) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["localhost".to_string()]).expect("a name");
    let certificate = params.signed_by(&key, ca).expect("a certificate");
    (certificate.pem().into_bytes(), key.serialize_pem().into_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_mutual_tls_only_nodes_with_certificates_come_in() {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().expect("a key")).expect("a CA");
    let ca_pem = ca.pem().into_bytes();
    let (certificates, key) = signed(&ca);
    let tls = ServerTls { certificates, key, client_ca: Some(ca_pem.clone()) };
    let listener = NodeListener::bind("127.0.0.1:0", Some(tls)).await.expect("a port");
    let address = listener.address();
    let fake = Arc::new(Fake::default());
    let service = Service::new(Role::Storage, 9).with_select(fake.clone(), fake);
    tokio::spawn(listener.serve(Arc::new(service), std::future::pending()));
    let greet = async |identity| {
        let tls = ClientTls { ca: Some(ca_pem.clone()), identity, server_name: Some("localhost".into()) };
        let options = NodeOptions { tls: Some(tls), ..options(Role::Select) };
        Node::new(&address.to_string(), options).expect("an address").greet().await.map(|hello| hello.epoch)
    };
    assert_eq!(greet(Some(signed(&ca))).await, Ok(9));
    assert!(greet(None).await.is_err_and(|error| error.is_absence()), "without a certificate nobody comes in");
    assert!(node(Role::Select, address).greet().await.is_err(), "nor without TLS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_answers_no_more_than_its_own_flags_allow() {
    let fake = Arc::new(Fake { is_endless: true, ..Fake::default() });
    let limits = NodeLimits {
        series_max: SERIES as u64 - 1,
        label_names_max: 1,
        at_once: 1,
        wait_max: Duration::from_millis(50),
        ..NodeLimits::default()
    };
    let service = Service::new(Role::Storage, 1).with_select(fake.clone(), fake.clone());
    let (address, _stop) = listen(service.within(limits)).await;
    let asker = node(Role::Select, address);
    let refused = asker.select(&raw()).await.map(drop);
    let max = SERIES as u64 - 1;
    assert_eq!(refused, Err(RpcError::Select(SelectError::TooManySeries { found: SERIES as u64, max })));
    // Answers that nobody reads hold no place.
    let service = Service::new(Role::Storage, 1).with_select(fake.clone(), fake.clone());
    let (address, _stop) = listen(service.within(NodeLimits { series_max: u64::MAX, ..limits })).await;
    let asker = node(Role::Select, address);
    let mut unread = Vec::new();
    for _ in 0..3 {
        unread.push(asker.select(&raw()).await.expect("an answer begins"));
    }
    let request = NamesRequest {
        tenant: Tenant::DEFAULT,
        selector: Selector::everything(),
        range: TimeRange::ALL,
        limit: 9,
        budget: Budget::default(),
    };
    let mut names = asker.label_names(&request).await;
    // While an answer is made up to what its reader takes, its place is held.
    while matches!(&names, Err(RpcError::Select(SelectError::Unavailable(why))) if why.contains("maxConcurrentRequests"))
    {
        names = asker.label_names(&request).await;
    }
    assert!(names.is_ok(), "{names:?}");
}
