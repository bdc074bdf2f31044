//! What the pool writes through `tracing`: long waits, leaks, failed connects, and nothing else.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod common;

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use common::{Backend, Gate, runtime, settle, until};
use parking_lot::Mutex;
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready_ok, task};
use tracing::field::{Field, Visit};
use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Event, Level, Metadata, Subscriber, span};
use wait_pool::{Manager, Pool};

/// What has been written since the last look: each event in a line, with its level first.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<String>>>);

struct Writer(Page);

impl Page {
    /// Has all events of this thread written here.
    fn open() -> (Self, DefaultGuard) {
        let page = Self::default();
        let guard = set_default(Writer(page.clone()));
        (page, guard)
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Writer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("wait_pool")
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.0.lock().push(line.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        panic!("the pool opens no spans")
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn assert_line(line: &str, level: Level, parts: &[&str]) {
    assert!(line.starts_with(level.as_str()), "{line}");
    for part in parts {
        assert!(line.contains(part), "{part:?} is not in {line:?}");
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_caller_that_waited_for_long_is_told_of_with_the_place_it_called_from() {
    let (page, _guard) = Page::open();
    let pool = Backend::new(Gate::Ok).pool().name("orders").max_size(1);
    let pool = pool.slow_acquire_after(SECOND).build().unwrap();
    for (waited, told) in [(999, 0), (1_001, 1), (3_001, 1)] {
        let held = pool.get().await.unwrap();
        let mut waiter = task::spawn(pool.request().get());
        let place = format!("tracing_events.rs:{}", line!() - 1);
        assert_pending!(waiter.poll());
        advance(Duration::from_millis(waited)).await;
        drop(held);
        drop(assert_ready_ok!(waiter.poll()));
        let lines = page.take();
        assert_eq!(lines.len(), told, "{waited}: {lines:?}");
        for line in lines {
            let waited = format!("waited={}", waited / 1_000);
            let parts = ["waited for long", "orders", &place, &waited];
            assert_line(&line, Level::WARN, &parts);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_nobody_waits_for_too_long() {
    let (page, _guard) = Page::open();
    let pool = Backend::new(Gate::Ok).pool().max_size(1);
    let pool = pool.wait_timeout(None).slow_acquire_after(None).build();
    let pool = pool.unwrap();
    let held = pool.get().await.unwrap();
    let mut waiter = task::spawn(pool.get());
    assert_pending!(waiter.poll());
    advance(1_000 * SECOND).await;
    drop(held);
    drop(assert_ready_ok!(waiter.poll()));
    assert_eq!(page.take(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_leak_is_told_of_once_with_the_place_where_it_was_taken() {
    let (page, _guard) = Page::open();
    let pool = Backend::new(Gate::Ok).pool().name("orders");
    let pool = pool.leak_warning_after(10 * SECOND).build().unwrap();
    let _held = pool.get().await.unwrap();
    let place = format!("tracing_events.rs:{}", line!() - 1);
    advance(9 * SECOND).await;
    settle().await;
    assert_eq!(page.take(), [""; 0]);
    advance(SECOND).await;
    settle().await;
    let lines = page.take();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let parts = ["held for long", "orders", &place, "held=10"];
    assert_line(&lines[0], Level::WARN, &parts);
    advance(100 * SECOND).await;
    settle().await;
    assert_eq!(page.take(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_connect_is_told_of_with_its_error() {
    let (page, _guard) = Page::open();
    let backend = Backend::new(Gate::Error);
    let pool = backend.pool().name("orders").connect_timeout(SECOND);
    let pool = pool.build().unwrap();
    let errors = [
        (Gate::Error, "the backend says no"),
        (Gate::Never, "did not answer within 1s"),
        (Gate::Panic, "panicked"),
    ];
    for (gate, error) in errors {
        *backend.connect.lock() = gate;
        assert!(pool.get().await.is_err());
        let lines = page.take();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_line(
            &lines[0],
            Level::WARN,
            &["could not connect", "orders", error],
        );
    }
}

#[tokio::test]
async fn a_connection_that_is_closed_is_a_matter_for_debugging() {
    let (page, _guard) = Page::open();
    let pool = Backend::new(Gate::Ok).pool().name("orders").build();
    let pool = pool.unwrap();
    pool.get().await.unwrap().discard();
    let lines = page.take();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let parts = ["connection closed", "orders", "connection=1", "error"];
    assert_line(&lines[0], Level::DEBUG, &parts);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_while_nothing_is_wrong() {
    let (page, _guard) = Page::open();
    let pool = Backend::new(Gate::Ok).pool().max_size(2).min_idle(1);
    let pool = pool.leak_warning_after(60 * SECOND).build().unwrap();
    pool.warm_up().await.unwrap();
    for _ in 0..100 {
        let held = (pool.get().await.unwrap(), pool.lease().await.unwrap());
        let mut waiter = task::spawn(pool.get());
        assert_pending!(waiter.poll());
        advance(SECOND).await;
        settle().await;
        drop(held);
        drop(assert_ready_ok!(waiter.poll()));
        drop(pool.try_get().unwrap());
        // Who gives up, or is told that his time is up, knows it himself.
        let held = (pool.get().await.unwrap(), pool.get().await.unwrap());
        let mut gives_up = task::spawn(pool.get());
        assert_pending!(gives_up.poll());
        drop(gives_up);
        assert!(pool.get().await.is_err());
        drop(held);
    }
    assert_eq!(page.take(), [""; 0]);
}

/// Shows what it must not show wherever it can.
#[derive(Debug)]
struct Vault {
    password: &'static str,
    open: std::sync::atomic::AtomicBool,
}

#[derive(Debug)]
struct Key(#[allow(dead_code, reason = "for its Debug")] &'static str);

#[derive(Debug, thiserror::Error)]
#[error("the vault is shut")]
struct Shut(&'static str);

impl Manager for Vault {
    type Connection = Key;
    type Error = Shut;

    async fn connect(&self) -> Result<Key, Shut> {
        match self.open.load(std::sync::atomic::Ordering::SeqCst) {
            true => Ok(Key(self.password)),
            false => Err(Shut(self.password)),
        }
    }

    async fn check(&self, _: &mut Key) -> Result<(), Shut> {
        Err(Shut(self.password))
    }
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_written() {
    let (page, _guard) = Page::open();
    let password = "hunter2";
    let vault = Vault {
        password,
        open: false.into(),
    };
    assert!(format!("{vault:?} {:?}", Shut(password)).contains(password));
    let pool = Pool::builder(vault).max_size(1);
    let pool = pool.leak_warning_after(SECOND).build().unwrap();
    assert!(pool.get().await.is_err());
    let open = &pool.manager().open;
    open.store(true, std::sync::atomic::Ordering::SeqCst);
    let held = pool.get().await.unwrap();
    let mut waiter = task::spawn(pool.get());
    assert_pending!(waiter.poll());
    advance(3 * SECOND).await;
    settle().await;
    drop(held);
    drop(assert_ready_ok!(waiter.poll()));
    pool.doubt_idle();
    drop(pool.get().await.unwrap());
    pool.clear();
    let lines = page.take();
    let about = ["could not connect", "held", "waited for long", "closed"];
    for what in about {
        let told = lines.iter().any(|line| line.contains(what));
        assert!(told, "{what:?} is not in {lines:?}");
    }
    assert!(!lines.concat().contains(password), "{lines:?}");
}

/// A keeper that ends with its runtime, or an attempt, is no reason to write anything.
#[test]
fn a_runtime_that_ends_is_not_told_of() {
    let (page, _guard) = Page::open();
    let backend = Backend::new(Gate::Never);
    let pool = backend.pool().build().unwrap();
    runtime().block_on(async {
        let mut waiter = task::spawn(pool.get());
        assert_pending!(waiter.poll());
        until("the attempt", || backend.attempts() == 1).await;
    });
    assert_eq!((pool.status().opening, page.take().len()), (0, 0));
}
