//! What a listener hears: everything that happens, once, in its order, without the lock.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use common::{Backend, Connector, Gate, runtime, settle, until};
use parking_lot::Mutex;
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use wait_pool::event::{CheckOutFailedReason, CloseReason, Event, Listener};
use wait_pool::{Builder, Pool, QueuePolicy};

/// An event without its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Made,
    Ready,
    Paused,
    Cleared,
    Ended,
    Created(u64),
    Open(u64),
    Closed(u64, CloseReason),
    Started,
    Out(u64),
    Failed(CheckOutFailedReason),
    In(u64),
    Leak(u32),
}

use CheckOutFailedReason::{Cancelled, ConnectionError, Overload, PoolPaused, Timeout};
use Told::{
    Cleared, Closed, Created, Ended, Failed, In, Leak, Made, Open, Out, Paused, Ready, Started,
};

impl Told {
    fn of(event: &Event<'_>) -> Self {
        match *event {
            Event::PoolCreated => Made,
            Event::PoolReady => Ready,
            Event::PoolPaused => Paused,
            Event::PoolCleared => Cleared,
            Event::PoolClosed => Ended,
            Event::ConnectionCreated { connection } => Created(connection),
            Event::ConnectionReady { connection, .. } => Open(connection),
            Event::ConnectionClosed { connection, reason } => Closed(connection, reason),
            Event::CheckOutStarted => Started,
            Event::CheckedOut { connection, .. } => Out(connection),
            Event::CheckOutFailed { reason, .. } => Failed(reason),
            Event::CheckedIn { connection, .. } => In(connection),
            Event::LeakSuspected { taken_at, .. } => {
                assert_eq!(taken_at.file(), file!());
                Leak(taken_at.line())
            }
            ref other => panic!("what is {other:?}?"),
        }
    }
}

/// Writes down all it hears.
#[derive(Clone, Default)]
struct Ear {
    told: Arc<Mutex<Vec<Told>>>,
    /// How long somebody waited, a connection took to open, or was used.
    times: Arc<Mutex<Vec<Duration>>>,
}

impl Ear {
    /// What has been told since the last look.
    fn told(&self) -> Vec<Told> {
        std::mem::take(&mut self.told.lock())
    }

    fn count(&self, which: impl Fn(Told) -> bool) -> usize {
        self.told.lock().iter().filter(|told| which(**told)).count()
    }
}

impl Listener for Ear {
    fn on_event(&self, pool: &str, event: &Event<'_>) {
        assert_eq!(pool, "orders");
        self.told.lock().push(Told::of(event));
        if let Event::ConnectionReady { took: time, .. }
        | Event::CheckedOut { waited: time, .. }
        | Event::CheckOutFailed { waited: time, .. }
        | Event::CheckedIn { used: time, .. }
        | Event::LeakSuspected { held: time, .. } = *event
        {
            self.times.lock().push(time);
        }
    }
}

fn heard(set: impl FnOnce(Builder<Connector>) -> Builder<Connector>) -> Heard {
    let backend = Backend::new(Gate::Ok);
    let ear = Ear::default();
    let builder = set(backend.pool().name("orders").max_size(2));
    let pool = builder.listener(ear.clone()).build().unwrap();
    assert_eq!(ear.told(), [Made]);
    Heard { backend, ear, pool }
}

struct Heard {
    backend: Arc<Backend>,
    ear: Ear,
    pool: Pool<Connector>,
}

