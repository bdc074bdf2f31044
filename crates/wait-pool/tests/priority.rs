//! Priorities are head starts: the urgent go first, and nobody is starved.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::any::Any;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use common::{Backend, Connector, Gate};
use tokio::time::advance;
use tokio_test::task::Spawn;
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use wait_pool::{AcquireError, Pool, Priority};

use Priority::{High, Low, Normal};

/// A connection, held in whatever way.
type Held = Box<dyn Any + Send>;
type Asking<'a> = Pin<Box<dyn Future<Output = Held> + Send + 'a>>;

struct Caller<'a> {
    name: &'static str,
    asking: Spawn<Asking<'a>>,
}

/// A pool with one connection, which serves one caller at a time whatever he asks for.
fn one(head_start: Duration) -> Pool<Connector> {
    let builder = Backend::new(Gate::Ok).pool().max_size(1).max_leases(1);
    let builder = builder.wait_timeout(None).max_lifetime(None);
    builder.priority_ageing(head_start).build().unwrap()
}

fn get<'a>(pool: &'a Pool<Connector>, name: &'static str, priority: Priority) -> Caller<'a> {
    let asking = pool.request().priority(priority).get();
    waiting(
        name,
        Box::pin(async { Box::new(asking.await.unwrap()) as Held }),
    )
}

fn lease<'a>(pool: &'a Pool<Connector>, name: &'static str, priority: Priority) -> Caller<'a> {
    let asking = pool.request().priority(priority).lease();
    waiting(
        name,
        Box::pin(async { Box::new(asking.await.unwrap()) as Held }),
    )
}

fn waiting<'a>(name: &'static str, asking: Asking<'a>) -> Caller<'a> {
    let mut asking = task::spawn(asking);
    assert_pending!(asking.poll(), "{name} has to wait");
    Caller { name, asking }
}

