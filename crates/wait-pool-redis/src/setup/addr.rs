//! Where a server listens, as data.

use std::path::PathBuf;

/// Where a server listens: [`redis::ConnectionAddr`] as data that can be read and written.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub enum ConnectionAddr {
    /// Host and port.
    Tcp(String, u16),
    /// The same with TLS.
    TcpTls {
        /// The host, which the server's certificate has to be for.
        host: String,
        /// The port.
        port: u16,
        /// Takes any certificate from anybody: who can redirect the traffic can read and change it. redis-rs
        /// has it only with the feature `tls-rustls-insecure`.
        insecure: bool,
    },
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Default for ConnectionAddr {
    fn default() -> Self {
        Self::Tcp("127.0.0.1".to_owned(), 6379)
    }
}

impl From<ConnectionAddr> for redis::ConnectionAddr {
    fn from(addr: ConnectionAddr) -> Self {
        match addr {
            ConnectionAddr::Tcp(host, port) => Self::Tcp(host, port),
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure,
            } => Self::TcpTls {
                host,
                port,
                insecure,
                tls_params: None,
            },
            ConnectionAddr::Unix(path) => Self::Unix(path),
        }
    }
}

/// Certificates of one's own are not data: they are left out. A kind of address that redis-rs may have one day becomes
/// a Unix socket by its text, which no server listens at.
impl From<redis::ConnectionAddr> for ConnectionAddr {
    fn from(addr: redis::ConnectionAddr) -> Self {
        match addr {
            redis::ConnectionAddr::Tcp(host, port) => Self::Tcp(host, port),
            redis::ConnectionAddr::TcpTls {
                host,
                port,
                insecure,
                ..
            } => Self::TcpTls {
                host,
                port,
                insecure,
            },
            redis::ConnectionAddr::Unix(path) => Self::Unix(path),
            other => Self::Unix(other.to_string().into()),
        }
    }
}
