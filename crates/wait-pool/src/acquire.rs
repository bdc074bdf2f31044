//! Waiting for a connection. [`Acquire`] is the only hand-written future of the crate.
//!
//! What a drop does: before the first poll nothing, since the caller never was in line; while it
//! waits it leaves the line, and a connection it had been handed goes to the next. Connects and
//! checks run in tasks of their own and go on.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use crate::error::AcquireError;
use crate::guard::Held;
use crate::line::{Failure, Kind, Outcome, WaiterId};
use crate::manager::Manager;
use crate::shared::{Shared, now};
use crate::slots::Grant;
use crate::transition::{Entered, Tried};

/// Waits for a connection until the pool's wait timeout, or the `deadline` where that comes first.
pub(crate) async fn checkout<M: Manager>(
    pool: &Arc<Shared<M>>,
    kind: Kind,
    at: &'static Location<'static>,
    deadline: Option<Instant>,
) -> Result<Held<M>, AcquireError<M::Error>> {
    let grant = Acquire {
        pool,
        kind,
        at,
        deadline,
        waiting: None,
        timer: None,
    };
    Ok(Held::new(pool, grant.await?))
}

pin_project! {
    /// Resolves to a connection that has been handed to this caller. Cancel-safe: see the module.
    #[must_use = "futures do nothing unless polled"]
    struct Acquire<'a, M: Manager> {
        pool: &'a Arc<Shared<M>>,
        kind: Kind,
        at: &'static Location<'static>,
        deadline: Option<Instant>,
        waiting: Option<Waiting>,
        #[pin]
        timer: Option<Sleep>,
    }

    impl<M: Manager> PinnedDrop for Acquire<'_, M> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(waiting) = this.waiting.take() {
                this.pool.leave(waiting.id);
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    id: WaiterId,
    since: Instant,
}

impl<M: Manager> Acquire<'_, M> {
    /// Gets a connection at once, or a place in line. The clock is read and the timer armed only
    /// for who really has to wait.
    fn enter(
        mut self: Pin<&mut Self>,
        waker: &Waker,
    ) -> Result<Option<Grant<M::Connection>>, AcquireError<M::Error>> {
        let this = self.as_mut().project();
        match this.pool.try_enter(*this.kind, this.at) {
            Tried::Granted(grant) => {
                this.pool.metrics.waited(Duration::ZERO);
                return Ok(Some(grant));
            }
            Tried::Closed => return Err(AcquireError::Closed),
            Tried::Empty => {}
        }
        if !this.pool.enter_runtime() {
            return Err(AcquireError::NoRuntime);
        }
        let since = now();
        let deadline = earlier(*this.deadline, this.pool.config.wait_timeout, since);
        match this
            .pool
            .enter(*this.kind, this.at, waker.clone(), deadline)
        {
            Entered::Granted(grant) => {
                this.pool.metrics.waited(Duration::ZERO);
                return Ok(Some(grant));
            }
            Entered::Closed => return Err(AcquireError::Closed),
            Entered::Full(status) => {
                let pool = Arc::clone(&this.pool.config.name);
                return Err(AcquireError::QueueFull { pool, status });
            }
            Entered::Queued(id) => *this.waiting = Some(Waiting { id, since }),
        }
        let timer = deadline.map(|deadline| tokio::time::sleep_until(deadline.into()));
        self.project().timer.set(timer);
        Ok(None)
    }
}

impl<M: Manager> Future for Acquire<'_, M> {
    type Output = Result<Grant<M::Connection>, AcquireError<M::Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // A caller in a hot loop lets others run from time to time.
        let budget = ready!(tokio::task::coop::poll_proceed(cx));
        let settled = match self.waiting {
            None => match self.as_mut().enter(cx.waker()).transpose() {
                Some(done) => {
                    budget.made_progress();
                    return Poll::Ready(done);
                }
                None => None,
            },
            Some(Waiting { id, .. }) => self.pool.poll(id, cx.waker().clone()),
        };
        let this = self.project();
        if let Some(outcome) = settled {
            let waiting = this.waiting.take().expect("it waited");
            budget.made_progress();
            return Poll::Ready(taken(this.pool, waiting, outcome));
        }
        match this.timer.as_pin_mut().map(|timer| timer.poll(cx)) {
            None | Some(Poll::Pending) => Poll::Pending,
            Some(Poll::Ready(())) => {
                let waiting = this.waiting.take().expect("it waits");
                budget.made_progress();
                Poll::Ready(taken(this.pool, waiting, this.pool.expire(waiting.id)))
            }
        }
    }
}

/// What a caller that waited makes of what it was given.
fn taken<M: Manager>(
    pool: &Shared<M>,
    waiting: Waiting,
    outcome: Outcome<M::Connection, M::Error>,
) -> Result<Grant<M::Connection>, AcquireError<M::Error>> {
    match outcome {
        Outcome::Granted(grant) => {
            let waited = now().saturating_duration_since(waiting.since);
            pool.metrics.waited(waited);
            Ok(grant)
        }
        Outcome::Failed(failure) => Err(failure.into()),
        Outcome::Late(report) => {
            pool.metrics.timed_out();
            Err(AcquireError::Timeout(report))
        }
        Outcome::Waiting(_) => unreachable!("who waits is not settled"),
    }
}

impl<E> From<Failure<E>> for AcquireError<E> {
    fn from(failure: Failure<E>) -> Self {
        match failure {
            Failure::Closed => Self::Closed,
            Failure::Connect(error) => Self::Connect(error),
        }
    }
}

/// The end of the wait; a timeout beyond the end of the clock is none.
fn earlier(
    deadline: Option<Instant>,
    timeout: Option<Duration>,
    since: Instant,
) -> Option<Instant> {
    let timeout = timeout.and_then(|timeout| since.checked_add(timeout));
    match (deadline, timeout) {
        (Some(deadline), Some(timeout)) => Some(deadline.min(timeout)),
        (deadline, timeout) => deadline.or(timeout),
    }
}
