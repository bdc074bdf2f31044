//! G3: first come, first served within a kind, no barging, and neither kind starves the other.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use common::{Backend, Gate, until};
use tokio_test::{assert_pending, assert_ready_ok, task};

/// A pool of `size` open connections, all idle.
async fn warm(size: usize, leases: usize) -> wait_pool::Pool<common::Connector> {
    let backend = Backend::new(Gate::Ok);
    let pool = backend
        .pool()
        .max_size(size)
        .max_leases(leases)
        .wait_timeout(None)
        .build()
        .unwrap();
    let mut held = Vec::new();
    for _ in 0..size {
        held.push(pool.get().await.unwrap());
    }
    drop(held);
    assert_eq!(pool.status().idle, size);
    pool
}

#[tokio::test]
async fn waiters_are_served_in_the_order_they_came() {
    let pool = warm(1, 1).await;
    let mut held = Some(pool.get().await.unwrap());
    let mut waiters: Vec<_> = (0..5).map(|_| task::spawn(pool.get())).collect();
    for waiter in &mut waiters {
        assert_pending!(waiter.poll());
    }
    for turn in 0..waiters.len() {
        drop(held.take());
        let woken: Vec<bool> = waiters.iter().map(|waiter| waiter.is_woken()).collect();
        let expected: Vec<bool> = (0..waiters.len()).map(|other| other == 0).collect();
        assert_eq!(woken, expected, "turn {turn}");
        let mut first = waiters.remove(0);
        held = Some(assert_ready_ok!(first.poll()));
    }
}

/// php-async#236: a waiter was woken without anything being kept for it; whoever ran before it took
/// the connection.
#[tokio::test]
async fn a_newcomer_does_not_pass_a_waiter_that_has_not_been_polled_yet() {
    let pool = warm(1, 1).await;
    let held = pool.get().await.unwrap();
    let mut waiter = task::spawn(pool.get());
    assert_pending!(waiter.poll());
    drop(held);
    // The waiter has the connection, though it does not know yet.
    let mut newcomer = task::spawn(pool.get());
    assert_pending!(newcomer.poll());
    assert!(pool.try_get().is_err());
    drop(assert_ready_ok!(waiter.poll()));
}

/// php-async#235: who gave back and asked again won against all that waited, every time.
#[tokio::test]
async fn who_gives_back_and_asks_again_goes_to_the_tail() {
    let pool = warm(1, 1).await;
    let held = pool.get().await.unwrap();
    let mut other = task::spawn(pool.get());
    assert_pending!(other.poll());
    drop(held);
    let mut again = task::spawn(pool.get());
    assert_pending!(again.poll());
    let held = assert_ready_ok!(other.poll());
    assert_pending!(again.poll());
    drop(held);
    drop(assert_ready_ok!(again.poll()));
}

/// deadpool#196, asked for since 2022: one connection for several callers at once, to pipeline on it.
#[tokio::test]
async fn leases_share_one_connection_until_it_is_full() {
    let pool = warm(2, 3).await;
    let leases: Vec<_> = futures(&pool, 3).await;
    assert_eq!((pool.status().in_use, pool.status().holders), (1, 3));
    let fourth = pool.lease().await.unwrap();
    assert_eq!((pool.status().in_use, pool.status().holders), (2, 4));
    assert_ne!(leases[0].number, fourth.number);
    drop((leases, fourth));
    assert_eq!((pool.status().idle, pool.status().holders), (2, 0));
}

async fn futures(
    pool: &wait_pool::Pool<common::Connector>,
    count: usize,
) -> Vec<wait_pool::Lease<common::Connector>> {
    let mut leases = Vec::new();
    for _ in 0..count {
        leases.push(pool.lease().await.unwrap());
    }
    leases
}

