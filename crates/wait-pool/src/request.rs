//! One checkout that differs from the others of its pool.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::time::Instant;

use crate::acquire::Acquire;
use crate::error::AcquireError;
use crate::guard::{Lease, Pooled};
use crate::line::{Ask, Kind};
use crate::manager::Manager;
use crate::moment::Moment;
use crate::policy::Priority;
use crate::shared::Shared;

/// A checkout with a deadline or a priority of its own. Made by [`Pool::request`](crate::Pool::request).
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
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::{Duration, Instant};
/// use wait_pool::{Pool, Priority};
///
/// let pool = Pool::builder(Echo).build()?;
/// let connection = pool
///     .request()
///     .deadline(Instant::now() + Duration::from_millis(200))
///     .priority(Priority::High)
///     .only_in_time()
///     .get()
///     .await?;
/// assert_eq!(*connection, "hello");
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is asked for until `get` or `lease` is called"]
pub struct Request<'a, M: Manager> {
    pool: &'a Arc<Shared<M>>,
    deadline: Moment,
    priority: Priority,
    only_in_time: bool,
    came: Moment,
}

impl<'a, M: Manager> Request<'a, M> {
    pub(crate) const fn new(pool: &'a Arc<Shared<M>>) -> Self {
        Self {
            pool,
            deadline: Moment::NEVER,
            priority: Priority::Normal,
            only_in_time: false,
            came: Moment::NEVER,
        }
    }

    /// For a caller who asks a second time and first did so now.
    #[cfg(any(feature = "bb8", feature = "deadpool"))]
    pub(crate) fn in_the_same_place(self) -> Self {
        let came = self.pool.clock.now();
        Self { came, ..self }
    }

    /// [`get`](Self::get) for whoever called from `at`.
    #[cfg(any(feature = "bb8", feature = "deadpool"))]
    pub(crate) fn get_at(self, at: &'static Location<'static>) -> Acquire<'a, M, Pooled<M>> {
        Acquire::new(self.pool, self.ask(Kind::Exclusive, at))
    }

    /// The caller waits until then at most, and no longer than `wait_timeout` in any case. A deadline
    /// that has passed already still takes what is free at that moment. Default `None`.
    pub fn deadline(mut self, deadline: impl Into<Option<Instant>>) -> Self {
        let deadline = deadline.into();
        self.deadline = deadline.map_or(Moment::NEVER, |at| self.pool.clock.at(at));
        self
    }

    /// How urgent it is. Default [`Priority::Normal`].
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Has the caller refused at once, with [`AcquireError::TooLate`], where he would wait past his
    /// deadline: by the length of the line before him and the measured time between two hand-overs.
    /// Nobody is refused before some dozens of those have been measured.
    pub const fn only_in_time(mut self) -> Self {
        self.only_in_time = true;
        self
    }

    /// Takes a connection for oneself, as [`Pool::get`](crate::Pool::get) does.
    ///
    /// # Errors
    ///
    /// As `Pool::get`; [`AcquireError::TooLate`] if it is to be [in time](Self::only_in_time).
    #[track_caller]
    pub fn get(
        self,
    ) -> impl Future<Output = Result<Pooled<M>, AcquireError<M::Error>>> + Send + use<'a, M> {
        Acquire::new(self.pool, self.ask(Kind::Exclusive, Location::caller()))
    }

    /// Takes a part in a shared connection, as [`Pool::lease`](crate::Pool::lease) does.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    #[track_caller]
    pub fn lease(
        self,
    ) -> impl Future<Output = Result<Lease<M>, AcquireError<M::Error>>> + Send + use<'a, M> {
        Acquire::new(self.pool, self.ask(Kind::Lease, Location::caller()))
    }

    const fn ask(&self, kind: Kind, at: &'static Location<'static>) -> Ask {
        Ask {
            kind,
            priority: self.priority,
            at,
            deadline: self.deadline,
            came: self.came,
            only_in_time: self.only_in_time,
        }
    }
}

impl<M: Manager> Clone for Request<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: Manager> Copy for Request<'_, M> {}

impl<M: Manager> fmt::Debug for Request<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("pool", &self.pool.config.name)
            .field("priority", &self.priority)
            .field("only_in_time", &self.only_in_time)
            .finish_non_exhaustive()
    }
}
