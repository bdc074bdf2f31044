//! The pool for one server.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{
    Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisError, RedisFuture,
    RedisResult, Value,
};
use wait_pool::{AcquireError, Pooled, Status};

use crate::config::Builder;
use crate::connection::Connection;
use crate::connector::Connector;
use crate::dispatch::Dispatch;
use crate::error::{self, BuildError};
use crate::handle::Handle;
use crate::node::NodeAddr;
use crate::nodes::{Node, Nodes};
use crate::pool_error::PoolError;
use crate::refresh::Topologies;
use crate::settings::Settings;

/// A bounded pool of connections to one Redis or Valkey server.
///
/// It is itself a connection as far as redis-rs is concerned: commands, pipelines and
/// `AsyncCommands` run on it, from any number of clones at once. They share connections, up to
/// `max_leases` requests on each, and wait in line at the bound. Commands that change the
/// connection they run on (`SELECT`, `WATCH`, …) are refused here; [`get`](Self::get) gives a
/// connection of one's own for them. One that keeps its connection waiting (`BLPOP`, `XREAD BLOCK`,
/// …) takes a connection of its own for as long as it waits, so leave room for the others; what it
/// says in its timeout is added to `request_timeout`, and if it is dropped that connection is closed.
///
/// A request that is dropped or runs into its timeout leaves the connection in order. A command
/// whose connection is lost is sent once more only if it cannot change anything.
///
/// # Example
///
/// ```no_run
/// use redis::AsyncCommands;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut pool = wait_pool_redis::Pool::builder("redis://127.0.0.1/").max_size(8).build()?;
///
/// let _: () = pool.set("greeting", "hello").await?;
/// let (greeting, missing): (String, Option<String>) =
///     redis::pipe().get("greeting").get("nothing").query_async(&mut pool).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Pool {
    server: Arc<Server>,
}

struct Server {
    dispatch: Dispatch,
    pool: wait_pool::Pool<Connector>,
    addr: NodeAddr,
    db: i64,
    request_timeout: Option<Duration>,
}

impl Pool {
    /// Starts to set up a pool for the server at a URL, or with any other connection parameters
    /// that redis-rs takes.
    pub fn builder(url: impl IntoConnectionInfo) -> Builder<Self> {
        Builder::new([url], "max_size")
    }

    pub(crate) fn new(info: ConnectionInfo, settings: Settings) -> Result<Self, BuildError> {
        let addr = match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                NodeAddr::new(host.as_str(), *port)
            }
            ConnectionAddr::Unix(path) => NodeAddr::new(path.to_string_lossy(), 0),
            _ => return Err(BuildError::Unfit("this kind of address is not known")),
        };
        let db = info.redis_settings().db();
        let name = Arc::clone(&settings.name);
        let request_timeout = settings.request_timeout;
        let node = Node::new(addr.clone(), info.clone(), &settings, name)?;
        let pool = node.pool().clone();
        let nodes = Nodes::new(info, settings.clone()).with(node);
        let topologies = Topologies::fixed(nodes, addr.clone()).map_err(BuildError::Url)?;
        Ok(Self {
            server: Arc::new(Server {
                pool,
                dispatch: Dispatch::new(Arc::new(topologies), settings),
                addr,
                db,
                request_timeout,
            }),
        })
    }

    /// Takes a connection for oneself, and waits for one at the bound, for at most
    /// `request_timeout`.
    ///
    /// On it every command may run. It goes back when it is dropped; if it is left in a state that
    /// the next user would notice, it is replaced instead.
    ///
    /// This hides [`AsyncCommands::get`](redis::AsyncCommands::get), which is there on a
    /// [`handle`](Self::handle) and on a `&mut impl AsyncCommands`.
    ///
    /// Cancel-safe, as [`wait_pool::Pool::get`].
    ///
    /// # Errors
    ///
    /// See [`PoolError`]. [`check_out`](Self::check_out) is the same with errors that say more.
    #[track_caller]
    pub fn get(&self) -> impl Future<Output = Result<Connection, PoolError>> + Send + '_ {
        let held = self.held();
        async move {
            let held = held.await;
            let held = held.map_err(|refused| PoolError::of(&self.server.addr, refused))?;
            Ok(self.connection(held))
        }
    }

    /// [`get`](Self::get) with redis-rs's error, whose source is the core's, with all that a caller who
    /// waited in vain was up against.
    ///
    /// # Errors
    ///
    /// No connection within `request_timeout` or `wait_timeout`, no way to connect, or the pool is
    /// closed. See the [crate's documentation](crate#errors).
    #[track_caller]
    pub fn check_out(&self) -> impl Future<Output = RedisResult<Connection>> + Send + '_ {
        let held = self.held();
        async move {
            let held = held.await;
            let held = held.map_err(|refused| error::no_connection(&self.server.addr, refused))?;
            Ok(self.connection(held))
        }
    }

    /// Called outside of the futures that wait for it, so that the pool is told the caller's location.
    #[track_caller]
    fn held(
        &self,
    ) -> impl Future<Output = Result<Pooled<Connector>, AcquireError<RedisError>>> + Send + '_ {
        let now = tokio::time::Instant::now().into_std();
        let limit = self.server.request_timeout;
        let deadline = limit.and_then(|limit| now.checked_add(limit));
        self.server.pool.request().deadline(deadline).get()
    }

    fn connection(&self, held: Pooled<Connector>) -> Connection {
        let (pool, limit) = (self.server.pool.clone(), self.server.request_timeout);
        Connection::new(held, pool, limit, None)
    }

    /// A handle for commands, which is nothing but a redis-rs connection.
    pub fn handle(&self) -> Handle {
        Handle::from(self.clone())
    }

    /// The pool's figures at this moment.
    pub fn status(&self) -> Status {
        self.server.pool.status()
    }

    /// Ends the pool for all its clones: requests fail from now on, idle connections are closed,
    /// those in use when they come back.
    pub fn close(&self) {
        self.server.pool.close();
    }

    /// Whether [`close`](Self::close) has been called.
    pub fn is_closed(&self) -> bool {
        self.server.pool.is_closed()
    }
}

/// Cancel-safe: a dropped request leaves its connection in order. What has been sent may run all
/// the same.
impl ConnectionLike for Pool {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(self.server.dispatch.command(cmd))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(self.server.dispatch.pipeline(pipeline, offset, count))
    }

    fn get_db(&self) -> i64 {
        self.server.db
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("server", &self.server.addr)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
