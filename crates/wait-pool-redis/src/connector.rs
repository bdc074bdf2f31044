//! The seam to redis-rs: how a connection is opened, checked, written to and found dead.
//!
//! Everything that depends on the inside of redis-rs's connections is in this file.

mod closed;
mod introduction;
mod reading;

mod history;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use deadpool::managed::Metrics;
use redis::aio::{ConnectionLike, MultiplexedConnection, SendError};
use redis::io::AsyncDNSResolver;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, Pipeline, ProtocolVersion,
    RedisFuture, RedisResult, Value,
};
use tokio::net::lookup_host;

use crate::plan::{Outgoing, Prelude};
use crate::pushes::Pushes;
use crate::readers::ReadFrom;
use crate::settings::Settings;
use crate::settings::topology::Resolver;

pub(crate) use closed::closed;
use introduction::introduction;
use reading::Zone;

/// Opens connections to one server.
pub(crate) struct Connector {
    client: Client,
    config: AsyncConnectionConfig,
    introduction: Vec<Cmd>,
    /// How reads may go to replicas, if so.
    reading: Option<Reading>,
}

/// What a connection is prepared for.
#[derive(Default)]
struct Reading {
    /// Set if the server is to be asked for its zone.
    zone: Option<Zone>,
}

impl Connector {
    pub(crate) fn new(info: ConnectionInfo, settings: &Settings) -> RedisResult<Self> {
        let zone = match (&settings.read_from, &settings.zones) {
            (ReadFrom::AvailabilityZone(_), None) => Some(Zone::new()),
            _ => None,
        };
        Ok(Self {
            reading: settings
                .read_from
                .asks_replicas()
                .then_some(Reading { zone }),
            ..Self::named(info, settings, &settings.client_name())?
        })
    }

    /// The zone that the server has said it is in, if it was to be asked and has answered.
    pub(crate) fn zone(&self) -> Option<&str> {
        let zone = self.reading.as_ref()?.zone.as_ref()?;
        zone.get().map(String::as_str)
    }

    /// For connections that carry no requests; `purpose` stands behind their name.
    pub(crate) fn apart(
        info: ConnectionInfo,
        settings: &Settings,
        purpose: &str,
    ) -> RedisResult<Self> {
        let name = match settings.client_name() {
            name if name.is_empty() => name,
            name => format!("{name}:{purpose}"),
        };
        Self::named(info, settings, &name)
    }

    fn named(info: ConnectionInfo, settings: &Settings, name: &str) -> RedisResult<Self> {
        let introduction = introduction(&info, name);
        let (info, config) = certified(with_user_timeout(info), settings);
        Ok(Self {
            client: Client::open(info)?,
            config,
            introduction,
            reading: None,
        })
    }

    /// Finds the addresses of host names by this, whatever the settings say.
    pub(crate) fn resolved_by(mut self, resolver: impl AsyncDNSResolver) -> Self {
        self.config = self.config.set_dns_resolver(resolver);
        self
    }

    pub(crate) async fn open(&self) -> RedisResult<MultiplexedConnection> {
        self.open_with(&self.config).await
    }

    async fn open_with(
        &self,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        let client = &self.client;
        let mut connection = client
            .get_multiplexed_async_connection_with_config(config)
            .await?;
        for cmd in &self.introduction {
            connection.send_packed_command(cmd).await?;
        }
        if let Some(reading) = &self.reading {
            reading::prepare(&mut connection, reading.zone.as_ref()).await?;
        }
        Ok(connection)
    }

    /// Opens a connection whose pushes are kept, where the protocol has them. What is given out is gone
    /// as soon as nothing more can come.
    async fn open_with_pushes(&self) -> RedisResult<(MultiplexedConnection, Option<Weak<Pushes>>)> {
        if self
            .client
            .get_connection_info()
            .redis_settings()
            .protocol()
            != ProtocolVersion::RESP3
        {
            return Ok((self.open().await?, None));
        }
        let pushes = Arc::new(Pushes::default());
        let given_out = Arc::downgrade(&pushes);
        let hand_over = move |push| -> Result<(), SendError> {
            pushes.take(push);
            Ok(())
        };
        let config = self.config.clone().set_push_sender(hand_over);
        Ok((self.open_with(&config).await?, Some(given_out)))
    }
}

/// redis-rs expects the certificate of the host that it is to connect to. Where it is for another name, that
/// is what redis-rs is told, and the name is resolved to the host.
fn certified(info: ConnectionInfo, settings: &Settings) -> (ConnectionInfo, AsyncConnectionConfig) {
    let mut config = settings.connection.clone();
    if let Some(resolver) = &settings.finding.resolver {
        config = config.set_dns_resolver(resolver.clone());
    }
    match (info.addr().clone(), settings.tls_server_name.as_deref()) {
        (
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure,
                tls_params,
            },
            Some(name),
        ) => {
            let named = ConnectionAddr::TcpTls {
                host: name.to_owned(),
                port,
                insecure,
                tls_params,
            };
            let resolver = settings.finding.resolver.clone();
            let config = config.set_dns_resolver(Behind { host, resolver });
            (info.set_addr(named), config)
        }
        _ => (info, config),
    }
}

/// Resolves every name to one host.
struct Behind {
    host: String,
    resolver: Option<Resolver>,
}

impl AsyncDNSResolver for Behind {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        _: &'b str,
        port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        Box::pin(async move {
            let found = addresses(self.resolver.as_ref(), &self.host, port).await?;
            let found: Box<dyn Iterator<Item = SocketAddr> + Send> = Box::new(found.into_iter());
            Ok(found)
        })
    }
}

