//! The builder of both kinds of pool, and the settings that make no sense.

mod limits;
mod names;
mod topology;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use deadpool::Runtime;
use redis::{ConnectionAddr, ConnectionInfo, RedisResult};

use crate::cluster;
use crate::error::BuildError;
use crate::keys::ModuleCommand;
use crate::node::NodeAddr;
use crate::pool::Pool;
use crate::readers::{ReadFrom, Zones};
use crate::sentinel::Watched;
use crate::settings::Settings;
#[cfg(feature = "tls-rustls")]
use crate::tls::check as check_tls;

/// Settings for a [`Pool`] or a [`cluster::Pool`]. Made by their `builder`.
///
/// # Example
///
/// ```
/// use std::time::Duration;
///
/// let pool = wait_pool_redis::cluster::Pool::builder(["redis://10.0.0.1:7000", "redis://10.0.0.2:7000"])
///     .name("features")
///     .max_connections_per_node(8)
///     .request_timeout(Duration::from_millis(200))
///     .build()?;
///
/// let refused = wait_pool_redis::Pool::builder("http://10.0.0.1").build();
/// assert!(refused.is_err());
/// # Ok::<(), wait_pool_redis::BuildError>(())
/// ```
#[must_use = "settings do nothing until `build` is called"]
pub struct Builder<T> {
    pub(crate) servers: Result<Vec<ConnectionInfo>, BuildError>,
    pub(crate) settings: Settings,
    pub(crate) runtime: Option<Runtime>,
    max_connections: Option<usize>,
    /// What every server that speaks TLS is reached with: of this address the certificates count.
    pub(crate) tls: Option<Result<ConnectionAddr, BuildError>>,
    pub(crate) watched: Watched,
    target: PhantomData<fn() -> T>,
}

impl<T> Builder<T> {
    pub(crate) fn of(servers: RedisResult<Vec<ConnectionInfo>>, settings: Settings) -> Self {
        Self {
            servers: servers.map_err(BuildError::Url),
            settings,
            runtime: None,
            max_connections: None,
            tls: None,
            watched: Watched::default(),
            target: PhantomData,
        }
    }

    /// What the pool is called in errors and, unless [`client_name`](Self::client_name) says otherwise, at
    /// the server. Default `redis`.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// What the pool's connections are called at the server, as `CLIENT LIST` shows it. Default the pool's
    /// [`name`](Self::name); an empty one leaves them without. Those that look up the topology have
    /// `:topology` behind it.
    ///
    /// It costs no round trip. A user that may not run `CLIENT SETNAME` has connections without names.
    pub fn client_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.settings.client_name = Some(name.into());
        self
    }

    /// How many requests may share a connection at once; another one is opened when all that are open have as many, up to the
    /// bound. Default 512: requests that share a connection travel together, so few connections with many
    /// requests serve more than many with few.
    pub fn max_leases(mut self, per_connection: usize) -> Self {
        self.settings.max_leases = per_connection;
        self
    }

    /// How many connections to one server may be opened at once. Default 2.
    pub fn max_connecting(mut self, attempts: usize) -> Self {
        self.settings.max_connecting = attempts;
        self
    }

    /// How long a request waits for a connection at most. Default `None`, which leaves it to
    /// [`request_timeout`](Self::request_timeout).
    pub fn wait_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.wait_timeout = timeout.into();
        self
    }

    /// How long it may take to open a connection: TCP, TLS, `HELLO` or `AUTH`, `SELECT`. Default
    /// 5 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = timeout;
        self
    }

    /// How long a request may take as a whole: waiting for a connection, sending, the server's
    /// answer, redirects; and how long [`Pool::get`] waits. Default 5 s; `None` sets no limit.
    ///
    /// It ends the request, not the connection: others go on using it, and an answer that still
    /// comes is thrown away.
    pub fn request_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.request_timeout = timeout.into();
        self
    }

    /// The pause after a failed attempt to connect to a server, shared by all requests for it: it
    /// doubles from `first` to `longest` with every failure in a row. Default 100 ms to 2 s.
    pub fn connect_backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.settings.connect_backoff = (first, longest);
        self
    }

    /// How long a connection may be idle and still be used without a `PING`. Default 30 s.
    pub fn check_idle_after(mut self, idle: Duration) -> Self {
        self.settings.check_idle_after = idle;
        self
    }
}

impl<T> Builder<T> {
    /// Describes commands that the pool would otherwise have to guess the keys of: those of modules.
    pub fn commands(mut self, commands: impl IntoIterator<Item = ModuleCommand>) -> Self {
        for command in commands {
            self.settings.commands.add(command);
        }
        self
    }

    /// Whether a command that writes is sent again where its connection was lost before the answer
    /// came. It may have run then, and would run twice: an `INCR` would count two. Default `false`.
    ///
    /// Commands that only read are sent again in any case, and so is what has certainly not run.
    pub fn retry_writes(mut self, retry: bool) -> Self {
        self.settings.retry_writes = retry;
        self
    }
}