/// Gives back what is held, and then what each has who is served. Says in which order they are.
fn served(mut held: Held, mut callers: Vec<Caller<'_>>) -> Vec<&'static str> {
    let mut order = Vec::new();
    while !callers.is_empty() {
        drop(held);
        let woken: Vec<usize> = (0..callers.len())
            .filter(|&caller| callers[caller].asking.is_woken())
            .collect();
        assert_eq!(woken.len(), 1, "one at a time, after {order:?}");
        let mut next = callers.remove(woken[0]);
        held = assert_ready!(next.asking.poll(), "{} was woken for it", next.name);
        order.push(next.name);
    }
    order
}

async fn hold(pool: &Pool<Connector>) -> Held {
    Box::new(pool.get().await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn the_urgent_go_first_and_among_equals_who_came_first() {
    let pool = one(Duration::from_secs(1));
    let held = hold(&pool).await;
    let callers = vec![
        get(&pool, "low 1", Low),
        get(&pool, "normal 1", Normal),
        get(&pool, "high 1", High),
        get(&pool, "low 2", Low),
        get(&pool, "normal 2", Normal),
        get(&pool, "high 2", High),
    ];
    let expected = ["high 1", "high 2", "normal 1", "normal 2", "low 1", "low 2"];
    assert_eq!(served(held, callers), expected);
}

#[tokio::test(start_paused = true)]
async fn classes_hold_between_the_two_kinds_too() {
    let pool = one(Duration::from_secs(1));
    let held = hold(&pool).await;
    let callers = vec![
        get(&pool, "low get", Low),
        lease(&pool, "low lease", Low),
        lease(&pool, "normal lease", Normal),
        get(&pool, "normal get", Normal),
        get(&pool, "high get", High),
        lease(&pool, "high lease", High),
    ];
    let expected = [
        "high get",
        "high lease",
        "normal lease",
        "normal get",
        "low get",
        "low lease",
    ];
    assert_eq!(served(held, callers), expected);
}

#[tokio::test(start_paused = true)]
async fn plain_callers_are_of_the_normal_class() {
    let pool = one(Duration::from_secs(1));
    let held = hold(&pool).await;
    let asking = pool.get();
    let plain = Box::pin(async { Box::new(asking.await.unwrap()) as Held });
    let callers = vec![
        get(&pool, "low", Low),
        waiting("plain", plain),
        get(&pool, "normal", Normal),
        get(&pool, "high", High),
    ];
    assert_eq!(served(held, callers), ["high", "plain", "normal", "low"]);
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_longer_than_the_head_start_goes_before_the_urgent_who_just_came() {
    let pool = one(Duration::from_secs(1));
    let held = hold(&pool).await;
    let step = Duration::from_millis(100);
    let mut callers = vec![
        get(&pool, "low at 0", Low),
        get(&pool, "normal at 0", Normal),
    ];
    advance(9 * step).await;
    callers.push(get(&pool, "high at 0.9", High));
    advance(2 * step).await;
    callers.push(get(&pool, "high at 1.1", High));
    callers.push(lease(&pool, "normal lease at 1.1", Normal));
    advance(8 * step).await;
    callers.push(get(&pool, "high at 1.9", High));
    advance(step + step / 2).await;
    callers.push(lease(&pool, "high lease at 2.05", High));
    advance(step).await;
    callers.push(get(&pool, "high at 2.15", High));
    let expected = [
        "high at 0.9",
        "normal at 0",
        "high at 1.1",
        "high at 1.9",
        "low at 0",
        "high lease at 2.05",
        "normal lease at 1.1",
        "high at 2.15",
    ];
    assert_eq!(served(held, callers), expected);
}

/// More of the urgent come than can be served, for ever.
#[tokio::test(start_paused = true)]
async fn a_steady_stream_of_the_urgent_starves_nobody() {
    let pool = one(Duration::from_secs(1));
    let mut held = hold(&pool).await;
    let low = get(&pool, "low", Low);
    let mut urgent = VecDeque::from([get(&pool, "high", High)]);
    let mut before = 0;
    while !low.asking.is_woken() {
        // Two come for each that is served.
        urgent.push_back(get(&pool, "high", High));
        advance(Duration::from_millis(50)).await;
        urgent.push_back(get(&pool, "high", High));
        advance(Duration::from_millis(50)).await;
        drop(held);
        if low.asking.is_woken() {
            break;
        }
        let mut first = urgent.pop_front().unwrap();
        assert!(first.asking.is_woken(), "in the order they came");
        held = assert_ready!(first.asking.poll());
        before += 1;
        assert!(before < 1_000, "starved");
    }
    // Those who came in its first two seconds.
    assert!((40..=42).contains(&before), "{before} went before it");
}

#[tokio::test(start_paused = true)]
async fn without_a_head_start_it_is_first_come_first_served() {
    let pool = one(Duration::ZERO);
    let held = hold(&pool).await;
    let callers = vec![
        get(&pool, "low", Low),
        lease(&pool, "normal", Normal),
        get(&pool, "high", High),
        lease(&pool, "low lease", Low),
        lease(&pool, "high lease", High),
    ];
    let expected = ["low", "normal", "high", "low lease", "high lease"];
    assert_eq!(served(held, callers), expected);
}

#[tokio::test(start_paused = true)]
async fn an_endless_head_start_makes_walls_of_the_classes() {
    let day = Duration::from_secs(24 * 60 * 60);
    for head_start in [1_000 * day, Duration::MAX] {
        let pool = one(head_start);
        let held = hold(&pool).await;
        let mut callers = vec![get(&pool, "low", Low), lease(&pool, "low lease", Low)];
        advance(day).await;
        callers.push(lease(&pool, "normal lease", Normal));
        callers.push(get(&pool, "normal", Normal));
        advance(day).await;
        callers.push(get(&pool, "high", High));
        let expected = ["high", "normal lease", "normal", "low", "low lease"];
        assert_eq!(served(held, callers), expected, "{head_start:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_counts_those_who_would_have_been_served_before() {
    let backend = Backend::new(Gate::Ok);
    let pool = backend.pool().max_size(1).build().unwrap();
    let held = hold(&pool).await;
    let low = pool.request().priority(Low).get();
    let mut low = task::spawn(low);
    assert_pending!(low.poll());
    advance(Duration::from_millis(1_500)).await;
    let _before = [get(&pool, "high", High), lease(&pool, "high lease", High)];
    let _after = [get(&pool, "normal", Normal), get(&pool, "low", Low)];
    advance(Duration::from_millis(3_600)).await;
    let AcquireError::Timeout(report) = tokio_test::assert_ready_err!(low.poll()) else {
        panic!("expected a timeout")
    };
    assert_eq!((report.ahead, report.status.waiting), (2, 5));
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_free_connection_goes_to_whoever_asks_first_whatever_his_class() {
    let pool = one(Duration::from_secs(1));
    drop(pool.get().await.unwrap());
    let mut low = task::spawn(pool.request().priority(Low).get());
    let held = assert_ready_ok!(low.poll());
    let high = get(&pool, "high", High);
    assert_eq!(served(Box::new(held), vec![high]), ["high"]);
}
