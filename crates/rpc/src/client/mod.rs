//! Another node as its callers see it.
//!
//! A node takes rows and reports as [`storage_api::InsertNumbered`] and [`storage_api::TakeReports`] say; other calls are methods of [`Node`].
//!
//! 1. The connection is made when the first call needs it, and made again after it broke; a node that does not answer is found out by pings.
//! 2. Before the first call of a connection both say hello. A node of another kind or version is refused then, with a message that names the flag.
//! 3. Every call has a time limit. A node that does not answer is remembered ([`absence`]).

mod absence;
mod ask;
mod connection;
mod copying;
mod insert;
mod names;
mod operate;
mod outbox;
mod stream;

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::uri::{PathAndQuery, Uri};
use prost::Message;
use tokio::{runtime::Handle, sync::Mutex};
use tonic::{Request, Status, client::Grpc};

use absence::Absence;
pub use ask::Found;
use connection::{Connection, Way};
pub use copying::{CopyStream, Offer};
use outbox::Outbox;
pub use stream::{RemoteChunk, RemoteSeries, RemoteStream, read_key};

use crate::{
    ClientTls, MESSAGE_BYTES_MAX, RpcError,
    error::from_status,
    raw::RawCodec,
    wire::{Hello, Role, WIRE_VERSION, messages::HelloMessage, path},
};

/// How a node is reached.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// What the caller is.
    pub role: Role,
    /// Names the run of the caller's process.
    pub epoch: u64,
    /// `-vmstorageDialTimeout`: a connection is made in this time.
    pub connect_time_max: Duration,
    /// `-vmstorageUserTimeout`: a node that is silent for so long is gone.
    pub silence_max: Duration,
    /// Rows are stored, and small questions answered, in this time.
    pub call_time_max: Duration,
    /// Without it what is said is not hidden.
    pub tls: Option<ClientTls>,
    /// The port that is meant if the address names none.
    pub default_port: u16,
}

/// What was done over a connection.
#[derive(Debug, Default)]
pub struct NodeStats {
    /// Samples that the node has stored.
    pub rows_sent: AtomicU64,
    /// Bytes of batches.
    pub bytes_sent: AtomicU64,
    /// Bytes of answers of all kinds.
    pub bytes_received: AtomicU64,
    /// Calls that failed because the node was not there.
    pub unreachable: AtomicU64,
}

/// Another node.
#[derive(Debug)]
pub struct Node {
    address: String,
    options: NodeOptions,
    connection: Connection,
    runtime: Handle,
    hello: Mutex<Option<Hello>>,
    stats: Arc<NodeStats>,
    absence: Absence,
    outbox: Outbox,
    me: Weak<Self>,
}

