//! The handle for commands: a pool without methods of its own that would hide them.

use std::fmt;

use deadpool::managed::Metrics;
use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisFuture, Value};

use crate::cluster;
use crate::pool::Pool;
use crate::sentinel;

/// A pool as a redis-rs connection, and nothing else.
///
/// Made by [`Pool::handle`], [`cluster::Pool::handle`] and [`sentinel::Pool::handle`]. It stands wherever a `MultiplexedConnection`, a
/// `ConnectionManager` or a `ClusterConnection` stands: commands, pipelines,
/// [`AsyncCommands`](redis::AsyncCommands) and scripts run on it, from any number of clones at once. What is said of
/// commands on the pool holds here, too. A pool has a method `get` of its own, so that
/// [`AsyncCommands::get`](redis::AsyncCommands::get) is hidden there; here it is not.
///
/// It keeps the pool open. Cloning costs a reference count.
///
/// # Example
///
/// ```no_run
/// use redis::AsyncCommands;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = wait_pool_redis::Pool::builder("redis://127.0.0.1/").build()?;
///
/// let mut redis = pool.handle();
/// let _: () = redis.set("greeting", "hello").await?;
/// let greeting: String = redis.get("greeting").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Handle {
    to: To,
}

#[derive(Clone)]
enum To {
    Server(Pool),
    Cluster(cluster::Pool),
    Sentinel(sentinel::Pool),
}

impl From<Pool> for Handle {
    fn from(pool: Pool) -> Self {
        Self {
            to: To::Server(pool),
        }
    }
}

impl From<cluster::Pool> for Handle {
    fn from(pool: cluster::Pool) -> Self {
        Self {
            to: To::Cluster(pool),
        }
    }
}

impl From<sentinel::Pool> for Handle {
    fn from(pool: sentinel::Pool) -> Self {
        Self {
            to: To::Sentinel(pool),
        }
    }
}

impl Handle {
    /// The handle. There is no connection in it that could be taken out of the pool: it is here for code written
    /// for deadpool-redis, where a connection to a cluster has it.
    #[must_use]
    pub fn take(this: Self) -> Self {
        this
    }

    /// The one id: all handles of a pool are the same to it. It is here for code written for deadpool-redis, as
    /// [`metrics`](Self::metrics) is.
    pub fn id(this: &Self) -> ObjectId {
        let _ = this;
        ObjectId(0)
    }

    /// Since when the pool is there. It is never recycled.
    pub fn metrics(this: &Self) -> &Metrics {
        match &this.to {
            To::Server(pool) => pool.metrics(),
            To::Cluster(pool) => pool.metrics(),
            To::Sentinel(pool) => pool.metrics(),
        }
    }

    fn connection(&mut self) -> &mut (dyn ConnectionLike + Send) {
        match &mut self.to {
            To::Server(pool) => pool,
            To::Cluster(pool) => pool,
            To::Sentinel(pool) => pool,
        }
    }
}

/// Which of a pool's objects it is, by deadpool's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(usize);

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Cancel-safe, as commands on the pool are.
impl ConnectionLike for Handle {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        self.connection().req_packed_command(cmd)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.connection()
            .req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        match &self.to {
            To::Server(pool) => pool.get_db(),
            To::Cluster(pool) => pool.get_db(),
            To::Sentinel(pool) => pool.get_db(),
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut handle = f.debug_tuple("Handle");
        match &self.to {
            To::Server(pool) => handle.field(pool),
            To::Cluster(pool) => handle.field(pool),
            To::Sentinel(pool) => handle.field(pool),
        };
        handle.finish()
    }
}
