//! Pools of the managers of other pools, which run here unchanged.
//!
//! - [`mod@deadpool`], feature `deadpool`: any `deadpool::managed::Manager`.
//! - [`mod@bb8`], feature `bb8`: any `bb8::ManageConnection`.
//!
//! [`Pool`] is a [`wait_pool::Pool`](crate::Pool) whose [`get`](Pool::get) keeps what such managers rely
//! on: an object that somebody has used goes to the next only after the manager has looked at it.
//! Managers of this kind clean up there after the last user, and find broken connections there. A look
//! takes what the manager makes of it, most often one round trip, and runs in a task of its own: a
//! caller that gives up does not cancel it.
//!
//! Objects need not be `Sync`: while nobody uses one, nothing but the pool's own `&mut` reaches it, and
//! an [`Object`] has it for itself. What is lost is [`lease`](crate::Pool::lease); clone such connections
//! out of an `Object`.

#[cfg(feature = "bb8")]
pub mod bb8;
#[cfg(feature = "deadpool")]
pub mod deadpool;
mod object;
mod parked;
mod pool;

use std::error::Error;
use std::future::Future;

pub use object::Object;
pub use parked::{Adapter, Parked};
pub use pool::Pool;

/// A manager of another kind of pool, as a [`Pool`] sees it.
///
/// Implemented for [`deadpool::Managed`] and
/// [`bb8::Managed`]. For something of your own, [`Manager`](crate::Manager) is simpler
/// and costs less.
pub trait Foreign: Send + Sync + 'static {
    /// What users get.
    type Object: Send + 'static;

    /// What is remembered of each object.
    type Note: Send + Sync + 'static;

    /// What goes wrong while opening or looking.
    type Error: Error + Send + Sync + 'static;

    /// Opens an object. Dropping the future must close what it has opened.
    fn open(&self) -> impl Future<Output = Result<(Self::Object, Self::Note), Self::Error>> + Send;

    /// Looks at an object that somebody has used, or that has been idle for long, before it is used
    /// again. An error closes it. So does dropping the future.
    fn look(
        &self,
        object: &mut Self::Object,
        note: &mut Self::Note,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Whether an object that comes back must be closed. Has to be quick and may not block.
    fn is_broken(&self, object: &mut Self::Object) -> bool;

    /// Called once for each object, when it leaves the pool for good, whatever the reason. Has to be
    /// quick and may not block. If it panics, nothing comes of it.
    fn leave(&self, object: &mut Self::Object);
}
