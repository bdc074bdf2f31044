//! The one task that comes when something is due: a connection to close, a caller to tell that its
//! time is up, a grant to take back.
//!
//! There is none while nothing is due: the state asks for it with the first thing that will be, and
//! it ends with the last. It does not keep the pool alive, and ends with it.

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::manager::Manager;
use crate::shared::Shared;

/// Sweeps the pool whenever something is due, until nothing is.
pub(crate) fn keep<M: Manager>(pool: &Arc<Shared<M>>) -> impl Future<Output = ()> + Send + use<M> {
    let keeper = Keeper {
        pool: Arc::downgrade(pool),
        done: false,
    };
    let sooner = Arc::clone(&pool.sooner);
    async move {
        let mut due = keeper.ask(|pool| pool.keeper_due());
        while let Some(at) = due {
            due = match tokio::time::timeout_at(at.into(), sooner.notified()).await {
                Ok(()) => keeper.ask(|pool| pool.keeper_due()),
                Err(_) => keeper.ask(|pool| pool.sweep()),
            };
        }
        keeper.finish();
    }
}

/// Tells the pool if it ends before its time, with its runtime.
struct Keeper<M: Manager> {
    pool: Weak<Shared<M>>,
    done: bool,
}

impl<M: Manager> Keeper<M> {
    fn finish(mut self) {
        self.done = true;
        if let Some(pool) = self.pool.upgrade() {
            pool.home.keeper_left();
        }
    }

    fn ask(&self, when: impl FnOnce(&Arc<Shared<M>>) -> Option<Instant>) -> Option<Instant> {
        self.pool.upgrade().and_then(|pool| when(&pool))
    }
}

impl<M: Manager> Drop for Keeper<M> {
    fn drop(&mut self) {
        match self.pool.upgrade() {
            Some(pool) if !self.done => pool.keeper_lost(),
            _ => {}
        }
    }
}
