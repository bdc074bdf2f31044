//! Too many callers: who cannot be served in time is told so at once, and the newest go first while a
//! pool is overloaded.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::future::Future;
use std::time::{Duration, Instant};

use common::{Backend, Connector, Gate, Refused, settle};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tokio::time::advance;
use tokio_test::task::Spawn;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use wait_pool::{AcquireError, Builder, Pool, Pooled, Priority, QueuePolicy, Timeout};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn soon(patience: Duration) -> Instant {
    tokio::time::Instant::now().into_std() + patience
}

/// Somebody in line.
fn waiting<F: Future>(asking: F) -> Spawn<F>
where
    F::Output: std::fmt::Debug,
{
    let mut asking = task::spawn(asking);
    assert_pending!(asking.poll());
    asking
}

fn one() -> Builder<Connector> {
    Backend::new(Gate::Ok).pool().max_size(1).max_leases(1)
}

/// Has so many connections handed over, one every ten milliseconds, while somebody waits at all times.
/// What is left is who has the connection then.
async fn hand_over(pool: &Pool<Connector>, times: usize) -> Pooled<Connector> {
    let mut held = pool.get().await.unwrap();
    let mut next = waiting(pool.get());
    for _ in 0..times {
        let after = waiting(pool.get());
        advance(ms(10)).await;
        drop(held);
        held = assert_ready_ok!(next.poll());
        next = after;
    }
    held
}

