//! Opening connections: whose they are, how many, what goes on meanwhile.

use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, task};
use wait_pool::{AcquireError, Manager, Pool};

use crate::common::{Backend, Connector, Gate, runtime, until};
use crate::open;

const MILLISECOND: Duration = Duration::from_millis(1);

/// sqlx#3132, sqlx#3513: the caller's timeout took the connection with it that was being opened for
/// it. Under load that made 20,000 log-ins a second, all for nothing. deadpool does the same: with
/// connects of 60 ms and callers that wait for 50 ms nobody was ever served.
#[tokio::test(start_paused = true)]
async fn callers_less_patient_than_a_connect_takes_are_served_by_what_others_began() {
    let backend = Backend::new(Gate::Takes(60 * MILLISECOND));
    let pool = backend.pool().max_size(4).build().unwrap();
    let mut served = Vec::new();
    for _ in 0..10 {
        let mut wave = JoinSet::new();
        for _ in 0..10 {
            let pool = pool.clone();
            wave.spawn(async move {
                let patient = tokio::time::timeout(50 * MILLISECOND, pool.get());
                patient.await.is_ok_and(|held| held.is_ok())
            });
        }
        let outcomes = wave.join_all().await;
        served.push(outcomes.into_iter().filter(|served| *served).count());
    }
    assert_eq!(served[0], 0, "no connect is as quick as that");
    assert_eq!(served[1..], [10; 9], "the attempts went on");
    assert!(backend.attempts() <= 4, "{} attempts", backend.attempts());
    advance(60 * MILLISECOND).await;
    until("attempts under way end", || pool.status().opening == 0).await;
    assert_eq!(backend.live(), pool.status().size);
}

/// HikariCP#1896, HikariCP#2186, pgdog#1488: connections were opened one after the other, so one
/// connect that hung stopped all others for as long as it did.
#[tokio::test(start_paused = true)]
async fn one_connect_that_hangs_stops_nobody() {
    let backend = Backend::new(Gate::Never);
    let pool = backend.pool().max_size(4).build().unwrap();
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    let caller = |pool: &Pool<Connector>| {
        let pool = pool.clone();
        async move {
            let held = pool.get().await.unwrap();
            tokio::task::yield_now().await;
            held.number
        }
    };
    callers.spawn(caller(&pool));
    until("one hangs", || backend.attempts() == 1).await;
    *backend.connect.lock() = Gate::Ok;
    for _ in 0..50 {
        callers.spawn(caller(&pool));
    }
    let numbers = callers.join_all().await;
    assert_eq!(numbers.len(), 51, "also who had it begun");
    assert!(!numbers.contains(&0));
    assert!(begun.elapsed().is_zero(), "nobody waited for a timeout");
    assert_eq!(pool.status().opening, 1);
    advance(Duration::from_secs(6)).await;
    until("it is given up", || pool.status().opening == 0).await;
    assert_eq!(backend.live(), pool.status().size);
}

/// deadpool#201: after a restart of the server callers went through the dead connections in a tight
/// loop, all cores busy, and never came to an end.
#[tokio::test(start_paused = true)]
async fn a_restart_costs_one_check_for_each_dead_connection_and_attempts_with_pauses() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(8).build().unwrap();
    open(&pool, 8).await;
    advance(Duration::from_secs(31)).await;
    *backend.check.lock() = Gate::Error;
    *backend.connect.lock() = Gate::Error;
    let error = pool.get().await.unwrap_err();
    assert!(matches!(error, AcquireError::Connect(_)), "{error}");
    assert_eq!((backend.checks(), backend.attempts()), (8, 9));
    assert_eq!(backend.live(), 0, "the dead ones are gone");

    for _ in 0..100 {
        let impatient = tokio::time::timeout(10 * MILLISECOND, pool.get());
        assert!(!impatient.await.is_ok_and(|held| held.is_ok()));
    }
    let (checks, attempts) = (backend.checks(), backend.attempts());
    // In at most 1 s, with pauses of 0.1, 0.2, 0.4 and 0.8 s, less up to a quarter.
    assert!(checks == 8 && attempts <= 13, "{checks}, {attempts}");
    *backend.connect.lock() = Gate::Ok;
    while pool.get().await.is_err() {}
}

