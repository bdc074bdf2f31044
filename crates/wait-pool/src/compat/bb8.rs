//! Pools of [`bb8::ManageConnection`]s.
//!
//! A pool of bb8's becomes one of these where its type is named and where it is built. What is done
//! with its connections stays as it is.
//!
//! ```
//! use wait_pool::compat::bb8::Pool;
//! # struct Manager;
//! # impl bb8::ManageConnection for Manager {
//! #     type Connection = String;
//! #     type Error = std::io::Error;
//! #     async fn connect(&self) -> std::io::Result<String> { Ok("hello".into()) }
//! #     async fn is_valid(&self, _: &mut String) -> std::io::Result<()> { Ok(()) }
//! #     fn has_broken(&self, _: &mut String) -> bool { false }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let manager = Manager;
//!
//! // Was: let pool = bb8::Pool::builder().max_size(16).build(manager).await?;
//! let pool: Pool<Manager> = Pool::builder(manager).max_size(16).build()?.into();
//!
//! let mut connection = pool.get().await?;
//! connection.push_str(" world");
//! # Ok(())
//! # }
//! ```
//!
//! # What the manager sees
//!
//! - `connect` and `is_valid` run in tasks of their own, under `connect_timeout` and `check_timeout`.
//! - `is_valid` is called when a connection that somebody has used is about to be used again, as bb8
//!   does with `test_on_check_out`, its default; and, here only, when one has been idle for longer than
//!   `check_idle_after`. If it fails, panics or takes too long, the connection is closed.
//! - `has_broken` is called when a connection comes back, as bb8 does. If it panics, so does whoever
//!   gave the connection back, and the connection is closed.
//!
//! There is no `CustomizeConnection`: wrap the manager. The error type has to be a
//! [`std::error::Error`] that is `Sync`, which bb8 does not ask for.

use std::fmt;
use std::future::Future;

use ::bb8::ManageConnection;

use super::{Adapter, Foreign};
use crate::builder::Builder;
use crate::error::AcquireError;

/// A pool of the connections of a manager for bb8.
pub type Pool<M> = super::Pool<Managed<M>>;

/// What such a pool gives.
pub type Object<M> = super::Object<Managed<M>>;

/// The same by bb8's name. It borrows nothing, whatever the lifetime.
pub type PooledConnection<'a, M> = super::Object<Managed<M>>;

/// A manager for bb8, as a [`Pool`] sees it.
pub struct Managed<M>(M);

impl<M: ManageConnection> super::Pool<Managed<M>>
where
    M::Error: std::error::Error + Sync,
{
    /// Starts to set up a pool of the manager's connections; `build()?.into()` makes it.
    pub fn builder(manager: M) -> Builder<Adapter<Managed<M>>> {
        Builder::new(Adapter::new(Managed(manager)))
    }

    /// The manager given to the builder.
    pub fn manager(&self) -> &M {
        &(**self).manager().foreign.0
    }

    /// `get`, by bb8's other name: what either gives owns its connection.
    ///
    /// # Errors
    ///
    /// As `get`.
    #[track_caller]
    pub fn get_owned(
        &self,
    ) -> impl Future<Output = Result<Object<M>, AcquireError<M::Error>>> + Send + '_ {
        self.get()
    }

    /// Has the manager open a connection that is none of the pool's: neither its bound nor its timeouts hold for it.
    ///
    /// # Errors
    ///
    /// Those of the manager's `connect`.
    pub async fn dedicated_connection(&self) -> Result<M::Connection, M::Error> {
        self.manager().connect().await
    }

    /// How many connections there are, all from the same moment. `status` tells more.
    pub fn state(&self) -> State {
        let status = self.status();
        State {
            connections: status.size.try_into().unwrap_or(u32::MAX),
            idle_connections: status.idle.try_into().unwrap_or(u32::MAX),
        }
    }
}

/// What [`state`](super::Pool::state) tells, by bb8's names. Its `statistics` are not here: they are
/// [metrics](crate#metrics).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct State {
    /// Connections that are open or being closed.
    pub connections: u32,
    /// Those of them that nobody uses.
    pub idle_connections: u32,
}

impl<M: ManageConnection> Foreign for Managed<M>
where
    M::Error: std::error::Error + Sync,
{
    type Object = M::Connection;
    type Note = ();
    type Error = M::Error;

    async fn open(&self) -> Result<(M::Connection, ()), M::Error> {
        Ok((self.0.connect().await?, ()))
    }

    async fn look(&self, connection: &mut M::Connection, (): &mut ()) -> Result<(), M::Error> {
        self.0.is_valid(connection).await
    }

    fn is_broken(&self, connection: &mut M::Connection) -> bool {
        self.0.has_broken(connection)
    }

    fn leave(&self, _: &mut M::Connection) {}
}

impl<M> fmt::Debug for Managed<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Managed").finish_non_exhaustive()
    }
}
