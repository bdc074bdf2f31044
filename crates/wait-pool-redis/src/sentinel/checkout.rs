//! Connections of one's own: to the master, or to its replicas in turn.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use deadpool::managed::{Metrics, TimeoutType, Timeouts};
use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult};
use wait_pool::{AcquireError, Pooled, TryAcquireError};

use super::config::SentinelServerType;
use super::{Group, Pool};
use crate::connection::Connection;
use crate::connector::Connector;
use crate::error;
use crate::node::NodeAddr;
use crate::nodes::Node;
use crate::pinned::{self, Owner, To};
use crate::pool::{RetainResult, retain};
use crate::pool_error::PoolError;
use crate::settings::has_room;
use crate::slot::Slot;

impl Pool {
    /// Takes a connection to the master for oneself, and waits for one at the bound, for at most
    /// `request_timeout`, in which the master is looked up, too, if it is not known. Where the pool is made from a
    /// [`Manager`](super::Manager), it waits for as long as that says.
    ///
    /// On it every command may run. It goes back when it is dropped; if it is left in a state that
    /// the next user would notice, it is replaced instead. Once there is another master, requests on it fail:
    /// take another one.
    ///
    /// With [`SentinelServerType::Replica`] it is a connection to one of the replicas, which take turns: one that
    /// cannot be reached is passed over. Without any replica it is an error. What a replica answers may be older
    /// than what the master would say, and it refuses writes. A replica that becomes the master has its connections
    /// closed by the sentinel.
    ///
    /// This hides [`AsyncCommands::get`](redis::AsyncCommands::get), which is there on a
    /// [`handle`](Self::handle) and on a `&mut impl AsyncCommands`.
    ///
    /// Cancel-safe: nothing is lost by a dropped future.
    ///
    /// # Errors
    ///
    /// See [`PoolError`]. [`check_out`](Self::check_out) is the same with errors that say more.
    pub async fn get(&self) -> Result<Connection, PoolError> {
        self.hold(None).await.map_err(|refused| self.told(refused))
    }

    /// [`get`](Self::get) with other limits for this call, in the words of deadpool: see
    /// [`Pool::timeout_get`](crate::Pool::timeout_get). Finding the master belongs to opening a connection.
    ///
    /// # Errors
    ///
    /// As `get`.
    pub async fn timeout_get(&self, timeouts: &Timeouts) -> Result<Connection, PoolError> {
        let held = self.hold(Some(timeouts)).await;
        held.map_err(|refused| self.told(refused))
    }

    /// Takes an idle connection for oneself if there is one and nobody waits for it. Looks up nothing, opens nothing,
    /// never waits, calls no hook.
    ///
    /// # Errors
    ///
    /// [`PoolError::Timeout`] if there is none, [`PoolError::Closed`].
    pub fn try_get(&self) -> Result<Connection, PoolError> {
        if self.is_closed() {
            return Err(PoolError::Closed);
        }
        let known = self.group.topologies.known();
        let servers = known
            .as_ref()
            .map_or(&[][..], |known| match self.server_type() {
                SentinelServerType::Master => &known.primaries[..],
                SentinelServerType::Replica => known.replicas(0),
            });
        for node in servers {
            match node.pool().try_get() {
                Ok(held) => return Ok(self.connection(Arc::clone(node), held)),
                Err(TryAcquireError::Closed) => return Err(PoolError::Closed),
                Err(_) => {}
            }
        }
        Err(PoolError::Timeout(TimeoutType::Wait))
    }

    /// [`get`](Self::get) with redis-rs's error, whose source is the core's, with all that a caller who
    /// waited in vain was up against.
    ///
    /// # Errors
    ///
    /// No connection in time, no master, no way to connect, or the pool is closed. See the [crate's
    /// documentation](crate#errors).
    pub async fn check_out(&self) -> RedisResult<Connection> {
        self.hold(None).await.map_err(|refused| match refused {
            Refused::Unknown(error) => error,
            Refused::Connection(addr, refused) => error::no_connection(&addr, refused),
        })
    }

