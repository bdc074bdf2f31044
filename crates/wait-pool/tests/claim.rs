//! G4: a connection handed to a future that nobody polls goes on to the next, and nothing is lost.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::any::Any;
use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use common::{Backend, Connector, Gate, Refused, settle, until};
use tokio::time::advance;
use tokio_test::task::Spawn;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use wait_pool::{AcquireError, Pool};

/// A connection, held in whatever way.
type Held = Box<dyn Any + Send>;
type Asking<'a> = Pin<Box<dyn Future<Output = Result<Held, AcquireError<Refused>>> + Send + 'a>>;
type Way = for<'a> fn(&'a Pool<Connector>) -> Asking<'a>;

fn get(pool: &Pool<Connector>) -> Asking<'_> {
    let asking = pool.get();
    Box::pin(async { asking.await.map(|held| Box::new(held) as Held) })
}

fn lease(pool: &Pool<Connector>) -> Asking<'_> {
    let asking = pool.lease();
    Box::pin(async { asking.await.map(|held| Box::new(held) as Held) })
}

const WAYS: [(Way, Way); 4] = [(get, get), (lease, lease), (get, lease), (lease, get)];

/// A pool with one connection for one caller at a time, and who has it.
async fn one() -> (Pool<Connector>, Held) {
    let pool = Backend::new(Gate::Ok).pool().max_size(1).max_leases(1);
    let pool = pool.wait_timeout(None).build().unwrap();
    let held = pool.get().await.unwrap();
    (pool, Box::new(held))
}

