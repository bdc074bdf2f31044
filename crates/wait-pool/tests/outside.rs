//! The pool at the edges of a runtime: nothing panics, nothing hangs.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::time::Duration;

use common::{Backend, Gate, runtime};
use tokio_test::{assert_ready_err, task};
use wait_pool::AcquireError;

/// mobc spawns a task to take a connection back, and panics where there is no runtime to spawn it in.
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
    // Its place can be filled, but the runtime at hand is the dead one: the waiter is woken to see
    // to it itself, and nobody is told that the server failed.
    held.discard();
    assert!(waiter.is_woken());
    {
        let _inside = alive.enter();
        assert!(waiter.poll().is_pending());
    }
    assert_eq!((pool.status().waiting, pool.status().opening), (1, 1));
    assert_eq!(alive.block_on(waiter).unwrap().number, 2);
    drop(other);
}

#[test]
fn polls_outside_of_a_runtime_cost_nobody_anything() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend
        .pool()
        .check_idle_after(Duration::ZERO)
        .build()
        .unwrap();
    for _ in 0..6 {
        assert!(task::spawn(pool.get()).poll().is_ready());
    }
    assert_eq!((pool.status().opening, backend.attempts()), (0, 0));
    let runtime = runtime();
    drop(runtime.block_on(pool.get()).unwrap());
    std::thread::sleep(Duration::from_millis(2));
    // It has been idle for long, and nobody can check it from here.
    let mut caller = task::spawn(pool.get());
    assert!(matches!(
        assert_ready_err!(caller.poll()),
        AcquireError::NoRuntime
    ));
    drop(caller);
    assert_eq!(
        runtime.block_on(pool.get()).unwrap().number,
        0,
        "nor was it closed"
    );
}

/// The waiter lives in one runtime, the connection comes back in another that is then left alone.
#[test]
fn connections_are_opened_where_callers_wait() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).build().unwrap();
    let (helper, home) = (runtime(), runtime());
    let held = home.block_on(pool.get()).unwrap();
    let waiting = home.spawn({
        let pool = pool.clone();
        async move { pool.get().await.unwrap().number }
    });
    home.block_on(tokio::task::yield_now());
    helper.block_on(async { held.discard() });
    assert_eq!(home.block_on(waiting).unwrap(), 1);
}

#[test]
fn an_attempt_that_hangs_does_not_keep_a_dropped_pool_alive() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().build().unwrap();
    let runtime = runtime();
    runtime.block_on(async {
        let _held = pool.get().await.unwrap();
        *backend.connect.lock() = Gate::Never;
        let impatient = tokio::time::timeout(Duration::from_millis(5), pool.get());
        assert!(impatient.await.is_err());
    });
    assert_eq!(backend.live(), 2);
    drop(pool);
    assert_eq!(backend.live(), 1, "the attempt goes on, the rest is closed");
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
