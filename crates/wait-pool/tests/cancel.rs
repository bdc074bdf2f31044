//! G4: a future dropped at any await point leaks no connection, no place and no wake-up.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Backend, Connection, Connector, Gate, Refused, runtime, until};
use parking_lot::Mutex;
use tokio_test::{assert_pending, assert_ready_ok, task};
use wait_pool::Hook;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Get,
    Lease,
}

/// What `get` or `lease` resolves to, as one type.
async fn take(pool: &wait_pool::Pool<Connector>, how: How) -> bool {
    match how {
        How::Get => pool.get().await.is_ok(),
        How::Lease => pool.lease().await.is_ok(),
    }
}

/// Passes a gate of its own.
#[derive(Clone)]
struct Gated {
    backend: Arc<Backend>,
    gate: Arc<Mutex<Gate>>,
}

#[async_trait::async_trait]
impl Hook<Connector> for Gated {
    async fn call(&self, _: &mut Connection) -> Result<(), Refused> {
        let gate = *self.gate.lock();
        self.backend.pass(gate).await
    }
}

/// The ways through a checkout: what becomes of opening, of checking, and of what is done before the
/// connection is used.
#[derive(Clone, Copy, Debug)]
struct Gates {
    connect: Gate,
    check: Gate,
    before_use: Option<Gate>,
    stale: bool,
}

/// Drops a caller after its `polls`-th poll, with the gates as given, and then checks that every
/// place can be had and that the backend counts what the pool counts.
async fn drop_after(how: How, gates: Gates, polls: usize) -> bool {
    let context = format!("{how:?}, {gates:?}, {polls}");
    let Gates {
        connect,
        check,
        before_use,
        stale,
    } = gates;
    let backend = Backend::new(Gate::Ok);
    let gate = Arc::new(Mutex::new(Gate::Ok));
    let mut builder = backend.pool();
    if before_use.is_some() {
        let (backend, gate) = (Arc::clone(&backend), Arc::clone(&gate));
        builder = builder.before_use(Gated { backend, gate });
    }
    let pool = builder
        .max_size(2)
        .max_leases(2)
        .wait_timeout(Duration::from_secs(2))
        .connect_timeout(Duration::from_millis(50))
        .check_timeout(Duration::from_millis(50))
        .connect_backoff(Duration::from_millis(1), Duration::from_millis(2))
        .check_idle_after(if stale {
            Duration::ZERO
        } else {
            Duration::from_secs(60)
        })
        .build()
        .unwrap();
    if stale {
        drop(pool.get().await.unwrap());
    }
    *backend.connect.lock() = connect;
    *backend.check.lock() = check;
    *gate.lock() = before_use.unwrap_or(Gate::Ok);

    let mut caller = task::spawn(take(&pool, how));
    let mut finished = false;
    for _ in 0..polls {
        finished = finished || caller.poll().is_ready();
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
    }
    drop(caller);

    *backend.connect.lock() = Gate::Ok;
    *backend.check.lock() = Gate::Ok;
    *gate.lock() = Gate::Ok;
    let both = tokio::time::timeout(Duration::from_secs(1), async {
        let first = loop {
            if let Ok(first) = pool.get().await {
                break first;
            }
        };
        (first, pool.get().await.unwrap())
    });
    let both = both
        .await
        .unwrap_or_else(|_| panic!("a place is lost: {context}"));
    assert_eq!(pool.status().in_use, 2, "{context}");
    drop(both);
    // They end with their timeouts at the latest.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(pool.status().opening, 0, "{context}");
    assert_eq!(backend.live(), pool.status().size, "{context}");
    assert_eq!(pool.status().waiting, 0, "{context}");
    assert!(
        backend.peak() <= 2,
        "{context}: {} open at once",
        backend.peak()
    );
    finished
}

/// bb8#59, bb8#67, mobc#63, asyncpg#467: a caller whose time was up in the middle took a place or a
/// connection with it, until the pool had none left.
#[tokio::test(start_paused = true)]
async fn a_future_dropped_after_any_poll_leaks_nothing() {
    let gates = [Gate::Ok, Gate::Error, Gate::Slow, Gate::Never];
    let hooks = [None].into_iter().chain(gates.map(Some));
    let mut finished = 0;
    for before_use in hooks {
        for connect in gates {
            for (check, stale) in gates
                .into_iter()
                .flat_map(|gate| [(gate, false), (gate, true)])
            {
                let gates = Gates {
                    connect,
                    check,
                    before_use,
                    stale,
                };
                // Shared connections have no hook.
                let ways = match before_use {
                    None => &[How::Get, How::Lease][..],
                    Some(_) => &[How::Get],
                };
                for &how in ways {
                    for polls in 0..9 {
                        finished += usize::from(drop_after(how, gates, polls).await);
                    }
                }
            }
        }
    }
    // Some of these callers were dropped after they were done, or the matrix reaches no end.
    assert!(finished > 50, "only {finished} callers got to an end");
}

