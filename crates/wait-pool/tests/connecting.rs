//! G2 and G5: callers wait; connections are opened in tasks of their own.

mod common;

use std::error::Error;
use std::time::Duration;

use common::{Backend, Gate, until};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use wait_pool::{AcquireError, ConnectError, TryAcquireError};

#[tokio::test]
async fn a_caller_that_gives_up_does_not_cancel_the_attempt() {
    let backend = Backend::new(Gate::Held);
    let pool = backend.pool().build().unwrap();
    let mut impatient = task::spawn(pool.get());
    assert_pending!(impatient.poll());
    drop(impatient);
    until("the attempt begins", || backend.attempts() == 1).await;
    backend.let_one_in();
    until("the connection is idle", || pool.status().idle == 1).await;
    assert_eq!(pool.get().await.unwrap().number, 0);
    assert_eq!(backend.attempts(), 1);
}

/// sqlx#2848: who had begun to connect never looked again at what came back in the meantime.
#[tokio::test]
async fn a_waiter_takes_a_returned_connection_while_an_attempt_hangs() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(2).build().unwrap();
    let held = pool.get().await.unwrap();
    *backend.connect.lock() = Gate::Never;
    let mut waiter = task::spawn(pool.get());
    assert_pending!(waiter.poll());
    until("the attempt hangs", || backend.attempts() == 2).await;
    drop(held);
    assert_eq!(assert_ready_ok!(waiter.poll()).number, 0);
}

#[tokio::test]
async fn no_more_attempts_at_once_than_allowed() {
    let backend = Backend::new(Gate::Slow);
    let pool = backend
        .pool()
        .max_size(50)
        .max_connecting(3)
        .build()
        .unwrap();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let pool = pool.clone();
        callers.spawn(async move { pool.get().await.unwrap() });
    }
    let held = callers.join_all().await;
    assert_eq!(
        (held.len(), backend.attempts(), backend.attempts_peak()),
        (50, 50, 3)
    );
}

#[tokio::test]
async fn leases_open_one_connection_for_all_that_fit_on_it() {
    let backend = Backend::new(Gate::Slow);
    let pool = backend
        .pool()
        .max_leases(10)
        .max_connecting(8)
        .build()
        .unwrap();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..25 {
        let pool = pool.clone();
        callers.spawn(async move { pool.lease().await.unwrap() });
    }
    let held = callers.join_all().await;
    assert_eq!((held.len(), backend.attempts()), (25, 3));
}

/// bb8#102, bb8#141, svix-webhooks#1012, martin#570: a wrong password or address showed after 30 s, and
/// as "timed out".
#[tokio::test]
async fn a_failure_reaches_everybody_at_once_when_nothing_is_open() {
    let backend = Backend::new(Gate::HeldError);
    let pool = backend.pool().max_connecting(1).build().unwrap();
    let mut waiters: Vec<_> = (0..3).map(|_| task::spawn(pool.get())).collect();
    for waiter in &mut waiters {
        assert_pending!(waiter.poll());
    }
    backend.let_one_in();
    until("the failure is told", || waiters[2].is_woken()).await;
    for waiter in &mut waiters {
        let error = assert_ready_err!(waiter.poll());
        assert!(matches!(&error, AcquireError::Connect(cause)
            if matches!(**cause, ConnectError::Failed(_))));
        assert_eq!(
            error.to_string(),
            "could not connect: the backend says no (held gate)"
        );
        assert!(error.source().is_some());
    }
    assert_eq!(backend.attempts(), 1);
}

#[tokio::test]
async fn a_failure_fails_only_the_first_while_other_attempts_go_on() {
    let backend = Backend::new(Gate::HeldError);
    let pool = backend.pool().max_connecting(2).build().unwrap();
    let mut first = task::spawn(pool.get());
    assert_pending!(first.poll());
    until("one attempt", || backend.attempts() == 1).await;
    *backend.connect.lock() = Gate::Never;
    let mut second = task::spawn(pool.get());
    assert_pending!(second.poll());
    until("two attempts", || backend.attempts() == 2).await;
    backend.let_one_in();
    until("the failure is told", || first.is_woken()).await;
    assert_ready_err!(first.poll());
    assert_pending!(second.poll());
}

