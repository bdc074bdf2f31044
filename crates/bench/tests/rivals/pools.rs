//! The pools, each with its defaults but for its size and its callers' patience.

mod asyncband;
mod bb8;
mod deadpool;
mod mobc;
mod sqlx;
#[path = "../../src/pools/contestant/sqlx_database.rs"]
mod sqlx_database;
mod wait_pool;

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::runtime::{Builder, Runtime};

use super::server::{Connection, Connector};

/// A pool. What is asked of it takes no part of it along, so that tasks can have it.
pub(crate) trait Pool: Send + Sync {
    fn get(&self) -> BoxFuture<'static, Result<Held, Told>>;

    /// Makes it smaller or larger; says whether it can.
    fn resize(&self, _size: usize) -> BoxFuture<'_, bool> {
        async { false }.boxed()
    }

    /// How many callers wait, where the pool has such a figure.
    fn waiting(&self) -> BoxFuture<'_, Option<usize>> {
        async { None }.boxed()
    }
}

pub(crate) type Arced = Arc<dyn Pool>;

/// A connection, and the way back.
pub(crate) type Held = Box<dyn Send>;

/// What a caller is told who gets no connection: the error and what caused it.
#[derive(Debug)]
pub(crate) struct Told(pub(crate) String);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) size: u16,
    /// The pool's own timeout, if it has one that obeys tokio's clock; tokio's around it if not.
    pub(crate) patience: Duration,
}

pub(crate) const PATIENT: Duration = Duration::from_secs(30);

/// Makes the pool in a runtime.
pub(crate) type Make = fn(Connector, Setup) -> Arced;

/// wait-pool first, then the others.
pub(crate) const ALL: [(&str, Make); 6] = [
    ("wait-pool", wait_pool::make),
    ("deadpool", deadpool::make),
    ("bb8", bb8::make),
    ("mobc", mobc::make),
    ("asyncband", asyncband::make),
    ("sqlx", sqlx::make),
];

/// What each pool made of a scenario, one after the other, each in a runtime of one thread whose
/// clock stands still while there is something to do.
pub(crate) fn each<T>(
    size: u16,
    patience: Duration,
    scenario: impl AsyncFn(Arced, Connector) -> T,
) -> Vec<(&'static str, T)> {
    let run = |(name, make): (_, Make)| {
        let outcome = runtime().block_on(async {
            let connector = Connector::default();
            let pool = make(connector.clone(), Setup { size, patience });
            scenario(pool, connector).await
        });
        (name, outcome)
    };
    ALL.into_iter().map(run).collect()
}

pub(crate) fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    let builder = builder.enable_time().start_paused(true);
    builder.build().expect("a runtime")
}

/// Lets everything that can go on do so; the clock stays.
pub(crate) async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// A caller's own timeout around the whole of it.
pub(crate) async fn within(
    limit: Duration,
    get: impl Future<Output = Result<Held, Told>>,
) -> Result<Held, Told> {
    match tokio::time::timeout(limit, get).await {
        Ok(outcome) => outcome,
        Err(elapsed) => Err(told(&elapsed)),
    }
}

fn held<T: Send + 'static>(held: T) -> Held {
    Box::new(held)
}

fn told(error: &dyn Error) -> Told {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    Told(text)
}
