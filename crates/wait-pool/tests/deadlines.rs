//! The deadlines of a crowd are kept by one task, wherever the callers wait.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use common::{Backend, Connector, Gate, runtime, settle};
use tokio::task::coop::{Unconstrained, unconstrained};
use tokio::time::advance;
use wait_pool::{AcquireError, Pool};

/// What comes of it, unless it hangs. It is not polled when the guard's time is up: it might see only
/// then that its own was.
async fn guarded<F: Future>(asking: F) -> F::Output {
    tokio::select! {
        biased;
        () = tokio::time::sleep(Duration::from_secs(10)) => panic!("nobody is told"),
        told = asking => told,
    }
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[derive(Debug, Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Somebody in line whose waker tells who else has it, and how often it was called.
struct Caller<F> {
    /// Polled as often as the test likes.
    asking: Pin<Box<Unconstrained<F>>>,
    woken: Arc<Count>,
}

impl<F: Future> Caller<F> {
    fn new(asking: F) -> Self {
        let mut caller = Self {
            asking: Box::pin(unconstrained(asking)),
            woken: Arc::default(),
        };
        assert!(caller.poll().is_pending());
        caller
    }

    fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.woken));
        self.asking.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// How many would wake it: the line, and a timer if there is one.
    fn wakers(&self) -> usize {
        Arc::strong_count(&self.woken) - 1
    }

    fn is_woken(&self) -> bool {
        self.woken.0.load(SeqCst) > 0
    }
}

fn tasks() -> usize {
    tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
}

fn is_timeout<T, E>(outcome: &Result<T, AcquireError<E>>, waited: Duration) -> bool {
    match outcome {
        // Those who came in the same moment are told apart by nanoseconds.
        Err(AcquireError::Timeout(report)) => {
            report.waited.abs_diff(waited) < Duration::from_millis(10)
        }
        _ => false,
    }
}

async fn pass(time: Duration) {
    advance(time).await;
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_have_no_timer_each_and_are_told_at_the_deadline() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).wait_timeout(secs(5));
    let pool = pool.build().unwrap();
    let _held = pool.get().await.unwrap();
    settle().await;
    let mut crowd: Vec<_> = (0..1_000).map(|_| Caller::new(pool.get())).collect();
    settle().await;
    assert_eq!(tasks(), 1, "the keeper alone");
    let timers: usize = crowd.iter().map(|caller| caller.wakers() - 1).sum();
    assert_eq!(timers, 0);
    pass(Duration::from_millis(4_999)).await;
    assert!(!crowd.iter().any(Caller::is_woken));
    pass(Duration::from_millis(2)).await;
    assert!(crowd.iter().all(Caller::is_woken));
    for (place, caller) in crowd.iter_mut().enumerate() {
        let Poll::Ready(told) = caller.poll() else {
            panic!("caller {place} waits on")
        };
        assert!(is_timeout(&told, secs(5)), "caller {place}: {told:?}");
    }
    assert_eq!((pool.status().waiting, tasks()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn at_the_very_moment_of_his_deadline_he_is_told() {
    let pool = Backend::new(Gate::Ok).pool().max_size(1);
    let pool = pool.wait_timeout(secs(5)).build().unwrap();
    let _held = pool.get().await.unwrap();
    pass(secs(1)).await;
    let mut caller = Caller::new(pool.get());
    pass(secs(5)).await;
    assert!(caller.is_woken());
    let Poll::Ready(told) = caller.poll() else {
        panic!("he waits on")
    };
    assert!(is_timeout(&told, secs(5)), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn each_is_told_at_his_own_time() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend
        .pool()
        .max_size(1)
        .max_leases(1)
        .wait_timeout(secs(5));
    let pool = pool.build().unwrap();
    let _held = pool.get().await.unwrap();
    let first = Caller::new(pool.get());
    pass(secs(1)).await;
    let second = Caller::new(pool.lease());
    pass(secs(2)).await;
    let third = Caller::new(pool.get());
    let woken = || [first.is_woken(), second.is_woken(), third.is_woken()];
    pass(Duration::from_millis(1_999)).await;
    assert_eq!(woken(), [false; 3]);
    pass(Duration::from_millis(2)).await;
    assert_eq!(woken(), [true, false, false]);
    pass(secs(1)).await;
    assert_eq!(woken(), [true, true, false]);
    pass(Duration::from_millis(1_990)).await;
    assert_eq!(woken(), [true, true, false]);
    pass(Duration::from_millis(20)).await;
    assert_eq!(woken(), [true; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_ones_own_is_kept_before_the_pools_and_never_after_it() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).wait_timeout(secs(5));
    let pool = pool.build().unwrap();
    let _held = pool.get().await.unwrap();
    let now = tokio::time::Instant::now().into_std();
    let mut plain = Caller::new(pool.request().get());
    let mut in_two = Caller::new(pool.request().deadline(now + secs(2)).get());
    let mut in_one = Caller::new(pool.request().deadline(now + secs(1)).lease());
    let mut in_nine = Caller::new(pool.request().deadline(now + secs(9)).get());
    assert_eq!((plain.wakers(), in_nine.wakers()), (1, 1), "no timer");
    assert_eq!((in_two.wakers(), in_one.wakers()), (2, 2), "a timer");
    pass(Duration::from_millis(1_001)).await;
    assert!(in_one.is_woken() && !in_two.is_woken());
    let Poll::Ready(told) = in_one.poll() else {
        panic!("it waits on")
    };
    assert!(is_timeout(&told, secs(1)), "{told:?}");
    pass(secs(1)).await;
    let Poll::Ready(told) = in_two.poll() else {
        panic!("it waits on")
    };
    assert!(is_timeout(&told, secs(2)), "{told:?}");
    assert!(!plain.is_woken() && !in_nine.is_woken());
    pass(secs(3)).await;
    for caller in [&mut plain, &mut in_nine] {
        assert!(caller.is_woken());
        let Poll::Ready(told) = caller.poll() else {
            panic!("it waits on")
        };
        assert!(is_timeout(&told, secs(5)), "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_a_deadline_of_ones_own_is_kept_all_the_same() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).wait_timeout(None);
    let pool = pool.build().unwrap();
    let _held = pool.get().await.unwrap();
    let patient = Caller::new(pool.get());
    let now = tokio::time::Instant::now().into_std();
    let begun = tokio::time::Instant::now();
    let told = pool.request().deadline(now + secs(3)).get().await;
    assert!(is_timeout(&told, secs(3)), "{told:?}");
    assert_eq!(begun.elapsed().as_secs(), 3);
    assert!(!patient.is_woken());
}

/// One connection, which is out; the keeper lives in a runtime of its own.
fn kept_elsewhere() -> (
    tokio::runtime::Runtime,
    Pool<Connector>,
    wait_pool::Pooled<Connector>,
) {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1);
    let pool = pool
        .wait_timeout(Duration::from_millis(20))
        .build()
        .unwrap();
    let keepers = runtime();
    let held = keepers.block_on(async {
        let held = pool.get().await.unwrap();
        settle().await;
        assert_eq!(tasks(), 1);
        held
    });
    (keepers, pool, held)
}

/// The keeper's runtime is not driven meanwhile.
#[test]
fn who_waits_in_another_runtime_than_the_keeper_is_told() {
    let (_keepers, pool, _held) = kept_elsewhere();
    for _ in 0..2 {
        let told = runtime().block_on(guarded(pool.get()));
        assert!(matches!(told, Err(AcquireError::Timeout(_))));
    }
}

#[test]
fn who_waits_in_another_runtime_is_told_when_the_keepers_has_ended() {
    let (keepers, pool, _held) = kept_elsewhere();
    let others = runtime();
    let (mut before, more) = others.block_on(async {
        let more: Vec<_> = (0..10).map(|_| Caller::new(pool.get())).collect();
        (Caller::new(pool.get()), more)
    });
    drop(keepers);
    others.block_on(async {
        // Another keeper is begun here, by whoever is polled next.
        let after = guarded(pool.get()).await;
        assert!(matches!(after, Err(AcquireError::Timeout(_))));
        assert!(matches!(
            before.poll(),
            Poll::Ready(Err(AcquireError::Timeout(_)))
        ));
        common::until("the others are told", || more.iter().all(Caller::is_woken)).await;
    });
}

/// It waits without a timer, since it came where the keeper lives.
#[test]
fn who_is_carried_into_another_runtime_is_told_when_the_keepers_has_ended() {
    let (keepers, pool, _held) = kept_elsewhere();
    let carried = keepers.block_on(async { Box::pin(Caller::new(pool.get())) });
    assert_eq!(carried.wakers(), 1);
    drop(keepers);
    assert!(
        carried.is_woken(),
        "to begin another keeper where it is now"
    );
    let mut carried = carried;
    let others = runtime();
    let told = others.block_on(async {
        assert!(carried.poll().is_pending());
        guarded(carried.asking.as_mut()).await
    });
    assert!(matches!(told, Err(AcquireError::Timeout(_))));
}
