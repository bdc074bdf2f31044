//! A TCP proxy in front of one server: it delays, holds back, cuts, refuses and counts.

mod traffic;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

use crate::ports;

/// For what takes the proxy's thread a moment; on a very busy machine.
const DEADLINE: Duration = Duration::from_secs(10);

/// One way through a [`Proxy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// What clients send.
    ToServer,
    /// What the server answers.
    ToClient,
}

/// A TCP proxy on loopback in front of one server. It passes everything on at once until it is told
/// otherwise; what it is told holds for the connections that are there and for new ones. It ends,
/// and its connections with it, when it is dropped.
///
/// It runs in a thread of its own, so its methods may be called from anywhere, async tests included.
///
/// ```no_run
/// # fn main() -> anyhow::Result<()> {
/// use testbed::{Direction, Proxy, Server};
///
/// let server = Server::start()?;
/// let proxy = Proxy::start(server.addr().parse()?)?;
/// let client = redis::Client::open(proxy.url())?;
/// proxy.hold(Direction::ToClient); // commands run, and their answers do not come
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    control: Arc<Control>,
    doors: mpsc::UnboundedSender<Option<TcpListener>>,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

impl Proxy {
    /// Starts a proxy for the server at `target`, on a free port of its own.
    ///
    /// # Errors
    /// If there is no free port, or no thread can be started.
    pub fn start(target: SocketAddr) -> anyhow::Result<Self> {
        let port = ports::free_port()?;
        Self::start_at((Ipv4Addr::LOCALHOST, port).into(), target)
    }

    /// The same on a certain address.
    pub(crate) fn start_at(addr: SocketAddr, target: SocketAddr) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("testbed-proxy")
            .enable_all()
            .build()
            .context("cannot start a proxy's thread")?;
        let (doors, next_door) = mpsc::unbounded_channel();
        let control = Arc::new(Control::default());
        runtime.spawn(traffic::serve(target, Arc::clone(&control), next_door));
        let proxy = Self {
            addr,
            control,
            doors,
            runtime: Some(runtime),
        };
        proxy.accept()?;
        Ok(proxy)
    }

    /// Where clients reach it, such as `127.0.0.1:12345`.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The same as a URL, such as `redis://127.0.0.1:12345`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.addr)
    }

    /// From now on everything takes so much longer in one direction. Order and throughput stay; what
    /// is under way already is not delayed any more than it was.
    pub fn delay(&self, direction: Direction, delay: Duration) {
        self.control
            .rules
            .send_modify(|rules| rules.delay[direction as usize] = delay);
    }

    /// Passes nothing on in one direction from now on. Connections stay open and new ones are
    /// accepted; what comes is kept until [`release`](Self::release).
    pub fn hold(&self, direction: Direction) {
        self.control
            .rules
            .send_modify(|rules| rules.held[direction as usize] = true);
    }

    /// Passes nothing on in either direction: a black hole, as a network that has lost its way.
    pub fn silence(&self) {
        self.hold(Direction::ToServer);
        self.hold(Direction::ToClient);
    }

    /// Passes on what has been held back, and everything from now on.
    pub fn release(&self) {
        self.control
            .rules
            .send_modify(|rules| rules.held = [false; 2]);
    }

    /// Closes all connections as a server that ends does, and returns when they are closed. New ones
    /// are accepted as before. Returns how many there were.
    pub fn cut(&self) -> usize {
        self.end(End::Close)
    }

    /// The same with a reset (`RST`) instead, so that clients see an error rather than an end.
    pub fn reset(&self) -> usize {
        self.end(End::Reset)
    }

    /// Lets so many more bytes of answers pass, counted over all connections, and cuts the
    /// connection that has more for its client there, in the middle of an answer. Once; others stay.
    ///
    /// With 0 it is the next answer of which nothing passes: its command has run.
    pub fn cut_after(&self, bytes: usize) {
        self.control.state().budget = Some(bytes);
    }

    /// Whether the cut that [`cut_after`](Self::cut_after) asked for is still to come.
    #[must_use]
    pub fn is_cut_pending(&self) -> bool {
        self.control.state().budget.is_some()
    }

    /// Accepts no new connections: clients are refused as if no server ran there. Those that are
    /// open stay. Connections that had not been accepted yet are reset.
    pub fn refuse(&self) {
        let _ = self.doors.send(None);
        self.wait_while(|state| state.listening);
    }

    /// Accepts connections again after [`refuse`](Self::refuse).
    ///
    /// # Errors
    /// If somebody else has taken the port meanwhile.
    pub fn accept(&self) -> anyhow::Result<()> {
        if std::mem::replace(&mut self.control.state().listening, true) {
            return Ok(());
        }
        let listener = TcpListener::bind(self.addr)
            .with_context(|| format!("cannot listen at {}", self.addr))?;
        listener.set_nonblocking(true)?;
        ensure!(
            self.doors.send(Some(listener)).is_ok(),
            "the proxy has ended"
        );
        Ok(())
    }

    /// How many connections have been accepted so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.control.state().accepted
    }

    /// How many connections are open now, which is: accepted, and not yet ended by their client or a
    /// cut.
    #[must_use]
    pub fn open(&self) -> usize {
        self.control.state().open.len()
    }

    /// The most that have been open at once.
    #[must_use]
    pub fn most_open(&self) -> usize {
        self.control.state().most_open
    }

    /// How many bytes have come in a direction so far, those held back included.
    #[must_use]
    pub fn bytes(&self, direction: Direction) -> u64 {
        self.control.state().bytes[direction as usize]
    }

    fn end(&self, end: End) -> usize {
        let ids: BTreeSet<u64> = self.control.state().alive.clone();
        self.control.ends.send_modify(|last| {
            last.count += 1;
            last.how = end;
        });
        self.wait_while(|state| !state.alive.is_disjoint(&ids));
        ids.len()
    }

    fn wait_while(&self, condition: impl Fn(&State) -> bool) {
        let changed = &self.control.changed;
        let state = self.control.state();
        let waited = changed.wait_timeout_while(state, DEADLINE, |state| condition(state));
        drop(waited);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Not waited for: this may be in an async test, where waiting is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What the proxy has been told, and what it has seen.
#[derive(Debug, Default)]
struct Control {
    rules: watch::Sender<Rules>,
    ends: watch::Sender<Ends>,
    state: Mutex<State>,
    /// Told when a connection or the listener is gone.
    changed: Condvar,
}

impl Control {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By direction.
#[derive(Debug, Clone, Copy, Default)]
struct Rules {
    delay: [Duration; 2],
    held: [bool; 2],
}

/// How often all connections were ended, and how the last time.
#[derive(Debug, Clone, Copy, Default)]
struct Ends {
    count: u64,
    how: End,
}

#[derive(Debug, Clone, Copy, Default)]
enum End {
    #[default]
    Close,
    Reset,
}

#[derive(Debug, Default)]
struct State {
    listening: bool,
    accepted: u64,
    /// By number; their clients have not closed them yet.
    open: BTreeSet<u64>,
    most_open: usize,
    /// By number; their sockets are not closed here yet.
    alive: BTreeSet<u64>,
    bytes: [u64; 2],
    /// How many bytes of answers pass before the cut.
    budget: Option<usize>,
}
