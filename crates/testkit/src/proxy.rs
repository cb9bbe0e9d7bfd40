//! A link between two processes that a test can cut, stall and slow down.
//!
//! 1. The proxy listens at an address of its own and passes every connection on to its target, which may change: a server that restarts may have another
//!    port each time.
//! 2. Each direction of a connection is a thread that reads a piece, waits as the state of the link says, and writes it.
//! 3. A link that is cut ends its connections and every new one. A link that is stalled takes everything and passes nothing on; what it holds arrives late,
//!    when it is open again, as in a network whose packets were delayed.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use crate::Rng;

/// Bytes that are passed on at once.
const PIECE_BYTES: usize = 16 * 1024;
/// A target that does not take a connection by then is gone.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);

/// How a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Everything goes through.
    Open,
    /// Nobody is there.
    Cut,
    /// Nothing goes through, and nobody is told.
    Stalled,
    /// Each piece waits for so long.
    Slow(Duration),
    /// Of a hundred pieces so many wait for so long, as those whose packets were lost.
    Lossy(u8, Duration),
}

/// See the module. Ends its connections when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    target: Option<SocketAddr>,
    link: Link,
    rng: Rng,
    /// Both ends of each connection.
    connections: BTreeMap<u64, [TcpStream; 2]>,
    next_connection: u64,
    is_over: bool,
}

impl Proxy {
    /// A proxy at a free port of `host`, without a target; nobody is there until it has one.
    pub fn start(host: IpAddr, seed: u64) -> io::Result<Proxy> {
        let listener = TcpListener::bind((host, 0))?;
        let address = listener.local_addr()?;
        let state = State {
            target: None,
            link: Link::Open,
            rng: Rng::new(seed),
            connections: BTreeMap::new(),
            next_connection: 0,
            is_over: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accepting.accept(&listener));
        Ok(Proxy { address, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads new connections to another address; `None` to nobody.
    pub fn lead_to(&self, target: Option<SocketAddr>) {
        self.shared.state().target = target;
    }

    /// Changes how the link is, for connections that there are too.
    pub fn set(&self, link: Link) {
        let mut state = self.shared.state();
        state.link = link;
        if link == Link::Cut {
            state.end_all();
        }
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.is_over = true;
        state.end_all();
        drop(state);
        self.shared.changed.notify_all();
        // Wakes who accepts; it may be gone already.
        let _ = TcpStream::connect_timeout(&self.address, CONNECT_TIME_MAX);
    }
}

impl State {
    fn end_all(&mut self) {
        for connection in self.connections.values() {
            // Ends that the other side has closed already are just as well.
            connection.iter().for_each(|end| drop(end.shutdown(Shutdown::Both)));
        }
        self.connections.clear();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for incoming in listener.incoming() {
            let target = {
                let state = self.state();
                if state.is_over {
                    return;
                }
                state.target.filter(|_| state.link != Link::Cut)
            };
            // Who finds nobody sees the connection end.
            let (Ok(near), Some(target)) = (incoming, target) else { continue };
            let shared = Arc::clone(self);
            thread::spawn(move || shared.join(near, target));
        }
    }

    /// Passes both directions of a connection on.
    fn join(self: &Arc<Self>, near: TcpStream, target: SocketAddr) {
        let Ok(far) = TcpStream::connect_timeout(&target, CONNECT_TIME_MAX) else { return };
        let ends = || Ok::<_, io::Error>((near.try_clone()?, far.try_clone()?));
        let (Ok(()), Ok(()), Ok(kept), Ok(back)) = (near.set_nodelay(true), far.set_nodelay(true), ends(), ends())
        else {
            return;
        };
        let number = {
            let mut state = self.state();
            if state.is_over || state.link == Link::Cut {
                return;
            }
            let number = state.next_connection;
            state.next_connection += 1;
            state.connections.insert(number, [kept.0, kept.1]);
            number
        };
        let shared = Arc::clone(self);
        thread::spawn(move || shared.pass_on(number, back.1, back.0));
        self.pass_on(number, near, far);
    }

    fn pass_on(&self, number: u64, mut from: TcpStream, mut to: TcpStream) {
        let mut piece = vec![0; PIECE_BYTES];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            if !self.may_pass(number) || to.write_all(&piece[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
        self.state().connections.remove(&number);
    }

    /// Waits as the link says; false if the connection is over.
    fn may_pass(&self, number: u64) -> bool {
        let mut state = self.state();
        loop {
            if state.is_over || !state.connections.contains_key(&number) {
                return false;
            }
            let link = state.link;
            let pause = match link {
                Link::Open => return true,
                Link::Cut => return false,
                Link::Stalled => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
                Link::Slow(pause) => pause,
                Link::Lossy(percent, pause) if state.rng.below(100) < u64::from(percent) => pause,
                Link::Lossy(..) => return true,
            };
            drop(state);
            thread::sleep(pause);
            return true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        net::Ipv4Addr,
    };

    use super::*;

    /// Answers each line with itself.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || io::copy(&mut &connection, &mut &connection));
            }
        });
        address
    }

    fn say(stream: &mut BufReader<TcpStream>, text: &str) -> io::Result<String> {
        stream.get_mut().write_all(format!("{text}\n").as_bytes())?;
        let mut line = String::new();
        stream.read_line(&mut line)?;
        Ok(line.trim_end().to_string())
    }

    fn connect(proxy: &Proxy) -> BufReader<TcpStream> {
        let stream = TcpStream::connect(proxy.address()).expect("the proxy listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("it can be set");
        BufReader::new(stream)
    }

    /// Whether nothing comes back for a while, or the connection ends.
    fn stays_silent(stream: &mut BufReader<TcpStream>, text: &str) -> bool {
        stream.get_ref().set_read_timeout(Some(Duration::from_millis(200))).expect("it can be set");
        let said = say(stream, text);
        stream.get_ref().set_read_timeout(Some(Duration::from_secs(60))).expect("it can be set");
        said.ok().as_deref() != Some(text)
    }

    #[test]
    fn a_link_passes_on_stalls_and_is_cut() {
        let proxy = Proxy::start(IpAddr::V4(Ipv4Addr::LOCALHOST), 1).expect("a proxy");
        assert!(stays_silent(&mut connect(&proxy), "nobody"));
        proxy.lead_to(Some(echo()));
        let mut stream = connect(&proxy);
        assert_eq!(say(&mut stream, "one").expect("an echo"), "one");
        for link in [Link::Slow(Duration::from_millis(2)), Link::Lossy(50, Duration::from_millis(2))] {
            proxy.set(link);
            assert_eq!(say(&mut stream, "slow").expect("an echo"), "slow");
        }
        proxy.set(Link::Stalled);
        assert!(stays_silent(&mut stream, "late"), "nothing goes through");
        proxy.set(Link::Open);
        let mut line = String::new();
        stream.read_line(&mut line).expect("what was held comes late");
        assert_eq!(line, "late\n");
        proxy.set(Link::Cut);
        assert!(stays_silent(&mut stream, "cut"));
        assert!(stays_silent(&mut connect(&proxy), "cut"));
        proxy.set(Link::Open);
        assert_eq!(say(&mut connect(&proxy), "again").expect("an echo"), "again");
    }
}
