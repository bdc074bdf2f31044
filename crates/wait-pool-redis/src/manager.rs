//! Where a pool for one server gets its connections, by deadpool-redis's name.

use std::fmt;

use redis::{AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, RedisResult};

/// How to connect to one server, in the words of deadpool-redis.
///
/// [`Pool::builder`](crate::Pool::builder) takes one as well as a URL, and the pool is another one then: it has
/// deadpool's timeouts, and its connections have redis-rs's own.
///
/// | | from a URL | from a `Manager` |
/// |---|---|---|
/// | `max_size` | 16 | two for each processor |
/// | how long `get` waits | `request_timeout`, 5 s | for ever, unless [`wait_timeout`](crate::Builder::wait_timeout) is set; opening a connection does not count |
/// | how long opening takes at most | `connect_timeout`, 5 s | what the `AsyncConnectionConfig` says, 1 s by default |
/// | how long a command on a connection from `get` takes at most | `request_timeout`, 5 s | what the `AsyncConnectionConfig` says, 500 ms by default, also for `BLPOP` |
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use wait_pool_redis::{Manager, Pool, redis::AsyncConnectionConfig};
///
/// let patient = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(2)));
/// let manager = Manager::new_with_config("redis://127.0.0.1/", patient)?;
/// let pool = Pool::builder(manager).max_size(8).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Manager {
    info: ConnectionInfo,
    /// None for pools made from a URL, whose own timeouts cover more.
    config: Option<AsyncConnectionConfig>,
}

impl Manager {
    /// Takes a URL, or any other connection parameters that redis-rs takes.
    ///
    /// # Errors
    ///
    /// The URL is not understood, or needs what redis-rs has been compiled without.
    pub fn new<T: IntoConnectionInfo>(params: T) -> RedisResult<Self> {
        Self::new_with_config(params, AsyncConnectionConfig::new())
    }

    /// The same with settings of redis-rs for each connection, its timeouts above all.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn new_with_config<T: IntoConnectionInfo>(
        params: T,
        connection_config: AsyncConnectionConfig,
    ) -> RedisResult<Self> {
        let info = params.into_connection_info()?;
        // Says now what every attempt to connect would say.
        Client::open(info.clone())?;
        Ok(Self {
            info,
            config: Some(connection_config),
        })
    }

    pub(crate) fn into_parts(self) -> (ConnectionInfo, Option<AsyncConnectionConfig>) {
        (self.info, self.config)
    }

    pub(crate) const fn from_parts(
        info: ConnectionInfo,
        config: Option<AsyncConnectionConfig>,
    ) -> Self {
        Self { info, config }
    }
}

/// What a pool for one server can be made from: everything that redis-rs takes for connection parameters, and
/// a [`Manager`].
pub trait IntoManager {
    /// Makes it.
    ///
    /// # Errors
    ///
    /// The URL is not understood.
    fn into_manager(self) -> RedisResult<Manager>;
}

impl<T: IntoConnectionInfo> IntoManager for T {
    fn into_manager(self) -> RedisResult<Manager> {
        Ok(Manager {
            info: self.into_connection_info()?,
            config: None,
        })
    }
}

impl IntoManager for Manager {
    fn into_manager(self) -> RedisResult<Manager> {
        Ok(self)
    }
}

/// Shows no password.
impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager")
            .field("addr", self.info.addr())
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
