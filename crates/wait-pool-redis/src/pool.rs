//! The pool for one server.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use deadpool::managed::{Metrics, TimeoutType, Timeouts};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{
    Cmd, ConnectionAddr, ConnectionInfo, Pipeline, RedisError, RedisFuture, RedisResult, Value,
};
use wait_pool::{AcquireError, Pooled, TryAcquireError};

use crate::config::Builder;
use crate::connection::Connection;
use crate::connector::Connector;
use crate::dispatch::Dispatch;
use crate::error::{self, BuildError};
use crate::handle::Handle;
use crate::lookup::Lookup;
use crate::manager::{IntoManager, Manager};
use crate::node::NodeAddr;
use crate::nodes::{Node, Nodes};
use crate::pool_error::PoolError;
use crate::refresh::Topologies;
use crate::settings::Settings;
use crate::status::Status;

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
    dispatch: Arc<Dispatch>,
    pool: wait_pool::Pool<Connector>,
    addr: NodeAddr,
    db: i64,
    settings: Settings,
    manager: Manager,
    /// Of its handles.
    metrics: Metrics,
}

impl Pool {
    /// Starts to set up a pool for the server at a URL, or with any other connection parameters
    /// that redis-rs takes; or in the words of deadpool-redis, with a [`Manager`].
    pub fn builder(server: impl IntoManager) -> Builder<Self> {
        let (server, settings) = match server.into_manager().map(Manager::into_parts) {
            Ok((info, Some(config))) => (Ok(vec![info]), Settings::stepwise("max_size", config)),
            Ok((info, None)) => (Ok(vec![info]), Settings::new("max_size")),
            Err(error) => (Err(error), Settings::new("max_size")),
        };
        Builder::of(server, settings)
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
        let config = settings.stepwise.then(|| settings.connection.clone());
        let node = Node::new(addr.clone(), info.clone(), &settings, name)?;
        let pool = node.pool().clone();
        let nodes = Nodes::new(info.clone(), settings.clone()).with(node);
        let topologies = Topologies::fixed(nodes, addr.clone()).map_err(BuildError::Url)?;
        Ok(Self {
            server: Arc::new(Server {
                pool,
                dispatch: Arc::new(Dispatch::new(Arc::new(topologies), settings.clone())),
                manager: Manager::from_parts(info, config),
                metrics: Metrics::default(),
                addr,
                db,
                settings,
            }),
        })
    }

