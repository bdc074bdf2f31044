//! The pool for a cluster: a bounded pool per node, one handle over all.

mod config;
mod manager;
mod names;
mod totals;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use redis::aio::ConnectionLike;
use redis::{
    Cmd, ConnectionAddr, ConnectionInfo, Pipeline, RedisFuture, RedisResult, ToSingleRedisArg,
    Value,
};

use crate::config::Builder;
use crate::connection::Connection as Own;
use crate::dispatch::Dispatch;
use crate::handle::Handle;
use crate::lookup::Lookup;
use crate::node::NodeAddr;
use crate::nodes::{Node, Nodes};
use crate::pinned::{Owner, To};
use crate::readers::ReadFrom;
use crate::refresh::{self, Source, Topologies};
use crate::settings::Settings;
use crate::slot::Slot;

pub use crate::event::{Doubt, TopologyEvent, TopologyListener};
pub use crate::topology::{ClusterShard, ClusterTopology};
pub use config::Config;
pub use manager::{IntoManager, Manager};
pub use names::*;

pub use totals::Totals;

/// Bounded pools of connections to the nodes of a Redis or Valkey Cluster, behind one handle.
///
/// It is itself a connection as far as redis-rs is concerned: commands, pipelines and
/// `AsyncCommands` run on it, from any number of clones at once. Commands go to the nodes that own
/// their keys. A pipeline over several slots and nodes is split by node; the parts run side by
/// side and the answers come back in the order of the commands. An `atomic()` pipeline is never
/// split: its keys have to share a slot.
///
/// Commands that change the connection they run on (`WATCH`, …) are refused here; [`pin`](Self::pin)
/// gives a connection of one's own for them. One that keeps its connection waiting (`BLPOP`, `XREAD
/// BLOCK`, …) takes one of its node's for as long as it waits, so leave room for the others; what it
/// says in its timeout is added to `request_timeout`. If it is dropped that connection is closed, and
/// if its slot moves it waits on at the new owner, from the beginning.
///
/// Each node has at most `max_connections_per_node` connections, and all have at most
/// [`max_connections`](Builder::max_connections) if that is set; at the bound requests wait in
/// line, for that node only. A node that is down, hung or slow costs the keys it serves and
/// nothing else, as far as the servers allow: with `cluster-require-full-coverage yes`, Redis's
/// default, the other nodes refuse all keys from when they agree that a master has failed until its
/// replica has taken over. `MOVED` and `ASK` are followed for each command alone; an `atomic()`
/// pipeline follows `MOVED` as a whole, and not `ASK`.
///
/// Where some commands of a pipeline could not be answered, their positions hold a server error
/// with the code `TIMEOUT`, `NOCONNECTION`, `CONNECTIONLOST` or `CLUSTERDOWN`
/// ([`Pipeline::ignore_errors`](redis::Pipeline::ignore_errors) shows them side by side with the
/// values); if none could, the request fails with the first of these errors.
///
/// # Example
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut pool = wait_pool_redis::cluster::Pool::builder(["redis://127.0.0.1:7000"])
///     .max_connections_per_node(16)
///     .build()?;
///
/// let mut features = redis::pipe();
/// for name in ["age", "country", "clicks"] {
///     features.get(format!("feature:{name}"));
/// }
/// let values: Vec<Option<String>> = features.query_async(&mut pool).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Pool {
    cluster: Arc<Cluster>,
}

struct Cluster {
    dispatch: Arc<Dispatch>,
    topologies: Arc<Topologies>,
    manager: Manager,
    /// Of what `get` gives.
    metrics: Metrics,
    settings: Settings,
}

