//! What a manager for deadpool sees: every object recycled between its users, true metrics, and one
//! `detach` for each, whatever happens.

#![cfg(feature = "deadpool")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

#[path = "../common/mod.rs"]
mod common;
mod things;

use std::error::Error as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use common::until;
use things::{Gate, Log, Refused, Things};
use wait_pool::compat::deadpool::{Error, Object, Pool};
use wait_pool::{AcquireError, ConnectError};

/// How an object leaves.
type Way = fn(&Pool<Things>, Object<Things>);

#[tokio::test]
async fn metrics_are_true() {
    let log = Log::new();
    let pool = log.pool();
    let before = Instant::now();
    let object = pool.get().await.unwrap();
    let first = *Object::metrics(&object);
    assert!((before..=Instant::now()).contains(&first.created));
    assert!(first.recycled.is_none());
    assert_eq!((first.recycle_count, log.recycles()), (0, 0));
    drop(object);

    let mut last = before;
    for count in 1..4 {
        let begun = Instant::now();
        let object = pool.get().await.unwrap();
        let metrics = *Object::metrics(&object);
        let recycled = metrics.recycled.unwrap();
        assert_eq!(
            (metrics.created, metrics.recycle_count),
            (first.created, count)
        );
        assert!((begun..=Instant::now()).contains(&recycled));
        // The manager is told of those before.
        let (id, seen) = log.recycled.lock()[count - 1];
        assert_eq!((id, seen.recycle_count), (object.id, count - 1));
        assert_eq!(seen.recycled, (count > 1).then_some(last));
        last = recycled;
    }

    *log.gate.lock() = Gate::Fail;
    let object = pool.get().await.unwrap();
    assert_eq!(object.id, 2);
    assert_eq!(Object::metrics(&object).recycle_count, 0);
}

#[tokio::test]
async fn every_object_that_leaves_is_detached_exactly_once() {
    let ways: [(&str, Way); 8] = [
        ("taken", |_, object| drop(Object::take(object))),
        ("discarded", |_, object| Object::discard(object)),
        ("held in a panic", |_, object| {
            let panics = catch_unwind(AssertUnwindSafe(move || {
                let _object = object;
                panic!("in the middle of a request");
            }));
            assert!(panics.is_err());
        }),
        ("cleared while in use", |pool, object| {
            pool.clear();
            drop(object);
        }),
        ("cleared while idle", |pool, object| {
            drop(object);
            pool.clear();
        }),
        ("closed while in use", |pool, object| {
            pool.close();
            drop(object);
        }),
        ("closed while idle", |pool, object| {
            drop(object);
            pool.close();
        }),
        ("not retained", |pool, object| {
            drop(object);
            assert_eq!(pool.retain(|_| false), 1);
        }),
    ];
    for (way, leave) in ways {
        let log = Log::new();
        let pool = log.pool();
        let object = pool.get().await.unwrap();
        assert!(log.detached.lock().is_empty());
        leave(&pool, object);
        assert_eq!(*log.detached.lock(), [1], "{way}");
        assert_eq!(*log.dropped.lock(), [1], "{way}");
        drop(pool);
        assert_eq!(*log.detached.lock(), [1], "{way}");
    }
}

#[tokio::test]
async fn objects_that_are_too_old_or_too_many_are_detached_too() {
    let log = Log::new();
    let lifetime = Duration::from_millis(50);
    let pool = log.pool_with(|builder| builder.max_size(2).max_lifetime(lifetime));
    let (first, second) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    pool.resize(1).unwrap();
    drop(first);
    assert_eq!(*log.detached.lock(), [1]);
    std::thread::sleep(lifetime);
    drop(second);
    assert_eq!(*log.detached.lock(), [1, 2]);
}

#[tokio::test]
async fn objects_that_outlive_the_pool_are_detached_too() {
    let log = Log::new();
    let pool = log.pool_with(|builder| builder.max_size(2));
    let held = pool.get().await.unwrap();
    drop(pool.get().await.unwrap());
    drop(pool);
    drop(held);
    // The task that keeps lifetimes may have the last word.
    until("both detached", || log.detached.lock().len() == 2).await;
    let mut detached = log.detached.lock().clone();
    detached.sort_unstable();
    assert_eq!(detached, [1, 2]);
}

#[tokio::test]
async fn an_object_that_cannot_be_recycled_is_replaced() {
    for gate in [Gate::Fail, Gate::Message, Gate::Panic, Gate::Never] {
        let log = Log::new();
        *log.gate.lock() = gate;
        let timeout = Duration::from_millis(50);
        let pool = log.pool_with(|builder| builder.check_timeout(timeout));
        drop(pool.get().await.unwrap());
        let object = pool.get().await.unwrap();
        assert_eq!((object.id, log.recycles()), (2, 1));
        assert_eq!((pool.status().size, pool.status().in_use), (1, 1));
        assert_eq!(*log.detached.lock(), [1]);
        assert_eq!(*log.dropped.lock(), [1]);
    }
}

