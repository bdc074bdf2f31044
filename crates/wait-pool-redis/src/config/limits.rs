//! The settings that are the core's: who may wait, how long connections live, and who hears of it.

use std::time::Duration;

use wait_pool::event::Listener;
use wait_pool::{Group, QueuePolicy};

use super::Builder;
use crate::cluster;
use crate::error::BuildError;
use crate::settings::ConnectionDriver;
use crate::settings::ear::Ear;

impl<T> Builder<T> {
    /// How many requests may wait for a connection to one server. One more fails at once: alone with
    /// an I/O error whose source is [`wait_pool::AcquireError::QueueFull`], as a part of a pipeline
    /// with the code `QUEUEFULL` in its positions; whoever [`queue_policy`](Self::queue_policy) refuses in
    /// an overload is told the same way. Those wait, too, for whom a connection is being
    /// opened. Default: no bound but the timeouts.
    pub fn max_waiters(mut self, requests: usize) -> Self {
        self.settings.core.max_waiters = requests;
        self
    }

    /// How many connections to each server are kept idle, ready for a crowd: opened with the first
    /// request to it, and replaced when they end. Default 0.
    pub fn min_idle(mut self, connections: usize) -> Self {
        self.settings.core.min_idle = connections;
        self
    }

    /// How long a connection may be idle before it is closed, where more than
    /// [`min_idle`](Self::min_idle) are. Default 10 minutes; `None` keeps it.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.core.idle_timeout = timeout.into();
        self
    }

    /// How long a connection may live, less up to a fifth of that by chance. One in use takes no
    /// more requests then, and is closed after its last answer. Default 30 minutes; `None` sets no
    /// limit.
    pub fn max_lifetime(mut self, longest: impl Into<Option<Duration>>) -> Self {
        self.settings.core.max_lifetime = longest.into();
        self
    }

    /// How long the `PING` of a connection that has been idle for long may take before it is closed.
    /// Default 1 s.
    pub fn check_timeout(mut self, timeout: Duration) -> Self {
        self.settings.core.check_timeout = timeout;
        self
    }

    /// How long a connection may lie with a request that nobody polls before it goes to the next in
    /// line. Default 250 ms.
    pub fn claim_timeout(mut self, timeout: Duration) -> Self {
        self.settings.core.claim_timeout = timeout;
        self
    }

    /// Whom a free connection goes to. Default [`QueuePolicy::Fifo`].
    pub fn queue_policy(mut self, policy: QueuePolicy) -> Self {
        self.settings.core.queue_policy = policy;
        self
    }

    /// From which wait on a `tracing` warning tells of a request that got its connection late.
    /// Default 2 s; `None` never.
    pub fn slow_acquire_after(mut self, wait: impl Into<Option<Duration>>) -> Self {
        self.settings.core.slow_acquire_after = wait.into();
        self
    }

    /// From when on a `tracing` warning tells of a connection that is still held, and where it was
    /// taken. Default `None`: never.
    pub fn leak_warning_after(mut self, held: impl Into<Option<Duration>>) -> Self {
        self.settings.core.leak_warning_after = held.into();
        self
    }

    /// Who carries the requests that share a connection. Default [`ConnectionDriver::Own`]. What is taken for oneself, as
    /// by [`Pool::get`](crate::Pool::get), is redis-rs's connection either way.
    pub const fn connection_driver(mut self, driver: ConnectionDriver) -> Self {
        self.settings.driver = driver;
        self
    }

    /// Who hears of everything that happens to connections: opened, lent, given back, closed and why. In a cluster
    /// and behind sentinels each node's pool tells its own name, which has the address in it, as in
    /// `features/10.0.0.1:7000`; connections that look up the topology are no pool's. See [`Listener`].
    ///
    /// # Example
    ///
    /// ```
    /// use wait_pool_redis::wait_pool::event::{Event, Listener};
    ///
    /// struct Log;
    ///
    /// impl Listener for Log {
    ///     fn on_event(&self, pool: &str, event: &Event<'_>) {
    ///         if let Event::ConnectionClosed { reason, .. } = event {
    ///             eprintln!("{pool}: a connection was closed: {reason:?}");
    ///         }
    ///     }
    /// }
    ///
    /// let pool = wait_pool_redis::Pool::builder("redis://10.0.0.1").listener(Log).build()?;
    /// # Ok::<(), wait_pool_redis::BuildError>(())
    /// ```
    pub fn listener(mut self, listener: impl Listener) -> Self {
        self.settings.core.listener = Some(Ear::of(listener));
        self
    }
}

impl Builder<cluster::Pool> {
    /// The bound on connections to all nodes together, those being opened included; beside
    /// [`max_connections_per_node`](Self::max_connections_per_node), which may be above or below it. Connections
    /// for looking up the topology, one at a time, are not counted. Default: none.
    ///
    /// At the bound a node without any connection gets room before one that has some, otherwise it is first
    /// come, first served. Room is made by the connection of another node that is idle (the one idle
    /// for longest; where a node has some already, only one idle for 100 ms), `min_idle` or not. If none is, a
    /// node without any gets one of the node with the most as soon as that is free: it takes no more
    /// requests meanwhile, and those on it get their answers. No request has a connection to one
    /// node while it waits for one to another.
    ///
    /// A bound below the number of nodes in use works: nodes take turns of 20 ms at least. It costs a
    /// new connection for each turn, so have one for each primary, better two.
    pub fn max_connections(mut self, in_total: usize) -> Self {
        self.max_connections = Some(in_total);
        self
    }

    pub(super) fn group(&self) -> Result<Option<Group>, BuildError> {
        let group = self.max_connections.map(Group::new).transpose();
        group.map_err(|refused| BuildError::Setting {
            setting: refused.setting(),
            reason: refused.reason(),
        })
    }
}
