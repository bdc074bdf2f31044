//! A look at idle connections: the check of one that has been idle for long, in a task of its own,
//! and the user's own look at all of them.
//!
//! A caller that gives up does not cancel it, so a deadline never costs a good connection. While it
//! runs the connection has its slot and is nobody's. However the check ends, it is reported: a
//! connection whose check was cut short is closed, since nobody knows what is still under way on it.

use std::future::Future;
use std::sync::{Arc, Weak};

use crate::event::CloseReason;
use crate::manager::Manager;
use crate::moment::Moment;
use crate::shared::{Open, Shared};
use crate::slots::Doubtful;

/// Checks a connection and hands it back to the pool, or closes it.
pub(crate) fn check<M: Manager>(
    pool: &Arc<Shared<M>>,
    doubtful: Doubtful<Open<M>>,
) -> impl Future<Output = ()> + Send + use<M> {
    let mut checked = Checked::new(pool, doubtful, CloseReason::Error);
    let manager = Arc::clone(&pool.manager);
    let timeout = pool.config.check_timeout;
    async move {
        let Some(doubtful) = &mut checked.doubtful else {
            return;
        };
        let connection = Arc::get_mut(&mut doubtful.connection);
        let connection = connection.expect("an idle connection has one reference");
        let answer = tokio::time::timeout(timeout, manager.check(connection)).await;
        checked.reason = checked.reason.filter(|_| !matches!(answer, Ok(Ok(()))));
        drop(checked);
    }
}

/// Looks at the idle connections, closes those that `keep` does not want, and says how many.
pub(crate) fn retain<M: Manager>(
    pool: &Arc<Shared<M>>,
    mut keep: impl FnMut(&M::Connection) -> bool,
) -> usize {
    let begun = pool.clock.now();
    let idle = std::iter::from_fn(|| pool.begin_look(begun));
    let looked_at = idle.map(|one| Checked::new(pool, one, CloseReason::NotRetained));
    let mut closed = 0;
    for mut one in looked_at.collect::<Vec<_>>() {
        let Some(idle) = &one.doubtful else { continue };
        one.since = Some(idle.since);
        match keep(&idle.connection) {
            true => one.reason = None,
            false => closed += 1,
        }
    }
    closed
}

/// A connection being looked at; its drop tells the pool what came of it.
struct Checked<M: Manager> {
    pool: Weak<Shared<M>>,
    doubtful: Option<Doubtful<Open<M>>>,
    /// Why it is to be closed, until it has proved good.
    reason: Option<CloseReason>,
    /// Since when it counts as idle, if not since now.
    since: Option<Moment>,
}

impl<M: Manager> Checked<M> {
    fn new(pool: &Arc<Shared<M>>, doubtful: Doubtful<Open<M>>, reason: CloseReason) -> Self {
        Self {
            pool: Arc::downgrade(pool),
            doubtful: Some(doubtful),
            reason: Some(reason),
            since: None,
        }
    }
}

impl<M: Manager> Drop for Checked<M> {
    fn drop(&mut self) {
        if let (Some(pool), Some(doubtful)) = (self.pool.upgrade(), self.doubtful.take()) {
            pool.checked(doubtful, self.reason, self.since);
        }
    }
}
