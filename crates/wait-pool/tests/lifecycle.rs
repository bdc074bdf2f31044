//! The life of a connection: idle, old, replaced, cleared. And nothing when nothing is due.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::time::Duration;

use common::{Backend, Connector, Gate, runtime, until};
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready_ok, task};
use wait_pool::{AcquireError, Pool};

const MINUTE: Duration = Duration::from_secs(60);

/// Has so many connections open and idle.
async fn open(pool: &Pool<Connector>, count: usize) {
    let mut held = Vec::new();
    for _ in 0..count {
        held.push(pool.get().await.unwrap());
    }
}

/// Lets tasks that are due run, with the clock stopped.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// bb8#123, HikariCP#379: reaping below the minimum and opening again, for ever.
#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_down_to_the_minimum_and_no_further() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend
        .pool()
        .min_idle(2)
        .max_lifetime(None)
        .build()
        .unwrap();
    open(&pool, 6).await;
    settle().await;
    let attempts = backend.attempts();
    assert_eq!(pool.status().idle, attempts);
    assert!(attempts >= 6);
    advance(9 * MINUTE).await;
    settle().await;
    assert_eq!(pool.status().idle, attempts, "not before their time");
    advance(2 * MINUTE).await;
    until("the keeper comes", || pool.status().idle == 2).await;
    for _ in 0..100 {
        advance(10 * MINUTE).await;
        settle().await;
    }
    assert_eq!((pool.status().idle, backend.live()), (2, 2));
    assert_eq!(backend.attempts(), attempts, "none was opened again");
}

/// toasty#875: one order for both, where sweeps want the oldest and users the freshest.
#[tokio::test(start_paused = true)]
async fn of_the_idle_ones_the_longest_idle_go_first_and_users_get_the_latest() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_lifetime(None).build().unwrap();
    open(&pool, 3).await;
    for _ in 0..3 {
        advance(4 * MINUTE).await;
        // As a request would: the one used last, checked since it has been idle for long.
        assert_eq!(pool.get().await.unwrap().number, 2);
    }
    settle().await;
    assert_eq!(pool.status().idle, 1);
    assert_eq!(pool.get().await.unwrap().number, 2);
}

/// HikariCP#2004: all expire together.
#[tokio::test(start_paused = true)]
async fn connections_opened_together_do_not_end_together() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(100).max_lifetime(100 * MINUTE);
    let pool = pool.idle_timeout(None).build().unwrap();
    open(&pool, 100).await;
    advance(79 * MINUTE).await;
    settle().await;
    assert_eq!(
        pool.status().idle,
        100,
        "none ends before four fifths of its time"
    );
    let mut most_at_once = 0;
    for _ in 79..101 {
        let before = pool.status().idle;
        advance(MINUTE).await;
        settle().await;
        most_at_once = most_at_once.max(before - pool.status().idle);
    }
    assert_eq!(pool.status().size, 0, "all have ended");
    assert!(
        most_at_once < 30,
        "{most_at_once} of 100 in one minute of twenty"
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_in_use_past_its_time_is_closed_when_it_comes_back() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(2).max_leases(4).build().unwrap();
    let held = pool.get().await.unwrap();
    let (first, second) = (pool.lease().await.unwrap(), pool.lease().await.unwrap());
    advance(31 * MINUTE).await;
    settle().await;
    assert_eq!(backend.live(), 2, "nothing is taken away from anybody");
    drop(held);
    assert_eq!(backend.live(), 1);
    drop(first);
    let third = pool.lease().await.unwrap();
    assert_ne!(
        third.number, second.number,
        "the old one takes no more leases"
    );
    drop(second);
    assert_eq!(backend.live(), 1);
    drop(third);
    assert_eq!(pool.status().idle, 1);
}

#[tokio::test]
async fn the_minimum_is_opened_behind_the_first_caller_and_kept() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(5).min_idle(3).build().unwrap();
    assert_eq!(backend.attempts(), 0, "nothing without a caller");
    let held = pool.get().await.unwrap();
    until("three spare ones", || pool.status().idle == 3).await;
    assert_eq!(pool.status().size, 4);
    let other = pool.get().await.unwrap();
    until("another spare one", || pool.status().idle == 3).await;
    assert_eq!(pool.status().size, 5, "and not one more than there may be");
    drop((held, other));
    assert_eq!((pool.status().idle, backend.attempts()), (5, 5));
}

