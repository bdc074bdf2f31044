//! The seam to redis-rs: how a connection is opened, checked, written to and found dead.
//!
//! Everything that depends on the inside of redis-rs's connections is in this file.

mod closed;
mod dial;
mod history;
mod introduction;
mod link;
mod reading;

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::aio::{MultiplexedConnection, SendError};
use redis::io::AsyncDNSResolver;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ProtocolVersion,
    RedisFuture, RedisResult,
};
use tokio::net::lookup_host;

use crate::pushes::Pushes;
use crate::readers::ReadFrom;
use crate::settings::Settings;
use crate::settings::topology::Resolver;
use crate::wire::Wire;

pub(crate) use closed::closed;
use introduction::introduction;
pub(crate) use link::Link;
use reading::Zone;

/// Opens connections to one server.
pub(crate) struct Connector {
    client: Client,
    config: AsyncConnectionConfig,
    resolver: Option<Resolver>,
    /// Whether connections are shared by way of a [`Wire`], where there can be one.
    wired: bool,
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
            wired: settings.is_wired() && dial::can_dial(&info),
            ..Self::named(info, settings, &settings.client_name())?
        })
    }

    /// Whether those who share its connections do so by way of a [`Wire`].
    pub(crate) const fn is_wired(&self) -> bool {
        self.wired
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
            resolver: settings.finding.resolver.clone(),
            wired: false,
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
        let client = &self.client;
        let opened = client.get_multiplexed_async_connection_with_config(&self.config);
        self.prepared(opened.await?, None).await
    }

    /// Tells the server who is there, and has it ready for reads where those go to replicas.
    async fn prepared(
        &self,
        mut connection: MultiplexedConnection,
        wire: Option<&Wire>,
    ) -> RedisResult<MultiplexedConnection> {
        match wire {
            // Before what others write there, which what redis-rs is given now might not be.
            Some(wire) => wire.tell(&self.introduction),
            None => {
                for cmd in &self.introduction {
                    connection.send_packed_command(cmd).await?;
                }
            }
        }
        if let Some(reading) = &self.reading {
            reading::prepare(&mut connection, reading.zone.as_ref()).await?;
        }
        Ok(connection)
    }

    /// Opens a connection that others may share.
    async fn link(&self) -> RedisResult<Link> {
        let (config, pushes) = self.with_pushes();
        let info = self.client.get_connection_info();
        let (connection, wire) = match self.wired {
            true => {
                let (reader, writer) = dial::dial(info, self.resolver.as_ref()).await?;
                let settings = info.redis_settings();
                let has_pushes = settings.protocol() == ProtocolVersion::RESP3;
                let (wire, driver, guest) = Wire::new(reader, writer, has_pushes);
                tokio::spawn(driver);
                let made = MultiplexedConnection::new_with_config(settings, guest, config).await;
                let (connection, driver) = made?;
                tokio::spawn(driver);
                (connection, Some(wire))
            }
            false => {
                let client = &self.client;
                let opened = client.get_multiplexed_async_connection_with_config(&config);
                (opened.await?, None)
            }
        };
        let connection = self.prepared(connection, wire.as_ref()).await?;
        Ok(Link::new(connection, wire, pushes))
    }

    /// Has pushes kept, where the protocol has them. What is given out is gone as soon as nothing more can come.
    fn with_pushes(&self) -> (AsyncConnectionConfig, Option<Weak<Pushes>>) {
        let info = self.client.get_connection_info();
        if info.redis_settings().protocol() != ProtocolVersion::RESP3 {
            return (self.config.clone(), None);
        }
        let pushes = Arc::new(Pushes::default());
        let given_out = Arc::downgrade(&pushes);
        let hand_over = move |push| -> Result<(), SendError> {
            pushes.take(push);
            Ok(())
        };
        let config = self.config.clone().set_push_sender(hand_over);
        (config, Some(given_out))
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
        self.link().await
    }

    async fn check(&self, link: &mut Link) -> RedisResult<()> {
        link.command(&redis::cmd("PING")).await?.extract_error()?;
        Ok(())
    }

    fn is_broken(&self, link: &Link) -> bool {
        link.is_dead()
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