/// sqlx#83, sqlx#453, sqlx#620, sqlx#622: a waiter that was woken and then cancelled kept the wake-up to
/// itself, and all behind it waited beside an idle connection.
#[tokio::test]
async fn a_connection_handed_to_a_dropped_waiter_goes_to_the_next() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend
        .pool()
        .max_size(1)
        .wait_timeout(None)
        .build()
        .unwrap();
    let held = pool.get().await.unwrap();
    let mut first = task::spawn(pool.get());
    let mut second = task::spawn(pool.get());
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    drop(held);
    assert!(first.is_woken() && !second.is_woken());
    drop(first);
    assert!(second.is_woken(), "the grant of the dropped waiter is lost");
    drop(assert_ready_ok!(second.poll()));
}

#[tokio::test]
async fn a_lease_handed_to_a_dropped_waiter_goes_to_the_next() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend
        .pool()
        .max_size(1)
        .max_leases(1)
        .wait_timeout(None)
        .build()
        .unwrap();
    let held = pool.lease().await.unwrap();
    let mut first = task::spawn(pool.lease());
    let mut second = task::spawn(pool.lease());
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    drop(held);
    assert!(first.is_woken() && !second.is_woken());
    drop(first);
    assert!(second.is_woken(), "the grant of the dropped waiter is lost");
    drop(assert_ready_ok!(second.poll()));
}

#[tokio::test]
async fn a_waiter_that_leaves_from_the_middle_disturbs_nobody() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend
        .pool()
        .max_size(1)
        .wait_timeout(None)
        .build()
        .unwrap();
    let held = pool.get().await.unwrap();
    let mut waiters: Vec<_> = (0..3).map(|_| task::spawn(pool.get())).collect();
    for waiter in &mut waiters {
        assert_pending!(waiter.poll());
    }
    drop(waiters.remove(1));
    assert_eq!(pool.status().waiting, 2);
    drop(held);
    let held = assert_ready_ok!(waiters[0].poll());
    drop(held);
    drop(assert_ready_ok!(waiters[1].poll()));
}

#[test]
fn a_connection_whose_check_was_cut_short_is_closed() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend
        .pool()
        .max_size(1)
        .check_idle_after(Duration::ZERO)
        .build()
        .unwrap();
    let first = runtime();
    let number = first.block_on(async { pool.get().await.unwrap().number });
    *backend.check.lock() = Gate::Never;
    first.block_on(async {
        let impatient = tokio::time::timeout(Duration::from_millis(5), pool.get());
        assert!(impatient.await.is_err());
    });
    assert_eq!(backend.checks(), 1);
    drop(first);
    assert_eq!((backend.live(), pool.status().size), (0, 0));
    assert_ne!(runtime().block_on(pool.get()).unwrap().number, number);
}

/// Nobody has used it in the meantime, so it has still to be checked.
#[tokio::test(start_paused = true)]
async fn a_grant_that_was_dropped_does_not_count_as_use() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend
        .pool()
        .max_size(2)
        .wait_timeout(None)
        .build()
        .unwrap();
    let (stays, comes_back) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    let mut waiter = task::spawn(pool.get());
    assert_pending!(waiter.poll());
    drop(comes_back);
    tokio::time::advance(Duration::from_secs(31)).await;
    drop(waiter);
    drop(pool.get().await.unwrap());
    assert_eq!(
        backend.checks(),
        1,
        "last used 31 s ago, so it has to be checked"
    );
    drop(stays);
}

/// Random callers, random patience: afterwards every place can be had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_aborted_callers_leaves_every_place_free() {
    let backend = Backend::new(Gate::Slow);
    let pool = backend.pool().max_size(4).max_leases(3).build().unwrap();
    let mut rng = fastrand::Rng::with_seed(4);
    for _ in 0..200 {
        let callers: Vec<_> = (0..50)
            .map(|_| {
                let (pool, turns, how) = (pool.clone(), rng.u32(0..6), rng.bool());
                tokio::spawn(async move {
                    if how {
                        let held = pool.get().await;
                        for _ in 0..turns {
                            tokio::task::yield_now().await;
                        }
                        drop(held);
                    } else {
                        let held = pool.lease().await;
                        for _ in 0..turns {
                            tokio::task::yield_now().await;
                        }
                        drop(held);
                    }
                })
            })
            .collect();
        for caller in callers {
            for _ in 0..rng.u32(0..3) {
                tokio::task::yield_now().await;
            }
            if rng.bool() {
                caller.abort();
            }
            let _ = caller.await;
        }
    }
    until("rest", || {
        pool.status().opening == 0 && pool.status().in_use == 0
    })
    .await;
    let status = pool.status();
    assert_eq!((status.waiting, status.holders), (0, 0));
    assert_eq!(status.size, backend.live());
    let all = async {
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(pool.get().await.unwrap());
        }
    };
    let one_second = Duration::from_secs(1);
    tokio::time::timeout(one_second, all)
        .await
        .expect("a place is lost");
    assert!(backend.peak() <= 4, "{} open at once", backend.peak());
}
