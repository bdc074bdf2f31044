//! The check of a connection that has been idle for long, in a task of its own.
//!
//! A caller that gives up does not cancel it, so a deadline never costs a good connection. While it
//! runs the connection has its slot and is nobody's. However the check ends, it is reported: a
//! connection whose check was cut short is closed, since nobody knows what is still under way on it.

use std::future::Future;
use std::sync::{Arc, Weak};

use crate::manager::Manager;
use crate::shared::Shared;
use crate::slots::Doubtful;

/// Checks a connection and hands it back to the pool, or closes it.
pub(crate) fn check<M: Manager>(
    pool: &Arc<Shared<M>>,
    doubtful: Doubtful<M::Connection>,
) -> impl Future<Output = ()> + Send + use<M> {
    let mut checked = Checked {
        pool: Arc::downgrade(pool),
        doubtful: Some(doubtful),
        good: false,
    };
    let manager = Arc::clone(&pool.manager);
    let timeout = pool.config.check_timeout;
    async move {
        let Some(doubtful) = &mut checked.doubtful else {
            return;
        };
        let connection = Arc::get_mut(&mut doubtful.connection);
        let connection = connection.expect("an idle connection has one reference");
        let answer = tokio::time::timeout(timeout, manager.check(connection)).await;
        checked.good = matches!(answer, Ok(Ok(())));
        drop(checked);
    }
}

/// A connection under check; its drop tells the pool what came of it.
struct Checked<M: Manager> {
    pool: Weak<Shared<M>>,
    doubtful: Option<Doubtful<M::Connection>>,
    good: bool,
}

impl<M: Manager> Drop for Checked<M> {
    fn drop(&mut self) {
        if let (Some(pool), Some(doubtful)) = (self.pool.upgrade(), self.doubtful.take()) {
            pool.checked(doubtful, self.good);
        }
    }
}
