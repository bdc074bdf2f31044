//! Models for [loom](https://docs.rs/loom), which runs a few threads in every order that makes a difference
//! and tells of a deadlock where a wake-up is lost. `cargo xtask loom` runs them.
//!
//! Threads meet in the locks (a pool has two, a group one), in the hint that somebody waits, which may be stale, in the wakers of
//! those who wait, and in the connections: each use has to come after all others before it, unless it
//! is shared. Nothing else takes loom's place. An `Arc` is the usual one and changes in one piece with
//! whatever its thread did last. Tasks are begun and lie there: a model does itself what the task
//! would do. No time passes: timeouts are hours, or nothing at all. Hooks, checks, timers and what
//! tells the keeper to come sooner are left out.
//!
//! Two threads are run in all orders. Where there are more, a thread that could go on has to let others
//! go first at most [`FEW`] times, and at most [`FEWER`] times in the largest models. The environment variable
//! `LOOM_MAX_PREEMPTIONS` sets another bound for all, of up to 255.

#![cfg(test)]
#![cfg(wait_pool_loom)]

mod cancel;
mod clear;
mod close;
mod connect;
mod group;
mod hand_over;
mod lease;

use std::convert::Infallible;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use loom::future::block_on;
use loom::thread::{self, JoinHandle};

use crate::config::Config;
use crate::connect::attempt;
use crate::error::AcquireError;
use crate::guard::{Held, Lease, Pooled};
use crate::hook::Observers;
use crate::line::Kind;
use crate::manager::Manager;
use crate::request::Request;
use crate::shared::Shared;
use crate::transition::Opens;

type Pool = Arc<Shared<Maker>>;
type Waiting<G> = Pin<Box<dyn Future<Output = Result<G, AcquireError<Infallible>>> + Send>>;

/// How often threads have to wait that could go on.
const FEW: Option<usize> = Some(4);
const FEWER: Option<usize> = Some(3);
const NO_BOUND: Option<usize> = None;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Runs a model in every order.
fn explore(preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let mut loom = loom::model::Builder::new();
    loom.preemption_bound = loom.preemption_bound.or(preemptions);
    let orders = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&orders);
    loom.check(move || {
        counted.fetch_add(1, Relaxed);
        // Tasks are left with it, and lie there until it is gone.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        let runtime = runtime.unwrap();
        let _inside = runtime.enter();
        model();
    });
    let current = std::thread::current();
    let name = current.name().unwrap_or_default();
    println!("{name}: {} orders", orders.load(Relaxed));
}

/// Makes connections and knows how many there are: each has a share of it.
#[derive(Debug)]
struct Maker(Arc<()>);

/// Notices when it is used at once by several who should not, or before it has been handed over.
#[derive(Debug)]
struct Connection {
    users: Vec<&'static str>,
    uses: loom::sync::atomic::AtomicUsize,
    _made_by: Arc<()>,
}

impl Manager for Maker {
    type Connection = Connection;
    type Error = Infallible;

    async fn connect(&self) -> Result<Connection, Infallible> {
        Ok(Connection {
            users: Vec::new(),
            uses: loom::sync::atomic::AtomicUsize::new(0),
            _made_by: Arc::clone(&self.0),
        })
    }

    async fn check(&self, _: &mut Connection) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Connection {
    fn use_alone(&mut self, user: &'static str) {
        self.users.push(user);
        self.uses.with_mut(|uses| *uses += 1);
    }

    fn use_shared(&self) {
        self.uses.load(Relaxed);
    }
}

/// A pool of at most one connection, whose common transitions are the short ones.
fn config() -> Config {
    Config {
        max_size: 1,
        max_leases: 2,
        wait_timeout: None,
        check_idle_after: HOUR,
        idle_timeout: Some(HOUR),
        max_lifetime: None,
        claim_timeout: 2 * HOUR,
        ..Config::default()
    }
}

fn pool(config: Config) -> Pool {
    Arc::new(Shared::new(
        Maker(Arc::default()),
        config,
        Observers::default(),
        None,
    ))
}

/// A pool, and its connection in use.
fn pool_in_use(config: Config) -> (Pool, Pooled<Maker>) {
    let pool = pool(config);
    let mut first = in_line(get(&pool));
    open(&pool, 0);
    let Poll::Ready(Ok(held)) = poll(&mut first) else {
        panic!("there is a connection for it");
    };
    (pool, held)
}

/// Does what the task does that was begun in a generation.
fn open(pool: &Pool, generation: u64) {
    let opens = Opens {
        after: Duration::ZERO,
        generation,
        number: 0,
    };
    block_on(attempt(pool, opens));
}

fn get(pool: &Pool) -> Waiting<Pooled<Maker>> {
    let pool = Arc::clone(pool);
    Box::pin(async move { Request::new(&pool).get().await })
}

fn lease(pool: &Pool) -> Waiting<Lease<Maker>> {
    let pool = Arc::clone(pool);
    Box::pin(async move { Request::new(&pool).lease().await })
}

/// Has a caller stand in line, with a waker that wakes nobody.
fn in_line<G>(mut waiting: Waiting<G>) -> Waiting<G> {
    assert!(poll(&mut waiting).is_pending());
    waiting
}

fn poll<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Poll<T> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Waits in a thread of its own, uses what it gets and gives it back.
fn user(name: &'static str, waiting: Waiting<Pooled<Maker>>) -> JoinHandle<()> {
    thread::spawn(move || block_on(waiting).unwrap().use_alone(name))
}

/// Nobody waits or has anything, and so many connections are left.
#[track_caller]
fn assert_at_rest(pool: &Pool, connections: usize) {
    let status = pool.status();
    assert_eq!((status.size, status.idle), (connections, connections));
    assert_eq!((status.waiting, status.holders), (0, 0));
    assert_eq!(Arc::strong_count(&pool.manager.0) - 1, connections);
}

/// Takes the connection if nobody has it or waits for it.
fn try_get(pool: &Pool) -> Option<Pooled<Maker>> {
    let grant = pool.try_enter(Kind::Exclusive, Location::caller())?;
    Some(Held::new(pool, grant).into())
}

fn join(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}
