//! What a listener is told at the ends of things.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use crate::Log;
use crate::common::{Backend, Gate, runtime, until};

#[tokio::test(start_paused = true)]
async fn who_does_not_wait_is_heard_of_like_others() {
    let (backend, log) = (Backend::new(Gate::Ok), Log::default());
    let pool = backend.pool().max_size(1).listener(log.clone());
    let pool = pool.build().unwrap();
    drop(pool.get().await.unwrap());
    log.take();
    drop(pool.try_get().unwrap());
    assert_eq!(log.take(), ["asked", "out 1", "in 1"]);
    drop(pool.try_lease().unwrap());
    assert_eq!(log.take(), ["asked", "out 1", "in 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_dropped_ends_like_one_that_is_closed() {
    let (backend, log) = (Backend::new(Gate::Ok), Log::default());
    let pool = backend.pool().listener(log.clone()).build().unwrap();
    drop((pool.get().await.unwrap(), pool.get().await.unwrap()));
    log.take();
    drop(pool);
    assert_eq!(backend.live(), 0);
    let mut told = log.take();
    assert_eq!(told.pop().unwrap(), "PoolClosed");
    told.sort();
    assert_eq!(told, ["closed 1: poolClosed", "closed 2: poolClosed"]);

    // With the last holder, if there is one.
    let pool = backend.pool().listener(log.clone()).build().unwrap();
    let held = pool.get().await.unwrap();
    log.take();
    drop(pool);
    drop(held);
    assert_eq!(log.take(), ["in 1", "closed 1: poolClosed", "PoolClosed"]);

    // Once only.
    let pool = backend.pool().listener(log.clone()).build().unwrap();
    drop(pool.get().await.unwrap());
    log.take();
    pool.close();
    assert_eq!(log.take(), ["closed 1: poolClosed", "PoolClosed"]);
    drop(pool);
    assert!(log.take().is_empty());
}

/// Nothing comes of it, and it has to end: else it counts as being opened for ever.
#[test]
fn an_attempt_that_ends_with_its_runtime_is_heard_of() {
    let (backend, log) = (Backend::new(Gate::Never), Log::default());
    let pool = backend.pool().listener(log.clone()).build().unwrap();
    let runtime = runtime();
    runtime.block_on(async {
        let mut get = pin!(pool.get());
        let waits = get.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(waits.is_pending());
        until("under way", || backend.attempts() == 1).await;
    });
    drop(runtime);
    assert_eq!((pool.status().size, backend.live()), (0, 0));
    let told = log.take();
    let told: Vec<_> = told
        .iter()
        .filter(|event| event.ends_with('1') || event.contains("1:"))
        .collect();
    assert_eq!(told, ["created 1", "closed 1: error"]);
}
