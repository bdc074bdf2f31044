//! How to connect to a server, as data.

use std::fmt;

use redis::{IntoConnectionInfo, RedisResult};

use super::addr::ConnectionAddr;

/// How to connect to a server: [`redis::ConnectionInfo`] as data that can be read and written.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct ConnectionInfo {
    /// Where it listens.
    pub addr: ConnectionAddr,
    /// Who we are there. In what is read and written its fields stand beside `addr`.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub redis: RedisConnectionInfo,
}

/// Who we are at a server: [`redis::RedisConnectionInfo`] as data that can be read and written.
#[derive(Clone, Default)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct RedisConnectionInfo {
    /// The database.
    pub db: i64,
    /// The user, where it is not the default one.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// The protocol to speak.
    pub protocol: ProtocolVersion,
}

/// The protocol to speak: [`redis::ProtocolVersion`] as data that can be read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub enum ProtocolVersion {
    /// [RESP2](https://github.com/redis/redis-specifications/blob/master/protocol/RESP2.md).
    #[default]
    RESP2,
    /// [RESP3](https://github.com/redis/redis-specifications/blob/master/protocol/RESP3.md), which pub/sub beside
    /// other commands needs.
    RESP3,
}

impl From<ConnectionInfo> for redis::ConnectionInfo {
    fn from(info: ConnectionInfo) -> Self {
        let unset = redis::ConnectionAddr::from(info.addr).into_connection_info();
        unset
            .expect("redis-rs takes every address")
            .set_redis_settings(info.redis.into())
    }
}

impl From<redis::ConnectionInfo> for ConnectionInfo {
    fn from(info: redis::ConnectionInfo) -> Self {
        Self {
            addr: info.addr().clone().into(),
            redis: info.redis_settings().clone().into(),
        }
    }
}

impl IntoConnectionInfo for ConnectionInfo {
    fn into_connection_info(self) -> RedisResult<redis::ConnectionInfo> {
        Ok(self.into())
    }
}

impl From<RedisConnectionInfo> for redis::RedisConnectionInfo {
    fn from(info: RedisConnectionInfo) -> Self {
        let own = Self::default()
            .set_db(info.db)
            .set_protocol(match info.protocol {
                ProtocolVersion::RESP2 => redis::ProtocolVersion::RESP2,
                ProtocolVersion::RESP3 => redis::ProtocolVersion::RESP3,
            });
        let own = match info.username {
            Some(username) => own.set_username(username),
            None => own,
        };
        match info.password {
            Some(password) => own.set_password(password),
            None => own,
        }
    }
}

/// A protocol that redis-rs may have one day is taken for the newest that is known here.
impl From<redis::RedisConnectionInfo> for RedisConnectionInfo {
    fn from(info: redis::RedisConnectionInfo) -> Self {
        Self {
            db: info.db(),
            username: info.username().map(str::to_owned),
            password: info.password().map(str::to_owned),
            protocol: match info.protocol() {
                redis::ProtocolVersion::RESP2 => ProtocolVersion::RESP2,
                _ => ProtocolVersion::RESP3,
            },
        }
    }
}

/// Shows no password.
impl fmt::Debug for RedisConnectionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConnectionInfo")
            .field("db", &self.db)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| HIDDEN))
            .field("protocol", &self.protocol)
            .finish()
    }
}

/// A URL without what stands before the host: user and password.
pub(crate) fn shown_url(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://{HIDDEN}@{place}"),
        (None, Some((_, place))) => format!("{HIDDEN}@{place}"),
        (_, None) => url.to_owned(),
    }
}

const HIDDEN: &str = "…";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redis_rs_gets_what_was_said_and_gives_it_back() {
        let said = ConnectionInfo {
            addr: ConnectionAddr::TcpTls {
                host: "h".to_owned(),
                port: 1,
                insecure: false,
            },
            redis: RedisConnectionInfo {
                db: 3,
                username: Some("u".to_owned()),
                password: Some("sesame".to_owned()),
                protocol: ProtocolVersion::RESP3,
            },
        };
        let theirs = redis::ConnectionInfo::from(said);
        assert_eq!(theirs.redis_settings().password(), Some("sesame"));
        let back = ConnectionInfo::from(theirs);
        assert!(
            matches!(&back.addr, ConnectionAddr::TcpTls { host, port: 1, insecure: false } if host == "h")
        );
        assert_eq!(
            (back.redis.db, back.redis.username.as_deref()),
            (3, Some("u"))
        );
        assert_eq!(back.redis.protocol, ProtocolVersion::RESP3);
        assert!(!format!("{back:?}").contains("sesame"));
    }

    #[test]
    fn urls_are_shown_without_what_is_secret() {
        assert_eq!(shown_url("redis://h:1/2"), "redis://h:1/2");
        assert_eq!(shown_url("redis://u:se@same@h/2"), "redis://…@h/2");
        assert_eq!(shown_url("u:sesame@h"), "…@h");
    }
}
