//! A caller that is not there when its turn comes: its grant goes to another one, and it keeps its
//! place. What happens to those in line meanwhile happens to it as well.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;

use tokio::sync::oneshot;
use tokio_test::task::Spawn;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use wait_pool::{AcquireError, Pool, Pooled};

use crate::common::{Backend, Connector, Gate, Refused};
use crate::{ms, pass, secs, turns};

type Outcome = Result<Pooled<Connector>, AcquireError<Refused>>;

/// Has the only connection go by way of `absent`, which is not there, to who is next, who holds it.
async fn passes_by(
    pool: &Pool<Connector>,
    absent: &mut Spawn<impl Future<Output = Outcome>>,
) -> Pooled<Connector> {
    let held = pool.get().await.unwrap();
    assert_pending!(absent.poll());
    let mut next = task::spawn(pool.get());
    assert_pending!(next.poll());
    drop(held);
    assert!(absent.is_woken() && !next.is_woken());
    pass(ms(300)).await;
    assert!(next.is_woken(), "the first did not come");
    assert_ready_ok!(next.poll())
}

#[tokio::test(start_paused = true)]
async fn who_was_absent_is_turned_away_from_a_closed_pool() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).build().unwrap();
    let mut absent = task::spawn(pool.get());
    let held = passes_by(&pool, &mut absent).await;
    pool.close();
    let closed = assert_ready_err!(absent.poll());
    assert!(matches!(closed, AcquireError::Closed), "{closed:?}");
    drop(held);
    assert_eq!((pool.status().size, pool.status().waiting), (0, 0));
}

/// A closed pool has room, and nobody gets it: who was woken for it each time would spin.
#[tokio::test(start_paused = true)]
async fn who_was_absent_does_not_ask_a_closed_pool_for_room_again_and_again() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).build().unwrap();
    let mut absent = task::spawn(pool.get());
    let held = passes_by(&pool, &mut absent).await;
    pool.close();
    drop(held);
    assert_eq!(pool.status().size, 0);
    for polls in 1.. {
        if let Poll::Ready(outcome) = absent.poll() {
            assert!(matches!(outcome, Err(AcquireError::Closed)));
            assert_eq!(polls, 1);
            break;
        }
        turns().await;
        assert!(absent.is_woken() && polls < 10, "polled {polls} times");
    }
    assert_eq!(backend.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_was_absent_is_turned_away_from_a_paused_pool() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).build().unwrap();
    let mut absent = task::spawn(pool.get());
    let held = passes_by(&pool, &mut absent).await;
    pool.pause();
    held.discard();
    let paused = assert_ready_err!(absent.poll());
    assert!(matches!(paused, AcquireError::Paused { .. }), "{paused:?}");
    turns().await;
    assert_eq!((backend.attempts(), pool.status().size), (1, 0));
    pool.ready();
    drop(pool.get().await.unwrap());
}

/// The case that grants are taken back for: a `select!` whose other branch takes its time.
#[tokio::test(start_paused = true)]
async fn a_select_that_was_elsewhere_while_the_pool_was_closed_ends_at_once() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).wait_timeout(None);
    let pool = pool.build().unwrap();
    let held = pool.get().await.unwrap();
    let (polls, (go_on, elsewhere)) = (Arc::new(AtomicUsize::new(0)), oneshot::channel::<()>());
    let select = tokio::spawn({
        let (pool, polls) = (pool.clone(), Arc::clone(&polls));
        async move {
            let mut get = pin!(pool.get());
            let mut get = pin!(poll_fn(|cx| {
                polls.fetch_add(1, SeqCst);
                get.as_mut().poll(cx)
            }));
            tokio::select! {
                biased;
                _ = &mut get => panic!("it is held"),
                () = std::future::ready(()) => elsewhere.await.unwrap(),
            }
            get.await.map(drop)
        }
    });
    turns().await;
    let mut next = task::spawn(pool.get());
    assert_pending!(next.poll());
    drop(held);
    pass(secs(1)).await;
    let _held = assert_ready_ok!(next.poll());
    pool.close();
    go_on.send(()).unwrap();
    turns().await;
    assert!(select.is_finished(), "polled {} times", polls.load(SeqCst));
    assert!(matches!(select.await.unwrap(), Err(AcquireError::Closed)));
    assert_eq!(polls.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_waits_out_a_failure_does_not_begin_while_the_pool_is_paused() {
    let backend = Backend::new(Gate::Error);
    let pool = backend.pool().max_size(1).min_idle(1).build().unwrap();
    let refused = pool.get().await.map(drop).unwrap_err();
    assert!(matches!(refused, AcquireError::Connect(_)));
    assert_eq!((backend.attempts(), pool.status().opening), (1, 1));
    pool.pause();
    pass(secs(30)).await;
    assert_eq!((backend.attempts(), pool.status().opening), (1, 0));

    *backend.connect.lock() = Gate::Ok;
    pool.ready();
    turns().await;
    assert_eq!((backend.attempts(), pool.status().idle), (2, 1));
}

/// It may have been doubted while nobody had it in his hands.
#[tokio::test(start_paused = true)]
async fn a_connection_that_was_not_picked_up_keeps_its_doubt() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).build().unwrap();
    let held = pool.get().await.unwrap();
    let mut absent = task::spawn(pool.get());
    assert_pending!(absent.poll());
    drop(held);
    pool.doubt_idle();
    drop(absent);
    assert_eq!((pool.status().idle, backend.checks()), (1, 0));
    drop(pool.get().await.unwrap());
    assert_eq!((backend.checks(), backend.attempts()), (1, 1));
}
