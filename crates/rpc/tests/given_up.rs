//! Questions that are given up while their answers are on their way, as queries do whose other nodes fail: they end no others.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use model::{Tenant, TimeRange};
use rpc::{Node, NodeListener, NodeOptions, Role, Service};
use storage_api::{
    Admin, AdminError, BoxFuture, Cardinality, CardinalityRequest, Completeness, DeleteRequest, MetadataEntry,
    NamesRequest, Select, SelectError, SelectRequest, SeriesStream, StoreStats, ValuesRequest, Version,
};
use tokio::sync::Semaphore;

/// Together they are more than h2 takes for an attack by default, and each time they are more than it remembers.
const TIMES: usize = 20;
const GIVEN_UP: usize = 200;
/// Asks at once what all others wait for.
const HASTY: Tenant = Tenant { account: 7, project: 0 };

struct Fake {
    permits: Semaphore,
    answered: AtomicUsize,
}

impl Select for Fake {
    fn select<'a>(&'a self, _: SelectRequest) -> BoxFuture<'a, Result<Box<dyn SeriesStream>, SelectError>> {
        Box::pin(async { Err(SelectError::Cancelled) })
    }

    fn label_names<'a>(&'a self, _: NamesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        Box::pin(async { Err(SelectError::Cancelled) })
    }

    fn label_values<'a>(&'a self, _: ValuesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        Box::pin(async { Err(SelectError::Cancelled) })
    }

    fn series_count<'a>(&'a self, tenant: Tenant) -> BoxFuture<'a, Result<u64, SelectError>> {
        Box::pin(async move {
            if tenant != HASTY {
                self.permits.acquire().await.expect("it is never closed").forget();
                self.answered.fetch_add(1, SeqCst);
            }
            Ok(u64::from(tenant.account))
        })
    }

    fn versions(&self, _: Tenant, _: &[TimeRange]) -> Vec<Version> {
        Vec::new()
    }
}

impl Admin for Fake {
    fn flush<'a>(&'a self) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(async { Ok(()) })
    }

    fn merge<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(async { Ok(()) })
    }

    fn create_snapshot<'a>(&'a self) -> BoxFuture<'a, Result<String, AdminError>> {
        Box::pin(async { Ok(String::new()) })
    }

    fn list_snapshots(&self) -> Result<Vec<String>, AdminError> {
        Ok(Vec::new())
    }

    fn delete_snapshot(&self, _: &str) -> Result<(), AdminError> {
        Ok(())
    }

    fn check_delete<'a>(&'a self, _: DeleteRequest) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(async { Ok(()) })
    }

    fn delete_series<'a>(&'a self, _: DeleteRequest) -> BoxFuture<'a, Result<u64, AdminError>> {
        Box::pin(async { Ok(0) })
    }

    fn tenants<'a>(&'a self, _: TimeRange) -> BoxFuture<'a, Result<Vec<Tenant>, AdminError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn metadata<'a>(
        &'a self,
        _: Tenant,
        _: Option<&'a str>,
        _: usize,
        _: &'a Completeness,
    ) -> BoxFuture<'a, Result<Vec<MetadataEntry>, AdminError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn cardinality<'a>(&'a self, _: CardinalityRequest) -> BoxFuture<'a, Result<Cardinality, AdminError>> {
        Box::pin(async { Ok(Cardinality::default()) })
    }

    fn stats(&self) -> StoreStats {
        StoreStats::default()
    }
}

/// Blocks the thread until the other side has sent what it has to send: it does so in turn, and then greets a new connection.
fn wait_for_all_to_be_sent(address: &str) {
    let mut socket = TcpStream::connect(address).expect("it listens");
    socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").expect("it reads");
    socket.read_exact(&mut [0; 9]).expect("it answers with its settings");
}

#[tokio::test]
async fn answers_that_come_too_late_end_no_other_question() {
    let fake = Arc::new(Fake { permits: Semaphore::new(0), answered: AtomicUsize::new(0) });
    let service = Arc::new(Service::new(Role::Storage, 1).with_select(fake.clone(), fake.clone()));
    let (told, listens) = std::sync::mpsc::channel();
    let served = service.clone();
    // The other side has a thread of its own, and goes on while ours stands still.
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = NodeListener::bind("127.0.0.1:0", None).await.expect("a port");
            told.send(listener.address()).expect("somebody waits");
            listener.serve(served, std::future::pending()).await.expect("it serves");
        });
    });
    let address = listens.recv().expect("it listens").to_string();
    let options = NodeOptions {
        role: Role::Select,
        epoch: 5,
        connect_time_max: Duration::from_secs(3),
        silence_max: Duration::from_secs(10),
        call_time_max: Duration::from_secs(30),
        tls: None,
        default_port: 1,
    };
    let node = Node::new(&address, options).expect("an address");
    node.greet().await.expect("they know one another");
    let patient = {
        let node = node.clone();
        tokio::spawn(async move { node.series_count(Tenant::new(9, 0)).await })
    };
    while service.calls() < 2 {
        tokio::task::yield_now().await;
    }
    for time in 1..=TIMES {
        let before = service.calls();
        let ask = |_| {
            let node = node.clone();
            tokio::spawn(async move { node.series_count(Tenant::DEFAULT).await })
        };
        let questions: Vec<_> = (0..GIVEN_UP).map(ask).collect();
        while service.calls() < before + GIVEN_UP as u64 {
            tokio::task::yield_now().await;
        }
        // From here on nothing that comes is read.
        fake.permits.add_permits(GIVEN_UP);
        while fake.answered.load(SeqCst) < time * GIVEN_UP {
            thread::yield_now();
        }
        wait_for_all_to_be_sent(&address);
        questions.iter().for_each(|question| question.abort());
        assert_eq!(node.series_count(HASTY).await, Ok(7), "the connection stands");
    }
    // One of those that were answered in its place may be the patient one.
    fake.permits.add_permits(1);
    assert_eq!(patient.await.expect("no panic"), Ok(9));
    assert_eq!(node.stats().unreachable.load(SeqCst), 0, "it was there all the time");
}