fn too_late(error: AcquireError<Refused>) -> (Duration, Box<Timeout<Refused>>) {
    match error {
        AcquireError::TooLate { expected, report } => (expected, report),
        other => panic!("expected to be too late, got {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_refused_before_the_pace_is_known() {
    let pool = one().build().unwrap();
    let held = hand_over(&pool, 20).await;
    let _crowd: Vec<_> = (0..10).map(|_| waiting(pool.get())).collect();
    let request = pool.request().deadline(soon(ms(1))).only_in_time();
    drop((waiting(request.get()), waiting(request.lease())));
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn who_would_be_served_too_late_is_told_at_once_for_how_long_he_would_have_waited() {
    let pool = one().name("orders").build().unwrap();
    let _held = hand_over(&pool, 40).await;
    let _crowd: Vec<_> = (0..5).map(|_| waiting(pool.get())).collect();
    let request = pool.request().deadline(soon(ms(59))).only_in_time();
    let alone = assert_ready_err!(task::spawn(request.get()).poll());
    let text = alone.to_string();
    for part in ["orders", "5 callers", "60ms"] {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
    let (expected, report) = too_late(alone);
    assert_eq!((expected, report.ahead), (ms(60), 5));
    assert_eq!((report.waited, report.status.waiting), (Duration::ZERO, 5));
    assert_eq!((&*report.pool, report.status.in_use), ("orders", 1));
    assert_eq!(report.longest_held.unwrap().1.file(), file!());
    let shared = assert_ready_err!(task::spawn(request.lease()).poll());
    assert_eq!(too_late(shared).0, ms(60));
    assert_eq!(pool.status().waiting, 5, "nobody has joined the line");
}

#[tokio::test(start_paused = true)]
async fn who_can_be_served_in_time_waits_and_is() {
    let pool = one().build().unwrap();
    let mut held = hand_over(&pool, 40).await;
    let mut crowd: Vec<_> = (0..5).map(|_| waiting(pool.get())).collect();
    let request = pool.request().deadline(soon(ms(60))).only_in_time();
    let mut in_time = waiting(request.get());
    let _without_a_deadline = waiting(pool.request().only_in_time().get());
    for next in &mut crowd {
        advance(ms(10)).await;
        drop(held);
        held = assert_ready_ok!(next.poll());
    }
    advance(ms(10)).await;
    drop(held);
    drop(assert_ready_ok!(in_time.poll()));
}

#[tokio::test(start_paused = true)]
async fn who_is_not_to_be_in_time_waits_whatever_the_pace() {
    let pool = one().build().unwrap();
    let _held = hand_over(&pool, 40).await;
    let crowd: Vec<_> = (0..5).map(|_| waiting(pool.get())).collect();
    drop(waiting(pool.request().deadline(soon(ms(1))).get()));
    drop(crowd);
    // With nobody in line, and nobody due to look after it soon.
    advance(Duration::from_secs(60)).await;
    settle().await;
    drop(waiting(pool.request().deadline(soon(ms(1))).get()));
}

#[tokio::test(start_paused = true)]
async fn the_pools_own_limit_is_a_deadline_too() {
    let pool = one().wait_timeout(ms(500)).build().unwrap();
    let _held = hand_over(&pool, 40).await;
    let _crowd: Vec<_> = (0..49).map(|_| waiting(pool.get())).collect();
    let _the_last = waiting(pool.request().only_in_time().get());
    let refused = assert_ready_err!(task::spawn(pool.request().only_in_time().get()).poll());
    assert_eq!(too_late(refused).0, ms(510));
}

#[tokio::test(start_paused = true)]
async fn only_those_ahead_count() {
    let pool = one().build().unwrap();
    let _held = hand_over(&pool, 40).await;
    let _low = [Priority::Low, Priority::Low, Priority::Normal]
        .map(|priority| waiting(pool.request().priority(priority).get()));
    let expected = |priority| {
        let request = pool.request().deadline(soon(ms(1))).only_in_time();
        let refused = task::spawn(request.priority(priority).get()).poll();
        let (expected, report) = too_late(assert_ready_err!(refused));
        (expected, report.ahead)
    };
    assert_eq!(expected(Priority::Normal), (ms(20), 1));
    assert_eq!(expected(Priority::Low), (ms(40), 3));
    let urgent = pool.request().priority(Priority::High);
    drop(waiting(urgent.deadline(soon(ms(1))).only_in_time().get()));
}

#[tokio::test(start_paused = true)]
async fn the_last_pace_is_what_counts() {
    let pool = one().build().unwrap();
    drop(hand_over(&pool, 40).await);
    // Nobody waits for long: that is no pace.
    advance(Duration::from_secs(60)).await;
    let _held = hand_over(&pool, 40).await;
    let _one = waiting(pool.get());
    let request = pool.request().deadline(soon(ms(1))).only_in_time();
    let refused = assert_ready_err!(task::spawn(request.get()).poll());
    // One of those that were measured waited for a check alone, and for no hand-over.
    let (expected, _) = too_late(refused);
    assert!(expected > ms(19) && expected <= ms(20), "{expected:?}");
}

/// A pool with one connection, and who has it.
async fn adaptive(policy: QueuePolicy) -> (Pool<Connector>, Pooled<Connector>) {
    let pool = one().queue_policy(policy).wait_timeout(None).build();
    let pool = pool.unwrap();
    let held = pool.get().await.unwrap();
    (pool, held)
}

#[tokio::test(start_paused = true)]
async fn while_the_line_empties_from_time_to_time_it_is_first_come_first_served() {
    let (pool, mut held) = adaptive(QueuePolicy::adaptive_lifo()).await;
    for _ in 0..10 {
        let mut first = waiting(pool.get());
        let mut second = waiting(pool.lease());
        let mut third = waiting(pool.get());
        advance(ms(99)).await;
        drop(held);
        let one = assert_ready_ok!(first.poll());
        drop(one);
        drop(assert_ready_ok!(second.poll()));
        held = assert_ready_ok!(third.poll());
    }
}

#[tokio::test(start_paused = true)]
async fn in_an_overload_the_newest_goes_first_and_who_has_waited_too_long_is_refused() {
    let (pool, held) = adaptive(QueuePolicy::adaptive_lifo()).await;
    let mut at_0 = waiting(pool.get());
    advance(ms(10)).await;
    let mut at_10 = waiting(pool.lease());
    advance(ms(50)).await;
    let mut at_60 = waiting(pool.get());
    advance(ms(40)).await;
    let mut at_100 = waiting(pool.lease());
    advance(ms(5)).await;
    drop(held);
    assert!(at_0.is_woken() && at_100.is_woken());
    assert!(
        !at_10.is_woken() && !at_60.is_woken(),
        "they still have time"
    );
    let AcquireError::Overloaded(report) = assert_ready_err!(at_0.poll()) else {
        panic!("expected to be refused")
    };
    assert_eq!((report.waited.as_millis() / 10, report.ahead), (10, 0));
    assert_eq!(report.status.waiting, 4);
    let text = AcquireError::Overloaded(report).to_string();
    assert!(text.contains("in an overload"), "{text}");

    let newest = assert_ready_ok!(at_100.poll());
    advance(ms(6)).await;
    drop(newest);
    assert!(at_10.is_woken() && at_60.is_woken());
    let told = assert_ready_err!(at_10.poll());
    assert!(matches!(told, AcquireError::Overloaded(_)));
    drop(assert_ready_ok!(at_60.poll()));
}

#[tokio::test(start_paused = true)]
async fn of_those_with_time_left_the_newest_goes_first_whatever_it_asks_for() {
    let policy = QueuePolicy::AdaptiveLifo {
        interval: ms(50),
        patience: Duration::from_secs(10),
    };
    let (pool, held) = adaptive(policy).await;
    let mut first = waiting(pool.get());
    advance(ms(49)).await;
    let mut second = waiting(pool.lease());
    let mut third = waiting(pool.get());
    let mut fourth = waiting(pool.lease());
    advance(ms(1)).await;
    drop(held);
    drop(assert_ready_ok!(fourth.poll()));
    drop(assert_ready_ok!(third.poll()));
    drop(assert_ready_ok!(second.poll()));
    drop(assert_ready_ok!(first.poll()));
}

#[tokio::test(start_paused = true)]
async fn as_soon_as_nobody_waits_it_is_first_come_first_served_again() {
    let (pool, held) = adaptive(QueuePolicy::adaptive_lifo()).await;
    let mut first = waiting(pool.get());
    advance(ms(60)).await;
    let mut second = waiting(pool.get());
    advance(ms(60)).await;
    drop(held);
    assert_ready_err!(first.poll());
    let held = assert_ready_ok!(second.poll());
    assert_eq!(pool.status().waiting, 0);
    let mut older = waiting(pool.get());
    let mut newer = waiting(pool.get());
    advance(ms(99)).await;
    drop(held);
    assert!(older.is_woken() && !newer.is_woken());
    drop(assert_ready_ok!(older.poll()));
    drop(assert_ready_ok!(newer.poll()));
}

#[tokio::test(start_paused = true)]
async fn the_urgent_go_first_in_an_overload_too() {
    let policy = QueuePolicy::AdaptiveLifo {
        interval: ms(50),
        patience: Duration::from_secs(10),
    };
    let (pool, held) = adaptive(policy).await;
    let mut high = waiting(pool.request().priority(Priority::High).get());
    advance(ms(60)).await;
    let mut normal = waiting(pool.get());
    let mut low = waiting(pool.request().priority(Priority::Low).get());
    drop(held);
    drop(assert_ready_ok!(high.poll()));
    drop(assert_ready_ok!(normal.poll()));
    drop(assert_ready_ok!(low.poll()));
}

#[tokio::test(start_paused = true)]
async fn without_that_policy_nobody_is_refused_and_the_oldest_goes_first() {
    let (pool, held) = adaptive(QueuePolicy::Fifo).await;
    let mut first = waiting(pool.get());
    advance(ms(500)).await;
    let second = waiting(pool.get());
    advance(ms(500)).await;
    drop(held);
    assert!(!second.is_woken());
    drop(assert_ready_ok!(first.poll()));
}

#[tokio::test(start_paused = true)]
async fn those_refused_in_an_overload_are_counted_apart_from_timeouts() {
    let recorder = DebuggingRecorder::new();
    let builder = one().queue_policy(QueuePolicy::adaptive_lifo());
    let pool = metrics::with_local_recorder(&recorder, || builder.build().unwrap());
    let held = pool.get().await.unwrap();
    let mut crowd: Vec<_> = (0..3).map(|_| waiting(pool.get())).collect();
    advance(ms(101)).await;
    let mut newest = waiting(pool.get());
    drop(held);
    for caller in &mut crowd {
        let told = assert_ready_err!(caller.poll());
        assert!(matches!(told, AcquireError::Overloaded(_)));
    }
    drop(assert_ready_ok!(newest.poll()));
    let figures = recorder.snapshotter().snapshot().into_vec();
    let counter = |name: &str| {
        let one = figures.iter().find(|figure| figure.0.key().name() == name);
        one.map(|(.., value)| match value {
            DebugValue::Counter(count) => *count,
            other => panic!("{name} is {other:?}"),
        })
    };
    assert_eq!(counter("wait_pool.sheds"), Some(3));
    assert_eq!(counter("db.client.connection.timeouts"), Some(0));
}

#[test]
fn an_interval_or_a_patience_of_nothing_is_refused() {
    for (interval, patience) in [(0, 100), (100, 0)] {
        let policy = QueuePolicy::AdaptiveLifo {
            interval: ms(interval),
            patience: ms(patience),
        };
        let error = one().queue_policy(policy).build().unwrap_err();
        assert_eq!(error.setting(), "queue_policy");
    }
}
