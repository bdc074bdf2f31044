//! A pool's configuration as data, in the shape of deadpool-redis's, to be read from wherever an application
//! keeps its own.

mod addr;
mod error;
mod info;

use std::fmt;

use deadpool::Runtime;
use deadpool::managed::PoolConfig;

use crate::config::Builder;
use crate::manager::Manager;
use crate::pool::Pool;

pub use addr::ConnectionAddr;
pub use error::{ConfigError, CreatePoolError};
pub(crate) use info::shown_url;
pub use info::{ConnectionInfo, ProtocolVersion, RedisConnectionInfo};

/// The configuration of a [`Pool`] in the words of deadpool-redis.
///
/// With the feature `serde` it is read from, and written to, what deadpool-redis's is. The pool has the limits of
/// one made from a [`Manager`].
///
/// # Example
///
/// ```
/// use wait_pool_redis::{Config, PoolConfig, Runtime};
///
/// let mut config = Config::from_url("redis://127.0.0.1/1");
/// config.pool = Some(PoolConfig::new(8));
/// let pool = config.create_pool(Some(Runtime::Tokio1))?;
/// assert_eq!(pool.status().max_size, 8);
/// # Ok::<(), wait_pool_redis::CreatePoolError>(())
/// ```
#[derive(Clone)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct Config {
    /// Where the server is: either this, or `connection`.
    pub url: Option<String>,
    /// Where the server is, in parts. With neither of the two it is `127.0.0.1:6379`.
    pub connection: Option<ConnectionInfo>,
    /// Size and limits; deadpool's defaults without it.
    pub pool: Option<PoolConfig>,
}

impl Config {
    /// Of the server at a URL.
    #[must_use]
    pub fn from_url<T: Into<String>>(url: T) -> Self {
        Self {
            url: Some(url.into()),
            connection: None,
            pool: None,
        }
    }

    /// Of the server with these parameters.
    #[must_use]
    pub fn from_connection_info<T: Into<ConnectionInfo>>(connection_info: T) -> Self {
        Self {
            url: None,
            connection: Some(connection_info.into()),
            pool: None,
        }
    }

    /// Makes the pool. Opens nothing and needs no runtime.
    ///
    /// # Errors
    ///
    /// What makes no sense, in the configuration or for a pool.
    pub fn create_pool(&self, runtime: Option<Runtime>) -> Result<Pool, CreatePoolError> {
        let builder = self.builder().map_err(CreatePoolError::Config)?;
        let builder = match runtime {
            Some(runtime) => builder.runtime(runtime),
            None => builder,
        };
        builder.build().map_err(CreatePoolError::Build)
    }

    /// Starts to set up the pool, for what this has no word for.
    ///
    /// # Errors
    ///
    /// Both a URL and connection parameters, or a URL that is not understood.
    pub fn builder(&self) -> Result<Builder<Pool>, ConfigError> {
        let manager = match (&self.url, &self.connection) {
            (Some(url), None) => Manager::new(url.as_str())?,
            (None, Some(connection)) => Manager::new(connection.clone())?,
            (None, None) => Manager::new(ConnectionInfo::default())?,
            (Some(_), Some(_)) => return Err(ConfigError::UrlAndConnectionSpecified),
        };
        Ok(Pool::builder(manager).config(self.get_pool_config()))
    }

    /// `pool`, or deadpool's defaults.
    #[must_use]
    pub fn get_pool_config(&self) -> PoolConfig {
        self.pool.unwrap_or_default()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::from_connection_info(ConnectionInfo::default())
    }
}

/// Shows no password.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("url", &self.url.as_deref().map(shown_url))
            .field("connection", &self.connection)
            .field("pool", &self.pool)
            .finish()
    }
}
