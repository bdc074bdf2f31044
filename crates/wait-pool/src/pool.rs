//! The handle that users keep.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::builder::Builder;
use crate::check;
use crate::config::{Config, check_size};
use crate::error::{AcquireError, BuildError, TryAcquireError};
use crate::event::{CheckOutFailedReason, Event};
use crate::group::Group;
use crate::guard::{Held, Lease, Pooled};
use crate::hook::Observers;
use crate::line::{Failure, Kind};
use crate::manager::Manager;
use crate::request::Request;
use crate::shared::{Open, Shared};
use crate::slots::Grant;
use crate::status::{Holding, Status};

/// A bounded pool of connections whose callers wait in line.
///
/// Cloning is cheap and gives another handle to the same pool.
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
/// let pool = wait_pool::Pool::builder(Echo).max_size(1).build()?;
///
/// let connection = pool.get().await?;
/// assert_eq!(*connection, "hello");
/// assert_eq!(pool.status().in_use, 1);
///
/// // The only connection is out: a second caller waits until it comes back.
/// let waiter = tokio::spawn({
///     let pool = pool.clone();
///     async move { pool.get().await.map(|connection| connection.len()) }
/// });
/// drop(connection);
/// assert_eq!(waiter.await??, 5);
/// # Ok(())
/// # }
/// ```
pub struct Pool<M: Manager> {
    shared: Arc<Shared<M>>,
}

impl<M: Manager> Pool<M> {
    /// Starts to set up a pool of the manager's connections.
    pub fn builder(manager: M) -> Builder<M> {
        Builder::new(manager)
    }

    pub(crate) fn new(
        manager: M,
        config: Config,
        observers: Observers<M>,
        group: Option<&Group>,
    ) -> Self {
        Self {
            shared: Shared::in_group(manager, config, observers, group),
        }
    }

