//! Listeners and wakers that panic: whatever they are told, nobody else pays for it.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use tokio_test::task::Spawn;
use tokio_test::{assert_pending, task};
use wait_pool::Pool;
use wait_pool::event::{Event, Listener};

use crate::common::{Backend, Connector, Gate};
use crate::{Log, is_timeout, pass, secs, turns, words};

/// Panics at every event whose words begin so, and writes it down before.
struct Trap {
    at: &'static str,
    heard: Log,
}

impl Listener for Trap {
    fn on_event(&self, pool: &str, event: &Event<'_>) {
        if words(event).starts_with(self.at) {
            self.heard.on_event(pool, event);
            panic!("the listener panics, as the test asks it to");
        }
    }
}

fn pool(backend: &Arc<Backend>, at: &'static str) -> (Pool<Connector>, Log) {
    let heard = Log::default();
    let trap = Trap {
        at,
        heard: heard.clone(),
    };
    let pool = backend.pool().max_size(2).leak_warning_after(secs(60));
    let pool = pool.wait_timeout(secs(1)).max_leases(2).listener(trap);
    (pool.build().unwrap(), heard)
}

/// With nothing in use or under way there are as many places as before.
async fn nothing_is_lost(backend: &Backend, pool: &Pool<Connector>) {
    turns().await;
    let status = pool.status();
    let busy = (status.in_use, status.holders, status.waiting);
    assert_eq!(busy, (0, 0, 0), "{status:?}");
    assert_eq!((status.opening, status.checking), (0, 0), "{status:?}");
    assert_eq!(backend.live(), status.idle, "{status:?}");
    let both = (pool.get().await.unwrap(), pool.get().await.unwrap());
    assert_eq!(pool.status().in_use, 2);
    drop(both);
}

async fn everything_happens(backend: &Arc<Backend>, pool: &Pool<Connector>) {
    // Asked for, opened, given out and given back, alone and shared.
    let (one, other) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    drop((one, other));
    drop((pool.lease().await.unwrap(), pool.lease().await.unwrap()));
    drop((pool.try_get().unwrap(), pool.try_lease().unwrap()));
    nothing_is_lost(backend, pool).await;

    // Told that its time is up, and gone while it waited.
    let held = (pool.get().await.unwrap(), pool.get().await.unwrap());
    let mut late = task::spawn(pool.get());
    assert_pending!(late.poll());
    let mut gone = task::spawn(pool.lease());
    assert_pending!(gone.poll());
    drop(gone);
    pass(secs(2)).await;
    assert!(matches!(late.poll(), Poll::Ready(outcome) if is_timeout(&outcome)));
    pass(secs(61)).await;
    drop(held);
    nothing_is_lost(backend, pool).await;

    // Closed in each way.
    pool.get().await.unwrap().discard();
    let detached = pool.get().await.unwrap().detach();
    drop(detached);
    drop((pool.get().await.unwrap(), pool.get().await.unwrap()));
    pool.clear();
    assert_eq!(pool.status().size, 0);
    nothing_is_lost(backend, pool).await;
    assert_eq!(pool.retain(|_| false), 2);

    // Not opened at all, and not meanwhile.
    *backend.connect.lock() = Gate::Error;
    pool.get().await.map(drop).unwrap_err();
    *backend.connect.lock() = Gate::Panic;
    pass(secs(10)).await;
    pool.get().await.map(drop).unwrap_err();
    *backend.connect.lock() = Gate::Ok;
    pass(secs(10)).await;
    pool.pause();
    pool.get().await.map(drop).unwrap_err();
    pool.ready();
    nothing_is_lost(backend, pool).await;

    // One panic upon another would end the process.
    let (held, lease) = (pool.get().await.unwrap(), pool.lease().await.unwrap());
    let panics = catch_unwind(AssertUnwindSafe(move || {
        let _held = (held, lease);
        panic!("in the middle of a request");
    }));
    assert!(panics.is_err());
    nothing_is_lost(backend, pool).await;

    pool.close();
    pool.get().await.map(drop).unwrap_err();
    assert_eq!((pool.status().size, backend.live()), (0, 0));
}

const EVENTS: [&str; 12] = [
    "created",
    "ready",
    "closed",
    "asked",
    "out",
    "in",
    "failed",
    "leak",
    "PoolCleared",
    "PoolPaused",
    "PoolReady",
    "PoolClosed",
];

#[tokio::test(start_paused = true)]
async fn a_listener_that_panics_at_any_event_loses_no_place() {
    for at in EVENTS {
        let backend = Backend::new(Gate::Ok);
        let (pool, heard) = pool(&backend, at);
        everything_happens(&backend, &pool).await;
        assert!(!heard.take().is_empty(), "nothing was {at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_always_panics_loses_no_place() {
    let backend = Backend::new(Gate::Ok);
    let (pool, heard) = pool(&backend, "");
    everything_happens(&backend, &pool).await;
    let heard = heard.take();
    for at in EVENTS {
        assert!(heard.iter().any(|event| event.starts_with(at)), "{at}");
    }
}

struct BadWaker;

impl Wake for BadWaker {
    fn wake(self: Arc<Self>) {
        panic!("the waker panics, as the test asks it to");
    }
}

fn in_line<F: Future>(future: F) -> Spawn<F> {
    let mut waiter = task::spawn(future);
    assert!(waiter.poll().is_pending());
    waiter
}

/// All are told by one and the same task, in one go.
#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_costs_nobody_else_his_deadline() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).wait_timeout(secs(1));
    let pool = pool.build().unwrap();
    let held = pool.get().await.unwrap();
    let mut before = in_line(pool.get());
    let mut bad = pin!(pool.get());
    let waker = Waker::from(Arc::new(BadWaker));
    assert_pending!(bad.as_mut().poll(&mut Context::from_waker(&waker)));
    let mut after: Vec<_> = (0..3).map(|_| in_line(pool.get())).collect();
    let mut lease = in_line(pool.lease());

    pass(secs(2)).await;
    assert!(before.is_woken() && lease.is_woken());
    assert!(after.iter().all(Spawn::is_woken));
    assert!(matches!(before.poll(), Poll::Ready(outcome) if is_timeout(&outcome)));
    assert!(matches!(lease.poll(), Poll::Ready(outcome) if is_timeout(&outcome)));
    for waiter in &mut after {
        assert!(matches!(waiter.poll(), Poll::Ready(outcome) if is_timeout(&outcome)));
    }

    // That panic was the end of whoever called it: another one keeps the deadlines now.
    let mut next = in_line(pool.get());
    pass(secs(2)).await;
    assert!(next.is_woken());
    assert!(matches!(next.poll(), Poll::Ready(outcome) if is_timeout(&outcome)));
    drop(held);
    drop(pool.get().await.unwrap());
    assert_eq!((pool.status().idle, backend.attempts()), (1, 1));
}

/// A pool that is closed wakes everybody from the caller's own thread: the panic is his, once all know.
#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_keeps_no_one_else_from_hearing_that_the_pool_is_closed() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).build().unwrap();
    let _held = pool.get().await.unwrap();
    let mut bad = pin!(pool.get());
    let waker = Waker::from(Arc::new(BadWaker));
    assert_pending!(bad.as_mut().poll(&mut Context::from_waker(&waker)));
    let after: Vec<_> = (0..3).map(|_| in_line(pool.get())).collect();
    assert!(catch_unwind(AssertUnwindSafe(|| pool.close())).is_err());
    assert!(pool.is_closed() && after.iter().all(Spawn::is_woken));
}
