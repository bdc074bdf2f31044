//! Where a pool behind sentinels gets its connections, by deadpool-redis's name.

use std::fmt;
use std::sync::Arc;

use redis::{ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisResult};

use super::config::SentinelServerType;
use super::node::SentinelNodeConnectionInfo;

/// Sentinels, what they watch and how to connect to it, in the words of deadpool-redis.
///
/// [`Pool::builder`](super::Pool::builder) takes one as well as URLs, and the pool is another one then: it has
/// deadpool's timeouts, and its connections have redis-rs's own, as a pool from a [`crate::Manager`].
///
/// # Example
///
/// ```
/// use wait_pool_redis::sentinel::{Manager, Pool, SentinelServerType};
///
/// let sentinels = vec!["redis://10.0.0.1:26379", "redis://10.0.0.2:26379"];
/// let manager = Manager::new(sentinels, "features".to_owned(), None, SentinelServerType::Master)?;
/// let pool = Pool::builder(manager).max_size(8).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Manager {
    pub(super) sentinels: Vec<ConnectionInfo>,
    pub(super) master: Arc<str>,
    pub(super) servers: Option<ConnectionInfo>,
    pub(super) server_type: SentinelServerType,
    /// Whether it was made in deadpool's words, with deadpool's defaults.
    pub(super) named: bool,
}

impl Manager {
    /// Takes the URLs of sentinels, or any other connection parameters that redis-rs takes; their name for the servers;
    /// how to connect to these; and to which of them.
    ///
    /// # Errors
    ///
    /// A URL is not understood, or there is none.
    pub fn new<T: IntoConnectionInfo>(
        param: Vec<T>,
        service_name: String,
        node_connection_info: Option<SentinelNodeConnectionInfo>,
        server_type: SentinelServerType,
    ) -> RedisResult<Self> {
        if param.is_empty() {
            return Err((
                ErrorKind::EmptySentinelList,
                "a sentinel at least is needed",
            )
                .into());
        }
        let servers = node_connection_info.unwrap_or_default().into_info();
        Ok(Self {
            sentinels: infos(param)?,
            master: service_name.into(),
            servers: Some(servers.into_connection_info()?),
            server_type,
            named: true,
        })
    }
}

fn infos(
    urls: impl IntoIterator<Item = impl IntoConnectionInfo>,
) -> RedisResult<Vec<ConnectionInfo>> {
    let infos = urls
        .into_iter()
        .map(IntoConnectionInfo::into_connection_info);
    infos.collect()
}

/// What a pool behind sentinels can be made from: a list of everything that redis-rs takes for connection
/// parameters, and a [`Manager`].
pub trait IntoManager {
    /// Makes it.
    ///
    /// # Errors
    ///
    /// A URL is not understood.
    fn into_manager(self) -> RedisResult<Manager>;
}

/// The master's name is yet to be [said](crate::Builder::master_name).
impl<I> IntoManager for I
where
    I: IntoIterator,
    I::Item: IntoConnectionInfo,
{
    fn into_manager(self) -> RedisResult<Manager> {
        Ok(Manager {
            sentinels: infos(self)?,
            master: Arc::from(""),
            servers: None,
            server_type: SentinelServerType::Master,
            named: false,
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
        let sentinels: Vec<_> = self.sentinels.iter().map(ConnectionInfo::addr).collect();
        f.debug_struct("Manager")
            .field("sentinels", &sentinels)
            .field("master", &self.master)
            .field("server_type", &self.server_type)
            .finish_non_exhaustive()
    }
}
