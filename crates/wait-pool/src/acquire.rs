//! Waiting for a connection. [`Acquire`] is the only hand-written future of the crate.
//!
//! What a drop does, at every await point of [`checkout`]:
//!
//! - before the first poll of `Acquire`: nothing, the caller never was in line;
//! - while it waits: it leaves the line; a connection it had been handed goes to the next;
//! - during the check of a long-idle connection: the connection is closed, since nobody knows what
//!   is still under way on it, and its place is free.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use crate::error::AcquireError;
use crate::guard::Held;
use crate::line::{Failure, Kind, Progress, WaiterId};
use crate::manager::Manager;
use crate::shared::{Shared, now};
use crate::slots::{Grant, Holding};
use crate::transition::{Entered, Entry, Expired};

/// Waits for a connection, checks it if it has been idle for long, and takes another one if it is
/// dead. A caller that was given a dead one goes back to the head of the line. Each round closes
/// a connection, so dead ones cost at most `max_size` rounds.
pub(crate) async fn checkout<M: Manager>(
    pool: &Arc<Shared<M>>,
    kind: Kind,
    at: &'static Location<'static>,
    deadline: Option<Instant>,
) -> Result<Held<M>, AcquireError<M::Error>> {
    let patience = Patience::new(pool.config.wait_timeout, deadline);
    let mut entry = Entry::Back;
    loop {
        let grant = Acquire::new(pool, kind, entry, at, patience).await?;
        let stale = matches!(grant.holding, Holding::Alone { stale: true, .. });
        let mut held = Held::new(pool, grant);
        if !stale {
            return Ok(held);
        }
        if check(pool, &mut held, patience).await? {
            if kind == Kind::Lease {
                held.share();
            }
            return Ok(held);
        }
        held.discard();
        entry = Entry::Front;
    }
}

/// Whether a connection still works. Until the answer is in, dropping `held` closes it.
async fn check<M: Manager>(
    pool: &Arc<Shared<M>>,
    held: &mut Held<M>,
    patience: Patience,
) -> Result<bool, AcquireError<M::Error>> {
    held.set_unfit(true);
    let checking = pool.manager.check(held.connection_mut());
    let outcome = match patience.deadline {
        Some(deadline) => tokio::time::timeout_at(deadline.into(), checking).await,
        None => Ok(checking.await),
    };
    match outcome {
        Ok(Ok(())) => {
            held.set_unfit(false);
            Ok(true)
        }
        Ok(Err(_)) => Ok(false),
        Err(_) => Err(AcquireError::Timeout(
            pool.checking_timeout(patience.waited()),
        )),
    }
}

/// Since when a caller waits and until when it is willing to.
#[derive(Clone, Copy, Debug)]
struct Patience {
    since: Instant,
    deadline: Option<Instant>,
}

impl Patience {
    fn new(timeout: Option<Duration>, deadline: Option<Instant>) -> Self {
        let since = now();
        // A timeout beyond the end of the clock is none.
        let timeout = timeout.and_then(|timeout| since.checked_add(timeout));
        let deadline = match (timeout, deadline) {
            (Some(timeout), Some(deadline)) => Some(timeout.min(deadline)),
            (timeout, deadline) => timeout.or(deadline),
        };
        Self { since, deadline }
    }

    fn waited(&self) -> Duration {
        now().saturating_duration_since(self.since)
    }
}

pin_project! {
    /// Resolves to a connection that has been handed to this caller. Cancel-safe: see the module.
    #[must_use = "futures do nothing unless polled"]
    struct Acquire<'a, M: Manager> {
        pool: &'a Arc<Shared<M>>,
        kind: Kind,
        entry: Entry,
        at: &'static Location<'static>,
        patience: Patience,
        waiter: Option<WaiterId>,
        #[pin]
        timer: Option<Sleep>,
    }

    impl<M: Manager> PinnedDrop for Acquire<'_, M> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(id) = this.waiter.take() {
                this.pool.leave(id);
            }
        }
    }
}

impl<'a, M: Manager> Acquire<'a, M> {
    const fn new(
        pool: &'a Arc<Shared<M>>,
        kind: Kind,
        entry: Entry,
        at: &'static Location<'static>,
        patience: Patience,
    ) -> Self {
        Self {
            pool,
            kind,
            entry,
            at,
            patience,
            waiter: None,
            timer: None,
        }
    }

    /// Gets a connection at once, or a place in line with a timer.
    fn enter(
        mut self: Pin<&mut Self>,
        waker: &Waker,
    ) -> Result<Option<Grant<M::Connection>>, AcquireError<M::Error>> {
        let this = self.as_mut().project();
        let entered = this.pool.enter(*this.kind, *this.entry, this.at, waker);
        match entered {
            Entered::Granted(grant) => return Ok(Some(grant)),
            Entered::Closed => return Err(AcquireError::Closed),
            Entered::Queued(id) => *this.waiter = Some(id),
        }
        if !this.pool.enter_runtime() {
            return Err(AcquireError::NoRuntime);
        }
        let deadline = this.patience.deadline.map(tokio::time::Instant::from);
        let timer = deadline.map(tokio::time::sleep_until);
        self.project().timer.set(timer);
        Ok(None)
    }
}

impl<M: Manager> Future for Acquire<'_, M> {
    type Output = Result<Grant<M::Connection>, AcquireError<M::Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let progress = match self.waiter {
            None => match self.as_mut().enter(cx.waker()).transpose() {
                Some(done) => return Poll::Ready(done),
                None => Progress::Waiting,
            },
            Some(id) => self.pool.poll(id, cx.waker()),
        };
        let this = self.project();
        match progress {
            Progress::Granted(grant) => {
                *this.waiter = None;
                return Poll::Ready(Ok(grant));
            }
            Progress::Failed(failure) => {
                *this.waiter = None;
                return Poll::Ready(Err(failure.into()));
            }
            Progress::Waiting => {}
        }
        match this.timer.as_pin_mut().map(|timer| timer.poll(cx)) {
            None | Some(Poll::Pending) => Poll::Pending,
            Some(Poll::Ready(())) => {
                let id = this
                    .waiter
                    .take()
                    .expect("a timer runs while a caller waits");
                let outcome = this.pool.expire(id, this.patience.waited());
                Poll::Ready(outcome.map_err(AcquireError::from))
            }
        }
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

impl<E> From<Expired<E>> for AcquireError<E> {
    fn from(expired: Expired<E>) -> Self {
        match expired {
            Expired::Failed(failure) => failure.into(),
            Expired::Late(report) => Self::Timeout(report),
        }
    }
}
