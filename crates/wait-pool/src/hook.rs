//! What users have done to connections at turns of their lives.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::event::Listener;
use crate::manager::Manager;

/// Something to be done to a connection: after it was opened, before it is used or after it was.
///
/// See [`Builder::after_connect`](crate::Builder::after_connect),
/// [`before_use`](crate::Builder::before_use) and
/// [`after_release`](crate::Builder::after_release). An error has the connection closed.
///
/// # Example
///
/// ```
/// # use std::io;
/// # struct Echo;
/// # impl wait_pool::Manager for Echo {
/// #     type Connection = String;
/// #     type Error = io::Error;
/// #     async fn connect(&self) -> io::Result<String> { Ok("hello".into()) }
/// #     async fn check(&self, _: &mut String) -> io::Result<()> { Ok(()) }
/// # }
/// use wait_pool::{Hook, Pool};
///
/// struct Greet;
///
/// #[async_trait::async_trait]
/// impl Hook<Echo> for Greet {
///     async fn call(&self, connection: &mut String) -> io::Result<()> {
///         connection.push_str(", world");
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::builder(Echo).after_connect(Greet).build()?;
/// assert_eq!(*pool.get().await?, "hello, world");
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Hook<M: Manager>: Send + Sync + 'static {
    /// Does it.
    ///
    /// # Errors
    ///
    /// Has the connection closed.
    async fn call(&self, connection: &mut M::Connection) -> Result<(), M::Error>;
}

/// Who is told and what is done on the way.
pub(crate) struct Observers<M: Manager> {
    pub(crate) listener: Option<Arc<dyn Listener>>,
    pub(crate) after_connect: Option<Arc<dyn Hook<M>>>,
    pub(crate) before_use: Option<Arc<dyn Hook<M>>>,
    pub(crate) after_release: Option<Arc<dyn Hook<M>>>,
}

impl<M: Manager> Default for Observers<M> {
    fn default() -> Self {
        Self {
            listener: None,
            after_connect: None,
            before_use: None,
            after_release: None,
        }
    }
}

impl<M: Manager> fmt::Debug for Observers<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observers")
            .field("listener", &self.listener.is_some())
            .field("after_connect", &self.after_connect.is_some())
            .field("before_use", &self.before_use.is_some())
            .field("after_release", &self.after_release.is_some())
            .finish()
    }
}