impl Builder<Pool> {
    /// The bound on connections to the server. Default 16.
    pub fn max_size(mut self, connections: usize) -> Self {
        self.settings.max_connections = connections;
        self
    }

    /// Makes the pool. Opens nothing and needs no runtime: the first request does.
    ///
    /// # Errors
    ///
    /// Names the setting that makes no sense, or tells what is wrong with a URL.
    pub fn build(self) -> Result<Pool, BuildError> {
        check_runtime(self.runtime)?;
        let servers = secured(self.servers?, self.tls)?;
        check(&servers, &self.settings)?;
        let [server] = <[_; 1]>::try_from(servers)
            .map_err(|_| BuildError::Unfit("a pool for one server takes one URL"))?;
        Pool::new(server, self.settings)
    }
}

impl Builder<cluster::Pool> {
    /// Who answers requests that only read. Default [`ReadFrom::Primary`].
    pub fn read_from(mut self, nodes: ReadFrom) -> Self {
        self.settings.read_from = nodes;
        self
    }

    /// Tells which availability zone a node is in, for
    /// [`ReadFrom::AvailabilityZone`]. Without it the servers are asked, and only Valkey knows.
    pub fn zones(
        mut self,
        zone: impl Fn(&NodeAddr) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.settings.zones = Some(Zones::new(zone));
        self
    }

    /// The bound on connections to each node. Default 16. One more per node may be open for a
    /// moment while the topology is looked up.
    pub fn max_connections_per_node(mut self, connections: usize) -> Self {
        self.settings.max_connections = connections;
        self
    }

    /// Makes the pool. Opens nothing and needs no runtime: the first request does.
    ///
    /// # Errors
    ///
    /// Names the setting that makes no sense, or tells what is wrong with a URL.
    pub fn build(mut self) -> Result<cluster::Pool, BuildError> {
        check_runtime(self.runtime)?;
        self.settings.core.group = self.group()?;
        let servers = secured(self.servers?, self.tls)?;
        check(&servers, &self.settings)?;
        let Some(first) = servers.first() else {
            return Err(BuildError::Unfit(
                "a cluster needs the URL of one node at least",
            ));
        };
        let tls = |info: &ConnectionInfo| matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        for info in &servers {
            if matches!(info.addr(), ConnectionAddr::Unix(_)) {
                return Err(BuildError::Unfit(
                    "the nodes of a cluster are reached by TCP",
                ));
            }
            if info.redis_settings().db() != 0 {
                return Err(BuildError::Unfit("a cluster has database 0 only"));
            }
            if tls(info) != tls(first) {
                return Err(BuildError::Unfit(
                    "either all URLs are rediss:// or none is",
                ));
            }
        }
        cluster::Pool::new(servers, self.settings)
    }
}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The servers, with the certificates that were set.
pub(crate) fn secured(
    servers: Vec<ConnectionInfo>,
    tls: Option<Result<ConnectionAddr, BuildError>>,
) -> Result<Vec<ConnectionInfo>, BuildError> {
    let Some(tls) = tls.transpose()? else {
        return Ok(servers);
    };
    let ConnectionAddr::TcpTls {
        tls_params: certificates,
        ..
    } = tls
    else {
        return Ok(servers);
    };
    let mut any = false;
    let secured = servers
        .into_iter()
        .map(|server| match server.addr().clone() {
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure,
                ..
            } => {
                any = true;
                let tls_params = certificates.clone();
                server.set_addr(ConnectionAddr::TcpTls {
                    host,
                    port,
                    insecure,
                    tls_params,
                })
            }
            _ => server,
        });
    let secured = secured.collect();
    match any {
        true => Ok(secured),
        false => Err(BuildError::Setting {
            setting: "tls",
            reason: "the URLs have to be rediss://",
        }),
    }
}

pub(crate) fn check(servers: &[ConnectionInfo], settings: &Settings) -> Result<(), BuildError> {
    if settings.request_timeout == Some(Duration::ZERO) {
        return Err(BuildError::Unfit(
            "request_timeout: no request could succeed",
        ));
    }
    let client_name = settings.client_name.as_deref().unwrap_or_default();
    if !client_name.chars().all(|c| c.is_ascii_graphic()) {
        return Err(BuildError::Setting {
            setting: "client_name",
            reason: "servers take no spaces and nothing outside of ASCII",
        });
    }
    if settings.finding.check_interval == Some(Duration::ZERO) {
        return Err(BuildError::Setting {
            setting: "topology_check_interval",
            reason: "servers would be asked all the time; None turns it off",
        });
    }
    check_tls(servers, settings)
}

/// Compiled without TLS there is nothing that could be set wrongly.
#[cfg(not(feature = "tls-rustls"))]
const fn check_tls(_: &[ConnectionInfo], _: &Settings) -> Result<(), BuildError> {
    Ok(())
}

/// Timers and connections are tokio's.
pub(crate) const fn check_runtime(runtime: Option<Runtime>) -> Result<(), BuildError> {
    match runtime {
        None | Some(Runtime::Tokio1) => Ok(()),
        _ => Err(BuildError::NoRuntimeSpecified),
    }
}
