//! The pool of a foreign manager's objects.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::panic::Location;
use std::time::Instant;

use tokio::runtime::Handle;

use super::parked::Adapter;
use super::{Foreign, Object};
use crate::error::AcquireError;
use crate::pool;

/// A pool of a [`Foreign`] manager's objects.
///
/// Made from a [`wait_pool::Pool`](crate::Pool) by `into`; all but `get` and `get_until` is that pool's and
/// reached by `Deref`: `status`, `clear`, `resize`, `close_with` and so on. Cloning is cheap and gives another
/// handle to the same pool. For an example see [`deadpool`](mod@super::deadpool) or [`bb8`](mod@super::bb8).
pub struct Pool<F: Foreign> {
    pool: pool::Pool<Adapter<F>>,
}

impl<F: Foreign> Pool<F> {
    /// Takes an object for oneself: an idle one, or the first that comes back or is opened. One that
    /// somebody has used before is looked at by the manager first.
    ///
    /// The caller waits, first come, first served, for at most `wait_timeout`, and then for at most
    /// `check_timeout` while the manager looks. An object that it does not find good is closed, and
    /// the caller waits for another one, in its old place, for what is left of its time.
    ///
    /// Cancel-safe: as [`wait_pool::Pool::get`](crate::Pool::get); a look that has begun goes on, and
    /// the object is given back after it. Costs what that costs, and a task where there is something
    /// to look at.
    ///
    /// # Errors
    ///
    /// See [`AcquireError`]. A failed look is none: another object is taken.
    #[track_caller]
    pub fn get(
        &self,
    ) -> impl Future<Output = Result<Object<F>, AcquireError<F::Error>>> + Send + '_ {
        self.get_at(Location::caller(), None)
    }

    /// [`get`](Self::get) with a deadline for this call, where it comes before the end of
    /// `wait_timeout`.
    ///
    /// # Errors
    ///
    /// As `get`.
    #[track_caller]
    pub fn get_until(
        &self,
        deadline: Instant,
    ) -> impl Future<Output = Result<Object<F>, AcquireError<F::Error>>> + Send + '_ {
        self.get_at(Location::caller(), Some(deadline))
    }

    async fn get_at(
        &self,
        at: &'static Location<'static>,
        deadline: Option<Instant>,
    ) -> Result<Object<F>, AcquireError<F::Error>> {
        let mut request = self.pool.request().deadline(deadline);
        let again = request.in_the_same_place();
        loop {
            let object = Object::new(request.get_at(at).await?);
            if !object.is_used() {
                return Ok(object.hand_out());
            }
            if let Some(object) = self.look(object).await? {
                return Ok(object.hand_out());
            }
            request = again;
        }
    }

    /// Has the manager look at the object, in a task that goes on without us.
    async fn look(&self, object: Object<F>) -> Result<Option<Object<F>>, AcquireError<F::Error>> {
        let Ok(runtime) = Handle::try_current() else {
            return Err(AcquireError::NoRuntime);
        };
        match runtime
            .spawn(object.look(self.pool.config().check_timeout))
            .await
        {
            Ok(looked) => Ok(looked),
            Err(ended) if ended.is_cancelled() => Err(AcquireError::NoRuntime),
            Err(_panicked) => Ok(None),
        }
    }
}

impl<F: Foreign> From<pool::Pool<Adapter<F>>> for Pool<F> {
    fn from(pool: pool::Pool<Adapter<F>>) -> Self {
        Self { pool }
    }
}

impl<F: Foreign> Deref for Pool<F> {
    type Target = pool::Pool<Adapter<F>>;

    fn deref(&self) -> &Self::Target {
        &self.pool
    }
}

impl<F: Foreign> Clone for Pool<F> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
        }
    }
}

impl<F: Foreign> fmt::Debug for Pool<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pool.fmt(f)
    }
}
