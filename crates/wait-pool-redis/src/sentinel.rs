//! The pool for a master that sentinels watch.

mod config;
mod names;
mod node;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::ConnectionLike;
use redis::{
    Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisFuture, RedisResult,
    Value,
};
use wait_pool::AcquireError;

use crate::config::{Builder, check, secured};
use crate::dispatch::Dispatch;
use crate::error;
use crate::handle::Handle;
use crate::lookup::Lookup;
use crate::node::NodeAddr;
use crate::nodes::{Node, Nodes, there};
use crate::pinned::{self, Owner, To};
use crate::readers::{ReadFrom, Zones};
use crate::refresh::{Sentinels, Source, Topologies};
use crate::settings::Settings;
use crate::settings::topology::AddressMap;
use crate::slot::Slot;

pub use config::{Config, SentinelServerType};
pub use names::*;
pub use node::{SentinelNodeConnectionInfo, TlsMode};

/// A bounded pool of connections to the master of a group of servers, which sentinels name.
///
/// It is itself a connection as far as redis-rs is concerned, as [`crate::Pool`] is, and what is said of commands
/// there holds here.
///
/// # Failover
///
/// The sentinels are asked when the first request comes, once a minute while there are requests, whenever a server hangs up, cannot be reached or says that it is
/// no master, and when one of them announces a new master: a task listens to that for as long as the pool is
/// there. All sentinels are asked, the newest configuration wins, and a server is believed to be the master
/// only when it says so itself.
///
/// When there is a new master, requests go there from then on; also those that were waiting for a connection to the
/// old one. Connections to the old one are closed, those in use when their answers have come. What
/// was sent and has no answer may have run: a command that only reads is sent again, another one fails with an
/// error that says that its connection was lost, or at `request_timeout`. On a connection of
/// one's own every further request fails: take another.
///
/// Between the death of a master and the choice of the next one commands fail at once where nobody listens any more, and
/// at their `request_timeout` where nobody answers. Redis replicates behind the answer, so a
/// failover may lose writes that were answered; `WAIT` and `min-replicas-to-write` make that less likely.
///
/// # Example
///
/// ```no_run
/// use redis::AsyncCommands;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let sentinels = ["redis://10.0.0.1:26379", "redis://10.0.0.2:26379", "redis://10.0.0.3:26379"];
/// let mut pool = wait_pool_redis::sentinel::Pool::builder(sentinels, "features")
///     .servers("redis://app:secret@servers/0") // user, password, database, TLS; the sentinels name the host
///     .max_size(8)
///     .build()?;
///
/// let _: () = pool.set("greeting", "hello").await?;
/// println!("{} is the master", pool.master().expect("it has been asked for"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Pool {
    group: Arc<Group>,
}

struct Group {
    dispatch: Arc<Dispatch>,
    topologies: Arc<Topologies>,
    db: i64,
    request_timeout: Option<Duration>,
    timeouts: Timeouts,
    /// Of its handles.
    metrics: Metrics,
}

/// What a builder knows of the servers that sentinels watch.
pub(crate) struct Watched {
    master: Arc<str>,
    servers: Option<Result<ConnectionInfo, BuildError>>,
}

impl Default for Watched {
    fn default() -> Self {
        Self {
            master: Arc::from(""),
            servers: None,
        }
    }
}

impl Builder<Pool> {
    /// How the servers are reached: user, password, database, protocol and TLS (`rediss://`) of this URL, or of whatever
    /// else redis-rs takes. Host and port do not matter, the sentinels tell them. Default: no password, no
    /// TLS, database 0.
    ///
    /// The sentinels are reached as their own URLs say.
    pub fn servers(mut self, like: impl IntoConnectionInfo) -> Self {
        let like = like.into_connection_info().map_err(BuildError::Url);
        self.watched.servers = Some(like);
        self
    }

    /// Who answers requests that only read. Default [`ReadFrom::Primary`]. Replicas that the sentinels take
    /// for dead, or whose link to the master is, are left out.
    pub fn read_from(mut self, servers: ReadFrom) -> Self {
        self.settings.read_from = servers;
        self
    }