#[tokio::test]
async fn leases_do_not_starve_a_caller_that_wants_a_connection_of_its_own() {
    let pool = warm(1, 4).await;
    let first = pool.lease().await.unwrap();
    let mut alone = task::spawn(pool.get());
    assert_pending!(alone.poll());
    // There is room for three more leases, but the connection has been promised.
    let mut later = task::spawn(pool.lease());
    assert_pending!(later.poll());
    assert!(pool.try_lease().is_err());
    drop(first);
    assert!(alone.is_woken() && !later.is_woken());
    let held = assert_ready_ok!(alone.poll());
    assert_pending!(later.poll());
    drop(held);
    drop(assert_ready_ok!(later.poll()));
}

#[tokio::test]
async fn leases_go_on_around_the_connection_that_is_set_aside() {
    let pool = warm(2, 1_000).await;
    let alone = pool.get().await.unwrap();
    let lease = pool.lease().await.unwrap();
    drop(alone);
    let second = pool.get().await.unwrap();
    // Both connections are in use: one alone, one shared. The next exclusive caller has the
    // shared one set aside; giving back the other serves it and lets leases go on.
    let mut waiter = task::spawn(pool.get());
    assert_pending!(waiter.poll());
    let mut blocked = task::spawn(pool.lease());
    assert_pending!(blocked.poll());
    drop(second);
    let held = assert_ready_ok!(waiter.poll());
    assert!(
        blocked.is_woken(),
        "nobody waits for the shared one any more"
    );
    let joined = assert_ready_ok!(blocked.poll());
    assert_eq!(joined.number, lease.number);
    drop(held);
}

#[tokio::test]
async fn exclusive_callers_do_not_starve_a_lease() {
    let pool = warm(1, 4).await;
    let held = pool.get().await.unwrap();
    let mut lease = task::spawn(pool.lease());
    let mut alone = task::spawn(pool.get());
    assert_pending!(lease.poll());
    assert_pending!(alone.poll());
    drop(held);
    assert!(lease.is_woken() && !alone.is_woken());
    let shared = assert_ready_ok!(lease.poll());
    assert_pending!(alone.poll());
    drop(shared);
    drop(assert_ready_ok!(alone.poll()));
}

#[tokio::test]
async fn a_connection_set_aside_takes_leases_again_when_nobody_waits_for_it() {
    let pool = warm(1, 4).await;
    let _first = pool.lease().await.unwrap();
    let mut alone = task::spawn(pool.get());
    assert_pending!(alone.poll());
    let mut lease = task::spawn(pool.lease());
    assert_pending!(lease.poll());
    drop(alone);
    assert!(lease.is_woken());
    drop(assert_ready_ok!(lease.poll()));
}

#[tokio::test]
async fn a_connection_that_comes_free_serves_as_many_leases_as_fit() {
    let pool = warm(1, 3).await;
    let held = pool.get().await.unwrap();
    let mut leases: Vec<_> = (0..4).map(|_| task::spawn(pool.lease())).collect();
    for lease in &mut leases {
        assert_pending!(lease.poll());
    }
    drop(held);
    let woken: Vec<bool> = leases.iter().map(|lease| lease.is_woken()).collect();
    assert_eq!(woken, [true, true, true, false]);
}

#[tokio::test]
async fn a_caller_whose_connection_fails_its_check_keeps_its_place() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend
        .pool()
        .max_size(1)
        .wait_timeout(None)
        .check_idle_after(std::time::Duration::ZERO)
        .build()
        .unwrap();
    drop(pool.get().await.unwrap());
    *backend.check.lock() = Gate::HeldError;
    *backend.connect.lock() = Gate::Held;
    let mut first = task::spawn(pool.get());
    assert_pending!(first.poll());
    let mut second = task::spawn(pool.get());
    assert_pending!(second.poll());
    until("the check", || backend.checks() == 1).await;
    backend.let_one_in();
    until("another attempt to connect", || backend.attempts() == 2).await;
    backend.let_one_in();
    until("the new connection", || {
        first.is_woken() || second.is_woken()
    })
    .await;
    assert!(first.is_woken() && !second.is_woken());
    drop(assert_ready_ok!(first.poll()));
}