    /// Takes a connection for oneself, and waits for one at the bound, for at most
    /// `request_timeout`; where the pool is made from a [`Manager`], for as long as that says.
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
        self.checked_out(self.limit())
    }

    /// [`get`](Self::get) with other limits for this call, in the words of deadpool: `wait` is for a place, and
    /// `create` for opening a connection where one has a place; so `wait` of 0 gives a connection only
    /// if that needs no waiting for others. `create` can only shorten what the pool has. `recycle` is the pool's.
    ///
    /// # Errors
    ///
    /// As `get`.
    #[track_caller]
    pub fn timeout_get(
        &self,
        timeouts: &Timeouts,
    ) -> impl Future<Output = Result<Connection, PoolError>> + Send + '_ {
        self.checked_out(self.limit_by_steps(timeouts))
    }

    /// Takes an idle connection for oneself if there is one and nobody waits for it. Opens nothing, never waits, calls
    /// no hook.
    ///
    /// # Errors
    ///
    /// [`PoolError::Timeout`] if there is none, [`PoolError::Closed`].
    #[track_caller]
    pub fn try_get(&self) -> Result<Connection, PoolError> {
        match self.server.pool.try_get() {
            Ok(held) => Ok(self.connection(held)),
            Err(TryAcquireError::Closed) => Err(PoolError::Closed),
            Err(_) => Err(PoolError::Timeout(TimeoutType::Wait)),
        }
    }

    /// [`get`](Self::get) with redis-rs's error, whose source is the core's, with all that a caller who
    /// waited in vain was up against.
    ///
    /// # Errors
    ///
    /// No connection in time, no way to connect, or the pool is
    /// closed. See the [crate's documentation](crate#errors).
    #[track_caller]
    pub fn check_out(&self) -> impl Future<Output = RedisResult<Connection>> + Send + '_ {
        // Here and below called outside of the future, so that the pool is told the caller's location.
        let held = self.held(self.limit().unwrap_or_else(|| Some(now())));
        async move {
            let held = held.await;
            let held = held.map_err(|refused| error::no_connection(&self.server.addr, refused))?;
            Ok(self.connection(held))
        }
    }

    /// No limit at all: there is no place, and the caller does not wait for one.
    #[track_caller]
    fn checked_out(
        &self,
        limit: Option<Option<Instant>>,
    ) -> impl Future<Output = Result<Connection, PoolError>> + Send + '_ {
        #[expect(
            clippy::manual_map,
            reason = "a closure would be the caller that the pool is told of"
        )]
        let held = match limit {
            Some(deadline) => Some(self.held(deadline)),
            None => None,
        };
        async move {
            let Some(held) = held else {
                return match self.is_closed() {
                    true => Err(PoolError::Closed),
                    false => Err(PoolError::Timeout(TimeoutType::Wait)),
                };
            };
            let held = held.await;
            let held = held.map_err(|refused| PoolError::of(&self.server.addr, refused))?;
            Ok(self.connection(held))
        }
    }

    #[track_caller]
    fn held(
        &self,
        deadline: Option<Instant>,
    ) -> impl Future<Output = Result<Pooled<Connector>, AcquireError<RedisError>>> + Send + '_ {
        self.server.pool.request().deadline(deadline).get()
    }

    fn limit(&self) -> Option<Option<Instant>> {
        let settings = &self.server.settings;
        match settings.stepwise {
            true => self.limit_by_steps(&settings.timeouts()),
            false => Some(settings.request_timeout.and_then(from_now)),
        }
    }

    /// By when a caller wants a connection. Where there is room for one more, he does not wait for a place:
    /// the attempt to connect has a limit of its own then. Should others be faster, his limit is a longer one, but
    /// not none.
    fn limit_by_steps(&self, timeouts: &Timeouts) -> Option<Option<Instant>> {
        let connect_timeout = self.server.settings.connect_timeout;
        let sooner = timeouts.create.filter(|create| *create < connect_timeout);
        if timeouts.wait.is_none() && sooner.is_none() {
            return Some(None);
        }
        let status = self.server.pool.status();
        match (
            status.in_use + status.waiting < status.max_size,
            timeouts.wait,
        ) {
            (false, Some(Duration::ZERO)) => None,
            (false, wait) => Some(wait.and_then(from_now)),
            (true, wait) => {
                let longest = || wait.map(|wait| wait.saturating_add(connect_timeout));
                Some(sooner.or_else(longest).and_then(from_now))
            }
        }
    }

    fn connection(&self, held: Pooled<Connector>) -> Connection {
        let settings = &self.server.settings;
        // The connections of a manager have their own.
        let limit = settings.request_timeout.filter(|_| !settings.stepwise);
        Connection::new(held, self.server.pool.clone(), limit, None)
    }

    /// The limits that the pool was given, in the words of deadpool.
    pub fn timeouts(&self) -> Timeouts {
        self.server.settings.timeouts()
    }

    /// How the pool connects.
    pub fn manager(&self) -> &Manager {
        &self.server.manager
    }

    /// Changes `max_size`, at once and for all clones. What is idle beyond it is closed before this returns, what is in use
    /// beyond it when it comes back. A pool of no connections would serve nobody, so 0 is taken for 1.
    pub fn resize(&self, max_size: usize) {
        // The only thing that it refuses is 0.
        let _ = self.server.pool.resize(max_size.max(1));
    }

    /// Looks at every idle connection, takes those out of the pool that `keep` does not want, and gives them to the
    /// caller; they are closed when he drops them.
    pub fn retain(
        &self,
        mut keep: impl FnMut(&MultiplexedConnection, Metrics) -> bool,
    ) -> RetainResult {
        let (mut retained, mut removed) = (0, Vec::new());
        self.server.pool.retain(|link| {
            let (connection, metrics) = link.seen();
            let kept = keep(connection, metrics);
            match kept {
                true => retained += 1,
                false => removed.push(connection.clone()),
            }
            kept
        });
        RetainResult { retained, removed }
    }

    /// A handle that does not keep the pool open.
    pub fn weak(&self) -> WeakPool {
        WeakPool {
            server: Arc::downgrade(&self.server),
        }
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.server.metrics
    }

    /// A handle for commands, which is nothing but a redis-rs connection.
    pub fn handle(&self) -> Handle {
        Handle::from(self.clone())
    }

    /// The pool's figures, all from the same moment.
    pub fn status(&self) -> Status {
        Status::new(self.server.pool.status(), self.is_closed())
    }

    /// Starts lookups: many keys or rows at once, typed, each position with its own result.
    #[must_use]
    pub fn lookup(&self) -> Lookup {
        Lookup::new(Arc::clone(&self.server.dispatch))
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

/// The settings of a [`Pool`], by deadpool's name.
pub type PoolBuilder = Builder<Pool>;

/// What [`Pool::get`] gives, by another of deadpool's names.
pub type Object = Connection;

/// What [`Pool::retain`] has kept and taken out.
pub type RetainResult = deadpool::managed::RetainResult<MultiplexedConnection>;

/// A [`Pool`] that ends with the last of its other handles.
#[derive(Clone, Debug)]
pub struct WeakPool {
    server: Weak<Server>,
}

impl WeakPool {
    /// The pool, if it has not ended.
    pub fn upgrade(&self) -> Option<Pool> {
        let server = self.server.upgrade()?;
        Some(Pool { server })
    }
}

fn from_now(limit: Duration) -> Option<Instant> {
    now().checked_add(limit)
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.addr.fmt(f)
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