    /// Looks at every idle connection, to master and replicas: see [`Pool::retain`](crate::Pool::retain).
    pub fn retain(
        &self,
        keep: impl FnMut(&MultiplexedConnection, Metrics) -> bool,
    ) -> RetainResult {
        let all = self.group.topologies.nodes.present();
        retain(all.iter().map(|node| node.pool()), keep)
    }

    /// Where a failover comes in between, the wait goes on in the line for the new master.
    async fn hold(&self, timeouts: Option<&Timeouts>) -> Result<Connection, Refused> {
        let topologies = &self.group.topologies;
        let settings = topologies.nodes.settings();
        let begun = tokio::time::Instant::now().into_std();
        let deadline = |has_room: bool| -> Option<Instant> {
            let limit = match timeouts {
                Some(timeouts) => settings.limit_by_steps(timeouts, has_room),
                None => settings.limit(has_room),
            };
            begun.checked_add(limit.unwrap_or(Some(Duration::ZERO))?)
        };
        let mut failures = 0;
        loop {
            let found = pinned::find_in_time(topologies, &self.group.to(), deadline(true)).await;
            let node = found.map_err(Refused::Unknown)?;
            let room = has_room(&node.pool().status());
            let held = node.pool().request().deadline(deadline(room)).get().await;
            let refused = match held {
                Ok(held) => return Ok(self.connection(node, held)),
                Err(refused) => refused,
            };
            failures += 1;
            if !self.is_for_another(&node, &refused, failures) {
                topologies.request();
                return Err(Refused::Connection(node.addr().clone(), refused));
            }
        }
    }

    /// Whether another server is to be asked for a connection.
    fn is_for_another(
        &self,
        node: &Node,
        refused: &AcquireError<RedisError>,
        failures: usize,
    ) -> bool {
        let topologies = &self.group.topologies;
        let Some(known) = topologies.known() else {
            return false;
        };
        let is_paused = matches!(refused, AcquireError::Paused { .. });
        match self.server_type() {
            SentinelServerType::Master => is_paused && known.topology.primary(0) != node.addr(),
            SentinelServerType::Replica => {
                if !is_paused && !matches!(refused, AcquireError::Connect(_)) {
                    return false;
                }
                node.health().rest();
                topologies.request();
                failures < known.replicas(0).len()
            }
        }
    }

    fn connection(&self, node: Arc<Node>, held: Pooled<Connector>) -> Connection {
        let topologies = Arc::clone(&self.group.topologies);
        let limit = topologies.nodes.settings().own_limit();
        let pool = node.pool().clone();
        let owner = match self.server_type() {
            SentinelServerType::Master => Owner::master(node, topologies),
            SentinelServerType::Replica => Owner::replica(node, topologies),
        };
        Connection::new(held, pool, limit, Some(owner))
    }

    fn told(&self, refused: Refused) -> PoolError {
        match refused {
            Refused::Unknown(_) if self.is_closed() => PoolError::Closed,
            Refused::Unknown(error) if error.is_timeout() => {
                PoolError::Timeout(TimeoutType::Create)
            }
            Refused::Unknown(error) => PoolError::from(error),
            Refused::Connection(addr, refused) => PoolError::of(&addr, refused),
        }
    }

    fn server_type(&self) -> SentinelServerType {
        self.group.manager.server_type
    }
}

impl Group {
    /// The server that the next connection is to.
    fn to(&self) -> To {
        match self.manager.server_type {
            // There is one shard, which has all slots.
            SentinelServerType::Master => To::Slot(Slot::of(&[])),
            SentinelServerType::Replica => To::Replica(self.turn.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

/// Why there is no connection.
enum Refused {
    Unknown(RedisError),
    Connection(NodeAddr, AcquireError<RedisError>),
}
