//! The one task that closes connections when their time has come.
//!
//! There is none while nothing is due: the state asks for it with the first connection that will
//! have to be closed, and it ends with the last. It does not keep the pool alive.

use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::manager::Manager;
use crate::shared::Shared;

/// Sweeps the pool when something is due, until nothing is.
pub(crate) fn keep<M: Manager>(
    pool: &Arc<Shared<M>>,
    at: Instant,
) -> impl Future<Output = ()> + Send + use<M> {
    let mut keeper = Keeper {
        pool: Arc::downgrade(pool),
        at: Some(at),
    };
    async move {
        while let Some(at) = keeper.at {
            tokio::time::sleep_until(at.into()).await;
            keeper.at = keeper.pool.upgrade().and_then(|pool| pool.sweep(at));
        }
    }
}

/// Tells the pool if it ends before its time, with its runtime.
struct Keeper<M: Manager> {
    pool: Weak<Shared<M>>,
    at: Option<Instant>,
}

impl<M: Manager> Drop for Keeper<M> {
    fn drop(&mut self) {
        if let (Some(pool), Some(at)) = (self.pool.upgrade(), self.at) {
            pool.keeper_lost(at);
        }
    }
}