/// One lease that never ends must not be the one that an older caller's turn depends on.
#[tokio::test]
async fn leases_that_go_by_a_waiting_caller_have_another_connection_set_aside() {
    let pool = warm(2, 4).await;
    let mut leases = futures(&pool, 5).await;
    let _endless = leases.pop().unwrap();
    let mut alone = task::spawn(pool.get());
    assert_pending!(alone.poll());
    let mut passed = 0;
    while !alone.is_woken() {
        drop(leases.remove(0));
        if !alone.is_woken()
            && let Ok(lease) = pool.try_lease()
        {
            passed += 1;
            leases.push(lease);
        }
        assert!(passed <= 4, "{passed} leases went by");
    }
    drop(assert_ready_ok!(alone.poll()));
}

#[tokio::test]
async fn younger_leases_do_not_fill_the_only_connection_ahead_of_an_older_caller() {
    let pool = warm(1, 4).await;
    let held = pool.get().await.unwrap();
    let mut lease = task::spawn(pool.lease());
    let mut alone = task::spawn(pool.get());
    let mut younger = task::spawn(pool.lease());
    assert_pending!(lease.poll());
    assert_pending!(alone.poll());
    assert_pending!(younger.poll());
    drop(held);
    assert!(lease.is_woken() && !younger.is_woken());
    drop(assert_ready_ok!(lease.poll()));
    assert!(alone.is_woken());
}

#[tokio::test]
async fn nothing_is_set_aside_while_a_lease_is_first() {
    let pool = warm(1, 2).await;
    let (one, _other) = (pool.lease().await.unwrap(), pool.lease().await.unwrap());
    let mut first = task::spawn(pool.lease());
    let mut alone = task::spawn(pool.get());
    assert_pending!(first.poll());
    assert_pending!(alone.poll());
    drop(one);
    assert!(first.is_woken());
}

/// Also where a connection is being opened for it: that may take for ever.
#[tokio::test]
async fn an_attempt_that_hangs_does_not_let_leases_by_for_ever() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend
        .pool()
        .max_size(2)
        .max_leases(4)
        .wait_timeout(None)
        .build()
        .unwrap();
    let mut leases = vec![pool.lease().await.unwrap()];
    *backend.connect.lock() = Gate::Never;
    let mut alone = task::spawn(pool.get());
    assert_pending!(alone.poll());
    for _ in 0..20 {
        leases.extend(pool.try_lease().ok());
        drop(leases.remove(0));
        if leases.is_empty() {
            break;
        }
    }
    drop(leases);
    assert!(alone.is_woken());
}

#[tokio::test]
async fn a_caller_in_a_hot_loop_lets_other_tasks_run() {
    let pool = warm(1, 1).await;
    let ran = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let other = tokio::spawn({
        let ran = std::sync::Arc::clone(&ran);
        async move { ran.store(true, std::sync::atomic::Ordering::Relaxed) }
    });
    for _ in 0..10_000 {
        drop(pool.get().await.unwrap());
    }
    assert!(ran.load(std::sync::atomic::Ordering::Relaxed));
    other.await.unwrap();
}

/// vitess#20308: under overload every connection went to somebody who no longer wanted it.
#[tokio::test(start_paused = true)]
async fn a_waiter_whose_deadline_has_passed_is_passed_over() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend
        .pool()
        .max_size(1)
        .wait_timeout(std::time::Duration::from_secs(10))
        .build();
    let pool = pool.unwrap();
    let held = pool.get().await.unwrap();
    let mut late = task::spawn(pool.get());
    assert_pending!(late.poll());
    tokio::time::advance(std::time::Duration::from_secs(9)).await;
    let mut in_time = task::spawn(pool.get());
    assert_pending!(in_time.poll());
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    drop(held);
    assert!(in_time.is_woken());
    let error = tokio_test::assert_ready_err!(late.poll());
    assert!(matches!(error, wait_pool::AcquireError::Timeout(_)));
    drop(assert_ready_ok!(in_time.poll()));
}
