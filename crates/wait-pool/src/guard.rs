//! The values that hold a connection and give it back when they are dropped.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::error::ConnectError;
use crate::event::CloseReason;
use crate::manager::Manager;
use crate::shared::{Open, Shared};
use crate::slots::{Grant, Hold, HoldId};

/// A connection of one's own, given back when dropped.
///
/// Made by [`Pool::get`](crate::Pool::get). Giving back takes the pool's lock once and hands the
/// connection to the first caller in line, if there is one. It may be dropped anywhere, outside of
/// a runtime too.
#[must_use = "a connection that is not used goes straight back"]
pub struct Pooled<M: Manager> {
    held: Held<M>,
}

/// A part in a connection that others use at the same time, given back when dropped.
///
/// Made by [`Pool::lease`](crate::Pool::lease). The connection is lent by reference; one that is
/// cheap to clone, as multiplexed connections are, is cloned out of it.
#[must_use = "a connection that is not used goes straight back"]
pub struct Lease<M: Manager> {
    held: Held<M>,
}

impl<M: Manager> From<Held<M>> for Pooled<M> {
    fn from(held: Held<M>) -> Self {
        Self { held }
    }
}

impl<M: Manager> From<Held<M>> for Lease<M> {
    fn from(held: Held<M>) -> Self {
        Self { held }
    }
}

impl<M: Manager> Pooled<M> {
    /// Closes the connection instead of giving it back. Its place in the pool is free at once.
    pub fn discard(self) {
        self.held.discard();
    }

    /// Takes the connection out of the pool for good. Its place is free at once; the pool no
    /// longer counts it.
    pub fn detach(self) -> M::Connection {
        self.held.detach()
    }
}

impl<M: Manager> Lease<M> {
    /// Ends this lease and has the connection closed: it takes no new leases, and its place is
    /// free once the leases it has already given have ended.
    pub fn discard(self) {
        self.held.discard();
    }
}

impl<M: Manager> Deref for Pooled<M> {
    type Target = M::Connection;

    fn deref(&self) -> &M::Connection {
        self.held.connection()
    }
}

impl<M: Manager> DerefMut for Pooled<M> {
    fn deref_mut(&mut self) -> &mut M::Connection {
        self.held.connection_mut()
    }
}

impl<M: Manager> Deref for Lease<M> {
    type Target = M::Connection;

    fn deref(&self) -> &M::Connection {
        self.held.connection()
    }
}

impl<M: Manager> fmt::Debug for Pooled<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.held.fmt("Pooled", f)
    }
}

impl<M: Manager> fmt::Debug for Lease<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.held.fmt("Lease", f)
    }
}

/// The right to use a connection, however it is held. Its drop is the one way back.
pub(crate) struct Held<M: Manager> {
    pool: Arc<Shared<M>>,
    hold: HoldId,
    /// Taken only by what ends the hold.
    connection: Option<Arc<Open<M>>>,
    /// To be closed, whatever the manager says.
    unfit: bool,
}

impl<M: Manager> Held<M> {
    pub(crate) fn new(pool: &Arc<Shared<M>>, grant: Grant<Open<M>>) -> Self {
        Self {
            pool: Arc::clone(pool),
            hold: grant.hold,
            connection: Some(grant.connection),
            unfit: false,
        }
    }

    /// Does what the user wants done before a connection is used. A connection that is left in the
    /// middle of that, or of which that failed, is closed.
    pub(crate) async fn prepare(&mut self) -> Result<(), ConnectError<M::Error>> {
        let Some(hook) = self.pool.observers.before_use.clone() else {
            return Ok(());
        };
        self.unfit = true;
        let timeout = self.pool.config.check_timeout;
        match tokio::time::timeout(timeout, hook.call(self.connection_mut())).await {
            Ok(done) => done.map_err(ConnectError::Failed)?,
            Err(_) => return Err(ConnectError::TimedOut(timeout)),
        }
        self.unfit = false;
        Ok(())
    }

