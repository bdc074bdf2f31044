//! A paused pool refuses its callers at once and keeps its connections.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::fmt::Debug;
use std::time::Duration;

use common::{Backend, Connector, Gate, Refused, cause, settle, until};
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use wait_pool::{AcquireError, Pool, TryAcquireError};

const MINUTE: Duration = Duration::from_secs(60);

fn is_paused<T: Debug>(outcome: Result<T, AcquireError<Refused>>) -> bool {
    matches!(outcome, Err(AcquireError::Paused { .. }))
}

/// Has so many connections open and idle.
async fn open(pool: &Pool<Connector>, count: usize) {
    let mut held = Vec::new();
    for _ in 0..count {
        held.push(pool.get().await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn every_way_in_is_refused_at_once_with_the_last_connect_error_as_the_cause() {
    let backend = Backend::new(Gate::Error);
    let pool = backend
        .pool()
        .name("orders")
        .min_idle(1)
        .max_connecting(1)
        .build()
        .unwrap();
    assert!(matches!(pool.get().await, Err(AcquireError::Connect(_))));
    settle().await;
    pool.pause();
    let mut refused = vec![
        assert_ready_err!(task::spawn(pool.get()).poll()),
        assert_ready_err!(task::spawn(pool.lease()).poll()),
        assert_ready_err!(task::spawn(pool.request().only_in_time().get()).poll()),
    ];
    refused.push(assert_ready_err!(task::spawn(pool.warm_up()).poll()));
    for error in refused {
        let AcquireError::Paused { pool, .. } = &error else {
            panic!("expected to be refused, got {error:?}")
        };
        assert_eq!(&**pool, "orders");
        assert_eq!(cause(&error).unwrap(), "the backend says no (gate)");
        assert!(error.to_string().contains("orders is paused"), "{error}");
    }
    assert_eq!(pool.try_get().unwrap_err(), TryAcquireError::Paused);
    assert_eq!(pool.try_lease().unwrap_err(), TryAcquireError::Paused);
}

#[tokio::test(start_paused = true)]
async fn a_pause_after_a_success_has_no_cause() {
    let backend = Backend::new(Gate::Error);
    let pool = backend.pool().build().unwrap();
    assert!(pool.get().await.is_err());
    *backend.connect.lock() = Gate::Ok;
    drop(pool.get().await.unwrap());
    pool.pause();
    let error = pool.get().await.unwrap_err();
    assert!(matches!(error, AcquireError::Paused { .. }));
    assert_eq!(cause(&error), None);
}

#[tokio::test]
async fn those_in_line_are_told_at_once() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).max_leases(1).build().unwrap();
    let held = pool.get().await.unwrap();
    let mut get = task::spawn(pool.get());
    let mut lease = task::spawn(pool.lease());
    assert_pending!(get.poll());
    assert_pending!(lease.poll());
    pool.pause();
    assert!(get.is_woken() && lease.is_woken());
    assert_eq!(pool.status().waiting, 0);
    drop(held);
    let told = assert_ready_err!(get.poll());
    assert!(matches!(told, AcquireError::Paused { .. }));
    let told = assert_ready_err!(lease.poll());
    assert!(matches!(told, AcquireError::Paused { .. }));
    assert_eq!(pool.status().idle, 1, "and nobody was given what came back");
}

/// Where nothing but lining up is left to do, too.
#[tokio::test]
async fn a_full_pool_without_a_limit_on_waiting_lines_nobody_up() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).wait_timeout(None);
    let pool = pool.build().unwrap();
    let _held = pool.get().await.unwrap();
    let mut waiter = task::spawn(pool.get());
    assert_pending!(waiter.poll());
    pool.pause();
    let told = assert_ready_err!(task::spawn(pool.get()).poll());
    assert!(matches!(told, AcquireError::Paused { .. }));
    pool.close();
    let told = assert_ready_err!(task::spawn(pool.get()).poll());
    assert!(matches!(told, AcquireError::Closed));
}

#[tokio::test]
async fn who_waits_for_a_warm_pool_is_told_too() {
    let backend = Backend::new(Gate::Never);
    let pool = backend.pool().min_idle(2).build().unwrap();
    let mut warm = task::spawn(pool.warm_up());
    assert_pending!(warm.poll());
    pool.pause();
    assert!(warm.is_woken());
    let told = assert_ready_err!(warm.poll());
    assert!(matches!(told, AcquireError::Paused { .. }));
}

#[tokio::test]
async fn who_was_handed_a_connection_before_the_pause_has_it() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).build().unwrap();
    let held = pool.get().await.unwrap();
    let mut waiter = task::spawn(pool.get());
    assert_pending!(waiter.poll());
    drop(held);
    pool.pause();
    drop(assert_ready_ok!(waiter.poll()));
    assert_eq!((pool.status().idle, backend.live()), (1, 1));
}

