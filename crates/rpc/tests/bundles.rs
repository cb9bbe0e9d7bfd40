//! Batches of many senders for one node go together while a call is under way, and each is told what became of it alone.

use std::{
    future::poll_fn,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use model::{Sample, SeriesId, Tenant, ValueKind};
use parking_lot::Mutex;
use rpc::{Node, NodeListener, NodeOptions, Role, Service};
use storage_api::{
    BoxFuture, InsertError, InsertNumbered, Inserted, NumberedBatch, NumberedOutcome, NumberedRow, SeriesName,
};
use tokio::sync::{Semaphore, oneshot};

/// Takes a batch for each permit, and notes the check of each that came.
struct Fake {
    permits: Semaphore,
    came: Mutex<Vec<u64>>,
}

impl InsertNumbered for Fake {
    fn insert_numbered<'a>(&'a self, batch: NumberedBatch<'a>) -> BoxFuture<'a, Result<NumberedOutcome, InsertError>> {
        Box::pin(async move {
            self.came.lock().push(batch.check);
            self.permits.acquire().await.expect("it is never closed").forget();
            match batch.rows[0].series {
                SeriesName::Number(13) => Ok(NumberedOutcome::Stale),
                SeriesName::Key(b"full") => Err(InsertError::ReadOnly("the disk is full".into())),
                _ => Ok(taken(batch.check)),
            }
        })
    }
}

fn taken(check: u64) -> NumberedOutcome {
    let inserted = Inserted { samples: check, ..Inserted::default() };
    NumberedOutcome::Taken { inserted, unknown: Vec::new(), numbers: vec![check as u32] }
}

struct Pair {
    fake: Arc<Fake>,
    service: Arc<Service>,
    node: Arc<Node>,
    stop: oneshot::Sender<()>,
}

impl Pair {
    async fn start() -> Self {
        let fake = Arc::new(Fake { permits: Semaphore::new(0), came: Mutex::default() });
        let service = Arc::new(Service::new(Role::Storage, 1).with_insert(fake.clone()));
        let listener = NodeListener::bind("127.0.0.1:0", None).await.expect("a port");
        let address: SocketAddr = listener.address();
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(listener.serve(service.clone(), async move { drop(stopped.await) }));
        let options = NodeOptions {
            role: Role::Insert,
            epoch: 5,
            connect_time_max: Duration::from_secs(3),
            silence_max: Duration::from_secs(3),
            call_time_max: Duration::from_secs(10),
            tls: None,
            default_port: 1,
        };
        let node = Node::new(&address.to_string(), options).expect("an address");
        node.greet().await.expect("they know one another");
        Self { fake, service, node, stop }
    }

    /// Sends a row. The check names the batch.
    fn send(
        &self,
        series: SeriesName<'static>,
        check: u64,
    ) -> BoxFuture<'static, Result<NumberedOutcome, InsertError>> {
        let node = self.node.clone();
        Box::pin(async move {
            let rows = [NumberedRow { series, samples_end: 1, kind: ValueKind::Float }];
            let samples = [Sample { time: 1, value: 0.5 }];
            let batch = NumberedBatch { tenant: Tenant::DEFAULT, rows: &rows, samples: &samples, check, metadata: &[] };
            node.insert_numbered(batch).await
        })
    }

    /// Waits until so many batches came in.
    async fn came(&self, batches: usize) {
        while self.fake.came.lock().len() < batches {
            tokio::task::yield_now().await;
        }
    }
}

/// Has a future begun: it waits for somebody else now.
async fn begin<T>(future: &mut BoxFuture<'static, T>) {
    poll_fn(|context| {
        assert!(future.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
}

const NUMBER: SeriesName<'static> = SeriesName::Number(1);

#[tokio::test]
async fn what_comes_while_a_call_is_under_way_goes_together() {
    let pair = Pair::start().await;
    let calls = pair.service.calls();
    let mut first = pair.send(NUMBER, 1);
    begin(&mut first).await;
    pair.came(1).await;
    let names = [NUMBER, SeriesName::Number(13), SeriesName::Key(b"full"), SeriesName::Id(SeriesId(9))];
    let mut others: Vec<_> = names.into_iter().zip(2..).map(|(name, check)| pair.send(name, check)).collect();
    for other in &mut others {
        begin(other).await;
    }
    // One whose sender leaves is not sent.
    let mut gone = pair.send(NUMBER, 6);
    begin(&mut gone).await;
    drop(gone);
    assert_eq!(*pair.fake.came.lock(), [1], "the others wait");
    pair.fake.permits.add_permits(10);
    assert_eq!(first.await, Ok(taken(1)));
    let mut outcomes = Vec::new();
    for other in others {
        outcomes.push(other.await);
    }
    assert_eq!(outcomes[0], Ok(taken(2)));
    assert_eq!(outcomes[1], Ok(NumberedOutcome::Stale));
    assert!(
        matches!(&outcomes[2], Err(InsertError::ReadOnly(why)) if why.contains("the disk is full")),
        "{outcomes:?}"
    );
    assert_eq!(outcomes[3], Ok(taken(5)));
    assert_eq!(*pair.fake.came.lock(), [1, 2, 3, 4, 5]);
    assert_eq!(pair.service.calls() - calls, 2, "one for the first and one for all others");
    assert_eq!(pair.node.stats().rows_sent.load(Ordering::Relaxed), 1 + 2 + 5);
    assert_eq!(pair.send(NUMBER, 7).await, Ok(taken(7)), "nothing is under way any more");
}

#[tokio::test]
async fn those_that_wait_go_on_when_who_went_first_is_gone() {
    let pair = Pair::start().await;
    let (mut first, mut second, mut third) = (pair.send(NUMBER, 1), pair.send(NUMBER, 2), pair.send(NUMBER, 3));
    begin(&mut first).await;
    pair.came(1).await;
    begin(&mut second).await;
    drop(first);
    pair.came(2).await;
    begin(&mut third).await;
    pair.fake.permits.add_permits(3);
    assert_eq!((second.await, third.await), (Ok(taken(2)), Ok(taken(3))));
}

#[tokio::test]
async fn those_that_wait_for_a_node_that_goes_away_hear_of_it_at_once() {
    let pair = Pair::start().await;
    let (mut first, mut second) = (pair.send(NUMBER, 1), pair.send(NUMBER, 2));
    begin(&mut first).await;
    pair.came(1).await;
    begin(&mut second).await;
    // The connection ends with the call that is answered; nobody listens behind it.
    pair.stop.send(()).expect("it serves");
    while tokio::net::TcpStream::connect(pair.node.address()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    pair.fake.permits.add_permits(1);
    assert_eq!(first.await, Ok(taken(1)), "what was begun is finished");
    assert!(matches!(second.await, Err(InsertError::NotDurable(_))), "this was not sent");
    assert_eq!(*pair.fake.came.lock(), [1]);
}
