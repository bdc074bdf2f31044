//! What deadpool-redis has beside, by its names.

use std::future::Future;
use std::sync::{Arc, Weak};

use super::{Cluster, Manager, Pool};
use crate::config::Builder;
use crate::handle::Handle;
pub use crate::pool_error::PoolError;

pub use crate::error::BuildError;
pub use crate::handle::ObjectId;
pub use crate::hook::{Hook, HookError};
pub use crate::setup::{ConfigError, CreatePoolError};
pub use crate::status::Status;
pub use deadpool::Runtime;
pub use deadpool::managed::{Metrics, PoolConfig, QueueMode, TimeoutType, Timeouts};
#[cfg(feature = "cluster")]
pub use redis::cluster::{ClusterClient, ClusterClientBuilder};
#[cfg(feature = "cluster")]
pub use redis::cluster_async::ClusterConnection;

/// What [`Pool::get`] gives.
pub type Connection = Handle;

/// The same, by another of deadpool's names.
pub type Object = Handle;

/// The settings of a [`Pool`], by deadpool's name.
pub type PoolBuilder = Builder<Pool>;

impl Pool {
    /// As [`get`](Self::get): nothing is waited for there.
    ///
    /// # Errors
    ///
    /// As `get`.
    pub fn timeout_get(
        &self,
        timeouts: &Timeouts,
    ) -> impl Future<Output = Result<Handle, PoolError>> + Send + '_ {
        let _ = timeouts;
        self.get()
    }

    /// Changes the bound on connections to each node, at once and for all clones: see
    /// [`Pool::resize`](crate::Pool::resize).
    pub fn resize(&self, max_size: usize) {
        self.cluster.topologies.nodes.resize(max_size.max(1));
    }

    /// The limits that the pool was given, in the words of deadpool: for each node's connections.
    pub fn timeouts(&self) -> Timeouts {
        self.cluster.settings.timeouts()
    }

    /// How the pool connects.
    pub fn manager(&self) -> &Manager {
        &self.cluster.manager
    }

    /// A handle that does not keep the pool open.
    pub fn weak(&self) -> WeakPool {
        WeakPool {
            cluster: Arc::downgrade(&self.cluster),
        }
    }
}

/// A [`Pool`] that ends with the last of its other handles.
#[derive(Clone, Debug)]
pub struct WeakPool {
    cluster: Weak<Cluster>,
}

impl WeakPool {
    /// The pool, if it has not ended.
    pub fn upgrade(&self) -> Option<Pool> {
        let cluster = self.cluster.upgrade()?;
        Some(Pool { cluster })
    }
}
