//! G6: a timeout says what the caller was up against. G7: `status` is exact.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::error::Error;
use std::time::Duration;

use common::{Backend, Gate};
use tokio_test::{assert_pending, assert_ready_ok, task};
use wait_pool::{AcquireError, Phase, Pool, Timeout};

async fn timed_out(pool: &Pool<common::Connector>) -> Box<Timeout<common::Refused>> {
    match pool.get().await {
        Err(AcquireError::Timeout(timeout)) => timeout,
        other => panic!("expected a timeout, got {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_carries_the_figures_and_who_holds_what() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend
        .pool()
        .name("features")
        .max_size(2)
        .wait_timeout(Duration::from_millis(250))
        .build()
        .unwrap();
    let _oldest = pool.get().await.unwrap();
    let line = line!() - 1;
    tokio::time::advance(Duration::from_secs(3)).await;
    let _younger = pool.get().await.unwrap();
    let mut ahead = task::spawn(pool.get());
    assert_pending!(ahead.poll());

    let timeout = timed_out(&pool).await;
    assert_eq!(&*timeout.pool, "features");
    assert_eq!(timeout.phase, Phase::Queued);
    assert_eq!(timeout.waited.as_millis() / 10, 25);
    assert_eq!(timeout.ahead, 1);
    let status = timeout.status;
    assert_eq!(
        (status.in_use, status.idle, status.opening, status.waiting),
        (2, 0, 0, 2)
    );
    let (age, at) = timeout.longest_held.unwrap();
    assert_eq!((age.as_secs(), at.file(), at.line()), (3, file!(), line));
    assert!(timeout.last_connect_error.is_none());
    let text = AcquireError::Timeout(timeout).to_string();
    for part in ["features", "1 ahead", "2 in use", "2 waiting", "reports.rs"] {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

/// bb8#102, svix-webhooks#1012: the timeout did not say that no connection could be opened, nor why.
#[tokio::test(start_paused = true)]
async fn a_timeout_names_the_last_connect_error_as_its_cause() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend
        .pool()
        .max_size(2)
        .wait_timeout(Duration::from_millis(500))
        .build()
        .unwrap();
    let _held = pool.get().await.unwrap();
    *backend.connect.lock() = Gate::Error;
    let timeout = timed_out(&pool).await;
    assert_eq!(timeout.status.size, 2, "the next attempt is due");
    let error = AcquireError::Timeout(timeout);
    assert_eq!(
        error.source().unwrap().to_string(),
        "the backend says no (gate)"
    );
    assert!(
        error
            .to_string()
            .contains("the last attempt to connect failed")
    );
}

#[tokio::test(start_paused = true)]
async fn a_timeout_says_what_the_caller_was_waiting_for() {
    let backend = Backend::new(Gate::Ok);
    let day = Duration::from_secs(24 * 60 * 60);
    let pool = backend
        .pool()
        .max_size(1)
        .check_timeout(day)
        .connect_timeout(day)
        .build()
        .unwrap();
    let held = pool.get().await.unwrap();
    assert_eq!(timed_out(&pool).await.phase, Phase::Queued);
    drop(held);
    tokio::time::advance(Duration::from_secs(31)).await;
    *backend.check.lock() = Gate::HeldError;
    *backend.connect.lock() = Gate::Never;
    let timeout = timed_out(&pool).await;
    assert_eq!(
        (timeout.phase, timeout.waited.as_secs()),
        (Phase::Checking, 5)
    );
    assert_eq!(timeout.status.checking, 1);
    assert!(timeout.longest_held.is_none());
    backend.let_one_in();
    common::until("the check fails", || pool.status().size == 0).await;
    assert_eq!(timed_out(&pool).await.phase, Phase::Connecting);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_served_in_the_same_moment_as_its_deadline_takes_what_it_was_given() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend
        .pool()
        .max_size(1)
        .wait_timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    let held = pool.get().await.unwrap();
    let mut waiter = task::spawn(pool.get());
    assert_pending!(waiter.poll());
    drop(held);
    tokio::time::advance(Duration::from_secs(2)).await;
    drop(assert_ready_ok!(waiter.poll()));
}

#[tokio::test(start_paused = true)]
async fn without_a_wait_timeout_a_caller_waits_for_ever() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend
        .pool()
        .max_size(1)
        .wait_timeout(None)
        .max_lifetime(None)
        .build()
        .unwrap();
    let held = pool.get().await.unwrap();
    let mut waiter = task::spawn(pool.get());
    assert_pending!(waiter.poll());
    tokio::time::advance(Duration::from_secs(100_000)).await;
    assert_pending!(waiter.poll());
    drop(held);
    drop(assert_ready_ok!(waiter.poll()));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_for_one_call_shortens_the_wait_and_never_lengthens_it() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend
        .pool()
        .max_size(1)
        .wait_timeout(Duration::from_secs(2))
        .build()
        .unwrap();
    let held = pool.get().await.unwrap();
    for (patience, waited) in [(1, 1), (2, 2), (3, 2), (0, 0)] {
        let begun = tokio::time::Instant::now();
        let deadline = || tokio::time::Instant::now().into_std() + Duration::from_secs(patience);
        assert!(pool.request().deadline(deadline()).get().await.is_err());
        assert!(pool.request().deadline(deadline()).lease().await.is_err());
        assert_eq!(begun.elapsed().as_secs(), 2 * waited, "{patience} s");
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    drop(held);
    let passed = tokio::time::Instant::now().into_std();
    assert!(
        pool.request().deadline(passed).get().await.is_ok(),
        "nothing to wait for"
    );
}

#[tokio::test]
async fn one_caller_more_than_may_wait_is_told_at_once() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend
        .pool()
        .name("tight")
        .max_size(1)
        .max_waiters(2)
        .build()
        .unwrap();
    let held = pool.get().await.unwrap();
    let (mut first, mut second) = (task::spawn(pool.get()), task::spawn(pool.lease()));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    let error = pool.get().await.unwrap_err();
    assert!(matches!(&error, AcquireError::QueueFull { status, .. } if status.waiting == 2));
    assert!(
        error.to_string().contains("tight: 2 callers wait"),
        "{error}"
    );
    drop(second);
    let mut third = task::spawn(pool.get());
    assert_pending!(third.poll());
    drop(held);
    drop(assert_ready_ok!(first.poll()));
}

/// Each figure of `status`, at each step of a connection's life.
#[tokio::test]
async fn status_is_exact_at_every_step() {
    let backend = Backend::new(Gate::Held);
    let pool = backend.pool().max_size(2).max_leases(2).build().unwrap();
    let figures = || {
        let status = pool.status();
        let known = status.idle + status.in_use + status.opening + status.checking;
        assert_eq!(status.size, known);
        (
            status.idle,
            status.in_use,
            status.opening,
            status.holders,
            status.waiting,
        )
    };
    assert_eq!(figures(), (0, 0, 0, 0, 0));
    let mut get = task::spawn(pool.get());
    assert_pending!(get.poll());
    assert_eq!(figures(), (0, 0, 1, 0, 1));
    backend.let_one_in();
    common::until("the connection", || get.is_woken()).await;
    assert_eq!(
        figures(),
        (0, 1, 0, 1, 0),
        "handed over, though not yet picked up"
    );
    let held = assert_ready_ok!(get.poll());
    assert_eq!(figures(), (0, 1, 0, 1, 0));
    drop(held);
    assert_eq!(figures(), (1, 0, 0, 0, 0));
    let leases = (pool.lease().await.unwrap(), pool.lease().await.unwrap());
    assert_eq!(figures(), (0, 1, 0, 2, 0));
    let mut third = task::spawn(pool.lease());
    assert_pending!(third.poll());
    assert_eq!(figures(), (0, 1, 1, 2, 1));
    drop(third);
    assert_eq!(figures(), (0, 1, 1, 2, 0), "the attempt goes on");
    drop(leases);
    assert_eq!(figures(), (1, 0, 1, 0, 0));
    backend.let_one_in();
    common::until("the second", || pool.status().opening == 0).await;
    assert_eq!(figures(), (2, 0, 0, 0, 0));
    assert_eq!(backend.live(), 2);
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    let refused = |set: fn(Builder) -> Builder| {
        let error = set(Backend::new(Gate::Ok).pool()).build().unwrap_err();
        (error.setting(), error.to_string())
    };
    type Builder = wait_pool::Builder<common::Connector>;
    type Set = fn(Builder) -> Builder;
    let cases: [(&str, Set); 13] = [
        ("min_idle", |builder| builder.max_size(2).min_idle(3)),
        ("idle_timeout", |builder| {
            builder.idle_timeout(Duration::ZERO)
        }),
        ("max_lifetime", |builder| {
            builder.max_lifetime(Duration::ZERO)
        }),
        ("max_waiters", |builder| builder.max_waiters(0)),
        ("check_timeout", |builder| {
            builder.check_timeout(Duration::ZERO)
        }),
        ("connect_backoff", |builder| {
            builder.connect_backoff(Duration::MAX, Duration::MAX)
        }),
        ("max_size", |builder| builder.max_size(0)),
        ("max_leases", |builder| builder.max_leases(0)),
        ("max_connecting", |builder| builder.max_connecting(0)),
        ("wait_timeout", |builder| {
            builder.wait_timeout(Duration::ZERO)
        }),
        ("connect_timeout", |builder| {
            builder.connect_timeout(Duration::ZERO)
        }),
        ("connect_backoff", |builder| {
            builder.connect_backoff(Duration::ZERO, Duration::from_secs(1))
        }),
        ("connect_backoff", |builder| {
            builder.connect_backoff(Duration::from_secs(2), Duration::from_secs(1))
        }),
    ];
    for (setting, set) in cases {
        let (named, text) = refused(set);
        assert_eq!(named, setting);
        assert!(text.starts_with(setting), "{text:?}");
    }
}
