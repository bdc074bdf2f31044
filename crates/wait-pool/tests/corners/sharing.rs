//! Shared connections while others want one of their own, and while there are too many or they are
//! too old.

use std::time::Duration;

use tokio_test::{assert_pending, assert_ready_ok, task};
use wait_pool::{Priority, QueuePolicy};

use crate::common::{Backend, Gate};
use crate::{ms, open, pass, secs};

/// The only connection is shared and set aside for who wants it alone. A lease that goes first has the
/// room on it all the same, and leaves it set aside for nobody but the next.
#[tokio::test(start_paused = true)]
async fn a_lease_of_a_higher_class_has_room_on_what_is_set_aside_for_another() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).max_leases(4).build().unwrap();
    let first = pool.lease().await.unwrap();
    let mut alone = task::spawn(pool.get());
    assert_pending!(alone.poll());

    let mut high = task::spawn(pool.request().priority(Priority::High).lease());
    let served_at_once = high.poll();
    assert!(served_at_once.is_ready() || high.is_woken());
    let second = match served_at_once {
        std::task::Poll::Ready(lease) => lease.unwrap(),
        std::task::Poll::Pending => assert_ready_ok!(high.poll()),
    };
    assert_eq!((first.number, pool.status().holders), (second.number, 2));

    // No lease of the same class passes the other.
    let mut later = task::spawn(pool.lease());
    assert_pending!(later.poll());
    drop((first, second));
    assert!(alone.is_woken() && !later.is_woken());
    drop(assert_ready_ok!(alone.poll()));
    drop(assert_ready_ok!(later.poll()));
    assert_eq!(backend.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_newest_lease_in_an_overload_has_room_on_what_is_set_aside_for_another() {
    let backend = Backend::new(Gate::Ok);
    let policy = QueuePolicy::AdaptiveLifo {
        interval: ms(100),
        patience: secs(10),
    };
    let pool = backend.pool().max_size(1).max_leases(4);
    let pool = pool.queue_policy(policy).wait_timeout(secs(60));
    let pool = pool.build().unwrap();
    let _first = pool.lease().await.unwrap();
    let second = pool.lease().await.unwrap();
    let mut alone = task::spawn(pool.get());
    assert_pending!(alone.poll());
    pass(ms(101)).await;
    let mut next = task::spawn(pool.get());
    assert_pending!(next.poll());
    // A return is what notices that there is an overload.
    drop(second);

    let mut newest = task::spawn(pool.lease());
    let served_at_once = newest.poll().is_ready();
    assert!(served_at_once || newest.is_woken());
    assert!(!alone.is_woken() && !next.is_woken());
}

/// With a head start that never ends, classes are served strictly one after the other, of whatever kind
/// their callers are.
#[tokio::test(start_paused = true)]
async fn a_lease_goes_before_a_lower_class_however_long_the_head_start() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).max_leases(1);
    let pool = pool.priority_ageing(Duration::MAX).build().unwrap();
    let held = pool.get().await.unwrap();
    let mut lease = task::spawn(pool.lease());
    assert_pending!(lease.poll());
    pass(secs(1)).await;
    let mut low = task::spawn(pool.request().priority(Priority::Low).get());
    assert_pending!(low.poll());
    drop(held);
    assert!(lease.is_woken() && !low.is_woken());
    drop(assert_ready_ok!(lease.poll()));
    drop(assert_ready_ok!(low.poll()));
}

/// One of three is too many, and which it is, is known with the first return: the others stay, and take
/// leases.
#[tokio::test(start_paused = true)]
async fn a_pool_made_smaller_keeps_as_many_shared_connections_as_it_may() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(3).max_leases(2);
    let pool = pool.wait_timeout(secs(1)).build().unwrap();
    open(&pool, 3).await;
    let (mut stay, mut leave) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        stay.push(pool.lease().await.unwrap());
        leave.push(pool.lease().await.unwrap());
    }
    assert_eq!((pool.status().in_use, pool.status().holders), (3, 6));

    pool.resize(2).unwrap();
    drop(leave);
    assert_eq!((pool.status().size, pool.status().holders), (3, 3));
    drop(pool.try_lease().unwrap());
    drop(stay);
    assert_eq!((pool.status().size, backend.live()), (2, 2));
    assert_eq!(pool.status().idle, 2);
}

#[tokio::test(start_paused = true)]
async fn a_pool_made_smaller_closes_no_more_shared_connections_than_it_must() {
    for smaller in 1..4 {
        let backend = Backend::new(Gate::Ok);
        let pool = backend.pool().max_size(4).max_leases(2).build().unwrap();
        open(&pool, 4).await;
        let mut halves = (Vec::new(), Vec::new());
        for _ in 0..4 {
            halves.0.push(pool.lease().await.unwrap());
            halves.1.push(pool.lease().await.unwrap());
        }
        pool.resize(smaller).unwrap();
        drop(halves.0);
        assert_eq!(pool.status().size, 4, "each still has a holder");
        drop(halves.1);
        assert_eq!((pool.status().size, pool.status().idle), (smaller, smaller));
        assert_eq!(backend.live(), smaller);
    }
}

/// Somebody always has a lease on it, so it never comes back: it would be used for ever.
#[tokio::test(start_paused = true)]
async fn a_shared_connection_past_its_lifetime_takes_no_more_leases() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(2).max_lifetime(secs(10));
    let pool = pool.build().unwrap();
    let old = pool.lease().await.unwrap();
    pass(secs(5)).await;
    let joined = pool.lease().await.unwrap();
    assert_eq!(old.number, joined.number);
    pass(secs(6)).await;
    let young = pool.lease().await.unwrap();
    assert_ne!(old.number, young.number);
    drop((old, joined));
    assert_eq!((pool.status().size, backend.live()), (1, 1));
}
