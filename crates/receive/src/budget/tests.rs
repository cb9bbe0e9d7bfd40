//! Bodies that come slowly, or many at once, from memory and over sockets.

use std::{net::SocketAddr, sync::Arc};

use basalt_http::{Handler, Listener, Request, Response, ServerOptions, Stopper, serve, stop_signal};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;
use crate::{
    Door, Receiver,
    testing::{Remembering, options, receiver_with, store},
};

const MIB: u64 = 1 << 20;
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Share and lane of a budget for bodies of 1 MiB: 16 steps and 64.
fn budget() -> BodyBudget {
    BodyBudget::new(0, MIB as usize, WAIT_MAX)
}

#[tokio::test(start_paused = true)]
async fn long_bodies_queue_while_small_ones_pass() {
    let budget = budget();
    assert_eq!((budget.small.available_permits(), budget.lane_steps), (16, 64));
    let mut long = budget.hold(Some(MIB));
    long.grow(1, MIB).await.expect("the first step is free");
    assert_eq!((long.steps(), long.in_lane), (1, false));
    long.grow(STEP_BYTES as usize + 1, MIB).await.expect("the lane is free");
    assert_eq!((long.steps(), long.in_lane, budget.small.available_permits()), (64, true, 16));

    let mut next = budget.hold(Some(MIB));
    let began = Instant::now();
    let why = next.grow(20_000, MIB).await.expect_err("the lane is full");
    assert_eq!(began.elapsed(), WAIT_MAX);
    assert!(why.to_string().starts_with("waited 60.000 seconds because bodies"), "{why}");
    let mut small = budget.hold(Some(100_000));
    small.grow(100_000, 100_000).await.expect("the share has room");
    assert_eq!((small.steps(), small.in_lane), (7, false));
    // Nobody knows how long this one becomes.
    let mut chunked = budget.hold(None);
    chunked.grow(9 * STEP_BYTES as usize, MIB).await.expect("the share has room");
    drop(long);
    // The share is empty now, but the lane is there for small ones too.
    let mut other = budget.hold(Some(10));
    other.grow(10, 10).await.expect("the lane has room");
    assert!(other.in_lane);
    other.shrink(10);
    assert!(other.in_lane);
    small.shrink(1);
    other.shrink(10);
    assert_eq!((small.steps(), other.in_lane, budget.lane.available_permits()), (1, false, 64));
    chunked.shrink(0);
    drop((small, other));
    assert_eq!((budget.small.available_permits(), budget.lane.available_permits()), (16, 64));
}

#[tokio::test(start_paused = true)]
async fn a_body_may_be_longer_than_everything() {
    let tight = BodyBudget::new(1, 64 << 10, WAIT_MAX);
    let mut hold = tight.hold(None);
    hold.grow(10 << 20, 64 << 20).await.expect("it takes the whole lane");
    hold.grow(64 << 20, 64 << 20).await.expect("it has it");
    assert_eq!(hold.steps(), tight.lane_steps);
}

#[tokio::test(start_paused = true)]
async fn many_bodies_that_grow_step_by_step_all_finish() {
    let budget = Arc::new(budget());
    let grow = |number: u64| {
        let budget = Arc::clone(&budget);
        async move {
            let whole = if number.is_multiple_of(3) { 20_000 } else { MIB - number };
            let mut hold = budget.hold(number.is_multiple_of(2).then_some(whole));
            for bytes in (1..whole).step_by(10_000).chain([whole]) {
                hold.grow(bytes as usize, whole).await.expect("nobody waits for ever");
                tokio::time::sleep(Duration::from_millis(number % 7)).await;
            }
        }
    };
    let all: Vec<_> = (0..200).map(|number| tokio::spawn(grow(number))).collect();
    for one in all {
        one.await.expect("it finishes");
    }
    assert_eq!((budget.small.available_permits(), budget.lane.available_permits()), (16, 64));
}

struct Doors(Arc<Receiver>);

impl Handler for Doors {
    async fn handle(&self, request: Request) -> Response {
        let entrance = Door::find(request.path()).expect("a door").expect("a tenant");
        self.0.receive(entrance, request).await
    }
}

