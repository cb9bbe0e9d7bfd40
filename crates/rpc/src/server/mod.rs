//! This node as others see it.
//!
//! 1. A listener takes connections; every listener serves the same [`Service`].
//! 2. A call is known by its path. It is read, done by whoever stands behind the trait, and answered.
//! 3. Rows are worked on as they come in; so many batches at once, the others wait in the network. Queries run on threads that may block.

mod copying;
mod insert;
mod limits;
mod names;
mod operate;
mod packets;
mod query;
mod select;

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use model::TimeRange;
use prost::Message;
use storage_api::{Admin, CountNames, GiveShards, InsertNumbered, Select, ShardSet, ShardWord, TakeReports};
use tasks::may_step_aside;
use tokio::{net::TcpListener, sync::Semaphore, task::spawn_blocking};
use tonic::{
    Request, Response, Status,
    body::Body,
    server::{Grpc, ServerStreamingService, UnaryService},
    transport::{Server, server::TcpIncoming},
};
use tower_service::Service as TowerService;

pub use limits::NodeLimits;
use limits::Places;
use packets::Packets;

use crate::{
    BATCH_WINDOW_BYTES, BATCHES_WINDOW_BYTES, FRAME_BYTES_MAX, MESSAGE_BYTES_MAX, ServerTls,
    error::wrong_status,
    raw::RawCodec,
    wire::{
        Role, WIRE_VERSION,
        messages::{HelloMessage, RangeMessage},
        path, requests,
        word::word_message,
    },
};

/// Calls of one connection at once; more wait at their sender.
const CALLS_MAX: u32 = 1024;
/// A silent caller is asked whether it is there, and given up after as long again.
const PING_INTERVAL: Duration = Duration::from_secs(10);

type Answering<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

/// What a node says of its shards over a range of time, in whose samples it need not look for what it holds.
pub type Stand = dyn Fn(TimeRange) -> ShardWord + Send + Sync;

/// Says why a node cannot delete anything at the moment.
pub type Fit = dyn Fn() -> Result<(), String> + Send + Sync;

/// What this node does for others.
pub struct Service {
    role: Role,
    epoch: u64,
    insert: Option<Arc<dyn InsertNumbered>>,
    reports: Option<Arc<dyn TakeReports>>,
    stand: Option<Arc<Stand>>,
    select: Option<Arc<dyn Select>>,
    admin: Option<Arc<dyn Admin>>,
    names: Option<Arc<dyn CountNames>>,
    give: Option<Arc<dyn GiveShards>>,
    is_fit: Option<Arc<Fit>>,
    /// Batches that are worked on at once.
    inserts: Semaphore,
    limits: NodeLimits,
    places: Arc<Places>,
    rows_received: AtomicU64,
    calls: AtomicU64,
}

/// Batches that are worked on at once; the memory for them is bounded with it.
const INSERTS_MAX: usize = 64;

impl Service {
    /// What a node of this role does. `epoch` must be another one for each run of a process.
    pub fn new(role: Role, epoch: u64) -> Self {
        Self {
            role,
            epoch,
            insert: None,
            reports: None,
            stand: None,
            select: None,
            admin: None,
            names: None,
            give: None,
            is_fit: None,
            inserts: Semaphore::new(INSERTS_MAX),
            limits: NodeLimits::default(),
            places: Arc::new(Places::new(NodeLimits::default())),
            rows_received: AtomicU64::new(0),
            calls: AtomicU64::new(0),
        }
    }

    /// It takes rows.
    #[must_use]
    pub fn with_insert(mut self, insert: Arc<dyn InsertNumbered>) -> Self {
        self.insert = Some(insert);
        self
    }

    /// It keeps account of what it lacks.
    #[must_use]
    pub fn with_reports(mut self, reports: Arc<dyn TakeReports>, stand: Arc<Stand>) -> Self {
        (self.reports, self.stand) = (Some(reports), Some(stand));
        self
    }

    /// It gives other nodes copies of what it holds.
    #[must_use]
    pub fn with_copies(mut self, give: Arc<dyn GiveShards>) -> Self {
        self.give = Some(give);
        self
    }

