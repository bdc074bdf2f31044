//! What deadpool-redis has beside, by its names.

use std::sync::{Arc, Weak};

use super::{Group, Pool};
use crate::config::Builder;

pub use crate::connection::Connection;
pub use crate::error::BuildError;
pub use crate::handle::ObjectId;
pub use crate::hook::{Hook, HookError};
pub use crate::pool_error::PoolError;
pub use crate::setup::{ConfigError, CreatePoolError};
pub use crate::status::Status;
pub use deadpool::Runtime;
pub use deadpool::managed::{Metrics, PoolConfig, QueueMode, TimeoutType, Timeouts};

/// What [`Pool::get`] gives, by another of deadpool's names.
pub type Object = Connection;

/// The settings of a [`Pool`], by deadpool's name.
pub type PoolBuilder = Builder<Pool>;

impl Pool {
    /// Changes the bound on connections to each server, at once and for all clones: see
    /// [`Pool::resize`](crate::Pool::resize).
    pub fn resize(&self, max_size: usize) {
        self.group.topologies.nodes.resize(max_size.max(1));
    }

    /// The limits that the pool was given, in the words of deadpool. `wait` covers opening a connection.
    pub fn timeouts(&self) -> Timeouts {
        self.group.timeouts
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.group.metrics
    }

    /// A handle that does not keep the pool open.
    pub fn weak(&self) -> WeakPool {
        WeakPool {
            group: Arc::downgrade(&self.group),
        }
    }
}

/// A [`Pool`] that ends with the last of its other handles.
#[derive(Clone, Debug)]
pub struct WeakPool {
    group: Weak<Group>,
}

impl WeakPool {
    /// The pool, if it has not ended.
    pub fn upgrade(&self) -> Option<Pool> {
        let group = self.group.upgrade()?;
        Some(Pool { group })
    }
}