fn waiting(asking: Asking<'_>) -> Spawn<Asking<'_>> {
    let mut asking = task::spawn(asking);
    assert_pending!(asking.poll());
    asking
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

async fn pass(time: Duration) {
    advance(time).await;
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_picks_up_goes_to_the_next_and_its_owner_is_back_in_his_place_when_polled() {
    for (of_the_lost, of_others) in WAYS {
        let (pool, held) = one().await;
        let mut lost = waiting(of_the_lost(&pool));
        let mut next = waiting(of_others(&pool));
        let mut third = waiting(of_others(&pool));
        drop(held);
        assert!(lost.is_woken());
        pass(ms(249)).await;
        assert!(!next.is_woken(), "it may still come");
        pass(ms(2)).await;
        assert!(next.is_woken());
        let held = assert_ready_ok!(next.poll());
        assert_eq!((pool.status().holders, pool.status().waiting), (1, 1));
        // It was first, and is again.
        assert_pending!(lost.poll());
        assert_eq!(pool.status().waiting, 2);
        drop(held);
        assert!(lost.is_woken() && !third.is_woken());
        drop(assert_ready_ok!(lost.poll()));
        drop(assert_ready_ok!(third.poll()));
        assert_eq!((pool.status().size, pool.status().idle), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_to_pick_up_is_a_setting() {
    let pool = Backend::new(Gate::Ok).pool().max_size(1);
    let pool = pool.claim_timeout(Duration::from_secs(2)).build().unwrap();
    let held = pool.get().await.unwrap();
    let mut lost = waiting(get(&pool));
    let next = waiting(get(&pool));
    drop(held);
    pass(ms(1_999)).await;
    assert!(lost.is_woken() && !next.is_woken());
    pass(ms(2)).await;
    assert!(next.is_woken());
    assert_pending!(lost.poll());
}

#[test]
fn no_time_to_pick_up_is_refused() {
    let builder = Backend::new(Gate::Ok).pool().claim_timeout(Duration::ZERO);
    assert_eq!(builder.build().unwrap_err().setting(), "claim_timeout");
}

#[tokio::test(start_paused = true)]
async fn who_picks_up_in_time_keeps_it() {
    let (pool, held) = one().await;
    let mut first = waiting(get(&pool));
    let next = waiting(get(&pool));
    drop(held);
    pass(ms(249)).await;
    let held = assert_ready_ok!(first.poll());
    pass(Duration::from_secs(10)).await;
    assert!(!next.is_woken());
    drop(held);
    assert!(next.is_woken());
}

#[tokio::test(start_paused = true)]
async fn while_nobody_else_waits_it_may_stay_where_it_is() {
    for (way, _) in WAYS {
        let (pool, held) = one().await;
        let mut only = waiting(way(&pool));
        drop(held);
        pass(Duration::from_secs(10)).await;
        assert_eq!((pool.status().in_use, pool.status().idle), (1, 0));
        drop(assert_ready_ok!(only.poll()));
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_later_gets_it_when_the_time_is_up() {
    for (of_the_lost, of_others) in WAYS {
        let (pool, held) = one().await;
        let lost = waiting(of_the_lost(&pool));
        drop(held);
        pass(ms(100)).await;
        let mut later = waiting(of_others(&pool));
        pass(ms(149)).await;
        assert!(!later.is_woken());
        pass(ms(2)).await;
        assert!(later.is_woken());
        drop(assert_ready_ok!(later.poll()));
        drop(lost);

        let held = pool.get().await.unwrap();
        let _lost = waiting(of_the_lost(&pool));
        drop(held);
        pass(Duration::from_secs(10)).await;
        let mut much_later = waiting(of_others(&pool));
        settle().await;
        assert!(much_later.is_woken(), "the time has long been up");
        drop(assert_ready_ok!(much_later.poll()));
    }
}

#[tokio::test(start_paused = true)]
async fn who_lost_it_takes_what_has_become_free_meanwhile() {
    let (pool, held) = one().await;
    let mut lost = waiting(get(&pool));
    let mut next = waiting(get(&pool));
    drop(held);
    pass(ms(251)).await;
    drop(assert_ready_ok!(next.poll()));
    assert_eq!(pool.status().idle, 1, "nobody is in line");
    drop(assert_ready_ok!(lost.poll()));
}

#[tokio::test(start_paused = true)]
async fn who_lost_it_and_is_dropped_leaves_nothing_behind() {
    for (of_the_lost, of_others) in WAYS {
        let (pool, held) = one().await;
        let lost = waiting(of_the_lost(&pool));
        let mut next = waiting(of_others(&pool));
        drop(held);
        pass(ms(251)).await;
        drop(lost);
        drop(assert_ready_ok!(next.poll()));
        let status = pool.status();
        assert_eq!((status.idle, status.holders, status.waiting), (1, 0, 0));

        // Nor does who is dropped in time.
        let held = pool.get().await.unwrap();
        let lost = waiting(of_the_lost(&pool));
        let mut next = waiting(of_others(&pool));
        drop(held);
        drop(lost);
        drop(assert_ready_ok!(next.poll()));
        assert_eq!((pool.status().size, pool.status().idle), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_crowd_of_lost_ones_keeps_nothing_from_others() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(4).max_leases(2).build().unwrap();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(pool.get().await.unwrap());
    }
    let mut lost: Vec<_> = (0..2).map(|_| waiting(get(&pool))).collect();
    lost.extend((0..4).map(|_| waiting(lease(&pool))));
    let mut others: Vec<_> = (0..4).map(|_| waiting(get(&pool))).collect();
    held.clear();
    assert!(lost.iter().all(|one| one.is_woken()));
    pass(ms(251)).await;
    let held = others.iter_mut().map(|one| assert_ready_ok!(one.poll()));
    drop(held.collect::<Vec<_>>());
    let held = lost.iter_mut().map(|one| assert_ready_ok!(one.poll()));
    drop(held.collect::<Vec<_>>());
    let status = pool.status();
    assert_eq!((status.idle, status.holders, status.waiting), (4, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn who_lost_it_and_is_polled_past_its_deadline_is_told_so() {
    let pool = Backend::new(Gate::Ok).pool().max_size(1).max_leases(1);
    let pool = pool.wait_timeout(Duration::from_secs(1)).build().unwrap();
    for way in [get, lease] as [Way; 2] {
        let held = pool.get().await.unwrap();
        let mut lost = waiting(way(&pool));
        let mut next = waiting(get(&pool));
        drop(held);
        pass(ms(251)).await;
        let held = assert_ready_ok!(next.poll());
        pass(Duration::from_secs(2)).await;
        let AcquireError::Timeout(report) = assert_ready_err!(lost.poll()) else {
            panic!("expected a timeout")
        };
        assert_eq!(
            (report.waited.as_millis() / 10, report.status.waiting),
            (225, 1)
        );
        drop((held, lost));
        assert_eq!((pool.status().idle, pool.status().waiting), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn who_lost_it_and_is_polled_in_a_paused_or_closed_pool_is_told_so() {
    for (close, way) in [
        (false, get as Way),
        (true, get),
        (false, lease),
        (true, lease),
    ] {
        let (pool, held) = one().await;
        let mut lost = waiting(way(&pool));
        let mut next = waiting(get(&pool));
        drop(held);
        pass(ms(251)).await;
        drop(assert_ready_ok!(next.poll()));
        match close {
            true => pool.close(),
            false => pool.pause(),
        }
        let told = assert_ready!(lost.poll());
        match close {
            true => assert!(matches!(told, Err(AcquireError::Closed)), "{told:?}"),
            false => assert!(matches!(told, Err(AcquireError::Paused { .. })), "{told:?}"),
        }
        settle().await;
        assert_eq!((pool.status().waiting, pool.status().opening), (0, 0));
    }
}

/// RFD 609, "futurelock": a task holds a future that has been handed what it waited
/// for, does not poll it, and waits for the same thing in another. With a fair mutex that is for ever.
#[tokio::test(start_paused = true)]
async fn a_task_that_waits_for_the_pool_beside_a_future_it_does_not_poll_goes_on() {
    let (pool, held) = one().await;
    let background = tokio::spawn(async move {
        tokio::time::sleep(ms(10)).await;
        drop(held);
    });
    let begun = tokio::time::Instant::now();
    let mut first = pin!(pool.get());
    let second = tokio::select! {
        biased;
        _ = &mut first => panic!("it is held"),
        () = tokio::time::sleep(ms(5)) => pool.get().await.unwrap(),
    };
    assert_eq!(begun.elapsed().as_millis() / 10, 26, "10 and 250 ms");
    background.await.unwrap();
    drop(second);
    drop(first.await.unwrap());
    assert_eq!((pool.status().idle, pool.status().size), (1, 1));
}

/// tokio#6450: two waiters of one task, and it awaits the second.
#[tokio::test(start_paused = true)]
async fn of_two_futures_in_line_a_task_may_await_the_second_first() {
    let (pool, held) = one().await;
    let mut first = pin!(pool.get());
    let mut second = pin!(pool.lease());
    tokio::select! {
        biased;
        _ = &mut first => panic!("it is held"),
        _ = &mut second => panic!("it is held"),
        () = std::future::ready(()) => {}
    }
    drop(held);
    drop(second.await.unwrap());
    drop(first.await.unwrap());
}

/// The same in a stream of futures whose consumer waits for the pool itself: of all that were handed
/// something, one is polled at a time.
#[tokio::test(start_paused = true)]
async fn a_loop_over_futures_that_waits_for_the_pool_in_its_body_ends() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend
        .pool()
        .max_size(2)
        .wait_timeout(None)
        .build()
        .unwrap();
    let mut held = vec![pool.get().await.unwrap(), pool.get().await.unwrap()];
    let mut futures: Vec<_> = (0..6).map(|_| waiting(get(&pool))).collect();
    held.clear();
    while !futures.is_empty() {
        let ready = |one: &Spawn<Asking<'_>>| one.is_woken();
        until("one of them", || futures.iter().any(ready)).await;
        let place = futures.iter().position(ready).unwrap();
        let polled = futures[place].poll();
        if polled.is_ready() {
            drop(futures.remove(place));
            drop(polled);
        }
        drop(pool.get().await.unwrap());
    }
    assert_eq!((pool.status().idle, pool.status().waiting), (2, 0));
}