    /// It deletes only while `is_fit` does not say why not: rows that come to it late would be there again.
    #[must_use]
    pub fn deletes_while(mut self, is_fit: Arc<Fit>) -> Self {
        self.is_fit = Some(is_fit);
        self
    }

    /// It answers no more than that.
    #[must_use]
    pub fn within(mut self, limits: NodeLimits) -> Self {
        (self.limits, self.places) = (limits, Arc::new(Places::new(limits)));
        self
    }

    /// It answers queries.
    #[must_use]
    pub fn with_select(mut self, select: Arc<dyn Select>, admin: Arc<dyn Admin>) -> Self {
        (self.select, self.admin) = (Some(select), Some(admin));
        self
    }

    /// Samples that came in and were stored.
    pub fn rows_received(&self) -> u64 {
        self.rows_received.load(Ordering::Relaxed)
    }

    /// Calls that came in.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    fn select(&self) -> Result<&Arc<dyn Select>, Status> {
        self.select.as_ref().ok_or_else(|| {
            wrong_status(&format!(
                "a node of role {} answers no queries; want the -vmselectAddr of a storage or the -clusternativeListenAddr of a select",
                self.role.name()
            ))
        })
    }

    fn admin(&self) -> Result<&Arc<dyn Admin>, Status> {
        self.select()?;
        self.admin.as_ref().ok_or_else(|| wrong_status("this node takes no orders"))
    }

    /// What this node says of its shards over a range, by one who may block: parts may have to be read for it. It is asked for before anything is read for
    /// an answer: what is acknowledged before that and missing here is missing in both.
    fn asker_of_words(&self) -> impl FnOnce(TimeRange) -> ShardWord + Send + 'static {
        let (select, stand) = (self.select.clone(), self.stand.clone());
        move |range| {
            let word = stand.map_or_else(ShardWord::unknown, |stand| stand(range));
            let holds = select.map_or_else(ShardSet::all, |select| select.shards(range));
            ShardWord { holds, ..word }
        }
    }

    fn complete(&self, range: TimeRange) -> Vec<u64> {
        self.stand.as_ref().map_or_else(Vec::new, |stand| stand(range).complete.words().to_vec())
    }

    async fn shards(&self, question: &[u8]) -> Result<Bytes, Status> {
        self.select()?;
        let range = requests::range(Some(&decode::<RangeMessage>(question)?)).map_err(wrong)?;
        let word = self.asker_of_words();
        let word = spawn_blocking(move || word(range)).await;
        let word = word.map_err(|why| Status::internal(format!("the question for shards ended badly: {why}")))?;
        Ok(encode(&word_message(&word)))
    }

    fn greet(&self, question: &[u8]) -> Result<Bytes, Status> {
        let caller = decode::<HelloMessage>(question)?;
        if caller.version != WIRE_VERSION {
            let why = format!("the caller speaks version {} of the wire, we speak {WIRE_VERSION}", caller.version);
            return Err(wrong_status(&why));
        }
        Ok(encode(&HelloMessage {
            version: WIRE_VERSION,
            role: self.role.number(),
            epoch: self.epoch,
            takes_rows: self.insert.is_some(),
            answers: self.select.is_some(),
        }))
    }

    async fn answer(self: Arc<Self>, path: &str, question: Bytes) -> Result<Bytes, Status> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        match path {
            path::HELLO => self.greet(&question),
            path::INSERT => may_step_aside(self.insert(&question)).await,
            path::INSERT_BUNDLE => may_step_aside(self.insert_bundle(&question)).await,
            path::REPORT => self.report(&question).await,
            path::SHARDS => self.shards(&question).await,
            path::LABEL_NAMES => self.label_names(&question).await,
            path::LABEL_VALUES => self.label_values(&question).await,
            path::SERIES_COUNT => self.series_count(&question).await,
            path::VERSIONS => self.versions(&question).await,
            path::FLUSH => self.flush().await,
            path::MERGE => self.merge(&question).await,
            path::SNAPSHOT_CREATE => self.create_snapshot().await,
            path::SNAPSHOT_LIST => self.list_snapshots().await,
            path::SNAPSHOT_DELETE => self.delete_snapshot(&question).await,
            path::CHECK_DELETE => self.check_delete(&question).await,
            path::DELETE_SERIES => self.delete_series(&question).await,
            path::TENANTS => self.tenants(&question).await,
            path::METADATA => self.metadata(&question).await,
            path::NAMES_ASKED => self.names_asked(&question).await,
            path::RESET_NAMES_ASKED => self.reset_names_asked(&question).await,
            path::CARDINALITY => self.cardinality(&question).await,
            path::OFFER => self.offer().await,
            _ => Err(Status::unimplemented(format!("there is no call {path}"))),
        }
    }
}

