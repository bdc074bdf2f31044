//! What a connection's users, hooks and those who look at idle ones get to know of its past.

use std::time::Instant;

use deadpool::managed::Metrics;
use redis::aio::MultiplexedConnection;

use super::Link;

impl Link {
    /// Somebody is about to have it for himself.
    pub(crate) fn hand_out(&mut self) {
        if self.used {
            self.metrics.recycle_count += 1;
            self.metrics.recycled = Some(Instant::now());
        }
        self.used = true;
    }

    /// Whether nobody has had it for himself yet.
    pub(crate) const fn is_new(&self) -> bool {
        !self.used
    }

    /// What hooks get to see.
    pub(crate) const fn parts(&mut self) -> (&mut MultiplexedConnection, &Metrics) {
        (&mut self.connection, &self.metrics)
    }

    /// What those get to see who look at idle connections.
    pub(crate) const fn seen(&self) -> (&MultiplexedConnection, Metrics) {
        (&self.connection, self.metrics)
    }
}
