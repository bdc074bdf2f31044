//! The configuration of a pool behind sentinels as data, in the shape of deadpool-redis's.

use std::fmt;

use deadpool::Runtime;
use deadpool::managed::PoolConfig;
use redis::{ConnectionInfo as Info, IntoConnectionInfo, RedisResult};

use super::Pool;
use super::node::SentinelNodeConnectionInfo;
use crate::config::Builder;
use crate::readers::ReadFrom;
use crate::setup::{ConfigError, ConnectionAddr, ConnectionInfo, CreatePoolError, shown_url};

/// The configuration of a pool behind sentinels in the words of deadpool-redis.
///
/// With the feature `serde` it is read from, and written to, what deadpool-redis's is.
#[derive(Clone)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct Config {
    /// The sentinels: either these, or `connections`.
    pub urls: Option<Vec<String>>,
    /// Which of the servers that they watch the pool is for.
    #[cfg_attr(feature = "serde", serde(default))]
    pub server_type: SentinelServerType,
    /// The sentinels' name for these servers. `mymaster` if it is not read.
    #[cfg_attr(feature = "serde", serde(default = "mymaster"))]
    pub master_name: String,
    /// The sentinels, in parts. With neither of the two it is `127.0.0.1:6379`.
    pub connections: Option<Vec<ConnectionInfo>>,
    /// How to connect to the servers.
    pub node_connection_info: Option<SentinelNodeConnectionInfo>,
    /// Size and limits; deadpool's defaults without it.
    pub pool: Option<PoolConfig>,
}

impl Config {
    /// Of servers that these sentinels watch.
    #[must_use]
    pub fn from_urls<T: Into<Vec<String>>>(
        urls: T,
        master_name: String,
        server_type: SentinelServerType,
    ) -> Self {
        Self {
            urls: Some(urls.into()),
            server_type,
            master_name,
            connections: None,
            node_connection_info: None,
            pool: None,
        }
    }

    /// Says how to connect to the servers, which may differ from how to connect to the sentinels.
    #[must_use]
    pub fn with_node_connection_info(
        mut self,
        node_connection_info: Option<SentinelNodeConnectionInfo>,
    ) -> Self {
        self.node_connection_info = node_connection_info;
        self
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
        let sentinels: Vec<Info> = match (&self.urls, &self.connections) {
            (Some(urls), None) => {
                let urls = urls.iter().map(|url| url.as_str().into_connection_info());
                urls.collect::<RedisResult<_>>()?
            }
            (None, Some(connections)) => connections.iter().cloned().map(Info::from).collect(),
            (None, None) => vec![ConnectionInfo::default().into()],
            (Some(_), Some(_)) => return Err(ConfigError::UrlAndConnectionSpecified),
        };
        let servers = self.node_connection_info.clone().unwrap_or_default();
        let builder = Pool::builder(sentinels, self.master_name.as_str())
            .servers(servers.into_info())
            .config(self.get_pool_config());
        Ok(match self.server_type {
            SentinelServerType::Master => builder,
            SentinelServerType::Replica => builder.read_from(ReadFrom::PreferReplica),
        })
    }

    /// `pool`, or deadpool's defaults.
    #[must_use]
    pub fn get_pool_config(&self) -> PoolConfig {
        self.pool.unwrap_or_default()
    }
}

impl Default for Config {
    fn default() -> Self {
        let local = ConnectionInfo {
            addr: ConnectionAddr::Tcp("127.0.0.1".to_owned(), 26379),
            ..ConnectionInfo::default()
        };
        Self {
            urls: None,
            server_type: SentinelServerType::Master,
            master_name: mymaster(),
            connections: Some(vec![local]),
            node_connection_info: None,
            pool: None,
        }
    }
}

fn mymaster() -> String {
    "mymaster".to_owned()
}

/// Which of the servers that sentinels watch a pool is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub enum SentinelServerType {
    /// The master.
    #[default]
    Master,
    /// Its replicas, for what only reads on the pool or a handle. All else is the master's here, and so are connections
    /// of one's own.
    Replica,
}

/// A kind of server that redis-rs may have one day is taken for a replica, on which nothing can be broken.
#[cfg(feature = "sentinel")]
impl From<redis::sentinel::SentinelServerType> for SentinelServerType {
    fn from(kind: redis::sentinel::SentinelServerType) -> Self {
        match kind {
            redis::sentinel::SentinelServerType::Master => Self::Master,
            _ => Self::Replica,
        }
    }
}

#[cfg(feature = "sentinel")]
impl From<SentinelServerType> for redis::sentinel::SentinelServerType {
    fn from(kind: SentinelServerType) -> Self {
        match kind {
            SentinelServerType::Master => Self::Master,
            SentinelServerType::Replica => Self::Replica,
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
            .field("server_type", &self.server_type)
            .field("master_name", &self.master_name)
            .field("connections", &self.connections)
            .field("node_connection_info", &self.node_connection_info)
            .field("pool", &self.pool)
            .finish()
    }
}