    /// Where servers and sentinels are reached whose own addresses lead nowhere from here: behind NAT, port forwarding or
    /// a tunnel, or where certificates have other names than sentinels tell.
    ///
    /// It is asked with every address that a sentinel names, and answers with the one to connect to. The URLs
    /// that the pool was made with are taken as they are.
    pub fn address_map(
        mut self,
        map: impl Fn(&NodeAddr) -> NodeAddr + Send + Sync + 'static,
    ) -> Self {
        self.settings.finding.address_map = AddressMap::new(map);
        self
    }

    /// Tells which availability zone a server is in, for
    /// [`ReadFrom::AvailabilityZone`]. Without it the servers are asked, and only Valkey knows.
    pub fn zones(
        mut self,
        zone: impl Fn(&NodeAddr) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.settings.zones = Some(Zones::new(zone));
        self
    }

    /// The bound on connections to the master, and to each replica that is read from. Default 16. One more to each
    /// server and sentinel may be open for a moment while the master is looked up, and one to a sentinel
    /// always is.
    pub fn max_size(mut self, connections: usize) -> Self {
        self.settings.max_connections = connections;
        self
    }

    /// Makes the pool. Opens nothing and needs no runtime: the first request does.
    ///
    /// # Errors
    ///
    /// Names the URL or the setting that makes no sense.
    pub fn build(self) -> Result<Pool, BuildError> {
        let Watched { master, servers } = self.watched;
        if master.is_empty() {
            return Err(BuildError::Unfit("the master needs a name"));
        }
        let sentinels = self.servers?;
        if sentinels.is_empty() {
            return Err(BuildError::Unfit(
                "the URL of one sentinel at least is needed",
            ));
        }
        let anywhere = || ConnectionAddr::Tcp("servers".to_owned(), 0).into_connection_info();
        let servers = servers.unwrap_or_else(|| anywhere().map_err(BuildError::Url));
        let mut all = sentinels;
        all.push(servers?);
        if all.iter().any(|info| address(info).is_none()) {
            return Err(BuildError::Unfit(
                "sentinels and the servers they watch are reached by TCP",
            ));
        }
        let mut all = secured(all, self.tls)?;
        check(&all, &self.settings)?;
        let servers = all.pop().ok_or(BuildError::Unfit("no servers"))?;
        Pool::new(all, servers, master, self.settings)
    }
}

impl Pool {
    /// Starts to set up a pool for the master that the sentinels at these URLs watch under this name. Other sentinels are
    /// found through them, and reached as the first of them is.
    pub fn builder(
        sentinels: impl IntoIterator<Item = impl IntoConnectionInfo>,
        master_name: impl Into<Arc<str>>,
    ) -> Builder<Self> {
        let mut builder = Builder::new(sentinels, "max_size");
        builder.watched.master = master_name.into();
        builder
    }

    fn new(
        sentinels: Vec<ConnectionInfo>,
        servers: ConnectionInfo,
        master: Arc<str>,
        settings: Settings,
    ) -> Result<Self, BuildError> {
        let startup = sentinels
            .into_iter()
            .filter_map(|info| Some((address(&info)?, info)));
        let startup: Vec<_> = startup.collect();
        // Shows now what would be wrong with every server later.
        let (anywhere, name) = (NodeAddr::new("servers", 0), Arc::clone(&settings.name));
        Node::new(
            anywhere.clone(),
            there(&servers, &anywhere),
            &settings,
            name,
        )?;
        let db = servers.redis_settings().db();
        let request_timeout = settings.request_timeout;
        let sentinels = Sentinels::new(master, startup, settings.for_sentinels());
        let nodes = Nodes::new(servers, settings.clone());
        let topologies = Arc::new(Topologies::new(nodes, Source::Sentinels(sentinels)));
        Ok(Self {
            group: Arc::new(Group {
                timeouts: settings.timeouts(),
                metrics: Metrics::default(),
                dispatch: Arc::new(Dispatch::new(Arc::clone(&topologies), settings)),
                topologies,
                db,
                request_timeout,
            }),
        })
    }