    /// Takes a connection for oneself: an idle one, or the first that comes back or is opened.
    ///
    /// At the bound the caller waits, first come, first served, for at most `wait_timeout`. The
    /// place that called this shows up in other callers' timeouts as long as it holds the
    /// connection.
    ///
    /// Cancel-safe: a dropped future leaves the line, and a connection already handed to it goes
    /// to the next caller. Costs one lock if a connection is idle; if not, three or four and a wake-up.
    ///
    /// # Errors
    ///
    /// See [`AcquireError`]. A failure to connect is told at once, unless a connection is open
    /// whose return may still serve the caller.
    #[track_caller]
    pub fn get(
        &self,
    ) -> impl Future<Output = Result<Pooled<M>, AcquireError<M::Error>>> + Send + '_ {
        self.request().get()
    }

    /// Takes a part in a connection that up to `max_leases` callers use at the same time.
    ///
    /// For connections that can be multiplexed. Leases and [`get`](Self::get) share one bound and
    /// one line, and neither starves the other: see the [crate's documentation](crate).
    /// Waiting, cancellation and cost are those of `get`.
    ///
    /// # Errors
    ///
    /// See [`AcquireError`].
    #[track_caller]
    pub fn lease(
        &self,
    ) -> impl Future<Output = Result<Lease<M>, AcquireError<M::Error>>> + Send + '_ {
        self.request().lease()
    }

    /// A checkout with a deadline or a priority of its own. Costs nothing.
    pub const fn request(&self) -> Request<'_, M> {
        Request::new(&self.shared)
    }

    /// Takes an idle connection, if there is one and nobody waits for it. Opens nothing, never
    /// waits. Where all have been idle for long, it has one of them checked, for the next call. A hook
    /// [before use](Builder::before_use) is not called.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError::Empty`] if there is none, [`TryAcquireError::Closed`] after
    /// [`close`](Self::close), [`TryAcquireError::Paused`] after [`pause`](Self::pause).
    #[track_caller]
    pub fn try_get(&self) -> Result<Pooled<M>, TryAcquireError> {
        let grant = self.try_enter(Kind::Exclusive, Location::caller())?;
        Ok(Held::new(&self.shared, grant).into())
    }

    /// Takes a part in a connection that has room for it, or in an idle one, as
    /// [`try_get`](Self::try_get) does.
    ///
    /// # Errors
    ///
    /// As [`try_get`](Self::try_get).
    #[track_caller]
    pub fn try_lease(&self) -> Result<Lease<M>, TryAcquireError> {
        let grant = self.try_enter(Kind::Lease, Location::caller())?;
        Ok(Held::new(&self.shared, grant).into())
    }

    /// The pool's figures at this moment, all from the same moment. Costs one lock.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// Has [`min_idle`](Builder::min_idle) connections opened and waits until they are, at startup
    /// for example. Without this, the first caller has them opened in the background.
    ///
    /// Cancel-safe: the connections are opened all the same.
    ///
    /// # Errors
    ///
    /// The first failure to connect; that the pool is closed or paused, or that there is no runtime.
    pub fn warm_up(&self) -> impl Future<Output = Result<(), AcquireError<M::Error>>> + Send + '_ {
        let mut failures = None;
        poll_fn(move |cx| {
            let Ok(here) = Handle::try_current() else {
                return Poll::Ready(Err(AcquireError::NoRuntime));
            };
            self.shared.home.enter(here);
            match self.shared.warm_up(&mut failures, cx.waker().clone()) {
                None => Poll::Pending,
                Some(warm) => Poll::Ready(warm.map_err(|failure| {
                    AcquireError::from_failure(failure, &self.shared.config.name)
                })),
            }
        })
    }

    /// Has all connections replaced, as after a failover or a change of password: idle ones are
    /// closed before this returns, those in use when they come back, those being opened when they
    /// arrive, and shared ones take no more leases. Callers in line stay there. Costs one lock and
    /// a look at every connection.
    pub fn clear(&self) {
        self.shared.clear();
    }

    /// Has callers refused with [`AcquireError::Paused`], those in line included, until
    /// [`ready`](Self::ready) is called: while a server is known to be away, so that nobody waits in
    /// vain. Connections stay as they are, in use or idle; none is opened.
    pub fn pause(&self) {
        self.shared.pause();
    }

    /// Has callers served again after [`pause`](Self::pause), or for the first time where the builder
    /// has [`start_paused`](Builder::start_paused).
    pub fn ready(&self) {
        self.shared.ready();
    }

    /// Changes `max_size`, at once and for all handles.
    ///
    /// When it grows, callers in line have connections opened. When it shrinks, idle connections
    /// beyond it are closed before this returns, the longest idle first; those in use beyond it are
    /// closed when they come back, and shared ones take no more leases then. Until that has happened
    /// [`Status::size`] is above `max_size`, and nothing is opened.
    ///
    /// # Errors
    ///
    /// Refuses 0, as the builder does.
    pub fn resize(&self, max_size: usize) -> Result<(), BuildError> {
        check_size(max_size)?;
        self.shared.resize(max_size);
        Ok(())
    }

    /// Has every connection that is idle now [checked](Manager::check) before it is used again, as
    /// if it had been idle for long.
    ///
    /// For when something happened that may have ended them all, as the loss of one of them does
    /// when a server restarts. Costs one lock.
    pub fn doubt_idle(&self) {
        self.shared.doubt_idle();
    }

    /// Ends the pool for all its handles.
    ///
    /// Callers in line and later ones get [`AcquireError::Closed`], idle connections are dropped
    /// before this returns, those in use when they come back.
    pub fn close(&self) {
        self.shared.close();
    }

    /// [`close`](Self::close), and waits until everything has come back and is closed. An attempt to
    /// connect that is still under way is not waited for: what it opens is closed at once.
    ///
    /// Cancel-safe: the pool is closed all the same.
    ///
    /// # Errors
    ///
    /// At the deadline, who still holds what: for how long, and where it was taken; the longest-held
    /// first.
    pub async fn close_with(&self, deadline: Instant) -> Result<(), Vec<Holding>> {
        self.close();
        let drained = poll_fn(|cx| match self.shared.drained(cx.waker().clone()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        });
        let drained = tokio::time::timeout_at(deadline.into(), drained).await;
        drained.map_err(|_| self.shared.holdings())
    }

    /// Looks at every idle connection and closes those that `keep` does not want. Says how many.
    ///
    /// `keep` is called without the pool's lock; the idle connections are nobody's meanwhile, so it
    /// had better be quick. If it panics, those it has not been asked about are closed.
    pub fn retain(&self, keep: impl FnMut(&M::Connection) -> bool) -> usize {
        check::retain(&self.shared, keep)
    }

    /// Whether [`close`](Self::close) has been called.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// The name given to the builder.
    pub fn name(&self) -> &str {
        &self.config().name
    }

    /// The manager given to the builder.
    pub fn manager(&self) -> &M {
        &self.shared.manager
    }

    pub(crate) fn config(&self) -> &Config {
        &self.shared.config
    }

    fn try_enter(
        &self,
        kind: Kind,
        at: &'static Location<'static>,
    ) -> Result<Grant<Open<M>>, TryAcquireError> {
        let waited = Duration::ZERO;
        self.shared.emit(&Event::CheckOutStarted);
        if let Some(grant) = self.shared.try_enter(kind, at) {
            let event = |connection| Event::CheckedOut { connection, waited };
            self.shared.emit_of(grant.hold, event);
            return Ok(grant);
        }
        let (error, reason) = match self.shared.refusal() {
            Some(Failure::Closed) => (TryAcquireError::Closed, CheckOutFailedReason::PoolClosed),
            Some(_) => (TryAcquireError::Paused, CheckOutFailedReason::PoolPaused),
            None => {
                self.shared.look_at_idle();
                (TryAcquireError::Empty, CheckOutFailedReason::Timeout)
            }
        };
        self.shared.emit(&Event::CheckOutFailed { reason, waited });
        Err(error)
    }
}

impl<M: Manager> Clone for Pool<M> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<M: Manager> fmt::Debug for Pool<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("name", &self.config().name)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
