//! Who is served, and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::poll;
use tokio::task::yield_now;
use tokio::time::{Instant, advance};

use crate::pools::{PATIENT, each, settle};
use crate::server::Answer;

/// 20 tasks share 2 connections; each takes one, yields once, gives it back and comes again. How
/// many have got none after 2,000 checkouts?
#[test]
fn newcomers_pass_those_who_wait() {
    let never_served = each(2, PATIENT, async |pool, _| {
        let total = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (pool, total) = (Arc::clone(&pool), Arc::clone(&total));
                tokio::spawn(async move {
                    let mut mine = 0;
                    while total.load(SeqCst) < 2000 {
                        let held = pool.get().await.unwrap();
                        if total.fetch_add(1, SeqCst) < 2000 {
                            mine += 1;
                        }
                        yield_now().await;
                        drop(held);
                    }
                    mine
                })
            })
            .collect();
        let mut never = 0;
        for task in tasks {
            never += usize::from(task.await.unwrap() == 0);
        }
        never
    });
    let expected = [
        ("wait-pool", 0),
        ("deadpool", 0),
        ("bb8", 18),
        ("mobc", 0),
        ("asyncband", 0),
        ("sqlx", 0),
    ];
    assert_eq!(never_served, expected);
}

/// The connection comes back to a caller whose future is kept, but not polled, as in a `select!`
/// whose other branch runs. After how long is the next in line served, and is a newcomer after him?
#[test]
fn a_grant_to_a_future_that_nobody_polls() {
    let served = each(1, PATIENT, async |pool, _| {
        let held = pool.get().await.unwrap();
        let mut first = pool.get();
        assert!(poll!(&mut first).is_pending());
        let begun = Instant::now();
        let second = tokio::spawn(pool.get());
        settle().await;
        drop(held);
        let served = second.await.unwrap().ok().map(|_| begun.elapsed());
        let newcomer = pool.get().now_or_never().is_some_and(|got| got.is_ok());
        drop(first);
        settle().await;
        let afterwards = pool.get().await.is_ok();
        (served, newcomer, afterwards)
    });
    // All give the connection on once the future is dropped.
    let never = (None, false, true);
    let after = Duration::from_millis(250);
    let (name, (ours, _, afterwards)) = served[0];
    assert_eq!((name, afterwards), ("wait-pool", true));
    assert!(ours.is_some_and(|time| time <= 2 * after), "{ours:?}");
    let expected = [
        ("deadpool", never),
        // It wakes only the one, but gives the connection to whoever comes by.
        ("bb8", (None, true, true)),
        ("mobc", never),
        ("asyncband", never),
        ("sqlx", never),
    ];
    assert_eq!(served[1..], expected);
}

/// A caller waits for 50 ms at most; 60 ms later, before he has been polled again, a connection
/// comes back. Does he get it?
#[test]
fn who_is_past_his_deadline() {
    let served = each(1, Duration::from_millis(50), async |pool, _| {
        let held = pool.get().await.unwrap();
        let mut late = pool.get();
        assert!(poll!(&mut late).is_pending());
        advance(Duration::from_millis(60)).await;
        drop(held);
        settle().await;
        late.now_or_never().is_some_and(|got| got.is_ok())
    });
    let expected = [
        ("wait-pool", false),
        ("deadpool", true),
        ("bb8", true),
        ("mobc", true),
        ("asyncband", true),
        ("sqlx", true),
    ];
    assert_eq!(served, expected);
}

/// A caller is dropped after each number of polls that he can be dropped after, while a connection
/// is opened and while he waits. Is one who comes then served, and at the bound?
#[test]
fn a_future_dropped_after_any_poll() {
    let served = each(1, PATIENT, async |pool, connector| {
        connector.answers(Answer::Slow);
        for polls in 0..10 {
            let mut caller = pool.get();
            for _ in 0..polls {
                if poll!(&mut caller).is_ready() {
                    break;
                }
                yield_now().await;
            }
            drop(caller);
        }
        let held = pool.get().await.unwrap();
        for _ in 0..10 {
            let mut caller = pool.get();
            assert!(poll!(&mut caller).is_pending());
        }
        drop(held);
        pool.get().await.is_ok() && connector.connected() == 1
    });
    assert!(served.iter().all(|(_, served)| *served), "{served:?}");
}

/// 20 callers wait for the one connection and are cancelled; it comes back. How many waited by the
/// pool's own figure, then and now?
#[test]
fn the_figure_of_those_who_wait() {
    let figures = each(1, PATIENT, async |pool, _| {
        let held = pool.get().await.unwrap();
        let mut callers: Vec<_> = (0..20).map(|_| pool.get()).collect();
        for caller in &mut callers {
            assert!(poll!(caller).is_pending());
        }
        let then = pool.waiting().await;
        drop(callers);
        drop(held);
        settle().await;
        (then, pool.waiting().await)
    });
    let exact = (Some(20), Some(0));
    let expected = [
        ("wait-pool", exact),
        ("deadpool", exact),
        ("bb8", (None, None)),
        ("mobc", (Some(20), Some(20))),
        ("asyncband", (None, None)),
        ("sqlx", (None, None)),
    ];
    assert_eq!(figures, expected);
}
