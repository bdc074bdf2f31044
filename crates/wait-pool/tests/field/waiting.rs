//! Waiting in line, and being told why.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

use tokio::task::coop::unconstrained;
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use wait_pool::{AcquireError, Phase, Timeout};

use crate::common::{Backend, Gate, Refused};
use crate::open;

/// bb8#122, sqlx#1293: between finding nothing idle and standing in line a connection came back, and
/// nobody told the newcomer. It waited beside an idle connection until its time was up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_return_that_races_a_newcomer_is_not_lost() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).wait_timeout(None);
    let pool = pool.build().unwrap();
    let mut rng = fastrand::Rng::with_seed(122);
    let asks = Arc::new(AtomicUsize::new(0));
    for round in 1..=20_000 {
        let held = pool.get().await.unwrap();
        let pauses = (rng.u32(0..100), rng.u32(0..100));
        let newcomer = tokio::spawn({
            let (pool, asks) = (pool.clone(), Arc::clone(&asks));
            async move {
                asks.store(round, Release);
                pause(pauses.0);
                drop(pool.get().await.unwrap());
            }
        });
        // Nothing else ever comes back in this round: who missed this return waits for ever.
        for turn in 1.. {
            match asks.load(Acquire) < round {
                true if turn % 1_000 == 0 => std::thread::yield_now(),
                true => std::hint::spin_loop(),
                false => break,
            }
        }
        pause(pauses.1);
        drop(held);
        let served = tokio::time::timeout(Duration::from_secs(20), newcomer).await;
        let lost = |_| panic!("round {round}: it waits beside {:?}", pool.status());
        served.unwrap_or_else(lost).unwrap();
    }
    assert_eq!((backend.attempts(), pool.status().waiting), (1, 0));
}

fn pause(turns: u32) {
    for _ in 0..turns {
        std::hint::spin_loop();
    }
}

/// sqlx#3241, sqlx#2345, sqlx#865: a connection that was never given back, callers that wait for one
/// another and a wrong port all showed as "pool timed out while waiting for an open connection".
#[tokio::test(start_paused = true)]
async fn a_leak_a_deadlock_and_a_wrong_port_do_not_look_alike() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).build().unwrap();
    let leaked = pool.get().await.unwrap();
    let line = line!() - 1;
    advance(Duration::from_secs(60 * 60)).await;
    let leak = timeout(pool.get().await.map(drop));
    let (age, at) = leak.longest_held.unwrap();
    assert_eq!((leak.phase, leak.status.in_use), (Phase::Queued, 1));
    assert!(age.as_secs() >= 60 * 60, "held for {age:?}");
    assert_eq!((at.file(), at.line()), (file!(), line));
    drop(leaked);

    let pool = backend.pool().max_size(2).build().unwrap();
    let taken = tokio::time::Instant::now();
    let (one, two) = tokio::join!(
        async { (pool.get().await.unwrap(), pool.get().await.map(drop)) },
        async { (pool.get().await.unwrap(), pool.get().await.map(drop)) },
    );
    let elapsed = taken.elapsed();
    for deadlock in [timeout(one.1), timeout(two.1)] {
        // Who holds the connections is who waits: they were taken as the wait began.
        let (age, at) = deadlock.longest_held.unwrap();
        assert_eq!((deadlock.status.in_use, at.file()), (2, file!()));
        assert!(deadlock.waited <= age && age <= elapsed, "{age:?}");
    }

    let backend = Backend::new(Gate::Error);
    let pool = backend.pool().build().unwrap();
    let begun = tokio::time::Instant::now();
    let wrong_port = pool.get().await.unwrap_err();
    assert!(matches!(wrong_port, AcquireError::Connect(_)));
    assert!(begun.elapsed().is_zero(), "it was told at once");
}

fn timeout(outcome: Result<(), AcquireError<Refused>>) -> Box<Timeout<Refused>> {
    match outcome {
        Err(AcquireError::Timeout(timeout)) => timeout,
        other => panic!("expected a timeout, got {other:?}"),
    }
}

/// vitess#20308: the line was full of waiters whose deadlines had passed. Every connection that came
/// back went to one of them, who gave it back unused, and no useful work was done at all.
#[tokio::test(start_paused = true)]
async fn a_line_of_expired_waiters_gets_nothing() {
    let backend = Backend::new(Gate::Ok);
    let second = Duration::from_secs(1);
    let pool = backend.pool().max_size(1).wait_timeout(10 * second);
    let pool = pool.build().unwrap();
    let held = pool.get().await.unwrap();
    let mut late: Vec<_> = (0..1_000)
        .map(|_| task::spawn(unconstrained(pool.get())))
        .collect();
    for waiter in &mut late {
        assert_pending!(waiter.poll());
    }
    advance(9 * second).await;
    let mut in_time = task::spawn(pool.get());
    assert_pending!(in_time.poll());
    advance(2 * second).await;
    assert_eq!(pool.status().waiting, 1_001, "nobody has been polled yet");

    drop(held);
    assert!(in_time.is_woken(), "one return was enough");
    let used = assert_ready_ok!(in_time.poll());
    assert_eq!((pool.status().holders, pool.status().waiting), (1, 0));
    for waiter in &mut late {
        timeout(Err(assert_ready_err!(waiter.poll())));
    }
    drop(used);
    open(&pool, 1).await;
    assert_eq!(backend.attempts(), 1);
}