    fn connection(&self) -> &M::Connection {
        self.connection.as_deref().expect(HELD)
    }

    /// Only for a connection that is held alone.
    fn connection_mut(&mut self) -> &mut M::Connection {
        let connection = self.connection.as_mut().expect(HELD);
        Arc::get_mut(connection).expect(ALONE)
    }

    fn discard(mut self) {
        self.unfit = true;
    }

    fn detach(mut self) -> M::Connection {
        let connection = self.connection.take().expect(HELD);
        if let Hold::Alone(slot) = self.hold.hold() {
            self.pool.detach(slot);
        }
        Arc::into_inner(connection).expect(ALONE).into_connection()
    }

    fn fmt(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("pool", &self.pool.config.name)
            .finish_non_exhaustive()
    }
}

impl<M: Manager> Drop for Held<M> {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        let alone = matches!(self.hold.hold(), Hold::Alone(_));
        let way_back = WayBack {
            pool: &self.pool,
            hold: self.hold,
            connection: Some(connection),
        };
        // Whoever panics while it has a connection alone leaves it in the middle of something.
        if self.unfit || (alone && std::thread::panicking()) {
            return drop(way_back);
        }
        let connection = way_back.connection.as_deref();
        if connection.is_some_and(|connection| self.pool.manager.is_broken(connection)) {
            return drop(way_back);
        }
        match alone && self.pool.observers.after_release.is_some() {
            true => release(way_back),
            false => way_back.go(None),
        }
    }
}

/// Does what the user wants done after a connection was used, in a task of its own. Until that is
/// done the connection counts as in use.
fn release<M: Manager>(mut way_back: WayBack<'_, M>) {
    let pool = way_back.pool;
    let Some(hook) = pool.observers.after_release.clone() else {
        return way_back.go(None);
    };
    let mut released = Released {
        pool: Arc::clone(pool),
        hold: way_back.hold,
        connection: way_back.connection.take(),
    };
    pool.home.run_here(async move {
        let timeout = released.pool.config.check_timeout;
        let connection = released.connection.as_mut().and_then(Arc::get_mut);
        let connection = connection.expect(ALONE);
        let done = tokio::time::timeout(timeout, hook.call(connection)).await;
        if matches!(done, Ok(Ok(()))) {
            released.way_back().go(None);
        }
    });
}

/// A connection on its way through `after_release`.
struct Released<M: Manager> {
    pool: Arc<Shared<M>>,
    hold: HoldId,
    connection: Option<Arc<Open<M>>>,
}

impl<M: Manager> Released<M> {
    fn way_back(&mut self) -> WayBack<'_, M> {
        WayBack {
            pool: &self.pool,
            hold: self.hold,
            connection: self.connection.take(),
        }
    }
}

impl<M: Manager> Drop for Released<M> {
    fn drop(&mut self) {
        drop(self.way_back());
    }
}

/// Ends a hold, also if the manager or a hook panics: then as with a broken connection.
struct WayBack<'a, M: Manager> {
    pool: &'a Arc<Shared<M>>,
    hold: HoldId,
    connection: Option<Arc<Open<M>>>,
}

impl<M: Manager> WayBack<'_, M> {
    #[inline]
    fn go(mut self, reason: Option<CloseReason>) {
        self.end(reason);
    }

    #[inline]
    fn end(&mut self, reason: Option<CloseReason>) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        match self.hold.hold() {
            Hold::Alone(slot) => self.pool.give_back(slot, connection, reason),
            Hold::Part(part) => {
                // Before the pool hears of it: it takes the last holder's return to mean that no
                // reference but its own is left.
                drop(connection);
                self.pool.end_lease(part, reason);
            }
        }
    }
}

impl<M: Manager> Drop for WayBack<'_, M> {
    fn drop(&mut self) {
        self.end(Some(CloseReason::Error));
    }
}

const HELD: &str = "a hold has its connection until it ends";
const ALONE: &str = "a connection held alone has one reference";
