//! Who comes when: what a caller may expect, and what it is told of those ahead.

use std::collections::VecDeque;
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use wait_pool::{AcquireError, Pool, Priority, Timeout};

use crate::common::{Backend, Connector, Gate, Refused};
use crate::{in_so_long, ms, pass, secs, turns};

/// A pool of one connection, which has been handed over once a second for a while, with a line.
async fn slow_spell(backend: &std::sync::Arc<Backend>) -> Pool<Connector> {
    let pool = backend.pool().max_size(1).wait_timeout(secs(60));
    let pool = pool.max_lifetime(None).idle_timeout(None);
    let pool = pool.build().unwrap();
    let mut held = pool.get().await.unwrap();
    let mut line = VecDeque::new();
    for _ in 0..80 {
        while line.len() < 3 {
            let mut waiter = task::spawn(pool.get());
            assert_pending!(waiter.poll());
            line.push_back(waiter);
        }
        advance(secs(1)).await;
        drop(held);
        held = assert_ready_ok!(line.pop_front().unwrap().poll());
    }
    drop(line);
    drop(held);
    assert_eq!((pool.status().idle, pool.status().waiting), (1, 0));
    pool
}

/// A caller that knows how long it can wait, and would rather know at once.
fn in_time(
    pool: &Pool<Connector>,
    milliseconds: u64,
) -> impl Future<Output = Result<wait_pool::Pooled<Connector>, AcquireError<Refused>>> {
    let deadline = in_so_long(ms(milliseconds));
    pool.request().deadline(deadline).only_in_time().get()
}

/// The wait that somebody was refused for, in milliseconds.
fn foretold(refused: &AcquireError<Refused>) -> f64 {
    match refused {
        AcquireError::TooLate { expected, .. } => (expected.as_secs_f64() * 1_000.0).round(),
        other => panic!("{other:?}"),
    }
}

/// What was measured in a slow spell is no longer true, and nobody could measure anew if all were
/// refused for it.
#[tokio::test(start_paused = true)]
async fn a_slow_spell_is_forgotten() {
    let backend = Backend::new(Gate::Ok);
    let pool = slow_spell(&backend).await;
    let _held = pool.get().await.unwrap();
    let mut ahead = task::spawn(pool.get());
    assert_pending!(ahead.poll());
    let too_late = assert_ready_err!(task::spawn(in_time(&pool, 500)).poll());
    assert_eq!(foretold(&too_late), 2_000.0);

    drop(ahead);
    pass(secs(100)).await;
    let mut ahead = task::spawn(pool.get());
    assert_pending!(ahead.poll());
    assert_pending!(task::spawn(in_time(&pool, 500)).poll());
}

/// Who is next has nobody to wait for but one holder, and is the one who measures.
#[tokio::test(start_paused = true)]
async fn who_is_next_is_never_refused_for_the_pace() {
    let backend = Backend::new(Gate::Ok);
    let pool = slow_spell(&backend).await;
    for _ in 0..100 {
        let held = pool.get().await.unwrap();
        let mut next = task::spawn(in_time(&pool, 500));
        assert_pending!(next.poll());
        advance(ms(1)).await;
        drop(held);
        drop(assert_ready_ok!(next.poll()));
    }
    // Meanwhile the pace is that of today.
    let _held = pool.get().await.unwrap();
    let mut ahead = task::spawn(pool.get());
    assert_pending!(ahead.poll());
    assert_pending!(task::spawn(in_time(&pool, 500)).poll());
    let too_late = assert_ready_err!(task::spawn(in_time(&pool, 1)).poll());
    assert_eq!(foretold(&too_late), 2.0);
}

/// The pace is that of the connections there were.
#[tokio::test(start_paused = true)]
async fn who_finds_a_pool_with_room_is_not_refused_for_the_pace() {
    let backend = Backend::new(Gate::Ok);
    let pool = slow_spell(&backend).await;
    pool.clear();
    turns().await;
    assert_eq!(pool.status().size, 0);
    drop(in_time(&pool, 900).await.unwrap());
    assert_eq!((backend.attempts(), pool.status().idle), (2, 1));

    let _held = pool.get().await.unwrap();
    pool.resize(3).unwrap();
    *backend.connect.lock() = Gate::Held;
    let mut ahead = task::spawn(pool.get());
    assert_pending!(ahead.poll());
    let mut in_time = task::spawn(in_time(&pool, 900));
    assert_pending!(in_time.poll());
    assert_eq!((pool.status().opening, pool.status().size), (2, 3));
    backend.let_one_in();
    backend.let_one_in();
    turns().await;
    drop(assert_ready_ok!(ahead.poll()));
    drop(assert_ready_ok!(in_time.poll()));
}

fn timeout<T>(outcome: Result<T, AcquireError<Refused>>) -> Box<Timeout<Refused>> {
    match outcome {
        Err(AcquireError::Timeout(timeout)) => timeout,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("there was nothing"),
    }
}

/// They wait in lanes, by kind and class, and all are told at once: each counts those who came before,
/// whatever lane they were in.
#[tokio::test(start_paused = true)]
async fn the_first_of_several_lanes_is_told_that_nobody_was_ahead() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).wait_timeout(secs(1));
    let pool = pool.build().unwrap();
    let _held = pool.get().await.unwrap();
    let mut first = task::spawn(pool.lease());
    assert_pending!(first.poll());
    let mut others: Vec<_> = (0..10).map(|_| task::spawn(pool.get())).collect();
    for other in &mut others {
        assert_pending!(other.poll());
    }
    let mut last = task::spawn(pool.request().priority(Priority::Low).lease());
    assert_pending!(last.poll());

    pass(secs(2)).await;
    assert!(first.is_woken() && last.is_woken());
    assert_eq!(timeout(ready(first.poll())).ahead, 0);
    for (ahead, other) in (1..).zip(&mut others) {
        assert_eq!(timeout(ready(other.poll())).ahead, ahead);
    }
    assert_eq!(timeout(ready(last.poll())).ahead, 11);
}

fn ready<T>(poll: std::task::Poll<T>) -> T {
    match poll {
        std::task::Poll::Ready(outcome) => outcome,
        std::task::Poll::Pending => panic!("its time is up"),
    }
}
