//! G1: connections, those being opened included, never exceed `max_size`. The backend counts.

mod common;

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use common::{Backend, Gate, until};
use wait_pool::{Manager, Pool};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_never_opens_more_than_the_bound() {
    let backend = Backend::new(Gate::Slow);
    let pool = backend.pool().max_size(5).max_leases(4).build().unwrap();
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..500u64 {
        let pool = pool.clone();
        callers.spawn(async move {
            let mut rng = fastrand::Rng::with_seed(number);
            for _ in 0..20 {
                if rng.bool() {
                    let held = pool.get().await.unwrap();
                    tokio::task::yield_now().await;
                    match rng.u32(0..4) {
                        0 => held.broken.store(true, SeqCst),
                        1 => held.discard(),
                        _ => {}
                    }
                } else {
                    let held = pool.lease().await.unwrap();
                    tokio::task::yield_now().await;
                    match rng.u32(0..8) {
                        0 => held.broken.store(true, SeqCst),
                        1 => held.discard(),
                        _ => {}
                    }
                }
            }
        });
    }
    callers.join_all().await;
    assert_eq!(backend.peak(), 5, "all places were used, and no more");
    assert!(
        backend.attempts() > 100,
        "connections were replaced all the time"
    );
    until("attempts under way end", || pool.status().opening == 0).await;
    assert_eq!(backend.live(), pool.status().size);
}

#[tokio::test]
async fn attempts_that_hang_take_their_places() {
    let backend = Backend::new(Gate::Never);
    let pool = backend
        .pool()
        .max_size(3)
        .max_connecting(8)
        .wait_timeout(Duration::from_millis(50))
        .build()
        .unwrap();
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.get().await.map(drop) })
        })
        .collect();
    for caller in callers {
        assert!(caller.await.unwrap().is_err());
    }
    assert_eq!((backend.attempts(), backend.peak()), (3, 3));
    assert_eq!((pool.status().opening, pool.status().size), (3, 3));
}

#[tokio::test]
async fn a_detached_connection_makes_room_for_another() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).build().unwrap();
    let kept = pool.get().await.unwrap().detach();
    assert_eq!(pool.status().size, 0);
    let other = pool.get().await.unwrap();
    assert_ne!(kept.number, other.number);
    drop(other);
    assert_eq!(
        backend.live(),
        2,
        "the pool no longer counts the one taken out"
    );
}

#[tokio::test]
async fn a_shared_connection_found_broken_counts_until_its_last_lease_ends() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend
        .pool()
        .max_size(1)
        .max_leases(3)
        .wait_timeout(Duration::from_millis(20))
        .build()
        .unwrap();
    let (first, second) = (pool.lease().await.unwrap(), pool.lease().await.unwrap());
    first.discard();
    assert!(
        pool.lease().await.is_err(),
        "no new lease on a broken connection"
    );
    assert_eq!((backend.live(), pool.status().size), (1, 1));
    drop(second);
    assert_eq!((backend.live(), pool.status().size), (0, 0));
    assert_eq!(pool.lease().await.unwrap().number, 1);
}

/// A connection that asks its pool for the figures while it is being dropped.
struct Tells(std::sync::Arc<Shown>);

#[derive(Default)]
struct Shown {
    pool: std::sync::OnceLock<Pool<Telling>>,
    sizes: parking_lot::Mutex<Vec<usize>>,
}

impl Drop for Tells {
    fn drop(&mut self) {
        // Would hang here if the pool dropped connections under its lock.
        let size = self.0.pool.get().map(|pool| pool.status().size);
        self.0.sizes.lock().extend(size);
    }
}

struct Telling(std::sync::Arc<Shown>);

impl Manager for Telling {
    type Connection = Tells;
    type Error = std::io::Error;

    async fn connect(&self) -> std::io::Result<Tells> {
        Ok(Tells(std::sync::Arc::clone(&self.0)))
    }

    async fn check(&self, _: &mut Tells) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_connection_counts_until_it_is_gone_and_is_dropped_without_the_lock() {
    let shown = std::sync::Arc::new(Shown::default());
    let pool = Pool::builder(Telling(std::sync::Arc::clone(&shown)));
    let pool = pool.max_size(2).max_connecting(1).build().unwrap();
    shown.pool.set(pool.clone()).map_err(drop).unwrap();
    let (first, second) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    first.discard();
    assert_eq!(*shown.sizes.lock(), [2]);
    drop(second);
    pool.close();
    assert_eq!(*shown.sizes.lock(), [2, 1]);
    assert_eq!(pool.status().size, 0);
}