#[tokio::test]
async fn connections_in_use_come_back_and_stay() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(2).build().unwrap();
    let (alone, lease) = (pool.get().await.unwrap(), pool.lease().await.unwrap());
    pool.pause();
    assert_eq!(pool.status().in_use, 2, "nothing is taken from anybody");
    assert!(is_paused(pool.lease().await), "though there is room");
    drop((alone, lease));
    settle().await;
    assert_eq!((pool.status().idle, backend.live()), (2, 2));
    pool.ready();
    let again = (pool.try_get().unwrap(), pool.try_lease().unwrap());
    assert_eq!(backend.attempts(), 2, "the same ones");
    drop(again);
}

#[tokio::test]
async fn attempts_under_way_arrive_and_stay_idle_and_no_other_begins() {
    let backend = Backend::new(Gate::Held);
    let pool = backend.pool().min_idle(1).build().unwrap();
    let mut waiters = [task::spawn(pool.get()), task::spawn(pool.get())];
    for waiter in &mut waiters {
        assert_pending!(waiter.poll());
    }
    until("both attempts", || backend.attempts() == 2).await;
    pool.pause();
    for waiter in &mut waiters {
        assert_ready_err!(waiter.poll());
    }
    backend.let_one_in();
    until("one has arrived", || pool.status().idle == 1).await;
    backend.let_one_in();
    until("the other has arrived", || pool.status().idle == 2).await;
    settle().await;
    assert!(is_paused(pool.get().await));
    assert_eq!((backend.attempts(), pool.status().size), (2, 2));
    pool.ready();
    drop(pool.try_get().unwrap());
}

#[tokio::test]
async fn ready_has_callers_served_and_the_minimum_opened() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend
        .pool()
        .min_idle(2)
        .start_paused(true)
        .build()
        .unwrap();
    assert!(is_paused(pool.get().await));
    assert!(is_paused(pool.warm_up().await));
    settle().await;
    assert_eq!(backend.attempts(), 0, "nothing while it is paused");
    pool.ready();
    until("the minimum", || pool.status().idle == 2).await;
    drop(pool.get().await.unwrap());
}

#[tokio::test]
async fn a_pool_without_pause_is_ready_from_the_start() {
    let pool = Backend::new(Gate::Ok).pool().start_paused(false);
    let pool = pool.build().unwrap();
    drop(pool.get().await.unwrap());
    pool.ready();
    drop(pool.get().await.unwrap());
}

#[tokio::test]
async fn pausing_twice_is_pausing_once() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().build().unwrap();
    open(&pool, 1).await;
    pool.pause();
    pool.pause();
    assert!(is_paused(pool.get().await));
    pool.ready();
    drop(pool.try_get().unwrap());
}

#[tokio::test]
async fn a_pool_closed_while_it_is_paused_is_closed() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().build().unwrap();
    let held = pool.get().await.unwrap();
    open(&pool, 1).await;
    pool.pause();
    pool.close();
    assert_eq!(backend.live(), 1, "what was idle is closed");
    for _ in 0..2 {
        assert!(matches!(pool.get().await, Err(AcquireError::Closed)));
        assert!(matches!(pool.warm_up().await, Err(AcquireError::Closed)));
        assert_eq!(pool.try_get().unwrap_err(), TryAcquireError::Closed);
        pool.ready();
    }
    drop(held);
    assert_eq!((backend.live(), pool.status().size), (0, 0));
}

#[tokio::test]
async fn clearing_a_paused_pool_closes_what_is_there_and_opens_nothing() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(3).min_idle(2).build().unwrap();
    let held = pool.get().await.unwrap();
    until("the minimum", || pool.status().idle == 2).await;
    pool.pause();
    pool.clear();
    assert_eq!(backend.live(), 1);
    drop(held);
    settle().await;
    assert_eq!((backend.live(), backend.attempts()), (0, 3));
    pool.ready();
    until("the minimum again", || pool.status().idle == 2).await;
}

#[tokio::test]
async fn resizing_a_paused_pool_closes_what_is_too_much_and_opens_nothing() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(4).min_idle(3).build().unwrap();
    let held = pool.get().await.unwrap();
    until("the minimum", || pool.status().idle == 3).await;
    pool.pause();
    pool.resize(2).unwrap();
    assert_eq!((pool.status().size, pool.status().idle), (2, 1));
    pool.resize(10).unwrap();
    settle().await;
    assert_eq!(pool.status().size, 2);
    pool.ready();
    until("the minimum", || pool.status().idle == 3).await;
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn connections_end_in_a_paused_pool_too_and_are_replaced_when_it_is_ready() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(2).min_idle(2).build().unwrap();
    pool.warm_up().await.unwrap();
    pool.pause();
    advance(31 * MINUTE).await;
    until("they have lived long enough", || pool.status().size == 0).await;
    advance(31 * MINUTE).await;
    settle().await;
    assert_eq!((backend.attempts(), backend.live()), (2, 0));
    pool.ready();
    until("the minimum", || pool.status().idle == 2).await;
}
