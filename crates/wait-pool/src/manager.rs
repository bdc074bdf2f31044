//! The trait that implementors write: how to open, check and judge a connection.

use std::error::Error;
use std::future::Future;

/// Opens connections for a [`Pool`](crate::Pool) and tells which of them are still good.
///
/// # Example
///
/// ```
/// use std::io;
/// use tokio::net::TcpStream;
///
/// struct Tcp(std::net::SocketAddr);
///
/// impl wait_pool::Manager for Tcp {
///     type Connection = TcpStream;
///     type Error = io::Error;
///
///     async fn connect(&self) -> io::Result<TcpStream> {
///         TcpStream::connect(self.0).await
///     }
///
///     async fn check(&self, connection: &mut TcpStream) -> io::Result<()> {
///         connection.writable().await
///     }
/// }
/// ```
pub trait Manager: Send + Sync + 'static {
    /// What the pool keeps. `Sync`, because [`Pool::lease`](crate::Pool::lease) lets several
    /// callers share one connection by reference.
    type Connection: Send + Sync + 'static;

    /// What goes wrong while connecting or checking. The pool passes it on to callers as the
    /// [source](std::error::Error::source) of its own errors.
    type Error: Error + Send + Sync + 'static;

    /// Opens a connection.
    ///
    /// Runs in a task of its own under the pool's `connect_timeout`; a caller that gives up does
    /// not cancel it. The timeout and the end of the runtime do, so dropping the future must
    /// close what it has opened.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, Self::Error>> + Send;

    /// Asks whether a connection that has been idle for longer than `check_idle_after` still
    /// works. An error closes it, and the caller gets another one.
    ///
    /// Runs in a task of its own under the pool's `check_timeout`; a caller that gives up does not
    /// cancel it. It is never called when a connection comes back.
    fn check(
        &self,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Whether a connection that comes back must be closed. Called at each return, without the
    /// pool's lock, so it has to be cheap and may not block.
    fn is_broken(&self, connection: &Self::Connection) -> bool {
        let _ = connection;
        false
    }
}
