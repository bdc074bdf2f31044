//! The configuration of a pool for a cluster as data, in the shape of deadpool-redis's.

use std::fmt;

use deadpool::Runtime;
use deadpool::managed::PoolConfig;

use super::{Manager, Pool};
use crate::config::Builder;
use crate::setup::{ConfigError, ConnectionInfo, CreatePoolError, shown_url};

/// The configuration of a [`Pool`] in the words of deadpool-redis.
///
/// With the feature `serde` it is read from, and written to, what deadpool-redis's is. `max_size` is the bound
/// on connections to each node, as in effect it is there; `timeouts.wait` covers opening a connection.
///
/// # Example
///
/// ```
/// use wait_pool_redis::cluster::{Config, Runtime};
///
/// let config = Config::from_urls(vec!["redis://10.0.0.1:7000".to_owned()]);
/// let pool = config.create_pool(Some(Runtime::Tokio1))?;
/// # Ok::<(), wait_pool_redis::CreatePoolError>(())
/// ```
#[derive(Clone)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct Config {
    /// Some of the nodes: either these, or `connections`.
    pub urls: Option<Vec<String>>,
    /// Some of the nodes, in parts. With neither of the two it is `127.0.0.1:6379`.
    pub connections: Option<Vec<ConnectionInfo>>,
    /// Size and limits; deadpool's defaults without it.
    pub pool: Option<PoolConfig>,
    /// Whether commands that only read may go to replicas. Default `false`.
    #[cfg_attr(feature = "serde", serde(default))]
    pub read_from_replicas: bool,
}

impl Config {
    /// Of the cluster that these nodes belong to.
    #[must_use]
    pub fn from_urls<T: Into<Vec<String>>>(urls: T) -> Self {
        Self {
            urls: Some(urls.into()),
            connections: None,
            pool: None,
            read_from_replicas: false,
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
    /// Both URLs and connection parameters, or a URL that is not understood.
    pub fn builder(&self) -> Result<Builder<Pool>, ConfigError> {
        let replicas = self.read_from_replicas;
        let manager = match (&self.urls, &self.connections) {
            (Some(urls), None) => {
                Manager::new(urls.iter().map(String::as_str).collect(), replicas)?
            }
            (None, Some(connections)) => Manager::new(connections.clone(), replicas)?,
            (None, None) => Manager::new(vec![ConnectionInfo::default()], replicas)?,
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
        Self {
            urls: None,
            connections: Some(vec![ConnectionInfo::default()]),
            pool: None,
            read_from_replicas: false,
        }
    }
}

/// Shows no password.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls = self.urls.as_ref();
        let urls = urls.map(|urls| urls.iter().map(|url| shown_url(url)).collect::<Vec<_>>());
        f.debug_struct("Config")
            .field("urls", &urls)
            .field("connections", &self.connections)
            .field("pool", &self.pool)
            .field("read_from_replicas", &self.read_from_replicas)
            .finish()
    }
}
