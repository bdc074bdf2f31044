//! Warming up, doubting, closing what is idle.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use wait_pool::AcquireError;

use crate::common::{Backend, Gate, runtime, until};
use crate::{in_so_long, open, pass, secs, turns};

#[tokio::test(start_paused = true)]
async fn a_warm_up_is_not_told_of_a_failure_before_it() {
    let backend = Backend::new(Gate::Error);
    let pool = backend.pool().min_idle(1).max_connecting(1);
    let pool = pool.build().unwrap();
    pool.get().await.map(drop).unwrap_err();
    *backend.connect.lock() = Gate::Ok;
    let mut warm_up = task::spawn(pool.warm_up());
    assert_pending!(warm_up.poll());
    assert_pending!(warm_up.poll(), "whoever polls again has not asked again");
    pass(secs(1)).await;
    assert!(warm_up.is_woken());
    assert_ready_ok!(warm_up.poll());
    assert_eq!((backend.attempts(), pool.status().idle), (2, 1));

    pool.clear();
    *backend.connect.lock() = Gate::Error;
    let mut warm_up = task::spawn(pool.warm_up());
    assert_pending!(warm_up.poll());
    turns().await;
    assert!(warm_up.is_woken());
    let refused = assert_ready_err!(warm_up.poll());
    assert!(matches!(refused, AcquireError::Connect(_)));
}

/// Nobody is in line who could begin another attempt: who warms up has to.
#[test]
fn a_warm_up_outlives_the_runtime_that_the_attempt_was_begun_in() {
    let backend = Backend::new(Gate::Never);
    let pool = backend.pool().min_idle(1).max_connecting(1);
    let pool = pool.build().unwrap();
    let (ends, stays) = (runtime(), runtime());
    ends.block_on(async {
        let mut get = pin!(pool.get());
        assert_pending!(get.as_mut().poll(&mut Context::from_waker(Waker::noop())));
        until("under way", || backend.attempts() == 1).await;
    });
    *backend.connect.lock() = Gate::Ok;
    stays.block_on(async {
        let mut warm_up = task::spawn(pool.warm_up());
        assert_pending!(warm_up.poll());
        assert_eq!(backend.attempts(), 1);
        std::thread::spawn(|| drop(ends)).join().unwrap();
        assert!(warm_up.is_woken());
        assert_pending!(warm_up.poll());
        until("warm", || warm_up.is_woken()).await;
        assert_ready_ok!(warm_up.poll());
    });
    assert_eq!((backend.attempts(), pool.status().idle), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn what_was_retained_is_still_doubted() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().build().unwrap();
    drop(pool.get().await.unwrap());
    pool.doubt_idle();
    assert_eq!(pool.retain(|_| true), 0);
    drop(pool.get().await.unwrap());
    assert_eq!((backend.checks(), backend.attempts()), (1, 1));
    drop(pool.get().await.unwrap());
    assert_eq!(backend.checks(), 1, "it was good");
}

/// When its time is up the other one is in use, and it is the only one idle. As soon as that one comes
/// back it is one too many.
#[tokio::test(start_paused = true)]
async fn a_spare_connection_is_closed_though_the_other_was_in_use_when_it_was_due() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(2).min_idle(1);
    let pool = pool.idle_timeout(secs(600)).max_lifetime(None);
    let pool = pool.build().unwrap();
    open(&pool, 2).await;
    pass(secs(590)).await;
    let used = pool.get().await.unwrap();
    pass(secs(20)).await;
    assert_eq!((pool.status().size, pool.status().idle), (2, 1));
    let stays = used.number;
    drop(used);
    pass(secs(1)).await;
    assert_eq!((pool.status().size, backend.live()), (1, 1));
    assert_eq!(pool.try_get().unwrap().number, stays);
    assert_eq!(backend.attempts(), 2);
}

#[derive(Debug)]
struct Quiet;

impl Wake for Quiet {
    fn wake(self: Arc<Self>) {}
}

/// Each poll brings a waker: one of them is enough.
#[tokio::test(start_paused = true)]
async fn who_watches_for_long_leaves_one_waker() {
    let quiet = Arc::new(Quiet);
    let waker = Waker::from(Arc::clone(&quiet));
    let mut cx = Context::from_waker(&waker);
    let before = Arc::strong_count(&quiet);

    let backend = Backend::new(Gate::Never);
    let pool = backend.pool().max_size(2).min_idle(1).build().unwrap();
    let mut warm_up = pin!(pool.warm_up());
    for _ in 0..1_000 {
        assert_pending!(warm_up.as_mut().poll(&mut cx));
    }
    assert_eq!(Arc::strong_count(&quiet), before + 1);

    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).build().unwrap();
    let _held = pool.get().await.unwrap();
    let mut closed = pin!(pool.close_with(in_so_long(secs(60))));
    let before = Arc::strong_count(&quiet);
    for _ in 0..1_000 {
        assert_pending!(closed.as_mut().poll(&mut cx));
    }
    let kept = Arc::strong_count(&quiet) - before;
    assert!(kept <= 2, "{kept} wakers, that of the timer included");
}