/// Reads a message of a caller.
fn decode<M: Message + Default>(question: &[u8]) -> Result<M, Status> {
    M::decode(question).map_err(|why| Status::invalid_argument(format!("cannot read the question: {why}")))
}

fn encode<M: Message>(answer: &M) -> Bytes {
    answer.encode_to_vec().into()
}

fn wrong(why: &str) -> Status {
    Status::invalid_argument(format!("the question makes no sense: {why}"))
}

/// An address where other nodes may connect.
pub struct NodeListener {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<ServerTls>,
}

impl NodeListener {
    /// Binds an address such as `:8400`.
    pub async fn bind(address: &str, tls: Option<ServerTls>) -> Result<Self, String> {
        let failed = |why: std::io::Error| format!("cannot listen at {address:?} for nodes: {why}");
        let full = if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.to_string() };
        let listener = TcpListener::bind(&full).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, tls })
    }

    /// The address, with the port that the system chose if none was named.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is ready and the calls that run then are answered.
    pub async fn serve(self, service: Arc<Service>, stop: impl Future<Output = ()>) -> Result<(), String> {
        let failed = |why: tonic::transport::Error| format!("cannot serve nodes at {}: {why}", self.address);
        let mut server = Server::builder()
            .http2_keepalive_interval(Some(PING_INTERVAL))
            .initial_stream_window_size(BATCH_WINDOW_BYTES)
            .initial_connection_window_size(BATCHES_WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES_MAX)
            .max_concurrent_streams(CALLS_MAX)
            // Callers are other nodes; they give up questions as theirs are given up.
            .http2_max_pending_accept_reset_streams(Some(CALLS_MAX as usize))
            .http2_max_local_error_reset_streams(None);
        if let Some(tls) = &self.tls {
            server = server.tls_config(tls.config()).map_err(failed)?;
        }
        // The head of an answer, its last chunk and its end are small packets: none of them may wait until the one before is confirmed, which takes 40 ms.
        let incoming = TcpIncoming::from(self.listener).with_nodelay(Some(true));
        server.serve_with_incoming_shutdown(Caller(service), incoming, stop).await.map_err(failed)
    }
}

/// The service as one connection uses it.
#[derive(Clone)]
struct Caller(Arc<Service>);

impl TowerService<http::Request<Body>> for Caller {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let path = request.uri().path().to_string();
        let call = Call { service: Arc::clone(&self.0), path };
        Box::pin(async move {
            let mut grpc = Grpc::new(RawCodec)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX);
            Ok(match call.path.as_str() {
                path::SELECT | path::COPY_PART => grpc.server_streaming(call, request).await,
                _ => grpc.unary(call, request).await,
            })
        })
    }
}

struct Call {
    service: Arc<Service>,
    path: String,
}

impl UnaryService<Bytes> for Call {
    type Response = Bytes;
    type Future = Answering<Bytes>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (service, path) = (Arc::clone(&self.service), std::mem::take(&mut self.path));
        Box::pin(async move { service.answer(&path, request.into_inner()).await.map(Response::new) })
    }
}

impl ServerStreamingService<Bytes> for Call {
    type Response = Bytes;
    type ResponseStream = Packets;
    type Future = Answering<Self::ResponseStream>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (service, path) = (Arc::clone(&self.service), std::mem::take(&mut self.path));
        Box::pin(async move {
            let question = request.into_inner();
            let packets = match path.as_str() {
                path::COPY_PART => service.copy_part(&question),
                _ => service.stream(&question),
            };
            packets?.begun().await.map(Response::new)
        })
    }
}
