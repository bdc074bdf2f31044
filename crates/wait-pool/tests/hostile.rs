//! User code that panics, or that calls the pool where one would not expect it.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use common::{Backend, Gate};
use wait_pool::{Manager, Pool};

/// A connection that does what the test wants when it is asked after or dropped.
struct Trap {
    asked: fn(),
    dropped: fn(),
}

impl Drop for Trap {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            (self.dropped)();
        }
    }
}

struct Traps {
    asked: fn(),
    dropped: fn(),
}

impl Manager for Traps {
    type Connection = Trap;
    type Error = std::io::Error;

    async fn connect(&self) -> std::io::Result<Trap> {
        Ok(Trap {
            asked: self.asked,
            dropped: self.dropped,
        })
    }

    async fn check(&self, _: &mut Trap) -> std::io::Result<()> {
        Ok(())
    }

    fn is_broken(&self, connection: &Trap) -> bool {
        (connection.asked)();
        false
    }
}

#[tokio::test]
async fn a_manager_that_panics_when_asked_loses_no_place() {
    let traps = Traps {
        asked: || panic!("is_broken"),
        dropped: || {},
    };
    let pool = Pool::builder(traps).max_size(1).build().unwrap();
    for _ in 0..3 {
        let held = pool.get().await.unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| drop(held))).is_err());
        assert_eq!((pool.status().size, pool.status().holders), (0, 0));
        let lease = pool.lease().await.unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| drop(lease))).is_err());
        assert_eq!((pool.status().size, pool.status().holders), (0, 0));
    }
}

#[tokio::test]
async fn a_connection_that_panics_when_dropped_loses_no_place() {
    let traps = Traps {
        asked: || {},
        dropped: || panic!("drop"),
    };
    let pool = Pool::builder(traps).max_size(1).build().unwrap();
    for _ in 0..3 {
        let held = pool.get().await.unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| held.discard())).is_err());
        assert_eq!(pool.status().size, 0);
    }
}

/// async-bb8-diesel#47: whoever panics in the middle of a request leaves half of it on the connection.
#[tokio::test]
async fn a_connection_held_in_a_panic_is_closed() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).build().unwrap();
    let held = pool.get().await.unwrap();
    let panics = catch_unwind(AssertUnwindSafe(move || {
        let _held = held;
        panic!("in the middle of a request");
    }));
    assert!(panics.is_err());
    assert_eq!((pool.status().size, backend.live()), (0, 0));
}

struct PanickingWaker;

impl Wake for PanickingWaker {
    fn wake(self: Arc<Self>) {
        panic!("wake");
    }
}

#[tokio::test]
async fn a_waker_that_panics_costs_no_other_caller_its_attempt() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).max_leases(1).build().unwrap();
    let held = pool.get().await.unwrap();
    let waker = Waker::from(Arc::new(PanickingWaker));
    let mut rude = Box::pin(pool.get());
    assert!(
        rude.as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    assert!(catch_unwind(AssertUnwindSafe(|| drop(held))).is_err());
    drop(rude);
    let soon = Duration::from_secs(1);
    let next = tokio::time::timeout(soon, pool.get()).await;
    assert!(next.expect("the place is lost").is_ok());
}

/// A waker whose clones and drops look at the pool: it would hang if that were under the lock.
struct Curious {
    pool: Arc<OnceLock<Pool<common::Connector>>>,
    looked: AtomicBool,
}

impl Wake for Curious {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Curious {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.get() {
            pool.status();
            self.looked.store(true, SeqCst);
        }
    }
}

#[test]
fn wakers_are_dropped_without_the_lock() {
    let ends = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let _inside = runtime.enter();
        let backend = Backend::new(Gate::Never);
        let pool = backend.pool().max_size(1).build().unwrap();
        let cell = Arc::new(OnceLock::new());
        cell.set(pool.clone()).unwrap();
        let curious = || {
            let looked = AtomicBool::new(false);
            Waker::from(Arc::new(Curious {
                pool: Arc::clone(&cell),
                looked,
            }))
        };
        let mut caller = Box::pin(pool.get());
        // Replaced by another, and then dropped with the caller.
        for waker in [curious(), curious(), curious()] {
            assert!(
                caller
                    .as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            );
        }
        drop(caller);
        assert_eq!(pool.status().waiting, 0);
    });
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !ends.is_finished() {
        assert!(
            std::time::Instant::now() < deadline,
            "a waker was dropped under the lock"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    ends.join().unwrap();
}
