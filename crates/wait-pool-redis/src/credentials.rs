//! Credentials that change while the pool is in use.

use redis::auth::StreamingCredentialsProvider;

use crate::config::Builder;

/// With feature `token-based-authentication`.
impl<T> Builder<T> {
    /// Who tells user and password, instead of the URLs: tokens that expire, passwords that are rotated.
    ///
    /// A connection is opened with the first that its stream yields, and given every later one by redis-rs
    /// (`AUTH` on the connection, between the requests on it). So a stream should begin with what is valid now.
    /// Connections that look up the topology ask it, too. If it yields an error, or nothing, a connection
    /// cannot be opened and requests are told so.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use std::pin::Pin;
    ///
    /// use futures_util::stream::{self, Stream, StreamExt};
    /// use wait_pool_redis::redis::RedisResult;
    /// use wait_pool_redis::redis::auth::{BasicAuth, StreamingCredentialsProvider};
    ///
    /// struct FromFile(std::path::PathBuf);
    ///
    /// impl StreamingCredentialsProvider for FromFile {
    ///     fn subscribe(&self) -> Pin<Box<dyn Stream<Item = RedisResult<BasicAuth>> + Send>> {
    ///         let read = std::fs::read_to_string(&self.0).map_err(Into::into);
    ///         let now = read.map(|token| BasicAuth::new("service".into(), token));
    ///         // New connections read the file anew; those that are open stay as they are.
    ///         stream::iter([now]).chain(stream::pending()).boxed()
    ///     }
    /// }
    ///
    /// let pool = wait_pool_redis::Pool::builder("redis://10.0.0.1:6379")
    ///     .credentials_provider(FromFile("/run/secrets/redis".into()))
    ///     .build()?;
    /// # Ok::<(), wait_pool_redis::BuildError>(())
    /// ```
    pub fn credentials_provider(
        mut self,
        provider: impl StreamingCredentialsProvider + 'static,
    ) -> Self {
        let connection = self.settings.connection;
        self.settings.connection = connection.set_credentials_provider(provider);
        self
    }
}