/// toasty#875: no way to have connections open before the first request.
#[tokio::test]
async fn warm_up_waits_until_the_minimum_is_open() {
    let backend = Backend::new(Gate::Held);
    let pool = backend.pool().min_idle(2).build().unwrap();
    let mut warm = task::spawn(pool.warm_up());
    assert_pending!(warm.poll());
    until("two attempts", || backend.attempts() == 2).await;
    backend.let_one_in();
    until("one is open", || pool.status().idle == 1).await;
    assert_pending!(warm.poll());
    backend.let_one_in();
    until("it is told", || warm.is_woken()).await;
    assert_ready_ok!(warm.poll());
    assert_eq!(pool.status().idle, 2);
    pool.warm_up().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn warm_up_tells_why_it_failed_and_may_be_tried_again() {
    let backend = Backend::new(Gate::Error);
    let pool = backend.pool().min_idle(2).build().unwrap();
    for _ in 0..3 {
        let error = pool.warm_up().await.unwrap_err();
        assert!(matches!(error, AcquireError::Connect(_)), "{error}");
    }
    *backend.connect.lock() = Gate::Ok;
    while pool.warm_up().await.is_err() {}
    assert!(pool.status().idle >= 2);
    pool.close();
    assert!(matches!(
        pool.warm_up().await.unwrap_err(),
        AcquireError::Closed
    ));
}

#[tokio::test]
async fn clear_replaces_every_connection_there_is() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(5).max_leases(2).build().unwrap();
    let (held, idle) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    let lease = pool.lease().await.unwrap();
    drop(idle);
    *backend.connect.lock() = Gate::Held;
    let alone = pool.get().await.unwrap();
    let mut waiter = task::spawn(pool.get());
    assert_pending!(waiter.poll());
    until("one is being opened", || backend.attempts() == 4).await;

    pool.clear();
    let other = task::spawn(pool.lease()).poll().is_ready();
    assert!(!other, "no more leases on the old one");
    *backend.connect.lock() = Gate::Ok;
    backend.let_one_in();
    until("the old attempt has arrived and another was made", || {
        waiter.is_woken()
    })
    .await;
    let new = assert_ready_ok!(waiter.poll());
    assert!(new.number > 3, "{} is of before", new.number);
    drop((held, lease, alone));
    until("the rest", || pool.status().opening == 0).await;
    drop(new);
    let status = pool.status();
    assert_eq!((status.size, status.idle), (backend.live(), backend.live()));
    for _ in 0..status.idle {
        let held = pool.get().await.unwrap();
        assert!(held.number > 3);
        std::mem::forget(held.detach());
    }
}

/// deadpool 0.13.1, found beside deadpool#380: an empty pool resized from 10 to 2 admitted 10.
#[tokio::test]
async fn a_smaller_bound_holds_from_the_first_moment() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(10).build().unwrap();
    pool.resize(2).unwrap();
    let held = (pool.get().await.unwrap(), pool.get().await.unwrap());
    let mut third = task::spawn(pool.get());
    assert_pending!(third.poll());
    settle().await;
    assert_eq!((pool.status().size, backend.peak()), (2, 2));
    drop(held);
    drop(assert_ready_ok!(third.poll()));
    assert_eq!(pool.resize(0).unwrap_err().setting(), "max_size");
}

#[tokio::test]
async fn shrinking_closes_idle_ones_now_and_others_when_they_come_back() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend
        .pool()
        .max_size(6)
        .max_leases(2)
        .max_connecting(8)
        .build()
        .unwrap();
    open(&pool, 6).await;
    let (one, two) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    let (lease, other) = (pool.lease().await.unwrap(), pool.lease().await.unwrap());
    assert_eq!(one.number, 5, "the one given back last");
    pool.resize(2).unwrap();
    assert_eq!(
        (pool.status().size, pool.status().idle, backend.live()),
        (3, 0, 3)
    );
    let mut waiter = task::spawn(pool.lease());
    assert_pending!(waiter.poll());
    drop(one);
    assert_eq!(backend.live(), 2);
    assert!(!waiter.is_woken(), "its place is gone");
    drop(lease);
    assert!(waiter.is_woken());
    drop((two, other, waiter));
    assert_eq!(
        (pool.status().size, pool.status().idle, backend.live()),
        (2, 2, 2)
    );
}

#[tokio::test]
async fn growing_serves_those_who_wait() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).build().unwrap();
    let _held = pool.get().await.unwrap();
    let mut waiters: Vec<_> = (0..3).map(|_| task::spawn(pool.get())).collect();
    for waiter in &mut waiters {
        assert_pending!(waiter.poll());
    }
    pool.resize(3).unwrap();
    until("two are served", || waiters[1].is_woken()).await;
    settle().await;
    assert!(!waiters[2].is_woken());
    assert_eq!((pool.status().size, backend.peak()), (3, 3));
}

