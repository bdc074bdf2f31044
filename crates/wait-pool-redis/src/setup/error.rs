//! What is wrong with a configuration.

use redis::RedisError;

use crate::error::BuildError;

/// A configuration that makes no sense by itself.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It says in two ways where the servers are.
    #[error("URLs and connection parameters are given both, so that it is not clear which count")]
    UrlAndConnectionSpecified,
    /// redis-rs does not understand it.
    #[error("redis-rs does not understand it: {0}")]
    Redis(#[source] RedisError),
}

impl From<RedisError> for ConfigError {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

/// Why there is no pool for a configuration.
#[derive(Debug, thiserror::Error)]
pub enum CreatePoolError {
    /// The configuration makes no sense by itself.
    #[error("configuration: {0}")]
    Config(#[source] ConfigError),
    /// A pool can not be set up like this.
    #[error("pool: {0}")]
    Build(#[source] BuildError),
}
