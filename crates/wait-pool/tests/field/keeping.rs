//! Keeping connections: checks, figures, and what comes back unfit.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::coop::unconstrained;
use tokio::time::{advance, sleep};
use tokio_test::{assert_pending, task};
use wait_pool::{Pool, Pooled};

use crate::common::{Backend, Connector, Gate};

/// deadpool#307, relay#1394, chirpstack#794, open-match#1109: a `PING` with each checkout was up to
/// most of what a production server was asked.
#[tokio::test(start_paused = true)]
async fn a_thousand_checkouts_in_a_row_check_nothing() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(4).max_lifetime(None);
    let pool = pool.build().unwrap();
    for round in 0..1_000 {
        match round % 2 {
            0 => drop(pool.get().await.unwrap()),
            _ => drop(pool.lease().await.unwrap()),
        }
        advance(Duration::from_secs(29)).await;
    }
    assert_eq!((backend.checks(), backend.attempts()), (0, 1));
    advance(Duration::from_secs(2)).await;
    drop(pool.get().await.unwrap());
    assert_eq!(backend.checks(), 1, "31 s is long");
}

/// async-bb8-diesel#47: a transaction was cancelled between its statements. Its connection went back
/// with the transaction open, and other requests went on in it without knowing.
#[tokio::test]
async fn the_connection_of_a_cancelled_transaction_is_used_by_nobody_else() {
    /// As a driver would: dirty until the commit has been answered.
    async fn transaction(pool: &Pool<Connector>, answer: &Notify) {
        let connection = pool.get().await.unwrap();
        connection.broken.store(true, SeqCst);
        answer.notified().await;
        connection.broken.store(false, SeqCst);
    }
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).build().unwrap();
    let answer = Notify::new();
    answer.notify_one();
    transaction(&pool, &answer).await;
    let connection = pool.get().await.unwrap();
    assert_eq!((connection.number, backend.live()), (0, 1), "it was kept");
    drop(connection);

    let mut cancelled = task::spawn(transaction(&pool, &answer));
    assert_pending!(cancelled.poll());
    let mut next = task::spawn(pool.get());
    assert_pending!(next.poll());
    drop(cancelled);
    assert_eq!(backend.live(), 0, "it was closed");
    assert_eq!(next.await.unwrap().number, 1);
}

/// The same for who has no flag on its connection: a value whose drop discards it.
#[tokio::test]
async fn a_guard_around_the_guard_can_discard_what_was_not_finished() {
    struct Unfinished(Option<Pooled<Connector>>);

    impl Drop for Unfinished {
        fn drop(&mut self) {
            if let Some(connection) = self.0.take() {
                connection.discard();
            }
        }
    }
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).build().unwrap();
    let mut finished = Unfinished(Some(pool.get().await.unwrap()));
    drop(finished.0.take());
    drop(finished);
    assert_eq!(pool.status().idle, 1);
    drop(Unfinished(Some(pool.get().await.unwrap())));
    assert_eq!((pool.status().size, backend.live()), (0, 0));
}

/// rust-mssql-driver#151, mysql_async#335, mobc#82: figures that are counted up and down beside the
/// pool went their own way, and told of connections that did not exist.
#[tokio::test(start_paused = true)]
async fn figures_equal_the_truth_after_every_random_step() {
    for seed in 0..8 {
        random_steps(fastrand::Rng::with_seed(seed)).await;
    }
}

async fn random_steps(mut rng: fastrand::Rng) {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(4).max_leases(3).min_idle(1);
    let pool = pool.max_connecting(3).wait_timeout(None).build().unwrap();
    let (mut gets, mut leases) = (Vec::new(), Vec::new());
    let (mut held, mut shared, mut detached) = (Vec::new(), Vec::new(), Vec::new());
    for step in 0..1_000 {
        let op = rng.u32(0..20);
        match op {
            0..=3 if gets.len() < 8 => gets.push(task::spawn(unconstrained(pool.get()))),
            4..=6 if leases.len() < 8 => leases.push(task::spawn(unconstrained(pool.lease()))),
            7 => held.extend(pool.try_get().ok()),
            8 => shared.extend(pool.try_lease().ok()),
            0..=3 | 9 | 10 => drop(any(&mut held, &mut rng)),
            4..=6 | 11 | 12 => drop(any(&mut shared, &mut rng)),
            13 => {
                if let Some(connection) = any(&mut held, &mut rng) {
                    detached.push(connection.detach());
                }
                if let Some(lease) = any(&mut shared, &mut rng) {
                    lease.discard();
                }
            }
            14 => {
                if let Some(connection) = any(&mut held, &mut rng) {
                    connection.broken.store(true, SeqCst);
                }
            }
            15 => drop((any(&mut gets, &mut rng), any(&mut leases, &mut rng))),
            16 => pool.resize(rng.usize(1..=6)).unwrap(),
            17 if rng.bool() => pool.clear(),
            17 => drop(any(&mut detached, &mut rng)),
            18 => {
                let gate = |rng: &mut fastrand::Rng| match rng.bool() {
                    true => Gate::Ok,
                    false => Gate::Error,
                };
                *backend.connect.lock() = gate(&mut rng);
                *backend.check.lock() = gate(&mut rng);
            }
            _ => sleep(Duration::from_secs(rng.u64(0..1_200))).await,
        }
        settle(&mut gets, &mut held);
        settle(&mut leases, &mut shared);

        let status = pool.status();
        let numbers = held.iter().map(|one| one.number);
        let in_use: BTreeSet<_> = numbers.chain(shared.iter().map(|one| one.number)).collect();
        let counted = (status.holders, status.in_use, status.waiting);
        let truth = (
            held.len() + shared.len(),
            in_use.len(),
            gets.len() + leases.len(),
        );
        assert_eq!(counted, truth, "step {step}, {op}: {status:?}");
        let known = status.idle + status.in_use + status.opening + status.checking;
        assert_eq!(status.size, known, "step {step}, {op}: {status:?}");
        // An attempt has its place from before it begins.
        let open = backend.live() - detached.len();
        let sure = status.size - status.opening;
        assert!(
            (sure..=status.size).contains(&open),
            "step {step}, {op}: {open} are open, {status:?}"
        );
    }
    drop((gets, leases, held, shared, detached));
    *backend.connect.lock() = Gate::Ok;
    sleep(Duration::from_secs(60)).await;
    let status = pool.status();
    assert_eq!((status.holders, status.in_use, status.waiting), (0, 0, 0));
    assert_eq!((status.opening, status.checking), (0, 0));
    assert_eq!((status.size, status.idle), (backend.live(), backend.live()));
}

fn any<T>(from: &mut Vec<T>, rng: &mut fastrand::Rng) -> Option<T> {
    match from.len() {
        0 => None,
        count => Some(from.swap_remove(rng.usize(0..count))),
    }
}

/// Takes what waiters have been given, and lets go of those that were told of a failure.
fn settle<F, T, E>(waiters: &mut Vec<task::Spawn<F>>, held: &mut Vec<T>)
where
    F: Future<Output = Result<T, E>>,
{
    waiters.retain_mut(|waiter| match waiter.poll() {
        Poll::Pending => true,
        Poll::Ready(outcome) => {
            held.extend(outcome.ok());
            false
        }
    });
}