impl Node {
    /// A node by its address, `host` or `host:port`. Must be called inside the runtime that is to do the work.
    pub fn new(address: &str, options: NodeOptions) -> Result<Arc<Self>, String> {
        let has_port = address
            .rsplit_once(':')
            .is_some_and(|(host, port)| port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']')));
        let full = if has_port { address.to_string() } else { format!("{address}:{}", options.default_port) };
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let wrong = |why: &dyn std::fmt::Display| format!("wrong address of a node {address:?}: {why}");
        let origin = Uri::try_from(format!("{scheme}://{full}")).map_err(|why| wrong(&why))?;
        let NodeOptions { connect_time_max, silence_max, .. } = options;
        let tls = options.tls.as_ref().map(ClientTls::connector).transpose().map_err(|why| wrong(&why))?;
        let way = Way { origin, connect_time_max, silence_max, tls };
        Ok(Arc::new_cyclic(|me| Self {
            address: full,
            connection: Connection::new(way, Handle::current()),
            options,
            runtime: Handle::current(),
            hello: Mutex::default(),
            stats: Arc::default(),
            absence: Absence::default(),
            outbox: Outbox::default(),
            me: me.clone(),
        }))
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What was done.
    pub fn stats(&self) -> &NodeStats {
        &self.stats
    }

    /// Asks the node what it is. Fails if it is none that the caller's role can work with.
    pub async fn greet(&self) -> Result<Hello, RpcError> {
        let NodeOptions { role, epoch, call_time_max, .. } = &self.options;
        let own = HelloMessage {
            version: WIRE_VERSION,
            role: role.number(),
            epoch: *epoch,
            takes_rows: false,
            answers: false,
        };
        let time_max = (*call_time_max).min(HELLO_TIME_MAX);
        let theirs: HelloMessage = self.call(path::HELLO, &own, time_max).await?;
        let hello = self.check(&theirs)?;
        *self.hello.lock().await = Some(hello.clone());
        Ok(hello)
    }

    /// What the node said when it was greeted last; greets it if it never was.
    pub async fn hello(&self) -> Result<Hello, RpcError> {
        self.check_presence()?;
        let known = self.hello.lock().await.clone();
        match known {
            Some(hello) => Ok(hello),
            None => self.greet().await,
        }
    }

    /// The node may be another process by now.
    async fn forget_hello(&self) {
        *self.hello.lock().await = None;
    }

    fn check(&self, theirs: &HelloMessage) -> Result<Hello, RpcError> {
        let wrong = |why: String| Err(RpcError::Wrong(format!("{}: {why}", self.address)));
        if theirs.version != WIRE_VERSION {
            return wrong(format!("it speaks version {} of the wire, we speak {WIRE_VERSION}", theirs.version));
        }
        let Some(role) = Role::from_number(theirs.role) else {
            return wrong(format!("it has the unknown role {}", theirs.role));
        };
        let HelloMessage { epoch, takes_rows, answers, .. } = *theirs;
        if self.options.role == Role::Insert && !takes_rows {
            return wrong(format!(
                "a node of role {} takes no rows; want the -vminsertAddr of a storage or the -clusternativeListenAddr of an insert",
                role.name()
            ));
        }
        if self.options.role == Role::Select && !answers {
            return wrong(format!(
                "a node of role {} answers no queries; want the -vmselectAddr of a storage or the -clusternativeListenAddr of a select",
                role.name()
            ));
        }
        Ok(Hello { role, epoch, takes_rows, answers })
    }

    async fn call<A: Message, B: Message + Default>(
        &self,
        path: &'static str,
        question: &A,
        time_max: Duration,
    ) -> Result<B, RpcError> {
        let answer = self.call_raw(path, question.encode_to_vec().into(), time_max).await?;
        B::decode(answer).map_err(|why| RpcError::Wrong(format!("{}: cannot read its answer: {why}", self.address)))
    }

    /// One question, one answer. Who waits for it must be in a runtime.
    async fn call_raw(&self, path: &'static str, question: Bytes, time_max: Duration) -> Result<Bytes, RpcError> {
        let began = Instant::now();
        let answer = ask_in_time(self.grpc(), path, question, time_max).await;
        self.judge(answer, time_max, began).await
    }

    async fn judge(
        &self,
        answer: Result<Bytes, Failed>,
        time_max: Duration,
        began: Instant,
    ) -> Result<Bytes, RpcError> {
        let outcome = match answer {
            Ok(answer) => {
                self.stats.bytes_received.fetch_add(answer.len() as u64, Ordering::Relaxed);
                return Ok(answer);
            }
            Err(Failed::Said(status)) => from_status(&status, &self.address),
            Err(Failed::Late) => RpcError::TimedOut(format!("{} did not answer within {time_max:?}", self.address)),
        };
        if outcome.is_absence() {
            self.stats.unreachable.fetch_add(1, Ordering::Relaxed);
            self.was_absent(began.elapsed());
            self.forget_hello().await;
        }
        Err(outcome)
    }

    fn grpc(&self) -> Grpc<Connection> {
        Grpc::with_origin(self.connection.clone(), self.connection.origin().clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }
}

/// Why there is no answer.
enum Failed {
    Said(Box<Status>),
    Late,
}

async fn ask_in_time(
    mut grpc: Grpc<Connection>,
    path: &'static str,
    question: Bytes,
    time_max: Duration,
) -> Result<Bytes, Failed> {
    let answer = async {
        let mut request = Request::new(question);
        request.set_timeout(time_max);
        grpc.unary(request, PathAndQuery::from_static(path), RawCodec).await
    };
    match tokio::time::timeout(time_max, answer).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(Failed::Said(Box::new(status))),
        Err(_) => Err(Failed::Late),
    }
}

/// A wrong address is found out in this time.
const HELLO_TIME_MAX: Duration = Duration::from_secs(5);

/// A task that nobody waits for any more ends.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