impl Heard {
    /// With one idle connection, of which everything has been heard.
    async fn open(set: impl FnOnce(Builder<Connector>) -> Builder<Connector>) -> Self {
        let heard = heard(set);
        drop(heard.pool.get().await.unwrap());
        let expected = [Started, Created(1), Open(1), Out(1), In(1)];
        assert_eq!(heard.ear.told(), expected);
        heard
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_small_story_is_told_from_beginning_to_end() {
    let Heard { ear, pool, .. } = heard(|builder| builder.max_size(1).max_leases(2));
    let held = pool.get().await.unwrap();
    assert_eq!(ear.told(), [Started, Created(1), Open(1), Out(1)]);
    let mut next = task::spawn(pool.get());
    assert_pending!(next.poll());
    let mut cancelled = task::spawn(pool.get());
    assert_pending!(cancelled.poll());
    drop(cancelled);
    assert_eq!(ear.told(), [Started, Started, Failed(Cancelled)]);
    drop(held);
    assert_eq!(ear.told(), [In(1)], "it is not picked up yet");
    let held = assert_ready_ok!(next.poll());
    held.discard();
    assert_eq!(ear.told(), [Out(1), In(1), Closed(1, CloseReason::Error)]);
    let leases = (pool.lease().await.unwrap(), pool.lease().await.unwrap());
    let both = [Started, Created(2), Open(2), Out(2), Started, Out(2)];
    assert_eq!(ear.told(), both);
    drop(leases);
    assert_eq!(ear.told(), [In(2), In(2)]);
    pool.pause();
    assert!(pool.get().await.is_err());
    pool.ready();
    pool.clear();
    let end = [
        Paused,
        Started,
        Failed(PoolPaused),
        Ready,
        Cleared,
        Closed(2, CloseReason::Stale),
    ];
    assert_eq!(ear.told(), end);
    let held = pool.lease().await.unwrap();
    pool.close();
    pool.close();
    assert!(pool.lease().await.is_err());
    drop(held);
    let end = [
        Started,
        Created(3),
        Open(3),
        Out(3),
        Ended,
        Started,
        Failed(CheckOutFailedReason::PoolClosed),
        In(3),
        Closed(3, CloseReason::PoolClosed),
    ];
    assert_eq!(ear.told(), end);
}

#[tokio::test(start_paused = true)]
async fn events_say_how_long_it_took() {
    let Heard { backend, ear, pool } = heard(|builder| builder.max_size(1));
    *backend.connect.lock() = Gate::Takes(Duration::from_secs(1));
    let held = pool.get().await.unwrap();
    advance(Duration::from_secs(2)).await;
    let mut next = task::spawn(pool.get());
    assert_pending!(next.poll());
    let mut cancelled = task::spawn(pool.lease());
    assert_pending!(cancelled.poll());
    advance(Duration::from_secs(3)).await;
    drop(cancelled);
    drop(held);
    let held = assert_ready_ok!(next.poll());
    advance(Duration::from_secs(4)).await;
    drop(held);
    assert!(pool.get().await.is_ok());
    let told = [
        Started,
        Created(1),
        Open(1),
        Out(1),
        Started,
        Started,
        Failed(Cancelled),
        In(1),
        Out(1),
        In(1),
        Started,
        Out(1),
        In(1),
    ];
    assert_eq!(ear.told(), told);
    let rounded = |time: &Duration| (time.as_millis() + 500) / 1_000;
    let times: Vec<u128> = ear.times.lock().iter().map(rounded).collect();
    assert_eq!(times, [1, 1, 3, 5, 3, 4, 0, 0]);
}

#[tokio::test]
async fn what_does_not_wait_is_told_of_too() {
    let Heard { ear, pool, .. } = Heard::open(|builder| builder.max_leases(1)).await;
    let held = pool.try_get().unwrap();
    assert!(pool.try_lease().is_err());
    drop(held);
    drop(pool.try_lease().unwrap());
    let told = [Started, Out(1), Started, Failed(Timeout), In(1)];
    assert_eq!(ear.told(), [&told[..], &[Started, Out(1), In(1)]].concat());
    pool.pause();
    assert!(pool.try_get().is_err());
    pool.close();
    assert!(pool.try_get().is_err());
    let told = [
        Paused,
        Started,
        Failed(PoolPaused),
        Closed(1, CloseReason::PoolClosed),
        Ended,
        Started,
        Failed(CheckOutFailedReason::PoolClosed),
    ];
    assert_eq!(ear.told(), told);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_closed_for_a_reason() {
    let plain = |builder| builder;
    let last = |heard: &Heard| heard.ear.told().last().copied();
    let closed = |reason| Some(Closed(1, reason));

    let heard = Heard::open(plain).await;
    heard.pool.clear();
    assert_eq!(last(&heard), closed(CloseReason::Stale));
    let heard = Heard::open(plain).await;
    let held = heard.pool.get().await.unwrap();
    heard.pool.clear();
    drop(held);
    assert_eq!(last(&heard), closed(CloseReason::Stale));

    let heard = Heard::open(|builder| builder.idle_timeout(MINUTE)).await;
    advance(2 * MINUTE).await;
    settle().await;
    assert_eq!(last(&heard), closed(CloseReason::Idle));

    let young = |builder: Builder<Connector>| builder.idle_timeout(None).max_lifetime(MINUTE);
    let heard = Heard::open(young).await;
    advance(2 * MINUTE).await;
    settle().await;
    assert_eq!(last(&heard), closed(CloseReason::Lifetime));
    let heard = Heard::open(young).await;
    let held = heard.pool.lease().await.unwrap();
    advance(2 * MINUTE).await;
    drop(held);
    assert_eq!(last(&heard), closed(CloseReason::Lifetime));

    let heard = Heard::open(plain).await;
    heard.pool.lease().await.unwrap().discard();
    assert_eq!(last(&heard), closed(CloseReason::Error));
    let heard = Heard::open(plain).await;
    let held = heard.pool.get().await.unwrap();
    held.broken.store(true, SeqCst);
    drop(held);
    assert_eq!(last(&heard), closed(CloseReason::Error));
    let heard = Heard::open(plain).await;
    let held = heard.pool.get().await.unwrap();
    let panics = catch_unwind(AssertUnwindSafe(|| {
        let _held = held;
        panic!("as the test asks it to");
    }));
    assert!(panics.is_err());
    assert_eq!(last(&heard), closed(CloseReason::Error));

    let heard = Heard::open(plain).await;
    *heard.backend.check.lock() = Gate::Error;
    heard.pool.doubt_idle();
    assert_eq!(heard.pool.get().await.unwrap().number, 1);
    let told = [
        Started,
        Closed(1, CloseReason::Error),
        Created(2),
        Open(2),
        Out(2),
        In(2),
    ];
    assert_eq!(heard.ear.told(), told);

    let heard = Heard::open(plain).await;
    let held = heard.pool.get().await.unwrap();
    drop(heard.pool.get().await.unwrap());
    assert_eq!(last(&heard), Some(In(2)));
    heard.pool.resize(1).unwrap();
    assert_eq!(heard.ear.told(), [Closed(2, CloseReason::Excess)]);
    drop(held);

    let heard = Heard::open(plain).await;
    assert_eq!(heard.pool.retain(|_| false), 1);
    assert_eq!(last(&heard), closed(CloseReason::NotRetained));

    let heard = Heard::open(plain).await;
    drop(heard.pool.get().await.unwrap().detach());
    let told = [Started, Out(1), Closed(1, CloseReason::Detached)];
    assert_eq!(heard.ear.told(), told);

    let heard = Heard::open(plain).await;
    heard.pool.close();
    assert_eq!(
        heard.ear.told(),
        [Closed(1, CloseReason::PoolClosed), Ended]
    );
}

#[tokio::test]
async fn a_connection_that_arrives_too_late_is_closed_for_a_reason() {
    type Step = fn(&Pool<Connector>);
    let cases: [(CloseReason, Step); 3] = [
        (CloseReason::Stale, Pool::clear),
        (CloseReason::Excess, |pool| pool.resize(1).unwrap()),
        (CloseReason::PoolClosed, Pool::close),
    ];
    for (reason, meanwhile) in cases {
        let Heard { backend, ear, pool } = Heard::open(|builder| builder).await;
        let held = pool.get().await.unwrap();
        *backend.connect.lock() = Gate::Held;
        let mut waiter = task::spawn(pool.get());
        assert_pending!(waiter.poll());
        until("the attempt", || backend.attempts() == 2).await;
        drop(waiter);
        meanwhile(&pool);
        ear.told();
        backend.let_one_in();
        until("it has arrived", || pool.status().opening == 0).await;
        assert_eq!(ear.told(), [Open(2), Closed(2, reason)]);
        drop(held);
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_ends_with_an_error_however_it_fails() {
    for gate in [Gate::Error, Gate::Never, Gate::Panic] {
        let limit = Duration::from_secs(1);
        let heard = heard(|builder| builder.connect_timeout(limit));
        *heard.backend.connect.lock() = gate;
        assert!(heard.pool.get().await.is_err());
        let told = [
            Started,
            Created(1),
            Closed(1, CloseReason::Error),
            Failed(ConnectionError),
        ];
        assert_eq!(heard.ear.told(), told, "{gate:?}");
    }
}

#[test]
fn an_attempt_that_ends_with_its_runtime_is_told_of() {
    let Heard { backend, ear, pool } = heard(|builder| builder);
    *backend.connect.lock() = Gate::Never;
    let runtime = runtime();
    let mut waiter = task::spawn(pool.get());
    runtime.block_on(async {
        assert_pending!(waiter.poll());
        until("the attempt", || backend.attempts() == 1).await;
    });
    drop(runtime);
    drop(waiter);
    let told = [
        Started,
        Created(1),
        Closed(1, CloseReason::Error),
        Failed(Cancelled),
    ];
    assert_eq!(ear.told(), told);
}

#[tokio::test(start_paused = true)]
async fn a_check_out_fails_for_a_reason() {
    let second = Duration::from_secs(1);
    let Heard { ear, pool, .. } = Heard::open(|builder| {
        let builder = builder.max_size(1).max_waiters(3).wait_timeout(second);
        builder.queue_policy(QueuePolicy::adaptive_lifo())
    })
    .await;
    let held = pool.get().await.unwrap();
    assert_eq!(ear.told(), [Started, Out(1)]);
    assert!(pool.get().await.is_err());
    assert_eq!(ear.told(), [Started, Failed(Timeout)]);

    let mut waiters: Vec<_> = (0..3).map(|_| task::spawn(pool.lease())).collect();
    for waiter in &mut waiters {
        assert_pending!(waiter.poll());
    }
    assert_eq!(ear.told(), [Started; 3]);
    assert!(pool.get().await.is_err());
    assert_eq!(ear.told(), [Started, Failed(Overload)], "too many wait");
    drop(waiters.pop());
    assert_eq!(ear.told(), [Failed(Cancelled)]);
    advance(second / 2).await;
    drop(held);
    assert_ready_err!(waiters[0].poll());
    assert_eq!(ear.told(), [In(1), Failed(Overload)], "too long");
    waiters.clear();
    assert_eq!(ear.told(), [Failed(Cancelled)], "before he heard of it");

    let _held = pool.get().await.unwrap();
    let mut waiter = task::spawn(pool.get());
    assert_pending!(waiter.poll());
    assert_eq!(ear.told(), [Started, Out(1), Started]);
    pool.pause();
    assert_ready_err!(waiter.poll());
    assert_eq!(ear.told(), [Paused, Failed(PoolPaused)]);
    pool.ready();
    let mut waiter = task::spawn(pool.get());
    assert_pending!(waiter.poll());
    pool.close();
    assert_ready_err!(waiter.poll());
    let closed = Failed(CheckOutFailedReason::PoolClosed);
    assert_eq!(ear.told(), [Ready, Started, Ended, closed]);
}

#[test]
fn a_check_out_outside_of_a_runtime_is_told_of() {
    let Heard { ear, pool, .. } = heard(|builder| builder);
    assert!(task::spawn(pool.get()).poll().is_ready());
    assert_eq!(ear.told(), [Started, Failed(ConnectionError)]);
}

#[tokio::test(start_paused = true)]
async fn who_is_cancelled_with_a_connection_in_his_hands_has_got_none() {
    let Heard { ear, pool, .. } = Heard::open(|builder| builder.max_size(1)).await;
    let held = pool.get().await.unwrap();
    let mut waiter = task::spawn(pool.get());
    assert_pending!(waiter.poll());
    drop(held);
    drop(waiter);
    let told = [Started, Out(1), Started, In(1), Failed(Cancelled)];
    assert_eq!(ear.told(), told);
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_is_taken_back_was_no_check_out() {
    let Heard { ear, pool, .. } = Heard::open(|builder| builder.max_size(1)).await;
    let held = pool.get().await.unwrap();
    let (mut lost, mut next) = (task::spawn(pool.get()), task::spawn(pool.get()));
    assert_pending!(lost.poll());
    assert_pending!(next.poll());
    drop(held);
    assert_eq!(ear.told(), [Started, Out(1), Started, Started, In(1)]);
    advance(Duration::from_secs(1)).await;
    until("the next has it", || next.is_woken()).await;
    assert_eq!(ear.told(), []);
    drop(assert_ready_ok!(next.poll()));
    drop(assert_ready_ok!(lost.poll()));
    assert_eq!(ear.told(), [Out(1), In(1), Out(1), In(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_leak_is_suspected_once_for_each_hold() {
    // From hand to hand by way of the keeper, or past it.
    for to_pick_up in [Duration::from_millis(250), 60 * MINUTE] {
        suspects_each_hold_once(to_pick_up).await;
    }
}

async fn suspects_each_hold_once(to_pick_up: Duration) {
    let limit = Duration::from_secs(10);
    let Heard { ear, pool, .. } = Heard::open(|builder| {
        let builder = builder.max_size(1).wait_timeout(None);
        builder.claim_timeout(to_pick_up).leak_warning_after(limit)
    })
    .await;
    let first = pool.get().await.unwrap();
    let first_line = line!() - 1;
    let mut next = task::spawn(pool.request().get());
    let next_line = line!() - 1;
    ear.told();
    advance(Duration::from_secs(9)).await;
    settle().await;
    assert_eq!(ear.told(), []);
    advance(Duration::from_secs(1)).await;
    settle().await;
    assert_eq!(ear.told(), [Leak(first_line)]);
    for _ in 0..10 {
        advance(limit).await;
        settle().await;
    }
    assert_eq!(ear.told(), [], "once");
    assert_pending!(next.poll());
    drop(first);
    let second = assert_ready_ok!(next.poll());
    assert_eq!(ear.told(), [Started, In(1), Out(1)]);
    advance(limit).await;
    settle().await;
    assert_eq!(ear.told(), [Leak(next_line)], "of the next holder");
    drop(second);
    let parts = (pool.lease().await.unwrap(), pool.lease().await.unwrap());
    let parts_line = line!() - 1;
    ear.told();
    advance(2 * limit).await;
    settle().await;
    assert_eq!(ear.told(), [Leak(parts_line), Leak(parts_line)]);
    drop(parts);
    advance(2 * limit).await;
    settle().await;
    assert_eq!(ear.told(), [In(1), In(1)], "nobody holds it");
}

#[tokio::test(start_paused = true)]
async fn who_gives_back_in_time_is_no_leak() {
    let limit = Duration::from_secs(10);
    let Heard { ear, pool, .. } = Heard::open(|builder| builder.leak_warning_after(limit)).await;
    for _ in 0..20 {
        let held = (pool.get().await.unwrap(), pool.lease().await.unwrap());
        advance(Duration::from_secs(9)).await;
        settle().await;
        drop(held);
    }
    assert_eq!(ear.count(|told| matches!(told, Leak(_))), 0);
}

#[test]
fn a_leak_from_the_first_moment_is_refused() {
    let builder = Backend::new(Gate::Ok).pool();
    let refused = builder.leak_warning_after(Duration::ZERO).build();
    assert_eq!(refused.unwrap_err().setting(), "leak_warning_after");
}

/// Asks the pool for its figures whenever it hears something.
#[derive(Clone, Default)]
struct Asks {
    pool: Arc<OnceLock<Pool<Connector>>>,
    heard: Arc<AtomicUsize>,
}

impl Listener for Asks {
    fn on_event(&self, _: &str, event: &Event<'_>) {
        let Some(pool) = self.pool.get() else {
            return;
        };
        self.heard.fetch_add(1, SeqCst);
        let status = pool.status();
        match event {
            Event::CheckedOut { .. } | Event::CheckedIn { .. } => {
                assert!(status.holders >= 1, "{event:?} {status:?}");
            }
            Event::ConnectionCreated { .. } => assert!(status.opening >= 1),
            _ => {}
        }
        pool.doubt_idle();
    }
}

#[tokio::test]
async fn a_listener_may_ask_the_pool() {
    let asks = Asks::default();
    let builder = Backend::new(Gate::Ok).pool().max_size(1);
    let pool = builder.listener(asks.clone()).build().unwrap();
    assert!(asks.pool.set(pool.clone()).is_ok());
    let held = pool.get().await.unwrap();
    let mut waiter = task::spawn(pool.lease());
    assert_pending!(waiter.poll());
    drop(held);
    assert_ready_ok!(waiter.poll()).discard();
    drop(pool.get().await.unwrap().detach());
    drop(pool.get().await.unwrap());
    pool.pause();
    pool.ready();
    pool.clear();
    pool.close();
    assert!(pool.get().await.is_err());
    assert!(asks.heard.load(SeqCst) > 20);
}

/// Tells one kind of event from the others.
type Which = fn(&Event<'_>) -> bool;

/// Panics once, at the first event of a kind.
#[derive(Clone)]
struct Panics {
    at: Which,
    done: Arc<AtomicBool>,
}

impl Listener for Panics {
    fn on_event(&self, _: &str, event: &Event<'_>) {
        if (self.at)(event) && !self.done.swap(true, SeqCst) {
            panic!("the listener panics at {event:?}, as the test asks it to");
        }
    }
}

/// Has everything happen once, each in a task of its own: a panic ends that task alone.
async fn live(pool: &Pool<Connector>, backend: &Backend) {
    let once = |what: fn(Pool<Connector>) -> BoxFuture| {
        let task = tokio::spawn(what(pool.clone()));
        async move { drop(task.await) }
    };
    once(|pool| Box::pin(async move { drop(pool.get().await) })).await;
    once(|pool| Box::pin(async move { drop(pool.lease().await) })).await;
    once(|pool| Box::pin(async move { drop(pool.try_get()) })).await;
    once(|pool| Box::pin(async move { drop(pool.get().await.map(wait_pool::Pooled::detach)) }))
        .await;
    once(|pool| Box::pin(async move { drop(pool.get().await.map(wait_pool::Pooled::discard)) }))
        .await;
    // Somebody waits and is served, and somebody waits in vain.
    let crowd: Vec<_> = (0..6)
        .map(|_| {
            once(|pool| {
                Box::pin(async move {
                    if let Ok(held) = pool.get().await {
                        tokio::time::sleep(Duration::from_secs(3)).await;
                        drop(held);
                    }
                })
            })
        })
        .collect();
    for one in crowd {
        one.await;
    }
    *backend.connect.lock() = Gate::Error;
    once(|pool| Box::pin(async move { pool.clear() })).await;
    once(|pool| Box::pin(async move { drop(pool.get().await) })).await;
    *backend.connect.lock() = Gate::Ok;
    advance(MINUTE).await;
}

type BoxFuture = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

#[tokio::test(start_paused = true)]
async fn a_listener_that_panics_loses_no_place() {
    let kinds: [(&str, Which); 10] = [
        ("created", |event| {
            matches!(event, Event::ConnectionCreated { .. })
        }),
        ("ready", |event| {
            matches!(event, Event::ConnectionReady { .. })
        }),
        ("closed", |event| {
            matches!(event, Event::ConnectionClosed { .. })
        }),
        ("cleared away", |event| {
            let reason = CloseReason::Stale;
            matches!(event, Event::ConnectionClosed { reason: why, .. } if *why == reason)
        }),
        ("failed to open", |event| {
            let reason = CloseReason::Error;
            matches!(event, Event::ConnectionClosed { connection: 4.., reason: why } if *why == reason)
        }),
        ("started", |event| matches!(event, Event::CheckOutStarted)),
        ("out", |event| matches!(event, Event::CheckedOut { .. })),
        (
            "out after waiting",
            |event| matches!(event, Event::CheckedOut { waited, .. } if waited.as_secs() > 1),
        ),
        ("in", |event| matches!(event, Event::CheckedIn { .. })),
        ("failed", |event| {
            matches!(event, Event::CheckOutFailed { .. })
        }),
    ];
    for (kind, at) in kinds {
        let done = Arc::default();
        let panics = Panics { at, done };
        let backend = Backend::new(Gate::Ok);
        let builder = backend.pool().max_size(2).max_connecting(1);
        let builder = builder.wait_timeout(Duration::from_secs(5));
        let pool = builder.listener(panics.clone()).build().unwrap();
        live(&pool, &backend).await;
        assert!(panics.done.load(SeqCst), "{kind} never came");
        settle().await;
        let status = pool.status();
        assert_eq!((status.in_use, status.holders), (0, 0), "{kind}");
        assert_eq!((status.opening, status.waiting), (0, 0), "{kind}");
        assert_eq!(status.size, backend.live(), "{kind}");
        let both = (pool.get().await.unwrap(), pool.get().await.unwrap());
        assert_eq!(backend.live(), 2, "{kind}");
        drop(both);
    }
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_panics_does_not_keep_the_keeper_from_coming_sooner() {
    let panics = Panics {
        at: |event| matches!(event, Event::ConnectionClosed { .. }),
        done: Arc::default(),
    };
    let builder = Backend::new(Gate::Ok).pool().max_size(2);
    let builder = builder.wait_timeout(Duration::from_secs(5));
    let pool = builder.listener(panics.clone()).build().unwrap();
    let _held = pool.get().await.unwrap();
    drop(pool.get().await.unwrap());
    advance(MINUTE).await;
    settle().await;
    // When something may be closed has changed, and one is closed at once.
    pool.resize(1).unwrap();
    assert!(panics.done.load(SeqCst));
    let begun = tokio::time::Instant::now();
    assert!(pool.get().await.is_err());
    assert_eq!(begun.elapsed().as_secs(), 5, "when his time was up");
}

/// Leases and leaks have ways of their own.
#[tokio::test(start_paused = true)]
async fn a_listener_that_panics_at_a_lease_or_a_leak_loses_no_part() {
    let kinds: [(&str, Which); 3] = [
        ("out", |event| matches!(event, Event::CheckedOut { .. })),
        ("in", |event| matches!(event, Event::CheckedIn { .. })),
        ("leak", |event| matches!(event, Event::LeakSuspected { .. })),
    ];
    for (kind, at) in kinds {
        let done = Arc::default();
        let panics = Panics { at, done };
        let backend = Backend::new(Gate::Ok);
        let builder = backend.pool().max_size(1).leak_warning_after(MINUTE);
        let pool = builder.listener(panics.clone()).build().unwrap();
        let task = tokio::spawn({
            let pool = pool.clone();
            async move {
                let held = (pool.lease().await, pool.lease().await);
                tokio::time::sleep(2 * MINUTE).await;
                drop(held.0);
                drop(held.1);
            }
        });
        drop(task.await);
        assert!(panics.done.load(SeqCst), "{kind} never came");
        assert_eq!(
            (pool.status().holders, pool.status().idle),
            (0, 1),
            "{kind}"
        );
        let held = pool.get().await.unwrap();
        advance(2 * MINUTE).await;
        settle().await;
        drop(held);
    }
}

/// Whatever happens, in whatever order: what is told adds up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_of_a_storm_adds_up() {
    let Heard { backend, ear, pool } = heard(|builder| builder.max_size(4).max_leases(3));
    *backend.connect.lock() = Gate::Slow;
    let mut crowd = tokio::task::JoinSet::new();
    for number in 0..60_u64 {
        let pool = pool.clone();
        crowd.spawn(async move {
            let mut rng = fastrand::Rng::with_seed(number);
            for _ in 0..40 {
                let patience = Duration::from_micros(rng.u64(1..500));
                let cancelled = tokio::time::timeout(patience, pool.get());
                match rng.u32(0..100) {
                    0 => pool.clear(),
                    1 => drop(pool.retain(|connection| connection.number % 2 == 0)),
                    2 => pool.pause(),
                    3 => pool.resize(2).unwrap(),
                    4 => pool.doubt_idle(),
                    5..10 => drop(pool.try_get()),
                    10..15 => drop(pool.try_lease()),
                    15..30 => drop(cancelled.await),
                    30..60 => drop(pool.lease().await),
                    60..65 => drop(pool.get().await.map(wait_pool::Pooled::discard)),
                    65..70 => drop(pool.get().await.map(wait_pool::Pooled::detach)),
                    _ => drop(pool.get().await),
                }
                pool.ready();
                pool.resize(4).unwrap();
            }
        });
    }
    crowd.join_all().await;
    pool.close();
    until("the end", || pool.status().size == 0).await;
    until("the last is told of", || {
        let created = ear.count(|told| matches!(told, Created(_)));
        created == ear.count(|told| matches!(told, Closed(..)))
    })
    .await;

    let told = ear.told();
    let count = |which: fn(&Told) -> bool| told.iter().filter(|told| which(told)).count();
    let out = count(|told| matches!(told, Out(_)));
    let failed = count(|told| matches!(told, Failed(_)));
    assert_eq!(count(|told| *told == Started), out + failed);
    let detached = count(|told| matches!(told, Closed(_, CloseReason::Detached)));
    assert_eq!(out, count(|told| matches!(told, In(_))) + detached);
    let counts = (out, failed, detached);
    assert!(out > 100 && failed > 10 && detached > 10, "{counts:?}");

    let mut connections: HashMap<u64, Vec<Told>> = HashMap::new();
    for one in told {
        if let Created(number) | Open(number) | Closed(number, _) | Out(number) | In(number) = one {
            connections.entry(number).or_default().push(one);
        }
    }
    for (number, life) in connections {
        assert_eq!(life[0], Created(number), "{life:?}");
        let Some(Closed(_, reason)) = life.last() else {
            panic!("connection {number} has no end: {life:?}")
        };
        let mut holders = 0_usize;
        for (place, step) in life.iter().enumerate() {
            match step {
                Created(_) => assert_eq!(place, 0, "{life:?}"),
                Open(_) => assert_eq!(place, 1, "{life:?}"),
                Out(_) => holders += 1,
                In(_) => holders -= 1,
                _ => assert_eq!(place, life.len() - 1, "{life:?}"),
            }
        }
        let left = usize::from(*reason == CloseReason::Detached);
        assert_eq!(holders, left, "{life:?}");
        assert!(life.len() > 2 || *reason == CloseReason::Error, "{life:?}");
    }
    assert_eq!(backend.live(), 0);
}
