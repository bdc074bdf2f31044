//! Corners: two rare things at once. What each of them does alone, other tests show.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

#[path = "../common/mod.rs"]
mod common;

mod absent;
mod events;
mod hooks;
#[cfg(feature = "deadpool")]
mod looks;
mod panics;
mod runtimes;
mod sharing;
mod turns;
mod upkeep;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::Connector;
use wait_pool::event::{Event, Listener};
use wait_pool::{AcquireError, Pool};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// On tokio's clock.
fn in_so_long(time: Duration) -> Instant {
    (tokio::time::Instant::now() + time).into_std()
}

/// Lets spawned tasks have some turns, with the clock as it is.
async fn turns() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// Moves the clock, once the tasks that will be due have set their timers, and lets them run.
async fn pass(time: Duration) {
    turns().await;
    tokio::time::advance(time).await;
    turns().await;
}

/// Has so many connections open and idle.
async fn open(pool: &Pool<Connector>, count: usize) {
    let mut held = Vec::new();
    for _ in 0..count {
        held.push(pool.get().await.unwrap());
    }
}

fn is_timeout<T, E>(outcome: &Result<T, AcquireError<E>>) -> bool {
    matches!(outcome, Err(AcquireError::Timeout(_)))
}

/// Writes down what it is told.
#[derive(Clone, Default)]
struct Log(Arc<parking_lot::Mutex<Vec<String>>>);

impl Log {
    /// What has come since the last time.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl Listener for Log {
    fn on_event(&self, _: &str, event: &Event<'_>) {
        self.0.lock().push(words(event));
    }
}

/// An event without its times.
fn words(event: &Event<'_>) -> String {
    match event {
        Event::ConnectionCreated { connection } => format!("created {connection}"),
        Event::ConnectionReady { connection, .. } => format!("ready {connection}"),
        Event::ConnectionClosed { connection, reason } => format!("closed {connection}: {reason}"),
        Event::CheckOutStarted => "asked".into(),
        Event::CheckedOut { connection, .. } => format!("out {connection}"),
        Event::CheckedIn { connection, .. } => format!("in {connection}"),
        Event::CheckOutFailed { reason, .. } => format!("failed: {reason:?}"),
        Event::LeakSuspected { .. } => "leak".into(),
        other => format!("{other:?}"),
    }
}
