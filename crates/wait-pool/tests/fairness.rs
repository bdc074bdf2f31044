//! Fairness, counted: in which order, how often, and at what cost.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::cell::Cell;
use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use common::{Backend, Connector, Gate};
use tokio::task::LocalSet;
use tokio::task::coop::unconstrained;
use wait_pool::Pool;

fn pool(size: usize) -> (Arc<Backend>, Pool<Connector>) {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(size).wait_timeout(None).build();
    (backend, pool.unwrap())
}

/// Lets each task that is due have a turn, in the order in which they became so; tokio's own puts the
/// caller behind whatever else may come.
async fn pass() {
    let mut passed = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut passed, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A waker that notes when it is called.
struct Bell {
    number: usize,
    rung: Arc<parking_lot::Mutex<Vec<usize>>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.lock().push(self.number);
    }
}

/// golang/go#31708: waiters were served in random order. php-async#236: of those that were woken some
/// found the connection gone. Here each return wakes one, the first, and what it was woken for is its
/// own: one poll to stand in line and one to take it.
#[tokio::test]
async fn twenty_five_thousand_waiters_are_served_in_the_order_they_came_and_polled_twice_each() {
    const WAITERS: usize = 25_000;
    let (_backend, pool) = pool(3);
    let mut held = VecDeque::new();
    for _ in 0..3 {
        held.push_back(pool.get().await.unwrap());
    }
    let rung = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let mut polls = 0;
    let mut waiters = Vec::new();
    for number in 0..WAITERS {
        let rung = Arc::clone(&rung);
        let waker = Waker::from(Arc::new(Bell { number, rung }));
        let mut waiter = Box::pin(unconstrained(pool.get()));
        let waits = waiter.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(waits.is_pending());
        polls += 1;
        waiters.push((waiter, waker));
    }
    for turn in 0..WAITERS {
        drop(held.pop_front());
        assert_eq!(rung.lock().len(), turn + 1, "each return wakes one");
        let number = rung.lock()[turn];
        let (waiter, waker) = &mut waiters[number];
        match waiter.as_mut().poll(&mut Context::from_waker(waker)) {
            Poll::Ready(connection) => held.push_back(connection.unwrap()),
            Poll::Pending => panic!("{number} was woken for nothing"),
        }
        polls += 1;
    }
    drop(held);
    let rung = rung.lock();
    let inversions = rung.windows(2).filter(|two| two[0] > two[1]).count();
    assert_eq!((inversions, rung.len(), polls), (0, WAITERS, 2 * WAITERS));
    assert_eq!(pool.status().idle, 3);
}

/// Counts how often a future is polled.
async fn counted<T>(future: impl Future<Output = T>, polls: &Cell<u32>) -> T {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| {
        polls.set(polls.get() + 1);
        Pin::new(&mut future).poll(cx)
    })
    .await
}

/// The same in a runtime, with nobody's hand on the polls.
#[tokio::test]
async fn tasks_that_wait_are_polled_twice_each() {
    let (_backend, pool) = pool(3);
    let first = (
        pool.get().await.unwrap(),
        pool.get().await.unwrap(),
        pool.get().await.unwrap(),
    );
    let tasks = LocalSet::new();
    let polls: Vec<_> = (0..2_000).map(|_| Rc::new(Cell::new(0))).collect();
    for polls in &polls {
        let (pool, polls) = (pool.clone(), Rc::clone(polls));
        tasks.spawn_local(async move {
            let _held = counted(pool.get(), &polls).await.unwrap();
            pass().await;
        });
    }
    tasks.run_until(pass()).await;
    while pool.status().waiting < polls.len() {
        tasks.run_until(pass()).await;
    }
    drop(first);
    tasks.await;
    assert!(polls.iter().all(|polls| polls.get() == 2));
}

/// bb8#243: of 1,000 tasks over 50 connections some were passed by others again and again; one in a
/// thousand waited 15 times as long as in other pools.
#[tokio::test]
async fn nobody_is_served_twice_before_everybody_was_served_once() {
    const ROUNDS: usize = 10;
    let (_backend, pool) = pool(50);
    let tasks = LocalSet::new();
    let served: Rc<[Cell<usize>]> = (0..1_000).map(|_| Cell::new(0)).collect();
    // How many tasks have been served so often.
    let reached: Rc<[Cell<usize>]> = (0..=ROUNDS).map(|_| Cell::new(0)).collect();
    for number in 0..served.len() {
        let (pool, served, reached) = (pool.clone(), Rc::clone(&served), Rc::clone(&reached));
        tasks.spawn_local(async move {
            for _ in 0..ROUNDS {
                let _held = pool.get().await.unwrap();
                let round = served[number].get() + 1;
                served[number].set(round);
                reached[round].set(reached[round].get() + 1);
                let before = if round > 1 {
                    &reached[round - 1]
                } else {
                    &Cell::new(served.len())
                };
                assert_eq!(before.get(), served.len(), "{number} in round {round}");
                pass().await;
            }
        });
    }
    tasks.await;
    assert!(served.iter().all(|served| served.get() == ROUNDS));
}

/// php-async#235: who gave a connection back and asked again at once always got it, and the others
/// waited until it went away.
#[tokio::test]
async fn a_caller_in_a_hot_loop_gets_its_share_and_no_more() {
    const GRANTS: usize = 10_000;
    const OTHERS: usize = 9;
    for size in [1, 3] {
        let (_backend, pool) = pool(size);
        let tasks = LocalSet::new();
        let total = Rc::new(Cell::new(0));
        let grants: Rc<[Cell<usize>]> = (0..=OTHERS).map(|_| Cell::new(0)).collect();
        for caller in 0..=OTHERS {
            let (pool, total, grants) = (pool.clone(), Rc::clone(&total), Rc::clone(&grants));
            let hot = caller == 0;
            tasks.spawn_local(async move {
                while total.get() < GRANTS {
                    let held = pool.get().await.unwrap();
                    total.set(total.get() + 1);
                    grants[caller].set(grants[caller].get() + 1);
                    if !hot {
                        pass().await;
                    }
                    drop(held);
                }
            });
        }
        tasks.await;
        let grants: Vec<usize> = grants.iter().map(Cell::get).collect();
        let share = GRANTS / (OTHERS + 1);
        assert!(grants[0] <= share + 2, "of {size}: {grants:?}");
        assert!(
            grants[1..].iter().all(|one| *one + 2 >= share),
            "{grants:?}"
        );
    }
}
