//! Where a pool for a cluster gets its connections, by deadpool-redis's name.

use std::fmt;

use redis::{ConnectionInfo, IntoConnectionInfo, RedisResult};

/// The startup nodes of a cluster, in the words of deadpool-redis.
#[derive(Clone)]
pub struct Manager {
    infos: Vec<ConnectionInfo>,
    read_from_replicas: bool,
    /// Whether it was made in deadpool's words, with deadpool's defaults.
    named: bool,
}

impl Manager {
    /// Takes the URLs of some nodes, or any other connection parameters that redis-rs takes; and whether commands that
    /// only read go to replicas ([`ReadFrom::PreferReplica`](crate::ReadFrom)).
    ///
    /// # Errors
    ///
    /// A URL is not understood.
    pub fn new<T: IntoConnectionInfo>(
        params: Vec<T>,
        read_from_replicas: bool,
    ) -> RedisResult<Self> {
        let infos = params.into_iter().map(T::into_connection_info);
        Ok(Self {
            infos: infos.collect::<RedisResult<_>>()?,
            read_from_replicas,
            named: true,
        })
    }

    pub(crate) const fn of(infos: Vec<ConnectionInfo>, read_from_replicas: bool) -> Self {
        Self {
            infos,
            read_from_replicas,
            named: false,
        }
    }

    pub(crate) fn into_infos(self) -> Vec<ConnectionInfo> {
        self.infos
    }

    pub(crate) const fn reads_replicas(&self) -> bool {
        self.read_from_replicas
    }

    pub(crate) const fn is_named(&self) -> bool {
        self.named
    }
}

/// What a pool for a cluster can be made from: a list of everything that redis-rs takes for connection
/// parameters, and a [`Manager`].
pub trait IntoManager {
    /// Makes it.
    ///
    /// # Errors
    ///
    /// A URL is not understood.
    fn into_manager(self) -> RedisResult<Manager>;
}

impl<I> IntoManager for I
where
    I: IntoIterator,
    I::Item: IntoConnectionInfo,
{
    fn into_manager(self) -> RedisResult<Manager> {
        let infos = self.into_iter().map(I::Item::into_connection_info);
        Ok(Manager::of(infos.collect::<RedisResult<_>>()?, false))
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
        let addrs: Vec<_> = self.infos.iter().map(ConnectionInfo::addr).collect();
        f.debug_struct("Manager")
            .field("addrs", &addrs)
            .field("read_from_replicas", &self.read_from_replicas)
            .finish_non_exhaustive()
    }
}
