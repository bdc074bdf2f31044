//! What is refused when a pool is built.

use redis::RedisError;

/// A setting that makes no sense, refused when a pool is built.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A setting, by the name that the builder has for it.
    #[error("{setting}: {reason}")]
    Setting {
        /// The builder's method.
        setting: &'static str,
        /// Why its value makes no sense.
        reason: &'static str,
    },
    /// A runtime that is not tokio.
    #[error("wait-pool runs on tokio only")]
    NoRuntimeSpecified,
    /// A URL that redis-rs does not understand.
    #[error("the URL is not understood: {0}")]
    Url(RedisError),
    /// Certificates that are not understood.
    #[error("tls: {0}")]
    Tls(RedisError),
    /// A URL that this kind of pool has no use for.
    #[error("the URL does not fit: {0}")]
    Unfit(&'static str),
}