/// r2d2#142: building a pool connected, and hung while the server was starting up.
#[test]
fn building_a_pool_opens_nothing_and_waits_for_nobody() {
    let backend = Backend::new(Gate::Never);
    let runtime = runtime();
    let outside = backend.pool().min_idle(3).build().unwrap();
    let _inside = runtime.enter();
    let inside = backend.pool().min_idle(3).build().unwrap();
    for _ in 0..10 {
        runtime.block_on(tokio::task::yield_now());
    }
    assert_eq!((outside.status().size, inside.status().size), (0, 0));
    assert_eq!(backend.attempts(), 0);
}

/// A manager that uses its own pool while it opens and checks.
#[derive(Clone, Default)]
struct Looking(Arc<OnceLock<Pool<Self>>>);

impl Looking {
    fn look(&self) {
        let pool = self.0.get().unwrap();
        assert!(pool.status().size > 0);
        drop(pool.try_get());
        drop(pool.try_lease());
        pool.retain(|()| true);
    }
}

impl Manager for Looking {
    type Connection = ();
    type Error = std::io::Error;

    async fn connect(&self) -> std::io::Result<()> {
        self.look();
        tokio::task::yield_now().await;
        self.look();
        Ok(())
    }

    async fn check(&self, (): &mut ()) -> std::io::Result<()> {
        self.look();
        tokio::task::yield_now().await;
        self.look();
        Ok(())
    }

    fn is_broken(&self, (): &()) -> bool {
        self.look();
        false
    }
}

/// redis-py#2997 and its `test_lock_not_held_during_connection_establishment`: the pool's lock was
/// held while a connection was made, so everybody else stood still, whatever they wanted.
#[test]
fn no_lock_is_held_while_connections_are_opened_checked_or_judged() {
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        runtime().block_on(async {
            let manager = Looking::default();
            let own = Arc::clone(&manager.0);
            let pool = Pool::builder(manager).check_idle_after(Duration::ZERO);
            let pool = pool.max_size(2).build().unwrap();
            own.set(pool.clone()).map_err(drop).unwrap();
            for _ in 0..10 {
                drop((pool.get().await.unwrap(), pool.lease().await.unwrap()));
                std::thread::yield_now();
            }
        });
        done.send(()).unwrap();
    });
    let ended = ended.recv_timeout(Duration::from_secs(20));
    assert!(ended.is_ok(), "user code ran under the lock");
}

/// The same from outside: an attempt that hangs keeps nobody from anything.
#[tokio::test]
async fn while_a_connect_hangs_the_pool_answers() {
    let backend = Backend::new(Gate::Never);
    let pool = backend.pool().max_size(2).build().unwrap();
    let mut waiter = task::spawn(pool.get());
    assert_pending!(waiter.poll());
    until("it hangs", || backend.attempts() == 1).await;
    assert_eq!((pool.status().opening, pool.status().waiting), (1, 1));
    assert!(pool.try_get().is_err() && pool.try_lease().is_err());
    assert_eq!(pool.retain(|_| false), 0);
    pool.resize(3).unwrap();
    pool.clear();
    drop(waiter);
    assert_eq!((pool.status().max_size, pool.status().waiting), (3, 0));
    pool.close();
}

/// deadpool#380: changing the bound while the pool was used made its sums overflow, and all that came
/// later met a poisoned lock.
#[tokio::test]
async fn the_bound_may_be_changed_all_the_time_and_holds_all_the_time() {
    let backend = Backend::new(Gate::Slow);
    let pool = backend.pool().max_size(10).max_connecting(10);
    let pool = pool.max_leases(2).build().unwrap();
    let mut callers = JoinSet::new();
    for number in 0..40_usize {
        let pool = pool.clone();
        callers.spawn(async move {
            for round in 0..200 {
                if (number + round).is_multiple_of(3) {
                    let _held = pool.lease().await.unwrap();
                    tokio::task::yield_now().await;
                } else {
                    let _held = pool.get().await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        });
    }
    let mut rng = fastrand::Rng::with_seed(380);
    let mut resized = 0;
    while !callers.is_empty() {
        let before = pool.status().size;
        let bound = rng.usize(1..=10);
        pool.resize(bound).unwrap();
        for _ in 0..3 {
            let size = pool.status().size;
            assert!(size <= bound.max(before), "{size}, {before} before {bound}");
            tokio::task::yield_now().await;
        }
        while let Some(ended) = callers.try_join_next() {
            ended.unwrap();
        }
        resized += 1;
    }
    assert!(resized > 100, "{resized} times");
    pool.resize(2).unwrap();
    until("attempts end", || pool.status().opening == 0).await;
    assert!(pool.status().size <= 2 && backend.peak() <= 10);
    assert_eq!(backend.live(), pool.status().size);
}