#[tokio::test]
async fn connections_being_opened_beyond_a_smaller_bound_are_closed_when_they_arrive() {
    let backend = Backend::new(Gate::Held);
    let pool = backend
        .pool()
        .max_size(4)
        .max_connecting(4)
        .build()
        .unwrap();
    let mut waiters: Vec<_> = (0..4).map(|_| task::spawn(pool.get())).collect();
    for waiter in &mut waiters {
        assert_pending!(waiter.poll());
    }
    until("four attempts", || backend.attempts() == 4).await;
    pool.resize(1).unwrap();
    for _ in 0..4 {
        backend.let_one_in();
    }
    until("all have arrived", || pool.status().opening == 0).await;
    assert_eq!((pool.status().size, backend.live()), (1, 1));
    assert_eq!(waiters.iter().filter(|waiter| waiter.is_woken()).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn close_with_waits_for_the_last_and_tells_who_is_late() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().build().unwrap();
    let soon = || tokio::time::Instant::now().into_std() + MINUTE;
    let late = pool.get().await.unwrap();
    let line = line!() - 1;
    advance(MINUTE).await;
    let lease = pool.lease().await.unwrap();
    let mut closing = task::spawn(pool.close_with(soon()));
    assert_pending!(closing.poll());
    assert!(pool.is_closed());
    advance(2 * MINUTE).await;
    let holdings = closing.await.unwrap_err();
    let held: Vec<_> = holdings
        .iter()
        .map(|one| one.held_for.as_secs() / 60)
        .collect();
    assert_eq!(held, [3, 2]);
    assert_eq!(
        (holdings[0].taken_at.file(), holdings[0].taken_at.line()),
        (file!(), line)
    );

    let mut again = task::spawn(pool.close_with(soon()));
    assert_pending!(again.poll());
    drop(late);
    assert_pending!(again.poll());
    drop(lease);
    assert!(again.is_woken());
    assert_ready_ok!(again.poll());
    assert_eq!(backend.live(), 0);
    pool.close_with(soon()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn retain_closes_what_is_not_wanted_and_changes_nothing_else() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_lifetime(None).build().unwrap();
    let held = pool.get().await.unwrap();
    open(&pool, 4).await;
    advance(9 * MINUTE).await;
    let mut seen = Vec::new();
    let closed = pool.retain(|connection| {
        seen.push(connection.number);
        assert_eq!(
            pool.status().checking,
            4 - (seen.len() - 1),
            "called without the lock"
        );
        connection.number % 2 == 0
    });
    seen.sort_unstable();
    assert_eq!((closed, seen), (2, vec![1, 2, 3, 4]));
    assert_eq!((pool.status().idle, backend.live()), (2, 3));
    advance(2 * MINUTE).await;
    until("they have been idle since they were", || {
        pool.status().idle == 0
    })
    .await;
    drop(held);
    let idle = pool.status().idle;
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pool.retain(|_| panic!("in the middle"));
    }));
    assert!(panics.is_err());
    assert_eq!((idle, pool.status().size), (1, 0), "the place is not lost");
}

/// G14: no traffic, no tasks, no timers.
#[tokio::test(start_paused = true)]
async fn nothing_runs_when_nothing_is_due() {
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().build().unwrap();
    assert_eq!(tasks(), 0);
    open(&pool, 3).await;
    settle().await;
    assert_eq!(tasks(), 1, "the keeper alone");
    advance(31 * MINUTE).await;
    until("all are closed", || pool.status().size == 0).await;
    settle().await;
    assert_eq!(tasks(), 0, "it ends when nothing is left to be closed");

    open(&pool, 1).await;
    settle().await;
    assert_eq!(tasks(), 1);
    drop(pool);
    assert_eq!(backend.live(), 0, "the keeper does not keep the pool");
    advance(31 * MINUTE).await;
    settle().await;
    assert_eq!(tasks(), 0);

    let never = backend
        .pool()
        .idle_timeout(None)
        .max_lifetime(None)
        .build()
        .unwrap();
    open(&never, 1).await;
    // The caller that waited for it might have run out of time.
    advance(MINUTE).await;
    settle().await;
    assert_eq!(tasks(), 0, "nothing will ever be due");
}

#[test]
fn a_keeper_that_ended_with_its_runtime_is_replaced() {
    let backend = Backend::new(Gate::Ok);
    let short = Duration::from_millis(20);
    let pool = backend.pool().idle_timeout(short).build().unwrap();
    let first = runtime();
    first.block_on(open(&pool, 2));
    drop(first);
    let second = runtime();
    second.block_on(async {
        open(&pool, 2).await;
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while pool.status().size > 0 {
            assert!(std::time::Instant::now() < deadline, "nobody closes them");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert_eq!(backend.live(), 0);
}