#[tokio::test]
async fn a_failed_attempt_for_leases_is_not_told_to_exclusive_callers() {
    let backend = Backend::new(Gate::HeldError);
    let pool = backend.pool().max_connecting(2).build().unwrap();
    let mut lease = task::spawn(pool.lease());
    assert_pending!(lease.poll());
    until("one attempt", || backend.attempts() == 1).await;
    *backend.connect.lock() = Gate::Never;
    let mut alone: Vec<_> = (0..10).map(|_| task::spawn(pool.get())).collect();
    for alone in &mut alone {
        assert_pending!(alone.poll());
    }
    until("two attempts", || backend.attempts() == 2).await;
    backend.let_one_in();
    until("the failure is told", || lease.is_woken()).await;
    assert_ready_err!(lease.poll());
    assert!(alone.iter().all(|alone| !alone.is_woken()));
}

/// sqlx#2848 as well: a failed attempt was repeated until the timeout, beside idle connections.
#[tokio::test]
async fn a_failure_does_not_disturb_those_who_wait_for_a_return() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(2).build().unwrap();
    let held = pool.get().await.unwrap();
    *backend.connect.lock() = Gate::Error;
    let mut waiter = task::spawn(pool.get());
    assert_pending!(waiter.poll());
    until("the attempt fails", || backend.attempts() == 2).await;
    assert_pending!(waiter.poll());
    drop(held);
    drop(assert_ready_ok!(waiter.poll()));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_ends_with_the_connect_timeout() {
    let backend = Backend::new(Gate::Never);
    let pool = backend
        .pool()
        .connect_timeout(Duration::from_secs(1))
        .wait_timeout(Duration::from_secs(5))
        .build()
        .unwrap();
    let begun = tokio::time::Instant::now();
    let error = pool.get().await.unwrap_err();
    assert_eq!(
        begun.elapsed().as_secs(),
        1,
        "told at the connect timeout, not at the deadline"
    );
    assert!(matches!(&error, AcquireError::Connect(cause)
        if matches!(**cause, ConnectError::TimedOut(_))));
    assert_eq!(backend.live(), 0, "the attempt was dropped");
}

/// porsager/postgres#1179: a pool of 25 made 12,500 attempts a second on a server that was down. Here,
/// with a new impatient caller every 10 ms, attempts follow the back-off alone.
#[tokio::test(start_paused = true)]
async fn attempts_on_a_dead_server_follow_the_back_off() {
    let backend = Backend::new(Gate::Error);
    let pool = backend
        .pool()
        .connect_backoff(Duration::from_millis(100), Duration::from_secs(1))
        .build()
        .unwrap();
    let mut failed = 0;
    for _ in 0..1_000 {
        let attempt = tokio::time::timeout(Duration::from_millis(10), pool.get());
        if let Ok(Err(AcquireError::Connect(_))) = attempt.await {
            failed += 1;
        }
    }
    // At most 10 s have passed: pauses of 0.1, 0.2, 0.4, 0.8 s and then of 0.75 to 1 s.
    let attempts = backend.attempts();
    assert!((3..=18).contains(&attempts), "{attempts} attempts");
    assert!(failed > 0, "nobody was told");
    assert_eq!(backend.attempts_peak(), 1, "one probe at a time");
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_one_attempt_at_a_time_probes() {
    let backend = Backend::new(Gate::Error);
    let pool = backend.pool().max_connecting(4).build().unwrap();
    assert!(pool.get().await.is_err());
    let mut waiters: Vec<_> = (0..5).map(|_| task::spawn(pool.get())).collect();
    for waiter in &mut waiters {
        assert_pending!(waiter.poll());
    }
    assert_eq!(pool.status().opening, 1);
    *backend.connect.lock() = Gate::Held;
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_millis(100)).await;
    until("the probe", || backend.attempts() == 2).await;
    backend.let_one_in();
    until("it succeeds", || waiters[0].is_woken()).await;
    assert_eq!(pool.status().opening, 4, "the others follow together");
}

