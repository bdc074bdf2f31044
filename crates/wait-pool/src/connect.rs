//! One attempt to open a connection, in a task of its own.
//!
//! The attempt owns a [`Place`] in the pool, which reports exactly one outcome whatever happens:
//! success, failure, timeout, a panic in the manager, the end of the runtime. It keeps the manager
//! alive, not the pool.

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::error::ConnectError;
use crate::manager::Manager;
use crate::shared::{Shared, now};
use crate::transition::Opens;

/// Waits as long as it has to, then opens a connection and hands it to the pool.
pub(crate) fn attempt<M: Manager>(
    pool: &Arc<Shared<M>>,
    Opens { after, generation }: Opens,
) -> impl Future<Output = ()> + Send + use<M> {
    let mut place = Place {
        pool: Arc::downgrade(pool),
        connecting: false,
        generation,
    };
    let manager = Arc::clone(&pool.manager);
    let timeout = pool.config.connect_timeout;
    async move {
        if !after.is_zero() {
            tokio::time::sleep(after).await;
        }
        if place.is_wanted() {
            place.connecting = true;
            let begun = now();
            let outcome = match tokio::time::timeout(timeout, manager.connect()).await {
                Ok(connected) => connected.map_err(ConnectError::Failed),
                Err(_) => Err(ConnectError::TimedOut(timeout)),
            };
            place.settle(outcome, begun);
        }
    }
}

/// The right to open one connection. Dropped without an outcome, it reports that.
#[must_use]
struct Place<M: Manager> {
    pool: Weak<Shared<M>>,
    connecting: bool,
    generation: u64,
}

impl<M: Manager> Place<M> {
    fn is_wanted(&self) -> bool {
        self.pool.upgrade().is_some_and(|pool| !pool.is_closed())
    }

    fn settle(mut self, outcome: Result<M::Connection, ConnectError<M::Error>>, begun: Instant) {
        let pool = std::mem::take(&mut self.pool);
        let Some(pool) = pool.upgrade() else { return };
        match outcome {
            Ok(connection) => {
                pool.metrics.created(now().saturating_duration_since(begun));
                pool.connected(connection, self.generation);
            }
            Err(error) => pool.connect_failed(error),
        }
    }
}

impl<M: Manager> Drop for Place<M> {
    fn drop(&mut self) {
        let Some(pool) = self.pool.upgrade() else {
            return;
        };
        if self.connecting && std::thread::panicking() {
            pool.connect_failed(ConnectError::Panicked);
        } else {
            pool.attempt_lost();
        }
    }
}