async fn start(store: &Arc<Remembering>) -> (SocketAddr, Stopper) {
    let mut options = options();
    options.body_bytes_max = MIB as usize;
    options.bodies_bytes_max = 0;
    options.queue_wait_max = WAIT_MAX;
    options.concurrent_max = 4;
    let receiver = receiver_with(store, &options);
    let server = ServerOptions {
        connections_max: 100,
        idle_max: Duration::from_secs(60),
        connection_age_max: Duration::from_secs(120),
        drain_max: Duration::from_millis(50),
        keep_alive: true,
    };
    let listener = Listener::bind("127.0.0.1:0", false).await.expect("a free port");
    let address = listener.address();
    let (stopper, stop) = stop_signal();
    tokio::spawn(serve(listener, server, Arc::new(Doors(receiver)), stop));
    (address, stopper)
}

async fn begin(address: SocketAddr, path: &str, length: &str, bytes: usize) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.expect("the server listens");
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n");
    let body = if length.starts_with("Transfer") && bytes > 0 {
        format!("{bytes:x}\r\n{}\r\n", "x".repeat(bytes))
    } else {
        "x".repeat(bytes)
    };
    socket.write_all((head + &body).as_bytes()).await.expect("the server reads");
    socket
}

/// Posts lines as one body; gives the status and how long it took.
async fn post_lines(address: SocketAddr, lines: &str) -> (String, Duration) {
    let began = Instant::now();
    let mut socket = TcpStream::connect(address).await.expect("the server listens");
    let body = snap::raw::Encoder::new().compress_vec(lines.as_bytes()).expect("snappy packs everything");
    let head = format!(
        "POST /api/v1/import/prometheus HTTP/1.1\r\nConnection: close\r\nContent-Encoding: snappy\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(&[head.as_bytes(), &body].concat()).await.expect("the server reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("the server answers");
    (answer.split(' ').nth(1).unwrap_or_default().to_string(), began.elapsed())
}

#[tokio::test]
async fn idle_and_trickling_clients_keep_nobody_out() {
    let store = store(1000, Ok(()));
    let (address, _stopper) = start(&store).await;
    let soon = Duration::from_secs(5);
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(begin(address, "/api/v1/write", "Transfer-Encoding: chunked", 0).await);
        open.push(begin(address, "/api/v1/write", "Content-Length: 1000000", 0).await);
        open.push(begin(address, "/api/v1/import", "Transfer-Encoding: chunked", 0).await);
    }
    let (status, took) = post_lines(address, "a 1\n").await;
    assert!(status == "204" && took < soon, "{status} {took:?}");

    // These have sent so much that one has the whole lane, the others all of the small share.
    open.push(begin(address, "/api/v1/write", "Content-Length: 1000000", 900_000).await);
    open.push(begin(address, "/api/v1/write", "Transfer-Encoding: chunked", 100_000).await);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (status, took) = post_lines(address, "a 2\n").await;
    assert!(status == "204" && took < soon, "{status} {took:?}");
    for _ in 0..20 {
        open.push(begin(address, "/api/v1/write", "Content-Length: 20000", 1).await);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    // While somebody waits, who has stalled for a whole window is given up.
    let (status, took) = post_lines(address, "a 3\n").await;
    assert!(status == "204" && took < 2 * PACE_WINDOW + soon, "{status} {took:?}");
    assert_eq!(store.take().len(), 3);
    drop(open);
}

#[tokio::test]
async fn many_long_bodies_at_once_are_all_taken() {
    let store = store(1000, Ok(()));
    let (address, _stopper) = start(&store).await;
    // Digits that snappy cannot make much shorter.
    let lines = |body: u64| {
        let mut state = body;
        let mut line = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(n);
            format!("a{{n=\"{body}-{n}\"}} {}\n", state >> 8)
        };
        (0..15_000).map(&mut line).collect::<String>()
    };
    let bodies: Vec<_> =
        (0..30).map(|body| tokio::spawn(async move { post_lines(address, &lines(body)).await })).collect();
    for body in bodies {
        let (status, took) = body.await.expect("the client ends");
        assert_eq!(status, "204", "{took:?}");
    }
    assert_eq!(store.take().len(), 30 * 15_000);
}