#[tokio::test]
async fn one_use_is_followed_by_one_recycle() {
    let log = Log::new();
    let pool = log.pool_with(|builder| builder.check_idle_after(Duration::ZERO));
    pool.warm_up().await.unwrap();
    for uses in 0..5 {
        // Idle for longer than `check_idle_after` and used before: both ask for it.
        let object = pool.get().await.unwrap();
        assert_eq!(
            (object.id, object.uses.get(), log.recycles()),
            (1, uses, uses)
        );
        object.uses.set(uses + 1);
        drop(object);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What one user has left on it must not reach the next.
#[tokio::test]
async fn an_object_is_recycled_on_its_way_to_a_waiter_too() {
    let log = Log::new();
    let pool = log.pool();
    let held = pool.get().await.unwrap();
    let waiter = tokio::spawn({
        let pool = pool.clone();
        async move { Object::metrics(&pool.get().await.unwrap()).recycle_count }
    });
    until("in line", || pool.status().waiting == 1).await;
    drop(held);
    assert_eq!(waiter.await.unwrap(), 1);
    assert_eq!((log.recycles(), *log.created.lock()), (1, 1));
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_cancel_the_recycle() {
    let log = Log::new();
    *log.gate.lock() = Gate::Held;
    let pool = log.pool();
    drop(pool.get().await.unwrap());
    {
        let mut get = pin!(pool.get());
        let pending = get.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(pending.is_pending());
        until("being recycled", || log.recycles() == 1).await;
    }
    assert_eq!((pool.status().in_use, log.detached.lock().len()), (1, 0));
    log.held.add_permits(1);
    until("back", || pool.status().idle == 1).await;
    // And it counts: nobody has used the object since.
    let object = pool.get().await.unwrap();
    assert_eq!((object.id, log.recycles()), (1, 1));
    assert_eq!(Object::metrics(&object).recycle_count, 1);
}

/// As when a runtime ends in the middle: nobody knows what is under way on the object.
#[test]
fn a_recycle_that_was_cut_short_closes_the_object() {
    let log = Log::new();
    *log.gate.lock() = Gate::Held;
    let pool = log.pool();
    let runtime = common::runtime();
    runtime.block_on(async {
        drop(pool.get().await.unwrap());
        let mut get = pin!(pool.get());
        let pending = get.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(pending.is_pending());
        until("being recycled", || log.recycles() == 1).await;
    });
    drop(runtime);
    assert_eq!((pool.status().size, pool.status().in_use), (0, 0));
    assert_eq!(*log.detached.lock(), [1]);
    assert_eq!(*log.dropped.lock(), [1]);
}

#[tokio::test]
async fn a_manager_that_panics_in_detach_loses_nothing() {
    let log = Log::new();
    log.detach_panics.store(true, SeqCst);
    let pool = log.pool();
    Object::discard(pool.get().await.unwrap());
    let thing = Object::take(pool.get().await.unwrap());
    assert_eq!((thing.id, pool.status().size), (2, 0));
    drop(thing);
    let object = pool.get().await.unwrap();
    // A second panic on the way out of a first would end the process.
    let panics = catch_unwind(AssertUnwindSafe(move || {
        let _object = object;
        panic!("in the middle of a request");
    }));
    assert!(panics.is_err());
    assert_eq!(*log.detached.lock(), [1, 2, 3]);
    assert_eq!(*log.dropped.lock(), [1, 2, 3]);
    let status = pool.status();
    assert_eq!((status.size, status.in_use), (0, 0));
}

#[tokio::test]
async fn the_managers_error_reaches_the_caller() {
    let log = Log::new();
    log.refuses.store(true, SeqCst);
    let error = log.pool().get().await.unwrap_err();
    assert_eq!(error.to_string(), "could not connect: the backend says no");
    let AcquireError::Connect(error) = error else {
        panic!("{error:?}");
    };
    let ConnectError::Failed(Error::Backend(Refused(cause))) = &*error else {
        panic!("{error:?}");
    };
    assert_eq!(error.source().unwrap().to_string(), cause.to_string());
}

#[tokio::test]
async fn a_timeout_names_the_line_that_took_the_object() {
    let log = Log::new();
    let pool = log.pool();
    drop(pool.get().await.unwrap());
    let line = line!() + 1;
    let _held = pool.get().await.unwrap();
    let soon = Instant::now() + Duration::from_millis(20);
    let Err(AcquireError::Timeout(timeout)) = pool.get_until(soon).await else {
        panic!("there is only one");
    };
    let (_, at) = timeout.longest_held.unwrap();
    assert_eq!((at.file(), at.line()), (file!(), line));
}

#[test]
fn handles_go_anywhere() {
    fn send_sync<T: Send + Sync + 'static>() {}
    fn send<T: Send + 'static>(_: T) {}
    send_sync::<Pool<Things>>();
    // An object that is not `Sync` can be moved to another task all the same.
    let log = Log::new();
    let pool = log.pool();
    send(async move { pool.get().await.map(|object| object.id) });
}
