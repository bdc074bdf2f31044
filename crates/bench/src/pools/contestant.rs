//! What a pool has to do to be measured, and who does.

mod asyncband;
mod bb8;
mod deadpool;
mod mobc;
mod semaphore_vec;
mod sqlx;
mod sqlx_database;
mod wait_pool;

use std::fmt::Debug;
use std::future::Future;
use std::ops::DerefMut;
use std::time::Duration;

use super::case::Case;
use super::connection::{Connection, Connector};
use super::sample::Sample;

/// A pool with settings at which it is at its best and does what the others do: at most so many
/// connections, given out as they are, without a check.
pub(crate) trait Contestant: Clone + Send + Sync + 'static {
    const NAME: &'static str;
    /// The package whose version is told.
    const PACKAGE: Option<&'static str>;
    /// What [`Limit::Usual`] means to it.
    const USUAL: &'static str;
    /// What [`Limit::Never`] means to it.
    const NEVER: &'static str;

    /// A connection, and the way back.
    type Held<'a>: DerefMut<Target = Connection> + Send;

    /// Makes the pool. Runs in the runtime that will use it.
    fn open(connector: Connector, setup: Setup) -> impl Future<Output = Self> + Send;

    /// Waits for a connection.
    fn acquire(&self) -> impl Future<Output = Result<Self::Held<'_>, GaveUp>> + Send;
}

/// How large a pool is and for how long its callers wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) size: u16,
    pub(crate) limit: Limit,
}

/// How long a caller waits at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// As long as the pool has it by default; 5 s where it has no default.
    Usual,
    /// For ever, or as near to it as the pool can.
    Never,
    /// So long.
    Of(Duration),
}

/// The caller's time was up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GaveUp;

/// A contestant in a case.
#[derive(Debug)]
pub(crate) struct Entry<K> {
    pub(crate) name: &'static str,
    pub(crate) version: Option<&'static str>,
    pub(crate) usual: &'static str,
    pub(crate) never: &'static str,
    pub(crate) measure: fn(&K) -> anyhow::Result<Sample>,
}

/// Who takes part in every case.
pub(crate) fn lineup<K: Case>() -> Vec<Entry<K>> {
    vec![
        entry::<K, wait_pool::WaitPool>(),
        entry::<K, deadpool::Deadpool>(),
        entry::<K, bb8::Bb8>(),
        entry::<K, mobc::Mobc>(),
        entry::<K, asyncband::Asyncband>(),
        entry::<K, sqlx::Sqlx>(),
        entry::<K, semaphore_vec::SemaphoreVec>(),
    ]
}

/// Who takes part where callers are more than can be served: wait-pool with each of its queue
/// policies.
pub(crate) fn lineup_of_policies<K: Case>() -> Vec<Entry<K>> {
    let mut lineup = lineup();
    lineup.insert(
        1,
        entry::<K, wait_pool::WaitPool<wait_pool::AdaptiveLifo>>(),
    );
    lineup
}

fn entry<K: Case, C: Contestant>() -> Entry<K> {
    Entry {
        name: C::NAME,
        version: C::PACKAGE.and_then(crate::versions::of),
        usual: C::USUAL,
        never: C::NEVER,
        measure: K::measure::<C>,
    }
}

impl Limit {
    /// The limit in time, if there is one.
    fn after(self, usual: Duration) -> Option<Duration> {
        match self {
            Self::Usual => Some(usual),
            Self::Never => None,
            Self::Of(limit) => Some(limit),
        }
    }
}

/// For pools without a timeout of their own.
async fn within<T>(limit: Option<Duration>, acquire: impl Future<Output = T>) -> Result<T, GaveUp> {
    match limit {
        None => Ok(acquire.await),
        Some(limit) => tokio::time::timeout(limit, acquire)
            .await
            .map_err(|_| GaveUp),
    }
}

/// What a pool's error amounts to. Connecting cannot fail and no pool is closed, so only the time
/// can have been up.
fn gave_up<E>(_: E) -> GaveUp {
    GaveUp
}

const SECONDS_5: Duration = Duration::from_secs(5);
const SECONDS_30: Duration = Duration::from_secs(30);
/// For pools that cannot do without a timeout. Longer ones overflow in some.
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
