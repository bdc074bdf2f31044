//! Pools of [`deadpool::managed::Manager`]s.
//!
//! A pool of deadpool's becomes one of these where its type is named and where it is built. What is done
//! with its objects stays as it is: `pool.get().await?`, `Object::take`, `Object::metrics`.
//!
//! ```
//! use deadpool::managed::{self, Metrics, RecycleResult};
//! use wait_pool::compat::deadpool::{Object, Pool};
//! # struct Manager;
//! # impl managed::Manager for Manager {
//! #     type Type = String;
//! #     type Error = std::io::Error;
//! #     async fn create(&self) -> std::io::Result<String> { Ok("hello".into()) }
//! #     async fn recycle(&self, _: &mut String, _: &Metrics) -> RecycleResult<std::io::Error> { Ok(()) }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let manager = Manager;
//!
//! // Was: let pool = deadpool::managed::Pool::builder(manager).max_size(16).build()?;
//! let pool: Pool<Manager> = Pool::builder(manager).max_size(16).build()?.into();
//!
//! let mut object = pool.get().await?;
//! object.push_str(" world");
//! assert_eq!(Object::metrics(&object).recycle_count, 0);
//! # Ok(())
//! # }
//! ```
//!
//! # What the manager sees
//!
//! - `create` and `recycle` run in tasks of their own, under `connect_timeout` and `check_timeout`.
//! - `recycle` is called when an object that somebody has used is about to be used again, as deadpool
//!   does; and, here only, when one has been idle for longer than `check_idle_after`. It is never called twice
//!   for one use, nor for an object that has just been created. If it fails, panics or takes too long, the
//!   object leaves.
//! - [`Metrics`] count and date the recycles that succeeded. deadpool has no `check_idle_after`, so
//!   only here may `recycled` be a little before the last use.
//! - `detach` is called exactly once for each object that was created, when it leaves the pool: broken,
//!   too old, discarded, taken, or because the pool ends. (deadpool leaves it out where a pool shrinks, is
//!   closed or dropped.) Its panics go no further.
//!
//! There are no hooks: wrap the manager.

use std::borrow::Cow;
use std::fmt;
use std::time::Instant;

use ::deadpool::managed::{Manager, Metrics, RecycleError};

use super::{Adapter, Foreign};
use crate::builder::Builder;

/// A pool of the objects of a manager for deadpool.
pub type Pool<M> = super::Pool<Managed<M>>;

/// What such a pool gives.
pub type Object<M> = super::Object<Managed<M>>;

/// A manager for deadpool, as a [`Pool`] sees it.
pub struct Managed<M>(M);

/// What went wrong in a manager for deadpool.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error<E> {
    /// The manager's own error.
    #[error(transparent)]
    Backend(E),
    /// What it said instead of one when it was to recycle an object.
    #[error("the object could not be recycled: {0}")]
    Message(Cow<'static, str>),
}

impl<M: Manager + 'static> super::Pool<Managed<M>>
where
    M::Error: std::error::Error + Send + Sync + 'static,
{
    /// Starts to set up a pool of the manager's objects; `build()?.into()` makes it.
    pub fn builder(manager: M) -> Builder<Adapter<Managed<M>>> {
        Builder::new(Adapter::new(Managed(manager)))
    }

    /// The manager given to the builder.
    pub fn manager(&self) -> &M {
        &(**self).manager().foreign.0
    }
}

impl<M: Manager + 'static> super::Object<Managed<M>>
where
    M::Error: std::error::Error + Send + Sync + 'static,
{
    /// When the object was created, and when and how often it has been recycled.
    pub fn metrics(this: &Self) -> &Metrics {
        &this.kept().note
    }
}

impl<M: Manager + 'static> Foreign for Managed<M>
where
    M::Error: std::error::Error + Send + Sync + 'static,
{
    type Object = M::Type;
    type Note = Metrics;
    type Error = Error<M::Error>;

    async fn open(&self) -> Result<(M::Type, Metrics), Self::Error> {
        let object = self.0.create().await.map_err(Error::Backend)?;
        Ok((object, Metrics::default()))
    }

    async fn look(&self, object: &mut M::Type, metrics: &mut Metrics) -> Result<(), Self::Error> {
        self.0.recycle(object, metrics).await?;
        metrics.recycle_count += 1;
        metrics.recycled = Some(Instant::now());
        Ok(())
    }

    /// deadpool finds out by recycling.
    fn is_broken(&self, _: &mut M::Type) -> bool {
        false
    }

    fn leave(&self, object: &mut M::Type) {
        self.0.detach(object);
    }
}

impl<E> From<RecycleError<E>> for Error<E> {
    fn from(error: RecycleError<E>) -> Self {
        match error {
            RecycleError::Backend(error) => Self::Backend(error),
            RecycleError::Message(message) => Self::Message(message),
        }
    }
}

impl<M> fmt::Debug for Managed<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Managed").finish_non_exhaustive()
    }
}
