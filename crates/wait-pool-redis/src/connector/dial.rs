//! Opens a socket as redis-rs would.

use std::net::SocketAddr;

use futures_util::future::select_ok;
use redis::io::tcp::{TcpSettings, socket2::SockRef};
use redis::{ConnectionAddr, ConnectionInfo, ErrorKind, RedisResult};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use super::addresses;
use crate::settings::topology::Resolver;
use crate::wire::{Reader, Writer};

/// Whether it can be done here. TLS is redis-rs's business, which keeps its parameters to itself.
pub(super) fn can_dial(info: &ConnectionInfo) -> bool {
    matches!(info.addr(), ConnectionAddr::Tcp(..))
        || (cfg!(unix) && matches!(info.addr(), ConnectionAddr::Unix(_)))
}

/// Opens a socket.
///
/// # Errors
///
/// The last one, if the host has several addresses.
pub(super) async fn dial(
    info: &ConnectionInfo,
    resolver: Option<&Resolver>,
) -> RedisResult<(Reader, Writer)> {
    match info.addr() {
        ConnectionAddr::Tcp(host, port) => {
            let found = addresses(resolver, host, *port).await?;
            let settings = info.tcp_settings();
            let attempts = found
                .into_iter()
                .map(|addr| Box::pin(connect(addr, settings)));
            let (stream, _) = select_ok(attempts).await?;
            let (reader, writer) = stream.into_split();
            Ok((Box::new(reader), Box::new(writer)))
        }
        #[cfg(unix)]
        ConnectionAddr::Unix(path) => {
            let (reader, writer) = UnixStream::connect(path).await?.into_split();
            Ok((Box::new(reader), Box::new(writer)))
        }
        _ => Err((
            ErrorKind::InvalidClientConfig,
            "only TCP and Unix sockets are opened here",
        )
            .into()),
    }
}

async fn connect(addr: SocketAddr, settings: &TcpSettings) -> RedisResult<TcpStream> {
    let stream = TcpStream::connect(addr).await?;
    let socket = SockRef::from(&stream);
    // What leaves in one write is all there is to send.
    socket.set_tcp_nodelay(true)?;
    if let Some(keepalive) = settings.keepalive() {
        socket.set_tcp_keepalive(keepalive)?;
    }
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    socket.set_tcp_user_timeout(settings.user_timeout())?;
    Ok(stream)
}
