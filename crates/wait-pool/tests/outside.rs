//! The pool at the edges of a runtime: nothing panics, nothing hangs.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::time::Duration;

use common::{Backend, Gate};
use tokio::runtime::{Builder, Runtime};
use tokio_test::{assert_ready_err, task};
use wait_pool::AcquireError;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_guard_may_be_dropped_outside_of_a_runtime() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).build().unwrap();
    let runtime = runtime();
    let held = runtime.block_on(pool.get()).unwrap();
    drop(held);
    let held = runtime.block_on(pool.get()).unwrap();
    let waiting = runtime.spawn({
        let pool = pool.clone();
        async move { pool.get().await.unwrap().number }
    });
    runtime.block_on(tokio::task::yield_now());
    // Closing this one has another one opened, from here, for the one who waits over there.
    held.discard();
    assert_eq!(runtime.block_on(waiting).unwrap(), 1);
}

#[test]
fn outside_of_a_runtime_a_caller_that_has_to_wait_is_told() {
    let pool = Backend::new(Gate::Ok).pool().build().unwrap();
    let mut caller = task::spawn(pool.get());
    assert!(matches!(
        assert_ready_err!(caller.poll()),
        AcquireError::NoRuntime
    ));
    drop(caller);
    assert_eq!((pool.status().waiting, pool.status().size), (0, 0));
}

#[test]
fn a_runtime_that_ends_takes_no_place_with_it() {
    let backend = Backend::new(Gate::Never);
    let pool = backend
        .pool()
        .max_size(1)
        .wait_timeout(Duration::from_secs(10))
        .connect_backoff(Duration::from_millis(1), Duration::from_millis(1))
        .build()
        .unwrap();
    let first = runtime();
    first.block_on(async {
        let impatient = tokio::time::timeout(Duration::from_millis(20), pool.get());
        assert!(impatient.await.is_err());
    });
    assert_eq!(pool.status().opening, 1);
    drop(first);
    assert_eq!(
        pool.status().opening,
        0,
        "the attempt ended with its runtime"
    );
    *backend.connect.lock() = Gate::Ok;
    let held = runtime().block_on(pool.get()).unwrap();
    drop(held);
}

/// The last runtime that a caller waited in is gone when a return has somebody else served.
#[test]
fn a_dead_runtime_does_not_keep_the_pool_busy() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(2).build().unwrap();
    let (dead, alive) = (runtime(), runtime());
    let mut waiter = task::spawn(pool.get());
    let (held, other) = alive.block_on(async { (pool.get().await, pool.get().await) });
    let (held, other) = (held.unwrap(), other.unwrap());
    {
        let _inside = alive.enter();
        assert!(waiter.poll().is_pending());
    }
    dead.block_on(async {
        let impatient = tokio::time::timeout(Duration::from_millis(5), pool.get());
        assert!(impatient.await.is_err());
    });
    drop(dead);
    // Its place could be filled, but the runtime at hand is the dead one.
    held.discard();
    assert!(waiter.poll().is_pending());
    assert_eq!((pool.status().waiting, pool.status().size), (1, 1));
    drop(other);
    assert!(waiter.is_woken());
}

#[test]
fn a_pool_that_is_dropped_closes_its_connections() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().build().unwrap();
    let runtime = runtime();
    let held = runtime.block_on(pool.get()).unwrap();
    drop(runtime.block_on(pool.get()).unwrap());
    assert_eq!(backend.live(), 2);
    drop(pool);
    drop(held);
    assert_eq!(backend.live(), 0);
}
