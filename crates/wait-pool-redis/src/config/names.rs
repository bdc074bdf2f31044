//! The settings by deadpool's names.

use std::sync::Arc;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{PoolConfig, QueueMode, Timeouts};

use super::Builder;
use crate::hook::Hook;

impl<T> Builder<T> {
    /// `max_size`, `timeouts` and `queue_mode` at once. For a cluster, `max_size` is that of each node.
    pub fn config(self, value: PoolConfig) -> Self {
        let mut builder = self.timeouts(value.timeouts).queue_mode(value.queue_mode);
        builder.settings.max_connections = value.max_size;
        builder
    }

    /// [`wait_timeout`](Self::wait_timeout), [`create_timeout`](Self::create_timeout) and
    /// [`recycle_timeout`](Self::recycle_timeout) at once.
    pub fn timeouts(self, value: Timeouts) -> Self {
        self.wait_timeout(value.wait)
            .create_timeout(value.create)
            .recycle_timeout(value.recycle)
    }

    /// How long it may take to open a connection, [`post_create`](Self::post_create) included:
    /// [`connect_timeout`](Self::connect_timeout), where `None` changes nothing.
    pub fn create_timeout(mut self, value: Option<Duration>) -> Self {
        self.settings.create_timeout = value;
        if let Some(timeout) = value {
            self.settings.connect_timeout = timeout;
        }
        self
    }

    /// How long the `PING` of a connection that has been idle for long may take, and the hooks before a connection
    /// is used again: [`check_timeout`](Self::check_timeout), where `None` changes nothing.
    pub fn recycle_timeout(mut self, value: Option<Duration>) -> Self {
        self.settings.recycle_timeout = value;
        if let Some(timeout) = value {
            self.settings.core.check_timeout = timeout;
        }
        self
    }

    /// Has no effect: a connection is used again as soon as possible, and those that are not needed are closed
    /// after [`idle_timeout`](Self::idle_timeout). For the order of callers there is
    /// [`queue_policy`](Self::queue_policy).
    pub fn queue_mode(self, value: QueueMode) -> Self {
        let _ = value;
        self
    }

    /// Need not be set: the runtime is tokio, and found where the pool is used. `build` refuses another one.
    pub fn runtime(mut self, value: Runtime) -> Self {
        self.runtime = Some(value);
        self
    }

    /// What is done to each connection that has been opened, in the order in which it is set. A refusal closes it
    /// and counts as a failure to connect; whoever asked is told
    /// [`PoolError::PostCreateHook`](crate::PoolError::PostCreateHook).
    pub fn post_create(mut self, hook: impl Into<Hook>) -> Self {
        self.settings.hooks.post_create.push(Arc::new(hook.into()));
        self
    }

    /// What is done to a connection that somebody had for himself before the next one has it for himself. A
    /// refusal closes it, and the caller gets another one. Requests that share a connection have no such moment.
    pub fn pre_recycle(mut self, hook: impl Into<Hook>) -> Self {
        self.settings.hooks.pre_recycle.push(Arc::new(hook.into()));
        self
    }

    /// The same as [`pre_recycle`](Self::pre_recycle), after all that was set by that.
    pub fn post_recycle(mut self, hook: impl Into<Hook>) -> Self {
        self.settings.hooks.post_recycle.push(Arc::new(hook.into()));
        self
    }
}
