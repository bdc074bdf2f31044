//! What users have done to connections: when, how often, in which order, and what an error, a hang, a
//! panic or a cancellation costs.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use common::{Backend, Connection, Connector, Gate, Refused, cause, runtime, settle, until};
use parking_lot::Mutex;
use tokio_test::{assert_pending, assert_ready_ok, task};
use wait_pool::{AcquireError, Builder, ConnectError, Hook, Pool};

/// Writes down which connection it was called for, and does what its gate says.
#[derive(Clone)]
struct Noted {
    name: &'static str,
    backend: Arc<Backend>,
    gate: Arc<Mutex<Gate>>,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Noted {
    fn new(name: &'static str, backend: &Arc<Backend>) -> Self {
        Self {
            name,
            backend: Arc::clone(backend),
            gate: Arc::new(Mutex::new(Gate::Ok)),
            calls: Arc::default(),
        }
    }

    fn set(&self, gate: Gate) {
        *self.gate.lock() = gate;
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().clone()
    }

    fn count(&self) -> usize {
        self.calls.lock().len()
    }
}

#[async_trait::async_trait]
impl Hook<Connector> for Noted {
    async fn call(&self, connection: &mut Connection) -> Result<(), Refused> {
        let call = format!("{} {}", self.name, connection.number);
        self.calls.lock().push(call);
        let gate = *self.gate.lock();
        self.backend.pass(gate).await
    }
}

fn backend() -> (Arc<Backend>, Builder<Connector>) {
    let backend = Backend::new(Gate::Ok);
    let builder = backend.pool().wait_timeout(Duration::from_secs(60));
    (backend, builder)
}

/// A pool with one connection and a hook at `set`.
fn one(
    set: fn(Builder<Connector>, Noted) -> Builder<Connector>,
) -> (Arc<Backend>, Noted, Pool<Connector>) {
    let (backend, builder) = backend();
    let hook = Noted::new("hook", &backend);
    let pool = set(builder.max_size(1), hook.clone()).build().unwrap();
    (backend, hook, pool)
}

#[tokio::test]
async fn hooks_are_called_in_the_order_of_a_connections_life() {
    let (backend, builder) = backend();
    let log = Arc::default();
    let noted = |name| Noted {
        calls: Arc::clone(&log),
        ..Noted::new(name, &backend)
    };
    let pool = builder
        .max_size(1)
        .after_connect(noted("connected"))
        .before_use(noted("before"))
        .after_release(noted("after"));
    let pool = pool.build().unwrap();
    for _ in 0..2 {
        drop(pool.get().await.unwrap());
        until("it is back", || pool.status().idle == 1).await;
    }
    pool.get().await.unwrap().discard();
    drop(pool.lease().await.unwrap());
    let expected = [
        "connected 0",
        "before 0",
        "after 0",
        "before 0",
        "after 0",
        "before 0",
        "connected 1",
    ];
    assert_eq!(*log.lock(), expected);
}

#[tokio::test]
async fn after_connect_is_called_once_for_each_connection() {
    let (backend, builder) = backend();
    let hook = Noted::new("connected", &backend);
    let pool = builder.max_size(2).after_connect(hook.clone());
    let pool = pool.build().unwrap();
    for _ in 0..5 {
        let both = (pool.get().await.unwrap(), pool.lease().await.unwrap());
        drop(both);
    }
    assert_eq!(hook.calls(), ["connected 0", "connected 1"]);
}

#[tokio::test]
async fn an_error_after_connecting_is_an_error_to_connect() {
    let (backend, hook, pool) = one(Builder::after_connect);
    hook.set(Gate::Error);
    let error = pool.get().await.unwrap_err();
    assert_eq!(cause(&error).unwrap(), "the backend says no (gate)");
    let AcquireError::Connect(error) = error else {
        panic!("expected a connect error, got {error:?}")
    };
    assert!(matches!(*error, ConnectError::Failed(Refused("gate"))));
    assert_eq!((backend.live(), pool.status().idle), (0, 0));
    assert_eq!(pool.status().in_use, 0);
}

#[tokio::test(start_paused = true)]
async fn a_hang_after_connecting_ends_with_connect_timeout() {
    let (backend, builder) = backend();
    let hook = Noted::new("connected", &backend);
    hook.set(Gate::Never);
    *backend.connect.lock() = Gate::Takes(Duration::from_secs(2));
    let limit = Duration::from_secs(3);
    let pool = builder.connect_timeout(limit).after_connect(hook.clone());
    let pool = pool.build().unwrap();
    let begun = tokio::time::Instant::now();
    let error = pool.get().await.unwrap_err();
    assert_eq!(begun.elapsed().as_secs(), 3, "for both together");
    let AcquireError::Connect(error) = error else {
        panic!("expected a connect error, got {error:?}")
    };
    assert!(matches!(*error, ConnectError::TimedOut(after) if after == limit));
    assert_eq!((hook.count(), backend.live()), (1, 0));
}

#[tokio::test]
async fn a_panic_after_connecting_costs_no_place() {
    let (backend, hook, pool) = one(Builder::after_connect);
    hook.set(Gate::Panic);
    let error = pool.get().await.unwrap_err();
    let AcquireError::Connect(error) = error else {
        panic!("expected a connect error, got {error:?}")
    };
    assert!(matches!(*error, ConnectError::Panicked));
    assert_eq!(backend.live(), 0);
    hook.set(Gate::Ok);
    drop(pool.get().await.unwrap());
}

#[tokio::test]
async fn before_use_is_called_for_each_caller_that_gets_a_connection_for_himself() {
    let (_, hook, pool) = one(Builder::before_use);
    for times in 1..4 {
        drop(pool.get().await.unwrap());
        assert_eq!(hook.count(), times);
    }
    let held = pool.get().await.unwrap();
    let mut waiter = task::spawn(pool.get());
    assert_pending!(waiter.poll());
    drop(held);
    assert_eq!(hook.count(), 4, "in his own task");
    drop(assert_ready_ok!(waiter.poll()));
    assert_eq!(hook.count(), 5);
}

#[tokio::test]
async fn leases_have_no_hook_before_or_after_them() {
    let (backend, builder) = backend();
    let hook = Noted::new("never", &backend);
    let pool = builder.before_use(hook.clone()).after_release(hook.clone());
    let pool = pool.build().unwrap();
    let both = (pool.lease().await.unwrap(), pool.lease().await.unwrap());
    drop(both);
    drop(pool.try_lease().unwrap());
    settle().await;
    assert_eq!((hook.count(), pool.status().idle), (0, 1));
}

#[tokio::test]
async fn a_connection_refused_before_use_is_closed_and_he_gets_another_in_his_old_place() {
    let (backend, hook, pool) = one(Builder::before_use);
    drop(pool.get().await.unwrap());
    hook.set(Gate::HeldError);
    *backend.connect.lock() = Gate::Held;
    let mut first = task::spawn(pool.get());
    assert_pending!(first.poll());
    let mut second = task::spawn(pool.get());
    assert_pending!(second.poll());
    backend.let_one_in();
    assert!(first.is_woken());
    hook.set(Gate::Ok);
    assert_pending!(first.poll());
    assert_eq!(backend.live(), 0, "the old one is closed");
    until("another is being opened", || backend.attempts() == 2).await;
    backend.let_one_in();
    until("somebody has it", || first.is_woken() || second.is_woken()).await;
    assert!(first.is_woken() && !second.is_woken());
    let held = assert_ready_ok!(first.poll());
    assert_eq!(held.number, 1);
    drop(held);
    drop(assert_ready_ok!(second.poll()));
    assert_eq!(hook.calls(), ["hook 0", "hook 0", "hook 1", "hook 1"]);
}

#[tokio::test]
async fn after_one_error_more_than_there_may_be_connections_he_gets_the_last() {
    let (backend, builder) = backend();
    let hook = Noted::new("hook", &backend);
    let pool = builder.max_size(3).before_use(hook.clone());
    let pool = pool.build().unwrap();
    hook.set(Gate::Error);
    for times in 1..3 {
        let error = pool.get().await.unwrap_err();
        let AcquireError::Connect(error) = error else {
            panic!("expected a connect error, got {error:?}")
        };
        assert!(matches!(*error, ConnectError::Failed(Refused("gate"))));
        assert_eq!((hook.count(), backend.live()), (4 * times, 0));
        assert_eq!(pool.status().size, 0);
    }
    hook.set(Gate::Ok);
    drop(pool.get().await.unwrap());
}

#[tokio::test]
async fn cancelled_in_the_middle_of_before_use_the_connection_is_closed_and_its_place_free() {
    let (backend, builder) = backend();
    let (before, after) = (Noted::new("b", &backend), Noted::new("a", &backend));
    let pool = builder.max_size(1).before_use(before.clone());
    let pool = pool.after_release(after.clone()).build().unwrap();
    before.set(Gate::Never);
    let mut cancelled = task::spawn(pool.get());
    until("it is in the middle", || {
        assert_pending!(cancelled.poll());
        before.count() == 1
    })
    .await;
    let mut waiter = task::spawn(pool.get());
    assert_pending!(waiter.poll());
    drop(cancelled);
    assert_eq!((backend.live(), pool.status().in_use), (0, 0));
    before.set(Gate::Ok);
    until("the next is served", || waiter.is_woken()).await;
    assert_eq!(assert_ready_ok!(waiter.poll()).number, 1);
    until("it is back", || pool.status().idle == 1).await;
    assert_eq!(after.calls(), ["a 1"], "not for one that is closed");
}

#[tokio::test]
async fn a_panic_before_use_closes_the_connection_and_costs_no_place() {
    let (backend, hook, pool) = one(Builder::before_use);
    drop(pool.get().await.unwrap());
    hook.set(Gate::Panic);
    let panics = tokio::spawn({
        let pool = pool.clone();
        async move { drop(pool.get().await) }
    });
    assert!(panics.await.unwrap_err().is_panic());
    assert_eq!((backend.live(), pool.status().size), (0, 0));
    hook.set(Gate::Ok);
    assert_eq!(pool.get().await.unwrap().number, 1);
}

#[tokio::test]
async fn until_after_release_is_done_the_connection_is_in_use() {
    let (backend, hook, pool) = one(Builder::after_release);
    hook.set(Gate::Held);
    drop(pool.get().await.unwrap());
    assert_eq!(hook.count(), 0, "not in the caller's task");
    let mut waiter = task::spawn(pool.get());
    assert_pending!(waiter.poll());
    until("it is called", || hook.count() == 1).await;
    settle().await;
    let status = pool.status();
    assert_eq!((status.in_use, status.idle, status.waiting), (1, 0, 1));
    assert!(!waiter.is_woken());
    backend.let_one_in();
    until("it is back", || waiter.is_woken()).await;
    assert_eq!(assert_ready_ok!(waiter.poll()).number, 0);
}

#[tokio::test]
async fn an_error_or_a_panic_after_release_closes_the_connection() {
    let (backend, hook, pool) = one(Builder::after_release);
    for (number, gate) in [Gate::Error, Gate::Panic].into_iter().enumerate() {
        hook.set(gate);
        let held = pool.get().await.unwrap();
        assert_eq!(held.number, number);
        drop(held);
        until("it is closed", || pool.status().size == 0).await;
        assert_eq!(backend.live(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hang_after_release_ends_with_check_timeout_and_closes_the_connection() {
    let (backend, builder) = backend();
    let hook = Noted::new("hook", &backend);
    hook.set(Gate::Never);
    let builder = builder.max_size(1).check_timeout(Duration::from_secs(3));
    let pool = builder.after_release(hook.clone()).build().unwrap();
    let held = pool.get().await.unwrap();
    let begun = tokio::time::Instant::now();
    drop(held);
    assert_eq!(pool.get().await.unwrap().number, 1);
    assert_eq!(begun.elapsed().as_secs(), 3);
    assert_eq!(backend.peak(), 1);
}

#[test]
fn without_a_runtime_for_after_release_the_connection_is_closed() {
    let (backend, hook, pool) = one(Builder::after_release);
    let first = runtime();
    let held = first.block_on(pool.get()).unwrap();
    drop(first);
    drop(held);
    assert_eq!((backend.live(), pool.status().size), (0, 0));
    assert_eq!(hook.count(), 0);
    let second = runtime();
    assert_eq!(second.block_on(pool.get()).unwrap().number, 1);
}

/// The runtime ends in the middle of it.
#[test]
fn a_hook_after_release_that_is_cut_short_costs_no_place() {
    let (backend, hook, pool) = one(Builder::after_release);
    hook.set(Gate::Never);
    let runtime = runtime();
    runtime.block_on(async {
        drop(pool.get().await.unwrap());
        until("it is called", || hook.count() == 1).await;
    });
    assert_eq!(pool.status().in_use, 1);
    drop(runtime);
    assert_eq!((backend.live(), pool.status().size), (0, 0));
}

#[tokio::test]
async fn what_is_broken_discarded_detached_or_left_in_a_panic_has_no_hook_after_it() {
    let (backend, hook, pool) = one(Builder::after_release);
    pool.get().await.unwrap().broken.store(true, SeqCst);
    pool.get().await.unwrap().discard();
    drop(pool.get().await.unwrap().detach());
    let held = pool.get().await.unwrap();
    let panics = tokio::spawn(async move {
        let _held = held;
        panic!("as the test asks it to");
    });
    assert!(panics.await.unwrap_err().is_panic());
    settle().await;
    assert_eq!((hook.count(), backend.attempts()), (0, 4));
    assert_eq!((backend.live(), pool.status().size), (0, 0));
}

#[tokio::test]
async fn a_pool_closed_in_the_middle_of_after_release_closes_the_connection_when_it_is_done() {
    let (backend, hook, pool) = one(Builder::after_release);
    hook.set(Gate::Held);
    drop(pool.get().await.unwrap());
    until("it is called", || hook.count() == 1).await;
    pool.close();
    assert_eq!(backend.live(), 1);
    backend.let_one_in();
    until("it is closed", || backend.live() == 0).await;
    assert_eq!(pool.status().size, 0);
}
