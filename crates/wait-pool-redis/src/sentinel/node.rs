//! How to connect to the servers that sentinels watch, as data.

use crate::setup::{ConnectionAddr, ConnectionInfo, RedisConnectionInfo};

/// How to connect to the servers that sentinels watch:
/// redis-rs's type of this name as data that can be read and written.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct SentinelNodeConnectionInfo {
    /// Whether to use TLS, and how.
    pub tls_mode: Option<TlsMode>,
    /// Who we are there.
    pub redis_connection_info: Option<RedisConnectionInfo>,
}

impl SentinelNodeConnectionInfo {
    /// With an address that stands for the one that the sentinels will tell.
    pub(super) fn into_info(self) -> ConnectionInfo {
        let host = "servers".to_owned();
        let addr = match self.tls_mode {
            None => ConnectionAddr::Tcp(host, 0),
            Some(mode) => ConnectionAddr::TcpTls {
                host,
                port: 0,
                insecure: mode == TlsMode::Insecure,
            },
        };
        ConnectionInfo {
            addr,
            redis: self.redis_connection_info.unwrap_or_default(),
        }
    }
}

/// How far TLS trusts: [`redis::TlsMode`] as data that can be read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub enum TlsMode {
    /// Certificates have to be right.
    #[default]
    Secure,
    /// Any certificate will do.
    Insecure,
}

/// A mode that redis-rs may have one day is taken for the secure one.
impl From<redis::TlsMode> for TlsMode {
    fn from(mode: redis::TlsMode) -> Self {
        match mode {
            redis::TlsMode::Insecure => Self::Insecure,
            _ => Self::Secure,
        }
    }
}

impl From<TlsMode> for redis::TlsMode {
    fn from(mode: TlsMode) -> Self {
        match mode {
            TlsMode::Secure => Self::Secure,
            TlsMode::Insecure => Self::Insecure,
        }
    }
}

#[cfg(feature = "sentinel")]
impl From<SentinelNodeConnectionInfo> for redis::sentinel::SentinelNodeConnectionInfo {
    fn from(info: SentinelNodeConnectionInfo) -> Self {
        let own = match info.tls_mode {
            Some(mode) => Self::default().set_tls_mode(mode.into()),
            None => Self::default(),
        };
        match info.redis_connection_info {
            Some(redis) => own.set_redis_connection_info(redis.into()),
            None => own,
        }
    }
}