#[tokio::test(start_paused = true)]
async fn the_back_off_ends_with_a_success() {
    let backend = Backend::new(Gate::Error);
    let pool = backend.pool().build().unwrap();
    for _ in 0..5 {
        assert!(pool.get().await.is_err());
    }
    *backend.connect.lock() = Gate::Ok;
    pool.get().await.unwrap().discard();
    let begun = tokio::time::Instant::now();
    drop(pool.get().await.unwrap());
    assert!(begun.elapsed().is_zero(), "no pause after a success");
}

#[tokio::test]
async fn a_manager_that_panics_loses_no_place() {
    let backend = Backend::new(Gate::Panic);
    let pool = backend
        .pool()
        .max_size(1)
        .connect_backoff(Duration::from_millis(1), Duration::from_millis(1))
        .build()
        .unwrap();
    let error = pool.get().await.unwrap_err();
    assert!(matches!(&error, AcquireError::Connect(cause)
        if matches!(**cause, ConnectError::Panicked)));
    *backend.connect.lock() = Gate::Ok;
    drop(pool.get().await.unwrap());
    assert_eq!(pool.status().size, 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_panic_the_next_attempt_follows_though_nobody_returns_anything() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(2).build().unwrap();
    let _held = pool.get().await.unwrap();
    *backend.connect.lock() = Gate::Panic;
    let mut waiter = task::spawn(pool.get());
    assert_pending!(waiter.poll());
    until("the panic", || backend.attempts() == 2).await;
    *backend.connect.lock() = Gate::Ok;
    assert_eq!(waiter.await.unwrap().number, 2);
}

#[tokio::test]
async fn only_connections_idle_for_long_are_checked() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().build().unwrap();
    for _ in 0..100 {
        drop(pool.get().await.unwrap());
        drop(pool.lease().await.unwrap());
    }
    assert_eq!(backend.checks(), 0);
}

#[tokio::test(start_paused = true)]
async fn dead_idle_connections_cost_one_check_each_and_the_caller_gets_a_live_one() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(8).build().unwrap();
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(pool.get().await.unwrap());
    }
    drop(held);
    tokio::time::advance(Duration::from_secs(31)).await;
    *backend.check.lock() = Gate::Error;
    assert_eq!(pool.lease().await.unwrap().number, 8);
    assert_eq!((backend.checks(), backend.attempts()), (8, 9));
    assert_eq!(backend.live(), 1);
}