    /// Takes a connection to the master for oneself, and waits for one at the bound, for at most
    /// `request_timeout`, in which the master is looked up, too, if it is not known.
    ///
    /// On it every command may run. It goes back when it is dropped; if it is left in a state that
    /// the next user would notice, it is replaced instead. Once there is another master, requests on it fail:
    /// take another one.
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
        self.hold().await.map_err(|refused| match refused {
            Refused::Master(error) => PoolError::from(error),
            Refused::Connection(addr, refused) => PoolError::of(&addr, refused),
        })
    }

    /// [`get`](Self::get) with redis-rs's error, whose source is the core's, with all that a caller who
    /// waited in vain was up against.
    ///
    /// # Errors
    ///
    /// No connection in time, no master, no way to connect, or the pool is closed. See the [crate's
    /// documentation](crate#errors).
    pub async fn check_out(&self) -> RedisResult<Connection> {
        self.hold().await.map_err(|refused| match refused {
            Refused::Master(error) => error,
            Refused::Connection(addr, refused) => error::no_connection(&addr, refused),
        })
    }

    /// Where a failover comes in between, the wait goes on in the line for the new master.
    async fn hold(&self) -> Result<Connection, Refused> {
        let topologies = &self.group.topologies;
        let limit = self.group.request_timeout;
        let now = tokio::time::Instant::now().into_std();
        let deadline: Option<Instant> = limit.and_then(|limit| now.checked_add(limit));
        // There is one shard, which has all slots.
        let any = To::Slot(Slot::of(&[]));
        loop {
            let found = pinned::find_in_time(topologies, &any, deadline).await;
            let node = found.map_err(Refused::Master)?;
            let held = node.pool().request().deadline(deadline).get().await;
            let refused = match held {
                Ok(held) => {
                    let pool = node.pool().clone();
                    let owner = Owner::new(node, Arc::clone(topologies));
                    return Ok(Connection::new(held, pool, limit, Some(owner)));
                }
                Err(refused) => refused,
            };
            let is_master = self.master().is_none_or(|master| master == *node.addr());
            if is_master || !matches!(refused, AcquireError::Paused { .. }) {
                topologies.request();
                return Err(Refused::Connection(node.addr().clone(), refused));
            }
        }
    }

    /// A handle for commands, which is nothing but a redis-rs connection.
    pub fn handle(&self) -> Handle {
        Handle::from(self.clone())
    }

    /// Starts lookups: many keys or rows at once, typed, each position with its own result.
    #[must_use]
    pub fn lookup(&self) -> Lookup {
        Lookup::new(Arc::clone(&self.group.dispatch))
    }

    /// The master as it is known now; `None` before the first request.
    pub fn master(&self) -> Option<NodeAddr> {
        let known = self.group.topologies.known()?;
        Some(known.topology.primary(0).clone())
    }

    /// The sums of the figures of all servers. Those of one server are from the same moment.
    pub fn status(&self) -> Status {
        let closed = self.is_closed();
        let each = self.status_by_node().into_iter();
        let each = each.map(|(_, status)| Status::new(status, closed));
        each.fold(Status::default(), Status::plus)
    }

    /// The figures of every server that a request has been sent to, in the order of their addresses. A master
    /// that was replaced is no longer among them, unless it follows the new one and is read from.
    pub fn status_by_node(&self) -> Vec<(NodeAddr, wait_pool::Status)> {
        self.group.topologies.nodes.status()
    }

    /// Ends the pool for all its clones: requests fail from now on, idle connections are closed,
    /// those in use when they come back.
    pub fn close(&self) {
        self.group.topologies.close();
    }

    /// Whether [`close`](Self::close) has been called.
    pub fn is_closed(&self) -> bool {
        self.group.topologies.is_closed()
    }
}

/// Why there is no connection.
enum Refused {
    Master(redis::RedisError),
    Connection(NodeAddr, AcquireError<redis::RedisError>),
}

/// Cancel-safe: a dropped request leaves its connection in order. What has been sent may run all
/// the same.
impl ConnectionLike for Pool {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(self.group.dispatch.command(cmd))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(self.group.dispatch.pipeline(pipeline, offset, count))
    }

    fn get_db(&self) -> i64 {
        self.group.db
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("master", &self.master())
            .field("servers", &self.status_by_node())
            .finish_non_exhaustive()
    }
}

fn address(info: &ConnectionInfo) -> Option<NodeAddr> {
    match info.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            Some(NodeAddr::new(host.as_str(), *port))
        }
        _ => None,
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.topologies.fmt(f)
    }
}