impl Pool {
    /// Starts to set up a pool for the cluster that the nodes at these URLs belong to. The other
    /// nodes are found through them; user, password and TLS are the first URL's for all.
    ///
    /// The URLs are kept for ever. One with a host name is resolved each time it is needed, and if the name
    /// stands for several addresses, as the one name of a whole cluster does, each of them is asked. A user needs
    /// the right to run `CLUSTER SHARDS` or `CLUSTER SLOTS`; with `CLUSTER INFO`, nodes that have been left behind are
    /// told apart.
    ///
    /// In the words of deadpool-redis it takes a [`Manager`]; `max_connections_per_node` is two for each processor
    /// then, unless it is set.
    pub fn builder(nodes: impl IntoManager) -> Builder<Self> {
        let mut settings = Settings::new("max_connections_per_node");
        let manager = nodes.into_manager();
        if manager.as_ref().is_ok_and(Manager::is_named) {
            settings.max_connections = PoolConfig::default().max_size;
        }
        if manager.as_ref().is_ok_and(Manager::reads_replicas) {
            settings.read_from = ReadFrom::PreferReplica;
        }
        Builder::of(manager.map(Manager::into_infos), settings)
    }

    pub(crate) fn new(
        servers: Vec<ConnectionInfo>,
        settings: Settings,
    ) -> Result<Self, BuildError> {
        let template = servers[0].clone();
        let manager = Manager::of(servers.clone(), settings.read_from.asks_replicas());
        let startup: Vec<_> = servers
            .into_iter()
            .filter_map(|info| match info.addr() {
                ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                    Some((NodeAddr::new(host.as_str(), *port), info))
                }
                _ => None,
            })
            .collect();
        for (addr, info) in &startup {
            // Shows now what would be wrong with every node later.
            Node::new(
                addr.clone(),
                info.clone(),
                &settings,
                Arc::clone(&settings.name),
            )?;
        }
        let nodes = Nodes::new(template, settings.clone());
        let source = Source::Cluster(refresh::Cluster::new(startup));
        let topologies = Arc::new(Topologies::new(nodes, source));
        Ok(Self {
            cluster: Arc::new(Cluster {
                dispatch: Arc::new(Dispatch::new(Arc::clone(&topologies), settings.clone())),
                topologies,
                manager,
                metrics: Metrics::default(),
                settings,
            }),
        })
    }

    /// Takes a connection for oneself, to the primary that owns the key's slot, and waits for one at
    /// the node's bound; for at most `request_timeout`, the look-up of the topology included.
    ///
    /// On it every command may run: `WATCH` and `MULTI` by hand, `SUBSCRIBE`, scripts that load
    /// themselves; also [`redis::aio::transaction_async`]. It goes back when the last of its clones
    /// is dropped.
    ///
    /// It stays with its node. `MOVED` and `ASK` come back as errors of the commands they answer;
    /// a `MOVED` is remembered, so that after it `pin` goes to the new owner: drop the connection
    /// and pin again. After [`pin_node`](Self::pin_node) the same holds.
    ///
    /// Cancel-safe: nothing is lost by a dropped future.
    ///
    /// # Errors
    ///
    /// No connection in time, nobody serves the slot, the topology cannot be had, or the pool is
    /// closed. See the [crate's documentation](crate#errors).
    ///
    /// # Example
    ///
    /// Optimistic locking: the closure runs again whenever somebody else has written to the key in
    /// between.
    ///
    /// ```no_run
    /// use redis::AsyncCommands;
    ///
    /// # async fn example(pool: wait_pool_redis::cluster::Pool) -> redis::RedisResult<()> {
    /// let own = pool.pin("stock").await?;
    /// let (left,): (i64,) =
    ///     redis::aio::transaction_async(own, &["stock"], |mut own, mut pipe| async move {
    ///         let stock: i64 = own.get("stock").await?;
    ///         pipe.set("stock", stock - 1).ignore().get("stock").query_async(&mut own).await
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn pin(&self, key: impl ToSingleRedisArg) -> impl Future<Output = RedisResult<Own>> + Send {
        let words = key.to_redis_args();
        let slot = Slot::of(words.first().map_or(&[][..], Vec::as_slice));
        self.pin_to(To::Slot(slot))
    }

    /// Takes a connection for oneself to the node at this address, whatever its role. A replica
    /// answers reads only after `READONLY`, which the pool has sent where it reads from replicas.
    ///
    /// As [`pin`](Self::pin) in everything else.
    ///
    /// # Errors
    ///
    /// Those of `pin`; and if the cluster has no such node, also after another look at it.
    pub fn pin_node(&self, node: &NodeAddr) -> impl Future<Output = RedisResult<Own>> + Send {
        self.pin_to(To::Node(node.clone()))
    }

    async fn pin_to(&self, to: To) -> RedisResult<Own> {
        let limit = self.cluster.settings.request_timeout;
        let now = tokio::time::Instant::now().into_std();
        let deadline = limit.and_then(|limit| now.checked_add(limit));
        let (owner, held) = Owner::check_out(&self.cluster.topologies, to, deadline).await?;
        let pool = owner.node().pool().clone();
        Ok(Own::new(held, pool, limit, Some(owner)))
    }

    /// A [`handle`](Self::handle), where a pool of connections to the cluster used to be asked for one: nothing
    /// is taken out of the pool, so there is nothing to wait for.
    ///
    /// This hides [`AsyncCommands::get`](redis::AsyncCommands::get), which is there on a handle and on a
    /// `&mut impl AsyncCommands`. For a connection of one's own there is [`pin`](Self::pin).
    ///
    /// # Errors
    ///
    /// The pool is closed.
    pub async fn get(&self) -> Result<Handle, PoolError> {
        match self.is_closed() {
            true => Err(PoolError::Closed),
            false => Ok(self.handle()),
        }
    }

    /// A handle for commands, which is nothing but a redis-rs connection.
    pub fn handle(&self) -> Handle {
        Handle::from(self.clone())
    }

    /// The sums of the figures of all nodes. Those of one node are from the same moment.
    pub fn status(&self) -> Status {
        let closed = self.is_closed();
        let each = self.status_by_node().into_iter();
        let each = each.map(|(_, status)| Status::new(status, closed));
        each.fold(Status::default(), Status::plus)
    }

    /// Who serves which slots, as far as the pool knows by now; `None` before the first request. Asks
    /// nobody.
    pub fn topology(&self) -> Option<ClusterTopology> {
        let known = self.cluster.topologies.known()?;
        Some(ClusterTopology::new(Arc::clone(&known.topology)))
    }

    /// The figures of every node that a request has been sent to or the topology names as a
    /// primary, in the order of their addresses.
    pub fn status_by_node(&self) -> Vec<(NodeAddr, wait_pool::Status)> {
        self.cluster.topologies.nodes.status()
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.cluster.metrics
    }

    /// The figures of all nodes together.
    pub fn totals(&self) -> Totals {
        let nodes = &self.cluster.topologies.nodes;
        let group = nodes.settings().core.group.as_ref();
        Totals::new(&nodes.status(), group.map(wait_pool::Group::status))
    }

    /// Starts lookups: many keys or rows at once, typed, each position with its own result.
    #[must_use]
    pub fn lookup(&self) -> Lookup {
        Lookup::new(Arc::clone(&self.cluster.dispatch))
    }

    /// Ends the pool for all its clones: requests fail from now on, idle connections are closed,
    /// those in use when they come back.
    pub fn close(&self) {
        self.cluster.topologies.close();
    }

    /// Whether [`close`](Self::close) has been called.
    pub fn is_closed(&self) -> bool {
        self.cluster.topologies.is_closed()
    }
}

/// Cancel-safe: a dropped request leaves its connections in order. What has been sent may run all
/// the same.
impl ConnectionLike for Pool {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(self.cluster.dispatch.command(cmd))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(self.cluster.dispatch.pipeline(pipeline, offset, count))
    }

    /// A cluster has database 0 only.
    fn get_db(&self) -> i64 {
        0
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("nodes", &self.status_by_node())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.manager.fmt(f)
    }
}
