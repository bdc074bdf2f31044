//! The pool for a cluster: a bounded pool per node, one handle over all.

use std::fmt;
use std::sync::Arc;

use redis::aio::ConnectionLike;
use redis::{
    Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisFuture, Value,
};
use wait_pool::Status;

use crate::config::Builder;
use crate::dispatch::Dispatch;
use crate::error::BuildError;
use crate::lookup::Lookup;
use crate::node::NodeAddr;
use crate::nodes::{Node, Nodes};
use crate::refresh::{self, Source, Topologies};
use crate::settings::Settings;

/// Bounded pools of connections to the nodes of a Redis or Valkey Cluster, behind one handle.
///
/// It is itself a connection as far as redis-rs is concerned: commands, pipelines and
/// `AsyncCommands` run on it, from any number of clones at once. Commands go to the nodes that own
/// their keys. A pipeline over several slots and nodes is split by node; the parts run side by
/// side and the answers come back in the order of the commands. An `atomic()` pipeline is never
/// split: its keys have to share a slot.
///
/// Each node has at most `max_connections_per_node` connections; at the bound requests wait in
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
}

impl Pool {
    /// Starts to set up a pool for the cluster that the nodes at these URLs belong to. The other
    /// nodes are found through them; user, password and TLS are the first URL's for all.
    pub fn builder(urls: impl IntoIterator<Item = impl IntoConnectionInfo>) -> Builder<Self> {
        Builder::new(urls, "max_connections_per_node")
    }

    pub(crate) fn new(
        servers: Vec<ConnectionInfo>,
        settings: Settings,
    ) -> Result<Self, BuildError> {
        let template = servers[0].clone();
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
                dispatch: Arc::new(Dispatch::new(Arc::clone(&topologies), settings)),
                topologies,
            }),
        })
    }

    /// The figures of every node that a request has been sent to or the topology names as a
    /// primary, in the order of their addresses.
    pub fn status(&self) -> Vec<(NodeAddr, Status)> {
        self.cluster.topologies.nodes.status()
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
            .field("nodes", &self.status())
            .finish_non_exhaustive()
    }
}
