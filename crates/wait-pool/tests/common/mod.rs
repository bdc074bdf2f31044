//! A manager whose every step the test decides, and which counts what is really open.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(unreachable_pub, reason = "a module that several test crates include")]

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::Semaphore;
use wait_pool::{Builder, Manager, Pool};

/// What the next attempt to connect, or the next check, does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    Ok,
    Error,
    /// Succeeds after yielding a few times.
    Slow,
    /// Succeeds after so long; for a clock that is stopped.
    Takes(Duration),
    /// Succeeds once [`Backend::let_one_in`] is called.
    Held,
    /// Fails once [`Backend::let_one_in`] is called.
    HeldError,
    Never,
    Panic,
}

#[derive(Debug, thiserror::Error)]
#[error("the backend says no ({0})")]
pub struct Refused(pub &'static str);

/// The other side: hands out connections and knows how many are open.
#[derive(Debug)]
pub struct Backend {
    pub connect: parking_lot::Mutex<Gate>,
    pub check: parking_lot::Mutex<Gate>,
    held: Semaphore,
    /// Open connections and attempts under way, by the backend's own count.
    live: AtomicUsize,
    peak: AtomicUsize,
    attempts: AtomicUsize,
    attempts_now: AtomicUsize,
    attempts_peak: AtomicUsize,
    checks: AtomicUsize,
}

/// Counts as open from the beginning of the attempt until it is dropped.
#[derive(Debug)]
struct Socket(Arc<Backend>);

#[derive(Debug)]
pub struct Connection {
    /// Of the attempt that opened it.
    pub number: usize,
    pub broken: AtomicBool,
    _socket: Socket,
}

#[derive(Debug)]
pub struct Connector(pub Arc<Backend>);

impl Backend {
    pub fn new(connect: Gate) -> Arc<Self> {
        Arc::new(Self {
            connect: parking_lot::Mutex::new(connect),
            check: parking_lot::Mutex::new(Gate::Ok),
            held: Semaphore::new(0),
            live: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            attempts: AtomicUsize::new(0),
            attempts_now: AtomicUsize::new(0),
            attempts_peak: AtomicUsize::new(0),
            checks: AtomicUsize::new(0),
        })
    }

    pub fn pool(self: &Arc<Self>) -> Builder<Connector> {
        Pool::builder(Connector(Arc::clone(self)))
    }

    pub fn let_one_in(&self) {
        self.held.add_permits(1);
    }

    pub fn live(&self) -> usize {
        self.live.load(SeqCst)
    }

    pub fn peak(&self) -> usize {
        self.peak.load(SeqCst)
    }

    pub fn attempts(&self) -> usize {
        self.attempts.load(SeqCst)
    }

    pub fn attempts_peak(&self) -> usize {
        self.attempts_peak.load(SeqCst)
    }

    pub fn checks(&self) -> usize {
        self.checks.load(SeqCst)
    }

    /// Does what a gate says.
    ///
    /// # Errors
    ///
    /// Those that the gate asks for.
    pub async fn pass(&self, gate: Gate) -> Result<(), Refused> {
        match gate {
            Gate::Ok => Ok(()),
            Gate::Error => Err(Refused("gate")),
            Gate::Slow => {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
            Gate::Takes(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Gate::Held => {
                self.held.acquire().await.expect("never closed").forget();
                Ok(())
            }
            Gate::HeldError => {
                self.held.acquire().await.expect("never closed").forget();
                Err(Refused("held gate"))
            }
            Gate::Never => pending().await,
            Gate::Panic => panic!("the manager panics, as the test asks it to"),
        }
    }
}

impl Socket {
    fn open(backend: &Arc<Backend>) -> Self {
        let live = backend.live.fetch_add(1, SeqCst) + 1;
        backend.peak.fetch_max(live, SeqCst);
        Self(Arc::clone(backend))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, SeqCst);
    }
}

struct Attempt<'a> {
    backend: &'a Backend,
    number: usize,
}

impl<'a> Attempt<'a> {
    fn begin(backend: &'a Backend) -> Self {
        let number = backend.attempts.fetch_add(1, SeqCst);
        let now = backend.attempts_now.fetch_add(1, SeqCst) + 1;
        backend.attempts_peak.fetch_max(now, SeqCst);
        Self { backend, number }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.backend.attempts_now.fetch_sub(1, SeqCst);
    }
}

impl Manager for Connector {
    type Connection = Connection;
    type Error = Refused;

    async fn connect(&self) -> Result<Connection, Refused> {
        let attempt = Attempt::begin(&self.0);
        let socket = Socket::open(&self.0);
        let gate = *self.0.connect.lock();
        self.0.pass(gate).await?;
        Ok(Connection {
            number: attempt.number,
            broken: AtomicBool::new(false),
            _socket: socket,
        })
    }

    async fn check(&self, _: &mut Connection) -> Result<(), Refused> {
        self.0.checks.fetch_add(1, SeqCst);
        let gate = *self.0.check.lock();
        self.0.pass(gate).await
    }

    fn is_broken(&self, connection: &Connection) -> bool {
        connection.broken.load(SeqCst)
    }
}

/// A runtime for tests that outlive it.
///
/// # Panics
///
/// If the system gives none.
pub fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime")
}

/// Lets spawned tasks run until `done` says so.
///
/// # Panics
///
/// If that takes more than ten seconds: the test hangs.
pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(std::time::Instant::now() < deadline, "never came: {what}");
        tokio::task::yield_now().await;
    }
}

/// Lets tasks that are due run, with the clock stopped.
pub async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// A pool's last connect error, or another cause, as text.
pub fn cause(error: &dyn std::error::Error) -> Option<String> {
    error.source().map(ToString::to_string)
}