/// The addresses of a host, as the user or the operating system finds them.
pub(crate) async fn addresses(
    resolver: Option<&Resolver>,
    host: &str,
    port: u16,
) -> RedisResult<Vec<SocketAddr>> {
    Ok(match resolver {
        Some(resolver) => resolver.resolve(host, port).await?.collect(),
        None => lookup_host((host, port)).await?.collect(),
    })
}

impl wait_pool::Manager for Connector {
    type Connection = Link;
    type Error = redis::RedisError;

    async fn connect(&self) -> RedisResult<Link> {
        let (connection, pushes) = self.open_with_pushes().await?;
        Ok(Link {
            connection,
            pushes,
            dead: AtomicBool::new(false),
            metrics: Metrics::default(),
            used: false,
        })
    }

    async fn check(&self, link: &mut Link) -> RedisResult<()> {
        link.command(&redis::cmd("PING")).await?.extract_error()?;
        Ok(())
    }

    fn is_broken(&self, link: &Link) -> bool {
        link.dead.load(Ordering::Relaxed)
    }
}

/// Has the operating system give up a connection whose peer has not confirmed anything sent to it
/// for this long: a host that vanished without a word would hold it for a quarter of an hour.
const USER_TIMEOUT: Duration = Duration::from_secs(10);

fn with_user_timeout(info: ConnectionInfo) -> ConnectionInfo {
    let settings = info.tcp_settings().clone();
    match settings.user_timeout() {
        Some(_) => info,
        None => info.set_tcp_settings(settings.set_user_timeout(USER_TIMEOUT)),
    }
}

/// A connection, and whether anybody has found it dead.
///
/// Any number of callers may use it at once, and each may be dropped at any time: answers are
/// matched to requests by the connection's own task, and one that nobody waits for is thrown away.
#[derive(Debug)]
pub(crate) struct Link {
    connection: MultiplexedConnection,
    /// None where the protocol has no pushes.
    pushes: Option<Weak<Pushes>>,
    dead: AtomicBool,
    /// Of those who had it for themselves.
    metrics: Metrics,
    /// Somebody had it for himself.
    used: bool,
}

impl Link {
    /// Sends one command.
    pub(crate) async fn command(&self, cmd: &Cmd) -> RedisResult<Value> {
        let mut connection = self.connection.clone();
        self.judge(connection.send_packed_command(cmd).await)
    }

    /// Sends a pipeline in one write.
    pub(crate) async fn pipeline(
        &self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let mut connection = self.connection.clone();
        let sent = connection.send_packed_commands(pipeline, offset, count);
        self.judge(sent.await)
    }

    /// Sends commands in one write, each behind its prelude. Gives as many answers as there are commands,
    /// unless the server gave another number.
    pub(crate) async fn commands(&self, commands: &[Outgoing<'_>]) -> RedisResult<Vec<Value>> {
        // A command whose answer is not wanted has it all the same here: it may be a redirect.
        if let [Outgoing { cmd, prelude: None }] = commands
            && !cmd.is_no_response()
        {
            return Ok(vec![self.command(cmd).await?]);
        }
        let mut pipeline = Pipeline::with_capacity(commands.len());
        for Outgoing { cmd, prelude } in commands {
            match prelude {
                Some(Prelude::Asking) => drop(pipeline.cmd("ASKING")),
                Some(Prelude::Script(load)) => drop(pipeline.add_command((**load).clone())),
                None => {}
            }
            pipeline.add_command((*cmd).clone());
        }
        let values = self.pipeline(&pipeline, 0, pipeline.len()).await?;
        if pipeline.len() == commands.len() || values.len() != pipeline.len() {
            return Ok(values);
        }
        let mut values = values.into_iter();
        let own = |command: &Outgoing<'_>| {
            command.prelude.and_then(|_| values.next());
            values.next()
        };
        Ok(commands.iter().filter_map(own).collect())
    }

    /// Sends a transaction behind `ASKING`. A server forgets `ASKING` after the next command, but not
    /// between `MULTI` and `EXEC`.
    pub(crate) async fn asking(
        &self,
        transaction: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let mut pipeline = Pipeline::with_capacity(transaction.len() + 3);
        pipeline.cmd("ASKING").cmd("MULTI");
        for cmd in transaction.cmd_iter() {
            pipeline.add_command(cmd.clone());
        }
        pipeline.cmd("EXEC");
        let mut values = self.pipeline(&pipeline, 0, pipeline.len()).await?;
        let aborted = matches!(values.last(), Some(Value::ServerError(_)));
        let is_error = |value: &&Value| matches!(value, Value::ServerError(_));
        match values.iter().find(is_error).filter(|_| aborted) {
            Some(first) => Err(first.clone().extract_error().expect_err("it is an error")),
            None => {
                values.drain(..(offset + 1).min(values.len()));
                values.truncate(count);
                Ok(values)
            }
        }
    }

    pub(crate) fn db(&self) -> i64 {
        self.connection.get_db()
    }

    /// A handle of the connection itself, for somebody who has it alone.
    pub(crate) fn connection(&self) -> MultiplexedConnection {
        self.connection.clone()
    }

    pub(crate) const fn pushes(&self) -> Option<&Weak<Pushes>> {
        self.pushes.as_ref()
    }

    fn judge<T>(&self, outcome: RedisResult<T>) -> RedisResult<T> {
        if let Err(error) = &outcome
            && error.is_unrecoverable_error()
        {
            self.dead.store(true, Ordering::Relaxed);
        }
        outcome
    }
}