#[tokio::test(start_paused = true)]
async fn doubted_connections_are_checked_once_and_later_ones_are_not() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().build().unwrap();
    let (first, second) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    drop(first);
    pool.doubt_idle();
    tokio::time::advance(Duration::from_millis(1)).await;
    drop(second);
    let (young, old) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    assert_eq!((young.number, old.number, backend.checks()), (1, 0, 1));
    tokio::time::advance(Duration::from_millis(1)).await;
    drop(old);
    drop(pool.get().await.unwrap());
    assert_eq!(backend.checks(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_on_a_long_idle_connection_shares_it_after_the_check() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).max_leases(2).build().unwrap();
    drop(pool.get().await.unwrap());
    tokio::time::advance(Duration::from_secs(31)).await;
    *backend.check.lock() = Gate::Held;
    let mut first = task::spawn(pool.lease());
    let mut second = task::spawn(pool.lease());
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    until("the check", || backend.checks() == 1).await;
    assert_eq!((pool.status().checking, pool.status().in_use), (1, 0));
    backend.let_one_in();
    until("both are served", || first.is_woken() && second.is_woken()).await;
    let _first = assert_ready_ok!(first.poll());
    let _second = assert_ready_ok!(second.poll());
    assert_eq!((backend.checks(), pool.status().in_use), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_does_not_cancel_the_check() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).build().unwrap();
    drop(pool.get().await.unwrap());
    tokio::time::advance(Duration::from_secs(31)).await;
    *backend.check.lock() = Gate::Held;
    for _ in 0..5 {
        let soon = tokio::time::Instant::now().into_std() + Duration::from_millis(10);
        assert!(pool.request().deadline(soon).get().await.is_err());
    }
    backend.let_one_in();
    until("the check ends", || pool.status().idle == 1).await;
    assert_eq!(
        pool.get().await.unwrap().number,
        0,
        "short deadlines cost no connection"
    );
    assert_eq!((backend.checks(), backend.attempts()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_check_hangs_is_closed_and_another_is_opened() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).build().unwrap();
    drop(pool.get().await.unwrap());
    tokio::time::advance(Duration::from_secs(31)).await;
    *backend.check.lock() = Gate::Never;
    let begun = tokio::time::Instant::now();
    assert_eq!(pool.get().await.unwrap().number, 1);
    assert_eq!(begun.elapsed().as_secs(), 1, "the check_timeout");
    assert_eq!(backend.peak(), 1);
}

#[tokio::test(start_paused = true)]
async fn try_get_has_a_long_idle_connection_checked_for_the_next_call() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().build().unwrap();
    drop(pool.get().await.unwrap());
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(pool.try_get().unwrap_err(), TryAcquireError::Empty);
    until("the check", || pool.status().idle == 1).await;
    assert_eq!(backend.checks(), 1);
    assert_eq!(pool.try_get().unwrap().number, 0);
}

#[tokio::test]
async fn try_get_takes_what_is_idle_and_opens_nothing() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_leases(2).build().unwrap();
    assert_eq!(pool.try_get().unwrap_err(), TryAcquireError::Empty);
    assert_eq!(backend.attempts(), 0);
    drop(pool.get().await.unwrap());
    let held = pool.try_get().unwrap();
    assert_eq!(pool.try_lease().unwrap_err(), TryAcquireError::Empty);
    drop(held);
    let leases = (pool.try_lease().unwrap(), pool.try_lease().unwrap());
    assert_eq!(pool.try_lease().unwrap_err(), TryAcquireError::Empty);
    drop(leases);
    let _lease = pool.try_lease().unwrap();
    pool.close();
    assert_eq!(pool.try_get().unwrap_err(), TryAcquireError::Closed);
    assert_eq!(pool.try_lease().unwrap_err(), TryAcquireError::Closed);
}

#[tokio::test]
async fn close_tells_waiters_and_drops_what_comes_back() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend
        .pool()
        .max_size(2)
        .max_connecting(1)
        .build()
        .unwrap();
    let (held, idle) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    let mut waiter = task::spawn(pool.get());
    assert_pending!(waiter.poll());
    pool.close();
    assert!(matches!(
        assert_ready_err!(waiter.poll()),
        AcquireError::Closed
    ));
    assert!(matches!(
        pool.lease().await.unwrap_err(),
        AcquireError::Closed
    ));
    assert!(pool.is_closed());
    drop(idle);
    assert_eq!((backend.live(), pool.status().size), (1, 1));
    drop(held);
    assert_eq!((backend.live(), pool.status().size), (0, 0));
}

#[tokio::test]
async fn a_connection_that_arrives_after_close_is_dropped() {
    let backend = Backend::new(Gate::Held);
    let pool = backend.pool().build().unwrap();
    let mut waiter = task::spawn(pool.get());
    assert_pending!(waiter.poll());
    until("the attempt begins", || backend.attempts() == 1).await;
    pool.close();
    backend.let_one_in();
    until("it is gone", || pool.status().size == 0).await;
    assert_eq!(backend.live(), 0);
}
